"""Doors with a FHIR server behind them, in this process → what comes to the proxy, and what comes to the doors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from jwt_guard import by_route, scopes
from jwt_guard.fhir.audit_trail import AuditTrail
from jwt_guard.fhir.server import Server
from jwt_guard.fhir.serving import FhirDoors
from jwt_guard.gateway.framing import server_options
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.settings import Settings
from tests.support.fhir_app import asgi_of
from tests.support.fhir_double import FhirDouble
from tests.support.minting import claims, guard, mint
from tests.support.proxied import serving

Ask = Callable[..., httpx.Response]
PATIENTS = [{"resourceType": "Patient", "id": each} for each in ("ann", "bob")]


class Trail:
    is_closed = False

    def record(self, event: Any) -> None:
        """Forget it."""

    async def close(self) -> None:
        self.is_closed = True


def doors(
    port: int, trail: AuditTrail | None = None, base: str = "https://api.example/fhir", **settings: Any
) -> FhirDoors:
    judge = Judge(
        guard(policy=by_route([("GET", "/orders", scopes("orders:read"))])), IdentityHeaders(user="X-User"), 10
    )
    return FhirDoors(
        Settings(identity=judge.identity, **settings),
        judge,
        upstream=f"http://127.0.0.1:{port}/fhir",
        server=Server(base),
        audit=None if trail is None else lambda: trail,
    )


@pytest.fixture(name="ask")
def asking() -> Generator[Ask]:
    with (
        serving(asgi_of(FhirDouble(PATIENTS))) as upstream,
        serving(doors(upstream).application(), **server_options()) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client,
    ):
        yield client.request


def token(scope: str, **more: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(claims(scope=scope, **more))}"}


ANN = token("patient/*.rs orders:read", patient="ann")


def test_below_the_base_is_the_server_and_elsewhere_are_the_doors(ask: Ask) -> None:
    assert "ann" == ask("GET", "/fhir/Patient/ann", headers=ANN).json()["id"]
    assert 403 == ask("GET", "/FHIR/Patient/ann", headers=ANN).status_code
    nothing = ask("GET", "/orders", headers=ANN)

    assert (404, "application/problem+json") == (nothing.status_code, nothing.headers["content-type"])


def test_a_door_answers_as_it_does_without_a_proxy(ask: Ask) -> None:
    about = {"x-original-method": "GET", "x-original-uri": "/orders?a=b"}
    allowed = ask("GET", "/auth", headers={**ANN, **about})

    assert (200, "ada-lovelace", b"") == (allowed.status_code, allowed.headers["x-user"], allowed.content)
    assert "bearer" in ask("GET", "/auth", headers=about).headers["www-authenticate"].lower()
    assert 400 == ask("GET", "/auth", headers=ANN).status_code
    assert 200 == ask("GET", "/ext_authz/orders?a=b", headers=ANN).status_code
    assert 404 == ask("GET", "/authority", headers=ANN).status_code
    assert b"" == ask("HEAD", "/auth", headers=about).content


@pytest.mark.parametrize(
    ("target", "status"), [("/fhir/Patient/ann", 200), ("/fhir/Patient/bob", 403), ("/FHIR/Patient/ann", 403)]
)
def test_a_door_decides_about_fhir_by_the_request_alone(ask: Ask, target: str, status: int) -> None:
    response = ask("GET", "/auth", headers={**ANN, "x-original-method": "GET", "x-original-uri": target})

    assert status == response.status_code
    if status != 200:
        assert "OperationOutcome" == response.json()["resourceType"]
        assert str(len(response.content)) == response.headers["content-length"]


def test_a_server_that_has_its_host_for_itself_leaves_the_doors_open() -> None:
    with (
        serving(asgi_of(FhirDouble(PATIENTS))) as upstream,
        serving(doors(upstream, base="https://api.example").application(), **server_options()) as port,
    ):
        url = f"http://127.0.0.1:{port}"
        about = {"x-original-method": "GET", "x-original-uri": "/Patient/ann"}

        assert 200 == httpx.get(f"{url}/auth", headers={**ANN, **about}, trust_env=False, timeout=20).status_code
        assert "ann" == httpx.get(f"{url}/Patient/ann", headers=ANN, trust_env=False, timeout=20).json()["id"]


def test_who_is_not_believed_is_not_answered() -> None:
    with (
        serving(asgi_of(FhirDouble(PATIENTS))) as upstream,
        serving(doors(upstream, trusted_proxies=["192.0.2.0/24"]).application(), **server_options()) as port,
    ):
        url = f"http://127.0.0.1:{port}"
        response = httpx.get(f"{url}/ext_authz/orders", headers=ANN, trust_env=False, timeout=20)

        assert 403 == response.status_code
        # Who asks for the server itself need not be a gateway.
        assert 200 == httpx.get(f"{url}/fhir/Patient/ann", headers=ANN, trust_env=False, timeout=20).status_code


def test_what_is_held_is_let_go_of_in_the_end() -> None:
    trail = Trail()
    application: Any = doors(1, trail).application()
    asyncio.run(application.app.close())

    assert trail.is_closed
    assert doors(1).is_proxy
