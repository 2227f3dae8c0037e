"""An issuer that no provider of the guard has → its provider, from the application: for services with many tenants."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from ..errors import GuardError, Misconfigured, Unavailable, UnknownIssuer, shown
from ..flow import call
from ..sources.jwks import RemoteKeys
from .provider import Provider

if TYPE_CHECKING:
    from ..flow import Flow

__all__ = ["Resolve", "Resolver", "is_same"]

Resolve: TypeAlias = "Callable[[str], Provider | Awaitable[Provider | None] | None]"
"""(issuer) → its provider, or None where it is nobody's; plain or ``async``."""

_PLACE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_TENANT = "[A-Za-z0-9_-]{1,128}"
_LONGEST = 1_024


@dataclass(frozen=True)
class Resolver:
    """Whom to ask for the provider of an issuer.

    *resolve* is asked for every request, also for a token that is remembered, so that a tenant who is removed is
    refused at once: it should have its answers at hand.  An equal provider is the same one, keys and all.
    """

    resolve: Resolve
    issuers: str | Sequence[str] | Callable[[str], bool]
    """Which issuers it is asked for at all: exact ones, with ``{name}`` for what differs between tenants (letters,
    digits, dashes and underscores), or a function that says."""
    most: int = 1_000
    """Providers whose keys are kept; who was not asked for the longest time goes first."""
    blocking: bool = False
    """True: *resolve* is a plain function that may wait, so an event loop gives it a thread."""
    _may_ask: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    _kept: dict[str, Provider] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check everything; raises Misconfigured."""
        if not callable(self.resolve):
            raise Misconfigured("resolver: resolve is a function of the issuer")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise Misconfigured("resolver: most is a whole number above 0")
        object.__setattr__(self, "_may_ask", self.issuers if callable(self.issuers) else _matcher(self.issuers))
        object.__setattr__(self, "_kept", {})

    def provider_for(self, issuer: object) -> Flow[Provider]:
        """Return the provider of *issuer*.

        Raises UnknownIssuer, Unavailable where *resolve* fails, and TypeError where it gives something else.
        """
        if not isinstance(issuer, str) or len(issuer) > _LONGEST or self._may_ask(issuer) is not True:
            raise UnknownIssuer(issuer)
        try:
            found = yield from call(self.resolve, issuer, blocking=self.blocking)
        except GuardError:
            raise
        except Exception as error:  # noqa: BLE001 - theirs to raise, and not one is a yes
            raise Unavailable(f"the resolver raised {type(error).__name__} for {shown(issuer)}") from None
        if found is None:
            self._kept.pop(issuer, None)
            raise UnknownIssuer(issuer)
        if not isinstance(found, Provider) or issuer not in found.issuers:
            message = "a resolver answers with a Provider that has the issuer, or None"
            raise TypeError(message)
        return self._keep(issuer, found)

    @property
    def kept(self) -> tuple[Provider, ...]:
        """The providers whose keys are kept."""
        return tuple(self._kept.values())

    def _keep(self, issuer: str, found: Provider) -> Provider:
        """Return the provider that we had, where *found* is its equal."""
        before = self._kept.pop(issuer, None)
        kept = self._kept[issuer] = before if before is not None and is_same(before, found) else found
        if len(self._kept) > self.most:
            self._kept.pop(next(iter(self._kept)), None)
        return kept


def is_same(one: Provider, other: Provider) -> bool:
    """Say whether *other* would do as *one* does, so that *one* may stay, with the keys that it knows."""
    if one is other:
        return True
    asks, would_ask = one.introspection, other.introspection
    if asks is not None and would_ask is not None and asks.is_like(would_ask):
        other = replace(other, introspection=asks)
    ours, theirs = one.source, other.source
    if isinstance(ours, RemoteKeys) and isinstance(theirs, RemoteKeys):
        return ours.is_like(theirs) and one == replace(other, keys=one.keys)
    return one == other


def _matcher(issuers: object) -> Callable[[str], bool]:
    texts = (issuers,) if isinstance(issuers, str) else tuple(issuers) if isinstance(issuers, Sequence) else ()
    if not texts or not all(isinstance(text, str) and text and text == text.strip() for text in texts):
        raise Misconfigured("resolver: issuers are texts that are not empty, or a function that says")
    patterns = [_TENANT.join(map(re.escape, _PLACE.split(text))) for text in texts]
    matches = re.compile("|".join(patterns)).fullmatch
    return lambda issuer: matches(issuer) is not None
