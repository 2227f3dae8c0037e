"""The make commands of README and docs → whether make knows how, and says so itself; nothing is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, prose
from tests.docs.session import commands

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="this machine has no make")

THE_THREE = ("make demo", "make test", "make bench")


def shown_in(page: Path) -> set[str]:
    """Return the make commands that stand on *page*: in a terminal, and in the midst of a sentence."""
    typed = [command for block in blocks(page) if block.language == "console" for command, _ in commands(block.text)]
    said = re.findall(r"`(make [^`]+)`", prose(page))
    return {command for command in (*typed, *said) if command.startswith("make ")}


SHOWN = sorted(set().union(*map(shown_in, PAGES)))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as somebody at a terminal does, also where make runs the tests."""
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        [MAKE or "", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_pages_show_how_to_try_to_test_and_to_measure() -> None:
    assert set(THE_THREE) <= set(SHOWN)


@pytest.mark.parametrize("command", SHOWN)
def test_make_knows_how_to_do_what_the_pages_show(command: str) -> None:
    _, *words = shlex.split(command)

    would = make("--dry-run", *words)

    assert (0, "") == (would.returncode, would.stderr)
    assert would.stdout.strip()
    for script in set(re.findall(r"(?<!\S)scripts/[\w-]+", would.stdout)):
        assert os.access(ROOT / script, os.X_OK), script


@pytest.mark.parametrize("command", SHOWN)
def test_make_itself_names_what_the_pages_show(command: str) -> None:
    _, target, *_ = shlex.split(command)

    for said in (make("help").stdout, make().stdout):
        assert re.search(rf"^ *make {re.escape(target)} +\S", said, re.MULTILINE), target
