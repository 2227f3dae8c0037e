"""A configuration that was exported → the real gateway with it, and the real guard and an application behind it.

The application says what it was sent, so that a test can see whether that is what was judged.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import jwt
import uvicorn

from jwt_guard.cli import main

from .tools import ROOT, program

__all__ = ["GATEWAYS", "KINDS", "SECRET", "Answer", "Front", "Upstream", "exported", "free_port", "guarding", "running"]

ISSUER = "https://id.test"
AWAY = "https://away.test"
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
IDENTITY = ("x-auth-user", "x-auth-client", "x-auth-scopes", "x-auth-provider")
_PATIENCE = 20.0

GATEWAYS = {
    "nginx": "nginx",
    "nginx of PyPI": "nginx",
    "caddy": "caddy",
    "traefik": "traefik",
    "haproxy": "haproxy",
    "envoy": "envoy-ext-authz",
    "envoy over gRPC": "envoy-ext-authz",
}
"""What is tried, and what its configuration is exported as."""
KINDS = tuple(GATEWAYS)

# The last route takes what no other one does, so that what is refused is refused for how it is written.
CONFIG = """\
[providers.shop]
issuer   = "https://id.test"
audience = "orders"
secret   = "{secret}"

[providers.away]
issuer   = "https://away.test"
audience = "orders"
jwks_url = "http://127.0.0.1:{closed}/jwks"

[[routes]]
path  = "/health"
allow = "anyone"

[[routes]]
path    = "/orders/{{id}}"
methods = ["GET"]
scopes  = ["orders:read"]

[[routes]]
path    = "/orders"
methods = ["POST"]
scopes  = ["orders:write"]

[[routes]]
path   = "/admin/**"
scopes = ["admin"]

[[routes]]
path  = "/events"
allow = "authenticated"

[[routes]]
path  = "/socket"
allow = "authenticated"

[[routes]]
path  = "/public/**"
allow = "anyone"

[gateway]
listen = "{listen}"
{more}
[gateway.identity_headers]
user     = "X-Auth-User"
client   = "X-Auth-Client"
scopes   = "X-Auth-Scopes"
provider = "X-Auth-Provider"
"""


def token(*, issuer: str = ISSUER, scope: str = "orders:read orders:write", **changes: Any) -> str:
    """Return a good token, but for *changes*."""
    now = int(time.time())
    claims = {"iss": issuer, "aud": "orders", "sub": "ada", "client_id": "shop", "iat": now, "exp": now + 300}
    return jwt.encode({**claims, "scope": scope, **changes}, SECRET, "HS256", {"typ": "at+jwt"})


def away() -> str:
    """Return a token of the issuer whose keys cannot be had."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (
            {"alg": "ES256", "kid": "a", "typ": "at+jwt"},
            {"iss": AWAY, "aud": "orders", "sub": "ada", "exp": int(time.time()) + 300},
        )
    )
    return f"{head}.{body}.{'A' * 86}"


def free_port() -> int:
    """Return a port that nobody has now, below those that a system gives to clients."""
    for _ in range(100):
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


# --- the application ---------------------------------------------------------------------------------


