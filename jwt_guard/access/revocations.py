"""What is taken back before its time → whether a token is among it, and the octets by which processes tell each other.

No lock is held: every step is one that the interpreter does at once, nothing is ever removed but what is over as a
whole or covered by something else, and so two threads that get in each other's way lose nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard

from ..errors import Unavailable
from ..tokens.strict_json import NotStrictJson, json_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["KINDS", "LONGEST_NAME", "Held", "Name", "Unreadable", "Withdrawal", "octets_of", "read_octets"]

Name: TypeAlias = "tuple[str, str | None, str]"
"""A kind, an issuer or None for any, and what that issuer calls it."""

KINDS: Final = ("jti", "sub", "sid", "client", "kid")
LONGEST_NAME: Final = 2_048
"""Characters, of an issuer too."""

_MOST_OF_ONE = 8
_DEPTH = 4
_MEMBER = "revoked"
_LATEST = 1e12  # seconds since the epoch


class Unreadable(ValueError):
    """What another process has told is not understood, so that nobody can say what it takes back."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Something that is taken back."""

    kind: str
    """One of the five :data:`KINDS`."""
    issuer: str | None
    """Whose; None: whoever's."""
    name: str
    before: float
    """Tokens issued earlier than this are meant, in seconds since the epoch; infinity: all."""
    until: float
    """When this is over, since every such token is, in seconds since the epoch."""

    @property
    def of(self) -> Name:
        """What it is about."""
        return (self.kind, self.issuer, self.name)


class Held:
    """What is taken back at present, as far as this process knows."""

    __slots__ = ("_buckets", "_most", "_width")

    def __init__(self, longest: float, most: int) -> None:
        """Hold what is over *longest* seconds from now at the latest, about *most* names and no more."""
        self._width: Final = longest / 2
        self._most: Final = most
        # By when they are over.  Only a whole bucket is ever dropped, so that nothing is added to one that goes.
        self._buckets: dict[int, dict[Name, dict[tuple[float, float], None]]] = {}

    def __bool__(self) -> bool:
        """Say whether there may be anything to look for."""
        return bool(self._buckets)

    def add(self, one: Withdrawal, now: float) -> bool:
        """Hold *one*; say whether it is new.  Raises Unavailable where there is no room for it."""
        for number in tuple(self._buckets):
            if (number + 1) * self._width <= now:
                self._buckets.pop(number, None)
        if one.until <= now or self._is_covered(one):
            return False
        bucket = self._buckets.setdefault(math.floor(one.until / self._width), {})
        if one.of not in bucket and sum(map(len, tuple(self._buckets.values()))) >= self._most:
            raise Unavailable("more is revoked than can be held")
        held = bucket.setdefault(one.of, {})
        before, until = one.before, one.until
        if len(held) >= _MOST_OF_ONE:  # rather too much is taken back than more and more held
            before = max(before, *(other for other, _ in tuple(held)))
            until = max(until, *(other for _, other in tuple(held)))
        held[before, until] = None
        for other in tuple(held):
            if other != (before, until) and other[0] <= before and other[1] <= until:
                held.pop(other, None)
        return True

    def has(self, names: Sequence[Name], issued: float, now: float) -> bool:
        """Say whether a token that was *issued* then, in seconds since the epoch, is taken back by one of *names*."""
        for bucket in tuple(self._buckets.values()):
            for name in names:
                held = bucket.get(name)
                if held is not None and any(issued < before and now < until for before, until in tuple(held)):
                    return True
        return False

    def all(self, now: float) -> list[Withdrawal]:
        """Return everything that is held and not over."""
        return [
            Withdrawal(*name, before, until)
            for bucket in tuple(self._buckets.values())
            for name in tuple(bucket)
            for before, until in tuple(bucket[name])
            if now < until
        ]

    def _is_covered(self, one: Withdrawal) -> bool:
        return any(
            one.before <= before and one.until <= until
            for bucket in tuple(self._buckets.values())
            for before, until in tuple(bucket.get(one.of, ()))
        )


def octets_of(some: Iterable[Withdrawal]) -> bytes:
    """Return what tells another process of *some*."""
    rows = [[each.kind, each.issuer, each.name, _number(each.before), each.until] for each in some]
    return json.dumps({_MEMBER: rows}, allow_nan=False).encode("ascii")


def read_octets(octets: bytes) -> list[Withdrawal]:
    """Return what another process tells.  Raises Unreadable where any of it is not understood."""
    try:
        rows = json_object(octets, _DEPTH).get(_MEMBER)
    except NotStrictJson:
        raise Unreadable from None
    if not isinstance(rows, list):
        raise Unreadable
    return [_withdrawal(row) for row in rows]


def _withdrawal(row: object) -> Withdrawal:
    match row:
        case [str(kind), str() | None as issuer, str(name), before, until] if kind in KINDS and _is_number(until):
            if before is None or _is_number(before):
                return Withdrawal(kind, issuer, name, math.inf if before is None else float(before), float(until))
        case _:
            pass
    raise Unreadable


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST


def _number(before: float) -> float | None:
    return None if before == math.inf else before
