"""A Sanic application → one whose requests are judged before they are routed, with request.ctx.credentials."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import weakref
from functools import partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sanic import HTTPResponse, Request
from sanic.exceptions import BadRequest, Forbidden, SanicException, ServiceUnavailable, Unauthorized
from sanic.server.websockets.connection import WebSocketConnection
from sanic.server.websockets.impl import WebsocketImplProtocol

from ..access.lifetime import good_until
from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow, Decision
from ..errors import Misconfigured, shown
from ..messages import opens_websocket
from ..runners.awaiting import run
from . import asgi
from .carrying import is_plain, private
from .expiring import EVENTS, checked
from .refusing import CREDENTIALS, REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sanic import Sanic
    from sanic.response import BaseHTTPResponse

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..errors import GuardError
    from ..messages import Response

__all__ = ["GuardExtension", "HandlerRequest", "Refusal", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")
AnyRequest: TypeAlias = Request[Any, Any]
_FIRST = sys.maxsize  # as a priority
_SOCKETS = (WebsocketImplProtocol, WebSocketConnection)
_CHECK = "__jwt_guard_check__"
_ANSWER = "jwt_guard.answer"
_TIMER = "jwt_guard_timer"
_EVENTS = EVENTS.decode()


class HandlerRequest:
    """A view of a Sanic request that reads what it is asked for."""

    __slots__ = ("request",)

    def __init__(self, request: AnyRequest) -> None:
        self.request = request

    def form(self, limit: int) -> bytes | None:
        """Return the body that was read; None where it has more than *limit* octets."""
        body: bytes = self.request.body
        return body if len(body) <= limit else None

    @property
    def method(self) -> str:
        """The method as sent; a websocket handshake is a GET (RFC 6455 §4.1)."""
        return self.request.method

    @property
    def path(self) -> str:
        """The raw path, which is what Sanic routes on."""
        try:
            return self.request.path
        except UnicodeError:
            return ""

    @property
    def query(self) -> str:
        """The query as sent."""
        return self.request.query_string

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name*, in order."""
        values: list[str] = self.request.headers.getall(name, [])
        # Sanic reads UTF-8 where it can, and leaves spaces at the end (RFC 9110 §5.5: they are no part of it).
        return tuple(value.rstrip(" \t").encode("utf-8", "surrogateescape").decode("latin-1") for value in values)


class GuardExtension:
    """Let a guard decide about every request and websocket of an application: ``GuardExtension(app, guard)``.

    In a factory: ``extension = GuardExtension(guard=guard)``, then ``extension.init_app(app)`` for each
    application, or ``extension.init_app(app, guard)`` where each has a guard of its own.  The connection
    of a websocket, or of a client that asks for events, is closed *grace* seconds after its token is
    over; None: it may stay.  Raises Misconfigured for a grace that is neither.
    """

    def __init__(
        self, app: Sanic[Any, Any] | None = None, guard: Guard | None = None, *, grace: float | None = 0
    ) -> None:
        self.guard = guard
        self.grace = checked(grace)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Sanic[Any, Any], guard: Guard | None = None) -> None:
        """Guard *app*; Misconfigured without a guard, or where it has one already."""
        guard = guard or self.guard
        if guard is None:
            raise Misconfigured("GuardExtension needs a guard, when it is made or in init_app()")
        if hasattr(app.ctx, "jwt_guard"):
            raise Misconfigured("this application has its guard already")
        app.ctx.jwt_guard = guard
        # Sanic's middleware runs when there is a route; who may not come in is not told which there are.
        app.signal("http.lifecycle.request", priority=_FIRST)(_forget)
        app.signal("http.routing.before", priority=_FIRST)(partial(_judge, guard, self.grace))
        app.signal("http.routing.after", priority=_FIRST)(_judge_handshake)
        app.register_middleware(_answer_refused, "request", priority=_FIRST)
        if not is_plain(guard):
            app.register_middleware(partial(_keep_private, guard), "response")
        handler: Any = app.error_handler
        handler.default = partial(_default, handler.default)


