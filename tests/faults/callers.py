"""A guard and tokens → who is let in and why not, from threads, asyncio or trio, by a clock that can be moved."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import anyio

from jwt_guard import Guard, KeySettings, averify, jwks, verify
from jwt_guard.errors import GuardError
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.sources.key_state import KeyState
from jwt_guard.testing import ServedIssuer

_PROCESS = Path(__file__).with_name("process.py")
LOOPS = ("asyncio", "trio")
WAYS = ("threads", *LOOPS)
DAYS = 10 * 86_400.0
"""A lifetime for tokens that are to outlive what a test lets pass."""

Outcome: TypeAlias = "str | GuardError | None"


class Passing:
    """The clock on the wall, moved: time passes, since somebody waits by it, and leaps where a test wants."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += seconds


def guard(issuer: ServedIssuer, clock: Callable[[], float] = time.time, **settings: Any) -> Guard:
    """Return a guard that fetches the keys of *issuer*, everything by one *clock*."""
    source = jwks(issuer.jwks_url, KeySettings(**settings))
    timed = RemoteKeys(source._locate, source.settings, clock, name=source._name)
    return Guard([issuer.provider(keys=timed)], clock=clock)


def patient_for(of: Guard, seconds: float) -> None:
    """Give fetches so many *seconds* from now on: few where no answer comes, many where one is to come."""
    (provider,) = of.providers
    source = provider.source
    assert isinstance(source, RemoteKeys)
    source.settings = replace(source.settings, timeout=seconds)


def state(of: Guard) -> KeyState:
    """Return how its keys are."""
    (only,) = of.key_states().values()
    return only


def until(ready: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until *ready* says yes."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.001)


def outcome(of: Guard, token: str) -> Outcome:
    """Return whom *token* names, or why it is refused."""
    try:
        return verify(of, token).user
    except GuardError as error:
        return error


async def aoutcome(of: Guard, token: str) -> Outcome:
    """Return whom *token* names, or why it is refused."""
    try:
        return (await averify(of, token)).user
    except GuardError as error:
        return error


def kinds(outcomes: Sequence[Outcome]) -> list[object]:
    """Return who was let in, and the types of the errors."""
    return [type(each) if isinstance(each, GuardError) else each for each in outcomes]


def together(
    way: str, of: Guard, tokens: Sequence[str], when_all_ask: Callable[[], object] = lambda: None
) -> list[Outcome]:
    """Verify *tokens* at the same time, and do *when_all_ask* in a thread when each is on its way."""
    asking = threading.Semaphore(0)

    def watch() -> None:
        for _ in tokens:
            assert asking.acquire(timeout=30)
        when_all_ask()

    with ThreadPoolExecutor(1) as aside:
        watched = aside.submit(watch)
        outcomes = _on_threads(of, tokens, asking) if way == "threads" else _on_a_loop(way, of, tokens, asking)
        watched.result()
    return outcomes


def _on_threads(of: Guard, tokens: Sequence[str], asking: threading.Semaphore) -> list[Outcome]:
    def one(token: str) -> Outcome:
        asking.release()
        return outcome(of, token)

    with ThreadPoolExecutor(len(tokens)) as pool:
        return list(pool.map(one, tokens))


def _on_a_loop(way: str, of: Guard, tokens: Sequence[str], asking: threading.Semaphore) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}

        async def one(number: int, token: str) -> None:
            asking.release()
            outcomes[number] = await aoutcome(of, token)

        async with anyio.create_task_group() as group:
            for number, token in enumerate(tokens):
                group.start_soon(one, number, token)
        return [outcomes[number] for number in range(len(tokens))]

    return anyio.run(all_of_them, backend=way)


def one_by_one(way: str, of: Guard, tokens: Sequence[str], lanes: int = 8) -> list[Outcome]:
    """Verify many *tokens* from a few threads or tasks, each one token after another."""
    shares = [tokens[lane::lanes] for lane in range(lanes)]
    if way == "threads":
        with ThreadPoolExecutor(lanes) as pool:
            done = list(pool.map(lambda share: [outcome(of, token) for token in share], shares))
        return [each for share in done for each in share]

    async def all_of_them() -> list[Outcome]:
        outcomes: list[Outcome] = []

        async def one(share: Sequence[str]) -> None:
            outcomes.extend([await aoutcome(of, token) for token in share])

        async with anyio.create_task_group() as group:
            for share in shares:
                group.start_soon(one, share)
        return outcomes

    return anyio.run(all_of_them, backend=way)


def without_a_wait(of: Guard, token: str) -> Outcome:
    """Return the outcome of a coroutine that was never suspended; fails where it was."""
    asked = aoutcome(of, token)
    try:
        asked.send(None)
    except StopIteration as stop:
        said: Outcome = stop.value
        return said
    asked.close()
    message = "it waited"
    raise AssertionError(message)


class Process:
    """A process of its own with a guard for *issuer*; entered, it answers."""

    def __init__(self, issuer: ServedIssuer, jwks_url: str = "", **settings: Any) -> None:
        """Discover the keys, or fetch them from *jwks_url*."""
        words = (issuer.url, issuer.audience, json.dumps(settings), jwks_url)
        self._words = [sys.executable, str(_PROCESS), *words]
        self._program: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._program = subprocess.Popen(self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._program is not None
        self._program.communicate(timeout=60)

    def ask(self, *request: str | int) -> Any:
        """Return what it says: whom a token names, or the name of the error."""
        self.tell(*request)
        return self.hear()

    def tell(self, *request: str | int) -> None:
        """Ask, and do not wait for the answer, which is there to be heard."""
        assert self._program is not None
        assert self._program.stdin is not None
        print(json.dumps(request), file=self._program.stdin, flush=True)

    def hear(self) -> Any:
        """Return the next answer."""
        assert self._program is not None
        assert self._program.stdout is not None
        return json.loads(self._program.stdout.readline())
