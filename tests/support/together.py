"""Many processes, one issuer, one store → who asks whom when: flows side by side, in a time that only pretends to pass.

What a runner does with threads and loops, this does with a list of who goes on next: so ten thousand requests in a
hundred processes take no time, and come out the same each time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from jwt_guard.errors import FetchFailed, GuardError
from jwt_guard.flow import Alone, Fetch, Later, Pause, Reply, Stored

from .keys import public_jwk
from .playing import Clock, Shelf, reply

Way: TypeAlias = "Callable[[Fetch], Reply]"


class Issuer:
    """An issuer with keys called *kids*, whose answers take a while."""

    def __init__(self, *kids: str) -> None:
        self.kids = list(kids)
        self.takes = 0.05
        """Seconds for an answer."""
        self.fails = False
        self.headers: dict[str, str] = {}
        self.asked = 0

    def __call__(self, need: Fetch) -> Reply:
        self.asked += 1
        if self.fails:
            raise FetchFailed(need.url, "no answer")
        made = reply({"keys": [public_jwk("ES256", kid, kid=kid) for kid in self.kids]})
        return Reply(200, self.headers, made.body)


@dataclass
class Job:
    """Something that goes on."""

    steps: Generator[Any, None, Any] = field(repr=False)
    process: object
    begun: float
    ended: float | None = None
    value: Any = None
    error: BaseException | None = None
    turn: int = 0
    waiting: list[tuple[Job, int]] = field(default_factory=list, repr=False)

    @property
    def took(self) -> float:
        assert self.ended is not None, "it does not come to an end"
        return self.ended - self.begun


class Together:
    """The processes, and the time they share."""

    def __init__(self, issuer: Issuer) -> None:
        self.clock = Clock(1_000)
        self.issuer = issuer
        self.shelf = Shelf(self.clock)
        self._next: list[tuple[float, int, Job, int]] = []
        self._numbers = count()
        self._under_way: dict[tuple[object, object], Job] = {}
        self._dead: set[object] = set()

    def begin(self, process: object, flow: Callable[[], Any]) -> Job:
        """Have *process* run what *flow* gives."""
        job = Job(self._steps(process, flow), process, self.clock())
        self._go_on(job)
        return job

    def kill(self, process: object) -> None:
        """End *process*, in the middle of what it does."""
        self._dead.add(process)

    def forward(self, seconds: float) -> None:
        """Let *seconds* pass, and everything happen that does in them."""
        end = self.clock() + seconds
        while self._next and self._next[0][0] <= end:
            self.clock.now, _, job, turn = heapq.heappop(self._next)
            if job.turn == turn:
                self._go_on(job)
        self.clock.now = end

    def _go_on(self, job: Job) -> None:
        job.turn += 1
        if job.process in self._dead:
            return
        try:
            wait = next(job.steps)
        except StopIteration as stop:
            job.value = stop.value
        except Exception as error:  # noqa: BLE001 - looked at by the test
            job.error = error
        else:
            seconds, other = wait
            if other is not None and other.ended is None:
                other.waiting.append((job, job.turn))
            elif other is not None:
                seconds = 0
            self._later(seconds, job, job.turn)
            return
        job.ended = self.clock()
        assert job.error is None or isinstance(job.error, GuardError), job.error
        for waiting, turn in job.waiting:
            self._later(0, waiting, turn)

    def _later(self, seconds: float, job: Job, turn: int) -> None:
        heapq.heappush(self._next, (self.clock() + seconds, next(self._numbers), job, turn))

    def _steps(self, process: object, begin: Callable[[], Any]) -> Generator[Any, None, Any]:
        flow = begin()
        if not isinstance(flow, Generator):
            return flow
        try:
            need = next(flow)
            while True:
                try:
                    answer = yield from self._answer(process, need)
                except GuardError as error:
                    need = flow.throw(error)
                else:
                    need = flow.send(answer)
        except StopIteration as stop:
            return stop.value

    def _answer(self, process: object, need: object) -> Generator[Any, None, Any]:
        match need:
            case Fetch():
                if self.issuer.takes > need.deadline:
                    yield max(0.0, need.deadline), None
                    self.issuer.asked += 1
                    raise FetchFailed(need.url, "no answer in time")
                yield self.issuer.takes, None
                return self.issuer(need)
            case Stored():
                yield 0.001, None
                return self.shelf(need)
            case Pause(seconds):
                yield seconds, None
            case Alone(key, flow, deadline):
                yield deadline, self._alone(process, key, flow)
            case Later(key, flow):
                self._alone(process, key, flow)
            case _:
                raise AssertionError(need)
        return None

    def _alone(self, process: object, key: object, flow: Callable[[], Any]) -> Job:
        job = self._under_way.get((process, key))
        if job is None or job.ended is not None:
            job = self._under_way[process, key] = Job(self._steps(process, flow), process, self.clock())
            self._later(0, job, job.turn)
        return job
