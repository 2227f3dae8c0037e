"""What an administrator takes back → tokens that are refused from the next request on, here and in other processes.

A request is judged by a copy in this process, which never waits.  With a store that others share, the copy follows
what is told there, and counts for a second: then it is looked whether there is more, before anybody else is let in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeGuard

from ..errors import Misconfigured, StoreFailed, Unavailable
from ..flow import alone, append, claim, later, pause, since
from .revocations import KINDS, LONGEST_NAME, Held, Unreadable, Withdrawal, octets_of, read_octets

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..flow import Flow, Line
    from .revocations import Name

__all__ = ["KNOWN", "Denylist"]

KNOWN: Final = 1.0
"""Seconds for which the copy is taken for what the store has, from when it was asked."""

_POLL = 0.25  # seconds between two looks
_IDLE = 10.0  # seconds without any request after which nobody looks any more
_REST = 0.5  # seconds after a failure for which no request waits for the store
_PATIENCE = 2.0  # seconds that a first request waits
_LEEWAY = 300.0  # the most by which a guard may let a token outlive its exp
_MONTH = 2_592_000.0
_LOG = "revoked"
_MENDING = "revoked:mending"
_AT_ONCE = 20  # in a line, since lines are read many at a time
_KEPT = 7_200.0  # seconds by which the store keeps what is over, since its clock may be another


class Denylist:
    """Which tokens, sessions, people, clients and keys are revoked, for ``Guard(revoked=…)``.

    Share one between the guards of a process, and one store between processes.
    """

    __slots__ = (
        "_clock", "_every_request", "_held", "_is_lost", "_known_from", "_longest", "_mends_from", "_position",
        "_rests_until", "_store", "_ticks", "_unseen", "_wanted", "_when_unknown", "names_keys", "version",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what one can want of it, by name
        self,
        store: str | None = None,
        *,
        when_unknown: Literal["refuse", "allow"] = "refuse",
        every_request: bool = False,
        longest_life: float = _MONTH,
        most: int = 100_000,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Follow *store*, a URL as in ``[store]``; None: this process alone.

        While the store cannot be asked, *when_unknown* says whether requests are refused (503) or judged by what was
        known last.  With *every_request* it is asked for each, else it is followed.  *longest_life*: the seconds that
        a token lives at most, for which everything here holds.  *most*: how many names are held.
        Raises Misconfigured.
        """
        if store is not None and not (isinstance(store, str) and store):
            raise Misconfigured("denylist: store is a URL, or None for this process alone")
        if when_unknown not in ("refuse", "allow"):
            raise Misconfigured("denylist: when_unknown is refuse or allow")
        if not isinstance(every_request, bool) or (every_request and store is None):
            raise Misconfigured("denylist: every_request is True or False, and True needs a store to ask")
        if not _is_number(longest_life) or longest_life <= 0:
            raise Misconfigured("denylist: longest_life is a number of seconds above 0")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise Misconfigured("denylist: most is a whole number above 0")
        self._store: Final = store
        self._when_unknown: Final = when_unknown
        self._every_request: Final = every_request
        self._longest: Final = float(longest_life)
        self._clock: Final = clock
        self._ticks: Final = ticks
        self._held: Final = Held(self._longest + _LEEWAY, most)
        self.names_keys = False
        """Whether a key was ever revoked, so that somebody has to say which one a token has."""
        self.version = object()
        """Another one as soon as more is revoked, or may be; never one that was before."""
        self._position = ""
        self._unseen: dict[Withdrawal, None] = {}
        self._is_lost = False
        self._mends_from = -math.inf
        self._known_from = -math.inf
        self._rests_until = -math.inf
        self._wanted = -math.inf

    @property
    def is_idle(self) -> bool:
        """Whether nothing is revoked here, and nobody else is asked."""
        return self._store is None and not self._held

    def __call__(self, credentials: Credentials) -> bool:
        """Say whether *credentials* are revoked, as far as this process knows, and whatever their key."""
        return self.is_revoked(credentials, None)

    def __repr__(self) -> str:
        return "Denylist()" if self._store is None else "Denylist(<store>)"  # its URL may hold a password

    # --- what is revoked -----------------------------------------------------------------------------

    def revoke(  # noqa: PLR0913 - one of them, by name
        self,
        *,
        issuer: str | None = None,
        jti: str | None = None,
        sub: str | None = None,
        sid: str | None = None,
        client: str | None = None,
        kid: str | None = None,
        issued_before: float | None = None,
        until: float | None = None,
    ) -> None:
        """Take back, in this process, every token of one name; one of *jti*, *sub*, *sid*, *client* and *kid*.

        The first three are names that *issuer* has given, the exact ``iss``; without it, a client or a key is meant
        whoever it is with.  Only tokens with an ``iat`` before *issued_before* (seconds since the epoch) are meant, and
        those without one: with *sub* that is now unless it is said, since people come back; else it is all of them.
        *until* is when every such token is over, its ``exp`` say; None: the longest life from now.

        Raises ValueError where it is not clear what is meant, or where there is a store, of which
        :func:`jwt_guard.revoke` tells; Unavailable where no more can be held.
        """
        if self._store is not None:
            message = "others are to know, too: jwt_guard.revoke(denylist, …), or await jwt_guard.arevoke(denylist, …)"
            raise ValueError(message)
        names = {"jti": jti, "sub": sub, "sid": sid, "client": client, "kid": kid}
        self._add([self._withdrawal(issuer, names, issued_before, until)])

    def revoking(  # noqa: PLR0913 - as above
        self,
        *,
        issuer: str | None = None,
        jti: str | None = None,
        sub: str | None = None,
        sid: str | None = None,
        client: str | None = None,
        kid: str | None = None,
        issued_before: float | None = None,
        until: float | None = None,
    ) -> Flow[None]:
        """Do the same, and tell the store where there is one.

        Raises StoreFailed where that does not work: then it holds in this process alone, and is to be done again.
        """
        names = {"jti": jti, "sub": sub, "sid": sid, "client": client, "kid": kid}
        one = self._withdrawal(issuer, names, issued_before, until)
        self._add([one])
        if self._store is not None:
            try:
                yield from append(self._store, _LOG, octets_of([one]), self._longest + _KEPT)
            finally:
                self._unseen[one] = None

    def _withdrawal(
        self, issuer: str | None, names: dict[str, str | None], issued_before: float | None, until: float | None
    ) -> Withdrawal:
        given = {kind: name for kind, name in names.items() if name is not None}
        if len(given) != 1:
            raise ValueError(f"one of {', '.join(KINDS)} says what is revoked")
        ((kind, name),) = given.items()
        if not _is_name(name) or not (issuer is None or _is_name(issuer)):
            raise ValueError(f"a name is a text of 1 to {LONGEST_NAME} characters")
        if issuer is None and kind not in ("client", "kid"):
            raise ValueError(f"two issuers may have one {kind}: say whose")
        if not all(value is None or _is_number(value) for value in (issued_before, until)):
            raise ValueError("a time is a number of seconds since the epoch")
        now = self._clock()
        if until is not None and until > now + self._longest:
            raise ValueError("such a token lives longer than longest_life says")
        if issued_before is None:
            issued_before = now if kind == "sub" else math.inf
        end = now + self._longest if until is None else until
        return Withdrawal(kind, issuer, name, float(issued_before), end + _LEEWAY)

    def _add(self, some: Iterable[Withdrawal]) -> None:
        now = self._clock()
        is_new = False
        try:
            for one in some:
                self.names_keys = self.names_keys or one.kind == "kid"
                is_new = self._held.add(one, now) or is_new
        finally:
            if is_new:
                self.version = object()  # last, so that whoever sees it sees what is new

    # --- what is asked on a request ------------------------------------------------------------------

    def is_revoked(self, credentials: Credentials, kid: str | None, issuers: Iterable[str] = ()) -> bool:
        """Say whether *credentials* are revoked, as far as this process knows.

        *kid* is the name of the key that vouched for them; *issuers* those that may have issued what names none.
        """
        if not self._held:
            return False
        claims = credentials.claims
        issuer = claims.get("iss")
        whose = (issuer,) if isinstance(issuer, str) else tuple(issuers)
        named = {kind: claims.get(kind) for kind in ("jti", "sub", "sid")}
        anybodys = {"client": credentials.client, "kid": kid}
        names: list[Name] = [
            (kind, each, name)
            for kind, name in (*named.items(), *anybodys.items())
            if isinstance(name, str)
            for each in whose
        ]
        names += [(kind, None, name) for kind, name in anybodys.items() if name is not None]
        issued = claims.get("iat")
        return self._held.has(names, float(issued) if _is_number(issued) else -math.inf, self._clock())

    def is_known(self) -> bool:
        """Say whether a request may be judged without asking the store first."""
        if self._store is None:
            return True
        now = self._wanted = self._ticks()
        if now < self._known_from + KNOWN and not self._every_request:
            return True
        return now < self._rests_until and self._when_unknown == "allow"

    def settled_for(self) -> float:
        """Return for how many seconds a verdict holds while there is no other version."""
        if self._store is None:
            return math.inf
        return 0.0 if self._every_request else max(0.0, self._known_from + KNOWN - self._ticks())

    def freshened(self) -> Flow[None]:
        """Bring the copy up to date.  Raises Unavailable where that cannot be done, unless that is to be allowed."""
        is_fresh = False
        if self._ticks() >= self._rests_until:
            if self._every_request:
                is_fresh = yield from self._looked()
            else:
                yield from later(self, self._follow)
                yield from alone((self, "look"), self._look, _PATIENCE)
                is_fresh = self._ticks() < self._known_from + KNOWN
        if not is_fresh and self._when_unknown == "refuse":
            raise Unavailable("what was revoked cannot be told", retry_after=1)

    def asked(self, credentials: Credentials, kid: str | None, issuers: Iterable[str] = ()) -> Flow[bool]:
        """Say the same as :meth:`is_revoked` when all that is revoked is known.  Raises Unavailable."""
        if not self.is_known():
            yield from self.freshened()
        return self.is_revoked(credentials, kid, issuers)

    # --- how the store is followed -------------------------------------------------------------------

    def _follow(self) -> Flow[None]:
        try:
            while self._ticks() - self._wanted < _IDLE:
                yield from pause(_POLL)
                yield from self._look()
        finally:
            self.version = object()  # so that nobody is let in at sight by it, whatever clock they go by

    def _look(self) -> Flow[None]:
        yield from self._looked()

    def _looked(self) -> Flow[bool]:
        """Look whether there is more; say whether all is known now that was there."""
        began = self._ticks()
        try:
            is_clear = yield from self._catch_up(str(self._store))
        except StoreFailed:
            is_clear = False
        if is_clear:
            self._known_from = max(self._known_from, began)
            self._rests_until = -math.inf
        else:
            self._rests_until = self._ticks() + _REST
            self.version = object()  # as above
        return is_clear

    def _catch_up(self, store: str) -> Flow[bool]:
        """Take in what others have told since we looked last; say whether all of it was understood."""
        due = tuple(self._unseen)
        position = "" if self._is_lost and self._ticks() >= self._mends_from else self._position
        lines = yield from since(store, _LOG, position)
        if position and not (lines and lines[0].position == position):
            # What we have read is there no more: it was lost, in a restart say, or its time is over.
            self._is_lost, position = True, ""
            lines = yield from since(store, _LOG, "")
        is_whole, clear, is_clear = not position, position, True
        seen: set[Withdrawal] = set()
        while lines and lines[-1].position != position:
            for line in lines:
                is_clear = self._take_in(line, seen) and is_clear
                clear = line.position if is_clear else clear
            position = lines[-1].position
            lines = yield from since(store, _LOG, position)
        if is_clear:
            for one in due:
                self._unseen.pop(one, None)
                self._is_lost = self._is_lost or one not in seen  # told, and lost before anybody has read it
        if self._is_lost and is_clear and is_whole:
            self._mends_from = self._ticks() + KNOWN
            with suppress(StoreFailed):  # we know what is there: it is others who would not
                yield from self._mend(store, seen)
        self._position = clear
        return is_clear

    def _take_in(self, line: Line, seen: set[Withdrawal]) -> bool:
        try:
            told = read_octets(line.value)
            self._add(told)
        except (Unreadable, Unavailable):  # there may be more to refuse than we know
            return False
        seen.update(told)
        return True

    def _mend(self, store: str, seen: set[Withdrawal]) -> Flow[None]:
        """Tell what others who begin now would not know: one of us does, and the others look whether it was done."""
        missing = [one for one in self._held.all(self._clock()) if one not in seen]
        if missing:
            if not (yield from claim(store, _MENDING, KNOWN)):
                return
            for some in _parted(missing):
                yield from append(store, _LOG, octets_of(some), self._longest + _KEPT)
        self._is_lost = False


def _parted(some: Sequence[Withdrawal]) -> Iterable[Sequence[Withdrawal]]:
    return (some[start : start + _AT_ONCE] for start in range(0, len(some), _AT_ONCE))


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which no token has and nobody else could read
        return False
    return True


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
