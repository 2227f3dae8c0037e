"""An ID token, shown as a bearer token → refused by every profile whose name does not say id_token, at a door, too.

RFC 9068 §2.1 and §4, RFC 8725 §3.11: it says who signed in at a client, and nothing of what an API allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jwt_guard import Guard, Provider, providers, shared_secret
from jwt_guard.errors import GuardError
from jwt_guard.middleware.asgi import GuardMiddleware
from tests.doors.inside import ask_asgi
from tests.support.issuers import KEYS
from tests.support.keys import public_jwk, secret
from tests.support.minting import ABSENT, HOUR, NOW, mint, refused, verdict

ISSUER = "https://id.test"
API = "https://api.test/fhir"
CLIENT = "growth-chart-app"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"

GUARDING: dict[str, Callable[[], Provider]] = {
    "Provider": lambda: Provider("plain", ISSUER, API, KEYS),
    "auth0": lambda: providers.auth0("shop.eu.auth0.com", API, keys=KEYS),
    "authentik": lambda: providers.authentik(ISSUER, API, keys=KEYS),
    "client_assertion": lambda: providers.client_assertion(ISSUER, API, jwks=public_jwk("RS256", kid="a")),
    "cognito": lambda: providers.cognito("eu-west-1", "eu-west-1_AbC", API, keys=KEYS),
    "entra": lambda: providers.entra(TENANT, API, keys=KEYS),
    "hti_launch": lambda: providers.hti_launch(ISSUER, API, keys=KEYS, kid_may_be_missing=True),
    "joat_tokens": lambda: providers.joat_tokens(ISSUER, shared_secret(secret())),
    "keycloak": lambda: providers.keycloak(ISSUER, API, keys=KEYS),
    "koppeltaal": lambda: providers.koppeltaal(ISSUER, API, keys=KEYS),
    "okta": lambda: providers.okta("https://shop.okta.com/oauth2/default", API, keys=KEYS),
    "rfc9068": lambda: providers.rfc9068(ISSUER, API, keys=KEYS),
    "smart": lambda: providers.smart(ISSUER, API, keys=KEYS),
    "zitadel": lambda: providers.zitadel(ISSUER, API, keys=KEYS),
}
TAKING: dict[str, Callable[[], Provider]] = {
    "id_token": lambda: providers.id_token(ISSUER, API, keys=KEYS),
    "google_id_token": lambda: providers.google_id_token(API, keys=KEYS),
}

ID_TOKENS: dict[str, dict[str, Any]] = {
    "id-token-as-access-token": {"aud": CLIENT, "nonce": "n"},
    "for an API that shares the name of its client": {"nonce": "n", "at_hash": "x", "azp": API},
    "of a flow without an access token": {"nonce": "n"},
    "of a refresh": {"at_hash": "x"},
    "for the client and the API": {"aud": [CLIENT, API], "azp": CLIENT, "at_hash": "x"},
}


def shown_to(provider: Provider, changes: dict[str, Any]) -> str:
    """Return an ID token of the issuer of *provider*, with its own signature."""
    said = {
        "iss": min(provider.issuers), "aud": API, "sub": "ada", "iat": NOW - 60, "exp": NOW + HOUR, "auth_time": NOW,
        "email": "ada@shop.test", "fhirUser": "Patient/1", **changes,
    }  # fmt: skip
    there = {name: value for name, value in said.items() if value is not ABSENT}
    return mint(there, {"typ": "JWT"}, alg="HS256" if "HS256" in provider.allowed else "RS256")


def guard_of(provider: Provider) -> Guard:
    return Guard([provider], clock=lambda: NOW)


def test_every_profile_is_tried() -> None:
    assert set(providers.__all__) == GUARDING.keys() | TAKING.keys()
    assert all("id_token" not in name for name in GUARDING)


@pytest.mark.parametrize("changes", ID_TOKENS.values(), ids=ID_TOKENS)
@pytest.mark.parametrize("make", GUARDING.values(), ids=GUARDING)
def test_no_other_profile_takes_an_id_token(make: Callable[[], Provider], changes: dict[str, Any]) -> None:
    provider = make()
    error = refused(guard_of(provider), shown_to(provider, changes))

    assert (401, "invalid_token") == (error.status, error.code)


@pytest.mark.parametrize("make", TAKING.values(), ids=TAKING)
def test_a_profile_that_says_id_token_takes_it(make: Callable[[], Provider]) -> None:
    provider = make()
    found = verdict(guard_of(provider), shown_to(provider, {"nonce": "n", "at_hash": "x"}))

    assert not isinstance(found, GuardError)
    assert ("ada", frozenset()) == (found.user, found.scopes)


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


@pytest.mark.parametrize("make", [*GUARDING.values(), *TAKING.values()], ids=[*GUARDING, *TAKING])
def test_a_door_says_what_the_guard_says(make: Callable[[], Provider]) -> None:
    provider = make()
    bearer = shown_to(provider, {"nonce": "n", "at_hash": "x"})
    answer = ask_asgi(
        GuardMiddleware(app, guard_of(provider)), "GET", "/", [("Authorization", f"Bearer {bearer}".encode())]
    )

    if "id_token" in provider.name:
        assert (200, b"in") == (answer.status, answer.body)
        return
    assert 401 == answer.status
    assert 'error="invalid_token"' in str(answer.headers)
    assert b"ada" not in answer.body
