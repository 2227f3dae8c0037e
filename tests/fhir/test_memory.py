"""An answer of 200 megabytes, whether it is handed on or refused: the guard holds a little of it at a time."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.proxied import of_octets

SECRET = "0123456789abcdef" * 3
BASE = "https://api.example/fhir"
CONFIGURATION = """
[providers.ehr]
issuer = "https://id.example"
audience = "{base}"
secret = "{secret}"
[gateway]
listen = "127.0.0.1:0"
[fhir]
upstream = "http://127.0.0.1:{upstream}/fhir"
base = "{base}"
[fhir.limits]
answer = 1048576
"""
PIECE = b'{"resourceType":"Observation","id":"1"}'.ljust(65_535) + b"\n"
SIZE = 3_200 * len(PIECE)
GROWTH = 32 << 20
"""Octets of memory that may come while the answer does: far less than it has, far more than chance brings."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell of memory")


class Large:
    """A server whose answers are 200 MB each, but for one that is asked for as small."""

    def __init__(self) -> None:
        self.kind = "application/fhir+json"
        self.says_length = True
        self.sent = 0
        """The octets of the last answer that have gone out."""
        self.is_done = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            came = connection.recv(65_536)
            if not came:
                return
            head += came
        pieces = 1 if b"/small" in head else SIZE // len(PIECE)
        size = pieces * len(PIECE)
        frame = f"Content-Length: {size}" if self.says_length else "Transfer-Encoding: chunked"
        piece, end = (PIECE, b"") if self.says_length else (b"%x\r\n%b\r\n" % (len(PIECE), PIECE), b"0\r\n\r\n")
        try:
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nContent-Type: {self.kind}\r\n{frame}\r\nConnection: close\r\n\r\n".encode()
            )
            for _ in range(pieces):
                connection.sendall(piece)
                self.sent += len(PIECE)
            connection.sendall(end)
        finally:
            self.is_done.set()


class World(NamedTuple):
    """The server, and the guard in front of it."""

    server: Large
    guard: GatewayProcess

    def got(self, path: str, scope: str) -> tuple[int, int]:
        """Return the status of the answer, and how many octets it has."""
        self.server.sent = 0
        self.server.is_done.clear()
        said = {"iss": "https://id.example", "aud": BASE, "sub": "ada", "scope": scope, "patient": "A"}
        token = sign(SigningKey("HS256", SECRET.encode()), {**said, "exp": int(time.time()) + 3_600})
        connection = http.client.HTTPConnection("127.0.0.1", self.guard._port("ready"), timeout=60)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            size = 0
            while piece := answer.read(1 << 20):
                size += len(piece)
            return answer.status, size
        finally:
            connection.close()

    def most_memory(self) -> int:
        """Return the most octets of memory that the guard has had."""
        status = Path(f"/proc/{self.guard.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1_024


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    large = Large()
    with of_octets(large) as upstream:
        file = tmp_path_factory.mktemp("guard") / "guard.toml"
        file.write_text(CONFIGURATION.format(secret=SECRET, base=BASE, upstream=upstream), encoding="utf-8")
        with gateway_process(file) as process:
            world = World(large, process)
            for scope in ("system/*.rs", "patient/*.rs"):  # once, so that everything is loaded
                assert world.got("/fhir/Observation/small", scope)[0] in (200, 502)
            yield world


@pytest.mark.parametrize("kind", ["application/fhir+ndjson", "application/dicom", "application/fhir+json"])
@pytest.mark.parametrize("says_length", [True, False])
def test_what_nobody_has_to_judge_is_never_held(kind: str, says_length: bool, world: World) -> None:
    world.server.kind, world.server.says_length = kind, says_length
    before = world.most_memory()

    assert (200, SIZE) == world.got("/fhir/Binary/large", "system/*.rs")
    assert world.most_memory() - before < GROWTH


@pytest.mark.parametrize("path", ["/fhir/Observation", "/fhir/Observation/1", "/fhir/Patient/A/$everything"])
@pytest.mark.parametrize("says_length", [True, False])
def test_what_is_too_long_to_be_judged_is_let_go_of(path: str, says_length: bool, world: World) -> None:
    world.server.kind, world.server.says_length = "application/fhir+json", says_length
    before = world.most_memory()
    status, size = world.got(path, "patient/*.rs")

    assert world.most_memory() - before < GROWTH
    assert 403 == status
    assert size < 1_000
    assert world.server.is_done.wait(30)
    assert world.server.sent < SIZE
