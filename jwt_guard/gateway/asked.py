"""A question that comes over ASGI, where a proxy stands → the same answer as at the doors without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import Response
from ..middleware.asgi import answer
from .doors import AUTH
from .original import EXT_AUTHZ

if TYPE_CHECKING:
    from ..middleware.asgi import Receive, Scope, Send
    from .doors import Doors

__all__ = ["answer_asked", "is_question"]


def is_question(path: str) -> bool:
    """Say whether *path* is that of a door at which gateways ask."""
    return any(path == door or path.startswith(f"{door}/") for door in (AUTH, EXT_AUTHZ))


async def answer_asked(doors: Doors, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the request of *scope* as *doors* do."""
    raw: bytes = scope["raw_path"].partition(b"?")[0]
    query: bytes = scope.get("query_string", b"")
    target = (raw + b"?" + query if query else raw).decode("latin-1")
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    is_old = scope.get("http_version") == "1.0"
    question = doors.question(scope["method"], target, headers, stays=True, is_old=is_old)
    client = scope.get("client")
    peer = client[0] if client else None
    answered = doors.answer(question, peer, is_believed=doors.believes(peer))
    octets = answered if isinstance(answered, bytes) else await answered
    await answer(_response(octets), scope, receive, send)


def _response(octets: bytes) -> Response:
    """Return what :func:`~jwt_guard.gateway.doors.octets` has written."""
    head, _, body = octets.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    headers = tuple((name, value) for name, _, value in pairs if name != "connection")
    return Response(int(status.split(" ")[1]), headers, body)
