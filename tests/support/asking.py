"""A guard and a raw request → the answer of the ASGI or the WSGI door, byte for byte as a server would call it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from jwt_guard import current
from jwt_guard.access.guard import Guard
from jwt_guard.middleware.asgi import GuardMiddleware as AsgiGuard
from jwt_guard.middleware.wsgi import GuardMiddleware as WsgiGuard

from .minting import SAID

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back, and whether the application was asked at all."""

    status: int
    headers: dict[str, str]
    body: bytes
    reached: bool
    user: str | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def public(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """What a stranger can tell apart: everything but the id of this one answer."""
        body = json.loads(self.body)
        assert isinstance(body.pop("id"), str)
        return self.status, self.headers, body


def bearer(token: str) -> Headers:
    return [("authorization", f"Bearer {token}")]


def through_asgi(guard: Guard, headers: Headers = (), method: str = "GET", path: str = "/", **scope: Any) -> Answer:
    """Ask an application behind the ASGI door; *path* is as on the wire, *scope* adds to the scope."""
    sent: list[dict[str, Any]] = []
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        who = current()
        seen.append(who and who.user)
        assert who is scope["jwt_guard"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if scope.get("type") == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    raw = path.encode("latin-1")
    whole: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "replace"),
        "raw_path": raw.partition(b"?")[0],
        "query_string": raw.partition(b"?")[2],
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "root_path": "",
        **scope,
    }
    asyncio.run(AsgiGuard(app, guard)(whole, receive, send))
    first: dict[str, Any] = next((message for message in sent if "status" in message), {"status": 0})
    pairs: list[tuple[bytes, bytes]] = first.get("headers", [])
    found = {name.decode(): value.decode() for name, value in pairs}
    body = b"".join(message.get("body", b"") for message in sent)
    SAID.append(f"{found}{body!r}")
    return Answer(first["status"], found, body, bool(seen), seen[0] if seen else None, sent)


def through_wsgi(guard: Guard, headers: Headers = (), method: str = "GET", path: str = "/", **environ: Any) -> Answer:
    """Ask an application behind the WSGI door; headers of one name are joined as servers join them."""
    started: list[Any] = []
    seen: list[str | None] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        who = current()
        seen.append(who and who.user)
        assert who is environ["jwt_guard"]
        start_response("200 OK", [])
        return [b"{}"]

    def start_response(status: str, headers: Any, _error: Any = None) -> Any:
        started.append((int(status[:3]), {name.lower(): value for name, value in headers}))

    sent = path.partition("?")
    whole: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(sent[0]).decode("latin-1"),
        "QUERY_STRING": sent[2],
        "REQUEST_URI": path,
        "HTTP_HOST": "api.test",
    }
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        whole[key] = f"{whole[key]}, {value}" if key in whole else value
    whole.update(environ)
    body = b"".join(WsgiGuard(app, guard)(whole, start_response))
    status, found = started[0]
    SAID.append(f"{found}{body!r}")
    return Answer(status, found, body, bool(seen), seen[0] if seen else None)


DOORS = {"asgi": through_asgi, "wsgi": through_wsgi}
