"""A WSGI application without a framework, behind a guard: ``python examples/wsgi_app.py --port 8001``."""

import argparse
import json
import logging
import os
import re
import secrets
from collections.abc import Iterable

import waitress

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret
from jwt_guard.middleware.wsgi import App, Environ, GuardMiddleware, StartResponse, requires


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


def answer(start_response: StartResponse, content: object, status: str = "200 OK") -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(content).encode()]


def health(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, {"ok": True})


def whoami(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    who = environ["jwt_guard"]
    return answer(
        start_response,
        {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider},
    )


@requires("orders:read")
def orders(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    order = environ["PATH_INFO"].removeprefix("/orders").strip("/")
    return answer(start_response, {"id": order} if order else {"orders": [{"id": "1"}, {"id": "2"}]})


@requires("orders:write")
def create(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, {"id": "3"}, "201 Created")


ROUTES: list[tuple[str, str, App]] = [
    ("GET", "/health", health),
    ("GET", "/whoami", whoami),
    ("GET", "/orders(/[^/]+)?", orders),
    ("POST", "/orders", create),
]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    for method, path, route in ROUTES:
        if method == environ["REQUEST_METHOD"] and re.fullmatch(path, environ["PATH_INFO"]):
            return route(environ, start_response)
    return answer(start_response, {"error": "not found"}, "404 Not Found")


guarded = GuardMiddleware(app, my_guard())

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    waitress.serve(guarded, host="127.0.0.1", port=arguments.parse_args().port)
