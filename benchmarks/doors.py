"""A request through a door, in process and without sockets → the CPU time that the guard adds to the application's.

Every application is called as its server calls it, with a scope or an environ of its own for each request, made
outside the timed part; coroutines are run to their end by hand, since none of them waits for anything.  What is
added is a small difference of two larger times, so the applications take turns every few milliseconds, the
difference is taken within each round, and the median over the rounds is told with its quartiles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import flask
from cryptography.hazmat.primitives.asymmetric import rsa
from flask_jwt_extended import JWTManager, get_jwt_identity, jwt_required
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from werkzeug.test import EnvironBuilder

import jwt_guard
from jwt_guard.middleware import asgi, wsgi
from jwt_guard.middleware.flask import GuardExtension
from jwt_guard.middleware.starlette import GuardMiddleware

from .rounds import Batches, Line, Middle, in_turn, is_quick, middle
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from jwt_guard.middleware.asgi import App, Message, Receive, Scope, Send

__all__ = ["FLASK", "GOALS", "PassThrough", "added", "asgi_app", "rows", "starlette_app"]

GOALS = {"raw ASGI": 8.0, "Starlette, current()": 8.0, "Starlette, request.user": 8.0}
"""The most that the guard may add, as a multiple of what an empty middleware adds."""
FLASK = 200.0
"""How many times less than flask-jwt-extended the guard is to add to Flask."""
_TOKENS = 32
_BATCHES = {"raw": 200, "Starlette": 50, "Flask": 25, "flask-jwt-extended": 4}
"""Calls in one batch: some milliseconds at most."""
_TURNS = 50
_QUICK_TURNS = 2
_BODY = b"42"


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    lines: list[Line] = []
    for name, found in added(rounds).items():
        ours = found["jwt_guard"]
        text = f"+ {_told(ours)}"
        if name in GOALS:
            empty = found["an empty middleware"]
            ratio = _multiple(ours, empty)
            text = f"{ratio:.1f} × an empty middleware: {text}, to + {_told(empty)}"
            lines.append((f"{name}: added", text, f"≤ {GOALS[name]:g} ×", ratio <= GOALS[name]))
        elif "flask-jwt-extended" in found:
            peer = found["flask-jwt-extended"]
            ratio = _multiple(peer, ours)
            text = f"1/{ratio:.0f} of @jwt_required: {text}, to + {_told(peer)}"
            lines.append((f"{name}: added", text, f"≤ 1/{FLASK:g}", ratio >= FLASK))
        else:
            lines.append((f"{name}: added", text, "", None))
    return lines


def added(rounds: int) -> dict[str, dict[str, Middle]]:
    """Return for each door the CPU microseconds that each contestant adds to one request of the bare application."""
    world = _World.new()
    turns = _QUICK_TURNS if is_quick(rounds) else _TURNS
    found = {}
    for name, contestants in _doors(world).items():
        times = in_turn(contestants, rounds, f"{name}: round", turns=turns)
        bare = times.pop("bare")
        found[name] = {
            other: middle([mine - theirs for mine, theirs in zip(taken, bare, strict=True)])
            for other, taken in times.items()
        }
    return found


def _multiple(figure: Middle, base: Middle) -> float:
    """Return *figure* as a multiple of *base*; without end where there was nothing of that to be seen."""
    return figure.value / base.value if base.value > 0 else math.inf


def _told(figure: Middle) -> str:
    return f"{figure.value:.2f} µs ({figure.low:.2f} to {figure.high:.2f})"


# ── what is called ───────────────────────────────────────────────────────────────────────────────────────────────


class PassThrough:
    """The least that a middleware can do."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


async def asgi_app(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer in the fewest words, and look who is asking."""
    jwt_guard.current()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": _BODY})


def starlette_app(*middleware: Middleware) -> Starlette:
    """Return an application that looks who is asking, at /current and at /user."""

    async def current(_request: Request) -> PlainTextResponse:
        jwt_guard.current()
        return PlainTextResponse(_BODY)

    async def user(request: Request) -> PlainTextResponse:
        assert request.user.is_authenticated  # noqa: S101 - else what is measured is not what is meant
        return PlainTextResponse(_BODY)

    return Starlette(routes=[Route("/current", current), Route("/user", user)], middleware=middleware)


def _wsgi_app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    jwt_guard.current()
    start_response("200 OK", [("Content-Length", "2")])
    return [_BODY]


def _flask_app() -> flask.Flask:
    app = flask.Flask("benchmarks")

    @app.get("/current")
    def current() -> bytes:
        jwt_guard.current()
        return _BODY

    return app


def _peer_app(key: rsa.RSAPublicKey) -> flask.Flask:
    app = flask.Flask("benchmarks")
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=key,  # not as PEM, which would be read again for each request
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_DECODE_LEEWAY=timedelta(seconds=30),
    )
    JWTManager(app)

    @app.get("/current")
    @jwt_required()  # type: ignore[untyped-decorator]  # which it is
    def current() -> bytes:
        get_jwt_identity()
        return _BODY

    return app


# ── how it is called ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _World:
    """An issuer's key, a guard that trusts it, and some tokens."""

    key: rsa.RSAPublicKey
    guard: jwt_guard.Guard
    tokens: Sequence[str]

    @classmethod
    def new(cls) -> _World:
        private = rsa.generate_private_key(65_537, 2_048)
        key = private.public_key()
        jwk = {**json.loads(RSAAlgorithm.to_jwk(key)), "kid": KID}
        guard = jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk))])
        tokens = [token_of(claims(number), private, "RS256", {"kid": KID}) for number in range(_TOKENS)]
        for token in tokens:
            jwt_guard.verify(guard, token)
        return cls(key, guard, tokens)


