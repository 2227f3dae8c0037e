"""ASGI scope → what Starlette calls it: request.user, request.auth, request.state.credentials, and requires()."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property, partial, wraps
from http import HTTPStatus
from inspect import iscoroutinefunction, signature
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response, StreamingResponse

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..errors import InsufficientScope, Misconfigured, shown
from . import asgi
from .expiring import START, left, starts_events, until
from .refusing import CREDENTIALS, REALM, missing, refuse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..errors import GuardError

__all__ = ["GuardMiddleware", "GuardedUser", "place", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")
_FORBIDDEN = int(HTTPStatus.FORBIDDEN)  # to look into an enumeration takes longer than all the rest


class GuardedUser(BaseUser):
    """Whoever a good token names."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    @property
    def is_authenticated(self) -> bool:
        """Always: the token was good."""
        return True

    @property
    def display_name(self) -> str:
        """The user, else the client."""
        return self.credentials.user or self.credentials.client or ""

    @property
    def identity(self) -> str:
        """The user as its provider calls it; empty for a machine, which is nobody's account."""
        return self.credentials.user or ""


class _Scopes(list[str]):
    """The scopes of a token; they notice which one was looked for in vain."""

    missed: str | None = None

    def __contains__(self, scope: object) -> bool:
        found = super().__contains__(scope)
        if not found and isinstance(scope, str):
            self.missed = scope
        return found


class _Auth(AuthCredentials):
    """What Starlette asks for scopes; the list is made when it does."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override] # an attribute there
        """``authenticated`` for every good token, and its scopes."""
        return _Scopes() if self._credentials is None else _Scopes(("authenticated", *sorted(self._credentials.scopes)))


class GuardMiddleware(asgi.GuardMiddleware):
    """Let a guard decide about every http and websocket request: ``Middleware(GuardMiddleware, guard=guard)``.

    Where Starlette's own ``@requires`` answers 403, the challenge is added to it, and it becomes a 401
    where there was no token.
    """

    def admitted(
        self, credentials: Credentials | None, scope: asgi.Scope, send: asgi.Send, ending: Credentials | None
    ) -> tuple[asgi.Scope, asgi.Send]:
        """Return *scope* itself, filled in: Starlette's middlewares read it again on the way out."""
        place(credentials, self.guard.realm, scope)
        return scope, MethodType(_sending, [send, scope, self.guard, ending, self.grace or 0])


def _sending(held: list[Any], message: asgi.Message) -> Awaitable[None]:
    """Send *message*, with its challenge; as in :func:`~jwt_guard.middleware.expiring.watched`, whose work it does."""
    send: asgi.Send = held[0]
    if message["type"] == START:  # which a websocket does not have
        if message["status"] == _FORBIDDEN:
            message = _challenged(held[1], message)
        elif held[3] is not None and starts_events(message):
            held[0] = until(send, left(*held[2:]))
    return send(message)


def _challenged(scope: asgi.Scope, message: asgi.Message) -> asgi.Message:
    """Return a 403 with its challenge, where a scope was looked for in vain and nobody has said so yet."""
    auth = scope["auth"]
    missed = auth.scopes.missed if isinstance(auth, _Auth) and isinstance(auth.scopes, _Scopes) else None
    headers = list(message.get("headers", ()))
    if missed is None or any(name.lower() == b"www-authenticate" for name, _ in headers):
        return message
    error = missing(scope, frozenset([missed])) or InsufficientScope()
    refusal = refuse(error, asgi.ScopeRequest(scope), scope[REALM])
    challenge = next(value for name, value in refusal.headers if name == "www-authenticate")
    return {**message, "status": refusal.status, "headers": [*headers, (b"www-authenticate", challenge.encode())]}


