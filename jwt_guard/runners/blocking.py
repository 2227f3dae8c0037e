"""Flow → its result, for threads: each need is answered by waiting for it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from ..flow import Alone, Call, Fetch, Later

if TYPE_CHECKING:
    from ..flow import Flow, Need

__all__ = ["run"]

T = TypeVar("T")


def run(flow: Flow[T]) -> T:
    """Return what *flow* returns, or raise what it raises."""
    try:
        need = next(flow)
    except StopIteration as stop:  # nearly always: the key is known, so nothing is needed
        result: T = stop.value
        return result
    return _answered(flow, need)


def _answered(flow: Flow[T], need: Need) -> T:
    with closing(flow):
        while True:
            try:
                answer = _answer(need)
            except Exception as error:  # noqa: BLE001 - the flow decides what its needs' failures mean
                step, argument = flow.throw, error
            else:
                step, argument = flow.send, answer
            try:
                need = step(argument)
            except StopIteration as stop:
                result: T = stop.value
                return result


def _answer(need: Need) -> Any:  # noqa: ANN401 - what a flow is sent
    from .awaiting import run as awaiting
    from .background import BACKGROUND
    from .fetching import fetched

    match need:
        case Fetch():
            return BACKGROUND.submit(fetched(need)).result()
        case Call(function, args):
            result = function(*args)
            return BACKGROUND.submit(_awaited(result)).result() if inspect.isawaitable(result) else result
        case Alone(key, flow, deadline):
            future = BACKGROUND.alone(key, lambda: awaiting(flow()))
            try:
                future.result(deadline)
            except TimeoutError:
                return None  # whoever asked looks again
        case Later(key, flow):
            BACKGROUND.alone(key, lambda: awaiting(flow()))
    return None


async def _awaited(result: Awaitable[T]) -> T:
    return await result
