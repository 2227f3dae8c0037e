"""Django in a process of its own, since a process has one → what each of its requests took, as JSON.

``python -m benchmarks.django_doors ROUNDS TURNS`` measures Django's middleware and REST framework's authentication,
this beside djangorestframework-simplejwt, which looks nobody up in a database either.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .calling import World, wsgi_batches
from .rounds import Batches, in_turn
from .verification import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["ALONE", "BEHIND", "DJANGO", "EMPTY", "PEER", "times"]

DJANGO, ALONE, BEHIND = "Django", "REST framework", "REST framework, behind the middleware"
PEER = "simplejwt"
EMPTY = "an empty authentication"
_OURS = "jwt_guard.middleware.django.GuardMiddleware"
_BATCH, _PEERS_BATCH = 25, 8


def times(rounds: int, turns: int) -> dict[str, dict[str, list[float]]]:
    """Return for each door, and each contestant there, the CPU microseconds of one request in each round."""
    words = [sys.executable, "-m", __name__, str(rounds), str(turns)]
    ran = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, list[float]]] = json.loads(ran.stdout)
    return found


def empty_middleware(get_response: Any) -> Any:
    """Return the least that a middleware of Django can be."""

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


def _set_up(world: World) -> None:
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
        JWT_GUARD=world.guard,
        LOGGING_CONFIG=None,
        REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
        SECRET_KEY="signs nothing here",
        SIMPLE_JWT={
            "ALGORITHM": "RS256",
            "VERIFYING_KEY": world.key,
            "AUDIENCE": AUDIENCE,
            "ISSUER": ISSUER,
            "LEEWAY": 30,
            "USER_ID_CLAIM": "sub",
            "TOKEN_TYPE_CLAIM": None,  # which only its own tokens have
        },
        USE_TZ=True,
    )
    django.setup()
    logging.getLogger("django.request").setLevel(logging.ERROR)  # that refusals are refused is seen elsewhere


def _doors(world: World) -> Mapping[str, Mapping[str, Batches]]:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    settings.ROOT_URLCONF = _routes()

    def batches(path: str, *middleware: str, number: int = _BATCH) -> Batches:
        with override_settings(MIDDLEWARE=[*middleware]):
            handler: Any = WSGIHandler()
        is_open = path in {"/bare", "/empty"} or (path == "/plain" and _OURS not in middleware)
        return wsgi_batches(handler, world, path, number, refuses=not is_open)

    empty = f"{__name__}.empty_middleware"
    bare, peer = batches("/bare"), batches("/simplejwt", number=_PEERS_BATCH)
    return {
        DJANGO: {
            "bare": batches("/plain"),
            "an empty middleware": batches("/plain", empty),
            "jwt_guard": batches("/plain", _OURS),
        },
        ALONE: {"bare": bare, EMPTY: batches("/empty"), "jwt_guard": batches("/ours"), PEER: peer},
        BEHIND: {"bare": bare, "jwt_guard": batches("/ours", _OURS), PEER: peer},
    }


def _routes() -> tuple[Any, ...]:
    """Return the addresses; each view looks who is asking in its framework's own words."""
    from django.http import HttpResponse
    from django.urls import path
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView
    from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
    from rest_framework_simplejwt.models import TokenUser

    import jwt_guard
    from jwt_guard.middleware.drf import JWTGuardAuthentication

    def plain(_request: HttpRequest) -> HttpResponse:
        jwt_guard.current()
        return HttpResponse(b"42")

    class Empty(BaseAuthentication):
        """The least that an authentication can be: it knows somebody, whoever asks."""

        somebody = TokenUser({"sub": "somebody"})  # type: ignore[arg-type] # of which nothing but that is read

        def authenticate(self, request: object) -> tuple[Any, None]:  # noqa: ARG002 - as it is called
            return self.somebody, None

    def view(authentication: type[Any] | None, permission: type[BasePermission]) -> Any:
        class Answering(APIView):
            authentication_classes = () if authentication is None else (authentication,)
            permission_classes = (permission,)

            def get(self, _request: object) -> Response:
                return Response(42)

        return Answering.as_view()

    return (
        path("plain", plain),
        path("bare", view(None, AllowAny)),
        path("empty", view(Empty, IsAuthenticated)),
        path("ours", view(JWTGuardAuthentication, IsAuthenticated)),
        path("simplejwt", view(JWTStatelessUserAuthentication, IsAuthenticated)),
    )


def _main(rounds: int, turns: int) -> None:
    world = World.new()
    _set_up(world)
    found = {
        name: in_turn(contestants, rounds, f"{name}: round", turns=turns) for name, contestants in _doors(world).items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
