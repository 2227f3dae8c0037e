"""An ASGI application without a framework, behind a guard: ``python examples/asgi_app.py --port 8001``."""

import argparse
import json
import logging
import os
import re
import secrets

import uvicorn

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret
from jwt_guard.middleware.asgi import App, GuardMiddleware, Receive, Scope, Send, requires


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


async def answer(send: Send, content: object, status: int = 200) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def health(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, {"ok": True})


async def whoami(scope: Scope, _receive: Receive, send: Send) -> None:
    who = scope["jwt_guard"]
    await answer(send, {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider})


@requires("orders:read")
async def orders(scope: Scope, _receive: Receive, send: Send) -> None:
    order = scope["path"].removeprefix("/orders").strip("/")
    await answer(send, {"id": order} if order else {"orders": [{"id": "1"}, {"id": "2"}]})


@requires("orders:write")
async def create(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, {"id": "3"}, 201)


ROUTES: list[tuple[str, str, App]] = [
    ("GET", "/health", health),
    ("GET", "/whoami", whoami),
    ("GET", "/orders(/[^/]+)?", orders),
    ("POST", "/orders", create),
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        for method, path, route in ROUTES:
            if method == scope["method"] and re.fullmatch(path, scope["path"]):
                await route(scope, receive, send)
                return
        await answer(send, {"error": "not found"}, 404)


guarded = GuardMiddleware(app, my_guard())

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    uvicorn.run(guarded, host="127.0.0.1", port=arguments.parse_args().port, lifespan="off")
