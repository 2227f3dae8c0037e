"""A resource type, criteria + Rights → the search that the server is asked for, and what of its answers is kept.

The search is narrowed as far as a query can say it, so that the server has little to look through.  Nothing rests on
that: a server may pass over a parameter that it does not know, and what it answers is judged all the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ..tokens.decoding import is_on
from .answering import ACCEPT
from .compartment import membership, narrowing
from .exchange import Asking
from .filtering import filtered
from .matching import asked, matches
from .paging import Source
from .scopes import SmartScope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .paging import Glance, Keep
    from .query import Parameters
    from .references import Resource
    from .rights import Rights
    from .server import Server
    from .verbatim import VerbatimSheet

__all__ = ["FORM", "SEARCH", "are_of_patient", "source"]

FORM: Final = ("content-type", "application/x-www-form-urlencoded")
"""The header of a search by POST."""
SEARCH: Final = "/_search"
"""How the path of a search by POST ends."""
_ORIGIN: Final = "resource-origin"
_PATIENT: Final = "Patient"


def shortcut() -> Callable[[str, Rights, str, bytes], VerbatimSheet | None] | None:
    """Return what reads searchsets with the extra ``jwt_guard[fast]``; None where that is absent, or off."""
    if not is_on():
        return None
    try:
        from .verbatim import read_verbatim
    except ImportError:
        return None
    return read_verbatim


_read_verbatim: Final = shortcut()


def source(  # noqa: PLR0913 - what a search is made of
    resource_type: str,
    criteria: Parameters,
    rights: Rights,
    letter: str,
    count: int,
    *,
    within: str | None = None,
    posts: bool = False,
    may_be_missing: bool = False,
) -> Source | None:
    """Return the search of *resource_type* for what meets *criteria* and may be seen with *letter*.

    None: it could find nothing.  *count* is how many entries a page of the server's is to have; *within* is the id of
    the patient in whose compartment everything is to be.  It is a POST where the client's *posts*: what was not to
    stand in a URL does not come to stand in one.
    """
    server = rights.server
    scopes = rights.applying(resource_type, letter)
    owners = [] if within is None else [within]
    if are_of_patient(scopes) and resource_type not in server.shared_types:
        owners.append(str(rights.patient))
    query = criteria
    for owner in owners:
        narrowed = _narrowed(query, resource_type, owner, server)
        if narrowed is None:
            return None
        query = narrowed
    query = (*dict.fromkeys((*query, *_of_scopes(scopes))), ("_count", str(count)))
    path = f"/{resource_type}"
    if posts:
        first = Asking("POST", path + SEARCH, (), (ACCEPT, FORM), urlencode(query).encode("ascii"))
    else:
        first = Asking("GET", path, query, (ACCEPT,))
    # A server that does not know this parameter passes over it; what it is about is known here.
    origins = tuple(_of_origin(value) for name, value in criteria if name == _ORIGIN)
    keep = _keeping(resource_type, rights, letter, within, origins)
    is_all_that_is_asked = not origins and (within is None or [within] == owners[1:])
    glance = _glance(resource_type, rights, letter) if is_all_that_is_asked else None
    return Source(first, keep, may_be_missing, glance)


def _glance(resource_type: str, rights: Rights, letter: str) -> Glance | None:
    return None if _read_verbatim is None else partial(_read_verbatim, resource_type, rights, letter)


def are_of_patient(scopes: Iterable[SmartScope]) -> bool:
    """Say whether *scopes* are about one patient alone."""
    return all(scope.context == "patient" for scope in scopes)


def _narrowed(query: Parameters, resource_type: str, patient: str, server: Server) -> Parameters | None:
    """Return *query* for what *patient* has of *resource_type*; None: it is for somebody else's, or nobody has any.

    That it is for somebody else's is said here, and not left to the server: one that counts a repeated parameter only
    once would look through what the other has, and how long that takes should tell nothing.
    """
    found = narrowing(resource_type, server.release)
    if found is None:
        return None
    name, value = found.pair(patient)
    if name not in ("_id", "patient"):
        return (*query, (name, value))
    own = {patient, value, *(f"{base}/{value}" for base in server.bases)}
    same = [pair for pair in query if pair[0] in (name, f"{name}:{_PATIENT}")]
    if any(own.isdisjoint(said.split(",")) for _, said in same):
        return None
    return (*(pair for pair in query if pair not in same), (name, value))


def _of_scopes(scopes: tuple[SmartScope, ...]) -> Parameters:
    """Return what every resource that one of *scopes* is about meets, as far as a query can say it."""
    each = [asked(scope) for scope in scopes]
    if len(each) == 1:
        return each[0]
    names = {name for parameters in each for name, _ in parameters}
    if len(names) != 1 or any(len(parameters) != 1 for parameters in each):
        return ()  # a query knows "and", but between parameters no "or"
    values = [value for parameters in each for _, value in parameters]
    return ((names.pop(), ",".join(dict.fromkeys(values))),)


def _keeping(
    resource_type: str, rights: Rights, letter: str, within: str | None, origins: tuple[SmartScope, ...]
) -> Keep:
    server = rights.server

    def keep(resource: Resource) -> Resource | None:
        if resource["resourceType"] != resource_type:
            return None
        if within is not None and not membership(resource, within, server.bases, release=server.release):
            return None
        if not all(matches(resource, each, server.bases, server.release) for each in origins):
            return None
        return filtered(resource, rights, letter)

    return keep


def _of_origin(value: str) -> SmartScope:
    """Return the scope for what is of one of the Devices that *value* lists (Koppeltaal 2.0)."""
    return SmartScope("system", "*", frozenset("s"), ((_ORIGIN, value),), frozenset(value.split(",")))
