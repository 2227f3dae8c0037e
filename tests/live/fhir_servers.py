"""FHIR servers that nobody here has written → each as a process of its own; run as a script, it installs the packages.

One is Python's, in an environment of its own for its many packages; the other is Node's, among those of the provider.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PLACE = ROOT / ".tools" / "fhir"
LOCK = ROOT / "requirements" / "fhir.lock"
MADE = PLACE / ".made"
JSON = {"content-type": "application/fhir+json"}
PATIENCE = 60.0  # seconds until one answers: machines are busy

SETTINGS = """base_url: {base}
host: 127.0.0.1
port: {port}
db_path: {folder}/records.db
log_inbound: false
simulator: {{enabled: false}}
validation: {{inbound: "off"}}
"""
BUNDLES = """
import json, sys
from carebundle import generate_bundle
for seed in range(int(sys.argv[1])):
    bundle = generate_bundle(profile="type2_diabetes", seed=seed)
    print(bundle.model_dump_json(exclude_none=True, by_alias=True)
          if hasattr(bundle, "model_dump_json") else json.dumps(bundle))
"""


@dataclass(frozen=True)
class RealServer:
    """One that runs."""

    kind: str
    base: str
    client: httpx.Client

    def put(self, resources: Iterable[Mapping[str, Any]]) -> None:
        """Keep *resources* there, each under its own id; one with ``_deleted`` takes what was there away."""
        for each in resources:
            place = f"{self.base}/{each['resourceType']}/{each['id']}"
            if each.get("_deleted"):
                answer = self.client.delete(place)
            elif self.kind == "medplum" and self.client.get(place).status_code != 200:
                answer = self.client.post(f"{self.base}/seed", json=each, headers=JSON)
            else:
                answer = self.client.put(place, json=each, headers=JSON)
            answer.raise_for_status()

    def kept(self, name: str) -> int:
        """Return with which status it answers a read of *name*, as Type/id."""
        return self.client.get(f"{self.base}/{name}").status_code


@contextmanager
def sekmet(folder: Path) -> Generator[RealServer]:
    """Run sekmet-fhir with its records in *folder*."""
    port = _free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.yaml"
    settings.write_text(SETTINGS.format(base=base, port=port, folder=folder))
    command = [str(program("sekmet")), "serve", "-c", str(settings)]
    log = folder / "log.txt"
    with log.open("wb") as said, _running(command, cwd=folder, stdout=said, stderr=said) as process:
        yield from _answering("sekmet", base, process)


@contextmanager
def medplum(node: Path) -> Generator[RealServer]:
    """Run the router of Medplum, which keeps nothing."""
    port = _free_port()
    environment = {**os.environ, "PORT": str(port)}
    with _running([str(node), str(HERE / "fhir_router.mjs")], env=environment, stdout=subprocess.DEVNULL) as process:
        yield from _answering("medplum", f"http://127.0.0.1:{port}/fhir", process)


def patients(count: int) -> list[str]:
    """Return transaction Bundles of made-up people with diabetes, as JSON: the same each time."""
    made = subprocess.run(
        [str(program("python")), "-c", BUNDLES, str(count)], check=True, capture_output=True, text=True, timeout=300
    )
    return made.stdout.splitlines()


def program(name: str) -> Path:
    """Return a program of sekmet's environment."""
    return PLACE / ("Scripts" if os.name == "nt" else "bin") / name


def is_installed() -> bool:
    """Say whether the environment is there, as it is locked now; install it where it is not."""
    made = MADE.is_file() and MADE.read_text(encoding="utf-8") == LOCK.read_text(encoding="utf-8")
    return made or install() == 0


def install() -> int:
    """Install what is locked; return 0 where it went well."""
    MADE.unlink(missing_ok=True)
    shutil.rmtree(PLACE, ignore_errors=True)
    words = ("install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(LOCK))
    uv = ROOT / ".tools" / "uv" / "bin" / "uv"
    commands = (
        [
            [str(uv), "venv", "--quiet", "--python", sys.executable, str(PLACE)],
            [str(uv), "pip", words[0], "--quiet", "--python", str(PLACE), *words[1:]],
        ]
        if uv.exists()
        else [[sys.executable, "-m", "venv", str(PLACE)], [str(program("python")), "-m", "pip", "-qq", *words]]
    )
    for command in commands:
        if (status := subprocess.run(command, check=False).returncode) != 0:
            return status
    MADE.write_text(LOCK.read_text(encoding="utf-8"), encoding="utf-8")
    return 0


@contextmanager
def _running(command: list[str], **options: Any) -> Generator[subprocess.Popen[Any]]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answering(kind: str, base: str, process: subprocess.Popen[Any]) -> Generator[RealServer]:
    """Give the server at *base* once it answers."""
    end = time.monotonic() + PATIENCE
    with httpx.Client(trust_env=False, timeout=60) as client:
        while True:
            assert process.poll() is None, f"{kind} has ended by itself"
            assert time.monotonic() < end, f"{kind} does not answer"
            try:
                if client.get(f"{base}/metadata").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield RealServer(kind, base, client)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(install())
