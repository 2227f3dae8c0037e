"""Answers → lines of a table for people."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .asking import Answer
    from .cases import Case

__all__ = ["Row", "as_expected", "header", "mark", "row"]


_LONGEST = 84  # characters of the last column, where no terminal says how many
_SHORTEST = 30


class Row(NamedTuple):
    """What stands in one line."""

    mark: str
    request: str
    what: str
    wanted: str
    statuses: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        """Return the line."""
        cells = " ".join(f"{status:9}" for status in self.statuses)
        line = f"{self.mark} {self.request:14} {self.what:31} {self.wanted:6} {cells} "
        return f"{line}{_clipped(self.why, len(line))}".rstrip()


def header(doors: Iterable[str]) -> str:
    """Return the line above the table, and the one that rules it off."""
    names = Row(" ", "request", "what was sent", "wanted", tuple(map(str.lower, doors)), "let in, or why not")
    return f"{names}\n{120 * _either('─', '-')}"


def row(case: Case, answers: Mapping[str, Answer]) -> Row:
    """Return the line of one case."""
    statuses = tuple(str(answer.verdict.status) for answer in answers.values())
    request = f"{case.method} {case.path}"
    return Row(mark(as_expected(case, answers)), request, case.what, str(case.expected.status), statuses, _why(answers))


def as_expected(case: Case, answers: Mapping[str, Answer]) -> bool:
    """Say whether every door gave the verdict that *case* expects."""
    return bool(answers) and all(answer.verdict == case.expected for answer in answers.values())


def mark(good: object) -> str:
    """Return the sign for what went as expected, or did not."""
    return _either("✓", "+") if good else _either("✗", "!")


def _why(answers: Mapping[str, Answer]) -> str:
    """Return what the client was told, and after a colon why, as only the log says it."""
    told = " / ".join(dict.fromkeys(answer.verdict.words for answer in answers.values()))
    reasons = " / ".join(dict.fromkeys(answer.reason for answer in answers.values() if answer.reason))
    return f"{told}: {reasons}" if reasons else told


def _clipped(words: str, before: int) -> str:
    """Return as much of *words* as there is room for in a line after *before* characters."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else before + _LONGEST
    room = max(_SHORTEST, columns - before)
    return words if len(words) <= room else f"{words[: room - 3]}..."


def _either(sign: str, plain: str) -> str:
    """Return *sign* where it can be written, else *plain*."""
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return plain
    return sign
