"""A resource + a scope's parameters → whether it meets them; a reference parameter → what the resource refers to.

What can be said exactly is said: tokens, references and URIs, by the elements that FHIR's own search parameters are
about.  A scope with any other parameter, or with a value that two servers could read in two ways, is not enforceable
and allows nothing.  Case always counts, and a resource with a wrongly shaped element there meets nothing.
(hl7.org/fhir/R4/search.html#token, #reference, #uri)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from ..access.fhir_references import FhirReference, read_reference
from .elements import Path, read_path, referent, values_at
from .matching_tables import OF_EVERY_TYPE, PARAMETERS
from .query import read_parameters
from .resource_types import TYPES

if TYPE_CHECKING:
    from .compartment_tables import Release
    from .query import Parameters
    from .scopes import SmartScope

__all__ = [
    "Held",
    "asked",
    "elements",
    "held",
    "is_enforceable",
    "is_plain_search",
    "is_reference",
    "matches",
    "referred",
]

_ORIGIN: Final = "resource-origin"
_ORIGIN_URL: Final = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"
_WITHOUT_ORIGIN: Final = frozenset({"CodeSystem", "Device", "SearchParameter"})
"""The types that Koppeltaal's scopes are also about where nobody is said to have made them."""


class _Place(NamedTuple):
    """Where in a resource the elements are that a search parameter is about."""

    path: Path
    kind: str
    """As in ``matching_tables``."""
    target: str | None
    """The one type that references are followed to; None: any."""


_Check: TypeAlias = Callable[[Any, Collection[str]], bool | None]
"""An element and the server's base URLs → whether the element is wanted; None: it is not well-formed."""
_Demand: TypeAlias = tuple[tuple[Path, _Check], ...]
"""The places of one parameter, each with what must be there; a resource has to have it at one of them."""
Held: TypeAlias = Callable[[dict[str, Any], Collection[str]], bool]
"""A resource and the server's base URLs → whether a condition is true of the resource."""


# --- scopes ------------------------------------------------------------------------------------------


def is_enforceable(scope: SmartScope, resource_type: str, release: Release) -> bool:
    """Say whether every resource of *resource_type* can be held against each parameter of *scope*.

    The type ``*`` asks whether resources of every type can be.  A scope without parameters is enforceable.
    """
    return _demands(scope.parameters, resource_type, release, scope.origins is not None) is not None


def matches(resource: Mapping[str, Any], scope: SmartScope, bases: Collection[str], release: Release) -> bool:
    """Say whether *resource*, as its JSON was read, meets each parameter of *scope*: one value of its list.

    *bases* are the URLs that the guarded server is known by.  A resource of a type for which *scope* is not
    enforceable meets nothing.
    """
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str) or not isinstance(resource, dict):
        return False
    if scope.origins is not None and not _is_from(resource, kind, scope.origins, bases):
        return False
    demands = _demands(scope.parameters, kind, release, scope.origins is not None)
    return demands is not None and all(_meets(resource, demand, bases) for demand in demands)


def held(name: str, value: str, resource_type: str, release: Release) -> Held | None:
    """Return what says whether the search parameter *name* finds a resource of *resource_type* by *value*, decoded.

    None: that cannot be said for certain.
    """
    # It is a client's, and of one request: it is not to stay in a cache, as those of scopes do.
    demand = _demand(name, quote(value, safe=",/:|"), _parameters(resource_type, release).get(name, ()))
    return (lambda resource, bases: _meets(resource, demand, bases)) if demand else None


def asked(scope: SmartScope) -> Parameters:
    """Return the parameters of *scope*, decoded once, as they are to be added to a query.

    Raises ValueError for one that is enforceable for no type, since leaving a parameter out would ask for more.
    """
    return tuple((name, ",".join(_listed(name, value))) for name, value in scope.parameters)


def elements(scope: SmartScope, resource_type: str, release: Release) -> frozenset[str]:
    """Return the names of the elements of *resource_type* that decide whether it meets *scope*, an enforceable one."""
    demands = _demands(scope.parameters, resource_type, release, scope.origins is not None) or ()
    found = frozenset(path[0][0] for demand in demands for path, _ in demand)
    return found if scope.origins is None else found | {"extension"}


@lru_cache(maxsize=4_096)
def _demands(
    parameters: tuple[tuple[str, str], ...],
    resource_type: str,
    release: Release,
    of_koppeltaal: bool,  # noqa: FBT001 - a cache keeps two entries for one call that is spelt in two ways
) -> tuple[_Demand, ...] | None:
    """Return what *parameters* demand of a resource; None: that cannot be said for certain."""
    found: list[_Demand] = []
    for name, value in parameters:
        if of_koppeltaal and name == _ORIGIN:
            continue  # it is no parameter of FHIR's, and is looked at apart
        demand = _demand(name, value, _parameters(resource_type, release).get(name, ()))
        if not demand:
            return None
        found.append(demand)
    return tuple(found)


