"""Falcon, WSGI and ASGI: req.context.credentials, requires(), and refusals that go through Falcon's own handlers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import falcon
import falcon.asgi
import pytest
from falcon import testing

from jwt_guard import Guard, Misconfigured, anyone
from jwt_guard.access.policy import Policy
from jwt_guard.middleware.falcon import Refusal, protected, requires
from tests.doors.inside import Answer, ask_asgi, ask_websocket, ask_wsgi

from .callers import HEADERS, bearer, guarding, name, whoever

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)
KINDS = ["wsgi", "asgi"]
WRITE = bearer(scope="orders:write")


class Plain:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = f"{name(req.context.credentials)} {whoever()}"


class Async:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        await asyncio.sleep(0)
        resp.text = f"{name(req.context.credentials)} {whoever()}"

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        await ws.accept()
        await ws.send_text(f"{name(req.context.credentials)} {whoever()}")
        await ws.close()


def fresh(kind: str) -> Any:
    """Return a class of a resource that nobody has decorated."""
    return type("Resource", (Plain if kind == "wsgi" else Async,), {})


def bare_app(kind: str, resource: Any) -> Any:
    app: Any = falcon.App() if kind == "wsgi" else falcon.asgi.App()
    app.add_route("/", resource)
    return app


def app_with(kind: str, resource: Any, policy: Policy | None = None) -> Any:
    return protected(bare_app(kind, resource), guarding(policy))


def get(app: Any, path: str = "/", headers: HEADERS | None = None) -> Answer:
    ask: Any = ask_asgi if isinstance(getattr(app, "app", app), falcon.asgi.App) else ask_wsgi
    answer: Answer = ask(app, "GET", path, bearer() if headers is None else headers)
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_and_current_say_who(kind: str) -> None:
    app = app_with(kind, fresh(kind)(), anyone())

    assert b"ada ada" == get(app).body
    assert b"nobody nobody" == get(app, "/", []).body
    assert "nobody" == whoever()


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_learns_without_a_token_which_routes_there_are(kind: str) -> None:
    app = app_with(kind, fresh(kind)())

    assert [401, 401] == [get(app, path, []).status for path in ("/", "/nowhere")]
    assert 404 == get(app, "/nowhere").status


@pytest.mark.parametrize("kind", KINDS)
def test_who_goes_around_the_door_gets_nowhere(kind: str) -> None:
    bare = bare_app(kind, fresh(kind)())
    protected(bare, guarding(anyone()))

    assert 500 == get(bare).status


@pytest.mark.parametrize("kind", KINDS)
def test_falcons_own_test_client_goes_through_the_guard(kind: str) -> None:
    client = testing.TestClient(app_with(kind, fresh(kind)()))
    good = {"Authorization": bearer()[0][1].decode()}

    assert 401 == client.simulate_get("/").status_code
    assert "ada ada" == client.simulate_get("/", headers=good).text


# ── streamed answers, background tasks and websockets ────────────────────────────────────────────────────────────


class PlainStream:
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        def steps() -> Iterator[bytes]:
            yield f"{whoever()} ".encode()
            yield whoever().encode()

        resp.stream = steps()


class AsyncStream:
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        async def steps() -> AsyncIterator[bytes]:
            yield f"{whoever()} ".encode()
            await asyncio.sleep(0.01)  # for the task
            yield whoever().encode()

        async def task() -> None:
            self.seen.append(whoever())

        asyncio.get_running_loop().create_task(task())
        resp.stream = steps()


def test_a_streamed_answer_knows_for_whom_it_is() -> None:
    alone = type("Alone", (PlainStream,), {})
    requires("orders:read", guard=guarding())(alone)

    assert b"ada ada" == get(app_with("wsgi", PlainStream())).body
    assert b"ada ada" == get(bare_app("wsgi", alone())).body
    assert "nobody" == whoever()


def test_an_async_stream_and_a_task_know_for_whom_they_are() -> None:
    alone = requires("orders:read", guard=guarding())(type("Alone", (AsyncStream,), {}))
    for resource, app_of in ((AsyncStream(), app_with), (alone(), bare_app)):
        app: Any = app_of("asgi", resource)
        client = testing.TestClient(app)

        assert "ada ada" == client.simulate_get("/", headers={"Authorization": bearer()[0][1].decode()}).text
        assert ["ada"] == resource.seen


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_whose_it_is() -> None:
    app = app_with("asgi", requires("orders:write")(fresh("asgi"))(), anyone())
    refused = ask_websocket(app, "/", bearer())

    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert 403 == ask_websocket(app, "/", bearer(), denial=False).status
    assert 401 == ask_websocket(app, "/", []).status
    assert b"ada ada" == ask_websocket(app, "/", WRITE).body


def test_a_websocket_guarded_alone_is_closed_before_it_is_accepted() -> None:
    app = bare_app("asgi", requires("orders:write", guard=guarding())(fresh("asgi"))())

    assert [403, 403] == [ask_websocket(app, "/", headers).status for headers in (bearer(), [])]
    assert b"ada ada" == ask_websocket(app, "/", WRITE).body


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


class OneOfTwo:
    @requires("orders:write")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        Plain().on_get(req, resp)

    def on_get_open(self, req: falcon.Request, resp: falcon.Response) -> None:
        Plain().on_get(req, resp)


@pytest.mark.parametrize("guard", [None, guarding()], ids=["", "alone"])
@pytest.mark.parametrize("kind", KINDS)
def test_requires_works_on_a_resource(kind: str, guard: Guard | None) -> None:
    resource = requires("orders:write", guard=guard)(fresh(kind))()
    app = app_with(kind, resource, anyone())
    refused, anonymous = get(app), get(app, "/", [])

    assert b"ada ada" == get(app, "/", WRITE).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert (401, 'Bearer realm="api"') == (anonymous.status, anonymous.headers["www-authenticate"])
    assert "nobody" == whoever()


def test_requires_works_on_one_responder() -> None:
    app = falcon.App()
    app.add_route("/", OneOfTwo())
    app.add_route("/open", OneOfTwo(), suffix="open")
    door = protected(app, guarding(anyone()))

    assert [403, 200] == [get(door, path).status for path in ("/", "/open")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_may_be_guarded_alone(kind: str) -> None:
    app = bare_app(kind, requires("orders:write", guard=guarding())(fresh(kind))())
    refused = get(app)

    assert b"ada ada" == get(app, "/", WRITE).body
    assert (403, NEEDS_WRITE) == (refused.status, refused.headers["www-authenticate"])
    assert 401 == get(app, "/", []).status


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_header_or_one_in_another_case_is_seen(kind: str) -> None:
    app = app_with(kind, requires("orders:read")(fresh(kind))(), anyone())

    assert 400 == get(app, "/", bearer() + [("Authorization", b"Bearer x")]).status
    assert 401 == get(app, "/", [("AUTHORIZATION", b"Bearer x")]).status


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_of_the_application_gets_the_refusal(kind: str) -> None:
    app = app_with(kind, requires("orders:write")(fresh(kind))())

    def refused(_req: Any, resp: Any, error: Any, _params: Any) -> None:
        resp.status = 418
        resp.media = {"error": error.description, "scopes": sorted(error.error.required)}

    async def refused_async(req: Any, resp: Any, error: Any, params: Any) -> None:
        refused(req, resp, error, params)

    app.app.add_error_handler(Refusal, refused if kind == "wsgi" else refused_async)
    answer = get(app)

    assert 418 == answer.status
    assert {"error": "The access token does not allow this", "scopes": ["orders:write"]} == json.loads(answer.body)


@pytest.mark.parametrize("kind", KINDS)
def test_requires_without_a_guard_lets_nobody_in(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    app = bare_app(kind, requires("orders:read")(fresh(kind))())

    assert 500 == get(app).status
    assert ["jwt_guard"] == [record.name for record in caplog.records if record.levelno == logging.ERROR][:1]


@pytest.mark.parametrize("kind", KINDS)
def test_requires_as_a_hook_which_it_is_not_lets_nobody_in(kind: str) -> None:
    hook: Any = requires("orders:read")
    resource: Any = falcon.before(hook)(fresh(kind))

    assert 500 == get(app_with(kind, resource(), anyone())).status


def test_requires_on_what_has_no_responders_or_without_scopes_fails_at_import() -> None:
    with pytest.raises(Misconfigured, match="no responders"):
        requires("orders:read")(type("Empty", (), {}))
    with pytest.raises(Misconfigured, match="no responder"):
        requires("orders:read")(None)  # type: ignore[type-var]
    with pytest.raises(Misconfigured):
        requires()
