"""Starlette: its own words for the caller, and refusals where its users look for them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires as starlettes_own
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from jwt_guard import Misconfigured, anyone, authenticated, by_route
from jwt_guard.middleware.starlette import GuardMiddleware, requires
from tests.doors.inside import Answer, ask_asgi, ask_websocket, scope_for

from .callers import HEADERS, bearer, guarding, whoever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from jwt_guard.access.policy import Policy

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)


def app_with(*routes: BaseRoute, policy: Policy | None = None, **settings: Any) -> Starlette:
    """Return an application behind a guard."""
    middleware = [Middleware(GuardMiddleware, guard=guarding(policy))]
    return Starlette(routes=list(routes), middleware=middleware, **settings)


def get(app: Starlette, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return ask_asgi(app, "GET", path, bearer() if headers is None else headers)


# ── its own words ────────────────────────────────────────────────────────────────────────────────────────────────


async def words(request: Request) -> JSONResponse:
    user = request.user
    return JSONResponse([user.is_authenticated, user.display_name, user.identity, list(request.auth.scopes)])


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (bearer(scope="b a"), [True, "ada", "ada", ["authenticated", "a", "b"]]),
        (bearer("shop", "a"), [True, "shop", "", ["authenticated", "a"]]),  # a machine is nobody's account
        ([], [False, "", "", []]),
    ],
)
def test_request_user_and_request_auth_say_who(headers: HEADERS, said: list[object]) -> None:
    assert said == json.loads(get(app_with(Route("/", words), policy=anyone()), "/", headers).body)


def test_a_middleware_outside_reads_who_it_was_on_the_way_out() -> None:
    async def note(request: Request, call_next: Callable[[Request], Any]) -> Response:
        request.state.before = "kept"
        response: Response = await call_next(request)
        response.headers["x-user"] = request.user.display_name
        response.headers["x-path"] = request.path_params["id"]
        return response

    async def order(request: Request) -> Response:
        return PlainTextResponse(request.state.before)

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=note), Middleware(GuardMiddleware, guard=guarding())]
    answer = get(Starlette(routes=[Route("/{id}", order)], middleware=middleware), "/7")

    assert ("ada", "7", b"kept") == (answer.headers["x-user"], answer.headers["x-path"], answer.body)


def test_a_mounted_application_may_have_a_guard_of_its_own() -> None:
    inner = app_with(Route("/orders", words), policy=by_route([("GET", "/v1/orders", authenticated())]))
    app = Starlette(routes=[Mount("/v1", app=inner), Mount("/v2", app=inner), Route("/", lambda _: Response())])

    assert 200 == get(app, "/v1/orders").status
    assert 403 == get(app, "/v2/orders").status
    assert 200 == get(app, "/", []).status


# ── Starlette's own @requires ────────────────────────────────────────────────────────────────────────────────────


def owned(*scopes: str, **settings: Any) -> Starlette:
    @starlettes_own(scopes, **settings)
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name)

    return app_with(Route("/", endpoint), policy=anyone())


def test_starlettes_own_requires_works_with_the_right_challenge() -> None:
    refused = get(owned("orders:write"))

    assert b"ada" == get(owned("authenticated", "orders:read")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])


def test_starlettes_own_requires_is_401_where_there_was_no_token() -> None:
    for scope in ("authenticated", "orders:read"):
        refused = get(owned(scope), "/", [])

        assert (401, 'Bearer realm="api"') == (refused.status, refused.headers["www-authenticate"])


def test_another_status_and_another_403_are_left_alone() -> None:
    async def forbidden(_request: Request) -> Response:
        raise HTTPException(403)

    async def challenged(request: Request) -> Response:
        assert "x" not in request.auth.scopes
        raise HTTPException(403, headers={"WWW-Authenticate": "Own"})

    assert 404 == get(owned("orders:write", status_code=404)).status
    assert "www-authenticate" not in get(app_with(Route("/", forbidden))).headers
    assert "Own" == get(app_with(Route("/", challenged))).headers["www-authenticate"]


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


@requires("orders:write")
async def as_function(request: Request) -> Response:
    return PlainTextResponse(f"{request.user.display_name} {whoever()}")


@requires("orders:write")
def as_plain_function(request: Request) -> Response:
    return PlainTextResponse(f"{request.user.display_name} {whoever()}")


class AsClass(HTTPEndpoint):
    @requires("orders:write")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse(f"{request.user.display_name} {whoever()}")


class AsPlainClass(HTTPEndpoint):
    @requires("orders:write")
    def get(self, request: Request) -> Response:
        return PlainTextResponse(f"{request.user.display_name} {whoever()}")


@pytest.mark.parametrize("endpoint", [as_function, as_plain_function, AsClass, AsPlainClass])
def test_requires_works_on_every_kind_of_endpoint(endpoint: Any) -> None:
    app = app_with(Route("/", endpoint))
    refused = get(app)

    assert b"ada ada" == get(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])


class Chat(WebSocketEndpoint):
    @requires("orders:write")
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(whoever())
        await websocket.close()


@requires("orders:write")
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(whoever())
    await websocket.close()


@pytest.mark.parametrize("endpoint", [chat, Chat])
@pytest.mark.parametrize("own_handler", [False, True])
def test_requires_refuses_a_websocket_before_it_is_accepted(endpoint: Any, own_handler: bool) -> None:
    settings: Any = {"exception_handlers": {HTTPException: _as_tea}} if own_handler else {}
    app = app_with(WebSocketRoute("/", endpoint), **settings)
    refused = ask_websocket(app, "/", bearer())

    assert (418 if own_handler else 403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert 403 == ask_websocket(app, "/", bearer(), denial=False).status


def test_requires_lets_a_websocket_in() -> None:
    app = app_with(WebSocketRoute("/", chat))

    assert b"ada" == ask_websocket(app, "/", bearer(scope="orders:write")).body


async def _as_tea(_request: Any, error: Any) -> Response:
    return JSONResponse({"error": error.detail}, 418, error.headers)


@pytest.mark.parametrize("handled", [HTTPException, 403])
def test_a_handler_of_the_application_gets_the_refusal(handled: Any) -> None:
    refused = get(app_with(Route("/", as_function), exception_handlers={handled: _as_tea}))

    assert 418 == refused.status
    assert {"error": "The access token does not allow this"} == json.loads(refused.body)
    assert (NEEDS_WRITE, "application/json") == (refused.headers["www-authenticate"], refused.headers["content-type"])


def test_a_handler_for_something_else_changes_nothing() -> None:
    refused = get(app_with(Route("/", as_function), exception_handlers={404: _as_tea}))

    assert (403, "application/problem+json") == (refused.status, refused.headers["content-type"])


def test_an_endpoint_without_an_application_refuses_all_the_same() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await GuardMiddleware(Route("/", as_function).app, guarding())(scope, receive, send)

    assert 403 == ask_asgi(app, "GET", "/", bearer()).status


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(routes=[Route("/", as_function), WebSocketRoute("/", chat)])

    with pytest.raises(RuntimeError, match="no guard"):  # once the 500 is sent, it goes on to the server's log
        get(app)
    with pytest.raises(RuntimeError, match="no guard"):
        ask_websocket(app, "/", bearer())

    assert [logging.ERROR] * 2 == [record.levelno for record in caplog.records if record.name == "jwt_guard"]


def test_requires_on_what_takes_no_request_fails_at_import() -> None:
    with pytest.raises(Misconfigured, match="request or websocket"):

        @requires("orders:read")
        async def endpoint(_: Request) -> Response:
            raise AssertionError

    with pytest.raises(Misconfigured):

        @requires("orders:read")
        class Orders(HTTPEndpoint):
            """A class takes scope, receive and send."""

    with pytest.raises(Misconfigured):
        requires()


# ── requires with a guard of its own ─────────────────────────────────────────────────────────────────────────────


def test_one_endpoint_may_be_guarded_alone() -> None:
    @requires("orders:write", guard=guarding())
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(f"{request.user.display_name} {request.state.credentials.user} {whoever()}")

    app = Starlette(routes=[Route("/", endpoint)])
    refused = get(app)

    assert b"ada ada ada" == get(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert 401 == get(app, "/", []).status
    assert "nobody" == whoever()


def test_what_runs_after_an_endpoint_that_is_guarded_alone_knows_for_whom() -> None:
    after: list[str] = []

    async def steps() -> AsyncIterator[str]:
        for _ in range(2):
            yield f"{whoever()} "
            await asyncio.sleep(0)

    def plain_steps() -> Iterator[str]:
        yield whoever()

    @requires("orders:read", guard=guarding())
    async def endpoint(request: Request) -> Response:
        made: Any = steps() if request.url.path == "/async" else plain_steps()
        return StreamingResponse(made, background=BackgroundTask(lambda: after.append(whoever())))

    app = Starlette(routes=[Route("/{way}", endpoint)])

    async def and_then(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        after.append(whoever())

    assert b"ada ada " == ask_asgi(and_then, "GET", "/async", bearer()).body
    assert b"ada" == ask_asgi(and_then, "GET", "/plain", bearer()).body
    assert ["ada", "nobody"] * 2 == after


def test_a_guard_of_ones_own_counts_where_there_is_another_around_it() -> None:
    @requires("orders:read", guard=guarding(by_route([("GET", "/in", authenticated())])))
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    app = app_with(Route("/{way}", endpoint), policy=anyone())

    assert [200, 403, 401] == [get(app, "/in").status, get(app, "/out").status, get(app, "/in", []).status]


def test_the_scope_of_an_earlier_guard_is_not_taken_for_the_present_one() -> None:
    scope = {**scope_for("http", "GET", "/", []), "jwt_guard": "somebody", "user": "somebody"}
    seen: list[Any] = []

    async def app(inner: Any, _receive: Any, _send: Any) -> None:
        seen.append((inner["jwt_guard"], inner["user"].is_authenticated))

    asyncio.run(GuardMiddleware(app, guarding(anyone()))(scope, None, None))  # type: ignore[arg-type]

    assert [(None, False)] == seen


def test_requests_that_share_a_state_do_not_share_who_they_are() -> None:
    """No server does that by itself, but a wrapper may pass one scope's state on to another."""
    shared: dict[str, object] = {"pool": "db"}
    seen: list[object] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(scope["state"])
        await Response("ok")(scope, _receive, send)

    async def around(scope: Any, receive: Any, send: Any) -> None:
        await GuardMiddleware(app, guarding(anyone()))({**scope, "state": shared}, receive, send)

    assert 200 == ask_asgi(around, "GET", "/", []).status
    assert {"pool": "db"} == shared
    assert [{"pool": "db", "credentials": None}] == seen
