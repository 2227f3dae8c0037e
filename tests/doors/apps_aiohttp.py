"""One guard → the application of the table in aiohttp, and its own server with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from jwt_guard import Guard
from jwt_guard.middleware import aiohttp
from tests.support.loopback import Loopback

from .apps import GUARD, METHODS, PARTS, seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["app_for", "ask", "ask_websocket", "serving"]


def app_for(guard: Guard) -> web.Application:
    """Return an aiohttp application behind *guard*."""

    async def echo(request: web.Request) -> web.StreamResponse:
        text = json.dumps(seen(request[aiohttp.CREDENTIALS]))
        if "Upgrade" not in request.headers:
            return web.json_response(text=text)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(text)
        await socket.close()
        return socket

    app = web.Application(middlewares=[aiohttp.GuardMiddleware(guard)])
    handlers = {**{path: aiohttp.requires(*needed)(echo) for path, needed in PARTS.items()}, "/{path:.*}": echo}
    for path, handler in handlers.items():
        for method in (*METHODS, "HEAD"):
            app.router.add_route(method, path, handler)
    return app


def serving(app: Callable[[], web.Application]) -> Callable[[], Awaitable[int]]:
    """Return what starts a server with the application that *app* makes, and returns its port."""

    async def start() -> int:
        runner = web.AppRunner(app(), access_log=None, max_field_size=32_768)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address: Any = runner.addresses[0]
        return int(address[1])

    return start


_server = Loopback(serving(lambda: app_for(GUARD)))
ask = _server.ask
ask_websocket = _server.shake_hands
