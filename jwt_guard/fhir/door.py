"""A guard → the middleware as it stands before FHIR: whose token is good may ask there, and scopes say the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Final

from ..access.policy import ask, is_open
from ..decision import Allow, Deny
from ..middleware.asgi import GuardMiddleware, ScopeRequest
from ..observing.observer import Circumstances, told
from .configuration import WELL_KNOWN
from .place import unnamed

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..access.policy import Policy
    from ..credentials import Credentials
    from ..decision import Decision
    from ..errors import GuardError
    from ..flow import Flow
    from ..messages import Request
    from ..middleware.asgi import App, Scope
    from ..observing.observer import Observer
    from .place import Base

__all__ = ["AtBase", "Denied", "Door"]

_OPEN: Final = ("/metadata", WELL_KNOWN)


class Denied(Exception):
    """A token is refused below the base, where the answer is an OperationOutcome."""

    def __init__(self, error: GuardError) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True, slots=True)
class AtBase:
    """Below the base each good token may ask, and whoever has none for what is everybody's; elsewhere *otherwise*."""

    base: Base = field(repr=False)
    otherwise: Policy

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        """Return whether *credentials* may ask: below the base they may."""
        if self.base.below(request.path) is not None:
            return Allow(credentials)
        return (yield from ask(self.otherwise, request, credentials))

    def is_open(self, request: Request) -> bool:
        """Say whether *request* is one for everybody."""
        below = self.base.below(request.path)
        return is_open(self.otherwise, request) if below is None else below.rstrip("/") in _OPEN


class Door(GuardMiddleware):
    """The middleware as it stands before FHIR: what it refuses there, somebody else tells the client."""

    def __init__(self, app: App, guard: Guard, base: Base, grace: float | None, observe: Observer | None) -> None:
        super().__init__(app, guard, grace=grace)
        self._base = base
        self._observe = observe
        self.decides_at_sight = False  # who may do what depends on the request

    async def _decided(self, scope: Scope, authorization: bytes | None, *, is_one: bool) -> Decision:
        began = perf_counter()
        decision = await super()._decided(scope, authorization, is_one=is_one)
        request = ScopeRequest(scope)
        if self._observe is not None:
            told(self._observe, unnamed(request, self._base), decision, Circumstances(perf_counter() - began))
        if isinstance(decision, Deny) and self._base.below(request.path) is not None and scope["type"] == "http":
            raise Denied(decision.error)
        return decision
