"""Keys at a URL → when the issuer is asked for them, when it is not, and whose fault it is that there is none."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.errors import KeysUnavailable, Misconfigured, UnknownKey
from jwt_guard.flow import Alone, Fetch, Later, Pause, Reply, Trust
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from jwt_guard.sources.published import Published
from jwt_guard.tokens.algorithms import ASYMMETRIC
from jwt_guard.tokens.compact import UnverifiedToken, parse
from jwt_guard.tokens.keys import Key, key_set_from_jwks
from tests.support.keys import encode, public_jwk
from tests.support.minting import mint
from tests.support.playing import Clock, Meanwhile, Played, Shelf, down, play, reply

URL = "https://id.test/keys"
SIGNED = mint()


def key_set(*kids: str) -> Reply:
    return reply({"keys": [public_jwk("ES256", kid=kid) for kid in kids]})


def token(kid: str | None = "a", alg: str = "ES256") -> UnverifiedToken:
    """Return a token that names *kid*: nobody here looks at its signature."""
    _, payload, signature = SIGNED.split(".")
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return parse(f"{encode(json.dumps(header).encode())}.{payload}.{signature}")


class Asked:
    """A source, its clock, and a way to ask for one token's key."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock(1_000)
        self.source = RemoteKeys(jwks(URL)._locate, KeySettings(**settings), self.clock, chance=lambda: 0)

    def __call__(self, kid: str | None = "a", *answers: Any, alg: str = "ES256") -> Played:
        return play(partial(self.source, token(kid, alg)), *answers)

    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds)


def warm(**settings: Any) -> Asked:
    """Return a source that fetched key ``a`` a moment ago."""
    ask = Asked(**settings)
    ask("a", key_set("a"))
    ask.forward(1)
    return ask


def fetch_behind(ask: Asked, answer: object) -> None:
    """Have the set fetched as if it were due."""
    ask.source._due = ask.clock()
    assert [URL] == play(partial(ask.source._refresh, ask.clock()), answer).fetched


def kid_of(played: Played) -> str | None:
    assert None is played.error
    assert isinstance(played.value, Key)
    return played.value.kid


# --- before anybody asks -----------------------------------------------------------------------------


def test_a_set_that_was_made_ready_need_not_be_waited_for() -> None:
    ask = Asked()
    assert [URL] == play(ask.source.made_ready, key_set("a")).fetched
    assert [] == ask().fetched
    assert [] == play(ask.source.made_ready).fetched


def test_a_set_that_cannot_be_made_ready_is_no_error() -> None:
    ask = Asked(timeout=1)
    assert None is play(ask.source.made_ready, down, down, down).error
    assert not ask.source.state().usable


# --- known keys --------------------------------------------------------------------------------------


def test_the_first_sight_of_a_key_asks_once_and_the_second_not_at_all() -> None:
    ask = Asked(timeout=3)

    first = ask("a", key_set("a", "b"))

    assert "a" == kid_of(first)
    assert [Alone, Fetch] == first.kinds
    assert [URL] == first.fetched
    assert "a" == kid_of(ask("a"))
    assert "b" == kid_of(ask("b"))
    assert [] == ask("b").needs


def test_the_fetch_is_bounded_and_asks_for_a_key_set() -> None:
    trust = Trust(ca_file="ca.pem")
    ask = Asked(timeout=3, trust=trust)

    wait, need = ask("a", key_set("a")).needs

    assert isinstance(wait, Alone)
    assert isinstance(need, Fetch)
    assert 3 == wait.deadline == need.deadline
    assert 262_144 == need.limit
    assert trust == need.trust
    assert "application/jwk-set+json, application/json" == need.headers["Accept"]


def test_a_known_key_is_given_at_once_and_asked_for_behind_the_request_when_it_gets_old() -> None:
    ask = warm(fresh_for=300)

    ask.forward(298)
    assert [] == ask("a").needs
    ask.forward(1)
    old = ask("a")

    assert "a" == kid_of(old)
    assert [Later] == old.kinds
    assert [URL] == old.behind(key_set("a", "b")).fetched
    assert "b" == kid_of(ask("b"))
    assert [] == ask("a").needs


def test_many_who_see_an_old_set_cause_one_fetch() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)

    many = [ask("a") for _ in range(5)]
    fetched = [played.behind(*([key_set("a")] if not number else [])).fetched for number, played in enumerate(many)]

    assert [[URL], [], [], [], []] == fetched


def test_a_removed_key_stops_working_at_the_next_fetch() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)
    ask("a").behind(key_set("b"))
    ask.forward(1)

    gone = ask("a")

    assert isinstance(gone.error, UnknownKey)


def test_a_token_without_kid_means_the_only_key_that_fits() -> None:
    assert "a" == kid_of(Asked()(None, key_set("a")))
    assert isinstance(Asked()(None, key_set("a", "b")).error, UnknownKey)


# --- unknown keys ------------------------------------------------------------------------------------


def test_a_rotation_is_taken_on_the_first_request() -> None:
    ask = warm()

    rotated = ask("b", key_set("a", "b"))

    assert "b" == kid_of(rotated)
    assert [URL] == rotated.fetched


