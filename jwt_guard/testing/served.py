"""An issuer in this process → the same over HTTP on loopback, well or as badly as its *fault* says."""

from __future__ import annotations

import hashlib
import json
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..issuing.endpoint import metadata
from ..issuing.issuer import Issuer

# Loaded here, so that no guard has its first fetch wait for that.
from ..runners import fetching as _fetching  # noqa: F401  # pyright: ignore[reportUnusedImport]
from ..sources.discovery import Discovery, well_known
from ..sources.jwks import KeySettings, RemoteKeys
from .clock import Clock
from .faults import Answer, status
from .issuer import LocalIssuer

if TYPE_CHECKING:
    from ..issuing.signing import SigningKey
    from .faults import Fault

__all__ = ["ServedIssuer", "serving"]

_LOOK = 0.02  # seconds between looks whether to end
_PATIENCE = 5.0  # seconds for a fault that does not end when it should
_DOWN = status(HTTPStatus.SERVICE_UNAVAILABLE)


class ServedIssuer(LocalIssuer):
    """An issuer that is asked over HTTP at its ``url``; ``LocalIssuer.serve()`` makes one."""

    def __init__(self, url: str, of: LocalIssuer, desk: _Desk, max_age: int | None) -> None:
        """Take the keys, the audience and the clock *of* another; the *desk* is where requests come in."""
        super().__init__(url, audience=of.audience, clock=of.clock, keyring=of.keyring)
        self.fault: Fault | None = None
        """What is done with each request from now on; None: it is answered well.  While ``is_down``: 503."""
        self.max_age = max_age
        """Seconds that others may keep its documents; None: it does not say."""
        self._desk = desk

    @property
    def jwks_url(self) -> str:
        """Where its key set is."""
        return f"{self.url}/jwks"

    def keys(self, settings: KeySettings | None = None) -> RemoteKeys:
        """Return a source that discovers and fetches the keys over HTTP, as guards do in production.

        Where the issuer's clock is a :class:`~jwt_guard.testing.Clock`, the keys grow older with it, too.
        """
        settings = settings or KeySettings()
        clock = _with(self.clock) if isinstance(self.clock, Clock) else time.monotonic
        places = well_known(self.url)
        return RemoteKeys(
            Discovery(frozenset({self.url}), places, settings, clock), settings, clock, name=f"testing {self.url}"
        )

    @property
    def requests(self) -> Counter[str]:
        """How many requests came for each path until now, those under way too: a copy."""
        return self._desk.requests()

    @property
    def under_way(self) -> int:
        """How many requests are being answered now."""
        return self._desk.under_way

    def wait_for(self, ready: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until *ready* says yes, which is asked when a request has come or was answered; raises TimeoutError."""
        if not self._desk.wait(ready, seconds):
            message = f"the issuer did not see within {seconds:g} s what was waited for"
            raise TimeoutError(message)

    def release(self) -> None:
        """Let all go on that a fault has waiting now."""
        self._desk.release()


def _with(clock: Clock) -> Callable[[], float]:
    """Return a clock that is moved along with *clock*, and does not stand still: no two fetches begin at one time."""
    began = clock()
    return lambda: time.monotonic() + clock() - began


class _Desk:
    """Where requests come in: how many, and until when they wait."""

    def __init__(self) -> None:
        self.under_way = 0
        self._changed = threading.Condition()
        self._requests: Counter[str] = Counter()
        self._released = 0
        self._closing = False

    def requests(self) -> Counter[str]:
        with self._changed:
            return self._requests.copy()

    @contextmanager
    def request(self, path: str) -> Generator[Callable[[], bool]]:
        """Count a request for *path* while it is answered; give what says whether it is to wait no longer."""
        with self._changed:
            self._requests[path] += 1
            self.under_way += 1
            released = self._released
            self._changed.notify_all()
        try:
            yield lambda: self._closing or self._released != released
        finally:
            with self._changed:
                self.under_way -= 1
                self._changed.notify_all()

    def wait(self, ready: Callable[[], bool], seconds: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(ready, seconds)

    def release(self) -> None:
        with self._changed:
            self._released += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Release whoever waits, and whoever will."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()


@contextmanager
def serving(issuer: LocalIssuer, max_age: int | None) -> Generator[ServedIssuer]:
    """Serve *issuer* on a free port of loopback, in threads of its own, until the end."""
    desk = _Desk()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the head and the body are two writes

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            with desk.request(path) as is_over:
                _answer(served, path, _Exchange(served, self, lambda seconds: desk.wait(is_over, seconds)))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - its name and types there
            """Say nothing: tests count requests, and people read what tests print."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        served = ServedIssuer(f"http://127.0.0.1:{server.server_address[1]}", issuer, desk, max_age)
        thread = threading.Thread(target=server.serve_forever, args=(_LOOK,), name="local issuer", daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
            server.hang_up(desk.close)


def _answer(issuer: ServedIssuer, path: str, exchange: _Exchange) -> None:
    if path not in {urlsplit(url).path for url in (issuer.jwks_url, *well_known(issuer.url))}:
        exchange.answer(Answer(HTTPStatus.NOT_FOUND))
        return
    fault = _DOWN if issuer.is_down else issuer.fault
    if fault is None:
        exchange.answer(exchange.published(exchange.document))
    else:
        fault(exchange)


class _Server(socketserver.ThreadingTCPServer):
    """A server that can hang up, and says nothing of clients who do.

    The one of ``http.server`` would ask the resolver for a name first, which may take seconds.
    """

    daemon_threads = True  # what a test forgets must not keep its process
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._changing = threading.Lock()
        self._open: set[socket.socket] = set()
        self._workers: list[threading.Thread] = []
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as it is there
        """Give the connection a thread, and note both."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="local issuer", daemon=True
        )
        with self._changing:
            self._open.add(request)
        thread.start()
        self._workers = [each for each in self._workers if each.is_alive()] + [thread]

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as it is there
        """Close the connection and no more: saying goodbye first would make a reset look like an end."""
        with self._changing:
            self.close_request(request)
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as it is there
        """Print what went wrong, unless it is that the client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self, end: Callable[[], None]) -> None:
        """End every connection, then what its thread waits for by *end*, and wait for those threads."""
        with self._changing:
            for connection in self._open:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
        end()
        patience = time.monotonic() + _PATIENCE
        for thread in self._workers:
            thread.join(max(0.0, patience - time.monotonic()))


class _Exchange:
    """One request to a served issuer: the Exchange of its faults."""

    def __init__(
        self, issuer: ServedIssuer, handler: BaseHTTPRequestHandler, wait: Callable[[float | None], bool]
    ) -> None:
        self._issuer = issuer
        self._handler = handler
        self._wait = wait

    @property
    def is_for_keys(self) -> bool:
        return urlsplit(self._handler.path).path == urlsplit(self._issuer.jwks_url).path

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        return self._issuer.keyring.keys

    @property
    def document(self) -> dict[str, Any]:
        issuer = self._issuer
        if self.is_for_keys:
            return issuer.keyring.jwks()
        return metadata(Issuer(issuer.url, issuer.keyring, issuer.clock))

    def published(self, document: Mapping[str, Any]) -> Answer:
        octets = json.dumps(document).encode("utf-8")
        headers = {
            "Content-Type": "application/jwk-set+json" if self.is_for_keys else "application/json",  # RFC 7517 §8.5.2
            "ETag": f'"{hashlib.sha256(octets).hexdigest()}"',
        }
        if self._issuer.max_age is not None:
            headers["Cache-Control"] = f"public, max-age={self._issuer.max_age}"
        return Answer(HTTPStatus.OK, headers, octets)

    def answer(self, answer: Answer) -> None:
        code, octets, handler = answer.status, answer.body, self._handler
        if code == HTTPStatus.OK and self._has(answer.headers.get("ETag")):
            code, octets = HTTPStatus.NOT_MODIFIED, b""
        handler.send_response(code)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):  # RFC 9110 §8.6
            handler.send_header("Content-Length", str(len(octets)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(octets)

    def _has(self, tag: str | None) -> bool:
        """Say whether who asks has this very document (RFC 9110 §13.1.2)."""
        said = self._handler.headers.get_all("If-None-Match", [])
        tags = {each.strip().removeprefix("W/") for line in said for each in line.split(",")}
        return tag is not None and bool(tags & {tag, "*"})

    def send(self, octets: bytes) -> None:
        self._handler.close_connection = True
        self._handler.wfile.write(octets)

    def wait(self, seconds: float | None) -> bool:
        return self._wait(seconds)

    def reset(self) -> None:
        self._handler.close_connection = True
        # With an empty queue to linger on, closing is a reset.
        with suppress(OSError):  # some systems refuse it where the other side has gone
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
