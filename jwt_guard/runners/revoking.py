"""A name that is revoked → every process that follows the same store knows, blocking or awaiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..access.denylist import Denylist
from . import awaiting, blocking

if TYPE_CHECKING:
    from ..access.guard import Guard

__all__ = ["arevoke", "revoke"]


def revoke(  # noqa: PLR0913 - one of them, by name
    where: Guard | Denylist,
    *,
    issuer: str | None = None,
    jti: str | None = None,
    sub: str | None = None,
    sid: str | None = None,
    client: str | None = None,
    kid: str | None = None,
    issued_before: float | None = None,
    until: float | None = None,
) -> None:
    """Take back every token of one name: at once in this process, and within a second in all that share the store.

    *where* is a denylist, or a guard that has one; the rest is as in :meth:`Denylist.revoke
    <jwt_guard.access.denylist.Denylist.revoke>`, with the same ValueError and Unavailable.  Raises StoreFailed, an
    Unavailable, where the store cannot be told: then it holds in this process alone, and is to be done again.
    """
    blocking.run(
        _denylist(where).revoking(
            issuer=issuer, jti=jti, sub=sub, sid=sid, client=client, kid=kid, issued_before=issued_before, until=until
        )
    )


async def arevoke(  # noqa: PLR0913 - as above
    where: Guard | Denylist,
    *,
    issuer: str | None = None,
    jti: str | None = None,
    sub: str | None = None,
    sid: str | None = None,
    client: str | None = None,
    kid: str | None = None,
    issued_before: float | None = None,
    until: float | None = None,
) -> None:
    """Do what :func:`revoke` does, or raise what it raises, on asyncio or trio."""
    await awaiting.run(
        _denylist(where).revoking(
            issuer=issuer, jti=jti, sub=sub, sid=sid, client=client, kid=kid, issued_before=issued_before, until=until
        )
    )


def _denylist(where: Guard | Denylist) -> Denylist:
    denylist = where if isinstance(where, Denylist) else where.revoked
    if not isinstance(denylist, Denylist):
        message = "the guard has no denylist: Guard(…, revoked=Denylist())"
        raise ValueError(message)  # noqa: TRY004 - it has the right type, and nothing to revoke with
    return denylist
