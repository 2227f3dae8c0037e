"""An ``import`` → the CPU time that it adds to an interpreter, each time in a new process, in turn."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

__all__ = ["GOALS", "added"]

GOALS = {"import jwt_guard": 10.0, "pytest: our plugin": 20.0}
"""Milliseconds."""
_STATEMENTS = {  # what is there already, what is added
    "import jwt_guard": ("", "import jwt_guard"),
    "from jwt_guard import Guard": ("", "from jwt_guard import Guard"),
    "import jwt": ("", "import jwt"),
    "import joserfc.jwt": ("", "import joserfc.jwt"),
    "pytest: our plugin": ("import pytest", "import jwt_guard.testing.pytest_plugin"),
}


def added(rounds: int, *names: str) -> dict[str, float]:
    """Return the CPU milliseconds that each import adds, or each of those with *names*, as medians."""
    taken: dict[str, list[float]] = {name: [] for name in names or _STATEMENTS}
    for number in range(rounds + 1):
        for name, figures in taken.items():
            milliseconds = _milliseconds(*_STATEMENTS[name])
            if number:  # the first one is for the byte code
                figures.append(milliseconds)
    return {name: median(each) for name, each in taken.items()}


def _milliseconds(before: str, statement: str) -> float:
    program = f"{before}\nimport time\nbegan = time.process_time()\n{statement}\nprint(time.process_time() - began)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return 1_000 * float(ran.stdout)
