"""The host that an endorsement names → the key it publishes: asked of a strict name only, and read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ClaimRejected, FetchFailed, KeysUnavailable, UnknownKey
from ...flow import Fetch, Trust, call, fetch
from ...tokens.keys import KeySet, KeyUnusable, key_from_jwk
from ...tokens.strict_json import NotStrictJson, json_object
from .endorsing import ALGORITHM, PRIVATE
from .host import addresses, is_public, well_known, why_no_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...flow import Flow
    from ...tokens.compact import UnverifiedToken
    from ...tokens.keys import Key

__all__ = ["WellKnownKey", "host_of"]

_NOT_FETCHED = "The key could not be fetched"
_LIMIT = 16_384  # octets: an RSA key of 8192 bits has 2,000
_DEPTH = 8
_OK = 200


@dataclass(frozen=True, slots=True)
class WellKnownKey:
    """A key source that asks ``https://<iss>/.well-known/poet.jwk``, each time anew.

    A host that has an address of a private network, or of this machine, is not asked, unless *private_addresses_too*.
    Where *trust* has a proxy, it is the proxy that looks the host up and decides.
    """

    trust: Trust = Trust()
    deadline: float = 5.0
    """Seconds for looking the host up, and as many for the answer."""
    private_addresses_too: bool = False

    @property
    def algorithms(self) -> frozenset[str]:
        """RS256, whatever a key says."""
        return frozenset({ALGORITHM})

    def __call__(self, token: UnverifiedToken) -> Flow[Key]:
        """Return the key that signed *token* if its host publishes that.

        Raises ClaimRejected for a host that is not asked, KeysUnavailable where no key is got, UnknownKey for another.
        """
        host = host_of(token)
        if not self.private_addresses_too and self.trust.proxy is None:
            yield from self._refuse_what_is_private(host)
        try:
            key = yield from self._asked(well_known(host))
        except FetchFailed as error:
            raise KeysUnavailable(f"{_NOT_FETCHED} ({error})") from None
        found = KeySet((key,)).find(token.kid, token.alg)
        if found is None or token.kid is None:
            raise UnknownKey(token.kid, token.alg, "the key that its host publishes is another one")
        return found

    def _refuse_what_is_private(self, host: str) -> Flow[None]:
        """Refuse *host* where it leads into a network of ours: whoever wrote the token has chosen it.

        A name that is given other addresses right after this still meets TLS: what stands there would need
        a certificate for it before it is sent a single octet of HTTP.
        """
        try:
            found = yield from call(addresses, host, self.deadline)
        except (OSError, ValueError) as error:  # TimeoutError is one of the former, UnicodeError of the latter
            raise KeysUnavailable(f"{_NOT_FETCHED} (its host is not found: {type(error).__name__})") from None
        if not isinstance(found, list) or not found or not all(map(is_public, found)):
            raise ClaimRejected("iss", f"{_NOT_FETCHED}: its host has an address that is not public")

    def _asked(self, url: str) -> Flow[Key]:
        headers = {"Accept": "application/jwk+json, application/json"}  # RFC 7517 §8.5.1
        reply = yield from fetch(Fetch(url, headers, self.deadline, _LIMIT, self.trust))
        if reply.status != _OK:
            raise FetchFailed(url, f"it was answered with {reply.status}")
        try:
            jwk = json_object(reply.body, _DEPTH)
            return _public_key(jwk)
        except NotStrictJson as error:
            raise FetchFailed(url, f"the answer {error}") from None
        except KeyUnusable as error:
            raise FetchFailed(url, f"no key for this: {error}") from None


def host_of(token: UnverifiedToken) -> str:
    """Return the host that *token* names as its issuer; raises ClaimRejected where that is none to ask."""
    if "iss" not in token.values:
        raise ClaimRejected("iss", "is missing in the payload")
    issuer = token.issuer
    reason = why_no_host(issuer)
    if reason is not None or not isinstance(issuer, str):
        raise ClaimRejected("iss", f"{_NOT_FETCHED}: {reason}")
    return issuer


def _public_key(jwk: Mapping[str, Any]) -> Key:
    if not PRIVATE.isdisjoint(jwk):  # whoever has read it could have signed the token
        raise KeyUnusable("its private half is published")
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        raise KeyUnusable("it has no kid")
    key = key_from_jwk(dict(jwk), symmetric=False)
    if ALGORITHM not in key.verifiers:
        raise KeyUnusable(f"it is not for {ALGORITHM}")
    return key
