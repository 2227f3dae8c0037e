"""One guard → the application of the table in Quart."""

from __future__ import annotations

import json
from typing import Any

from quart import Quart, g, request, websocket

from jwt_guard import Guard
from jwt_guard.middleware import quart

from .apps import GUARD, METHODS, PARTS, seen

__all__ = ["app", "app_for"]


def app_for(guard: Guard) -> Quart:
    """Return a Quart application behind *guard*."""
    app = Quart("doors")
    quart.GuardExtension(app, guard)

    async def echo(path: str = "") -> dict[str, Any]:
        assert g.credentials is request.scope["jwt_guard"]  # type: ignore[typeddict-item] # which is ours

        return seen(g.credentials)

    async def echo_socket(path: str = "") -> None:
        await websocket.accept()
        await websocket.send(json.dumps(seen(g.credentials)))

    def add(path: str, name: str, view: Any, socket: Any) -> None:
        app.add_url_rule(path, name, view, methods=METHODS, provide_automatic_options=False)
        app.add_websocket(path, f"{name} socket", socket)

    for path, needed in PARTS.items():
        ask = quart.requires(*needed)
        add(path, path, ask(echo), ask(echo_socket))
    add("/", "root", echo, echo_socket)
    add("/<path:path>", "echo", echo, echo_socket)
    return app


app = app_for(GUARD)
