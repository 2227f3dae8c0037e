"""An application behind uvicorn, bare and guarded → the requests per second of both, over real connections.

Each server is one process on one core, and the load comes from another core where there is one: from ``wrk``, or
where that is not installed from a client of our own.  The two take turns in short runs, of which the median of the
ratios is told.  Beside it stands the CPU time that the server spent on one request, where the system tells: that
does not mind who else is using the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.middleware import Middleware

import jwt_guard
from jwt_guard.middleware import asgi
from jwt_guard.middleware.starlette import GuardMiddleware

from .doors import asgi_app, starlette_app
from .rounds import Line, Middle, Progress, is_quick, middle
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

if TYPE_CHECKING:
    from jwt_guard.middleware.asgi import App

__all__ = ["GOALS", "Kept", "kept", "rows"]

GOALS = {"Starlette": 0.88}
"""The least share of the bare application's requests per second that the guarded one keeps."""
_FRAMEWORKS = ("Starlette", "raw ASGI")
_CONNECTIONS = 32
_SECONDS, _QUICK_SECONDS = 1.0, 0.1
_PATH = "/current"
_RATE = re.compile(r"^\s*(\d+) requests in ([0-9.]+)(us|ms|s|m)", re.MULTILINE)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}

Load = Callable[[int, str, float], "tuple[int, float]"]
"""(port, token, seconds) → answers, and the seconds that they took."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found for one framework."""

    share: Middle
    """Of the bare application's requests per second."""
    rates: Mapping[str, float]
    """Requests per second, bare and guarded."""
    microseconds: Mapping[str, float] | None
    """CPU time of the server for one request; None where the system does not tell."""
    client: str


def rows(rounds: int, wrk: str | None = shutil.which("wrk")) -> list[Line]:
    """Return the table's rows."""
    seconds = _QUICK_SECONDS if is_quick(rounds) else _SECONDS
    lines: list[Line] = []
    for name, found in kept(rounds, seconds, wrk).items():
        share, goal, rates = found.share, GOALS.get(name), found.rates
        text = f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
        text += f", {rates['guarded']:,.0f} of {rates['bare']:,.0f} requests/s"
        if found.microseconds is not None:
            text += f", {found.microseconds['guarded']:.1f} after {found.microseconds['bare']:.1f} µs CPU"
        lines.append(
            (
                f"uvicorn, {name}: kept, by {found.client}",
                text,
                "" if goal is None else f"≥ {goal:.0%}",
                None if goal is None else share.value >= goal,
            )
        )
    return lines


def kept(rounds: int, seconds: float, wrk: str | None) -> dict[str, Kept]:
    """Return for each framework what a guard leaves of its requests per second, in *rounds* runs of *seconds*."""
    private = rsa.generate_private_key(65_537, 2_048)
    jwk = json.dumps({**json.loads(RSAAlgorithm.to_jwk(private.public_key())), "kid": KID})
    token = token_of(claims(1), private, "RS256", {"kid": KID})
    load, client = (_own, "our own client") if wrk is None else (_wrk(wrk), "wrk")
    return {name: _compared(name, jwk, token, load, client, rounds, seconds) for name in _FRAMEWORKS}


def _compared(name: str, jwk: str, token: str, load: Load, client: str, rounds: int, seconds: float) -> Kept:  # noqa: PLR0913, PLR0917 - all that there is to say of a run
    rates: dict[str, list[float]] = {"bare": [], "guarded": []}
    costs: dict[str, list[float]] = {"bare": [], "guarded": []}
    progress = Progress(f"uvicorn, {name}: round")
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(_serving(name, kind, jwk)) for kind in rates}
        stack.enter_context(_on_core(1))
        for kind, server in servers.items():
            _look(kind, server.port, token)
            load(server.port, token, seconds / 4)  # once, so that everything is loaded and remembered
        for number in range(rounds):
            for kind in ("bare", "guarded") if number % 2 else ("guarded", "bare"):
                before = servers[kind].spent()
                answers, took = load(servers[kind].port, token, seconds)
                after = servers[kind].spent()
                rates[kind].append(answers / took)
                if before is not None and after is not None:
                    costs[kind].append((after - before) / answers)
            progress(number + 1, rounds)
    shares = [guarded / bare for guarded, bare in zip(rates["guarded"], rates["bare"], strict=True)]
    return Kept(
        middle(shares),
        {kind: middle(found).value for kind, found in rates.items()},
        {kind: middle(found).value for kind, found in costs.items()} if costs["bare"] else None,
        client,
    )


