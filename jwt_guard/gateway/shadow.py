"""Decisions, and a second guard → where it would decide otherwise: told to the log, and to nobody else.

It judges behind the answers, one request at a time, so many in a second at most and none while too many wait.  It
changes nothing: not what is answered, nor when, nor which tokens count as used.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..access.remembered import Memory
from ..decision import Allow, Deny
from ..errors import Unavailable, shown
from ..runners.awaiting import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..decision import Decision
    from ..messages import Request
    from ..observing.observer import Circumstances

__all__ = ["Shadow", "ShadowSettings"]

_log = logging.getLogger("jwt_guard")
_MOST_WAITING = 256
_PATIENCE = 5.0
"""Seconds for one request, the keys of a new issuer included."""
_MEMORY = Memory(tokens=1_024, octets=4_194_304)
_TOLD = ("user", "client", "scopes", "roles", "provider")


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """The ``[shadow]`` of guard.toml."""

    guard: Guard
    file: Path | None = None
    """The file that describes it; None: it is the guard itself with other routes."""
    per_second: int = 100
    """How many requests are judged in a second at most."""
    logged_per_minute: int = 60
    """How many differences are logged in a minute at most."""


class Shadow:
    """An observer that has *guard* judge what has been decided, *per_second* requests at most.

    Of differences *logged_per_minute* are logged at most; the rest is counted.  *clock* says seconds that only grow.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        per_second: int = 100,
        logged_per_minute: int = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A token that counts once is used by the request itself, and not by whoever looks on.
        providers = [replace(provider, once=None) for provider in guard.providers]
        self.guard: Final = replace(guard, providers=providers, memory=None if guard.memory is None else _MEMORY)
        self._judged: Final = _Window(per_second, 1.0, clock)
        self._logged: Final = _Window(logged_per_minute, 60.0, clock)
        self._waiting: Final[deque[tuple[Request, Decision]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._counts = {"same": 0, "different": 0, "undecided": 0, "passed_over": 0}

    def __call__(self, request: Request, decision: Decision, _circumstances: Circumstances) -> None:
        """Have *request* judged later, if there is time for it; on an event loop."""
        if len(self._waiting) >= _MOST_WAITING or not self._judged.has_room():
            self._counts["passed_over"] += 1
            return
        self._waiting.append((request, decision))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._judge())

    def counts(self) -> Mapping[str, int]:
        """Return how many requests were judged alike, otherwise, without an outcome, and not at all."""
        return dict(self._counts)

    async def _judge(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # whoever waits for an answer goes first
            request, decision = self._waiting.popleft()
            other = await self._decided(request)
            if other is None or _is_undecided(decision) or _is_undecided(other):
                self._counts["undecided"] += 1
                continue
            difference = _difference(decision, other)
            self._counts["same" if difference is None else "different"] += 1
            if difference is not None:
                self._tell(request, difference)

    async def _decided(self, request: Request) -> Decision | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await run(self.guard.decide(request))
        except TimeoutError:
            return None
        except Exception as bug:  # noqa: BLE001 - it is tried out here, and nobody depends on it
            # Without its words: whoever raised it may have put a claim set into them.
            if self._logged.has_room():
                _log.warning("shadow: %s was raised while deciding", type(bug).__name__)
            return None

    def _tell(self, request: Request, difference: str) -> None:
        if self._logged.has_room():
            more = self._logged.turned_away
            left_out = f" ({more} differences before were not logged)" if more else ""
            self._logged.turned_away = 0
            _log.warning("shadow: %s: %s %s%s", difference, shown(request.method), shown(request.path), left_out)


class _Window:
    """So many in so many seconds at most, counted from the first."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._began = -seconds
        self._used = 0
        self.turned_away = 0

    def has_room(self) -> bool:
        now = self._clock()
        if now - self._began >= self._seconds:
            self._began, self._used = now, 0
        if self._used < self._most:
            self._used += 1
            return True
        self.turned_away += 1
        return False


def _is_undecided(decision: Decision) -> bool:
    return isinstance(decision, Deny) and isinstance(decision.error, Unavailable)


def _difference(now: Decision, then: Decision) -> str | None:
    """Return how the two differ, without any value of a claim; None where they do not."""
    match now, then:
        case Allow(credentials=ours), Allow(credentials=theirs):
            fields = _differing(ours, theirs)
            return f"let in now and then, with another {' and '.join(fields)}" if fields else None
        case Deny(error=ours), Deny(error=theirs) if type(ours) is type(theirs) and ours.status == theirs.status:
            return None
        case _:
            return f"now {_said(now)}, then {_said(then)}"


def _differing(ours: Credentials | None, theirs: Credentials | None) -> list[str]:
    if ours is None or theirs is None:
        return [] if ours is theirs else ["identity"]
    return [name for name in _TOLD if getattr(ours, name) != getattr(theirs, name)]


def _said(decision: Decision) -> str:
    if isinstance(decision, Allow):
        return "let in"
    error = decision.error
    return f"{error.status} {type(error).__name__} ({error})"
