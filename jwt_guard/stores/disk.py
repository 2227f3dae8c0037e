"""Stored → what a folder of ours has: one small file for each key, written whole or not at all.

A file counts only if nobody else can have written it, and while its time lasts by the wall clock.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import logging
import math
import os
import re
import stat
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import StoreFailed, shown
from ..flow import Entry

if TYPE_CHECKING:
    from ..flow import Stored

__all__ = ["DEADLINE", "LIMIT", "FolderStore"]

DEADLINE: Final = 1.0
"""Seconds for which anybody waits for a disk; what takes longer goes on, unwaited for."""
LIMIT: Final = 1_048_576
"""Octets of a value; a longer one is neither written nor read."""

_HEADER = re.compile(rb"jwt_guard 1 (?P<expiry>[0-9]{1,15}) (?P<lifetime>[0-9]{1,15}) (?P<digest>[0-9a-f]{64})\n")
_LONGEST_HEADER = 128
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LONGEST = 10**12  # seconds
_ABANDONED = 3600.0  # seconds after which nobody is still writing a draft

_Work: TypeAlias = "tuple[Future[Entry | bool | None], Stored]"

_log = logging.getLogger("jwt_guard")


class FolderStore:
    """One folder, for ourselves alone, and the thread that reads and writes in it."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        """Touch nothing yet; *clock* is the wall clock, since it has to outlive us."""
        self._folder = Path(os.fsdecode(unquote_to_bytes(urlsplit(url).path)))
        self._clock = clock
        self._warned: set[str] = set()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._hanging: Future[Entry | bool | None] | None = None

    async def ask(self, need: Stored) -> Entry | bool | None:
        """Answer *need* off the loop.  Raises StoreFailed."""
        if self._hanging is not None and not self._hanging.done():
            raise StoreFailed("the folder still does not answer")
        future = self._submitted(need)
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not future.cancel():  # it is this one that the disk does not answer
                self._hanging = future
            self._warn("does not answer")
            raise StoreFailed("the folder does not answer") from None

    async def close(self) -> None:
        """Let go of the thread, which ends when it has done what it is at."""
        self._work.put(None)

    def _submitted(self, need: Stored) -> Future[Entry | bool | None]:
        # A thread of its own: a disk that hangs holds up no look-up of a name, which the loop's threads are for.  A
        # daemon, so that it does not hold up the end of the process either: what it leaves is a draft at most.
        if self._thread is None:
            self._thread = Thread(target=_serve, args=(self._work, self.answer), name="jwt_guard disk", daemon=True)
            self._thread.start()
        future: Future[Entry | bool | None] = Future()
        self._work.put((future, need))
        return future

    def answer(self, need: Stored) -> Entry | bool | None:
        """Answer *need*, blocking.  Raises StoreFailed."""
        try:
            match need.command:
                case "read":
                    return self._read(need.key)
                case "write":
                    self._write(need.key, need.value, need.lifetime)
                    return None
                case "claim":
                    raise StoreFailed("a folder takes no claims")
                case "append" | "since":
                    raise StoreFailed("a folder takes no lines")
        except OSError as error:
            reason = f"{type(error).__name__}: {error.strerror}"
            self._warn(f"fails to {need.command} ({reason})")
            raise StoreFailed(f"the folder fails ({reason})") from None

    def _read(self, key: str) -> Entry | None:
        try:
            with self._opened() as folder:
                return _entry(key, _content(folder, _file(key)), self._clock())
        except FileNotFoundError:
            return None
        except _NotOurs as reason:
            self._warn(f"has {_file(key)}, which is not read: {reason}")
            return None

    def _write(self, key: str, value: bytes, lifetime: float) -> None:
        if len(value) > LIMIT:
            raise StoreFailed(f"a value has at most {LIMIT} octets")
        seconds = math.ceil(min(lifetime, _LONGEST))
        expiry = math.floor(self._clock() + min(lifetime, _LONGEST))
        header = b"jwt_guard 1 %d %d %s\n" % (expiry, seconds, _digest(key, expiry, seconds, value))
        self._make()
        try:
            with self._opened() as folder:
                _put(folder, _file(key), header + value)
                self._sweep(folder, _file(key))
        except _NotOurs as reason:
            self._warn(f"is not written to: {reason}")
            raise StoreFailed(f"the folder is not written to: {reason}") from None

    def _make(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            return
        self._folder.chmod(0o700)  # whatever the umask took away

    @contextmanager
    def _opened(self) -> Generator[int]:
        """Give the folder, if nobody else can put files into it, whatever its name leads to later."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid():
                raise _NotOurs("the folder is somebody else's")
            if status.st_mode & _OTHERS_WRITE:
                raise _NotOurs("others may write to the folder")
            yield folder
        finally:
            os.close(folder)

    def _sweep(self, folder: int, name: str) -> None:
        """Remove what writers of *name* have left who were ended in the midst of it."""
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(f".{name}."):
                    written = entry.stat(follow_symlinks=False).st_mtime
                    if self._clock() - written > _ABANDONED:
                        os.unlink(entry.name, dir_fd=folder)

    def _warn(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _log.warning("the folder %s %s", shown(str(self._folder)), what)


class _NotOurs(Exception):
    """Why a file does not count, or a folder is not used."""


def _serve(work: SimpleQueue[_Work | None], answer: Callable[[Stored], Entry | bool | None]) -> None:
    while (taken := work.get()) is not None:
        future, need = taken
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(answer(need))
            except BaseException as error:  # noqa: BLE001 - whoever asked is told
                future.set_exception(error)


def _put(folder: int, name: str, content: bytes) -> None:
    """Write the file *name*, which is there as a whole or not at all."""
    draft = f".{name}.{token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the mode is given above, before there is a file
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(descriptor)  # before it gets its name, which is then that of a whole file
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)  # in the folder that was judged
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


