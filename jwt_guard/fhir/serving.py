"""Doors at which gateways ask, and ``[fhir]`` → the same with the FHIR server behind them, guarded.

What comes for the FHIR base is judged and goes on; gateways that ask about such a request, and send it on by
themselves, are told what it alone lets be known.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import AmbiguousPath, Misconfigured
from ..gateway.asked import answer_asked, is_question
from ..gateway.doors import Doors
from ..gateway.judging import Judge
from ..observing.log import log_refusal
from .bearer import PATIENT_CLAIMS
from .deciding import by_request_alone
from .outcome import refused
from .place import Base, spoken, unnamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..decision import Decision
    from ..errors import GuardError
    from ..gateway.settings import Settings
    from ..messages import Request, Response
    from ..middleware.asgi import App, Receive, Scope, Send
    from .audit_trail import AuditTrail
    from .bearer import ClaimPath
    from .server import Server

__all__ = ["FhirDoors"]


class FhirDoors(Doors):
    """One configuration with a FHIR server whose base URL is *upstream*.  Raises Misconfigured.

    *audit* makes the trail of the application, which closes it.  *more* are the other settings of
    :class:`~jwt_guard.fhir.app.FhirGuard`.
    """

    __slots__ = ("_audit", "_more", "_otherwise", "_server", "_upstream")

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        *,
        upstream: str,
        server: Server,
        audit: Callable[[], AuditTrail] | None = None,
        **more: Any,  # noqa: ANN401 - as for FhirGuard, which checks them
    ) -> None:
        base = Base(server.base)
        if is_question(base.path):
            raise Misconfigured("fhir.base: /auth and /ext_authz are where gateways ask")
        claims: tuple[ClaimPath, ...] = more.get("patient_claims", PATIENT_CLAIMS)
        policy = by_request_alone(server, judge.guard.policy, claims)
        guard = replace(judge.guard, policy=policy)
        super().__init__(settings, _FhirJudge(guard, judge.identity, judge.answer_within, judge.observe, base=base))
        self._otherwise = judge.guard.policy
        self._upstream = upstream
        self._server = server
        self._audit = audit
        self._more = more

    @property
    def is_proxy(self) -> bool:
        """Whether what is let in goes on from here: it does."""
        return True

    def application(self) -> App:
        """Return what stands at the doors."""
        more = {**self._more, "audit": None if self._audit is None else self._audit()}
        return _Standing(self, self._upstream, self._server, self._otherwise, more)


class _Standing:
    """The FHIR server below its base, and the doors beside it."""

    def __init__(self, doors: Doors, upstream: str, server: Server, otherwise: Any, more: dict[str, Any]) -> None:  # noqa: ANN401
        from .app import fhir_proxy

        guard = replace(doors.judge.guard, policy=otherwise)
        self._doors = doors
        self._base = Base(server.base)
        self._fhir = fhir_proxy(doors.settings, upstream, guard, server, observe=doors.judge.observe, **more)
        self.app = self._fhir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_elsewhere(scope["raw_path"].partition(b"?")[0].decode("latin-1")):
            await answer_asked(self._doors, scope, receive, send)
        else:
            await self._fhir(scope, receive, send)

    def _is_elsewhere(self, path: str) -> bool:
        try:
            return is_question(path) or self._base.below(path) is None
        except AmbiguousPath:
            return False


@dataclass(frozen=True, slots=True)
class _FhirJudge(Judge):
    base: Base = field(kw_only=True)

    def tell(self, request: Request, decision: Decision, began: float, *, remembered: bool = False) -> None:
        """Tell who observes of *decision*, and of the request what names nobody."""
        Judge.tell(self, unnamed(request, self.base), decision, began, remembered=remembered)

    def refuse(self, error: GuardError, request: Request) -> Response:
        """Log why *request* is refused, and return what the client is told: below the base, an OperationOutcome."""
        try:
            is_elsewhere = self.base.below(request.path) is None
        except AmbiguousPath:
            is_elsewhere = False
        if is_elsewhere:
            return Judge.refuse(self, error, request)
        reference = secrets.token_hex(8)
        log_refusal(error, spoken(request, self.base), reference)
        response = refused(error, self.guard.realm, reference)
        length = ("content-length", str(len(response.body)))
        return replace(response, headers=(*response.headers, length))
