"""Request + Credentials → Allow or Deny: the policies, and how they combine.

A policy is any function ``(request, credentials) -> Decision``, or one that returns a flow of it.  Those
made here can also say of a request alone whether it may go without a token (``is_open``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..credentials import Credentials
from ..decision import Allow, Decision, Deny
from ..errors import InsufficientScope, Misconfigured, Unavailable
from ..flow import Flow
from ..messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Policy",
    "all_of",
    "any_of",
    "anyone",
    "ask",
    "authenticated",
    "claim",
    "is_open",
    "none_of",
    "roles",
    "scopes",
]

Policy: TypeAlias = Callable[[Request, Credentials], "Decision | Flow[Decision]"]


def is_open(policy: Policy, request: Request) -> bool:
    """Say whether *policy* lets *request* in without a token; a plain function never does."""
    opens: Callable[[Request], bool] | None = getattr(policy, "is_open", None)
    return opens is not None and opens(request)


def ask(policy: Policy, request: Request, credentials: Credentials) -> Flow[Decision]:
    """Return what *policy* answers; TypeError for anything but a decision, ``True`` included."""
    answer = policy(request, credentials)
    if isinstance(answer, Allow | Deny):
        return answer
    if isinstance(answer, Generator):
        answer = yield from answer
        if isinstance(answer, Allow | Deny):
            return answer
    if hasattr(answer, "close"):
        answer.close()  # a coroutine that nobody will await
    message = f"a policy answers Allow or Deny, not {type(answer).__name__}"
    raise TypeError(message)


@dataclass(frozen=True, slots=True)
class _Anyone:
    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        return Allow(credentials)

    def is_open(self, _request: Request) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Authenticated:
    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        return Allow(credentials)


@dataclass(frozen=True, slots=True)
class _Scopes:
    required: frozenset[str]

    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        if self.required <= credentials.scopes:
            return Allow(credentials)
        return Deny(InsufficientScope(self.required, "a scope is missing"))


@dataclass(frozen=True, slots=True)
class _Roles:
    required: frozenset[str]

    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        if self.required <= credentials.roles:
            return Allow(credentials)
        return Deny(InsufficientScope(reason="a role is missing"))


@dataclass(frozen=True, slots=True)
class _Claim:
    path: tuple[str, ...]
    fits: Callable[[Any], bool]

    def __call__(self, _request: Request, credentials: Credentials) -> Decision:
        value: Any = credentials.claims
        for name in self.path:
            value = value.get(name) if hasattr(value, "get") else None
        if self.fits(value):
            return Allow(credentials)
        return Deny(InsufficientScope(reason=f"the claim {'.'.join(self.path)} does not allow it"))


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


@dataclass(frozen=True, slots=True)
class _AnyOf:
    policies: tuple[Policy, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        first: Deny | None = None
        for policy in self.policies:
            decision = yield from ask(policy, request, credentials)
            if isinstance(decision, Allow) or isinstance(decision.error, Unavailable):
                return decision
            first = first or decision
        return first or Deny(InsufficientScope())

    def is_open(self, request: Request) -> bool:
        return any(is_open(policy, request) for policy in self.policies)


@dataclass(frozen=True, slots=True)
class _NoneOf:
    policies: tuple[Policy, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        for policy in self.policies:
            decision = yield from ask(policy, request, credentials)
            if isinstance(decision, Allow):
                return Deny(InsufficientScope(reason="what must not hold holds"))
            if isinstance(decision.error, Unavailable):
                return decision
        return Allow(credentials)


def anyone() -> Policy:
    """Let in who sends no token, and who sends a good one; a bad one is refused."""
    return _Anyone()


def authenticated() -> Policy:
    """Let in whoever has a good token."""
    return _Authenticated()


def scopes(*names: str) -> Policy:
    """Let in a token with all of these scopes (RFC 6749 §3.3)."""
    return _Scopes(_words("scopes", names))


def roles(*names: str) -> Policy:
    """Let in a token with all of these roles."""
    return _Roles(_words("roles", names))


def claim(
    *path: str, equals: object = None, contains: str | None = None, check: Callable[[Any], bool] | None = None
) -> Policy:
    """Let in a token whose claim at *path* equals a value, contains a text, or passes *check*: one of the three."""
    _words("claim", path)
    if sum(given is not None for given in (equals, contains, check)) != 1:
        raise Misconfigured("claim() takes one of equals, contains and check")
    if check is not None:
        return _Claim(path, check)
    if contains is not None:
        return _Claim(path, lambda value: isinstance(value, tuple) and contains in value)
    return _Claim(path, lambda value: type(value) is type(equals) and value == equals)


def all_of(*policies: Policy) -> Policy:
    """Let in what every one lets in; the first refusal is the answer."""
    return _AllOf(_functions("all_of", policies))


def any_of(*policies: Policy) -> Policy:
    """Let in what one of them lets in; one that cannot tell makes the whole answer 503."""
    return _AnyOf(_functions("any_of", policies))


def none_of(*policies: Policy) -> Policy:
    """Let in a good token that none of them lets in; one that cannot tell makes the whole answer 503."""
    return _NoneOf(_functions("none_of", policies))


def _words(what: str, names: tuple[str, ...]) -> frozenset[str]:
    if not names or not all(isinstance(name, str) and name and " " not in name for name in names):
        raise Misconfigured(f"{what}() needs names, each a text without spaces that is not empty")
    return frozenset(names)


def _functions(what: str, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not policies or not all(callable(policy) for policy in policies):
        raise Misconfigured(f"{what}() needs policies")
    return policies
