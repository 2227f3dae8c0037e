"""A token outside any request → credentials, or the one error that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidToken
from . import awaiting, blocking

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..credentials import Credentials

__all__ = ["averify", "verify"]


def verify(guard: Guard, token: str) -> Credentials:
    """Return whom *token* names, or raise one GuardError.  There is no request, so the policy is not asked."""
    return blocking.run(guard.admit(_text(token)))


async def averify(guard: Guard, token: str) -> Credentials:
    """Return whom *token* names, or raise one GuardError, on asyncio or trio."""
    return await awaiting.run(guard.admit(_text(token)))


def _text(token: object) -> str:
    if not isinstance(token, str):
        raise InvalidToken("a token is text")
    return token
