"""A payload and a key pair → an endorsement; a key pair → what is published of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jwk as other_jwk
from joserfc import jws as other_jws

from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.poet import LIFETIME, endorsing_key, key_pair, public_half, sign
from jwt_guard.issuing.signing import make
from tests.issuing.poet.test_payload import APP
from tests.support.keys import encode, private_key, public_jwk

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}
NOW = 1_500_600_000.9


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return document


def of_poetri(kid: str = "example.com", **changes: Any) -> dict[str, Any]:
    """Return a key pair as poetri wrote it: two primes, and nothing that follows from them."""
    numbers = private_key("RSA", "a").private_numbers()
    members = {name: encode(value.to_bytes(256).lstrip(b"\0")) for name, value in (
        ("d", numbers.d), ("p", numbers.p), ("q", numbers.q),
    )}  # fmt: skip
    return {**public_jwk("RS256"), **members, "kid": kid, "use": "sig", "alg": "RS256", **changes}


def test_a_new_key_pair_is_rsa_of_2048_bits() -> None:
    jwk = key_pair("example.com").private_jwk()

    assert {"kty", "n", "e", "kid", "use", "alg", *PRIVATE} == jwk.keys()
    assert ("RSA", "example.com", "sig", "RS256") == (jwk["kty"], jwk["kid"], jwk["use"], jwk["alg"])
    assert 2_048 == other_jwk.RSAKey.import_key(jwk).private_key.key_size  # type: ignore[union-attr]
    assert jwk["n"] != key_pair("example.com").private_jwk()["n"]


@pytest.mark.parametrize("kid", ["", None, 1])
def test_a_key_pair_has_a_name(kid: Any) -> None:
    with pytest.raises(Misconfigured, match="kid is a text"):
        key_pair(kid)


def test_what_is_published_has_six_members_and_no_private_one() -> None:
    for jwk in (of_poetri(), of_poetri(x="y"), public_jwk("RS256", kid="a", x5c=[])):
        published = public_half(jwk)

        assert ["alg", "kty", "kid", "e", "n", "use"] == list(published)
        assert ("RS256", "RSA", "sig") == (published["alg"], published["kty"], published["use"])
        assert (jwk["kid"], jwk["e"], jwk["n"]) == (published["kid"], published["e"], published["n"])


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        ({}, "no kid"),
        (public_jwk("RS256"), "no kid"),
        (public_jwk("RS256", kid=""), "no kid"),
        (public_jwk("RS256", kid=7), "no kid"),
        (public_jwk("RS256", kid="a", alg="RS384"), "not for RS256"),
        (public_jwk("RS256", kid="a", use="enc"), "its use is not sig"),
        (public_jwk("ES256", kid="a"), "not for RS256"),
        (public_jwk("HS256", kid="a"), "a secret does not belong"),
        ({"kty": "RSA", "kid": "a", "e": "AQAB"}, "its n is missing"),
        (of_poetri(alg="PS256"), "it is for 'PS256'"),
        (of_poetri(e="Aw"), "its numbers are no private key|its public members"),
        ({**public_jwk("ES256", kid="a"), "d": "AQ"}, "wrong length"),
    ],
)
def test_what_is_no_such_key_is_not_published(jwk: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        public_half(jwk)


@pytest.mark.parametrize("kid", [None, "", 7])
def test_a_key_to_endorse_with_has_a_name(kid: Any) -> None:
    with pytest.raises(Misconfigured, match="no kid"):
        endorsing_key(of_poetri(kid))


def test_a_key_without_alg_is_for_rs256() -> None:
    jwk = of_poetri()
    del jwk["alg"]

    assert "RS256" == endorsing_key(jwk).alg
    assert "RS256" == public_half(jwk)["alg"]
    assert "RS256" == public_half({name: value for name, value in jwk.items() if name not in PRIVATE})["alg"]


def test_an_endorsement_says_what_the_payload_says_and_who_and_when() -> None:
    key = endorsing_key(of_poetri("some-key"))
    token = sign({**APP, "iss": "evil.example", "iat": 1, "exp": 2, "more": ["é"]}, key, "example.com", NOW)

    assert {"alg": "RS256", "kid": "some-key", "typ": "JWT"} == part(token, 0)
    assert {**APP, "iss": "example.com", "iat": 1_500_600_000, "exp": 1_532_136_000, "more": ["é"]} == part(token, 1)
    assert 31_536_000 == LIFETIME == part(token, 1)["exp"] - part(token, 1)["iat"]
    assert 2 == token.count(".")
    other_jws.deserialize_compact(
        token, other_jwk.RSAKey.import_key({**public_half(of_poetri())}), algorithms=["RS256"]
    )


def test_the_lifetime_that_is_asked_for_counts() -> None:
    said = part(sign(APP, endorsing_key(of_poetri()), "example.com", NOW, expires=315_360), 1)

    assert 315_360 == said["exp"] - said["iat"]


@pytest.mark.parametrize("expires", [0, -1, True, 1.5, "60", None])
def test_a_lifetime_is_a_number_of_seconds(expires: Any) -> None:
    with pytest.raises(Misconfigured, match="above 0"):
        sign(APP, endorsing_key(of_poetri()), "example.com", NOW, expires=expires)


@pytest.mark.parametrize("issuer", ["https://example.com", "localhost", "127.0.0.1", "", None])
def test_an_issuer_is_a_host_whatever_is_checked(issuer: Any) -> None:
    for unchecked in (False, True):
        with pytest.raises(Misconfigured, match="the issuer is a host name"):
            sign(APP, endorsing_key(of_poetri()), issuer, NOW, payload_unchecked=unchecked)


def test_a_bad_payload_is_not_endorsed_unless_that_is_meant() -> None:
    key = endorsing_key(of_poetri())
    with pytest.raises(Misconfigured, match=r"client_name is missing; redirect_uris is missing; scope is missing"):
        sign({}, key, "example.com", NOW)

    assert {"iss": "example.com", "iat": 1_500_600_000, "exp": 1_532_136_000} == part(
        sign({}, key, "example.com", NOW, payload_unchecked=True), 1
    )


def test_an_endorsement_ends_before_the_year_10000() -> None:
    with pytest.raises(Misconfigured, match="exp is no whole number"):
        sign(APP, endorsing_key(of_poetri()), "example.com", NOW, expires=10**12)


@pytest.mark.parametrize("value", [float("nan"), {1}, "\ud800"])
def test_a_payload_is_json(value: Any) -> None:
    with pytest.raises(Misconfigured, match="no JSON"):
        sign({**APP, "more": value}, endorsing_key(of_poetri()), "example.com", NOW)


def test_only_rs256_endorses() -> None:
    with pytest.raises(Misconfigured, match="not for RS256"):
        sign(APP, make("ES256", "example.com"), "example.com", NOW)
