"""``_include`` and ``_revinclude``, the entries that are kept, and what came beside them → what of that is reached.

The server is not asked to include anything: what it would, and how much, depends on entries that may not be seen.  What
the kept ones refer to by the very search parameter that was named, or what so refers to them, is searched for here, hop
by hop, and judged like everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from .links import Place
from .matching import is_reference, referred
from .narrowed import source
from .outcome import TOO_COSTLY, Stopped
from .paging import gathered
from .references import Key, Resource, keys, referred_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .exchange import Exchange
    from .paging import Source
    from .query import Parameters
    from .rights import Rights
    from .server import Server

__all__ = ["Inclusion", "included", "read_inclusion"]

_EVERY: Final = "*"
_AT_ONCE: Final = 50
"""How many resources are asked for by one query, which is to be no longer than servers take."""

Leads: TypeAlias = Callable[[Key, Resource], bool]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One ``_include`` or ``_revinclude``."""

    is_reverse: bool
    """Whether what refers to an entry is asked for, and not what an entry refers to."""
    iterates: bool
    """Whether it is also about what was included."""
    source: str | None = None
    """The type of the resource that refers; None: any."""
    parameter: str | None = None
    """The search parameter that is about the reference; None: any reference, also one that no parameter is about."""
    targets: frozenset[str] | None = None
    """The types of the resources that are referred to; None: any."""

    def leads_to(self, one: Resource, server: Server) -> frozenset[Key]:
        """Return what *one* refers to in the way that this is about."""
        if self.source not in (None, one["resourceType"]):
            return frozenset()
        if self.parameter is None:
            found = referred_by(one, server)
        else:
            found = keys(referred(one, self.parameter, server.release) or (), server)
        return found if self.targets is None else frozenset(key for key in found if key[0] in self.targets)

    def refers_to(self, kept: dict[Key, Resource], server: Server) -> Leads:
        """Return what says whether a resource refers to one of *kept* in the way that this is about."""
        return lambda _, one: not kept.keys().isdisjoint(self.leads_to(one, server))


def read_inclusion(name: str, value: str, server: Server) -> Inclusion | None:
    """Return what the parameter *name* = *value* asks for; None where it is not certain what that would be.

    It is one of a known reference parameter, ``Type:parameter`` or ``Type:parameter:Target``; of an ``_include`` also
    of all, ``Type:*`` or ``*``, while whatever refers to an entry cannot be searched for.  The
    modifier, if there is one, is ``:iterate`` (FHIR R4 search.html#include).
    """
    bare, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        return None
    is_reverse, iterates = bare == "_revinclude", modifier == "iterate"
    if value == _EVERY and not is_reverse:
        return Inclusion(is_reverse, iterates)
    source, *rest = value.split(":")
    types = server.surface.types
    if source not in types:
        return None
    match rest:
        case ["*"] if not is_reverse:
            return Inclusion(is_reverse, iterates, source)
        case [parameter] if is_reference(source, parameter, server.release):
            return Inclusion(is_reverse, iterates, source, parameter)
        case [parameter, target] if is_reference(source, parameter, server.release) and target in types:
            return Inclusion(is_reverse, iterates, source, parameter, frozenset({target}))
        case _:
            return None


def included(
    matches: dict[Key, Resource], inclusions: tuple[Inclusion, ...], rights: Rights
) -> Exchange[list[Resource]]:
    """Return what *inclusions* reach from *matches* and may be read, in the order of types and ids.  Raises Stopped.

    How many hops that takes depends on what may be read alone, and so does where it becomes too much.
    """
    found: dict[Key, Resource] = {}
    active, fresh = inclusions, matches
    left = rights.server.limits.pages
    while active and fresh:
        more: dict[Key, Resource] = {}
        for each, leads in _sources(active, fresh, {**matches, **found}, rights):
            some = yield from gathered((each,), Place(), rights.server.limits.largest_page, rights.server)
            more |= {key: one for key, one in some.matches.items() if leads(key, one)}
            left -= 1
            if some.next is not None or left < 0:
                raise Stopped(TOO_COSTLY, "there is more to be included than is looked up")
        fresh = {key: each for key, each in more.items() if key not in matches and key not in found}
        found |= fresh
        # From the second round on, only what iterates goes on, and only from what has just come.
        active = tuple(each for each in active if each.iterates)
    return [found[key] for key in sorted(found)]


def _sources(
    inclusions: Iterable[Inclusion], kept: dict[Key, Resource], known: dict[Key, Resource], rights: Rights
) -> Iterator[tuple[Source, Leads]]:
    """Yield what to ask for what *inclusions* lead to from *kept*, and what says whether a resource is really that."""
    server = rights.server
    targets = {
        key for each in inclusions if not each.is_reverse for one in kept.values() for key in each.leads_to(one, server)
    }
    for resource_type in sorted({key[0] for key in targets}):
        ids = sorted(key[1] for key in targets if key[0] == resource_type and key not in known)
        for begin in range(0, len(ids), _AT_ONCE):
            criteria = (("_id", ",".join(ids[begin : begin + _AT_ONCE])),)
            yield from _source(resource_type, criteria, rights, lambda key, _: key in targets)
    for each in inclusions:
        if each.is_reverse:
            names = sorted(key for key in kept if each.targets is None or key[0] in each.targets)
            for begin in range(0, len(names), _AT_ONCE):
                asked = ",".join("/".join(key) for key in names[begin : begin + _AT_ONCE])
                criteria = ((str(each.parameter), asked),)
                yield from _source(str(each.source), criteria, rights, each.refers_to(kept, server))


def _source(resource_type: str, criteria: Parameters, rights: Rights, leads: Leads) -> Iterator[tuple[Source, Leads]]:
    if rights.may(resource_type, "r"):
        count = rights.server.limits.largest_page
        found = source(resource_type, criteria, rights, "r", count, may_be_missing=True)
        if found is not None:
            yield found, leads
