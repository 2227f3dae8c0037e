"""PyJOAT's tokens: the one in its README, one that its last version made, and any others, signed without jwt_guard."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from .keys import encode
from .minting import ABSENT, HOUR, NOW, minted

__all__ = ["CLAIMS", "MADE", "SECRET", "SEED", "SEED_NOW", "SEED_SECRET", "made_salt", "token"]

# README of PyJOAT 1.1.1; the line with user_id="1234" is lost there, and the token has it.
SEED = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJhdWQiOiJhYmNkIiwiaXNzIjoiTXkgT0F1dGgyIFByb3ZpZGVyIiwiZXhwIjoxNDA3Mjk0NTcyLCJpYXQiOjE0MDcyOTA5NzIs"
    "InNjcCI6WyJwcm9maWxlIiwicmVhZCJdLCJzdWIiOiIxMjM0In0."
    "wgNhGiKQ0ppO0XuQhalGZmSommQROjBusCanRa_6Ydc"
)
SEED_SECRET = "the most secret hmac salt ever"
"""It has 30 bytes, and RFC 7518 §3.2 asks for 32."""
SEED_NOW = 1_407_291_000
"""A moment in its hour."""

# Made by PyJOAT 1.1.1 with PyJWT 0.2.3, at NOW for 90 minutes, by made_salt; the jti of its own tests is a number.
MADE = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJNeSBPQXV0aDIgUHJvdmlkZXIiLCJhdWQiOiJhYmMxMjNERUYiLCJzdWIiOiIxMjM0NSIsInNjcCI6WyJlbWFpbCIsInByb2ZpbGUi"
    "XSwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDU0MDAsImp0aSI6NDJ9."
    "qWLtAFUBFsoVog4SB-FhmmUuofYbhfHro7klfjK-Z64"
)

SECRET = "a secret of thirty-two bytes, or so"
CLAIMS: dict[str, Any] = {
    "iss": "My OAuth2 Provider",
    "aud": "abc123DEF",
    "sub": "12345",
    "scp": ["email", "profile"],
    "iat": NOW - 60,
    "exp": NOW + HOUR,
}


def made_salt(claims: Any) -> str:
    """Return the secret of MADE, which follows from what it says."""
    return "%s%d%s" % (claims["aud"], claims["iat"], claims["jti"])  # noqa: UP031 - as PyJOAT's users wrote it


def token(changes: Any = (), /, secret: str | bytes = SECRET, *, digest: str = "sha256", **header: Any) -> str:
    """Return a token that says CLAIMS with *changes*, without those that are ABSENT."""
    claims = {name: value for name, value in {**CLAIMS, **dict(changes)}.items() if value is not ABSENT}
    head = {name: value for name, value in {"typ": "JWT", "alg": "HS256", **header}.items() if value is not ABSENT}
    signing_input = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(claims).encode())}"
    octets = secret.encode() if isinstance(secret, str) else secret
    signature = hmac.new(octets, signing_input.encode(), getattr(hashlib, digest)).digest()
    return minted(f"{signing_input}.{encode(signature)}")
