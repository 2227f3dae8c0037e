"""Litestar: request.user, guards=[requires(…)], the OpenAPI document, and who stands in front of the routes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Controller, Litestar, Request, Response, Router, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.response import Stream
from litestar.testing import TestClient

from jwt_guard import Misconfigured, anyone, authenticated, by_route
from jwt_guard.access.policy import Policy
from jwt_guard.middleware.litestar import Refusal, in_openapi, protected, requires
from tests.doors.inside import Answer, ask_asgi, ask_websocket

from .callers import HEADERS, bearer, guarding, name, whoever

AnyRequest = Request[Any, Any, Any]
AnySocket = WebSocket[Any, Any, Any]
NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)


def bare_app(*handlers: Any, **options: Any) -> Litestar:
    return Litestar(list(handlers), logging_config=None, **options)


def app_with(*handlers: Any, policy: Policy | None = None, **options: Any) -> Litestar:
    return protected(bare_app(*handlers, **options), guarding(policy))


def ask(app: Any, path: str = "/", headers: HEADERS | None = None, method: str = "GET") -> Answer:
    return ask_asgi(app, method, path, bearer() if headers is None else headers)


def shake_hands(app: Any, path: str, headers: HEADERS, *, denial: bool = True) -> Answer:
    return ask_websocket(app, path, headers, denial=denial)


async def who(request: AnyRequest) -> str:
    return f"{name(request.user)} {whoever()}"


def plain_who(request: AnyRequest) -> str:
    return f"{name(request.user)} {whoever()}"


async def echo(socket: AnySocket) -> None:
    await socket.accept()
    await socket.send_text(f"{name(socket.user)} {whoever()}")
    await socket.close()


def test_user_auth_and_current_say_who_on_the_loop_and_in_a_thread() -> None:
    for handler in (get("/")(who), get("/", sync_to_thread=True)(plain_who)):
        app = app_with(handler, policy=anyone())

        assert b"ada ada" == ask(app).body
        assert b"nobody nobody" == ask(app, "/", []).body
        assert "nobody" == whoever()


def test_auth_is_what_the_token_says() -> None:
    @get("/")
    async def auth(request: AnyRequest) -> str:
        return str(request.auth and request.auth["sub"])

    app = app_with(auth, policy=anyone())

    assert (b"ada", b"None") == (ask(app).body, ask(app, "/", []).body)


def test_nobody_learns_without_a_token_which_routes_there_are() -> None:
    app = app_with(get("/here")(who))
    asked = [("GET", "/here"), ("GET", "/nowhere"), ("DELETE", "/here"), ("GET", "/schema"), ("GET", "/here/")]

    assert [401] * 5 == [ask(app, path, [], method).status for method, path in asked]
    assert [200, 404, 405] == [ask(app, path, None, method).status for method, path in asked[:3]]


def test_the_path_that_was_sent_is_judged_before_litestar_takes_slashes_out_of_it() -> None:
    app = app_with(get("/orders")(who), policy=by_route([("GET", "/orders", authenticated())]))

    assert [200, 200] == [ask(app, path).status for path in ("/orders", "/orders/")]
    assert [403, 403] == [ask(app, path).status for path in ("//orders", "/orders//")]


def test_an_endpoint_guarded_alone_is_judged_by_the_path_that_was_sent() -> None:
    guard = guarding(by_route([("GET", "/orders", authenticated())]))
    app = bare_app(get("/orders", guards=[requires("orders:read", guard=guard)])(who))

    assert [200, 200] == [ask(app, path).status for path in ("/orders", "/orders/")]
    assert [403, 403] == [ask(app, path).status for path in ("//orders", "/orders//")]


def test_refusals_carry_cors_headers_so_that_a_script_can_read_them() -> None:
    app = app_with(get("/")(who), cors_config=CORSConfig(allow_origins=["https://shop.example"]))
    origin = ("origin", b"https://shop.example")
    answer = ask(app, "/", [origin])

    assert 401 == answer.status
    assert "https://shop.example" == answer.headers["access-control-allow-origin"]
    assert 200 == ask(app, "/", [*bearer(), origin]).status
    with pytest.raises(Misconfigured, match="already"):
        protected(app, guarding())


def test_a_second_guard_is_refused() -> None:
    app = app_with(get("/")(who))

    with pytest.raises(Misconfigured, match="already"):
        protected(app, guarding(anyone()))

    assert 401 == ask(app, "/", []).status


def test_litestars_own_test_client_goes_through_the_guard() -> None:
    with TestClient(app_with(get("/")(who))) as client:
        assert 401 == client.get("/").status_code
        assert "ada ada" == client.get("/", headers={"Authorization": bearer()[0][1].decode()}).text


# ── streamed answers, background tasks and websockets ────────────────────────────────────────────────────────────


def test_a_streamed_answer_and_a_background_task_know_for_whom_they_are() -> None:
    seen: list[str] = []

    async def task() -> None:
        seen.append(whoever())

    async def stream() -> Stream:
        async def steps() -> AsyncIterator[str]:
            yield f"{whoever()} "
            await asyncio.sleep(0)
            yield whoever()

        return Stream(steps(), background=BackgroundTask(task))

    alone = bare_app(get("/", guards=[requires("orders:read", guard=guarding())])(stream))
    for app in (app_with(get("/")(stream)), alone):
        with TestClient(app) as client:
            assert "ada ada" == client.get("/", headers={"Authorization": bearer()[0][1].decode()}).text
    assert ["ada", "ada"] == seen
    assert "nobody" == whoever()


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_whose_it_is() -> None:
    app = app_with(websocket("/", guards=[requires("orders:write")])(echo), policy=anyone())
    refused = shake_hands(app, "/", bearer())

    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert 403 == shake_hands(app, "/", bearer(), denial=False).status
    assert 401 == shake_hands(app, "/", []).status
    assert b"ada ada" == shake_hands(app, "/", bearer(scope="orders:write")).body


def test_a_websocket_guarded_alone_is_closed_before_it_is_accepted() -> None:
    app = bare_app(websocket("/", guards=[requires("orders:write", guard=guarding())])(echo))

    assert [403, 403] == [shake_hands(app, "/", headers).status for headers in (bearer(), [])]
    assert b"ada ada" == shake_hands(app, "/", bearer(scope="orders:write")).body


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Orders(Controller):
    path = "/"
    guards = [requires("orders:write")]  # noqa: RUF012 - as Litestar has it

    @get()
    async def read(self, request: AnyRequest) -> str:
        return f"{name(request.user)} {whoever()}"


NEEDS = [requires("orders:write")]


@pytest.mark.parametrize(
    "handler",
    [
        get("/", guards=NEEDS)(who),
        get("/", guards=NEEDS, sync_to_thread=True)(plain_who),
        Orders,
        Router("/", route_handlers=[get("/")(who)], guards=NEEDS),
        get("/", guards=[requires("orders:write", guard=guarding())])(who),
    ],
    ids=["async", "plain", "controller", "router", "alone"],
)
def test_requires_works_on_every_layer(handler: Any) -> None:
    app = app_with(handler, policy=anyone())
    refused, anonymous = ask(app), ask(app, "/", [])

    assert b"ada ada" == ask(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (anonymous.status, anonymous.headers["www-authenticate"])


def test_a_second_header_or_one_in_another_case_is_seen() -> None:
    app = app_with(get("/", guards=[requires("orders:read")])(who), policy=anyone())

    assert 400 == ask(app, "/", bearer() + [("Authorization", b"Bearer x")]).status
    assert 401 == ask(app, "/", [("AUTHORIZATION", b"Bearer x")]).status


def test_an_endpoint_may_be_guarded_alone_and_is_refused_in_litestars_own_format() -> None:
    app = bare_app(get("/", guards=[requires("orders:write", guard=guarding())])(who))
    refused = ask(app)

    assert b"ada ada" == ask(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "The access token does not allow this" in refused.body.decode()
    assert 401 == ask(app, "/", []).status


@pytest.mark.parametrize("handled", [403, Refusal])
def test_an_exception_handler_of_the_application_gets_the_refusal(handled: Any) -> None:
    def refused(_: AnyRequest, error: Exception) -> Response[Any]:
        assert isinstance(error, Refusal)

        return Response(
            {"error": error.detail, "scopes": sorted(getattr(error.error, "required", ()))}, status_code=418
        )

    handler = get("/", guards=NEEDS, exception_handlers={handled: refused})(who)
    answer = ask(app_with(handler))

    assert 418 == answer.status
    assert {"error": "The access token does not allow this", "scopes": ["orders:write"]} == json.loads(answer.body)


def test_a_refusal_is_one_of_litestars_exceptions() -> None:
    assert issubclass(Refusal, HTTPException)


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    assert 500 == ask(bare_app(get("/", guards=NEEDS)(who))).status
    assert 500 == ask(bare_app(post("/", guards=NEEDS)(who)), "/", None, "POST").status

    assert {("jwt_guard", logging.ERROR)} == {(record.name, record.levelno) for record in caplog.records}


def test_requires_without_scopes_fails_at_import() -> None:
    with pytest.raises(Misconfigured):
        requires()


# ── OpenAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_openapi_document_says_that_a_bearer_token_is_needed() -> None:
    config = OpenAPIConfig("Orders", "1")
    app = app_with(
        get("/")(who),
        get("/open", security=[{}])(plain_who_async),
        openapi_config=config,
        on_app_init=[in_openapi],
    )
    document = json.loads(ask(app, "/schema/openapi.json").body)

    assert {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"} == document["components"]["securitySchemes"][
        "BearerAuth"
    ]
    assert [{"BearerAuth": []}] == document["security"]
    assert [{}] == document["paths"]["/open"]["get"]["security"]
    assert config.security is None


async def plain_who_async(request: AnyRequest) -> str:
    return plain_who(request)