def test_unknown_kid_cannot_be_used_to_flood_the_issuer() -> None:
    ask = warm(cooldown=30)
    calls = 0

    def answer() -> Reply:
        nonlocal calls
        calls += 1
        return key_set("a")

    def attack(times: int) -> None:
        for number in range(times):
            before, kid = calls, f"bogus-{number}"
            played = play(partial(ask.source, token(kid)), *([answer] if may_ask(ask, kid) else []))
            assert isinstance(played.error, UnknownKey)
            assert calls - before == len(played.fetched)
            ask.forward(0.001)

    attack(100)
    assert 3 == calls
    ask.forward(30)
    attack(100)
    assert 4 == calls
    ask.forward(10_000)
    attack(100)
    assert 8 == calls, "what was saved up is a few, however long nobody asked, and the one that was due"


def may_ask(ask: Asked, kid: str) -> bool:
    return ask.source._permits(token(kid).header, ask.clock())


def test_made_up_kids_leave_fetches_for_kids_like_the_issuers_own() -> None:
    ask = warm(cooldown=30)
    fetched = 0
    for number in range(10_000):
        ask.forward(0.001)
        fetched += len(ask(f"bogus-{number}", *([key_set("a")] if may_ask(ask, f"bogus-{number}") else [])).fetched)
    assert 3 == fetched
    ask.forward(0.001)

    rotated = ask("b", key_set("a", "b"))

    assert "b" == kid_of(rotated)
    assert [URL] == rotated.fetched


def test_rotations_cost_nothing_however_many_there_are() -> None:
    ask = warm(cooldown=1_000)

    for kid in "bcdefghijklmnop":
        ask.forward(1)
        assert kid == kid_of(ask(kid, key_set(kid)))


def test_a_kid_that_the_issuer_does_not_have_is_not_asked_for_again_for_a_while() -> None:
    ask = warm(cooldown=30)
    ask("bogus", key_set("a"))
    ask.forward(29)

    again = ask("bogus")
    ask.forward(2)
    later = ask("bogus", key_set("a", "bogus"))

    assert isinstance(again.error, UnknownKey)
    assert [] == again.needs
    assert "bogus" == kid_of(later)


def test_a_key_like_the_issuers_own_is_asked_for_until_the_time_is_over() -> None:
    ask = warm(timeout=5)
    ask.forward(1)

    rotated = ask("b", down(), reply(b"garbage"), reply(b"", 500), down(), down(), key_set("b"))

    assert "b" == kid_of(rotated)
    assert 6 == len(rotated.fetched)
    for kid in "cdefghijklmn":
        ask.forward(1)
        assert kid == kid_of(ask(kid, down(), key_set(kid))), "and those tries cost nothing"


def test_tokens_by_a_key_that_was_taken_out_spend_nothing_of_what_a_rotation_needs() -> None:
    ask = warm(cooldown=1_000)
    for old, new in itertools.pairwise("abcdefghij"):
        ask.forward(1)
        assert new == kid_of(ask(new, key_set(new)))
        ask.forward(1)

        late = ask(old)

        assert isinstance(late.error, UnknownKey)
        assert [] == late.needs


def test_a_key_that_comes_back_is_found_again() -> None:
    ask = warm(fresh_for=300)
    for kids in ("b", "ab"):
        ask.forward(300)
        ask("a" if kids == "b" else "b").behind(key_set(*kids))

    assert "a" == kid_of(ask("a"))
    ask.forward(1)
    assert "c" == kid_of(ask("c", key_set("c")))
    ask.forward(1)
    assert [] == ask("a").needs, "gone once more"


def test_so_many_names_of_keys_that_are_gone_are_remembered_and_no_more() -> None:
    ask = warm(fresh_for=300, cooldown=1_000)
    for number in range(50):
        ask.forward(301)
        ask.source._take(replace(published_of(ask), keys=key_set_from_jwks(key_set(f"k{number:02}").body)))

    assert 32 == len(ask.source._gone)
    assert "k48" == ask.source._gone[-1]


def published_of(ask: Asked) -> Published:
    assert ask.source._published is not None
    return ask.source._published


def test_a_refresh_that_has_just_failed_does_not_refuse_what_a_rotation_brings() -> None:
    ask = warm(timeout=5, fresh_for=300)
    ask.forward(300)
    ask("a").behind(down())
    ask.forward(0.5)

    rotated = ask("b", key_set("b"))

    assert "b" == kid_of(rotated)
    assert [Alone, Pause, Fetch] == rotated.kinds
    assert [0.5] == rotated.pauses


def test_after_failures_for_long_nobody_waits_for_the_next_try() -> None:
    ask = warm(timeout=5, fresh_for=300, cooldown=30)
    ask.forward(300)
    for _ in range(4):
        ask("a").behind(down())
        ask.forward(8)
    ask("a").behind(down())
    ask.forward(1)

    refused = ask("b")

    assert isinstance(refused.error, KeysUnavailable)
    assert [] == refused.kinds


