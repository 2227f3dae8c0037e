"""An ID token outside any request → who signed in, or the one error that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..access.id_tokens import signed_in
from . import awaiting, blocking

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..credentials import Credentials

__all__ = ["averify_id_token", "verify_id_token"]


def verify_id_token(
    guard: Guard, token: str, *, nonce: str | None, access_token: str | None = None, max_age: float | None = None
) -> Credentials:
    """Return who signed in, by the ID token that a client got for it (OpenID Connect Core §3.1.3.7).

    *guard* has a provider of ID tokens for the issuer.  *nonce* is the one that was sent with this login; None where
    none was, and then the token must have none.  With *access_token*, the one that came along, ``at_hash`` must be its
    hash.  *max_age* are the seconds since the person was asked last, as they were asked for at the issuer.

    Raises one GuardError, InvalidToken too where the provider is none of ID tokens, and ValueError for an empty text.
    """
    return blocking.run(signed_in(guard, token, nonce=nonce, access_token=access_token, max_age=max_age))


async def averify_id_token(
    guard: Guard, token: str, *, nonce: str | None, access_token: str | None = None, max_age: float | None = None
) -> Credentials:
    """Return what :func:`verify_id_token` returns, or raise what it raises, on asyncio or trio."""
    return await awaiting.run(signed_in(guard, token, nonce=nonce, access_token=access_token, max_age=max_age))
