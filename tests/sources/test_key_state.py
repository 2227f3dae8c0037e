"""A key source at one moment → what there is to see of it, in each of its ages."""

from __future__ import annotations

from functools import partial

import pytest

from jwt_guard.flow import Reply
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from jwt_guard.sources.key_state import KeyState
from jwt_guard.tokens.compact import UnverifiedToken, parse
from tests.support.keys import public_jwk
from tests.support.minting import mint
from tests.support.playing import Clock, Meanwhile, down, play, reply

URL = "https://id.test/keys"


def source(**settings: float) -> tuple[RemoteKeys, Clock]:
    clock = Clock(1_000)
    return RemoteKeys(jwks(URL)._locate, KeySettings(**settings), clock, chance=lambda: 0), clock  # type: ignore[arg-type]


def token(kid: str) -> UnverifiedToken:
    return parse(mint(header={"kid": kid}))


def key_set(**headers: str) -> Reply:
    made = reply({"keys": [public_jwk("ES256", kid="a"), {"kty": "new"}]})
    return Reply(200, {name.replace("_", "-"): value for name, value in headers.items()}, made.body)


def test_before_the_first_token_nothing_is_known_and_nothing_is_wrong() -> None:
    keys, _ = source()

    assert KeyState(usable=False, keys=0, next_refresh=0) == keys.state()


def test_a_failed_start_says_why_and_when_the_next_try_is() -> None:
    keys, _ = source()
    play(partial(keys, token("a")), down())

    state = keys.state()

    assert (False, 0, None) == (state.usable, state.keys, state.age)
    assert 1 == state.next_refresh
    assert state.last_error is not None
    assert "no answer" in state.last_error


def test_while_the_issuer_is_asked_it_is_refreshing() -> None:
    keys, clock = source()
    refresh = keys._refresh(clock(), waited=True)
    next(refresh)

    assert keys.state().refreshing
    refresh.close()
    assert not keys.state().refreshing


def test_a_set_has_an_age_and_a_future() -> None:
    keys, clock = source(fresh_for=300, usable_for=3_600)
    play(partial(keys, token("a")), key_set())
    clock.forward(100)

    expected = KeyState(
        usable=True, keys=1, skipped=1, age=100, stale=False, next_refresh=200, usable_until=3_500, last_error=None
    )
    assert expected == keys.state()


def test_a_set_that_could_not_be_renewed_is_stale_and_then_of_no_use() -> None:
    keys, clock = source(fresh_for=300, usable_for=3_600)
    play(partial(keys, token("a")), key_set())
    clock.forward(300)
    play(partial(keys, token("a"))).behind(down())

    stale = keys.state()
    clock.forward(3_299)
    last = keys.state()
    clock.forward(1)
    over = keys.state()
    clock.forward(1_000)

    assert (True, True, 1, 3_300) == (stale.usable, stale.stale, stale.next_refresh, stale.usable_until)
    assert "no answer" in str(stale.last_error)
    assert (True, 1) == (last.usable, last.usable_until)
    assert (False, True, 1, 0) == (over.usable, over.stale, over.keys, over.usable_until)
    assert over.usable_until == keys.state().usable_until


def test_how_long_a_set_is_fresh_is_the_issuers_to_say_within_our_own_limit() -> None:
    keys, clock = source(fresh_for=60, usable_for=600)
    play(partial(keys, token("a")), key_set(cache_control="max-age=3600"))

    assert 600 == keys.state().next_refresh == keys.state().usable_until
    clock.forward(599)
    assert not keys.state().stale
    clock.forward(1)
    assert keys.state().stale


def test_tokens_with_unknown_keys_are_counted_whether_or_not_they_cost_a_fetch() -> None:
    keys, clock = source()
    play(partial(keys, token("a")), key_set())
    clock.forward(1)
    play(partial(keys, token("bogus")), key_set())
    for _ in range(4):
        play(partial(keys, token("bogus")))
    for _ in range(5):
        assert keys.rules_out(token("bogus").header)

    assert 10 == keys.state().unknown_keys_per_minute
    assert not keys.rules_out(token("a").header)
    assert 10 == keys.state().unknown_keys_per_minute
    clock.forward(120)
    assert 0 == keys.state().unknown_keys_per_minute


def test_no_secret_is_in_it_and_nobody_can_change_it() -> None:
    state = KeyState(usable=True, keys=1)

    with pytest.raises(AttributeError):
        state.usable = False  # type: ignore[misc]
    assert {"usable", "keys"} < set(KeyState.__slots__)


def test_whoever_waits_in_vain_leaves_no_trace() -> None:
    keys, clock = source()
    play(partial(keys, token("a")), Meanwhile(lambda: clock.forward(5)))

    assert KeyState(usable=False, keys=0, next_refresh=0) == keys.state()
