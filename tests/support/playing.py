"""A flow and the answers to what it asks for → what came of it and all that it asked: a transcript, without any I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from jwt_guard.errors import FetchFailed, GuardError
from jwt_guard.flow import Alone, Call, Fetch, Later, Need, Reply


class Clock:
    """A clock that its test moves."""

    def __init__(self, now: float = 0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Meanwhile:
    """The answer to an Alone whose work somebody else has under way: *happens*, and what we brought is not run."""

    happens: Callable[[], object] = lambda: None


@dataclass
class Played:
    """What came of a flow."""

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

    def behind(self, *answers: Any) -> Played:
        """Play what was left for later."""
        (need,) = (need for need in self.needs if isinstance(need, Later))
        return play(need.flow, *answers)


def play(begin: Callable[[], Any], *answers: Any) -> Played:
    """Run what *begin* gives, a value or a flow, answering with *answers* in turn.

    An answer is what a Fetch or a Call is sent, an exception to throw, or a function that gives either at that
    moment.  An Alone is run with the same answers, unless the next is Meanwhile; a Later is noted only.
    Every answer must be used; a GuardError is a result, any other exception goes through.
    """
    left = list(answers)
    played = Played()
    try:
        played.value = _run(begin(), left, played.needs)
    except GuardError as error:
        played.error = error
    assert not left, f"never asked for: {left}"
    return played


def _run(flow: Any, left: list[Any], needs: list[Need]) -> Any:
    if not isinstance(flow, Generator):
        return flow
    try:
        need = next(flow)
        while True:
            needs.append(need)
            try:
                answer = _answer(need, left, needs)
            except Exception as error:  # noqa: BLE001 - as runners do
                need = flow.throw(error)
            else:
                need = flow.send(answer)
    except StopIteration as stop:
        return stop.value


def _answer(need: Need, left: list[Any], needs: list[Need]) -> Any:
    if isinstance(need, Alone):
        if left and isinstance(left[0], Meanwhile):
            left.pop(0).happens()
        else:
            assert None is _run(need.flow(), left, needs)
        return None
    if isinstance(need, Later):
        return None
    assert left, f"more was asked than is answered: {need}"
    answer = left.pop(0)
    if isinstance(need, Fetch) and callable(answer):
        answer = answer()
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(need, Call) or isinstance(answer, Reply)
    return answer


def reply(document: object, status: int = 200) -> Reply:
    """Return an HTTP answer with *document* as JSON, or as it is where it is bytes."""
    return Reply(status, {}, document if isinstance(document, bytes) else json.dumps(document).encode())


def down(url: str = "https://id.test/") -> FetchFailed:
    """Return what a fetch raises when nobody answers."""
    return FetchFailed(url, "no answer")
