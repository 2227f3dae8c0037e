"""Functions that do one thing each → what they cost, side by side: interleaved, CPU time, medians of ratios."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "compare"]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contestant cost."""

    microseconds: float
    """Median CPU time of one call."""
    ratio: float
    """Median over the rounds of its time divided by the base's in the same round."""
    spread: tuple[float, float]
    """The quartiles of that ratio."""


def compare(
    contestants: Mapping[str, Callable[[], object]], base: str, *, rounds: int = 25, seconds: float = 0.02
) -> dict[str, Figure]:
    """Run every contestant about *seconds* long in each of *rounds*, the order turned round each time.

    Thread CPU time, so that a busy neighbour on the machine counts as little as possible.
    """
    calls = {name: _calls_in(work, seconds) for name, work in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    gc.collect()
    for number in range(rounds):
        order = list(contestants)[:: 1 if number % 2 else -1]
        for name in order:
            times[name].append(_timed(contestants[name], calls[name]))
    figures = {}
    for name, taken in times.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(taken, times[base], strict=True))
        quarter = len(ratios) // 4
        figures[name] = Figure(median(taken), median(ratios), (ratios[quarter], ratios[-quarter - 1]))
    return figures


def _timed(work: Callable[[], object], calls: int) -> float:
    """Return the CPU microseconds of one call."""
    loop = range(calls)
    start = time.thread_time_ns()
    for _ in loop:
        work()
    return (time.thread_time_ns() - start) / 1_000 / calls


def _calls_in(work: Callable[[], object], seconds: float) -> int:
    work()
    once = max(_timed(work, 3), 0.02)
    return max(3, int(seconds * 1_000_000 / once))
