"""``jwt-guard serve`` with ``[fhir]``, as a process: the FHIR server below its base, and the doors beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.server import Server
from jwt_guard.fhir.serving import FhirDoors
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.settings import Settings
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from tests.support.fhir_app import asgi_of
from tests.support.fhir_double import FhirDouble
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.minting import guard
from tests.support.proxied import serving

SECRET = "0123456789abcdef" * 3
BASE = "https://api.example/fhir"
CONFIGURATION = """
[providers.ehr]
issuer = "https://id.example"
audience = "https://api.example/fhir"
secret = "{secret}"
[[routes]]
path = "/open"
allow = "anyone"
[[routes]]
path = "/orders/{{id}}"
scopes = ["orders:read"]
[gateway]
listen = "127.0.0.1:0"
[fhir]
upstream = "http://127.0.0.1:{upstream}/fhir"
base = "https://api.example/fhir"
[fhir.smart]
token_endpoint = "https://id.example/token"
"""
PATIENTS = [{"resourceType": "Patient", "id": each} for each in ("ann", "bob")]


def bearer(scope: str, **more: str) -> dict[str, str]:
    claims = {"iss": "https://id.example", "aud": BASE, "sub": "ada", "scope": scope, "exp": int(time.time()) + 3_600}
    return {"Authorization": f"Bearer {sign(SigningKey('HS256', SECRET.encode()), {**claims, **more})}"}


ANN = bearer("patient/*.rs", patient="ann")


class Somebody:
    """Somebody who asks the process."""

    def __init__(self, process: GatewayProcess, file: Path) -> None:
        self.process, self.file = process, file
        self._base = f"http://127.0.0.1:{process._port('ready')}"

    def __call__(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET", **more: Any
    ) -> httpx.Response:
        return httpx.request(method, f"{self._base}{path}", headers=headers, timeout=20, trust_env=False, **more)

    def door(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> httpx.Response:
        return self("/auth", {**(headers or {}), "X-Original-Method": method, "X-Original-URI": path})


@contextmanager
def served(folder: Path, *options: str, more: str = "") -> Generator[Somebody]:
    with serving(asgi_of(FhirDouble(PATIENTS))) as upstream:
        file = folder / "guard.toml"
        file.write_text(CONFIGURATION.format(secret=SECRET, upstream=upstream) + more, encoding="utf-8")
        with gateway_process(file, *options) as process:
            yield Somebody(process, file)


def test_the_fhir_server_is_behind_the_guard_and_the_doors_stand_beside_it(tmp_path: Path) -> None:
    with served(tmp_path) as ask:
        assert "ann" == ask("/fhir/Patient/ann", ANN).json()["id"]
        assert 404 == ask("/fhir/Patient/bob", ANN).status_code
        assert 401 == ask("/fhir/Patient/ann").status_code
        assert "https://id.example/token" == ask("/fhir/.well-known/smart-configuration").json()["token_endpoint"]
        # Other paths are those of the routes, at the doors, and nothing is behind them here.
        assert 404 == ask("/open").status_code
        assert 200 == ask.door("/open").status_code
        assert 401 == ask.door("/orders/1").status_code
        assert 200 == ask.door("/orders/1", bearer("orders:read")).status_code
        assert 403 == ask.door("/orders/1", ANN).status_code
        assert 200 == ask("/ext_authz/orders/1", bearer("orders:read")).status_code
        # What the request alone can decide.
        assert 200 == ask.door("/fhir/Patient/ann", ANN).status_code
        assert 200 == ask.door("/fhir/metadata").status_code
        assert 200 == ask.door("/fhir/Patient/bob", bearer("system/Patient.r")).status_code
        refused = ask.door("/fhir/Patient/bob", ANN)

        assert 403 == refused.status_code
        assert "OperationOutcome" == refused.json()["resourceType"]
        assert "bob" not in ask.process.log
        assert 0 == ask.process.stop()


def test_the_base_is_read_anew_and_what_it_was_counts_no_longer(tmp_path: Path) -> None:
    with served(tmp_path) as ask:
        assert 200 == ask("/fhir/Patient/ann", ANN).status_code
        text = ask.file.read_text(encoding="utf-8")
        ask.file.write_text(text.replace(f'base = "{BASE}"', 'base = "https://api.example/r4"'), encoding="utf-8")
        ask.process.wait_for("counts from now on")

        assert 200 == ask("/r4/Patient/ann", ANN).status_code
        assert 404 == ask("/fhir/Patient/ann", ANN).status_code


def test_whether_there_is_a_fhir_server_counts_from_the_next_start_on(tmp_path: Path) -> None:
    with served(tmp_path) as ask:
        text = ask.file.read_text(encoding="utf-8")
        ask.file.write_text(text.partition("[fhir]")[0], encoding="utf-8")
        ask.process.wait_for("fhir: whether there is one counts from the next start on")

        assert 200 == ask("/fhir/Patient/ann", ANN).status_code


def test_workers_open_each_others_links(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as ask:
        first = ask("/fhir/Patient?_count=1", bearer("user/Patient.rs?_id=ann,bob")).json()
        (following,) = [each["url"] for each in first["link"] if each["relation"] == "next"]
        path = following.removeprefix("https://api.example")
        got = {ask(path, bearer("user/Patient.rs?_id=ann,bob")).status_code for _ in range(20)}

        assert {200} == got
        assert 404 == ask(path, bearer("user/Patient.rs?_id=ann")).status_code


def test_who_has_seen_what_is_kept_in_a_file(tmp_path: Path) -> None:
    with served(tmp_path, more='[audit]\nfile = "audit.ndjson"\nrequired = true\n') as ask:
        assert 200 == ask("/fhir/Patient/ann", ANN).status_code
        assert 404 == ask("/fhir/Patient/bob", ANN).status_code
    events = [json.loads(line) for line in (tmp_path / "audit.ndjson").read_text(encoding="utf-8").splitlines()]

    assert [("0", "Patient/ann"), ("4", "Patient/bob")] == [
        (event["outcome"], event["entity"][-1]["what"]["reference"]) for event in events
    ]
    assert ANN["Authorization"].split(".")[2] not in str(events)


def test_a_server_that_keeps_it_is_told(tmp_path: Path) -> None:
    told: list[Asking] = []

    def keep(asking: Asking) -> Answered:
        told.append(asking)
        return Answered(201)

    with (
        serving(asgi_of(keep)) as keeper,
        served(tmp_path, more=f'[audit]\nurl = "http://127.0.0.1:{keeper}/fhir"\n') as ask,
    ):
        assert 200 == ask("/fhir/Patient/ann", ANN).status_code
        assert 0 == ask.process.stop()
        assert "not kept" not in ask.process.log

    assert [("POST", "/AuditEvent", "AuditEvent")] == [
        (each.method, each.path, json.loads(each.body)["resourceType"]) for each in told
    ]


def test_a_base_that_is_a_door_is_refused() -> None:
    judge = Judge(guard(), Settings().identity)
    with pytest.raises(Misconfigured, match="where gateways ask"):
        FhirDoors(Settings(), judge, upstream="http://127.0.0.1/fhir", server=Server("https://api.example/auth/fhir"))
