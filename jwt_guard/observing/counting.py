"""Decisions → how many of which kind, and how long they took: in this process, and in all that share a folder.

Counting is a few additions, since it is done for every request; what counts are called, and how they are written, is
the business of whoever reads them.
"""

from __future__ import annotations

import json
import os
import secrets
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..decision import Allow

if TYPE_CHECKING:
    from ..decision import Decision
    from ..messages import Request
    from .observer import Circumstances

__all__ = ["BOUNDS", "Counts", "Folder", "Tally", "together"]

BOUNDS: Final = (0.000_025, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds up to which each count of a :class:`Tally` goes; the last goes beyond all of them."""
_MOST_KINDS = 64
_OTHER = "other"
_SUFFIX = ".counts"


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted, up to one moment."""

    allowed: int = 0
    remembered: int = 0
    """Of all decisions: those that took no verifying."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """By the name of the error."""
    durations: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    """How many decisions took how long: one count for each of BOUNDS, and one for the rest."""
    seconds: float = 0.0
    """For all decisions together."""


class Counts:
    """An observer that counts."""

    def __init__(self) -> None:
        self._allowed = 0
        self._remembered = 0
        self._refused: dict[str, int] = {}
        self._durations = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def __call__(self, _request: Request, decision: Decision, circumstances: Circumstances) -> None:
        """Count *decision*."""
        if isinstance(decision, Allow):
            self._allowed += 1
        else:
            kind = type(decision.error).__name__
            if kind not in self._refused and len(self._refused) >= _MOST_KINDS:
                kind = _OTHER  # a policy may make up errors as it goes
            self._refused[kind] = self._refused.get(kind, 0) + 1
        self._remembered += circumstances.remembered
        self._durations[bisect_left(BOUNDS, circumstances.seconds)] += 1
        self._seconds += circumstances.seconds

    def tally(self) -> Tally:
        """Return what was counted until now."""
        return Tally(self._allowed, self._remembered, dict(self._refused), tuple(self._durations), self._seconds)


def together(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of *tallies*."""
    allowed = remembered = 0
    refused: dict[str, int] = {}
    durations: tuple[int, ...] = ()
    seconds = 0.0
    for tally in tallies:
        allowed += tally.allowed
        remembered += tally.remembered
        for kind, number in tally.refused.items():
            refused[kind] = refused.get(kind, 0) + number
        durations = tuple(map(sum, zip_longest(durations, tally.durations, fillvalue=0)))
        seconds += tally.seconds
    return Tally(allowed, remembered, refused, durations or Tally().durations, seconds)


class Folder:
    """Where the processes of one service leave what they have counted, so that each can tell for all.

    What a process has counted stays when it ends: counts only grow.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The number of a process that has ended may be that of another one later.
        self._mine = path / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._left: Tally | None = None

    def leave(self, tally: Tally) -> None:
        """Leave *tally* for the others, in place of what was left before; that it fails is no error."""
        if tally == self._left:
            return
        beside = self._mine.with_suffix(".new")
        with suppress(OSError):
            beside.write_text(json.dumps(_written(tally)), encoding="ascii")
            beside.replace(self._mine)
            self._left = tally

    def total(self, mine: Tally) -> Tally:
        """Return *mine*, and what the others have left."""
        found = [mine]
        with suppress(OSError):
            for file in self._path.glob(f"*{_SUFFIX}"):
                if file != self._mine:
                    with suppress(OSError, ValueError, TypeError, KeyError):
                        found.append(_read(json.loads(file.read_text(encoding="ascii"))))
        return together(found)


def _written(tally: Tally) -> dict[str, object]:
    return {
        "allowed": tally.allowed,
        "remembered": tally.remembered,
        "refused": dict(tally.refused),
        "durations": tally.durations,
        "seconds": tally.seconds,
    }


def _read(values: dict[str, Any]) -> Tally:
    return Tally(
        int(values["allowed"]),
        int(values["remembered"]),
        {str(kind): int(number) for kind, number in values["refused"].items()},
        tuple(map(int, values["durations"])),
        float(values["seconds"]),
    )
