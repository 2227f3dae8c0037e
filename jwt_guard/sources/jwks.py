"""Keys at a URL: fetched when first needed, refreshed behind the requests, kept while the issuer fails.

A known key never waits.  An unknown one may cause a fetch, if the token could be good at all (the guard
asks that first), at most a few at once and then one per cooldown, failures counted; whoever else needs
the set meanwhile waits for that same fetch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ..errors import FetchFailed, KeysUnavailable, Misconfigured, UnknownKey
from ..flow import Fetch, Flow, Trust, alone, fetch, later
from ..tokens.algorithms import ASYMMETRIC
from ..tokens.keys import KeySet, KeyUnusable, key_set_from_jwks
from .address import why_not

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import Key

    Locate: TypeAlias = Callable[[bool], Flow[str]]

__all__ = ["KeySettings", "RemoteKeys", "jwks"]

_AT_ONCE = 3  # fetches for unknown kids before the cooldown counts
_ROUNDS = 2  # the fetch we wait for may have begun before the key we need was published
_LIMIT = 262_144  # octets: 50 KB were measured to be too few for an issuer with certificates in its set
_NEVER = float("inf")
_FIRST_BACK_OFF = 1.0
_LONGEST_COLD_BACK_OFF = 5.0  # without keys nobody is let in, so no failure keeps us from trying again for long


@dataclass(frozen=True, slots=True)
class KeySettings:
    """How key sets are fetched and kept; times in seconds."""

    timeout: float = 5.0
    """For the whole fetch."""
    fresh_for: float = 300.0
    """How long a set is used before it is asked for again, behind the requests."""
    usable_for: float = 86_400.0
    """How long a set is used while its issuer fails."""
    cooldown: float = 30.0
    """Between fetches for unknown keys, after a first few, and the longest pause after failures.

    The pause is at most 5 seconds while there are no keys at all.
    """
    plain_http_hosts: frozenset[str] = frozenset()
    """Hosts that may be asked without TLS, beside loopback."""
    trust: Trust = Trust()

    def __post_init__(self) -> None:
        """Refuse what is no duration."""
        for name in ("timeout", "fresh_for", "usable_for", "cooldown"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
                raise Misconfigured(f"keys: {name} is a number of seconds, 0 or more")


def jwks(url: str, settings: KeySettings | None = None) -> RemoteKeys:
    """Return a source of the JWK Set at *url*; Misconfigured for a URL that may not be asked."""
    settings = settings or KeySettings()
    reason = why_not(url, settings.plain_http_hosts)
    if reason is not None:
        raise Misconfigured(f"jwks url: {reason}")

    def locate(_afresh: bool) -> Flow[str]:  # noqa: FBT001 - a Locate
        return url
        yield  # a flow that needs nothing

    return RemoteKeys(locate, settings)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    keys: KeySet
    fetched: float


class RemoteKeys:
    """A key source that fetches a set from where *locate* says it is."""

    algorithms = ASYMMETRIC
    """A published secret is no secret, so only these."""

    def __init__(self, locate: Locate, settings: KeySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.last_error: FetchFailed | None = None
        """Why the last fetch failed; None where it did not."""
        self._locate = locate
        self._clock = clock
        self._snapshot: _Snapshot | None = None
        self._busy = False
        self._last_start = -_NEVER
        self._not_before = -_NEVER
        self._back_off = _FIRST_BACK_OFF
        # A bucket of fetches that unknown keys may still cause; it refills at one per cooldown.
        self._bucket = float(_AT_ONCE)
        self._bucket_at = clock()

    def __call__(self, token: UnverifiedToken) -> Key | Flow[Key]:
        """Return the key that *token* means, at once where it is known; else a flow that asks the issuer.

        Raises UnknownKey, and KeysUnavailable where nobody can tell.
        """
        now = self._clock()
        snapshot = self._usable(now)
        if snapshot is None:
            return self._ask(token)
        key = snapshot.keys.find(token.kid, token.alg)
        if key is None:
            if snapshot.keys.names(token.kid) or not (self._busy or self._may_ask(now)):
                raise self._not_found(token)
            return self._ask(token)
        if now - snapshot.fetched >= self.settings.fresh_for and now >= self._not_before:
            return self._refresh_behind(key, now)
        return key

    def rules_out(self, header: Header) -> bool:
        """Say whether no key is meant by *header*, and asking for one now is out of the question."""
        now = self._clock()
        snapshot = self._usable(now)
        if snapshot is None or snapshot.keys.find(header.kid, header.alg) is not None:
            return False
        if snapshot.keys.names(header.kid):
            return True
        return not (self._busy or self.last_error or self._may_ask(now))

    @property
    def keys(self) -> KeySet | None:
        """The set as it is known now; None before the first fetch that worked."""
        return None if self._snapshot is None else self._snapshot.keys

    def _refresh_behind(self, key: Key, asked: float) -> Flow[Key]:
        yield from later(self, partial(self._refresh, asked))
        return key

    def _ask(self, token: UnverifiedToken) -> Flow[Key]:
        asked = self._clock()
        for _ in range(_ROUNDS):
            now = self._clock()
            if self._busy or self._may_ask(now):
                refresh = partial(self._refresh, asked, for_unknown=self._usable(now) is not None)
                yield from alone(self, refresh, self.settings.timeout)
            snapshot = self._usable(self._clock(), asked)
            key = None if snapshot is None else snapshot.keys.find(token.kid, token.alg)
            if key is not None:
                return key
            if self._last_start >= asked and not self._busy:
                break  # else somebody has begun the next one, which is what we would have done
        raise self._not_found(token, asked)

    def _not_found(self, token: UnverifiedToken, asked: float = _NEVER) -> UnknownKey | KeysUnavailable:
        """Return whose fault it is: the token's, or ours while the issuer cannot be asked."""
        snapshot = self._usable(self._clock(), asked)
        if snapshot is not None and (snapshot.keys.names(token.kid) or not (self._busy or self.last_error)):
            return UnknownKey(token.kid, token.alg)
        return KeysUnavailable(f"the keys are out of reach: {self.last_error or 'the issuer has not answered yet'}")

    def _usable(self, now: float, asked: float = _NEVER) -> _Snapshot | None:
        """Return the set if it is young enough, or if it came after somebody *asked*, however soon it is old."""
        snapshot = self._snapshot
        if snapshot is None:
            return None
        old = now - snapshot.fetched >= max(self.settings.usable_for, self.settings.fresh_for)
        return None if old and snapshot.fetched < asked else snapshot

    def _may_ask(self, now: float) -> bool:
        return now >= self._not_before and (self._usable(now) is None or self._filled(now) >= 1)

    def _filled(self, now: float) -> float:
        cooldown = self.settings.cooldown
        refill = (now - self._bucket_at) / cooldown if cooldown else _AT_ONCE
        return min(_AT_ONCE, self._bucket + refill)

    def _refresh(self, asked: float, *, for_unknown: bool = False) -> Flow[None]:
        """Fetch the set unless somebody did so since *asked*; a failure keeps the old one.

        Runners run one of these at a time for one source, so that nothing here needs a lock.
        """
        started = self._clock()
        if self._last_start >= asked or started < self._not_before or (for_unknown and self._filled(started) < 1):
            return
        self._last_start = started
        if for_unknown:
            self._bucket, self._bucket_at = max(0.0, self._filled(started) - 1), started
        self._busy = True
        try:
            keys = yield from self._fetched_keys(started)
        except FetchFailed as error:
            self._failed(error)
        except Exception as error:
            self._failed(FetchFailed("", f"a {type(error).__name__} while fetching"))
            raise  # a bug: the pause keeps it from flooding the issuer and the log
        else:
            self._snapshot = _Snapshot(keys, self._clock())
            self.last_error = None
            self._back_off = _FIRST_BACK_OFF
        finally:
            self._busy = False

    def _failed(self, error: FetchFailed) -> None:
        now = self._clock()
        longest = self.settings.cooldown if self._usable(now) else min(_LONGEST_COLD_BACK_OFF, self.settings.cooldown)
        self.last_error = error.with_traceback(None)  # which holds on to everything that was read
        self._not_before = now + min(self._back_off, longest)
        self._back_off *= 2

    def _fetched_keys(self, started: float) -> Flow[KeySet]:
        url = yield from self._locate(self.last_error is not None)
        remaining = self.settings.timeout - (self._clock() - started)
        reply = yield from fetch(
            Fetch(url, {"Accept": "application/jwk-set+json, application/json"}, remaining, _LIMIT, self.settings.trust)
        )
        if reply.status != 200:  # noqa: PLR2004 - nothing else has a body worth reading
            raise FetchFailed(url, f"the key set was answered with {reply.status}")
        try:
            return key_set_from_jwks(reply.body)
        except KeyUnusable as error:
            raise FetchFailed(url, str(error)) from None
