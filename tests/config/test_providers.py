"""[providers.NAME] with a profile → what the profile makes of its keys, or one sentence that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Provider
from jwt_guard.config import providers
from jwt_guard.config.values import WrongConfig
from jwt_guard.providers import (
    auth0,
    authentik,
    cognito,
    entra,
    google_id_token,
    id_token,
    keycloak,
    okta,
    rfc9068,
    smart,
    zitadel,
)
from jwt_guard.sources.jwks import RemoteKeys
from tests.support.issuers import who
from tests.support.keys import public_jwk

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OTHER = "82229342-1101-4ab6-817b-70c0747630f3"
HTTPS = "https://id.test"
SERVER = "https://shop.okta.com/oauth2/default"
FHIR = "https://ehr.test/fhir"

PROFILES: dict[str, tuple[dict[str, Any], Provider]] = {
    "auth0": (
        {"profile": "auth0", "domain": "shop.eu.auth0.com", "audience": "orders"},
        auth0("shop.eu.auth0.com", ("orders",), name="shop"),
    ),
    "authentik": (
        {"profile": "authentik", "issuer": HTTPS, "audience": ["orders"]},
        authentik((HTTPS,), ("orders",), name="shop"),
    ),
    "cognito": (
        {"profile": "cognito", "region": "eu-west-1", "pool": "eu-west-1_AbC", "clients": ["one", "two"]},
        cognito("eu-west-1", "eu-west-1_AbC", ("one", "two"), name="shop"),
    ),
    "cognito with the other issuer": (
        {
            "profile": "cognito",
            "region": "eu-west-1",
            "pool": "eu-west-1_AbC",
            "clients": "one",
            "issuer_type": "UPDATED",
        },
        cognito("eu-west-1", "eu-west-1_AbC", ("one",), issuer_type="UPDATED", name="shop"),
    ),
    "entra, an external tenant": (
        {"profile": "entra", "tenant": TENANT, "audience": "orders", "host": "contoso.ciamlogin.com"},
        entra(TENANT, ("orders",), host="contoso.ciamlogin.com", name="shop"),
    ),
    "entra, one tenant": (
        {"profile": "entra", "tenant": TENANT, "audience": "orders"},
        entra(TENANT, ("orders",), name="shop"),
    ),
    "entra, several tenants of another cloud": (
        {"profile": "entra", "tenants": [TENANT, OTHER], "audience": "orders", "host": "login.microsoftonline.us"},
        entra(tenants=(OTHER, TENANT), audience=("orders",), host="login.microsoftonline.us", name="shop"),
    ),
    "google_id_token": (
        {"profile": "google_id_token", "audience": "orders"},
        google_id_token(("orders",), name="shop"),
    ),
    "google_id_token of a domain": (
        {"profile": "google_id_token", "audience": "orders", "hd": "example.com"},
        google_id_token(("orders",), "example.com", name="shop"),
    ),
    "id_token": (
        {"profile": "id_token", "issuer": HTTPS, "client": "app"},
        id_token((HTTPS,), "app", name="shop"),
    ),
    "id_token, all of it": (
        {
            "profile": "id_token",
            "issuer": HTTPS,
            "client": "app",
            "trusted_audiences": "other",
            "fhir_base": FHIR,
            "fhir_users_of_other_servers_are_taken": True,
            "exp_may_be_missing": True,
            "iat_may_be_missing": True,
        },
        id_token(
            HTTPS,
            "app",
            trusted_audiences=["other"],
            fhir_base=FHIR,
            fhir_users_of_other_servers_are_taken=True,
            exp_may_be_missing=True,
            iat_may_be_missing=True,
            name="shop",
        ),
    ),
    "keycloak": (
        {"profile": "keycloak", "issuer": HTTPS, "audience": "orders", "client": "api"},
        keycloak((HTTPS,), ("orders",), "api", name="shop"),
    ),
    "okta": (
        {"profile": "okta", "issuer": SERVER, "audience": "orders"},
        okta((SERVER,), ("orders",), name="shop"),
    ),
    "rfc9068": (
        {"profile": "rfc9068", "issuer": HTTPS, "audience": "orders"},
        rfc9068((HTTPS,), ("orders",), name="shop"),
    ),
    "smart": (
        {"profile": "smart", "issuer": HTTPS, "audience": FHIR},
        smart((HTTPS,), (FHIR,), name="shop"),
    ),
    "zitadel": (
        {"profile": "zitadel", "issuer": HTTPS, "audience": "orders", "project": "p"},
        zitadel((HTTPS,), ("orders",), "p", name="shop"),
    ),
}

Read = Callable[..., Provider]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads one provider, called shop, of these keys; *after* comes at the end of the file."""
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("RS256", kid="a")]}))

    def read(after: str = "", /, **keys: Any) -> Provider:
        lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items() if value is not None]
        file = tmp_path / "guard.toml"
        file.write_text("\n".join(["[providers.shop]", *lines, after]))
        (provider,) = jwt_guard.load(file).providers
        return provider

    return read


