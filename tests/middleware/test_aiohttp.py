"""aiohttp, behind its own server: request[CREDENTIALS], requires(), and what a kept connection remembers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http.client import IncompleteRead
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from jwt_guard import Credentials, Guard, Misconfigured, anyone, authenticated, by_route
from jwt_guard.access.carriers import form, header, query
from jwt_guard.access.policy import Policy
from jwt_guard.middleware.aiohttp import CREDENTIALS, GuardMiddleware, Refusal, requires
from tests.doors.apps_aiohttp import serving
from tests.doors.inside import Answer
from tests.support.loopback import Loopback

from .callers import CLOSED, HEADERS, bearer, frames, guarding, name, token_is_over, whoever

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)
WRITE = bearer(scope="orders:write")
Handler = Callable[[Any], Awaitable[web.StreamResponse]]


def running(app: Callable[[], web.Application]) -> Loopback:
    return Loopback(serving(app))


def bare_app(*handlers: Any, middlewares: Any = ()) -> web.Application:
    app = web.Application(middlewares=middlewares)
    for number, handler in enumerate(handlers):
        app.router.add_route("*", f"/{number or ''}", handler)
    return app


def app_with(*handlers: Any, policy: Policy | None = None, outer: Any = ()) -> Loopback:
    return running(lambda: bare_app(*handlers, middlewares=[*outer, GuardMiddleware(guarding(policy))]))


def get(server: Loopback, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return server.ask("GET", path, bearer() if headers is None else headers)


async def who(request: web.Request) -> web.Response:
    return web.Response(text=f"{name(request[CREDENTIALS])} {whoever()}")


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(f"{name(request[CREDENTIALS])} {whoever()}")
    await socket.close()
    return socket


def test_the_request_and_current_say_who() -> None:
    server = app_with(who, policy=anyone())

    assert b"ada ada" == get(server).body
    assert b"nobody nobody" == get(server, "/", []).body


def test_nobody_learns_without_a_token_which_routes_there_are() -> None:
    server = app_with(who)

    assert [401, 401] == [get(server, path, []).status for path in ("/", "/nowhere")]
    assert 404 == get(server, "/nowhere").status


def test_a_connection_that_is_kept_alive_remembers_nobody() -> None:
    async def open_to_all(_: web.Request) -> web.Response:
        return web.Response(text=whoever())

    server = running(lambda: bare_app(requires("orders:read", guard=guarding())(who), open_to_all))
    connection = server.connection()
    try:
        said = [server.ask_on(connection, path, headers).body for path, headers in (("/", bearer()), ("/1", []))]
    finally:
        connection.close()

    assert [b"ada ada", b"nobody"] == said


def test_a_sub_application_is_guarded_with_the_whole_path() -> None:
    def made() -> web.Application:
        outer = bare_app(who, middlewares=[GuardMiddleware(guarding(by_route([("GET", "/v1/", authenticated())])))])
        outer.add_subapp("/v1", bare_app(who))
        return outer

    server = running(made)

    assert [200, 403] == [get(server, path).status for path in ("/v1/", "/")]


def test_a_sub_application_may_have_a_guard_of_its_own() -> None:
    def made() -> web.Application:
        outer = bare_app(requires("orders:read")(who))
        outer.add_subapp("/v1", bare_app(who, middlewares=[GuardMiddleware(guarding())]))
        return outer

    server = running(made)

    assert [200, 401, 401] == [get(server, "/v1/").status, *(get(server, f"/v1/{end}", []).status for end in ("", "x"))]
    assert 500 == get(server, "/").status


def test_a_target_in_absolute_form_is_judged_by_its_path() -> None:
    server = app_with(who, policy=by_route([("GET", "/", authenticated())]))

    assert [200, 403] == [get(server, f"http://127.0.0.1{path}").status for path in ("/", "/x")]


def test_what_a_middleware_rewrites_is_not_what_was_judged() -> None:
    @web.middleware
    async def rewriting(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(rel_url="/open/../x#y"))

    server = app_with(who, policy=by_route([("GET", "/**", anyone())]), outer=[rewriting])

    assert 401 == get(server, "/", []).status


# ── streamed answers, tasks and websockets ───────────────────────────────────────────────────────────────────────


async def streaming(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(f"{whoever()} ".encode())
    await response.write((await asyncio.create_task(_later())).encode())
    return response


async def _later() -> str:
    await asyncio.sleep(0)
    return whoever()


async def iterable(_: web.Request) -> web.StreamResponse:
    async def steps() -> AsyncIterator[bytes]:
        yield f"{whoever()} ".encode()
        await asyncio.sleep(0)
        yield whoever().encode()

    return web.Response(body=steps())


def test_a_streamed_answer_knows_for_whom_it_is() -> None:
    ask = requires("orders:read", guard=guarding())
    guarded = app_with(streaming, iterable)
    alone = running(lambda: bare_app(ask(streaming), ask(iterable)))

    assert [b"ada ada"] * 4 == [get(server, path).body for server in (guarded, alone) for path in ("/", "/1")]


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_whose_it_is() -> None:
    guarded = app_with(requires("orders:write")(echo), policy=anyone())
    alone = running(lambda: bare_app(requires("orders:write", guard=guarding())(echo)))
    for server in (guarded, alone):
        refused = server.shake_hands("/", bearer())

        assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
        assert 401 == server.shake_hands("/", []).status
        assert b"ada ada" == server.shake_hands("/", WRITE).body


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────

EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}
heard: list[Any] = []


async def listening(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    heard.append((await socket.receive()).type)
    return socket


async def deaf(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await asyncio.sleep(60)
    return socket


async def talking(request: web.Request) -> web.StreamResponse:
    """Say something for as long as somebody is there, and never listen."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    try:
        while True:
            await socket.send_str("tick")
            await asyncio.sleep(0.01)
    except ConnectionError as error:
        heard.append(type(error))
    return socket


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=EVENTS)
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await asyncio.sleep(0 if "x-short" in request.headers else 60)
    return response


