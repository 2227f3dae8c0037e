"""ProtectedResource → what a client that knows nothing yet is told of it: RFC 9728 metadata, and where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import Misconfigured, shown
from ..messages import Response
from ..sources.address import why_not
from .policy import is_scope

if TYPE_CHECKING:
    from ..messages import Request

__all__ = ["ProtectedResource", "answer_about", "document"]

_WELL_KNOWN = "/.well-known/oauth-protected-resource"  # RFC 9728 §3
_LIFETIME = 3_600  # seconds for which whoever has them need not ask again


@dataclass(frozen=True)
class ProtectedResource:
    """What is protected, for clients that ask (RFC 9728 §2).  Raises Misconfigured."""

    url: str
    """Its identifier: https, or http on loopback; no query and no fragment."""
    scopes_supported: Sequence[str] = ()
    """Scopes that a client may have to ask for."""
    name: str | None = None
    """What people call it."""
    documentation: str | None = None
    """The URL of a page for people who write clients."""
    policy_uri: str | None = None
    """The URL of a page that says how it may be used."""
    tos_uri: str | None = None
    """The URL of its terms of service."""
    authorization_servers: Sequence[str] = ()
    """Issuers that a client may get tokens from; none: those of the guard's providers that are URLs."""
    metadata_url: str = field(init=False, repr=False, compare=False)
    """Where a client finds the document."""
    path: str = field(init=False, repr=False, compare=False)
    """The path of that."""

    def __post_init__(self) -> None:
        """Check everything, and find where the document is (RFC 9728 §3.1)."""
        for name in ("url", "documentation", "policy_uri", "tos_uri"):
            value = getattr(self, name)
            reason = None if value is None and name != "url" else why_not(value)
            if reason is not None:
                raise Misconfigured(f"resource: {name}: {reason.partition(',')[0]}")
        if "?" in self.url:
            raise Misconfigured("resource: url: it has a query, which RFC 9728 §1.2 advises against")
        if self.name is not None and not (isinstance(self.name, str) and self.name):
            raise Misconfigured("resource: name is a text that is not empty")
        scopes, servers = _texts(self.scopes_supported), _texts(self.authorization_servers)
        if scopes is None or not all(map(is_scope, scopes)):
            raise Misconfigured("resource: scopes_supported is a list of scopes")
        wrong = [None] if servers is None else [server for server in servers if why_not(server) is not None]
        if wrong:
            raise Misconfigured(f"resource: authorization_servers: {shown(wrong[0])} is no https URL")
        parts = urlsplit(self.url)
        # RFC 9728 §3.1: a slash that ends the host is taken out, and what a path has stays as it is.
        path = _WELL_KNOWN + ("" if parts.path == "/" else parts.path)
        object.__setattr__(self, "scopes_supported", scopes)
        object.__setattr__(self, "authorization_servers", servers)
        object.__setattr__(self, "metadata_url", f"{parts.scheme}://{parts.netloc}{path}")
        object.__setattr__(self, "path", path)


def _texts(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str) or not isinstance(value, Sequence | frozenset):
        return None
    texts = tuple(sorted(value)) if isinstance(value, frozenset) else tuple(value)
    return texts if all(isinstance(text, str) for text in texts) else None


def document(resource: ProtectedResource, issuers: Iterable[str], methods: Sequence[str]) -> dict[str, object]:
    """Return the metadata of *resource* (RFC 9728 §2), for a guard that trusts *issuers* and looks in *methods*.

    What there is nothing to say about is left out.
    """
    servers = list(resource.authorization_servers) or [issuer for issuer in issuers if why_not(issuer) is None]
    said = {
        "resource": resource.url,
        "authorization_servers": servers,
        "scopes_supported": list(resource.scopes_supported),
        "bearer_methods_supported": list(methods),
        "resource_name": resource.name,
        "resource_documentation": resource.documentation,
        "resource_policy_uri": resource.policy_uri,
        "resource_tos_uri": resource.tos_uri,
    }
    return {name: value for name, value in said.items() if value}


def answer_about(metadata: Mapping[str, object], request: Request) -> Response:
    """Return the answer to *request* for *metadata*: to anyone, from any page of any origin."""
    headers = [("access-control-allow-origin", "*")]
    if request.method in ("GET", "HEAD"):
        body = json.dumps(metadata).encode()
        headers += [
            ("content-type", "application/json"),
            ("cache-control", f"public, max-age={_LIFETIME}"),
            ("content-length", str(len(body))),
        ]
        return Response(200, tuple(headers), body)
    allowed = "GET, HEAD, OPTIONS"
    if request.method == "OPTIONS":  # a client in a browser may send headers of its own, as those of MCP do
        headers += [
            ("access-control-allow-methods", allowed),
            ("access-control-allow-headers", "*"),
            ("access-control-max-age", str(_LIFETIME)),
        ]
        return Response(204, tuple(headers), b"")
    headers += [("allow", allowed), ("content-type", "text/plain"), ("content-length", "0")]
    return Response(405, tuple(headers), b"")
