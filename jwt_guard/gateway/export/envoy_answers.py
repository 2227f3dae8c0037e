"""Why Envoy refuses → what a client is told instead of Envoy's own words: the statuses and challenges of the guard.

Each of our RBAC filters calls its refusal by a name, and Envoy's own filter by what went wrong; both are in the details
of the answer, by which it is mapped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...access.challenge import refusal
from ...errors import InsufficientScope, InvalidToken, MalformedRequest, MissingToken, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...errors import GuardError

__all__ = ["INVALID", "MALFORMED", "MISSING", "UNNAMED", "denied_as", "insufficient", "local_replies"]

MISSING: Final = "missing"
MALFORMED: Final = "malformed"
INVALID: Final = "invalid"
UNNAMED: Final = "none"
"""What Envoy calls it where no policy lets a request in: those are about tokens."""
_INSUFFICIENT: Final = "insufficient"
_TYPE: Final = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_OF_THE_FILTER: Final = "jwt_authn_access_denied{"


def denied_as(name: str) -> str:
    """Return the details that Envoy gives of a refusal called *name*."""
    return f"rbac_access_denied_matched_policy[{name}]"


def insufficient(scopes: frozenset[str]) -> str:
    """Return what the refusal of a token that lacks *scopes* is called."""
    return ":".join((_INSUFFICIENT, *sorted(scopes)))  # Envoy makes another character of a blank


def local_replies(realm: str, lacking: Iterable[frozenset[str]]) -> dict[str, Any]:
    """Return the mapping of Envoy's refusals to those of a guard of *realm*; *lacking* are sets of scopes."""
    details = "response.code_details"
    missing, invalid = MissingToken(), InvalidToken("")
    mapped: list[tuple[str, GuardError]] = [
        (f"{details} == {json.dumps(denied_as(MISSING))}", missing),
        (f"{details} == {json.dumps(denied_as(MALFORMED))}", MalformedRequest("")),
        (f"{details} == {json.dumps(denied_as(INVALID))}", invalid),
        (f"{details} == {json.dumps(denied_as(UNNAMED))}", invalid),
        (f'{details} == "{_OF_THE_FILTER}Jwt_is_missing}}"', missing),
        (f'{details} == "{_OF_THE_FILTER}Jwks_remote_fetch_is_failed}}"', Unavailable("", retry_after=1)),
        (f'{details}.startsWith("{_OF_THE_FILTER}")', invalid),
    ]
    for scopes in sorted(set(lacking), key=sorted):
        condition = f"{details} == {json.dumps(denied_as(insufficient(scopes)))}"
        mapped.append((condition, InsufficientScope(scopes)))
    return {"mappers": [_mapper(condition, error, realm) for condition, error in mapped]}


def _mapper(expression: str, error: GuardError, realm: str) -> dict[str, Any]:
    told = refusal(error, realm, "")
    problem = {name: value for name, value in json.loads(told.body).items() if name != "id"}
    ours = [(name, value) for name, value in told.headers if name not in ("content-type", "content-length")]
    return {
        "filter": {
            "extension_filter": {
                "name": "envoy.access_loggers.extension_filters.cel",
                "typed_config": {"@type": _TYPE, "expression": expression},
            }
        },
        "status_code": told.status,
        "headers_to_add": [
            {
                "header": {"key": name, "value": _escaped(value)},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for name, value in ours
        ],
        "body_format_override": {
            "text_format_source": {"inline_string": _escaped(json.dumps(problem))},
            "content_type": dict(told.headers)["content-type"],
        },
    }


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # Envoy has commands that begin with one
