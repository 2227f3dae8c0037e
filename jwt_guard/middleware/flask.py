"""A Flask application → one behind the WSGI door, with g.credentials and requires()."""

from __future__ import annotations

import json
from contextvars import copy_context
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, current_app, g, request
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.wrappers import Response

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..errors import Misconfigured, shown
from ..runners.blocking import run
from . import wsgi
from .in_g import with_credentials
from .refusing import REALM, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..errors import GuardError

__all__ = ["GuardExtension", "Refusal", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")


class GuardExtension:
    """Let a guard decide about every request of an application: ``GuardExtension(app, guard)``.

    In a factory: ``extension = GuardExtension(guard=guard)``, then ``extension.init_app(app)`` for each
    application, or ``extension.init_app(app, guard)`` where each has a guard of its own.  *grace* is that of the
    :class:`~jwt_guard.middleware.wsgi.GuardMiddleware`.
    """

    def __init__(self, app: Flask | None = None, guard: Guard | None = None, *, grace: float | None = 0) -> None:
        self.guard = guard
        self.grace = grace
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, guard: Guard | None = None) -> None:
        """Guard *app*; Misconfigured without a guard, or where it has one already."""
        guard = guard or self.guard
        if guard is None:
            raise Misconfigured("GuardExtension needs a guard, when it is made or in init_app()")
        if "jwt_guard" in app.extensions:
            raise Misconfigured("this application has its guard already")
        app.extensions["jwt_guard"] = guard
        # Flask's own answers are made by process_response(); what stands around it already may stream in its own way.
        door = _Door if getattr(app.wsgi_app, "__func__", None) is Flask.wsgi_app else wsgi.GuardMiddleware
        app.wsgi_app = door(app.wsgi_app, guard, grace=self.grace)  # type: ignore[method-assign] # as Flask says to
        process: Any = partial(_processed, app.process_response, guard, self.grace)  # which is a method for the checker
        app.process_response = process  # type: ignore[method-assign] # of this one application
        app.app_ctx_globals_class = with_credentials(app.app_ctx_globals_class)


class _Door(wsgi.GuardMiddleware):
    """The WSGI door for answers of which only those parts run later that :func:`_processed` has seen to."""

    def served(
        self,
        context: Context,
        credentials: Credentials | None,
        environ: wsgi.Environ,
        start_response: wsgi.StartResponse,
    ) -> Iterable[bytes]:
        return context.run(wsgi.called, credentials, self.app, environ, start_response)


def _processed(process: Callable[[Any], Any], guard: Guard, grace: float | None, response: Response) -> Response:
    """Return the *response*, which knows for whom it is while it streams, too, and ends with its token if it must."""
    response = process(response)
    if type(response.response) is list:  # as nearly all are; to ask it whether it streams takes as long as the guard
        return response
    # A file that is passed through has a type that servers look at to send it faster, and runs nothing of anybody's.
    if not response.is_streamed or response.direct_passthrough:
        return response
    credentials = CURRENT.get()
    if credentials is None or grace is None or response.mimetype != "text/event-stream":
        return _streamed_in(copy_context(), response)
    return _streamed_in(copy_context(), response, partial(wsgi.is_past, guard, credentials, grace))


def _streamed_in(context: Context, response: Response, is_over: Callable[[], bool] | None = None) -> Response:
    body: Any = response.response
    response.response = wsgi.InContext(body, context, is_over)
    return response


class Refusal(HTTPException):
    """A refusal, for error handlers: found under its status, too, and answered by us unless they do."""

    def __init__(self, error: GuardError, realm: str) -> None:
        answer = refuse(error, wsgi.EnvironRequest(request.environ), realm)
        response = Response(answer.body, answer.status, list(answer.headers))
        super().__init__(description=json.loads(answer.body)["detail"], response=response)
        self.code = answer.status
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""


# Flask looks for a handler of 403 by the class that Werkzeug has for it.
_KINDS: dict[int, type[Refusal]] = {
    status: type(f"Refusal{status}", (Refusal, kind), {}) for status, kind in default_exceptions.items()
}


def _refusal(error: GuardError, realm: str) -> Refusal:
    return _KINDS.get(error.status, Refusal)(error, realm)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one view, plain or async.

    With *guard* the view is guarded on its own; without, GuardExtension must have the application
    (RuntimeError where it has not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(view: F) -> F:
        if not callable(view) or isinstance(view, type):
            raise Misconfigured(f"requires(): {shown(view)} is no view function; of a class, decorate its methods")

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
            # Sync for async views too: Flask's own way for decorators, and g stays within reach.
            call = partial(current_app.ensure_sync(view), *args, **kwargs)
            if own is None:
                error = missing(request.environ, wanted)
                if error is not None:
                    raise _refusal(error, request.environ[REALM])
                return call()
            decision = run(own.decide(wsgi.EnvironRequest(request.environ)))
            if not isinstance(decision, Allow):
                raise _refusal(decision.error, own.realm)
            return _served_as(decision.credentials, call)

        return cast("F", guarded)

    return wrap


def _served_as(credentials: Credentials | None, call: Callable[[], Any]) -> Response:
    """Return the answer of a view that found *credentials*, and finds them while its answer streams, too."""
    g.credentials = credentials
    context = copy_context()
    context.run(CURRENT.set, credentials)
    response: Response = context.run(lambda: current_app.make_response(call()))
    return _streamed_in(context, response) if response.is_streamed else response
