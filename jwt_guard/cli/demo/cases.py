"""What is sent, and what must come back: the demo as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .tokens import Cast

__all__ = ["OPEN_SHOP", "WITHOUT_ISSUER", "Case", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client is told, in short."""

    status: int
    words: str
    """Who was let in, or the error code."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and the verdict that must come back at every door."""

    what: str
    """What was sent, in words."""
    authorization: Callable[[Cast], tuple[str, ...]]
    """The values of its Authorization headers."""
    expected: Verdict
    method: str = "GET"
    path: str = "/orders"


def bearer(make: Callable[[Cast], str]) -> Callable[[Cast], tuple[str, ...]]:
    """Return a function that sends the token of *make* as it should be sent."""
    return lambda cast: (f"Bearer {make(cast)}",)


def nothing(_cast: Cast) -> tuple[str, ...]:
    """Send no token."""
    return ()


_ADA = Verdict(200, "ada, through webshop")
_ANYBODY = Verdict(200, "anybody")
_NO_TOKEN = Verdict(401, "a token is needed")
_MALFORMED = Verdict(400, "invalid_request")
_INVALID = Verdict(401, "invalid_token")
_NOT_ENOUGH = Verdict(403, "insufficient_scope")
_LATER = Verdict(503, "come back later")

OPEN_SHOP = (
    Case("a good token", bearer(Cast.good), _ADA),
    Case("a good token of a program", bearer(Cast.machine), Verdict(200, "the client nightly-report")),
    Case(
        "a good token with both scopes",
        bearer(lambda cast: cast.good(scope="orders:read orders:write")),
        _ADA,
        "POST",
    ),
    Case("no token", nothing, _NO_TOKEN),
    Case("no token, open route", nothing, _ANYBODY, path="/health"),
    Case("another scheme", lambda _: ("Basic YWRhOmxvdmVsYWNl",), _NO_TOKEN),
    Case("two Authorization headers", lambda cast: 2 * (f"Bearer {cast.good()}",), _MALFORMED),
    Case("expired", bearer(Cast.expired), _INVALID),
    Case("expired, open route", bearer(Cast.expired), _INVALID, path="/health"),
    Case("without an expiry", bearer(lambda cast: cast.good(exp=None)), _INVALID),
    Case("not valid yet", bearer(Cast.not_yet), _INVALID),
    Case("for another API", bearer(lambda cast: cast.good(aud="billing-api")), _INVALID),
    Case("an ID token", bearer(Cast.id_token), _INVALID),
    Case("by another issuer", bearer(Cast.by_stranger), _INVALID),
    Case("a stranger's key, known kid", bearer(Cast.by_foreign_key), _INVALID),
    Case("... and key in its own header", bearer(Cast.with_own_key), _INVALID),
    Case("a stranger's key, unknown kid", bearer(Cast.by_unknown_key), _INVALID),
    Case("tampered: one scope more", bearer(Cast.tampered), _INVALID),
    Case("alg none", bearer(Cast.unsigned), _INVALID),
    Case("HS256 with the public key", bearer(Cast.by_public_key), _INVALID),
    Case("garbage", bearer(lambda _: "garbage"), _INVALID),
    Case("20,000 characters", bearer(lambda _: 20_000 * "A"), _INVALID),
    Case("good, but a scope is missing", bearer(Cast.good), _NOT_ENOUGH, "POST"),
    Case("good, but no route leads there", bearer(Cast.good), _NOT_ENOUGH, path="/admin"),
    Case("good, but not this method", bearer(Cast.good), Verdict(405, "allowed: GET, HEAD, POST"), "DELETE"),
)
"""While the issuer is there."""

WITHOUT_ISSUER = (
    Case("a good token, by a known key", bearer(Cast.good), _ADA),
    Case("a good token, by the key before", bearer(Cast.old), _ADA),
    Case("unknown kid, could be good", bearer(Cast.by_unknown_key), _LATER),
    Case("unknown kid, expired anyway", bearer(lambda cast: cast.by_unknown_key(expired=True)), _INVALID),
)
"""While it is switched off."""
