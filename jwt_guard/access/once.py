"""An issuer and a ``jti`` → the one time that they count: a token that is used up by being taken.

It is burnt when everything else about the token holds, so that nobody uses up what they could not have used.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ..errors import ClaimRejected, Misconfigured, Unavailable
from ..flow import claim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flow import Flow

__all__ = ["Once"]

_PREFIX = "once:"
_NOW_AND_THEN = 1_024
_LONGEST = 31_536_000.0  # seconds, for a token that never ends


class Once:
    """Which tokens were used: in a store that others share, or in this process alone.

    Share one between the providers whose tokens may be brought to either.
    """

    __slots__ = ("_most", "_store", "_used")

    def __init__(self, store: str | None = None, *, most: int = 262_144) -> None:
        """Keep them at *store*, a URL as in ``[store]``; None: in this process, and no more than *most* at a time."""
        if store is not None and not (isinstance(store, str) and store):
            raise Misconfigured("once: store is a URL, or None for this process alone")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise Misconfigured("once: most is a whole number above 0")
        self._store = store
        self._most = most
        self._used: dict[str, tuple[float, object]] = {}

    def burn(self, values: Mapping[str, Any], until: float, now: float) -> Flow[None]:
        """Use up the token that says *values*, somebody's verified claims, and is good from *now* *until* then.

        Raises ClaimRejected where it was used before, and Unavailable where that cannot be told: it is refused
        rather than taken twice.
        """
        key = _name(values)
        if self._store is None:
            is_first = self._burn_here(key, until, now)
        else:
            is_first = yield from claim(self._store, key, min(max(until - now, 1.0), _LONGEST))
        if not is_first:
            raise ClaimRejected("jti", "was used before", advice="Each token of this kind counts once: make a new one.")

    def _burn_here(self, key: str, until: float, now: float) -> bool:
        used = self._used
        if len(used) >= self._most or (len(used) >= _NOW_AND_THEN and len(used) % _NOW_AND_THEN == 0):
            for old, (end, _) in tuple(used.items()):
                if end <= now:
                    used.pop(old, None)
            if len(used) >= self._most:
                raise Unavailable("more tokens that count once are alive than can be held")
        mine = object()
        return used.setdefault(key, (until, mine))[1] is mine  # one step, so that of two threads one is first


def _name(values: Mapping[str, Any]) -> str:
    """Return what a store calls it: as long for every token, and nothing to read in it."""
    said = [values.get("iss"), values.get("jti")]
    return _PREFIX + hashlib.sha256(json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()
