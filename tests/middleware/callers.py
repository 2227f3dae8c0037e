"""A name → the header of a caller with a good token; and the guard that takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import uvicorn

from jwt_guard import Credentials, Guard, authenticated, current, verify
from jwt_guard.access.lifetime import good_until
from jwt_guard.access.policy import Policy
from tests.support.loopback import Loopback
from tests.support.minting import claims, guard, mint

__all__ = ["CLOSED", "HEADERS", "bearer", "behind_uvicorn", "frames", "guarding", "name", "token_is_over", "whoever"]

HEADERS = list[tuple[str, bytes]]
CLOSED = (1008).to_bytes(2, "big") + b"the access token has expired"
"""What is in the close frame of a websocket whose token is over."""
_HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455 §1.3
}


@cache
def _token(user: str, scope: str) -> str:
    return mint(claims(sub=user, scope=scope), alg="HS256")


def bearer(user: str = "ada", scope: str = "orders:read") -> HEADERS:
    """Return what *user* sends."""
    return [("authorization", f"Bearer {_token(user, scope)}".encode())]


def guarding(policy: Policy | None = None) -> Guard:
    """Return a guard that takes it."""
    return guard("HS256", policy or authenticated())


def name(credentials: Credentials | None) -> str:
    """Return who that is, in a word."""
    return "nobody" if credentials is None else str(credentials.user)


def whoever() -> str:
    """Return whose request is being served here and now, in a word."""
    return name(current())


def token_is_over() -> Guard:
    """Return a guard to which a good token is one that ends in this moment."""
    found = guarding()
    end = good_until(found, verify(found, _token("ada", "orders:read")))
    return replace(found, clock=lambda: end - 1e-3)


def frames(server: Loopback, path: str = "/", headers: HEADERS | None = None) -> Iterator[tuple[int, bytes]]:
    """Give opcode and content of each frame on a websocket whose client says nothing, until its connection ends."""
    connection = server.connection()
    try:
        sent = {key: value.decode() for key, value in headers or bearer()}
        connection.request("GET", path, headers={**_HANDSHAKE, **sent})
        stream: Any = connection.getresponse().fp
        while head := stream.read(2):
            yield head[0] & 0xF, stream.read(head[1])
    finally:
        connection.close()


def behind_uvicorn(app: Any) -> Loopback:
    """Return a server of *app*, which has ASGI."""

    async def start() -> int:
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, ws="wsproto", log_config=None))
        _serving.append(asyncio.create_task(server.serve()))
        while not server.started:  # noqa: ASYNC110 - it says so in no other way
            await asyncio.sleep(0.01)
        return int(server.servers[0].sockets[0].getsockname()[1])

    return Loopback(start)


_serving: list[asyncio.Task[None]] = []  # a loop holds on to no task
