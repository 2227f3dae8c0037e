"""An operation's Security(...) → credentials in its signature, scopes and refusals in its OpenAPI document."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import HTTPException
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.exceptions import WebSocketException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection  # noqa: TC002 # FastAPI reads annotations
from starlette.responses import Response

from ..access.guard import Guard
from ..access.policy import ask
from ..credentials import CURRENT, Credentials
from ..decision import Allow
from ..errors import Misconfigured, MissingToken, shown
from . import asgi, starlette
from .expiring import EVENTS, LAST, PATIENCE, Connection, checked, is_of_events, left
from .refusing import CREDENTIALS, REALM, missing, refuse

if TYPE_CHECKING:
    from types import TracebackType

    from ..access.policy import Policy
    from ..decision import Decision
    from ..errors import GuardError
    from ..flow import Flow
    from ..messages import Request

__all__ = ["GuardMiddleware", "Guarded", "Refusal", "guarded"]

_FOUND = "jwt_guard.found"
"""Where a scope holds which guard looked at it, and whom it found."""
_ACCEPT = len(b"accept")


class GuardMiddleware(starlette.GuardMiddleware):
    """Let a guard decide about every request: ``app.add_middleware(GuardMiddleware, guard=guard)``.

    As Starlette's; and :func:`guarded` takes what it found, where both have one guard.
    """

    def admitted(
        self, credentials: Credentials | None, scope: asgi.Scope, send: asgi.Send, ending: Credentials | None
    ) -> tuple[asgi.Scope, asgi.Send]:
        """Return *scope* itself, filled in."""
        scope[_FOUND] = self.guard, credentials
        return super().admitted(credentials, scope, send, ending)


class Refusal(HTTPException):
    """A refusal, for exception handlers: those for HTTPException and for its status get it, too.

    Where there are none but FastAPI's own, it is answered as everywhere else, with ``application/problem+json``.
    """

    def __init__(self, error: GuardError, connection: HTTPConnection, realm: str) -> None:
        answer = refuse(error, asgi.ScopeRequest(connection.scope), realm)
        self.body = answer.body
        """The answer of ours, in full."""
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""
        headers = {name: value for name, value in answer.headers if not name.startswith("content-")}
        super().__init__(answer.status, json.loads(answer.body)["detail"], headers)


async def _answer(_connection: HTTPConnection, refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status_code, refusal.headers, "application/problem+json")


def _refuse(error: GuardError, connection: HTTPConnection, realm: str) -> Refusal | WebSocketException:
    """Return what to raise, so that the client gets its answer."""
    refusal = Refusal(error, connection, realm)
    scope = connection.scope
    if scope["type"] == "websocket" and not asgi.can_deny(scope):
        return WebSocketException(1008)
    # A dependency can only raise, and FastAPI's own handler would make a body of the detail alone.  The handlers
    # were collected when the application was started, so ours is added where it is first needed.
    by_type, _ = scope.get("starlette.exception_handlers", ({}, {}))
    handler = next((by_type[kind] for kind in Refusal.__mro__ if kind in by_type), None)
    if handler is http_exception_handler or getattr(handler, "__func__", None) is ExceptionMiddleware.http_exception:
        by_type[Refusal] = _answer
    return refusal


@dataclass(frozen=True, slots=True)
class _OrNobody:
    """Lets in who does not identify themselves; of the others, whom *policy* lets in."""

    policy: Policy

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        return ask(self.policy, request, credentials)

    def is_open(self, _request: Request) -> bool:
        return True


class Guarded(SecurityBase):
    """A dependency that gives the caller's credentials, made by :func:`guarded`."""

    def __init__(self, guard: Guard | None, scheme: SecurityBase, *, optional: bool, grace: float | None = 0) -> None:
        self.guard = guard
        self.grace = checked(grace)
        self.model = scheme.model
        self.scheme_name = scheme.scheme_name
        self.optional = optional
        self._asking = replace(guard, policy=_OrNobody(guard.policy)) if guard is not None and optional else guard

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The refusals, for ``responses=`` of an operation, a router or an application: a dependency adds none."""
        return {
            401: _described("No access token was sent, or not one that is valid here", "WWW-Authenticate", "Bearer"),
            403: _described("The access token does not allow this", "WWW-Authenticate", "Bearer"),
            503: _described("Whether the access token is valid cannot be told now", "Retry-After", "5"),
        }

    async def __call__(self, connection: HTTPConnection, needed: SecurityScopes) -> Credentials | None:
        """Return who is asking, or raise :class:`Refusal`; None only where *optional*.

        Raises RuntimeError where there is no guard, so that nothing passes.
        """
        scope, asking, wanted = connection.scope, self._asking, needed.scopes
        if asking is not None and not _is_found(scope, self.guard):
            decision = asgi.at_sight(asking, scope)
            if decision is None:
                decision = await asgi.decided(asking, scope)
            if not isinstance(decision, Allow):
                raise _refuse(decision.error, connection, asking.realm)
            found = decision.credentials
            _place(found, asking.realm, connection)
            scope[_FOUND] = self.guard, found  # for the next dependency
            if found is not None:
                if self.grace is not None and _may_stay_open(scope):
                    await _end_in(left(asking, found, self.grace), connection)
                if not wanted:
                    return found
        error = missing(scope, frozenset(wanted))
        if error is None or (self.optional and not wanted and isinstance(error, MissingToken)):
            credentials: Credentials | None = scope[CREDENTIALS]
            return credentials
        raise _refuse(error, connection, scope[REALM])


def guarded(
    guard: Guard | None = None,
    *,
    scheme: SecurityBase | None = None,
    optional: bool = False,
    grace: float | None = 0,
) -> Guarded:
    """Return a dependency that gives the caller's credentials: ``Security(guarded(guard), scopes=["orders:read"])``.

    It has *guard* decide; without one it takes what GuardMiddleware found (RuntimeError where that is not
    there).  Make it once, and give that one object to every operation.

    *scheme* is how the OpenAPI document says where tokens come from: one of FastAPI's, as
    ``OAuth2AuthorizationCodeBearer(…)`` or ``OpenIdConnect(…)``; ``HTTPBearer`` without.  With *optional*, who sends no
    token is None instead of refused, where no scopes are asked for.

    A websocket, and the event stream of an operation that declares one or of a client that accepts nothing else, is
    closed *grace* seconds after its token is over; None: it may stay.  Where GuardMiddleware found the credentials, its
    grace holds.  Raises Misconfigured for what is no guard, or no grace.
    """
    # Annotations that FastAPI cannot read as a parameter are on purpose: who gives it this function in place
    # of what it returns is told so at import.
    if not (guard is None or isinstance(guard, Guard)):
        raise Misconfigured(f"guarded() takes a Guard, not {shown(guard)}")
    return Guarded(guard, HTTPBearer(bearerFormat="JWT") if scheme is None else scheme, optional=optional, grace=grace)


def _is_found(scope: asgi.Scope, guard: Guard | None) -> bool:
    """Say whether *guard* has let this request in already, and no other guard has come after it."""
    found = scope.get(_FOUND)
    return found is not None and found[0] is guard and found[1] is scope[CREDENTIALS]


def _stack_of(scope: asgi.Scope, name: str) -> AsyncExitStack:
    """Return one of the stacks that FastAPI itself unwinds dependencies with `yield` by."""
    stack = scope.get(name)
    if not isinstance(stack, AsyncExitStack):
        message = "guarded() is a dependency of FastAPI, and this is no request of FastAPI 0.120 or later"
        raise RuntimeError(message)  # noqa: TRY004 - it is nobody's argument
    return stack


def _place(credentials: Credentials | None, realm: str, connection: HTTPConnection) -> None:
    """Let the application find *credentials* until the answer, and what runs behind it, is done."""
    scope = connection.scope
    stack = _stack_of(scope, "fastapi_inner_astack")  # to have a `yield` of our own would take five times as long
    stack.push(_Current(credentials))
    starlette.place(credentials, realm, scope)
    if hasattr(connection, "_state"):  # somebody has asked for this state before there was that one
        connection.state.credentials = credentials


class _Current:
    """Who is asking, until this is left: a callback of the stack would take half as long again."""

    __slots__ = ("_token",)

    def __init__(self, credentials: Credentials | None) -> None:
        self._token = CURRENT.set(credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        CURRENT.reset(self._token)


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────


def _may_stay_open(scope: asgi.Scope) -> bool:
    """Say whether it is a websocket, or can be answered with an event stream only.

    A dependency does not see what is sent, so only what is known beforehand counts.
    """
    if scope["type"] == "websocket":
        return True
    # Of defaults there are placeholders; to look into them takes longer than all the rest, and they mean JSON.
    response_class = getattr(scope.get("route"), "response_class", None)
    if isinstance(response_class, type) and is_of_events(getattr(response_class, "media_type", None)):
        return True
    is_asked_for = False
    for name, value in scope["headers"]:
        if len(name) == _ACCEPT and name == b"accept":
            # Nearly all are too short for it, and need no closer look.
            if len(value) < len(EVENTS) or b"," in value or value.partition(b";")[0].strip().lower() != EVENTS:
                return False
            is_asked_for = True
    return is_asked_for


async def _end_in(seconds: float, connection: Any) -> None:  # noqa: ANN401 - of its two kinds we need what is private
    """Close *connection* in so many *seconds*, unless it has been served by then."""
    scope, end = connection.scope, anyio.current_time() + seconds
    stack = _stack_of(scope, "fastapi_inner_astack")
    # Starlette's names: where they are gone, AttributeError ends the request, and nothing passes.
    send: asgi.Send = connection._send  # noqa: SLF001 - as above
    if scope["type"] == "websocket":
        ending = Connection(True, connection._receive, send, end)  # noqa: FBT003, SLF001 - as above
        connection._receive, connection._send = ending.receive, ending.send  # noqa: SLF001 - as above
        await stack.enter_async_context(ending)
        return
    answer = stack.enter_context(_Stream(end))
    _stack_of(scope, "fastapi_middleware_astack").push_async_exit(partial(_finish, send))
    function = scope.get("fastapi_function_astack")  # from FastAPI 0.121 on
    if isinstance(function, AsyncExitStack):
        function.callback(answer.begin)
    else:
        answer.begin()


class _Over(BaseException):
    """On its way from an event stream that was cut to where FastAPI takes no offence at an answer without an end."""


class _Stream:
    """An answer that is cut at *end*, however long it took to get one."""

    def __init__(self, end: float) -> None:
        self._end = end
        self._scope = anyio.CancelScope()

    def begin(self) -> None:
        """Note that the operation is done, and that its answer goes out from now on."""
        now = anyio.current_time()
        self._scope.deadline = self._end if now < self._end else now + PATIENCE  # so that it has a start

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_cancelled = bool(self._scope.__exit__(kind, error, traceback))
        if self._scope.cancelled_caught:
            raise _Over
        return is_cancelled


async def _finish(
    send: asgi.Send, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
) -> bool:
    """End an answer that was cut, as the application would have."""
    if not _is_over(error):
        return False
    await send(dict(LAST))
    return True


def _is_over(error: BaseException | None) -> bool:
    """Say whether *error* is nothing but the end, also where task groups have wrapped it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(_Over)[1] is None
    return isinstance(error, _Over)


def _described(description: str, header: str, example: str) -> dict[str, Any]:
    """Return a refusal in the words of OpenAPI, its body as RFC 9457 has it."""
    texts = {name: {"type": "string"} for name in ("type", "title", "detail", "id")}
    schema = {"type": "object", "properties": {**texts, "status": {"type": "integer"}}}
    return {
        "description": description,
        "headers": {header: {"schema": {"type": "string"}, "example": example}},
        "content": {"application/problem+json": {"schema": schema}},
    }
