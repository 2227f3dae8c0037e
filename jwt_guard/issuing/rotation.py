"""Published keys with their times + a plan → what is due when: a key is published, then signs, then retires.

Others keep a key set for a while.  So a key is published before it signs, for as long as they may not have seen it,
and stays published after it has signed, for as long as one of its tokens may still be used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import Misconfigured, shown

if TYPE_CHECKING:
    from .signing import SigningKey

__all__ = ["Member", "Rotation", "Step", "timetable"]

Action: TypeAlias = Literal["publish", "sign", "retire"]

_MOST_AT_ONCE = 20  # others read key sets of a few dozen keys, and each costs whoever fetches them


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How long each part of a key's life takes, in seconds.  Raises Misconfigured."""

    published_before: float
    """Between publishing a key and signing with it: no less than the max-age of the key set."""
    longest_token: float
    """Between the last signature of a key and the end of its life: no less than the longest token lives."""
    every: float | None = None
    """Between one key that signs and the next; None: the next one is published when somebody asks for it."""
    margin: float = 60
    """Added to both waits: for clocks that differ, for leeway, and for processes that turn a little later."""
    alg: str | None = None
    """The algorithm of the next keys; None: that of the key that signs."""

    def __post_init__(self) -> None:
        """Refuse times that are none, and a plan that does not come to an end."""
        for name in ("published_before", "longest_token"):
            if not _is_time(getattr(self, name)) or getattr(self, name) <= 0:
                raise Misconfigured(f"rotation: {name} is a number of seconds above 0")
        if not _is_time(self.margin) or self.margin < 0:
            raise Misconfigured("rotation: margin is a number of seconds, at least 0")
        if self.every is None:
            return
        if not _is_time(self.every) or self.every <= self.wait:
            raise Misconfigured("rotation: every is longer than published_before and margin together")
        if self.longest_token + self.margin > _MOST_AT_ONCE * self.every:
            raise Misconfigured(f"rotation: more than {_MOST_AT_ONCE} keys would be published at a time")

    @property
    def wait(self) -> float:
        """Seconds between publishing a key and signing with it, at least."""
        return self.published_before + self.margin


@dataclass(frozen=True, slots=True)
class Member:
    """One published key, and where it is in its life; times are seconds since the epoch."""

    key: SigningKey
    published: float
    signs_from: float | None = None
    """None: it has not signed yet."""
    signed_until: float | None = None
    """None: it has not been followed by another."""

    def __post_init__(self) -> None:
        """Refuse an order of times that no life has."""
        later = (self.signs_from, self.signed_until)
        if not _is_time(self.published) or not all(time is None or _is_time(time) for time in later):
            raise Misconfigured(f"keyring: a time of {shown(self.key.kid)} is no number of seconds")
        if self.signed_until is not None and self.signs_from is None:
            raise Misconfigured(f"keyring: {shown(self.key.kid)} has stopped to sign without having begun")

    @property
    def signs(self) -> bool:
        """Whether it is the one that signs."""
        return self.signs_from is not None and self.signed_until is None

    @property
    def waits(self) -> bool:
        """Whether it has yet to sign."""
        return self.signs_from is None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, or done: *at* is when it was due, in seconds since the epoch."""

    action: Action
    at: float
    kid: str | None
    """Of which key; None for one that is yet to be made."""


def timetable(members: Sequence[Member], plan: Rotation) -> tuple[Step, ...]:
    """Return what lies ahead for *members*, one of which signs, the earliest first.

    It goes as far as the next change of the key that signs: what comes after that, follows from it.
    """
    current = next(member for member in members if member.signs)
    began = current.signs_from or 0.0
    steps = [
        Step("retire", member.signed_until + plan.longest_token + plan.margin, member.key.kid)
        for member in members
        if member.signed_until is not None
    ]
    following = min((member for member in members if member.waits), key=lambda each: each.published, default=None)
    if following is not None:
        at = following.published + plan.wait
        steps.append(Step("sign", at if plan.every is None else max(at, began + plan.every), following.key.kid))
    elif plan.every is not None:
        steps.append(Step("publish", began + plan.every - plan.wait, None))
    return tuple(sorted(steps, key=lambda step: step.at))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
