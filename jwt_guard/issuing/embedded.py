"""Issuer + its clients → the whole of a small issuer as one ASGI app, with all its endpoints fitted together.

It is for tests, for development, and for services that speak to each other alone.  It is no authorization server for
people to log in to.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ..access.denylist import Denylist
from ..access.guard import Guard
from ..access.once import Once
from ..access.profiles import rfc9068
from .client_authentication import Client, Clients
from .endpoint import INTROSPECT, REVOKE, TOKEN, endpoint
from .introspection import Introspection
from .own_keys import OwnKeys
from .revocation import Revocation
from .token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ..sources.jwks import KeySettings
    from .issuer import Issuer

__all__ = ["embedded_issuer"]

_MONTH = 2_592_000


def embedded_issuer(  # noqa: PLR0913 - what it is put together from, by name
    issuer: Issuer,
    clients: Sequence[Client],
    audience: str | Sequence[str],
    *,
    lifetime: int = 300,
    denylist: Denylist | None = None,
    once: Once | None = None,
    settings: KeySettings | None = None,
    keys_fresh_for: int = 300,
    is_for_smart: bool = False,
    plain_http_hosts: Collection[str] = (),
) -> Starlette:
    """Return the app of *issuer*: discovery, JWKS, and the endpoints for tokens, introspection and revocation.

    Its tokens are for *audience* and live *lifetime* seconds.  What *clients* take back is in *denylist*, and which of
    their assertions were used is in *once*: without them, in this process alone.  *settings* say how keys at a
    ``jwks_url`` are fetched.  The rest is as with :func:`~jwt_guard.issuing.endpoint.endpoint`.  Raises Misconfigured.
    """
    base = issuer.url.rstrip("/")
    # RFC 7523 §3: an assertion names this server, and clients do so in more than one way.
    names = list(dict.fromkeys([f"{base}{TOKEN}", issuer.url, f"{base}{INTROSPECT}", f"{base}{REVOKE}"]))
    known = Clients(clients, names, once=once or Once(), settings=settings, clock=issuer.clock)
    tokens = TokenEndpoint(issuer, known, audience, lifetime)
    if denylist is None:
        denylist = Denylist(longest_life=max(_MONTH, lifetime), clock=issuer.clock)
    own = rfc9068(issuer.url, tokens.audience, name="own", keys=OwnKeys(issuer.keyring))
    guard = Guard([own], clock=issuer.clock, memory=None, revoked=denylist)
    return endpoint(
        issuer,
        keys_fresh_for=keys_fresh_for,
        tokens=tokens,
        introspection=Introspection([guard], known),
        revocation=Revocation(guard, known, denylist),
        is_for_smart=is_for_smart,
        plain_http_hosts=plain_http_hosts,
    )