async def _forget(*, request: AnyRequest, **_: object) -> None:
    CURRENT.set(None)  # the requests of one connection share a task
    connection: Any = request.conn_info
    timer: asyncio.TimerHandle | None = getattr(connection.ctx, _TIMER, None) if connection is not None else None
    if timer is not None:
        timer.cancel()


async def _judge(guard: Guard, grace: float | None, *, request: AnyRequest, **_: object) -> None:
    """Place whoever sends *request*, or raise the refusal, which :func:`_answer_refused` answers."""
    values: list[str] = request.headers.getall("authorization", [])
    decision: Decision | None = None
    if len(values) == 1 and request.method != "OPTIONS":
        decision = guard.at_sight_of_text(values[0])
    if decision is None:
        view = HandlerRequest(request)
        response = guard.answer(view)
        if response is not None:
            setattr(request.ctx, _ANSWER, _Answer(response, request))
            raise _Answered
        decision = await _decided(guard, view, values)
    if not isinstance(decision, Allow):
        refusal = _refusal(decision.error, request, guard.realm)
        setattr(request.ctx, _ANSWER, refusal.response)
        raise refusal
    credentials = decision.credentials
    _place(credentials, guard.realm, request)
    CURRENT.set(credentials)
    if credentials is not None and grace is not None:
        _close_in(good_until(guard, credentials) - guard.clock() + grace, request)


class _Answered(SanicException):
    """There is an answer, and nothing to be routed."""

    quiet = True


async def _decided(guard: Guard, view: HandlerRequest, values: list[str]) -> Decision:
    if is_preflight(view):
        return Allow(None)
    decision: Decision | None = None
    if len(values) < 2:  # noqa: PLR2004 - what a glance knows of the first says nothing about a second
        decision = guard.glance(view.values("authorization")[0] if values else None, view)
    return await _asked(guard, view) if decision is None else decision


async def _asked(guard: Guard, view: HandlerRequest) -> Decision:
    if guard.carried.wants_form(view):
        request: Any = view.request  # whose method has no types
        await request.receive_body()
    return await run(guard.decide(view))


def _close_in(seconds: float, request: AnyRequest) -> None:
    """Close the connection of *request* in so many *seconds*, if it stays open, unless another request comes first."""
    stays_open = opens_websocket(HandlerRequest(request)) or any(
        _EVENTS in value for value in request.headers.getall("accept", [])
    )
    connection: Any = request.conn_info
    if stays_open and seconds < math.inf and connection is not None and hasattr(request.transport, "close"):
        closing = partial(_close, weakref.ref(request.transport))
        setattr(connection.ctx, _TIMER, asyncio.get_running_loop().call_later(seconds, closing))


def _close(transport: Callable[[], Any]) -> None:
    found = transport()
    if found is not None:
        found.close()


def _keep_private(guard: Guard, request: AnyRequest, response: BaseHTTPResponse) -> None:
    """Say that only whoever asked may keep *response*, where the token was in the query (RFC 6750 §2.3)."""
    if guard.carried.is_in_query(HandlerRequest(request)):
        said = private(response.headers.getall("cache-control", []))
        if said is not None:
            response.headers["cache-control"] = said


def _place(credentials: Credentials | None, realm: str, request: AnyRequest) -> None:
    context = request.ctx
    context.credentials = credentials
    setattr(context, CREDENTIALS, credentials)
    setattr(context, REALM, realm)


def _answer_refused(request: AnyRequest) -> HTTPResponse | None:
    """Answer what was refused before any other middleware sees it."""
    context = request.ctx
    answer: HTTPResponse | None = getattr(context, _ANSWER, None)
    if answer is not None:
        return answer
    if not hasattr(context, CREDENTIALS):
        if request.route is not None:
            message = "a request was routed that no guard has looked at"
            raise RuntimeError(message)
        context.credentials = None  # Sanic answers what it could not read, and runs middleware for that, too
        CURRENT.set(None)
    return None


async def _judge_handshake(*, request: AnyRequest, handler: Any, **_: object) -> None:  # noqa: ANN401 - Sanic's partial
    """Ask what requires() asks at a websocket before Sanic accepts it; later there is no answer but to close."""
    if getattr(handler, "is_websocket", False):
        check: Callable[[AnyRequest], Awaitable[object]] | None = getattr(handler.args[0], _CHECK, None)
        if check is not None:
            await check(request)


