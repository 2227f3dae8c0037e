"""The one thread of this process that talks to issuers: an event loop that nobody's request runs on.

Every fetch happens here, whichever framework asked: so one is under way at a time for each key source, no
application loop is ever blocked by TLS or JSON, and a deadline bounds the whole of it.  After a fork the
child starts a thread of its own when it first needs one.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BACKGROUND", "Background"]

T = TypeVar("T")
_log = logging.getLogger("jwt_guard")


class Background:
    """An event loop in a daemon thread, started when first used."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._under_way: dict[object, Future[None]] = {}

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run *work* there; the future is for any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._started())

    def alone(self, key: object, work: Callable[[], Coroutine[Any, Any, None]]) -> Future[None]:
        """Run *work* there unless one with this *key* is under way; return the future of whichever runs."""
        with self._lock:
            future = self._under_way.get(key)
        if future is not None:
            return future
        loop = self._started()
        with self._lock:
            future = self._under_way.get(key)
            if future is None:
                future = asyncio.run_coroutine_threadsafe(self._logged(work), loop)
                self._under_way[key] = future
                future.add_done_callback(lambda _: self._under_way.pop(key, None))
        return future

    async def _logged(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception:
            # A bug of ours: whoever waits looks again and finds no key; the log has to say why.
            _log.exception("work in the background failed")

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="jwt_guard", daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """End the thread; it starts again when it is needed again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(1)
            if not thread.is_alive():
                loop.close()


BACKGROUND = Background()
os.register_at_fork(after_in_child=BACKGROUND._forget)  # noqa: SLF001 - the thread did not come along
atexit.register(BACKGROUND.stop)
