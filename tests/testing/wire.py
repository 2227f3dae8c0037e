"""An issuer's URL → what comes over the wire, and what a guard answers who asks there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx

from jwt_guard import Guard, verify
from jwt_guard.errors import GuardError

__all__ = ["METADATA", "asked", "connected", "octets", "status", "statuses", "until"]

METADATA = "/.well-known/openid-configuration"
_CLIENT = httpx.Client(trust_env=False)  # one for all, since each reads the system's certificates


def asked(url: str, **headers: str) -> httpx.Response:
    """Ask as a program does that trusts the server: it follows nothing, but unpacks."""
    return _CLIENT.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def connected(url: str, path: str = "/jwks") -> socket.socket:
    """Return a connection on which *path* was asked for."""
    parts = urlsplit(url)
    connection = socket.create_connection((str(parts.hostname), int(parts.port or 0)), 10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return connection


def octets(url: str, path: str = "/jwks") -> bytes:
    """Return all that comes until the connection ends; raises ConnectionResetError where it ends with a reset."""
    got = b""
    with closing(connected(url, path)) as connection:
        while more := connection.recv(65_536):
            got += more
    return got


def status(guard: Guard, token: str) -> int:
    """Return with which status *guard* answers a request with *token*."""
    try:
        verify(guard, token)
    except GuardError as error:
        return error.status
    return 200


def statuses(guard: Guard, tokens: list[str]) -> list[int]:
    """Return the same for all *tokens* at once, each in a thread."""
    with ThreadPoolExecutor(len(tokens)) as pool:
        return list(pool.map(lambda token: status(guard, token), tokens))


def until(ready: Callable[[], bool], seconds: float = 10) -> None:
    """Return as soon as *ready* says yes."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)
