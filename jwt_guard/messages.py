"""What a guard may know of a request, and what it says back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["PlainRequest", "Request", "Response"]


class Request(Protocol):
    """A request as the guard sees it; each shell gives a view that reads only what is asked of it."""

    @property
    def method(self) -> str:
        """The method as sent: ``get`` is not ``GET``.  A websocket handshake is a ``GET``."""
        ...

    @property
    def path(self) -> str:
        """The path as sent, percent-encoded, without the query; ``""`` where the server contradicts itself."""
        ...

    @property
    def query(self) -> str:
        """The query as sent, without the question mark."""
        ...

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name* (lower case), in order, duplicates kept."""
        ...


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request in plain values: for tests, for tools, and for shells that have nothing lazier."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name* (lower case), in order, duplicates kept."""
        return tuple(value for key, value in self.headers if key.lower() == name)


@dataclass(frozen=True, slots=True)
class Response:
    """A small answer of our own."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
