"""Many remembered tokens → the memory that each takes, and what they add to a full garbage collection.

In a process of its own, in which nothing holds the tokens but the guard: each is made, verified and dropped.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import jwt_guard

from . import hot
from .rounds import Line, Middle, is_quick, middle
from .verification import AUDIENCE, ISSUER

__all__ = ["COLLECTION_MILLISECONDS", "KILOBYTES", "QUICK_TOKENS", "TOKENS", "Filled", "filled", "rows"]

KILOBYTES = 2.3
"""The most that one remembered token may take, in units of 1,000 bytes."""
COLLECTION_MILLISECONDS = 5.0
"""The most by which all of them may lengthen a full collection."""
TOKENS = 100_000
QUICK_TOKENS = 2_000
_ROOM = jwt_guard.Memory(tokens=300_000, octets=1 << 30)
_COLLECTIONS = 15
_SAMPLE = 1_000  # one in so many is kept, to see that they are remembered
_WARMING = 200


@dataclass(frozen=True, slots=True)
class Filled:
    """What was found in the process."""

    characters: float
    """Of a token, on average."""
    kilobytes: float
    """That the process grew by, for each token."""
    before: Middle
    """Milliseconds of a full collection without the tokens."""
    after: Middle
    """And with them."""
    first: float
    """And of the very first one with them."""


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    number = QUICK_TOKENS if is_quick(rounds) else TOKENS
    found = filled(number)
    before = found.before.value
    longer, first = found.after.value - before, found.first - before
    what = f"memory: {number:,} tokens"
    return [
        (
            f"{what}, each",
            f"{found.kilobytes:.2f} kB, {found.characters:.0f} characters of it the token",
            f"≤ {KILOBYTES:g} kB",
            found.kilobytes <= KILOBYTES,
        ),
        (
            f"{what}, a full gc.collect()",
            f"+ {longer:.2f} ms, from {before:.2f} ms; the first one + {first:.2f} ms",
            f"+ ≤ {COLLECTION_MILLISECONDS:g} ms",
            longer <= COLLECTION_MILLISECONDS,
        ),
    ]


def filled(number: int) -> Filled:
    """Return what *number* remembered tokens cost a process."""
    words = [sys.executable, "-m", "benchmarks.memory", str(number)]
    ran = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    found = json.loads(ran.stdout)
    before, after = Middle(**found.pop("before")), Middle(**found.pop("after"))
    return Filled(**found, before=before, after=after)


def _fill(number: int) -> Filled:
    """Remember *number* tokens in this process."""
    secret = secrets.token_bytes(32)
    warming = _guard(hot.Counted(jwt_guard.shared_secret(secret)))
    for token in hot.long_tokens(secret, _WARMING):  # loads what verifying loads
        jwt_guard.verify(warming, token.decode())
    keys = hot.Counted(jwt_guard.shared_secret(secret))
    guard = _guard(keys)
    before = middle([_collection() for _ in range(_COLLECTIONS)])
    samples: list[str] = []
    size, characters = _resident(), 0
    for index, token in enumerate(hot.long_tokens(secret, number)):
        jwt_guard.verify(guard, token.decode())
        characters += len(token)
        if index % _SAMPLE == 0:
            samples.append(token.decode())
    grown = _resident() - size
    first = _collection()
    after = middle([_collection() for _ in range(_COLLECTIONS)])
    for text in samples:
        jwt_guard.verify(guard, text)
    if keys.asked != number:
        message = "not every token was remembered, so this measures nothing"
        raise RuntimeError(message)
    return Filled(characters / number, grown / number / 1_000, before, after, first)


def _guard(keys: hot.Counted) -> jwt_guard.Guard:
    return jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=keys)], memory=_ROOM)


def _collection() -> float:
    """Return the milliseconds of one full collection."""
    start = time.thread_time_ns()
    gc.collect()
    return (time.thread_time_ns() - start) / 1_000_000


def _resident() -> int:
    """Return the bytes of this process that are in memory; where there is no /proc, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1_024
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(asdict(_fill(int(sys.argv[1])))))
