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
