"""A policy, as data → the conditions under which Envoy lets a verified token in, and what is told where they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cel import (
    FALSE,
    TRUE,
    Cel,
    all_hold,
    any_holds,
    at,
    chosen,
    equal,
    has,
    method,
    negated,
    number,
    of_type,
    text,
)

if TYPE_CHECKING:
    from ...access.description import Description
    from ...access.identity import ClaimNames, Path

__all__ = ["Refusal", "first_of", "present", "refusals", "said", "why_not"]

_MOST_EXACT = 2**53  # beyond it two whole numbers can be one double


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told where *condition* holds."""

    condition: Cel
    scopes: frozenset[str]
    """Those that would do; empty where scopes are not what is missing."""


def why_not(policy: Description) -> str | None:
    """Return why Envoy cannot say what *policy* asks for, None where it can."""
    match policy.kind:
        case "function":
            return "it asks a function, and Envoy has only its own"
        case "by_route":
            return "it has routes within a route"
        case "claim equals" if isinstance(policy.value, int | float) and abs(policy.value) > _MOST_EXACT:
            return "it compares a number that Envoy would round"
        case _:
            return next((reason for reason in map(why_not, policy.parts) if reason is not None), None)


def said(policy: Description, claims: Cel, names: ClaimNames) -> Cel:
    """Return the condition that *policy* lets in a token of *claims*, in which scopes and roles have these *names*."""
    match policy.kind:
        case "scopes":
            return all_hold(*(_granted(names.scopes, claims, scope, _in_words) for scope in sorted(policy.names)))
        case "roles":
            return all_hold(*(_granted(names.roles, claims, role, _in_names) for role in sorted(policy.names)))
        case "claim equals":
            return _claim(policy, claims, _equals(policy.value))
        case "claim contains":
            wanted = str(policy.value)
            return _claim(policy, claims, lambda value: _in_names(value, wanted))
        case "all_of":
            return all_hold(*(said(part, claims, names) for part in policy.parts))
        case "any_of":
            return any_holds(*(said(part, claims, names) for part in policy.parts))
        case "none_of":
            return all_hold(*(negated(said(part, claims, names)) for part in policy.parts))
        case "anyone" | "authenticated":
            return TRUE
        case _:  # which why_not() has a reason for
            return FALSE


def refusals(policy: Description, claims: Cel, names: ClaimNames) -> Iterator[Refusal]:
    """Yield what is told of a token that *policy* does not let in, the first whose condition holds."""
    if policy.kind == "all_of":
        for part in policy.parts:
            fails = negated(said(part, claims, names))
            for inner in refusals(part, claims, names):
                yield Refusal(all_hold(fails, inner.condition), inner.scopes)
    elif policy.kind == "any_of":
        yield from refusals(policy.parts[0], claims, names)
    else:
        yield Refusal(TRUE, policy.names if policy.kind == "scopes" else frozenset())


def present(claims: Cel, path: Path) -> tuple[Cel, Cel]:
    """Return whether there is something at *path*, and what."""
    steps = (path,) if isinstance(path, str) else path
    conditions: list[Cel] = []
    value = claims
    for step in steps:
        if value is not claims:
            conditions.append(of_type(value, "map"))
        if step == "*":  # the names of its members, which `in` asks an object for
            break
        conditions.append(has(value, step))
        value = at(value, step)
    conditions.append(negated(of_type(value, "null_type")))
    return all_hold(*conditions), value


def first_of(paths: tuple[Path, ...], claims: Cel, then: Callable[[Cel, str], Cel], otherwise: Cel) -> Cel:
    """Return *then* of what is at the first of *paths* where there is something, *otherwise* where there is nothing.

    *then* is given the value, and the type that a list of names has there: ``list``, or ``map`` of which the names are.
    """
    answer = otherwise
    for path in reversed(paths):
        is_there, value = present(claims, path)
        answer = chosen(is_there, then(value, "map" if path[-1] == "*" else "list"), answer)
    return answer


def _granted(paths: tuple[Path, ...], claims: Cel, word: str, among: Callable[[Cel, str, str], Cel]) -> Cel:
    return first_of(paths, claims, lambda value, listed: among(value, word, listed), FALSE)


def _in_words(value: Cel, word: str, listed: str) -> Cel:
    """Say whether *word* is among words with spaces between, or in what lists them."""
    starts, ends = method(value, "startsWith", text(f"{word} ")), method(value, "endsWith", text(f" {word}"))
    between = method(value, "contains", text(f" {word} "))
    among = any_holds(equal(value, text(word)), starts, ends, between)
    return chosen(of_type(value, "string"), among, all_hold(of_type(value, listed), has(value, word)))


def _in_names(value: Cel, wanted: str, listed: str = "list") -> Cel:
    among = all_hold(of_type(value, listed), has(value, wanted))
    return chosen(of_type(value, "string"), equal(value, text(wanted)), among)


def _equals(wanted: object) -> Callable[[Cel], Cel]:
    if isinstance(wanted, bool):
        return lambda value: all_hold(of_type(value, "bool"), equal(value, TRUE if wanted else FALSE))
    if isinstance(wanted, int | float):
        return lambda value: all_hold(of_type(value, "double"), equal(value, number(wanted)))
    return lambda value: all_hold(of_type(value, "string"), equal(value, text(str(wanted))))


def _claim(policy: Description, claims: Cel, fits: Callable[[Cel], Cel]) -> Cel:
    """Return whether the claim fits; a name is a name here, also ``*``."""
    conditions: list[Cel] = []
    value = claims
    for step in policy.path:
        if value is not claims:
            conditions.append(of_type(value, "map"))
        conditions.append(has(value, step))
        value = at(value, step)
    return all_hold(*conditions, fits(value))
