"""A resource → the name that it is known by, and the names of all that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ..access.fhir_references import read_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .server import Server

__all__ = ["Key", "Resource", "key_of", "keys", "referred_by"]

Resource: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]
"""The type of a resource, and its id."""


def key_of(resource: object) -> Key | None:
    """Return what *resource* is known by; None where it has no type or no id that a server could give."""
    if not isinstance(resource, dict):
        return None
    kind, id_ = resource.get("resourceType"), resource.get("id")
    named = read_reference(f"{kind}/{id_}") if isinstance(kind, str) and isinstance(id_, str) else None
    return None if named is None or named.base is not None else (named.type, named.id)


def referred_by(resource: Resource, server: Server) -> frozenset[Key]:
    """Return every resource of *server* that a literal reference in *resource* is to, wherever in it that stands."""
    return keys(_references(resource), server)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            yield text
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _references(each)


def keys(texts: Iterable[str], server: Server) -> frozenset[Key]:
    """Return which resources of *server* the references *texts* are to.

    One to a version is to something else than what a server has there now.
    """
    named = [read_reference(text) for text in texts]
    return frozenset(
        (each.type, each.id)
        for each in named
        if each is not None and (each.base is None or any(each.is_on(base) for base in server.bases))
    )
