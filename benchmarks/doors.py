"""A request through a door, in process and without sockets → the CPU time that the guard adds to the application's.

What is added is a small difference of two larger times, so the applications take turns every few milliseconds, the
difference is taken within each round, and the median over the rounds is told with its quartiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import flask
from flask_jwt_extended import JWTManager, get_jwt_identity, jwt_required
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import jwt_guard
from jwt_guard.middleware import asgi, wsgi
from jwt_guard.middleware.flask import GuardExtension
from jwt_guard.middleware.starlette import GuardMiddleware

from . import django_doors, fastapi_door
from .calling import World, asgi_batches, wsgi_batches
from .rounds import Batches, Line, Middle, in_turn, is_quick, middle
from .verification import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from starlette.requests import Request

    from jwt_guard.middleware.asgi import App, Receive, Scope, Send

__all__ = ["GOALS", "PEERS", "PassThrough", "added", "asgi_app", "rows", "starlette_app"]


class Peer(NamedTuple):
    """What a door is measured beside."""

    name: str
    called: str
    """In the table."""
    goal: float
    """How many times less than it the guard is to add."""


EMPTY, OURS = "an empty middleware", "jwt_guard"
GOALS = {"raw ASGI": 8.0, "Starlette, current()": 8.0, "Starlette, request.user": 8.0}
"""The most that the guard may add, as a multiple of what an empty middleware adds."""
_FASTAPI = Peer(fastapi_door.PEER, "HTTPBearer and PyJWT", 80)
_SIMPLEJWT = Peer(django_doors.PEER, "simplejwt, stateless", 60)
_EMPTIES = {EMPTY, fastapi_door.EMPTY, django_doors.EMPTY}
"""What a door's framework takes for itself, whoever decides: told beside a peer."""
PEERS = {
    "FastAPI, middleware": _FASTAPI,
    "FastAPI, dependency": _FASTAPI,
    "Flask": Peer("flask-jwt-extended", "@jwt_required", 200),
    django_doors.ALONE: _SIMPLEJWT,
    django_doors.BEHIND: _SIMPLEJWT,
}
_RAW, _BATCH, _HEAVY, _PEER = 200, 50, 25, 4
"""Requests in one batch, by what is called: some milliseconds at most."""
_TURNS = 50
_QUICK_TURNS = 2
_BODY = b"42"


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    return [_row(name, found) for name, found in added(rounds).items()]


def _row(name: str, found: Mapping[str, Middle]) -> Line:
    what, ours = f"{name}: added", found[OURS]
    text = f"+ {_told(ours)}"
    peer = PEERS.get(name)
    if peer is not None:
        ratio = _multiple(found[peer.name], ours)
        text = f"1/{ratio:.0f} of {peer.called}: {text}, to + {_told(found[peer.name])}"
        for empty in _EMPTIES & found.keys():
            text += f"; {empty} + {_told(found[empty])}"
        return what, text, f"≤ 1/{peer.goal:g}", ratio >= peer.goal
    if EMPTY not in found:
        return what, text, "", None
    ratio = _multiple(ours, found[EMPTY])
    text = f"{ratio:.1f} × an empty middleware: {text}, to + {_told(found[EMPTY])}"
    if name not in GOALS:
        return what, text, "", None
    return what, text, f"≤ {GOALS[name]:g} ×", ratio <= GOALS[name]


def added(rounds: int) -> dict[str, dict[str, Middle]]:
    """Return for each door the CPU microseconds that each contestant adds to one request of the bare application."""
    turns = _QUICK_TURNS if is_quick(rounds) else _TURNS
    times = {
        name: in_turn(contestants, rounds, f"{name}: round", turns=turns)
        for name, contestants in _doors(World.new()).items()
    }
    times |= django_doors.times(rounds, turns)
    return {name: _beyond_bare(taken) for name, taken in times.items()}


def _beyond_bare(times: Mapping[str, list[float]]) -> dict[str, Middle]:
    bare = times["bare"]
    return {
        name: middle([mine - theirs for mine, theirs in zip(taken, bare, strict=True)])
        for name, taken in times.items()
        if name != "bare"
    }


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


def _wsgi_passing(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def passing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return app(environ, start_response)

    return passing


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


# ── who takes turns ──────────────────────────────────────────────────────────────────────────────────────────────


def _doors(world: World) -> Mapping[str, Mapping[str, Batches]]:
    guard = world.guard
    bare, guarded = starlette_app(), starlette_app(Middleware(GuardMiddleware, guard=guard))
    passing = starlette_app(Middleware(PassThrough))
    starlette = {"bare": bare, EMPTY: passing, OURS: guarded}
    plain, ours, theirs, wrapped = _flask_app(), _flask_app(), _peer_app(world.key), _flask_app()
    GuardExtension(ours, guard)
    wrapped.wsgi_app = _wsgi_passing(wrapped.wsgi_app)  # type: ignore[method-assign] # as Flask says to

    def over_asgi(app: App, path: str, number: int) -> Batches:
        return asgi_batches(app, world, path, number, refuses=app in {guarded, raw})

    raw = asgi.GuardMiddleware(asgi_app, guard)
    return {
        "raw ASGI": {
            "bare": over_asgi(asgi_app, "/current", _RAW),
            EMPTY: over_asgi(PassThrough(asgi_app), "/current", _RAW),
            OURS: over_asgi(raw, "/current", _RAW),
        },
        "Starlette, current()": {name: over_asgi(app, "/current", _BATCH) for name, app in starlette.items()},
        "Starlette, request.user": {name: over_asgi(app, "/user", _BATCH) for name, app in starlette.items()},
        **_of_fastapi(world),
        "raw WSGI": {
            "bare": wsgi_batches(_wsgi_app, world, "/current", _RAW),
            OURS: wsgi_batches(wsgi.GuardMiddleware(_wsgi_app, guard), world, "/current", _RAW, refuses=True),
        },
        "Flask": {
            "bare": wsgi_batches(plain, world, "/current", _HEAVY),
            EMPTY: wsgi_batches(wrapped, world, "/current", _HEAVY),
            OURS: wsgi_batches(ours, world, "/current", _HEAVY, refuses=True),
            "flask-jwt-extended": wsgi_batches(theirs, world, "/current", _PEER, refuses=True),
        },
    }


def _of_fastapi(world: World) -> Mapping[str, Mapping[str, Batches]]:
    apps = fastapi_door.fastapi_apps(world.guard, world.key, PassThrough)
    batches = {
        name: asgi_batches(
            app,
            world,
            "/current",
            _PEER if name == fastapi_door.PEER else _HEAVY,
            refuses=name not in {"bare", "passing", fastapi_door.EMPTY},
        )
        for name, app in apps.items()
    }
    bare, peer = batches["bare"], batches[fastapi_door.PEER]
    return {
        "FastAPI, middleware": {
            "bare": bare,
            EMPTY: batches["passing"],
            OURS: batches["middleware"],
            fastapi_door.PEER: peer,
        },
        "FastAPI, dependency": {
            "bare": bare,
            fastapi_door.EMPTY: batches[fastapi_door.EMPTY],
            OURS: batches["dependency"],
            fastapi_door.PEER: peer,
        },
    }
