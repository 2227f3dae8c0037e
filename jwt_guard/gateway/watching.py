"""What one process decides → counts, traces and the shadow beside it; and the admin listener that tells of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..observing.counting import Counts, Folder
from ..observing.observer import all_told
from .admin import admin, prometheus
from .shadow import Shadow

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from ..access.guard import Guard
    from ..observing.counting import Tally
    from ..observing.observer import Observer
    from .reloading import Service
    from .serving import Beside
    from .shadow import ShadowSettings

__all__ = ["Watch"]

_EVERY = 1.0
"""Seconds between two times that a process leaves its counts for the others."""


class Watch:
    """What is seen in this process; *folder* is where processes of one service leave what they have counted."""

    def __init__(self, folder: Path | None = None, *, is_counting: bool = True) -> None:
        self.counts: Final = Counts() if is_counting else None
        self._folder = None if folder is None else Folder(folder)

    def observer(self, guard: Guard, shadow: ShadowSettings | None) -> Observer | None:
        """Return who is told of the decisions of *guard*; None where nobody wants to hear of them."""
        observers: list[Observer] = []
        if self.counts is not None:
            observers.append(self.counts)
        traces = _traces()
        if traces is not None:
            observers.append(traces)
        if shadow is not None:
            observers.append(_shadow(guard, shadow))
        return all_told(observers)

    def total(self) -> Tally:
        """Return what was counted in this process, and by all that it shares a folder with."""
        mine = (self.counts or Counts()).tally()
        return mine if self._folder is None else self._folder.total(mine)

    def beside(self, listener: socket.socket) -> Beside:
        """Return what is served on *listener* beside everything else."""

        @asynccontextmanager
        async def served(service: Service) -> AsyncGenerator[None]:
            import uvicorn

            class Server(uvicorn.Server):
                @contextmanager
                def capture_signals(self) -> Generator[None]:  # somebody else minds them
                    yield

            app = admin(
                lambda: service.doors.judge.guard,
                prometheus(self.total),
                is_stopping=lambda: getattr(service, "is_closing", False) is True,
            )
            config = uvicorn.Config(
                app, lifespan="off", ws="none", log_config=None, access_log=False, proxy_headers=False,
                server_header=False, timeout_graceful_shutdown=1,
            )  # fmt: skip
            server = Server(config)
            tasks = [asyncio.create_task(server.serve(sockets=[listener])), asyncio.create_task(self._leave())]
            try:
                yield
            finally:
                server.should_exit = True
                await tasks[0]
                tasks[1].cancel()
                with suppress(asyncio.CancelledError):
                    await tasks[1]

        return served

    async def _leave(self) -> None:
        """Leave what was counted for the others: now and then, and in the end."""
        if self._folder is None or self.counts is None:
            return
        try:
            while True:
                self._folder.leave(self.counts.tally())
                await asyncio.sleep(_EVERY)
        finally:
            self._folder.leave(self.counts.tally())


def _shadow(guard: Guard, settings: ShadowSettings) -> Shadow:
    other = settings.guard
    if settings.file is None:
        other = replace(other, providers=guard.providers)  # which know their keys
    return Shadow(other, per_second=settings.per_second, logged_per_minute=settings.logged_per_minute)


def _traces() -> Observer | None:
    try:
        from ..observing.traces import tracing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return None
    return tracing()
