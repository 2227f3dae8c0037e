"""An application, or octets, as the upstream → a reverse proxy in front of it, each a real server on loopback."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import uvicorn

from jwt_guard import anyone
from jwt_guard.gateway.framing import server_options
from jwt_guard.gateway.proxy import proxied
from jwt_guard.gateway.settings import Settings

from .minting import claims, mint
from .minting import guard as guarding

__all__ = ["Reply", "ask", "bearer", "exchange", "headers_of", "of_octets", "proxy", "seen_by", "serving"]

PATIENCE = 10


class Reply(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]

        assert len(found) < 2
        return found[0] if found else None


@contextmanager
def serving(app: Any, **options: Any) -> Generator[int]:
    """Give the port of a uvicorn with *app*."""
    listener = socket.create_server(("127.0.0.1", 0))
    given: dict[str, Any] = {
        "log_level": "critical",
        "lifespan": "off",
        "access_log": False,
        "timeout_graceful_shutdown": 2,
        **options,
    }
    server = uvicorn.Server(uvicorn.Config(app, **given))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


@contextmanager
def of_octets(answer: Callable[[socket.socket], None]) -> Generator[int]:
    """Give the port of an upstream that does with each connection what *answer* does."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def each(connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        with connection, suppress(OSError):
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=each, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    threads.append(threading.Thread(target=accept, daemon=True))
    threads[0].start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(PATIENCE)


@contextmanager
def proxy(port: int, guard: Any = None, server: dict[str, Any] | None = None, **settings: Any) -> Generator[int]:
    """Give the port of a proxy before *port*; everybody may pass unless *guard* says otherwise."""
    settings.setdefault("upstream", f"http://127.0.0.1:{port}")
    given = Settings(**settings)
    app = proxied(given, guarding(policy=anyone()) if guard is None else guard)
    with serving(app, **(server_options() if server is None else server)) as own:
        yield own


def bearer(**changes: Any) -> tuple[str, str]:
    """Return the header with a good token, but for *changes*."""
    return "Authorization", f"Bearer {mint(claims(**changes))}"


def exchange(port: int, octets: bytes, *, half_close: bool = False) -> bytes:
    """Return all that comes back for *octets* until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(octets)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                found += piece
        return found


def ask(
    port: int,
    target: str = "/",
    *headers: tuple[str, str],
    method: str = "GET",
    body: bytes | None = None,
    host: str = "api.test",
) -> Reply:
    """Return the answer to one request, as *target* spells it, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        got = connection.getresponse()
        return Reply(got.status, [(name.lower(), value) for name, value in got.getheaders()], got.read())
    finally:
        connection.close()


def headers_of(octets: bytes) -> list[tuple[str, str]]:
    """Return the headers of a request or an answer as it was sent."""
    lines = octets.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


def seen_by(record: list[bytes], reply: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> Any:
    """Return what answers one request on each connection with *reply*, and puts the head of it into *record*."""

    def answer(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return
            head += piece
        record.append(head)
        connection.sendall(reply)

    return answer
