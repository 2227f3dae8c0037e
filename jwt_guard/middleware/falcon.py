"""A Falcon application, WSGI or ASGI → one behind its door, with req.context.credentials and requires()."""

from __future__ import annotations

import json
import re
from contextvars import copy_context
from functools import wraps
from inspect import getmembers, isclass, iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

import falcon
import falcon.asgi

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..errors import Misconfigured, shown
from ..runners import awaiting, blocking
from . import asgi, wsgi
from .denying import deny, denying
from .refusing import CREDENTIALS, REALM, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..errors import GuardError

__all__ = ["Refusal", "protected", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")
_RESPONDER = re.compile(r"on_[a-z]+(_\w+)?")


def protected(
    app: falcon.App[Any, Any], guard: Guard, *, grace: float | None = 0
) -> asgi.GuardMiddleware | wsgi.GuardMiddleware:
    """Return *app* behind a door at which *guard* decides about every request and websocket: give that to the server.

    Middleware that is added to *app* before finds no ``req.context.credentials`` yet on the way in;
    :func:`jwt_guard.current` knows them everywhere.  A websocket or an event stream is closed *grace*
    seconds after its token is over; None: it may stay.
    """
    either: Any = app  # Falcon types the two kinds of applications apart, and more narrowly than servers do
    either.add_middleware(_Placing())
    if isinstance(app, falcon.asgi.App):
        either.add_error_handler(Refusal, _answer_async)
        return _AsgiDoor(either, guard, grace=grace)
    either.add_error_handler(Refusal, _answer)
    return wsgi.GuardMiddleware(either, guard, grace=grace)


class _AsgiDoor(asgi.GuardMiddleware):
    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        # ASGI promises no more than that headers can be gone through once, and Falcon's own test client gives no more.
        if "headers" in scope:
            scope = {**scope, "headers": [(header, value) for header, value in scope["headers"]]}
        await super().__call__(scope, receive, send)

    def admitted(
        self, credentials: Credentials | None, scope: asgi.Scope, send: asgi.Send, ending: Credentials | None
    ) -> tuple[asgi.Scope, asgi.Send]:
        inner, send = super().admitted(credentials, scope, send, ending)
        return inner, send if scope["type"] == "http" else denying(inner, send)


class _Placing:
    """Put the credentials where Falcon's users look for them; KeyError, so 500, for who came by another way."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        req.context.credentials = req.env[CREDENTIALS]

    async def process_request_async(self, req: falcon.asgi.Request, _resp: falcon.asgi.Response) -> None:
        req.context.credentials = req.scope[CREDENTIALS]

    async def process_request_ws(self, req: falcon.asgi.Request, _ws: falcon.asgi.WebSocket) -> None:
        req.context.credentials = req.scope[CREDENTIALS]


class Refusal(falcon.HTTPError):
    """A refusal, for error handlers: answered by us unless the application has a handler for it."""

    def __init__(self, error: GuardError, req: falcon.Request, realm: str) -> None:
        self.response = refuse(error, _view(req), realm)
        """What we would answer."""
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""
        own = ("content-type", "content-length")  # of our body, which a handler may replace
        super().__init__(
            self.response.status,
            description=json.loads(self.response.body)["detail"],
            headers=[(name, value) for name, value in self.response.headers if name not in own],
        )
        if isinstance(req, falcon.asgi.Request):
            deny(req.scope, self.response)


def _answer(_req: falcon.Request, resp: falcon.Response, refusal: Refusal, _params: dict[str, Any]) -> None:
    resp.status = refusal.status
    resp.data = refusal.response.body
    resp.set_headers([(name, value) for name, value in refusal.response.headers if name != "content-length"])


async def _answer_async(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    refusal: Refusal,
    params: dict[str, Any],
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    if resp is not None:
        _answer(req, resp, refusal, params)
    elif ws is not None:
        await ws.close(1008)


def _found(req: falcon.Request) -> MutableMapping[str, Any]:
    return req.scope if isinstance(req, falcon.asgi.Request) else req.env


def _view(req: falcon.Request) -> asgi.ScopeRequest | wsgi.EnvironRequest:
    found: Any = _found(req)
    if not isinstance(req, falcon.asgi.Request):
        return wsgi.EnvironRequest(found)
    if not isinstance(found["headers"], list | tuple):  # Falcon has gone through them; its own joins duplicates
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in req.headers.items()]
        found = {**found, "headers": headers}
    return asgi.ScopeRequest(found)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one responder, plain or async, or at every responder of a resource class.

    With *guard* it is guarded on its own; without, the application must be :func:`protected`
    (RuntimeError where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(target: F) -> F:
        if not isclass(target):
            if not callable(target):
                raise Misconfigured(f"requires(): {shown(target)} is no responder and no resource class")
            return _guarded(target, wanted, own)
        responders = [each for each in getmembers(target, callable) if _RESPONDER.fullmatch(each[0])]
        if not responders:
            raise Misconfigured(f"requires(): {target.__name__} has no responders")
        for name, responder in responders:
            setattr(target, name, _guarded(responder, wanted, own))
        return cast("F", target)

    return wrap


def _guarded(responder: F, wanted: frozenset[str], own: Guard | None) -> F:
    def check(req: falcon.Request) -> None:
        error = missing(_found(req), wanted)
        if error is not None:
            raise Refusal(error, req, _found(req)[REALM])

    if iscoroutinefunction(responder):

        @wraps(responder)
        async def awaited(self: object, req: falcon.asgi.Request, *args: object, **kwargs: object) -> None:
            if own is None:
                check(req)
            else:
                decision = await awaiting.run(own.decide(_view(req)))
                if not isinstance(decision, Allow):
                    raise Refusal(decision.error, req, own.realm)
                req.context.credentials = decision.credentials
                CURRENT.set(decision.credentials)  # in the request's own task, in which its answer streams, too
            await responder(self, req, *args, **kwargs)

        return cast("F", awaited)

    @wraps(responder)
    def called(self: object, req: falcon.Request, resp: falcon.Response, *args: object, **kwargs: object) -> None:
        if own is None:
            check(req)
            responder(self, req, resp, *args, **kwargs)
            return
        decision = blocking.run(own.decide(_view(req)))
        if not isinstance(decision, Allow):
            raise Refusal(decision.error, req, own.realm)
        req.context.credentials = decision.credentials
        context = copy_context()  # so that nothing stays on the worker's thread
        context.run(CURRENT.set, decision.credentials)
        context.run(responder, self, req, resp, *args, **kwargs)
        stream: Any = resp.stream
        if stream is not None and not hasattr(stream, "read"):  # a file runs nothing of anybody's
            resp.stream = wsgi.InContext(stream, context)

    return cast("F", called)
