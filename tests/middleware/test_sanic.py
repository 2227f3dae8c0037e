"""Sanic, behind its own server: request.ctx.credentials, requires(), and what runs for a request that was refused."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from http.client import IncompleteRead
from typing import TYPE_CHECKING, Any

import pytest
from sanic import Blueprint, HTTPResponse, Request, Sanic, text
from sanic.exceptions import Forbidden, SanicException
from sanic.views import HTTPMethodView

from jwt_guard import Guard, Misconfigured, anyone, authenticated
from jwt_guard.access.carriers import form, header, query
from jwt_guard.middleware.sanic import GuardExtension, Refusal, requires
from tests.doors.apps_sanic import serving
from tests.support.loopback import Loopback

from .callers import CLOSED, HEADERS, bearer, behind_uvicorn, frames, guarding, name, token_is_over, whoever

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwt_guard.access.policy import Policy
    from tests.doors.inside import Answer

AnyRequest = Request[Any, Any]
NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)
WRITE = bearer(scope="orders:write")
_NUMBERS = itertools.count()


def bare_app(*handlers: Any) -> Sanic[Any, Any]:
    Sanic.test_mode = True
    app = Sanic(f"test{next(_NUMBERS)}", configure_logging=False)
    app.config.TOUCHUP = False  # as in the application of the doors
    for number, handler in enumerate(handlers):
        path, label = f"/{number or ''}", f"handler{number}"
        if handler.__name__.startswith("echo"):
            app.add_websocket_route(handler, path, name=label)
        else:
            app.add_route(handler, path, methods=["GET", "POST"], name=label)
    return app


def running(app: Sanic[Any, Any]) -> Loopback:
    return Loopback(serving(lambda: app))


def guarded_app(*handlers: Any, policy: Policy | None = None) -> Sanic[Any, Any]:
    app = bare_app(*handlers)
    GuardExtension(app, guarding(policy))
    return app


def app_with(*handlers: Any, policy: Policy | None = None) -> Loopback:
    return running(guarded_app(*handlers, policy=policy))


def get(server: Loopback, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return server.ask("GET", path, bearer() if headers is None else headers)


async def who(request: AnyRequest) -> HTTPResponse:
    return text(f"{name(request.ctx.credentials)} {whoever()}")


def plain_who(request: AnyRequest) -> HTTPResponse:
    return text(f"{name(request.ctx.credentials)} {whoever()}")


async def echo(request: AnyRequest, socket: Any) -> None:
    await socket.send(f"{name(request.ctx.credentials)} {whoever()}")


def test_the_context_and_current_say_who() -> None:
    server = app_with(who, plain_who, policy=anyone())

    assert [b"ada ada"] * 2 == [get(server, path).body for path in ("/", "/1")]
    assert b"nobody nobody" == get(server, "/", []).body


def test_nobody_learns_without_a_token_which_routes_there_are() -> None:
    server = app_with(who)

    assert [401] * 3 == [server.ask(method, path, []).status for method, path in _ASKED]
    assert [200, 404, 405] == [server.ask(method, path, bearer()).status for method, path in _ASKED]


_ASKED = [("GET", "/"), ("GET", "/nowhere"), ("DELETE", "/")]


def test_a_connection_that_is_kept_alive_remembers_nobody() -> None:
    server = app_with(who, policy=anyone())
    alone = running(bare_app(requires("orders:read", guard=guarding())(who), lambda _: text(whoever())))
    said: list[bytes] = []
    for each, paths in ((server, ("/", "/")), (alone, ("/", "/1"))):
        connection = each.connection()
        try:
            said += [each.ask_on(connection, paths[0], bearer()).body, each.ask_on(connection, paths[1], []).body]
        finally:
            connection.close()

    assert [b"ada ada", b"nobody nobody", b"ada ada", b"nobody"] == said


def test_middleware_of_the_application_does_not_run_for_what_was_refused_and_knows_who_it_is_else() -> None:
    seen: list[str] = []
    app: Any = bare_app(who)  # whose decorators have no types

    async def leaking(request: AnyRequest) -> HTTPResponse | None:
        seen.append(name(request.ctx.credentials))
        return text("from a cache") if request.route is None else None

    async def colouring(_: AnyRequest, response: HTTPResponse) -> None:
        response.headers["x-colour"] = "blue"

    app.on_request(leaking)
    app.on_response(colouring)
    GuardExtension(app, guarding())  # added last, and still first
    server = running(app)
    refused = [get(server, path, []) for path in ("/", "/nowhere")]

    assert [(401, "blue")] * 2 == [(each.status, each.headers["x-colour"]) for each in refused]
    assert [] == seen
    assert b"ada ada" == get(server).body
    assert ["ada"] == seen


def test_what_sanic_cannot_read_is_nobodys() -> None:
    seen: list[str] = []
    app: Any = guarded_app(who)

    async def look(request: AnyRequest) -> None:
        seen.append(f"{name(request.ctx.credentials)} {whoever()}")

    app.on_request(look)
    server = running(app)
    connection = server.connection()
    try:
        server.ask_on(connection, "/", bearer())
        bad = server.ask_on(connection, "/caf\xe9".encode().decode("latin-1").replace("\xc3\xa9", "%zz{"), [])
    finally:
        connection.close()

    assert bad.status in {400, 401}
    assert "ada ada" == seen[0]
    assert {"nobody nobody"} >= set(seen[1:])


async def streaming(request: AnyRequest) -> None:
    response: Any = await request.respond()
    await response.send(f"{whoever()} ")
    await response.send(await asyncio.create_task(_later()))
    await response.eof()


async def _later() -> str:
    await asyncio.sleep(0)
    return whoever()


def test_a_streamed_answer_and_a_task_know_for_whom_they_are() -> None:
    alone = running(bare_app(requires("orders:read", guard=guarding())(streaming)))

    assert [b"ada ada"] * 2 == [get(server).body for server in (app_with(streaming), alone)]


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_whose_it_is() -> None:
    for needed in (requires("orders:write"), requires("orders:write", guard=guarding())):
        server = app_with(needed(echo), policy=anyone())
        refused = server.shake_hands("/", bearer())

        assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
        assert 401 == server.shake_hands("/", []).status
        assert b"ada ada" == server.shake_hands("/", WRITE).body


def test_a_websocket_guarded_alone_is_closed_at_once() -> None:
    server = running(bare_app(requires("orders:write", guard=guarding())(echo)))

    assert [1008, 1008] == [_code(server.shake_hands("/", headers)) for headers in (bearer(), [])]
    assert b"ada ada" == server.shake_hands("/", WRITE).body


def _code(answer: Answer) -> int:
    return int.from_bytes(answer.body[:2], "big")


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────

EVENTS = "text/event-stream"
ACCEPTS: HEADERS = [("accept", b"text/event-stream")]
heard: list[str] = []


async def echo_listening(_: AnyRequest, socket: Any) -> None:
    try:
        await socket.recv()
    except BaseException as error:
        heard.append(type(error).__name__)
        raise


async def echo_deaf(_: AnyRequest, _socket: Any) -> None:
    await asyncio.sleep(60)


async def echo_talking(_: AnyRequest, socket: Any) -> None:
    """Say something for as long as somebody is there, and never listen."""
    try:
        while True:
            await socket.send("tick")
            await asyncio.sleep(0.01)
    except BaseException as error:
        heard.append(type(error).__name__)
        raise


async def events(request: AnyRequest) -> None:
    response: Any = await request.respond(content_type=EVENTS)
    await response.send("data: first\n\n")
    await asyncio.sleep(0 if "x-short" in request.headers else 60)


async def events_said_late(request: AnyRequest) -> None:
    response: Any = await request.respond()
    response.content_type = EVENTS
    await response.send("data: first\n\n")
    await asyncio.sleep(60)


async def events_in_a_task(request: AnyRequest) -> None:
    response: Any = await asyncio.create_task(request.respond(headers={"Content-Type": EVENTS}))
    await response.send("data: first\n\n")
    await asyncio.sleep(60)


async def slow(request: AnyRequest) -> None:
    response: Any = await request.respond(content_type="application/json")
    await asyncio.sleep(0.5)
    await response.send("{}")


def ending(*handlers: Any, grace: float | None = 0.2) -> Loopback:
    app = bare_app(*handlers)
    GuardExtension(app, token_is_over(), grace=grace)
    return running(app)


@pytest.mark.parametrize("handler", [echo_listening, echo_deaf, echo_talking])
def test_a_websocket_is_closed_with_1008_when_its_token_is_over(handler: Any) -> None:
    alone = running(bare_app(requires("orders:read", guard=token_is_over(), grace=0.2)(handler)))
    for server in (ending(handler), alone):
        heard.clear()
        got = list(frames(server))

        assert (8, CLOSED) == got[-1]
        assert {(1, b"tick")} >= set(got[:-1])
        assert handler is echo_deaf or _until(lambda: len(heard) > 0)


def _until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_so()


def test_a_websocket_whose_token_is_over_as_it_starts_is_closed_at_once() -> None:
    assert [(8, CLOSED)] == list(frames(ending(echo_deaf, grace=0)))


def test_a_websocket_that_nobody_identified_themselves_on_stays() -> None:
    app = bare_app(echo)
    GuardExtension(app, guarding(anyone()))

    assert b"nobody nobody" == running(app).shake_hands("/", []).body


@pytest.mark.parametrize(
    ("handler", "accepts"),
    [(events, []), (events, ACCEPTS), (events_in_a_task, []), (events_said_late, ACCEPTS)],
)
def test_an_event_stream_ends_with_its_token(handler: Any, accepts: HEADERS) -> None:
    with pytest.raises(IncompleteRead) as caught:
        get(ending(handler), "/", [*bearer(), *accepts])

    assert b"data: first\n\n" == caught.value.partial


def test_an_event_stream_that_another_middleware_has_seen_ends_too() -> None:
    app: Any = bare_app(events)

    def repeat(_: AnyRequest, response: HTTPResponse) -> HTTPResponse:
        return HTTPResponse(status=response.status, content_type=response.content_type)

    app.register_middleware(repeat, "response", priority=5)
    GuardExtension(app, token_is_over(), grace=0.2)
    with pytest.raises(IncompleteRead):
        get(running(app))


def test_any_other_answer_takes_its_time_also_where_events_are_asked_for() -> None:
    server = ending(slow, grace=0)

    assert [b"{}"] * 2 == [get(server, "/", [*bearer(), *accepts]).body for accepts in ([], ACCEPTS)]


def test_without_a_grace_they_may_stay() -> None:
    server = ending(events, echo, grace=None)
    alone = running(bare_app(requires("orders:read", guard=token_is_over(), grace=None)(echo)))

    assert b"data: first\n\n" == get(server, "/", [*bearer(), ("x-short", b"1")]).body
    assert [b"ada ada"] * 2 == [each.shake_hands(path, bearer()).body for each, path in ((server, "/1"), (alone, "/"))]


def test_a_connection_goes_on_after_a_stream_that_ended_by_itself() -> None:
    server = ending(events, slow, grace=0.3)
    connection = server.connection()
    try:
        first, socket = server.ask_on(connection, "/", [*bearer(), ("x-short", b"1")]), connection.sock
        second = server.ask_on(connection, "/1", bearer())

        assert socket is connection.sock
        assert (b"data: first\n\n", b"{}") == (first.body, second.body)
    finally:
        connection.close()


def test_behind_an_asgi_server_they_end_too() -> None:
    app = bare_app(echo_listening, events, events_in_a_task)
    GuardExtension(app, token_is_over(), grace=0.2)
    server = behind_uvicorn(app)

    assert (8, CLOSED) == next(frames(server))
    assert [b"data: first\n\n"] * 2 == [get(server, path).body for path in ("/1", "/2")]


def test_a_grace_that_is_no_time_is_refused() -> None:
    with pytest.raises(Misconfigured, match="grace"):
        GuardExtension(grace=-1)
    with pytest.raises(Misconfigured, match="grace"):
        requires("orders:read", guard=guarding(), grace=-1)


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


class AsView(HTTPMethodView):
    @requires("orders:write")
    async def get(self, request: AnyRequest) -> HTTPResponse:
        return await who(request)


@pytest.mark.parametrize(
    "handler",
    [
        requires("orders:write")(who),
        requires("orders:write")(plain_who),
        AsView.as_view(),
        requires("orders:write", guard=guarding())(who),
    ],
    ids=["async", "plain", "view", "alone"],
)
def test_requires_works_on_every_kind_of_handler(handler: Any) -> None:
    server = app_with(handler, policy=anyone())
    refused, anonymous = get(server), get(server, "/", [])

    assert b"ada ada" == get(server, "/", WRITE).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (anonymous.status, anonymous.headers["www-authenticate"])


def test_a_handler_may_be_guarded_alone() -> None:
    server = running(bare_app(requires("orders:write", guard=guarding())(who)))
    refused = get(server)

    assert b"ada ada" == get(server, "/", WRITE).body
    assert (403, 401) == (refused.status, get(server, "/", []).status)


def test_a_second_header_or_one_in_another_case_is_seen() -> None:
    server = app_with(requires("orders:read")(who), policy=anyone())

    assert 400 == get(server, "/", bearer() + [("Authorization", b"Bearer x")]).status
    assert 401 == get(server, "/", [("AUTHORIZATION", b"Bearer x")]).status


@pytest.mark.parametrize("handled", [Forbidden, SanicException, Refusal])
def test_a_handler_of_the_application_gets_the_refusal(handled: type[Exception]) -> None:
    app: Any = bare_app()
    orders = Blueprint(f"orders{next(_NUMBERS)}", "/v1")
    orders.add_route(requires("orders:write")(who), "/orders")
    app.blueprint(orders)
    GuardExtension(app, guarding())

    async def refused(_: AnyRequest, error: Any) -> HTTPResponse:
        return text(json.dumps([str(error), sorted(error.error.required)]), status=418)

    app.exception(handled)(refused)
    answer = get(running(app), "/v1/orders")

    assert 418 == answer.status
    assert ["The access token does not allow this", ["orders:write"]] == json.loads(answer.body)


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    server = running(bare_app(requires("orders:read")(who)))

    assert 500 == get(server).status
    assert "jwt_guard" in [record.name for record in caplog.records if record.levelno == logging.ERROR]


def test_an_extension_without_a_guard_or_with_a_second_one_is_refused() -> None:
    app = bare_app(who)

    with pytest.raises(Misconfigured, match="needs a guard"):
        GuardExtension(app)
    GuardExtension(guard=guarding()).init_app(app)
    with pytest.raises(Misconfigured, match="already"):
        GuardExtension(app, guarding(anyone()))

    assert 401 == get(running(app), "/", []).status


def test_requires_on_a_class_or_without_scopes_fails_at_import() -> None:
    with pytest.raises(Misconfigured, match="methods"):
        requires("orders:read")(AsView)
    with pytest.raises(Misconfigured):
        requires()


def test_a_token_in_a_form_or_a_query_is_found_and_the_form_can_be_read_again() -> None:
    async def read(request: Any) -> HTTPResponse:
        return text(f"{whoever()} {(request.form or {}).get('a')}")

    found = guarding()
    app = bare_app(read)
    GuardExtension(
        app, Guard(found.providers, authenticated(), clock=found.clock, carriers=[header(), form(), query()])
    )
    server = running(app)
    token = bearer()[0][1].decode().removeprefix("Bearer ")
    asked = get(server, f"/?access_token={token}", [])

    assert (b"ada None", "private") == (asked.body, asked.headers["cache-control"])
    assert b"ada 1" == server.ask_with(b"a=1&access_token=" + token.encode()).body
    assert 400 == server.ask_with(b"access_token=" + token.encode(), bearer()).status
