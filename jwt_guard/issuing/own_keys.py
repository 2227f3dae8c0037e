"""A keyring → a source of its keys as they are at the moment of each token: for guards in the issuer's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sources.fixed import FixedKeys
from ..tokens.algorithms import ASYMMETRIC
from ..tokens.keys import KeySet

if TYPE_CHECKING:
    from ..sources.key_state import KeyState
    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import Key
    from .keyring import Keyring

__all__ = ["OwnKeys"]


class OwnKeys:
    """A key source that looks into the *keyring* each time, and asks nobody."""

    algorithms = ASYMMETRIC

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __call__(self, token: UnverifiedToken) -> Key:
        """Return the key that *token* means; raises UnknownKey."""
        return self._now()(token)

    def rules_out(self, header: Header) -> bool:
        """Say whether no key is meant by *header*."""
        return self._now().rules_out(header)

    def state(self) -> KeyState:
        """Return what there is to see of it."""
        return self._now().state()

    def _now(self) -> FixedKeys:
        return FixedKeys(KeySet(tuple(key.verifying for key in self._keyring.keys)))
