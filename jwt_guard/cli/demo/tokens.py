"""An issuer and a stranger → the tokens that people send: good ones, stale ones, and forgeries."""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...issuing.issuer import Issuer, sign
from ...issuing.signing import SigningKey
from ...tokens.compact import from_base64url, to_base64url
from .apps import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Cast"]

_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Cast:
    """Who signs."""

    issuer: Issuer
    """The one that the apps trust."""
    stranger: SigningKey
    """A key of somebody else."""
    first: SigningKey
    """The key that the issuer began with."""

    def good(self, **changes: Any) -> str:  # noqa: ANN401 - JSON values
        """Return a token as the issuer would, with *changes* to its claims; None removes one."""
        return sign(self.issuer.keyring.current, self.claims(**changes))

    def old(self) -> str:
        """Return a good token by the key that the issuer began with."""
        return sign(self.first, self.claims())

    def machine(self) -> str:
        """Return a token of a program that acts for nobody."""
        return self.issuer.access_token("nightly-report", AUDIENCE, "orders:read", "nightly-report")

    def claims(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
        """Return the claims of a good token with *changes*; None removes one."""
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.issuer.url,
            "sub": "ada",
            "aud": AUDIENCE,
            "client_id": "webshop",
            "scope": "orders:read",
            "iat": now,
            "exp": now + _HOUR,
            "jti": "demo",
        }
        return {name: value for name, value in {**said, **changes}.items() if value is not None}

    def expired(self) -> str:
        """Return a token that was good an hour ago."""
        return self.good(**self._an_hour_ago())

    def not_yet(self) -> str:
        """Return a token that will be good in an hour."""
        return self.good(nbf=int(time.time()) + _HOUR)

    def by_stranger(self) -> str:
        """Return a token of another issuer, who signs well."""
        return sign(self.stranger, self.claims(iss="https://stranger.example"))

    def by_foreign_key(self) -> str:
        """Return a token by a stranger's key under the name of the issuer's."""
        return sign(self._masked(), self.claims())

    def with_own_key(self) -> str:
        """Return a token that brings the key to check it with."""
        return sign(self._masked(), self.claims(), header={"jwk": dict(self.stranger.public or {})})

    def by_unknown_key(self, *, expired: bool = False) -> str:
        """Return a token by a key that the issuer might have made a moment ago, for all that one can see."""
        return sign(self.stranger, self.claims(**self._an_hour_ago() if expired else {}))

    def unsigned(self) -> str:
        """Return a token that asks not to be checked."""
        return f"{self._head('none')}."

    def by_public_key(self) -> str:
        """Return a token "signed" with what everybody knows, in the hope that it is taken for a secret."""
        signing_input = self._head("HS256")
        mac = hmac.digest(self.first.public_pem(), signing_input.encode(), "sha256")
        return f"{signing_input}.{to_base64url(mac)}"

    def tampered(self) -> str:
        """Return a good token in which somebody has made more of himself."""
        head, payload, signature = self.good().split(".")
        claims = json.loads(from_base64url(payload.encode(), "payload"))
        return ".".join((head, _part({**claims, "scope": "orders:read orders:write"}), signature))

    def id_token(self) -> str:
        """Return a token that tells the client who logged in, which is no key to any API."""
        claims = self.claims(aud="webshop", azp="webshop", nonce="n-0S6_WzA2Mj", scope=None, client_id=None)
        return sign(self.issuer.keyring.current, claims, typ="JWT")

    def _masked(self) -> SigningKey:
        return SigningKey(self.stranger.alg, self.stranger.material, self.issuer.keyring.current.kid)

    def _head(self, alg: str) -> str:
        return f"{_part({'alg': alg, 'kid': self.first.kid, 'typ': 'at+jwt'})}.{_part(self.claims())}"

    def _an_hour_ago(self) -> dict[str, int]:
        now = int(time.time())
        return {"iat": now - 2 * _HOUR, "exp": now - _HOUR}


def _part(values: Mapping[str, Any]) -> str:
    return to_base64url(json.dumps(values).encode())
