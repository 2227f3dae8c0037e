"""A decision → whoever wants to hear of it: told once, when it has been made, and never able to change it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ..decision import Decision
    from ..messages import Request

__all__ = ["Circumstances", "Observer", "all_told", "told"]

_log = logging.getLogger("jwt_guard")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a decision came about."""

    seconds: float
    """From the question to the decision."""
    remembered: bool = False
    """Whether the token had been verified before, or none was needed."""


Observer: TypeAlias = "Callable[[Request, Decision, Circumstances], None]"
"""Must not wait, and must not keep the request for longer than it needs to: there is a token in it."""


def told(observer: Observer, request: Request, decision: Decision, circumstances: Circumstances) -> None:
    """Tell *observer*; what goes wrong there is logged, and no business of the request."""
    try:
        observer(request, decision, circumstances)
    except Exception as bug:  # noqa: BLE001 - whatever it is, the decision stands
        # Without its words: they may repeat what is in the request.
        _log.error("an observer raised %s", type(bug).__name__)


def all_told(observers: Sequence[Observer]) -> Observer | None:
    """Return one observer for all of *observers*, None where there are none."""
    if len(observers) < 2:  # noqa: PLR2004 - one speaks for itself
        return observers[0] if observers else None
    each = tuple(observers)

    def observe(request: Request, decision: Decision, circumstances: Circumstances) -> None:
        for observer in each:
            told(observer, request, decision, circumstances)

    return observe
