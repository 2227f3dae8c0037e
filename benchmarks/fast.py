"""A token never seen before, with the extra ``jwt_guard[fast]`` and without it, side by side.

The choice of decoder is made once in a process, so each has processes of its own, which take turns.  All ratios are
to what the same process measured in the same round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from jwt_guard.tokens import decoding

from .measure import Figure
from .rounds import Line, Progress, is_quick, side_by_side
from .verification import ALGORITHMS, OURS, RAW, REMEMBERING, times

__all__ = ["FASTER", "GOALS", "rows"]

GOALS = {"RS256": 1.45, "ES256": 1.18, "HS256": 4.2}
"""The most that a verification with the extra may cost, as a multiple of the raw one."""
FASTER = 4.0
"""How many times faster than PyJWT's ``decode`` RS256 is to be."""
_CONTESTANTS = (RAW, OURS, REMEMBERING, "PyJWT")
_ROUNDS = 5  # in a process
_HERE = Path(__file__).parent.parent


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    lines: list[Line] = []
    for algorithm in ("RS256",) if is_quick(rounds) else ALGORITHMS:
        plain, fast = (side_by_side(taken, RAW) for taken in _both(algorithm, rounds))
        for name in (OURS, REMEMBERING):
            goal = GOALS.get(algorithm) if name == OURS else None
            ratio = fast[name].ratio
            lines.append(
                (
                    f"{algorithm}, fast: {name}",
                    f"{_shown(fast[name])}; without {_shown(plain[name])}",
                    "" if goal is None else f"≤ {goal:g} × raw",
                    None if goal is None else ratio <= goal,
                )
            )
        if algorithm == "RS256":
            faster = fast["PyJWT"].ratio / fast[OURS].ratio
            lines.append(("RS256, fast: faster than PyJWT", f"{faster:.2f} ×", f"≥ {FASTER:g} ×", faster >= FASTER))
    return lines


def _shown(figure: Figure) -> str:
    low, high = figure.spread
    return f"{figure.ratio:.2f} × raw ({low:.2f} to {high:.2f}), {figure.microseconds:.1f} µs"


def _both(algorithm: str, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the times of each round, first without the extra, then with it."""
    progress = Progress(f"fast {algorithm}: round")
    both: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for done in range(0, rounds, _ROUNDS):
        for switch, taken in enumerate(both):
            words = [sys.executable, "-m", "benchmarks.fast", algorithm, str(min(_ROUNDS, rounds - done))]
            environment = {**os.environ, decoding.SWITCH: str(switch)}
            ran = subprocess.run(
                words, cwd=_HERE, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            for name, each in json.loads(ran.stdout).items():
                taken.setdefault(name, []).extend(each)
        progress(done, rounds)
    return both


if __name__ == "__main__":
    print(json.dumps(times(sys.argv[1], int(sys.argv[2]), _CONTESTANTS)))