def test_a_hang_is_given_up_early_so_that_the_next_answer_may_come() -> None:
    ask = warm(timeout=4)
    ask.forward(1)

    def hangs() -> Any:
        ask.forward(1)
        return down()

    rotated = ask("b", hangs, hangs, key_set("b"))

    assert "b" == kid_of(rotated)
    assert [1, 1, 2] == [round(need.deadline) for need in rotated.needs if isinstance(need, Fetch)]
    ask.forward(1)
    again = ask("c", key_set("c"))
    assert [1] == [need.deadline for need in again.needs if isinstance(need, Fetch)]


def test_an_issuer_that_has_become_slow_is_given_more_time_when_it_is_asked_again() -> None:
    ask = warm(timeout=4, cooldown=0)
    ask.forward(1)

    def slow(seconds: float) -> Any:
        def answer() -> object:
            ask.forward(seconds)
            return down()

        return answer

    ask("b", slow(1), slow(1), slow(1.9))
    ask.forward(10)
    asked = ask("b", key_set("b"))

    assert [2] == [need.deadline for need in asked.needs if isinstance(need, Fetch)]


def test_made_up_kids_are_not_worth_that_patience() -> None:
    ask = warm(timeout=5)
    ask.forward(1)

    refused = ask("bogus", down(), down(), down())

    assert isinstance(refused.error, KeysUnavailable)
    assert 3 == len(refused.fetched)


def test_what_is_due_anyway_costs_an_unknown_kid_nothing() -> None:
    ask = warm(fresh_for=300, cooldown=100_000)
    for number in range(10):
        ask(f"bogus-{number}", *([key_set("a")] if may_ask(ask, f"bogus-{number}") else []))
        ask.forward(1)
    assert not may_ask(ask, "bogus-10")

    ask.forward(300)

    assert may_ask(ask, "bogus-10")
    assert [URL] == ask("bogus-10", key_set("a", "bogus-10")).fetched


def test_failures_count_as_fetches() -> None:
    ask = warm(cooldown=30)
    fetched = 0
    for second in range(60):
        kid = f"bogus-{second}"
        played = ask(kid, *([down()] if may_ask(ask, kid) else []))
        assert isinstance(played.error, KeysUnavailable)
        fetched += len(played.fetched)
        ask.forward(1)

    assert 3 <= fetched <= 5


def test_a_rotation_that_took_more_than_one_try_costs_nothing_either() -> None:
    ask = warm(cooldown=1_000)

    for kid in "bcdefghij":
        ask.forward(1)
        played = ask(kid, down(), down(), key_set(kid))
        assert kid == kid_of(played)
        assert 3 == len(played.fetched)


def test_another_try_for_an_unknown_key_is_made_only_where_one_is_left() -> None:
    ask = warm(cooldown=1_000)
    ask("bogus", key_set("a"))
    ask.forward(1)

    played = ask("other", down(), down())

    assert isinstance(played.error, KeysUnavailable)
    assert 2 == len(played.fetched)


def test_what_refreshes_the_set_leaves_unknown_keys_their_fetches() -> None:
    ask = warm(fresh_for=5, cooldown=1_000)
    for _ in range(20):
        ask.forward(5)
        ask("a").behind(key_set("a"))
    ask.forward(1)

    assert "b" == kid_of(ask("b", key_set("a", "b")))


def test_a_key_that_the_set_names_for_another_algorithm_is_not_asked_for() -> None:
    ask = warm()

    played = ask("a", alg="RS256")

    assert isinstance(played.error, UnknownKey)
    assert [] == played.needs


def test_a_named_key_that_cannot_be_used_is_not_asked_for_again() -> None:
    ask = Asked()
    ask("a", reply({"keys": [public_jwk("ES256", kid="a"), {"kty": "new", "kid": "b"}]}))

    played = ask("b")

    assert isinstance(played.error, UnknownKey)
    assert [] == played.needs


def test_a_fetch_that_began_before_the_key_was_published_is_made_again_once() -> None:
    ask = warm()

    def the_other_fetch_ends() -> None:
        """Somebody began to fetch before we asked, so what comes may be older than our key."""
        ask.source._last_start = ask.clock() - 1
        ask.forward(1)

    played = ask("b", Meanwhile(the_other_fetch_ends), key_set("a", "b"))

    assert "b" == kid_of(played)
    assert [Alone, Alone, Fetch] == played.kinds


def test_a_fetch_that_began_after_the_question_settles_it() -> None:
    ask = warm()

    def another_fetch() -> None:
        ask.forward(1)
        fetch_behind(ask, key_set("a"))

    played = ask("b", Meanwhile(another_fetch))

    assert isinstance(played.error, UnknownKey)
    assert [Alone] == played.kinds


def test_who_wakes_when_the_next_fetch_has_begun_waits_for_that_one() -> None:
    ask = warm()

    def the_next_begins() -> None:
        ask.forward(1)
        ask.source._last_start, ask.source._fetching_in = ask.clock(), os.getpid()

    def the_next_ends() -> None:
        ask.forward(1)
        fetch_behind(ask, key_set("a", "b"))

    played = ask("b", Meanwhile(the_next_begins), Meanwhile(the_next_ends))

    assert "b" == kid_of(played)
    assert [Alone, Alone] == played.kinds


