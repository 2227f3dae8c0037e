"""FastAPI: credentials in the signature, what the OpenAPI document says, and refusals where its users look for them."""

# Annotations are evaluated where they stand, since FastAPI cannot look into a test for the names in them.

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Annotated, Any

import anyio
import pytest
import trio
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Security,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer, OAuth2AuthorizationCodeBearer, OpenIdConnect, SecurityScopes
from fastapi.sse import EventSourceResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection

from jwt_guard import Allow, Credentials, Guard, Misconfigured, anyone, authenticated, by_route, scopes
from jwt_guard.access.policy import Policy
from jwt_guard.decision import Decision
from jwt_guard.middleware import asgi, starlette
from jwt_guard.middleware.fastapi import Guarded, GuardMiddleware, Refusal, guarded
from tests.doors import apps_fastapi
from tests.doors.inside import Answer, ask_asgi, ask_websocket, scope_for
from tests.doors.table import ROWS, WEBSOCKET_ROWS, Row

from .callers import CLOSED as CLOSE_FRAME
from .callers import HEADERS, bearer, behind_uvicorn, frames, guarding, name, whoever
from .test_expiring import BACKENDS, CLOSED, CONNECT, SOON, Wire, asked, serve
from .test_expiring import guarding as ending

PLAIN = 'Bearer realm="api"'
NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)
SOMEBODY = Credentials("eve", "shop", frozenset(["orders:read"]), frozenset(), "shop", {})


