"""One guard → the application of the table in Sanic, and its own server with it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from sanic import HTTPResponse, Request, Sanic
from sanic import json as json_response

from jwt_guard import Guard
from jwt_guard.middleware import sanic
from tests.support.loopback import Loopback

from .apps import GUARD, METHODS, PARTS, seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["app_for", "ask", "ask_websocket", "serving", "socket_app_for"]


def _bare_app(name: str) -> Sanic[Any, Any]:
    Sanic.test_mode = True  # so that an application may be made twice
    app = Sanic(name, configure_logging=False)
    app.config.MOTD = False
    app.config.TOUCHUP = False  # which rewrites Sanic's own classes, and once in a process at most
    return app


def app_for(guard: Guard, name: str = "doors") -> Sanic[Any, Any]:
    """Return a Sanic application behind *guard*."""
    app = _bare_app(name)
    sanic.GuardExtension(app, guard)

    async def echo(request: Request[Any, Any], path: str = "") -> HTTPResponse:
        return json_response(seen(request.ctx.credentials))

    handlers = {**{path: sanic.requires(*needed)(echo) for path, needed in PARTS.items()}, "/": echo}
    for number, (path, handler) in enumerate({**handlers, "/<path:path>": echo}.items()):
        app.add_route(handler, path, methods=[*METHODS, "HEAD"], name=f"echo{number}")
    return app


def socket_app_for(guard: Guard, name: str = "sockets") -> Sanic[Any, Any]:
    """Return a Sanic application behind *guard* that has websockets alone."""
    app = _bare_app(name)
    sanic.GuardExtension(app, guard)

    async def echo_socket(request: Request[Any, Any], websocket: Any, path: str = "") -> None:
        await websocket.send(json.dumps(seen(request.ctx.credentials)))

    handlers = {**{path: sanic.requires(*needed)(echo_socket) for path, needed in PARTS.items()}, "/": echo_socket}
    for number, (path, handler) in enumerate({**handlers, "/<path:path>": echo_socket}.items()):
        app.add_websocket_route(handler, path, name=f"echo{number}")
    return app


def serving(app: Callable[[], Sanic[Any, Any]]) -> Callable[[], Awaitable[int]]:
    """Return what starts a server with the application that *app* makes, and returns its port."""

    async def start() -> int:
        made = app()
        listener = socket.create_server(("127.0.0.1", 0))
        server: Any = await made.create_server(sock=listener, return_asyncio_server=True, access_log=False)
        await server.startup()
        await server.before_start()
        await server.start_serving()
        await server.after_start()
        return int(listener.getsockname()[1])

    return start


_server = Loopback(serving(lambda: app_for(GUARD)))
_sockets = Loopback(serving(lambda: socket_app_for(GUARD)))
ask = _server.ask
ask_websocket = _sockets.shake_hands
