"""The guard of the doors → the same small application in FastAPI, behind its middleware or by dependencies alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Security, WebSocket

from jwt_guard import Credentials
from jwt_guard.middleware import fastapi

from .apps import GUARD, METHODS, PARTS, seen

if TYPE_CHECKING:
    from jwt_guard import Guard
    from jwt_guard.middleware.fastapi import Guarded

__all__ = ["alone", "app", "fastapi_app_for"]


def fastapi_app_for(guard: Guard) -> FastAPI:
    """Return a FastAPI application behind *guard*, whose dependencies take what the middleware found."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(fastapi.GuardMiddleware, guard=guard)
    _add_routes(app, fastapi.guarded(guard, optional=True), fastapi.guarded())
    return app


def _alone_app_for(guard: Guard) -> FastAPI:
    """Return one that *guard* looks at in dependencies alone: they always want somebody."""
    app = FastAPI(openapi_url=None)
    guarded = fastapi.guarded(guard)
    _add_routes(app, guarded, guarded)
    return app


def _add_routes(app: FastAPI, everywhere: Guarded, guarded: Guarded) -> None:
    def add(path: str, dependency: Any) -> None:
        async def echo(request: Request, who: Credentials | None = dependency) -> dict[str, Any]:
            assert who is request.state.credentials is request.scope["jwt_guard"]
            assert request.user.is_authenticated is (who is not None)
            return seen(who)

        async def echo_socket(websocket: WebSocket, who: Credentials | None = dependency) -> None:
            assert who is websocket.state.credentials
            await websocket.accept()
            await websocket.send_text(json.dumps(seen(who)))
            await websocket.close()

        app.add_api_route(path, echo, methods=[*METHODS, "HEAD", "get"])
        app.add_api_websocket_route(path, echo_socket)

    for path, needed in PARTS.items():
        add(path, Security(guarded, scopes=list(needed)))
    add("/{path:path}", Security(everywhere))


app = fastapi_app_for(GUARD)
alone = _alone_app_for(GUARD)
