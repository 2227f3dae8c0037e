"""What somebody calls a secret → whether it is one."""

from __future__ import annotations

import base64
import json
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwt_guard.tokens.secrets import usable_secret
from tests.support.keys import der, pem, private_key, public_jwk, public_key

KINDS = ("RS256", "ES256", "ES512", "EdDSA")
LINE = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKx5ZbGQJ6hJ4tqN7v7c0Yw2rC1a6m3o5U8y9d0e1f2g ada@host"


def pkcs1() -> bytes:
    key = private_key("RSA")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def pkcs8() -> bytes:
    key = private_key("Ed25519")
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def ssh() -> bytes:
    key = public_key("EdDSA")
    assert isinstance(key, ed25519.Ed25519PublicKey)
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


@pytest.mark.parametrize("secret", ["a good secret", b"a good secret", bytearray(b"a good secret")], ids=repr)
def test_text_and_bytes_are_secrets(secret: object) -> None:
    assert b"a good secret" == usable_secret(secret)


def test_a_view_of_bytes_is_one_too() -> None:
    assert b"a good secret" == usable_secret(memoryview(b"a good secret"))


def test_a_text_counts_by_its_utf8_octets_even_when_it_is_half_a_pair() -> None:
    assert "größe".encode() == usable_secret("größe")
    assert b"\xed\xa0\x80" == usable_secret("\ud800")


def test_blanks_around_a_secret_are_part_of_it() -> None:
    assert b" a good secret\n" == usable_secret(" a good secret\n")


@pytest.mark.parametrize("secret", [None, 0, 1, True, 5.0, ["a"], {"kty": "oct"}], ids=repr)
def test_what_is_neither_text_nor_bytes_is_none(secret: object) -> None:
    assert f"a secret is text or bytes, not {type(secret).__name__}" == usable_secret(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        b"",
        " " * 64,
        b"\t\r\n" * 32,
        b"\0" * 64,
        b"\0 \0" * 32,
        "\u00a0" * 64,
        "\u3000" * 64,
        b"\xef\xbb\xbf",
        "\v\f" * 40,
    ],
    ids=ascii,
)
def test_an_empty_or_blank_secret_lets_everybody_sign(secret: object) -> None:
    assert "the secret is empty or blank" == usable_secret(secret)


@pytest.mark.parametrize("alg", KINDS)
@pytest.mark.parametrize("around", ["%s", "\n \t%s", "\ufeff%s", "key = '%s'"], ids=ascii)
def test_a_key_in_pem_is_no_secret(alg: str, around: str) -> None:
    assert "the secret is a key in PEM" == usable_secret(around % pem(alg).decode())


def test_a_key_in_pem_is_none_in_base64_either() -> None:
    assert "the secret is a key in PEM" == usable_secret(base64.b64encode(pem("ES256")))


def test_the_armour_of_ssh2_is_pem_here() -> None:
    assert "the secret is a key in PEM" == usable_secret("---- BEGIN SSH2 PUBLIC KEY ----")


@pytest.mark.parametrize("kind", ["PKCS#1", "PKCS#8", *KINDS])
def test_a_key_in_der_is_no_secret_however_it_is_wrapped(kind: str) -> None:
    raw = pkcs1() if kind == "PKCS#1" else pkcs8() if kind == "PKCS#8" else der(kind)
    raw = raw[:-1] + b"\n"  # what looks like a blank at its end is part of it

    expected = "the secret is a key in DER"
    assert expected == usable_secret(raw)
    assert expected == usable_secret(raw + b"\n")
    assert expected == usable_secret(raw + b"\0\0")
    assert expected == usable_secret(b"\n" + raw)
    assert expected == usable_secret(base64.b64encode(raw))
    assert expected == usable_secret(base64.encodebytes(raw).decode())
    assert expected == usable_secret(base64.urlsafe_b64encode(raw).rstrip(b"="))


def test_a_key_of_ssh_is_no_secret() -> None:
    line = ssh()
    blob = line.split()[1]

    expected = "the secret is an SSH key"
    assert expected == usable_secret(line)
    assert expected == usable_secret(b"\n" + line)
    assert expected == usable_secret(LINE)
    assert expected == usable_secret(blob)
    assert expected == usable_secret(base64.b64decode(blob))
    assert expected == usable_secret("ecdsa-sha2-nistp256 AAAA")
    assert expected == usable_secret("sk-ssh-ed25519@openssh.com AAAA")


@pytest.mark.parametrize("alg", [*KINDS, "HS256", "ML-DSA-44"])
def test_a_jwk_is_no_secret(alg: str) -> None:
    text = json.dumps(public_jwk(alg))

    expected = "the secret is a JWK"
    assert expected == usable_secret(text)
    assert expected == usable_secret(f"\ufeff \n{text}\n")
    assert expected == usable_secret(json.dumps({"keys": [public_jwk(alg)]}))
    assert expected == usable_secret(json.dumps([public_jwk(alg)]))
    assert expected == usable_secret(base64.b64encode(text.encode()))


@pytest.mark.parametrize(
    "secret",
    [
        b"0>" + b"x" * 62,  # a sequence by its first two octets, of nothing that a key begins with
        b"0\x83",  # a length that is not there
        b"0",
        b"0\x82\x01\x00" + b"\x02\x01",  # shorter than it says
        b"0\x20" + b"x" * 31 + b"more",
        b"0\x01\x30",  # an element that stops after its tag
        b"0\x03\x02\x05x" + b"    ",  # one inside that is longer than its outside
        b"0\x02\x04\x00",  # a sequence of an octet string
        b"{not a key}",
        b'["a", "list"]',
        b"ssh",
    ],
    ids=ascii,
)
def test_what_only_looks_a_little_like_a_key_is_a_secret(secret: bytes) -> None:
    assert secret == usable_secret(secret)


def test_chance_does_not_make_keys_of_random_secrets() -> None:
    chance = random.Random(1)
    for _ in range(3_000):
        secret = bytes((0x30, 30)) + chance.randbytes(30)
        usable = usable_secret(secret)

        assert secret == usable or secret[2] in (0x30, 0x02)
