"""A configuration + listening sockets → a service, until it is told to stop; then it finishes what it began."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .front import Front
from .reloading import Build, Reloading, Service

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from .doors import Doors

__all__ = ["Beside", "ForwardAuth", "Served", "Times", "new_loop", "serve"]

Beside: TypeAlias = "Callable[[Service], AbstractAsyncContextManager[object]]"
"""Something else that is served by the same process, and asks ``service.doors.judge`` anew for each request."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LINGER = 0.5
"""Seconds for questions that are on their way while we stop to listen."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take at most; seconds."""

    stop_within: float = 10.0
    """For answering what was asked before the end."""
    look_every: float = 1.0
    """Between two looks at the files of the configuration."""


_USUAL = Times()


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop, of uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(
    build: Build,
    listeners: Sequence[socket.socket],
    *,
    beat: Callable[[], None] = lambda: None,
    beside: Sequence[Beside] = (),
    times: Times = _USUAL,
) -> None:
    """Serve what *build* makes of a configuration on *listeners* until SIGTERM or SIGINT, and read it anew on SIGHUP.

    *beat* is called when all is ready, and then once a second.
    """
    loop = asyncio.get_running_loop()
    reloading = Reloading(build, every=times.look_every)
    stopping = asyncio.Event()
    handlers: dict[int, Callable[[], Any]] = {**dict.fromkeys(_SIGNALS, stopping.set), signal.SIGHUP: reloading.now}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    served = _served(await reloading.first())
    async with AsyncExitStack() as stack:
        for other in beside:
            await stack.enter_async_context(other(served))
        await served.start(listeners, times.stop_within)
        tasks = [loop.create_task(_seconds(served, beat)), loop.create_task(reloading.forever(served))]
        try:
            beat()
            await stopping.wait()
        finally:
            await served.finish(times.stop_within)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    for number in handlers:
        loop.remove_signal_handler(number)


class Served(Service, Protocol):
    """What is served: forward-auth, or the reverse proxy."""

    async def start(self, listeners: Sequence[socket.socket], within: float) -> None:
        """Serve on *listeners*."""
        ...

    def second(self) -> None:
        """Notice that a second has passed."""
        ...

    async def finish(self, within: float) -> None:
        """Finish what was begun *within* seconds, and end."""
        ...


class ForwardAuth(Front):
    """The front, and the servers that take its connections."""

    _servers: Sequence[asyncio.Server] = ()

    async def start(self, listeners: Sequence[socket.socket], within: float) -> None:  # noqa: ARG002 - as others do
        """Serve on *listeners*."""
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self.connection, sock=listener) for listener in listeners]

    async def finish(self, within: float) -> None:
        """Finish what was begun *within* seconds, and end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        for server in self._servers:
            server.close()
        self.close()
        await asyncio.sleep(min(_LINGER, within))
        while self.connections and loop.time() < end:
            self.close_idle()
            await asyncio.sleep(0.02)
        self.abort()
        await asyncio.sleep(0)


def _served(doors: Doors) -> Served:
    if not doors.is_proxy:
        return ForwardAuth(doors)
    from .proxying import Proxying

    return Proxying(doors)


async def _seconds(served: Served, beat: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(1)
        served.second()
        beat()
