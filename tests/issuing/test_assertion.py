"""Assertions as they are made: the very octets of the guide, and nothing that a server would not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joserfc.jwt
import pytest
from joserfc.jwk import JWKRegistry

from jwt_guard import Guard, Misconfigured
from jwt_guard.access.client_assertion import client_assertion
from jwt_guard.credentials import Credentials
from jwt_guard.issuing.assertion import assertions, make_assertion
from jwt_guard.issuing.loading import load_signing_key, signing_key
from jwt_guard.issuing.signing import SigningKey, make
from tests.support.assertions import CLIENT, TOKEN_URL
from tests.support.keys import ASYMMETRIC, HMAC, decode
from tests.support.minting import NOW, minted, verdict

SMART_IG = Path(__file__).parents[3] / "shared" / "vectors" / "smart_ig"
THE_GUIDE = {  # SMART App Launch 2.2.0, "Signed JWT" of client-confidential-asymmetric
    "client": "https://bili-monitor.example.com",
    "audience": "https://authorize.smarthealthit.org/token",
    "exp": 1_422_568_860,
    "jti": "random-non-reusable-jwt-id-123",
    "kid": "eee9f17a3b598fd86417a980b591fbe6",
}
SIGNING_INPUT = (
    "eyJhbGciOiJSUzM4NCIsImtpZCI6ImVlZTlmMTdhM2I1OThmZDg2NDE3YTk4MGI1OTFmYmU2IiwidHlwIjoiSldUIn0."
    "eyJpc3MiOiJodHRwczovL2JpbGktbW9uaXRvci5leGFtcGxlLmNvbSIsInN1YiI6Imh0dHBzOi8vYmlsaS1tb25pdG9yLmV4YW1wbGUuY29tIiwi"
    "YXVkIjoiaHR0cHM6Ly9hdXRob3JpemUuc21hcnRoZWFsdGhpdC5vcmcvdG9rZW4iLCJleHAiOjE0MjI1Njg4NjAsImp0aSI6InJhbmRvbS1ub24t"
    "cmV1c2FibGUtand0LWlkLTEyMyJ9"
)
VECTORS = Path(__file__).parents[1] / "vectors" / "golden_jws.json"


def guide(key: SigningKey) -> str:
    client, audience, jti = THE_GUIDE["client"], THE_GUIDE["audience"], THE_GUIDE["jti"]
    return minted(make_assertion(key, str(client), str(audience), now=1_422_568_800, lifetime=60, jti=str(jti)))


def test_header_and_claims_are_in_the_order_of_the_guide_and_compact() -> None:
    assert SIGNING_INPUT == guide(make("RS384", str(THE_GUIDE["kid"]))).rpartition(".")[0]


@pytest.mark.skipif(not SMART_IG.is_dir(), reason="the key files of the guide are not here")
def test_the_private_key_of_the_guide_makes_the_very_token_of_the_guide() -> None:
    (golden,) = (each for each in json.loads(VECTORS.read_text()) if each["id"] == "smart-asym-rs384")
    made = guide(load_signing_key(SMART_IG / "RS384.private.json"))

    assert golden["jws"] == made
    assert SIGNING_INPUT == made.rpartition(".")[0]


@pytest.mark.skipif(not SMART_IG.is_dir(), reason="the key files of the guide are not here")
@pytest.mark.parametrize("half", ["public", "private"])
@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_both_of_the_key_files_of_the_guide_can_be_registered(alg: str, half: str) -> None:
    of = Guard(
        [client_assertion(CLIENT, TOKEN_URL, jwks=SMART_IG / f"{alg}.{half}.json")],
        clock=lambda: NOW,
    )
    key = load_signing_key(SMART_IG / f"{alg}.private.json")

    assert alg == key.alg
    assert isinstance(verdict(of, minted(make_assertion(key, CLIENT, TOKEN_URL, now=NOW))), Credentials)


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_every_algorithm_that_signs_makes_one_that_is_taken(alg: str) -> None:
    key = make(alg, "ours")
    of = Guard([client_assertion(CLIENT, TOKEN_URL, jwks=dict(key.public or {}))], clock=lambda: NOW)

    assert isinstance(verdict(of, minted(make_assertion(key, CLIENT, TOKEN_URL, now=NOW))), Credentials)


@pytest.mark.parametrize("alg", ["RS384", "ES384", "Ed25519"])
def test_another_library_reads_it(alg: str) -> None:
    key = make(alg, "ours")
    text = minted(
        make_assertion(key, CLIENT, TOKEN_URL, now=NOW + 0.9, lifetime=300, jti="j", jku="https://monitor.test/k")
    )
    read = joserfc.jwt.decode(text, JWKRegistry.import_key(dict(key.public or {})), algorithms=[alg])

    assert {"alg": alg, "kid": "ours", "typ": "JWT", "jku": "https://monitor.test/k"} == read.header
    assert {"iss": CLIENT, "sub": CLIENT, "aud": TOKEN_URL, "exp": NOW + 300, "jti": "j"} == read.claims


def test_the_half_of_a_set_that_signs_is_used_though_its_twin_has_its_name() -> None:
    private = make("ES384", "one").private_jwk()
    public = {name: value for name, value in private.items() if name != "d"}
    for twins in (["verify", "sign"], ["sign", "verify"]):
        entries = [{**(private if each == "sign" else public), "key_ops": [each]} for each in twins]
        key = signing_key(
            {"keys": [{name: value for name, value in each.items() if name != "use"} for each in entries]}
        )

        assert ("one", "ES384") == (key.kid, key.alg)


def test_no_two_have_one_name_unless_that_is_asked_for() -> None:
    again = assertions(make("ES384"), CLIENT, TOKEN_URL, clock=lambda: NOW)
    said = [json.loads(decode(minted(again()).split(".")[1])) for _ in range(50)]

    assert 50 == len({each["jti"] for each in said})
    assert {NOW + 240} == {each["exp"] for each in said}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lifetime": 301}, "1 to 300"),
        ({"lifetime": 0}, "1 to 300"),
        ({"lifetime": True}, "1 to 300"),
        ({"lifetime": 60.0}, "1 to 300"),
        ({"client_id": ""}, "not empty"),
        ({"client_id": " x"}, "not empty"),
        ({"audience": ""}, "not empty"),
        ({"jku": ""}, "jku"),
        *(({"key": alg}, "a secret is another method") for alg in HMAC),
    ],
    ids=str,
)
def test_what_no_server_would_take_is_not_made(changes: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"key": "ES384", "client_id": CLIENT, "audience": TOKEN_URL, **changes}
    key = make(given.pop("key"))

    with pytest.raises(Misconfigured, match=says):
        make_assertion(key, **given, now=NOW)
    with pytest.raises(Misconfigured, match=says):
        assertions(key, **given)


@pytest.mark.parametrize("jti", ["", " ", 7])
def test_a_name_is_a_text(jti: Any) -> None:
    with pytest.raises(Misconfigured, match="jti"):
        make_assertion(make("ES384"), CLIENT, TOKEN_URL, now=NOW, jti=jti)
