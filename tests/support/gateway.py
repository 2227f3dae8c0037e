"""Octets → what a front answers, without a network: a transport that keeps what is written, and a reader of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import h11

from jwt_guard.gateway.doors import Doors
from jwt_guard.gateway.front import Connection, Front
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.settings import Settings

__all__ = ["Answer", "Kept", "answers", "doors", "exchange", "fed", "question", "settled"]


class Answer(NamedTuple):
    """One answer, as h11 reads it."""

    status: int
    headers: dict[str, str]
    body: bytes


class Kept(asyncio.Transport):
    """A transport that keeps what is written; whoever is at the other end may not read, if *is_full*."""

    def __init__(self, peer: Any = ("127.0.0.1", 1), *, is_full: bool = False) -> None:
        super().__init__({"peername": peer})
        self.written = bytearray()
        self.is_ended = self.is_closed = self.is_aborted = self.is_paused = False
        self.is_full = is_full
        self.protocol: Connection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_ended, "written behind the end"
        assert not self.is_closed, "written to what is closed"
        self.written += data
        if self.is_full and self.protocol is not None:
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        assert not self.is_ended
        self.is_ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False


def doors(judge: Judge, **settings: Any) -> Doors:
    """Return the doors of *judge*."""
    return Doors(Settings(identity=judge.identity, **settings), judge)


def question(*headers: tuple[str, str], start: str = "GET /auth HTTP/1.1", host: str = "Host: x\r\n") -> bytes:
    """Return a question as it is sent."""
    return "".join([f"{start}\r\n{host}", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode(
        "latin-1"
    )


async def fed(front: Front, pieces: Iterable[bytes], peer: Any = ("127.0.0.1", 1)) -> tuple[Kept, Connection]:
    """Return the transport and the connection that *pieces* came by, when there is nothing left to be done."""
    transport, connection = Kept(peer), front.connection()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.is_closed:
            break
        connection.data_received(piece)
    await settled(connection)
    return transport, connection


async def settled(connection: Connection) -> None:
    """Return when *connection* waits for nobody but its peer."""
    while (task := connection._task) is not None:
        await asyncio.wait([task])


async def exchange(front: Front, *pieces: bytes, peer: Any = ("127.0.0.1", 1)) -> bytes:
    """Return what is written to who sends *pieces*, and leave nothing behind."""
    transport, connection = await fed(front, pieces, peer)
    connection.connection_lost(None)

    assert not front.connections
    return bytes(transport.written)


def answers(octets: bytes, *methods: str) -> list[Answer]:
    """Return the answers to questions of these *methods*; they are all that there is, and well formed."""
    found: list[Answer] = []
    rest = octets
    wanted = iter(methods)
    while rest:
        client = h11.Connection(h11.CLIENT)
        method = next(wanted, "GET")
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(rest)
        body = b""
        response: Any = None
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, f"cut off: {octets!r}"
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
        headers = {name.decode(): value.decode() for name, value in response.headers}

        assert len(headers) == len(response.headers), "a header twice"
        found.append(Answer(response.status_code, headers, body))
        rest = client.trailing_data[0]
    return found
