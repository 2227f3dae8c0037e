"""A flow → the same flow, with a record of what it asked whom and what it heard.

The key source under examination runs as it does in a guard, with two differences: what others have put into the
store or the folder is looked at, but not taken instead of asking the issuer, and nothing is written there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import GuardError, StoreFailed
from ...flow import Alone, Entry, Fetch, Later, Reply, Stored, fetch, read

if TYPE_CHECKING:
    from ...flow import Flow, Need

__all__ = ["Exchange", "Witness"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question to an issuer, and what came back."""

    need: Fetch
    reply: Reply | None
    """None where nothing came that could be read."""
    began: float
    """By the clock of the guard, as is *ended*."""
    ended: float

    @property
    def is_for_keys(self) -> bool:
        """Whether a key set was asked for, and not the metadata that say where it is (RFC 7517 §8.5.2)."""
        return "jwk-set" in self.need.headers.get("Accept", "")


class Witness:
    """Looks on while a flow runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.exchanges: list[Exchange] = []
        self.copies: dict[str, Entry | None] = {}
        """By the URL of a store: what it has of the key set; missing where it did not answer."""
        self._clock = clock

    def watched(self, flow: Flow[T]) -> Flow[T]:
        """Return what *flow* returns, or raise what it raises."""
        with closing(flow):
            step: Callable[[Any], Need] = flow.send
            argument: Any = None
            while True:
                try:
                    need = step(argument)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                try:
                    step, argument = flow.send, (yield from self._answer(need))
                except Exception as error:  # noqa: BLE001 - the flow decides what its needs' failures mean
                    step, argument = flow.throw, error

    def _answer(self, need: Need) -> Flow[Any]:
        match need:
            case Fetch():
                return (yield from self._fetched(need))
            case Alone(_, flow):
                with suppress(Exception):  # as a runner does: whoever asked looks again
                    yield from self.watched(flow())
                return None
            case Later():
                return None  # it would write down what it fetched, as whoever has called us: not as the service
            case Stored(store, "read", key):
                with suppress(StoreFailed):
                    self.copies[store] = yield from read(store, key)
                return None  # so that the issuer is asked all the same
            case Stored(command="claim"):
                return True  # without asking, so that nobody else is kept from fetching
            case Stored():
                return None
            case _:
                answer: Any = yield need
                return answer

    def _fetched(self, need: Fetch) -> Flow[Reply]:
        began = self._clock()
        try:
            reply = yield from fetch(need)
        except GuardError:
            self.exchanges.append(Exchange(need, None, began, self._clock()))
            raise
        self.exchanges.append(Exchange(need, reply, began, self._clock()))
        return reply
