"""What the guard asks the FHIR server for a client, and what it makes of it → values, and flows that yield them.

An exchange is ordinary code that yields an :class:`Asking` and is sent the :class:`Answered`, as often as it must, and
returns what the client gets.  Who runs it, and how the server is reached, it does not know.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from ..messages import Response
    from .query import Parameters

__all__ = ["Answered", "Asking", "Exchange", "Result", "Through", "ask"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to the server, all of it ours: no header of the client's is in it that does not stand here."""

    method: str
    path: str = field(repr=False)
    """Below the server's base URL, in normal form, as in ``/Observation``; ``/`` is the base itself."""
    query: Parameters = field(default=(), repr=False)
    """Decoded; whoever sends it encodes it once."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names in lower case: ``accept``, ``content-type``, ``if-match`` and the like."""
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the server answered, whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Return the one value of the header *name* (lower case); None where it is not there, or more than once."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class Through:
    """Send *asking*, and hand on what comes as it comes: nobody has to look at it, but for its headers.

    The body is the client's own, handed on as it comes, where *asking* has none.
    """

    asking: Asking


Exchange: TypeAlias = Generator[Asking, Answered, T]
Result: TypeAlias = "Response | Through"
"""What the client gets."""


def ask(asking: Asking) -> Exchange[Answered]:
    """Ask the server, with ``yield from``, and return what it answered."""
    return (yield asking)
