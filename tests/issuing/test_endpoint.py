"""Issuer → its documents, as those who look for them find them."""

from __future__ import annotations

import json

import anyio
import httpx
import jwt
import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.endpoint import endpoint
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring, make
from jwt_guard.sources.discovery import well_known


def issuer(url: str = "https://id.test") -> Issuer:
    return Issuer(url, Keyring(make("ES256", "a"), [make("EdDSA", "b")]))


def get(of: Issuer, url: str, method: str = "GET") -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(endpoint(of, keys_fresh_for=60))) as client:
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
