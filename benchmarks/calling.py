"""An application and an issuer's tokens → batches of requests, as a server makes them, in process and without sockets.

Each gets a scope or an environ of its own, made outside the timed part; coroutines are run to their end by hand, since
none of them waits for anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.authentication import SimpleUser
from werkzeug.test import EnvironBuilder

import jwt_guard

from .rounds import Batches
from .verification import AUDIENCE, ISSUER, KID, claims
from .verification import token as token_of

if TYPE_CHECKING:
    from jwt_guard.middleware.asgi import App, Message, Scope

__all__ = ["World", "asgi_batches", "wsgi_batches"]

_TOKENS = 32
_WARM = 8


@dataclass(frozen=True, slots=True)
class World:
    """An issuer's key, a guard that trusts it, and some tokens."""

    key: rsa.RSAPublicKey
    guard: jwt_guard.Guard
    tokens: Sequence[str]

    @classmethod
    def new(cls) -> World:
        private = rsa.generate_private_key(65_537, 2_048)
        key = private.public_key()
        jwk = {**json.loads(RSAAlgorithm.to_jwk(key)), "kid": KID}
        guard = jwt_guard.Guard([jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk))])
        tokens = [token_of(claims(number), private, "RS256", {"kid": KID}) for number in range(_TOKENS)]
        for token in tokens:
            jwt_guard.verify(guard, token)
        return cls(key, guard, tokens)


def asgi_batches(app: App, world: World, path: str, number: int, *, refuses: bool = False) -> Batches:
    """Return batches of *number* requests for *path* to *app*, each with one of the tokens of *world*.

    RuntimeError where one of them is not served; or, if it *refuses*, where a request without a token is, too.
    """
    templates = [_scope(token, path) for token in world.tokens]
    turn = _turns(templates, number)

    def arguments() -> list[Scope]:
        return [{**scope, "headers": [*scope["headers"]]} for scope in turn()]

    def run(scopes: Sequence[Scope]) -> None:
        for scope in scopes:
            try:
                app(scope, _receive, _send).send(None)  # type: ignore[attr-defined]  # a coroutine, all of them
            except StopIteration:
                continue
            raise AssertionError  # it waits

    _all_are(_statuses(app, arguments()), 200)
    if refuses:
        _all_are(_statuses(app, [{**scope, "headers": scope["headers"][:-1]} for scope in arguments()[:1]]), 401)
    return Batches(arguments, run, warm=_WARM)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


def _statuses(app: App, scopes: Sequence[Scope]) -> list[int]:
    statuses: list[int] = []

    async def looking(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for scope in scopes:
        with suppress(StopIteration):
            app(scope, _receive, looking).send(None)  # type: ignore[attr-defined]  # as above
    return statuses


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


def wsgi_batches(
    app: Callable[..., Iterable[bytes]], world: World, path: str, number: int, *, refuses: bool = False
) -> Batches:
    """Return the same for a WSGI application."""
    templates = [
        EnvironBuilder(path, headers=[("Authorization", f"Bearer {token}")]).get_environ() for token in world.tokens
    ]
    turn = _turns(templates, number)
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

    def seen(environs: Sequence[dict[str, Any]]) -> list[int]:
        statuses.clear()
        for environ in environs:
            serve(environ, looking)
        return statuses

    _all_are(seen(arguments()), 200)
    if refuses:
        nobody = arguments()[0]
        del nobody["HTTP_AUTHORIZATION"]
        _all_are(seen([nobody]), 401)
    return Batches(arguments, run, warm=_WARM)


def _turns(templates: Sequence[Any], number: int) -> Callable[[], list[Any]]:
    place = 0

    def turn() -> list[Any]:
        nonlocal place
        chosen = [templates[(place + index) % len(templates)] for index in range(number)]
        place += number
        return chosen

    return turn


def _all_are(statuses: Sequence[int], expected: int) -> None:
    if set(statuses) != {expected}:
        message = f"the application answered {sorted(set(statuses))}, not {expected}, so this measures something else"
        raise RuntimeError(message)
