"""The token in PyJOAT's README, at its time → the same credentials at every door, from a plain and an async salt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from jwt_guard import Guard, Provider, current, salted
from jwt_guard.access.identity import ClaimNames
from jwt_guard.middleware import asgi, wsgi
from jwt_guard.providers import joat_tokens
from tests.middleware.test_grpc import behind
from tests.support.joat import SEED, SEED_NOW, SEED_SECRET
from tests.support.loopback import Loopback

from . import apps, apps_aiohttp, apps_django, apps_falcon, apps_fastapi, apps_litestar, apps_quart, apps_sanic
from .inside import Answer, Headers, ask_asgi, ask_websocket, ask_wsgi

Door = Callable[[Guard, Headers], Answer]

NAME = "My OAuth2 Provider"
WHO = {"user": "1234", "client": "abcd", "scopes": ["profile", "read"], "roles": [], "provider": "joat"}
TARGET = "/whoami"


def plain(_claims: Mapping[str, Any]) -> str:
    return SEED_SECRET


async def later(_claims: Mapping[str, Any]) -> str:
    await asyncio.sleep(0)
    return SEED_SECRET


PROVIDERS = {
    "plain": joat_tokens(NAME, plain, shortest_secret=30, called="joat"),
    "plain, waiting": joat_tokens(NAME, plain, "abcd", shortest_secret=30, blocking=True, called="joat"),
    "async": joat_tokens(NAME, later, ["abcd"], shortest_secret=30, called="joat"),
    "async, without the profile": Provider(
        "joat", NAME, "abcd", salted(later, shortest=30), claims=ClaimNames(client=("aud",), scopes=("scp",))
    ),
}


# ── the doors ────────────────────────────────────────────────────────────────────────────────────────────────────


def of_asgi(app_for: Callable[[Guard], asgi.App], guard: Guard, headers: Headers) -> Answer:
    return ask_asgi(app_for(guard), "GET", TARGET, headers)


def of_wsgi(app_for: Callable[[Guard], wsgi.App], guard: Guard, headers: Headers) -> Answer:
    return ask_wsgi(app_for(guard), "GET", TARGET, headers)


def of_django(middleware: list[str], urls: list[Any], guard: Guard, headers: Headers) -> Answer:
    with override_settings(JWT_GUARD=guard):
        return ask_wsgi(apps_django.handler_for(WSGIHandler, urls, middleware), "GET", TARGET, headers)


def of_async_django(guard: Guard, headers: Headers) -> Answer:
    with override_settings(JWT_GUARD=guard):
        app = apps_django.in_small_letters(apps_django.handler_for(ASGIHandler, apps_django._async_urls))
        return ask_asgi(app, "GET", TARGET, headers)


def by_dependencies(guard: Guard, headers: Headers) -> Answer:
    return of_asgi(apps_fastapi._alone_app_for, guard, headers)


# A guard is a value, but one with a function of the time: so each server is known by its provider.
@cache
def aiohttp_server(name: str) -> Loopback:
    return Loopback(apps_aiohttp.serving(lambda: apps_aiohttp.app_for(GUARDS[name])))


@cache
def sanic_server(name: str) -> Loopback:
    of_letters = "".join(filter(str.isalpha, name))
    return Loopback(apps_sanic.serving(lambda: apps_sanic.app_for(GUARDS[name], f"joat_{of_letters}")))


def of_server(server: Callable[[str], Loopback], guard: Guard, headers: Headers) -> Answer:
    name = next(name for name, each in GUARDS.items() if each is guard)
    return server(name).ask("GET", TARGET, headers)


def of_grpc(server: str, guard: Guard, headers: Headers) -> Answer:
    def get(request: bytes, context: Any) -> bytes:
        return json.dumps(apps.seen(current())).encode()

    async def get_later(request: bytes, context: Any) -> bytes:
        return get(request, context)

    with behind(server, guard, {"Get": get_later if server == "aio" else get}) as client:
        answer = client.ask("Get", headers)
    return Answer(200 if answer.code.name == "OK" else 401, {}, b"".join(answer.messages))


DOORS: dict[str, Door] = {
    "asgi": partial(of_asgi, partial(asgi.GuardMiddleware, apps.asgi_inner)),
    "wsgi": partial(of_wsgi, partial(wsgi.GuardMiddleware, apps.wsgi_inner)),
    "starlette": partial(of_asgi, apps.starlette_app_for),
    "flask": partial(of_wsgi, lambda guard: apps.flask_app_for(guard).wsgi_app),
    "fastapi": partial(of_asgi, apps_fastapi.fastapi_app_for),
    "fastapi, by dependencies alone": by_dependencies,
    "django": partial(of_django, apps_django.MIDDLEWARE, apps_django._sync_urls),
    "django, async": of_async_django,
    "REST framework": partial(of_django, apps_django.MIDDLEWARE, apps_django._drf_urls),
    "REST framework, alone": partial(of_django, [], apps_django._drf_urls),
    "quart": partial(of_asgi, apps_quart.app_for),
    "litestar": partial(of_asgi, apps_litestar.app_for),
    "falcon": partial(of_wsgi, apps_falcon.app_for),
    "falcon, async": partial(of_asgi, apps_falcon.asgi_app_for),
    "aiohttp": partial(of_server, aiohttp_server),
    "sanic": partial(of_server, sanic_server),
    "grpc": partial(of_grpc, "sync"),
    "grpc, async": partial(of_grpc, "aio"),
}
WEBSOCKET_DOORS: dict[str, Callable[[Guard], Any]] = {
    "asgi": partial(asgi.GuardMiddleware, apps.asgi_inner),
    "starlette": apps.starlette_app_for,
    "fastapi": apps_fastapi.fastapi_app_for,
    "quart": apps_quart.app_for,
    "litestar": apps_litestar.app_for,
    "falcon": apps_falcon.asgi_app_for,
}
GUARDS = {name: Guard([provider], clock=lambda: SEED_NOW) for name, provider in PROVIDERS.items()}
FORGED = f"{SEED.rpartition('.')[0]}.{'A' * 43}"


def bearing(token: str) -> list[tuple[str, bytes]]:
    return [("authorization", f"Bearer {token}".encode())]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("salt", GUARDS)
def test_every_door_sees_whom_pyjoat_would(salt: str, door: str) -> None:
    answer = DOORS[door](GUARDS[salt], bearing(SEED))

    assert 200 == answer.status, answer.body
    assert {"who": WHO, "current": True} == json.loads(answer.body)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("salt", ["plain", "async"])
def test_no_door_takes_what_the_salt_has_not_signed(salt: str, door: str) -> None:
    assert 401 == DOORS[door](GUARDS[salt], bearing(FORGED)).status


@pytest.mark.parametrize("door", WEBSOCKET_DOORS)
@pytest.mark.parametrize("salt", GUARDS)
def test_a_websocket_sees_the_same(salt: str, door: str) -> None:
    app = WEBSOCKET_DOORS[door](GUARDS[salt])

    accepted = ask_websocket(app, TARGET, bearing(SEED))

    assert 101 == accepted.status
    assert {"who": WHO, "current": True} == json.loads(accepted.body)
    assert 401 == ask_websocket(app, TARGET, bearing(FORGED)).status
