"""Keys at a URL → when the issuer is asked for them, when it is not, and whose fault it is that there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jwt_guard.errors import KeysUnavailable, Misconfigured, UnknownKey
from jwt_guard.flow import Alone, Fetch, Later, Reply, Trust
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from jwt_guard.tokens.algorithms import ASYMMETRIC
from jwt_guard.tokens.compact import UnverifiedToken, parse
from jwt_guard.tokens.keys import Key
from tests.support.keys import public_jwk
from tests.support.minting import mint
from tests.support.playing import Clock, Meanwhile, Played, down, play, reply

URL = "https://id.test/keys"


def key_set(*kids: str) -> Reply:
    return reply({"keys": [public_jwk("ES256", kid=kid) for kid in kids]})


def token(kid: str | None = "a", alg: str = "ES256") -> UnverifiedToken:
    return parse(mint(header={"kid": kid} if kid is not None else b'{"alg":"ES256"}', alg=alg))


class Asked:
    """A source, its clock, and a way to ask for one token's key."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock(1_000)
        self.source = RemoteKeys(jwks(URL)._locate, KeySettings(**settings), self.clock)

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


def kid_of(played: Played) -> str | None:
    assert None is played.error
    assert isinstance(played.value, Key)
    return played.value.kid


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

    gone = ask("a", key_set("b"))

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
            before = calls
            played = play(partial(ask.source, token(f"bogus-{number}")), *([answer] if may_ask(ask) else []))
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
    assert 7 == calls, "what was saved up is a few, however long nobody asked"


def may_ask(ask: Asked) -> bool:
    return ask.source._may_ask(ask.clock())


def test_failures_count_as_fetches() -> None:
    ask = warm(cooldown=30)
    fetched = 0
    for second in range(60):
        played = ask(f"bogus-{second}", *([down()] if may_ask(ask) else []))
        assert isinstance(played.error, KeysUnavailable)
        fetched += len(played.fetched)
        ask.forward(1)

    assert 3 <= fetched <= 5


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
        play(partial(ask.source._refresh, ask.clock()), key_set("a"))

    played = ask("b", Meanwhile(another_fetch))

    assert isinstance(played.error, UnknownKey)
    assert [Alone] == played.kinds


def test_who_wakes_when_the_next_fetch_has_begun_waits_for_that_one() -> None:
    ask = warm()

    def the_next_begins() -> None:
        ask.forward(1)
        ask.source._last_start, ask.source._busy = ask.clock(), True

    def the_next_ends() -> None:
        ask.forward(1)
        play(partial(ask.source._refresh, ask.clock()), key_set("a", "b"))

    played = ask("b", Meanwhile(the_next_begins), Meanwhile(the_next_ends))

    assert "b" == kid_of(played)
    assert [Alone, Alone] == played.kinds


def test_who_comes_too_late_to_join_a_fetch_causes_none_that_was_not_left() -> None:
    ask = warm()
    for number in range(3):
        ask.forward(0.001)
        ask(f"bogus-{number}", key_set("a"))
    ask.forward(0.001)
    ask.source._busy = True
    joined = ask("b", Meanwhile(), Meanwhile()).needs[0]
    ask.source._busy = False

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
    known, unknown, other_alg = token("a").header, token("b").header, token("a", "RS256").header

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
    ask("b", down())
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
    assert isinstance(ask("b", down()).error, KeysUnavailable), "could not ask"
    assert isinstance(ask("b").error, KeysUnavailable), "nor again so soon"
    assert isinstance(ask("a", alg="RS256").error, UnknownKey), "nothing to ask for"
    ask.forward(100)
    assert isinstance(ask("b", key_set("a")).error, UnknownKey), "asked again"


def test_while_a_fetch_is_under_way_nobody_can_tell() -> None:
    ask = warm()
    refresh = ask.source._refresh(ask.clock())
    next(refresh)
    ask.source._bucket, ask.source._bucket_at = 0, ask.clock()

    assert isinstance(ask("b").error, KeysUnavailable)
    refresh.close()
    assert isinstance(ask("b").error, UnknownKey)


def test_who_waited_in_vain_is_told_so() -> None:
    played = Asked()("a", Meanwhile(), Meanwhile())

    assert isinstance(played.error, KeysUnavailable)
    assert "the issuer has not answered yet" in str(played.error)


def test_a_failed_cold_start_recovers_with_the_next_success_after_a_short_pause() -> None:
    ask = Asked()
    failed = ask("a", down())

    assert isinstance(failed.error, KeysUnavailable)
    assert [] == ask("a").needs, "not at once"
    ask.forward(1)
    assert "a" == kid_of(ask("a", key_set("a")))


def test_without_keys_the_pause_stays_short_however_long_the_issuer_was_away() -> None:
    ask = Asked(cooldown=30)
    for _ in range(50):
        assert [URL] == ask("a", down()).fetched
        ask.forward(5)

    assert "a" == kid_of(ask("a", key_set("a")))


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


def test_a_refresh_that_comes_too_soon_after_a_failure_does_nothing() -> None:
    ask = warm(fresh_for=300)
    ask.forward(300)
    first, second = ask("a"), ask("a")
    first.behind(down())
    ask.forward(0.5)

    assert [] == second.behind().fetched


def test_a_bug_is_no_reason_to_flood_the_issuer() -> None:
    ask = Asked()

    with pytest.raises(ZeroDivisionError):
        ask("a", ZeroDivisionError("of ours"))

    assert [] == ask("a").needs
    assert "a ZeroDivisionError while fetching" in str(ask("a").error)
    ask.forward(1)
    assert "a" == kid_of(ask("a", key_set("a")))


def test_an_abandoned_fetch_leaves_the_source_as_it_was() -> None:
    ask = warm()
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
