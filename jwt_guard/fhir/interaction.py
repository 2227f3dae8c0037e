"""Request below a FHIR base URL → the one Interaction that it is, or the reason why it is none that can be judged.

What a request is, the method alone never says: a search may be a POST, a GET may run an operation, and a PUT may be
one of many.  Each form that FHIR R4 §3.1.0 (RESTful API) and Bulk Data Access have is placed here; what has no place
is refused.  Nothing is asked of the world, and nobody's rights are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..access.fhir_references import FhirReference
from ..access.routes import segments
from ..messages import Request
from .kinds import METHOD, PARAMETERS, TYPE, Asked, Found, Interaction, Kind
from .operations import read_job, read_operation
from .query import named
from .request_parts import GENERAL, Refusal, is_criteria, read_parts
from .surface import Surface

__all__ = ["Interaction", "Kind", "Refusal", "Surface", "read_interaction"]

_COMPARTMENTS = frozenset({"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"})
"""The types that FHIR R4 has a CompartmentDefinition for."""
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4 §2.24.0.1; `.` and `..` are no segments of a path
_PAGE = "_getpages"
_WRITING: Mapping[str, tuple[Kind, str]] = {"PUT": ("update", "u"), "PATCH": ("patch", "u"), "DELETE": ("delete", "d")}

_PATH = Refusal("path", "the path is none of FHIR's")
_NO_ID = Refusal("id", "this can be no id")
_NO_CRITERIA = Refusal("criteria", "the condition says nothing, or something that is no condition")

_PLAIN = Surface()


def read_interaction(request: Request, form: str | None = None, surface: Surface = _PLAIN) -> Interaction | Refusal:
    """Return what *request* is, its path counted from the base URL, which is ``/``; or why that cannot be said.

    *form* is the body of a POST to ``_search``, percent-encoded as it came; None: it is not at hand, and so what such a
    request asks for cannot be said.  The bodies of other requests are not looked at.
    """
    path = segments(request.path)
    # No name that FHIR has needs an escape, and not everybody takes one for what it stands for.
    if path is None or "%" in request.path:
        return _PATH
    is_search = request.method == "POST" and path[-1:] == ("_search",)
    parts = read_parts(request, form, is_search=is_search)
    if isinstance(parts, Refusal):
        return parts
    found = _found(Asked(request.method, path, parts.parameters, parts.if_none_exist, surface))
    if isinstance(found, Refusal):
        return found
    if parts.if_none_exist is not None and found.kind != "create":
        return Refusal("headers", "If-None-Exist is of a create")
    if parts.if_match is not None and found.kind not in ("update", "patch", "delete"):
        return Refusal("headers", "If-Match is of an update, a patch or a delete")
    if found.kind != "page" and named(_PAGE, parts.parameters):
        return Refusal("parameters", "a link to a page is one to the base URL, and is read")
    return replace(
        found,
        parameters=parts.parameters,
        if_match=parts.if_match,
        preferences=parts.preferences,
        format=parts.format,
        head=request.method == "HEAD",
    )


# --- the places below a base URL ---------------------------------------------------------------------


def _found(asked: Asked) -> Found:
    match asked.segments:
        case ():
            return _base(asked)
        case ("metadata",):
            return _open(asked, "capabilities", "mode")
        case (".well-known", "smart-configuration"):
            return _open(asked, "smart-configuration")
        case ("_history",):
            return asked.place("history-system", "s", None) if asked.reads else METHOD
        case ("_search",):
            return _search(asked, "search-system", by_method=asked.method == "POST")
        case (name,) if name.startswith("$"):
            return read_operation(asked, name)
        case (*above, job) if tuple(above) in asked.surface.job_paths:
            return read_job(asked, job) if asked.only() else PARAMETERS
        case (name, *rest) if name in asked.surface.types:
            return _of_type(asked, name, tuple(rest))
        case _:
            return TYPE


def _base(asked: Asked) -> Found:
    if asked.method == "POST":
        return asked.place("bundle") if asked.only() else PARAMETERS
    if named(_PAGE, asked.parameters):
        return asked.place("page", "s", None) if asked.reads else METHOD
    return _search(asked, "search-system", by_method=asked.reads)


def _open(asked: Asked, kind: Kind, *names: str) -> Found:
    if not asked.reads:
        return METHOD
    return asked.place(kind) if asked.only(*names) else PARAMETERS


def _of_type(asked: Asked, name: str, rest: tuple[str, ...]) -> Found:
    match rest:
        case ():
            return _whole_type(asked, name)
        case ("_search",):
            return _of_all(asked, "search-type", name) if asked.method == "POST" else METHOD
        case ("_history",):
            return _of_all(asked, "history-type", name) if asked.reads else METHOD
        case (operation,) if operation.startswith("$"):
            return read_operation(asked, operation, name)
        case (id_, *more) if _ID.fullmatch(id_):
            return _of_resource(asked, FhirReference(name, id_), tuple(more))
        case _:
            return _NO_ID


def _of_resource(asked: Asked, one: FhirReference, rest: tuple[str, ...]) -> Found:
    match rest:
        case ():
            return _resource(asked, one)
        case ("_history",):
            return _one(asked, one, "history-instance", "r") if asked.reads else METHOD
        case ("_history", version):
            return _version(asked, one, version)
        case (operation,) if operation.startswith("$"):
            return read_operation(asked, operation, one.type, one.id)
        case ("_search",):
            return _in_compartment(asked, one, "*", by_method=asked.method == "POST")
        case (name,):
            return _in_compartment(asked, one, name, by_method=asked.reads)
        case (name, "_search"):
            return _in_compartment(asked, one, name, by_method=asked.method == "POST")
        case _:
            return _PATH


def _of_all(asked: Asked, kind: Kind, name: str) -> Interaction:
    return replace(asked.place(kind, "s", frozenset({name})), type=name)


def _whole_type(asked: Asked, name: str) -> Found:
    types = frozenset({name})
    if asked.reads:
        return _of_all(asked, "search-type", name)
    if asked.method == "POST":
        if not asked.only():
            return PARAMETERS
        letters = "c" if asked.if_none_exist is None else "cs"
        return replace(asked.place("create", letters, types), type=name, criteria=asked.if_none_exist)
    if asked.method not in _WRITING:
        return METHOD
    kind, letter = _WRITING[asked.method]
    criteria = tuple(pair for pair in asked.parameters if pair[0] not in GENERAL)
    if not is_criteria(criteria):
        return _NO_CRITERIA
    return replace(asked.place(kind, f"{letter}s", types), type=name, criteria=criteria)


def _resource(asked: Asked, one: FhirReference) -> Found:
    if not (asked.reads or asked.method in _WRITING):
        return METHOD
    if not asked.only():
        return PARAMETERS
    return _one(asked, one, "read", "r") if asked.reads else _one(asked, one, *_WRITING[asked.method])


def _version(asked: Asked, one: FhirReference, version: str) -> Found:
    if not asked.reads:
        return METHOD
    if not _ID.fullmatch(version):
        return _NO_ID
    return replace(_one(asked, one, "vread", "r"), version=version) if asked.only() else PARAMETERS


def _one(asked: Asked, one: FhirReference, kind: Kind, letters: str) -> Interaction:
    return replace(asked.place(kind, letters, frozenset({one.type})), type=one.type, id=one.id)


def _search(asked: Asked, kind: Kind, *, by_method: bool) -> Found:
    """Return a search of more than one type: those that ``_type`` names, or all."""
    if not by_method:
        return METHOD
    types = asked.types()
    return types if isinstance(types, Refusal) else asked.place(kind, "s", types)


def _in_compartment(asked: Asked, one: FhirReference, name: str, *, by_method: bool) -> Found:
    if one.type not in _COMPARTMENTS:
        return _PATH
    if name == "*":
        found = _search(asked, "search-compartment", by_method=by_method)
        return found if isinstance(found, Refusal) else replace(found, compartment=one)
    if name not in asked.surface.types:
        return TYPE
    if not by_method:
        return METHOD
    return replace(_of_all(asked, "search-compartment", name), compartment=one)
