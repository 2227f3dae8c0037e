"""Claims and a key → a token that says just that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from jwt_guard import Guard, Misconfigured, Provider, shared_secret, verify
from jwt_guard.issuing.signing import make
from jwt_guard.testing import mint
from jwt_guard.tokens.compact import read_jws
from tests.support.keys import decode

SECRET = "0123456789abcdef0123456789abcdef"
KEY = make("ES256", "a")


def said(token: str) -> tuple[Any, Any]:
    """Return the header and the claims of *token*."""
    header, payload, _ = token.split(".")
    return json.loads(decode(header)), json.loads(decode(payload))


def test_it_says_what_it_is_told_and_when() -> None:
    header, claims = said(mint({"sub": "ada", "x": [1, {"y": True}]}, key=KEY, clock=lambda: 1_000.9))

    assert {"alg": "ES256", "kid": "a", "typ": "at+jwt"} == header
    assert len(claims.pop("jti")) > 20
    assert {"sub": "ada", "x": [1, {"y": True}], "iat": 1_000, "exp": 1_300} == claims


def test_what_is_none_is_left_out() -> None:
    header, claims = said(mint({"iat": None, "exp": None, "jti": None}, key=KEY, header={"kid": None, "typ": None}))

    assert {"alg": "ES256"} == header
    assert {} == claims


@pytest.mark.parametrize("lifetime", [60, 0, -60])
def test_a_lifetime_may_be_over(lifetime: int) -> None:
    _, claims = said(mint(key=KEY, lifetime=lifetime, clock=lambda: 1_000))

    assert (1_000, 1_000 + lifetime) == (claims["iat"], claims["exp"])


@pytest.mark.parametrize("changes", [{"alg": "HS256"}, {"kid": "b"}, {"typ": "JWT"}, {"crit": ["x"], "x": 1}])
def test_the_header_may_lie(changes: Mapping[str, Any]) -> None:
    header, _ = said(mint(key=KEY, header=changes))

    assert {"alg": "ES256", "kid": "a", "typ": "at+jwt", **changes} == header


def test_its_signature_is_over_what_is_sent() -> None:
    jws = read_jws(mint({"sub": "Ådá"}, key=KEY, header={"alg": "RS256"}))

    assert KEY.verifying.verifiers["ES256"](jws.signing_input, jws.signature)


@pytest.mark.parametrize("secret", [SECRET, SECRET.encode()], ids=["text", "octets"])
def test_a_guard_with_the_secret_takes_it(secret: str | bytes) -> None:
    guard = Guard([Provider("local", "https://id.example", "orders", shared_secret(SECRET))])

    assert "ada" == verify(guard, mint({"iss": "https://id.example", "aud": "orders", "sub": "ada"}, key=secret)).user


def test_nobody_signs_without_a_key() -> None:
    token = mint({"sub": "ada"}, key=None)

    assert token.endswith(".")
    assert {"alg": "none", "typ": "at+jwt"} == said(token)[0]


def test_a_secret_that_no_guard_would_take_is_no_key() -> None:
    with pytest.raises(Misconfigured):
        mint(key="short")


def test_two_tokens_are_never_the_same() -> None:
    assert 2 == len({mint(key=SECRET, clock=lambda: 1_000) for _ in range(2)})
