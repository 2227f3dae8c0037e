"""The name of a flaw → a token that every guard refuses, and for that flaw alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from jwt_guard import Guard, verify
from jwt_guard.errors import (
    BadSignature,
    ClaimRejected,
    Expired,
    GuardError,
    InvalidToken,
    UnknownIssuer,
    UnknownKey,
)
from jwt_guard.testing import FLAWS, Clock, Flaw, LocalIssuer

WHY: dict[Flaw, tuple[type[GuardError], str]] = {
    "expired": (Expired, "exp"),
    "not yet valid": (ClaimRejected, "nbf"),
    "issued in the future": (ClaimRejected, "iat"),
    "without expiry": (ClaimRejected, "exp"),
    "for another audience": (ClaimRejected, "aud"),
    "by another issuer": (UnknownIssuer, ""),
    "signed by another key": (BadSignature, ""),
    "signed by an unknown key": (UnknownKey, ""),
    "signed with the public key as a secret": (UnknownKey, ""),
    "unsigned": (UnknownKey, ""),
    "changed claims": (BadSignature, ""),
    "changed signature": (BadSignature, ""),
    "an ID token": (ClaimRejected, "at_hash"),
    "no token at all": (InvalidToken, ""),
}


def refused(guard: Guard, token: str) -> tuple[type[GuardError], str]:
    with pytest.raises(GuardError) as caught:
        verify(guard, token)
    return type(caught.value), getattr(caught.value, "claim", "")


def test_every_flaw_is_tried_here() -> None:
    assert FLAWS == tuple(WHY)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
@pytest.mark.parametrize("flaw", FLAWS)
def test_a_token_with_a_flaw_is_refused_for_it(flaw: Flaw, alg: str) -> None:
    issuer = LocalIssuer(alg=alg, clock=Clock())

    assert WHY[flaw] == refused(issuer.guard(), issuer.bad_token(flaw))


@pytest.mark.parametrize("flaw", FLAWS)
def test_no_leeway_is_large_enough_and_no_claim_makes_up_for_it(flaw: Flaw) -> None:
    issuer = LocalIssuer()
    claims: dict[str, Any] = {"iat": 1, "nbf": 1, "exp": 4_000_000_000, "jti": "x", "aud": "api", "iss": issuer.url}

    assert "ada" == verify(issuer.guard(leeway=300), issuer.token(**claims)).user
    assert WHY[flaw] == refused(issuer.guard(leeway=300), issuer.bad_token(flaw, **claims))


def test_what_else_it_says_is_up_to_the_test() -> None:
    clock = Clock()
    issuer = LocalIssuer(clock=clock)
    token = issuer.bad_token("expired", sub="mary", scope="orders:read")
    clock.set(clock() - 2 * 3_600)
    who = verify(issuer.guard(), token)

    assert ("mary", True) == (who.user, who.can("orders:read"))


def test_what_is_no_flaw_is_told() -> None:
    with pytest.raises(ValueError, match=r"no such flaw: 'ugly'; known here: 'expired', "):
        LocalIssuer().bad_token(cast("Flaw", "ugly"))