def get(app: asgi.App, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return ask_asgi(app, "GET", path, bearer() if headers is None else headers)


async def exchanged(app: asgi.App, scope: asgi.Scope, body: bytes = b"") -> list[asgi.Message]:
    """Return what *app* sends, on whichever loop this runs."""
    sent: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return {"type": "http.request", "body": body}

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def app_asking(dependency: Guarded, *needed: str, middleware: Guard | None = None, **settings: Any) -> FastAPI:
    """Return an application of one operation that answers who asks, in three ways."""
    app = FastAPI(**settings)
    if middleware is not None:
        app.add_middleware(GuardMiddleware, guard=middleware)

    @app.get("/")
    async def endpoint(
        request: Request, who: Annotated[Credentials | None, Security(dependency, scopes=needed)]
    ) -> str:
        return f"{name(who)} {name(request.state.credentials)} {whoever()}"

    @app.websocket("/")
    async def socket(
        websocket: WebSocket, who: Annotated[Credentials | None, Security(dependency, scopes=needed)]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(f"{name(who)} {name(websocket.state.credentials)} {whoever()}")
        await websocket.close()

    return app


# ── who is asking ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signature_says_who_is_asking() -> None:
    app = app_asking(guarded(guarding()), "orders:read")

    assert b'"ada ada ada"' == get(app).body
    assert b"ada ada ada" == ask_websocket(app, "/", bearer()).body


def test_starlettes_words_are_there_too() -> None:
    app = FastAPI(dependencies=[Security(guarded(guarding()))])

    @app.get("/")
    async def endpoint(request: Request) -> list[Any]:
        return [request.user.display_name, list(request.auth.scopes)]

    assert ["ada", ["authenticated", "orders:read"]] == json.loads(get(app).body)


def test_a_plain_function_in_a_thread_knows_for_whom_it_runs() -> None:
    app = FastAPI()
    dependency = guarded(guarding())

    def sub(_: Annotated[Credentials, Security(dependency)]) -> str:
        return whoever()

    @app.get("/")
    def endpoint(below: Annotated[str, Depends(sub)]) -> str:
        return f"{below} {whoever()}"

    assert b'"ada ada"' == get(app).body


def test_no_thread_is_taken_to_look_at_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", fail)
    monkeypatch.setattr("anyio.to_thread.run_sync", fail)

    assert 200 == get(app_asking(guarded(guarding()), "orders:read")).status
    assert 401 == get(app_asking(guarded(guarding())), headers=[]).status
    assert 200 == get(app_asking(guarded(), middleware=guarding())).status


def test_a_state_that_was_looked_at_before_gets_the_credentials_too() -> None:
    app = FastAPI()
    dependency = guarded(guarding())

    def before(request: Request) -> None:
        request.state.before = "kept"

    @app.get("/", dependencies=[Depends(before), Security(dependency)])
    async def endpoint(request: Request) -> str:
        return f"{request.state.before} {request.state.credentials.user}"

    assert b'"kept ada"' == get(app).body


def test_it_runs_on_trio() -> None:
    sent = trio.run(exchanged, app_asking(guarded(guarding())), scope_for("http", "GET", "/", bearer()))

    assert [200, b'"ada ada ada"'] == [sent[0]["status"], sent[1]["body"]]


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


ANONYMOUS = [row for row in ROWS if row.status == 200 and row.who is None]
NOT_FASTAPIS = ["a method in small letters"]  # it knows none, and says so before it asks a dependency


@pytest.mark.parametrize("row", [row for row in ROWS if row.claim not in NOT_FASTAPIS], ids=str)
def test_dependencies_alone_answer_as_every_door_but_to_nobody(row: Row) -> None:
    answer = ask_asgi(apps_fastapi.alone, row.method, row.target, row.headers)
    is_head = row.method == "HEAD"

    if row in ANONYMOUS and not row.headers:
        assert 401 == answer.status
        return
    if "preflight" in row.claim and row.status == 200:  # which a middleware for CORS answers
        assert (401, None) == (answer.status, answer.headers.get("access-control-allow-origin"))
        return
    assert (row.status, row.challenge) == (answer.status, answer.headers.get("www-authenticate"))
    assert row.more == {key: answer.headers.get(key) for key in row.more}
    if row.status == 200:
        assert is_head or {"who": row.who, "current": True} == json.loads(answer.body)
    else:
        assert "application/problem+json" == answer.headers["content-type"]
        assert is_head or {"type", "title", "status", "detail", "id"} == set(json.loads(answer.body))


@pytest.mark.parametrize("row", [row for row in WEBSOCKET_ROWS if row not in ANONYMOUS], ids=str)
@pytest.mark.parametrize("denial", [True, False])
def test_a_websocket_is_refused_before_it_is_accepted(row: Row, denial: bool) -> None:
    answer = ask_websocket(apps_fastapi.alone, row.target, row.headers, denial=denial)
    status = 101 if row.status == 200 else row.status if denial else 403

    assert status == answer.status
    if denial:
        assert row.challenge == answer.headers.get("www-authenticate")
    if row.status == 200:
        assert {"who": row.who, "current": True} == json.loads(answer.body)


async def _as_tea(_request: Any, error: Any) -> JSONResponse:
    return JSONResponse({"error": error.detail, "kind": type(error).__name__}, 418, error.headers)


@pytest.mark.parametrize("handled", [StarletteHTTPException, HTTPException, Refusal, 403], ids=repr)
def test_a_handler_of_the_application_gets_the_refusal(handled: Any) -> None:
    app = app_asking(guarded(guarding()), "orders:write", exception_handlers={handled: _as_tea})

    for refused in (get(app), get(app), ask_websocket(app, "/", bearer())):
        assert 418 == refused.status
        assert {"error": "The access token does not allow this", "kind": "Refusal"} == json.loads(refused.body)
        assert (NEEDS_WRITE, "application/json") == tuple(
            refused.headers[each] for each in ("www-authenticate", "content-type")
        )


def test_a_handler_knows_what_happened_in_full() -> None:
    seen: list[Refusal] = []

    async def handler(_request: Any, refusal: Any) -> PlainTextResponse:
        seen.append(refusal)
        return PlainTextResponse("no", refusal.status_code)

    get(app_asking(guarded(guarding()), "orders:write", exception_handlers={Refusal: handler}))

    assert frozenset(["orders:write"]) == getattr(seen[0].error, "required", None)
    assert 403 == json.loads(seen[0].body)["status"]


def test_what_else_the_application_refuses_is_answered_as_ever() -> None:
    app = app_asking(guarded(guarding()), exception_handlers={404: _as_tea})

    @app.get("/other")
    async def other() -> None:
        raise HTTPException(403, "Own")

    before, refused, after = get(app, "/other"), get(app, headers=[]), get(app, "/other")

    assert b'{"detail":"Own"}' == before.body == after.body
    assert (401, "application/problem+json") == (refused.status, refused.headers["content-type"])
    assert 418 == get(app, "/nowhere").status


def test_a_token_is_asked_for_before_anything_is_said_about_a_query() -> None:
    app = FastAPI()
    dependency = guarded(guarding())

    @app.get("/")
    async def endpoint(number: int, _: Annotated[Credentials, Security(dependency)]) -> int:
        return number

    assert [401, 422] == [get(app, "/?number=x", []).status, get(app, "/?number=x").status]


def test_a_body_that_is_no_json_is_seen_before_a_dependency_but_not_before_the_middleware() -> None:
    one = guarding()
    sent = [("content-type", b"application/json")]

    async def endpoint(order: dict[str, str], _: Annotated[Credentials, Security(guarded(one))]) -> None:
        raise AssertionError(order)

    for middleware, status in ((False, 422), (True, 401)):
        app = FastAPI()
        app.add_api_route("/", endpoint, methods=["POST"])
        if middleware:
            app.add_middleware(GuardMiddleware, guard=one)

        scope = scope_for("http", "POST", "/", sent)

        assert status == asyncio.run(exchanged(app, dict(scope), b"{"))[0]["status"]
        assert 401 == asyncio.run(exchanged(app, dict(scope), b"{}"))[0]["status"]


def test_a_refusal_is_one_line_in_the_log_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    sent = bearer(scope="b")
    refused = get(app_asking(guarded(guarding()), "orders:write"), headers=sent)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "jwt_guard")

    assert line.startswith(f"refused {json.loads(refused.body)['id']}: 403 ")
    assert sent[0][1].decode().split()[1] not in caplog.text


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_scopes_add_up_along_the_way_to_the_operation() -> None:
    dependency = guarded(guarding())

    def reader(who: Annotated[Credentials, Security(dependency, scopes=["orders:read"])]) -> Credentials:
        return who

    app = FastAPI()
    router = APIRouter(dependencies=[Security(dependency, scopes=["shop"])])

    @router.get("/")
    async def endpoint(who: Annotated[Credentials, Security(reader, scopes=["orders:write"])]) -> str:
        return str(who.user)

    app.include_router(router)
    refused = get(app, headers=bearer(scope="shop orders:read"))

    assert 200 == get(app, headers=bearer(scope="shop orders:read orders:write")).status
    assert 403 == get(app, headers=bearer(scope="orders:read orders:write")).status
    assert 'scope="orders:read orders:write"' in refused.headers["www-authenticate"]
    assert {"security": [{"HTTPBearer": ["shop", "orders:write", "orders:read"]}]}.items() <= (
        app.openapi()["paths"]["/"]["get"].items()
    )


def test_one_text_in_place_of_a_list_lets_nobody_in() -> None:
    mistaken: Any = "orders:read"
    app = FastAPI()

    @app.get("/", dependencies=[Security(guarded(guarding()), scopes=mistaken)])
    async def endpoint() -> None:
        raise AssertionError

    assert 403 == get(app).status


def test_an_operation_that_names_no_scopes_takes_no_token_that_names_none_for_granted() -> None:
    app = app_asking(guarded(guarding(scopes("orders:write"))))

    assert (403, NEEDS_WRITE) == (get(app).status, get(app).headers["www-authenticate"])


# ── with the middleware ──────────────────────────────────────────────────────────────────────────────────────────


class Counting:
    """A policy that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _request: object, credentials: Credentials) -> Decision:
        self.asked += 1
        return Allow(credentials)


def test_what_the_middleware_found_is_not_looked_for_again() -> None:
    for dependency_of in (guarded, lambda _: guarded()):
        policy = Counting()
        one = guarding(policy)
        app = app_asking(dependency_of(one), "orders:read", middleware=one)

        assert b'"ada ada ada"' == get(app).body
        assert 403 == get(app_asking(dependency_of(one), "orders:write", middleware=one)).status
        assert 2 == policy.asked


def test_one_request_is_judged_once_however_many_dependencies_it_has() -> None:
    policy = Counting()
    dependency = guarded(guarding(policy))
    app = FastAPI(dependencies=[Security(dependency)])

    @app.get("/", dependencies=[Security(dependency, scopes=["orders:read"])])
    async def endpoint(who: Annotated[Credentials, Depends(dependency)]) -> str:
        return f"{who.user} {whoever()}"

    assert b'"ada ada"' == get(app).body
    assert 1 == policy.asked


@pytest.mark.parametrize("other", [GuardMiddleware, starlette.GuardMiddleware, asgi.GuardMiddleware], ids=repr)
def test_what_another_guard_found_is_not_taken_for_the_answer(other: Callable[..., Any]) -> None:
    """Somebody else's guard stands between the middleware and the operation, and finds somebody else."""
    strict, policy = guarding(), Counting()
    own = guarding(policy)
    (shop,) = strict.providers
    named = Guard([replace(shop, name="other")], clock=strict.clock)
    app = FastAPI()
    app.add_middleware(other, guard=named)
    app.add_middleware(GuardMiddleware, guard=own)

    @app.get("/")
    async def endpoint(who: Annotated[Credentials, Security(guarded(own))]) -> str:
        return who.provider

    assert f'"{shop.name}"' == get(app).body.decode()
    assert 2 == policy.asked


def test_a_guard_of_ones_own_counts_where_there_is_another_around_it() -> None:
    own = guarded(guarding(by_route([("GET", "/in", authenticated())])))
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guarding(anyone()))

    @app.get("/{way}", dependencies=[Security(own)])
    async def endpoint(way: str) -> str:
        return way

    assert [200, 403, 401] == [get(app, "/in").status, get(app, "/out").status, get(app, "/in", []).status]


