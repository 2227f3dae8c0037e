"""A token that was verified a moment ago, again: what ``verify`` costs beside one raw RS256 check and ``jwt.decode``.

Each call gets a string of its own, as a server makes one for each request: its hash is not known yet, and it is not
the object that the guard remembers.  They are made 64 at a time, just before the timed part: 120 kB, which the
allocator hands out again and again and a core's cache holds, so that what is measured waits for no page or line of
the harness.  They are copied from bytes of the harness' own, so that the text that the guard holds, and must compare
with, is no warmer than a request would find it.

The many tokens are signed with HS256 and made as long as RS256 makes them, since 100,000 RSA signatures take minutes.
A hit does not look at the algorithm; the few are RS256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_decode

import jwt_guard
from jwt_guard.sources.fixed import FixedKeys
from jwt_guard.tokens.compact import UnverifiedToken
from jwt_guard.tokens.keys import Key

from .measure import Figure
from .rounds import Batches, Line, Progress, in_turn, is_quick, side_by_side
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

__all__ = ["FASTER", "GOALS", "QUICK_SIZES", "SIZES", "Counted", "long_tokens", "remembered", "rows"]

GOALS = {"few": 45.0, "many": 12.0}
"""How many times less than one raw RS256 verification a hit may take at most."""
FASTER = 150.0
"""How many times faster than PyJWT's ``decode`` it is to be, where the tokens are few."""
SIZES = {"few": 1_000, "many": 100_000}
"""How many tokens are asked for at random."""
QUICK_SIZES = {"few": 100, "many": 2_000}
_BATCH = 64
_LENGTH = 1_801  # characters of such a token with RS256
_ROOM = {"few": jwt_guard.Memory(), "many": jwt_guard.Memory(tokens=300_000, octets=1 << 30)}
"""Who has 100,000 callers gives the guard room for them; the few are remembered as by default."""


class Counted:
    """Keys in hand that count how often they are asked for: only for a token that is not remembered."""

    remembered = True

    def __init__(self, keys: FixedKeys) -> None:
        self._keys = keys
        self.algorithms = keys.algorithms
        self.asked = 0

    def __call__(self, token: UnverifiedToken) -> Key:
        self.asked += 1
        return self._keys(token)


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    sizes = QUICK_SIZES if is_quick(rounds) else SIZES
    lines: list[Line] = []
    for name, figures in remembered(rounds, sizes).items():
        what = f"hot: {sizes[name]:,} tokens at random"
        ours, raw = figures["jwt_guard"].microseconds, figures["raw RS256"]
        lines.append(
            (
                what,
                f"1/{raw.ratio:.1f} of raw RS256 ({raw.spread[0]:.1f} to {raw.spread[1]:.1f}), {ours:.3f} µs",
                f"≤ 1/{GOALS[name]:g}",
                raw.ratio >= GOALS[name],
            )
        )
        if name == "few":
            faster = figures["PyJWT"].ratio
            lines.append((f"{what}: faster than PyJWT", f"{faster:.0f} ×", f"≥ {FASTER:g} ×", faster >= FASTER))
    return lines


def remembered(rounds: int, sizes: dict[str, int] = SIZES) -> dict[str, dict[str, Figure]]:
    """Return what a hit costs with few and with many tokens, and the others as multiples of that."""
    private = rsa.generate_private_key(65_537, 2_048)
    public = private.public_key()
    jwk = {**json.loads(RSAAlgorithm.to_jwk(public)), "kid": KID}
    few = [token_of(claims(number), private, "RS256", {"kid": KID}).encode() for number in range(sizes["few"])]
    secret = secrets.token_bytes(32)
    many = list(long_tokens(secret, sizes["many"]))
    keys = {"few": Counted(jwt_guard.fixed(jwk)), "many": Counted(jwt_guard.shared_secret(secret))}
    contestants = {
        "raw RS256": _raw(public, few),
        "PyJWT": _pyjwt(public, few),
        "few": _ours(keys["few"], _ROOM["few"], few, 250),
        "many": _ours(keys["many"], _ROOM["many"], many, 100),
    }
    times = in_turn(contestants, rounds, "hot: round")
    if {name: source.asked for name, source in keys.items()} != sizes:
        message = "a token was verified twice, so these were no hits"
        raise RuntimeError(message)
    named = {name: {"jwt_guard": times[name], **times} for name in GOALS}
    return {
        name: side_by_side({other: found[other] for other in ("jwt_guard", "raw RS256", "PyJWT")}, "jwt_guard")
        for name, found in named.items()
    }


def long_tokens(secret: bytes, number: int) -> Iterator[bytes]:
    """Make *number* tokens, each with claims of its own, signed with HS256 and as long as RS256 would make them."""
    progress = Progress("signing")
    head = _segment(json.dumps({"alg": "HS256", "kid": KID, "typ": "JWT"}).encode())
    for index in range(number):
        values = claims(index)
        bare = len(head) + len(_payload(values)) + 45  # two dots and the signature
        values["more"] = "x" * max(0, (_LENGTH - bare) * 3 // 4 - len(',"more":""'))
        signing_input = head + b"." + _payload(values)
        yield signing_input + b"." + _segment(hmac.digest(secret, signing_input, hashlib.sha256))
        progress(index + 1, number)


def _ours(keys: Counted, memory: jwt_guard.Memory, tokens: Sequence[bytes], number: int) -> Batches:
    guard = jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=keys)], jwt_guard.authenticated(), memory=memory)
    verify = jwt_guard.verify
    progress = Progress("verifying once")
    for index, token in enumerate(tokens):
        verify(guard, token.decode())
        progress(index + 1, len(tokens))

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            verify(guard, text)

    return Batches(lambda: _fresh(tokens), run, number)


def _pyjwt(key: rsa.RSAPublicKey, tokens: Sequence[bytes]) -> Batches:
    def run(texts: Sequence[str]) -> None:
        for text in texts:
            jwt.decode(text, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)

    return Batches(lambda: _fresh(tokens), run, 3)


def _raw(key: rsa.RSAPublicKey, tokens: Sequence[bytes]) -> Batches:
    verify, pad, sha256 = key.verify, padding.PKCS1v15(), hashes.SHA256()

    def arguments() -> list[tuple[bytes, bytes]]:
        chosen = (token.rpartition(b".") for token in random.choices(tokens, k=_BATCH))
        return [(base64url_decode(signature), data) for data, _, signature in chosen]

    def run(pairs: Sequence[tuple[bytes, bytes]]) -> None:
        for signature, data in pairs:
            verify(signature, data, pad, sha256)

    return Batches(arguments, run, 12)


def _fresh(tokens: Sequence[bytes]) -> list[str]:
    return [token.decode() for token in random.choices(tokens, k=_BATCH)]


def _payload(values: dict[str, Any]) -> bytes:
    return _segment(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())


def _segment(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
