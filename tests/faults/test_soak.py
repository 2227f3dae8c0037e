"""The soak and the simulation of ``benchmarks/``, small → what they are to show at their full size."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.fleet import drawn, fetches_per_hour
from benchmarks.soak import Outcome

HERE = Path(__file__).parents[2]


def test_twenty_seconds_of_rotations_and_failures_refuse_no_good_token_and_accept_no_bad_one() -> None:
    words = [sys.executable, "-m", "benchmarks.soak", "--seconds", "20", "--every", "4"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=HERE, timeout=110, check=False)

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    figures = dict(re.findall(r"^\| (\S.*?) +\| ([0-9,]+) ", ran.stdout, re.MULTILINE))
    assert ("0", "0") == (figures["good tokens refused"], figures["bad tokens accepted"])
    assert ("4", "2") == (figures["rotations"], figures["times the store was killed"])
    for what in ("good tokens accepted", "bad tokens refused", "requests to the issuer"):
        assert "0" != figures[what], ran.stdout


def test_a_soak_with_one_wrong_verdict_or_growing_memory_is_not_well() -> None:
    def outcome(memory: float = 51.0, **counts: int) -> Outcome:
        said = {name.replace("_", ", "): count for name, count in counts.items()}
        return Outcome(Counter(said), [], 0.0, 1, 1, 1, [(50.0, memory)])

    assert outcome(good_accepted=5, bad_refused=5, good_later=1).is_well
    assert not outcome(good_refused=1).is_well
    assert not outcome(bad_accepted=1).is_well
    assert not outcome(memory=60.0).is_well


def test_with_a_store_ten_workers_ask_hardly_more_often_than_one() -> None:
    alone, ten, sharing = (
        fetches_per_hour(workers, shared=shared) for workers, shared in ((1, False), (10, False), (10, True))
    )

    assert 12 <= alone <= 15, "once in 300 seconds, or a little earlier"
    assert 120 <= ten <= 150
    assert 12 <= sharing <= 16


def test_the_picture_has_a_line_for_each_kind_and_a_point_for_each_size() -> None:
    picture = drawn([(1, 13.0, 13.0), (10, 130.0, 15.0)])

    assert 2 == picture.count("<polyline")
    assert 4 == picture.count("<circle")
    assert "without a store" in picture
