"""Decisions → counts that only grow, of one process and of all that share a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import BadSignature, Expired, GuardError
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.counting import BOUNDS, Counts, Folder, Tally, together
from jwt_guard.observing.observer import Circumstances

REQUEST = PlainRequest("GET", "/")


def counted(*decisions: tuple[Any, float, bool]) -> Counts:
    counts = Counts()
    for decision, seconds, remembered in decisions:
        counts(REQUEST, decision, Circumstances(seconds, remembered))
    return counts


def test_decisions_are_counted_by_what_came_of_them() -> None:
    expired, forged = Deny(Expired("exp", "is over")), Deny(BadSignature("a", "RS256"))
    tally = counted(
        (Allow(None), 1.0, True), (Allow(None), 0.5, False), (expired, 0.25, True), (forged, 2, False)
    ).tally()

    assert (2, 2, {"Expired": 1, "BadSignature": 1}) == (tally.allowed, tally.remembered, tally.refused)
    assert 3.75 == tally.seconds


def test_each_duration_is_counted_up_to_the_bound_that_it_keeps() -> None:
    seconds = [0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] * 1.01]
    durations = counted(*[(Allow(None), each, False) for each in seconds]).tally().durations

    assert [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1] == list(durations)
    assert list(BOUNDS) == sorted(BOUNDS)


def test_a_policy_that_makes_up_errors_fills_no_memory() -> None:
    counts = Counts()
    for number in range(100):
        error: GuardError = type(f"Error{number}", (GuardError,), {})("no")
        counts(REQUEST, Deny(error), Circumstances(0))

    refused = counts.tally().refused
    assert (65, 36) == (len(refused), refused["other"])


def test_what_was_told_does_not_change_afterwards() -> None:
    counts = counted((Deny(Expired("exp", "is over")), 1.0, False))
    before = counts.tally()
    counts(REQUEST, Deny(Expired("exp", "is over")), Circumstances(1.0))

    assert {"Expired": 1} == before.refused
    assert {"Expired": 2} == counts.tally().refused


def test_several_are_added_up() -> None:
    one = counted((Allow(None), 1.0, True), (Deny(Expired("exp", "is over")), 1.0, False)).tally()
    two = counted((Deny(Expired("exp", "is over")), 1.0, False), (Deny(BadSignature(None, "x")), 1.0, False)).tally()
    total = together([one, two])

    assert (1, 1, {"Expired": 2, "BadSignature": 1}, 4.0) == (
        total.allowed,
        total.remembered,
        total.refused,
        total.seconds,
    )
    assert 4 == total.durations[len(BOUNDS) - 1]
    assert Tally() == together([])


def test_each_process_tells_for_all_that_share_a_folder(tmp_path: Path) -> None:
    one, two = Folder(tmp_path), Folder(tmp_path)
    mine, theirs = counted((Allow(None), 1.0, True)).tally(), counted((Deny(Expired("exp", "x")), 1.0, False)).tally()
    one.leave(mine)
    two.leave(theirs)

    assert together([mine, theirs]) == one.total(mine) == two.total(theirs)

    more = together([theirs, theirs])
    two.leave(more)
    assert together([mine, more]) == one.total(mine)
    assert 2 == len(list(tmp_path.iterdir()))


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    folder, tally = Folder(tmp_path), Tally(allowed=1)
    folder.leave(tally)
    (file,) = tmp_path.iterdir()
    file.unlink()
    folder.leave(tally)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"allowed": "x"}', "\xff"])
def test_a_file_that_is_none_of_ours_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "7-x.counts").write_text(text, encoding="latin-1")

    assert Tally(allowed=3) == Folder(tmp_path).total(Tally(allowed=3))


def test_a_folder_that_is_gone_costs_the_sharing_and_nothing_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "gone")
    folder.leave(Tally(allowed=1))

    assert Tally(allowed=1) == folder.total(Tally(allowed=1))