@pytest.mark.parametrize(("keys", "expected"), PROFILES.values(), ids=PROFILES)
def test_a_profile_is_in_a_file_what_it_is_in_python(read: Read, keys: dict[str, Any], expected: Provider) -> None:
    found = read("[keys]\ntimeout = 2.5", **keys)

    for part in ("name", "issuers", "typ", "required", "claims", "is_machine", "extra_rules", "audience_claim", "kind",
                 "key_issuer", "allowed", "exp_may_be_missing"):  # fmt: skip
        assert getattr(expected, part) == getattr(found, part), part
    assert set(expected.audience) == set(found.audience)
    assert isinstance(found.source, RemoteKeys)
    assert isinstance(expected.source, RemoteKeys)
    assert expected.source._name == found.source._name
    assert 2.5 == found.source.settings.timeout


def test_every_profile_is_tried() -> None:
    elsewhere = {"hti_launch", "joat_tokens", "koppeltaal"}  # in test_koppeltaal.py and test_joat.py

    assert {name for name in providers._PROFILES if name} - elsewhere == {
        keys["profile"] for keys, _ in PROFILES.values()
    }


@pytest.mark.parametrize(("keys", "expected"), PROFILES.values(), ids=PROFILES)
def test_keys_may_be_elsewhere_with_every_profile(read: Read, keys: dict[str, Any], expected: Provider) -> None:
    in_hand = read(**keys, jwks_file="keys.json")
    there = read(**keys, jwks_url="https://keys.test/jwks")
    asked = read(**keys, discovery_url="https://keys.test/realm")

    assert {"a"} == in_hand.source.keys.kids  # type: ignore[attr-defined]  # of keys in hand
    assert isinstance(there.source, RemoteKeys)
    assert "jwks https://keys.test/jwks" == there.source._name
    assert isinstance(asked.source, RemoteKeys)
    assert f"https://keys.test/realm/.well-known/openid-configuration {min(expected.issuers)}" in asked.source._name
    assert expected.key_issuer is there.key_issuer


def test_the_file_says_where_a_profile_does_not_fit(read: Read) -> None:
    provider = read(
        '[providers.shop.claims]\nroles = ["https://shop.example/roles"]\n',
        profile="auth0", domain="shop.eu.auth0.com", audience="orders", jwks_file="keys.json", leeway=5,
        required=["email"],
    )  # fmt: skip

    assert (5, ("email",)) == (provider.leeway, provider.required)
    assert ("client_id", "azp") == provider.claims.client
    assert ("https://shop.example/roles",) == provider.claims.roles


def test_a_path_may_end_in_a_star_in_a_file_too(read: Read) -> None:
    provider = read(
        '[providers.shop.claims]\nroles = [["teams", "*"]]\n', issuer=HTTPS, audience="orders", jwks_file="keys.json"
    )
    claims = {"iss": HTTPS, "aud": "orders", "exp": 1_900_000_000, "teams": {"ops": {}, "dev": {}}}

    assert {"ops", "dev"} == who(provider, claims).roles