class Upstream:
    """An application in a thread that answers with what it was sent."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """The targets of the requests that came, as they came."""
        self.go_on = threading.Event()
        """What the second event of /events waits for."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        config = uvicorn.Config(self, http="h11", log_level="error", lifespan="off", ws="websockets-sansio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        self.seen.append(target)
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        told = json.dumps({"method": scope.get("method"), "target": target, "headers": headers})
        if scope["type"] == "websocket":
            await self._echo(told, receive, send)
            return
        octets = 0
        while (message := await receive())["type"] == "http.request":
            octets += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        if scope["path"] == "/events":
            await self._events(send)
            return
        body = json.dumps({**json.loads(told), "octets": octets}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def _events(self, send: Any) -> None:
        import asyncio

        head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.to_thread(self.go_on.wait, 10)
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async def _echo(self, told: str, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


# --- the guard ---------------------------------------------------------------------------------------


@contextmanager
def guarding(folder: Path, listen: str, *, more: str = "") -> Generator[Path]:
    """Run ``jwt-guard serve`` on *listen*, and give its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "guard.toml"
    config.write_text(CONFIG.format(secret=SECRET, closed=free_port(), listen=listen, more=more), encoding="utf-8")
    command = [sys.executable, "-m", "jwt_guard", "serve", "--config", str(config)]
    with _process(command, folder, "guard") as alive:
        _until(lambda: _answers(listen), alive, folder / "guard.log")
        yield config


def _answers(listen: str) -> bool:
    path = listen.removeprefix("unix:")
    with suppress(OSError):
        if path != listen:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.connect(path)
        else:
            host, _, port = listen.rpartition(":")
            socket.create_connection((host, int(port)), 1).close()
        return True
    return False


# --- the gateway -------------------------------------------------------------------------------------


def exported(kind: str, folder: Path, config: Path, *options: str) -> int:
    """Export the configuration for a gateway of *kind* into *folder*; return the exit status."""
    return main(["export", GATEWAYS[kind], "--config", str(config), "--output", str(folder), *options])


@dataclass
class Answer:
    """What a client was told."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return the value of the header *name*, which is there once at most."""
        found = [value for key, value in self.headers if key.lower() == name]

        assert len(found) < 2, found
        return found[0] if found else None

    @property
    def told(self) -> dict[str, Any]:
        """What the application was sent."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    def sent(self, name: str) -> list[str]:
        """Return the values of the header *name* (lower case) that the application was sent."""
        return [value for key, value in self.told["headers"] if key == name]


@dataclass
class Front:
    """A gateway that runs."""

    kind: str
    port: int
    upstream: Upstream

    def ask(
        self,
        method: str = "GET",
        target: str = "/orders/1",
        headers: Sequence[tuple[str, str]] = (),
        *,
        bearer: str | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Return the answer to a request that is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in [*headers, *([("Authorization", f"Bearer {bearer}")] if bearer is not None else [])]:
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            got = connection.getresponse()
            return Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()

    def raw(self, octets: bytes) -> int:
        """Return the status that *octets* are answered with; 0 where the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(octets)
            line = connection.makefile("rb").readline()
        return int(line.split()[1]) if line else 0


_COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "nginx": lambda path, _: [
        str(path), "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off; master_process off; pid nginx.pid;"
    ],
    "caddy": lambda path, _: [str(path), "run", "--adapter", "caddyfile", "--config", "Caddyfile"],
    "traefik": lambda path, _: [str(path), "--configFile=traefik.yml"],
    "haproxy": lambda path, _: [str(path), "-db", "-f", "haproxy.cfg"],
    "envoy": lambda path, _: [
        str(path), "-c", "envoy.yaml", "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"
    ],
}  # fmt: skip
CHECKS: dict[str, list[str]] = {
    "nginx": ["-t", "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", "pid nginx.pid;"],
    "caddy": ["validate", "--adapter", "caddyfile", "--config", "Caddyfile"],
    "haproxy": ["-c", "-f", "haproxy.cfg"],
    "envoy": ["--mode", "validate", "-c", "envoy.yaml", "-l", "error"],
}
"""What each gateway's own checker is asked; Traefik has none, and looks when it starts."""


def gateway_of(kind: str) -> str:
    return kind.split(maxsplit=1)[0]


def checked(kind: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what the gateway's own checker says of the configuration in *folder*."""
    gateway = gateway_of(kind)
    at_home(gateway, folder)
    command = [str(_program(kind)), *CHECKS[gateway]]
    return subprocess.run(
        command, cwd=folder, env=_environment(folder), check=False, capture_output=True, text=True, timeout=30
    )


def _program(kind: str) -> Path:
    return program(kind if kind == "nginx of PyPI" else gateway_of(kind))


def at_home(gateway: str, folder: Path) -> None:
    """Have nginx keep its temporary files in *folder*: where else is for each machine to say, not for an export."""
    if gateway != "nginx":
        return
    file = folder / "nginx.conf"
    text = file.read_text(encoding="utf-8")
    if "access_log off" not in text:
        places = "".join(f" {name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        file.write_text(text.replace("\nhttp {\n", f"\nhttp {{\n    access_log off;{places}\n"), encoding="utf-8")


@contextmanager
def running(kind: str, folder: Path, port: int, upstream: Upstream) -> Generator[Front]:
    """Run the gateway with the configuration in *folder*."""
    gateway = gateway_of(kind)
    at_home(gateway, folder)
    command = _COMMANDS[gateway](_program(kind), folder)
    with _process(command, folder, "gateway") as alive:
        _until(lambda: _answers(f"127.0.0.1:{port}"), alive, folder / "gateway.log")
        front = Front(kind, port, upstream)
        # Traefik listens before it has its routes.
        _until(lambda: front.ask(target="/health").status == 200, alive, folder / "gateway.log")
        upstream.seen.clear()
        yield front


# --- processes ---------------------------------------------------------------------------------------


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder / "home")
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}


@contextmanager
def _process(command: list[str], folder: Path, name: str) -> Generator[Callable[[], bool]]:
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            command, cwd=folder, env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield lambda: started.poll() is None
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _until(ready: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not ready():
        assert alive(), f"it has ended: {log.read_text(encoding='utf-8', errors='replace')[-2_000:]}"
        assert time.monotonic() < end, f"it is not ready: {log.read_text(encoding='utf-8', errors='replace')[-2_000:]}"
        time.sleep(0.02)
