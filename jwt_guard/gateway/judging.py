"""A request at the gateway → the answer that every gateway understands: 200 and who is asking, or why not.

There is an answer within a bound, whatever the issuer does: gateways wait for it while a client waits for them.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..access.challenge import refusal
from ..decision import Allow, Deny
from ..errors import InsufficientScope, MethodNotAllowed, Unavailable
from ..messages import Response
from ..observing.log import log_refusal
from ..runners.awaiting import run

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..decision import Decision
    from ..errors import GuardError
    from ..messages import Request
    from .identity import IdentityHeaders

__all__ = ["Judge"]

_NO_STORE = ("cache-control", "no-store")


@dataclass(frozen=True, slots=True)
class Judge:
    """One guard, what the upstream is told, and how long an answer may take (seconds)."""

    guard: Guard
    identity: IdentityHeaders
    answer_within: float = 0.1

    def glance(self, request: Request) -> Decision | None:
        """Return the decision where it takes no wait, else None: then ask :meth:`decide`."""
        sent = request.values("authorization")
        if len(sent) > 1:
            return None
        return self.guard.glance(sent[0] if sent else None, request)

    async def decide(self, request: Request) -> Decision:
        """Return the decision; that we cannot tell where it takes longer than it may."""
        decision = self.glance(request)
        if decision is not None:
            return decision
        try:
            async with asyncio.timeout(self.answer_within):
                return await run(self.guard.decide(request))
        except TimeoutError:
            return Deny(Unavailable("there was no answer in time", retry_after=1))

    def answer(self, decision: Decision, request: Request) -> Response:
        """Return what the gateway is told of *request*."""
        if isinstance(decision, Allow):
            told = self.identity.headers(decision.credentials)
            return Response(200, (_NO_STORE, *told, ("content-length", "0")), b"")
        return self.refuse(decision.error, request)

    def refuse(self, error: GuardError, request: Request) -> Response:
        """Log why *request* is refused, and return what the client is told."""
        # Gateways turn other statuses than 401 and 403 into errors of their own.
        told = InsufficientScope(reason=error.reason) if isinstance(error, MethodNotAllowed) else error
        reference = secrets.token_hex(8)
        log_refusal(error, request, reference)
        return refusal(told, self.guard.realm, reference)
