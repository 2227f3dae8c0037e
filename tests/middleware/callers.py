"""A name → the header of a caller with a good token; and the guard that takes it."""

from __future__ import annotations

from functools import cache

from jwt_guard import Credentials, Guard, authenticated, current
from jwt_guard.access.policy import Policy
from tests.support.minting import claims, guard, mint

__all__ = ["HEADERS", "bearer", "guarding", "name", "whoever"]

HEADERS = list[tuple[str, bytes]]


@cache
def _token(user: str, scope: str) -> str:
    return mint(claims(sub=user, scope=scope), alg="HS256")


def bearer(user: str = "ada", scope: str = "orders:read") -> HEADERS:
    """Return what *user* sends."""
    return [("authorization", f"Bearer {_token(user, scope)}".encode())]


def guarding(policy: Policy | None = None) -> Guard:
    """Return a guard that takes it."""
    return guard("HS256", policy or authenticated())


def name(credentials: Credentials | None) -> str:
    """Return who that is, in a word."""
    return "nobody" if credentials is None else str(credentials.user)


def whoever() -> str:
    """Return whose request is being served here and now, in a word."""
    return name(current())