def test_who_comes_too_late_to_join_a_fetch_causes_none_that_was_not_left() -> None:
    ask = warm()
    for number in range(3):
        ask.forward(0.001)
        ask(f"bogus-{number}", key_set("a"))
    ask.forward(0.001)
    ask.source._fetching_in = os.getpid()
    joined = ask("too late", Meanwhile(), Meanwhile()).needs[0]
    ask.source._fetching_in = 0

    assert isinstance(joined, Alone)
    assert [] == play(joined.flow).fetched


def test_nobody_waits_a_third_time() -> None:
    ask = warm()
    earlier = partial(setattr, ask.source, "_last_start", ask.clock() - 1)

    played = ask("b", Meanwhile(earlier), Meanwhile(earlier))

    assert isinstance(played.error, UnknownKey)
    assert [Alone, Alone] == played.kinds


def test_two_who_ask_at_one_time_make_one_fetch() -> None:
    ask = Asked()
    waits = [ask("a", Meanwhile(), Meanwhile()).needs[0] for _ in range(2)]
    refreshes = [wait.flow for wait in waits if isinstance(wait, Alone)]

    fetched = [play(refreshes[0], key_set("a")).fetched, play(refreshes[1]).fetched]

    assert [[URL], []] == fetched
    assert "a" == kid_of(ask("a"))


def test_a_header_is_ruled_out_only_where_nothing_can_be_asked() -> None:
    ask = Asked()
    known, unknown, other_alg = token("a").header, token("other").header, token("a", "RS256").header

    assert not ask.source.rules_out(unknown), "nothing is known yet"
    ask("a", key_set("a"))
    ask.forward(1)
    assert not ask.source.rules_out(known)
    assert ask.source.rules_out(other_alg)
    assert not ask.source.rules_out(unknown), "it may be asked for"
    for number in range(3):
        ask(f"bogus-{number}", key_set("a"))
        ask.forward(0.001)
    assert ask.source.rules_out(unknown)
    assert not ask.source.rules_out(known)
    ask.forward(30)
    assert not ask.source.rules_out(unknown)
    ask("other", down())
    assert not ask.source.rules_out(unknown), "nobody can tell during an outage"


# --- an issuer that fails ----------------------------------------------------------------------------

NO_KEY_SETS: dict[str, Callable[[], object]] = {
    "out of reach": down,
    "500": lambda: key_set_with_status(500),
    "404": lambda: key_set_with_status(404),
    "204": lambda: key_set_with_status(204),
    "HTML": lambda: reply(b"<!doctype html><p>Please log in"),
    "nothing": lambda: reply(b""),
    "no object": lambda: reply([]),
    "no keys": lambda: reply({}),
    "keys that are no list": lambda: reply({"keys": {}}),
    "an empty set": lambda: reply({"keys": []}),
    "no usable key": lambda: reply({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, 5, None]}),
    "10,000 keys": lambda: reply({"keys": [{"kid": "a"}] * 10_000}),
    "a member twice": lambda: reply(b'{"keys": [], "keys": []}'),
    "depth": lambda: reply(b'{"keys": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "not UTF-8": lambda: reply(b'{"keys": ["\xff"]}'),
}


def key_set_with_status(status: int) -> Reply:
    return Reply(status, {}, key_set("b").body)


@pytest.mark.parametrize("bad", NO_KEY_SETS.values(), ids=NO_KEY_SETS.keys())
def test_a_bad_answer_never_replaces_a_good_set(bad: Callable[[], object]) -> None:
    ask = warm(fresh_for=300)
    before = ask.source.keys
    ask.forward(300)

    ask("a").behind(bad)

    assert "a" == kid_of(ask("a"))
    assert before is ask.source.keys
    assert ask.source.last_error is not None


@pytest.mark.parametrize("bad", NO_KEY_SETS.values(), ids=NO_KEY_SETS.keys())
def test_without_any_set_a_bad_answer_is_our_trouble(bad: Callable[[], object]) -> None:
    ask = Asked()

    played = ask("a", bad)

    assert isinstance(played.error, KeysUnavailable)
    assert 503 == played.error.status
    assert None is ask.source.keys


def test_an_outage_keeps_the_keys_as_long_as_they_may_be_used() -> None:
    ask = warm(fresh_for=300, usable_for=1_000)

    ask.forward(998)
    assert "a" == kid_of(ask("a"))
    ask.forward(1)
    over = ask("a", down())

    assert isinstance(over.error, KeysUnavailable)


def test_keys_may_be_used_for_no_longer_than_they_are_fresh() -> None:
    ask = warm(fresh_for=300, usable_for=0)

    ask.forward(298)
    assert "a" == kid_of(ask("a"))
    ask.forward(1)

    assert isinstance(ask("a", down()).error, KeysUnavailable)


def test_keys_that_are_never_kept_are_asked_for_each_time_and_work() -> None:
    ask = Asked(fresh_for=0, usable_for=0)

    for _ in range(3):
        played = ask("a", key_set("a"))

        assert "a" == kid_of(played)
        assert [URL] == played.fetched
        ask.forward(1)
    assert isinstance(ask("b", key_set("a")).error, UnknownKey)
    ask.forward(1)
    assert isinstance(ask("a", down()).error, KeysUnavailable)


