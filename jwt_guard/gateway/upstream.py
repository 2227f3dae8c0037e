"""A request without a body → its answer: aiohttp's connections and its parser, without the rest of its client.

Most requests are like that, and the client of aiohttp can do much that none of them needs.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from aiohttp.http import HttpProcessingError

from ..errors import UpstreamFailed, UpstreamTooSlow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from yarl import URL

__all__ = ["LONGEST_HEADER", "PIECE", "Answer", "Asking", "ConnectionLost", "Connector", "is_plain"]

PIECE: Final = 65_536
"""Octets that are held of an answer at most, before the upstream has to wait for the client."""
LONGEST_HEADER: Final = 65_536
_PLAIN = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_TARGET = re.compile(r"[^!-~]")
_ENDS_A_HEADER = re.compile(r"[\r\n\0]")


def is_plain(method: str, *, has_body: bool) -> bool:
    """Say whether a request can be asked here: it has no body and no side effects, so that it may be sent again."""
    return not has_body and method in _PLAIN


class Connector(aiohttp.TCPConnector):
    """The usual one, but that it waits for nobody who does not take what was written: who is given up is left."""

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:  # noqa: ANN401 - of aiohttp's own
        transport = protocol.transport
        if should_close and transport is not None and transport.get_write_buffer_size():
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


class Answer:
    """What the upstream says.  It has a connection until it has been read; leaving its context gives that up."""

    __slots__ = ("_connection", "content", "raw_headers", "status")

    def __init__(
        self,
        status: int,
        raw_headers: Sequence[tuple[bytes, bytes]],
        content: Any,  # noqa: ANN401 - a stream of aiohttp, or its empty one
        connection: Connection,
    ) -> None:
        self.status: Final = status
        self.raw_headers: Final = raw_headers
        self.content: Final[Any] = content
        self._connection: Connection | None = connection
        content.on_eof(self._read)

    async def __aenter__(self) -> Self:
        """Do nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection, unless all was read and it waits for the next request."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


class Asking:
    """Ask the upstream at *url* by the connections of *session*, each of which is waited for as *timeout* says."""

    def __init__(self, session: aiohttp.ClientSession, url: URL, timeout: aiohttp.ClientTimeout) -> None:
        self._connector = session.connector
        self._timeout = timeout
        # What a connector wants to know of a request is where it goes to.
        self._whither = aiohttp.ClientRequest("GET", url, session=session, loop=asyncio.get_running_loop())

    async def ask(self, method: str, target: str, headers: Sequence[tuple[str, str]]) -> Answer:
        """Return the answer to a request that :func:`is_plain`; one that a kept connection loses is sent again, once.

        Raises UpstreamTooSlow where there is no connection in time, and UpstreamFailed, ValueError, OSError and
        aiohttp.ClientError.
        """
        octets = _head(method, target, headers)
        try:
            return await self._asked(await self._connection(), method, octets)
        except (aiohttp.ServerDisconnectedError, ConnectionLost):
            return await self._asked(await self._connection(), method, octets)

    async def _connection(self) -> Connection:
        if self._connector is None:
            raise UpstreamFailed("the proxy is closed")
        try:
            return await self._connector.connect(self._whither, [], self._timeout)
        except TimeoutError:
            raise UpstreamTooSlow("there is no connection to the upstream in time") from None

    async def _asked(self, connection: Connection, method: str, octets: bytes) -> Answer:
        try:
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise ConnectionLost  # noqa: TRY301 - given up like all else that goes wrong here
            protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=PIECE,
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
            )
            transport.write(octets)
            message, content = await _final(protocol)
            return Answer(message.code, message.raw_headers, content, connection)
        except BaseException:
            connection.close()
            raise


class ConnectionLost(aiohttp.ClientConnectionError):
    """A connection that was kept has ended meanwhile."""


async def _final(protocol: ResponseHandler) -> tuple[Any, Any]:
    """Return the answer that is no other's forerunner (RFC 9110 §15.2), and what its body comes by."""
    try:
        while True:
            message, content = await protocol.read()
            if message.code == 101 or not 100 <= message.code < 200:  # noqa: PLR2004 - what HTTP calls informational
                return message, content
    except HttpProcessingError as error:
        raise UpstreamFailed(f"the upstream has not answered ({type(error).__name__})") from None
    except aiohttp.ClientOSError:
        raise ConnectionLost from None


def _head(method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return a request as it is sent; ValueError for what would be read as something else."""
    if _NO_TARGET.search(target) or _ENDS_A_HEADER.search("".join([value for _, value in headers])):
        message = "no request can have this in it"
        raise ValueError(message)
    fields = "\r\n".join([f"{name}: {value}" for name, value in headers])
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n\r\n".encode()
