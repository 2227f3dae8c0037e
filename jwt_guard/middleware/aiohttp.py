"""An aiohttp request → whether it may pass, with request[CREDENTIALS] and requires()."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import cache, partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiohttp import web

from ..access.policy import scopes as needs
from ..credentials import CURRENT, Credentials
from ..decision import Allow, Decision
from ..errors import Misconfigured, shown
from ..runners.awaiting import run
from . import refusing
from .carrying import is_plain, private
from .expiring import CLOSE_CODE, PATIENCE, REASON, checked, is_of_events, left
from .refusing import REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ..access.guard import Guard
    from ..errors import GuardError

__all__ = ["CREDENTIALS", "GuardMiddleware", "HandlerRequest", "Refusal", "requires"]

F = TypeVar("F", bound="Callable[..., Awaitable[Any]]")
CREDENTIALS: web.RequestKey[Credentials | None] = web.RequestKey("jwt_guard", cast("type[Credentials | None]", object))
"""Where a request holds the credentials; None on an open route that nobody identified themselves on."""
_FOUND: web.RequestKey[dict[str, Any]] = web.RequestKey("jwt_guard_found", dict)
_ENDS: web.RequestKey[tuple[Callable[[], float], asyncio.Task[Any] | None]] = web.RequestKey("jwt_guard_ends", tuple)


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
    passes, unless *preflight_passes* is False.  A websocket or an event stream is closed *grace* seconds
    after its token is over; None: it may stay.  Raises Misconfigured for a grace that is neither.
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
        if credentials is not None and self.grace is not None:
            _watch(request, partial(left, guard, credentials, self.grace))
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


# ── the end of a token ───────────────────────────────────────────────────────────────────────────────────────────


class _Watching(web.Request):
    """A request that looks at its answer as that starts: no signal of an application can be had once it runs."""

    # Where aiohttp has no more such a method, `super()` has none either; a test sees whether it is still called.
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        if isinstance(response, web.WebSocketResponse) or is_of_events(response.headers.get("Content-Type")):
            seconds_left, served_by = self[_ENDS]
            _close_in(seconds_left(), self, response, served_by)


def _watch(request: web.Request, seconds_left: Callable[[], float]) -> None:
    """Have the answer to *request* closed in as many seconds as are left when it starts, if it is one that stays."""
    request[_ENDS] = seconds_left, asyncio.current_task()
    # What is cloned from it is then watched, too; an attribute of its own would be lost, and a reference to itself.
    object.__setattr__(request, "__class__", _watching(type(request)))


@cache
def _watching(kind: type[web.Request]) -> type[web.Request]:
    return kind if issubclass(kind, _Watching) else type(kind.__name__, (_Watching, kind), {})


def _close_in(
    seconds: float, request: web.Request, response: web.StreamResponse, *served_by: asyncio.Task[Any] | None
) -> None:
    """Close *response* in so many *seconds*, unless it has ended by then."""
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()  # a loop holds on to no task

    def close() -> None:
        closing.add(loop.create_task(_close(request, response)))

    timer = loop.call_later(max(seconds, 0), close)
    # An answer is given by its handler, or else by whom the handler returns it to.
    serving = {task for task in (*served_by, asyncio.current_task()) if task is not None and not task.done()}

    def over(task: asyncio.Task[Any]) -> None:
        serving.discard(task)
        if not serving:
            timer.cancel()

    for task in tuple(serving):
        task.add_done_callback(over)


async def _close(request: web.Request, response: web.StreamResponse) -> None:
    try:
        if isinstance(response, web.WebSocketResponse) and response.prepared:
            # With the other's close frame it is done; who sends none is not waited for long.
            await asyncio.wait_for(response.close(code=CLOSE_CODE, message=REASON.encode()), PATIENCE)
    except TimeoutError:
        pass
    finally:
        if request.transport is not None:
            request.transport.close()


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


def requires(*scopes: str, guard: Guard | None = None, grace: float | None = 0) -> Callable[[F], F]:
    """Ask for *scopes* at one handler: a function, or a method of a web.View or of any other class.

    With *guard* the handler is guarded on its own, and *grace* is as in GuardMiddleware; without, that must have the
    application (RuntimeError where it has not, so that nothing passes), and its grace holds.
    """
    extra = checked(grace)
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
                if decision.credentials is not None and extra is not None:
                    _watch(request, partial(left, own, decision.credentials, extra))
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
