"""A searchset in octets + Rights → the entries that may be seen, each in the very octets that the server wrote.

Most of what a search finds is one patient's, and each resource says so in the same few octets.  So only what says so is
read, once, and the rest is handed on as it came.  It is a shortcut to :func:`~jwt_guard.fhir.filtering.filtered`, which
is asked whatever has to be decided.  It takes msgspec, of the extra ``jwt_guard[fast]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .compartment import nominated
from .documents import read, written
from .filtering import filtered
from .matching import elements
from .references import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .references import Key
    from .rights import Rights

__all__ = ["VerbatimSheet", "read_verbatim"]

_OF_IDS: Final = f"{ascii_letters}{digits}.-".encode("ascii")
_LONGEST_ID: Final = 64
_DOTS: Final = frozenset({".", ".."})  # which are no names in a path
_KNOWN: Final = frozenset({"contained", "id", "resourceType"})
_TOLD_BY_ID: Final = frozenset({"Bundle", "Patient"})
"""The types whose resources say by more than these few elements whether they may be seen, or what of them."""
_MATCH: Final = "match"
_KEY: Final = attrgetter("resourceType", "id")
_BETWEEN: Final = b"\0"  # no value of JSON begins with it, or goes on after it, so what it joins comes apart in one way
_WRONG: Final = (ValueError, RecursionError)  # msgspec's own errors are ValueErrors


@dataclass(frozen=True, slots=True)
class VerbatimSheet:
    """What of one page of the server's may be seen."""

    entries: tuple[tuple[Key, bytes], ...] = field(repr=False)
    """The octets are parts of the page's own that can be joined and written as any are; ``bytes()`` makes a copy."""
    links: list[dict[str, Any]] = field(repr=False)
    """Those of the page, as they are."""


# Nothing here refers to itself, and with so many of them the garbage collector would look at them again and again.


class _Head(msgspec.Struct, gc=False):
    resourceType: str  # noqa: N815 - FHIR's name
    id: str = ""
    contained: msgspec.Raw = msgspec.Raw()


class _Search(msgspec.Struct, gc=False):
    mode: str = "match"


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    search: _Search | None = None


class _Bundle(msgspec.Struct, gc=False):
    resourceType: str  # noqa: N815 - FHIR's name
    entry: list[_Entry] = []
    link: list[dict[str, Any]] = []


_bundle = msgspec.json.Decoder(_Bundle).decode


def read_verbatim(kind: str, rights: Rights, letter: str, body: bytes) -> VerbatimSheet | None:
    """Return what of *body*, a searchset of resources of type *kind*, may be seen with *letter*.

    None: it is not as plain as that, and is to be read as all else is.
    """
    try:
        bundle = _bundle(body)
        if bundle.resourceType != "Bundle":
            return None
        found = [
            each.resource
            for each in bundle.entry
            if (each.search is None or each.search.mode == _MATCH) and each.resource is not msgspec.UNSET
        ]
        return VerbatimSheet(tuple(_Look(kind, rights, letter).seen(found)), bundle.link)
    except _WRONG:
        return None


class _Look:
    """What holds for all entries of a page; resources that say the same of themselves get one verdict."""

    def __init__(self, kind: str, rights: Rights, letter: str) -> None:
        release = rights.server.release
        of_scopes = [elements(scope, kind, release) for scope in rights.applying(kind, letter)]
        names = nominated(kind, release).union(*of_scopes)
        self._names = tuple(sorted(names - _KNOWN))
        self._decode, self._said = _decoder(self._names)
        self._kind = kind
        self._is_told_by_id = kind in _TOLD_BY_ID or "id" in names
        self._rights = rights
        self._letter = letter

    def seen(self, found: list[msgspec.Raw]) -> list[tuple[Key, bytes]]:
        """Return the resources among *found* that may be seen.  Raises ValueError where one is not plain."""
        # A thousand entries are a page, so whatever is done for each is done in as few steps as Python lets.
        heads = list(map(self._decode, found))
        said = list(map(_BETWEEN.join, map(self._said, heads)))
        verdicts = {each: self._verdict(head) for each, head in dict(zip(said, heads, strict=True)).items()}
        seen: list[tuple[Key, bytes]] = []
        for key, raw, verdict in zip(map(_KEY, heads), found, map(verdicts.__getitem__, said), strict=True):
            if verdict is None:
                seen += self._looked_at(bytes(raw))
            elif verdict:
                seen.append((key, raw))
        return seen if self._are_names(seen) else [each for each in seen if self._are_names([each])]

    def _looked_at(self, octets: bytes) -> list[tuple[Key, bytes]]:
        """Return the one resource that *octets* are, or what of it may be seen; none where nothing may be."""
        resource = _read(octets)
        key = key_of(resource)
        shown = filtered(resource, self._rights, self._letter) if key is not None and key[0] == self._kind else None
        return [] if key is None or shown is None else [(key, written(shown))]

    def _are_names(self, seen: list[tuple[Key, bytes]]) -> bool:
        """Say whether each of *seen* has a name that a server could give to a resource of this type."""
        ids = [id_ for (_, id_), _ in seen]
        text = "".join(ids)
        return (
            [kind for (kind, _), _ in seen].count(self._kind) == len(seen)
            and text.isascii()
            and not text.encode("ascii").translate(None, _OF_IDS)
            and {0 < len(id_) <= _LONGEST_ID for id_ in ids} <= {True}
            and ("." not in text or _DOTS.isdisjoint(ids))
        )

    def _verdict(self, head: Any) -> bool | None:  # noqa: ANN401 - a _Head with more members
        """Say whether a resource that says the same as *head* may be seen; None: each is to be looked at for itself."""
        contained, *said = self._said(head)
        if contained or self._is_told_by_id:
            return None
        pairs = [(name.encode(), bytes(value)) for name, value in zip(self._names, said, strict=True) if value]
        members = [b'"resourceType":"%b"' % self._kind.encode(), *(b'"%b":%b' % pair for pair in pairs)]
        return filtered(_read(b"{%b}" % b",".join(members)), self._rights, self._letter) is not None


def _read(octets: bytes) -> dict[str, Any]:
    resource = read(octets)
    if resource is None:
        raise ValueError("it can be read in more than one way")
    return resource


@lru_cache(maxsize=256)
def _decoder(names: tuple[str, ...]) -> tuple[Callable[[msgspec.Raw], Any], Callable[[Any], tuple[msgspec.Raw, ...]]]:
    """Return what reads a resource into a _Head that goes on with *names*, and what gives their values from that.

    Before them is what the resource contains.  Those that are not there are empty.
    """
    found = {f"element_{number}": name for number, name in enumerate(names)}
    fields = [(field, msgspec.Raw, msgspec.Raw()) for field in found]
    head = msgspec.defstruct("Head", fields, bases=(_Head,), rename=found, gc=False)
    said = attrgetter("contained", *found) if found else lambda head: (head.contained,)
    return msgspec.json.Decoder(head).decode, said