def test_a_mounted_application_has_its_own_guard_and_its_own_handlers() -> None:
    inner = app_asking(guarded(guarding(by_route([("GET", "/v1", authenticated())]))))
    app = FastAPI(exception_handlers={HTTPException: _as_tea})
    app.mount("/v1", inner)
    app.mount("/v2", inner)
    app.include_router(app_asking(guarded(guarding())).router, prefix="/v3")

    assert [200, 401] == [get(app, "/v1/").status, get(app, "/v1/", []).status]
    assert [403, "application/problem+json"] == [get(app, "/v2/").status, get(app, "/v2/").headers["content-type"]]
    assert [200, 418] == [get(app, "/v3/").status, get(app, "/v3/", []).status]


def test_without_a_guard_nobody_comes_in(caplog: pytest.LogCaptureFixture) -> None:
    for optional in (False, True):
        app = app_asking(guarded(optional=optional))

        with pytest.raises(RuntimeError, match="no guard"):
            get(app)
        with pytest.raises(RuntimeError, match="no guard"):
            ask_websocket(app, "/", bearer())

    assert [logging.ERROR] * 4 == [record.levelno for record in caplog.records if record.name == "jwt_guard"]


# ── nobody ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_that_lets_anyone_in_does_not_make_somebody_of_nobody() -> None:
    for middleware in (None, guarding(anyone())):
        app = app_asking(guarded(guarding(anyone())), middleware=middleware)
        refused = get(app, headers=[])

        assert (401, PLAIN) == (refused.status, refused.headers["www-authenticate"])
        assert b'"ada ada ada"' == get(app).body


