"""Batches of calls, timed in turn → what one call costs, round by round: for what is short or works on fresh values.

:mod:`benchmarks.measure` calls a function again and again; here each batch gets arguments that were made for it
outside the timed part, and the loop around the calls is the contestant's own, so that nothing of the harness is
measured but a ``for``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from .measure import Figure

__all__ = ["Batches", "Line", "Middle", "Progress", "in_turn", "is_quick", "middle", "side_by_side"]

Line: TypeAlias = tuple[str, str, str, bool | None]
"""What, its figure, its goal, and whether that is reached: a row of the table."""

_PATIENCE = 2.0  # seconds after which a person wants to know how far it is
_QUICK = 5


def is_quick(rounds: int) -> bool:
    """Say whether so few *rounds* only show that it works: then the sizes are small, too, and the table says so."""
    return rounds < _QUICK


@dataclass(frozen=True, slots=True)
class Batches:
    """One contestant: what is called, how often, and on what."""

    arguments: Callable[[], Sequence[Any]]
    """Makes what one batch works on; not timed."""
    run: Callable[[Sequence[Any]], object]
    """Makes one call for each of them; timed."""
    number: int = 1
    """Batches in each turn."""
    warm: int = 0
    """Calls before each batch, not timed: then it finds in the caches what it left there, not what another did.

    Else whoever comes after the longest of them pays for it.
    """


@dataclass(frozen=True, slots=True)
class Middle:
    """A median and the quartiles around it."""

    value: float
    low: float
    high: float


class Progress:
    """Says how far it is, to whoever has waited for a while."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        """Print a line where the last one is some time ago."""
        now = time.monotonic()
        if now - self.said >= _PATIENCE:
            self.said = now
            print(f"  {self.what}: {done:,} of {of:,} …", file=sys.stderr, flush=True)


def middle(values: Sequence[float]) -> Middle:
    """Return the median of *values* and their quartiles."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return Middle(median(ordered), ordered[quarter], ordered[-quarter - 1])


def in_turn(contestants: Mapping[str, Batches], rounds: int, what: str, *, turns: int = 1) -> dict[str, list[float]]:
    """Return the CPU microseconds of one call in each of *rounds*, for each of *contestants*.

    In a round each has *turns*, the order turned round each time: the more and the shorter they are, the less a
    machine that slows down or is shared tells the contestants apart.  A round's figure is the median of its batches,
    since one during which somebody else had the core finds the caches empty.  Thread CPU time.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    progress = Progress(what)
    forwards, backwards = list(contestants), list(contestants)[::-1]
    for contestant in contestants.values():  # once, so that everything is loaded and remembered
        contestant.run(contestant.arguments())
    gc.collect()
    for number in range(rounds):
        batches: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(turns):
            for name in backwards if (number + turn) % 2 else forwards:
                batches[name] += [_timed(contestants[name]) for _ in range(contestants[name].number)]
        for name, taken in times.items():
            taken.append(median(batches[name]))
        progress(number + 1, rounds)
    return times


def side_by_side(times: Mapping[str, Sequence[float]], base: str) -> dict[str, Figure]:
    """Return each contestant's median, and the median over the rounds of its multiple of *base*."""
    figures = {}
    for name, taken in times.items():
        ratio = middle([mine / theirs for mine, theirs in zip(taken, times[base], strict=True)])
        figures[name] = Figure(median(taken), ratio.value, (ratio.low, ratio.high))
    return figures


def _timed(contestant: Batches) -> float:
    """Return the CPU microseconds of one call, in one batch."""
    if contestant.warm:
        contestant.run(contestant.arguments()[: contestant.warm])
    arguments, run = contestant.arguments(), contestant.run
    start = time.thread_time_ns()
    run(arguments)
    return (time.thread_time_ns() - start) / 1_000 / len(arguments)
