"""A token and a guard → every check in turn: what is demanded, what was got, and what to do about it.

The guard stops at the first thing that does not hold; this goes on, with the guard's own parser, keys,
rules and policy, and asks nobody outside unless told to.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from ..decision import Allow
from ..errors import ClaimRejected, GuardError, InvalidToken, Unavailable, UnknownIssuer, shown
from ..flow import Call, Later
from ..tokens.compact import parse
from ..tokens.keys import Key, KeySet
from ..tokens.verify import check_key_issuer, check_signature
from . import advice
from .policy import ask

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..flow import Flow
    from ..messages import Request
    from ..tokens.claims import Claims, Rule
    from ..tokens.compact import UnverifiedToken
    from ..tokens.verify import KeyIssuer
    from .guard import Guard
    from .provider import Provider
    from .remembered import Revocation

__all__ = ["Explanation", "Step", "Verdict", "explain"]

T = TypeVar("T")
Verdict: TypeAlias = Literal["ok", "failed", "not checked"]

_SHOWABLE = ("iss", "aud", "exp", "nbf", "iat")  # what names no person
_DATES = ("exp", "nbf", "iat")


@dataclass(frozen=True, slots=True)
class Step:
    """One check, and how it went."""

    about: str
    """What was looked at: ``shape``, ``issuer``, a claim, …"""
    demand: str
    """What must hold."""
    verdict: Verdict
    expected: str | None = None
    got: str | None = None
    advice: str | None = None
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every check in turn."""

    steps: tuple[Step, ...]

    @property
    def verdict(self) -> Verdict:
        """``failed`` if one step did, else ``not checked`` if one was not, else ``ok``."""
        verdicts = {step.verdict for step in self.steps}
        return "failed" if "failed" in verdicts else "not checked" if "not checked" in verdicts else "ok"


def explain(
    guard: Guard, text: str, *, now: float, request: Request | None = None, ask_issuers: bool = False
) -> Flow[Explanation]:
    """Return how *guard* sees the token *text* at *now*, and what it says to *request* with that token.

    Keys that are not at hand are asked for only where *ask_issuers* says so.
    """
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
    credentials, reading = _reading(provider, token)
    steps.append(reading)
    if guard.revoked is not None:
        steps.append(_revoked(guard.revoked, credentials))
    if request is not None:
        steps.append((yield from _policy(guard, request, credentials, ask_issuers=ask_issuers)))
    return Explanation(tuple(steps))


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
    return (yield from _within_reach(guard.resolver.provider_for(token.issuer), ask_issuers=ask_issuers))


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
        key = found if isinstance(found, Key) else (yield from _within_reach(found, ask_issuers=ask_issuers))
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


def _rule(rule: Rule, token: UnverifiedToken, now: float) -> Step:
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
        words = advice.about_claim(error, token, now)
        return Step(rule.about, rule.demand, "failed", expected, got or str(error), words)
    return Step(rule.about, rule.demand, "ok", None, got)


def _with_distance(claim: str, value: object, now: float) -> str:
    distance = advice.ago(value, now) if claim in _DATES else ""
    return f"{shown(value)} ({distance})" if distance else shown(value)


def _reading(provider: Provider, token: UnverifiedToken) -> tuple[Credentials | None, Step]:
    demand = "the claims say who it is and what is allowed"
    try:
        # Nobody may have vouched for these: they are read to be shown, and let nobody in.
        credentials = provider.read(cast("Claims", token), provider.name)
    except ClaimRejected as error:
        words = advice.about_claim(error, token, 0)
        return None, Step("reading", demand, "failed", None, str(error), words)
    scopes, roles = sorted(credentials.scopes), sorted(credentials.roles)
    got = f"user {shown(credentials.user)}, client {shown(credentials.client)}, scopes {shown(' '.join(scopes))}"
    if roles:
        got += f", roles {shown(roles)}"
    return credentials, Step("reading", demand, "ok", None, got)


def _revoked(revoked: Revocation, credentials: Credentials | None) -> Step:
    demand = "it was not taken back"
    if credentials is None:
        return Step("revocation", demand, "not checked")
    if revoked(credentials):
        return Step("revocation", demand, "failed", advice="Get a new token, if whoever it names may still have one.")
    return Step("revocation", demand, "ok")


def _policy(guard: Guard, request: Request, credentials: Credentials | None, *, ask_issuers: bool) -> Flow[Step]:
    demand = f"{shown(request.method)} {shown(request.path)} is allowed"
    if credentials is None:
        return Step("policy", demand, "not checked")
    decision = yield from _within_reach(ask(guard.policy, request, credentials), ask_issuers=ask_issuers)
    if decision is None:
        words = "The policy asks somebody outside: allow that to have it checked."
        return Step("policy", demand, "not checked", advice=words)
    if isinstance(decision, Allow):
        return Step("policy", demand, "ok")
    error = decision.error
    required: frozenset[str] = getattr(error, "required", frozenset())
    expected = shown(" ".join(sorted(required))) if required else None
    return Step("policy", demand, "failed", expected, str(error), advice.about_decision(error, credentials))


def _within_reach(flow: Flow[T], *, ask_issuers: bool) -> Flow[T | None]:
    """Return what *flow* returns, or None where it would have to ask somebody outside and may not."""
    with closing(flow):
        step: Any = flow.send
        argument: Any = None
        while True:
            try:
                need = step(argument)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if ask_issuers or (isinstance(need, Call) and not need.blocking):
                try:
                    step, argument = flow.send, (yield need)
                except Exception as error:  # noqa: BLE001 - the flow decides what its needs' failures mean
                    step, argument = flow.throw, error
            elif isinstance(need, Later):
                step, argument = flow.send, None  # nobody waits for it, so nobody misses it
            else:
                return None
