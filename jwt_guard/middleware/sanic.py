"""A Sanic application → one whose requests are judged before they are routed, with request.ctx.credentials."""

from __future__ import annotations

import asyncio
import json
import sys
import weakref
from functools import partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sanic import HTTPResponse, Request
from sanic.exceptions import BadRequest, Forbidden, SanicException, ServiceUnavailable, Unauthorized
from sanic.server.websockets.connection import WebSocketConnection
from sanic.server.websockets.impl import WebsocketImplProtocol

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow, Decision
from ..errors import Misconfigured, shown
from ..runners.awaiting import run
from . import asgi
from .carrying import is_plain, private
from .expiring import CLOSE_CODE, EVENTS, PATIENCE, REASON, checked, is_of_events, left
from .refusing import CREDENTIALS, REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

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
    application, or ``extension.init_app(app, guard)`` where each has a guard of its own.  A websocket or an
    event stream is closed *grace* seconds after its token is over; None: it may stay.  Raises Misconfigured
    for a grace that is neither.
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
        app.signal("http.routing.before", priority=_FIRST)(partial(_judge, guard))
        app.signal("http.routing.after", priority=_FIRST)(_judge_handshake)
        app.register_middleware(_answer_refused, "request", priority=_FIRST)
        if self.grace is not None:
            app.signal("websocket.handler.before")(partial(_end_socket, guard, self.grace))
            app.register_middleware(partial(_end_events, guard, self.grace), "response", priority=-_FIRST)
        if not is_plain(guard):
            app.register_middleware(partial(_keep_private, guard), "response")
        handler: Any = app.error_handler
        handler.default = partial(_default, handler.default)


async def _forget(**_: object) -> None:
    CURRENT.set(None)  # the requests of one connection share a task


async def _judge(guard: Guard, *, request: AnyRequest, **_: object) -> None:
    """Place whoever sends *request*, or raise the refusal, which :func:`_answer_refused` answers."""
    connection: Any = request.conn_info
    timer: asyncio.TimerHandle | None = None if connection is None else getattr(connection.ctx, _TIMER, None)
    if timer is not None:
        timer.cancel()  # of an event stream before it, which has ended
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


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────


async def _end_socket(
    guard: Guard,
    grace: float,
    *,
    request: AnyRequest,
    websocket: Any,  # noqa: ANN401 - of two kinds
    **_: object,
) -> None:
    """Close *websocket* when the token of *request* is over, if it is still there."""
    credentials: Credentials | None = getattr(request.ctx, CREDENTIALS)
    if credentials is not None:
        close = _close_socket_of_asgi if isinstance(websocket, WebSocketConnection) else _close_socket
        _call_in(left(guard, credentials, grace), close, websocket)


def _end_events(guard: Guard, grace: float, request: AnyRequest, response: BaseHTTPResponse) -> None:
    """Close the connection of *request* when its token is over, where *response* is an event stream."""
    kind = response.headers.get("content-type", response.content_type)
    # A handler may say of what type it is as late as with the first event; then it is what the client asks for.
    is_stream = is_of_events(kind) if kind is not None else _asks_for_events(request)
    credentials: Credentials | None = getattr(request.ctx, CREDENTIALS, None)
    if is_stream and credentials is not None:
        timer = _call_in(left(guard, credentials, grace), _close_stream, request)
        connection: Any = request.conn_info
        if connection is not None:
            setattr(connection.ctx, _TIMER, timer)


def _asks_for_events(request: AnyRequest) -> bool:
    return any(_EVENTS in value for value in request.headers.getall("accept", []))


_closing: set[asyncio.Task[None]] = set()  # a loop holds on to no task


def _call_in(seconds: float, closing: Callable[[Any], Coroutine[Any, Any, None]], what: object) -> asyncio.TimerHandle:
    """Call *closing* with *what* in so many *seconds*, unless that has gone by then, and the timer with it."""
    loop = asyncio.get_running_loop()

    def close() -> None:
        found = there()
        if found is not None:
            task = loop.create_task(closing(found))
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    timer = loop.call_later(max(seconds, 0), close)
    there = weakref.ref(what, lambda _: timer.cancel())
    return timer


async def _close_socket(websocket: Any) -> None:  # noqa: ANN401 - as above
    try:
        await asyncio.wait_for(websocket.close(CLOSE_CODE, REASON), PATIENCE)
        await websocket.wait_for_connection_lost(PATIENCE)
    except TimeoutError:  # the client reads nothing
        pass
    finally:
        websocket.end_connection(CLOSE_CODE, REASON)


async def _close_socket_of_asgi(websocket: Any) -> None:  # noqa: ANN401 - as above
    closed = {"type": "websocket.close", "code": CLOSE_CODE, "reason": REASON}
    await websocket._send(closed)  # noqa: SLF001 - its own close() does nothing


async def _close_stream(request: Any) -> None:  # noqa: ANN401 - of an ASGI server it has other parts
    if request.app.asgi:
        await request.stream.response.eof()
    else:
        request.transport.close()


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


def requires(*scopes: str, guard: Guard | None = None, grace: float | None = 0) -> Callable[[F], F]:
    """Ask for *scopes* at one handler, plain or async: a function, a method of a HTTPMethodView, or a websocket.

    With *guard* the handler is guarded on its own; without, GuardExtension must have the application
    (RuntimeError where it has not, so that nothing passes).  A websocket of an application that no
    GuardExtension has is accepted before it is judged, and then closed; it is closed, too, *grace* seconds
    after its token is over, but event streams are the business of GuardExtension.
    """
    extra = checked(grace)
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
            accepted = next((each for each in args if isinstance(each, _SOCKETS)), None)
            try:
                credentials = await check(request)
            except Refusal:
                if accepted is None:
                    raise
                await accepted.close(CLOSE_CODE)  # Sanic has accepted the handshake before it calls anybody
                return None
            if own is not None and extra is not None and accepted is not None:
                await _end_socket(own, extra, request=request, websocket=accepted)
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
