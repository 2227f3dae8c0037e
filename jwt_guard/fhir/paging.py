"""Sources, and a place in them → one page of ours, filled from as many of the server's as it takes.

What the server pages are full of is nobody's business: neither how many entries of a page may be seen, nor how many
there are in all, nor whether there is a next page, is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from .answering import ACCEPT, document_of, json_of
from .documents import written
from .exchange import Asking, ask
from .links import Place, below
from .outcome import TOO_COSTLY, UPSTREAM, Stopped
from .references import Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .exchange import Answered, Exchange
    from .links import Spot
    from .references import Key
    from .server import Server
    from .verbatim import VerbatimSheet

__all__ = [
    "Gathered",
    "Keep",
    "Sheet",
    "Source",
    "bundle_in",
    "gathered",
    "gathered_octets",
    "objects_in",
    "read_sheet",
]

T = TypeVar("T")
_MISSING: Final = (404, 410)

Keep: TypeAlias = Callable[[Resource], "Resource | None"]
"""A resource as the server keeps it → what of it may be seen as an entry that was asked for; None: nothing."""


Glance: TypeAlias = Callable[[bytes], "VerbatimSheet | None"]
"""The octets of a page → what of it may be seen, in the same octets; None: it is to be read, and each is to be kept."""


@dataclass(frozen=True, slots=True)
class Source:
    """One search that the server is asked for."""

    first: Asking
    keep: Keep = field(repr=False)
    may_be_missing: bool = False
    """Whether the server need not know what is asked for: then nothing is there."""
    glance: Glance | None = field(default=None, repr=False)
    """A quick way to what *keep* says of all on a page."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of the server's."""

    entries: tuple[tuple[Key, Resource, bool], ...] = field(repr=False)
    """What is known by which name, and whether it is said to be there on its own account, and not for another."""
    next: Spot | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gathered(Generic[T]):
    """A page of ours."""

    matches: dict[Key, T] = field(repr=False)
    """The entries that were asked for, as they may be seen, in the server's order."""
    next: Place | None = field(repr=False)
    """Where the next one is that may be seen; None: this was the last page."""
    total: int | None
    """How many there are in all that may be seen; None: nobody has counted to the end."""


_Seen: TypeAlias = "tuple[Sequence[tuple[Key, T]], Spot | None]"
"""What may be seen of one page of the server's, and where the next one is."""
_Look: TypeAlias = "Callable[[Answered, Asking, Source, Server], _Seen[T]]"


def gathered(
    sources: tuple[Source, ...], place: Place, count: int, server: Server, *, to_end: bool = False
) -> Exchange[Gathered[Resource]]:
    """Return the *count* entries that may be seen from *place* on, and whether there is one more.

    With *to_end*, the others behind them are counted as well.  Raises Stopped, also where more pages would have to be
    looked through than the server's limits let.
    """
    return _gathered(sources, place, count, server, _read, to_end=to_end)


def gathered_octets(
    sources: tuple[Source, ...], place: Place, count: int, server: Server, *, to_end: bool = False
) -> Exchange[Gathered[bytes]]:
    """Return what :func:`gathered` does, each resource as JSON: where that will do, in the server's own octets."""
    return _gathered(sources, place, count, server, _glanced, to_end=to_end)


def _gathered(  # noqa: PLR0913 - what is to be gathered, how far, and how
    sources: tuple[Source, ...], place: Place, count: int, server: Server, look: _Look[T], *, to_end: bool
) -> Exchange[Gathered[T]]:
    work = _Gathering(place, count, server, len(sources) + server.limits.pages, look, to_end=to_end)
    for number in range(place.source, len(sources)):
        if not work.is_done:
            yield from work.look_through(number, sources[number])
    counted = to_end or work.next is None
    return Gathered(work.matches, work.next, work.seen if counted and place == Place() else None)


def _read(answered: Answered, asking: Asking, source: Source, server: Server) -> _Seen[Resource]:
    sheet = read_sheet(answered, asking.path, server)
    return [
        (key, shown)
        for key, resource, is_match in sheet.entries
        if is_match and (shown := source.keep(resource)) is not None
    ], sheet.next


def _glanced(answered: Answered, asking: Asking, source: Source, server: Server) -> _Seen[bytes]:
    sheet = None if source.glance is None else source.glance(json_of(answered))
    if sheet is not None:
        return sheet.entries, _next(sheet.links, asking.path, server)
    seen, spot = _read(answered, asking, source, server)
    return [(key, written(shown)) for key, shown in seen], spot


