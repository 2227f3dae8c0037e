"""Claims + SigningKey → a signed token, and an issuer that knows what an access token must say (RFC 9068)."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..tokens.compact import to_base64url

if TYPE_CHECKING:
    from .keyring import Keyring
    from .signing import SigningKey

__all__ = ["Issuer", "sign"]

# json.dumps would make an encoder for each token, which takes longer than the encoding.
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def sign(
    key: SigningKey,
    claims: Mapping[str, Any],
    *,
    typ: str | None = "at+jwt",
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return *claims* as a compact JWS by *key* (RFC 7515 §7.1).

    *header* adds parameters; what the key and *typ* say cannot be said otherwise there (ValueError).
    """
    if header:
        if not {"alg", "kid", "typ"}.isdisjoint(header):
            message = "alg and kid come from the key, typ from its argument"
            raise ValueError(message)
        head = _encoded({**_parameters(key.alg, key.kid, typ), **header})
    else:
        head = _head(key.alg, key.kid, typ)
    signing_input = f"{head}.{_encoded(claims)}"
    return f"{signing_input}.{to_base64url(key.sign(signing_input.encode('ascii')))}"


def _parameters(alg: str, kid: str | None, typ: str | None) -> dict[str, str]:
    said = {"alg": alg, "kid": kid, "typ": typ}
    return {name: value for name, value in said.items() if value is not None}


@lru_cache(maxsize=64)  # an issuer writes the same header again and again
def _head(alg: str, kid: str | None, typ: str | None) -> str:
    return _encoded(_parameters(alg, kid, typ))


def _encoded(values: Mapping[str, Any]) -> str:
    return to_base64url(_to_json(dict(values)).encode("utf-8"))


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, with which keys, and at what time."""

    url: str
    """The exact ``iss`` of its tokens, and where its documents are."""
    keyring: Keyring
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""

    def __post_init__(self) -> None:
        """Refuse an issuer without a name."""
        if not isinstance(self.url, str) or not self.url or self.url != self.url.strip():
            raise Misconfigured("issuer: its url is a text that is not empty")

    def access_token(
        self,
        subject: str,
        audience: str | Sequence[str],
        scope: str | Sequence[str],
        client_id: str,
        lifetime: int = 300,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> str:
        """Return an access token (RFC 9068 §2) that lives *lifetime* seconds from now.

        *claims* are further ones; one that this method sets is refused (ValueError), except ``jti``.
        """
        now = int(self.clock())
        said = {
            "iss": self.url,
            "sub": subject,
            "aud": audience if isinstance(audience, str) else list(audience),
            "client_id": client_id,
            "scope": scope if isinstance(scope, str) else " ".join(scope),
            "iat": now,
            "exp": now + lifetime,
        }
        if not said.keys().isdisjoint(claims):
            message = f"these claims have arguments of their own, or follow from them: {sorted(said.keys() & claims)}"
            raise ValueError(message)
        if not said["scope"]:
            del said["scope"]  # RFC 9068 §2.2.3: only where there is one
        return sign(self.keyring.current, {**said, "jti": secrets.token_urlsafe(16), **claims})
