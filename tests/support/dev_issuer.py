"""Arguments → `jwt-guard dev-issuer` in a process of its own, and what it has said of itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from jwt_guard.issuing.assertion import ASSERTION_TYPE, make_assertion
from jwt_guard.issuing.loading import load_signing_key

__all__ = ["ROOT", "Running", "running"]

ROOT = Path(__file__).parents[2]


class Running:
    """One that runs, and what it has said."""

    def __init__(self, process: subprocess.Popen[str], said: dict[str, Any]) -> None:
        self.process = process
        self.issuer: str = said["issuer"]
        self.token_url: str = said["token_endpoint"]
        self.guard: str = said["guard"]
        self.clients: dict[str, dict[str, Any]] = {each["client_id"]: each for each in said["clients"]}
        self.log = ""

    def secret(self, name: str) -> str:
        return Path(self.clients[name]["file"]).read_text().strip()

    def post(self, place: str, name: str, **form: str) -> httpx.Response:
        auth = (name, self.secret(name))
        return httpx.post(f"{self.issuer}/{place}", data=form, auth=auth, trust_env=False)

    def asserted(self, name: str, path: Path, **form: str) -> httpx.Response:
        assertion = make_assertion(load_signing_key(path), name, self.token_url, now=time.time())
        body = {"grant_type": "client_credentials", "client_assertion": assertion,
                "client_assertion_type": ASSERTION_TYPE, **form}  # fmt: skip
        return httpx.post(self.token_url, data=body, trust_env=False)

    def kids(self) -> list[str]:
        return [key["kid"] for key in httpx.get(f"{self.issuer}/jwks", trust_env=False).json()["keys"]]


@contextmanager
def running(*arguments: str, ends_by: signal.Signals = signal.SIGINT, **environment: str) -> Generator[Running]:
    """Run it, and end it: it goes at once, without a traceback, and with 0."""
    command = [sys.executable, "-m", "jwt_guard", "dev-issuer", "--port", "0", "--json", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=20)[1]
        one = Running(process, json.loads(line))
        yield one
        process.send_signal(ends_by)
        out, one.log = process.communicate(timeout=20)

        assert (0, "") == (process.returncode, out), one.log
        assert "Traceback" not in one.log
    finally:
        process.kill()
        process.communicate()