def test_whose_fault_it_is_depends_on_whether_we_could_ask() -> None:
    ask = warm()

    assert isinstance(ask("b", key_set("a")).error, UnknownKey), "asked, and there is none"
    ask.forward(1)
    assert isinstance(ask("c", down()).error, KeysUnavailable), "could not ask"
    assert isinstance(ask("c").error, KeysUnavailable), "nor again so soon"
    assert isinstance(ask("b").error, UnknownKey), "asked a moment ago"
    assert isinstance(ask("a", alg="RS256").error, UnknownKey), "nothing to ask for"
    ask.forward(100)
    assert isinstance(ask("b", key_set("a")).error, UnknownKey), "asked again"


def test_while_a_fetch_is_under_way_nobody_can_tell() -> None:
    ask = warm(fresh_for=1)
    refresh = ask.source._refresh(ask.clock())
    next(refresh)
    for _ in range(5):
        ask.source._allowance.spend(ask.clock())

    assert isinstance(ask("b", Meanwhile(), Meanwhile()).error, KeysUnavailable)
    refresh.close()
    assert isinstance(ask("b").error, UnknownKey)


def test_who_waited_in_vain_is_told_so() -> None:
    played = Asked()("a", Meanwhile(), Meanwhile())

    assert isinstance(played.error, KeysUnavailable)
    assert "the issuer has not answered yet" in str(played.error)


def test_a_failed_cold_start_recovers_with_the_first_success_and_who_comes_meanwhile_waits_for_it() -> None:
    ask = Asked()
    failed = ask("a", down())
    ask.forward(0.25)

    recovered = ask("a", key_set("a"))

    assert isinstance(failed.error, KeysUnavailable)
    assert [Alone, Pause, Fetch] == recovered.kinds
    assert 0.75 == recovered.pauses[0]
    assert "a" == kid_of(recovered)


def test_without_keys_the_pause_stays_short_however_long_the_issuer_was_away() -> None:
    ask = Asked(cooldown=30)
    for _ in range(50):
        assert max(ask("a", down()).pauses) <= 1
        ask.forward(0.1)

    assert "a" == kid_of(ask("a", key_set("a")))


def test_who_waits_has_the_issuer_asked_again_at_once_after_a_failure() -> None:
    ask = Asked(timeout=5)

    played = ask("a", down(), reply(b"oh"), key_set("a"))

    assert "a" == kid_of(played)
    assert [Alone, Fetch, Pause, Fetch, Pause, Fetch] == played.kinds


def test_nobody_waits_for_another_try_that_would_take_too_long() -> None:
    ask = Asked(timeout=2)

    def slowly() -> object:
        ask.forward(1)
        return down()

    assert [Alone, Fetch] == ask("a", slowly).kinds


def test_behind_the_requests_a_failure_is_left_for_later() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)

    assert [Fetch] == ask("a").behind(down()).kinds


def test_with_keys_the_pause_grows_to_the_cooldown() -> None:
    ask = warm(fresh_for=300, cooldown=30)
    ask.forward(300)
    pauses: list[int] = []
    for _ in range(2_000):
        played = ask("a")
        if not played.needs:
            ask.forward(1)
            pauses[-1] += 1
        else:
            played.behind(down())
            pauses.append(0)

    assert [1, 2, 4, 8, 16, 30, 30] == pauses[:7]
    assert {30} == set(pauses[5:-1])


def test_a_success_makes_the_next_pause_short_again() -> None:
    ask = Asked()
    for _ in range(5):
        ask("a", down())
        ask.forward(5)
    ask("a", key_set("a"))
    ask.forward(300)

    ask("a").behind(down())
    ask.forward(1)

    assert [Later] == ask("a").kinds
    assert ask.source.last_error is not None
    ask("a").behind(key_set("a"))
    assert None is ask.source.last_error


@pytest.mark.parametrize("kid", ["a", "other"])
def test_a_refresh_that_comes_too_soon_after_a_failure_does_nothing(kid: str) -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)
    while_it_failed: list[Played] = []

    def fail() -> object:
        ask.forward(0.2)
        while_it_failed.append(ask(kid, *[Meanwhile()] * 2 if kid == "other" else []))
        ask.forward(0.2)
        return down()

    ask("a").behind(fail)
    ask.forward(0.5)
    need = while_it_failed[0].needs[0]

    assert isinstance(need, Alone | Later)
    assert [] == play(need.flow).needs


def test_a_bug_is_no_reason_to_flood_the_issuer() -> None:
    ask = Asked()

    with pytest.raises(ZeroDivisionError):
        ask("a", ZeroDivisionError("of ours"))
    ask.forward(0.1)

    assert "a ZeroDivisionError while fetching" in str(ask("a", Meanwhile(), Meanwhile()).error)
    assert Pause is ask("a", down()).kinds[1]
    ask.forward(1)
    assert "a" == kid_of(ask("a", key_set("a")))


