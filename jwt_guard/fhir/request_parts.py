"""Query, form and headers of a request → those of its parts that FHIR gives a meaning to, or a Refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..messages import Request
from .media import Format, is_form, wanted_format
from .query import Parameters, named, plain, read_parameters

__all__ = ["GENERAL", "OF_HISTORIES", "Parts", "Refusal", "Why", "is_criteria", "read_parts"]

Why: TypeAlias = Literal["method", "path", "type", "id", "operation", "parameters", "criteria", "headers", "form"]
"""What of a request it is that cannot be judged."""

GENERAL = frozenset({"_elements", "_format", "_pretty", "_summary"})
"""The parameters that every interaction has (FHIR R4 §3.1.0)."""
OF_HISTORIES = GENERAL | {"_at", "_count", "_since"}
"""The parameters that a history has."""
_UNDERSCORED = GENERAL | frozenset(
    {
        "_at", "_contained", "_containedType", "_content", "_count", "_filter", "_getpages", "_has", "_id", "_include",
        "_jobId", "_lastUpdated", "_list", "_method", "_outputFormat", "_profile", "_query", "_revinclude", "_score",
        "_security", "_since", "_sort", "_source", "_tag", "_text", "_total", "_type", "_typeFilter",
    }
)  # fmt: skip
_WRITTEN = {name.lower(): name for name in _UNDERSCORED}
_UNMODIFIED = GENERAL | {"_getpages", "_jobId", "_type"}
_CRITERIA = frozenset({"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"})
"""The parameters with an underscore that say what a resource is like; the others choose among what is found."""
_OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")
# Servers that hand headers on as environment variables take both spellings for one.
_OVERRIDING = tuple(spelt for name in _OVERRIDES for spelt in (name, name.replace("-", "_")))
_OVERRIDE_PARAMETERS = frozenset({"_method", *_OVERRIDING})
_VERSION = re.compile(r'(?:W/)?"(?P<id>[A-Za-z0-9.-]{1,64})"')  # FHIR R4 §3.1.0: the ETag is the version
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PREFERENCE = re.compile(rf'({_TOKEN})(?:[ \t]*=[ \t]*({_TOKEN}|"[^"\\]*"))?')  # RFC 7240 §2
_SAYS_SOMETHING = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is no interaction that can be judged; constant texts, fit for whoever sent it."""

    why: Why
    """What of it is wrong."""
    reason: str
    """A sentence about that."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a request says beside its method and its path."""

    parameters: Parameters = field(repr=False)
    if_none_exist: Parameters | None = field(repr=False)
    if_match: str | None
    preferences: Parameters
    format: Format


def read_parts(request: Request, form: str | None, *, is_search: bool) -> Parts | Refusal:
    """Return what *request* says, *form* being the body of a search by POST, or None where that is not at hand."""
    if any(request.values(name) for name in _OVERRIDING):
        return Refusal("headers", "a header asks for another method than the request has")
    wrong = _wrong_body(request, form, is_search=is_search)
    if wrong is not None:
        return wrong
    asked, sent = read_parameters(request.query), read_parameters(form or "")
    if asked is None or sent is None:
        return Refusal("parameters", "the parameters can be read in more than one way")
    parameters = asked + sent
    if any(plain(name).lower() in _OVERRIDE_PARAMETERS for name, _ in parameters):
        return Refusal("parameters", "a parameter asks for another method than the request has")
    if any(map(_is_misspelt, (name for name, _ in parameters))):
        return Refusal("parameters", "a parameter is written as none is, and some would take it for another")
    return _with_headers(request, parameters)


def is_criteria(parameters: Parameters) -> bool:
    """Say whether *parameters* are a condition: at least one, and none that a server leaves aside (FHIR R4 §3.1.0).

    One that is left aside would make the condition true of everything.
    """
    return bool(parameters) and all(
        (plain(name) in _CRITERIA or name[0] not in "_$")
        and all(_SAYS_SOMETHING.search(part) for part in value.split(","))
        for name, value in parameters
    )


def _wrong_body(request: Request, form: str | None, *, is_search: bool) -> Refusal | None:
    """Return what is wrong with the form, or with what says whether there is one."""
    types = request.values("content-type")
    if len(types) > 1 or any("," in value for value in types):
        return Refusal("headers", "there is more than one Content-Type")
    forms = [is_form(value) for value in types]
    if not is_search:
        # Frameworks look for the method, and for parameters, in every form that comes.
        return Refusal("form", "only a search has a form") if form or any(kind is not False for kind in forms) else None
    if form is None:
        return Refusal("form", "the parameters of the search are in a body that is not at hand")
    if (form and not types) or any(kind is not True for kind in forms):
        return Refusal("form", "the parameters of a search by POST are a form, in UTF-8")
    return None


def _is_misspelt(name: str) -> bool:
    """Say whether some server could take *name* for one that it is not: by its capitals, or without its modifier."""
    bare = plain(name)
    return _WRITTEN.get(bare.lower(), bare) != bare or (bare in _UNMODIFIED and name != bare)


def _with_headers(request: Request, parameters: Parameters) -> Parts | Refusal:
    if_match, preferences = request.values("if-match"), _preferences(request.values("prefer"))
    version = _VERSION.fullmatch(if_match[0]) if if_match else None
    if len(if_match) > 1 or (if_match and version is None):
        return Refusal("headers", "If-Match is to name one version")
    if preferences is None:
        return Refusal("headers", "Prefer is not written as RFC 7240 has it")
    conditions = request.values("if-none-exist")
    criteria = read_parameters(conditions[0]) if conditions else None
    if len(conditions) > 1 or (conditions and (criteria is None or not is_criteria(criteria))):
        return Refusal("criteria", "If-None-Exist is to be one condition, as after the question mark of a search")
    wanted = wanted_format(request.values("accept"), named("_format", parameters))
    return Parts(parameters, criteria, None if version is None else version["id"], preferences, wanted)


def _preferences(values: tuple[str, ...]) -> Parameters | None:
    pieces = [text for value in values for piece in re.split("[,;]", value) if (text := piece.strip(" \t"))]
    found = [_PREFERENCE.fullmatch(piece) for piece in pieces]
    if None in found:
        return None
    return tuple((match[1].lower(), (match[2] or "").strip('"')) for match in found if match is not None)
