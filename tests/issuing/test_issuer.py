"""Claims → tokens, that a guard and RFC 9068 agree on."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from jwt_guard import Guard, rfc9068, verify
from jwt_guard.errors import Expired, Misconfigured, UnknownKey
from jwt_guard.issuing.issuer import Issuer, sign
from jwt_guard.issuing.keyring import Keyring, make
from jwt_guard.sources.fixed import FixedKeys, fixed
from jwt_guard.tokens.keys import KeySet
from tests.support.keys import ALGORITHMS, ASYMMETRIC, decode

URL = "https://id.test"
NOW = 1_800_000_000.75


def issuer(alg: str = "ES256") -> Issuer:
    return Issuer(URL, Keyring(make(alg, "a")), lambda: NOW)


def guard(of: Issuer, now: float = NOW) -> Guard:
    return Guard([rfc9068(URL, "orders", keys=fixed(of.keyring.jwks()))], clock=lambda: now)


def header(token: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(decode(token.partition(".")[0]))
    return said


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_guard_takes_what_an_issuer_makes(alg: str) -> None:
    by = issuer(alg)

    who = verify(guard(by), by.access_token("ada", "orders", "orders:read orders:write", "webshop", roles=["ops"]))

    assert ("ada", "webshop") == (who.user, who.client)
    assert {"orders:read", "orders:write"} == who.scopes
    assert {"ops"} == who.roles


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_guard_takes_what_a_key_signs(alg: str) -> None:
    key = make(alg)
    keys = FixedKeys(KeySet((key.verifying,)))
    claims = {"iss": URL, "aud": "orders", "sub": "ada", "client_id": "c", "iat": 1, "exp": NOW + 1, "jti": "1"}

    assert "ada" == verify(Guard([rfc9068(URL, "orders", keys=keys)], clock=lambda: NOW), sign(key, claims)).user


def test_an_access_token_says_what_rfc_9068_asks_for() -> None:
    token = issuer().access_token("ada", ["orders", "billing"], ["a", "b"], "webshop", 60, acr="1")

    said = jwt.decode(token, options={"verify_signature": False})
    assert len(said.pop("jti")) >= 16
    assert {
        "iss": URL,
        "sub": "ada",
        "aud": ["orders", "billing"],
        "client_id": "webshop",
        "scope": "a b",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "acr": "1",
    } == said
    assert {"alg": "ES256", "kid": "a", "typ": "at+jwt"} == header(token)


def test_no_two_tokens_have_one_jti() -> None:
    by = issuer()
    tokens = [by.access_token("ada", "orders", "", "webshop") for _ in range(3)]

    said = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert 3 == len({each["jti"] for each in said})
    assert all("scope" not in each for each in said)


def test_a_token_lives_as_long_as_it_was_given() -> None:
    by = issuer()
    token = by.access_token("ada", "orders", "a", "webshop", 60)

    assert "ada" == verify(guard(by, NOW + 89), token).user
    with pytest.raises(Expired):
        verify(guard(by, NOW + 91), token)


@pytest.mark.parametrize("claim", ["iss", "iat", "exp"])
def test_what_the_issuer_says_cannot_be_said_otherwise(claim: str) -> None:
    with pytest.raises(ValueError, match=claim):
        issuer().access_token("ada", "orders", "a", "webshop", **{claim: 1})


def test_after_a_rotation_both_keys_are_taken_until_the_old_one_retires() -> None:
    by = issuer()
    old = by.access_token("ada", "orders", "a", "webshop")
    by.keyring.rotate()
    new = by.access_token("ada", "orders", "a", "webshop")

    assert ["ada", "ada"] == [verify(guard(by), token).user for token in (old, new)]
    by.keyring.retire("a")
    with pytest.raises(UnknownKey):
        verify(guard(by), old)
    assert "ada" == verify(guard(by), new).user


def test_a_header_can_say_more_but_not_otherwise() -> None:
    key = make("ES256", "a")

    assert {"alg": "ES256", "kid": "a", "jku": "https://x.test"} == header(
        sign(key, {}, typ=None, header={"jku": "https://x.test"})
    )
    for name in ("alg", "kid", "typ"):
        with pytest.raises(ValueError, match="come from the key"):
            sign(key, {}, header={name: "none"})


def test_a_secret_without_a_name_names_none() -> None:
    assert {"alg": "HS256", "typ": "JWT"} == header(sign(make("HS256"), {}, typ="JWT"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_signed(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        sign(make("ES256"), {"n": value})


def test_text_of_any_script_arrives() -> None:
    by = issuer()

    assert "Zoë 🦊" == verify(guard(by), by.access_token("Zoë 🦊", "orders", "a", "webshop")).user


@pytest.mark.parametrize("url", ["", " https://id.test", None])
def test_an_issuer_has_a_name(url: Any) -> None:
    with pytest.raises(Misconfigured):
        Issuer(url, Keyring(make("ES256")))
