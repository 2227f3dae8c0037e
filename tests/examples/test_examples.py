"""Each example, started as its first line says, asked over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem.removesuffix("_app") for path in (ROOT / "examples").glob("*_app.py"))
SECRET = "a-secret-that-is-only-for-these-tests"
ISSUER = "https://id.example/realms/shop"
OTHER_ISSUER = "https://id.example/realms/office"
START_WITHIN = 30.0
ONE_SCREEN = 82
CONFIG = f"""
[providers.office]
issuer = "{OTHER_ISSUER}"
audience = "orders"
secret = "${{JWT_SECRET}}"

[[routes]]
path = "/health"
allow = "anyone"

[[routes]]
path = "/**"
allow = "authenticated"
"""


def token(scope: str, issuer: str = ISSUER, **changes: Any) -> str:
    claims = {
        "iss": issuer,
        "aud": "orders",
        "sub": "ada",
        "client_id": "shop",
        "exp": time.time() + 60,
        "scope": scope,
    }
    return jwt.encode({**claims, **changes}, SECRET, "HS256")


class Running:
    """One example in a process of its own."""

    def __init__(self, name: str, config: Path | None = None) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        environment = {key: value for key, value in os.environ.items() if key != "JWT_GUARD_CONFIG"}
        environment |= {"JWT_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
        if config is not None:
            environment["JWT_GUARD_CONFIG"] = str(config)
        command = [sys.executable, str(ROOT / "examples" / f"{name}_app.py"), "--port", str(port)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    def wait(self) -> None:
        until = time.monotonic() + START_WITHIN
        while True:
            try:
                self.client.get("/health")
            except httpx.ConnectError:
                if self.process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"it did not start: {self.stop()}")
                time.sleep(0.05)
            else:
                return

    def stop(self) -> str:
        """Return what it logged."""
        self.client.close()
        self.process.terminate()
        return self.process.communicate(timeout=10)[1].decode()

    def ask(self, method: str, path: str, token: str | None = None) -> tuple[int, Any]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        got = self.client.request(method, path, headers=headers)
        return got.status_code, got.json()


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(request.param)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def test_there_are_examples() -> None:
    assert {"asgi", "django", "drf", "fastapi", "flask", "starlette", "wsgi"} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_on_a_screen(name: str) -> None:
    assert ONE_SCREEN > len((ROOT / "examples" / f"{name}_app.py").read_text().splitlines())


def test_health_needs_nothing(example: Running) -> None:
    assert (200, {"ok": True}) == example.ask("GET", "/health")
    assert 401 == example.ask("GET", "/health", "x")[0]


def test_whoami_needs_a_token(example: Running) -> None:
    who = {"user": "ada", "client": "shop", "scopes": ["a", "b"], "provider": "shop"}

    assert (200, who) == example.ask("GET", "/whoami", token("b a"))
    assert 401 == example.ask("GET", "/whoami")[0]
    assert 401 == example.ask("GET", "/whoami", token("b a", exp=1))[0]


@pytest.mark.parametrize("path", ["/orders", "/orders/7"])
def test_orders_are_for_those_who_may_read_them(example: Running, path: str) -> None:
    assert 200 == example.ask("GET", path, token("orders:read"))[0]
    assert 403 == example.ask("GET", path, token("orders:write"))[0]
    assert 401 == example.ask("GET", path)[0]


def test_an_order_is_the_one_that_was_asked_for(example: Running) -> None:
    assert "7" == example.ask("GET", "/orders/7", token("orders:read"))[1]["id"]


def test_orders_are_made_by_those_who_may_write_them(example: Running) -> None:
    status, order = example.ask("POST", "/orders", token("orders:write"))

    assert (201, "3") == (status, order["id"])
    assert 403 == example.ask("POST", "/orders", token("orders:read"))[0]
    assert 401 == example.ask("POST", "/orders")[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_guard_comes_from_a_file_where_there_is_one(name: str, tmp_path: Path) -> None:
    config = tmp_path / "guard.toml"
    config.write_text(CONFIG)
    running = Running(name, config)
    try:
        running.wait()

        assert (200, {"ok": True}) == running.ask("GET", "/health")
        assert "office" == running.ask("GET", "/whoami", token("", OTHER_ISSUER))[1]["provider"]
        assert 401 == running.ask("GET", "/whoami", token(""))[0]
        assert 403 == running.ask("POST", "/orders", token("orders:read", OTHER_ISSUER))[0]
    finally:
        log = running.stop()

    assert "refused" in log
    assert "eyJ" not in log


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_that_is_not_there_lets_no_example_start(name: str, tmp_path: Path) -> None:
    running = Running(name, tmp_path / "missing.toml")
    try:
        assert 0 != running.process.wait(START_WITHIN)
    finally:
        log = running.stop()

    assert "missing.toml" in log