def _content(folder: int, name: str) -> bytes:
    """Return what is in the file *name*, if nobody else can have written it.  Raises _NotOurs."""
    try:
        # Without waiting for the other end of a pipe, and following no link that somebody has put there.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _NotOurs("it is a link") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _NotOurs("it is no file")
        if status.st_uid != os.geteuid():
            raise _NotOurs("it is somebody else's")
        if status.st_mode & _OTHERS:
            raise _NotOurs("others may read or write it")
        with open(descriptor, "rb", closefd=False) as file:  # what was judged is what is read
            return file.read(_LONGEST_HEADER + LIMIT + 1)
    finally:
        os.close(descriptor)


def _entry(key: str, content: bytes, now: float) -> Entry | None:
    """Return what is in *content*, None where its time is over.  Raises _NotOurs."""
    header = _HEADER.match(content[:_LONGEST_HEADER])
    if header is None:
        raise _NotOurs("nothing of ours, or of another version, is in it")
    value = content[header.end() :]
    if len(value) > LIMIT:
        raise _NotOurs("it is too long")
    expiry, lifetime = int(header["expiry"]), int(header["lifetime"])
    if not hmac.compare_digest(_digest(key, expiry, lifetime, value), header["digest"]):
        raise _NotOurs("it has been changed, or was not written to its end")
    remaining = expiry - now
    if remaining > lifetime:
        raise _NotOurs("it comes from the future")
    return Entry(value, remaining) if remaining > 0 else None


def _digest(key: str, expiry: int, lifetime: int, value: bytes) -> bytes:
    """Return what shows that *value* is whole and in its own place: no secret, since the folder is the protection."""
    name = _hashed(key)
    return hashlib.sha256(b"%s %d %d\n%s" % (name.encode(), expiry, lifetime, value)).hexdigest().encode()


def _file(key: str) -> str:
    return f"{_hashed(key)}.jwt_guard"


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
