"""Stored → what a Redis or a Valkey answers, soon or not at all."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import StoreFailed
from ..flow import Entry, Line
from .address import place_of, why_not

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from ..flow import Stored

__all__ = ["DEADLINE", "LIMIT", "LONGEST_REST", "REST", "Answer", "RedisStore"]

DEADLINE: Final = 0.25
"""Seconds for one command, the connection that it may need included: no request waits long for a store."""
REST: Final = 1.0
"""Seconds after a failure for which every command fails at once, so that a dead store costs nobody anything."""
LONGEST_REST: Final = 8.0
"""What the rest grows to, doubled after each failure: a name that nobody resolves takes a thread of the loop, which
those of issuers need, for longer than we wait for it."""
LIMIT: Final = 1_048_576
"""Octets of a value; a longer one is neither written nor read."""

_LINES = 256  # that are read at once
_FIELD = b"line"
_PREFIX = "jwt_guard:"
_CONNECTIONS = 8
_LONGEST = 2**53  # milliseconds; more is an error to the server

Answer: TypeAlias = Entry | bool | tuple[Line, ...] | None

_log = logging.getLogger("jwt_guard")


class RedisStore:
    """One server, and the connections to it of the event loop that it was made on."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Connect to nothing yet.  Raises StoreFailed for a *url* or an installation that will not do."""
        reason = why_not(url)
        if reason is not None:
            raise StoreFailed(f"the store cannot be asked: {reason}")
        self._client = _client(url)
        self._place = place_of(url)
        self._clock = clock
        self._rests_until = -math.inf
        """Of the clock; ``-inf`` while the store answers."""
        self._rest = REST
        self._warned: set[tuple[str, str]] = set()
        self._commands: dict[str, Callable[[Stored], Awaitable[Answer]]] = {
            "read": self._read,
            "write": self._write,
            "claim": self._claim,
            "append": self._append,
            "since": self._since,
        }

    async def ask(self, need: Stored) -> Answer:
        """Answer *need* within the deadline.  Raises StoreFailed, which names the kind of error and nothing else."""
        from redis.exceptions import ResponseError

        now = self._clock()
        if now < self._rests_until:
            raise StoreFailed("the store did not answer just now")
        probing = self._rests_until > -math.inf
        if probing:
            self._rests_until = now + DEADLINE  # one asks whether it is back, nobody waits with it
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await self._commands[need.command](need)
        except StoreFailed:
            raise
        except ResponseError as error:  # it has answered: this is about the one command, so others may still work
            self._note_answer()
            self._warn_of(need.command, type(error).__name__)
            raise StoreFailed(f"the store refuses ({type(error).__name__})") from None
        except Exception as error:  # noqa: BLE001 - redis has its errors, and lets those of sockets and names through
            raise self._silence(type(error).__name__, probing=probing) from None
        self._note_answer()
        return answer

    async def close(self) -> None:
        """Let go of the connections, without a farewell that somebody might not answer."""
        try:
            async with asyncio.timeout(DEADLINE):
                await self._client.aclose()
        except Exception:  # noqa: BLE001, S110 - they are gone either way
            pass

    async def _read(self, need: Stored) -> Entry | None:
        name = _name(need)
        # In one transaction, so that the time is that of this value; GETRANGE, so that no more than we read is sent.
        asked = self._client.pipeline(transaction=True)
        asked.getrange(name, 0, LIMIT)
        asked.pttl(name)
        value, milliseconds = await asked.execute()
        if not isinstance(value, bytes) or not isinstance(milliseconds, int):
            raise StoreFailed("the store answers something else")
        if milliseconds <= 0:  # there is none, or somebody else has put one there, for ever
            return None
        if len(value) > LIMIT:
            self._warn_of("read", f"more than {LIMIT} octets")
            return None
        return Entry(value, milliseconds / 1000)

    async def _write(self, need: Stored) -> None:
        if len(need.value) > LIMIT:
            self._warn_of("write", f"more than {LIMIT} octets")
            raise StoreFailed(f"a value has at most {LIMIT} octets")
        if await self._client.set(_name(need), need.value, px=_milliseconds(need.lifetime)) is not True:
            raise StoreFailed("the store answers something else")

    async def _claim(self, need: Stored) -> bool:
        taken: object = await self._client.set(_name(need), b"", px=_milliseconds(need.lifetime), nx=True)
        if taken is None:
            return False
        if taken is not True:  # QUEUED, say, where the transaction of somebody's read was not let to its end
            raise StoreFailed("the store answers something else")
        return True

    async def _append(self, need: Stored) -> None:
        if len(need.value) > LIMIT:
            raise StoreFailed(f"a value has at most {LIMIT} octets")
        name, lifetime = _name(need), _milliseconds(need.lifetime)
        asked = self._client.pipeline(transaction=True)
        asked.xadd(name, {_FIELD: need.value})
        asked.pexpire(name, lifetime)
        position, is_kept = await asked.execute()
        if not isinstance(position, bytes) or not is_kept:
            raise StoreFailed("the store answers something else")
        # By the server's own clock, which is what positions are made of: ours may be another.
        oldest = int(position.partition(b"-")[0]) - lifetime
        if oldest > 0:
            await self._client.xtrim(name, minid=oldest, approximate=True)

    async def _since(self, need: Stored) -> tuple[Line, ...]:
        answer: Any = await self._client.xrange(_name(need), min=need.value or "-", count=_LINES)
        if not isinstance(answer, list):
            raise StoreFailed("the store answers something else")
        return tuple(Line(position.decode("ascii"), fields.get(_FIELD, b"")) for position, fields in answer)

    def _note_answer(self) -> None:
        if self._rests_until > -math.inf:
            self._rests_until = -math.inf
            self._rest = REST
            _log.info("the store at %s answers again", self._place)

    def _silence(self, kind: str, *, probing: bool) -> StoreFailed:
        if self._rests_until == -math.inf:
            _log.warning("the store at %s does not answer (%s): nothing is shared meanwhile", self._place, kind)
            self._rests_until = self._clock() + self._rest
        elif probing:  # else it was under way at the first failure, and tells nothing new
            self._rest = min(2 * self._rest, LONGEST_REST)
            self._rests_until = self._clock() + self._rest
        return StoreFailed(f"the store does not answer ({kind})")

    def _warn_of(self, command: str, what: str) -> None:
        if (command, what) not in self._warned:
            self._warned.add((command, what))
            _log.warning("the store at %s cannot %s (%s)", self._place, command, what)


def _name(need: Stored) -> bytes:
    return (_PREFIX + need.key).encode("utf-8", "surrogatepass")


def _milliseconds(seconds: float) -> int:
    return max(1, math.floor(min(seconds * 1000, _LONGEST)))  # down: what remains is never more than was asked for


def _client(url: str) -> Redis:
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise StoreFailed("the package redis is not installed: pip install 'jwt-guard[redis]'") from None
    options: dict[str, Any] = {
        "max_connections": _CONNECTIONS,
        "timeout": None,  # here and below: the deadline is for the whole of a command
        "socket_timeout": None,
        "socket_connect_timeout": DEADLINE,  # also for closing
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # nothing of the third is needed here, and it takes another round trip
    }
    if url.startswith("rediss:"):
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return Redis.from_pool(BlockingConnectionPool.from_url(url, **options))
