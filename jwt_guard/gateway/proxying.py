"""Doors → the reverse proxy that stands at them, served by uvicorn: with the guard of the last good configuration."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from .framing import server_options

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Sequence

    from ..middleware.asgi import Receive, Scope, Send
    from .doors import Doors
    from .proxy import Proxy

__all__ = ["Proxying"]


class Proxying:
    """The reverse proxy, whose configuration may be swapped; what has begun goes on as it was begun."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors
        self.is_closing = False
        self._current = _Standing(doors)
        self._standing: Final[set[_Standing]] = {self._current}
        self._serving: asyncio.Task[None] | None = None
        self._server: _Server | None = None

    def swap(self, doors: Doors) -> None:
        """Have every request from now on answered as *doors* say."""
        before, self._current = self._current, _Standing(doors)
        self.doors = doors
        self._standing.add(self._current)
        before.leave()
        self._standing.difference_update([one for one in self._standing if one.has_left])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._current(scope, receive, send)

    def second(self) -> None:
        """Do nothing: the server has clocks of its own."""

    async def start(self, listeners: Sequence[socket.socket], within: float) -> None:
        """Serve on *listeners*; *within* is how long it may take, in the end, to finish what was begun."""
        options: dict[str, Any] = {**server_options(), "lifespan": "off", "log_config": None}
        config = uvicorn.Config(self, timeout_graceful_shutdown=max(1, round(within)), **options)
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=list(listeners)))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)

    async def finish(self, within: float) -> None:  # noqa: ARG002 - which was said at the start
        """Finish what was begun, in the time that the server was given, and end."""
        self.is_closing = True
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._current.leave()
        await asyncio.gather(*(one.left() for one in self._standing))


class _Standing:
    """The proxy of one configuration, which closes what it holds when nobody needs it any more."""

    def __init__(self, doors: Doors) -> None:
        self._app: Any = doors.application()
        self._under_way = 0
        self._is_leaving = False
        self._closing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            self._close_if_over()

    @property
    def has_left(self) -> bool:
        return self._closing is not None and self._closing.done()

    def leave(self) -> None:
        self._is_leaving = True
        self._close_if_over()

    async def left(self) -> None:
        if self._closing is not None:
            await self._closing

    def _close_if_over(self) -> None:
        if self._is_leaving and self._under_way == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(cast("Proxy", self._app.app).close())


class _Server(uvicorn.Server):
    """uvicorn, where somebody else minds the signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them."""
        yield
