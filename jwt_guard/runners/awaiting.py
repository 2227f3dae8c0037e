"""Flow → its result, for event loops: each need is answered by awaiting it, on asyncio and on trio."""

from __future__ import annotations

import inspect
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..flow import Alone, Call, Fetch, Later, Pause, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from ..flow import Flow, Need

__all__ = ["begun", "run"]

T = TypeVar("T")


async def run(flow: Flow[T]) -> T:
    """Return what *flow* returns, or raise what it raises."""
    try:
        need = next(flow)
    except StopIteration as stop:  # nearly always: the key is known, so nothing is needed
        result: T = stop.value
        return result
    return await _answered(flow, need)


def begun(flow: Flow[T]) -> tuple[T] | Coroutine[Any, Any, T]:
    """Return what *flow* returns, in a tuple, where it needs nothing; else what to await for it."""
    try:
        need = next(flow)
    except StopIteration as stop:
        return (stop.value,)
    return _answered(flow, need)


async def _answered(flow: Flow[T], need: Need) -> T:
    with closing(flow):
        while True:
            try:
                answer = await _answer(need)
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


async def _answer(need: Need) -> Any:  # noqa: ANN401 - what a flow is sent
    import anyio
    import anyio.to_thread

    from .background import BACKGROUND

    match need:
        case Fetch():
            from .fetching import fetched  # brings httpx, on our own thread: nobody's loop waits for that

            return await _waited_for(BACKGROUND.submit(fetched(need)))
        case Call(function, args, blocking):
            if blocking:  # in a tuple, since trio takes no coroutine out of a thread
                (result,) = await anyio.to_thread.run_sync(lambda: (function(*args),))
            else:
                result = function(*args)
            return await result if inspect.isawaitable(result) else result
        case Alone(key, flow, deadline):
            with suppress(CancelledError):  # whoever asked looks again
                await _waited_for(BACKGROUND.warmed())
                with anyio.move_on_after(deadline):
                    await _waited_for(BACKGROUND.alone(key, lambda: run(flow())))
        case Later(key, flow):
            BACKGROUND.alone(key, lambda: run(flow()))
        case Pause(seconds):
            await anyio.sleep(seconds)
        case Stored():
            from .storing import stored

            return await _waited_for(BACKGROUND.submit(stored(need)))
    return None


async def _waited_for(future: Future[T]) -> T:
    """Return the result of *future*, which others may wait for too: being cancelled does not cancel it."""
    import anyio
    import anyio.lowlevel

    loop: Any = anyio.lowlevel.current_token().native_token
    call_soon = loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe
    done = anyio.Event()

    def wake(_: Future[T]) -> None:
        with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
            call_soon(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()
