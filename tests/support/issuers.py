"""A profile and the claims of its issuer's documentation → whom a guard takes them for, or why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jwt_guard import Guard, Provider, fixed
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected, GuardError

from .keys import public_jwk
from .minting import ABSENT, HOUR, NOW, mint, refused, verdict

KEYS = fixed({"keys": [public_jwk("RS256", kid="a")]})
"""What the tokens of :func:`token` are signed with: RS256, as all these issuers have it."""
TIMES = {"iat": NOW - 60, "exp": NOW + HOUR}

JWT = {"typ": "JWT"}


class Who(NamedTuple):
    """Credentials without their claims."""

    user: str | None
    client: str | None
    scopes: set[str]
    roles: set[str]
    provider: str


def token(claims: Mapping[str, Any], header: Mapping[str, Any] | None = None, *, which: str = "a") -> str:
    """Return a token of RS256 with these *claims*, without those that are ABSENT."""
    there = {name: value for name, value in claims.items() if value is not ABSENT}
    return mint(there, header, alg="RS256", which=which)


def guarding(*providers: Provider) -> Guard:
    """Return a guard whose clock stands where the tokens are good."""
    return Guard(providers, clock=lambda: NOW)


def who(provider: Provider, claims: Mapping[str, Any], header: Mapping[str, Any] | None = JWT) -> Who:
    """Return whom *provider* takes *claims* for; fails where it does not take them."""
    found = verdict(guarding(provider), token(claims, header))

    assert isinstance(found, Credentials), f"{found}"
    return Who(found.user, found.client, set(found.scopes), set(found.roles), found.provider)


def why_not(provider: Provider, claims: Mapping[str, Any], header: Mapping[str, Any] | None = JWT) -> str:
    """Return the claim that *provider* refuses *claims* for, else the kind of error; fails where it takes them."""
    error: GuardError = refused(guarding(provider), token(claims, header))
    return error.claim if isinstance(error, ClaimRejected) else type(error).__name__