def _doors(world: _World) -> Mapping[str, Mapping[str, Batches]]:
    guard = world.guard
    bare, guarded = starlette_app(), starlette_app(Middleware(GuardMiddleware, guard=guard))
    passing = starlette_app(Middleware(PassThrough))
    starlette = {"bare": bare, "an empty middleware": passing, "jwt_guard": guarded}
    plain, ours, theirs = _flask_app(), _flask_app(), _peer_app(world.key)
    GuardExtension(ours, guard)
    return {
        "raw ASGI": {
            "bare": _asgi(asgi_app, world, "/current", "raw"),
            "an empty middleware": _asgi(PassThrough(asgi_app), world, "/current", "raw"),
            "jwt_guard": _asgi(asgi.GuardMiddleware(asgi_app, guard), world, "/current", "raw"),
        },
        "Starlette, current()": {name: _asgi(app, world, "/current", "Starlette") for name, app in starlette.items()},
        "Starlette, request.user": {name: _asgi(app, world, "/user", "Starlette") for name, app in starlette.items()},
        "raw WSGI": {
            "bare": _wsgi(_wsgi_app, world, "raw"),
            "jwt_guard": _wsgi(wsgi.GuardMiddleware(_wsgi_app, guard), world, "raw"),
        },
        "Flask": {
            "bare": _wsgi(plain, world, "Flask"),
            "jwt_guard": _wsgi(ours, world, "Flask"),
            "flask-jwt-extended": _wsgi(theirs, world, "flask-jwt-extended"),
        },
    }


def _asgi(app: App, world: _World, path: str, kind: str) -> Batches:
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    async def looking(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    templates = [_scope(token, path) for token in world.tokens]
    turn = _turns(templates, _BATCHES[kind])

    def arguments() -> list[Scope]:
        return [{**scope, "headers": [*scope["headers"]]} for scope in turn()]

    def run(scopes: Sequence[Scope]) -> None:
        for scope in scopes:
            try:
                app(scope, receive, send).send(None)  # type: ignore[attr-defined]  # a coroutine, all of them
            except StopIteration:
                continue
            raise AssertionError  # it waits

    for scope in arguments():
        try:
            app(scope, receive, looking).send(None)  # type: ignore[attr-defined]
        except StopIteration:
            continue
    _all_well(statuses)
    return Batches(arguments, run)


def _scope(token: str, path: str) -> Scope:
    """Return a scope as uvicorn makes it; with somebody in it, for whom the guard puts another in place."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8_000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"api.example"),
            (b"user-agent", b"benchmarks"),
            (b"accept", b"*/*"),
            (b"authorization", b"Bearer " + token.encode()),
        ],
        "state": {},
        "user": SimpleUser("somebody"),
    }


def _wsgi(app: Callable[..., Iterable[bytes]], world: _World, kind: str) -> Batches:
    templates = [
        EnvironBuilder("/current", headers=[("Authorization", f"Bearer {token}")]).get_environ()
        for token in world.tokens
    ]
    turn = _turns(templates, _BATCHES[kind])
    statuses: list[int] = []

    def arguments() -> list[dict[str, Any]]:
        return [dict(environ) for environ in turn()]

    def start_response(_status: str, _headers: list[tuple[str, str]], _error: object = None) -> None:
        pass

    def looking(status: str, _headers: list[tuple[str, str]], _error: object = None) -> None:
        statuses.append(int(status[:3]))

    def serve(environ: dict[str, Any], start: Callable[..., None]) -> None:
        body: Any = app(environ, start)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    def run(environs: Sequence[dict[str, Any]]) -> None:
        for environ in environs:
            serve(environ, start_response)

    for environ in arguments():
        serve(environ, looking)
    _all_well(statuses)
    return Batches(arguments, run)


def _turns(templates: Sequence[Any], number: int) -> Callable[[], list[Any]]:
    place = 0

    def turn() -> list[Any]:
        nonlocal place
        chosen = [templates[(place + index) % len(templates)] for index in range(number)]
        place += number
        return chosen

    return turn


def _all_well(statuses: Sequence[int]) -> None:
    if set(statuses) != {200}:
        message = f"the application answered {sorted(set(statuses))}, so this measures something else"
        raise RuntimeError(message)
