"""An issuer in this process → good and bad tokens, and guards that see its keys as they are, without any network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ..access.guard import Guard
from ..access.policy import Policy, authenticated
from ..access.provider import KeySource, Provider
from ..errors import KeysUnavailable
from ..issuing.issuer import Issuer
from ..issuing.keyring import Keyring, SigningKey, make
from ..issuing.own_keys import OwnKeys
from ..tokens.algorithms import ASYMMETRIC
from .flaws import Flaw, flawed
from .minting import mint

if TYPE_CHECKING:
    from ..sources.key_state import KeyState
    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import Key
    from .served import ServedIssuer

__all__ = ["LocalIssuer"]


class LocalIssuer:
    """An issuer for tests: it makes tokens as good or as bad as you like, rotates, and fails when told to."""

    def __init__(
        self,
        url: str = "https://id.test",
        *,
        audience: str = "api",
        alg: str = "ES256",
        clock: Callable[[], float] = time.time,
        keyring: Keyring | None = None,
    ) -> None:
        """*url* is its ``iss`` and *audience* the ``aud`` of its tokens; *clock* gives seconds since the epoch.

        It has one new key for *alg*, unless it is given a *keyring*.  Raises Misconfigured, for HMAC too: its keys
        are published.
        """
        self.keyring = Keyring(make(alg)) if keyring is None else keyring
        """Its keys, and which of them signs."""
        self.url: str = Issuer(url, self.keyring, clock).url
        self.audience: str = audience
        self.clock = clock
        self.is_down = False
        """True: nobody gets its keys, so that a guard without any answers 503."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, audience={self.audience!r})"

    # --- tokens ---------------------------------------------------------------------------------------

    @property
    def key(self) -> SigningKey:
        """The key that signs now."""
        return self.keyring.current

    def token(
        self,
        *,
        lifetime: float = 300,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | None = None,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> str:
        """Return an access token (RFC 9068 §2) that lives *lifetime* seconds, with *claims*.

        ``iss``, ``aud``, ``sub``, ``client_id``, ``iat``, ``exp`` and ``jti`` are set unless *claims* set them; one
        that is None is left out.  *header* changes what the header says, and *key* signs instead of the current one.
        """
        said = {"iss": self.url, "aud": self.audience, "sub": "ada", "client_id": "webshop", **claims}
        return mint(said, key=key or self.key, header=header, lifetime=lifetime, clock=self.clock)

    def bad_token(self, flaw: Flaw, **claims: Any) -> str:  # noqa: ANN401 - JSON values
        """Return a token with *flaw*, one of ``FLAWS``, that is good otherwise; ValueError for what is none of them."""
        return flawed(self, flaw, claims)

    # --- keys -----------------------------------------------------------------------------------------

    def publish(self, key: SigningKey | None = None) -> SigningKey:
        """Show *key*, or a new one, to the world before it signs, and return it."""
        key = make(self.key.alg) if key is None else key
        self.keyring.publish(key)
        return key

    def rotate(self, key: SigningKey | None = None) -> SigningKey:
        """Sign with *key*, or with a new one, from now on, and return it; the old one stays published."""
        return self.keyring.rotate(key)

    def retire(self, kid: str | None = None) -> None:
        """Publish the key named *kid* no longer; None: all but the one that signs.  Misconfigured for that one."""
        old = [key.kid for key in self.keyring.keys if key is not self.key] if kid is None else [kid]
        for name in old:
            self.keyring.retire(str(name))

    # --- guards ---------------------------------------------------------------------------------------

    def keys(self) -> KeySource:
        """Return a source of the keys that are published at the moment of each request."""
        return _PresentKeys(self)

    def provider(
        self,
        audience: str | Sequence[str] | None = None,
        *,
        name: str = "test",
        keys: KeySource | None = None,
        **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
    ) -> Provider:
        """Return a provider that takes these tokens; *audience* is that of the tokens, *keys* are :meth:`keys`.

        *more* are the other fields of :class:`~jwt_guard.access.provider.Provider`.
        """
        audience = self.audience if audience is None else audience
        return Provider(name, self.url, audience, self.keys() if keys is None else keys, **more)

    def guard(self, policy: Policy | None = None, **settings: Any) -> Guard:  # noqa: ANN401 - as there
        """Return a guard with *policy* for these tokens, by this issuer's clock; *settings* are :meth:`provider`'s."""
        return Guard([self.provider(**settings)], authenticated() if policy is None else policy, clock=self.clock)

    def serve(self, *, max_age: int | None = 300) -> AbstractContextManager[ServedIssuer]:
        """Return what runs this issuer over HTTP on loopback while it is entered, under a URL of its own.

        The keys are shared: a rotation of the one is one of the other.  *max_age* is how many seconds others may
        keep its documents (``Cache-Control``); None: it does not say.
        """
        from .served import serving

        return serving(self, max_age)


class _PresentKeys:
    """A key source that looks into the keyring each time."""

    algorithms = ASYMMETRIC

    def __init__(self, issuer: LocalIssuer) -> None:
        self._issuer = issuer

    def __call__(self, token: UnverifiedToken) -> Key:
        return self._now()(token)

    def rules_out(self, header: Header) -> bool:
        return not self._issuer.is_down and self._now().rules_out(header)

    def state(self) -> KeyState:
        from ..sources.key_state import KeyState

        if self._issuer.is_down:
            return KeyState(usable=False, keys=0, last_error="the issuer is down")
        return self._now().state()

    def _now(self) -> OwnKeys:
        if self._issuer.is_down:
            raise KeysUnavailable("the issuer is down")
        return OwnKeys(self._issuer.keyring)