class _Gathering(Generic[T]):
    """What was found up to now."""

    def __init__(  # noqa: PLR0913 - what it is told
        self, place: Place, count: int, server: Server, pages: int, look: _Look[T], *, to_end: bool
    ) -> None:
        self.matches: dict[Key, T] = {}
        self.next: Place | None = None
        self._beyond: set[Key] = set()
        self._place = place
        self._count = count
        self._server = server
        self._pages = pages
        self._look = look
        self._to_end = to_end

    @property
    def seen(self) -> int:
        """How many there are up to here."""
        return len(self.matches) + len(self._beyond)

    @property
    def is_done(self) -> bool:
        return self.next is not None and not self._to_end

    def look_through(self, number: int, source: Source) -> Exchange[None]:
        """Take what may be seen from the pages of *source*, which is the one with *number*."""
        begins_here = number == self._place.source
        spot = self._place.page if begins_here else None
        given = self._place.given if begins_here else 0
        asked: set[Spot] = set()
        while True:
            asking = source.first if spot is None else Asking("GET", *spot, (ACCEPT,))
            if (asking.path, asking.query) in asked:
                raise Stopped(UPSTREAM, "the server's links to next pages go round in a circle")
            asked.add((asking.path, asking.query))
            seen, following = yield from self._sheet(asking, source)
            self._take(seen, Place(number, spot, given))
            if self.is_done or following is None:
                return
            spot, given = following, 0

    def _sheet(self, asking: Asking, source: Source) -> Exchange[_Seen[T]]:
        if self._pages == 0:
            raise Stopped(TOO_COSTLY, "too many pages of the server hold too little that may be seen")
        self._pages -= 1
        answered = yield from ask(asking)
        if answered.status in _MISSING and source.may_be_missing and asking is source.first:
            return (), None
        return self._look(answered, asking, source, self._server)

    def _take(self, seen: Sequence[tuple[Key, T]], place: Place) -> None:
        here = dict(seen)
        if len(here) < len(seen):  # of what is there twice, the first counts
            first = dict(reversed(seen))
            here = {key: first[key] for key in here}
        if not self.matches and not place.given and len(here) <= self._count:  # as most are: the first page is ours
            self.matches = here
            return
        for index, (key, shown) in enumerate(here.items()):
            # What was counted as given is counted by what may be seen alone: others' entries may come and go.
            if index < place.given or key in self.matches:
                continue
            if len(self.matches) < self._count:
                self.matches[key] = shown
                continue
            if self.next is None:
                self.next = Place(place.source, place.page, index)
            self._beyond.add(key)


# --- an answer of the server -------------------------------------------------------------------------


def read_sheet(answered: Answered, asked: str, server: Server) -> Sheet:
    """Return the page that the server answered to a request for the path *asked*.  Raises Stopped where it is none.

    An entry without a resource that can be named is left out, and so is one that tells of the search itself.
    """
    bundle = bundle_in(answered)
    entries = [
        (key, resource, is_match)
        for resource, is_match in map(_read_entry, objects_in(bundle, "entry"))
        if (key := key_of(resource)) is not None
    ]
    return Sheet(tuple(entries), _next(objects_in(bundle, "link"), asked, server))


def _next(links: list[dict[str, Any]], asked: str, server: Server) -> Spot | None:
    following = [link for link in links if link.get("relation") == "next"]
    if not following:
        return None
    spot = below(following[0].get("url"), server, asked)
    if spot is None or len(following) > 1:
        raise Stopped(UPSTREAM, "the server's link to the next page leads nowhere below its base")
    return spot


def bundle_in(answered: Answered) -> dict[str, Any]:
    """Return the Bundle that the server answered with.  Raises Stopped where it is none."""
    document = document_of(answered)
    if document.get("resourceType") != "Bundle":
        raise Stopped(UPSTREAM, "the server has answered with no Bundle")
    return document


def objects_in(bundle: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects that the array *name* of *bundle* is made of.  Raises Stopped where it is something else."""
    found = bundle.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Stopped(UPSTREAM, "the server has answered with a Bundle that is none")
    return found


def _read_entry(entry: dict[str, Any]) -> tuple[Any, bool]:
    """Return the resource of *entry*, and whether it is a match; a mode that is not said may be that of one."""
    search = entry.get("search")
    mode = search.get("mode", "match") if isinstance(search, dict) else "match"
    return (None if mode == "outcome" else entry.get("resource")), mode == "match"