def _demand(name: str, value: str, places: tuple[_Place, ...]) -> _Demand:
    """Return what a parameter demands; nothing: that cannot be said for certain."""
    try:
        listed = _listed(name, value)
    except ValueError:
        return ()
    checks = [(place.path, _check(place, listed)) for place in places]
    demand = tuple((path, check) for path, check in checks if check is not None)
    return demand if len(demand) == len(checks) else ()


def _listed(name: str, value: str) -> tuple[str, ...]:
    """Return the values that *value*, percent-encoded, is a list of.  Raises ValueError where two could be read."""
    # A plus is a blank in a form and itself elsewhere, and a backslash may or may not take a comma out of the list.
    read = None if "+" in value or "&" in value else read_parameters(f"{name}={value}")
    if read is None or read[0][0] != name or "\\" in read[0][1]:
        raise ValueError("a value that can be read in two ways")
    listed = tuple(read[0][1].split(","))
    if any(not part or part != part.strip() for part in listed):
        raise ValueError("a value that some servers would not look at")
    return listed


def _meets(resource: dict[str, Any], demand: _Demand, bases: Collection[str]) -> bool:
    met = False
    for path, check in demand:
        values = values_at(resource, path)
        if values is None:
            return False
        for value in values:
            is_wanted = check(value, bases)
            if is_wanted is None:
                return False
            met = met or is_wanted
    return met


def _is_from(resource: dict[str, Any], kind: str, origins: frozenset[str], bases: Collection[str]) -> bool:
    """Say whether one of *origins*, as ``Device/id``, made *resource*, as the server wrote into it (Koppeltaal 2.0)."""
    extensions = resource.get("extension", [])
    if not isinstance(extensions, list) or not all(isinstance(each, dict) for each in extensions):
        return False
    found = [each.get("valueReference") for each in extensions if each.get("url") == _ORIGIN_URL]
    if not found:
        return kind in _WITHOUT_ORIGIN
    text = found[0].get("reference") if isinstance(found[0], dict) else None
    origin = read_reference(text)
    is_ours = origin is not None and (origin.base is None or any(origin.is_on(base) for base in bases))
    return len(found) == 1 and origin is not None and is_ours and f"{origin.type}/{origin.id}" in origins


# --- what an element is held against -----------------------------------------------------------------


def _check(place: _Place, listed: tuple[str, ...]) -> _Check | None:
    """Return what says whether an element at *place* is one that *listed* names; None: one of these cannot be read."""
    if place.kind == "reference":
        return _reference(listed, place.target)
    if place.kind == "canonical":
        return _canonical(listed)
    if place.kind in ("concept", "coding", "identifier"):
        return _pair(listed, place.kind)
    # A code's system is the one that FHIR names for its element, and strings have none: to ask for it is unclear.
    if place.kind != "uri" and any("|" in part for part in listed):
        return None
    return _text(listed, place.kind)


