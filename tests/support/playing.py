"""A flow and the answers to what it asks for → what came of it and all that it asked: a transcript, without any I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jwt_guard.errors import FetchFailed, GuardError, StoreFailed
from jwt_guard.flow import Alone, Call, Entry, Fetch, Later, Line, Need, Pause, Reply, Stored


class Clock:
    """A clock that its test moves."""

    def __init__(self, now: float = 0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Shelf:
    """A store in memory that forgets by a clock; one for all the sources that a test lets share it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_down = self.is_full = False
        self.asked: list[Stored] = []
        self.lines: list[Line] = []
        """What was appended."""
        self.at_once = 3
        """How many of them are given at once."""
        self._values: dict[tuple[str, str], tuple[bytes, float]] = {}
        self._appended = 0

    def __call__(self, need: Stored) -> Entry | bool | tuple[Line, ...] | None:
        """Answer *need* as stores do, or raise StoreFailed."""
        self.asked.append(need)
        if self.is_down:
            raise StoreFailed("the store does not answer")
        if need.command == "append":
            if self.is_full:
                raise StoreFailed("the store refuses")
            self.append(need.value)
            return None
        if need.command == "since":
            positions = [line.position for line in self.lines]
            begin = next((place for place, each in enumerate(positions) if each >= need.value.decode()), len(positions))
            return tuple(self.lines[begin : begin + self.at_once])
        place = need.store, need.key
        value, end = self._values.get(place, (b"", 0.0))
        is_there = self.clock() < end
        if need.command == "read":
            return Entry(value, end - self.clock()) if is_there else None
        if need.command == "claim" and is_there:
            return False
        self._values[place] = (need.value, self.clock() + need.lifetime)
        return need.command == "claim" or None

    @property
    def commands(self) -> list[str]:
        return [need.command for need in self.asked]

    @property
    def entry(self) -> bytes:
        """The one key set that was put here last."""
        return next(need.value for need in reversed(self.asked) if need.command == "write" and need.value)

    def put(self, value: bytes, lifetime: float) -> None:
        """Put *value* where the key set is."""
        (place,) = {(need.store, need.key) for need in self.asked if need.command == "read"}
        self._values[place] = (value, self.clock() + lifetime)

    def append(self, value: bytes) -> None:
        """Put *value* behind the other lines."""
        self._appended += 1
        self.lines.append(Line(f"{self._appended:08}", value))

    def lose_everything(self) -> None:
        self._values.clear()
        self.lines.clear()


@dataclass(frozen=True)
class Meanwhile:
    """The answer to an Alone whose work somebody else has under way: *happens*, and what we brought is not run.

    To a Pause: what happens in it.
    """

    happens: Callable[[], object] = lambda: None


@dataclass
class Played:
    """What came of a flow."""

    last: ClassVar[Any] = None
    """What was answered last."""

    value: Any = None
    error: GuardError | None = None
    needs: list[Need] = field(default_factory=list)
    """All that was asked for, in order, also by the flows inside an Alone."""

    @property
    def fetched(self) -> list[str]:
        """The URLs asked for."""
        return [need.url for need in self.needs if isinstance(need, Fetch)]

    @property
    def kinds(self) -> list[type]:
        return [type(need) for need in self.needs]

    @property
    def pauses(self) -> list[float]:
        """The seconds of each Pause."""
        return [need.seconds for need in self.needs if isinstance(need, Pause)]

    def behind(self, *answers: Any, shelf: Shelf | None = None) -> Played:
        """Play what was left for later."""
        (need,) = (need for need in self.needs if isinstance(need, Later))
        return play(need.flow, *answers, shelf=shelf)


def play(begin: Callable[[], Any], *answers: Any, shelf: Shelf | None = None) -> Played:
    """Run what *begin* gives, a value or a flow, answering with *answers* in turn.

    An answer is what a Fetch or a Call is sent, an exception to throw, or a function that gives either at that
    moment.  An Alone is run with the same answers, unless the next is Meanwhile; a Later and a Pause are noted only.
    What is tried again after a Pause gets the last answer again, unless there is another.
    A *shelf* answers what is asked of a store, and its clock goes on in a Pause.
    Every answer must be used; a GuardError is a result, any other exception goes through.
    """
    left = list(answers)
    played = Played()
    try:
        played.value = _run(begin(), left, played.needs, shelf)
    except GuardError as error:
        played.error = error
    assert not left, f"never asked for: {left}"
    return played


def _run(flow: Any, left: list[Any], needs: list[Need], shelf: Shelf | None) -> Any:
    if not isinstance(flow, Generator):
        return flow
    try:
        need = next(flow)
        while True:
            needs.append(need)
            try:
                answer = _answer(need, left, needs, shelf)
            except Exception as error:  # noqa: BLE001 - as runners do
                need = flow.throw(error)
            else:
                need = flow.send(answer)
    except StopIteration as stop:
        return stop.value


def _answer(need: Need, left: list[Any], needs: list[Need], shelf: Shelf | None) -> Any:
    if isinstance(need, Alone | Pause) and left and isinstance(left[0], Meanwhile):
        left.pop(0).happens()
        return None
    if isinstance(need, Alone):
        assert None is _run(need.flow(), left, needs, shelf)
        return None
    if isinstance(need, Later | Pause):
        if isinstance(need, Pause) and shelf is not None:
            shelf.clock.forward(need.seconds)
        return None
    if isinstance(need, Stored) and shelf is not None:
        return shelf(need)
    if not left and isinstance(need, Fetch) and any(isinstance(other, Pause) for other in needs):
        left.append(Played.last)
    assert left, f"more was asked than is answered: {need}"
    answer = Played.last = left.pop(0)
    if isinstance(need, Fetch) and callable(answer):
        answer = answer()
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(need, Call | Stored) or isinstance(answer, Reply)
    return answer


def reply(document: object, status: int = 200) -> Reply:
    """Return an HTTP answer with *document* as JSON, or as it is where it is bytes."""
    return Reply(status, {}, document if isinstance(document, bytes) else json.dumps(document).encode())


def down(url: str = "https://id.test/") -> FetchFailed:
    """Return what a fetch raises when nobody answers."""
    return FetchFailed(url, "no answer")
