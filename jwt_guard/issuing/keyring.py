"""Signing keys → which one signs now, and the key set that the world sees.

A key set is cached by others, so a key is best published before it signs, and stays published after it
has signed for as long as its longest token lives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, shown
from .loading import load_signing_key, signing_key
from .signing import SigningKey, make

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Keyring", "SigningKey", "load_signing_key", "make", "signing_key"]


@dataclass(frozen=True, slots=True)
class _Ring:
    current: SigningKey
    keys: tuple[SigningKey, ...]


class Keyring:
    """The keys of one issuer.

    Reading takes no lock: each change puts a whole new ring in the place of the old one.
    """

    def __init__(self, current: SigningKey, others: Iterable[SigningKey] = ()) -> None:
        """Sign with *current*; publish it and *others*.  Raises Misconfigured."""
        self._changing = threading.Lock()
        self._ring = _checked(_Ring(current, (current, *others)))

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._ring.current

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """Every key that is published."""
        return self._ring.keys

    def publish(self, key: SigningKey) -> None:
        """Show *key* to the world, and sign with it no sooner than :meth:`rotate` says."""
        self._change(lambda ring: _Ring(ring.current, (*ring.keys, key)))

    def rotate(self, key: SigningKey | None = None) -> SigningKey:
        """Sign with *key* from now on, or with a new one for the same algorithm; the old one stays published.

        Returns the key that signs now.
        """
        new = make(self.current.alg) if key is None else key
        self._change(lambda ring: _Ring(new, ring.keys if new in ring.keys else (*ring.keys, new)))
        return new

    def retire(self, kid: str) -> None:
        """Publish the key named *kid* no longer; Misconfigured for the one that signs, and for none of ours."""

        def without(ring: _Ring) -> _Ring:
            if kid == ring.current.kid:
                raise Misconfigured(f"keyring: {shown(kid)} signs; rotate first")
            rest = tuple(key for key in ring.keys if key.kid != kid)
            if len(rest) == len(ring.keys):
                raise Misconfigured(f"keyring: there is no key {shown(kid)}")
            return _Ring(ring.current, rest)

        self._change(without)

    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set to publish (RFC 7517 §5): public halves only."""
        return {"keys": [dict(key.public) for key in self.keys if key.public is not None]}

    def _change(self, change: Callable[[_Ring], _Ring]) -> None:
        with self._changing:
            self._ring = _checked(change(self._ring))


def _checked(ring: _Ring) -> _Ring:
    if any(key.public is None for key in ring.keys):
        raise Misconfigured("keyring: a secret cannot be published; sign with it directly")
    if len({key.kid for key in ring.keys}) < len(ring.keys):
        raise Misconfigured("keyring: two keys have one kid")
    return ring
