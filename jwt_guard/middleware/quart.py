"""A Quart application → one behind the ASGI door, with g.credentials and requires()."""

from __future__ import annotations

import json
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from quart import Response, current_app, g, has_websocket_context, request, websocket
from werkzeug.exceptions import HTTPException, default_exceptions

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..errors import Misconfigured, shown
from ..runners.awaiting import run
from . import asgi
from .expiring import checked
from .in_g import with_credentials
from .refusing import REALM, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from quart import Quart

    from ..access.guard import Guard
    from ..errors import GuardError

__all__ = ["GuardExtension", "Refusal", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")


class GuardExtension:
    """Let a guard decide about every request and websocket of an application: ``GuardExtension(app, guard)``.

    In a factory: ``extension = GuardExtension(guard=guard)``, then ``extension.init_app(app)`` for each
    application, or ``extension.init_app(app, guard)`` where each has a guard of its own.  A websocket or
    an event stream is closed *grace* seconds after its token is over; None: it may stay.
    """

    def __init__(self, app: Quart | None = None, guard: Guard | None = None, *, grace: float | None = 0) -> None:
        self.guard = guard
        self.grace = checked(grace)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart, guard: Guard | None = None) -> None:
        """Guard *app*; Misconfigured without a guard, or where it has one already."""
        guard = guard or self.guard
        if guard is None:
            raise Misconfigured("GuardExtension needs a guard, when it is made or in init_app()")
        if "jwt_guard" in app.extensions:
            raise Misconfigured("this application has its guard already")
        app.extensions["jwt_guard"] = guard
        inner: Any = app.asgi_app  # whose scopes and messages are typed more narrowly than a server's are
        door: Any = asgi.GuardMiddleware(inner, guard, grace=self.grace)
        app.asgi_app = door  # type: ignore[method-assign] # as Quart says to
        app.app_ctx_globals_class = with_credentials(app.app_ctx_globals_class)


class Refusal(HTTPException):
    """A refusal, for error handlers: found under its status, too, and answered by us unless they do."""

    def __init__(self, error: GuardError, scope: asgi.Scope, realm: str) -> None:
        answer = refuse(error, asgi.ScopeRequest(scope), realm)
        response: Any = Response(
            answer.body, answer.status, dict(answer.headers)
        )  # Quart's, where Werkzeug has its own
        super().__init__(description=json.loads(answer.body)["detail"], response=response)
        self.code = answer.status
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""


# Quart looks for a handler of 403 by the class that Werkzeug has for it.
_KINDS: dict[int, type[Refusal]] = {
    status: type(f"Refusal{status}", (Refusal, kind), {}) for status, kind in default_exceptions.items()
}


def _refusal(error: GuardError, scope: asgi.Scope, realm: str) -> Refusal:
    return _KINDS.get(error.status, Refusal)(error, scope, realm)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one view or websocket, plain or async.

    With *guard* it is guarded on its own; without, GuardExtension must have the application (RuntimeError
    where it has not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(view: F) -> F:
        if not callable(view) or isinstance(view, type):
            raise Misconfigured(f"requires(): {shown(view)} is no view function; of a class, decorate its methods")

        @wraps(view)
        async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
            connection: Any = websocket if has_websocket_context() else request
            scope: asgi.Scope = connection.scope
            if own is None:
                error = missing(scope, wanted)
                if error is not None:
                    raise _refusal(error, scope, scope[REALM])
            else:
                decision = await run(own.decide(asgi.ScopeRequest(scope)))
                if not isinstance(decision, Allow):
                    raise _refusal(decision.error, scope, own.realm)
                g.credentials = decision.credentials
                # Quart serves each request in a task of its own, up to the last byte: nobody else finds it there.
                CURRENT.set(decision.credentials)
            return await current_app.ensure_async(view)(*args, **kwargs)

        return cast("F", guarded)

    return wrap
