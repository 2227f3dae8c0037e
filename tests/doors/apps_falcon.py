"""One guard → the application of the table in Falcon, WSGI and ASGI."""

from __future__ import annotations

import json
from typing import Any

import falcon
import falcon.asgi

from jwt_guard import Guard
from jwt_guard.middleware import asgi, wsgi
from jwt_guard.middleware import falcon as door

from .apps import GUARD, METHODS, PARTS, seen

__all__ = ["app", "app_for", "asgi_app", "asgi_app_for"]


def _echo(_: object, req: falcon.Request, resp: falcon.Response, **__: object) -> None:
    assert req.context.credentials is req.env["jwt_guard"]

    resp.media = seen(req.context.credentials)


async def _echo_async(_: object, req: falcon.asgi.Request, resp: falcon.asgi.Response, **__: object) -> None:
    assert req.context.credentials is req.scope["jwt_guard"]

    resp.media = seen(req.context.credentials)


async def _echo_socket(_: object, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket, **__: object) -> None:
    await ws.accept()
    await ws.send_text(json.dumps(seen(req.context.credentials)))
    await ws.close()


def _resource(echo: Any, **more: Any) -> Any:
    methods = dict.fromkeys([f"on_{method.lower()}" for method in [*METHODS, "HEAD"]], echo)
    return type("Echo", (), {**methods, **more})


def app_for(guard: Guard) -> wsgi.GuardMiddleware:
    """Return a WSGI application behind *guard*."""
    app = falcon.App()
    for path, needed in PARTS.items():
        app.add_route(path, door.requires(*needed)(_resource(_echo))())
    app.add_route("/{path:path}", _resource(_echo)())
    app.add_route("/", _resource(_echo)())
    protected = door.protected(app, guard)

    assert isinstance(protected, wsgi.GuardMiddleware)

    return protected


def asgi_app_for(guard: Guard) -> asgi.GuardMiddleware:
    """Return an ASGI application behind *guard*."""
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    for path, needed in PARTS.items():
        app.add_route(path, door.requires(*needed)(_resource(_echo_async, on_websocket=_echo_socket))())
    app.add_route("/{path:path}", _resource(_echo_async, on_websocket=_echo_socket)())
    app.add_route("/", _resource(_echo_async, on_websocket=_echo_socket)())
    protected = door.protected(app, guard)

    assert isinstance(protected, asgi.GuardMiddleware)

    return protected


app = app_for(GUARD)
asgi_app = asgi_app_for(GUARD)
