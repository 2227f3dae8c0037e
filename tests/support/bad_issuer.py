"""A way to behave → a real HTTP server on loopback that answers like that: well, badly, late, or not at all."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from .keys import public_jwk

Way = Callable[["BadIssuer", socket.socket], None]
"""(the issuer, the connection whose request was read) → writes what it likes; the connection is closed after it."""


def key_set(*kids: str) -> bytes:
    """Return a JWK Set with the key called by each of *kids*."""
    return json.dumps({"keys": [public_jwk("ES256", kid, kid=kid) for kid in kids]}).encode()


def answer(body: bytes = b"", status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


def says(octets: bytes) -> Way:
    """Send *octets*, whatever they are."""

    def way(_issuer: BadIssuer, connection: socket.socket) -> None:
        connection.sendall(octets)

    return way


def hangs(then: bytes = b"", first: bytes = b"") -> Way:
    """Send *first*, then nothing until the issuer is released, then *then*."""

    def way(issuer: BadIssuer, connection: socket.socket) -> None:
        connection.sendall(first)
        issuer.released.wait(30)
        connection.sendall(then)

    return way


def drips(octets: bytes, first: bytes = b"") -> Way:
    """Send *first*, then *octets* again and again, one at a time, a hundred a second, without an end."""

    def way(issuer: BadIssuer, connection: socket.socket) -> None:
        connection.sendall(first)
        while not issuer.closing.wait(0.01):
            for octet in octets:
                connection.sendall(bytes([octet]))
                if issuer.closing.wait(0.01):
                    return

    return way


def floods(octets: bytes, first: bytes = b"") -> Way:
    """Send *first*, then *octets* again and again, as fast as they are taken."""

    def way(issuer: BadIssuer, connection: socket.socket) -> None:
        connection.sendall(first)
        while not issuer.closing.is_set():
            connection.sendall(octets)

    return way


def resets(first: bytes = b"") -> Way:
    """Send *first*, then drop the connection with a TCP reset."""

    def way(_issuer: BadIssuer, connection: socket.socket) -> None:
        connection.sendall(first)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return way


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP_BOMB = answer(gzip.compress(b" " * 10_000_000), headers="Content-Encoding: gzip\r\n")


def _is_whole(request: bytes) -> bool:
    """Say whether *request* has come to its end; a body has a length."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= (0 if length is None else int(length[1]))


class BadIssuer:
    """A server that answers every request in its present way; by default with the key called ``a``."""

    def __init__(self, way: Way | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.way = way or says(answer(key_set("a")))
        self.closing = threading.Event()
        self.released = threading.Event()
        """Set: those that hang go on."""
        self.requests: list[bytes] = []
        self.holding = 0
        """How many requests are being answered now."""
        self.most_at_once = 0
        self._changed = threading.Condition()
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}/keys"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.released.set()
        with suppress(OSError):  # wakes the thread that accepts
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def wait_for(self, ready: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until *ready* says yes of what this issuer has seen."""
        with self._changed:
            assert self._changed.wait_for(ready, seconds), "the issuer did not see what was expected"

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="bad issuer")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.closing.is_set():
                connection.close()
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            with suppress(OSError):  # who asked has gone
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                request = b""
                while not _is_whole(request):
                    octets = connection.recv(65_536)
                    if not octets:
                        return
                    request += octets
                self._answer(request, connection)
        finally:
            connection.close()

    def _answer(self, request: bytes, connection: socket.socket) -> None:
        with self._changed:
            self.requests.append(request)
            self.holding += 1
            self.most_at_once = max(self.most_at_once, self.holding)
            self._changed.notify_all()
        try:
            self.way(self, connection)
        finally:
            with self._changed:
                self.holding -= 1
                self._changed.notify_all()
