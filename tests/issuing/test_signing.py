"""SigningKey: what it signs, others take; what is secret, nobody sees."""

from __future__ import annotations

import json
from typing import Any

import joserfc.jwk
import joserfc.jws
import jwcrypto.jwk  # type: ignore[import-untyped]
import jwcrypto.jws  # type: ignore[import-untyped]
import jwt
import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.loading import signing_key
from jwt_guard.issuing.signing import SigningKey, make
from jwt_guard.tokens.compact import read_jws
from jwt_guard.tokens.verify import check_signature
from tests.support.keys import ALGORITHMS, ASYMMETRIC, HMAC, decode, encode
from tests.support.minting import claims

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}
PYJWT_KNOWS = sorted(set(ALGORITHMS) - {"Ed25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"})
JOSERFC_KNOWS = sorted(set(ALGORITHMS) - {"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"})
JWCRYPTO_KNOWS = sorted(set(ALGORITHMS) - {"Ed25519"})


def public(key: SigningKey) -> dict[str, Any]:
    """Return what somebody needs who checks: for a secret, the secret."""
    return key.private_jwk() if key.public is None else dict(key.public)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_a_key_signs_its_own_half_verifies(alg: str) -> None:
    key = make(alg)

    check_signature(read_jws(sign(key, claims())), key.verifying)


@pytest.mark.parametrize("alg", PYJWT_KNOWS)
def test_pyjwt_takes_what_we_sign(alg: str) -> None:
    key = make(alg)

    checked = jwt.PyJWS().decode(sign(key, claims()), jwt.PyJWK(public(key)).key, [alg])

    assert claims() == json.loads(checked)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
@pytest.mark.parametrize("alg", JOSERFC_KNOWS)
def test_joserfc_takes_what_we_sign(alg: str) -> None:
    key = make(alg)

    checked = joserfc.jws.deserialize_compact(sign(key, claims()), joserfc.jwk.import_key(public(key)), [alg])

    assert claims() == json.loads(checked.payload)


@pytest.mark.parametrize("alg", JWCRYPTO_KNOWS)
def test_jwcrypto_takes_what_we_sign(alg: str) -> None:
    key = make(alg)
    jws = jwcrypto.jws.JWS()
    jws.allowed_algs = [alg]

    jws.deserialize(sign(key, claims()), jwcrypto.jwk.JWK(**public(key)))

    assert claims() == json.loads(jws.payload)


def test_ed25519_signs_as_rfc_8037_a4_prints_it() -> None:
    key = signing_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )

    signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")

    expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    assert expected == encode(signature)


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_nothing_private_is_published(alg: str) -> None:
    key = make(alg)

    assert set() == PRIVATE & set(key.public or PRIVATE)
    assert {"alg": alg, "use": "sig", "kid": key.kid}.items() <= dict(key.public or {}).items()


@pytest.mark.parametrize("alg", HMAC)
def test_of_a_secret_nothing_is_published_at_all(alg: str) -> None:
    key = make(alg)

    assert key.public is None
    with pytest.raises(Misconfigured):
        key.public_pem()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_nothing_private_is_shown(alg: str) -> None:
    key = make(alg)
    secrets = [value for name, value in key.private_jwk().items() if name in PRIVATE]

    shown = f"{key!r} {key}"

    assert secrets
    assert all(value not in shown and repr(decode(value)) not in shown for value in secrets)
    assert f"SigningKey(alg={alg!r}, kid={key.kid!r})" == repr(key)


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_the_public_half_in_pem_is_public(alg: str) -> None:
    pem = make(alg).public_pem()

    assert b"PRIVATE" not in pem
    assert pem.startswith(b"-----BEGIN PUBLIC KEY-----")


def test_a_key_cannot_be_changed() -> None:
    key = make("ES256", "a")

    with pytest.raises(AttributeError):
        key.kid = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        key.public["kid"] = "b"  # type: ignore[index]


def test_a_given_kid_is_kept() -> None:
    key = make("ES256", "mine")

    assert "mine" == key.kid
    assert "mine" == (key.public or {})["kid"]


@pytest.mark.parametrize("alg", ["none", "RS1", "HS1", "", "es256", "ES256 "])
def test_an_algorithm_that_nobody_knows_makes_no_key(alg: str) -> None:
    with pytest.raises(Misconfigured, match="no algorithm"):
        make(alg)


@pytest.mark.parametrize(
    ("alg", "of"),
    [("ES256", "RS256"), ("RS256", "ES256"), ("ES384", "ES256"), ("HS256", "RS256"), ("ML-DSA-44", "ML-DSA-65")],
)
def test_an_algorithm_that_does_not_fit_the_key_is_refused(alg: str, of: str) -> None:
    material = make(of).material

    with pytest.raises(Misconfigured, match="does not fit"):
        SigningKey(alg, material)


@pytest.mark.parametrize("secret", [b"", b"short", 31 * b"x", b"-----BEGIN PUBLIC KEY-----" + 40 * b"x", 40 * b" "])
def test_a_secret_that_no_guard_would_take_signs_nothing(secret: bytes) -> None:
    with pytest.raises(Misconfigured):
        SigningKey("HS256", secret)


def test_an_empty_kid_is_a_mistake() -> None:
    with pytest.raises(Misconfigured):
        make("ES256", "")
