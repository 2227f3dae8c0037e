"""A client's private key → the assertion by which the client says that it is itself (RFC 7523 §2.2, §3).

As SMART App Launch 2.2 (client-confidential-asymmetric) writes it: that profile is the narrower one, and others take
it, too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..access.client_assertion import LONGEST
from ..errors import Misconfigured
from .issuer import sign

if TYPE_CHECKING:
    from .signing import SigningKey

__all__ = ["ASSERTION_TYPE", "USUAL", "assertions", "make_assertion"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The ``client_assertion_type`` of RFC 7523 §2.2."""
USUAL = 240
"""Seconds that an assertion lives: less than it may, since the clock of the server may be behind."""


def make_assertion(  # noqa: PLR0913 - what the profile has in it
    key: SigningKey,
    client_id: str,
    audience: str,
    *,
    now: float,
    lifetime: int = USUAL,
    jti: str | None = None,
    jku: str | None = None,
) -> str:
    """Return an assertion of *client_id* for the server whose token endpoint is *audience*.

    It is good from *now* (seconds since the epoch) for *lifetime* seconds, at most 300, and once.  *jti* is what it
    is called, something random unless it is given; *jku* the URL that is registered for the client's keys.
    Raises Misconfigured.
    """
    _check(key, client_id, audience, lifetime, jku)
    if jti is not None and not _is_text(jti):
        raise Misconfigured("assertion: its jti is a text that is not empty")
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "exp": int(now) + lifetime,
        "jti": secrets.token_urlsafe(24) if jti is None else jti,
    }
    return sign(key, claims, typ="JWT", header=None if jku is None else {"jku": jku})


def assertions(  # noqa: PLR0913 - as above
    key: SigningKey,
    client_id: str,
    audience: str,
    *,
    lifetime: int = USUAL,
    jku: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Callable[[], str]:
    """Return a function that makes a new assertion for each call: for whoever authenticates now and then.

    Raises Misconfigured at once where :func:`make_assertion` would.
    """
    _check(key, client_id, audience, lifetime, jku)
    return lambda: make_assertion(key, client_id, audience, now=clock(), lifetime=lifetime, jku=jku)


def _check(key: SigningKey, client_id: str, audience: str, lifetime: int, jku: str | None) -> None:
    if key.public is None:
        raise Misconfigured("assertion: it is signed with a private key; a secret is another method")
    if not _is_text(client_id) or not _is_text(audience):
        raise Misconfigured("assertion: the client and the audience are texts that are not empty")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or not 0 < lifetime <= LONGEST:
        raise Misconfigured(f"assertion: its lifetime is 1 to {LONGEST} whole seconds")
    if jku is not None and not _is_text(jku):
        raise Misconfigured("assertion: its jku is the URL that is registered for the keys")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip()
