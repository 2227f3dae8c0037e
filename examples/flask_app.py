"""A Flask application behind a guard: ``python examples/flask_app.py --port 8001``."""

import argparse
import logging
import os
import secrets
from typing import Any

import waitress
from flask import Flask, g

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret
from jwt_guard.middleware.flask import GuardExtension, requires


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


app = Flask(__name__)
GuardExtension(app, my_guard())


@app.get("/health")
def health() -> dict[str, Any]:
    return {"ok": True}


@app.get("/whoami")
def whoami() -> dict[str, Any]:
    who = g.credentials
    return {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider}


@app.get("/orders")
@requires("orders:read")
def orders() -> dict[str, Any]:
    return {"orders": [{"id": "1"}, {"id": "2"}]}


@app.get("/orders/<order>")
@requires("orders:read")
def order(order: str) -> dict[str, Any]:
    return {"id": order}


@app.post("/orders")
@requires("orders:write")
def create() -> tuple[dict[str, Any], int]:
    return {"id": "3"}, 201


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    waitress.serve(app, host="127.0.0.1", port=arguments.parse_args().port)
