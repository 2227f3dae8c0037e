"""The name of a server → where it listens: real ones, in processes of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_WITHIN = 30.0
WORKERS = ("--workers", "1")
COMMANDS = {
    "gunicorn/flask": ("gunicorn", "tests.doors.apps:flask_app", "--bind", "127.0.0.1:{port}", *WORKERS),
    "gunicorn": ("gunicorn", "tests.doors.apps:wsgi_app", "--bind", "127.0.0.1:{port}", *WORKERS),
    "granian": ("granian", "tests.doors.apps:asgi_app", "--interface", "asgi", "--port", "{port}", *WORKERS),
    "granian/wsgi": ("granian", "tests.doors.apps:wsgi_app", "--interface", "wsgi", "--port", "{port}", *WORKERS),
}


@pytest.fixture(scope="session")
def ports() -> Iterator[dict[str, int]]:
    """Run every server while the tests of this folder need them."""
    with ExitStack() as running:
        ports = {name: _free_port() for name in COMMANDS}
        for name, (program, *arguments) in COMMANDS.items():
            filled = [argument.format(port=ports[name]) for argument in arguments]
            running.enter_context(_started([str(Path(sys.executable).with_name(program)), *filled]))
        threads = running.enter_context(_started([sys.executable, "-m", "tests.doors.serve"]))
        assert threads.stdout is not None
        ports.update(json.loads(threads.stdout.readline()))
        for name, port in ports.items():
            _wait_for(name, port)
        yield ports


class _started:  # noqa: N801 - used like a function
    """Start a program; end it, and it alone, afterwards."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for(name: str, port: int) -> None:
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                pytest.fail(f"{name} did not start")
            time.sleep(0.05)
        else:
            return
