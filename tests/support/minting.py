"""Claims → tokens as good or as bad as a test wants them, and a guard that takes the good ones."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from jwt_guard import Guard, Provider, fixed, verify
from jwt_guard.credentials import Credentials
from jwt_guard.errors import GuardError

from .keys import encode, public_jwk, sign

ISSUER = "https://id.test"
AUDIENCE = "orders"
NOW = 1_800_000_000
HOUR = 3_600
ABSENT = object()
"""Stands for: without this claim."""

MINTED: deque[str] = deque(maxlen=1_000)
"""Every token of late, so that a test can look whether it turns up where it should not."""
SAID: deque[str] = deque(maxlen=1_000)
"""Every reason of late, and every answer to a client."""


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good access token, with *changes*."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": NOW + HOUR,
        "iat": NOW - 60,
        "sub": "ada-lovelace",
        "client_id": "shop",
        "scope": "orders:read orders:write",
        "jti": "jti-of-this-token",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ABSENT}


def mint(
    payload: Mapping[str, Any] | bytes | None = None,
    header: Mapping[str, Any] | bytes | None = None,
    *,
    alg: str = "ES256",
    which: str = "a",
) -> str:
    """Return a compact JWS signed by *alg* with the key called *which*.

    A *payload* or *header* of bytes is taken as it is; a header of members is added to ``alg`` and ``kid``.
    """
    if not isinstance(header, bytes):
        header = json.dumps({"alg": alg, "kid": which, **(header or {})}).encode()
    if not isinstance(payload, bytes):
        payload = json.dumps(claims() if payload is None else payload).encode()
    signing_input = f"{encode(header)}.{encode(payload)}"
    return minted(f"{signing_input}.{encode(sign(alg, signing_input.encode(), which))}")


def minted(token: str) -> str:
    """Remember *token*, also one that a test has made by itself."""
    MINTED.append(token)
    return token


def provider(alg: str = "ES256", which: str = "a", **changes: Any) -> Provider:
    """Return a provider that has one key."""
    settings: dict[str, Any] = {
        "name": "test",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "keys": fixed({"keys": [public_jwk(alg, which, kid=which)]}),
    }
    return Provider(**{**settings, **changes})


def guard(alg: str = "ES256", policy: Any = None, **changes: Any) -> Guard:
    """Return a guard that takes what :func:`mint` makes; its clock stands at NOW."""
    more = {} if policy is None else {"policy": policy}
    return Guard([provider(alg, **changes)], clock=lambda: NOW, **more)


def verdict(of: Guard, token: str) -> Credentials | GuardError:
    """Return whom *token* names, or why it is refused; any other exception is a bug and goes through."""
    try:
        return verify(of, token)
    except GuardError as error:
        SAID.append(str(error))
        return error


def refused(of: Guard, token: str) -> GuardError:
    """Return why *token* is refused; fails where it is not."""
    answer = verdict(of, token)

    assert isinstance(answer, GuardError), "the token was taken"
    return answer
