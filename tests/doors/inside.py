"""A request in plain values → the answer of an ASGI or WSGI application in this process, as a careful server gives it.

Nothing is tidied up on the way, as a client library would, and what the application says is held to its standard.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

from jwt_guard.middleware import asgi, wsgi

__all__ = ["Answer", "Headers", "ask_asgi", "ask_websocket", "ask_wsgi", "environ_for", "scope_for"]

Headers = Iterable[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client sees."""

    status: int
    """101 for a websocket that was accepted."""
    headers: Mapping[str, str]
    """By name in small letters."""
    body: bytes


def scope_for(kind: str, method: str, target: str, headers: Headers) -> asgi.Scope:
    """Return the scope that a server makes of a request."""
    path, _, query = target.partition("?")
    scope: asgi.Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode(), value) for name, value in headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    return {**scope, "method": method} if kind == "http" else {**scope, "subprotocols": []}


async def _exchange(app: asgi.App, scope: asgi.Scope, first: asgi.Message) -> list[asgi.Message]:
    given = [first]
    taken: list[asgi.Message] = []
    is_answered = asyncio.Event()

    async def receive() -> asgi.Message:
        if given:
            return given.pop()
        await is_answered.wait()  # as at a server, where the client has what it wanted
        return (
            {"type": "http.disconnect"} if scope["type"] == "http" else {"type": "websocket.disconnect", "code": 1000}
        )

    async def send(message: asgi.Message) -> None:
        taken.append(message)
        kind = message["type"]
        if kind == "websocket.close" or (kind.endswith("http.response.body") and not message.get("more_body", False)):
            is_answered.set()

    await app(scope, receive, send)
    return taken


def ask_asgi(app: asgi.App, method: str, target: str, headers: Headers) -> Answer:
    """Return what *app* answers over http."""
    scope = scope_for("http", method, target, headers)
    first: asgi.Message = {"type": "http.request", "body": b"", "more_body": False}
    answer = _answer("http.response", asyncio.run(_exchange(app, scope, first)))
    return replace(answer, body=b"") if method == "HEAD" else answer  # a server sends no body to a HEAD


def ask_websocket(app: asgi.App, target: str, headers: Headers, *, denial: bool = True) -> Answer:
    """Return what *app* answers to a handshake; the first text it sends is the body."""
    scope = scope_for("websocket", "GET", target, headers)
    if denial:
        scope["extensions"] = {"websocket.http.response": {}}
    taken = asyncio.run(_exchange(app, scope, {"type": "websocket.connect"}))
    if taken[0]["type"] == "websocket.accept":
        return Answer(101, {}, taken[1]["text"].encode())
    if taken[0]["type"] == "websocket.close":
        assert 1 == len(taken)

        return Answer(403, {}, b"")  # what servers make of it
    return _answer("websocket.http.response", taken)


def _answer(prefix: str, taken: list[asgi.Message]) -> Answer:
    start, *bodies = taken

    assert f"{prefix}.start" == start["type"]
    assert {f"{prefix}.body"} == {message["type"] for message in bodies}
    assert all(isinstance(part, bytes) for header in start["headers"] for part in header)
    assert all(name == name.lower() for name, _ in start["headers"])

    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


def environ_for(method: str, target: str, headers: Headers) -> wsgi.Environ:
    """Return the environ that a server makes of a request."""
    path, _, query = target.partition("?")
    environ: wsgi.Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "REQUEST_URI": target,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        variable, text = f"HTTP_{name.upper().replace('-', '_')}", value.decode("latin-1")
        environ[variable] = f"{environ[variable]}, {text}" if variable in environ else text
    return environ


def ask_wsgi(app: wsgi.App, method: str, target: str, headers: Headers) -> Answer:
    """Return what *app* answers, with the standard library watching whether both sides keep to PEP 3333."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        assert exc_info or not started

        started.append((status, headers))
        return written.append

    watched: Any = validator(app)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unknown REQUEST_METHOD")
        body = watched(environ_for(method, target, headers), start_response)
        try:
            written.extend(body)
        finally:
            body.close()
    status, sent = started[-1]
    return Answer(int(status[:3]), {name.lower(): value for name, value in sent}, b"".join(written))
