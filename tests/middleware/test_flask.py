"""Flask: extension, g.credentials, and refusals that go through Flask's own handlers."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import Blueprint, Flask, g, jsonify, send_file, stream_with_context
from flask.views import MethodView
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app

from jwt_guard import Misconfigured, anyone, authenticated, by_route
from jwt_guard.middleware.flask import GuardExtension, Refusal, requires
from tests.doors.inside import Answer, ask_wsgi, environ_for

from .callers import HEADERS, bearer, guarding, name, whoever

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jwt_guard.access.policy import Policy

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)


def app_with(view: Any, *, policy: Policy | None = None) -> Flask:
    """Return an application behind a guard, with one view."""
    app = bare_app(view)
    GuardExtension(app, guarding(policy))
    return app


def bare_app(view: Any) -> Flask:
    app = Flask("test")
    app.add_url_rule("/", "view", view)
    return app


def get(app: Flask, path: str = "/", headers: HEADERS | None = None) -> Answer:
    return ask_wsgi(app.wsgi_app, "GET", path, bearer() if headers is None else headers)


def who() -> str:
    return f"{name(g.credentials)} {whoever()}"


def test_g_credentials_and_current_say_who() -> None:
    app = app_with(who, policy=anyone())

    assert b"ada ada" == get(app).body
    assert b"nobody nobody" == get(app, "/", []).body
    assert "nobody" == whoever()


def test_g_knows_them_in_each_way_of_asking_it() -> None:
    app = app_with(lambda: f"{'credentials' in g} {name(g.get('credentials'))} {'other' in g} {g.get('other', 'none')}")

    assert b"True ada False none" == get(app).body


def test_nobody_is_left_in_a_context_that_outlives_the_request() -> None:
    app = app_with(who, policy=anyone())
    with app.app_context():
        assert b"ada ada" == get(app).body
        assert b"nobody nobody" == get(app, "/", []).body
        assert g.credentials is None


def test_a_file_is_handed_to_the_server_as_the_server_likes_it(tmp_path: Path) -> None:
    class FileWrapper:
        def __init__(self, file: Any, _size: int) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            yield from self.file

    path = tmp_path / "order.txt"
    path.write_bytes(b"an order")
    app = app_with(lambda: send_file(path))
    environ = {**environ_for("GET", "/", bearer()), "wsgi.file_wrapper": FileWrapper}
    door: Any = app.wsgi_app
    body = door(environ, lambda *_: None)

    assert isinstance(body, FileWrapper)
    assert b"an order" == b"".join(body)
    body.file.close()


def test_what_stands_around_the_application_already_streams_in_context_too() -> None:
    app: Any = bare_app(who)

    def streaming(_environ: object, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (whoever().encode() for _ in range(2))

    app.wsgi_app = streaming
    GuardExtension(app, guarding())

    assert b"adaada" == get(app).body


def test_everything_is_guarded_also_what_is_not_there_and_what_is_static() -> None:
    app = app_with(who)

    assert [401, 401, 401] == [get(app, path, []).status for path in ("/", "/nowhere", "/static/x.css")]
    assert 404 == get(app, "/nowhere").status


def test_functions_that_run_before_the_view_know_who_it_is() -> None:
    app = bare_app(who)
    seen: list[str] = []
    app.before_request(lambda: seen.append(name(g.credentials)))
    GuardExtension(app, guarding())  # added later, and still first
    app.teardown_request(lambda _: seen.append(name(g.credentials)))
    get(app)

    assert ["ada", "ada"] == seen


def test_error_handlers_know_who_it_is() -> None:
    app = app_with(who)
    app.register_error_handler(404, lambda _: (name(g.credentials), 404))

    assert b"ada" == get(app, "/nowhere").body


def test_flasks_own_test_client_goes_through_the_guard() -> None:
    client = app_with(who).test_client()

    assert 401 == client.get("/").status_code
    assert "ada ada" == client.get("/", headers={"Authorization": bearer()[0][1].decode()}).text


# ── streamed answers ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_streamed_answer_knows_for_whom_it_is() -> None:
    def plain() -> Iterator[str]:
        def steps() -> Iterator[str]:
            yield f"{whoever()} "
            yield whoever()

        return steps()

    def with_context() -> Iterator[str]:
        def steps() -> Iterator[str]:
            yield f"{name(g.credentials)} "
            yield whoever()

        return stream_with_context(steps())

    for view in (plain, with_context):
        assert b"ada ada" == get(app_with(view)).body
        assert b"ada ada" == get(bare_app(requires("orders:read", guard=guarding())(view))).body
        assert "nobody" == whoever()


# ── making it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_extension_serves_two_applications_from_a_factory() -> None:
    extension = GuardExtension(guard=guarding())
    apps = [bare_app(who), bare_app(who)]
    for app in apps:
        extension.init_app(app)

    assert [b"ada ada"] * 2 == [get(app).body for app in apps]
    assert [401] * 2 == [get(app, "/", []).status for app in apps]


def test_each_application_may_have_a_guard_of_its_own() -> None:
    extension = GuardExtension()
    open_app, closed_app = bare_app(who), bare_app(who)
    extension.init_app(open_app, guarding(anyone()))
    extension.init_app(closed_app, guarding())

    assert (200, 401) == (get(open_app, "/", []).status, get(closed_app, "/", []).status)


def test_an_extension_without_a_guard_or_with_a_second_one_is_refused() -> None:
    app = bare_app(who)

    with pytest.raises(Misconfigured, match="needs a guard"):
        GuardExtension(app)
    GuardExtension(app, guarding())
    with pytest.raises(Misconfigured, match="already"):
        GuardExtension(app, guarding(anyone()))

    assert 401 == get(app, "/", []).status


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


@requires("orders:write")
def plain_view() -> str:
    return who()


@requires("orders:write")
async def async_view() -> str:
    await asyncio.sleep(0)
    return who()


class AsClass(MethodView):
    @requires("orders:write")
    def get(self) -> str:
        return who()


class AsAsyncClass(MethodView):
    @requires("orders:write")
    async def get(self) -> str:
        return who()


class Decorated(MethodView):
    decorators = [requires("orders:write")]  # noqa: RUF012 - as Flask has it

    def get(self) -> str:
        return who()


@pytest.mark.parametrize(
    "view",
    [
        plain_view,
        async_view,
        AsClass.as_view("view"),
        AsAsyncClass.as_view("view"),
        Decorated.as_view("view"),
        requires("orders:write", guard=guarding())(who),
    ],
    ids=["plain", "async", "class", "async class", "decorated class", "alone"],
)
def test_requires_works_on_every_kind_of_view(view: Any) -> None:
    app = app_with(view, policy=anyone())
    refused = get(app)

    assert b"ada ada" == get(app, "/", bearer(scope="orders:write")).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (
        get(app, "/", []).status,
        get(app, "/", []).headers["www-authenticate"],
    )


@pytest.mark.parametrize("handled", [403, HTTPException, Refusal])
def test_a_handler_of_the_application_gets_the_refusal(handled: Any) -> None:
    app = app_with(plain_view)

    @app.errorhandler(handled)
    def refused(error: Any) -> Any:
        return jsonify(error=error.description, code=error.code, scopes=sorted(error.error.required)), 418

    answer = get(app)
    told = {"error": "The access token does not allow this", "code": 403, "scopes": ["orders:write"]}

    assert 418 == answer.status
    assert told == json.loads(answer.body)


def test_a_blueprint_has_its_own_handlers() -> None:
    app, orders = Flask("test"), Blueprint("orders", "orders")
    orders.add_url_rule("/orders", "view", plain_view)
    orders.register_error_handler(403, lambda _: ("handled", 418))
    app.register_blueprint(orders, url_prefix="/v1")
    GuardExtension(app, guarding(by_route([("GET", "/v1/orders", authenticated())])))

    assert (418, b"handled") == (get(app, "/v1/orders").status, get(app, "/v1/orders").body)


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    app = bare_app(plain_view)
    app.register_error_handler(ValueError, lambda _: "let in by a handler for bad values")

    assert 500 == get(app).status
    assert ["jwt_guard"] == [record.name for record in caplog.records if record.levelno == logging.ERROR][:1]


def test_requires_on_a_class_or_without_scopes_fails_at_import() -> None:
    with pytest.raises(Misconfigured, match="methods"):

        @requires("orders:read")
        class Orders(MethodView):
            """Its methods can be decorated."""

    with pytest.raises(Misconfigured):
        requires("orders:read")(None)  # type: ignore[type-var]
    with pytest.raises(Misconfigured):
        requires()


def test_a_view_may_be_guarded_alone() -> None:
    app = bare_app(requires("orders:write", guard=guarding())(who))

    assert b"ada ada" == get(app, "/", bearer(scope="orders:write")).body
    assert (403, 401) == (get(app).status, get(app, "/", []).status)
    assert "nobody" == whoever()


def test_an_application_that_is_put_somewhere_by_hand_is_guarded_too() -> None:
    environ = environ_for("GET", "/", [])
    _, status, _ = run_wsgi_app(app_with(who), environ)

    assert "401 Unauthorized" == status
