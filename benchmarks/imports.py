"""What ``import`` adds to a bare interpreter: whole processes, CPU time, in turn."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from statistics import median

__all__ = ["GOAL_MILLISECONDS", "added"]

GOAL_MILLISECONDS = 10.0
_STATEMENTS = {
    "import jwt_guard": "import jwt_guard",
    "from jwt_guard import Guard": "from jwt_guard import Guard",
    "import jwt": "import jwt",
    "import joserfc.jwt": "import joserfc.jwt",
}


def added(rounds: int) -> dict[str, float]:
    """Return the CPU milliseconds that each import adds, as medians of differences in the same round."""
    differences: dict[str, list[float]] = {name: [] for name in _STATEMENTS}
    for statement in ("pass", *_STATEMENTS.values()):  # once for the byte code
        _milliseconds(statement)
    for _ in range(rounds):
        bare = _milliseconds("pass")
        for name, statement in _STATEMENTS.items():
            differences[name].append(_milliseconds(statement) - bare)
    return {name: median(taken) for name, taken in differences.items()}


def _milliseconds(statement: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1_000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
