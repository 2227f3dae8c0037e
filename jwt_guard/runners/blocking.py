"""Flow → its result, for threads: each need is answered by waiting for it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable
from concurrent.futures import CancelledError, Future
from contextlib import closing, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from ..flow import Alone, Call, Fetch, Later, Pause, Stored

if TYPE_CHECKING:
    from collections.abc import Callable

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
                step: Callable[[Any], Need] = flow.throw
                argument: Any = error
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

    match need:
        case Fetch():
            from .fetching import fetched

            return _waited_for(BACKGROUND.submit(fetched(need)))
        case Call(function, args):
            result = function(*args)
            if inspect.isawaitable(result):
                return _waited_for(BACKGROUND.submit(_awaited(result), copy_context()))
            return result
        case Alone(key, flow, deadline):
            with suppress(TimeoutError, CancelledError):  # whoever asked looks again
                _waited_for(BACKGROUND.warmed())
                _waited_for(BACKGROUND.alone(key, lambda: awaiting(flow())), deadline)
        case Later(key, flow):
            BACKGROUND.alone(key, lambda: awaiting(flow()))
        case Pause(seconds):
            _refuse_to_block_everybody()
            time.sleep(seconds)
        case Stored():
            from .storing import stored

            return _waited_for(BACKGROUND.submit(stored(need)))
    return None


def _waited_for(future: Future[T], deadline: float | None = None) -> T:
    _refuse_to_block_everybody()
    return future.result(deadline)


def _refuse_to_block_everybody() -> None:
    from .background import BACKGROUND

    if BACKGROUND.is_here():
        message = "an async function called jwt_guard.verify(), which blocks: await jwt_guard.averify() there"
        raise RuntimeError(message)


async def _awaited(result: Awaitable[T]) -> T:
    return await result
