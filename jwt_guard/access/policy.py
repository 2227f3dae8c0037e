"""Request + Credentials → Allow or Deny: the policies, and how they combine.

A policy is any function ``(request, credentials) -> Decision``, or one that returns a flow of it.  Those
made here can also say of a request alone whether it may go without a token (``is_open``).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

from ..credentials import Credentials
from ..decision import Allow, Decision, Deny
from ..errors import InsufficientScope, Misconfigured, Unavailable
from ..flow import Flow
from ..messages import Request
from .description import FUNCTION, Description

__all__ = [
    "OfCredentials",
    "Policy",
    "all_of",
    "any_of",
    "anyone",
    "ask",
    "at_once",
    "authenticated",
    "claim",
    "described",
    "is_open",
    "is_scope",
    "is_settled",
    "is_settled_for",
    "none_of",
    "roles",
    "scopes",
]

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3: scope-token

_DECISIONS = (Allow, Deny)

Policy: TypeAlias = Callable[[Request, Credentials], "Decision | Flow[Decision]"]


def is_open(policy: Policy, request: Request) -> bool:
    """Say whether *policy* lets *request* in without a token; a plain function never does."""
    opens: Callable[[Request], object] | None = getattr(policy, "is_open", None)
    if opens is None:
        return False
    answer = opens(request)
    if not isinstance(answer, bool):  # a coroutine, say, is true whatever it would have found
        raise _no_answer("is_open answers True or False", answer)
    return answer


def ask(policy: Policy, request: Request, credentials: Credentials) -> Flow[Decision]:
    """Return what *policy* answers; TypeError for anything but a decision, ``True`` included."""
    answer = policy(request, credentials)
    if isinstance(answer, Generator):
        answer = yield from answer
    return _decision(answer)


def is_settled(policy: Policy) -> TypeGuard[OfCredentials]:
    """Say whether *policy* looks at nothing but credentials, and will say again of them what it once said."""
    return isinstance(policy, OfCredentials) and policy.is_settled


def described(policy: Policy) -> Description:
    """Return what *policy* asks for, as data, to be said in another language; of a function, that it is one."""
    said: object = getattr(policy, "described", FUNCTION)
    return said if isinstance(said, Description) else FUNCTION


def is_settled_for(policy: Policy, request: Request) -> bool:
    """Say whether what *policy* once said of credentials and *request* it will say again of both."""
    if isinstance(policy, OfCredentials):
        return policy.is_settled
    ask: Callable[[Request], bool] | None = getattr(policy, "is_settled_for", None)
    return ask is not None and ask(request)


def at_once(answer: object) -> Decision | None:
    """Return the decision in the *answer* of a policy where there is no need to wait for it, else None.

    TypeError for anything that is neither a decision nor a flow.
    """
    if isinstance(answer, Generator):
        try:
            next(answer)
        except StopIteration as stop:
            return _decision(stop.value)
        answer.close()
        return None
    return _decision(answer)


def _decision(answer: object) -> Decision:
    if isinstance(answer, _DECISIONS):
        return answer
    raise _no_answer("a policy answers Allow or Deny", answer)


def _no_answer(rule: str, answer: object) -> TypeError:
    if inspect.iscoroutine(answer):
        answer.close()  # nobody will await it
    return TypeError(f"{rule}, not {type(answer).__name__}")


@dataclass(frozen=True, slots=True)
class _Anyone:
    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        return Allow(credentials)

    def is_open(self, _request: Request) -> bool:
        return True

    @property
    def described(self) -> Description:
        return Description("anyone")


class OfCredentials:
    """A policy that looks at nothing but credentials, so that its :meth:`lets_in` can be asked alone."""

    __slots__ = ()

    @property
    def is_settled(self) -> bool:
        """Whether what it once said of credentials it will say again, so that its yes may be held; else it is asked."""
        return False

    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        """Return what :meth:`lets_in` says, as a decision."""
        return self.decision(credentials)

    def decision(self, credentials: Credentials) -> Decision:
        """Return the same without a request."""
        return Allow(credentials) if self.lets_in(credentials) else Deny(self.refusal())

    def lets_in(self, _credentials: Credentials) -> bool:
        """Say whether *credentials* are enough; all are, unless a kind of policy asks for more."""
        return True

    def refusal(self) -> InsufficientScope:
        """Return why they are not."""
        return InsufficientScope()


class _Settled(OfCredentials):
    __slots__ = ()

    @property
    def is_settled(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Authenticated(_Settled):
    @property
    def described(self) -> Description:
        return Description("authenticated")


@dataclass(frozen=True, slots=True)
class _Scopes(_Settled):
    required: frozenset[str]

    def lets_in(self, credentials: Credentials) -> bool:
        return self.required <= credentials.scopes

    def refusal(self) -> InsufficientScope:
        return InsufficientScope(self.required, "a scope is missing")

    @property
    def described(self) -> Description:
        return Description("scopes", names=self.required)


@dataclass(frozen=True, slots=True)
class _Roles(_Settled):
    required: frozenset[str]

    def lets_in(self, credentials: Credentials) -> bool:
        return self.required <= credentials.roles

    def refusal(self) -> InsufficientScope:
        return InsufficientScope(reason="a role is missing")

    @property
    def described(self) -> Description:
        return Description("roles", names=self.required)


@dataclass(frozen=True, slots=True)
class _Claim(OfCredentials):
    path: tuple[str, ...]
    fits: Callable[[Any], bool]
    described: Description = FUNCTION

    def lets_in(self, credentials: Credentials) -> bool:
        value: Any = credentials.claims
        for name in self.path:
            value = value.get(name) if hasattr(value, "get") else None
        fits = self.fits(value)
        if not isinstance(fits, bool):  # a coroutine, say, is true whatever it would have found
            raise _no_answer("the check of a claim answers True or False", fits)
        return fits

    def refusal(self) -> InsufficientScope:
        return InsufficientScope(reason=f"the claim {'.'.join(self.path)} does not allow it")


@dataclass(frozen=True, slots=True)
class _AllSettled(_Settled):
    policies: tuple[OfCredentials, ...]

    def lets_in(self, credentials: Credentials) -> bool:
        return all(policy.lets_in(credentials) for policy in self.policies)

    def decision(self, credentials: Credentials) -> Decision:
        decisions = (policy.decision(credentials) for policy in self.policies)
        return next((decision for decision in decisions if isinstance(decision, Deny)), Allow(credentials))

    @property
    def described(self) -> Description:
        return Description("all_of", parts=tuple(map(described, self.policies)))


@dataclass(frozen=True, slots=True)
class _AllOf:
    policies: tuple[Policy, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        for policy in self.policies:
            decision = yield from ask(policy, request, credentials)
            if isinstance(decision, Deny):
                return decision
        return Allow(credentials)

    def is_open(self, request: Request) -> bool:
        return all(is_open(policy, request) for policy in self.policies)

    @property
    def described(self) -> Description:
        return Description("all_of", parts=tuple(map(described, self.policies)))


@dataclass(frozen=True, slots=True)
class _AnyOf:
    policies: tuple[Policy, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        denials: list[Deny] = []
        for policy in self.policies:
            decision = yield from ask(policy, request, credentials)
            if isinstance(decision, Allow) or isinstance(decision.error, Unavailable):
                return decision
            denials.append(decision)
        return denials[0]

    def is_open(self, request: Request) -> bool:
        return any(is_open(policy, request) for policy in self.policies)

    @property
    def described(self) -> Description:
        return Description("any_of", parts=tuple(map(described, self.policies)))


@dataclass(frozen=True, slots=True)
class _NoneOf:
    policies: tuple[Policy, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        for policy in self.policies:
            decision = yield from ask(policy, request, credentials)
            if isinstance(decision, Allow):
                return Deny(InsufficientScope(reason="what must not hold holds"))
            if type(decision.error) is not InsufficientScope:
                return decision  # that says nothing about whether it holds
        return Allow(credentials)

    @property
    def described(self) -> Description:
        return Description("none_of", parts=tuple(map(described, self.policies)))


def anyone() -> Policy:
    """Let in who sends no token, and who sends a good one; a bad one is refused."""
    return _Anyone()


def authenticated() -> Policy:
    """Let in whoever has a good token."""
    return _Authenticated()


def is_scope(text: str) -> bool:
    """Say whether *text* is a scope-token (RFC 6749 §3.3), which a challenge can name."""
    return _SCOPE.fullmatch(text) is not None


def scopes(*names: str) -> Policy:
    """Let in a token with all of these scopes (RFC 6749 §3.3)."""
    required = _words("scopes", names)
    if not all(map(is_scope, required)):
        raise Misconfigured("scopes() needs scopes: printable ASCII without quotes and backslashes")
    return _Scopes(required)


def roles(*names: str) -> Policy:
    """Let in a token with all of these roles."""
    return _Roles(_words("roles", names, spaced=True))


def claim(
    *path: str, equals: object = None, contains: str | None = None, check: Callable[[Any], bool] | None = None
) -> Policy:
    """Let in a token whose claim at *path* equals a value, contains a text, or passes *check*: one of the three."""
    _words("claim", path)
    if sum(given is not None for given in (equals, contains, check)) != 1:
        raise Misconfigured("claim() takes one of equals, contains and check")
    if check is not None:
        if not callable(check):
            raise Misconfigured("claim(): check is a function")
        return _Claim(path, check)
    if contains is not None:
        if not isinstance(contains, str):
            raise Misconfigured("claim(): contains is a text")
        # Some issuers write a list of one as a text; a part of a text is never enough.
        return _Claim(
            path,
            lambda value: value == contains or (isinstance(value, tuple) and contains in value),
            Description("claim contains", path=path, value=contains),
        )
    if not isinstance(equals, str | int | float):
        raise Misconfigured("claim(): equals is a text, a number or a truth value")
    # 1 is 1.0, but not True
    return _Claim(
        path,
        lambda value: isinstance(value, bool) is isinstance(equals, bool) and value == equals,
        Description("claim equals", path=path, value=equals),
    )


def all_of(*policies: Policy) -> Policy:
    """Let in what every one lets in; the first refusal is the answer."""
    settled = tuple(policy for policy in _functions("all_of", policies) if is_settled(policy))
    return _AllSettled(settled) if len(settled) == len(policies) else _AllOf(policies)


def any_of(*policies: Policy) -> Policy:
    """Let in what one of them lets in; one that cannot tell makes the whole answer 503."""
    return _AnyOf(_functions("any_of", policies))


def none_of(*policies: Policy) -> Policy:
    """Let in a good token that none of them lets in; one that cannot tell is the answer."""
    return _NoneOf(_functions("none_of", policies))


def _words(what: str, names: tuple[str, ...], *, spaced: bool = False) -> frozenset[str]:
    if not names or not all(isinstance(name, str) and name == name.strip() != "" for name in names):
        raise Misconfigured(f"{what}() needs names, each a text that is not blank")
    if not spaced and any(" " in name for name in names):
        raise Misconfigured(f"{what}() takes each name by itself, not several with spaces between them")
    return frozenset(names)


def _functions(what: str, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not policies or not all(callable(policy) for policy in policies):
        raise Misconfigured(f"{what}() needs policies")
    return policies
