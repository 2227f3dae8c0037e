"""Issuer → its documents, as those who look for them find them."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import jwt
import pytest

from jwt_guard.access.denylist import Denylist
from jwt_guard.access.guard import Guard
from jwt_guard.access.profiles import rfc9068
from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.client_authentication import Client, Clients
from jwt_guard.issuing.endpoint import NOTICE, endpoint
from jwt_guard.issuing.introspection import Introspection
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring, Rotation, make
from jwt_guard.issuing.own_keys import OwnKeys
from jwt_guard.issuing.revocation import Revocation
from jwt_guard.issuing.token_endpoint import TokenEndpoint
from jwt_guard.sources.discovery import well_known

BACKEND = make("ES384", "backend-1")
SERVICE = Client("service", secret="a-secret-of-service", scopes=["b", "a"])
WITH_KEY = Client("backend", jwks=dict(BACKEND.public or {}), scopes=["a", "c"])


def issuer(url: str = "https://id.test") -> Issuer:
    return Issuer(url, Keyring(make("ES256", "a"), [make("EdDSA", "b")]))


def get(of: Issuer, url: str, method: str = "GET", **parts: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        app = endpoint(of, keys_fresh_for=60, **parts)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.request(method, url)

    return anyio.run(ask)


@pytest.mark.parametrize(
    "url", ["https://id.test", "https://id.test/", "https://id.test/realms/shop", "http://127.0.0.1:9"]
)
def test_metadata_is_wherever_a_guard_looks_for_it(url: str) -> None:
    by = issuer(url)

    for place in well_known(url):
        found = get(by, place)

        assert (200, "application/json") == (found.status_code, found.headers["content-type"])
        assert url == found.json()["issuer"]
        assert f"{url.rstrip('/')}/jwks" == found.json()["jwks_uri"]
        assert ["ES256", "EdDSA"] == found.json()["id_token_signing_alg_values_supported"]


def test_the_key_set_says_how_long_it_may_be_kept() -> None:
    found = get(issuer(), "https://id.test/jwks")

    assert "application/jwk-set+json" == found.headers["content-type"]
    assert "public, max-age=60" == found.headers["cache-control"]
    assert ["a", "b"] == [key["kid"] for key in found.json()["keys"]]
    assert {"a", "b"} == {key.key_id for key in jwt.PyJWKSet.from_dict(found.json()).keys}


def test_a_rotation_is_seen_at_once() -> None:
    by = issuer()
    app_before = get(by, "https://id.test/jwks").json()
    by.keyring.rotate(make("ES256", "c"))
    by.keyring.retire("b")

    assert ["a", "b"] == [key["kid"] for key in app_before["keys"]]
    assert ["a", "c"] == [key["kid"] for key in get(by, "https://id.test/jwks").json()["keys"]]


def test_nothing_private_is_in_any_document() -> None:
    by = issuer()
    private = [key.private_jwk()["d"] for key in by.keyring.keys]

    for url in (*well_known(by.url), "https://id.test/jwks"):
        assert all(secret not in json.dumps(get(by, url).json()) for secret in private)


def test_there_is_nothing_to_post_and_nothing_else_to_get() -> None:
    assert 405 == get(issuer(), "https://id.test/jwks", "POST").status_code
    assert 404 == get(issuer(), "https://id.test/token").status_code


@pytest.mark.parametrize("url", ["example.com", "http://id.test", "https://id.test?a=b", "https://id.test/#a", "urn:x"])
def test_an_issuer_that_nobody_can_ask_publishes_nothing(url: str) -> None:
    with pytest.raises(Misconfigured):
        endpoint(issuer(url))


def test_nobody_is_told_to_keep_a_key_set_for_longer_than_a_key_waits() -> None:
    plan = Rotation(published_before=60, longest_token=300)
    by = Issuer("https://id.test", Keyring(make("ES256"), rotation=plan))

    endpoint(by, keys_fresh_for=60)
    with pytest.raises(Misconfigured, match="keys_fresh_for"):
        endpoint(by, keys_fresh_for=61)


# --- what else it may have ---------------------------------------------------------------------------


def parts(of: Issuer, *registered: Client) -> dict[str, Any]:
    clients = Clients(registered or (SERVICE, WITH_KEY), f"{of.url}/token")
    guard = Guard([rfc9068(of.url, "orders", keys=OwnKeys(of.keyring))])
    return {
        "tokens": TokenEndpoint(of, clients, "orders"),
        "introspection": Introspection([guard], clients),
        "revocation": Revocation(guard, clients, Denylist()),
    }


@pytest.mark.parametrize("url", ["https://id.test", "https://id.test/realms/shop", "https://id.test/"])
def test_the_metadata_name_each_endpoint_and_how_clients_authenticate_there(url: str) -> None:
    """RFC 8414 §2."""
    by = issuer(url)
    base = url.rstrip("/")
    for place in well_known(url):
        said = get(by, place, **parts(by)).json()
        for name, path in (("token", "token"), ("introspection", "introspect"), ("revocation", "revoke")):
            here = f"{name}_endpoint"

            assert f"{base}/{path}" == said[here]
            assert 405 == get(by, said[here], **parts(by)).status_code
            assert {"private_key_jwt", "client_secret_basic", "client_secret_post"} == set(
                said[f"{here}_auth_methods_supported"]
            )
            assert ["ES384"] == said[f"{here}_auth_signing_alg_values_supported"]
        assert ["client_credentials"] == said["grant_types_supported"]
        assert ["a", "b", "c"] == said["scopes_supported"]
        assert "authorization_endpoint" not in said


def test_nothing_empty_is_in_the_metadata() -> None:
    """RFC 8414 §3.2."""
    by = issuer()
    said = get(by, well_known(by.url)[0], **parts(by, Client("bare", secret="a"))).json()

    assert all(said.values())
    assert "scopes_supported" not in said
    assert "token_endpoint_auth_signing_alg_values_supported" not in said


def test_what_is_not_there_is_not_named() -> None:
    by = issuer()
    alone = get(by, well_known(by.url)[0]).json()
    tokens = parts(by)["tokens"]
    with_tokens = get(by, well_known(by.url)[0], tokens=tokens).json()

    assert not {"token_endpoint", "introspection_endpoint", "revocation_endpoint", "grant_types_supported"} & {*alone}
    assert not {"introspection_endpoint", "revocation_endpoint"} & {*with_tokens}
    for path in ("introspect", "revoke", ".well-known/smart-configuration"):
        assert 404 == get(by, f"{by.url}/{path}", tokens=tokens).status_code


@pytest.mark.parametrize("url", ["https://id.test", "https://id.test/realms/shop"])
def test_it_says_plainly_what_it_is_not(url: str) -> None:
    by = issuer(url)
    said = get(by, well_known(url)[0]).json()
    root = get(by, said["service_documentation"])

    assert (200, "text/plain; charset=utf-8") == (root.status_code, root.headers["content-type"])
    assert "no authorization server for people to log in to" in NOTICE
    assert NOTICE == said["jwt_guard_notice"]
    assert NOTICE in root.text
    assert NOTICE in get(by, url).text


@pytest.mark.parametrize("url", ["https://id.test", "https://id.test/realms/shop"])
@pytest.mark.parametrize(
    ("registered", "capabilities"),
    [
        ((SERVICE, WITH_KEY), ["client-confidential-asymmetric", "client-confidential-symmetric"]),
        ((WITH_KEY,), ["client-confidential-asymmetric"]),
        ((SERVICE,), ["client-confidential-symmetric"]),
    ],
)
def test_a_smart_configuration_says_what_smart_requires(
    url: str, registered: tuple[Client, ...], capabilities: list[str]
) -> None:
    """SMART App Launch 2.2, "Conformance": for a server without launches and without sign-in."""
    by = issuer(url)
    found = get(by, f"{url}/.well-known/smart-configuration", is_for_smart=True, **parts(by, *registered))
    said = found.json()

    assert (200, "application/json") == (found.status_code, found.headers["content-type"])
    assert f"{url}/token" == said["token_endpoint"]
    assert ["client_credentials"] == said["grant_types_supported"]
    assert capabilities == said["capabilities"]
    assert ["S256"] == said["code_challenge_methods_supported"]
    assert {"introspection_endpoint", "revocation_endpoint", "scopes_supported", "jwks_uri"} <= said.keys()
    assert ("token_endpoint_auth_signing_alg_values_supported" in said) == (WITH_KEY in registered)
    assert not {"issuer", "authorization_endpoint"} & said.keys(), "required only where people sign in or launch"


def test_what_does_not_fit_together_is_found_at_start() -> None:
    by = issuer()
    with pytest.raises(Misconfigured, match="another issuer"):
        endpoint(by, tokens=parts(issuer())["tokens"])
    with pytest.raises(Misconfigured, match="SMART"):
        endpoint(by, is_for_smart=True)


def test_an_issuer_without_tls_has_to_be_named() -> None:
    endpoint(issuer("http://issuer:9080"), plain_http_hosts=["issuer"])
    with pytest.raises(Misconfigured, match="https"):
        endpoint(issuer("http://issuer:9080"), plain_http_hosts=["other"])
