"""Many processes and one store → the issuer is asked about once for all of them, and nobody is worse off for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from itertools import count
from typing import Any

import pytest

from jwt_guard.errors import GuardError, KeysUnavailable, UnknownKey
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from jwt_guard.tokens.compact import UnverifiedToken, parse
from tests.support.keys import encode
from tests.support.minting import mint
from tests.support.together import Issuer, Job, Together

SIGNED = mint(header={"kid": "a"})
URL, STORE = "https://id.test/keys", "redis://store.test/0"


@cache
def token(kid: str) -> UnverifiedToken:
    """Return a token that names *kid*: nobody here looks at its signature."""
    _, payload, signature = SIGNED.split(".")
    header = encode(json.dumps({"alg": "ES256", "kid": kid}).encode())
    return parse(f"{header}.{payload}.{signature}")


class Fleet:
    """Processes with one source each, all of the same issuer."""

    def __init__(self, processes: int, *, store: str | None = STORE, **settings: Any) -> None:
        self.issuer = Issuer("a")
        self.world = Together(self.issuer)
        self._settings = KeySettings(store=store, **settings)
        self._chances = count()
        self.sources = [self.start() for _ in range(processes)]

    def start(self, **settings: Any) -> RemoteKeys:
        """Return the source of a process that has just begun."""
        chance = (next(self._chances) * 0.618034) % 1  # spread out, and the same in each run
        chosen = KeySettings(store=self._settings.store, **settings) if settings else self._settings
        return RemoteKeys(jwks(URL)._locate, chosen, self.world.clock, name=URL, chance=lambda: chance)

    def ask(self, source: RemoteKeys, kid: str) -> Job:
        return self.world.begin(source, partial(source, token(kid)))

    def all_ask(self, kid: str, seconds: float = 10) -> list[Job]:
        """Have all processes ask for one key at one time, and wait for their answers."""
        jobs = [self.ask(source, kid) for source in self.sources]
        self.world.forward(seconds)
        return jobs

    def go_on(self, seconds: float, kid: str = "a", each: float = 1.0) -> list[Job]:
        """Have each process ask for a key now and then, for so many *seconds*."""
        return [job for _ in range(round(seconds / each)) for job in self.all_ask(kid, each)]


def kids(jobs: list[Job]) -> set[Any]:
    """Return what *jobs* came to: the names of keys, or kinds of errors."""
    return {type(job.error) if isinstance(job.error, GuardError) else job.value.kid for job in jobs}


# --- one fetch for all -------------------------------------------------------------------------------


def test_a_hundred_processes_that_start_at_one_time_cost_one_fetch() -> None:
    fleet = Fleet(100)

    jobs = fleet.all_ask("a")

    assert {"a"} == kids(jobs)
    assert 1 == fleet.issuer.asked
    assert max(job.took for job in jobs) < 0.5


def test_without_a_store_each_process_costs_one() -> None:
    fleet = Fleet(100, store=None)
    fleet.all_ask("a")

    assert 100 == fleet.issuer.asked


@pytest.mark.parametrize("processes", [1, 10, 100])
def test_an_age_costs_about_one_fetch_however_many_processes_there_are(processes: int) -> None:
    fleet = Fleet(processes, fresh_for=300)

    jobs = fleet.go_on(3_000, each=10)

    assert {"a"} == kids(jobs)
    assert 10 <= fleet.issuer.asked <= 14
    assert {0} == {job.took for job in jobs[processes:]}, "nobody waits once there are keys"


def test_what_the_issuer_says_of_freshness_counts_for_all() -> None:
    fleet = Fleet(20)
    fleet.issuer.headers = {"cache-control": "max-age=3600"}
    fleet.go_on(3_600, each=60)

    assert fleet.issuer.asked <= 3


def test_who_starts_later_asks_nobody_but_the_store() -> None:
    fleet = Fleet(1)
    fleet.all_ask("a")
    late = fleet.start()

    job = fleet.ask(late, "a")
    fleet.world.forward(1)

    assert {"a"} == kids([job])
    assert 1 == fleet.issuer.asked
    assert pytest.approx(11, abs=0.1) == late.state().age, "and the set is as old as it is"


def test_a_removed_key_stops_working_everywhere_within_an_age() -> None:
    fleet = Fleet(20, fresh_for=300)
    fleet.all_ask("a")
    fleet.issuer.kids = ["b"]
    fleet.go_on(301, each=7)

    assert {frozenset({"b"})} == {source.keys.kids for source in fleet.sources if source.keys is not None}


# --- rotation ----------------------------------------------------------------------------------------


def test_a_rotation_is_taken_by_all_on_the_first_request_and_costs_one_fetch() -> None:
    fleet = Fleet(100)
    fleet.all_ask("a")
    fleet.issuer.kids = ["b", "a"]

    jobs = fleet.all_ask("b")

    assert {"b"} == kids(jobs)
    assert 2 == fleet.issuer.asked
    assert max(job.took for job in jobs) < 1


def test_rotations_more_often_than_one_in_a_cooldown_are_taken_too() -> None:
    fleet = Fleet(5, cooldown=1_000)
    fleet.all_ask("a")

    for kid in "bcdefghijklmn":
        fleet.issuer.kids = [kid]
        assert {kid} == kids(fleet.all_ask(kid, 2))


def test_a_rotation_in_the_middle_of_anothers_fetch_is_taken_by_all() -> None:
    """What the other process brings is older than the key that is asked for."""
    fleet = Fleet(20)
    fleet.all_ask("a")
    fleet.world.forward(300)
    fleet.issuer.takes = 1
    fleet.ask(fleet.sources[0], "a")
    fleet.world.forward(0.99)
    before = list(fleet.issuer.kids)
    answering, fleet.issuer.kids = fleet.issuer.kids, ["b"]
    jobs = [fleet.ask(source, "b") for source in fleet.sources[1:]]
    fleet.issuer.kids = answering
    fleet.world.forward(0.02)
    assert before == fleet.issuer.kids
    fleet.issuer.kids = ["b"]
    fleet.world.forward(10)

    assert {"b"} == kids(jobs)
    assert fleet.issuer.asked <= 5


def test_an_old_copy_in_the_store_is_no_word_on_a_new_key() -> None:
    """A refresh in the background takes what another has fetched long ago, while somebody asks for a key."""
    fleet = Fleet(2, fresh_for=300)
    first, second = fleet.sources
    fleet.all_ask("a")
    fleet.world.forward(290)
    fleet.ask(second, "a")
    fleet.world.forward(100)
    fleet.issuer.kids = ["b"]

    known, new = fleet.ask(first, "a"), fleet.ask(first, "b")
    fleet.world.forward(10)

    assert {"a"} == kids([known])
    assert {"b"} == kids([new])


def test_who_finds_another_at_it_refuses_no_new_key_meanwhile() -> None:
    fleet = Fleet(2, fresh_for=300)
    first, second = fleet.sources
    fleet.all_ask("a")
    fleet.world.forward(300)
    fleet.issuer.takes = 2
    fleet.ask(first, "a")
    fleet.ask(second, "a")  # looks into the store, and leaves it to the first
    fleet.world.forward(0.5)
    fleet.issuer.kids, fleet.issuer.takes = ["b"], 0.05

    job = fleet.ask(second, "b")
    fleet.world.forward(10)

    assert {"b"} == kids([job])


def test_a_flood_of_made_up_kids_costs_all_of_them_together_a_handful() -> None:
    fleet = Fleet(50)
    fleet.all_ask("a")
    outcomes: list[Job] = []
    for number in range(40):
        outcomes += [fleet.ask(source, f"bogus-{number}-{place}") for place, source in enumerate(fleet.sources)]
        fleet.world.forward(0.01)
    fleet.world.forward(10)

    assert {UnknownKey} <= kids(outcomes) <= {UnknownKey, KeysUnavailable}
    assert fleet.issuer.asked <= 1 + 3
    fleet.issuer.kids = ["b"]
    assert {"b"} == kids(fleet.all_ask("b")), "and leaves a rotation its own"


def test_a_flood_that_copies_the_look_of_kids_delays_a_rotation_by_two_cooldowns_at_most() -> None:
    """One until somebody fetches, and another until each process looks into the store."""
    fleet = Fleet(10, cooldown=30)
    fleet.all_ask("a")
    number = count()

    def flood(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            for source in fleet.sources:
                fleet.ask(source, chr(0x62 + next(number) % 24))
            fleet.world.forward(0.1)

    flood(10)
    before = fleet.issuer.asked
    assert before <= 1 + 5
    fleet.issuer.kids = ["z"]
    flood(61)

    assert {"z"} == kids(fleet.all_ask("z"))
    assert fleet.issuer.asked - before <= 8


# --- trouble -----------------------------------------------------------------------------------------


def test_while_the_issuer_is_down_a_warm_fleet_asks_it_now_and_then() -> None:
    fleet = Fleet(30, fresh_for=300)
    fleet.all_ask("a")
    fleet.issuer.fails = True
    fleet.issuer.asked = 0

    jobs = fleet.go_on(600)

    assert {"a"} == kids(jobs)
    assert {0} == {job.took for job in jobs}
    assert 10 <= fleet.issuer.asked <= 360 / 4, "however many there are"


def test_while_the_issuer_is_down_a_cold_fleet_asks_it_less_than_one_process_would_for_each() -> None:
    alone, fleet = Fleet(1, store=None), Fleet(50)
    for each in (alone, fleet):
        each.issuer.fails = True
        assert {KeysUnavailable} == kids(each.go_on(20, each=0.5)[: 30 * len(each.sources)])

    assert fleet.issuer.asked < 50 * alone.issuer.asked / 4


def test_a_cold_fleet_recovers_with_its_issuer() -> None:
    fleet = Fleet(20)
    fleet.issuer.fails = True
    assert {KeysUnavailable} == kids(fleet.all_ask("a"))
    fleet.issuer.fails = False

    jobs = fleet.all_ask("a")

    assert {"a"} == kids(jobs)
    assert max(job.took for job in jobs) < 2


def test_one_process_with_a_store_waits_for_no_other_after_a_failure() -> None:
    fleet = Fleet(1)
    fleet.issuer.fails = True
    fleet.all_ask("a", 2)
    fleet.issuer.fails = False

    (job,) = fleet.all_ask("a", 2)

    assert {"a"} == kids([job])
    assert job.took < 1


def test_a_process_that_dies_while_it_fetches_costs_the_others_half_a_timeout_at_most() -> None:
    fleet = Fleet(3, timeout=5)
    first, *others = fleet.sources
    fleet.issuer.takes = 4
    fleet.ask(first, "a")
    fleet.world.forward(0.1)
    fleet.world.kill(first)
    fleet.issuer.takes = 0.05

    jobs = [fleet.ask(source, "a") for source in others]
    fleet.world.forward(10)

    assert {"a"} == kids(jobs)
    assert max(job.took for job in jobs) < 2.5 + 0.5


def test_a_process_that_dies_while_it_fetches_for_a_rotation_costs_half_a_timeout_at_most() -> None:
    fleet = Fleet(3, timeout=5)
    fleet.all_ask("a")
    first, *others = fleet.sources
    fleet.issuer.kids = ["b"]
    fleet.issuer.takes = 4
    fleet.ask(first, "b")
    fleet.world.forward(0.1)
    fleet.world.kill(first)
    fleet.issuer.takes = 0.05

    jobs = [fleet.ask(source, "b") for source in others]
    fleet.world.forward(10)

    assert {"b"} == kids(jobs)
    assert max(job.took for job in jobs) < 2.5 + 0.5


def test_nobody_waits_longer_than_one_timeout_in_all() -> None:
    fleet = Fleet(3, timeout=5)
    fleet.all_ask("a")
    fleet.world.forward(290)
    fleet.issuer.takes = 1_000
    fleet.all_ask("a", 2)  # begins to refresh, and hangs

    jobs = fleet.all_ask("b", 20)

    assert {KeysUnavailable} == kids(jobs)
    assert max(job.took for job in jobs) <= 5
    assert {0} == {job.took for job in fleet.all_ask("a")}


def test_a_store_that_goes_away_and_comes_back_costs_nobody_anything() -> None:
    fleet = Fleet(20, fresh_for=300)
    jobs = fleet.go_on(600, each=10)
    fleet.world.shelf.is_down = True
    jobs += fleet.go_on(600, each=10)
    fleet.issuer.kids = ["b"]
    jobs += fleet.all_ask("b")
    fleet.world.shelf.is_down = False
    fleet.world.shelf.lose_everything()
    fleet.world.forward(300)
    fleet.issuer.asked = 0
    jobs += fleet.go_on(600, "b", each=10)

    assert {"a", "b"} == kids(jobs)
    assert fleet.issuer.asked <= 4


def test_a_set_that_was_fetched_before_ours_never_replaces_it_though_it_was_stored_later() -> None:
    """A slow process has read the key set before a key was taken out, and stores it after we have seen that."""
    fleet = Fleet(2, fresh_for=300)
    slow, quick = fleet.sources
    fleet.issuer.kids = ["a", "gone"]
    fleet.issuer.takes = 4
    fleet.ask(slow, "a")
    fleet.world.forward(3.9)
    fleet.issuer.takes = 0.01
    fleet.issuer.kids, seen_by_slow = ["a"], fleet.issuer.kids
    fleet.world.shelf.is_down = True
    fleet.ask(quick, "a")
    fleet.world.forward(0.09)
    fleet.world.shelf.is_down = False
    assert quick.keys is not None
    assert {"a"} == quick.keys.kids
    fleet.issuer.kids = seen_by_slow
    fleet.world.forward(1)
    assert slow.keys is not None
    assert {"a", "gone"} == slow.keys.kids
    fleet.issuer.kids = ["a"]
    fleet.world.forward(250)  # ours is due, and what the slow one has stored is still fresh

    fleet.ask(quick, "a")
    fleet.world.forward(10)

    assert {"a"} == quick.keys.kids


def spoil(fleet: Fleet, change: Callable[[bytes], bytes]) -> None:
    fleet.world.shelf.put(change(fleet.world.shelf.entry), 3_600)


def test_garbage_in_the_store_is_fetched_over() -> None:
    fleet = Fleet(2)
    fleet.all_ask("a")
    spoil(fleet, lambda _entry: b"garbage")
    late = fleet.start()

    job = fleet.ask(late, "a")
    fleet.world.forward(10)
    later = fleet.start()
    again = fleet.ask(later, "a")
    fleet.world.forward(10)

    assert {"a"} == kids([job, again])
    assert 2 == fleet.issuer.asked


def test_what_somebody_else_put_into_the_store_is_gone_with_the_next_fetch() -> None:
    fleet = Fleet(1, fresh_for=300)
    fleet.issuer.headers = {"etag": '"1"'}
    fleet.all_ask("a")
    evil = Fleet(1)
    evil.issuer.kids = ["evil"]
    evil.all_ask("evil")
    fleet.world.shelf.put(evil.world.shelf.entry, 86_390)
    victim = fleet.start()
    fooled = fleet.ask(victim, "evil")
    fleet.world.forward(300)
    assert {"evil"} == kids([fooled]), "who can write there is trusted"
    fleet.ask(victim, "evil")
    fleet.world.forward(10)

    assert victim.keys is not None
    assert {"a"} == victim.keys.kids


def test_no_copy_lives_longer_than_our_own_limits_whatever_it_says() -> None:
    fleet = Fleet(1, usable_for=86_400)
    fleet.issuer.headers = {"cache-control": "max-age=86400"}
    fleet.all_ask("a")
    strict = fleet.start(usable_for=600, fresh_for=60)
    fleet.ask(strict, "a")
    fleet.world.forward(1)
    assert "a" in (strict.keys.kids if strict.keys else ())
    fleet.issuer.fails = True
    fleet.world.forward(600)

    job = fleet.ask(strict, "a")
    fleet.world.forward(10)

    assert {KeysUnavailable} == kids([job])
    assert not strict.state().usable


# --- a start while the issuer is away -----------------------------------------------------------------


def test_an_old_copy_is_better_than_no_keys_and_nobody_waits_long_for_it() -> None:
    fleet = Fleet(1, fresh_for=300, timeout=5)
    fleet.all_ask("a")
    fleet.world.forward(3_600)
    for fails, takes in ((True, 0.05), (False, 1_000)):
        fleet.issuer.fails, fleet.issuer.takes = fails, takes
        started = fleet.start(fresh_for=300, timeout=5)

        job = fleet.ask(started, "a")
        fleet.world.forward(20)

        assert {"a"} == kids([job])
        assert job.took <= 2.6
        assert started.last_error is not None
        assert started.state().stale


def test_an_old_copy_is_not_taken_while_the_issuer_answers() -> None:
    fleet = Fleet(1, fresh_for=300)
    fleet.all_ask("a")
    fleet.world.forward(3_600)
    fleet.issuer.kids = ["b"]
    started = fleet.start()

    gone, new = fleet.ask(started, "a"), fleet.ask(started, "b")
    fleet.world.forward(10)

    assert {UnknownKey} == kids([gone])
    assert {"b"} == kids([new])


def test_a_copy_that_is_too_old_for_us_is_none() -> None:
    fleet = Fleet(1)
    fleet.all_ask("a")
    fleet.world.forward(3_600)
    fleet.issuer.fails = True
    strict = fleet.start(usable_for=600, fresh_for=60)

    job = fleet.ask(strict, "a")
    fleet.world.forward(20)

    assert {KeysUnavailable} == kids([job])
    assert None is strict.keys