@pytest.mark.parametrize("policy", [authenticated(), anyone()], ids=repr)
def test_an_optional_caller_may_be_nobody_but_not_badly_somebody(policy: Policy) -> None:
    app = app_asking(guarded(guarding(policy), optional=True))

    assert b'"nobody nobody nobody"' == get(app, headers=[]).body
    assert b'"ada ada ada"' == get(app).body
    assert 401 == get(app, headers=[("authorization", b"Bearer x")]).status
    assert 401 == get(app, headers=[("authorization", b"Basic eDp4")]).status
    assert 400 == get(app, headers=bearer() + bearer()).status


def test_an_optional_caller_is_held_to_the_policy_and_asked_for_scopes() -> None:
    app = app_asking(guarded(guarding(scopes("shop")), optional=True), "orders:read")
    through = app_asking(guarded(optional=True), "orders:read", middleware=guarding(anyone()))

    assert [401, 403, 403] == [get(app, headers=sent).status for sent in ([], bearer(), bearer(scope="shop"))]
    assert 200 == get(app, headers=bearer(scope="shop orders:read")).status
    assert [401, 200] == [get(through, headers=sent).status for sent in ([], bearer())]


def test_the_middleware_decides_where_nobody_may_come_in() -> None:
    one = guarding()

    assert 401 == get(app_asking(guarded(one, optional=True), middleware=one), headers=[]).status
    assert b'"nobody nobody nobody"' == (
        get(app_asking(guarded(optional=True), middleware=guarding(anyone())), headers=[]).body
    )