def test_an_abandoned_fetch_leaves_the_source_as_it_was() -> None:
    ask = warm(fresh_for=1)
    refresh = ask.source._refresh(ask.clock())
    next(refresh)
    assert ask.source._busy

    refresh.close()

    assert not ask.source._busy
    ask.forward(1)
    assert "b" == kid_of(ask("b", key_set("a", "b")))


def test_errors_do_not_keep_what_was_read() -> None:
    ask = Asked()
    ask("a", reply(b"<html>"))

    assert ask.source.last_error is not None
    assert None is ask.source.last_error.__traceback__


# --- configuration -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["timeout", "fresh_for", "usable_for", "cooldown"])
@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), True, "5", None])
def test_what_is_no_duration_is_refused(name: str, seconds: Any) -> None:
    with pytest.raises(Misconfigured, match=name):
        KeySettings(**{name: seconds})


def test_any_duration_from_zero_is_taken() -> None:
    assert 0 == KeySettings(0, 0, 0, 0).timeout
    assert 0.5 == KeySettings(fresh_for=0.5).fresh_for


def test_without_a_cooldown_every_unknown_key_may_be_asked_for() -> None:
    ask = warm(cooldown=0)

    for number in range(10):
        assert [URL] == ask(f"bogus-{number}", key_set("a")).fetched
        ask.forward(0.001)


def test_a_url_that_may_not_be_asked_is_refused_at_once() -> None:
    with pytest.raises(Misconfigured, match="not https"):
        jwks("http://id.test/keys")

    assert isinstance(
        jwks("http://keycloak:8080/keys", KeySettings(plain_http_hosts=frozenset({"keycloak"}))), RemoteKeys
    )


def test_published_keys_are_for_public_key_algorithms_alone() -> None:
    assert ASYMMETRIC == jwks(URL).algorithms
    assert None is jwks(URL).keys


# --- who else looks at the keys ----------------------------------------------------------------------


class Watcher:
    """Somebody who wants to hear of keys that are taken out."""

    def __init__(self) -> None:
        self.gone: list[str | None] = []

    def hear(self, key: Key) -> None:
        self.gone.append(key.kid)


def test_whoever_watches_hears_of_keys_that_are_taken_out_at_once() -> None:
    ask = Asked()
    watchers = [Watcher(), Watcher()]
    for watcher in (*watchers, *watchers):
        ask.source.watch(watcher.hear)
    ask("a", key_set("a", "b", "c"))
    ask.forward(1)

    fetch_behind(ask, key_set("b", "d"))

    assert [["a", "c"], ["a", "c"]] == [watcher.gone for watcher in watchers]
    for failure in (down(), reply({"keys": []})):
        ask.forward(100)
        fetch_behind(ask, failure)
    assert [["a", "c"], ["a", "c"]] == [watcher.gone for watcher in watchers], "a failure takes nothing out"


def test_a_key_whose_jwk_is_another_is_taken_out_though_its_name_stays() -> None:
    ask = Asked()
    watcher = Watcher()
    ask.source.watch(watcher.hear)
    before = ask("a", key_set("a")).value
    ask.forward(1)
    fetch_behind(ask, reply({"keys": [public_jwk("ES256", "other", kid="a")]}))

    assert ["a"] == watcher.gone
    assert not ask.source.holds(before)


def test_who_watched_and_is_gone_is_forgotten() -> None:
    ask = Asked()
    ask("a", key_set("a"))
    for _ in range(100):
        ask.source.watch(Watcher().hear)
    stays = Watcher()
    ask.source.watch(stays.hear)
    assert len(ask.source._watchers) <= 2

    leaves = Watcher()
    ask.source.watch(leaves.hear)
    del leaves
    ask.forward(1)
    fetch_behind(ask, key_set("b"))

    assert ["a"] == stays.gone


def test_a_key_is_held_while_it_is_published() -> None:
    ask = Asked()
    other = warm()("a").value
    assert not ask.source.holds(other)
    first = ask("a", key_set("a", "b")).value

    assert ask.source.holds(first)
    assert not ask.source.holds(other), "the same key, but not given by this source"
    ask.forward(1)
    fetch_behind(ask, key_set("a"))
    assert ask.source.holds(first)
    assert first is ask("a").value, "the same object, so that what it has vouched for stays good"
    ask.forward(1)
    fetch_behind(ask, key_set("b"))
    assert not ask.source.holds(first)


def test_nothing_is_lost_by_not_asking_until_the_set_is_due() -> None:
    ask = Asked(fresh_for=300, usable_for=600)
    assert 0 == ask.source.settled_for()
    ask("a", key_set("a"))

    assert 300 == ask.source.settled_for()
    ask.forward(299.5)
    assert 1 == ask.source.settled_for(), "once a second is enough"
    ask.forward(0.5)
    ask("a").behind(down())
    assert 1 == ask.source.settled_for()
    ask.forward(299.5)
    assert 0.5 == ask.source.settled_for(), "nor beyond the end"
    ask.forward(0.5)
    assert 0 == ask.source.settled_for()


