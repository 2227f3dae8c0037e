"""REST framework's request → request.user and request.auth of a verified token, and HasScopes() to ask for more."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.signals import request_finished, request_started
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import ForcedAuthentication

from ..access.challenge import challenge
from ..access.policy import scopes as needs
from ..credentials import CURRENT, Credentials
from ..decision import Allow
from ..errors import InsufficientScope, MissingToken, Unavailable
from ..runners.blocking import run
from .django.configured import USER, function_of, guard_of_settings
from .django.door import at_once
from .django.seeing import SeenRequest, found_in, place
from .django.streaming import kept
from .django.users import GuardedUser, place_user
from .expiring import checked
from .refusing import CREDENTIALS, REALM, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from rest_framework.request import Request
    from rest_framework.views import APIView

    from ..access.guard import Guard
    from ..errors import GuardError

__all__ = ["GuardedUser", "HasScopes", "JWTGuardAuthentication", "Refused"]

_log = logging.getLogger("jwt_guard")
_is_ours: ContextVar[bool] = ContextVar("jwt_guard_set_by_drf", default=False)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Refused(exceptions.APIException):
    """A refusal as REST framework knows them, also for exception handlers: status and challenge are those of the guard.

    Each is one of REST framework's own, too: NotAuthenticated, AuthenticationFailed, PermissionDenied, ParseError
    or MethodNotAllowed, where that says the same.
    """

    def __init__(self, error: GuardError, request: HttpRequest, realm: str, view: APIView | None) -> None:
        answer = refuse(error, SeenRequest(request), realm)
        headers = dict(answer.headers)
        problem = json.loads(answer.body)
        super().__init__({"detail": problem["detail"], "id": problem["id"]}, error.code or "not_authenticated")
        self.error = error
        """What happened, in full: for programs and logs, not for the client."""
        self.status_code = answer.status
        self.auth_header = headers.get("www-authenticate")
        if isinstance(error, Unavailable):
            self.wait = error.retry_after
        if view is not None:  # exceptions have no other headers
            for name in {"allow", "cache-control"} & headers.keys():
                view.headers[name.title()] = headers[name]

    def __setattr__(self, name: str, value: object) -> None:
        # REST framework would take both from the first authentication class, whoever refused.
        if name not in {"status_code", "auth_header"} or name not in vars(self):
            super().__setattr__(name, value)


class _NotAuthenticated(Refused, exceptions.NotAuthenticated):
    pass


class _AuthenticationFailed(Refused, exceptions.AuthenticationFailed):
    pass


class _ParseError(Refused, exceptions.ParseError):
    pass


class _PermissionDenied(Refused, exceptions.PermissionDenied):
    pass


_KINDS: dict[int, type[Refused]] = {400: _ParseError, 401: _AuthenticationFailed, 403: _PermissionDenied}


def _refusal(error: GuardError, request: HttpRequest, realm: str, view: APIView | None) -> Refused:
    kind = _NotAuthenticated if isinstance(error, MissingToken) else _KINDS.get(error.status, Refused)
    return kind(error, request, realm, view)


# ── who it is ────────────────────────────────────────────────────────────────────────────────────────────────────


class JWTGuardAuthentication(BaseAuthentication):
    """Take whom the middleware found; where there is none, ask the guard of ``settings.JWT_GUARD`` about the request.

    ``request.auth`` are the Credentials.  ``request.user`` is a GuardedUser, or what JWT_GUARD_USER finds.
    A subclass may have a *guard* of its own, which is asked in any case.  Where it was this class that asked, a stream
    of events ends *grace* seconds after its token is over (None: it may go on); a subclass may say otherwise, and is
    Misconfigured where that is no time.
    """

    guard: Guard | None = None
    grace: float | None = 0

    def __init_subclass__(cls, **settings: Any) -> None:  # noqa: ANN401 - of whatever else it is made of
        super().__init_subclass__(**settings)
        checked(cls.grace)

    def authenticate(self, request: Request) -> tuple[Any, Credentials] | None:
        """Return user and credentials; None on an open route that nobody identified themselves on.

        Raises Refused for everybody whom the guard does not let in.
        """
        http = request._request  # noqa: SLF001 - which is what REST framework's own classes do
        guard, credentials = self.guard, None
        if guard is None and CREDENTIALS in (found := found_in(http)):
            credentials = found[CREDENTIALS]
        else:
            guard = guard or guard_of_settings()
            view: Any = request.parser_context.get("view")
            credentials = _decided(guard, http, view)
            if view is not None and credentials is not None:  # a view answers one request
                view.finalize_response = partial(_finalized, view.finalize_response, credentials, guard, self.grace)
        if credentials is None:
            return None
        return GuardedUser(credentials) if function_of(USER) is None else place_user(http, credentials), credentials

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for who brought nothing (RFC 6750 §3)."""
        realm = found_in(request._request).get(REALM)  # noqa: SLF001 - as above
        if realm is None:
            realm = (self.guard or guard_of_settings()).realm
        return challenge(MissingToken(), realm)


