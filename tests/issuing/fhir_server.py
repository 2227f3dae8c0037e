"""A FHIR server and its token endpoint on loopback → what a client asks of them, and answers as a test wants them."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jwt_guard.issuing.client_authentication import Authenticated, Client, Clients
from jwt_guard.issuing.signing import SigningKey
from jwt_guard.runners import blocking
from tests.support.minting import minted

__all__ = ["FhirServer", "serving"]


@dataclass
class FhirServer:
    """What there is to see of it, and to steer it by."""

    url: str
    clients: Clients
    lifetime: Any = 300
    good: set[str] = field(default_factory=set)
    """The tokens that the API takes."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests, by their path."""
    forms: list[dict[str, str]] = field(default_factory=list)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    """Authorization and body of each request to the API."""
    token_answer: tuple[int, bytes] | None = None
    """What the token endpoint says instead of a token."""
    more: dict[str, Any] = field(default_factory=dict)
    """Members of a token answer."""
    configuration: dict[str, Any] | None = None
    """None: 404."""
    redirects: bool = False
    takes: float = 0.0
    """Seconds for a token."""
    _number: Any = field(default_factory=lambda: itertools.count(1))
    _resting: threading.Event = field(default_factory=threading.Event)

    @property
    def base(self) -> str:
        return f"{self.url}/fhir"

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    def answer_to_token_request(self, body: bytes, content_type: str | None) -> tuple[int, bytes]:
        self._resting.wait(self.takes)
        if self.token_answer is not None:
            return self.token_answer
        found = blocking.run(self.clients.authenticate(body, content_type))
        if not isinstance(found, Authenticated):
            said = found.response()
            return said.status, said.body
        self.forms.append(dict(found.form))
        token = minted(f"token-{next(self._number)}")
        self.good.add(token)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": self.lifetime, **self.more}
        return 200, json.dumps({name: value for name, value in answer.items() if value is not None}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fhir: FhirServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - it has this name
        """Say nothing."""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        fhir, body = self.server.fhir, self._body()
        path = self.path.partition("?")[0]
        fhir.asked[path] += 1
        if path == "/token" and fhir.redirects:
            self._say(307, b"", f"{fhir.url}/elsewhere")
        elif path == "/token":
            self._say(*fhir.answer_to_token_request(body, self.headers["content-type"]))
        elif path == "/fhir/.well-known/smart-configuration":
            found = fhir.configuration
            self._say(404 if found is None else 200, json.dumps(found).encode())
        else:
            sent = self.headers.get("authorization", "")
            fhir.seen.append((sent, body))
            self._say(200 if sent.removeprefix("Bearer ") in fhir.good else 401, b"{}")

    do_POST = do_GET  # noqa: N815 - it has this name

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        octets = b""
        while size := int(self.rfile.readline(), 16):
            octets += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return octets

    def _say(self, status: int, body: bytes, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(
    client_id: str, key: SigningKey, clock: Callable[[], float] = time.time
) -> Generator[FhirServer, None, None]:
    """Serve until the end of the block; *key* is what *client_id* has registered."""
    with _Server(("127.0.0.1", 0), _Handler) as http:
        url = f"http://127.0.0.1:{http.server_address[1]}"
        clients = Clients([Client(client_id, jwks=dict(key.public or {}))], f"{url}/token", clock=clock)
        http.fhir = FhirServer(url, clients, configuration={"token_endpoint": f"{url}/token"})
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield http.fhir
        finally:
            http.shutdown()
            thread.join()
