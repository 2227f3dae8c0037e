"""A searchset in octets + Rights → the entries that may be seen, each in the very octets that the server wrote.

Most of what a search finds is one patient's, and each resource says so in the same few octets.  So only what says so is
read, once, and the rest is handed on as it came.  It is a shortcut to :func:`~jwt_guard.fhir.filtering.filtered`, which
is asked whatever has to be decided.  It takes msgspec, of the extra ``jwt_guard[fast]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import astuple

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

_ID: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9.-]{1,64}")
_KNOWN: Final = frozenset({"contained", "id", "resourceType"})
_TOLD_BY_ID: Final = frozenset({"Bundle", "Patient"})
"""The types whose resources say by more than these few elements whether they may be seen, or what of them."""
_MATCH: Final = "match"
_WRONG: Final = (ValueError, RecursionError)  # msgspec's own errors are ValueErrors


@dataclass(frozen=True, slots=True)
class VerbatimSheet:
    """What of one page of the server's may be seen."""

    entries: tuple[tuple[Key, bytes], ...] = field(repr=False)
    links: list[dict[str, Any]] = field(repr=False)
    """Those of the page, as they are."""


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's name
    id: str = ""
    contained: msgspec.Raw = msgspec.Raw()


_OWN: Final = 3


class _Search(msgspec.Struct):
    mode: str = "match"


class _Entry(msgspec.Struct):
    resource: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    search: _Search | None = None


class _Bundle(msgspec.Struct):
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
        seen = _Look(kind, rights, letter).seen
        found = [
            seen(bytes(each.resource))
            for each in bundle.entry
            if (each.search is None or each.search.mode == _MATCH) and each.resource is not msgspec.UNSET
        ]
    except _WRONG:
        return None
    return VerbatimSheet(tuple([each for each in found if each is not None]), bundle.link)


class _Look:
    """What holds for all entries of a page; resources that say the same of themselves get one verdict."""

    def __init__(self, kind: str, rights: Rights, letter: str) -> None:
        release = rights.server.release
        of_scopes = [elements(scope, kind, release) for scope in rights.applying(kind, letter)]
        names = nominated(kind, release).union(*of_scopes)
        self._names = tuple(sorted(names - _KNOWN))
        self._decode = _decoder(self._names)
        self._is_told_by_id = kind in _TOLD_BY_ID or "id" in names
        self._kind = kind
        self._rights = rights
        self._letter = letter
        self._verdicts: dict[tuple[bytes, ...], bool] = {}

    def seen(self, octets: bytes) -> tuple[Key, bytes] | None:
        """Return the resource that *octets* are, if it may be seen.  Raises ValueError where that is not plain."""
        head = self._decode(octets)
        if head.contained or self._is_told_by_id:
            return self._slowly(octets)
        if head.resourceType != self._kind or not _ID.fullmatch(head.id):
            return None
        said = tuple(map(bytes, astuple(head)[_OWN:]))
        verdict = self._verdicts.get(said)
        if verdict is None:
            verdict = self._verdicts[said] = self._judged(said)
        return ((self._kind, head.id), octets) if verdict else None

    def _judged(self, said: tuple[bytes, ...]) -> bool:
        """Return the verdict on a resource that says *said*, which is all that it depends on."""
        pairs = [(name.encode(), value) for name, value in zip(self._names, said, strict=True) if value]
        members = [b'"resourceType":"%b"' % self._kind.encode(), *(b'"%b":%b' % pair for pair in pairs)]
        return filtered(_read(b"{%b}" % b",".join(members)), self._rights, self._letter) is not None

    def _slowly(self, octets: bytes) -> tuple[Key, bytes] | None:
        resource = _read(octets)
        key = key_of(resource)
        shown = filtered(resource, self._rights, self._letter) if key is not None and key[0] == self._kind else None
        return None if key is None or shown is None else (key, written(shown))


def _read(octets: bytes) -> dict[str, Any]:
    resource = read(octets)
    if resource is None:
        raise ValueError("it can be read in more than one way")
    return resource


@lru_cache(maxsize=256)
def _decoder(names: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Return what reads a resource into a _Head that goes on with *names*; those that are not there are empty."""
    found = {f"element_{number}": name for number, name in enumerate(names)}
    fields = [(field, msgspec.Raw, msgspec.Raw()) for field in found]
    return msgspec.json.Decoder(msgspec.defstruct("Head", fields, bases=(_Head,), rename=found)).decode
