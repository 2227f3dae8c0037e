"""Issuer → a small ASGI app that says who it is and which keys count, and gives tokens to programs if it is told to.

It is no authorization server for people to log in to: it has no users, no consent and no sessions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..errors import Misconfigured
from ..sources.address import why_not
from .form_app import FormApp
from .token_endpoint import GRANT

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from .client_authentication import Clients
    from .introspection import Introspection
    from .issuer import Issuer
    from .revocation import Revocation
    from .token_endpoint import TokenEndpoint

__all__ = ["INTROSPECT", "NOTICE", "REVOKE", "TOKEN", "endpoint", "metadata"]

TOKEN, INTROSPECT, REVOKE = "/token", "/introspect", "/revoke"
"""Where the endpoints are, below the issuer's URL."""
NOTICE = (
    "This is no authorization server for people to log in to: it has no users, no consent and no sessions. "
    "It publishes the keys of an issuer, and may give tokens to programs that it knows."
)
_JWKS = "/jwks"
_SMART = "/.well-known/smart-configuration"


def endpoint(  # noqa: PLR0913 - what such an app can have, by name
    issuer: Issuer,
    *,
    keys_fresh_for: int = 300,
    tokens: TokenEndpoint | None = None,
    introspection: Introspection | None = None,
    revocation: Revocation | None = None,
    is_for_smart: bool = False,
    plain_http_hosts: Collection[str] = (),
) -> Starlette:
    """Return the app that publishes *issuer*; Misconfigured where its name is no URL that anybody would ask.

    *keys_fresh_for* is how many seconds others may keep the key set: as long as a key should be published
    before it signs.  *tokens*, *introspection* and *revocation* are at ``/token``, ``/introspect`` and ``/revoke``.
    With *is_for_smart* there is a ``.well-known/smart-configuration``, too (SMART App Launch 2.2), for backend
    services.  An issuer without TLS is on loopback, or on one of *plain_http_hosts*.
    """
    reason = why_not(issuer.url, plain_http_hosts) or ("it has a query" if "?" in issuer.url else None)
    if reason is not None:
        raise Misconfigured(f"issuer: {reason}")
    plan = issuer.keyring.rotation
    if plan is not None and keys_fresh_for > plan.published_before:
        raise Misconfigured("issuer: keys_fresh_for is longer than the keyring's plan publishes a key before it signs")
    if tokens is not None and tokens.issuer is not issuer:
        raise Misconfigured("issuer: the token endpoint is another issuer's")
    if is_for_smart and tokens is None:
        raise Misconfigured("issuer: what is for SMART has a token endpoint")
    path = urlsplit(issuer.url).path.rstrip("/")
    base = issuer.url.rstrip("/")
    described = {
        "service_documentation": f"{base}/",
        "jwt_guard_notice": NOTICE,
        **({} if tokens is None else _giving(base, tokens)),
        **({} if introspection is None else _asked_at("introspection", f"{base}{INTROSPECT}", introspection.clients)),
        **({} if revocation is None else _asked_at("revocation", f"{base}{REVOKE}", revocation.clients)),
    }

    async def describe(_request: Request) -> Response:
        return _document({**metadata(issuer), **described}, "application/json", keys_fresh_for)

    async def describe_for_smart(_request: Request) -> Response:
        return _document(_smart(base, described), "application/json", keys_fresh_for)

    async def keys(_request: Request) -> Response:
        # RFC 7517 §8.5.2
        return _document(issuer.keyring.jwks(), "application/jwk-set+json", keys_fresh_for)

    async def root(_request: Request) -> Response:
        return PlainTextResponse(f"{issuer.url}\n\n{NOTICE}\n", headers={"x-content-type-options": "nosniff"})

    places = {  # OpenID Connect Discovery §4 appends to the issuer's path, RFC 8414 §3.1 and §5 insert before it
        f"{path}/.well-known/openid-configuration",
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
    }
    routes = [Route(place, describe) for place in sorted(places)]
    routes += [Route(f"{path}{_JWKS}", keys), *(Route(place, root) for place in sorted({path or "/", f"{path}/"}))]
    if is_for_smart:
        routes.append(Route(f"{path}{_SMART}", describe_for_smart))
    for place, part in ((TOKEN, tokens), (INTROSPECT, introspection), (REVOKE, revocation)):
        if part is not None:
            routes.append(Route(f"{path}{place}", FormApp(part.answer)))
    return Starlette(routes=routes)


def metadata(issuer: Issuer) -> dict[str, Any]:
    """Return what *issuer* says of itself (RFC 8414 §2, OpenID Connect Discovery §3), without any other endpoint."""
    return {
        "issuer": issuer.url,
        "jwks_uri": f"{issuer.url.rstrip('/')}{_JWKS}",
        # Required, and the one registered value for an issuer that nobody is sent to.
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.alg for key in issuer.keyring.keys}),
    }


def _giving(base: str, tokens: TokenEndpoint) -> dict[str, Any]:
    """Return what the metadata say of a token endpoint."""
    said = {**_asked_at("token", f"{base}{TOKEN}", tokens.clients), "grant_types_supported": [GRANT]}
    scopes = sorted({scope for client in tokens.clients.registered for scope in client.scopes})
    return {**said, "scopes_supported": scopes} if scopes else said  # RFC 8414 §3.2: nothing that is empty


def _asked_at(what: str, url: str, clients: Clients) -> dict[str, Any]:
    """Return where an endpoint is, and how clients authenticate there (RFC 8414 §2)."""
    name = f"{what}_endpoint"
    said: dict[str, Any] = {name: url, f"{name}_auth_methods_supported": list(clients.methods)}
    if "private_key_jwt" in clients.methods:
        said[f"{name}_auth_signing_alg_values_supported"] = list(clients.signing_algorithms)
    return said


def _smart(base: str, described: dict[str, Any]) -> dict[str, Any]:
    """Return the same for backend services (SMART App Launch 2.2, "Conformance"): nobody is launched here."""
    methods = described["token_endpoint_auth_methods_supported"]
    said = {name: value for name, value in described.items() if name != "service_documentation"}
    capabilities = {
        "client-confidential-asymmetric": "private_key_jwt" in methods,
        "client-confidential-symmetric": "client_secret_basic" in methods,
    }
    return {
        **said,
        "jwks_uri": f"{base}{_JWKS}",
        "capabilities": [name for name, has in capabilities.items() if has],
        # Required of each such document, also where there is no place that would take a code challenge.
        "code_challenge_methods_supported": ["S256"],
    }


def _document(document: dict[str, Any], media_type: str, seconds: int) -> Response:
    headers = {"cache-control": f"public, max-age={seconds}", "x-content-type-options": "nosniff"}
    return Response(json.dumps(document).encode("utf-8"), media_type=media_type, headers=headers)
