"""Files with keys in them → the one to sign with, or the reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.keyring import load_signing_key, make, signing_key
from jwt_guard.issuing.loading import public_jwks
from jwt_guard.sources.fixed import fixed
from tests.support.keys import ALGORITHMS, ASYMMETRIC


def pem(key: Any, encryption: KeySerializationEncryption | None = None) -> bytes:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return octets


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in {"d", "p", "q", "dp", "dq", "qi", "priv", "k"}}


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_read_from_its_file_signs_as_before(alg: str, tmp_path: Path) -> None:
    key = make(alg, "a")
    file = tmp_path / "key.jwk"
    file.write_text(json.dumps(key.private_jwk()))

    read = load_signing_key(file)

    assert (alg, "a") == (read.alg, read.kid)
    assert key.verifying.verifiers[alg](b"x", read.sign(b"x"))


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_pem_key_signs_with_what_its_type_says(alg: str, tmp_path: Path) -> None:
    key = make(alg)
    file = tmp_path / "key.pem"
    file.write_bytes(pem(key.material))

    read = load_signing_key(file, alg=alg)

    assert (alg, key.kid) == (read.alg, read.kid)


@pytest.mark.parametrize(
    ("alg", "by_custom"), [("PS512", "RS256"), ("Ed25519", "EdDSA"), ("ES384", "ES384"), ("ES256K", "ES256K")]
)
def test_without_an_algorithm_custom_decides(alg: str, by_custom: str) -> None:
    assert by_custom == signing_key(pem(make(alg).material)).alg


def test_traditional_pem_is_read_too() -> None:
    key = rsa.generate_private_key(65_537, 2_048)
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    assert "RS512" == signing_key(octets, alg="RS512").alg


def test_of_twins_under_one_name_the_private_one_is_taken() -> None:
    key = make("ES384", "twin").private_jwk()
    signs, verifies = {**key, "key_ops": ["sign"]}, {**public(key), "key_ops": ["verify"]}

    read = signing_key({"keys": [verifies, signs]})

    assert ("ES384", "twin") == (read.alg, read.kid)


def test_of_several_keys_the_named_one_is_taken() -> None:
    keys = {"keys": [make("ES256", "a").private_jwk(), make("ES384", "b").private_jwk()]}

    assert "ES384" == signing_key(keys, kid="b").alg
    with pytest.raises(Misconfigured, match="'a', 'b'"):
        signing_key(keys)
    with pytest.raises(Misconfigured, match="0 keys"):
        signing_key(keys, kid="c")


def test_a_key_without_a_name_gets_the_one_given() -> None:
    jwk = make("ES256").private_jwk()
    del jwk["kid"]

    assert "mine" == signing_key(jwk, kid="mine").kid


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["verify"]},
        {"key_ops": "sign"},
        {"alg": "ES384"},
        {"alg": 1},
        {"kid": 1},
        {"kid": "other"},
        {"kty": "oct"},
    ],
)
def test_a_key_that_is_not_for_this_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        signing_key({**make("ES256", "a").private_jwk(), **change}, kid="a", alg="ES256")


def test_a_public_key_signs_nothing() -> None:
    key = make("ES256")

    with pytest.raises(Misconfigured, match="no private half"):
        signing_key(dict(key.public or {}))
    with pytest.raises(Misconfigured, match="neither a JWK nor a PEM private key"):
        signing_key(key.public_pem())


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": [1, {}]}',
        b'{"kty": "EC", "kty": "RSA"}',
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        pem(x25519.X25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"password")),
        pem(rsa.generate_private_key(65_537, 1_024)),
    ],
    ids=range(10),
)
def test_what_is_no_key_is_refused_in_a_sentence_that_names_the_file(octets: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(octets)

    with pytest.raises(Misconfigured) as caught:
        load_signing_key(file)

    assert str(caught.value).startswith(f"{file}: signing key: ")


def test_a_file_that_is_not_there_is_a_misconfiguration(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        load_signing_key(tmp_path / "nowhere")


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(2_000_000 * b" ")

    with pytest.raises(Misconfigured, match="larger than 1 MiB"):
        load_signing_key(file)


# --- the public halves of a file ---------------------------------------------------------------------

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_the_public_half_of_a_key_is_what_its_owner_publishes(alg: str) -> None:
    key = make(alg, "a")
    extended = {**key.private_jwk(), "ext": True, "x5c": ["AAAA"], "published": 1.0, "note": "mine"}

    for material in (extended, {"keys": [extended]}, json.dumps(extended).encode(), dict(key.public or {})):
        (found,) = public_jwks(material)
        assert dict(key.public or {}) == found


@pytest.mark.parametrize("alg", ["RS256", "PS384", "ES384", "EdDSA", "ML-DSA-44"])
def test_a_pem_key_has_a_public_half_and_its_type_says_no_more_than_it_knows(alg: str) -> None:
    key = make(alg)

    (found,) = public_jwks(pem(key.material))

    assert key.kid == found["kid"]
    assert (alg if alg in {"ES384", "ML-DSA-44"} else None) == found.get("alg")


def test_an_rsa_key_that_names_no_algorithm_is_given_none() -> None:
    jwk = make("PS256", "a").private_jwk()
    del jwk["alg"]

    assert {"kty", "n", "e", "kid", "use"} == public_jwks(jwk)[0].keys()


def test_twins_are_published_once() -> None:
    key = make("ES384", "twin").private_jwk()
    signs, verifies = {**key, "key_ops": ["sign"]}, {**public(key), "key_ops": ["verify"], "ext": True}

    assert [public(key)] == public_jwks({"keys": [verifies, signs]})


@pytest.mark.parametrize(
    "material",
    [
        {"keys": []},
        {"keys": 1},
        {"keys": [1]},
        {"keys": [make("ES256", "a").private_jwk(), make("HS256", "b").private_jwk()]},
        make("HS256", "b").private_jwk(),
        {**make("ES256", "a").private_jwk(), "use": "enc"},
        {**make("ES256", "a").private_jwk(), "alg": "ES384"},
        {**make("ES256", "a").private_jwk(), "alg": 1},
        {**make("ES256", "a").private_jwk(), "kid": 1},
        {**make("ES256", "a").private_jwk(), "x": make("ES256").private_jwk()["x"]},
        {**(make("ES256", "a").public or {}), "crv": "P-384"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {},
        b"{",
        b"-----BEGIN PUBLIC KEY-----",
    ],
    ids=range(15),
)
def test_what_has_no_public_half_is_refused_whole(material: Any) -> None:
    with pytest.raises(Misconfigured, match="public keys: ") as caught:
        public_jwks(material)
    assert all(secret not in str(caught.value) for secret in secrets_in(material))


def secrets_in(material: Any) -> list[str]:
    entries = material.get("keys", [material]) if isinstance(material, dict) else []
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [value for entry in found for name, value in entry.items() if name in PRIVATE]


# --- the key files of SMART's guide ------------------------------------------------------------------

GUIDE = Path(__file__).parents[3] / "shared" / "vectors" / "smart_ig"


def twins(alg: str) -> dict[str, Any]:
    """Return a file such as the guide has: what a browser exports, once to sign and once to verify."""
    key = make(alg, "eee9f17a3b598fd86417a980b591fbe6").private_jwk()
    del key["use"]
    signs = {**key, "key_ops": ["sign"], "ext": True}
    verifies = {**public(key), "key_ops": ["verify"], "ext": True}
    return {"keys": [verifies, signs]}


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_key_files_in_the_shape_of_smarts_guide_sign_and_verify(alg: str, tmp_path: Path) -> None:
    file = tmp_path / "client.private.json"
    file.write_text(json.dumps(twins(alg)))

    key = load_signing_key(file)

    (verifying,) = fixed(file).keys.keys  # the private twin is skipped: it is not to verify with
    assert (alg, key.kid) == (key.alg, verifying.kid)
    assert verifying.verifiers[alg](b"x", key.sign(b"x"))
    assert [key.kid] == [each["kid"] for each in public_jwks(file.read_bytes())]


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_the_key_files_of_smarts_guide_itself_sign_and_verify(alg: str) -> None:
    file = GUIDE / f"{alg}.private.json"
    if not file.exists():
        pytest.skip("the guide's files are not here")
    key = load_signing_key(file)
    (verifying,) = fixed(GUIDE / f"{alg}.public.json").keys.keys

    assert (alg, verifying.kid) == (key.alg, key.kid)
    assert verifying.verifiers[alg](b"x", key.sign(b"x"))
    published = public_jwks(file.read_bytes())
    assert published == public_jwks((GUIDE / f"{alg}.public.json").read_bytes())
    assert not PRIVATE & published[0].keys()
