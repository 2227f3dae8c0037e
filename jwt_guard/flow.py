"""A decision that must wait says what for: needs as values, flows that yield them, a helper for each.

A flow is a generator: ordinary code that, rarely, asks the world for something.  A runner answers its
needs, blocking or awaiting, throws failures back into it, and always closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast

__all__ = [
    "Alone",
    "Call",
    "Entry",
    "Fetch",
    "Flow",
    "Later",
    "Line",
    "Need",
    "Pause",
    "Reply",
    "Stored",
    "Trust",
    "alone",
    "append",
    "call",
    "claim",
    "fetch",
    "later",
    "pause",
    "read",
    "since",
    "write",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trust:
    """How to reach a server: whose certificates count, and through which proxy."""

    ca_file: str | None = None
    """A PEM file of certificate authorities to trust instead of the usual ones."""
    proxy: str | None = field(default=None, repr=False)
    """The URL of an HTTP proxy; it may hold a password."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get a small document over HTTP: no redirects, no compression, nothing kept open."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """They may hold a password."""
    deadline: float = 5.0
    """Seconds for the whole of it: resolving, connecting, TLS, headers and the last byte of the body."""
    limit: int = 262_144
    """Bytes of body; a longer one fails."""
    trust: Trust = Trust()
    body: bytes | None = field(default=None, repr=False)
    """What is sent, by POST; None: a GET."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """Call a user's function, which may be plain or ``async``."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = field(repr=False)
    blocking: bool = False
    """True: it may wait, so an event loop hands it to a thread."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Run *flow* unless one with this key is under way in this process, else wait for that one.

    The answer is None either way, also when *deadline* (seconds) passes first: whoever asks looks again.
    """

    key: object
    flow: Callable[[], Flow[None]]
    deadline: float


@dataclass(frozen=True, slots=True)
class Later:
    """Run *flow* where nobody waits for it, unless one with this key is under way in this process."""

    key: object
    flow: Callable[[], Flow[None]]


@dataclass(frozen=True, slots=True)
class Pause:
    """Let *seconds* pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stored:
    """Ask a store that others share, or that outlives us, about one *key*."""

    store: str = field(repr=False)
    """Its URL, which may hold a password: ``redis``, ``rediss`` or ``unix`` (Redis, Valkey), or ``file`` (a folder)."""
    command: Literal["read", "write", "claim", "append", "since"]
    key: str
    value: bytes = field(default=b"", repr=False)
    """What is written or appended; with ``since`` the position of the line from which on lines are wanted."""
    lifetime: float = 0.0
    """Seconds after which a *value* that is written or appended, or the claim on the *key*, is gone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store had."""

    value: bytes = field(repr=False)
    remaining: float
    """Seconds that it will still be there: the store's own reckoning, so that no two clocks are compared."""


@dataclass(frozen=True, slots=True)
class Line:
    """One of those that were appended in a store."""

    position: str
    """Among the others, and of no other line ever."""
    value: bytes = field(repr=False)


Need: TypeAlias = Fetch | Call | Alone | Later | Pause | Stored
Flow: TypeAlias = Generator[Need, Any, T]


# The Any of a generator's send type stays inside these helpers; everybody else gets exact types.


def fetch(need: Fetch) -> Flow[Reply]:
    """Answer *need*, or raise :class:`~jwt_guard.errors.FetchFailed`."""
    return cast("Reply", (yield need))


def call(function: Callable[..., object], *args: object, blocking: bool = False) -> Flow[object]:
    """Return what *function* returns, awaited where it is ``async``."""
    return cast("object", (yield Call(function, args, blocking)))


def alone(key: object, flow: Callable[[], Flow[None]], deadline: float) -> Flow[None]:
    """Return when *flow* has run, here or for somebody else, or *deadline* seconds have passed."""
    yield Alone(key, flow, deadline)


def later(key: object, flow: Callable[[], Flow[None]]) -> Flow[None]:
    """Have *flow* run soon, and return at once."""
    yield Later(key, flow)


def pause(seconds: float) -> Flow[None]:
    """Return after *seconds*."""
    yield Pause(seconds)


def read(store: str, key: str) -> Flow[Entry | None]:
    """Return what *store* has under *key*, or raise :class:`~jwt_guard.errors.StoreFailed`."""
    return cast("Entry | None", (yield Stored(store, "read", key)))


def write(store: str, key: str, value: bytes, lifetime: float) -> Flow[None]:
    """Put *value* into *store* for *lifetime* seconds, or raise :class:`~jwt_guard.errors.StoreFailed`."""
    yield Stored(store, "write", key, value, lifetime)


def claim(store: str, key: str, lifetime: float) -> Flow[bool]:
    """Say whether *key* is ours for *lifetime* seconds: nobody has claimed it, and nobody can until then.

    Raises :class:`~jwt_guard.errors.StoreFailed`.
    """
    return cast("bool", (yield Stored(store, "claim", key, lifetime=lifetime)))


def append(store: str, key: str, value: bytes, lifetime: float) -> Flow[None]:
    """Put *value* behind the other lines under *key*, each of which stays there for *lifetime* seconds or longer.

    Raises :class:`~jwt_guard.errors.StoreFailed`.
    """
    yield Stored(store, "append", key, value, lifetime)


def since(store: str, key: str, position: str) -> Flow[tuple[Line, ...]]:
    """Return the line at *position* under *key*, if it is there still, and some of those behind it, in order.

    An empty *position* is the beginning.  Raises :class:`~jwt_guard.errors.StoreFailed`.
    """
    return cast("tuple[Line, ...]", (yield Stored(store, "since", key, position.encode("ascii"))))
