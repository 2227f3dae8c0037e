"""Signing keys → which one signs now, and the key set that the world sees.

Nothing here runs by itself: :meth:`Keyring.turn` does what is due by the plan of a
:class:`~jwt_guard.issuing.rotation.Rotation`, whenever somebody calls it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..errors import Misconfigured, StoreFailed, shown
from .loading import load_signing_key, signing_key
from .rotation import Member, Rotation, Step, timetable
from .signing import SigningKey, make

if TYPE_CHECKING:
    from typing import TypeAlias

    Members: TypeAlias = tuple[Member, ...]

__all__ = ["Keyring", "Member", "Rotation", "SigningKey", "Step", "load_signing_key", "make", "signing_key"]


class Home(Protocol):
    """Where the keys of several processes are kept; each method raises StoreFailed."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep everybody else from writing meanwhile."""
        ...

    def read(self, known: Members) -> Members:
        """Return what is kept there; of the *known* ones, the same objects."""
        ...

    def write(self, members: Members) -> None:
        """Keep *members* instead of what is there."""
        ...

    def changed(self) -> bool:
        """Say whether somebody else has written since this one read or wrote."""
        ...


@dataclass(frozen=True, slots=True)
class _Ring:
    members: Members
    current: SigningKey
    keys: tuple[SigningKey, ...]
    ahead: tuple[Step, ...]


