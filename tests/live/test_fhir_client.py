"""A SMART backend service that nobody here has written → its own scenarios, through a provider and the guard.

The client is sekmet-fhir's, the provider oidc-provider, and behind the guard there is sekmet-fhir's server, with the
records of made-up people.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from jwt_guard import Guard
from jwt_guard.fhir.app import fhir_proxy
from jwt_guard.fhir.configuration import SmartConfiguration
from jwt_guard.fhir.server import Server
from jwt_guard.gateway.framing import server_options
from jwt_guard.gateway.settings import Settings
from jwt_guard.providers import smart
from tests.support.proxied import serving

from .conftest import missing
from .fhir_servers import JSON, RealServer, is_installed, patients, program, sekmet

HERE = Path(__file__).parent
SCENARIOS = (
    "conformance_smoke", "lab_order_to_result", "adt_admit_transfer_discharge", "clinical_documentation",
    "medication_order_dispense", "appointment_book_cancel",
)  # fmt: skip
SETTINGS = """base_url: http://127.0.0.1:1/fhir
host: 127.0.0.1
port: 1
db_path: {folder}/client.db
peers:
  guarded:
    base_url: {base}
    auth: {{type: smart, client_id: sekmet, private_key_path: {folder}/key.pem, alg: ES384, scope: "{scope}"}}
"""


@dataclass(frozen=True)
class Guarded:
    """The server behind the guard, and a folder that holds the client's key."""

    base: str
    folder: Path
    server: RealServer


class Later:
    """An application that is made once it is known where it is served."""

    def __init__(self) -> None:
        self._made = Event()
        self._app: Any = None

    def be(self, app: Any) -> None:
        self._app = app
        self._made.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._made.wait, 60)
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def guarded(usable_node: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if not is_installed():
        missing("sekmet-fhir cannot be had: there is no package registry here")
    folder = tmp_path_factory.mktemp("client")
    said = subprocess.run(
        [program("sekmet"), "keys", "generate", "--alg", "ES384", "--out", str(folder / "key.pem")],
        cwd=folder, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    jwks = json.loads(said[said.index("{") : said.rindex("}") + 1])
    later = Later()
    with sekmet(tmp_path_factory.mktemp("server")) as server, serving(later, **server_options()) as port:
        for bundle in patients(3):
            server.client.post(f"{server.base}/", content=bundle, headers=JSON).raise_for_status()
        base = f"http://127.0.0.1:{port}/fhir"
        with provider(usable_node, base, {"client_id": "sekmet", "jwks": jwks}) as issuer:
            told = SmartConfiguration(token_endpoint=f"{issuer}/token", issuer=issuer)
            settings = Settings(upstream=server.base.removesuffix("/fhir"))
            later.be(fhir_proxy(settings, server.base, Guard([smart(issuer, base)]), Server(base), smart=told))
            yield Guarded(base, folder, server)


@contextmanager
def provider(node: Path, resource: str, client: dict[str, Any]) -> Generator[str]:
    """Give the issuer of an oidc-provider that knows *client*."""
    environment = {**os.environ, "RESOURCE": resource, "CLIENT": json.dumps(client)}
    command = [str(node), str(HERE / "smart_provider.mjs")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()

        assert issuer, "the provider does not start"
        yield issuer
    finally:
        process.kill()
        process.communicate()


def ran(guarded: Guarded, scope: str, *scenarios: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Let the client play *scenarios* with a token of *scope*."""
    settings = guarded.folder / "settings.yaml"
    settings.write_text(SETTINGS.format(folder=guarded.folder, base=guarded.base, scope=scope))
    reports = guarded.folder / f"reports-{len(list(guarded.folder.iterdir()))}"
    words = ["scenario", "run", *scenarios, "--peer", "guarded", "--report-dir", str(reports), "-c", str(settings)]
    environment = {**os.environ, "NO_PROXY": "*"}
    return subprocess.run(
        [program("sekmet"), *words, "--no-serve"], cwd=guarded.folder, env=environment, check=False,
        capture_output=True, text=True, timeout=300,
    ), reports  # fmt: skip


def test_every_step_of_its_scenarios_passes(guarded: Guarded) -> None:
    done, reports = ran(guarded, "system/*.cruds", *SCENARIOS)

    assert 0 == done.returncode, done.stdout + done.stderr
    cases = [case for file in reports.rglob("*.xml") for case in ET.parse(file).getroot().iter("testcase")]  # noqa: S314
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]

    assert len(SCENARIOS) <= len(cases)
    assert [] == bad


def test_with_a_token_to_read_it_writes_nothing(guarded: Guarded) -> None:
    before = total(guarded, "Patient")
    done, _ = ran(guarded, "system/*.rs", "adt_admit_transfer_discharge")

    assert 1 == done.returncode, done.stdout
    assert "403" in done.stdout
    assert before == total(guarded, "Patient")


def total(guarded: Guarded, kind: str) -> int:
    said = guarded.server.client.get(f"{guarded.server.base}/{kind}", params={"_summary": "count"}).json()
    return int(said["total"])


def test_without_a_token_there_is_nothing_but_where_to_get_one(guarded: Guarded) -> None:
    with httpx.Client(trust_env=False) as client:
        refused = client.get(f"{guarded.base}/Patient")
        told = client.get(f"{guarded.base}/.well-known/smart-configuration").json()

    assert (401, "OperationOutcome") == (refused.status_code, refused.json()["resourceType"])
    assert told["token_endpoint"].endswith("/token")
