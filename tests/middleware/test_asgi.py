"""Raw ASGI: what the table of the doors does not say."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from jwt_guard import Allow, Guard, Misconfigured, anyone, authenticated, by_route, current
from jwt_guard.middleware import asgi
from tests.doors.inside import Answer, ask_asgi, ask_websocket, scope_for

from .callers import bearer, guarding, name, whoever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jwt_guard import Decision, Request


class Recorder:
    """An application that notes what it is given."""

    def __init__(self) -> None:
        self.scopes: list[asgi.Scope] = []
        self.saw: list[str] = []

    async def __call__(self, scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        self.scopes.append(scope)
        self.saw.append(whoever())
        await say(send, whoever())


async def say(send: asgi.Send, text: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


async def nothing(*_: object) -> Any:
    """Stand for a channel that says and takes nothing."""


def call(app: asgi.App, scope: asgi.Scope) -> None:
    async def called() -> None:
        await app(scope, nothing, nothing)

    asyncio.run(called())


def status_of(app: asgi.App, **changes: Any) -> int:
    """Return what *app* answers to a request of Ada's whose scope was changed like this."""

    async def changed(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await app({**scope, **changes}, receive, send)

    return ask_asgi(changed, "GET", "/orders", bearer()).status


def test_lifespan_passes_as_it_came() -> None:
    app, scope = Recorder(), {"type": "lifespan"}

    call(asgi.GuardMiddleware(app, guarding()), scope)

    assert scope is app.scopes[0]


@pytest.mark.parametrize("kind", ["mqtt", "", "HTTP", "http.request"])
def test_a_kind_of_connection_that_nobody_knows_is_refused(kind: str) -> None:
    app = Recorder()

    with pytest.raises(RuntimeError, match="does not know"):
        call(asgi.GuardMiddleware(app, guarding(anyone())), {**scope_for("http", "GET", "/", []), "type": kind})

    assert [] == app.scopes


def test_the_scope_of_the_server_is_left_alone() -> None:
    app = Recorder()
    scope = scope_for("http", "GET", "/", bearer())
    before = dict(scope)

    call(asgi.GuardMiddleware(app, guarding()), scope)

    assert before == scope
    assert "ada" == name(app.scopes[0]["jwt_guard"])


# ── the header ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_keeps_capitals_makes_nobody_anonymous() -> None:
    app = asgi.GuardMiddleware(Recorder(), guarding(anyone()))

    assert 401 == status_of(app, headers=[(b"Authorization", b"Bearer x")])
    assert 401 == status_of(app, headers=[(b"AUTHORIZATION", b"Bearer x")])


def test_two_headers_are_two_whatever_their_capitals() -> None:
    good = bearer()[0][1]
    app = asgi.GuardMiddleware(Recorder(), guarding())

    assert 400 == status_of(app, headers=[(b"Authorization", good), (b"authorization", good)])


class Remembering(Guard):
    """A guard that knows one token by heart."""

    def glance(self, authorization: str | bytes | None, request: Request) -> Decision | None:  # noqa: ARG002
        return Allow(None) if authorization == b"Bearer known" else None


def test_a_token_that_is_remembered_says_nothing_about_a_second_one() -> None:
    guard = guarding()
    app = asgi.GuardMiddleware(Recorder(), Remembering(guard.providers, clock=guard.clock))
    known, other = (b"authorization", b"Bearer known"), (b"authorization", b"Bearer x")

    assert 200 == status_of(app, headers=[known])
    assert 400 == status_of(app, headers=[known, other])
    assert 400 == status_of(app, headers=[other, known])
    assert 400 == status_of(app, headers=[known, known])


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────────

BY_PATH = by_route([("GET", "/v1/orders", authenticated()), ("GET", "/open/**", anyone())])


@pytest.mark.parametrize(
    ("path", "raw", "status"),
    [
        ("/v1/orders", b"/v1/orders", 200),
        ("/v1/orders", b"/v1/%6Frders", 200),
        ("/v1/orders", b"/v1/orders?x=/y", 200),
        ("/v1/orders", None, 200),
        ("/v1/orders", b"/open/x", 403),  # the application would serve another path than was judged
        ("/orders", b"/v1/orders", 403),
        ("/v1/orders", b"", 403),
        ("/v1/orders", b"/v1%2Forders", 403),
        ("/v1/\ufffd", b"/v1/%FF", 403),
        ("/v1/a;b", None, 403),
        ("/open/../v1/orders", None, 403),
        ("/open/\ud800", None, 403),
        ("/open/\ud800", b"/open/x", 403),
        ("/open/%2e", None, 200),  # decoded already: a name with a percent sign in it
    ],
)
def test_the_path_is_the_one_the_application_routes_on(path: str, raw: bytes | None, status: int) -> None:
    assert status == status_of(asgi.GuardMiddleware(Recorder(), guarding(BY_PATH)), path=path, raw_path=raw)


def test_a_mounted_application_is_judged_by_the_whole_path() -> None:
    app = asgi.GuardMiddleware(Recorder(), guarding(BY_PATH))

    assert 200 == status_of(app, path="/v1/orders", raw_path=b"/v1/orders", root_path="/v1")
    assert 403 == status_of(app, path="/v2/orders", raw_path=b"/v2/orders", root_path="/v2")


def test_the_host_header_is_no_part_of_the_path() -> None:
    app = asgi.GuardMiddleware(Recorder(), guarding(BY_PATH))

    assert 401 == status_of(app, path="/v1/orders", raw_path=None, headers=[(b"host", b"x/open/x?")])


# ── who is being served ──────────────────────────────────────────────────────────────────────────────────────────


async def everywhere(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
    """Ask in the request itself, in a task, in a thread, and in a generator while the answer streams."""
    here, task, thread = whoever(), asyncio.create_task(_later()), asyncio.to_thread(whoever)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for word in (name(scope["jwt_guard"]), here, await task, await thread):
        await send({"type": "http.response.body", "body": f"{word} ".encode(), "more_body": True})
    async for piece in _streamed():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _later() -> str:
    await asyncio.sleep(0)
    return whoever()


async def _streamed() -> AsyncIterator[bytes]:
    yield whoever().encode()


def test_current_is_the_caller_in_tasks_threads_and_streams() -> None:
    answer = ask_asgi(asgi.GuardMiddleware(everywhere, guarding()), "GET", "/", bearer())

    assert b"ada ada ada ada ada" == answer.body
    assert current() is None


def test_many_at_once_are_each_themselves() -> None:
    app = asgi.GuardMiddleware(everywhere, guarding(anyone()))

    async def one(user: str) -> bytes:
        said: list[bytes] = []

        async def send(message: asgi.Message) -> None:
            await asyncio.sleep(0)
            said.append(message.get("body", b""))

        headers = [] if user == "nobody" else bearer(user)
        await app(scope_for("http", "GET", "/", headers), nothing, send)
        return b"".join(said)

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(one(user) for user in users))

    users = ["ada", "nobody", "grace", "alan"] * 10

    assert [" ".join([user] * 5).encode() for user in users] == asyncio.run(all_of_them())


def test_nothing_stays_behind_when_the_application_raises() -> None:
    async def broken(_scope: asgi.Scope, _receive: asgi.Receive, _send: asgi.Send) -> None:
        raise LookupError(whoever())

    async def twice() -> str:
        with pytest.raises(LookupError, match="ada"):
            await asgi.GuardMiddleware(broken, guarding())(scope_for("http", "GET", "/", bearer()), nothing, nothing)
        return whoever()

    assert "nobody" == asyncio.run(twice())


def test_a_websocket_knows_whose_it_is() -> None:
    async def app(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{whoever()} {await asyncio.create_task(_later())}"})

    assert b"ada ada" == ask_websocket(asgi.GuardMiddleware(app, guarding()), "/", bearer()).body


def test_who_hangs_up_before_the_handshake_is_told_nothing() -> None:
    said: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message: asgi.Message) -> None:
        said.append(message)

    app = asgi.GuardMiddleware(Recorder(), guarding())
    asyncio.run(app(scope_for("websocket", "GET", "/", []), receive, send))

    assert [] == said


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_head_has_no_body_but_its_length() -> None:
    said: list[asgi.Message] = []

    async def send(message: asgi.Message) -> None:
        said.append(message)

    asyncio.run(asgi.GuardMiddleware(Recorder(), guarding())(scope_for("http", "HEAD", "/", []), nothing, send))

    assert b"" == said[1]["body"]
    assert int(dict(said[0]["headers"])[b"content-length"]) > 0


@pytest.mark.parametrize("answer", [True, None, "yes", 1])
def test_a_policy_that_does_not_answer_lets_nobody_in(answer: object) -> None:
    app = Recorder()
    policy: Callable[..., Any] = lambda _request, _credentials: answer  # noqa: E731

    with pytest.raises(TypeError):
        ask_asgi(asgi.GuardMiddleware(app, guarding(policy)), "GET", "/", bearer())

    assert [] == app.scopes


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_requires_without_a_guard_lets_nobody_in(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Recorder()

    with pytest.raises(RuntimeError, match="no guard"):
        call(asgi.requires("orders:read")(app), scope_for(kind, "GET", "/", bearer()))

    assert [] == app.scopes
    assert [(logging.ERROR, "jwt_guard")] == [(record.levelno, record.name) for record in caplog.records]


def test_requires_with_a_guard_of_its_own_needs_no_middleware() -> None:
    app = asgi.requires("orders:write", guard=guarding())(Recorder())

    def ask(scope: str) -> Answer:
        return ask_asgi(app, "GET", "/", bearer(scope=scope))

    assert 200 == ask("orders:write").status
    assert b"ada" == ask("orders:write").body
    assert 403 == ask("orders:read").status
    assert 401 == ask_asgi(app, "GET", "/", []).status


def test_requires_without_scopes_fails_at_once() -> None:
    with pytest.raises(Misconfigured):
        asgi.requires()
    with pytest.raises(Misconfigured):
        asgi.requires("orders:read orders:write")


def test_what_is_guarded_on_its_own_lets_no_preflight_pass() -> None:
    app = asgi.requires("orders:read", guard=guarding(authenticated()))(Recorder())
    preflight = [("origin", b"https://shop.example"), ("access-control-request-method", b"GET")]

    assert 401 == ask_asgi(app, "OPTIONS", "/", preflight).status