# ── nobody else's ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_runs_after_an_operation_knows_for_whom_and_what_runs_after_the_request_does_not() -> None:
    after: list[str] = []
    app = FastAPI()
    dependency = guarded(guarding())

    async def steps() -> AsyncIterator[str]:
        for _ in range(2):
            yield f"{whoever()} "
            await asyncio.sleep(0)

    def plain_steps() -> Iterator[str]:
        yield f"{whoever()} "

    async def around(_: Annotated[Credentials, Security(dependency)]) -> AsyncIterator[None]:
        yield
        after.append(f"around {whoever()}")

    @app.get("/{way}", dependencies=[Depends(around)])
    async def endpoint(way: str, background: BackgroundTasks) -> StreamingResponse:
        background.add_task(lambda: after.append(f"background {whoever()}"))
        return StreamingResponse(steps() if way == "async" else plain_steps())

    async def and_then(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        after.append(f"then {whoever()}")

    assert b"ada ada " == get(and_then, "/async").body
    assert b"ada " == get(and_then, "/plain").body
    assert ["background ada", "around ada", "then nobody"] * 2 == after


@pytest.mark.parametrize("headers", [bearer(), bearer(scope="none"), []])
def test_nothing_is_left_behind_for_the_next_request_of_a_task(headers: HEADERS) -> None:
    async def endpoint(_: Annotated[Credentials, Security(guarded(guarding()), scopes=["orders:read"])]) -> str:
        message = "broken"
        raise LookupError(message)

    app = FastAPI()
    app.add_api_route("/", endpoint)
    seen: list[str] = []

    async def and_then(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except LookupError:
            seen.append("broken")
        seen.append(whoever())

    get(and_then, headers=headers)
    if headers == bearer():
        assert ["broken", "nobody"] == seen
    else:
        assert ["nobody"] == seen


def test_a_websocket_leaves_nothing_behind() -> None:
    app = app_asking(guarded(guarding()))
    seen: list[str] = []

    async def and_then(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        seen.append(whoever())

    assert b"ada ada ada" == ask_websocket(and_then, "/", bearer()).body
    assert ["nobody"] == seen


def test_two_requests_at_once_are_two_callers() -> None:
    app = FastAPI()
    both = asyncio.Barrier(2)

    @app.get("/", response_class=PlainTextResponse)
    async def endpoint(who: Annotated[Credentials, Security(guarded(guarding()))]) -> str:
        await both.wait()
        return f"{who.user} {whoever()}"

    async def ask(user: str) -> bytes:
        return bytes((await exchanged(app, scope_for("http", "GET", "/", bearer(user))))[1]["body"])

    async def together() -> list[bytes]:
        return list(await asyncio.gather(ask("ada"), ask("bob")))

    assert [b"ada ada", b"bob bob"] == asyncio.run(together())


def test_who_was_taken_back_is_out_at_the_next_request() -> None:
    gone: set[str | None] = set()
    one = guarding()
    app = app_asking(
        guarded(Guard(one.providers, clock=one.clock, revoked=lambda who: who.user in gone)), "orders:read"
    )

    assert [200, 200] == [get(app).status, get(app).status]

    gone.add("ada")

    assert [401, 401] == [get(app).status, get(app).status]


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────

ASKS = ("accept", b"text/event-stream")
CHUNKS = 20


class Events(StreamingResponse):
    media_type = "text/event-stream"


ended: list[str] = []


async def steps(pause: float) -> AsyncGenerator[str]:
    try:
        for _ in range(CHUNKS):
            yield "data: 1\n\n"
            await anyio.sleep(pause)
    finally:
        ended.append("stream")


async def listening(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect as over:
        ended.append(str(over.code))


async def deaf(websocket: WebSocket) -> None:
    await websocket.accept()
    await anyio.sleep_forever()


async def talking(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text("tick")
        await anyio.sleep(0.01)


async def brief(websocket: WebSocket) -> None:
    await websocket.accept()
    await anyio.sleep(SOON * 2)
    await websocket.close()


def lasting(*before: Any, grace: float | None = 0, pause: float = SOON / 10) -> FastAPI:
    """Return an application of websockets and of answers that take their time, guarded by a dependency alone."""
    found = Security(guarded(ending(SOON), grace=grace))
    app = FastAPI(dependencies=[*map(Depends, before), found])
    for socket in (listening, deaf, talking, brief):
        app.websocket(f"/{socket.__name__}")(socket)

    @app.get("/declared", response_class=EventSourceResponse)
    async def declared() -> AsyncIterator[str]:
        async with aclosing(steps(pause)) as made:
            async for step in made:
                yield step

    @app.get("/of-a-kind", response_class=Events)
    async def of_a_kind() -> Events:
        return Events(steps(pause))

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(steps(pause), media_type="text/event-stream")

    @app.get("/late")
    async def late() -> StreamingResponse:
        await anyio.sleep(SOON * 2)
        return StreamingResponse(steps(pause), media_type="text/event-stream")

    @app.get("/broken", response_class=Events)
    async def broken() -> Events:
        return Events(failing())

    return app


async def failing() -> AsyncIterator[str]:
    yield "data: 1\n\n"
    raise LookupError


def last(app: FastAPI, path: str, *headers: tuple[str, bytes], backend: str = "asyncio", spec: str = "2.4") -> Wire:
    """Return what a client sees that stays until the answer is there."""
    scope = asked("http", *headers)
    scope.update(path=path, raw_path=path.encode(), asgi={"version": "3.0", "spec_version": spec})
    return serve(app, scope, backend, {"type": "http.request", "body": b""})


def stay(app: FastAPI, path: str, backend: str = "asyncio") -> Wire:
    """Return what a client sees that keeps its websocket open."""
    return serve(app, {**asked("websocket"), "path": path, "raw_path": path.encode()}, backend, CONNECT)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", ["/listening", "/deaf", "/talking"])
def test_a_websocket_is_closed_when_its_token_is_over(path: str, backend: str) -> None:
    ended.clear()
    wire = stay(lasting(), path, backend)

    assert "websocket.accept" == wire.kinds[0]
    assert [CLOSED] == [message for message in wire.sent if message["type"] == "websocket.close"]
    assert CLOSED == wire.sent[-1]
    assert (["1008"] if path == "/listening" else []) == ended


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("pause", [SOON / 5, 60], ids=["talking", "silent"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [("/declared", ()), ("/of-a-kind", ()), ("/events", (ASKS,)), ("/events", (("accept", b"Text/event-stream;q=1"),))],
)
def test_an_event_stream_ends_with_its_token(
    path: str, headers: tuple[tuple[str, bytes], ...], pause: float, spec: str, backend: str
) -> None:
    ended.clear()
    wire = last(lasting(pause=pause), path, *headers, backend=backend, spec=spec)

    assert 200 == wire.sent[0]["status"]
    assert 3 <= len(wire.sent) < CHUNKS
    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]
    assert ["stream"] == ended


def test_an_event_stream_that_is_declared_for_a_router_ends_too() -> None:
    app = FastAPI()
    router = APIRouter(dependencies=[Security(guarded(ending(SOON)))], default_response_class=Events)
    router.add_api_route("/events", events_of_many)
    app.include_router(router)

    assert 3 <= len(last(app, "/events").sent) < CHUNKS


async def events_of_many() -> Events:
    return Events(steps(SOON / 5))


@pytest.mark.parametrize(
    "headers",
    [(), (("accept", b"application/json, text/event-stream"),), (ASKS, ("accept", b"application/json"))],
    ids=["nothing", "one of two", "one header of two"],
)
def test_what_nobody_knows_to_be_one_takes_its_time(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert CHUNKS + 2 == len(last(lasting(), "/events", *headers).sent)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_answer_that_comes_late_has_a_start_and_an_end(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt_guard.middleware.fastapi.PATIENCE", 0.1)
    wire = last(lasting(pause=0.04), "/late", ASKS, backend=backend)

    assert "http.response.start" == wire.kinds[0]
    assert 3 <= len(wire.sent) < CHUNKS
    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]


@pytest.mark.parametrize("grace", [None, 30])
def test_with_grace_they_may_outlive_their_token(grace: float | None) -> None:
    app = lasting(grace=grace)

    assert CHUNKS + 2 == len(last(app, "/events", ASKS).sent)
    assert [1000] == [message["code"] for message in stay(app, "/brief").sent if message["type"] == "websocket.close"]


def test_where_the_middleware_found_the_credentials_its_grace_holds() -> None:
    found = ending(SOON)
    app = FastAPI(dependencies=[Security(guarded(found))])
    app.add_middleware(GuardMiddleware, guard=found, grace=30)

    app.websocket("/brief")(brief)

    assert ["websocket.accept", "websocket.close"] == stay(app, "/brief").kinds
    assert 1000 == stay(app, "/brief").sent[-1]["code"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dependency_that_holds_tasks_is_unwound_as_when_a_client_goes(backend: str) -> None:
    seen: list[str] = []

    async def tasks() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            try:
                yield
            except BaseException as error:
                seen.append(type(error).__name__)
                raise
            finally:
                group.cancel_scope.cancel()

    wire = last(lasting(tasks), "/events", ASKS, backend=backend)
    socket = stay(lasting(tasks), "/deaf", backend)

    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]
    assert CLOSED == socket.sent[-1]
    assert "_Over" == seen[0]


def test_a_bug_in_a_stream_stays_one() -> None:
    with pytest.raises(LookupError):
        last(lasting(), "/broken")


@pytest.mark.parametrize("grace", [-1, "1", True])
def test_a_grace_that_is_no_time_is_refused(grace: Any) -> None:
    with pytest.raises(Misconfigured, match="grace is a number of seconds"):
        guarded(guarding(), grace=grace)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_connection_that_cannot_be_closed_lets_nobody_in(kind: str) -> None:
    """Starlette promises neither ``_receive`` nor ``_send``."""
    stacks = ("fastapi_inner_astack", "fastapi_middleware_astack", "fastapi_function_astack")
    connection = HTTPConnection({**asked(kind, ASKS), **{name: AsyncExitStack() for name in stacks}})
    dependency: Any = guarded(ending(SOON))

    with pytest.raises(AttributeError):
        asyncio.run(dependency(connection, SecurityScopes()))


def test_a_fastapi_that_does_not_say_when_an_operation_is_done_has_its_streams_end_too() -> None:
    async def cut() -> bool:
        async with AsyncExitStack() as outer, AsyncExitStack() as inner:
            scope = {**asked("http", ASKS), "fastapi_inner_astack": inner, "fastapi_middleware_astack": outer}
            dependency: Any = guarded(ending(SOON))
            await dependency(Request(scope, wire.receive, wire.send), SecurityScopes())
            await anyio.sleep(5)
            return False
        return True

    wire = Wire()

    assert asyncio.run(cut())
    assert ["http.response.body"] == wire.kinds


def test_behind_a_server_they_end_without_a_word_in_its_log(caplog: pytest.LogCaptureFixture) -> None:
    server = behind_uvicorn(lasting(grace=0.1, pause=0.05))
    token = asked("http")["headers"]
    said = [server.ask("GET", path, token_headers(token)) for path in ("/declared", "/of-a-kind")]

    assert [200, 200] == [answer.status for answer in said]
    assert all(0 < answer.body.count(b"data") < CHUNKS for answer in said)
    assert (8, CLOSE_FRAME) == next(frames(server, "/deaf", token_headers(token)))
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]


def token_headers(headers: Any) -> HEADERS:
    return [(name.decode(), value) for name, value in headers]


# ── mistakes, and tests of one's own ─────────────────────────────────────────────────────────────────────────────


def test_the_function_in_place_of_what_it_returns_fails_at_import() -> None:
    """It would give every caller a dependency, and let them all in."""
    for mistaken in (Security(guarded), Depends(guarded), Security(guarded, scopes=["orders:read"])):
        with pytest.raises(Exception, match="Invalid args"):

            @FastAPI().get("/", dependencies=[mistaken])
            async def endpoint() -> None:
                raise AssertionError


def test_what_is_no_guard_fails_at_import() -> None:
    mistaken: Any = FastAPI()

    with pytest.raises(Misconfigured, match="takes a Guard"):
        guarded(mistaken)


def test_what_is_no_request_of_fastapi_lets_nobody_in() -> None:
    request = Request(scope_for("http", "GET", "/", bearer()))

    with pytest.raises(RuntimeError, match="no request of FastAPI"):
        asyncio.run(_called(guarded(guarding()), request))
    assert "nobody" == whoever()


async def _called(dependency: Guarded, request: Request) -> Any:
    return await dependency(request, SecurityScopes())


def test_a_test_may_override_it_as_any_dependency() -> None:
    dependency = guarded(guarding())
    app = FastAPI()

    @app.get("/")
    async def endpoint(who: Annotated[Credentials, Security(dependency, scopes=["orders:write"])]) -> str:
        return str(who.user)

    app.dependency_overrides[dependency] = lambda: SOMEBODY

    assert b'"eve"' == get(app, headers=[]).body

    app.dependency_overrides.clear()

    assert 401 == get(app, headers=[]).status


# ── the OpenAPI document ─────────────────────────────────────────────────────────────────────────────────────────


def document(dependency: Guarded, *needed: str) -> dict[str, Any]:
    app = app_asking(dependency, *needed)
    app.add_api_route("/told", lambda: None, dependencies=[Security(dependency)], responses=dependency.responses)
    return app.openapi()


def test_the_document_says_how_to_send_a_token_and_what_it_must_allow() -> None:
    said = document(guarded(guarding()), "orders:read")

    assert {"HTTPBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}} == (
        said["components"]["securitySchemes"]
    )
    assert [{"HTTPBearer": ["orders:read"]}] == said["paths"]["/"]["get"]["security"]
    assert [{"HTTPBearer": []}] == said["paths"]["/told"]["get"]["security"]


@pytest.mark.parametrize(
    ("scheme", "name", "said"),
    [
        (HTTPBearer(scheme_name="jwt"), "jwt", {"type": "http", "scheme": "bearer"}),
        (
            OpenIdConnect(openIdConnectUrl="https://id.example/.well-known/openid-configuration"),
            "OpenIdConnect",
            {"type": "openIdConnect", "openIdConnectUrl": "https://id.example/.well-known/openid-configuration"},
        ),
        (
            OAuth2AuthorizationCodeBearer("https://id.example/auth", "https://id.example/token", scopes={"a": "See a"}),
            "OAuth2AuthorizationCodeBearer",
            {
                "type": "oauth2",
                "flows": {
                    "authorizationCode": {
                        "authorizationUrl": "https://id.example/auth",
                        "tokenUrl": "https://id.example/token",
                        "scopes": {"a": "See a"},
                    }
                },
            },
        ),
    ],
    ids=["bearer", "discovered", "code"],
)
def test_the_document_says_where_tokens_come_from(scheme: Any, name: str, said: dict[str, Any]) -> None:
    dependency = guarded(guarding(), scheme=scheme)
    told = document(dependency, "a")

    assert {name: said} == told["components"]["securitySchemes"]
    assert [{name: ["a"]}] == told["paths"]["/"]["get"]["security"]
    assert [200, 401] == [get(app_asking(dependency), headers=sent).status for sent in (bearer(), [])]


def test_the_document_says_how_it_is_refused() -> None:
    told = document(guarded(guarding()))["paths"]["/told"]["get"]["responses"]

    assert {"200", "401", "403", "503"} == set(told)
    for status in ("401", "403", "503"):
        properties = told[status]["content"]["application/problem+json"]["schema"]["properties"]

        assert {"type", "title", "status", "detail", "id"} == set(properties)
    assert [["WWW-Authenticate"], ["WWW-Authenticate"], ["Retry-After"]] == [
        list(told[status]["headers"]) for status in ("401", "403", "503")
    ]


def test_what_one_application_does_to_the_responses_is_nobody_elses() -> None:
    dependency = guarded(guarding())
    dependency.responses[401]["headers"].clear()

    assert ["WWW-Authenticate"] == list(dependency.responses[401]["headers"])
