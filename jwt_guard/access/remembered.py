"""A token that was verified a moment ago → its credentials, without verifying it again.

A verdict is held for as long as every rule's yes holds, and no longer than the key behind it counts.  Only
the exact text of the token finds it.  The latest few thousand keep their credentials; all others are tuples
of plain values, which the garbage collector does not walk, and which become credentials when they are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ..credentials import Credentials, ReadOnly
from ..errors import Misconfigured, Revoked
from ..tokens.claims import check
from ..tokens.compact import Limits, parse
from .denylist import Denylist
from .ground import NEVER, Ground, Listed

T = TypeVar("T", str, bytes)
V = TypeVar("V")
W = TypeVar("W")

if TYPE_CHECKING:
    from ..tokens.compact import UnverifiedToken
    from ..tokens.keys import Key
    from .provider import Provider

    Recent: TypeAlias = tuple[T, float, Ground, V]
    _Plain: TypeAlias = tuple[str, float, int, str | None, str | None, str, str]

__all__ = ["TAIL", "Memory", "Remembered", "Revocation", "quick"]

Revocation: TypeAlias = Callable[[Credentials], bool]
"""Says of verified credentials whether they were taken back; asked on every request, so it must not wait.

A :class:`~jwt_guard.access.denylist.Denylist` is told of the key, too, and asked only when there is more in it.
"""

TAIL = slice(-16, None)  # of the signature, which nobody can choose; whether the rest is the same is looked at, too
_RECENT = 2_048
_OVERHEAD = 450  # octets of an entry beside the text of its token
_RICH = 8_192  # octets of an entry with its credentials, whose claims somebody has read, and the header it came in
_ONE_IN = 8
_BACKWARDS = 1.0  # seconds by which two threads may look at the clock in the wrong order
_MOST_GROUNDS = 4_096


@dataclass(frozen=True, slots=True)
class Memory:
    """How many verdicts a guard remembers, in each process."""

    tokens: int = 16_384
    """At least half as many are kept, and never more."""
    octets: int = 67_108_864
    """For all of them together, roughly; a quarter of it for those that keep their credentials."""

    def __post_init__(self) -> None:
        """Refuse a memory that holds nothing: None says that."""
        for name in ("tokens", "octets"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise Misconfigured(f"memory: {name} is a whole number above 0; no memory at all is None")


class Remembered:
    """The memory of one guard.

    No lock is held: every step is one that the interpreter does at once, and two threads that get in each
    other's way lose entries at worst.
    """

    def __init__(self, size: Memory, clock: Callable[[], float], revoked: Revocation | None) -> None:
        self._size: Final = size
        self._clock: Final = clock
        self._revoked: Final = revoked
        self._denylist: Final = revoked if isinstance(revoked, Denylist) else None
        self._most_recent: Final = max(1, min(_RECENT, size.tokens // 2, size.octets // 4 // _RICH))
        self._grounds: dict[int, Ground] = {}
        self._by_key: dict[tuple[int, int], Ground] = {}
        self._numbers = count(1)
        self._recent: Final[dict[str, Recent[str, Credentials]]] = {}
        self._young: dict[int, _Plain] = {}
        self._old: dict[int, _Plain] = {}
        self._dying: dict[int, _Plain] = {}
        self._octets = 0
        self._hits = 0
        self.recall: Final = quick(self._recent, clock, self.recall_for)
        """(text) → whom the token *text* names, if it was verified a moment ago and nothing has changed since.

        Raises as :meth:`recall_for`, which does what is not done at once.
        """

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def recall_for(self, text: str, resolved: Provider | None = None, *, is_fresh: bool = False) -> Credentials | None:
        """Return whom the token *text* names, if it was verified a moment ago and nothing has changed since.

        A verdict for a provider that was *resolved* is given only to who has asked for that provider again, and one
        that a store has to be asked about first only where that *is_fresh*.
        Raises Revoked, and ClaimRejected where a rule that is asked every time says no.
        """
        tail = text[TAIL]
        place = hash(tail)
        entry = self._young.get(place)
        if entry is None:
            entry = self._old.get(place)
            if entry is None:
                return None
            self._young[place] = entry
            self._count(entry[0])
        known, until, number, user, client, scopes, roles = entry
        ground = self._grounds.get(number)
        if isinstance(ground, Listed) and ground.is_over:
            ground = self._begun_anew(ground)
        now = self._clock()
        if ground is None or known != text or not (ground.since <= now < until and now < ground.looks):
            return None
        if ground.is_resolved and ground.provider is not resolved:
            return None
        if not (is_fresh or self._denylist is None or self._denylist.is_known()):
            return None
        # One that is given at once where it is kept is not kept.
        kept = self._recent.get(tail) if ground.quick_until <= now else None
        if kept is not None and kept[0] == text and kept[2].number == number:
            credentials = kept[3]
            is_to_be_kept = kept[2] is not ground
        else:
            claims = _Unread(text)
            credentials = Credentials(user, client, _split(scopes), _split(roles), ground.provider.name, claims)
            self._hits += 1
            # Where there is no room, one in eight: what is asked for again and again gets nearer.
            is_to_be_kept = len(self._recent) < self._most_recent or not self._hits % _ONE_IN
        if ground.provider.every_time:
            check(_again(text), ground.provider.every_time, now)
        if self._revoked is not None:
            self._refuse_revoked(ground, text, credentials, now)
        if is_to_be_kept:  # not before: the ground of one that was refused may get quick by another
            self._put(self._recent, tail, (known, until, ground, credentials))
        return credentials

    def knows(self, text: str) -> bool:
        """Say whether *text* was verified a moment ago, so that it is worth asking whether it was taken back since."""
        place = hash(text[TAIL])
        entry = self._young.get(place) or self._old.get(place)
        return entry is not None and entry[0] == text and self._clock() < entry[1]

    def _refuse_revoked(self, ground: Ground, text: str, credentials: Credentials, now: float) -> None:
        denylist = self._denylist
        if denylist is None:
            if self._revoked is not None and self._revoked(credentials):
                raise Revoked
            return
        kid = None if ground.key is None else ground.key.kid
        if kid is None and denylist.names_keys:
            kid = _again(text).header.kid
        if denylist.is_revoked(credentials, kid):
            raise Revoked
        if isinstance(ground, Listed) and not ground.provider.every_time:
            ground.since = max(ground.since, now - _BACKWARDS)
            ground.quick_until = min(ground.looks, now + denylist.settled_for())

    def _begun_anew(self, ground: Listed) -> Ground:
        anew = ground.anew()
        self._grounds[ground.number] = self._by_key[id(ground.provider), id(ground.key)] = anew
        if ground.key is not None and not ground.provider.holds(ground.key):
            self._forget(anew)  # it was taken out meanwhile
        return anew

    def issuer_of(self, text: str) -> str | None:
        """Return whose token *text* is, if it is held for a provider that a resolver gave and that has one issuer."""
        place = hash(text[TAIL])
        entry = self._young.get(place) or self._old.get(place)
        ground = None if entry is None or entry[0] != text else self._grounds.get(entry[2])
        if ground is None or not ground.is_resolved or len(ground.provider.issuers) > 1:
            return None
        (issuer,) = ground.provider.issuers
        return issuer

    def remember(self, text: str, credentials: Credentials, span: tuple[float, float], ground: Ground) -> None:
        """Hold that *text* names *credentials*, as found at the first moment of *span*, until the last."""
        now, until = span
        if now < ground.since:  # the clock was put back: what was held may not be due yet
            self._forget(ground)
            return
        provider = ground.provider
        ground.since = max(ground.since, now - _BACKWARDS)
        ground.looks = now + provider.settled_for()
        if not (ground.is_resolved or provider.every_time or self._revoked is not None):
            ground.quick_until = ground.looks
        client = credentials.client
        self._young[hash(text[TAIL])] = (
            text,
            float(until),  # a date is a whole number, which takes twice as long to compare with the clock
            ground.number,
            credentials.user,
            client and _shared(client),
            _joined(credentials.scopes),
            _joined(credentials.roles),
        )
        self._count(text)
        if ground.key is not None and not provider.holds(ground.key):
            self._forget(ground)  # it was taken out while we verified

    def ground(self, provider: Provider, key: Key, *, is_resolved: bool = False) -> Ground:
        """Return what verdicts by *key* of *provider* stand on; *is_resolved* where a resolver gave the provider."""
        lasting = key if provider.has_lasting_keys else None
        ground = self._by_key.get((id(provider), id(lasting)))
        if ground is None:
            number = next(self._numbers)
            if self._denylist is None or is_resolved:
                ground = Ground(number, provider, lasting, is_resolved=is_resolved)
            else:
                ground = Listed(number, provider, lasting, self._denylist)
            self._grounds[ground.number] = self._by_key[id(provider), id(lasting)] = ground
            provider.watch(self.forget)
            if len(self._grounds) > _MOST_GROUNDS:
                self._forget(next(iter(self._grounds.values())))
        return ground

    def forget(self, key: Key) -> None:
        """Hold nothing any longer that *key* has vouched for."""
        for ground in tuple(self._grounds.values()):
            if ground.key is key:
                self._forget(ground)

    def _forget(self, ground: Ground) -> None:
        ground.looks = ground.quick_until = NEVER  # for the entries that still lie about
        self._grounds.pop(ground.number, None)
        self._by_key.pop((id(ground.provider), id(ground.key)), None)

    def hold_beside(
        self, text: str, credentials: Credentials, entries: dict[T, Recent[T, V]], value: T, kept: V
    ) -> None:
        """Hold in *entries*, too, what *value* stands for: *kept*, for as long as *text* names these *credentials*."""
        held = self._recent.get(text[TAIL])
        if held is not None and held[0] == text and held[3] is credentials:
            _, until, ground, _ = held
            self._put(entries, value[TAIL], (value, until, ground, kept))

    def _put(self, entries: dict[T, Recent[T, V]], tail: T, entry: Recent[T, V]) -> None:
        if len(entries) >= self._most_recent and tail not in entries:
            for other in tuple(islice(entries, (self._most_recent + 1) // 2)):
                entries.pop(other, None)
        entries[tail] = entry

    def _count(self, text: str) -> None:
        self._octets += len(text) + _OVERHEAD
        if self._dying:
            with suppress(KeyError):  # which another thread may have emptied
                self._dying.popitem()  # one by one: to drop them all at once would stop the world
                self._dying.popitem()
        young = self._young
        if len(young) * 2 < self._size.tokens and self._octets * 8 < self._size.octets * 3:
            return
        if young is self._young:  # else another thread has just done so
            self._dying, self._old, self._young = self._old, young, {}
            self._octets = 0


def quick(
    recent: Mapping[T, Recent[T, V]],
    clock: Callable[[], float],
    otherwise: Callable[[T], V | W | None],
) -> Callable[[T], V | W | None]:
    """Return what most requests need of a memory and no more; *otherwise* does the rest.

    A closure, since looking a name up in an object takes as long as a comparison here.
    """

    def recall(text: T) -> V | W | None:
        try:
            entry = recent.get(text[TAIL])
        except (TypeError, KeyError):  # no text at all; a slice is a key of a dict since Python 3.12
            return None
        if entry is None:
            return otherwise(text)
        known, until, ground, kept = entry
        now = clock()
        if known == text and now < until and ground.since <= now < ground.quick_until:
            return kept
        return otherwise(text)

    return recall


class _Unread(ReadOnly):
    """The claims of a token that was verified before, read from it when somebody wants one."""

    __slots__ = ("_read", "_text")

    _read: Mapping[str, Any]

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def _values(self) -> Mapping[str, Any]:  # type: ignore[override]  # where the others keep them
        try:
            return self._read
        except AttributeError:  # not read yet
            self._read = _again(self._text).values
            return self._read


def _again(text: str) -> UnverifiedToken:
    """Read a token that was taken, so that no limit is in its way."""
    return parse(text, Limits(len(text), len(text)))


# Texts and sets that many tokens share are held once.  A name has no line break in it (see identity.py).


@lru_cache(maxsize=1_024)
def _shared(text: str) -> str:
    return text


@lru_cache(maxsize=1_024)
def _joined(names: frozenset[str]) -> str:
    return "\n".join(sorted(names))


@lru_cache(maxsize=1_024)
def _split(text: str) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()
