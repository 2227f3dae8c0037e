"""Conditions → expressions of the Common Expression Language as trees, which is how Envoy's RBAC takes them.

What goes wrong in one of them (a claim that is not there, a comparison of two kinds) makes it neither true nor false,
so that what it was to allow is not allowed.  Loops are switched off in Envoy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = [
    "FALSE",
    "METADATA",
    "NOW",
    "TRUE",
    "Cel",
    "all_hold",
    "any_holds",
    "at",
    "at_most",
    "call",
    "chosen",
    "equal",
    "field",
    "has",
    "less",
    "method",
    "negated",
    "number",
    "of_type",
    "size",
    "text",
    "whole",
]

Cel: TypeAlias = "dict[str, object]"
TRUE: Final[Cel] = {"const_expr": {"bool_value": True}}
FALSE: Final[Cel] = {"const_expr": {"bool_value": False}}


def text(value: str) -> Cel:
    """Return a text."""
    return {"const_expr": {"string_value": value}}


def number(value: float) -> Cel:
    """Return a number as those in JSON are: all of them are doubles there."""
    return {"const_expr": {"double_value": float(value)}}


def whole(value: int) -> Cel:
    """Return a whole number, as sizes are."""
    return {"const_expr": {"int64_value": str(value)}}


def name(word: str) -> Cel:
    """Return what Envoy, or the language, calls *word*."""
    return {"ident_expr": {"name": word}}


def call(function: str, *arguments: Cel) -> Cel:
    """Return what *function* gives for *arguments*; operators are functions."""
    return {"call_expr": {"function": function, "args": list(arguments)}}


def method(target: Cel, function: str, *arguments: Cel) -> Cel:
    """Return what the *function* of *target* gives for *arguments*."""
    return {"call_expr": {"target": target, "function": function, "args": list(arguments)}}


def field(of: Cel, which: str) -> Cel:
    """Return the field *which* of what Envoy gives."""
    return {"select_expr": {"operand": of, "field": which}}


def at(of: Cel, key: str) -> Cel:
    """Return the member *key* of an object."""
    return call("_[_]", of, text(key))


def has(of: Cel, key: str) -> Cel:
    """Say whether an object has the member *key*, be it null; or a list that text."""
    return call("@in", text(key), of)


def all_hold(*conditions: Cel) -> Cel:
    """Say whether all of *conditions* hold; a later one is not looked at where an earlier does not."""
    return _joined("_&&_", conditions) if conditions else TRUE


def any_holds(*conditions: Cel) -> Cel:
    """Say whether one of *conditions* holds; of none, none does."""
    return _joined("_||_", conditions) if conditions else FALSE


def _joined(operator: str, conditions: Sequence[Cel]) -> Cel:
    """Return a tree that is as flat as can be: Envoy reads no JSON that is nested more than a hundred deep."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return call(operator, _joined(operator, conditions[:half]), _joined(operator, conditions[half:]))


def chosen(condition: Cel, then: Cel, otherwise: Cel) -> Cel:
    """Return *then* where *condition* holds, else *otherwise*."""
    return call("_?_:_", condition, then, otherwise)


def negated(condition: Cel) -> Cel:
    """Say whether *condition* does not hold."""
    return call("!_", condition)


def equal(one: Cel, two: Cel) -> Cel:
    """Say whether the two, of one type, are equal."""
    return call("_==_", one, two)


def less(one: Cel, two: Cel) -> Cel:
    """Say whether *one* is less than *two*."""
    return call("_<_", one, two)


def at_most(one: Cel, two: Cel) -> Cel:
    """Say whether *one* is not more than *two*."""
    return call("_<=_", one, two)


def of_type(value: Cel, *types: str) -> Cel:
    """Say whether *value* is of one of *types*: ``string``, ``double``, ``bool``, ``list``, ``map``, ``null_type``."""
    return any_holds(*(equal(call("type", value), name(each)) for each in types))


def size(of: Cel) -> Cel:
    """Return how long a text, a list or an object is."""
    return call("size", of)


_REQUEST = name("request")
_TIME = field(_REQUEST, "time")
NOW = call(
    "_+_",
    call("double", call("int", _TIME)),
    call("_/_", call("double", method(_TIME, "getMilliseconds")), number(1000)),
)
"""Seconds since the epoch, when the request came."""
METADATA = at(field(name("metadata"), "filter_metadata"), "envoy.filters.http.jwt_authn")
"""What that filter has verified, and so nothing that a client could write."""
