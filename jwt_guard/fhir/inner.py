"""Asking + an ASGI application that serves FHIR → what it answered, whole and within bounds; or streamed on.

The application is told what stands in the Asking, and of the client nothing but where it is: none of its headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from ..middleware.refusing import PATH_CHARACTERS
from .exchange import Answered
from .outcome import TOO_COSTLY, TOO_LONG, UPSTREAM, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..middleware.asgi import App, Message, Receive, Scope, Send
    from .exchange import Asking

__all__ = ["Client", "Gone", "Inner"]

_FRAMING: Final = (b"content-length", b"transfer-encoding")
_FRAMED_BY_HEADERS: Final = ("1.0", "1.1")
_IDENTITY: Final = (None, "", "identity")


class Gone(Exception):
    """The client has gone, so that nobody waits for an answer."""


class Client:
    """The client's side of one request: what it sends, and whether it is still there."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope: Final = scope
        self._receive = receive
        self._body: bytes | None = None
        self.is_gone = False

    async def body(self, limit: int) -> bytes:
        """Return the whole body.  Raises Stopped where it has more than *limit* octets, and Gone."""
        if self._body is None:
            self._body = await self._read(limit)
        return self._body

    async def _read(self, limit: int) -> bytes:
        lengths = [value for name, value in self.scope["headers"] if name.lower() == b"content-length"]
        if any(value.isdigit() and int(value) > limit for value in lengths):
            raise Stopped(TOO_LONG, "the body says that it is longer than what is judged")
        pieces: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Gone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise Stopped(TOO_LONG, "the body is longer than what is judged")
            more = message.get("more_body", False)
        return b"".join(pieces)

    async def receive(self) -> Message:
        """Return what comes next, as the server says it."""
        message = await self._receive()
        self.is_gone = self.is_gone or message["type"] == "http.disconnect"
        return message

    async def left(self) -> Message:
        """Return when the client has gone; whatever else it sends is nobody's."""
        while not self.is_gone:
            await self.receive()
        return {"type": "http.disconnect"}

    def sending(self, body: bytes) -> Receive:
        """Return a ``receive`` for an application that is sent *body*, and hears of it when the client goes."""
        pieces: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return pieces.pop() if pieces else await self.left()

        return receive

    def own(self) -> tuple[Receive, list[tuple[bytes, bytes]]]:
        """Return a ``receive`` for an application that is sent the client's own body, and the headers that frame it."""
        if self._body is not None:
            return self.sending(self._body), _length(self._body)
        framing = [(name, value) for name, value in self.scope["headers"] if name.lower() in _FRAMING]
        if not framing and self.scope.get("http_version") not in _FRAMED_BY_HEADERS:
            framing = [(b"transfer-encoding", b"chunked")]  # whose length nothing says is not none
        return self.receive, framing


class Inner:
    """The FHIR server, as an ASGI application with its base at *root*, for clients who know it as *base*."""

    def __init__(self, app: App, root: str, base: str) -> None:
        parts = urlsplit(base)
        self._app = app
        self._root = root
        self._scheme = parts.scheme
        self._host = parts.netloc.encode("ascii")

    async def ask(self, asking: Asking, client: Client, limit: int) -> Answered:
        """Return what the server answers.

        Raises Stopped for an answer with no end, or with more than *limit* octets, Gone, and what the application does.
        """
        held = _Held(limit)
        scope = self._scope(asking, client.scope, _length(asking.body) if asking.body else [])
        try:
            await self._app(scope, client.sending(asking.body), held)
        except Exception:  # frameworks make others of it
            if not (held.is_too_long or client.is_gone):
                raise
        if held.is_too_long:
            raise Stopped(TOO_COSTLY, "the server has answered with more than is judged")
        if client.is_gone:
            raise Gone
        if not held.is_whole:
            raise Stopped(UPSTREAM, "the server has not answered to the end")
        answered = Answered(held.status, held.headers, b"".join(held.pieces))
        if answered.header("content-encoding") not in _IDENTITY:
            raise Stopped(UPSTREAM, "the server has answered in a coding that it was not asked for")
        return answered

    async def stream(self, asking: Asking, client: Client, send: Send, begin: Callable[[Message], Message]) -> None:
        """Have the server answer the client; the answer begins as *begin* has it."""
        if asking.body or asking.method in ("GET", "HEAD"):
            receive, framing = client.sending(asking.body), _length(asking.body) if asking.body else []
        else:
            receive, framing = client.own()
        scope = self._scope(asking, client.scope, framing)
        without_body = client.scope["method"] == "HEAD"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(begin(message))
            elif message["type"] == "http.response.body":
                await send({**message, "body": b""} if without_body else message)

        await self._app(scope, receive, sending)

    def _scope(self, asking: Asking, outer: Scope, framing: list[tuple[bytes, bytes]]) -> Scope:
        raw = self._root + ("" if asking.path == "/" and self._root else quote(asking.path, safe=PATH_CHARACTERS))
        headers = [(b"host", self._host)]
        headers += ((name.encode("ascii"), value.encode("utf-8")) for name, value in asking.headers)
        more: dict[str, Any] = {"state": dict(outer["state"])} if "state" in outer else {}
        return {
            **outer,
            **more,
            "http_version": "1.1",  # in which what has no length and no coding has no body
            "method": asking.method,
            "scheme": self._scheme,
            "path": unquote(raw),
            "raw_path": raw.encode("ascii"),
            "query_string": urlencode(asking.query, quote_via=quote).encode("ascii"),
            "headers": [*headers, *framing],
            "extensions": {},  # by which a file, say, goes past whoever reads the answer
        }


class _TooLong(Exception):
    """Whoever answers is to stop."""


class _Held:
    """A ``send`` that keeps what is sent, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.pieces: list[bytes] = []
        self.is_whole = self.is_too_long = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.get("headers", ())
            self.headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
        elif message["type"] == "http.response.body":
            piece: bytes = message.get("body", b"")
            self._left -= len(piece)
            if self._left < 0:
                self.is_too_long = True
                self.pieces.clear()
                raise _TooLong
            self.pieces.append(piece)
            self.is_whole = not message.get("more_body", False)


def _length(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(len(body)).encode("ascii"))]
