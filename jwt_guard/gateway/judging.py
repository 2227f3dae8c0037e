"""A request at the gateway → the answer that every gateway understands: 200 and who is asking, or why not.

There is an answer within a bound, whatever the issuer does: gateways wait for it while a client waits for them.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from ..access.challenge import refusal
from ..decision import Allow, Deny
from ..errors import InsufficientScope, MethodNotAllowed, Unavailable
from ..messages import Response
from ..observing.log import log_refusal
from ..observing.observer import Circumstances, told
from ..runners.awaiting import begun

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ..access.guard import Guard
    from ..decision import Decision
    from ..errors import GuardError
    from ..messages import Request
    from ..observing.observer import Observer
    from .identity import IdentityHeaders
    from .identity_token import IdentityToken

__all__ = ["Judge"]

_NO_STORE = ("cache-control", "no-store")


@dataclass(frozen=True, slots=True)
class Judge:
    """One guard, what the upstream is told, and how long an answer may take (seconds)."""

    guard: Guard
    identity: IdentityHeaders | IdentityToken
    answer_within: float = 0.1
    observe: Observer | None = None
    """Is told of each decision."""

    def glance(self, request: Request) -> Decision | None:
        """Return the decision where it takes no wait, else None: then ask :meth:`decide`."""
        sent = request.values("authorization")
        if len(sent) > 1:
            return None
        return self.guard.glance(sent[0] if sent else None, request)

    def begin(self, request: Request) -> Decision | Awaitable[Decision]:
        """Return the decision, or what to await for it where it takes a wait; :meth:`glance` is not asked again."""
        answer = begun(self.guard.decide(request))
        return answer[0] if isinstance(answer, tuple) else self._in_time(answer)

    async def decide(self, request: Request) -> Decision:
        """Return the decision; that we cannot tell where it takes longer than it may."""
        began = perf_counter()
        glanced = self.glance(request)
        answer = self.begin(request) if glanced is None else glanced
        decision = answer if isinstance(answer, Allow | Deny) else await answer
        self.tell(request, decision, began, remembered=glanced is not None)
        return decision

    def tell(self, request: Request, decision: Decision, began: float, *, remembered: bool = False) -> None:
        """Tell who observes of *decision*, which took since *began* (``perf_counter()``)."""
        if self.observe is not None:
            told(self.observe, request, decision, Circumstances(perf_counter() - began, remembered))

    async def _in_time(self, answer: Awaitable[Decision]) -> Decision:
        try:
            async with asyncio.timeout(self.answer_within):
                return await answer
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
