"""What explain says, check by check, and how far it may go to find out."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from ..flow import Call, Later

if TYPE_CHECKING:
    from ..flow import Flow

__all__ = ["Explanation", "Step", "Verdict", "within_reach"]

T = TypeVar("T")
Verdict: TypeAlias = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Step:
    """One check, and how it went."""

    about: str
    """What was looked at: ``shape``, ``issuer``, a claim, …"""
    demand: str
    """What must hold."""
    verdict: Verdict
    expected: str | None = None
    got: str | None = None
    advice: str | None = None
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every check in turn."""

    steps: tuple[Step, ...]

    @property
    def verdict(self) -> Verdict:
        """``failed`` if one step did, else ``not checked`` if one was not, else ``ok``."""
        verdicts = {step.verdict for step in self.steps}
        return "failed" if "failed" in verdicts else "not checked" if "not checked" in verdicts else "ok"


def within_reach(flow: Flow[T], *, ask_issuers: bool) -> Flow[T | None]:
    """Return what *flow* returns, or None where it would have to ask somebody outside and may not."""
    with closing(flow):
        step: Any = flow.send
        argument: Any = None
        while True:
            try:
                need = step(argument)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if ask_issuers or (isinstance(need, Call) and not need.blocking):
                try:
                    step, argument = flow.send, (yield need)
                except Exception as error:  # noqa: BLE001 - the flow decides what its needs' failures mean
                    step, argument = flow.throw, error
            elif isinstance(need, Later):
                step, argument = flow.send, None  # nobody waits for it, so nobody misses it
            else:
                return None
