"""Octets of a connection → questions, and the octets of their answers, in the order in which they were asked.

The parser is httptools, which is strict about what ends where.  What it takes once, it need not be given again: the
same octets between two questions are the same question, whoever sends them and whenever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import httptools

from .doors import Held, cannot_be_read

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .doors import Doors, Question

__all__ = ["Connection", "Front"]

_PIECE = 16_384
"""Octets that are parsed in one go: nobody is asked for more answers before those to them are on their way."""
_MOST_HEADERS = 200
_MOST_BODY = 65_536
"""Octets of a body, which nobody looks at."""
_MOST_AROUND_BODY = 8 * _MOST_BODY
"""Octets of a body as it is sent, in chunks."""
_MOST_SEEN = 1_024
_LONGEST_SEEN = 8_192
_TO_SEND = 10
"""Seconds for the whole of a question, and for reading what there is to read."""
_TO_ASK_AGAIN = 300
"""Seconds between two questions: longer than gateways keep a connection, so that it is they who close it."""
_TO_LEAVE = 5
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Front:
    """What the connections of one process share: whom they ask, and the time.

    *doors* may be swapped at any time; a question that has been asked is answered by those that it was asked at.
    """

    def __init__(self, doors: Doors) -> None:
        self.connections: Final[set[Connection]] = set()
        self.tick = 0
        self.is_closing = False
        self.seen: dict[bytes, Held] = {}
        self.doors = doors

    def swap(self, doors: Doors) -> None:
        """Have every question from now on answered by *doors*."""
        self.seen = {}  # which request is meant, too, depends on the configuration
        self.doors = doors

    def connection(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def remember(self, octets: bytes, question: Question) -> None:
        """Hold which *question* these *octets* are."""
        seen = self.seen
        if len(seen) >= _MOST_SEEN:
            for other in tuple(islice(seen, _MOST_SEEN // 2)):
                del seen[other]
        seen[octets] = Held(question)

    def second(self) -> None:
        """Let go of who has taken too long; to be called once a second."""
        self.tick += 1
        for connection in tuple(self.connections):
            connection.second(self.tick)

    def close(self) -> None:
        """Answer what is asked, and nothing more on any connection."""
        self.is_closing = True

    def close_idle(self) -> None:
        """Close each connection that nobody waits on."""
        for connection in tuple(self.connections):
            connection.close_if_idle()

    def abort(self) -> None:
        """Close each connection at once."""
        for connection in tuple(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection of a gateway."""

    __slots__ = (
        "_asked_at",
        "_body",
        "_doors",
        "_front",
        "_head",
        "_headers",
        "_is_at_end",
        "_is_at_rest",
        "_is_believed",
        "_is_full",
        "_is_head_read",
        "_is_in_question",
        "_is_leaving",
        "_is_paused",
        "_octets",
        "_owes_continue",
        "_parser",
        "_peer",
        "_ready",
        "_since",
        "_status",
        "_task",
        "_transport",
        "_unread",
        "_url",
    )

    _transport: asyncio.Transport
    _doors: Doors

    def __init__(self, front: Front) -> None:
        self._front = front
        self._parser = httptools.HttpRequestParser(self)
        self._ready: deque[Question | int] = deque()
        """What was asked and is not answered yet; a number stands for the status of what cannot be read."""
        self._unread = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._octets = self._body = 0
        self._since = front.tick
        self._is_at_rest = True
        self._is_in_question = self._is_head_read = False
        self._is_full = self._is_paused = self._is_at_end = self._is_leaving = False
        self._is_believed = self._owes_continue = False
        self._status = 400
        self._peer: str | None = None

    # --- the connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._peer = name[0] if isinstance(name, tuple) else None  # a Unix socket has no address
        self._look_at(self._front.doors)
        self._front.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """End; a decision that is under way has a bound of its own, and nobody hears of it."""
        self._front.connections.discard(self)
        self._is_leaving = True
        self._is_at_rest = False
        self._ready.clear()
        self._unread.clear()

    def eof_received(self) -> bool:
        """Stay while there is something to be answered."""
        self._is_at_end = True
        return not self._is_leaving and (self._task is not None or bool(self._ready) or bool(self._unread))

    def pause_writing(self) -> None:
        """Answer nobody who does not read."""
        self._is_full = True
        self._is_at_rest = False
        self._since = self._front.tick

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        self._since = self._front.tick
        self._go_on()

    def second(self, tick: int) -> None:
        """Look whether they have had their time."""
        passed = tick - self._since
        if self._is_leaving:
            if passed > _TO_LEAVE:
                self._transport.abort()
        elif self._task is None:
            if self._is_full or self._is_in_question:
                if passed > _TO_SEND:
                    self._transport.abort()
            elif passed > (_TO_ASK_AGAIN if self._is_believed else _TO_SEND):
                self._transport.close()

    def close_if_idle(self) -> None:
        """Close it, unless somebody waits for an answer, or has begun to ask."""
        if self._task is None and not (self._ready or self._unread or self._is_in_question or self._is_full):
            self._transport.close()

    def abort(self) -> None:
        """Close it."""
        self._transport.abort()

    def _look_at(self, doors: Doors) -> None:
        self._doors = doors
        self._is_believed = doors.believes(self._peer)

    # --- octets → questions --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take *data*."""
        if not self._is_at_rest:
            if not self._is_leaving:
                self._unread += data
                self._go_on()
            return
        front = self._front
        self._since = front.tick
        held = front.seen.get(data)
        if held is None:
            self._read_first(data)
            return
        if self._is_believed and self._doors is front.doors and not front.is_closing:
            sent = self._doors.again(held)
            if sent is not None:
                self._transport.write(sent)
                return
        elif self._doors is not front.doors:
            self._look_at(front.doors)
        self._is_at_rest = False
        sent = self._answer(held.question)
        if sent is not None and self._is_believed:
            self._doors.hold(held, sent)
        self._go_on()

    def _read_first(self, data: bytes) -> None:
        """Take *data*, which begin a question."""
        self._is_at_rest = False
        if len(data) > _LONGEST_SEEN:
            self._unread += data
        else:
            self._read(data)
            if len(self._ready) == 1 and not self._is_in_question:
                first = self._ready[0]
                if not isinstance(first, int):
                    self._front.remember(data, first)
        self._go_on()

    def _go_on(self) -> None:
        """Do what there is to do, in order, until somebody has to be waited for."""
        while self._task is None and not (self._is_full or self._is_leaving):
            if self._ready:
                self._answer(self._ready.popleft())
            elif self._unread:
                piece = bytes(self._unread[:_PIECE])
                del self._unread[:_PIECE]
                self._read(piece)
            elif self._is_at_end:
                self._transport.close()
                return
            elif self._owes_continue:
                self._owes_continue = False
                self._transport.write(_CONTINUE)
            else:
                break
        if self._is_leaving:
            return
        self._is_at_rest = not (self._is_in_question or self._octets or self._task or self._is_full or self._unread)
        if self._is_paused is not bool(self._unread) and not self._transport.is_closing():
            self._is_paused = not self._is_paused
            if self._is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _read(self, piece: bytes) -> None:
        self._octets += len(piece)
        self._status = 400
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            return  # whoever wants another protocol is answered in this one, and that is all
        except httptools.HttpParserError:
            self._give_up()
            return
        if not self._is_in_question:
            if self._octets > _PIECE:  # line breaks, and no question
                self._give_up()
        elif not self._is_head_read and self._octets > self._doors.longest:
            self._status = 431
            self._give_up()
        elif self._octets > self._doors.longest + _MOST_AROUND_BODY:
            self._give_up()

    def _give_up(self) -> None:
        last = self._ready[-1] if self._ready else None
        if last is None or (not isinstance(last, int) and last.stays):
            self._ready.append(self._status)
        self._unread.clear()

    def on_message_begin(self) -> None:
        """Begin a question."""
        self._is_in_question = True
        self._is_head_read = False
        self._headers = []
        self._url = b""
        self._body = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is nothing to act on (RFC 9110 §6.5.1)."""
        if not self._is_head_read:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """End the head."""
        self._is_head_read = True
        if len(self._headers) > _MOST_HEADERS or self._is_long():
            self._status = 431
            raise _NotRead
        if any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers):
            self._owes_continue = True  # RFC 9110 §10.1.1

    def _is_long(self) -> bool:
        longest = self._doors.longest
        if self._octets + _PIECE <= longest:  # some of which the last question may have had
            return False
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers) > longest

    def on_body(self, body: bytes) -> None:
        """Drop a part of the body."""
        self._owes_continue = False
        self._body += len(body)
        if self._body > _MOST_BODY:
            raise _NotRead

    def on_message_complete(self) -> None:
        """End the question."""
        self._is_in_question = self._owes_continue = False
        self._octets = 0
        self._since = self._front.tick
        if self._doors is not self._front.doors:
            self._look_at(self._front.doors)
        parser = self._parser
        stays = parser.should_keep_alive() and not parser.should_upgrade()
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _NotRead
        method, target = parser.get_method().decode("ascii"), self._url.decode("latin-1")
        question = self._doors.question(method, target, self._headers, stays=stays, is_old=version == "1.0")
        self._ready.append(question)

    # --- questions → answers -------------------------------------------------------------------------

    def _answer(self, asked: Question | int) -> bytes | None:
        """Answer it, and return what was sent, if that was possible at once."""
        if isinstance(asked, int):
            self._say(cannot_be_read(asked), stays=False)
            return None
        if asked.stays and (self._front.is_closing or not self._is_believed):
            asked = replace(asked, stays=False)
        answer = self._doors.answer(asked, self._peer, is_believed=self._is_believed)
        if isinstance(answer, bytes):
            self._say(answer, stays=asked.stays)
            return answer
        self._task = asyncio.get_running_loop().create_task(self._answer_later(answer, stays=asked.stays))
        return None

    async def _answer_later(self, answer: Awaitable[bytes], *, stays: bool) -> None:
        octets = await answer
        self._task = None
        if self._is_leaving:
            return
        self._say(octets, stays=stays and not self._front.is_closing)
        self._go_on()

    def _say(self, octets: bytes, *, stays: bool) -> None:
        self._transport.write(octets)
        if not stays:
            self._leave()

    def _leave(self) -> None:
        """Send nothing more, and read on until they have had it: to close at once could take it from them."""
        self._is_leaving = True
        self._is_at_rest = False
        self._since = self._front.tick
        self._ready.clear()
        self._unread.clear()
        if self._is_at_end:
            self._transport.close()
            return
        self._transport.write_eof()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()


class _NotRead(Exception):
    """What comes is not read on."""
