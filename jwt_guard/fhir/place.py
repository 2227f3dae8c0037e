"""Path of a request → what of it is below the base URL of the FHIR server, where it is there at all.

What one program routes to FHIR must not be taken for another path here, since there other rules hold, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..access.routes import segments
from ..errors import AmbiguousPath, Misconfigured
from ..messages import PlainRequest
from .resource_types import TYPES

if TYPE_CHECKING:
    from ..messages import Request

__all__ = ["Base", "Below", "spoken", "unnamed"]

_NAMES = frozenset({"", "_history", "_search", ".well-known", "metadata"}).union(*TYPES.values())
"""What a path below a base may begin with that names nobody."""


class Below:
    """A request as the FHIR server is asked: its path counted from the base URL, all else as it came."""

    __slots__ = ("_request", "path")

    def __init__(self, request: Request, path: str) -> None:
        self._request = request
        self.path = path

    @property
    def method(self) -> str:
        """The method as sent."""
        return self._request.method

    @property
    def query(self) -> str:
        """The query as sent."""
        return self._request.query

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name* (lower case), in order, duplicates kept."""
        return self._request.values(name)


class Base:
    """Where a FHIR server is, by the base URL that clients use.  Raises Misconfigured."""

    __slots__ = ("_segments", "below", "path")

    def __init__(self, url: str) -> None:
        self.path = urlsplit(url).path
        """As in ``/fhir``; empty where the server has its host for itself."""
        found = segments(self.path or "/")
        if found is None or "%" in self.path:
            raise Misconfigured("base: its path has no unambiguous normal form")
        self._segments = found
        self.below = lru_cache(maxsize=1_024)(self._below)
        """(path) → the same counted from the base, which is ``/``; None where it is not there.

        Raises AmbiguousPath where some program could find it there, and another one elsewhere.
        """

    def _below(self, path: str) -> str | None:
        plain = segments(path)
        if plain is None:
            if any(map(self._begins, _readings(path))):
                raise AmbiguousPath
            return None
        if not self._begins(plain):
            return None
        if path != self.path and not path.startswith(f"{self.path}/"):
            raise AmbiguousPath  # in other letters, or in escapes
        return path[len(self.path) :] or "/"

    def _begins(self, found: tuple[str, ...]) -> bool:
        """Say whether *found* begins with the base, for somebody who does not tell capitals from other letters."""
        return all(
            given.lower() == wanted.lower() for given, wanted in zip(found, self._segments, strict=False)
        ) and len(found) >= len(self._segments)


def _readings(path: str) -> Iterator[tuple[str, ...]]:
    """Yield the ways in which a path with ``%2F`` or ``;`` in it is read; raises AmbiguousPath for any worse one."""
    opaque = segments(path, opaque=True)
    if opaque is None:
        raise AmbiguousPath
    pieces = [piece for segment in opaque for piece in segment.split("/") if piece]
    yield tuple(pieces)
    yield tuple(piece.partition(";")[0] for piece in pieces)


def spoken(request: Request, base: Base) -> PlainRequest:
    """Return *request* as a log may know it: an id is somebody's, and so may be the value of a parameter."""
    try:
        path = request.path if isinstance(request, Below) else base.below(request.path)
    except AmbiguousPath:
        path = None
    first, slash, _ = (path or "/*").removeprefix("/").partition("/")
    return PlainRequest(request.method, f"{base.path}/{first if first in _NAMES else '*'}{'/*' if slash else ''}")


def unnamed(request: Request, base: Base) -> Request:
    """Return *request* for whoever observes, and may log its path: below *base* without what names anybody.

    The token in its headers is left: it is that which observers look at.
    """
    try:
        is_elsewhere = base.below(request.path) is None
    except AmbiguousPath:
        is_elsewhere = False
    return request if is_elsewhere else Below(request, spoken(request, base).path)
