"""An issuer that takes three seconds for its keys → what a refresh adds to requests by known keys, and to the loop.

The same load runs twice on one event loop, without a refresh and with one under way; a ticker on that loop says for
how long nothing else could run.
"""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass

import jwt_guard
from jwt_guard.testing import LocalIssuer, ServedIssuer, faults

__all__ = ["BLOCKED_GOAL", "SLOWER_GOAL", "Figures", "Run", "slow_keys"]

BLOCKED_GOAL = 5.0
"""Milliseconds for which we may block the loop longer than it is blocked without us."""
SLOWER_GOAL = 1.1
"""How many times as long the 99th percentile of a request may be during the refresh."""

_SLOW = 3.0  # seconds
_TICK = 0.001
_PAUSE = 0.001
_AT_ONCE = 8
_MOST = 0.999  # of the ticks: the very worst belongs to the machine and to the garbage collector


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the load cost; milliseconds."""

    p99: float
    """Of one verification."""
    late: float
    """Of the ticker, in all but one of a thousand ticks."""
    verified: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Without a refresh, and with one."""

    control: Run
    refresh: Run
    answered: bool
    """Whether the slow answer had come by the end: else the second run has not seen all of the refresh."""

    @property
    def slower(self) -> float:
        """How many times as long the 99th percentile is."""
        return self.refresh.p99 / self.control.p99

    @property
    def blocked(self) -> float:
        """Milliseconds that the loop is blocked longer."""
        return self.refresh.late - self.control.late


def slow_keys(seconds: float = _SLOW) -> Figures:
    """Return the figures of an issuer that takes so many *seconds*."""
    with LocalIssuer().serve(max_age=0) as issuer:  # which leaves it to fresh_for
        # Half of the time of a fetch is kept for a rotation that may come meanwhile; this one needs the other half.
        keys = jwt_guard.KeySettings(fresh_for=0, timeout=4 * seconds)
        # Without a memory of verdicts, which would take most of the load off the keys.
        guard = jwt_guard.Guard([issuer.provider(keys=issuer.keys(keys))], memory=None)
        fresh = jwt_guard.Guard([issuer.provider(keys=issuer.keys())], memory=None)
        return asyncio.run(_measure(issuer, fresh, guard, seconds))


async def _measure(issuer: ServedIssuer, fresh: jwt_guard.Guard, due: jwt_guard.Guard, seconds: float) -> Figures:
    tokens = [issuer.token() for _ in range(64)]
    for guard in (fresh, due):
        await jwt_guard.averify(guard, tokens[0])
    control = await _load(fresh, tokens, seconds * 1.1)
    issuer.fault = faults.on_keys(faults.slow(seconds))
    refresh = await _load(due, tokens, seconds * 1.1)
    (state,) = due.key_states().values()
    return Figures(control, refresh, answered=state.age is not None and state.age < 2 * seconds)  # the first is older


async def _load(guard: jwt_guard.Guard, tokens: list[str], seconds: float) -> Run:
    end = time.perf_counter() + seconds
    taken: list[float] = []
    late: list[float] = []

    async def tick() -> None:
        while (before := time.perf_counter()) < end:
            await asyncio.sleep(_TICK)
            late.append(time.perf_counter() - before - _TICK)

    async def verify(number: int) -> None:
        while (before := time.perf_counter()) < end:
            await jwt_guard.averify(guard, tokens[number % len(tokens)])
            taken.append(time.perf_counter() - before)
            number += 1
            await asyncio.sleep(_PAUSE)

    gc.collect()
    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        for number in range(_AT_ONCE):
            group.create_task(verify(number))
    return Run(1_000 * _share(taken, 0.99), 1_000 * _share(late, _MOST), len(taken))


def _share(values: list[float], share: float) -> float:
    """Return what *share* of the *values* are at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
