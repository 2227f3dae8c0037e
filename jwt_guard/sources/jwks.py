"""Keys at a URL: fetched when first needed, refreshed behind the requests, kept while the issuer fails.

A known key never waits.  An unknown one may cause a fetch, if the token could be good at all (the guard
asks that first) and the allowance for such fetches permits; whoever else needs the set meanwhile waits for
that same fetch.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakMethod

from ..errors import FetchFailed, KeysUnavailable, Misconfigured, UnknownKey
from ..flow import Flow, Trust, alone, later, pause
from ..tokens.algorithms import ASYMMETRIC
from .address import why_not
from .allowance import AT_ONCE, KEPT, Allowance, Look, looks_of
from .copies import MARGIN, Copies
from .key_state import KeyState
from .published import Published, Question, published

if TYPE_CHECKING:
    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import Key, KeySet

__all__ = ["KeySettings", "Locate", "RemoteKeys", "jwks"]

Locate: TypeAlias = Callable[[bool, float], Flow[str]]
"""(whether what it said last did not work, seconds for it and for the keys) → where the keys are."""

_ROUNDS = 2  # the fetch we wait for may have begun before the key we need was published
_NEVER = float("inf")
_AHEAD = 0.2  # the share of its age by which a set is asked for early, at most: not all at one time
_FIRST_BACK_OFF = 1.0
_LONGEST_COLD_BACK_OFF = 1.0  # without keys nobody is let in, so whoever comes waits for the next try
_TRIES = (0.1, 0.4)  # seconds before another try, where somebody waits: one reset refuses nobody
_TRIES_OF_A_ROTATION = (0.1, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8, 0.8)
_HANGS = 2  # so many of those are given up early: the next answer may come at once
_SHORT = 0.25  # the share of the timeout for each of them
_USUAL = 4.0  # times what an answer took before, if that is more
_LOOK, _LONGEST_LOOK = 0.05, 0.25  # seconds between looks at the store, while another process fetches
_MOST_GONE = 32
_SETTLED = 1.0  # seconds after which something may have changed
_chance = random.SystemRandom().random  # without a state that threads, or processes that were forked, would share


@dataclass(frozen=True, slots=True)
class KeySettings:
    """How key sets are fetched and kept; times in seconds."""

    timeout: float = 5.0
    """For the whole fetch."""
    fresh_for: float = 300.0
    """How long a set counts as fresh where the issuer's ``Cache-Control`` is silent.

    Else that long, between ``min(60, fresh_for)`` and 24 hours.  It is asked for again somewhat earlier, behind the
    requests.
    """
    usable_for: float = 86_400.0
    """How long a set is used while its issuer fails.

    No set is used for longer than this or ``fresh_for``, whichever is longer, and whatever the issuer says.
    """
    cooldown: float = 30.0
    """Between fetches for unknown keys, after a first few, and the longest pause after failures.

    The pause is at most 1 second while there are no keys at all, and whoever comes then waits for the end of it.
    """
    plain_http_hosts: frozenset[str] = frozenset()
    """Hosts that may be asked without TLS, beside loopback."""
    trust: Trust = Trust()
    store: str | None = field(default=None, repr=False)
    """The URL of a Redis or Valkey through which processes and hosts share key sets; whoever can write there is
    trusted as the issuers are."""
    snapshot: Path | None = None
    """A folder, for ourselves alone, where key sets outlive this process, for a start while an issuer is down."""

    def __post_init__(self) -> None:
        """Refuse what is no duration, and a store that nothing here can ask."""
        for name in ("timeout", "fresh_for", "usable_for", "cooldown"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
                raise Misconfigured(f"keys: {name} is a number of seconds, 0 or more")
        if self.store is not None and not self.store.startswith(("redis://", "rediss://", "unix://")):
            raise Misconfigured("keys: store is a URL: redis://HOST:PORT/0, rediss:// for TLS, or unix:///PATH")
        if self.snapshot is not None and not isinstance(self.snapshot, Path):
            raise Misconfigured("keys: snapshot is the Path of a folder")


def jwks(url: str, settings: KeySettings | None = None) -> RemoteKeys:
    """Return a source of the JWK Set at *url*; Misconfigured for a URL that may not be asked."""
    settings = settings or KeySettings()
    reason = why_not(url, settings.plain_http_hosts)
    if reason is not None:
        raise Misconfigured(f"jwks url: {reason}")

    def locate(_afresh: bool, _seconds: float) -> Flow[str]:  # noqa: FBT001 - a Locate
        return url
        yield  # a flow that needs nothing

    return RemoteKeys(locate, settings, name=f"jwks {url}")


@dataclass(frozen=True, slots=True)
class _Turn:
    """The right, or the need, to ask the issuer."""

    before: Published | None
    """What the store has until then."""
    spare: Published | None
    """What will do if the issuer fails."""
    end: float
    """Until when to ask, by the clock of the source."""
    is_ours: bool
    """Whether nobody else asks meanwhile."""


class RemoteKeys:
    """A key source that fetches a set from where *locate* says it is."""

    algorithms = ASYMMETRIC
    """A published secret is no secret, so only these."""
    remembered = True
    """What its keys have vouched for may be remembered, since :meth:`watch` tells when one is taken out."""

    def __init__(
        self,
        locate: Locate,
        settings: KeySettings,
        clock: Callable[[], float] = time.monotonic,
        *,
        name: str = "",
        chance: Callable[[], float] = _chance,
    ) -> None:
        """*name* says where the keys come from, to those who share them; *chance* gives a number from 0 to 1."""
        self.settings = settings
        self.last_error: FetchFailed | None = None
        """Why the last fetch failed; None where it did not."""
        self._name = name
        self._locate = locate
        self._clock = clock
        self._chance = chance
        self._published: Published | None = None
        self._looks: frozenset[Look] = frozenset()
        self._gone: tuple[str | None, ...] = ()
        """The names that were published last and are no longer, the latest at the end."""
        self._hard_age = max(settings.usable_for, settings.fresh_for)
        self._fetching_in = 0
        self._last_start = -_NEVER
        self._not_before = -_NEVER
        self._due = -_NEVER
        self._no_slot = 0, -_NEVER
        self._took = 0.0
        self._back_off = _FIRST_BACK_OFF
        self._allowance = Allowance(settings.cooldown, clock())
        folder = None if settings.snapshot is None else settings.snapshot.absolute().as_uri()
        self._copies = Copies(name, settings.store, folder, clock)
        self._watchers: dict[WeakMethod[Callable[[Key], None]], None] = {}

    def where(self, seconds: float = 5.0) -> Flow[str]:
        """Return where the keys are, for others who fetch them themselves.  Raises FetchFailed."""
        return (yield from self._locate(False, seconds))  # noqa: FBT003 - a Locate

    def __call__(self, token: UnverifiedToken) -> Key | Flow[Key]:
        """Return the key that *token* means, at once where it is known; else a flow that asks the issuer.

        Raises UnknownKey, and KeysUnavailable where nobody can tell.
        """
        now = self._clock()
        known = self._usable(now)
        if known is None:
            return self._ask(token)
        key = known.keys.find(token.kid, token.alg)
        if key is None:
            self._allowance.note_asked(now)
            if not self._may_help(known, token.header, now):
                raise self._not_found(token)
            return self._ask(token)
        if now >= self._due and now >= self._not_before:
            return self._refresh_behind(key, now)
        return key

    def rules_out(self, header: Header) -> bool:
        """Say whether no key is meant by *header*, and asking for one now is out of the question."""
        now = self._clock()
        known = self._usable(now)
        if known is None or known.keys.find(header.kid, header.alg) is not None:
            return False
        ruled_out = not self._may_help(known, header, now) and not isinstance(self._fault(known, header), FetchFailed)
        if ruled_out:
            self._allowance.note_asked(now)
        return ruled_out

    @property
    def keys(self) -> KeySet | None:
        """The set as it is known now; None before the first fetch that worked."""
        return None if self._published is None else self._published.keys

    def is_like(self, other: RemoteKeys) -> bool:
        """Say whether *other* would give the same keys."""
        return self is other or (self._name == other._name != "" and self.settings == other.settings)

    def watch(self, taken_out: Callable[[Key], None]) -> None:
        """Have *taken_out*, a method, called with each key that is no longer published, as soon as we know.

        It is forgotten with the object that it is a method of.  Threads may do so at the same time.
        """
        for watcher in tuple(self._watchers):
            if watcher() is None:
                self._watchers.pop(watcher, None)
        self._watchers[WeakMethod(taken_out)] = None

    def holds(self, key: Key) -> bool:
        """Say whether *key*, which we have given, is still published, as far as we know."""
        known = self._published
        return known is not None and any(key is other for other in known.keys.keys)

    def settled_for(self) -> float:
        """Return for how many seconds nothing is lost if we are not asked for a key that we have just given."""
        now = self._clock()
        if self._published is None:
            return 0.0
        look = max(self._due, self._not_before, now + min(_SETTLED, self.settings.fresh_for))
        return max(0.0, min(look, self._published.fetched + self._hard_age) - now)

    def state(self) -> KeyState:
        """Return what there is to see of it now."""
        now, known = self._clock(), self._published
        if known is None:
            return KeyState(
                usable=False,
                keys=0,
                next_refresh=max(0.0, self._not_before - now),
                refreshing=self._busy,
                last_error=None if self.last_error is None else str(self.last_error),
            )
        return KeyState(
            usable=self._usable(now) is not None,
            keys=len(known.keys.keys),
            skipped=len(known.keys.skipped),
            age=known.age(now),
            stale=known.age(now) >= self._soft_age(known),
            next_refresh=max(0.0, self._due - now, self._not_before - now),
            usable_until=max(0.0, known.fetched + self._hard_age - now),
            refreshing=self._busy,
            last_error=None if self.last_error is None else str(self.last_error),
            unknown_keys_per_minute=self._allowance.per_minute(now),
        )

    def made_ready(self) -> Flow[None]:
        """Fetch the set where there is none, so that nobody need wait for it later; that it fails is no error."""
        now = self._clock()
        if self._usable(now) is None:
            yield from alone(self, partial(self._refresh, now, waited=True), self.settings.timeout)

    # --- asking ---------------------------------------------------------------------------------------

    def _refresh_behind(self, key: Key, asked: float) -> Flow[Key]:
        yield from later(self, partial(self._refresh, asked))
        return key

    def _ask(self, token: UnverifiedToken) -> Flow[Key]:
        asked = self._clock()
        for _ in range(_ROUNDS):
            now = self._clock()
            known = self._usable(now)
            if self._may_help(known, token.header, now):
                refresh = partial(self._refresh, asked, waited=True, unknown=None if known is None else token.header)
                yield from alone(self, refresh, max(0.0, self.settings.timeout - (now - asked)))
            now = self._clock()
            known = self._usable(now, asked)
            key = None if known is None else known.keys.find(token.kid, token.alg)
            if key is not None:
                return key
            if (self._last_start >= asked and not self._busy) or now - asked >= self.settings.timeout:
                break  # else somebody has begun the next one, which is what we would have done
        raise self._not_found(token, asked)

    @property
    def _busy(self) -> bool:
        """Whether this process asks the issuer now: one that was forked meanwhile from who does, does not."""
        return self._fetching_in == os.getpid()

    def _may_help(self, known: Published | None, header: Header, now: float) -> bool:
        """Say whether a fetch, ours or one under way, may bring the key that *header* means."""
        if known is None:
            return True
        if self._is_no_news(known, header, now):
            return False
        return self._busy or self._permits(header, now)

    def _is_no_news(self, known: Published, header: Header, now: float) -> bool:
        """Say whether the issuer has told already, as good as just now, that *header* means no key that can be used.

        It did so of a name that is published, of one that it has published no longer since, which clients go on
        sending for as long as their tokens last, and of one that it was asked for.
        """
        kid = header.kid
        return known.keys.names(kid) or kid in self._gone or self._allowance.is_unknown(kid, header.alg, now)

    def _permits(self, header: Header, now: float) -> bool:
        """Say whether the issuer may be asked for the key that *header* means; what is due anyway costs nothing."""
        # A refresh that has failed just now must not refuse what a rotation brings: that waits for the next try.
        patience = self.settings.timeout / 2 if self._may_be_a_rotation(header) else 0.0
        if now + patience < self._not_before:
            return False
        if now >= self._due:
            return True
        slots, until = self._no_slot
        if now < until and self._slots_for(header) <= slots:
            return False
        return self._allowance.permits(header.kid, self._looks, now)

    def _slots_for(self, header: Header) -> int:
        """Return how many of the fetches that all of us may make for unknown keys the one of *header* may take."""
        return AT_ONCE + KEPT - self._allowance.kept_from(header.kid, self._looks)

    def _may_be_a_rotation(self, unknown: Header | None) -> bool:
        """Say whether somebody looks for a key whose name could be one of the issuer's: that is worth some tries."""
        return unknown is not None and not self._allowance.kept_from(unknown.kid, self._looks)

    def _not_found(self, token: UnverifiedToken, asked: float = _NEVER) -> UnknownKey | KeysUnavailable:
        """Return whose fault it is: the token's, or ours while the issuer cannot be asked."""
        fault = self._fault(self._usable(self._clock(), asked), token.header)
        if fault is None:
            return UnknownKey(token.kid, token.alg)
        return KeysUnavailable(f"the keys are out of reach: {fault}", retry_after=self._retry_after())

    def _fault(self, known: Published | None, header: Header) -> FetchFailed | None:
        """Return why nobody can tell whether there is such a key; None where there is none."""
        if known is not None and self._is_no_news(known, header, self._clock()):
            return None
        if known is not None and not (self._busy or self.last_error):
            return None
        return self.last_error or FetchFailed("", "the issuer has not answered yet")

    def _retry_after(self) -> int:
        """Return in how many seconds asking may help."""
        wait = max(0.0, self._not_before - self._clock())  # none at all between two tries
        return max(1, min(60, round(wait + 0.5))) if self.last_error else 1

    def _soft_age(self, published: Published) -> float:
        return min(published.fresh_for, self._hard_age)

    def _usable(self, now: float, asked: float = _NEVER) -> Published | None:
        """Return the set if it is young enough, or if it came after somebody *asked*, however soon it is old."""
        known = self._published
        if known is None:
            return None
        old = now - known.fetched >= self._hard_age
        return None if old and known.fetched < asked else known

    # --- fetching -------------------------------------------------------------------------------------

    def _refresh(self, asked: float, *, waited: bool = False, unknown: Header | None = None) -> Flow[None]:
        """Renew the set unless the issuer was asked since *asked*; a failure keeps the old one.

        *waited*: somebody waits for it; *unknown*: what is looked for in a set that has it not.
        Runners run one of these at a time for one source, so that nothing here needs a lock.
        """
        if self._last_start >= asked:
            return
        now = self._clock()
        known = self._usable(now)
        if known is not None and (self._has(known, unknown) if unknown is not None else now < self._due):
            return
        wait = self._not_before - now
        if wait > 0:
            if not waited or (known is not None and not self._may_be_a_rotation(unknown)):
                return
            yield from pause(wait)
        started = self._clock()
        if unknown is not None and known is not None and not self._permits(unknown, started):
            return
        self._fetching_in = os.getpid()
        try:
            yield from self._renew(started, unknown, waited=waited)
        except FetchFailed as error:
            self._failed(error)
        except Exception as error:
            self._last_start = started
            self._failed(FetchFailed("", f"a {type(error).__name__} while fetching"))
            raise  # a bug: the pause keeps it from flooding the issuer and the log
        finally:
            self._fetching_in = 0

    def _renew(self, started: float, unknown: Header | None, *, waited: bool) -> Flow[None]:
        """Take the set that another process has fetched, if it will do, else fetch it."""
        turn = yield from self._turn(started, unknown, waited=waited)
        if turn is None:
            return
        slot: int | None = None
        spends = unknown is not None and started < self._due
        if unknown is not None and spends:
            slot = yield from self._spend(unknown, started)
            if slot is None:
                self._last_start = started  # as far as those are concerned who wait for it
                yield from self._leave(turn)
                return
        try:
            if waited and self._may_be_a_rotation(unknown):
                fresh, more = (yield from self._fetched_with_patience(turn.end, unknown)), 0
            else:
                tries = _TRIES if waited and turn.is_ours else ()
                end = turn.end
                if self._usable(started) is not None:  # half of the time is for a rotation that may come meanwhile
                    end = min(end, started + max(self.settings.timeout / 2, self._took * _USUAL))
                fresh, more = yield from self._fetched(started, end, unknown, tries)
        except FetchFailed:
            if turn.spare is not None:
                self._take(turn.spare)  # better than nothing
            if waited:
                yield from self._leave(turn, _SETTLED)
            raise
        self._take(fresh)
        if unknown is not None and not self._has(fresh, unknown):
            self._allowance.note_unknown(unknown.kid, unknown.alg, started)
            slot = None
        elif unknown is not None:
            self._allowance.give_back(self._clock(), more + spends)
        if self._copies.places:
            yield from later((self, "share"), partial(self._share, fresh, slot))

    def _turn(self, started: float, unknown: Header | None, *, waited: bool) -> Flow[_Turn | None]:
        """Return our turn to ask the issuer, None where another process has asked it, or is about to."""
        look = _LOOK
        while True:
            copy = yield from self._copies.newest(self._published)
            spare = None
            if copy is not None and self._is_newer(copy) and copy.age(self._clock()) < self._hard_age:
                if self._will_do(copy, unknown):
                    self._take(copy)
                    return None
                if self._usable(self._clock()) is None:
                    spare = copy
                else:
                    self._take(copy)  # it is not all that we want, but newer
            # Where there is something to fall back on, whoever waits gets it while they still do.
            end = started + self.settings.timeout * (0.5 if waited and spare is not None else 1)
            if (yield from self._copies.may_fetch(copy, self.settings.timeout)):
                return _Turn(copy, spare, end, is_ours=True)
            if not waited:
                self._due = self._clock() + _SETTLED
                return None
            if self._clock() >= (started + end) / 2:  # who has the turn may be gone, or cannot reach the issuer
                return _Turn(copy, spare, end, is_ours=False)
            yield from pause(look)
            look = min(_LONGEST_LOOK, look * 1.5)

    def _leave(self, turn: _Turn, seconds: float = 0.0) -> Flow[None]:
        if turn.is_ours:
            yield from self._copies.leave(turn.before, seconds)

    def _share(self, fresh: Published, slot: int | None) -> Flow[None]:
        yield from self._copies.keep(fresh, self._hard_age)
        if slot is not None:
            yield from self._copies.give_back(slot)

    @staticmethod
    def _has(published: Published, header: Header) -> bool:
        return published.keys.find(header.kid, header.alg) is not None

    def _will_do(self, copy: Published, unknown: Header | None) -> bool:
        """Say whether *copy*, which is newer than what we have, is what we would fetch for."""
        if unknown is not None:
            return self._has(copy, unknown)
        return copy.age(self._clock()) < self._soft_age(copy)

    def _is_newer(self, copy: Published) -> bool:
        """Say whether *copy* was fetched after the set that we have, for certain: no removed key may come back."""
        return self._published is None or copy.fetched > self._published.fetched + MARGIN

    def _spend(self, unknown: Header, now: float) -> Flow[int | None]:
        """Take one fetch out of what unknown keys may cause, here and in all who share with us."""
        slots = self._slots_for(unknown)
        slot = yield from self._copies.may_spend(slots, self.settings.cooldown)
        if slot is None:
            self._no_slot = slots, now + _SETTLED  # what others have spent is not taken from us, too
        else:
            self._allowance.spend(now)
        return slot

    def _fetched(
        self, started: float, end: float, unknown: Header | None, tries: Sequence[float]
    ) -> Flow[tuple[Published, int]]:
        """Ask the issuer until *end*, and again after each of *tries*, while more than half of the time is left.

        Return what it says, and how many more fetches that took.
        """
        pauses = iter(tries)
        more = 0
        while True:
            try:
                return (yield from self._fetched_once(end, unknown)), more
            except FetchFailed as error:
                self.last_error = error.with_traceback(None)  # which holds on to everything that was read
                now, wait = self._clock(), next(pauses, None)
                if wait is None or now + wait >= (started + end) / 2:
                    raise
                if unknown is not None:
                    if not self._allowance.permits(unknown.kid, self._looks, now):
                        raise
                    self._allowance.spend(now)
                yield from pause(wait)
                more += 1

    def _fetched_with_patience(self, end: float, unknown: Header | None) -> Flow[Published]:
        """Ask the issuer again and again until *end*: what it rotates while it fails now and then refuses nobody.

        A hang is given up early, and only at first: an issuer that has become slow needs the time.
        """
        short = max(self.settings.timeout * _SHORT, self._took * _USUAL)
        pauses = iter(_TRIES_OF_A_ROTATION)
        hangs = 0
        while True:
            began = self._clock()
            until = min(end, began + short) if hangs < _HANGS else end
            try:
                return (yield from self._fetched_once(until, unknown))
            except FetchFailed as error:
                self.last_error = error.with_traceback(None)
                now, wait = self._clock(), next(pauses, None)
                if wait is None or now + wait >= end:
                    raise
                hangs += now >= until
                yield from pause(wait)

    def _fetched_once(self, end: float, unknown: Header | None) -> Flow[Published]:
        now = self._last_start = self._clock()
        settings = self.settings
        url = yield from self._locate(self.last_error is not None, end - now)
        remaining = end - self._clock()
        question = Question(
            url, remaining, settings.trust, settings.fresh_for, self._published, afresh=unknown is not None
        )
        try:
            found = yield from published(question, now)
        except FetchFailed:
            if self._clock() >= end:  # it takes longer than that, and is given more time when it is asked again
                self._took = max(self._took, (end - now) / 2)
            raise
        self._took = self._clock() - now
        return found

    def _take(self, new: Published) -> None:
        old, self._published = self._published, new
        self.last_error = None
        self._not_before = -_NEVER
        self._back_off = _FIRST_BACK_OFF
        self._due = new.fetched + self._soft_age(new) * (1 - _AHEAD * self._chance())
        self._looks = looks_of(new.keys.kids)
        if old is not None:
            gone = (*self._gone, *(old.keys.kids - new.keys.kids))
            self._gone = tuple(kid for kid in gone if kid not in new.keys.kids)[-_MOST_GONE:]
            kept = set(map(id, new.keys.keys))
            for key in old.keys.keys:
                if id(key) not in kept:
                    self._tell(key)

    def _tell(self, key: Key) -> None:
        for watcher in tuple(self._watchers):
            taken_out = watcher()
            if taken_out is not None:
                taken_out(key)

    def _failed(self, error: FetchFailed) -> None:
        now = self._clock()
        longest = self.settings.cooldown if self._usable(now) else min(_LONGEST_COLD_BACK_OFF, self.settings.cooldown)
        self.last_error = error.with_traceback(None)
        self._not_before = now + min(self._back_off, longest) * (1 - _AHEAD * self._chance())
        self._back_off *= 2
