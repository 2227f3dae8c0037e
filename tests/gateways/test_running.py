"""What is about the gateway and not about a request: its own checker, its connections, and a guard that is gone."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .rig import CHECKS, KINDS, Front, Upstream, checked, exported, free_port, gateway_of, guarding, running, token
from .tools import ROOT

CONFIG = """\
[providers.shop]
issuer   = "https://id.test"
audience = "orders"
secret   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

[gateway]
{gateway}
"""
NAMES = '[gateway.identity_headers]\nuser = "X-Auth-User"\nscopes = "Auth-Scopes"'


def config_in(folder: Path, gateway: str = "") -> Path:
    file = folder / "guard.toml"
    file.write_text(CONFIG.format(gateway=gateway), encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", [kind for kind in KINDS if gateway_of(kind) in CHECKS])
@pytest.mark.parametrize(
    "places",
    [
        ("--listen", "127.0.0.1:18080", "--upstream", "http://127.0.0.1:18081", "--auth", "127.0.0.1:18082"),
        ("--listen", "[::1]:18080", "--upstream", "http://[::1]:18081", "--auth", "[::1]:18082"),
        ("--listen", "0.0.0.0:18080", "--upstream", "http://localhost:18081", "--auth", "localhost:18082"),
        ("--listen", "127.0.0.1:18080", "--upstream", "https://127.0.0.1:18081", "--auth", "unix:/run/jwt-guard.sock"),
        ("--listen", "127.0.0.1:18080", "--upstream", "https://localhost", "--auth", "unix:/run/jwt-guard.sock"),
    ],
    ids=["IPv4", "IPv6", "names", "TLS and a socket", "TLS by name"],
)
@pytest.mark.parametrize(
    "gateway", ["", NAMES, "[gateway.proxy]\npass_authorization = true"], ids=["bare", "names", "passing"]
)
def test_each_gateway_finds_nothing_wrong_with_its_configuration(
    kind: str, places: tuple[str, ...], gateway: str, tmp_path: Path
) -> None:
    grpc = 'grpc_listen = "127.0.0.1:18083"\n' if "gRPC" in kind else ""

    assert 0 == exported(kind, tmp_path, config_in(tmp_path, grpc + gateway), *places)
    found = checked(kind, tmp_path)
    said = found.stdout + found.stderr
    assert 0 == found.returncode, said
    assert "warn" not in said.lower(), said


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "traefik" and "gRPC" not in kind])
def test_the_guard_can_be_asked_on_a_socket(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    port, place = free_port(), f"unix:{tmp_path}/s"
    with guarding(tmp_path, place) as config:
        places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")

        assert 0 == exported(kind, tmp_path, config, *places)
        with running(kind, tmp_path, port, upstream) as front:
            assert 401 == front.ask().status
            assert ["ada"] == front.ask(bearer=token()).sent("x-auth-user")


# --- a guard that is gone, and one that does not answer ----------------------------------------------

WITHOUT_ANSWER = {"traefik": 500}
"""The status where a gateway has no other one for it."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "gRPC" not in kind])
def test_without_an_answer_nobody_is_let_in(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    port, auth = free_port(), f"127.0.0.1:{free_port()}"
    places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")
    with guarding(tmp_path, auth) as config:
        assert 0 == exported(kind, tmp_path, config, *places)
        gateway = running(kind, tmp_path, port, upstream)
        front = gateway.__enter__()
    try:
        before = len(upstream.seen)
        for headers in ([], [("Authorization", f"Bearer {token()}")]):
            for target in ("/orders/1", "/health"):
                answer = front.ask(target=target, headers=headers)

                assert WITHOUT_ANSWER.get(kind, 503) == answer.status
                assert kind in WITHOUT_ANSWER or answer.header("retry-after")
        assert [] == upstream.seen[before:]
    finally:
        gateway.__exit__(None, None, None)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "gRPC" not in kind])
