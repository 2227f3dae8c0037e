"""A REST framework application behind a guard: ``python examples/drf_app.py --port 8001``."""

import argparse
import logging
import os
import secrets
from typing import Any

import waitress
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    ALLOWED_HOSTS=["127.0.0.1"],
    JWT_GUARD=my_guard(),
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ["jwt_guard.middleware.drf.JWTGuardAuthentication"]},
    ROOT_URLCONF=__name__,
)
application = get_wsgi_application()
from rest_framework.decorators import api_view, permission_classes  # noqa: E402 - when Django is set up
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from jwt_guard.middleware.drf import HasScopes  # noqa: E402


@api_view(["GET"])
def health(_request: Request) -> Response:
    return Response({"ok": True})


@api_view(["GET"])
def whoami(request: Request) -> Response:
    who: Any = request.auth
    return Response({"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider})


class Orders(APIView):
    def get_permissions(self) -> list[Any]:
        return [HasScopes("orders:write" if self.request.method == "POST" else "orders:read")()]

    def get(self, _request: Request) -> Response:
        return Response({"orders": [{"id": "1"}, {"id": "2"}]})

    def post(self, _request: Request) -> Response:
        return Response({"id": "3"}, status=201)


@api_view(["GET"])
@permission_classes([HasScopes("orders:read")])
def one_order(_request: Request, order: str) -> Response:
    return Response({"id": order})


urlpatterns = [
    path("health", health),
    path("whoami", whoami),
    path("orders", Orders.as_view()),
    path("orders/<order>", one_order),
]

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    waitress.serve(application, host="127.0.0.1", port=arguments.parse_args().port)
