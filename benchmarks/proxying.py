"""The reverse proxy, guard and all, beside the fastest plain one in Python; and its memory while much streams through.

The other is ``asgiproxy``, the fastest of those that were found on PyPI, behind the same server; it is installed into
an environment of its own.  All have the same upstream, a bare protocol on the core that the load comes from, and what
is compared is the CPU time that each spends on one request: that does not mind who else is using the machine.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
import venv
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt_guard
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.settings import Settings

from .rounds import Line, Progress, is_quick, middle
from .served import _on_core, _own, _Server, _wrk
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

__all__ = ["GOAL", "grown", "rows"]

GOAL = 0.8
"""The least share of the other's requests per core."""
GROWTH_GOAL = 32
"""MiB by which the memory may grow while the octets stream."""
_ROOT = Path(__file__).parent.parent
_RIVAL = _ROOT / ".tools" / "asgiproxy"
_PINNED = ("asgiproxy==0.2.0", "uvicorn[standard]")
_PIECE = 1 << 16
_GIB = 1 << 30
_RULES: tuple[Any, ...] = (
    ("GET", "/health", jwt_guard.anyone()),
    ("GET", "/orders/{id}", jwt_guard.scopes("orders:read")),
    ("POST", "/**", jwt_guard.scopes("orders:write")),
    ("GET", "/**", jwt_guard.authenticated()),
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + b'{"orders": 1}'

# It runs in the other environment, which has nothing of ours.
_RIVAL_PROGRAM = """
import socket, sys, uvicorn
from asgiproxy.config import BaseURLProxyConfigMixin, ProxyConfig
from asgiproxy.context import ProxyContext
from asgiproxy.simple_proxy import make_simple_proxy_app
upstream = sys.argv[1]
class Config(BaseURLProxyConfigMixin, ProxyConfig):
    upstream_base_url = upstream
    rewrite_host_header = upstream.partition("//")[2]
app = make_simple_proxy_app(ProxyContext(config=Config()))
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(128)
print(listening.getsockname()[1], flush=True)
options = {"http": "httptools", "loop": "uvloop", "log_level": "error", "access_log": False, "lifespan": "off"}
uvicorn.Server(uvicorn.Config(app, **options)).run([listening])
"""


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    quick = is_quick(rounds)
    size = _GIB // 16 if quick else _GIB
    lines = _beside(min(rounds, 8), 0.5 if quick else 2.0)
    for way in ("down", "up"):
        growth = grown(way, size)
        figure = f"{size >> 20} MiB, {growth / (1 << 20):.1f} MiB more memory"
        lines.append((f"reverse proxy: streams {way}", figure, f"≤ {GROWTH_GOAL} MiB", growth <= GROWTH_GOAL << 20))
    return lines


def _beside(rounds: int, seconds: float) -> list[Line]:
    what, goal = "reverse proxy with the guard in it", f"≥ {GOAL:.0%}"
    rival = _rival()
    if rival is None:
        return [(what, "asgiproxy could not be installed", goal, None)]
    wrk = shutil.which("wrk")
    load = _own if wrk is None else _wrk(wrk)
    costs: dict[str, list[float]] = {"any token": [], "by route": [], "asgiproxy": []}
    progress = Progress("proxies: round")
    with ExitStack() as stack:
        stack.enter_context(_on_core(1))
        port = stack.enter_context(_upstream())
        url = f"http://127.0.0.1:{port}"
        words = {name: _ours(url, name) for name in costs} | {"asgiproxy": [str(rival), "-c", _RIVAL_PROGRAM, url]}
        servers = {name: stack.enter_context(_serving(command)) for name, command in words.items()}
        tokens = {name: token or "none" for name, (_, token) in servers.items()}
        for name, (server, _) in servers.items():
            load(server.port, tokens[name], seconds / 4)
        for number in range(rounds):
            for name in sorted(servers, reverse=bool(number % 2)):
                server = servers[name][0]
                before = server.spent()
                answers, _ = load(server.port, tokens[name], seconds)
                after = server.spent()
                if before is None or after is None or not answers:
                    return [(what, "there were no answers in time, or no CPU times", goal, None)]
                costs[name].append((after - before) / answers)
            progress(number + 1, rounds)
    lines: list[Line] = []
    theirs = costs.pop("asgiproxy")
    for name, ours in costs.items():
        share = middle([other / own for other, own in zip(theirs, ours, strict=True)])
        figure = f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%}) of asgiproxy's requests per core, "
        figure += f"{middle(ours).value:.0f} µs beside {middle(theirs).value:.0f} µs"
        lines.append((f"{what}, {name}", figure, goal, share.value >= GOAL))
    return lines


