"""The program of sekmet-fhir → a FHIR server on loopback, with nothing in it, until the ``with`` is over."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import httpx

from ...errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["MISSING", "found", "sekmet_served"]

MISSING: Final = """\
The demo needs a FHIR server.  sekmet-fhir is one, in an environment of its own:

  python -m venv fhir-server
  fhir-server/bin/pip install sekmet-fhir
  jwt-guard fhir-demo --sekmet fhir-server/bin/sekmet

Or name one that runs, where the made-up patients may be written: --server http://127.0.0.1:8080/fhir"""
_SETTINGS: Final = """\
base_url: {base}
host: 127.0.0.1
port: {port}
db_path: {folder}/records.db
log_inbound: false
simulator: {{enabled: false}}
validation: {{inbound: "off"}}
"""
_START_WITHIN: Final = 60.0
_STOP_WITHIN: Final = 10.0


def found(program: str | None) -> str | None:
    """Return the program that *program* names, or the one on the PATH; None where there is none."""
    return shutil.which("sekmet" if program is None else program)


@contextmanager
def sekmet_served(program: str) -> Generator[str]:
    """Run it, and give its base URL.  Raises Misconfigured where it does not start."""
    with TemporaryDirectory(prefix="jwt-guard-fhir-demo-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        base = f"http://127.0.0.1:{port}/fhir"
        settings, log = Path(folder, "settings.yaml"), Path(folder, "log")
        settings.write_text(_SETTINGS.format(base=base, port=port, folder=folder), encoding="utf-8")
        with log.open("wb") as said:
            process = subprocess.Popen([program, "serve", "-c", str(settings)], stdout=said, stderr=said)  # noqa: S603 - it is the one that was named
            try:
                _wait_for(base, process)
                yield base
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait_for(base: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_WITHIN
    with httpx.Client(trust_env=False, timeout=5) as client:
        while process.poll() is None and time.monotonic() < end:
            try:
                client.get(f"{base}/metadata").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
    raise Misconfigured("the FHIR server did not start")