class Refusal(SanicException):
    """A refusal, for exception handlers: also under the name that Sanic has for its status."""

    def __init__(self, error: GuardError, request: AnyRequest, realm: str) -> None:
        answer = refuse(error, HandlerRequest(request), realm)
        self.response = _Answer(answer, request)
        """What we would answer."""
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""
        own = ("content-type", "content-length")  # of our body, which a handler may replace
        headers = {name: value for name, value in answer.headers if name not in own}
        # Not through classes in between, some of which want to know more.
        SanicException.__init__(self, json.loads(answer.body)["detail"], answer.status, quiet=True, headers=headers)


_KINDS: dict[int, type[Refusal]] = {
    kind.status_code: type(f"Refusal{kind.status_code}", (Refusal, kind), {})
    for kind in (BadRequest, Unauthorized, Forbidden, ServiceUnavailable)
}


def _refusal(error: GuardError, request: AnyRequest, realm: str) -> Refusal:
    return _KINDS.get(error.status, Refusal)(error, request, realm)


class _Answer(HTTPResponse):
    """An answer that is sent as one to a handshake where an ASGI server has to be told so."""

    __slots__ = ("_answer", "_to")

    def __init__(self, answer: Response, request: AnyRequest) -> None:
        headers = {name: value for name, value in answer.headers if name != "content-type"}
        super().__init__(answer.body, answer.status, headers, dict(answer.headers)["content-type"])
        self._answer = answer
        self._to: Any = request.transport

    async def send(self, data: Any = None, end_stream: bool | None = None) -> None:  # noqa: ANN401, FBT001 - as there
        scope: asgi.Scope | None = getattr(self._to, "scope", None)
        if scope is None or scope["type"] != "websocket":
            await super().send(data, end_stream)
        else:
            await asgi.answer(self._answer, scope, self._to._receive, self._to._send)  # noqa: SLF001 - no other way


def _default(default: Callable[..., HTTPResponse], request: AnyRequest, exception: Exception) -> HTTPResponse:
    """Answer a refusal that the application has no handler for."""
    return exception.response if isinstance(exception, Refusal) else default(request, exception)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one handler, plain or async: a function, a method of a HTTPMethodView, or a websocket.

    With *guard* the handler is guarded on its own; without, GuardExtension must have the application
    (RuntimeError where it has not, so that nothing passes).  A websocket of an application that no
    GuardExtension has is accepted before it is judged, and then closed.
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    async def check(request: AnyRequest) -> Credentials | None:
        found = vars(request.ctx)
        if own is None:
            error = missing(found, wanted)
            if error is not None:
                raise _refusal(error, request, found[REALM])
            credentials: Credentials | None = found[CREDENTIALS]
            return credentials
        decision = await _asked(own, HandlerRequest(request))
        if not isinstance(decision, Allow):
            raise _refusal(decision.error, request, own.realm)
        _place(decision.credentials, own.realm, request)
        return decision.credentials

    def wrap(handler: F) -> F:
        if not callable(handler) or isinstance(handler, type):
            raise Misconfigured(f"requires(): {shown(handler)} is no handler; of a class, decorate its methods")

        @wraps(handler)
        async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the handler takes and gives
            request = _request_among(args)
            try:
                credentials = await check(request)
            except Refusal:
                accepted = next((each for each in args if isinstance(each, _SOCKETS)), None)
                if accepted is None:
                    raise
                await accepted.close(1008)  # Sanic has accepted the handshake before it calls anybody
                return None
            token = CURRENT.set(credentials)
            try:
                answer = handler(*args, **kwargs)
                return await answer if isawaitable(answer) else answer
            finally:
                CURRENT.reset(token)

        setattr(guarded, _CHECK, check)
        return cast("F", guarded)

    return wrap


def _request_among(args: tuple[Any, ...]) -> AnyRequest:
    """Return the request that a handler was called with; RuntimeError where there is none, so that nothing passes."""
    for each in args[:2]:
        if isinstance(each, Request):
            return each
    message = "requires() found no request among the arguments of the handler"
    raise RuntimeError(message)
