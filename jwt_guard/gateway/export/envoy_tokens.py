"""A provider → what Envoy's ``jwt_authn`` is told of it, and the rules of ours that RBAC has to add to it.

That filter looks at signature, issuer and times.  It takes tokens of any ``typ``, with ``crit``, from the future, and
audiences that are only alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, cast

from ...flow import Trust
from ...sources.fixed import FixedKeys
from ...tokens.algorithms import HMAC
from ...tokens.claims import ACCESS_TOKEN_TYPES
from ...tokens.compact import media_type
from .cel import (
    FALSE,
    METADATA,
    NOW,
    TRUE,
    Cel,
    all_hold,
    any_holds,
    at,
    at_most,
    chosen,
    equal,
    has,
    less,
    method,
    negated,
    number,
    of_type,
    size,
    text,
    whole,
)
from .envoy_policy import first_of

if TYPE_CHECKING:
    from ...access.provider import Provider

__all__ = [
    "ALGORITHMS",
    "OTHER_KINDS",
    "TEXTS",
    "WORDS",
    "claims_of",
    "header_named",
    "is_verified",
    "leeway",
    "rules",
    "why_not",
    "without_kid",
]

ALGORITHMS: Final = frozenset((
    *HMAC, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
))  # fmt: skip
"""Those that Envoy knows."""
TEXTS: Final = ("sub", "azp", "client_id", "jti", "sid", "acr")
WORDS: Final = ("scope", "scp")
_NO_CONTROL: Final = r"[^\x00-\x1f\x7f-\x{9f}]"
_LAST_DATE: Final = 253_402_300_799
OTHER_KINDS: Final = ("at_hash", "c_hash", "hti-version", "events", "htm", "htu")
_OF_ACCESS_TOKENS: Final = ("azp", "client_id", "cid", "scope", "scp")
_KEYCLOAK_KINDS: Final = ("id", "refresh", "offline", "logout")
_LONGEST_KID: Final = 1_024
_MEANINGS: Final = ("has", "one_of", "access_token")


def why_not(provider: Provider) -> str | None:
    """Return why Envoy cannot judge the tokens of *provider* alone, None where it can."""
    if not provider.has_lasting_keys:
        return "its keys are made for each token, or come from a function (salt)"
    if provider.introspection is not None:
        return "its issuer is asked about tokens (introspection)"
    if provider.once is not None:
        return "each of its tokens counts once"
    if provider.key_issuer is not None:
        return "its key set is shared by several issuers"
    if not provider.allowed & ALGORITHMS:
        return f"Envoy knows none of its algorithms ({', '.join(sorted(provider.allowed))})"
    if provider.algorithms is not None and not provider.allowed <= ALGORITHMS:
        return f"Envoy does not know {', '.join(sorted(provider.allowed - ALGORITHMS))}"
    if getattr(getattr(provider.source, "settings", None), "trust", Trust()).proxy is not None:
        return "its keys are fetched through a proxy"
    unsaid = [rule for rule in (provider.kind, *provider.extra_rules) if rule is not None and not _is_said(rule.means)]
    if unsaid:
        return f"it has a rule about {unsaid[0].about} that Envoy has no words for"
    return None


def _is_said(means: tuple[object, ...]) -> bool:
    return bool(means) and means[0] in _MEANINGS


def claims_of(provider: Provider) -> Cel:
    """Return the claims of a token that was verified with the keys of *provider*."""
    return at(METADATA, provider.name)


def header_named(provider: Provider) -> str:
    """Return where the header of such a token is."""
    return f"{provider.name} header"


def header_of(provider: Provider) -> Cel:
    """Return its header."""
    return at(METADATA, header_named(provider))


def is_verified(provider: Provider) -> Cel:
    """Say whether a token of *provider* was verified."""
    return has(METADATA, provider.name)


def without_kid(provider: Provider) -> frozenset[str]:
    """Return the algorithms with which a token may do without ``kid``: those of which it can mean one key only.

    Envoy tries one key after another.  What an issuer publishes is not known here; there any of its keys will do.
    """
    algorithms = provider.allowed & ALGORITHMS
    source = provider.source
    if not isinstance(source, FixedKeys):
        return algorithms
    return frozenset(alg for alg in algorithms if source.keys.find(None, alg) is not None)


def rules(provider: Provider) -> Cel:
    """Return the condition that a token was verified with the keys of *provider*, and that all of its rules hold."""
    claims, header = claims_of(provider), header_of(provider)
    parts = (*_of_header(provider, header), *_of_types(claims), *_of_times(provider, claims))
    kind = ("access_token", (), ()) if provider.kind is None else provider.kind.means
    meanings = (kind, *(("has", (name,)) for name in provider.required), *(rule.means for rule in provider.extra_rules))
    said = (condition for means in meanings for condition in _meant(means, claims, header))
    return all_hold(is_verified(provider), *parts, _audience(provider, claims), *said, *_of_names(provider, claims))


# --- the header ------------------------------------------------------------------------------------------------------


def _of_header(provider: Provider, header: Cel) -> Iterator[Cel]:
    yield any_holds(*(equal(at(header, "alg"), text(alg)) for alg in sorted(provider.allowed & ALGORITHMS)))
    for name in ("crit", "b64", "zip"):
        yield negated(has(header, name))
    another = method(at(header, "cty"), "matches", text("^(?i:(?:application/)?jwt)$"))
    yield _if_there(  # RFC 7519 §5.2: else it is a token within a token
        header,
        "cty",
        lambda cty: any_holds(of_type(cty, "null_type"), all_hold(of_type(cty, "string"), negated(another))),
    )
    nameless = any_holds(*(equal(at(header, "alg"), text(alg)) for alg in sorted(without_kid(provider))))
    kid = at(header, "kid")
    short = all_hold(of_type(kid, "string"), less(whole(0), size(kid)), at_most(size(kid), whole(_LONGEST_KID)))
    yield chosen(has(header, "kid"), short, nameless)
    types = frozenset(map(media_type, ACCESS_TOKEN_TYPES if provider.typ is None else provider.typ))
    named = [name for name in types if name is not None]
    typed = _is_one_of_types(at(header, "typ"), named)
    yield chosen(has(header, "typ"), typed, TRUE if None in types else FALSE)


def _is_one_of_types(typ: Cel, names: list[str]) -> Cel:
    """Say whether *typ* is one of the media types *names*, whatever its case (RFC 7515 §4.1.9)."""
    named = method(typ, "matches", text(f"^{_types_expression(names)}$"))
    return all_hold(of_type(typ, "string"), named) if names else FALSE


def _types_expression(names: list[str]) -> str:
    """Return the expression of the media types *names*."""
    return f"(?i:(?:application/)?(?:{'|'.join(_quoted(name) for name in sorted(names))}))"


def _quoted(name: str) -> str:
    return "".join(char if char.isalnum() or ord(char) > 127 else f"\\{char}" for char in name)  # noqa: PLR2004 - ASCII


# --- the claims ------------------------------------------------------------------------------------------------------


def _of_types(claims: Cel) -> Iterator[Cel]:
    for name in TEXTS:
        yield _if_there(claims, name, lambda value: of_type(value, "string"))
    for name in WORDS:
        yield _if_there(claims, name, lambda value: of_type(value, "string", "list"))
    yield negated(has(claims, "cnf"))


def _of_times(provider: Provider, claims: Cel) -> Iterator[Cel]:
    def now_is_after(name: str) -> Cel:
        return at_most(_sum(at(claims, name), -provider.leeway), NOW)

    expires = all_hold(_is_date(at(claims, "exp")), less(NOW, _sum(at(claims, "exp"), provider.leeway)))
    yield chosen(has(claims, "exp"), expires, TRUE if provider.exp_may_be_missing else FALSE)
    yield _if_there(claims, "nbf", lambda value: all_hold(_is_date(value), now_is_after("nbf")))
    yield _if_there(claims, "iat", lambda value: all_hold(_is_date(value), now_is_after("iat")))
    yield _if_there(claims, "auth_time", _is_date)
    if provider.max_age is not None:
        yield all_hold(has(claims, "iat"), less(NOW, _sum(at(claims, "iat"), provider.max_age + provider.leeway)))


def _is_date(value: Cel) -> Cel:
    return all_hold(of_type(value, "double"), at_most(number(0), value), at_most(value, number(_LAST_DATE)))


def _sum(value: Cel, seconds: float) -> Cel:
    return {"call_expr": {"function": "_+_", "args": [value, number(seconds)]}}


def _audience(provider: Provider, claims: Cel) -> Cel:
    """Envoy takes a scheme and a last slash off both audiences before it compares them, so they are compared again."""
    names = sorted((provider.audience,) if isinstance(provider.audience, str) else provider.audience)
    claim = provider.audience_claim
    value = at(claims, claim)
    among = any_holds(*(has(value, name) for name in names))
    named = chosen(of_type(value, "string"), any_holds(*(equal(value, text(name)) for name in names)), among)
    registered = _if_there(claims, "aud", lambda other: of_type(other, "string", "list"))
    return all_hold(has(claims, claim), of_type(value, "string", "list"), named, registered)


def _of_names(provider: Provider, claims: Cel) -> Iterator[Cel]:
    """Yield that the claims that say who and what are of a kind that can be read (see ``access/identity.py``)."""
    names = provider.claims
    for paths in (names.user, names.client):
        if paths:
            yield first_of(paths, claims, _is_name, TRUE)
    for paths in (names.scopes, names.roles):
        if paths:
            yield first_of(paths, claims, _are_names, TRUE)


def _is_name(value: Cel, _listed: str) -> Cel:
    def one(name: Cel) -> Cel:
        return all_hold(of_type(name, "string"), method(name, "matches", text(f"^{_NO_CONTROL}+$")))

    first = {"call_expr": {"function": "_[_]", "args": [value, whole(0)]}}
    return chosen(of_type(value, "list"), all_hold(equal(size(value), whole(1)), one(cast("Cel", first))), one(value))


def _are_names(value: Cel, listed: str) -> Cel:
    """Say whether *value* is a text of names, or a list; what is in a list, other matchers can say, and this cannot."""
    clean = all_hold(of_type(value, "string"), method(value, "matches", text(f"^{_NO_CONTROL}*$")))
    return chosen(of_type(value, listed), negated(has(value, "")), clean)


# --- what rules mean -------------------------------------------------------------------------------------------------


def _meant(means: tuple[object, ...], claims: Cel, header: Cel) -> Iterator[Cel]:
    match means:
        case ("has", tuple(names)):
            yield any_holds(*(_is_there(claims, str(name)) for name in names))
        case ("one_of", str(claim), frozenset(values)):
            same = any_holds(*(equal(at(claims, claim), text(str(value))) for value in sorted(map(str, values))))
            yield all_hold(has(claims, claim), of_type(at(claims, claim), "string"), same)
        case ("access_token", tuple(known_by), tuple(never)):
            says_so = all_hold(has(header, "typ"), _is_one_of_types(at(header, "typ"), ["at+jwt"]))
            yield any_holds(says_so, _access_token(claims, tuple(map(str, known_by)), tuple(map(str, never))))
        case _:
            yield FALSE


def _access_token(claims: Cel, known_by: tuple[str, ...], never: tuple[str, ...]) -> Cel:
    """Return that nothing in *claims* says that they are of another kind than an access token (RFC 8725 §3.12)."""
    typ, use = at(claims, "typ"), at(claims, "token_use")
    another = method(typ, "matches", text(f"^(?i:{'|'.join(_KEYCLOAK_KINDS)})$"))
    conditions = [negated(has(claims, name)) for name in (*OTHER_KINDS, *never)]
    conditions += [has(claims, name) for name in known_by]
    conditions.append(
        _if_there(
            claims,
            "typ",
            lambda _: any_holds(of_type(typ, "null_type"), all_hold(of_type(typ, "string"), negated(another))),
        )
    )
    conditions.append(
        _if_there(claims, "token_use", lambda _: all_hold(of_type(use, "string"), equal(use, text("access"))))
    )
    if not known_by:
        conditions.append(_if_there(claims, "nonce", lambda _: _is_for_no_login(claims)))
    conditions.append(_if_there(claims, "sub", lambda sub: negated(equal(sub, at(claims, "iss")))))
    return all_hold(*conditions)


def _is_for_no_login(claims: Cel) -> Cel:
    party, audience = at(claims, "azp"), at(claims, "aud")
    alone = all_hold(of_type(audience, "list"), equal(size(audience), whole(1)), _contains(audience, party))
    own = all_hold(has(claims, "azp"), has(claims, "aud"), any_holds(equal(audience, party), alone))
    return all_hold(any_holds(*(has(claims, name) for name in _OF_ACCESS_TOKENS)), negated(own))


def _contains(listed: Cel, item: Cel) -> Cel:
    return {"call_expr": {"function": "@in", "args": [item, listed]}}


def _is_there(claims: Cel, name: str) -> Cel:
    """Say whether the claim is there, and neither null nor empty."""
    value = at(claims, name)
    filled = all_hold(of_type(value, "string", "list", "map"), less(whole(0), size(value)))
    return all_hold(has(claims, name), any_holds(of_type(value, "double", "bool"), filled))


def _if_there(of: Cel, name: str, holds: Callable[[Cel], Cel]) -> Cel:
    return any_holds(negated(has(of, name)), holds(at(of, name)))


def leeway(provider: Provider) -> int:
    """Return the seconds of leeway that the filter is given: more than ours, which are reckoned exactly by the rules.

    The filter takes 0 for 60.
    """
    return math.ceil(provider.leeway) + 1
