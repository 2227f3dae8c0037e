"""One guard → the same small application behind each door; it answers with what it sees of the caller."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, g
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from jwt_guard import (
    Credentials,
    Guard,
    Provider,
    any_of,
    anyone,
    authenticated,
    by_route,
    current,
    fixed,
    jwks,
    roles,
    scopes,
)
from jwt_guard.access.identity import ClaimNames
from jwt_guard.middleware import asgi, flask, starlette, wsgi
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, ISSUER, NOW

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

DEAD = "https://dead.test"
REALM = "shop"
PARTS = {
    "/code/read": ("orders:read",),
    "/code/both": ("orders:read", "orders:write"),
    "/public/code": ("orders:read",),
}
"""Where the application itself asks for scopes."""

# The keys of these tests are the same in every process, so that a server may run in one of its own.
SHOP = Provider(
    name="shop",
    issuer=ISSUER,
    audience=AUDIENCE,
    keys=fixed({"keys": [public_jwk("HS256", kid="a")]}),
    claims=ClaimNames(roles=("roles",)),
)
# Nobody listens on the port called discard.
OUT_OF_REACH = Provider(name="dead", issuer=DEAD, audience=AUDIENCE, keys=jwks("http://127.0.0.1:9/jwks"))
POLICY = by_route(
    [
        ("GET", "/public/**", anyone()),
        ("GET", "/whoami", authenticated()),
        ("GET", "/orders", scopes("orders:read")),
        ("POST", "/orders", scopes("orders:write")),
        ("GET", "/orders/{id}", scopes("orders:read")),
        ("DELETE", "/orders/{id}", scopes("orders:write", "orders:delete")),
        ("GET", "/ops", roles("ops")),
        ("GET", "/admin/**", any_of(scopes("admin"), roles("ops"))),
        ("GET", "/files/{name}", authenticated()),
        (None, "/code/**", authenticated()),
    ],
    encoded=["/files/{name}"],
)
GUARD = Guard([SHOP, OUT_OF_REACH], POLICY, REALM, clock=lambda: NOW)


def seen(credentials: Credentials | None) -> dict[str, Any]:
    """Return what an application can tell of *credentials*, and whether current() says the same."""
    if credentials is None:
        return {"who": None, "current": current() is None}
    return {
        "who": {
            "user": credentials.user,
            "client": credentials.client,
            "scopes": sorted(credentials.scopes),
            "roles": sorted(credentials.roles),
            "provider": credentials.provider,
        },
        "current": current() is credentials,
    }


# ── raw ASGI ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _asgi_echo(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    text = json.dumps(seen(scope["jwt_guard"]))
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": 1000})
        return
    body = b"" if scope["method"] == "HEAD" else text.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_ASGI_PARTS = {path: asgi.requires(*needed)(_asgi_echo) for path, needed in PARTS.items()}


async def asgi_inner(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    if scope["type"] != "lifespan":
        await _ASGI_PARTS.get(scope["path"], _asgi_echo)(scope, receive, send)


asgi_app = asgi.GuardMiddleware(asgi_inner, GUARD)


# ── raw WSGI ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _wsgi_echo(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
    text = json.dumps(seen(environ["jwt_guard"]))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    if environ["REQUEST_METHOD"] != "HEAD":
        yield text.encode()


_WSGI_PARTS = {path: wsgi.requires(*needed)(_wsgi_echo) for path, needed in PARTS.items()}


def wsgi_inner(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
    return _WSGI_PARTS.get(environ["PATH_INFO"], _wsgi_echo)(environ, start_response)


wsgi_app = wsgi.GuardMiddleware(wsgi_inner, GUARD)


# ── Starlette ────────────────────────────────────────────────────────────────────────────────────────────────────

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def starlette_app_for(guard: Guard) -> Starlette:
    """Return a Starlette application behind *guard*; what its request says of the caller must all agree."""

    async def echo(request: Request) -> Response:
        credentials: Credentials | None = request.state.credentials
        assert credentials is request.scope["jwt_guard"]
        assert request.user.is_authenticated is (credentials is not None)
        assert request.auth.scopes == (["authenticated", *sorted(credentials.scopes)] if credentials else [])
        return JSONResponse(seen(credentials))

    async def echo_socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(json.dumps(seen(websocket.state.credentials)))
        await websocket.close()

    routes: list[Route | WebSocketRoute] = []
    for path, needed in PARTS.items():
        ask = starlette.requires(*needed)
        routes += [
            Route(path, ask(echo), methods=METHODS),
            WebSocketRoute(path, ask(echo_socket)),
        ]
    routes += [Route("/{path:path}", echo, methods=METHODS), WebSocketRoute("/{path:path}", echo_socket)]
    return Starlette(routes=routes, middleware=[Middleware(starlette.GuardMiddleware, guard=guard)])


starlette_app = starlette_app_for(GUARD)


# ── Flask ────────────────────────────────────────────────────────────────────────────────────────────────────────


def flask_app_for(guard: Guard) -> Flask:
    """Return a Flask application behind *guard*."""
    app = Flask("doors")
    flask.GuardExtension(app, guard)

    def echo(path: str = "") -> dict[str, Any]:
        assert g.credentials is flask_request.environ["jwt_guard"]
        return seen(g.credentials)

    for path, needed in PARTS.items():
        view = flask.requires(*needed)(echo)
        app.add_url_rule(path, path, view, methods=METHODS, provide_automatic_options=False)
    app.add_url_rule("/", "root", echo, methods=METHODS, provide_automatic_options=False)
    app.add_url_rule("/<path:path>", "echo", echo, methods=METHODS, provide_automatic_options=False)
    return app


flask_app = flask_app_for(GUARD)
