"""A Django application behind a guard: ``python examples/django_app.py --port 8001``."""

import argparse
import logging
import os
import secrets
from typing import Any

import waitress
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views import View

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["jwt_guard.middleware.django"],
    JWT_GUARD=my_guard(),
    MIDDLEWARE=["jwt_guard.middleware.django.GuardMiddleware"],
    ROOT_URLCONF=__name__,
)
application = get_wsgi_application()

from jwt_guard.middleware.django import GuardedRequest, RequiresScopes, requires  # noqa: E402 - when Django is set up


def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def whoami(request: GuardedRequest) -> JsonResponse:
    who: Any = request.credentials  # None on open routes only, which this is not
    seen = {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider}
    return JsonResponse(seen)


class Orders(View):
    @requires("orders:read")
    def get(self, _request: GuardedRequest) -> JsonResponse:
        return JsonResponse({"orders": [{"id": "1"}, {"id": "2"}]})

    @requires("orders:write")
    def post(self, _request: GuardedRequest) -> JsonResponse:
        return JsonResponse({"id": "3"}, status=201)


class Order(RequiresScopes, View):
    scopes = ("orders:read",)

    def get(self, _request: GuardedRequest, order: str) -> JsonResponse:
        return JsonResponse({"id": order})


urlpatterns = [
    path("health", health),
    path("whoami", whoami),
    path("orders", Orders.as_view()),
    path("orders/<order>", Order.as_view()),
]

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    waitress.serve(application, host="127.0.0.1", port=arguments.parse_args().port)
