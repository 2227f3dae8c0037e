"""An aiohttp request → whether it may pass, with request[CREDENTIALS] and requires()."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiohttp import web

from ..access.lifetime import good_until
from ..access.policy import scopes as needs
from ..credentials import CURRENT, Credentials
from ..decision import Allow, Decision
from ..errors import Misconfigured, shown
from ..messages import opens_websocket
from ..runners.awaiting import run
from . import refusing
from .carrying import is_plain, private
from .expiring import EVENTS, checked
from .refusing import REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from ..access.guard import Guard
    from ..errors import GuardError

__all__ = ["CREDENTIALS", "GuardMiddleware", "HandlerRequest", "Refusal", "requires"]

F = TypeVar("F", bound="Callable[..., Awaitable[Any]]")
CREDENTIALS: web.RequestKey[Credentials | None] = web.RequestKey("jwt_guard", cast("type[Credentials | None]", object))
"""Where a request holds the credentials; None on an open route that nobody identified themselves on."""
_EVENTS = EVENTS.decode()
_FOUND: web.RequestKey[dict[str, Any]] = web.RequestKey("jwt_guard_found", dict)


class HandlerRequest:
    """A view of an aiohttp request that reads what it is asked for."""

    __slots__ = ("_form", "_request")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._form = b""

    @property
    def method(self) -> str:
        """The method as sent; a websocket handshake is a GET (RFC 6455 §4.1)."""
        return self._request.method

    @property
    def path(self) -> str:
        """The raw path; ``""`` where what was sent is not what aiohttp routes on."""
        routed = self._request.rel_url.raw_path
        sent = self._request.raw_path.partition("?")[0]
        if not sent.startswith("/"):  # absolute form (RFC 9112 §3.2.2)
            authority = sent.partition("://")[2]
            sent = authority and "/" + authority.partition("/")[2]
        return sent if sent == routed else ""

    @property
    def query(self) -> str:
        """The query as sent."""
        return self._request.rel_url.raw_query_string

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name*, in order."""
        values: list[str] = self._request.headers.getall(name, [])
        # aiohttp reads UTF-8 where it can; the rest of us reads octets.
        return tuple(value.encode("utf-8", "surrogateescape").decode("latin-1") for value in values)

    async def read_form(self) -> None:
        """Read the body, which the handler can read again; HTTPRequestEntityTooLarge as the application is set up."""
        self._form = await self._request.read()

    def form(self, limit: int) -> bytes | None:
        """Return the body that was read; None where it has more than *limit* octets."""
        return self._form if len(self._form) <= limit else None


