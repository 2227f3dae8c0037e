"""A key that nobody knows → a handful of fetches for ten thousand, and the last ones for names like the issuer's."""

from __future__ import annotations

import uuid

import pytest

from jwt_guard.sources.allowance import AT_ONCE, KEPT, Allowance, looks_of

OWN = looks_of(["2026-key"])
LIKE, UNLIKE = "2027-key", "bogus"


def spent(allowance: Allowance, kid: str | None, now: float, times: int = 1_000) -> int:
    """Return how many of *times* fetches for *kid* are allowed at *now*."""
    fetches = 0
    for _ in range(times):
        if allowance.permits(kid, OWN, now):
            allowance.spend(now)
            fetches += 1
    return fetches


def test_a_flood_costs_a_handful_and_then_one_in_a_cooldown() -> None:
    allowance = Allowance(30, now=0)

    assert 3 == AT_ONCE == spent(allowance, UNLIKE, 0, times=10_000)
    assert 0 == spent(allowance, UNLIKE, 29.9)
    assert 1 == spent(allowance, UNLIKE, 30)
    assert 0 == spent(allowance, UNLIKE, 59)
    assert 1 == spent(allowance, UNLIKE, 60)
    assert 3 == spent(allowance, UNLIKE, 1_000_000), "what is saved up is a few"


def test_a_flood_leaves_some_for_names_like_the_issuers_own() -> None:
    allowance = Allowance(30, now=0)
    spent(allowance, UNLIKE, 0)

    assert 2 == KEPT == spent(allowance, LIKE, 0)
    assert 0 == spent(allowance, LIKE, 29)
    assert 0 == spent(allowance, UNLIKE, 30)
    assert 1 == spent(allowance, LIKE, 30)


def test_who_copies_the_look_can_spend_all_of_it_but_no_more_than_one_in_a_cooldown() -> None:
    allowance = Allowance(30, now=0)

    assert 5 == spent(allowance, LIKE, 0)
    assert [1] * 50 == [spent(allowance, LIKE, 30.0 * cooldown, times=10) for cooldown in range(1, 51)]


@pytest.mark.parametrize(
    ("own", "kid"),
    [
        ("2026-01-key", "2026-02-key"),
        ("1", "2"),
        ("a1b2c3d4", "00ff00ff"),
        ("A1B2C3D4", "00FF00FF"),
        (str(uuid.UUID(int=1)), str(uuid.UUID(int=2**127))),
        ("pNHEB0yrhO3Pq1n2p2IaPd7G2AZWLnXvdVIHFPyVFW0", "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE"),
        ("Kq1+/r9S0Hfj5pcnYQ==", "a41Xw4QEDPQdTbQ70A=="),
        ("cl\u00e9 1", "cl\u00e9 2"),
        ("", ""),
    ],
)
def test_a_name_made_in_the_same_way_looks_alike(own: str, kid: str) -> None:
    assert 0 == Allowance.kept_from(kid, looks_of([own]))


@pytest.mark.parametrize(
    ("own", "kid"),
    [
        ("2026-key", "bogus"),
        ("2026-key", ""),
        ("2026-key", None),
        ("00ff00ff", "../../..'"[:8]),
        ("00ff00ff", "00FF00FF"),
        ("00ff00ff", "zzzzzzzz"),
        ("12345678", "00ff00ff"),
        (str(uuid.UUID(int=1)), "x" * 36),
        ("pNHEB0yrhO3Pq1n2p2IaPd7G2AZWLnXvdVIHFPyVFW0", str(uuid.UUID(int=1))),
        ("key", "k\u00e9y"),
        ("key", "k y"),
        ("key", "ke\n"),
    ],
)
def test_other_names_do_not(own: str, kid: str | None) -> None:
    assert KEPT == Allowance.kept_from(kid, looks_of([own, None]))


def test_an_issuer_without_names_has_nothing_to_look_like() -> None:
    assert frozenset() == looks_of([None])
    assert KEPT == Allowance.kept_from("a", looks_of([]))


def test_what_brought_the_key_costs_nothing() -> None:
    allowance = Allowance(30, now=0)

    for _ in range(100):
        assert allowance.permits(UNLIKE, OWN, 0)
        allowance.spend(0)
        allowance.give_back(0)
    for _ in range(100):
        allowance.give_back(0)
    assert 3 == spent(allowance, UNLIKE, 0), "and saves up none"


def test_without_a_cooldown_there_is_no_end_to_it_and_nothing_is_remembered() -> None:
    allowance = Allowance(0, now=0)
    allowance.note_unknown("a", "ES256", 0)

    assert 100 == spent(allowance, UNLIKE, 0, times=100)
    assert not allowance.is_unknown("a", "ES256", 0)


def test_a_clock_that_is_put_back_gives_nothing_away_and_takes_nothing() -> None:
    allowance = Allowance(30, now=1_000)
    spent(allowance, LIKE, 1_000)

    assert 0 == spent(allowance, LIKE, 0)
    allowance.give_back(0)
    assert 1 == spent(allowance, LIKE, 0), "counted from there"
    assert 1 == spent(allowance, LIKE, 30)
    allowance.note_asked(-100)
    assert 1 == allowance.per_minute(-200)


def test_a_clock_that_leaps_ahead_fills_the_bucket_and_no_more() -> None:
    allowance = Allowance(30, now=0)
    spent(allowance, LIKE, 0)

    assert 5 == spent(allowance, LIKE, 1e15)


def test_a_kid_that_the_issuer_does_not_have_is_known_to_be_unknown_for_a_cooldown() -> None:
    allowance = Allowance(30, now=0)
    assert not allowance.is_unknown("a", "ES256", 0)
    allowance.note_unknown("a", "ES256", 0)

    assert allowance.is_unknown("a", "ES256", 29.9)
    assert not allowance.is_unknown("a", "ES256", 30)
    assert not allowance.is_unknown("a", "RS256", 1)
    assert not allowance.is_unknown(None, "ES256", 1)


def test_the_memory_of_unknown_kids_is_bounded_and_forgets_the_oldest() -> None:
    allowance = Allowance(30, now=0)
    for number in range(1_000):
        allowance.note_unknown(str(number), "ES256", 0)
    allowance.note_unknown("0", "ES256", 1)
    for number in range(1_000, 2_000):
        allowance.note_unknown(str(number), "ES256", 1)

    assert 1_024 == len(allowance._unknown)
    assert allowance.is_unknown("1999", "ES256", 2)
    assert allowance.is_unknown("0", "ES256", 2), "noted again, so no longer the oldest"
    assert not allowance.is_unknown("1", "ES256", 2)


def test_the_rate_of_unknown_kids_is_that_of_the_last_minute_or_so() -> None:
    allowance = Allowance(30, now=0)
    assert 0 == allowance.per_minute(0)
    for second in range(60):
        allowance.note_asked(second)

    assert 60 == allowance.per_minute(59)
    allowance.note_asked(60)
    assert 61 == allowance.per_minute(60)
    assert 31 == allowance.per_minute(90)
    assert 1 == allowance.per_minute(150)
    assert 0 == allowance.per_minute(180)
    allowance.note_asked(1_000)
    assert 1 == allowance.per_minute(1_000), "what is long ago does not count"