def place(credentials: Credentials | None, realm: str, scope: asgi.Scope) -> None:
    """Let the application find *credentials* where Starlette has such things."""
    scope[CREDENTIALS] = credentials
    scope[REALM] = realm
    state = scope.get("state")  # which others may share
    scope["state"] = {**state, "credentials": credentials} if state else {"credentials": credentials}
    scope["auth"] = _Auth(credentials)
    scope["user"] = UnauthenticatedUser() if credentials is None else GuardedUser(credentials)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one endpoint: a function or a method that takes ``request`` or ``websocket``.

    With *guard* the endpoint is guarded on its own; without, GuardMiddleware must be around it (RuntimeError
    where it is not, so that nothing passes).  Where the application handles HTTPException in a way of its
    own, it is given the refusal as one.
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(endpoint: F) -> F:
        name, position = _connection_argument(endpoint)
        awaited = endpoint if iscoroutinefunction(endpoint) else partial(run_in_threadpool, endpoint)

        @wraps(endpoint)
        async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the endpoint takes and gives
            scope: asgi.Scope = (kwargs[name] if name in kwargs else args[position]).scope
            call: Callable[[], Awaitable[Any]] = partial(awaited, *args, **kwargs)
            if own is None:
                error = missing(scope, wanted)
                return await call() if error is None else _refused(error, scope, scope[REALM])
            decision = await asgi.decided(own, scope)
            if not isinstance(decision, Allow):
                return _refused(decision.error, scope, own.realm)
            place(decision.credentials, own.realm, scope)
            with _as(decision.credentials):
                return _kept(decision.credentials, await call())

        return cast("F", guarded)

    return wrap


def _connection_argument(endpoint: Callable[..., Any]) -> tuple[str, int]:
    """Return name and position of the argument that is the request; Misconfigured where there is none."""
    for position, name in enumerate(signature(endpoint).parameters):
        if name in ("request", "websocket"):
            return name, position
    raise Misconfigured(f"requires(): {shown(endpoint)} has no argument named request or websocket")


def _refused(error: GuardError, scope: asgi.Scope, realm: str) -> Response:
    """Return the refusal, or raise it where Starlette wants that: for handlers and for websockets."""
    refusal = refuse(error, asgi.ScopeRequest(scope), realm)
    if scope["type"] == "websocket" and not asgi.can_deny(scope):
        raise WebSocketException(1008)
    headers = {name: value for name, value in refusal.headers if name != "content-length"}
    if _handles_on_its_own(scope, refusal.status):
        del headers["content-type"]
        raise HTTPException(refusal.status, detail=json.loads(refusal.body)["detail"], headers=headers)
    if scope["type"] == "websocket":
        raise HTTPException(refusal.status, detail=refusal.body.decode(), headers=headers)
    return Response(refusal.body, refusal.status, headers)


def _handles_on_its_own(scope: asgi.Scope, status: int) -> bool:
    """Say whether the application has a handler other than Starlette's own for an HTTPException."""
    by_type, by_status = scope.get("starlette.exception_handlers", ({}, {}))
    handler = by_type.get(HTTPException)
    is_default = handler is None or getattr(handler, "__func__", None) is ExceptionMiddleware.http_exception
    return status in by_status or not is_default


@contextmanager
def _as(credentials: Credentials | None) -> Generator[None]:
    token = CURRENT.set(credentials)
    try:
        yield
    finally:
        CURRENT.reset(token)


def _kept(credentials: Credentials | None, response: Any) -> Any:  # noqa: ANN401 - what the endpoint gives
    """Return *response* with what of it runs after the endpoint returned knowing for whom it is."""
    if isinstance(response, StreamingResponse):
        response.body_iterator = _steps(credentials, response.body_iterator)
    if isinstance(response, Response) and response.background is not None:
        response.background = BackgroundTask(_background, credentials, response.background)
    return response


async def _steps(credentials: Credentials | None, body: AsyncIterable[Any]) -> AsyncIterator[Any]:
    steps = aiter(body)
    while True:
        with _as(credentials):
            try:
                step = await anext(steps)
            except StopAsyncIteration:
                return
        yield step


async def _background(credentials: Credentials | None, task: Callable[[], Awaitable[None]]) -> None:
    with _as(credentials):
        await task()