async def handed_over(_: web.Request) -> web.StreamResponse:
    async def steps() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        await asyncio.sleep(60)

    return web.Response(body=steps(), headers=EVENTS)


async def prepared_aside(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=EVENTS)
    await asyncio.create_task(_aside(response.prepare(request)))
    await response.write(b"data: first\n\n")
    await asyncio.sleep(60)
    return response


async def _aside(what: Awaitable[Any]) -> None:
    await what


async def slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await asyncio.sleep(0.5)
    await response.write(b"{}")
    return response


@web.middleware
async def cloning(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request.clone(rel_url=request.rel_url))


@web.middleware
async def hurrying(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await asyncio.wait_for(handler(request), 30)


def ending(*handlers: Any, grace: float | None = 0.2, outer: Any = (), inner: Any = ()) -> Loopback:
    return running(
        lambda: bare_app(*handlers, middlewares=[*outer, GuardMiddleware(token_is_over(), grace=grace), *inner])
    )


def _alone(handler: Any, **settings: Any) -> Loopback:
    return running(lambda: bare_app(requires("orders:read", guard=token_is_over(), **settings)(handler)))


@pytest.mark.parametrize("handler", [listening, deaf, talking])
@pytest.mark.parametrize("inner", [(), (cloning,)], ids=["plain", "cloned"])
def test_a_websocket_is_closed_with_1008_when_its_token_is_over(handler: Any, inner: Any) -> None:
    for server in (ending(handler, inner=inner), _alone(handler, grace=0.2)):
        got = list(frames(server))

        assert (8, CLOSED) == got[-1]
        assert {(1, b"tick")} >= set(got[:-1])


def test_a_handler_of_a_websocket_is_told_that_it_is_over() -> None:
    heard.clear()
    list(frames(ending(listening)))
    list(frames(ending(talking)))

    deadline = time.monotonic() + 5
    while len(heard) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert WSMsgType.CLOSING == heard[0]
    assert issubclass(heard[1], ConnectionError)


def test_a_websocket_whose_token_is_over_as_it_starts_is_closed_at_once() -> None:
    assert [(8, CLOSED)] == list(frames(ending(deaf, grace=0)))


@pytest.mark.parametrize("handler", [events, handed_over, prepared_aside])
@pytest.mark.parametrize("outer", [(), (hurrying,)], ids=["plain", "in a task of its own"])
@pytest.mark.parametrize("accepts", [[], [("accept", b"text/event-stream")]], ids=["unasked", "asked"])
def test_an_event_stream_ends_with_its_token(handler: Any, outer: Any, accepts: HEADERS) -> None:
    for server in (ending(handler, outer=outer), _alone(handler, grace=0.2)):
        with pytest.raises(IncompleteRead) as caught:
            get(server, "/", [*bearer(), *accepts])

        assert b"data: first\n\n" == caught.value.partial


def test_any_other_answer_takes_its_time_also_where_events_are_asked_for() -> None:
    server = ending(slow, grace=0)

    assert [b"{}"] * 2 == [
        get(server, "/", [*bearer(), *accepts]).body for accepts in ((), [("accept", b"text/event-stream, */*")])
    ]


def test_without_a_grace_they_may_stay() -> None:
    for server in (ending(events, echo, grace=None), running(lambda: bare_app(_stays(events), _stays(echo)))):
        assert b"data: first\n\n" == get(server, "/", [*bearer(), ("x-short", b"1")]).body
        assert b"ada ada" == server.shake_hands("/1", bearer()).body


_stays = requires("orders:read", guard=guarding(), grace=None)


async def handed_over_briefly(_: web.Request) -> web.StreamResponse:
    async def steps() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"

    return web.Response(body=steps(), headers=EVENTS)


@pytest.mark.parametrize("handler", [events, handed_over_briefly])
@pytest.mark.parametrize("outer", [(), (hurrying,)], ids=["plain", "in a task of its own"])
def test_a_connection_goes_on_after_a_stream_that_ended_by_itself(handler: Any, outer: Any) -> None:
    server = ending(handler, who, grace=0.3, outer=outer)
    connection = server.connection()
    try:
        first, socket = server.ask_on(connection, "/", [*bearer(), ("x-short", b"1")]), connection.sock
        time.sleep(0.6)
        second = server.ask_on(connection, "/1", bearer())

        assert socket is connection.sock
        assert (b"data: first\n\n", b"ada ada") == (first.body, second.body)
    finally:
        connection.close()


def test_a_grace_that_is_no_time_is_refused() -> None:
    with pytest.raises(Misconfigured, match="grace"):
        GuardMiddleware(guarding(), grace=-1)
    with pytest.raises(Misconfigured, match="grace"):
        requires("orders:read", guard=guarding(), grace=-1)


def test_aiohttp_still_calls_what_an_answer_is_noticed_by() -> None:
    """It is no part of what aiohttp promises."""
    called: list[web.StreamResponse] = []

    class Looking(web.Request):
        async def _prepare_hook(self, response: web.StreamResponse) -> None:
            called.append(response)

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        object.__setattr__(request, "__class__", Looking)
        return await handler(request)

    async def plain(_: web.Request) -> web.Response:
        return web.Response()

    get(running(lambda: bare_app(plain, middlewares=[look])))

    assert 1 == len(called)


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


class AsView(web.View):
    @requires("orders:write")
    async def get(self) -> web.Response:
        return await who(self.request)


class AsMethod:
    @requires("orders:write")
    async def handle(self, request: web.Request) -> web.Response:
        return await who(request)


@pytest.mark.parametrize(
    "handler",
    [
        requires("orders:write")(who),
        AsView,
        AsMethod().handle,
        requires("orders:write", guard=guarding())(who),
    ],
    ids=["function", "view", "method", "alone"],
)
def test_requires_works_on_every_kind_of_handler(handler: Any) -> None:
    server = app_with(handler, policy=anyone())
    refused, anonymous = get(server), get(server, "/", [])

    assert b"ada ada" == get(server, "/", WRITE).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (anonymous.status, anonymous.headers["www-authenticate"])


def test_a_second_header_or_one_in_another_case_is_seen() -> None:
    server = app_with(requires("orders:read")(who), policy=anyone())

    assert 400 == get(server, "/", bearer() + [("Authorization", b"Bearer x")]).status
    assert 401 == get(server, "/", [("AUTHORIZATION", b"Bearer x")]).status


@pytest.mark.parametrize("caught", [web.HTTPForbidden, web.HTTPException, Refusal])
def test_a_middleware_in_front_may_answer_refusals_in_its_own_way(caught: type[BaseException]) -> None:
    @web.middleware
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except caught as error:
            assert isinstance(error, Refusal)  # noqa: PT017 - it is what the middleware is given

            return web.json_response({"error": error.detail, "code": error.status}, status=418)

    policy = by_route([("GET", "/", authenticated())])
    server = app_with(requires("orders:write")(who), policy=policy, outer=[answering])

    assert [418, 418] == [get(server, path).status for path in ("/", "/nowhere")]
    assert b'{"error": "The access token does not allow this", "code": 403}' == get(server).body


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    server = running(lambda: bare_app(requires("orders:read")(who)))

    assert 500 == get(server).status
    assert "jwt_guard" in [record.name for record in caplog.records if record.levelno == logging.ERROR]


def test_requires_without_a_request_lets_nobody_in() -> None:
    @requires("orders:read", guard=guarding())
    async def handler(who: Credentials | None) -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="no request"):
        asyncio.run(handler(None))


def test_requires_on_a_class_on_what_is_not_async_or_without_scopes_fails_at_import() -> None:
    for wrong in (AsView, lambda _request: None, None):
        with pytest.raises(Misconfigured, match="no async handler"):
            requires("orders:read")(wrong)  # type: ignore[type-var]
    with pytest.raises(Misconfigured):
        requires()


# ── beyond the header ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_in_a_form_or_a_query_is_found_and_the_form_can_be_read_again() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=f"{whoever()} {(await request.post()).get('a')!s}")

    found = guarding()
    guard = Guard(found.providers, authenticated(), clock=found.clock, carriers=[header(), form(), query()])
    server = running(lambda: bare_app(read, middlewares=[GuardMiddleware(guard)]))
    token = bearer()[0][1].decode().removeprefix("Bearer ")
    asked = get(server, f"/?access_token={token}", [])

    assert (b"ada None", "private") == (asked.body, asked.headers["cache-control"])
    assert b"ada 1" == server.ask_with(b"a=1&access_token=" + token.encode()).body
    assert 400 == server.ask_with(b"access_token=" + token.encode(), bearer()).status
    assert 401 == server.ask_with(b"a=1").status
