"""The guard of the table → the same small application in Django, sync and async, and in REST framework.

A process has one Django, so whoever else needs it imports this first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import django
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import re_path

from jwt_guard.middleware import asgi, wsgi

from .apps import PARTS, seen

__all__ = [
    "MIDDLEWARE",
    "django_asgi_app",
    "django_wsgi_app",
    "drf_alone_app",
    "drf_app",
    "handler_for",
    "in_small_letters",
    "served",
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "jwt_guard.middleware.django",
            "rest_framework",
            "drf_spectacular",
        ],
        JWT_GUARD="tests.doors.apps.GUARD",
        LOGGING_CONFIG=None,
        MIDDLEWARE=["jwt_guard.middleware.django.GuardMiddleware"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_guard.middleware.drf.JWTGuardAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
        },
        ROOT_URLCONF=(),
        SECRET_KEY="only-for-these-tests",
        STATIC_URL="/static/",
        USE_TZ=True,
    )
    django.setup()

from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_guard.middleware.django import GuardedRequest, requires
from jwt_guard.middleware.django.configured import is_async
from jwt_guard.middleware.drf import HasScopes

if TYPE_CHECKING:
    from rest_framework.request import Request

T = TypeVar("T")
MIDDLEWARE = ["jwt_guard.middleware.django.GuardMiddleware"]


# ── sync ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _echo(request: GuardedRequest) -> HttpResponse:
    assert request.credentials is vars(request)["jwt_guard"]
    assert not hasattr(request, "user")
    return JsonResponse(seen(request.credentials))


_sync_urls = [re_path(f"^{path[1:]}$", requires(*needed)(_echo)) for path, needed in PARTS.items()]
_sync_urls.append(re_path("^.*$", _echo))


# ── async ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _aecho(request: GuardedRequest) -> HttpResponse:
    return _echo(request)


_async_urls = [re_path(f"^{path[1:]}$", requires(*needed)(_aecho)) for path, needed in PARTS.items()]
_async_urls.append(re_path("^.*$", _aecho))


# ── REST framework ───────────────────────────────────────────────────────────────────────────────────────────────


class _Echo(APIView):
    def get(self, request: Request) -> Response:
        assert request.user.is_authenticated is (request.auth is not None)
        credentials: Any = request.auth  # which is a Token of REST framework for its stubs
        return Response(seen(credentials))

    post = put = patch = delete = options = head = get


def _asking(*needed: str) -> type[_Echo]:
    return type("Asking", (_Echo,), {"permission_classes": [HasScopes(*needed)]})


_drf_urls = [re_path(f"^{path[1:]}$", _asking(*needed).as_view()) for path, needed in PARTS.items()]
_drf_urls.append(re_path("^.*$", _Echo.as_view()))


# ── the handlers ─────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _routing_on(urls: tuple[Any, ...]) -> str:
    """Return the dotted path of a middleware that routes on *urls*, so that one process has several applications."""

    def middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def routed(request: HttpRequest) -> Any:
            request.urlconf = urls  # type: ignore[assignment] # patterns do as well as a module that has them
            return get_response(request)

        return markcoroutinefunction(routed) if is_async(get_response) else routed

    vars(middleware).update(sync_capable=True, async_capable=True)
    name = f"_routing_{len(_named)}"
    _named.append(name)
    globals()[name] = middleware
    return f"{__name__}.{name}"


_named: list[str] = []


def handler_for(kind: type[T], urls: Iterable[Any], middleware: Iterable[str] = MIDDLEWARE) -> T:
    """Return a WSGIHandler or an ASGIHandler of its own for *urls*."""
    with override_settings(MIDDLEWARE=[*middleware, _routing_on(tuple(urls))]):
        return kind()


def served(app: wsgi.App) -> wsgi.App:
    """Return *app* without the bodies of answers to HEAD, which servers leave out and Django does not."""

    def serving(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        body: Any = app(environ, start_response)
        if environ["REQUEST_METHOD"] == "HEAD":
            body.close()
            return [b""]
        return body  # type: ignore[no-any-return]

    return serving


def in_small_letters(app: Any) -> asgi.App:
    """Return *app* with the names of its headers as ASGI has them; Django leaves that to the server."""

    async def serving(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        async def sending(message: asgi.Message) -> None:
            if "headers" in message:
                message["headers"] = [(name.lower(), value) for name, value in message["headers"]]
            await send(message)

        await app(scope, receive, sending)

    return serving


django_wsgi_app = served(handler_for(WSGIHandler, _sync_urls))
django_asgi_app = in_small_letters(handler_for(ASGIHandler, _async_urls))
drf_app = served(handler_for(WSGIHandler, _drf_urls))
"""Behind the middleware; what HasScopes() refuses has REST framework's body."""
drf_alone_app = served(handler_for(WSGIHandler, _drf_urls, ()))
"""With the authentication class alone; each refusal has REST framework's body."""
