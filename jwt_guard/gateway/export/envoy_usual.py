"""A provider, a policy → what holds of the tokens that nearly everybody sends, in matchers that cost Envoy nothing.

Each of these says less than it could: where it holds, so do all rules (see ``envoy_tokens`` and ``envoy_policy``),
and where it does not, those are asked, which takes Envoy longer than the signature does.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from ...tokens.claims import ACCESS_TOKEN_TYPES
from ...tokens.compact import media_type
from .envoy_filters import of_header
from .envoy_matchers import (
    ANY_NUMBER,
    ANY_TRUTH,
    EMPTY,
    NEITHER_TEXT,
    NULL,
    PRESENT,
    AllOf,
    AnyOf,
    Condition,
    Not,
    Says,
    exactly,
    fits,
    has_member,
    is_one_of,
    number,
    principal,
    true_or_false,
    within,
)
from .envoy_tokens import ALGORITHMS, OTHER_KINDS, TEXTS, WORDS, header_named, without_kid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...access.description import Description
    from ...access.identity import Path
    from ...access.provider import Provider
    from .envoy_matchers import Value

__all__ = ["TIMES", "lists_of_names", "usual_policy", "usual_times", "usual_token"]

TIMES: Final = {"exp": "x-jwt-guard-exp", "iat": "x-jwt-guard-iat", "nbf": "x-jwt-guard-nbf"}
"""The claims that Envoy tells its own rules in headers, since no other part of it compares a time with the clock."""

_USUAL: Final = ("sub", "client_id", "azp", "jti", "scope")
_END: Final = math.nextafter(253_402_300_799, math.inf)
_CONTROL: Final = r"\x00-\x1f\x7f-\x{9f}"
_TEXT: Final = fits(r"\C*")
_WORDS: Final = fits(f"[^{_CONTROL}]*")
_NAME: Final = fits(f"[^{_CONTROL}]+")
_DATE: Final = within(0, _END)
_FILLED: Final = is_one_of(fits("(?s:.+)"), ANY_NUMBER, ANY_TRUTH)
_KID: Final = fits("[!-~]{1,256}")
_BROKEN: Final = fits(f"(?s:.*)[{_CONTROL}](?s:.*)")
_BROKEN_WORD: Final = fits(f"(?s:.*)[ {_CONTROL}](?s:.*)")
_NO_NAME: Final = (EMPTY, _BROKEN, *NEITHER_TEXT)
_NO_WORD: Final = (EMPTY, _BROKEN_WORD, *NEITHER_TEXT)


# --- the token -------------------------------------------------------------------------------------------------------


def usual_token(provider: Provider) -> Condition | None:
    """Return what holds of a usual token of *provider*, but for its times; None where no token is usual there."""
    names = provider.claims
    if any(_steps(path)[-1] == "*" for path in (*names.user, *names.client, *names.scopes, *names.roles)):
        return None
    return AllOf((*_of_header(provider), *_of_claims(provider), *_of_kind(provider)))


def _of_header(provider: Provider) -> Iterator[Condition]:
    def says(name: str, value: Value) -> Says:
        return Says((header_named(provider), name), value)

    yield says("alg", _one_of(provider.allowed & ALGORITHMS))
    for name in ("crit", "b64", "zip", "cty"):
        yield Not(says(name, PRESENT))
    nameless = without_kid(provider)
    no_kid = [AllOf((Not(says("kid", PRESENT)), says("alg", _one_of(nameless))))] if nameless else []
    yield AnyOf((says("kid", _KID), *no_kid))
    types = frozenset(map(media_type, ACCESS_TOKEN_TYPES if provider.typ is None else provider.typ))
    named = [name for name in types if name is not None]
    spelt = [spelling for name in named for spelling in (name, name.upper(), f"application/{name}")]
    typed = [says("typ", _one_of(spelt))] if named else []
    yield AnyOf((*typed, *((Not(says("typ", PRESENT)),) if None in types else ())))


def _of_claims(provider: Provider) -> Iterator[Condition]:
    names = provider.claims

    def says(path: Path, value: Value) -> Says:
        return Says((provider.name, *_steps(path)), value)

    def if_there(path: Path, *conditions: Condition) -> Condition:
        absent = Not(says(path, PRESENT))
        # Whichever is more likely is asked first.
        return AnyOf((*conditions, absent) if path in _USUAL else (absent, *conditions))

    def names_only(path: Path, member: Value, *others: Value) -> Condition:
        return AllOf((says(path, has_member(member)), Not(says(path, has_member(is_one_of(*others))))))

    meant = _one_of((provider.audience,) if isinstance(provider.audience, str) else provider.audience)
    claim = provider.audience_claim
    yield AnyOf((says(claim, meant), names_only(claim, meant, *NEITHER_TEXT)))
    if claim != "aud":
        yield if_there("aud", says("aud", _TEXT))
    for name in ("exp", "iat"):
        yield says(name, _DATE)
    for name in ("nbf", "auth_time"):
        yield if_there(name, says(name, _DATE))
    who = (*names.user, *names.client)
    for path in dict.fromkeys((*TEXTS, *who)):
        yield if_there(path, says(path, _NAME if path in who else _TEXT))
    for path in dict.fromkeys((*WORDS, *names.scopes, *names.roles)):
        refused = _NO_WORD if path in (*WORDS, *names.scopes) else _NO_NAME
        yield if_there(path, says(path, _WORDS), names_only(path, _NAME, *refused))


def _of_kind(provider: Provider) -> Iterator[Condition]:
    def says(name: str, value: Value) -> Says:
        return Says((provider.name, name), value)

    yield Not(says("cnf", PRESENT))
    kind = ("access_token", (), ()) if provider.kind is None else provider.kind.means
    meanings = (kind, *(("has", (name,)) for name in provider.required), *(rule.means for rule in provider.extra_rules))
    for means in meanings:
        match means:
            case ("has", tuple(names)):
                yield AnyOf(tuple(says(str(name), _FILLED) for name in names))
            case ("one_of", str(claim), frozenset(values)):
                yield says(claim, _one_of(map(str, values)))
            case ("access_token", tuple(known_by), tuple(never)):
                for name in dict.fromkeys((*OTHER_KINDS, "nonce", *map(str, never))):
                    yield Not(says(name, PRESENT))
                yield from (says(str(name), PRESENT) for name in known_by)
                yield AnyOf((Not(says("typ", PRESENT)), says("typ", exactly("Bearer"))))
                yield AnyOf((Not(says("token_use", PRESENT)), says("token_use", exactly("access"))))
                yield Not(says("sub", _one_of(provider.issuers)))
            case _:
                raise AssertionError(means)  # which why_not() has a reason for


def usual_times(provider: Provider) -> Iterator[dict[str, Any]]:
    """Yield what holds of the times of such a token, by a clock that has no fractions of a second.

    So a second less is given than could be; whoever comes in that second has the other rules asked.
    """
    leeway = float(provider.leeway)
    fresh = "" if provider.max_age is None else f" and now + 1 <= time + {provider.max_age + leeway!r}"
    yield of_header(TIMES["exp"], _time(f"now + 1 <= time + {leeway!r}"))
    yield of_header(TIMES["iat"], _time(f"time - {leeway!r} <= now{fresh}"))
    none = principal(Not(Says((provider.name, "nbf"), PRESENT)))
    yield {"or_ids": {"ids": [none, of_header(TIMES["nbf"], _time(f"time - {leeway!r} <= now"))]}}


def _time(condition: str) -> str:
    return (
        "function envoy_match(value)\n"
        "  local time, now = tonumber(value), os.time()\n"
        f"  return time ~= nil and {condition}\n"
        "end"
    )


def lists_of_names(provider: Provider) -> Condition:
    """Return that the lists that are read have but names in them, as far as that can be said (see NEITHER_TEXT)."""

    def has(path: Path, values: tuple[Value, ...]) -> Condition:
        return Says((provider.name, *_steps(path)), has_member(is_one_of(*values)))

    def there(path: Path) -> Condition:
        where = (provider.name, *_steps(path))
        return AllOf((Says(where, PRESENT), Not(Says(where, NULL))))

    texts = dict.fromkeys((provider.audience_claim, "aud", *WORDS))
    conditions: list[Condition] = [Not(has(claim, NEITHER_TEXT)) for claim in texts]
    names = provider.claims
    for paths, refused in ((names.scopes, _NO_WORD), (names.roles, _NO_NAME)):
        for index, path in enumerate(paths):  # the first that is there is read, and no other
            conditions.append(AnyOf((Not(has(path, refused)), *map(there, paths[:index]))))
    return AllOf(tuple(conditions))


# --- the policy ------------------------------------------------------------------------------------------------------


def usual_policy(policy: Description, provider: Provider) -> Condition | None:
    """Return what holds only where *policy* lets in a token of *provider*; None where nothing usual can be said."""
    match policy.kind:
        case "anyone" | "authenticated":
            return Says((provider.name,), PRESENT)
        case "scopes":
            return _all(_granted(provider, provider.claims.scopes, scope, _in_words) for scope in sorted(policy.names))
        case "roles":
            return _all(_granted(provider, provider.claims.roles, role, _is_named) for role in sorted(policy.names))
        case "claim equals":
            return Says((provider.name, *policy.path), _equal(policy.value))
        case "claim contains":
            return _any(Says((provider.name, *policy.path), value) for value in _is_named(str(policy.value)))
        case "all_of":
            return _all(usual_policy(part, provider) for part in policy.parts)
        case "any_of":
            return _any(usual_policy(part, provider) for part in policy.parts)
        case _:  # of none_of: what says less than it could, cannot be turned round
            return None


def _granted(
    provider: Provider, paths: tuple[Path, ...], word: str, values: Callable[[str], tuple[Value, ...]]
) -> Condition | None:
    """Return that *word* is at the first of *paths* where there is something."""

    def says(path: Path, value: Value) -> Says:
        return Says((provider.name, *_steps(path)), value)

    if any(_steps(path)[-1] == "*" for path in paths):
        return None
    found: list[Condition] = []
    for index, path in enumerate(paths):
        before = [Not(says(earlier, PRESENT)) for earlier in paths[:index]]
        found += [AllOf((says(path, value), *before)) for value in values(word)]
    return _any(found)


def _in_words(word: str) -> tuple[Value, ...]:
    return fits(f"(?:(?s:.*) )?{_quoted(word)}(?: (?s:.*))?"), has_member(exactly(word))


def _is_named(name: str) -> tuple[Value, ...]:
    return has_member(exactly(name)), exactly(name)


def _equal(wanted: object) -> Value:
    if isinstance(wanted, bool):
        return true_or_false(wanted)
    return number(wanted) if isinstance(wanted, int | float) else exactly(str(wanted))


def _all(conditions: Iterable[Condition | None]) -> Condition | None:
    listed = list(conditions)
    found = [condition for condition in listed if condition is not None]
    return AllOf(tuple(found)) if found and len(found) == len(listed) else None


def _any(conditions: Iterable[Condition | None]) -> Condition | None:
    found = [condition for condition in conditions if condition is not None]
    return AnyOf(tuple(found)) if found else None


def _one_of(texts: Iterable[str]) -> Value:
    listed = [exactly(text) for text in sorted(texts)]
    return listed[0] if len(listed) == 1 else is_one_of(*listed)


def _quoted(word: str) -> str:
    return re.sub(r"([^A-Za-z0-9_\x80-\U0010ffff])", r"\\\1", word)


def _steps(path: Path) -> tuple[str, ...]:
    return (path,) if isinstance(path, str) else path
