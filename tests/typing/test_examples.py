"""The examples → two strict type checkers as a user has them, without this project's settings: no complaint."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
PROGRAMS = Path(sys.prefix) / "bin"
WITHIN = 110.0  # seconds; the first run of a checker reads every framework

Complaints: TypeAlias = Mapping[str, list[str]]
"""By the name of the file."""
Checker: TypeAlias = Callable[[Path], Complaints]


def by_mypy(folder: Path) -> Complaints:
    # Its own folder for what it remembers, since what others have checked there was checked in another way.
    words = ["--strict", "--config-file=", "--no-error-summary", f"--cache-dir={folder / '.mypy_cache'}"]
    said = ran("mypy", folder, *words, *(file.name for file in sorted(folder.glob("*.py"))))
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        if match := re.match(r"([^:]+\.py):\d+: error: ", line):
            found.setdefault(match[1], []).append(line)
    return found


def by_pyright(folder: Path) -> Complaints:
    settings = {"typeCheckingMode": "strict", "include": ["."]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    said = json.loads(ran("pyright", folder, "--outputjson", "--pythonpath", sys.executable))
    found: dict[str, list[str]] = {}
    for each in said["generalDiagnostics"]:
        line = each["range"]["start"]["line"] + 1
        words = f"{line}: {each['severity']}: {each['message']} ({each.get('rule')})"
        found.setdefault(Path(each["file"]).name, []).append(words)
    return found


def ran(name: str, folder: Path, *words: str) -> str:
    """Return what the checker *name* says in *folder*; 1 means that it has complaints, more that it did not work."""
    program = PROGRAMS / name
    if not program.exists():
        pytest.skip(f"no {name}: install the group types")
    ran = subprocess.run(
        [str(program), *words],
        cwd=folder,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert ran.returncode in {0, 1}, ran.stdout + ran.stderr
    return ran.stdout


CHECKERS: dict[str, Checker] = {"mypy": by_mypy, "pyright": by_pyright}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Complaints]:
    """Return what each checker says of all examples, and of one that is wrong, in one run of it."""

    @cache
    def of(name: str) -> Complaints:
        folder = tmp_path_factory.mktemp(name)
        for file in EXAMPLES:
            shutil.copy(file, folder)
        (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
        return CHECKERS[name](folder)

    return of


WRONG = """
from jwt_guard import Guard, current, rfc9068

guard = Guard(rfc9068("https://id.example", 7))
who = current()
print(who.scopes)
"""


@pytest.mark.parametrize("example", [file.name for file in EXAMPLES])
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_strict_checker_has_nothing_to_say(
    complaints: Callable[[str], Complaints], checker: str, example: str
) -> None:

    assert [] == complaints(checker).get(example, [])


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_types_of_jwt_guard_are_seen(complaints: Callable[[str], Complaints], checker: str) -> None:
    """No list of providers, a number for an audience, and credentials that may be None: each is told."""
    lines = {int(re.findall(r"(\d+): error", each)[0]) for each in complaints(checker)["wrong.py"]}

    assert {4, 6} == lines