def test_an_application_that_is_gone_is_no_guard_that_is_gone(kind: str, tmp_path: Path) -> None:
    port, auth = free_port(), f"127.0.0.1:{free_port()}"
    with Upstream() as upstream, guarding(tmp_path, auth) as config:
        places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")

        assert 0 == exported(kind, tmp_path, config, *places)
        with running(kind, tmp_path, port, upstream) as front:
            upstream.__exit__()
            gone = front.ask(bearer=token()).status

            assert (503 if gateway_of(kind) in {"haproxy", "envoy"} else 502) == gone
            assert 401 == front.ask().status


class Stub:
    """A service that says the same of every request, and counts who has connected."""

    def __init__(self, answer: bytes, *, hangs: bool = False) -> None:
        self.connections = 0
        self.questions = 0
        self.answer = answer
        self._hangs = hangs

    @contextmanager
    def listening(self) -> Generator[int]:
        loop = asyncio.new_event_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        server = loop.run_until_complete(asyncio.start_server(self._serve, sock=listener))
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.05))
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.questions += 1
                if self._hangs and b"/health" not in head:
                    await asyncio.sleep(30)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if b"/health" in head else self.answer)
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@contextmanager
def asking(kind: str, stub: Stub, folder: Path, upstream: Upstream, names: str = NAMES) -> Generator[Front]:
    port = free_port()
    with stub.listening() as auth:
        places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")

        assert 0 == exported(kind, folder, config_in(folder, names), *places, "--auth", f"127.0.0.1:{auth}")
        with running(kind, folder, port, upstream) as front:
            yield front


OVER_HTTP = [kind for kind in KINDS if "gRPC" not in kind]


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_questions_share_connections(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    stub = Stub(b"HTTP/1.1 200 OK\r\nX-Auth-User: ada\r\nContent-Length: 0\r\n\r\n")
    with asking(kind, stub, tmp_path, upstream) as front:
        for _ in range(30):
            assert ["ada"] == front.ask().sent("x-auth-user")
    assert 30 <= stub.questions
    # nginx opens one for each worker that it has; without keeping them it would be one for each question.
    assert stub.connections <= 10


@pytest.mark.parametrize("kind", [kind for kind in OVER_HTTP if kind != "traefik"])  # it waits for 30 s
def test_a_guard_that_hangs_is_waited_for_for_two_seconds(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    with asking(kind, Stub(b"", hangs=True), tmp_path, upstream) as front:
        begun = time.monotonic()
        answer = front.ask(bearer=token())

        assert 503 == answer.status
        assert answer.header("retry-after")
        assert time.monotonic() - begun < 8


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_what_is_no_yes_is_none(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    stub = Stub(b"")
    with asking(kind, stub, tmp_path, upstream) as front:
        for status in (302, 400, 401, 403, 404, 429, 500, 502, 503):
            stub.answer = f"HTTP/1.1 {status} X\r\nX-Auth-User: ada\r\nContent-Length: 0\r\n\r\n".encode()

            assert front.ask(bearer=token()).status not in range(200, 300)
    assert "/orders/1" not in upstream.seen


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_token_of_the_gateway_takes_the_place_of_the_client_s(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    key = tmp_path / "key.json"
    subprocess.run([sys.executable, "-m", "jwt_guard", "keys", "new", str(key)], check=True, cwd=ROOT)
    stub = Stub(b"HTTP/1.1 200 OK\r\nAuthorization: Bearer of-the-gateway\r\nContent-Length: 0\r\n\r\n")
    names = f"""[gateway.identity_token]
header = "Authorization"
issuer = "https://gateway.test"
audience = "application"
key_file = "{key}"
"""
    with asking(kind, stub, tmp_path, upstream, names) as front:
        assert ["Bearer of-the-gateway"] == front.ask(bearer=token()).sent("authorization")
        assert ["Bearer of-the-gateway"] == front.ask().sent("authorization")
        stub.answer = b"HTTP/1.1 200 OK\r\nAuthorization: \r\nContent-Length: 0\r\n\r\n"
        assert not any(front.ask(bearer=token()).sent("authorization"))
