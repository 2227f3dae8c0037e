"""Credentials → the moment at which their token is over, for connections that last longer than a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..credentials import Credentials
    from .guard import Guard
    from .provider import Provider

__all__ = ["good_until"]


def good_until(guard: Guard, credentials: Credentials) -> float:
    """Return until when *guard* would take the token of *credentials* again, in seconds since the epoch.

    That is its ``exp`` (RFC 7519 §4.1.4), or its ``iat`` and the provider's ``max_age`` where that is sooner, and
    the leeway of the provider.  Without an ``exp`` it is over already.
    """
    provider = _provider_of(guard, credentials)
    leeway = 0.0 if provider is None else provider.leeway
    most = None if provider is None else provider.max_age
    ends = [credentials.claims.get("exp", 0)]
    if most is not None:
        ends.append(credentials.claims.get("iat", 0) + most)
    return float(min(ends)) + leeway


def _provider_of(guard: Guard, credentials: Credentials) -> Provider | None:
    known = (*guard.providers, *(guard.resolver.kept if guard.resolver is not None else ()))
    return next((provider for provider in known if provider.name == credentials.provider), None)
