"""Key material ↔ JWK: what is published, what is not, and what it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwcrypto.jwk  # type: ignore[import-untyped]
import pytest

from jwt_guard.issuing.jwk import members_of_pem, pem_of_public, private_key, private_members, thumbprint
from jwt_guard.issuing.signing import make
from jwt_guard.tokens.keys import KeyUnusable
from tests.support.keys import ASYMMETRIC, decode, encode, pem, public_jwk

# RFC 7638 §3.1
RFC7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# RFC 8037 A.1 and A.2
RFC8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
ML_DSA = json.loads((Path(__file__).parents[1] / "vectors" / "rfc9964.json").read_text("utf-8"))


def test_thumbprint_of_rfc_7638() -> None:
    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" == thumbprint(RFC7638)


def test_thumbprint_of_rfc_8037() -> None:
    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == thumbprint(RFC8037)


@pytest.mark.parametrize("vector", ML_DSA, ids=lambda vector: vector["id"])
def test_thumbprint_of_rfc_9964(vector: dict[str, Any]) -> None:
    assert vector["key"]["kid"] == thumbprint(vector["key"])


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_another_library_gives_a_key_the_same_name(alg: str) -> None:
    key = make(alg)

    assert jwcrypto.jwk.JWK(**dict(key.public or {})).thumbprint() == key.kid


def test_a_secret_has_no_thumbprint_since_that_would_help_to_guess_it() -> None:
    with pytest.raises(KeyUnusable, match="no thumbprint"):
        thumbprint({"kty": "oct", "k": "AAAA"})


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": ["RSA"]}, {"kty": "RSA", "n": "AQAB"}, {"kty": "RSA", "n": "", "e": "AQAB"}]
)
def test_half_a_key_has_no_thumbprint(jwk: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable):
        thumbprint(jwk)


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_private_key_survives_being_written_and_read(alg: str) -> None:
    jwk = make(alg).private_jwk()

    key = private_key(json.loads(json.dumps(jwk)))

    assert jwk == {**public(jwk), **private_members(key)}
    assert public(jwk) == jwcrypto.jwk.JWK(**jwk).export_public(as_dict=True)


@pytest.mark.parametrize("alg", ["RS256", "ES256", "ES512", "EdDSA", "ML-DSA-44"])
def test_public_members_of_another_key_are_noticed(alg: str) -> None:
    jwk, other = make(alg).private_jwk(), public(make(alg).private_jwk())

    with pytest.raises(KeyUnusable):
        private_key({**jwk, **other})


@pytest.mark.parametrize("left_out", [("dp", "dq", "qi"), ("p", "q", "dp", "dq", "qi"), ("qi",), ("dp",)])
def test_an_rsa_key_needs_no_shortcuts(left_out: tuple[str, ...]) -> None:
    jwk = make("RS256").private_jwk()
    short = {name: value for name, value in jwk.items() if name not in left_out}

    read = private_key(short)

    assert private_members(private_key(jwk)) == private_members(read)
    assert jwk == {**public(jwk), **private_members(read)}


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi"])
def test_a_wrong_number_in_an_rsa_key_is_noticed_and_not_shown(member: str) -> None:
    jwk, other = make("RS256").private_jwk(), make("RS256").private_jwk()

    with pytest.raises(KeyUnusable) as caught:
        private_key({**jwk, member: other[member]})

    assert None is caught.value.__cause__
    assert all(value not in str(caught.value) for value in (jwk["d"], other[member]))


@pytest.mark.parametrize(
    "jwk",
    [
        {**RFC8037, "crv": "X25519"},
        {**RFC8037, "kty": "EC"},
        {**RFC8037, "kty": "oct"},
        {**RFC8037, "kty": None},
        {**RFC8037, "d": "AAAA"},
        {**RFC8037, "d": 1},
        {**RFC8037, "x": None},
        {"kty": "AKP", "alg": "ML-DSA-45", "priv": 43 * "A"},
        {"kty": "AKP", "alg": "ML-DSA-44", "priv": "AAAA", "pub": "AAAA"},
        {"kty": "RSA", "n": 3_000 * "A", "e": "AQAB", "d": "AQAB", "oth": []},
        {"kty": "RSA", "n": 3_000 * "_", "e": "AQAB", "d": "AQAB"},
    ],
)
def test_what_is_no_private_key_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable):
        private_key(jwk)


def test_short_coordinates_are_refused_though_their_numbers_fit() -> None:
    jwk = make("ES256").private_jwk()

    with pytest.raises(KeyUnusable, match="wrong length"):
        private_key({**jwk, "d": encode(decode(jwk["d"])[:-1])})


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_public_jwk_in_pem_is_the_pem_of_its_key(alg: str) -> None:
    key = make(alg)

    assert key.public_pem().decode() == pem_of_public(key.public or {}) == pem_of_public(key.private_jwk())


def test_a_secret_has_no_pem() -> None:
    for jwk in (make("HS256").private_jwk(), {}, {"kty": "EC"}):
        with pytest.raises(KeyUnusable):
            pem_of_public(jwk)


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    """Return the members of *jwk* that anybody may see."""
    return {name: value for name, value in jwk.items() if name not in {"d", "p", "q", "dp", "dq", "qi", "priv"}}


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_public_key_in_pem_is_the_same_jwk(alg: str) -> None:
    assert public_jwk(alg) == members_of_pem(pem(alg))


def test_what_is_no_public_key_in_pem_is_refused() -> None:
    with pytest.raises(KeyUnusable):
        members_of_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
