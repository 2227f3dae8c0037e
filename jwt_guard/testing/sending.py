"""An ASGI or WSGI application and a request, octet by octet → what it answers, its crashes included.

Clients for tests put requests right before they send them; what is sent here is as wrong as it was made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from inspect import iscoroutinefunction, signature
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes

import anyio
from anyio.from_thread import start_blocking_portal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Answer", "Ask", "Sent", "asking", "is_asgi"]

_PATIENCE = 5.0  # seconds for an answer; one that goes on is an answer, too
_AFTER = 1.0  # seconds for what is done after it
_MOST = 1_000_000  # octets of a body that are looked at
_ARGUMENTS_OF_ASGI = 3
_CRASHED = 500
_HOST = "testserver"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    target: str
    """Path and query as sent."""
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)
    is_websocket: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; 500 where the application raised, 101 for a websocket that was accepted, else 403."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    error: str = ""
    """The type of the exception that it raised."""

    def header(self, name: str) -> str:
        """Return the value of the header *name*, empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")


Ask: TypeAlias = Callable[[Sent], Answer]


def is_asgi(app: Callable[..., Any]) -> bool:
    """Say whether *app* is one of ASGI, else it is one of WSGI."""
    if iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004 - is it async?
        return True
    parameters = signature(app).parameters.values()
    return len([each for each in parameters if each.default is each.empty]) == _ARGUMENTS_OF_ASGI


@contextmanager
def asking(app: Callable[..., Any]) -> Generator[Ask]:
    """Give what sends a request to *app*; one of ASGI is started before, and shut down after, in a loop of its own."""
    if not is_asgi(app):
        yield lambda sent: _ask_wsgi(app, sent)
        return
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_started(app)) as state,
    ):
        yield lambda sent: portal.call(_ask_asgi, app, sent, state)


# --- WSGI --------------------------------------------------------------------------------------------


def _ask_wsgi(app: Callable[..., Any], sent: Sent) -> Answer:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Callable[..., Any]:
        started[:] = [(status, headers)]
        return written.append

    written: list[bytes] = []
    try:
        body = app(_environ(sent), start_response)
        with closing(body) if hasattr(body, "close") else nullcontext():
            for part in body:
                written.append(part)
                if sum(map(len, written)) > _MOST:
                    break
    except Exception as error:  # noqa: BLE001 - whatever it is, it was not caught there
        return Answer(_CRASHED, error=type(error).__name__)
    if not started:
        return Answer(_CRASHED, error="no answer")
    status, headers = started[0]
    return Answer(int(status.split()[0]), tuple(headers), b"".join(written))


def _environ(sent: Sent) -> dict[str, Any]:
    path, _, query = sent.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": sent.target,
        "REQUEST_URI": sent.target,
        "SERVER_NAME": _HOST,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": _HOST,
        "CONTENT_LENGTH": str(len(sent.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(sent.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, octets in sent.headers:
        key, value = name.upper().replace("-", "_"), octets.decode("latin-1")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value  # as servers join them
    return environ


# --- ASGI --------------------------------------------------------------------------------------------


@asynccontextmanager
async def _started(app: Callable[..., Any]) -> AsyncGenerator[dict[str, Any]]:
    """Run the lifespan of *app*, if it has one, and give the state that requests get."""
    state: dict[str, Any] = {}
    to_app, from_here = anyio.create_memory_object_stream[dict[str, Any]](2)
    has_answered = anyio.Event()
    ended = anyio.Event()
    failed: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            failed.append(message.get("message", ""))
        has_answered.set()

    async def run() -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        with suppress(Exception):  # ASGI: whoever raises here has no lifespan; one that failed has said so
            await app(scope, from_here.receive, send)
        has_answered.set()
        ended.set()

    async with to_app, from_here, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await to_app.send({"type": "lifespan.startup"})
        await has_answered.wait()
        if failed:
            tasks.cancel_scope.cancel()
        else:
            try:
                yield state
            finally:
                with anyio.move_on_after(_PATIENCE, shield=True):
                    await to_app.send({"type": "lifespan.shutdown"})
                    await ended.wait()
                tasks.cancel_scope.cancel()
            return
    message = f"the application does not start: {failed}"
    raise RuntimeError(message)


async def _ask_asgi(app: Callable[..., Any], sent: Sent, state: dict[str, Any]) -> Answer:
    exchange = _Exchange(sent)
    error = ""

    async def serve() -> None:
        try:
            await app(_scope(sent, state), exchange.receive, exchange.send)
        finally:
            exchange.answered.set()
            over.set()

    over = anyio.Event()
    try:
        with anyio.move_on_after(_PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve)
                await exchange.answered.wait()
                with anyio.move_on_after(_AFTER):
                    await over.wait()
                tasks.cancel_scope.cancel()
    except* Exception as errors:  # noqa: BLE001 - whatever it is, it was not caught there
        error = _name_of(errors)
    return exchange.answer(error)


def _name_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


class _Exchange:
    """One request to an ASGI application, and what it has answered until now."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._received = 0
        self._status: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = b""
        self.answered = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        self._received += 1
        if self._received > 1:
            await self.answered.wait()
            return {"type": "websocket.disconnect", "code": 1000} if self._sent.is_websocket else _GONE
        if self._sent.is_websocket:
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": self._sent.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind == "http.response.start":
            self._status = message["status"]
            headers = message.get("headers", ())
            self._headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        elif kind == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False) or len(self._body) > _MOST:
                self.answered.set()
        elif kind == "accept":
            self._status = 101
            self.answered.set()
        elif kind == "close" and self._status is None:
            self._status = 403  # as servers answer who closes before accepting
            self.answered.set()

    def answer(self, error: str) -> Answer:
        if error and self._status != 101:  # noqa: PLR2004 - who was accepted hangs up at once
            return Answer(_CRASHED, self._headers, self._body, error)
        if self._status is None:
            return Answer(_CRASHED, error="no answer")
        return Answer(self._status, self._headers, self._body)


_GONE = {"type": "http.disconnect"}


def _scope(sent: Sent, state: dict[str, Any]) -> dict[str, Any]:
    path, _, query = sent.target.partition("?")
    scope: dict[str, Any] = {
        "type": "websocket" if sent.is_websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws" if sent.is_websocket else "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [(b"host", _HOST.encode()), *((name.lower().encode(), value) for name, value in sent.headers)],
        "client": ("127.0.0.1", 50_000),
        "server": (_HOST, 80),
        "state": dict(state),
    }
    return {**scope, "subprotocols": []} if sent.is_websocket else {**scope, "method": sent.method}