def _decided(guard: Guard, request: HttpRequest, view: APIView | None) -> Credentials | None:
    decision = at_once(guard, request, preflight_passes=True)
    if decision is None:
        decision = run(guard.decide(SeenRequest(request)))
    if not isinstance(decision, Allow):
        raise _refusal(decision.error, request, guard.realm, view)
    place(request, decision.credentials, guard.realm)
    # Nothing of ours stands around the view, so what is set here holds until Django says that the request is over.
    CURRENT.set(decision.credentials)
    _is_ours.set(True)
    return decision.credentials


def _finalized(
    finalize: Callable[..., Any],
    credentials: Credentials,
    guard: Guard,
    grace: float | None,
    *args: Any,  # noqa: ANN401 - as a view has it
    **kwargs: Any,  # noqa: ANN401 - as above
) -> Any:  # noqa: ANN401 - of each kind
    """Return what *finalize* makes of a response; one that streams knows for whom it is, and ends in time."""
    final = finalize(*args, **kwargs)
    if final.streaming:
        close = final.close
        kept(final, credentials, guard, grace)
        final.close = close  # with which the request is over, and nobody's again: see _over()
    return final


def _over(**_: object) -> None:
    if _is_ours.get():
        CURRENT.set(None)
        _is_ours.set(False)


request_finished.connect(_over, dispatch_uid="jwt_guard")
request_started.connect(_over, dispatch_uid="jwt_guard")  # a server that breaks off may not say that it is over


# ── what they may ────────────────────────────────────────────────────────────────────────────────────────────────


def HasScopes(*scopes: str) -> type[BasePermission]:  # noqa: N802 - it stands among classes, and gives one
    """Return a permission class that asks for *scopes*, all of them; ``&``, ``|`` and ``~`` work as with any other.

    Where no authentication class of the view finds credentials, and none could, RuntimeError, so that nothing passes.
    """
    needs(*scopes)
    wanted = frozenset(scopes)

    class Scoped(_HasScopes):
        required = wanted

    Scoped.__name__ = Scoped.__qualname__ = f"HasScopes({', '.join(map(repr, scopes))})"
    return Scoped


class _HasScopes(BasePermission):
    message = "The access token does not allow this"
    code = "insufficient_scope"
    required: frozenset[str]

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the token has them; if not, and nothing else lets the request in, the refusal says so."""
        credentials: object = request.auth
        if isinstance(credentials, Credentials) and self.required <= credentials.scopes:
            return True
        _explain(request, view, self.required)
        return False


def _explain(request: Request, view: Any, wanted: frozenset[str]) -> None:  # noqa: ANN401 - a view whose method is replaced
    """Let *view*, where it comes to refuse *request* after all, say that *wanted* is missing."""
    authenticators = request.authenticators or ()
    if not any(isinstance(each, JWTGuardAuthentication | ForcedAuthentication) for each in authenticators):
        message = "HasScopes() found no credentials: the view needs JWTGuardAuthentication"
        _log.error(message)
        raise RuntimeError(message)
    http = request._request  # noqa: SLF001 - as above
    given = view.permission_denied

    def permission_denied(denied: Request, message: str | None = None, code: str | None = None) -> None:
        try:
            given(denied, message=message, code=code)
        except (exceptions.PermissionDenied, exceptions.NotAuthenticated) as denial:
            # The browsable API only tries which forms to show; and the first of several has said it already.
            if denied.method != http.method or getattr(denial, "auth_header", None):
                raise
            realm: str = found_in(http).get(REALM, "")
            if isinstance(denied.auth, Credentials):
                raise _refusal(InsufficientScope(wanted, "a scope is missing"), http, realm, view) from denial
            if isinstance(denial, exceptions.NotAuthenticated):
                raise _refusal(MissingToken(), http, realm, view) from denial
            raise

    view.permission_denied = permission_denied


# ── OpenAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────


_SCHEME = "jwtGuard"


def _tell_spectacular() -> type[Any]:
    from drf_spectacular.extensions import OpenApiAuthenticationExtension
    from drf_spectacular.settings import spectacular_settings

    class JWTGuardScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # to be one is to be told
        """The security scheme in the document, and with OpenAPI 3.1 the scopes of each operation."""

        target_class = JWTGuardAuthentication
        match_subclasses = True
        name = _SCHEME

        def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002 - as it is called
            """Return a bearer scheme (OpenAPI 3.0 §4.7.23)."""
            return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

        def get_security_requirement(self, auto_schema: Any) -> dict[str, list[Any]]:  # noqa: ANN401 - as it is called
            """Return what the operation needs; before 3.1 the list must be empty for such a scheme."""
            if not str(spectacular_settings.OAS_VERSION).startswith("3.1"):
                return {_SCHEME: []}
            asked = [each for each in auto_schema.view.get_permissions() if isinstance(each, _HasScopes)]
            return {_SCHEME: sorted({scope for each in asked for scope in each.required})}

    return JWTGuardScheme


if any(str(app).partition(".")[0] == "drf_spectacular" for app in settings.INSTALLED_APPS):
    _tell_spectacular()
