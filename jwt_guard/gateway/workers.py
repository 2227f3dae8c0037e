"""One process → several that listen on the same sockets, and one that minds them."""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from .systemd import notify, watchdog_seconds

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Beat", "Work", "supervise"]

_log = logging.getLogger("jwt_guard")
Beat: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[Beat], int]
"""What a worker does, until SIGTERM; it calls what it is given once it is ready, and then as long as it is alive.

Where that finds nobody who hears it, it raises SIGTERM.
"""

_STOP = (signal.SIGTERM, signal.SIGINT)
_ALL = (*_STOP, signal.SIGHUP, signal.SIGCHLD)
_PAUSE = 1.0
"""Seconds between two starts of a worker that does not stay."""
_TURN = 0.5


@dataclass(slots=True)
class _Worker:
    pid: int
    pipe: int
    began: float
    last_beat: float | None = None


def supervise(number: int, work: Work, *, stop_within: float, ready: Callable[[], None]) -> int:
    """Have *number* processes do *work* until SIGTERM or SIGINT; one that ends is started again.

    SIGHUP is passed on.  Who does not stop *within* that many seconds, and some more, is killed.  *ready* is called
    when each of them is ready for the first time.  Where this process is killed, they stop by themselves.  Return the
    exit status.
    """
    return _Supervisor(number, work, stop_within, ready).run()


class _Supervisor:
    def __init__(self, number: int, work: Work, stop_within: float, ready: Callable[[], None]) -> None:
        self._number: Final = number
        self._work: Final = work
        self._stop_within: Final = stop_within
        self._ready: Final = ready
        self._is_ready = False
        self._workers: dict[int, _Worker] = {}
        self._begin_again_at = 0.0
        self._stop_at: float | None = None
        self._wake, self._waker = os.pipe()
        self._watchdog = watchdog_seconds()
        self._last_sign = 0.0

    def run(self) -> int:
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        before = [signal.signal(number, _noted) for number in _ALL]
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            while self._stop_at is None or self._workers:
                self._turn()
        finally:
            for worker in self._workers.values():
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            for number, handler in zip(_ALL, before, strict=True):
                signal.signal(number, handler)
            os.close(self._wake)
            os.close(self._waker)
        return 0

    def _turn(self) -> None:
        now = time.monotonic()
        if self._stop_at is None:
            if now >= self._begin_again_at:
                while len(self._workers) < self._number:
                    self._begin(now)
        elif now > self._stop_at:
            self._tell(signal.SIGKILL)
        pipes = {worker.pipe: worker for worker in self._workers.values()}
        readable, _, _ = select.select([self._wake, *pipes], [], [], _TURN)
        now = time.monotonic()
        for end in readable:
            if end == self._wake:
                self._act_on(os.read(end, 1_024), now)
            elif os.read(end, 1_024):
                pipes[end].last_beat = now
        self._reap()
        self._give_sign(now)

    def _begin(self, now: float) -> None:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(read)
                signal.set_wakeup_fd(-1)
                for number in _ALL:
                    signal.signal(number, signal.SIG_DFL)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read anew
                for worker in self._workers.values():
                    os.close(worker.pipe)
                os.environ.pop("NOTIFY_SOCKET", None)  # one of us speaks for all
                status = self._work(_beating(write))
            except BaseException as error:  # noqa: BLE001 - nothing of ours may run on in the child
                _log.error("a worker ended with %s", type(error).__name__)
            finally:
                os._exit(status)
        os.close(write)
        self._workers[pid] = _Worker(pid, read, now)

    def _act_on(self, signals: bytes, now: float) -> None:
        if signal.SIGHUP in signals:
            self._tell(signal.SIGHUP)
        if self._stop_at is None and any(number in signals for number in _STOP):
            notify("STOPPING=1")
            self._stop_at = now + self._stop_within + _PAUSE
            self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    def _reap(self) -> None:
        for worker in tuple(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid == 0:
                continue
            del self._workers[pid]
            os.close(worker.pipe)
            if self._stop_at is None:
                _log.error("a worker ended with %d, and is started again", os.waitstatus_to_exitcode(status))
                self._begin_again_at = max(self._begin_again_at, worker.began + _PAUSE)

    def _give_sign(self, now: float) -> None:
        beats = [worker.last_beat for worker in self._workers.values() if worker.last_beat is not None]
        if not self._is_ready and len(beats) == self._number:
            self._is_ready = True
            self._ready()
        if self._watchdog is None or not self._is_ready or now < self._last_sign + self._watchdog / 3:
            return
        if all(now - beat < self._watchdog for beat in beats):
            self._last_sign = now
            notify("WATCHDOG=1")


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Leave it to the pipe that wakes us."""


def _beating(pipe: int) -> Beat:
    """Return what writes to *pipe*, and ends this process as SIGTERM does when nobody reads there any more."""
    os.set_blocking(pipe, False)
    is_minded = True

    def beat() -> None:
        nonlocal is_minded
        try:
            os.write(pipe, b".")
        except BlockingIOError:  # it has been told often enough
            return
        except BrokenPipeError:
            if is_minded:
                is_minded = False
                _log.error("whoever minds the workers is gone, so that this one ends")
                signal.raise_signal(signal.SIGTERM)

    return beat
