"""Keys in hand, in whatever form → a source that never waits, or the reason why they are no keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwt_guard.errors import Misconfigured, UnknownKey
from jwt_guard.sources.fixed import FixedKeys, fixed, shared_secret
from jwt_guard.sources.key_state import KeyState
from jwt_guard.tokens.compact import parse
from tests.support import keys
from tests.support.minting import mint


def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, keys.public_key("ES256"), 1, now - timedelta(days=1), now + timedelta(days=1)
    )
    return builder.sign(keys.private_key("ES256"), SHA256()).public_bytes(Encoding.PEM)


def private_pem() -> bytes:
    octets: bytes = keys.private_key("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets


JWK = keys.public_jwk("ES256", kid="a")
FORMS: dict[str, Callable[[], Any]] = {
    "JWK": lambda: JWK,
    "JWK as text": lambda: json.dumps(JWK),
    "JWK as bytes": lambda: b"\n " + json.dumps(JWK).encode(),
    "JWK Set": lambda: {"keys": [JWK]},
    "JWK Set as text": lambda: json.dumps({"keys": [JWK]}),
    "private JWK": lambda: {**JWK, "d": "c2VjcmV0"},
    "PEM": lambda: keys.pem("ES256"),
    "PEM as text": lambda: keys.pem("ES256").decode(),
    "certificate": certificate,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_each_form_of_a_key_gives_the_key(form: Callable[[], Any]) -> None:
    key = fixed(form())(parse(mint(header={"kid": "a"})))

    signed = parse(mint())
    assert key.verifiers["ES256"](signed.signing_input, signed.signature)
    assert {"ES256"} == key.algorithms


@pytest.mark.parametrize("form", ["JWK as text", "JWK Set as text", "PEM as text"])
def test_each_form_may_be_in_a_file(form: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(FORMS[form]())

    assert {"ES256"} == fixed(file).algorithms


REFUSED: dict[str, Callable[[], Any]] = {
    "private PEM": private_pem,
    "nothing": lambda: "",
    "blanks": lambda: b"  \n",
    "a file name": lambda: "keys.json",
    "an empty object": dict,
    "an empty set": lambda: {"keys": []},
    "a set of nothing usable": lambda: {"keys": [{"kty": "new"}]},
    "keys that are no list": lambda: {"keys": JWK},
    "no JSON": lambda: b'{"kty": ',
    "a member twice": lambda: b'{"kty": "oct", "kty": "EC"}',
    "half a surrogate pair": lambda: '{"kty": "\ud800"}',
    "two PEM keys": lambda: keys.pem("ES256") * 2,
    "spoilt PEM": lambda: keys.pem("ES256").replace(b"M", b"!"),
    "a number": lambda: 5,
    "a list": lambda: [JWK],
    "nothing at all": lambda: None,
    "a short secret": lambda: {"kty": "oct", "k": "c2hvcnQ"},
    "a public key as a secret": lambda: {"kty": "oct", "k": keys.encode(keys.pem("RS256"))},
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_key_is_refused_at_once(bad: Callable[[], Any]) -> None:
    with pytest.raises(Misconfigured, match="fixed keys: "):
        fixed(bad())


def test_a_refusal_says_nothing_of_the_key() -> None:
    with pytest.raises(Misconfigured) as caught:
        fixed(private_pem())

    assert "private key" in str(caught.value)
    assert private_pem().splitlines()[1].decode() not in str(caught.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        fixed(tmp_path / "missing")
    with pytest.raises(Misconfigured, match="cannot be read"):
        fixed(tmp_path)

    large = tmp_path / "large"
    large.write_bytes(b" " * 1_048_577)
    with pytest.raises(Misconfigured, match="1 MiB"):
        fixed(large)


def test_the_usable_keys_of_a_set_are_used_and_the_others_named() -> None:
    source = fixed({"keys": [JWK, {"kty": "new", "kid": "b"}]})

    assert ["b"] == [skipped.kid for skipped in source.keys.skipped]
    assert "a" == source(parse(mint(header={"kid": "a"}))).kid


def test_a_set_in_hand_may_hold_secrets() -> None:
    source = fixed({"keys": [keys.public_jwk("HS256", kid="a")]})

    assert {"HS256", "HS384", "HS512"} == source.algorithms


def test_a_token_that_means_none_of_the_keys_is_told_so() -> None:
    source = fixed({"keys": [JWK]})

    for strange in (mint(header={"kid": "b"}), mint(header={"kid": "a"}, alg="RS256")):
        with pytest.raises(UnknownKey):
            source(parse(strange))


def test_a_shared_secret_is_one_key_for_hmac() -> None:
    source = shared_secret(keys.secret())

    assert isinstance(source, FixedKeys)
    assert {"HS256", "HS384", "HS512"} == source.algorithms


NO_SECRETS: dict[str, Callable[[], Any]] = {
    "empty text": lambda: "",
    "empty bytes": lambda: b"",
    "a blank": lambda: " ",
    "short": lambda: "short",
    "None": lambda: None,
    "PEM": lambda: keys.pem("RS256"),
    "PEM after a blank line": lambda: b"\n" + keys.pem("RS256"),
    "DER": lambda: keys.der("RS256"),
    "JWK": lambda: json.dumps(JWK),
}


@pytest.mark.parametrize("secret", NO_SECRETS.values(), ids=NO_SECRETS.keys())
def test_what_is_no_secret_is_refused_at_once(secret: Callable[[], Any]) -> None:
    with pytest.raises(Misconfigured, match="shared secret: "):
        shared_secret(secret())


def test_a_short_secret_must_be_asked_for() -> None:
    with pytest.raises(Misconfigured):
        shared_secret("x" * 30)

    assert {"HS256", "HS384", "HS512"} == shared_secret("x" * 30, shortest=30).algorithms
    with pytest.raises(Misconfigured):
        shared_secret("", shortest=0)
    with pytest.raises(Misconfigured):
        shared_secret("x" * 30, shortest=31)


def test_public_forms_agree() -> None:
    spki = keys.public_key("ES256").public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    assert spki == keys.pem("ES256")


def test_keys_in_hand_are_always_there_and_rule_out_what_they_have_not() -> None:
    source = fixed({"keys": [JWK, {"kty": "new", "kid": "b"}]})

    assert KeyState(usable=True, keys=1, skipped=1) == source.state()
    assert not source.rules_out(parse(mint(header={"kid": "a"})).header)
    assert source.rules_out(parse(mint(header={"kid": "b"})).header)
    assert source.rules_out(parse(mint(header={"kid": "a"}, alg="RS256")).header)


def test_what_may_be_handed_on_is_public() -> None:
    private = {**keys.public_jwk("ES256", kid="a"), "d": "AAAA"}
    document = {"keys": [private, keys.public_jwk("HS256", kid="b"), keys.public_jwk("RS256", use="enc"), 1]}
    found = fixed(document).published

    assert [keys.public_jwk("ES256", kid="a"), {}, keys.public_jwk("RS256", use="enc"), {}] == list(found)
    assert [keys.public_jwk("ES256")] == list(fixed(keys.public_jwk("ES256")).published)
    assert keys.pem("ES256") == fixed(keys.pem("ES256")).published
    assert () == shared_secret(keys.secret()).published
