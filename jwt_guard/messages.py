"""What a guard may know of a request, and what it says back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["PlainRequest", "Request", "Response", "opens_websocket"]


class Request(Protocol):
    """A request as the guard sees it; each shell gives a view that reads only what is asked of it.

    A view may say more: ``is_websocket``, a bool, and where the guard takes tokens from forms, ``form(limit)``, which
    returns the whole body in octets, or None if it has more than *limit* of them.
    """

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


def opens_websocket(request: Request) -> bool:
    """Say whether *request* is a websocket handshake, over HTTP/1.1 or later (RFC 6455 §4.1, RFC 8441 §5)."""
    return (
        getattr(request, "is_websocket", False) is True
        or bool(request.values("sec-websocket-version"))
        or any("websocket" in value.lower() for value in request.values("upgrade"))
    )
