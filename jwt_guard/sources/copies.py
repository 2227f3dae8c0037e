"""Key sets that others have fetched, or an earlier run of ours → taken instead of asking; ours → given to them.

A store that does not answer takes away the sharing and nothing else, so no failure of it leaves this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StoreFailed
from ..flow import Flow, claim, read, write
from ..tokens.keys import KeySet, key_set_from_jwks
from ..tokens.strict_json import json_object
from .freshness import LONGEST
from .published import Published

if TYPE_CHECKING:
    from ..flow import Entry

__all__ = ["MARGIN", "Copies"]

MARGIN = 0.5
"""Seconds by which the age of a copy may be wrong: for as long as a store may take to write it, and more."""
_VERSION = 1
_DEPTH = 2
_LONGEST_NAME = 64
_SOON = 0.001  # seconds


@dataclass(frozen=True, slots=True)
class Copies:
    """Where key sets called *name* are shared (*store*) and where they outlive us (*folder*): URLs, or None."""

    name: str
    """Where the keys come from: two sources that share it get the same keys.  Without a name nothing is shared."""
    store: str | None
    folder: str | None
    clock: Callable[[], float]
    """The clock of the source: any that goes on steadily."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where sets are put."""
        return tuple(place for place in (self.store, self.folder) if place is not None and self.name)

    def newest(self, known: Published | None) -> Flow[Published | None]:
        """Return the set that others have put into the store, else, where none is *known*, that of an earlier run."""
        for place in self.places:
            if known is None or place == self.store:
                found = yield from self._read(place, known)
                if found is not None:
                    return found
        return None

    def may_fetch(self, newest: Published | None, seconds: float) -> Flow[bool]:
        """Say whether it is for us to fetch what comes after *newest*; nobody else may, for so many *seconds*."""
        return (yield from self._claimed(self._after(newest), seconds))

    def leave(self, newest: Published | None, seconds: float) -> Flow[None]:
        """Let others fetch what comes after *newest* in so many *seconds*, since we do not, or could not."""
        yield from self._given_back(self._after(newest), seconds)

    def may_spend(self, slots: int, cooldown: float) -> Flow[int | None]:
        """Return one of *slots* fetches that all of us may make for unknown keys, None where none is left.

        The first is free again one *cooldown* (seconds) later, the second two, and so on: a few at once, and one in
        each cooldown however long the made-up keys go on.
        """
        for slot in range(slots):
            if (yield from self._claimed(self._slot(slot), cooldown * (slot + 1))):
                return slot
        return None

    def give_back(self, slot: int) -> Flow[None]:
        """Free the *slot* that :meth:`may_spend` gave, since the key was there."""
        yield from self._given_back(self._slot(slot))

    def keep(self, published: Published, usable_for: float) -> Flow[None]:
        """Give *published* to others and to later runs, until *usable_for* seconds after it was fetched."""
        value = json.dumps(
            {
                "version": _VERSION,
                "from": self.name,
                "name": published.name,
                "url": published.url,
                "fresh_for": published.fresh_for,
                "usable_for": usable_for,
                "keys": published.body.decode("utf-8"),
            }
        ).encode("ascii")
        for place in self.places:
            # Whoever reads it tells its age by what is left, so that no two clocks are compared.
            left = usable_for - published.age(self.clock())
            if left > 0:
                with suppress(StoreFailed):
                    yield from write(place, self._key, value, left)

    @property
    def _key(self) -> str:
        return f"keys:{hashlib.sha256(self.name.encode('utf-8', 'surrogatepass')).hexdigest()}"

    def _after(self, newest: Published | None) -> str:
        return f"{self._key}:after:{'none' if newest is None else newest.name}"

    def _slot(self, slot: int) -> str:
        return f"{self._key}:unknown:{slot}"

    def _claimed(self, key: str, seconds: float) -> Flow[bool]:
        if self.store is None or not self.name or seconds <= 0:
            return True
        try:
            return (yield from claim(self.store, key, seconds))
        except StoreFailed:
            return True

    def _given_back(self, key: str, seconds: float = 0.0) -> Flow[None]:
        if self.store is not None and self.name:
            with suppress(StoreFailed):
                yield from write(self.store, key, b"", max(seconds, _SOON))

    def _read(self, place: str, known: Published | None) -> Flow[Published | None]:
        asked = self.clock()  # what the store takes to answer makes a set older, never younger
        try:
            entry = yield from read(place, self._key)
        except StoreFailed:
            return None
        return None if entry is None else self._published(entry, known, asked)

    def _published(self, entry: Entry, known: Published | None, now: float) -> Published | None:
        """Return what *entry* says, None where it is not what we would have written."""
        try:
            values = json_object(entry.value, _DEPTH)
            body = _of(values, "keys", str).encode("utf-8")
            usable_for, fresh_for = float(_of(values, "usable_for", float)), float(_of(values, "fresh_for", float))
            name, url = _of(values, "name", str), _of(values, "url", str)
            if values.get("version") != _VERSION or values.get("from") != self.name:
                return None
            keys: KeySet = key_set_from_jwks(body, known=None if known is None else known.keys)
        except (TypeError, ValueError):
            return None
        age = usable_for - entry.remaining
        if not (0 <= fresh_for <= LONGEST and age >= 0 and entry.remaining > 0 and len(name) <= _LONGEST_NAME):
            return None
        # Without its ETag: an issuer's word that nothing has changed since is about what it has sent itself, and what
        # somebody else may have put into a store is gone with the next fetch.
        return Published(keys, body, url, None, fresh_for, now - age, name)


def _of(values: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401 - of the type *kind*
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(name)
    return value
