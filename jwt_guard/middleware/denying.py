"""A refusal inside an ASGI framework that would only close its websocket → the answer to the handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import asgi

if TYPE_CHECKING:
    from ..messages import Response

__all__ = ["deny", "denying"]

_DENIED = "jwt_guard.denied"


def denying(scope: asgi.Scope, send: asgi.Send) -> asgi.Send:
    """Return *send*, which answers a handshake with what :func:`deny` was given instead of closing without a word."""
    denied: list[Response] = []
    scope[_DENIED] = denied

    async def sending(message: asgi.Message) -> None:
        if message["type"] == "websocket.accept":
            scope.pop(_DENIED, None)
        if message["type"] == "websocket.close" and denied and _DENIED in scope:
            await asgi.answer(denied[0], scope, _asked, send)
        else:
            await send(message)

    return sending


async def _asked() -> asgi.Message:
    return {"type": "websocket.connect"}  # the framework has taken it from the server already


def deny(scope: asgi.Scope, response: Response) -> None:
    """Let *response* be the answer when the framework closes the websocket of *scope* before accepting it."""
    denied: list[Response] | None = scope.get(_DENIED)
    if denied is not None:
        denied.append(response)
