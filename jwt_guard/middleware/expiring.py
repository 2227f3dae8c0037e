"""A websocket or an event stream whose token is over → one that is closed.

Whoever opened it was let in until then and no longer, as with requests.  After that nothing of the application goes
out: it is told that the client has gone, as if it had, and where it does not listen it is cancelled.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import TYPE_CHECKING, Any, Self

import anyio

from ..access.lifetime import good_until
from ..errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from ..access.guard import Guard
    from ..credentials import Credentials
    from .asgi import App, Message, Receive, Scope, Send

__all__ = [
    "CLOSE_CODE",
    "EVENTS",
    "LAST",
    "PATIENCE",
    "REASON",
    "Connection",
    "Gone",
    "checked",
    "comes_of_the_end",
    "is_of_events",
    "left",
    "serve",
    "watched",
]

START = "http.response.start"
EVENTS = b"text/event-stream"
"""The media type of event streams (HTML §9.2), which a browser's EventSource asks for."""
_EVENTS = EVENTS.decode()
_LENGTH, _SHORTEST = len(b"content-type"), len(EVENTS)
CLOSE_CODE = 1008
"""What a websocket is closed with: a policy violation (RFC 6455 §7.4.1)."""
REASON = "the access token has expired"
"""What whoever is at the other end is told of it."""
PATIENCE = 1.0
"""Seconds for an application to end by itself."""
LAST = {"type": "http.response.body", "body": b"", "more_body": False}
"""The message that ends an answer."""


class Gone(OSError):
    """What an application gets that sends to a client whose token is over: ASGI says that send() raises an OSError."""


def checked(grace: object) -> float | None:
    """Return *grace* if it is a number of seconds, or None; else raise Misconfigured."""
    if grace is None:
        return None
    if isinstance(grace, bool) or not isinstance(grace, int | float) or not 0 <= grace < math.inf:
        raise Misconfigured("grace is a number of seconds, 0 or more, or None for connections that may outlive a token")
    return float(grace)


def left(guard: Guard, credentials: Credentials, grace: float) -> float:
    """Return for how many seconds a connection of *credentials* may stay; none are left where that is not above 0."""
    return good_until(guard, credentials) - guard.clock() + grace


def is_of_events(content_type: str | None) -> bool:
    """Say whether an answer of *content_type* is an event stream."""
    return content_type is not None and content_type.lower().startswith(_EVENTS)


def watched(send: Send, guard: Guard, credentials: Credentials, grace: float) -> Send:
    """Return *send* for an answer that may turn out to be an event stream, over *grace* seconds after its token.

    It ends with the first event after that; the rest of its messages pass at the price of a comparison.
    """
    # Every request pays for this: a method takes two thirds of the time that a closure over the same takes to make.
    return MethodType(_watching, [send, guard, credentials, grace])


def _watching(held: list[Any], message: Message) -> Awaitable[None]:
    send: Send = held[0]
    if message["type"] == START and starts_events(message):
        held[0] = until(send, left(*held[1:]))
    return send(message)


def until(send: Send, seconds: float) -> Send:
    """Return *send* for an event stream that ends with the first event in so many *seconds* or later."""
    deadline = anyio.current_time() + seconds

    def sending(message: Message) -> Awaitable[None]:
        return _end_of_stream(send) if anyio.current_time() >= deadline else send(message)

    return sending


async def _end_of_stream(send: Send) -> None:
    await send(dict(LAST))
    raise Gone(REASON)


def starts_events(start: Message) -> bool:
    """Say whether an event stream comes after *start*, whose headers can be gone through again afterwards."""
    headers = start.get("headers", ())
    if type(headers) is not list:  # ASGI promises no more than that they can be gone through once
        start["headers"] = headers = list(headers)
    for name, value in headers:
        if len(name) == _LENGTH and (name == b"content-type" or name.lower() == b"content-type"):
            return bool(value[:_SHORTEST].lower() == EVENTS)
    return False


async def serve(app: App, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
    """Run *app* for a websocket, or for a client that asks for events, and close it in so many *seconds*."""
    async with Connection(scope["type"] == "websocket", receive, send, anyio.current_time() + seconds) as connection:
        await app(scope, connection.receive, connection.send)


def comes_of_the_end(error: BaseException) -> bool:
    """Say whether *error* is what an application makes of a client that has gone."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, Gone):
            return True
        found = found.__cause__ or found.__context__
    return False


class Connection:
    """One connection, with the moment at which it is over: what is served in it gets its receive() and send()."""

    def __init__(self, is_websocket: bool, receive: Receive, send: Send, deadline: float) -> None:  # noqa: FBT001 - the first of its two kinds
        self._is_websocket = is_websocket
        self._receive = receive
        self._send = send
        self._deadline = deadline if is_websocket else math.inf  # of an answer it is known when it starts
        self._end = deadline
        self._is_over = False
        self._is_done = False
        self._scope = anyio.CancelScope(deadline=self._deadline + PATIENCE)

    async def __aenter__(self) -> Self:
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_cancelled = bool(self._scope.__exit__(kind, error, traceback))
        if self._scope.cancelled_caught:
            await self.close()
        return is_cancelled or (isinstance(error, Exception) and comes_of_the_end(error))

    async def receive(self) -> Message:
        """Give what the client sends, and that it has gone once the token is over."""
        if not self._is_over:
            with anyio.CancelScope(deadline=self._deadline):
                return await self._receive()
            await self.close()
        if self._is_websocket:
            return {"type": "websocket.disconnect", "code": CLOSE_CODE, "reason": REASON}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send *message*, unless the token is over."""
        kind = message["type"]
        if kind == START and starts_events(message):
            await self._send(message)  # also of one that is over as it starts: nothing ends before that
            self._deadline = self._end
            self._scope.deadline = self._end + PATIENCE
            return
        if self._is_over or anyio.current_time() >= self._deadline:
            await self.close()
            raise Gone(REASON)
        await self._send(message)
        if kind == "websocket.close" or (kind.endswith("http.response.body") and not message.get("more_body", False)):
            self._is_done = True

    async def close(self) -> None:
        """Close the connection, once, unless the application has."""
        self._is_over = True
        if self._is_done:
            return
        self._is_done = True
        self._scope.deadline = anyio.current_time() + PATIENCE
        last: dict[str, Any] = dict(LAST)
        if self._is_websocket:
            last = {"type": "websocket.close", "code": CLOSE_CODE, "reason": REASON}
        await self._send(last)
