"""A FastAPI application behind a guard: ``python examples/fastapi_app.py --port 8001``, then look at ``/docs``."""

import argparse
import logging
import os
import secrets
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Security

import jwt_guard
import jwt_guard.middleware.fastapi
from jwt_guard import Credentials, Guard, Provider, anyone, authenticated, by_route, shared_secret
from jwt_guard.middleware.fastapi import GuardMiddleware


def my_guard() -> Guard:
    if "JWT_GUARD_CONFIG" in os.environ:
        return jwt_guard.load()
    secret = os.environ.get("JWT_SECRET") or secrets.token_hex(32)  # set one, to make tokens for this
    shop = Provider("shop", issuer="https://id.example/realms/shop", audience="orders", keys=shared_secret(secret))
    is_open = [("GET", path, anyone()) for path in ("/health", "/docs", "/openapi.json")]
    return Guard([shop], by_route([*is_open, (None, "/**", authenticated())]))


guard = my_guard()
guarded = jwt_guard.middleware.fastapi.guarded(guard)

Caller = Annotated[Credentials, Security(guarded)]
Reader = Annotated[Credentials, Security(guarded, scopes=["orders:read"])]
Writer = Annotated[Credentials, Security(guarded, scopes=["orders:write"])]

app = FastAPI(title="Orders", responses=guarded.responses)
app.add_middleware(GuardMiddleware, guard=guard)


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/whoami")
async def whoami(who: Caller) -> dict[str, Any]:
    return {"user": who.user, "client": who.client, "scopes": sorted(who.scopes), "provider": who.provider}


@app.get("/orders")
async def orders(who: Reader) -> dict[str, Any]:
    return {"orders": [{"id": "1"}, {"id": "2"}], "for": who.user}


@app.get("/orders/{order_id}")
async def order(order_id: str, _: Reader) -> dict[str, str]:
    return {"id": order_id}


@app.post("/orders", status_code=201)
async def create(who: Writer) -> dict[str, str | None]:
    return {"id": "3", "by": who.user}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO)
    uvicorn.run(app, host="127.0.0.1", port=arguments.parse_args().port)
