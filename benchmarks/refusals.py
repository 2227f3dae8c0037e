"""Tokens that are refused: what an attacker's request costs us, beside what it costs PyJWT."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

import jwt_guard

from .measure import Figure, compare
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

__all__ = ["GOALS", "OVERLONG", "OVERLONG_MICROSECONDS", "refused"]

GOALS = {"unknown kid": 15.0, "algorithm that does not fit": 15.0}
"""How many times less than PyJWT's ``decode`` jwt_guard may take at most."""
OVERLONG = ("100 kB", "5 MB")
OVERLONG_MICROSECONDS = 2.0
"""The most that a token may take that is too long to look at, whatever its length."""


def refused(rounds: int) -> dict[str, dict[str, Figure]]:
    """Return for each kind of bad token what PyJWT and jwt_guard cost, as multiples of jwt_guard."""
    private = rsa.generate_private_key(65_537, 2_048)
    jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())), "kid": KID}
    guard = jwt_guard.Guard(
        [jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk))], jwt_guard.authenticated()
    )
    key_set = jwt.PyJWKSet.from_dict({"keys": [jwk]})
    good = token_of(claims(1), private, "RS256", {"kid": KID})
    _, payload, signature = good.split(".")
    tokens = {
        "unknown kid": token_of(claims(1), private, "RS256", {"kid": "nobody"}),
        "algorithm that does not fit": f"{_segment({'alg': 'HS256', 'kid': KID})}.{payload}.{signature}",
        "bad signature": f"{good[:-8]}{'AAAAAAAA'}",
        "100 kB": f"{good}{'A' * 100_000}",
        "5 MB": f"{good}{'A' * 5_000_000}",
    }

    def pyjwt(token: str) -> None:
        try:
            jwt.decode(
                token,
                _key(key_set, token),
                algorithms=["RS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
            )
        except (jwt.PyJWTError, KeyError):
            return
        raise AssertionError

    def ours(token: str) -> None:
        try:
            jwt_guard.verify(guard, token)
        except jwt_guard.InvalidToken:
            return
        raise AssertionError

    figures = {}
    for kind, token in tokens.items():
        contestants: dict[str, Callable[[], object]] = {"jwt_guard": partial(ours, token)}
        if kind != "5 MB":  # PyJWT takes a quarter of a second for it
            contestants["PyJWT"] = partial(pyjwt, token)
        figures[kind] = compare(contestants, "jwt_guard", rounds=rounds)
    return figures


def _key(key_set: jwt.PyJWKSet, token: str) -> jwt.PyJWK:
    """Find the key as PyJWT's users do: read the header, look for the kid."""
    return key_set[jwt.get_unverified_header(token)["kid"]]


def _segment(header: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
