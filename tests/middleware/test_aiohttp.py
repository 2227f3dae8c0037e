"""aiohttp, behind its own server: request[CREDENTIALS], requires(), and what a kept connection remembers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from jwt_guard import Credentials, Guard, Misconfigured, anyone, authenticated, by_route
from jwt_guard.access.carriers import form, header, query
from jwt_guard.access.policy import Policy
from jwt_guard.middleware.aiohttp import CREDENTIALS, GuardMiddleware, Refusal, requires
from tests.doors.apps_aiohttp import serving
from tests.doors.inside import Answer
from tests.support.loopback import Loopback

from .callers import HEADERS, bearer, guarding, name, whoever

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


async def waiting(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade"):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await asyncio.sleep(0 if "x-short" in request.headers else 60)
    return response


def test_a_websocket_and_an_event_stream_end_with_their_token() -> None:
    events = [("accept", b"text/event-stream")]
    over = running(lambda: bare_app(waiting, middlewares=[GuardMiddleware(_ending(), grace=0.2)]))
    staying = running(lambda: bare_app(waiting, middlewares=[GuardMiddleware(_ending(), grace=None)]))

    with pytest.raises((ConnectionError, ValueError, OSError)):  # nothing more comes where a frame should
        over.shake_hands("/", bearer())
    with pytest.raises(Exception, match="IncompleteRead"):
        get(over, "/", [*bearer(), *events])
    assert b"data: first\n\n" == get(staying, "/", [*bearer(), *events, ("x-short", b"1")]).body


def _ending() -> Guard:
    """Return a guard to which a good token is one that ends in this moment."""
    found = guarding()
    end = _expiry(found)
    return Guard(found.providers, authenticated(), clock=lambda: end - 1e-3)


def _expiry(guard: Guard) -> float:
    from jwt_guard import verify
    from jwt_guard.access.lifetime import good_until

    return good_until(guard, verify(guard, bearer()[0][1].decode().removeprefix("Bearer ")))


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
