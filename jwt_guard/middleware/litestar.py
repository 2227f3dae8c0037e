"""A Litestar application → one behind the ASGI door, with request.user and requires() for ``guards=[…]``."""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.spec import Components, SecurityScheme
from litestar.utils.path import normalize_path

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..errors import Misconfigured
from ..runners.awaiting import run
from . import asgi
from .denying import deny, denying
from .expiring import watched
from .refusing import CREDENTIALS, REALM, missing, refuse

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler
    from litestar.types import Guard as Check

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..errors import GuardError

__all__ = ["Refusal", "in_openapi", "protected", "requires"]

_SCHEME = "BearerAuth"


def protected(app: Litestar, guard: Guard, *, grace: float | None = 0) -> Litestar:
    """Let *guard* decide about every request and websocket of *app*, and return *app*.

    It stands in front of the routes, so that nobody learns which there are, and behind Litestar's CORS.
    A websocket or an event stream is closed *grace* seconds after its token is over; None: it may stay.
    Misconfigured where the application has a guard already.
    """
    handler: Any = app.asgi_handler
    # Whatever answers for CORS holds Litestar's settings of it, and stands outside, so that a script may read refusals.
    cors: Any = handler if app.cors_config and getattr(handler, "config", None) is app.cors_config else None
    inner: Any = handler if cors is None else cors.app
    if isinstance(inner, _Door):
        raise Misconfigured("this application has its guard already")
    door: Any = _Door(inner, guard, grace=grace)  # Litestar types scopes and messages more narrowly than a server's are
    if cors is None:
        app.asgi_handler = door
    else:
        cors.app = door
    app.exception_handlers.setdefault(Refusal, _answer)
    return app


class _Door(asgi.GuardMiddleware):
    """The ASGI door for an application that reads its own scope again on the way out."""

    def admitted(
        self, credentials: Credentials | None, scope: asgi.Scope, send: asgi.Send, ending: Credentials | None
    ) -> tuple[asgi.Scope, asgi.Send]:
        """Return *scope* itself, filled in."""
        _place(credentials, self.guard.realm, scope)
        if scope["type"] == "websocket":
            return scope, denying(scope, send)
        return scope, send if ending is None else watched(send, self.guard, ending, self.grace or 0)


def _place(credentials: Credentials | None, realm: str, scope: asgi.Scope) -> None:
    scope[CREDENTIALS] = scope["user"] = credentials
    scope[REALM] = realm
    scope["auth"] = None if credentials is None else credentials.claims


def in_openapi(config: AppConfig) -> AppConfig:
    """Say in the OpenAPI document that a bearer token is needed: ``Litestar(…, on_app_init=[in_openapi])``.

    Routes that need none say so themselves: ``security=[{}]``.
    """
    openapi = config.openapi_config
    if openapi is not None:
        own = openapi.components if isinstance(openapi.components, list) else [openapi.components]
        scheme = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
        components = [*own, Components(security_schemes={_SCHEME: scheme})]
        security: list[dict[str, list[str]]] = [*(openapi.security or []), {_SCHEME: []}]
        described = copy(openapi)  # Litestar's default is one for all applications
        described.components, described.security = components, security
        config.openapi_config = described
    return config


class Refusal(HTTPException):
    """A refusal, for exception handlers: answered by us unless the application has one for it."""

    def __init__(self, error: GuardError, scope: asgi.Scope, realm: str) -> None:
        self.response = refuse(error, _request(scope), realm)
        """What we would answer."""
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""
        own = ("content-type", "content-length")  # of our body, which a handler may replace
        super().__init__(
            detail=json.loads(self.response.body)["detail"],
            status_code=self.response.status,
            headers={name: value for name, value in self.response.headers if name not in own},
        )
        deny(scope, self.response)


def _answer(_: Request[Any, Any, Any], refusal: Exception) -> Response[bytes]:
    assert isinstance(refusal, Refusal)  # noqa: S101 - Litestar gives a handler what it was registered for
    answer = refusal.response
    kind = dict(answer.headers)["content-type"]
    return Response(answer.body, status_code=answer.status, headers=refusal.headers, media_type=kind)


def _request(scope: asgi.Scope) -> asgi.ScopeRequest:
    """Return the request as it was sent: Litestar takes slashes out of the path before it calls anybody."""
    raw: bytes | None = scope.get("raw_path")
    if raw is not None:
        sent = unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "surrogateescape")
        if normalize_path(sent) == scope["path"]:
            return asgi.ScopeRequest({**scope, "path": sent})
    return asgi.ScopeRequest(scope)


def requires(*scopes: str, guard: Guard | None = None) -> Check:  # pyright: ignore[reportUnknownParameterType] # Litestar's
    """Return a Litestar guard that asks for *scopes*: ``guards=[requires("orders:read")]``, on any layer.

    With *guard* what it is put on is guarded on its own; without, the application must be
    :func:`protected` (RuntimeError where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    async def check(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scope: Any = connection.scope
        if own is None:
            error = missing(scope, wanted)
            if error is not None:
                raise Refusal(error, scope, scope[REALM])
            return
        decision = await run(own.decide(_request(scope)))
        if not isinstance(decision, Allow):
            raise Refusal(decision.error, scope, own.realm)
        _place(decision.credentials, own.realm, scope)
        CURRENT.set(decision.credentials)  # servers run each request in a task of its own: nobody else finds it there

    return check
