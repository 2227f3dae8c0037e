"""An access token made and signed → what that costs beside the bare signature by ``cryptography``.

The bare one signs as many octets; for ES256 it gives the DER that ``cryptography`` writes, which a JWS cannot use.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from jwt_guard.issuing.issuer import Issuer, sign
from jwt_guard.issuing.keyring import Keyring, make

from .measure import Figure
from .rounds import Batches, Line, in_turn, side_by_side

__all__ = ["GOALS", "issued", "rows"]

GOALS = {"RS256": 1.15, "ES256": 1.3}
"""The most that an access token may cost, as a multiple of the raw signature in the same run."""
RAW, SIGN, ISSUER = "raw cryptography", "sign()", "Issuer.access_token()"
_BATCH = 64
_TURNS = 3


def issued(algorithm: str, rounds: int) -> dict[str, Figure]:
    """Return what one token costs, as multiples of the raw signature."""
    key = make(algorithm)
    issuer = Issuer("https://id.example/realms/shop", Keyring(key))
    numbers = itertools.count()

    def subjects() -> list[str]:
        return [f"f3b1c2d4-5e6f-4a7b-8c9d-{next(numbers):012d}" for _ in range(_BATCH)]

    def token(subject: str) -> str:
        return issuer.access_token(subject, "https://orders.example", "orders:read orders:write", "storefront")

    def run_issuer(batch: Sequence[str]) -> None:
        for subject in batch:
            token(subject)

    def claims() -> list[dict[str, Any]]:
        said = {"iss": issuer.url, "aud": "https://orders.example", "client_id": "storefront"}
        said |= {"scope": "orders:read orders:write", "jti": 32 * "0"}
        return [{**said, "sub": subject, "iat": 1_800_000_000, "exp": 1_800_000_300} for subject in subjects()]

    def run_sign(batch: Sequence[dict[str, Any]]) -> None:
        for each in batch:
            sign(key, each)

    raw = _raw(algorithm, key.material)

    def run_raw(batch: Sequence[bytes]) -> None:
        for octets in batch:
            raw(octets)

    contestants = {
        RAW: Batches(lambda: [token(subject).rpartition(".")[0].encode() for subject in subjects()], run_raw),
        SIGN: Batches(claims, run_sign),
        ISSUER: Batches(subjects, run_issuer),
    }
    return side_by_side(in_turn(contestants, rounds, f"issuing {algorithm}: round", turns=_TURNS), RAW)


def rows(rounds: int) -> list[Line]:
    """Return a row for each algorithm and contestant; the goal is for the whole token."""
    found: list[Line] = []
    for algorithm, goal in GOALS.items():
        for name, figure in issued(algorithm, rounds).items():
            low, high = figure.spread
            is_held = name == ISSUER
            found.append(
                (
                    f"issuing {algorithm}: {name}",
                    f"{figure.ratio:.2f} × raw ({low:.2f} to {high:.2f}), {figure.microseconds:.1f} µs",
                    f"≤ {goal} × raw" if is_held else "",
                    figure.ratio <= goal if is_held else None,
                )
            )
    return found


def _raw(algorithm: str, private: Any) -> Callable[[bytes], object]:
    sha256 = hashes.SHA256()
    if algorithm == "ES256":
        scheme = ec.ECDSA(sha256)
        return lambda octets: private.sign(octets, scheme)
    pad = padding.PKCS1v15()
    return lambda octets: private.sign(octets, pad, sha256)
