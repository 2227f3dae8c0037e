"""A token that counts once: who is first, when it is burnt, and what is said where that cannot be told."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from jwt_guard import Guard
from jwt_guard.access.once import Once
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected, Expired, Misconfigured, StoreFailed, Unavailable
from jwt_guard.flow import Stored
from jwt_guard.sources.jwks import jwks
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, HOUR, NOW, claims, guard, mint, provider, verdict
from tests.support.playing import Clock, play, reply

USED = "jti: was used before"


def once(store: str | None = None, **more: Any) -> Guard:
    return Guard([provider(once=Once(store), **more)], clock=Clock(NOW))


def test_a_token_is_taken_once() -> None:
    of, token = once(), mint(claims(jti="a"))

    assert isinstance(verdict(of, token), Credentials)
    assert USED == str(verdict(of, token))
    assert isinstance(verdict(of, mint(claims(jti="b"))), Credentials)


def test_another_token_of_the_same_name_is_the_same_one() -> None:
    of = once()

    assert isinstance(verdict(of, mint(claims(jti="a"))), Credentials)
    assert USED == str(verdict(of, mint(claims(jti="a", sub="bob"))))


def test_what_two_issuers_call_alike_are_two_tokens() -> None:
    used = Once()
    other = provider(name="other", issuer="https://other.test", once=used)
    of = Guard([provider(once=used), other], clock=Clock(NOW))

    assert isinstance(verdict(of, mint(claims(jti="a"))), Credentials)
    assert isinstance(verdict(of, mint(claims(jti="a", iss="https://other.test"))), Credentials)


def test_one_without_a_name_is_refused() -> None:
    assert "jti: is required" == str(verdict(once(), mint(claims(jti=ABSENT))))


def test_what_is_refused_for_anything_else_is_not_used_up() -> None:
    of = once()
    forged = mint(claims(jti="a"))[:-8] + "AAAAAAAA"

    assert not isinstance(verdict(of, forged), Credentials)
    assert isinstance(verdict(of, mint(claims(jti="a", exp=NOW - HOUR))), Expired)
    assert isinstance(verdict(of, mint(claims(jti="a", aud="elsewhere"))), ClaimRejected)
    assert isinstance(verdict(of, mint(claims(jti="a"))), Credentials)


def test_what_was_taken_back_is_not_used_up() -> None:
    revoked: list[str | None] = ["ada"]
    of = Guard([provider(once=Once())], clock=Clock(NOW), revoked=lambda credentials: credentials.user in revoked)
    token = mint(claims(sub="ada"))

    assert not isinstance(verdict(of, token), Credentials)
    revoked.clear()
    assert isinstance(verdict(of, token), Credentials)


def test_its_key_may_have_to_be_asked_for() -> None:
    of = once(keys=jwks("https://id.test/keys"))
    token = mint(claims(jti="a"))

    assert isinstance(
        play(partial(_admitted, of, token), reply({"keys": [public_jwk("ES256", kid="a")]})).value, Credentials
    )
    assert USED == str(play(partial(_admitted, of, token)).error)


def _admitted(of: Guard, token: str) -> Any:
    answer = of.admit(token)
    return answer if isinstance(answer, Credentials) else (yield from answer)


def test_a_store_is_asked_when_all_else_holds_and_for_as_long_as_the_token_lives() -> None:
    of = once("redis://127.0.0.1/0", leeway=10)

    played = play(partial(_admitted, of, mint(claims(jti="a", exp=NOW + 300))), True)  # noqa: FBT003 - the store's yes
    assert isinstance(played.value, Credentials)
    (asked,) = played.needs
    assert isinstance(asked, Stored)
    assert ("claim", 310) == (asked.command, asked.lifetime)
    assert asked.key.startswith("once:")
    assert "ada" not in asked.key
    assert USED == str(play(partial(_admitted, of, mint(claims(jti="a"))), False).error)  # noqa: FBT003 - its no
    assert isinstance(play(partial(_admitted, of, mint(claims(jti="a"))), StoreFailed("it hangs")).error, Unavailable)


def test_of_many_at_a_time_one_is_first() -> None:
    of, token = once(), mint(claims(jti="a"))
    found: list[Any] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(verdict(of, token))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == sum(isinstance(one, Credentials) for one in found)


def test_what_is_over_makes_room_and_what_is_not_is_not_forgotten() -> None:
    clock = Clock(NOW)
    of = Guard([provider(once=Once(most=3), leeway=0)], clock=clock)
    for number in range(3):
        assert isinstance(verdict(of, mint(claims(jti=f"{number}", exp=NOW + 60 + number))), Credentials)
    assert isinstance(verdict(of, mint(claims(jti="3"))), Unavailable)
    assert isinstance(verdict(of, mint(claims(jti="0"))), Unavailable)
    clock.now = NOW + 61
    assert isinstance(verdict(of, mint(claims(jti="3"))), Credentials)
    assert isinstance(verdict(of, mint(claims(jti="4"))), Unavailable) is False
    assert isinstance(verdict(of, mint(claims(jti="2", exp=NOW + 90))), Unavailable)


def test_now_and_then_what_is_over_is_let_go() -> None:
    used, values = Once(), {"iss": "https://id.test"}
    for number in range(1_024):
        play(partial(used.burn, {**values, "jti": str(number)}, 100.0, 0.0))
    play(partial(used.burn, {**values, "jti": "last"}, 300.0, 200.0))
    assert play(partial(used.burn, {**values, "jti": "last"}, 300.0, 200.0)).error
    assert not play(partial(used.burn, {**values, "jti": "0"}, 300.0, 200.0)).error


@pytest.mark.parametrize("wrong", [{"store": ""}, {"store": 1}, {"most": 0}, {"most": True}, {"most": 1.5}])
def test_nonsense_is_refused(wrong: Any) -> None:
    with pytest.raises(Misconfigured, match="once"):
        Once(**wrong)


@pytest.mark.parametrize("wrong", [{"once": True}, {"once": Once(), "remember": True}])
def test_a_provider_refuses_what_does_not_fit(wrong: Any) -> None:
    with pytest.raises(Misconfigured, match="once"):
        provider(**wrong)


def test_such_tokens_are_not_remembered() -> None:
    assert not provider(once=Once()).is_remembered
    assert guard().providers[0].is_remembered