def _look(kind: str, port: int, token: str) -> None:
    """See that the server does what is to be measured: lets the token in, and nobody without one past a guard."""
    found = [_status(port, header) for header in ((), (("Authorization", f"Bearer {token}"),))]
    expected = [200 if kind == "bare" else 401, 200]
    if found != expected:
        message = f"the {kind} server answered {found} instead of {expected}, so this measures something else"
        raise RuntimeError(message)


def _status(port: int, headers: tuple[tuple[str, str], ...]) -> int:
    import httpx

    return httpx.get(f"http://127.0.0.1:{port}{_PATH}", headers=dict(headers), trust_env=False).status_code


# ── the server, a process of its own ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    pid: int

    def spent(self) -> float | None:
        """Return the CPU microseconds that its process has spent; None where the system does not tell."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1_000
        except (OSError, ValueError):
            return None


@contextmanager
def _serving(name: str, kind: str, jwk: str) -> Generator[_Server]:
    words = [sys.executable, "-m", "benchmarks.served", name, kind, jwk]
    with (
        _on_core(0),  # which the process inherits
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield _Server(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


@contextmanager
def _on_core(number: int) -> Generator[None]:
    """Stay on one core for a while, and have processes that are started meanwhile stay there.

    Does nothing where there are not two cores, or where the system cannot.
    """
    if not hasattr(os, "sched_setaffinity") or len(cores := sorted(os.sched_getaffinity(0))) < 2:
        yield
        return
    os.sched_setaffinity(0, {cores[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _serve(name: str, kind: str, jwk: str) -> None:
    """Serve until somebody says stop, after printing at which port."""
    # By its name, as uvicorn has it from a resolver: only then does asyncio send each part of an answer at once.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        _application(name, kind, json.loads(jwk)), log_level="warning", access_log=False, lifespan="off"
    )
    uvicorn.Server(config).run([listening])


def _application(name: str, kind: str, jwk: dict[str, Any]) -> App:
    guard = jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk))])
    if name == "Starlette":
        return starlette_app(*([Middleware(GuardMiddleware, guard=guard)] if kind == "guarded" else []))
    return asgi.GuardMiddleware(asgi_app, guard) if kind == "guarded" else asgi_app


# ── the load ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrk(program: str) -> Load:
    def load(port: int, token: str, seconds: float) -> tuple[int, float]:
        # wrk knows whole seconds only, so it is stopped: then it tells what it has.
        words = [program, "-t1", f"-c{_CONNECTIONS}", "-d60s", "-H", f"Authorization: Bearer {token}"]
        words.append(f"http://127.0.0.1:{port}{_PATH}")
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(seconds)
            process.send_signal(2)
            told = process.communicate(timeout=30)[0]
        found = _RATE.search(told)
        if found is None or "Non-2xx" in told or "Socket errors" in told:
            message = "wrk had other answers than were asked for"
            raise RuntimeError(message)
        return int(found[1]), float(found[2]) * _UNITS[found[3]]

    return load


def _own(port: int, token: str, seconds: float) -> tuple[int, float]:
    """Keep a request under way on each connection for so many *seconds*."""
    return asyncio.run(_kept_busy(port, token, seconds))


async def _kept_busy(port: int, token: str, seconds: float) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    request = f"GET {_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    start = loop.time()
    clients = [
        (await loop.create_connection(lambda: _Client(request), "127.0.0.1", port))[1] for _ in range(_CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    took = loop.time() - start
    answers = sum(client.answers for client in clients)
    for client in clients:
        client.stop()
    return answers, took


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.answers = 0
        self.parser: Any = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream it is
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count what was asked for, and nothing else (called by the parser)."""
        if self.parser.get_status_code() == 200:
            self.answers += 1
        if self.transport is not None:
            self.transport.write(self.request)

    def stop(self) -> None:
        """Ask no more."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None


if __name__ == "__main__":
    _serve(*sys.argv[1:])
