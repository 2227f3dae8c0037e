"""A search + limited rights → what to ask the server for, and what of the answers may be kept; or Stopped.

What a search may ask for is what depends on nothing but the resource that is found: whoever may not see a resource must
not learn of it by what else is found.  Whether it is refused depends on the request and the rights alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .including import Inclusion, read_inclusion
from .matching import is_plain_search, is_reference
from .narrowed import SEARCH, are_of_patient, source
from .outcome import FORBIDDEN, NOT_SUPPORTED, UNREADABLE, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .interaction import Interaction
    from .paging import Source
    from .query import Parameters
    from .rights import Rights
    from .server import Server

__all__ = ["Plan", "Wanted", "planned", "wanted"]

_PATIENT: Final = "Patient"
_OF_EVERY_TYPE: Final = frozenset({"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"})
_ONCE: Final = frozenset({"_count", "_sort", "_summary", "_total"})
_LEFT_ASIDE: Final = frozenset({"_elements", "_format", "_pretty"})
"""What says how an answer is to be written: it is written by us, and whole."""
_INCLUDING: Final = frozenset({"_include", "_revinclude"})
# Each can be answered from the one resource.  `:identifier` could be as well, but some servers follow the reference;
# `:in`, `:below` and their like ask for what is in other resources.
_MODIFIERS: Final = frozenset({"contains", "exact", "missing", "not", "of-type", "text"})
_NUMBER = re.compile(r"[0-9]{1,9}")
_ORIGIN: Final = "resource-origin"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks for, apart from the types and whose they are."""

    criteria: Parameters = field(repr=False)
    """What says which resources are found, and in which order: for the server."""
    inclusions: tuple[Inclusion, ...]
    count: int
    """The entries of a page; 0: nothing but how many there are is asked for."""
    total: str
    """``accurate``, ``estimate`` or ``none``; empty: nothing was said."""

    @property
    def to_end(self) -> bool:
        """Whether what is found has to be counted."""
        return self.count == 0 or self.total == "accurate"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the server for, for one search."""

    sources: tuple[Source, ...]
    """One for each type, in the order of their names; none: nothing can be found."""
    wanted: Wanted


def planned(interaction: Interaction, rights: Rights) -> Plan:
    """Return what to ask the server for.  Raises Stopped for what the rights do not allow at all, or not to ask for."""
    server, compartment = rights.server, interaction.compartment
    named = server.surface.types if interaction.types is None else interaction.types
    types = sorted(each for each in named if _may_search(each, interaction, rights))
    if not types:
        raise Stopped(FORBIDDEN, "no scope lets search for this")
    asked_for = wanted(interaction, types, server)
    count = _asked_at_once(asked_for, server)
    within = None if compartment is None else compartment.id
    posts, several = interaction.path.endswith(SEARCH), len(types) > 1
    sources = [
        source(each, asked_for.criteria, rights, "s", count, within=within, posts=posts, may_be_missing=several)
        for each in types
    ]
    return Plan(tuple(each for each in sources if each is not None), asked_for)


def _may_search(resource_type: str, interaction: Interaction, rights: Rights) -> bool:
    """Say whether something of *resource_type* may be found at all, and in the compartment that is asked for."""
    scopes, compartment = rights.applying(resource_type, "s"), interaction.compartment
    if not scopes or compartment is None:
        return bool(scopes)
    # Members of other compartments than a patient's are not known here; and one patient has nothing in another's.
    return compartment.type == _PATIENT and (compartment.id == rights.patient or not are_of_patient(scopes))


# --- what is asked for -------------------------------------------------------------------------------


def wanted(interaction: Interaction, types: Iterable[str], server: Server) -> Wanted:
    """Return what the parameters of *interaction*, a search of *types*, ask for.

    Raises Stopped for what could tell of more than the resources that are found, and for what is not known.
    """
    types = tuple(types)
    parameters = tuple(pair for pair in interaction.parameters if pair[0] not in _LEFT_ASIDE)
    once = [pair for pair in parameters if pair[0] in _ONCE]
    said = dict(once)
    if len(said) < len(once):
        raise Stopped(UNREADABLE, "a parameter that is to be there once is there twice")
    including = tuple(pair for pair in parameters if pair[0].partition(":")[0] in _INCLUDING)
    inclusions = [read_inclusion(name, value, server) for name, value in including]
    if None in inclusions:
        raise Stopped(NOT_SUPPORTED, "an include that is none of a known reference parameter")
    of_types = interaction.type is None
    criteria = tuple(
        (name, value)
        for name, value in parameters
        if (name, value) not in including and name not in _ONCE and not (of_types and name == "_type")
    )
    for name, _ in criteria:
        if not all(_is_plain(name, each, server) for each in types):
            raise Stopped(NOT_SUPPORTED, "a parameter that is not known to tell of the resource alone")
    return Wanted(
        tuple(pair for pair in criteria if pair[1]) + _sorting(said.get("_sort", ""), types, server),
        tuple(each for each in inclusions if each is not None),
        _counted(said, server),
        _totalled(said),
    )


def _is_plain(name: str, resource_type: str, server: Server) -> bool:
    """Say whether what *name* finds of *resource_type* depends on each resource alone, modifier included."""
    bare, _, modifier = name.partition(":")
    release = server.release
    # Of what begins like this, only what is listed says what a resource is like.
    is_known = bare in _OF_EVERY_TYPE if bare.startswith("_") else is_plain_search(resource_type, bare, release)
    if not is_known:
        return server.koppeltaal and name == _ORIGIN
    if modifier in server.surface.types:
        return is_reference(resource_type, bare, release)
    return modifier in _MODIFIERS or name == bare


def _sorting(value: str, types: tuple[str, ...], server: Server) -> Parameters:
    if not value:
        return ()
    names = [each.removeprefix("-") for each in value.split(",")]
    if len(types) > 1:
        raise Stopped(NOT_SUPPORTED, "several types are given one after the other, and so in no other order")
    if any(":" in name or not _is_plain(name, next(iter(types)), server) for name in names):
        raise Stopped(NOT_SUPPORTED, "an order that is not by what stands in the resource")
    return (("_sort", value),)


def _counted(said: dict[str, str], server: Server) -> int:
    limits, count, summary = server.limits, said.get("_count", ""), said.get("_summary")
    if count and not _NUMBER.fullmatch(count):
        raise Stopped(UNREADABLE, "_count is no number")
    if summary == "count":
        return 0
    return min(int(count), limits.largest_page) if count else limits.page


def _totalled(said: dict[str, str]) -> str:
    total = said.get("_total", "")
    if total not in ("", "accurate", "estimate", "none"):
        raise Stopped(UNREADABLE, "_total is none of FHIR's")
    return total


# --- what the server is asked ------------------------------------------------------------------------


def _asked_at_once(asked_for: Wanted, server: Server) -> int:
    """Return how many entries the server's pages are to have: one more than ours, to know whether one follows.

    Where narrowing narrows nothing, others' entries are among them: so there are not fewer for who asks for few.
    """
    limits = server.limits
    return limits.largest_page if asked_for.to_end else max(asked_for.count + 1, limits.page)
