"""AuditEvents → a file, a line each, or a FHIR server that keeps them; or a word that they could not be kept."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp

from ..errors import Unavailable
from .documents import written
from .outcome import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AuditFile", "AuditServer", "AuditTrail", "Unrecorded"]

_log = logging.getLogger("jwt_guard")
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_MODE: Final = 0o600
_TRIES: Final = 3
_PAUSE: Final = 1.0
_PATIENCE: Final = 10.0
_BETWEEN_WORDS: Final = 60.0
"""Seconds between two lines in the log that say how many events were lost."""


class Unrecorded(Unavailable):
    """What was decided could not be recorded, and nothing may happen here without that."""


class AuditTrail(Protocol):
    """Where AuditEvents are kept."""

    def record(self, event: Mapping[str, Any]) -> None:
        """Keep *event*; Unrecorded where that is not possible and has to be."""
        ...

    async def close(self) -> None:
        """Keep what is still to be kept, and end."""
        ...


class _Losing:
    """Says of events that are lost how many they are, now and then; with *required* none may be."""

    def __init__(self, where: str, *, required: bool) -> None:
        self._where = where
        self._required = required
        self._lost = 0
        self._said = -_BETWEEN_WORDS

    def lost(self, reason: str, *, could_refuse: bool = True) -> None:
        """Note that one is lost; raises Unrecorded where it may not be, and its request can still be refused."""
        self._lost += 1
        now = time.monotonic()
        if now - self._said >= _BETWEEN_WORDS:
            _log.error("%d audit events are not kept in %s: %s", self._lost, self._where, reason)
            self._lost, self._said = 0, now
        if self._required and could_refuse:
            raise Unrecorded("the audit event could not be kept")


class AuditFile:
    """A file that each event is added to as one line of JSON, by one write, so that several processes may share it.

    It is made readable for its owner alone, and when somebody has moved it away there is a new one.  With *required*
    nothing is answered that could not be recorded.
    """

    def __init__(self, path: Path, *, required: bool = False) -> None:
        self._path = path
        self._losing = _Losing(str(path), required=required)
        self._file: int | None = None

    def record(self, event: Mapping[str, Any]) -> None:
        """Keep *event*; Unrecorded where that is not possible and has to be."""
        line = written(dict(event)) + b"\n"
        try:
            number = os.write(self._opened(), line)
        except OSError as error:
            self._close()
            self._losing.lost(error.strerror or "it cannot be written")
            return
        if number < len(line):  # the disk is full in the midst of it
            with suppress(OSError):
                os.write(self._opened(), b"\n")
            self._losing.lost("there was room for a part of it alone")

    def _opened(self) -> int:
        if self._file is not None and not self._is_here(self._file):
            self._close()
        if self._file is None:
            self._file = os.open(self._path, _FLAGS, _MODE)
        return self._file

    def _is_here(self, file: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(file))
        except OSError:
            return False

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    async def close(self) -> None:
        """Close the file."""
        self._close()


class AuditServer:
    """A FHIR server at *url* that each event is posted to in the background, *waiting* of them at most.

    *authorization* is the value of that header.  With *required* nothing is answered whose event finds no room.  It
    belongs to the event loop that it is first used in.
    """

    def __init__(
        self, url: str, *, authorization: str | None = None, waiting: int = 1_000, required: bool = False
    ) -> None:
        self._url = f"{url.rstrip('/')}/AuditEvent"
        self._headers = {"content-type": JSON, "accept": JSON, "prefer": "return=minimal"}
        if authorization is not None:
            self._headers["authorization"] = authorization
        self._waiting = waiting
        self._losing = _Losing(url, required=required)
        self._queue: asyncio.Queue[bytes | None] | None = None
        self._sending: asyncio.Task[None] | None = None

    def record(self, event: Mapping[str, Any]) -> None:
        """Have *event* sent; Unrecorded where there is no room for it and there has to be."""
        if self._queue is None:
            self._queue = asyncio.Queue(self._waiting)
            self._sending = asyncio.get_running_loop().create_task(self._send(self._queue))
        try:
            self._queue.put_nowait(written(dict(event)))
        except asyncio.QueueFull:
            self._losing.lost("it takes fewer than there are")

    async def close(self) -> None:
        """Send what waits, as long as that takes no longer than an event may, and end."""
        queue, sending, self._queue, self._sending = self._queue, self._sending, None, None
        if queue is None or sending is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await queue.put(None)
                await asyncio.shield(sending)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        for _ in range(queue.qsize()):
            if queue.get_nowait() is not None:
                self._losing.lost("there was no time left", could_refuse=False)

    async def _send(self, queue: asyncio.Queue[bytes | None]) -> None:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_PATIENCE), trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            while True:
                event = await queue.get()
                if event is None:
                    return
                reason = await self._sent(session, event)
                if reason is not None:
                    self._losing.lost(reason, could_refuse=False)

    async def _sent(self, session: aiohttp.ClientSession, event: bytes) -> str | None:
        """Return why *event* was not taken after some tries, None where it was."""
        reason = ""
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE * number)
            try:
                async with session.post(self._url, data=event, headers=self._headers, allow_redirects=False) as answer:
                    if answer.status // 100 == 2:  # noqa: PLR2004 - RFC 9110 §15.3
                        return None
                    reason = f"it answered {answer.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = type(error).__name__
        return reason
