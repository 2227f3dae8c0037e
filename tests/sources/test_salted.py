"""Claims → the key of this one token, made by a user's function: whatever it does, a bad answer is a refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jwt_guard import Guard, Provider, averify, salted, verify
from jwt_guard.access.challenge import refusal
from jwt_guard.decision import Deny
from jwt_guard.errors import Misconfigured, SaltFailed
from jwt_guard.flow import Call
from jwt_guard.messages import PlainRequest
from jwt_guard.middleware.refusing import refuse
from jwt_guard.runners.blocking import run
from jwt_guard.tokens.algorithms import HMAC
from jwt_guard.tokens.compact import parse
from tests.support import keys
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, mint
from tests.support.playing import play

TOKEN = mint(alg="HS256")


def guard(generate: Any, **more: Any) -> Guard:
    provider = Provider(name="salted", issuer=ISSUER, audience=AUDIENCE, keys=salted(generate, **more))
    return Guard([provider], clock=lambda: NOW)


def plain(_claims: Mapping[str, Any]) -> bytes:
    return keys.secret()


async def waiting(_claims: Mapping[str, Any]) -> bytes:
    await asyncio.sleep(0)
    return keys.secret()


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("generate", [plain, waiting])
def test_a_generator_may_be_plain_or_async_under_both_runners(generate: Any, *, blocking: bool) -> None:
    salty = guard(generate, blocking=blocking)

    assert "ada-lovelace" == verify(salty, TOKEN).user
    assert "ada-lovelace" == asyncio.run(averify(salty, TOKEN)).user


def test_the_generator_is_asked_by_a_need_that_hides_the_claims() -> None:
    played = play(lambda: salted(plain, blocking=True)(parse(TOKEN)), keys.secret())

    (need,) = played.needs
    assert isinstance(need, Call)
    assert need.blocking
    assert "ada-lovelace" not in repr(need)
    assert {"HS256", "HS384", "HS512"} == played.value.algorithms


def test_each_token_has_its_own_key() -> None:
    salty = guard(lambda found: keys.secret(found["sub"]))

    for who in ("ada", "bob"):
        assert who == verify(salty, mint(claims(sub=who), alg="HS256", which=who)).user
    with pytest.raises(Exception, match="the signature does not verify"):
        verify(salty, mint(claims(sub="ada"), alg="HS256", which="bob"))


def test_the_generator_cannot_change_what_is_checked() -> None:
    def meddle(found: Any) -> bytes:
        changes: tuple[Callable[[], object], ...] = (
            lambda: found.__setitem__("exp", NOW + 10**6),
            lambda: found.update(sub="root"),
            lambda: found["aud"].append("x"),
            lambda: found["realm"].__setitem__("roles", ["root"]),
            lambda: found["realm"]["roles"].append("root"),
        )
        for change in changes:
            with pytest.raises((TypeError, AttributeError)):
                change()
        return keys.secret()

    token = mint(claims(aud=[AUDIENCE], realm={"roles": ["user"]}), alg="HS256")

    assert ("user",) == verify(guard(meddle), token).claims["realm"]["roles"]


BAD_SALTS = {
    "nothing": None,
    "empty text": "",
    "empty bytes": b"",
    "blank": " \t\n",
    "zeros": b"\0" * 64,
    "short": "x" * 31,
    "PEM": keys.pem("RS256"),
    "PEM after blanks": b" \n" + keys.pem("RS256"),
    "PEM as text": keys.pem("RS256").decode(),
    "DER": keys.der("RS256"),
    "SSH": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7",
    "JWK": '{"kty":"RSA","n":"AQAB","e":"AQAB","padding":"xxxxxxxxxxxxxxx"}',
    "number": 5,
    "truth": True,
    "list": [keys.secret()],
}


@pytest.mark.parametrize("salt", BAD_SALTS.values(), ids=BAD_SALTS.keys())
def test_what_is_no_secret_refuses_the_token(salt: Any) -> None:
    with pytest.raises(SaltFailed, match="gave no key") as caught:
        verify(guard(lambda _: salt), TOKEN)

    assert 401 == caught.value.status
    assert "invalid_token" == caught.value.code
    assert "RSA" not in str(caught.value)


def test_a_short_secret_must_be_asked_for() -> None:
    short = keys.secret()[:30]
    with pytest.raises(SaltFailed):
        verify(guard(lambda _: short), TOKEN)

    with pytest.raises(Exception, match="the signature does not verify"):
        verify(guard(lambda _: short, shortest=30), TOKEN)


SECRET_WORDS = "salt-of-ada"


def raise_it(error: BaseException) -> Any:
    def generate(found: Mapping[str, Any]) -> bytes:
        raise error

    return generate


@pytest.mark.parametrize(
    "error",
    [
        KeyError(SECRET_WORDS), ValueError(SECRET_WORDS), LookupError(SECRET_WORDS), RuntimeError(SECRET_WORDS),
        StopIteration(SECRET_WORDS), TimeoutError(SECRET_WORDS), AssertionError(SECRET_WORDS),
        Misconfigured(SECRET_WORDS), asyncio.InvalidStateError(SECRET_WORDS),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("blocking", [False, True])
def test_whatever_the_generator_raises_refuses_the_token_and_its_words_go_nowhere(
    error: Exception, caplog: pytest.LogCaptureFixture, *, blocking: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    salty = guard(raise_it(error), blocking=blocking)
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {TOKEN}"),))

    decision = run(salty.decide(request))

    assert isinstance(decision, Deny)
    assert isinstance(decision.error, SaltFailed)
    response = refuse(decision.error, request, "api")
    assert 401 == response.status
    said = f"{decision.error!r} {decision.error} {response} {refusal(decision.error, 'api', '1')} {caplog.text}"
    assert SECRET_WORDS not in said
    assert "the salt generator raised" in caplog.text
    with pytest.raises(SaltFailed, match="the salt generator raised"):
        asyncio.run(averify(salty, TOKEN))


def test_the_log_says_where_the_generator_failed() -> None:
    with pytest.raises(SaltFailed, match=r"the salt generator raised KeyError at generate:\d+"):
        verify(guard(raise_it(KeyError("x"))), TOKEN)


def test_an_error_without_a_place_is_still_a_refusal() -> None:
    played = play(lambda: salted(plain)(parse(TOKEN)), ZeroDivisionError())

    assert isinstance(played.error, SaltFailed)


def test_a_token_that_is_bad_anyway_does_not_reach_the_generator() -> None:
    asked = []

    def generate(found: Mapping[str, Any]) -> bytes:
        asked.append(found)
        return keys.secret()

    salty = guard(generate)

    with pytest.raises(Exception, match="exp: is over"):
        verify(salty, mint(claims(exp=NOW - 1_000), alg="HS256"))

    assert [] == asked


def test_only_hmac_is_taken() -> None:
    assert frozenset(HMAC) == salted(plain).algorithms
    with pytest.raises(Exception, match="no provider takes this algorithm"):
        verify(guard(plain), mint(alg="RS256"))


@pytest.mark.parametrize("generate", [None, "package.module:function", b"secret"])
def test_what_is_no_function_is_refused_at_once(generate: Any) -> None:
    with pytest.raises(Misconfigured, match="takes a function"):
        salted(generate)


@pytest.mark.parametrize("shortest", [0, -1])
def test_a_secret_has_at_least_one_byte(shortest: int) -> None:
    with pytest.raises(Misconfigured, match="at least 1"):
        salted(plain, shortest=shortest)


class Odd(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), Odd("secret")], ids=lambda error: type(error).__name__
)
def test_not_even_an_exit_is_more_than_a_refusal(error: BaseException) -> None:
    def generate(_claims: object) -> bytes:
        raise error

    with pytest.raises(SaltFailed, match=type(error).__name__) as caught:
        verify(guard(generate), mint(alg="HS256"))

    assert "secret" not in str(caught.value)


def test_the_keyboard_still_interrupts() -> None:
    def generate(_claims: object) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(guard(generate), mint(alg="HS256"))


def test_an_exit_in_an_async_generator_is_no_more_than_a_refusal() -> None:
    async def generate(_claims: object) -> bytes:
        raise SystemExit(3)

    with pytest.raises(SaltFailed, match="SystemExit"):
        asyncio.run(averify(guard(generate), mint(alg="HS256")))
