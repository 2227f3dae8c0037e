"""Quart: extension, g.credentials, websockets, and refusals that go through Quart's own handlers."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from quart import Blueprint, Quart, current_app, g, stream_with_context, websocket
from quart.views import MethodView
from werkzeug.exceptions import HTTPException

from jwt_guard import Misconfigured, anyone, authenticated, by_route
from jwt_guard.middleware.quart import GuardExtension, Refusal, requires
from tests.doors.inside import Answer, ask_asgi, ask_websocket

from .callers import HEADERS, bearer, guarding, name, whoever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jwt_guard.access.policy import Policy

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)


def bare_app(view: Any) -> Quart:
    app = Quart("test")
    app.add_url_rule("/", "view", view)
    return app


def app_with(view: Any, *, policy: Policy | None = None) -> Quart:
    """Return an application behind a guard, with one view."""
    app = bare_app(view)
    GuardExtension(app, guarding(policy))
    return app


def get(app: Any, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return ask_asgi(app, "GET", path, bearer() if headers is None else headers)


def shake_hands(app: Any, headers: HEADERS, *, denial: bool = True) -> Answer:
    return ask_websocket(app, "/", headers, denial=denial)


async def who() -> str:
    return f"{name(g.credentials)} {whoever()}"


def plain_who() -> str:
    return f"{name(g.credentials)} {whoever()}"


def test_g_credentials_and_current_say_who_on_the_loop_and_in_a_thread() -> None:
    for view in (who, plain_who):
        app = app_with(view, policy=anyone())

        assert b"ada ada" == get(app).body
        assert b"nobody nobody" == get(app, "/", []).body
        assert "nobody" == whoever()


def test_g_knows_them_in_each_way_of_asking_it() -> None:
    async def view() -> str:
        return f"{'credentials' in g} {name(g.get('credentials'))} {'other' in g} {g.get('other', 'none')}"

    assert b"True ada False none" == get(app_with(view)).body


def test_everything_is_guarded_also_what_is_not_there_and_what_is_static() -> None:
    app = app_with(who)

    assert [401, 401, 401] == [get(app, path, []).status for path in ("/", "/nowhere", "/static/x.css")]
    assert 404 == get(app, "/nowhere").status


def test_functions_and_handlers_around_the_view_know_who_it_is() -> None:
    app = bare_app(who)
    seen: list[str] = []

    @app.before_request
    async def before() -> None:
        seen.append(name(g.credentials))

    @app.after_request
    async def after(response: Any) -> Any:
        seen.append(name(g.credentials))
        return response

    app.register_error_handler(404, lambda _: (name(g.credentials), 404))
    GuardExtension(app, guarding())  # added last, and still first
    get(app, "/", [])

    assert [] == seen
    assert b"ada" == get(app, "/nowhere").body
    assert ["ada", "ada"] == seen


def test_quarts_own_test_client_goes_through_the_guard() -> None:
    async def asked() -> list[int]:
        client = app_with(who).test_client()
        good = {"Authorization": bearer()[0][1].decode()}
        return [(await client.get("/")).status_code, (await client.get("/", headers=good)).status_code]

    assert [401, 200] == asyncio.run(asked())


# ── streamed answers, background tasks and websockets ────────────────────────────────────────────────────────────


def test_a_streamed_answer_knows_for_whom_it_is() -> None:
    async def asynchronous() -> AsyncIterator[str]:
        async def steps() -> AsyncIterator[str]:
            yield f"{whoever()} "
            await asyncio.sleep(0)
            yield whoever()

        return steps()

    async def plain() -> Iterator[str]:
        def steps() -> Iterator[str]:
            yield f"{whoever()} "
            yield whoever()

        return steps()

    async def with_context() -> AsyncIterator[str]:
        @stream_with_context
        async def steps() -> AsyncIterator[str]:
            yield f"{name(g.credentials)} "
            yield whoever()

        return steps()  # type: ignore[no-any-return] # Quart's decorator has no types

    assert b"ada ada" == get(app_with(with_context)).body
    for view in (asynchronous, plain):
        assert b"ada ada" == get(app_with(view)).body
        assert b"ada ada" == get(bare_app(requires("orders:read", guard=guarding())(view))).body
        assert "nobody" == whoever()


def test_a_background_task_knows_for_whom_it_works() -> None:
    seen: list[str] = []

    async def task() -> None:
        seen.append(whoever())

    async def view() -> str:
        current_app.add_background_task(task)
        await asyncio.sleep(0.01)
        return "done"

    get(app_with(view))

    assert ["ada"] == seen


def socket_app(view: Any, *, policy: Policy | None = None, is_guarded: bool = True) -> Quart:
    app = Quart("test")
    app.add_websocket("/", "view", view)
    if is_guarded:
        GuardExtension(app, guarding(policy))
    return app


async def echo() -> None:
    await websocket.accept()
    await websocket.send(f"{name(g.credentials)} {whoever()}")


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_whose_it_is() -> None:
    needy = requires("orders:write")(echo)
    alone = requires("orders:write", guard=guarding())(echo)
    write = bearer(scope="orders:write")

    assert 401 == shake_hands(socket_app(echo), []).status
    assert b"ada ada" == shake_hands(socket_app(echo), bearer()).body
    for app in (socket_app(needy, policy=anyone()), socket_app(alone, is_guarded=False)):
        refused = shake_hands(app, bearer())

        assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
        assert 403 == shake_hands(app, bearer(), denial=False).status
        assert 401 == shake_hands(app, []).status
        assert b"ada ada" == shake_hands(app, write).body


# ── making it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_extension_serves_two_applications_from_a_factory() -> None:
    extension = GuardExtension(guard=guarding())
    apps = [bare_app(who), bare_app(who)]
    for app in apps:
        extension.init_app(app)

    assert [200, 200] == [get(app).status for app in apps]
    assert [401, 401] == [get(app, "/", []).status for app in apps]


def test_an_extension_without_a_guard_or_with_a_second_one_is_refused() -> None:
    app = bare_app(who)

    with pytest.raises(Misconfigured, match="needs a guard"):
        GuardExtension(app)
    GuardExtension(app, guarding())
    with pytest.raises(Misconfigured, match="already"):
        GuardExtension(app, guarding(anyone()))

    assert 401 == get(app, "/", []).status


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


class AsClass(MethodView):
    @requires("orders:write")
    async def get(self) -> str:
        return await who()


class Decorated(MethodView):
    decorators = [requires("orders:write")]  # noqa: RUF012 - as Quart has it

    async def get(self) -> str:
        return await who()


@pytest.mark.parametrize(
    "view",
    [
        requires("orders:write")(who),
        requires("orders:write")(plain_who),
        AsClass.as_view("view"),
        Decorated.as_view("view"),
        requires("orders:write", guard=guarding())(who),
        requires("orders:write", guard=guarding())(plain_who),
    ],
    ids=["async", "plain", "class", "decorated class", "alone", "plain, alone"],
)
def test_requires_works_on_every_kind_of_view(view: Any) -> None:
    app = app_with(view, policy=anyone())
    refused, anonymous = get(app), get(app, "/", [])

    assert b"ada ada" == get(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (anonymous.status, anonymous.headers["www-authenticate"])


def test_a_second_header_or_one_in_another_case_is_seen() -> None:
    app = app_with(requires("orders:read")(who), policy=anyone())

    assert 400 == get(app, "/", bearer() + [("Authorization", b"Bearer x")]).status
    assert 401 == get(app, "/", [("AUTHORIZATION", b"Bearer x")]).status


@pytest.mark.parametrize("handled", [403, HTTPException, Refusal])
def test_a_handler_of_the_application_gets_the_refusal(handled: Any) -> None:
    app = app_with(requires("orders:write")(who))

    @app.errorhandler(handled)
    async def refused(error: Any) -> Any:
        return {"error": error.description, "code": error.code, "scopes": sorted(error.error.required)}, 418

    answer = get(app)
    told = {"error": "The access token does not allow this", "code": 403, "scopes": ["orders:write"]}

    assert 418 == answer.status
    assert told == json.loads(answer.body)


def test_a_blueprint_has_its_own_handlers() -> None:
    app, orders = Quart("test"), Blueprint("orders", "orders")
    orders.add_url_rule("/orders", "view", requires("orders:write")(who))
    orders.register_error_handler(403, lambda _: ("handled", 418))
    app.register_blueprint(orders, url_prefix="/v1")
    GuardExtension(app, guarding(by_route([("GET", "/v1/orders", authenticated())])))

    assert (418, b"handled") == (get(app, "/v1/orders").status, get(app, "/v1/orders").body)


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    app = bare_app(requires("orders:read")(who))
    app.register_error_handler(ValueError, lambda _: "let in by a handler for bad values")

    with pytest.raises((RuntimeError, ExceptionGroup)) as raised:  # a group of one since Quart 0.23
        get(_raising(app))

    assert "RuntimeError: requires() found no guard" in "".join(traceback.format_exception(raised.value))
    assert 500 == get(app).status
    assert ["jwt_guard"] == [record.name for record in caplog.records if record.levelno == logging.ERROR][:1]


def _raising(app: Quart) -> Quart:
    raising = Quart("raising")
    raising.config["PROPAGATE_EXCEPTIONS"] = True
    raising.add_url_rule("/", "view", app.view_functions["view"])
    return raising


def test_requires_on_a_class_or_without_scopes_fails_at_import() -> None:
    with pytest.raises(Misconfigured, match="methods"):
        requires("orders:read")(AsClass)
    with pytest.raises(Misconfigured):
        requires()