def test_while_a_failure_makes_a_pause_nobody_need_ask() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)
    for _ in range(5):
        ask("a").behind(down())
        ask.forward(30)
    ask("a").behind(down())

    assert 30 == ask.source.settled_for()


def test_keys_that_are_never_kept_are_never_settled() -> None:
    ask = Asked(fresh_for=0, usable_for=0)
    ask("a", key_set("a"))

    assert 0 == ask.source.settled_for()


def test_sources_are_alike_if_they_would_give_the_same_keys() -> None:
    settings = KeySettings(timeout=3)
    one = jwks(URL, settings)

    assert one.is_like(one)
    assert one.is_like(jwks(URL, KeySettings(timeout=3)))
    assert not one.is_like(jwks(URL))
    assert not one.is_like(jwks(URL + "2", settings))
    nameless = [RemoteKeys(one._locate, settings) for _ in range(2)]
    assert nameless[0].is_like(nameless[0])
    assert not nameless[0].is_like(nameless[1])


# --- times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chance", "due"), [(0.0, 300), (0.5, 270), (1.0, 240)])
def test_a_set_is_asked_for_somewhat_before_its_end_so_that_not_all_ask_at_one_time(chance: float, due: float) -> None:
    ask = Asked(fresh_for=300)
    ask.source._chance = lambda: chance
    ask("a", key_set("a"))

    assert due == ask.source.state().next_refresh


def test_what_the_issuer_says_of_freshness_counts() -> None:
    ask = Asked(fresh_for=300)
    ask("a", Reply(200, {"cache-control": "max-age=900"}, key_set("a").body))

    assert 900 == ask.source.state().next_refresh


def test_the_issuer_is_asked_whether_anything_has_changed() -> None:
    ask = Asked()
    ask("a", Reply(200, {"etag": '"1"'}, key_set("a").body))
    keys = ask.source.keys
    ask.forward(300)

    again = ask("a").behind(Reply(304, {}, b""))

    (need,) = again.needs
    assert isinstance(need, Fetch)
    assert '"1"' == need.headers["If-None-Match"]
    assert keys is ask.source.keys
    assert 300 == ask.source.state().next_refresh
    ask.forward(1)
    unknown = ask("b", key_set("a", "b")).needs[1]
    assert isinstance(unknown, Fetch)
    assert "If-None-Match" not in unknown.headers, "somebody names a key, so the tag is not believed"


def test_the_hard_limit_holds_whatever_the_issuer_says() -> None:
    ask = Asked(fresh_for=60, usable_for=600)
    ask("a", Reply(200, {"cache-control": "max-age=86400"}, key_set("a").body))
    ask.forward(599)
    assert "a" == kid_of(ask("a"))
    ask.forward(1)

    assert isinstance(ask("a", down()).error, KeysUnavailable)
    ask.forward(1)
    assert "a" == kid_of(ask("a", key_set("a")))


def test_all_wait_for_no_longer_than_one_timeout() -> None:
    ask = warm(timeout=5)

    def three_seconds() -> None:
        ask.forward(3)

    first, second = ask("b", Meanwhile(three_seconds), Meanwhile(three_seconds)).needs

    assert isinstance(first, Alone)
    assert isinstance(second, Alone)
    assert (5, 2) == (first.deadline, second.deadline)


def test_whose_time_is_over_waits_no_second_time() -> None:
    ask = warm(timeout=5)

    played = ask("b", Meanwhile(lambda: ask.forward(5)))

    assert [Alone] == played.kinds


def test_without_any_time_nobody_is_asked_twice() -> None:
    ask = Asked(timeout=0)
    played = ask("a", down())

    assert isinstance(played.error, KeysUnavailable)
    assert [Alone, Fetch] == played.kinds
    assert isinstance(played.needs[1], Fetch)
    assert played.needs[1].deadline <= 0


def test_a_clock_that_is_put_back_harms_no_known_key() -> None:
    ask = warm(fresh_for=300)
    ask.forward(-10_000)

    assert "a" == kid_of(ask("a"))
    assert 0 == ask.source.state().age
    assert isinstance(ask("b").error, UnknownKey)
    ask.forward(10_001)
    assert "b" == kid_of(ask("b", key_set("a", "b")))


def test_a_clock_that_leaps_ahead_makes_the_set_old_and_nothing_worse() -> None:
    ask = warm(fresh_for=300, usable_for=3_600)
    ask.forward(1e9)

    assert "a" == kid_of(ask("a", key_set("a")))


def test_what_another_has_found_meanwhile_is_not_asked_for_again() -> None:
    ask = warm()
    waits = [ask("b", Meanwhile(), Meanwhile()).needs[0] for _ in range(2)]
    first, second = (wait.flow for wait in waits if isinstance(wait, Alone))
    ask.forward(1)
    play(first, key_set("a", "b"))
    ask.source._last_start = -1  # as if it had begun before the second asked

    assert [] == play(second).needs


def test_a_refresh_that_another_has_made_meanwhile_is_not_made_again() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)
    first, second = ask("a"), ask("a")
    first.behind(key_set("a"))
    ask.source._last_start = -1

    assert [] == second.behind().needs


