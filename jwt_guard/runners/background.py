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
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..flow import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BACKGROUND", "Background"]

T = TypeVar("T")
_log = logging.getLogger("jwt_guard")
_END = "interpreter shutdown"  # in what Python says of threads and futures then; there is no public way to ask


class Background:
    """An event loop in a daemon thread, started when first used."""

    def __init__(self) -> None:
        self._left_behind: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._warm: Future[None] | None = None
        self._under_way: dict[object, Future[None]] = {}

    def warmed(self) -> Future[None]:
        """Return what is done when all that a fetch needs is loaded: on a busy machine that outlasts a deadline."""
        with self._lock:
            if self._warm is None or self._warm.cancelled():
                self._warm = self._submitted(_load())
            return self._warm

    def submit(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> Future[T]:
        """Run *work* there, in *context* if that is given; the future is for any thread."""
        with self._lock:
            return self._submitted(work, context)

    def alone(self, key: object, work: Callable[[], Coroutine[Any, Any, None]]) -> Future[None]:
        """Run *work* there unless one with this *key* is under way; return the future of whichever runs."""
        with self._lock:
            future = self._under_way.get(key)
            if future is not None and not future.done():
                return future
            future = self._under_way[key] = self._submitted(self._logged(work))
        future.add_done_callback(partial(self._over, key))
        return future

    def is_here(self) -> bool:
        """Say whether the caller runs on this thread, where waiting for it would never end."""
        return threading.current_thread() is self._thread

    def _over(self, key: object, future: Future[None]) -> None:
        with self._lock:
            if self._under_way.get(key) is future:  # else the next one has begun already
                del self._under_way[key]

    async def _logged(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - logged, and nobody else hears of it
            if isinstance(error, RuntimeError) and _END in str(error):
                return  # the process ends, which starts no thread any more; nobody needs what was left to be done
            # A bug of ours: whoever waits looks again and finds no key; the log has to say why.
            _log.exception("work in the background failed")

    def _submitted(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> Future[T]:
        # Under the lock, so that a loop that stop() has taken away gets no more work.
        try:
            # In an empty context: that of a caller on trio would say that this were trio, too.
            return (context or Context()).run(asyncio.run_coroutine_threadsafe, work, self._started())
        except BaseException:
            work.close()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop,), name="jwt_guard", daemon=True)
            try:
                thread.start()
            except BaseException:
                loop.close()
                raise
            self._loop, self._thread = loop, thread
        return self._loop

    def stop(self) -> None:
        """End the thread and what it does; it starts again when it is needed again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(1)  # it is a daemon: what does not end cannot keep the process

    def begin_in_child(self) -> None:
        """Begin anew after a fork: the thread did not come along, and its lock may be held for ever.

        The parent's loop is kept, since closing it would also end what the parent waits for: they share
        one ``epoll``.
        """
        self._left_behind.append((self._loop, self._under_way))
        self._begin()


async def _load() -> None:
    from .fetching import context

    context(Trust())


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.run_forever()
            break
        except BaseException:  # noqa: BLE001 - logged, and the caller is told
            # A user's async function called sys.exit(), say.  Its caller is told; everybody else still needs keys.
            _log.exception("work in the background tried to end its thread")
    try:
        loop.run_until_complete(asyncio.sleep(0))  # what was submitted last begins, so that it can be cancelled
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


BACKGROUND = Background()
os.register_at_fork(after_in_child=BACKGROUND.begin_in_child)
atexit.register(BACKGROUND.stop)
