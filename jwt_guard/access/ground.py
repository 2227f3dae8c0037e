"""A provider, one of its keys and what is revoked → what remembered verdicts stand on, and whether they still do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..tokens.keys import Key
    from .denylist import Denylist
    from .provider import Provider

__all__ = ["NEVER", "Ground", "Listed"]

NEVER: Final = -float("inf")


class Ground:
    """What verdicts stand on: a provider and one of its keys, for some span of the guard's clock."""

    __slots__ = ("is_resolved", "key", "looks", "number", "provider", "quick_until", "since")

    def __init__(self, number: int, provider: Provider, key: Key | None, *, is_resolved: bool) -> None:
        self.number = number
        self.provider = provider
        self.key = key
        """None: one that was made for the token alone."""
        self.is_resolved = is_resolved
        """Whether the provider is one that is asked for on each request."""
        self.since = NEVER
        """The clock has been later than this, so that every rule that waits for a time has seen it come."""
        self.looks = NEVER
        """Until when the source of the key need not be asked."""
        self.quick_until = NEVER
        """The same where nothing else is asked on a hit, else never."""


class Listed(Ground):
    """A ground with a denylist: whatever stands on it was asked about of one version, and with another it is over."""

    __slots__ = ("_denylist", "_until", "_version")

    def __init__(self, number: int, provider: Provider, key: Key | None, denylist: Denylist) -> None:
        self._denylist: Final = denylist
        self._version: Final = denylist.version  # that of now, since who asks later sees more, and never less
        super().__init__(number, provider, key, is_resolved=False)

    @property
    def is_over(self) -> bool:
        """Whether more was revoked since."""
        return self._denylist.version is not self._version

    @property
    def quick_until(self) -> float:
        """As of any ground.

        The versions are compared on every hit, and not ended by whoever revokes: a thread that is just about to say
        how long this lasts could begin it again.
        """
        return self._until if self._denylist.version is self._version else NEVER

    @quick_until.setter
    def quick_until(self, until: float) -> None:
        self._until = until

    def anew(self) -> Listed:
        """Return the same ground for what is asked about from now on."""
        ground = Listed(self.number, self.provider, self.key, self._denylist)
        ground.since, ground.looks = self.since, self.looks
        return ground
