"""Conditions on what ``jwt_authn`` has verified → matchers of Envoy's own, which cost it next to nothing.

They can say less than the Common Expression Language can (see ``cel``), and take a fiftieth of its time.  A matcher of
a value is never true of one of another kind, nor of one that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = [
    "ANY_NUMBER",
    "ANY_TRUTH",
    "EMPTY",
    "NEITHER_TEXT",
    "NULL",
    "PRESENT",
    "AllOf",
    "AnyOf",
    "Condition",
    "Not",
    "Says",
    "Value",
    "exactly",
    "fits",
    "has_member",
    "is_one_of",
    "lua",
    "number",
    "predicate",
    "principal",
    "true_or_false",
    "within",
]

Value: TypeAlias = "dict[str, Any]"
"""What a value is held against."""
Condition: TypeAlias = "Says | AllOf | AnyOf | Not"

_KEYS: Final = "envoy.filters.http.jwt_authn"
_INPUT: Final = "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput"
_MATCHER: Final = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
_LUA: Final = "envoy.extensions.string_matcher.lua.v3.Lua"
_LARGEST: Final = 1.7e308


@dataclass(frozen=True, slots=True)
class Says:
    """What is at *path* fits *value*; the first step is the provider, or its header."""

    path: tuple[str, ...]
    value: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of *parts* hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of *parts* holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """*part* does not hold."""

    part: Condition


# --- values ----------------------------------------------------------------------------------------------------------

PRESENT: Final[Value] = {"present_match": True}
"""Anything, be it null."""
NULL: Final[Value] = {"null_match": {}}
EMPTY: Final[Value] = {"string_match": {"exact": ""}}


def exactly(text: str) -> Value:
    """Return what only *text* fits."""
    return {"string_match": {"exact": text}}


def fits(expression: str) -> Value:
    """Return what the texts fit that the *expression* (RE2) fits whole."""
    return {"string_match": {"safe_regex": {"regex": expression}}}


def number(value: float) -> Value:
    """Return what only this number fits."""
    return {"double_match": {"exact": float(value)}}


def within(first: float, end: float) -> Value:
    """Return what the numbers fit from *first* up to, not including, *end*."""
    return {"double_match": {"range": {"start": float(first), "end": float(end)}}}


def true_or_false(value: bool) -> Value:  # noqa: FBT001 - the value itself
    """Return what only this truth value fits."""
    return {"bool_match": value}


def is_one_of(*values: Value) -> Value:
    """Return what fits one of *values*."""
    return {"or_match": {"value_matchers": list(values)}}


def has_member(value: Value) -> Value:
    """Return what a list fits of which a member fits *value*."""
    return {"list_match": {"one_of": value}}


ANY_NUMBER: Final = within(-_LARGEST, _LARGEST)
ANY_TRUTH: Final = is_one_of({"bool_match": True}, {"bool_match": False})
NEITHER_TEXT: Final = (NULL, ANY_NUMBER, ANY_TRUTH, has_member(PRESENT))
"""What is no text, as far as this can be said: not objects and empty lists."""


def lua(code: str) -> Value:
    """Return the matcher of texts, for headers, of which the function ``envoy_match`` in *code* says whether they fit.

    It runs by itself, beside the request, and is given the text alone.
    """
    typed = {"@type": f"type.googleapis.com/{_LUA}", "source_code": {"inline_string": code}}
    return {"custom": {"name": "envoy.string_matcher.lua", "typed_config": typed}}


# --- for the two kinds of rules that RBAC has ------------------------------------------------------------------------


def principal(condition: Condition) -> dict[str, Any]:
    """Return *condition* for a policy."""
    match condition:
        case Says(path, value):
            return {"metadata": {"filter": _KEYS, "path": _steps(path), "value": value}}
        case Not(part):
            return {"not_id": principal(part)}
        case AllOf():
            return {"and_ids": {"ids": [principal(part) for part in condition.parts]}}
        case AnyOf():
            return {"or_ids": {"ids": [principal(part) for part in condition.parts]}}


def predicate(condition: Condition) -> dict[str, Any]:
    """Return *condition* for a list of which the first that holds decides."""
    match condition:
        case Says(path, value):
            return _single(path, value)
        case Not(part):
            return {"not_matcher": predicate(part)}
        case AllOf():
            return _several("and_matcher", condition.parts)
        case AnyOf():
            return _several("or_matcher", condition.parts)


def _single(path: tuple[str, ...], value: Value) -> dict[str, Any]:
    given = {"@type": f"type.googleapis.com/{_INPUT}", "filter": _KEYS, "path": _steps(path)}
    held = {"@type": f"type.googleapis.com/{_MATCHER}", "value": value}
    return {
        "single_predicate": {
            "input": {"name": "claims", "typed_config": given},
            "custom_match": {"name": "value", "typed_config": held},
        }
    }


def _several(kind: str, parts: tuple[Condition, ...]) -> dict[str, Any]:
    """Return *parts* as one; Envoy wants two of them at least."""
    first, *more = map(predicate, parts)
    return {kind: {"predicate": [first, *more]}} if more else first


def _steps(path: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"key": step} for step in path]
