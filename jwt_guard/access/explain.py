"""A token and a guard → every check in turn: what is demanded, what was got, and what to do about it.

The guard stops at the first thing that does not hold; this goes on, with the guard's own parser, keys,
rules and policy, and asks nobody outside unless told to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ..decision import Allow
from ..errors import ClaimRejected, GuardError, InvalidToken, Unavailable, UnknownIssuer, shown
from ..tokens.compact import parse
from ..tokens.keys import Key, KeySet
from ..tokens.verify import check_key_issuer, check_signature
from . import advice
from .denylist import Denylist
from .explained import Explanation, Step, Verdict, within_reach
from .opaque import check_form, claims_of, is_opaque
from .policy import ask

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..flow import Flow
    from ..messages import Request
    from ..sources.introspection import Answer, Introspection
    from ..tokens.claims import Claims, Rule, Statement
    from ..tokens.compact import UnverifiedToken
    from ..tokens.verify import KeyIssuer
    from .guard import Guard
    from .provider import Provider
    from .remembered import Revocation

__all__ = ["Explanation", "Step", "Verdict", "explain"]

_SHOWABLE = ("iss", "aud", "exp", "nbf", "iat")  # what names no person
_DATES = ("exp", "nbf", "iat")


def explain(
    guard: Guard, text: str, *, now: float, request: Request | None = None, ask_issuers: bool = False
) -> Flow[Explanation]:
    """Return how *guard* sees the token *text* at *now*, and what it says to *request* with that token.

    Keys that are not at hand are asked for, and the token itself is shown to its issuer, only where *ask_issuers* says
    so.
    """
    if guard.opaque is not None and is_opaque(advice.bare(text)):
        return (yield from _opaque(guard, *guard.opaque, text, now=now, request=request, ask_issuers=ask_issuers))
    token, shape = _shape(guard, text)
    if token is None:
        return Explanation((shape,))
    provider, whose = yield from _provider(guard, token, ask_issuers=ask_issuers)
    steps = [shape, *whose]
    if provider is None:
        return Explanation(tuple(steps))
    steps += yield from _signed(provider, token, ask_issuers=ask_issuers)
    known_issuer = whose[0].verdict == "ok"
    steps += [_rule(rule, token, now) for rule in provider.rules if known_issuer or rule.about != "iss"]
    if provider.asked_about_jwts is not None:
        steps += yield from _asked_too(
            provider.asked_about_jwts, provider, text, steps, now=now, ask_issuers=ask_issuers
        )
    credentials, reading = _reading(provider, token)
    steps.append(reading)
    steps += yield from _decided(guard, credentials, request, token.kid, ask_issuers=ask_issuers)
    return Explanation(tuple(steps))


def _decided(
    guard: Guard,
    credentials: Credentials | None,
    request: Request | None,
    kid: str | None = None,
    *,
    ask_issuers: bool,
) -> Flow[list[Step]]:
    steps: list[Step] = []
    if guard.revoked is not None and not (isinstance(guard.revoked, Denylist) and guard.revoked.is_idle):
        steps.append((yield from _revoked(guard.revoked, credentials, kid, ask_issuers=ask_issuers)))
    if request is not None:
        steps.append((yield from _policy(guard, request, credentials, ask_issuers=ask_issuers)))
    return steps


# --- what only the issuer can say --------------------------------------------------------------------


def _opaque(  # noqa: PLR0913 - as above
    guard: Guard,
    provider: Provider,
    introspection: Introspection,
    text: str,
    *,
    now: float,
    request: Request | None,
    ask_issuers: bool,
) -> Flow[Explanation]:
    plain, shape = _opaque_shape(guard, text)
    if plain is None:
        return Explanation((shape,))
    answer, asked = yield from _introspected(introspection, provider, plain, now=now, ask_issuers=ask_issuers)
    if answer is None:
        return Explanation((shape, asked))
    statement = claims_of(answer.values)
    steps = [shape, asked, *(_rule(rule, statement, now) for rule in provider.of_answers)]
    credentials, reading = _reading(provider, statement)
    steps.append(reading)
    steps += yield from _decided(guard, credentials, request, ask_issuers=ask_issuers)
    return Explanation(tuple(steps))


def _opaque_shape(guard: Guard, text: str) -> tuple[str | None, Step]:
    demand, plain = (
        "it is an opaque token: not three parts, and no characters that a token does not have",
        advice.bare(text),
    )
    try:
        check_form(text, guard.limits.token)
    except InvalidToken as error:
        step = Step("shape", demand, "failed", None, str(error), advice.about_text(text, guard.limits))
    else:
        return text, Step("shape", demand, "ok")
    try:
        check_form(plain, guard.limits.token)
    except InvalidToken:
        return None, step
    words = "Leave out what was copied along with it. What follows is about the token without that."
    return plain, replace(step, advice=words)


def _introspected(
    introspection: Introspection, provider: Provider, text: str, *, now: float, ask_issuers: bool
) -> Flow[tuple[Answer | None, Step]]:
    demand = f"the issuer of {provider.name} says that it is active"
    unchecked = Step("introspection", demand, "not checked")
    try:
        answer = introspection.known(text)
        if answer is None:
            answer = yield from within_reach(introspection.ask(text, now), ask_issuers=ask_issuers)
    except GuardError as error:
        words = "Get a new token: this one is over, was taken back, or is of another issuer."
        if isinstance(error, Unavailable):
            words = (
                "Look whether the endpoint can be reached from here, knows this client by this secret or key, and is "
                "for tokens of this kind."
            )
        return None, replace(unchecked, verdict="failed", got=str(error), advice=words)
    if answer is None:
        return None, replace(unchecked, advice="The token was not shown to its issuer: allow that to have it checked.")
    return answer, replace(unchecked, verdict="ok")


def _asked_too(  # noqa: PLR0913 - as above
    introspection: Introspection,
    provider: Provider,
    text: str,
    steps: list[Step],
    *,
    now: float,
    ask_issuers: bool,
) -> Flow[list[Step]]:
    """Ask the issuer about a signed token, as the guard does: only where all the rest holds."""
    good = all(step.verdict == "ok" for step in steps)
    plain = advice.bare(text)
    answer, asked = yield from _introspected(introspection, provider, plain, now=now, ask_issuers=ask_issuers and good)
    if answer is None:
        return [asked]
    return [asked, *(_rule(rule, claims_of(answer.values), now) for rule in provider.about_jwts)]


# --- one check after the other -----------------------------------------------------------------------


def _shape(guard: Guard, text: str) -> tuple[UnverifiedToken | None, Step]:
    demand = "it is a signed token in three parts"
    try:
        return parse(text, guard.limits), Step("shape", demand, "ok")
    except InvalidToken as error:
        step = Step("shape", demand, "failed", None, str(error), advice.about_text(text, guard.limits))
    try:
        return parse(advice.bare(text), guard.limits), step
    except InvalidToken:
        return None, step


def _provider(guard: Guard, token: UnverifiedToken, *, ask_issuers: bool) -> Flow[tuple[Provider | None, list[Step]]]:
    """Return the provider that the token is measured by, also where its issuer is only nearly the right one."""
    known = sorted(issuer for provider in guard.providers for issuer in provider.issuers)
    expected = " or ".join(map(shown, known)) or None
    whose = Step("issuer", "a provider has this issuer", "ok", expected, shown(token.issuer))
    named = (each for each in guard.providers if isinstance(token.issuer, str) and token.issuer in each.issuers)
    provider = next(named, None)
    try:
        if provider is None:
            provider = yield from _resolved(guard, token, ask_issuers=ask_issuers)
            if provider is None:
                words = "The resolver asks somebody outside: allow that to have the token checked."
                return None, [replace(whose, verdict="not checked", advice=words)]
    except Unavailable as error:
        return None, [replace(whose, verdict="failed", got=str(error), advice="See what the resolver asks.")]
    except UnknownIssuer as error:
        whose = replace(whose, verdict="failed", advice=advice.about_issuer(error.issuer, known))
        provider = _likely(guard, error.issuer)
        if provider is None:
            return None, [whose]
    demand = f"the algorithm is one that {provider.name} may use"
    how = Step("algorithm", demand, "ok", ", ".join(sorted(provider.allowed)), shown(token.alg))
    if token.alg not in provider.allowed:
        how = replace(how, verdict="failed", advice=advice.about_algorithm(token.alg, provider.allowed))
    return provider, [whose, how]


def _resolved(guard: Guard, token: UnverifiedToken, *, ask_issuers: bool) -> Flow[Provider | None]:
    """Return the provider that the resolver has, or None where it would have to ask somebody outside and may not."""
    if guard.resolver is None:
        raise UnknownIssuer(token.issuer)
    return (yield from within_reach(guard.resolver.provider_for(token.issuer), ask_issuers=ask_issuers))


def _likely(guard: Guard, issuer: object) -> Provider | None:
    """Return the provider that was probably meant: the one whose issuer is nearly this, or the only one."""
    if isinstance(issuer, str):
        for provider in guard.providers:
            if any(advice.difference(issuer, known) for known in provider.issuers):
                return provider
    return guard.providers[0] if len(guard.providers) == 1 else None


def _signed(provider: Provider, token: UnverifiedToken, *, ask_issuers: bool) -> Flow[list[Step]]:
    demand, signed = "the key that the token means is there", "that key signed the token"
    got = f"kid {shown(token.kid)}"
    unchecked = Step("signature", signed, "not checked")
    try:
        found = provider.source(token)
        key = found if isinstance(found, Key) else (yield from within_reach(found, ask_issuers=ask_issuers))
    except GuardError as error:
        keys = getattr(provider.source, "keys", None)
        words = advice.about_key(error, keys if isinstance(keys, KeySet) else None)
        return [Step("key", demand, "failed", str(error), got, words), unchecked]
    if key is None:
        words = "The issuer was not asked for its keys: allow that to have the signature checked."
        return [Step("key", demand, "not checked", None, got, words), unchecked]
    there = Step("key", demand, "ok", None, got)
    try:
        check_signature(token, key)
    except InvalidToken as error:
        words = advice.about_signature(token.signature)
        return [there, Step("signature", signed, "failed", None, str(error), words)]
    steps = [there, Step("signature", signed, "ok")]
    return steps if provider.key_issuer is None else [*steps, _key_issuer(token, key, provider.key_issuer)]


def _key_issuer(token: UnverifiedToken, key: Key, key_issuer: KeyIssuer) -> Step:
    demand, got = "the key is one for this issuer's tokens", shown(key.issuer)
    try:
        check_key_issuer(token, key, key_issuer)
    except InvalidToken:
        words = "The set of keys says that this key is for another issuer: get a token from the one that is meant."
        return Step("key issuer", demand, "failed", shown(token.issuer), got, words)
    return Step("key issuer", demand, "ok", None, got)


def _rule(rule: Rule, token: Statement, now: float) -> Step:
    if rule.about == "typ":
        got = shown(token.header.typ)
    elif rule.about in _SHOWABLE and rule.about in token.values:
        got = _with_distance(rule.about, token.values[rule.about], now)
    else:
        got = None
    try:
        rule.holds_until(token, now)
    except ClaimRejected as error:
        expected = None if error.expected is None else shown(error.expected)
        if error.got is not None:
            got = _with_distance(error.claim, error.got, now)
        words = advice.about_claim(error, cast("UnverifiedToken", token), now)
        return Step(rule.about, rule.demand, "failed", expected, got or str(error), words)
    return Step(rule.about, rule.demand, "ok", None, got)


def _with_distance(claim: str, value: object, now: float) -> str:
    distance = advice.ago(value, now) if claim in _DATES else ""
    return f"{shown(value)} ({distance})" if distance else shown(value)


def _reading(provider: Provider, token: Statement) -> tuple[Credentials | None, Step]:
    demand = "the claims say who it is and what is allowed"
    try:
        # Nobody may have vouched for these: they are read to be shown, and let nobody in.
        credentials = provider.read(cast("Claims", token), provider.name)
    except ClaimRejected as error:
        words = advice.about_claim(error, cast("UnverifiedToken", token), 0)
        return None, Step("reading", demand, "failed", None, str(error), words)
    scopes, roles = sorted(credentials.scopes), sorted(credentials.roles)
    got = f"user {shown(credentials.user)}, client {shown(credentials.client)}, scopes {shown(' '.join(scopes))}"
    if roles:
        got += f", roles {shown(roles)}"
    return credentials, Step("reading", demand, "ok", None, got)


def _revoked(revoked: Revocation, credentials: Credentials | None, kid: str | None, *, ask_issuers: bool) -> Flow[Step]:
    demand = "it was not taken back"
    if credentials is None:
        return Step("revocation", demand, "not checked")
    is_revoked: bool | None
    if isinstance(revoked, Denylist):
        try:
            is_revoked = yield from within_reach(revoked.asked(credentials, kid), ask_issuers=ask_issuers)
        except Unavailable as error:
            return Step("revocation", demand, "failed", None, str(error), "See whether the store can be reached.")
    else:
        is_revoked = revoked(credentials)
    if is_revoked is None:
        words = "The store was not asked: allow that to have the token checked."
        return Step("revocation", demand, "not checked", advice=words)
    if is_revoked:
        return Step("revocation", demand, "failed", advice="Get a new token, if whoever it names may still have one.")
    return Step("revocation", demand, "ok")


def _policy(guard: Guard, request: Request, credentials: Credentials | None, *, ask_issuers: bool) -> Flow[Step]:
    demand = f"{shown(request.method)} {shown(request.path)} is allowed"
    if credentials is None:
        return Step("policy", demand, "not checked")
    decision = yield from within_reach(ask(guard.policy, request, credentials), ask_issuers=ask_issuers)
    if decision is None:
        words = "The policy asks somebody outside: allow that to have it checked."
        return Step("policy", demand, "not checked", advice=words)
    if isinstance(decision, Allow):
        return Step("policy", demand, "ok")
    error = decision.error
    required: frozenset[str] = getattr(error, "required", frozenset())
    expected = shown(" ".join(sorted(required))) if required else None
    return Step("policy", demand, "failed", expected, str(error), advice.about_decision(error, credentials))