class Keyring:
    """The keys of one issuer.

    Reading takes no lock: each change puts a whole new ring in the place of the old one.
    """

    def __init__(
        self,
        current: SigningKey,
        others: Iterable[SigningKey] = (),
        *,
        rotation: Rotation | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Sign with *current*; publish it and *others*, which by a *rotation* sign after it, in that order.

        Raises Misconfigured.
        """
        now = clock()
        waiting = (Member(key, now) for key in others)
        self._start((Member(current, now, signs_from=now), *waiting), rotation, clock, None)

    @classmethod
    def kept_in(cls, home: Home, *, rotation: Rotation | None, clock: Callable[[], float]) -> Self:
        """Return the keyring that is kept in *home*; Misconfigured or StoreFailed for one that cannot be used.

        Use :func:`jwt_guard.issuing.keyring_file.open_keyring` for a file.
        """
        self = cls.__new__(cls)
        self._start(home.read(()), rotation, clock, home)
        return self

    def _start(
        self, members: Members, rotation: Rotation | None, clock: Callable[[], float], home: Home | None
    ) -> None:
        self._changing = threading.Lock()
        self._rotation, self._clock, self._home = rotation, clock, home
        self._ring = _checked(self._of(members))

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._ring.current

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """Every key that is published."""
        return self._ring.keys

    @property
    def members(self) -> tuple[Member, ...]:
        """The same keys, each with its times."""
        return self._ring.members

    @property
    def ahead(self) -> tuple[Step, ...]:
        """What lies ahead by the plan, the earliest first; nothing where there is no plan."""
        return self._ring.ahead

    @property
    def rotation(self) -> Rotation | None:
        """The plan, where there is one."""
        return self._rotation

    def publish(self, key: SigningKey) -> None:
        """Show *key* to the world, and sign with it no sooner than :meth:`rotate` or the plan says."""
        now = self._clock()
        self._change(lambda members: (*members, Member(key, now)))

    def rotate(self, key: SigningKey | None = None) -> SigningKey:
        """Sign with *key* from now on, or with a new one for the same algorithm; the old one stays published.

        Others who still use a key set from before *key* was in it refuse its tokens: :meth:`turn` waits for them.
        Returns the key that signs now.
        """
        new = make(self.current.alg) if key is None else key
        now = self._clock()
        self._change(lambda members: _signing_with(new, members, now))
        return self.current

    def retire(self, kid: str) -> None:
        """Publish the key named *kid* no longer; Misconfigured for the one that signs, and for none of ours."""
        self._change(lambda members: _without(kid, members))

    def turn(self, now: float | None = None, *, prepare: bool = False) -> tuple[Step, ...]:
        """Do what is due at *now*, in seconds since the epoch; return what was done.

        With *prepare* the next key is published also before it is due, unless one is waiting, or has just begun to
        sign.  Cheap where nothing is due: call it from time to time, in every process that shares the keys.
        Raises Misconfigured without a plan, and StoreFailed where the keys cannot be read or kept; those in hand
        then go on as before.
        """
        plan = self._rotation
        if plan is None:
            raise Misconfigured("keyring: there is no rotation to turn by")
        at = self._clock() if now is None else now
        if not math.isfinite(at):
            raise ValueError("now is a number of seconds")
        ahead = self._ring.ahead
        idle = not prepare and (not ahead or ahead[0].at > at)
        if idle and not (self._home is not None and self._home.changed()):
            return ()
        done: list[Step] = []
        self._change(lambda members: _turned(members, plan, at, done, prepare=prepare))
        return tuple(done)

    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set to publish (RFC 7517 §5): public halves only."""
        return {"keys": [dict(key.public) for key in self.keys if key.public is not None]}

    def _change(self, change: Callable[[Members], Members]) -> None:
        with self._changing:
            if self._home is None:
                self._ring = _checked(self._of(change(self._ring.members)))
                return
            with self._home.locked():
                found = self._home.read(self._ring.members)
                try:
                    _checked(self._of(found))
                except Misconfigured as error:  # whoever wrote that, it was not the caller of today
                    raise StoreFailed(str(error)) from None
                ring = _checked(self._of(change(found)))
                if ring.members != found:
                    self._home.write(ring.members)
                self._ring = ring

    def _of(self, members: Members) -> _Ring:
        signing = [member for member in members if member.signs]
        if len(signing) != 1:
            raise Misconfigured(f"keyring: one key signs, not {len(signing)}")
        ahead = () if self._rotation is None else timetable(members, self._rotation)
        return _Ring(members, signing[0].key, tuple(member.key for member in members), ahead)


def _checked(ring: _Ring) -> _Ring:
    if any(key.public is None for key in ring.keys):
        raise Misconfigured("keyring: a secret cannot be published; sign with it directly")
    if len({key.kid for key in ring.keys}) < len(ring.keys):
        raise Misconfigured("keyring: two keys have one kid")
    return ring


def _signing_with(key: SigningKey, members: Members, now: float) -> Members:
    """Return *members* where *key* signs from *now* on, be it one of them or not."""

    def is_meant(member: Member) -> bool:
        return member.key.kid == key.kid and member.key.public == key.public

    def changed(member: Member) -> Member:
        if is_meant(member):
            return member if member.signs else replace(member, signs_from=now, signed_until=None)
        return replace(member, signed_until=now) if member.signs else member

    known = any(map(is_meant, members))
    after = tuple(map(changed, members))
    return after if known else (*after, Member(key, now, signs_from=now))


def _without(kid: str | None, members: Members) -> Members:
    if any(member.signs and member.key.kid == kid for member in members):
        raise Misconfigured(f"keyring: {shown(kid)} signs; rotate first")
    rest = tuple(member for member in members if member.key.kid != kid)
    if len(rest) == len(members):
        raise Misconfigured(f"keyring: there is no key {shown(kid)}")
    return rest


def _turned(members: Members, plan: Rotation, now: float, done: list[Step], *, prepare: bool) -> Members:
    """Return *members* after all that is due at *now*, and add to *done* what that was."""
    alg = plan.alg or next(member.key.alg for member in members if member.signs)
    while (ahead := timetable(members, plan)) and ahead[0].at <= now:
        step = ahead[0]
        match step.action:
            case "publish":
                new = make(alg)
                members, step = (*members, Member(new, now)), replace(step, kid=new.kid)
            case "sign":
                key = next(member.key for member in members if member.key.kid == step.kid)
                members = _signing_with(key, members, now)
            case _:
                members = _without(step.kid, members)
        done.append(step)
    if prepare and not any(member.waits for member in members) and all(step.action != "sign" for step in done):
        new = make(alg)
        members = (*members, Member(new, now))
        done.append(Step("publish", now, new.kid))
    return members