ENTRA = {"profile": "entra", "tenant": TENANT, "audience": "orders"}
COGNITO = {"profile": "cognito", "region": "eu-west-1", "pool": "eu-west-1_AbC", "clients": "one"}
GOOGLE = {"profile": "google_id_token", "audience": "orders"}
PLAIN = {"issuer": HTTPS, "audience": "orders"}
LOGINS = {"profile": "id_token", "issuer": HTTPS, "client": "app"}
SMART = {"profile": "smart", "issuer": HTTPS, "audience": FHIR}


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        ({**ENTRA, "tenant": None}, "", "say either tenant or tenants"),
        ({**ENTRA, "tenants": [OTHER]}, "", "say either tenant or tenants"),
        ({**ENTRA, "tenant": "common"}, "", "a tenant is its id, as in 8eaef023-2b34-4da1-9baa-8bc8c9d6a490"),
        ({**ENTRA, "tenant": [TENANT]}, "tenant", "a text is expected, not a list"),
        ({**ENTRA, "tenant": None, "tenants": []}, "tenants", "a text or a list of texts is expected"),
        ({**ENTRA, "audience": None}, "audience", "it is required: the aud of tokens that are meant for this API"),
        ({**ENTRA, "host": "login.example"}, "", "host is one of login.microsoftonline.com"),
        ({**ENTRA, "issuer": HTTPS}, "issuer", "profile = 'entra' knows it from audience, tenant, tenants, host"),
        ({**ENTRA, "tenent": TENANT}, "tenent", "there is no such key; did you mean tenant?"),
        ({**ENTRA, "domain": "a.example"}, "domain", "that is for profile = 'auth0'"),
        ({**ENTRA, "shortest_secret": 5}, "shortest_secret", "that is for secret and salt"),
        ({**ENTRA, "jwks_url": "http://a.test"}, "jwks_url", "its host is not in plain_http_hosts"),
        ({**COGNITO, "region": None}, "region", "it is required: the one of the user pool"),
        ({**COGNITO, "pool": None}, "pool", "it is required: the id of the user pool"),
        ({**COGNITO, "clients": None}, "clients", "it is required: the ids of the app clients"),
        ({**COGNITO, "pool": "us-east-1_AbC"}, "", "pool is the id of a user pool in that region"),
        ({**COGNITO, "audience": "a"}, "audience", "profile = 'cognito' knows it from region, pool, clients"),
        ({**COGNITO, "client": "a"}, "client", "that is for profile = 'id_token' or 'keycloak'"),
        ({**LOGINS, "client": None}, "client", "it is required: the client_id at the issuer"),
        ({**LOGINS, "client": ["app"]}, "client", "a text is expected, not a list"),
        ({**LOGINS, "audience": "app"}, "audience", "profile = 'id_token' knows it from issuer, client"),
        ({**LOGINS, "exp_may_be_missing": "yes"}, "exp_may_be_missing", "true or false is expected, not a text"),
        ({**LOGINS, "fhir_base": "ehr/fhir"}, "", "fhir_base is the URL of a FHIR server"),
        ({**LOGINS, "trusted_audiences": []}, "trusted_audiences", "a text or a list of texts is expected"),
        ({**PLAIN, "exp_may_be_missing": True}, "exp_may_be_missing", "that is for profile = 'id_token'"),
        ({**PLAIN, "profile": "smart"}, "", "audience is the base URL of the FHIR server"),
        ({**SMART, "issuer": "http://id.test"}, "", "its host is not in plain_http_hosts"),
        ({**COGNITO, "issuer_type": "updated"}, "", "issuer_type is ORIGINAL or UPDATED, as the user pool has it"),
        ({**ENTRA, "issuer_type": "UPDATED"}, "issuer_type", "that is for profile = 'cognito'"),
        ({**COGNITO, "client_id": "a"}, "client_id", "that is for introspection_url, which is not there"),
        ({**GOOGLE, "hd": "*"}, "", "hd is a domain of Google Workspace"),
        ({**GOOGLE, "audience": None}, "audience", "it is required"),
        ({"profile": "auth0", "audience": "a"}, "domain", "it is required: the tenant's own, as in shop.eu.auth0.com"),
        ({"profile": "auth0", "audience": "a", "domain": HTTPS}, "", "domain is the name alone"),
        ({**PLAIN, "profile": "okta"}, "", "tokens of the org authorization server are for Okta alone"),
        ({**PLAIN, "tenant": TENANT}, "tenant", "that is for profile = 'entra'"),
        ({**PLAIN, "project": "p"}, "project", "that is for profile = 'zitadel'"),
        ({**PLAIN, "profile": "keycloak", "hd": "a.example"}, "hd", "that is for profile = 'google_id_token'"),
        ({**PLAIN, "profile": "azure"}, "profile", "there is no such profile; known here: auth0, authentik, cognito"),
        ({**PLAIN, "profile": "cognitto"}, "profile", "there is no such profile; did you mean cognito?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_profile_is_said_with_its_place(
    read: Read, keys: dict[str, Any], key: str, reason: str
) -> None:
    with pytest.raises(WrongConfig) as caught:
        read(**keys)

    assert ".".join(filter(None, ("providers.shop", key))) == caught.value.place
    assert reason in caught.value.reason