def grown(way: str, size: int) -> int:
    """Return by how many octets the memory of a proxy grows while *size* octets stream through it, up or down."""
    with _streaming(size) as port, _serving(_ours(f"http://127.0.0.1:{port}")) as (server, token):
        _pass(way, server.port, token, 1 << 20)  # once, so that everything is loaded
        before = _most_memory(server.pid)
        _pass(way, server.port, token, size)
        return _most_memory(server.pid) - before


def _pass(way: str, port: int, token: str, size: int) -> None:
    head = f"Host: h\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        if way == "down":
            connection.sendall(f"GET /{size} HTTP/1.1\r\n{head}\r\n".encode())
        else:
            connection.sendall(f"POST /0 HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n".encode())
            piece = bytes(_PIECE)
            for _ in range(size // _PIECE):
                connection.sendall(piece)
        came = 0
        while piece := connection.recv(1 << 20):
            came += len(piece)
    if came < (size if way == "down" else 1):
        message = f"{came} octets came back, so this measures something else"
        raise RuntimeError(message)


def _most_memory(pid: int) -> int:
    """Return the most octets of memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1_024


# ── the servers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _rival() -> Path | None:
    """Return the Python that has the other proxy; None where it cannot be had."""
    python = _RIVAL / "bin" / "python"
    if not (_RIVAL / ".made").exists():
        try:
            venv.create(_RIVAL, with_pip=True, clear=True)
            words = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PINNED]
            subprocess.run(words, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError):
            return None
        (_RIVAL / ".made").touch()
    return python


def _ours(upstream: str, policy: str = "any token") -> list[str]:
    return [sys.executable, "-m", "benchmarks.proxying", upstream, policy]


@contextmanager
def _serving(words: Sequence[str]) -> Generator[tuple[_Server, str]]:
    """Give a proxy that *words* start on the first core, and a token that it takes."""
    with _on_core(0), subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            port, _, token = process.stdout.readline().strip().partition(" ")
            yield _Server(int(port), process.pid), token
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


@contextmanager
def _upstream() -> Generator[int]:
    """Give the port of a process that answers whatever comes with the same few octets."""
    code = "import benchmarks.proxying as b; b.answer_all()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield int(process.stdout.readline())
        finally:
            process.kill()


def answer_all() -> None:
    """Answer every request on a port, after printing which."""

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"\r\n\r\n"):
                self.transport.write(_ANSWER)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def _streaming(size: int) -> Generator[int]:
    """Give the port of an upstream that sends as many octets as the path says, and takes as many as come."""
    listener = socket.create_server(("127.0.0.1", 0))

    def each(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(_PIECE)
            head, _, rest = head.partition(b"\r\n\r\n")
            lengths = [line.split()[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            left = int(lengths[0]) - len(rest) if lengths else 0
            while left > 0:
                left -= len(connection.recv(_PIECE))
            wanted = min(int(head.split()[1][1:]), size)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % wanted)
            piece = bytes(_PIECE)
            for _ in range(wanted // _PIECE):
                connection.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=each, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(upstream: str, policy: str) -> None:
    """Serve our proxy until somebody says stop, after printing at which port, and a token that it takes.

    *policy* is ``any token``, or ``by route``.
    """
    import uvicorn
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    from jwt_guard.gateway.framing import server_options
    from jwt_guard.gateway.proxy import proxied

    private = rsa.generate_private_key(65_537, 2_048)
    jwk = {**json.loads(RSAAlgorithm.to_jwk(private.public_key())), "kid": KID}
    rules = jwt_guard.by_route(_RULES) if policy == "by route" else jwt_guard.authenticated()
    guard = jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk))], policy=rules)
    app = proxied(Settings(upstream=upstream, identity=IdentityHeaders("X-Auth-User", scopes="X-Auth-Scopes")), guard)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(listening.getsockname()[1], token_of(claims(1), private, "RS256", {"kid": KID}), flush=True)
    options = {"log_level": "error", **server_options()}
    uvicorn.Server(uvicorn.Config(app, loop="uvloop", **options)).run([listening])


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
