"""A Starlette application behind a guard: ``python examples/starlette_app.py --port 8001``."""

import argparse
import logging
import os
import secrets

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import jwt_guard
from jwt_guard import Guard, Provider, anyone, authenticated, by_route, shared_secret
from jwt_guard.middleware.starlette import GuardMiddleware, requires


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    return Guard([shop], by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))


async def health(_request: Request) -> JSONResponse:
    return JSONResponse({"ok": True})


async def whoami(request: Request) -> JSONResponse:
    who = request.state.credentials
    return JSONResponse(
        {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider}
    )


@requires("orders:read")
async def orders(request: Request) -> JSONResponse:
    return JSONResponse({"orders": [{"id": "1"}, {"id": "2"}], "for": request.user.display_name})


@requires("orders:read")
async def order(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["order"]})


@requires("orders:write")
async def create(request: Request) -> JSONResponse:
    return JSONResponse({"id": "3", "by": request.user.display_name}, status_code=201)


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/whoami", whoami),
        Route("/orders", orders, methods=["GET"]),
        Route("/orders", create, methods=["POST"]),
        Route("/orders/{order}", order),
    ],
    middleware=[Middleware(GuardMiddleware, guard=my_guard())],
)

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    uvicorn.run(app, host="127.0.0.1", port=arguments.parse_args().port)
