"""A configuration → ``jwt-guard serve`` as a process, asked as nginx asks it, and minded through its admin listener."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.leaks import look_at
from tests.support.servers import until

__all__ = ["GatewayProcess", "gateway_process", "workers"]


class GatewayProcess:
    """The process, and everything that it has logged."""

    def __init__(self, file: Path, *options: str) -> None:
        command = [sys.executable, "-m", "jwt_guard", "serve", "--config", str(file), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self._lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def wait_for(self, words: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None or words in self.log, self.log
            return words in self.log

        until(said, 40)

    def _port(self, words: str) -> int:
        self.wait_for("ready on ")
        found = re.search(rf"{words} on 127\.0\.0\.1:([0-9]+)", self.log)
        assert found is not None, self.log
        return int(found[1])

    def ask(self, *tokens: str, target: str = "/orders/1", method: str = "GET") -> int:
        """Return the status that a gateway is told."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port("ready"), timeout=20)
        try:
            connection.putrequest("GET", "/auth")
            connection.putheader("X-Original-Method", method)
            connection.putheader("X-Original-URI", target)
            for token in tokens:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def tells(self, path: str) -> tuple[int, str]:
        """Return what the admin listener says."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port("health and metrics"), timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def figure(self, name: str) -> float:
        """Return the value of the sample that is called *name*, labels included; 0 where there is none."""
        _, text = self.tells("/metrics")
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    def stop(self) -> int:
        """Ask it to end, and return how it does."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self._reader.join(5)
        return status

    def close(self) -> None:
        """End it, its workers first: they would live on without it."""
        for worker in workers(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()
        look_at(self.log)


def workers(pid: int) -> list[int]:
    """Return the processes that *pid* has started, and that have not ended."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


@contextmanager
def gateway_process(file: Path, *options: str) -> Generator[GatewayProcess]:
    process = GatewayProcess(file, *options)
    try:
        yield process
    finally:
        process.close()
