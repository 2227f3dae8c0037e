"""Credentials → one short-lived signed token that tells an upstream who is asking, which need not trust the network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..access.routes import segments
from ..errors import Misconfigured
from ..messages import Response
from .identity import IdentityHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..credentials import Credentials
    from ..issuing.issuer import Issuer

__all__ = ["IdentityToken"]

T = TypeVar("T", str, bytes)
_LONGEST = 3_600
_MOST_KEPT = 4_096
_KEYS_FRESH_FOR = 300
_AUTHORIZATION = "authorization"

_Who = tuple[str, str | None, str | None, frozenset[str]]


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A token of *issuer* for *audience* in *header*, in the place of headers in clear.  Raises Misconfigured.

    It is an access token (RFC 9068), so that an upstream may guard itself by it.  ``Authorization`` as the header
    has it there as a bearer token.
    """

    header: str
    issuer: Issuer = field(repr=False)
    audience: str | Sequence[str]
    lifetime: int = 60
    """Seconds that a token lives at most; never longer than the one that the client brought."""
    jwks_path: str = "/.well-known/jwt-guard/jwks.json"
    """Where the gateway serves the keys to check it by."""
    _alias: IdentityHeaders = field(init=False, repr=False)
    _kept: dict[_Who, tuple[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check everything."""
        is_bearer = isinstance(self.header, str) and self.header.lower() == _AUTHORIZATION
        try:
            alias = IdentityHeaders(user=None if is_bearer else self.header)
        except Misconfigured as error:
            raise Misconfigured(f"header: {str(error).removeprefix('identity headers: ')}") from None
        if self.header is None:
            raise Misconfigured("header: the name of a header is expected")
        if not self.audience or not all(self.audience):
            raise Misconfigured("audience: whom the token is for is expected")
        if self.lifetime.__class__ is not int or not 1 <= self.lifetime <= _LONGEST:
            raise Misconfigured(f"lifetime: a whole number of seconds is expected, at most {_LONGEST}")
        if not isinstance(self.jwks_path, str) or not segments(self.jwks_path):
            raise Misconfigured("jwks_path: a path is expected, and more of it than a slash")
        object.__setattr__(self, "_alias", alias)
        object.__setattr__(self, "_kept", {})

    @property
    def names(self) -> tuple[str, ...]:
        """The one name that is set."""
        return (self.header,)

    @property
    def is_bearer(self) -> bool:
        """Whether it takes the place of the client's own bearer token."""
        return not self._alias.names

    def is_alias(self, name: str) -> bool:
        """Say whether some server could take *name* for ours."""
        return name.lower() == _AUTHORIZATION if self.is_bearer else self._alias.is_alias(name)

    def without_aliases(self, headers: Iterable[tuple[T, T]]) -> list[tuple[T, T]]:
        """Return *headers* without any that a server could take for ours."""
        return [
            (name, value)
            for name, value in headers
            if not self.is_alias(name if isinstance(name, str) else name.decode("latin-1"))
        ]

    def headers(self, credentials: Credentials | None) -> tuple[tuple[str, str], ...]:
        """Return what the upstream is told of *credentials*: the header, empty where nobody is asking."""
        if credentials is None:
            return ((self.header, ""),)
        token = self._token(credentials)
        return ((self.header, f"Bearer {token}" if self.is_bearer else token),)

    def document(self) -> Response:
        """Return the key set (RFC 7517 §5)."""
        body = json.dumps(self.issuer.keyring.jwks()).encode("utf-8")
        headers = (
            ("content-type", "application/jwk-set+json"),
            ("cache-control", f"public, max-age={_KEYS_FRESH_FOR}"),
            ("content-length", str(len(body))),
        )
        return Response(200, headers, body)

    def _token(self, credentials: Credentials) -> str:
        """Return a token that has at least half of its life before it: signing takes longer than all else here."""
        now = int(self.issuer.clock())
        exp = credentials.claims.get("exp")
        left = max(1, min(self.lifetime, int(exp) - now)) if isinstance(exp, int | float) else self.lifetime
        who = (credentials.provider, credentials.user, credentials.client, credentials.scopes)
        token, until = self._kept.get(who, ("", 0))
        if now + left / 2 <= until <= now + left:
            return token
        token = self.issuer.token(_claims(credentials, self.audience), typ="at+jwt", lifetime=left)
        if len(self._kept) >= _MOST_KEPT:
            for other in tuple(islice(self._kept, _MOST_KEPT // 2)):
                del self._kept[other]
        self._kept[who] = token, now + left
        return token


def _claims(credentials: Credentials, audience: str | Sequence[str]) -> dict[str, Any]:
    """Return what is said of *credentials*; of a machine the client is the subject (RFC 9068 §2.2)."""
    said = {
        "sub": credentials.user or credentials.client,
        "client_id": credentials.client,
        "scope": " ".join(sorted(credentials.scopes)) or None,
        "provider": credentials.provider,
    }
    return {"aud": audience if isinstance(audience, str) else list(audience)} | {
        name: value for name, value in said.items() if value is not None
    }
