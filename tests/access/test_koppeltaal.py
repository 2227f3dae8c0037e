"""Access tokens as Koppeltaal's authorization server writes them → credentials, and their scopes → permissions.

The claims are those of the developers' guide, whose keys were never published, and of the server's own source.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import KeySettings, Provider
from jwt_guard.access.koppeltaal import Permission, koppeltaal, permission, permissions
from jwt_guard.errors import MalformedRequest, Misconfigured
from jwt_guard.messages import PlainRequest
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.tokens.claims import has
from tests.access.test_hti import launch
from tests.support.issuers import KEYS, Who, guarding, who, why_not
from tests.support.minting import ABSENT, NOW
from tests.support.playing import play

SERVER = "https://auth.koppeltaal.example/"
CLIENT = "5ad7cf6a-9556-4d23-91ca-250dafa1df09"
TASKS = "system/Task.cru?resource-origin=Device/1,Device/2"


def access(**changes: Any) -> dict[str, Any]:
    return {
        "iss": SERVER,
        "aud": "fhir-server",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        "nonce": "cdcfebb2-580a-416a-90f8-15357d947305",
        "jti": "7b5e6a4f",
        "type": "access",
        "scope": f"{TASKS} system/Patient.rs",
        "azp": CLIENT,
        **changes,
    }


def id_token(**changes: Any) -> dict[str, Any]:
    return access(aud=CLIENT, type=ABSENT, scope=ABSENT, sub="Patient/1963", **changes)


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": SERVER, "keys": KEYS}
    return koppeltaal(**{**good, **changes})


def test_a_backend_service_is_a_client_and_nobodys_user() -> None:
    assert Who(None, CLIENT, {TASKS, "system/Patient.rs"}, set(), "koppeltaal") == who(provider(), access())


def test_the_guides_own_tokens_have_no_scope_and_no_iat() -> None:
    assert Who(None, CLIENT, set(), set(), "koppeltaal") == who(provider(), access(iat=ABSENT, jti=ABSENT, scope=""))
    assert set() == who(provider(), access(scope=ABSENT)).scopes


def test_whoever_is_named_is_the_user() -> None:
    assert "Practitioner/7" == who(provider(), access(sub="Practitioner/7")).user


def test_the_audience_is_what_the_domain_calls_its_fhir_server() -> None:
    assert "aud" == why_not(provider(), access(aud="fhir-service"))
    assert CLIENT == who(provider(audience="fhir-service"), access(aud="fhir-service")).client


def test_an_id_token_and_a_launch_token_are_no_access_tokens() -> None:
    assert "aud" == why_not(provider(), id_token())
    assert "type" == why_not(provider(audience=CLIENT), id_token())
    unnamed = {"iss": SERVER, "hti-version": ABSENT}
    assert "hti-version" == why_not(provider(audience="Device/123"), launch(iss=SERVER))
    assert "azp" == why_not(provider(audience="Device/123"), launch(**unnamed))
    assert "type" == why_not(provider(audience="Device/123"), launch(**unnamed, azp=CLIENT))
    assert "type" == why_not(provider(), access(type="id"))
    assert "azp" == why_not(provider(), access(azp=ABSENT))
    assert "azp" == why_not(provider(), access(azp=1))
    assert "at_hash" == why_not(provider(), access(at_hash="a"))


def test_what_a_launch_gives_for_an_access_token_is_no_token() -> None:
    request = PlainRequest("GET", "/", headers=(("authorization", "Bearer NOOP"),))
    denied = play(lambda: guarding(provider()).decide(request)).value

    assert (401, "invalid_token") == (denied.error.status, denied.error.code)
    assert not isinstance(denied.error, MalformedRequest)


def test_rules_of_ones_own_come_on_top() -> None:
    assert "tenant" == why_not(provider(extra_rules=[has("tenant")]), access())
    assert "type" == why_not(provider(extra_rules=[has("tenant")]), access(type="id", tenant="a"))


def test_the_keys_are_where_the_issuer_says_unless_they_are_given() -> None:
    discovered = koppeltaal(SERVER, settings=KeySettings(timeout=2))

    assert isinstance(discovered.source, RemoteKeys)
    assert 2 == discovered.source.settings.timeout
    assert isinstance(koppeltaal(SERVER).source, RemoteKeys)
    with pytest.raises(Misconfigured, match="settings are for keys"):
        provider(settings=KeySettings())


# --- scopes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("system/Patient.rs", Permission("Patient", frozenset("rs"), None)),
        ("system/*.cruds", Permission("*", frozenset("cruds"), None)),
        (TASKS, Permission("Task", frozenset("cru"), frozenset({"Device/1", "Device/2"}))),
        ("system/AuditEvent.c?resource-origin=Device/own", Permission("AuditEvent", frozenset("c"),
                                                                      frozenset({"Device/own"}))),
    ],
)  # fmt: skip
def test_a_scope_says_what_is_allowed_with_whose_resources(scope: str, expected: Permission) -> None:
    assert expected == permission(scope)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "openid",
        "system/Patient",
        "system/Patient.",
        "system/Patient.sr",
        "system/Patient.rr",
        "system/Patient.rx",
        "system/Patient.read",
        "system/Patient.*",
        "system/patient.r",
        "system/.r",
        "patient/Patient.r",
        "user/Patient.r",
        "System/Patient.r",
        "system/Patient.r ",
        "system/Patient.r\n",
        " system/Patient.r",
        "system/Patient.r?",
        "system/Patient.r?resource-origin",
        "system/Patient.r?resource-origin=",
        "system/Patient.r?resource-origin=*",
        "system/Patient.r?resource-origin=Device/",
        "system/Patient.r?resource-origin=Device/..",
        "system/Patient.r?resource-origin=Device/.,Device/1",
        "system/Patient.r?resource-origin=Device/1,",
        "system/Patient.r?resource-origin=,Device/1",
        "system/Patient.r?resource-origin=Device/1,Organization/2",
        "system/Patient.r?resource-origin=Device/1&resource-origin=Device/2",
        "system/Patient.r?resource-origin=Device/1&status=active",
        "system/Patient.r?status=active",
        "system/Patient.r?resource-origin=Device%2F1",
        "system/Patient.r?resource-origin=Device/" + "a" * 65,
        "system/Patient.r#resource-origin=Device/1",
    ],
)
def test_what_is_not_understood_allows_nothing(scope: str) -> None:
    assert None is permission(scope)
    assert frozenset() == permissions([scope])


def test_permissions_are_those_of_all_scopes() -> None:
    found = permissions(frozenset({"launch", TASKS, "system/Task.r", "system/Task.write"}))

    assert {permission(TASKS), permission("system/Task.r")} == found


def test_a_permission_reads_names_whole() -> None:
    one = permission("system/Task.r?resource-origin=Device/12")

    assert one is not None
    assert one.allows("Task", "r", "Device/12")
    assert not one.allows("Task", "r", "Device/123")
    assert not one.allows("Task", "r", "Device/1")
    assert not one.allows("TaskX", "r", "Device/12")
    assert not one.allows("Task", "s", "Device/12")
    assert not one.allows("Task", "", "Device/12")


def test_a_permission_may_be_about_everything() -> None:
    all_of_them = permission("system/*.r")

    assert all_of_them is not None
    assert all_of_them.allows("Task", "r", "Device/1")
    assert not all_of_them.allows("Task", "u", "Device/1")