# --- a store and a snapshot --------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["redis://h:1/0", "rediss://h", "unix:///run/valkey.sock"])
def test_a_store_is_a_redis_or_a_valkey(store: str) -> None:
    assert store == KeySettings(store=store).store
    assert store not in repr(KeySettings(store=store)), "it may hold a password"


@pytest.mark.parametrize("store", ["", "http://h", "file:///tmp", "h:6379"])
def test_nothing_else_is_a_store(store: str) -> None:
    with pytest.raises(Misconfigured, match="store"):
        KeySettings(store=store)


def test_a_snapshot_is_the_path_of_a_folder() -> None:
    assert Path("keys") == KeySettings(snapshot=Path("keys")).snapshot

    with pytest.raises(Misconfigured, match="snapshot"):
        KeySettings(snapshot="keys")  # type: ignore[arg-type]


def sharing(clock: Clock, name: str = URL, **settings: Any) -> RemoteKeys:
    return RemoteKeys(jwks(URL)._locate, KeySettings(**settings), clock, name=name, chance=lambda: 0)


def test_a_snapshot_carries_a_service_over_a_start_while_its_issuer_is_down() -> None:
    clock = Clock(1_000)
    shelf = Shelf(clock)
    folder = Path("keys")
    fetched = play(partial(sharing(clock, snapshot=folder), token()), key_set("a"), shelf=shelf)
    fetched.behind(shelf=shelf)
    (kept,) = (need for need in shelf.asked if need.command == "write")
    assert folder.absolute().as_uri() == kept.store
    clock.forward(3_600)

    started = sharing(clock, snapshot=folder)
    played = play(partial(started, token()), down(), shelf=shelf)

    assert "a" == kid_of(played)
    assert started.state().stale
    assert 3_600 < (started.state().age or 0) < 3_605
    assert "no answer" in str(started.last_error)
    assert [] == play(partial(started, token()), shelf=shelf).needs, "the next try is for later"
    clock.forward(1)
    assert [URL] == play(partial(started, token()), shelf=shelf).behind(key_set("a"), shelf=shelf).fetched


def test_a_snapshot_that_is_young_saves_a_fetch() -> None:
    clock = Clock(1_000)
    shelf = Shelf(clock)
    play(partial(sharing(clock, snapshot=Path("k")), token()), key_set("a"), shelf=shelf).behind(shelf=shelf)
    clock.forward(100)

    played = play(partial(sharing(clock, snapshot=Path("k")), token()), shelf=shelf)

    assert "a" == kid_of(played)
    assert [] == played.fetched


def test_sources_without_a_name_share_nothing() -> None:
    clock = Clock(1_000)
    shelf = Shelf(clock)
    played = play(partial(sharing(clock, name="", store="redis://h"), token()), key_set("a"), shelf=shelf)

    assert "a" == kid_of(played)
    assert [] == shelf.asked


def test_whoever_has_the_turn_and_no_allowance_leaves_the_turn_to_others() -> None:
    clock = Clock(1_000)
    shelf = Shelf(clock)
    flooded, other = (sharing(clock, store="redis://h") for _ in range(2))
    for source in (flooded, other):
        first = play(partial(source, token()), *([key_set("a")] if source is flooded else []), shelf=shelf)
        if source is flooded:
            first.behind(shelf=shelf)
        clock.forward(1)
    for number in range(3):
        play(partial(flooded, token(f"bogus-{number}")), key_set("a"), shelf=shelf).behind(shelf=shelf)
        clock.forward(1)

    refused = play(partial(other, token("bogus-3")), shelf=shelf)
    clock.forward(0.001)
    rotated = play(partial(other, token("b")), key_set("b"), shelf=shelf)

    assert isinstance(refused.error, UnknownKey)
    assert [] == refused.fetched
    assert 1 == refused.kinds.count(Alone), "that was the answer, so nobody asks the store for it again"
    assert "b" == kid_of(rotated)
    assert [] == rotated.pauses


def test_a_set_that_was_long_under_way_to_the_store_brings_no_removed_key_back() -> None:
    """It was fetched before ours, but what is left of its time was reckoned before the store took it."""
    clock = Clock(1_000)
    shelf = Shelf(clock)
    slow, ours = (sharing(clock, store="redis://h", fresh_for=60) for _ in range(2))
    (keep,) = (need for need in play(partial(slow, token()), key_set("a", "gone"), shelf=shelf).needs[-1:])
    assert isinstance(keep, Later)
    ours._chance = lambda: 1
    flow = keep.flow()
    write = next(flow)
    clock.forward(0.1)
    shelf.lose_everything()
    assert "a" == kid_of(play(partial(ours, token()), key_set("a"), shelf=shelf))
    clock.forward(0.24)
    shelf(write)  # type: ignore[arg-type]  # it is Stored
    clock.forward(55)  # ours is due, and that one still fresh

    refreshed = play(partial(ours, token()), shelf=shelf).behind(key_set("a"), shelf=shelf)

    assert [URL] == refreshed.fetched
    assert ours.keys is not None
    assert {"a"} == ours.keys.kids


def test_where_the_keys_are_can_be_told_to_others() -> None:
    assert URL == play(jwks(URL).where).value
