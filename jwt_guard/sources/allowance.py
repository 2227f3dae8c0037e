"""A key that nobody knows → whether the issuer may be asked for it now.

Whoever can write a token can make up a name for its key, so what such names may cost is little: a few fetches at
once, then one per cooldown.  The last of them are kept for names that look like the issuer's own, so that what
scanners make up does not spend what a rotation needs, and a fetch that brings the key costs nothing.

Nothing tells a name that was copied from the issuer's look from a true one before the issuer was asked.  So who
copies it, and has all else of a token right, can spend every fetch there is: then the first token after a rotation
is refused.  But each fetch brings all the keys, whoever caused it, and there is one per cooldown: by so much at most
is a rotation delayed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["AT_ONCE", "KEPT", "Allowance", "Look", "looks_of"]

AT_ONCE: Final = 3
"""Fetches for any unknown key before the cooldown counts."""
KEPT: Final = 2
"""Fetches beyond those, for names that look like one of the issuer's."""
Look: TypeAlias = tuple[int, int]
"""How long a name is, and of which kind."""

_MOST_REMEMBERED: Final = 1_024
_MINUTE: Final = 60.0
_KINDS: Final = tuple(
    re.compile(kind)
    for kind in ("[0-9]+", "[0-9a-f]+", "[0-9A-F]+", "[0-9a-f]+(?:-[0-9a-f]+){4}", "[0-9A-Za-z_-]+", "[!-~]+")
)


def look_of(name: str) -> Look:
    """Return what *name* has in common with other names that were made in the same way.

    A number, a hash or a thumbprint, a UUID: of the same length, and of the narrowest kind that holds it.
    """
    return len(name), next((place for place, kind in enumerate(_KINDS) if kind.fullmatch(name)), len(_KINDS))


def looks_of(names: Iterable[str | None]) -> frozenset[Look]:
    """Return the looks of *names*."""
    return frozenset(look_of(name) for name in names if name is not None)


class Allowance:
    """A bucket of fetches, and a bounded memory of the keys that the issuer said it does not have."""

    def __init__(self, cooldown: float, now: float) -> None:
        self._cooldown = cooldown
        self._bucket = float(AT_ONCE + KEPT)
        self._bucket_at = now
        self._unknown: dict[tuple[str | None, str], float] = {}
        self._minute = now
        self._seen = self._seen_before = 0

    def permits(self, kid: str | None, looks: Collection[Look], now: float) -> bool:
        """Say whether the issuer, whose keys have names that look like *looks*, may be asked for *kid*."""
        return self._filled(now) >= 1 + self.kept_from(kid, looks)

    @staticmethod
    def kept_from(kid: str | None, looks: Collection[Look]) -> int:
        """Return how many of the fetches are not for *kid*."""
        return 0 if kid is not None and look_of(kid) in looks else KEPT

    def spend(self, now: float) -> None:
        """Take one out of the bucket."""
        self._bucket, self._bucket_at = max(0.0, self._filled(now) - 1), now

    def give_back(self, now: float, fetches: int = 1) -> None:
        """Put them back: the key was there."""
        self._bucket, self._bucket_at = min(float(AT_ONCE + KEPT), self._filled(now) + fetches), now

    def _filled(self, now: float) -> float:
        refill = max(0.0, now - self._bucket_at) / self._cooldown if self._cooldown else AT_ONCE + KEPT
        return min(AT_ONCE + KEPT, self._bucket + refill)

    def note_unknown(self, kid: str | None, alg: str, now: float) -> None:
        """Remember for one cooldown that the issuer, asked at *now*, has no such key."""
        if self._cooldown:
            self._unknown.pop((kid, alg), None)
            while len(self._unknown) >= _MOST_REMEMBERED:
                self._unknown.pop(next(iter(self._unknown)), None)  # the oldest
            self._unknown[kid, alg] = now + self._cooldown

    def is_unknown(self, kid: str | None, alg: str, now: float) -> bool:
        """Say whether the issuer was asked for this key of late, and did not have it."""
        return now < self._unknown.get((kid, alg), now)

    def note_asked(self, now: float) -> None:
        """Count one token whose key nobody knows."""
        if now - self._minute >= _MINUTE:
            self._seen_before = self._seen if now - self._minute < 2 * _MINUTE else 0
            self._seen, self._minute = 0, now
        self._seen += 1

    def per_minute(self, now: float) -> float:
        """Return how many such tokens came in a minute of late, roughly."""
        passed = max(0.0, now - self._minute)
        if passed >= 2 * _MINUTE:
            return 0.0
        return self._seen + self._seen_before * max(0.0, 1 - passed / _MINUTE)
