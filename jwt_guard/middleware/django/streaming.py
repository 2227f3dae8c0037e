"""A streaming response → one that knows at each step for whom it is, and whose events end with the token."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ...access.lifetime import good_until
from ...credentials import CURRENT
from ..expiring import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from ...access.guard import Guard
    from ...credentials import Credentials

__all__ = ["kept"]

_EVENTS = EVENTS.decode()


def kept(response: Any, credentials: Credentials | None, guard: Guard, grace: float | None) -> Any:  # noqa: ANN401 - of each kind that streams
    """Return the streaming *response*, of which each step and the end know for whom it is.

    A stream of events is over *grace* seconds after the token; None: it may go on.
    """
    # A file that is passed through is left as it is, so that a server can send it in its own way.
    if getattr(response, "file_to_stream", None) is None:
        left: Callable[[], float] | None = None
        if credentials is not None and grace is not None and _is_of_events(response):
            left = partial(_left, guard, credentials, grace)
        steps: Any = _awaited_steps if response.is_async else _steps
        response.streaming_content = steps(credentials, response.streaming_content, left)
    response.close = partial(_as, credentials, response.close)
    return response


def _is_of_events(response: Any) -> bool:  # noqa: ANN401 - as above
    kind: str = response.headers.get("Content-Type", "")
    return kind.lower().startswith(_EVENTS)


def _left(guard: Guard, credentials: Credentials, grace: float) -> float:
    return good_until(guard, credentials) + grace - guard.clock()


def _as(credentials: Credentials | None, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
    token = CURRENT.set(credentials)
    try:
        return function()
    finally:
        CURRENT.reset(token)


def _steps(credentials: Credentials | None, body: Iterable[bytes], left: Callable[[], float] | None) -> Iterator[bytes]:
    steps = iter(body)
    while True:
        token = CURRENT.set(credentials)
        try:
            step = next(steps)
        except StopIteration:
            return
        finally:
            CURRENT.reset(token)
        if left is not None and left() <= 0:
            return
        yield step


async def _awaited_steps(
    credentials: Credentials | None, body: AsyncIterable[bytes], left: Callable[[], float] | None
) -> AsyncIterator[bytes]:
    steps = aiter(body)
    while True:
        token = CURRENT.set(credentials)
        try:
            step = await (anext(steps) if left is None else _before_the_end(steps, left))
        except StopAsyncIteration:
            return
        finally:
            CURRENT.reset(token)
        yield step


async def _before_the_end(steps: AsyncIterator[bytes], left: Callable[[], float]) -> bytes:
    """Return the next step; StopAsyncIteration where the token is over before it comes."""
    timeout = asyncio.timeout(left())
    try:
        async with timeout:
            step = await anext(steps)
    except TimeoutError:
        if not timeout.expired():
            raise
    else:
        if left() > 0:
            return step
    raise StopAsyncIteration