class GuardMiddleware:
    """Let a guard decide about every request: ``web.Application(middlewares=[GuardMiddleware(guard)])``.

    It belongs at the front of the list; what stands before it sees requests that nobody has judged.
    Refusals are raised, so that such a middleware may answer them in another way.  A CORS preflight
    passes, unless *preflight_passes* is False.  The connection of a websocket, or of a client that asks
    for events, is closed *grace* seconds after its token is over; None: it may stay.  Raises Misconfigured
    for a grace that is neither.
    """

    __middleware_version__ = 1  # what aiohttp's own decorator sets

    def __init__(self, guard: Guard, *, preflight_passes: bool = True, grace: float | None = 0) -> None:
        self.guard = guard
        self.preflight_passes = preflight_passes
        self.grace = checked(grace)
        self._looks_beyond = not is_plain(guard)

    async def __call__(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Serve one request, which may be one that no route is for."""
        guard = self.guard
        if self._looks_beyond:
            response = guard.answer(HandlerRequest(request))
            if response is not None:
                return web.Response(body=response.body, status=response.status, headers=dict(response.headers))
        values = request.headers.getall("Authorization", [])
        decision: Decision | None = None
        if len(values) == 1 and request.method != "OPTIONS":
            decision = guard.at_sight_of_text(values[0])
        if decision is None:
            decision = await self._decided(request, values)
        if not isinstance(decision, Allow):
            raise _refusal(decision.error, request, guard.realm)
        credentials = decision.credentials
        _place(credentials, guard.realm, request)
        if credentials is None or self.grace is None or not _stays_open(request):
            response_of_theirs = await handler(request)
        else:
            left = good_until(guard, credentials) - guard.clock() + self.grace
            with _closed_in(left, request):
                response_of_theirs = await handler(request)
        if self._looks_beyond and guard.carried.is_in_query(HandlerRequest(request)):
            _keep_private(response_of_theirs)
        return response_of_theirs

    async def _decided(self, request: web.Request, values: list[str]) -> Decision:
        view = HandlerRequest(request)
        if self.preflight_passes and request.method == "OPTIONS" and is_preflight(view):
            return Allow(None)
        decision: Decision | None = None
        if len(values) < 2:  # noqa: PLR2004 - what a glance knows of the first says nothing about a second
            decision = self.guard.glance(values[0] if values else None, view)
        return await _asked(self.guard, view) if decision is None else decision


async def _asked(guard: Guard, view: HandlerRequest) -> Decision:
    if guard.carried.wants_form(view):
        await view.read_form()
    return await run(guard.decide(view))


def _stays_open(request: web.Request) -> bool:
    headers = request.headers
    return opens_websocket(HandlerRequest(request)) or any(_EVENTS in each for each in headers.getall("Accept", []))


@contextmanager
def _closed_in(seconds: float, request: web.Request) -> Generator[None]:
    """Close the connection of *request* in so many *seconds*, unless it has been served by then."""
    transport = request.transport
    if transport is None or seconds == math.inf:
        yield
        return
    timer = asyncio.get_running_loop().call_later(seconds, transport.close)
    try:
        yield
    finally:
        timer.cancel()


def _keep_private(response: web.StreamResponse) -> None:
    """Say that only whoever asked may keep *response* (RFC 6750 §2.3), unless it has started already."""
    said = private(response.headers.getall("Cache-Control", []))
    if said is not None and not response.prepared:
        response.headers["Cache-Control"] = said


def _place(credentials: Credentials | None, realm: str, request: web.Request) -> None:
    request[CREDENTIALS] = credentials
    request[_FOUND] = {refusing.CREDENTIALS: credentials, REALM: realm}
    # aiohttp serves each request in a task of its own, up to the last byte: nobody else finds it there.
    CURRENT.set(credentials)


class Refusal(web.HTTPException):
    """A refusal, for middlewares that catch it: also under the name that aiohttp has for its status."""

    empty_body = True  # but for ours

    def __init__(self, error: GuardError, request: web.BaseRequest, realm: str) -> None:
        answer = refuse(error, HandlerRequest(request), realm)
        self.status_code = answer.status
        headers = {name: value for name, value in answer.headers if name != "content-length"}
        # Not through classes in between, some of which want to know more.
        web.HTTPException.__init__(self, headers=headers)
        self.body = answer.body
        self.detail: str = json.loads(answer.body)["detail"]
        """A sentence that a client may be told."""
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""


_KINDS: dict[int, type[Refusal]] = {
    kind.status_code: type(f"Refusal{kind.status_code}", (Refusal, kind), {})
    for kind in (web.HTTPBadRequest, web.HTTPUnauthorized, web.HTTPForbidden, web.HTTPServiceUnavailable)
}


def _refusal(error: GuardError, request: web.BaseRequest, realm: str) -> Refusal:
    return _KINDS.get(error.status, Refusal)(error, request, realm)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one handler: a function, or a method of a web.View or of any other class.

    With *guard* the handler is guarded on its own; without, GuardMiddleware must have the application
    (RuntimeError where it has not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(handler: F) -> F:
        if not iscoroutinefunction(handler):
            raise Misconfigured(f"requires(): {shown(handler)} is no async handler; of a class, decorate its methods")

        @wraps(handler)
        async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the handler takes and gives
            request = _request_among(args)
            if own is None:
                found = request.get(_FOUND, {})
                error = missing(found, wanted)
                if error is not None:
                    raise _refusal(error, request, found[REALM])
            else:
                decision = await _asked(own, HandlerRequest(request))
                if not isinstance(decision, Allow):
                    raise _refusal(decision.error, request, own.realm)
                _place(decision.credentials, own.realm, request)
            return await handler(*args, **kwargs)

        return cast("F", guarded)

    return wrap


def _request_among(args: tuple[Any, ...]) -> web.Request:
    """Return the request that a handler was called with; RuntimeError where there is none, so that nothing passes."""
    for each in reversed(args):
        if isinstance(each, web.Request):
            return each
        if isinstance(each, web.View):
            return each.request
    message = "requires() found no request among the arguments of the handler"
    raise RuntimeError(message)