def _text(listed: tuple[str, ...], kind: str) -> _Check:
    wanted = frozenset(listed)

    def is_wanted(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401, ARG001
        return value in wanted if isinstance(value, str) else None

    def is_wanted_boolean(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401, ARG001
        return ("true" if value else "false") in wanted if isinstance(value, bool) else None

    def is_wanted_contact(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401
        return is_wanted(value.get("value", ""), bases) if isinstance(value, dict) else None

    return {"boolean": is_wanted_boolean, "contact": is_wanted_contact}.get(kind, is_wanted)


def _pair(listed: tuple[str, ...], kind: str) -> _Check | None:
    """Return what looks at a system and what it is the system of; FHIR R4 search.html#token."""
    wanted: set[tuple[str | None, str | None]] = set()  # a system of None is any, one that is empty is none
    for part in listed:
        system, bar, code = part.partition("|")
        if part == "|" or "|" in code:
            return None
        wanted.add((system, code or None) if bar else (None, system))
    name = "value" if kind == "identifier" else "code"

    def is_wanted(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401, ARG001
        if not isinstance(value, dict):
            return None
        system, code = value.get("system"), value.get(name)
        # Nothing is empty in FHIR, and what is must not pass for what is absent.
        if not (isinstance(system, str) and system):
            if "system" in value:
                return None
            system = ""
        if not (isinstance(code, str) and code) and name in value:
            return None
        return (None, code) in wanted or (system, code) in wanted or (system, None) in wanted

    def is_wanted_concept(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401
        codings = value.get("coding", []) if isinstance(value, dict) else None
        if not isinstance(codings, list):
            return None
        found = [is_wanted(coding, bases) for coding in codings]
        return None if None in found else True in found

    return is_wanted_concept if kind == "concept" else is_wanted


def _canonical(listed: tuple[str, ...]) -> _Check:
    """Return what looks at a canonical URL: one that is asked for without a version is meant in every version."""
    wanted = frozenset(listed)

    def is_wanted(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401, ARG001
        return value in wanted or value.partition("|")[0] in wanted if isinstance(value, str) else None

    return is_wanted


def _reference(listed: tuple[str, ...], target: str | None) -> _Check | None:
    """Return what looks at a Reference: a bare id is read where it can be that of one type only."""
    read = [read_reference(part if "/" in part or target is None else f"{target}/{part}") for part in listed]
    wanted = tuple(each for each in read if each is not None and target in (None, each.type))
    if len(wanted) < len(listed):
        return None

    # Most are written in this way, or are to something else, and reading every one takes longer than all the rest.
    usual = {f"{each.type}/{each.id}": each.type for each in wanted if each.base is None}

    def is_wanted(value: Any, bases: Collection[str]) -> bool | None:  # noqa: ANN401
        text = _literal(value)
        if text is None:
            return None
        kind = usual.get(text)
        if kind is None:
            named = referent(text) if any(each.id in text for each in wanted) else None
            if named is None or not any(_is_same(each, named, bases) for each in wanted):
                return False
            kind = named.type
        return True if value.get("type", kind) == kind else None

    return is_wanted


def _is_same(one: FhirReference, other: FhirReference, bases: Collection[str]) -> bool:
    return one.id == other.id and one.type == other.type and _server(one, bases) == _server(other, bases)


def _server(reference: FhirReference, bases: Collection[str]) -> str | None:
    """Return the base URL of the server that *reference* leads to; None: the guarded one."""
    return None if any(reference.is_on(base) for base in bases) else reference.base


def _literal(value: Any) -> str | None:  # noqa: ANN401
    """Return the text of *value*, a Reference, empty where it has none; None: it is not well-formed."""
    text = value.get("reference", "") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


# --- what a search parameter is about ----------------------------------------------------------------


def referred(resource: Mapping[str, Any], parameter: str, release: Release) -> tuple[str, ...] | None:
    """Return the literal references, as they are written, in the elements that *parameter* of *resource* is about.

    A parameter that is about one type has only the references whose text says that they are to it.  One that is no
    reference parameter of this type gives None, and a resource with a wrongly shaped element there gives none.
    """
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str) or not isinstance(resource, dict) or not is_reference(kind, parameter, release):
        return None
    found: dict[str, None] = {}
    for place in _parameters(kind, release)[parameter]:
        values = values_at(resource, place.path)
        texts = None if values is None else [_literal(value) for value in values]
        if texts is None or None in texts:
            return ()
        found |= dict.fromkeys(text for text in texts if text and _leads_to(text, place.target))
    return tuple(found)


def _leads_to(text: str, target: str | None) -> bool:
    named = None if target is None else referent(text)
    return target is None or (named is not None and named.type == target)


def is_reference(resource_type: str, parameter: str, release: Release) -> bool:
    """Say whether *parameter* is one of *resource_type* that is about references, and whose elements are known."""
    places = _parameters(resource_type, release).get(parameter, ())
    return bool(places) and all(place.kind == "reference" for place in places)


def is_plain_search(resource_type: str, name: str, release: Release) -> bool:
    """Say whether *name* is a search parameter of *resource_type* whose answer depends on the resource alone.

    It is without modifiers.  Those of FHIR are known, and not what a server has beside them; ``_text``, ``_content``
    and parameters of the kind "special" are none.  The type ``*`` asks for those that every type has.
    """
    return name in _parameters(resource_type, release)


@lru_cache(maxsize=1_024)
def _parameters(resource_type: str, release: Release) -> Mapping[str, tuple[_Place, ...]]:
    """Return the search parameters of *resource_type* and their places; those with none are known by name only."""
    if resource_type != "*" and resource_type not in TYPES[release]:
        return {}
    found: dict[str, list[_Place]] = {}
    kind = ""
    for word in f"{OF_EVERY_TYPE} {PARAMETERS[release].get(resource_type, '')}".split():
        if word.endswith(":"):
            kind = word[:-1]
            continue
        name, equals, paths = word.partition("=")
        if not equals:
            name = re.split(r"[*(]", word, maxsplit=1)[0]
            paths = re.sub(r"-(.)", lambda letter: letter[1].upper(), name) + word[len(name) :]
        places = found.setdefault(name, [])
        if kind != "other":
            places += [_place(text, kind) for text in paths.split(",")]
    return {name: tuple(places) for name, places in found.items()}


def _place(text: str, kind: str) -> _Place:
    path, opened, target = text.partition("(")
    return _Place(read_path(path), kind, target.removesuffix(")") if opened else None)
