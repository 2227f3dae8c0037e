"""Tokens of PyJOAT → credentials, with the salt function that PyJOAT had.

Their shape is that of PyJOAT 1.1.1, ``joat/__init__.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from jwt_guard import Guard, Provider, averify, fixed, jwks, salted, shared_secret, verify
from jwt_guard.access.explain import explain
from jwt_guard.errors import ClaimRejected, Expired, InvalidToken, Misconfigured, SaltFailed
from jwt_guard.issuing import joat
from jwt_guard.providers import joat_tokens
from jwt_guard.testing import trusting
from jwt_guard.tokens.claims import has
from tests.support.issuers import Who
from tests.support.joat import MADE, SECRET, SEED, SEED_NOW, SEED_SECRET, made_salt, token
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, HOUR, NOW, refused
from tests.support.playing import play

NAME = "My OAuth2 Provider"
CLIENT = "abc123DEF"


def salt(_claims: Mapping[str, Any]) -> str:
    return SECRET


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"name": NAME, "salt": salt}
    return joat_tokens(**{**good, **changes})


def guarding(of: Provider, now: float = NOW) -> Guard:
    return Guard([of], clock=lambda: now)


def who(of: Provider, text: str, now: float = NOW) -> Who:
    found = verify(guarding(of, now), text)
    return Who(found.user, found.client, set(found.scopes), set(found.roles), found.provider)


def why_not(of: Provider, text: str) -> str:
    error = refused(guarding(of), text)
    return error.claim if isinstance(error, ClaimRejected) else type(error).__name__


# ── whom it lets in ──────────────────────────────────────────────────────────────────────────────────────────────


def plain_salt(_claims: Mapping[str, Any]) -> str:
    return SEED_SECRET


async def async_salt(_claims: Mapping[str, Any]) -> str:
    await asyncio.sleep(0)
    return SEED_SECRET


@pytest.mark.parametrize("clients", [None, "abcd", ["abcd", "other"]], ids=str)
@pytest.mark.parametrize("generate", [plain_salt, async_salt])
def test_the_token_of_the_readme_is_taken_at_its_time(
    generate: Callable[[Any], str | Awaitable[str]], clients: str | list[str] | None
) -> None:
    of = joat_tokens(NAME, generate, clients, shortest_secret=30)

    assert Who("1234", "abcd", {"profile", "read"}, set(), "joat_tokens") == who(of, SEED, SEED_NOW)
    assert "1234" == asyncio.run(averify(guarding(of, SEED_NOW), SEED)).user
    with pytest.raises(Expired):
        verify(guarding(of), SEED)
    with pytest.raises(SaltFailed, match="too short"):
        verify(guarding(joat_tokens(NAME, generate), SEED_NOW), SEED)


def test_what_our_own_module_issues_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", salt)
    said: dict[str, Any] = {"client_id": CLIENT, "user_id": "ada", "scope": ["a", "b"], "jti": "one"}
    text = joat.TokenGenerator(NAME).issue_token(**said)
    found = verify(Guard([provider(called="old")]), text)

    assert ("ada", CLIENT, "old") == (found.user, found.client, found.provider)
    assert {"a", "b"} == found.scopes
    assert "one" == found.claims["jti"]


def test_each_token_has_the_salt_that_follows_from_it() -> None:
    text = token({"jti": "one"}, made_salt({"aud": CLIENT, "iat": NOW - 60, "jti": "one"}))

    assert "12345" == who(provider(salt=made_salt, shortest_secret=1), text).user
    with pytest.raises(InvalidToken, match="the signature does not verify"):
        verify(guarding(provider(salt=made_salt, shortest_secret=1)), token({"jti": "two"}, "abc123DEF1799999940one"))


def test_a_number_is_no_jti_here() -> None:
    assert "jti" == why_not(provider(salt=made_salt, shortest_secret=1), MADE)


def test_a_client_by_itself_is_nobodys_user() -> None:
    assert Who(None, CLIENT, set(), set(), "joat_tokens") == who(provider(), token({"sub": CLIENT, "scp": []}))


def test_an_api_that_shares_a_secret_with_the_provider_may_say_so() -> None:
    for keys in (salted(plain_salt, shortest=30), shared_secret(SEED_SECRET, shortest=30)):
        assert "1234" == who(joat_tokens(NAME, keys), SEED, SEED_NOW).user


def test_a_salt_that_waits_is_given_a_thread() -> None:
    assert [True, False] == [provider(blocking=blocking).source.blocking for blocking in (True, False)]  # type: ignore[attr-defined] # of SaltedKeys


# ── whom it does not ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "header", "about"),
    [
        ({"iss": "Another Provider"}, {}, "UnknownIssuer"),
        ({"iss": ABSENT}, {}, "UnknownIssuer"),
        ({"aud": ABSENT}, {}, "aud"),
        ({"aud": ""}, {}, "aud"),
        ({"aud": 5}, {}, "aud"),
        ({"aud": [CLIENT, "other"]}, {}, "client"),
        ({"sub": ABSENT}, {}, "sub"),
        ({"sub": 12345}, {}, "sub"),
        ({"iat": ABSENT}, {}, "iat"),
        ({"iat": NOW + HOUR}, {}, "iat"),
        ({"exp": ABSENT}, {}, "exp"),
        ({"exp": NOW - HOUR}, {}, "exp"),
        ({"nbf": NOW + HOUR}, {}, "nbf"),
        ({"scp": ABSENT}, {}, "scp"),
        ({"scp": ["a", 1]}, {}, "scp"),
        ({"at_hash": "x"}, {}, "at_hash"),
        ({}, {"typ": "at+jwt"}, "typ"),
        ({}, {"alg": "none"}, "UnknownKey"),
        ({}, {"alg": "HS384", "digest": "sha384"}, "UnknownKey"),
        ({}, {"alg": "RS256"}, "UnknownKey"),
    ],
    ids=str,
)
def test_what_pyjoat_would_not_write_is_refused(changes: dict[str, Any], header: dict[str, Any], about: str) -> None:
    long = "s" * 64  # enough for every HMAC

    assert about == why_not(provider(salt=lambda _claims: long), token(changes, long, **header))


def test_a_token_without_a_type_is_taken() -> None:
    assert "12345" == who(provider(), token(typ=ABSENT)).user


def test_clients_are_compared_where_they_are_named() -> None:
    for clients in ("other", ["other", CLIENT.lower()]):
        assert "aud" == why_not(provider(clients=clients), token())
    assert CLIENT == who(provider(clients=["other", CLIENT]), token()).client


def test_a_token_for_a_client_that_is_not_named_does_not_reach_the_salt() -> None:
    asked: list[object] = []
    assert "aud" == why_not(provider(clients="other", salt=asked.append), token())
    assert [] == asked


def test_another_client_is_explained() -> None:
    explained = play(lambda: explain(guarding(provider(clients="other")), token(), now=NOW), SECRET).value
    (step,) = (each for each in explained.steps if each.about == "aud" and each.expected)

    assert ("failed", "['other']", f"['{CLIENT}']") == (step.verdict, step.expected, step.got)


def test_a_token_of_any_client_holds_in_every_step() -> None:
    explained = play(lambda: explain(guarding(provider()), token(), now=NOW, ask_issuers=True), SECRET).value

    assert [] == [step for step in explained.steps if step.verdict == "failed"]


def test_more_rules_come_on_top() -> None:
    stricter = provider(extra_rules=[has("tenant")], required="jti", leeway=0)

    assert "jti" == why_not(stricter, token({"tenant": "a"}))
    assert "tenant" == why_not(stricter, token({"jti": "one"}))
    assert "iat" == why_not(stricter, token({"jti": "one", "tenant": "a", "iat": ABSENT}))
    assert "12345" == who(stricter, token({"jti": "one", "tenant": "a"})).user
    assert 0 == stricter.leeway


# ── what it is made of ───────────────────────────────────────────────────────────────────────────────────────────


def test_equal_arguments_make_equal_providers() -> None:
    assert provider() == provider()
    assert provider() != provider(clients=CLIENT)
    assert {"HS256"} == provider().allowed
    assert {"HS256"} == provider(algorithms="HS256").allowed
    assert not provider().is_remembered


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "provider joat_tokens: issuer is a text that is not empty"),
        ({"name": "*", "clients": "a"}, "'\\*' would be nobody's name"),
        ({"called": "My OAuth2 Provider"}, "a name is letters, digits"),
        ({"clients": []}, "clients are those whose tokens are for this API; leave it out"),
        ({"clients": ""}, "clients are those"),
        ({"clients": [""]}, "audience is a text that is not empty"),
        ({"clients": "*"}, "'\\*' would be nobody's name"),
        ({"salt": None}, "its keys are a salt function"),
        ({"salt": "secret"}, "its keys are a salt function"),
        ({"salt": jwks("https://id.test/jwks")}, "its keys are a salt function"),
        ({"salt": fixed({"keys": [public_jwk("RS256")]})}, "algorithms .* do not fit its keys"),
        ({"salt": salted(salt), "shortest_secret": 30}, "are said where the keys are made"),
        ({"salt": shared_secret(SECRET), "blocking": True}, "are said where the keys are made"),
        ({"shortest_secret": 0}, "shortest is at least 1"),
        ({"algorithms": ["HS512"]}, "PyJOAT signs with HS256 and nothing else"),
        ({"algorithms": ["HS256", "HS512"]}, "PyJOAT signs with HS256 and nothing else"),
        ({"algorithms": "RS256"}, "algorithms .* do not fit its keys"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_the_start(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        provider(**changes)


@pytest.mark.parametrize("clients", [None, CLIENT])
def test_a_test_may_be_anybody(clients: str | None) -> None:
    guard = Guard([provider(clients=clients)])
    with trusting(guard) as as_user:
        found = verify(guard, as_user("ada", scopes="email profile").token)

    assert "ada" == found.user
    assert {"email", "profile"} == found.scopes
    assert clients in (None, found.client)
