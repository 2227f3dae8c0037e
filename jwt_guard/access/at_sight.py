"""The value of an ``Authorization`` header that was seen a moment ago → the decision, without taking it apart.

What is held here has the yes of one policy, too, where that looks at nothing but credentials and is settled: they do
not change, so neither does its yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ..decision import Allow, Deny
from ..errors import GuardError
from .remembered import quick

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..decision import Decision
    from .policy import OfCredentials
    from .remembered import Recent, Remembered

__all__ = ["AtSight"]

T = TypeVar("T", str, bytes)
_BEARER = "Bearer "


class AtSight:
    """The headers that one guard has seen, beside the tokens that it remembers."""

    __slots__ = ("_octets", "_policy", "_remembered", "_texts", "octets", "text")

    def __init__(
        self,
        remembered: Remembered,
        clock: Callable[[], float],
        policy: OfCredentials | None,
    ) -> None:
        self._remembered: Final = remembered
        self._policy: Final = policy
        self._texts: Final[dict[str, Recent[str, Allow]]] = {}
        self._octets: Final[dict[bytes, Recent[bytes, Allow]]] = {}
        self.text: Final = quick(self._texts, clock, self._of_text)
        """(value) → the decision where its token is remembered, as far as the policy can say it of credentials alone;
        None where it is not, or is written in another way."""
        self.octets: Final = quick(self._octets, clock, self._of_octets)
        """The same for a value in octets."""

    def of(self, value: str | bytes) -> Decision | None:
        """Return the same for a value of either kind."""
        return self.text(value) if isinstance(value, str) else self.octets(value)

    def _of_text(self, value: str) -> Decision | None:
        return self._recalled(value, value, self._texts)

    def _of_octets(self, value: bytes) -> Decision | None:
        return self._recalled(value, value.decode("latin-1"), self._octets)

    def _recalled(self, value: T, header: str, seen: dict[T, Recent[T, Allow]]) -> Decision | None:
        if not header.startswith(_BEARER):
            return None
        text = header[len(_BEARER) :]
        try:
            credentials = self._remembered.recall(text)
        except GuardError as error:
            return Deny(error)
        if credentials is None:
            return None
        policy = self._policy
        if policy is not None and not policy.lets_in(credentials):
            return policy.decision(credentials)
        allow = Allow(credentials)
        self._remembered.hold_beside(text, credentials, seen, value, allow)
        return allow
