"""Two hundred requests that find no keys → how often the issuer is asked, from threads, on asyncio and on trio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anyio

import jwt_guard
from jwt_guard.testing import LocalIssuer, faults

__all__ = ["AT_ONCE", "GOAL", "stampedes"]

GOAL = 1
"""How often the key set may be fetched."""
AT_ONCE = 200
_SOMEWHAT_SLOW = 0.3  # seconds, in which all of them come


def stampedes(callers: int = AT_ONCE) -> dict[str, int]:
    """Return how often the key set was fetched for so many *callers* at once, for each way to call.

    Raises the GuardError of a caller that was not let in.
    """
    return {way: _fetches(way, callers) for way in ("threads", "asyncio", "trio")}


def _fetches(way: str, callers: int) -> int:
    with LocalIssuer().serve() as issuer:
        issuer.fault = faults.on_keys(faults.slow(_SOMEWHAT_SLOW))
        guard = issuer.guard()
        tokens = [issuer.token() for _ in range(callers)]
        if way == "threads":
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(lambda token: jwt_guard.verify(guard, token), tokens))
        else:
            anyio.run(_together, guard, tokens, backend=way)
        return issuer.requests["/jwks"]


async def _together(guard: jwt_guard.Guard, tokens: list[str]) -> None:
    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(jwt_guard.averify, guard, token)
