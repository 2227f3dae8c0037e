"""Issuer → a small ASGI app that says who it is and which keys count: discovery and JWKS.

It is no authorization server for people to log in to: it has no users, no consent and no sessions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ..errors import Misconfigured
from ..sources.address import why_not

if TYPE_CHECKING:
    from starlette.requests import Request

    from .issuer import Issuer

__all__ = ["endpoint", "metadata"]

_JWKS = "/jwks"


def endpoint(issuer: Issuer, *, keys_fresh_for: int = 300) -> Starlette:
    """Return the app that publishes *issuer*; Misconfigured where its name is no URL that anybody would ask.

    *keys_fresh_for* is how many seconds others may keep the key set: as long as a key should be published
    before it signs.
    """
    reason = why_not(issuer.url) or ("it has a query" if "?" in issuer.url else None)
    if reason is not None:
        raise Misconfigured(f"issuer: {reason}")
    path = urlsplit(issuer.url).path.rstrip("/")

    async def describe(_request: Request) -> Response:
        return _document(metadata(issuer), "application/json", keys_fresh_for)

    async def keys(_request: Request) -> Response:
        # RFC 7517 §8.5.2
        return _document(issuer.keyring.jwks(), "application/jwk-set+json", keys_fresh_for)

    places = {  # OpenID Connect Discovery §4 appends to the issuer's path, RFC 8414 §3.1 and §5 insert before it
        f"{path}/.well-known/openid-configuration",
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
    }
    return Starlette(routes=[*(Route(place, describe) for place in sorted(places)), Route(f"{path}{_JWKS}", keys)])


def metadata(issuer: Issuer) -> dict[str, Any]:
    """Return what *issuer* says of itself (RFC 8414 §2, OpenID Connect Discovery §3)."""
    return {
        "issuer": issuer.url,
        "jwks_uri": f"{issuer.url.rstrip('/')}{_JWKS}",
        # Required, and the one registered value for an issuer that nobody is sent to.
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.alg for key in issuer.keyring.keys}),
    }


def _document(document: dict[str, Any], media_type: str, seconds: int) -> Response:
    headers = {"cache-control": f"public, max-age={seconds}", "x-content-type-options": "nosniff"}
    return Response(json.dumps(document).encode("utf-8"), media_type=media_type, headers=headers)
