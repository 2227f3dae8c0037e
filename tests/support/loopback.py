"""A server on loopback, in a thread with a loop of its own → what it answers to a request that is sent as it is."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from tests.doors.inside import Answer, Headers

__all__ = ["Loopback"]

_HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455 §1.3
}


class Loopback:
    """Whatever *start* starts; it returns the port.  It runs from the first request until the process ends."""

    def __init__(self, start: Callable[[], Awaitable[int]]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._port: int | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        with self._lock:
            if self._port is None:
                started: Future[int] = Future()
                threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True).start()
                self._port = started.result(30)
            return self._port

    async def _serve(self, started: Future[int]) -> None:
        try:
            started.set_result(await self._start())
        except BaseException as error:
            started.set_exception(error)
            raise
        await asyncio.Future()

    def ask(self, method: str, target: str, headers: Headers) -> Answer:
        """Return the answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            got = _sent(connection, method, target, headers)
            return Answer(got.status, _headers(got), got.read())
        finally:
            connection.close()

    def ask_on(self, connection: http.client.HTTPConnection, target: str, headers: Headers) -> Answer:
        """Return the answer to a GET on a *connection* that stays open."""
        got = _sent(connection, "GET", target, headers)
        return Answer(got.status, _headers(got), got.read())

    def ask_with(self, form: bytes, headers: Headers = ()) -> Answer:
        """Return the answer to a POST of *form*."""
        connection = self.connection()
        try:
            sent = {name: value.decode() for name, value in headers}
            connection.request("POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded", **sent})
            got = connection.getresponse()
            return Answer(got.status, _headers(got), got.read())
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection of one's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def shake_hands(self, target: str, headers: Headers) -> Answer:
        """Return the answer to a websocket's handshake; the first text that is sent to it is the body."""
        connection = self.connection()
        try:
            given = [*headers, *((name, value.encode()) for name, value in _HANDSHAKE.items())]
            got = _sent(connection, "GET", target, given)
            if got.status != 101:
                return Answer(got.status, _headers(got), got.read())
            return Answer(101, {}, _first_frame(got.fp))
        finally:
            connection.close()


def _sent(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Headers
) -> http.client.HTTPResponse:
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def _headers(got: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in got.getheaders()}


def _first_frame(stream: Any) -> bytes:
    """Return the text of an unmasked frame (RFC 6455 §5.2), or the close code in two octets."""
    _, length = stream.read(2)
    if length == 126:
        length = int.from_bytes(stream.read(2), "big")
    text: bytes = stream.read(length)
    return text
