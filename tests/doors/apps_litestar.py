"""One guard → the application of the table in Litestar."""

from __future__ import annotations

import json
from typing import Any

from litestar import Litestar, Request, WebSocket, head, route
from litestar.handlers import WebsocketRouteHandler

from jwt_guard import Guard
from jwt_guard.middleware import litestar

from .apps import GUARD, METHODS, PARTS, seen

__all__ = ["app", "app_for"]


def app_for(guard: Guard) -> Litestar:
    """Return a Litestar application behind *guard*."""

    async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
        assert request.user is request.scope["jwt_guard"]  # type: ignore[typeddict-item] # which is ours
        assert request.auth is (request.user and request.user.claims)

        return seen(request.user)

    async def nothing() -> None:
        """Answer a HEAD."""

    async def echo_socket(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text(json.dumps(seen(socket.user)))
        await socket.close()

    methods: Any = METHODS
    handlers: list[Any] = []
    for path, needed in {**PARTS, "/": (), "/{path:path}": ()}.items():
        guards = [litestar.requires(*needed)] if needed else []
        handlers += [
            route(path, http_method=methods, status_code=200, guards=guards, name=path)(echo),
            head(path, guards=guards, name=f"HEAD {path}")(nothing),
            WebsocketRouteHandler(path, guards=guards, name=f"socket {path}")(echo_socket),
        ]
    return litestar.protected(Litestar(handlers, openapi_config=None, logging_config=None), guard)


app = app_for(GUARD)
