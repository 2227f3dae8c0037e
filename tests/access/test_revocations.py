"""What is taken back → what is covered by it, how much is held, and what other processes are told."""

from __future__ import annotations

import json
import math
import sys
import threading
from typing import Any

import pytest

from jwt_guard.access.revocations import Held, Name, Unreadable, Withdrawal, octets_of, read_octets
from jwt_guard.errors import Unavailable
from tests.support.minting import NOW

LIFE = 1_000.0
A: Name = ("jti", "https://id.test", "a")
B: Name = ("jti", "https://id.test", "b")


def one(name: Name = A, before: float = math.inf, until: float = NOW + LIFE) -> Withdrawal:
    return Withdrawal(*name, before, until)


def holding(*some: Withdrawal, most: int = 100) -> Held:
    held = Held(LIFE, most)
    for each in some:
        assert held.add(each, NOW)
    return held


# --- what is held ------------------------------------------------------------------------------------


def test_nothing_is_held_at_first() -> None:
    held = Held(LIFE, 1)

    assert not held
    assert not held.has([A], NOW, NOW)
    assert [] == held.all(NOW)


def test_a_name_is_held_until_it_is_over() -> None:
    held = holding(one(until=NOW + 10))

    assert held
    assert held.has([B, A], NOW, NOW + 9.9)
    assert not held.has([B], NOW, NOW)
    assert not held.has([A], NOW, NOW + 10)


@pytest.mark.parametrize(
    "other", [("jti", "https://id.test/", "a"), ("sid", "https://id.test", "a"), ("jti", None, "a")]
)
def test_kind_issuer_and_name_are_all_of_it(other: Name) -> None:
    assert not holding(one()).has([other], NOW, NOW)


def test_only_tokens_issued_before_are_meant() -> None:
    held = holding(one(before=NOW))

    assert held.has([A], NOW - 1, NOW)
    assert held.has([A], -math.inf, NOW)
    assert not held.has([A], NOW, NOW)


def test_of_two_that_overlap_each_holds_for_its_time() -> None:
    held = holding(one(before=NOW - 50, until=NOW + 40), one(before=NOW - 10, until=NOW + 20))

    assert held.has([A], NOW - 20, NOW + 19)
    assert not held.has([A], NOW - 20, NOW + 21)
    assert held.has([A], NOW - 60, NOW + 39)


def test_what_says_nothing_new_is_nothing_new() -> None:
    held = holding(one(before=NOW, until=NOW + 600))

    assert not held.add(one(before=NOW, until=NOW + 600), NOW)
    assert not held.add(one(before=NOW - 5, until=NOW + 10), NOW)
    assert not held.add(one(B, until=NOW), NOW)
    assert held.add(one(before=NOW + 1, until=NOW + 600), NOW)
    assert [one(before=NOW + 1, until=NOW + 600)] == held.all(NOW)


def test_about_one_name_no_more_than_a_little_is_held_and_then_rather_more_is_refused() -> None:
    held = holding(*(one(before=NOW + step, until=NOW + LIFE - step) for step in range(20)))

    assert len(held.all(NOW)) <= 8
    for step in range(20):
        assert held.has([A], NOW + step - 0.5, NOW + LIFE - step - 0.5)


def test_what_is_over_makes_room() -> None:
    held = holding(one(until=NOW + 10), most=1)

    with pytest.raises(Unavailable, match="more is revoked"):
        held.add(one(B), NOW)
    assert held.add(one(until=NOW + 20), NOW), "that is about the same name"
    assert held.add(one(B, until=NOW + 2 * LIFE), NOW + LIFE)
    assert [one(B, until=NOW + 2 * LIFE)] == held.all(NOW + LIFE)


def test_what_is_held_no_longer_is_not_among_all_of_it() -> None:
    held = holding(one(until=NOW + 10), one(B, until=NOW + 20))

    assert [one(B, until=NOW + 20)] == held.all(NOW + 10)


def test_threads_that_add_at_once_lose_nothing() -> None:
    held = Held(LIFE, 100_000)
    names: list[list[Name]] = [[("jti", "https://id.test", f"{who} {turn}") for turn in range(500)] for who in range(4)]
    failed: list[Name] = []

    def add(mine: list[Name]) -> None:
        for turn, name in enumerate(mine):
            held.add(one(name), NOW)
            held.add(one(before=NOW + turn, until=NOW + LIFE / 4 + turn), NOW)
            if not held.has([name], NOW, NOW) or not held.has([A], NOW + turn - 1, NOW):
                failed.append(name)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=add, args=(mine,)) for mine in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert [] == failed
    assert all(held.has([name], NOW, NOW) for mine in names for name in mine)


# --- what others are told ----------------------------------------------------------------------------

SOME = [
    one(),
    Withdrawal("sub", "https://id.test", 'a "name", é €', NOW + 0.5, NOW + LIFE),
    Withdrawal("kid", None, "k", math.inf, NOW + 0.25),
]


def test_what_is_told_is_understood() -> None:
    assert SOME == read_octets(octets_of(SOME))
    assert [] == read_octets(octets_of([]))


GOOD = ["jti", "https://id.test", "a", None, NOW]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"revoked": {}}',
        b'{"revoked": [[]]}',
        b'{"revoked": [null]}',
        b'{"revoked": [], "revoked": []}',
        b'{"revoked": [["jti", "https://id.test", "a", null, NaN]]}',
        b"\xff",
        *(
            json.dumps({"revoked": [GOOD, [*GOOD[:place], wrong, *GOOD[place + 1 :]]]}).encode()
            for place, wrong in (
                (0, "token"), (0, None), (1, 5), (2, None), (2, 5), (3, "now"), (3, True), (3, 1e13), (4, None),
                (4, False), (4, "1"), (4, 10**15),
            )
        ),
        json.dumps({"revoked": [[*GOOD, 1]]}).encode(),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_taken_for_less(octets: bytes) -> None:
    with pytest.raises(Unreadable):
        read_octets(octets)


def test_any_text_can_be_told() -> None:
    names: list[Any] = [chr(code) for code in (0, 10, 34, 92, 127, 0xE9, 0x20AC, 0x1F600)]
    some = [Withdrawal("sid", "https://id.test", name, math.inf, NOW) for name in names]

    assert some == read_octets(octets_of(some))
