"""Websockets and event streams end with the token that opened them, on asyncio and trio."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pytest
from flask import Flask, Response
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute

from jwt_guard import Guard, Misconfigured, current
from jwt_guard.middleware import asgi, falcon, fastapi, litestar, starlette, wsgi
from jwt_guard.middleware.flask import GuardExtension
from tests.doors.inside import ask_wsgi, scope_for
from tests.support.minting import NOW, claims, guard, mint

BACKENDS = ("asyncio", "trio")
SOON = 0.15  # seconds that a token has left
LEEWAY = 30.0
CLOSED = {"type": "websocket.close", "code": 1008, "reason": "the access token has expired"}
Connection = Callable[[asgi.App], list[asgi.Message]]


def guarding(left: float) -> Guard:
    """Return a guard whose clock stands so that the token of :func:`asked` has *left* seconds."""
    made = guard("HS256")
    return replace(made, clock=lambda: NOW + 60 + LEEWAY - left)


def asked(kind: str, *headers: tuple[str, bytes]) -> asgi.Scope:
    token = mint(claims(sub="ada", exp=NOW + 60), alg="HS256")
    return scope_for(kind, "GET", "/events", [("authorization", f"Bearer {token}".encode()), *headers])


class Wire:
    """A server that notes what is sent, and whose client says the first few messages and then nothing."""

    def __init__(self, *said: asgi.Message) -> None:
        self.sent: list[asgi.Message] = []
        self._said = list(said)

    async def receive(self) -> asgi.Message:
        if self._said:
            return self._said.pop(0)
        await anyio.sleep_forever()
        raise AssertionError

    async def send(self, message: asgi.Message) -> None:
        self.sent.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.sent]


async def _served(app: asgi.App, scope: asgi.Scope, wire: Wire) -> None:
    with anyio.fail_after(5):
        await app(scope, wire.receive, wire.send)


def serve(app: asgi.App, scope: asgi.Scope, backend: str, *said: asgi.Message) -> Wire:
    wire = Wire(*said)
    anyio.run(partial(_served, app, scope, wire), backend=backend)
    return wire


CONNECT = {"type": "websocket.connect"}


async def _listening(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Answer until the client has gone, and note that it has."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            heard.append(message)
            heard.append(await receive())
            return


heard: list[asgi.Message] = []


async def _talking(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "text": str(current())})
        await anyio.sleep(0.01)


async def _deaf(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await anyio.sleep_forever()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("app", [_listening, _talking, _deaf])
def test_a_websocket_is_closed_when_its_token_is_over(app: asgi.App, backend: str) -> None:
    wire = serve(asgi.GuardMiddleware(app, guarding(SOON)), asked("websocket"), backend, CONNECT)

    assert "websocket.accept" == wire.kinds[0]
    assert [CLOSED] == [message for message in wire.sent if message["type"] == "websocket.close"]
    assert CLOSED == wire.sent[-1]


def test_an_application_that_listens_is_told_that_the_client_has_gone() -> None:
    heard.clear()
    serve(asgi.GuardMiddleware(_listening, guarding(SOON)), asked("websocket"), "asyncio", CONNECT)

    assert ["websocket.disconnect"] * 2 == [message["type"] for message in heard]
    assert 1008 == heard[0]["code"]


def test_a_websocket_that_ends_before_its_token_ends_as_it_would() -> None:
    async def brief(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        await anyio.sleep(SOON * 2)

    wire = serve(asgi.GuardMiddleware(brief, guarding(SOON)), asked("websocket"), "asyncio", CONNECT)

    assert [1000] == [message["code"] for message in wire.sent if message["type"] == "websocket.close"]


def test_who_stops_the_server_is_not_taken_for_the_end() -> None:
    async def stopped(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        await anyio.sleep(SOON)
        try:
            await send({"type": "websocket.accept"})
        finally:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(asgi.GuardMiddleware(stopped, guarding(SOON / 2)), asked("websocket"), "asyncio", CONNECT)


@pytest.mark.parametrize("grace", [None, 30])
def test_with_grace_a_connection_may_outlive_its_token(grace: float | None) -> None:
    async def patient(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        await anyio.sleep(SOON)
        await send({"type": "websocket.close", "code": 1000})

    guarded = asgi.GuardMiddleware(patient, guarding(SOON / 2), grace=grace)

    assert [1000] == [message["code"] for message in serve(guarded, asked("websocket"), "asyncio", CONNECT).sent]


@pytest.mark.parametrize("grace", [-1, math.inf, math.nan, "1", True])
def test_a_grace_that_is_no_time_is_refused(grace: Any) -> None:
    with pytest.raises(Misconfigured, match="grace is a number of seconds"):
        asgi.GuardMiddleware(_deaf, guarding(1), grace=grace)


def test_a_bug_of_the_application_stays_one() -> None:
    async def broken(_scope: asgi.Scope, receive: asgi.Receive, _send: asgi.Send) -> None:
        await receive()
        raise LookupError

    with pytest.raises(LookupError):
        serve(asgi.GuardMiddleware(broken, guarding(1)), asked("websocket"), "asyncio", CONNECT)


# ── event streams ────────────────────────────────────────────────────────────────────────────────────────────────

ACCEPTS = ("accept", b"text/event-stream")


def streaming(content_type: bytes, pause: float) -> asgi.App:
    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", content_type)]})
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await anyio.sleep(pause)
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("headers", [(), (ACCEPTS,)], ids=["unasked", "asked"])
def test_an_event_stream_ends_with_its_token(headers: tuple[tuple[str, bytes], ...], backend: str) -> None:
    app = asgi.GuardMiddleware(streaming(b"text/event-stream; charset=utf-8", 0.05), guarding(SOON))
    wire = serve(app, asked("http", *headers), backend)

    assert 2 <= len(wire.sent) < 20
    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]


DOORS = (starlette.GuardMiddleware, fastapi.GuardMiddleware, litestar._Door, falcon._AsgiDoor)


@pytest.mark.parametrize("door", DOORS, ids=repr)
def test_each_door_on_the_asgi_one_ends_an_event_stream_too(door: Any) -> None:
    wire = serve(door(streaming(b"text/event-stream", 0.05), guarding(SOON)), asked("http"), "asyncio")

    assert 2 <= len(wire.sent) < 20
    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]


def test_the_headers_of_an_answer_may_be_such_as_can_be_gone_through_once() -> None:
    headers = [(b"x-before", b"1"), (b"content-type", b"text/event-stream"), (b"x-after", b"2")]

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter(headers)})
        await anyio.sleep(SOON * 2)
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})

    for said in ((), (ACCEPTS,)):
        wire = serve(asgi.GuardMiddleware(app, guarding(SOON)), asked("http", *said), "asyncio")

        assert headers == list(wire.sent[0]["headers"])
        assert [b""] == [message["body"] for message in wire.sent[1:]]


def test_an_event_that_comes_in_one_piece_with_the_end_is_held_back_too() -> None:
    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"TEXT/Event-Stream")]})
        await anyio.sleep(SOON * 2)
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    for door in (asgi.GuardMiddleware, starlette.GuardMiddleware):
        wire = serve(door(app, guarding(SOON)), asked("http"), "asyncio")

        assert [b""] == [message["body"] for message in wire.sent[1:]]


def test_an_event_stream_that_starts_after_its_token_is_over_has_a_start_and_an_end() -> None:
    async def late(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await anyio.sleep(SOON * 2)
        await streaming(b"text/event-stream", 0)(scope, receive, send)

    wire = serve(asgi.GuardMiddleware(late, guarding(SOON)), asked("http", ACCEPTS), "asyncio")

    assert ["http.response.start", "http.response.body"] == wire.kinds
    assert b"" == wire.sent[-1]["body"]


def test_an_event_stream_that_is_silent_ends_with_its_token_where_the_client_asked_for_one() -> None:
    app = asgi.GuardMiddleware(streaming(b"text/event-stream", 60), guarding(SOON))

    assert ["http.response.start", *["http.response.body"] * 2] == serve(app, asked("http", ACCEPTS), "asyncio").kinds


@pytest.mark.parametrize("headers", [(), (ACCEPTS,)], ids=["plain", "who accepts events"])
def test_any_other_answer_takes_its_time(headers: tuple[tuple[str, bytes], ...]) -> None:
    app = asgi.GuardMiddleware(streaming(b"application/json", SOON / 10), guarding(SOON / 2))

    assert 22 == len(serve(app, asked("http", *headers), "asyncio").sent)


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("headers", [(), (ACCEPTS,)], ids=["unasked", "asked"])
def test_starlettes_streams_and_sockets_end_as_if_the_client_had_gone(
    spec: str, headers: tuple[tuple[str, bytes], ...]
) -> None:
    ended: list[str] = []

    async def events(_request: Any) -> StreamingResponse:
        async def steps() -> AsyncIterator[str]:
            try:
                while True:
                    yield "data: 1\n\n"
                    await anyio.sleep(0.02)
            finally:
                ended.append("stream")

        return StreamingResponse(steps(), media_type="text/event-stream")

    class Chat(WebSocketEndpoint):
        encoding = "text"

        async def on_disconnect(self, websocket: Any, close_code: int) -> None:  # noqa: ARG002 - as there
            ended.append(str(close_code))

    app = Starlette(
        routes=[Route("/events", events), WebSocketRoute("/events", Chat)],
        middleware=[Middleware(starlette.GuardMiddleware, guard=guarding(SOON))],
    )
    scope = asked("http", *headers)
    scope["asgi"] = {"version": "3.0", "spec_version": spec}
    wire = serve(app, scope, "asyncio")
    socket = serve(app, asked("websocket"), "asyncio", CONNECT)

    assert {"type": "http.response.body", "body": b"", "more_body": False} == wire.sent[-1]
    assert ["websocket.accept", "websocket.close"] == socket.kinds
    assert ["stream", "1008"] == ended


# ── without a loop ───────────────────────────────────────────────────────────────────────────────────────────────


class Ticking:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self, start: float) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 1
        return self.now


def _wsgi_stream(content_type: str) -> wsgi.App:
    def app(_environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", content_type)])  # late: when the first step is asked for
        for _ in range(100):
            yield b"data: 1\n\n"

    return app


def _flask_stream(content_type: str, made: Guard, grace: float | None) -> Any:
    app = Flask("streams")
    app.add_url_rule(
        "/events", view_func=lambda: Response((b"data: 1\n\n" for _ in range(100)), mimetype=content_type), endpoint="e"
    )
    GuardExtension(app, made, grace=grace)
    return app.wsgi_app


@pytest.mark.parametrize("door", ["wsgi", "flask"])
@pytest.mark.parametrize(
    ("content_type", "grace", "steps"),
    [("text/event-stream", 0, range(10, 40)), ("text/event-stream", None, [100]), ("text/plain", 0, [100])],
)
def test_an_event_stream_of_a_worker_ends_with_its_token_too(
    door: str, content_type: str, grace: float | None, steps: Any
) -> None:
    made = replace(guard("HS256"), clock=Ticking(NOW + LEEWAY + 60 - 20), memory=None)
    app = wsgi.GuardMiddleware(_wsgi_stream(content_type), made, grace=grace)
    if door == "flask":
        app = _flask_stream(content_type, made, grace)
    token = mint(claims(sub="ada", exp=NOW + 60), alg="HS256")
    body = ask_wsgi(app, "GET", "/events", [("authorization", f"Bearer {token}".encode())]).body

    assert len(body) // len(b"data: 1\n\n") in steps
