"""The headers of a key set → for how long it counts as fresh (RFC 9111 §4.2, §5.2.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LONGEST", "SHORTEST", "entity_tag", "freshness"]

SHORTEST = 60.0
"""Seconds: an issuer that wants to be asked more often than this is not, unless our own setting is shorter."""
LONGEST = 86_400.0
"""Seconds: a key that was taken out has to stop working some day."""

_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~0-9a-z-]+)(?:=(?:"([^"\\]*)"|([^",\s]+)))?', re.IGNORECASE | re.ASCII)
_SECONDS = re.compile(r"[0-9]+")
_GREATEST = 2.0**31  # RFC 9111 §1.2.2: what is more than can be counted counts as this
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')  # RFC 9110 §8.8.3


def freshness(headers: Mapping[str, str], fresh_for: float, otherwise: float | None = None) -> float:
    """Return for how many seconds a set with these *headers* (by lower-case name) is fresh.

    ``max-age`` less ``Age``, between ``min(60, fresh_for)`` and 24 hours.  Where the issuer says nothing that can be
    read: *otherwise*, if that is given, else *fresh_for*.
    """
    said = _max_age(headers.get("cache-control", ""))
    if said is None:
        return fresh_for if otherwise is None else otherwise
    age = _seconds(headers.get("age", "").partition(",")[0].strip())  # RFC 9111 §5.1: of several, the first
    return min(max(said - (age or 0.0), min(SHORTEST, fresh_for)), LONGEST)


def _max_age(cache_control: str) -> float | None:
    """Return the shortest ``max-age`` in it, 0 where nothing may be kept at all, None where it is silent.

    ``s-maxage`` is for caches that many share, and a guard keeps keys for itself.
    """
    ages: list[float] = []
    for name, quoted, plain in _DIRECTIVE.findall(cache_control):
        if name.lower() in ("no-store", "no-cache"):
            return 0.0
        seconds = _seconds(quoted or plain) if name.lower() == "max-age" else None
        if seconds is not None:
            ages.append(seconds)
    return min(ages, default=None)


def _seconds(digits: str) -> float | None:
    return min(float(digits), _GREATEST) if _SECONDS.fullmatch(digits) else None


def entity_tag(headers: Mapping[str, str]) -> str | None:
    """Return the ``ETag`` to ask with next time, or None where there is none that could stand in a header."""
    tag = headers.get("etag", "").strip()
    return tag if _ENTITY_TAG.fullmatch(tag) else None
