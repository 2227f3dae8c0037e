"""A token outside any request → credentials, or the one error that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..credentials import Credentials
from . import awaiting, blocking

if TYPE_CHECKING:
    from ..access.guard import Guard

__all__ = ["averify", "verify"]


def verify(guard: Guard, token: str) -> Credentials:
    """Return whom *token* names, or raise one GuardError.  There is no request, so the policy is not asked."""
    recall = guard.recall  # what most calls come to, with as few steps as there can be
    return recall(token) or _verified(guard, token)


def _verified(guard: Guard, token: str) -> Credentials:
    answer = guard.verified(token)
    return answer if isinstance(answer, Credentials) else blocking.run(answer)


async def averify(guard: Guard, token: str) -> Credentials:
    """Return whom *token* names, or raise one GuardError, on asyncio or trio."""
    answer = guard.admit(token)
    return answer if isinstance(answer, Credentials) else await awaiting.run(answer)
