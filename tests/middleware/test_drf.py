"""REST framework: authentication, permissions that compose, its own bodies with our challenge, and its OpenAPI."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path, re_path

from jwt_guard import Credentials, Guard, Misconfigured, anyone, authenticated, scopes
from jwt_guard.access.policy import Policy
from jwt_guard.middleware.django import GuardedUser, requires
from tests.doors.apps_django import MIDDLEWARE, drf_alone_app, drf_app, handler_for, in_small_letters, served
from tests.doors.inside import Answer, ask_asgi, ask_wsgi
from tests.doors.table import ROWS, Row
from tests.doors.test_doors import assert_logged_once, assert_nothing_is_echoed, judge
from tests.support.minting import HOUR, NOW

from .callers import HEADERS, bearer, guarding, name, whoever

# Whose settings are there since the line above about the doors.
from rest_framework import exceptions, permissions  # isort: skip
from rest_framework.authentication import BaseAuthentication, SessionAuthentication  # isort: skip
from rest_framework.decorators import api_view, permission_classes  # isort: skip
from rest_framework.request import Request as _Request  # isort: skip
from rest_framework.response import Response  # isort: skip
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate  # isort: skip
from rest_framework.throttling import UserRateThrottle  # isort: skip
from rest_framework.views import APIView  # isort: skip
from rest_framework.viewsets import ViewSet  # isort: skip

from jwt_guard.middleware.drf import HasScopes, JWTGuardAuthentication, Refused  # isort: skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from rest_framework.request import Request

BOTH = (tuple(MIDDLEWARE), ())
"""Behind the middleware, and with the authentication class alone."""
ROOM = "tests.middleware.test_drf"
PLAIN = 'Bearer realm="api"'


def needs(scope: str) -> str:
    sentence = "The access token does not allow this"
    return f'{PLAIN}, error="insufficient_scope", error_description="{sentence}", scope="{scope}"'


def said(request: Request) -> str:
    credentials: Any = request.auth
    return f"{name(credentials)} {whoever()}"


class Who(APIView):
    def get(self, request: Request) -> Response:
        return Response(said(request))

    post = get


def asking(*needed: Any, **changes: Any) -> Any:
    """Return a view with these permission classes."""
    return type("Asking", (Who,), {"permission_classes": list(needed), **changes}).as_view()  # type: ignore[attr-defined]


def ask(
    view: Any,
    headers: HEADERS | None = None,
    *,
    middleware: tuple[str, ...] = (),
    policy: Policy | None = None,
    method: str = "GET",
) -> Answer:
    app = served(handler_for(WSGIHandler, [re_path("^.*$", view)], middleware))
    with override_settings(JWT_GUARD=guarding(policy)):
        return ask_wsgi(app, method, "/", bearer() if headers is None else headers)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("door", ["behind the middleware", "alone"])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_this_door_gives_the_same_answer(row: Row, door: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    answer = ask_wsgi(drf_app if door != "alone" else drf_alone_app, row.method, row.target, row.headers)
    by_code = "/code" in row.target
    if row.status == 200 or (door != "alone" and not by_code):
        judge(row, answer)
    else:
        assert row.status == answer.status
        assert row.challenge == answer.headers.get("www-authenticate")
        assert row.more == {name: answer.headers.get(name) for name in row.more}
        assert "no-store" == answer.headers["cache-control"]
        told = {name: value for name, value in answer.headers.items() if name != "allow"}  # it is the view's
        assert_nothing_is_echoed(row, replace(answer, headers=told))
    assert_logged_once(row, answer, caplog)


# ── who it is ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("middleware", BOTH)
def test_user_and_auth_say_who(middleware: tuple[str, ...]) -> None:
    seen: list[Any] = []

    def get(_self: Any, request: Request) -> Response:
        seen.append((request.user, request.auth))
        return Response(said(request))

    assert b'"ada ada"' == ask(asking(get=get), middleware=middleware).body

    ((user, auth),) = seen

    assert isinstance(user, GuardedUser)
    assert isinstance(auth, Credentials)
    assert ("ada", "test:ada", True, True, False) == (
        user.username,
        user.pk,
        user.is_authenticated,
        user.is_active,
        user.is_staff,
    )
    assert "nobody" == whoever()


@pytest.mark.parametrize("middleware", BOTH)
def test_on_an_open_route_nobody_is_anonymous_and_a_bad_token_is_401(middleware: tuple[str, ...]) -> None:
    bad: HEADERS = [("authorization", b"Bearer x")]

    assert b'"nobody nobody"' == ask(asking(), [], middleware=middleware, policy=anyone()).body
    assert 401 == ask(asking(), bad, middleware=middleware, policy=anyone()).status
    assert 401 == ask(asking(permissions.IsAuthenticated), [], middleware=middleware, policy=anyone()).status


@pytest.mark.parametrize("middleware", BOTH)
def test_the_whole_policy_is_asked(middleware: tuple[str, ...]) -> None:
    answer = ask(asking(), middleware=middleware, policy=scopes("orders:write"))

    assert (403, needs("orders:write")) == (answer.status, answer.headers["www-authenticate"])
    assert 401 == ask(asking(), [], middleware=middleware).status


def test_nobody_is_left_on_the_thread_when_a_view_fails() -> None:
    def get(_self: Any, _request: Request) -> Response:
        raise KeyError

    assert 500 == ask(asking(get=get)).status
    assert "nobody" == whoever()
    assert b'"nobody nobody"' == ask(asking(), [], policy=anyone()).body


def test_a_request_whose_end_nobody_announced_leaves_nobody_to_the_next() -> None:
    app: Any = handler_for(WSGIHandler, [re_path("", asking())], ())
    from tests.doors.inside import environ_for

    with override_settings(JWT_GUARD=guarding(anyone())):
        app(environ_for("GET", "/", bearer()), lambda *_: None)  # never closed

        assert b'"nobody nobody"' == ask_wsgi(app, "GET", "/", []).body


def test_a_streamed_answer_knows_for_whom_it_is() -> None:
    def get(_self: Any, _request: Request) -> StreamingHttpResponse:
        def steps() -> Iterator[str]:
            yield f"{whoever()} "
            yield whoever()

        return StreamingHttpResponse(steps())

    for middleware in BOTH:
        assert b"ada ada" == ask(asking(get=get), middleware=middleware).body
    assert "nobody" == whoever()


# ── streams of events ────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """A clock that goes on by as much as it is told."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Patient(JWTGuardAuthentication):
    grace = None


class GivesAnHour(JWTGuardAuthentication):
    grace = HOUR


def streaming(clock: Clock, content_type: str = "text/event-stream", **changes: Any) -> Any:
    """Return a view whose three events are nearly an hour apart, as long as a token of :func:`bearer` is good."""

    def get(_self: Any, _request: Request) -> StreamingHttpResponse:
        def steps() -> Iterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                clock.now += HOUR - 1

        return StreamingHttpResponse(steps(), content_type=content_type)

    return asking(get=get, **changes)


@pytest.mark.parametrize(
    ("events", "changes"),
    [
        (2, {}),
        (3, {"authentication_classes": [Patient]}),
        (3, {"authentication_classes": [GivesAnHour]}),
        (3, {"content_type": "text/plain"}),
    ],
    ids=["ends", "may stay", "with a grace", "no events"],
)
@pytest.mark.parametrize("middleware", BOTH)
def test_a_stream_of_events_ends_with_its_token(
    middleware: tuple[str, ...], events: int, changes: dict[str, Any]
) -> None:
    clock = Clock()
    app = served(handler_for(WSGIHandler, [re_path("^.*$", streaming(clock, **changes))], middleware))
    with override_settings(JWT_GUARD=replace(guarding(), clock=clock)):
        body = ask_wsgi(app, "GET", "/", bearer()).body

    if middleware and "authentication_classes" in changes:
        events = 2  # it found the credentials, and its own grace holds
    assert events == body.count(b"data")
    assert "nobody" == whoever()


def test_a_stream_of_events_that_waits_is_cut_on_an_event_loop() -> None:
    clock = Clock()
    clock.now = NOW + HOUR - 0.05  # and no leeway
    cut: list[str] = []

    def get(_self: Any, _request: Request) -> StreamingHttpResponse:
        async def steps() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            try:
                await asyncio.Event().wait()
            finally:
                cut.append(whoever())

        return StreamingHttpResponse(steps(), content_type="text/event-stream")

    own = guarding()
    strict = replace(own, clock=clock, providers=[replace(own.providers[0], leeway=0)])
    app = in_small_letters(handler_for(ASGIHandler, [path("", asking(get=get))], ()))
    with override_settings(JWT_GUARD=strict):
        assert b"data: 0\n\n" == ask_asgi(app, "GET", "/", bearer()).body
    assert ["ada"] == cut


def test_without_a_view_there_is_nothing_to_end() -> None:
    request = _Request(APIRequestFactory().get("/", HTTP_AUTHORIZATION=bearer()[0][1].decode()))
    with override_settings(JWT_GUARD=guarding()):
        found = JWTGuardAuthentication().authenticate(request)

    assert found is not None
    assert "ada" == found[1].user
    request_finished.send(None)


def test_a_grace_that_is_no_time_is_refused_at_import() -> None:
    with pytest.raises(Misconfigured, match="grace"):
        type("Wrong", (JWTGuardAuthentication,), {"grace": -1})


@pytest.mark.parametrize("middleware", BOTH)
def test_it_serves_asgi_too(middleware: tuple[str, ...]) -> None:
    app = in_small_letters(handler_for(ASGIHandler, [path("", asking(HasScopes("orders:read")))], middleware))
    with override_settings(JWT_GUARD=guarding()):
        assert b'"ada ada"' == ask_asgi(app, "GET", "/", bearer()).body
        assert 401 == ask_asgi(app, "GET", "/", []).status

        refused = ask_asgi(app, "GET", "/", bearer(scope="x"))

        assert (403, needs("orders:read")) == (refused.status, refused.headers["www-authenticate"])
    assert "nobody" == whoever()


def test_a_bug_in_a_policy_is_500_and_never_a_pass() -> None:
    def yes(_request: object, _credentials: object) -> Any:
        return True

    for middleware in BOTH:
        assert 500 == ask(asking(), middleware=middleware, policy=yes).status


def test_without_a_guard_nothing_passes() -> None:
    app = handler_for(WSGIHandler, [path("", asking())], ())
    with override_settings(JWT_GUARD=None):
        assert 500 == ask_wsgi(app, "GET", "/", bearer()).status


class Stricter(JWTGuardAuthentication):
    guard: Guard | None = guarding(scopes("orders:write"))


def test_a_subclass_may_have_a_guard_of_its_own() -> None:
    view = asking(authentication_classes=[Stricter])
    for middleware in BOTH:
        assert 403 == ask(view, middleware=middleware).status
        assert 200 == ask(view, bearer(scope="orders:write"), middleware=middleware).status


def find(credentials: Credentials, _request: Any) -> Any:
    from django.contrib.auth.models import User

    return User(username=f"found-{credentials.user}")


def test_who_asks_for_it_gets_the_projects_own_user() -> None:
    def get(_self: Any, request: Any) -> Response:
        return Response(f"{request.user.username} {request._request.user.username}")

    with override_settings(JWT_GUARD_USER=f"{ROOM}.find"):
        for middleware in BOTH:
            assert b'"found-ada found-ada"' == ask(asking(get=get), middleware=middleware).body


# ── other classes beside it ──────────────────────────────────────────────────────────────────────────────────────


class Nobody(BaseAuthentication):
    def authenticate(self, request: Request) -> None:  # noqa: ARG002 - as it is called
        return None


def test_the_challenge_is_ours_wherever_the_class_stands_in_the_list() -> None:
    view = asking(HasScopes("orders:read"), authentication_classes=[Nobody, JWTGuardAuthentication])
    for policy in (authenticated(), anyone()):
        answer = ask(view, [], policy=policy)

        assert (401, PLAIN) == (answer.status, answer.headers["www-authenticate"])

    answer = ask(view, [("authorization", b"Bearer x")], policy=anyone())

    assert 401 == answer.status
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def handler(error: Exception, context: Any) -> Response:
    assert context["request"].user is not None
    assert isinstance(error, Refused)

    kinds = (
        exceptions.NotAuthenticated,
        exceptions.AuthenticationFailed,
        exceptions.ParseError,
        exceptions.PermissionDenied,
    )
    kind = next((kind.__name__ for kind in kinds if isinstance(error, kind)), "none of them")
    return Response(f"{kind} {error.status_code} {error.error.status}", status=error.status_code)


@pytest.mark.parametrize(
    ("header", "scope", "expected"),
    [
        (None, "", "NotAuthenticated 401 401"),
        (b"Bearer x", "", "AuthenticationFailed 401 401"),
        (b"Bearer x y", "", "ParseError 400 400"),
        (b"", "orders:write", "PermissionDenied 403 403"),
    ],
)
def test_exception_handlers_know_what_it_is(header: bytes | None, scope: str, expected: str) -> None:
    class Handled(Who):
        permission_classes = (HasScopes("orders:read"),)

        def get_exception_handler(self) -> Any:
            return handler

    headers = bearer(scope=scope) if scope else [] if header is None else [("authorization", header)]

    assert json.dumps(expected).encode() == ask(Handled.as_view(), headers).body


# ── HasScopes ────────────────────────────────────────────────────────────────────────────────────────────────────

READ, WRITE = HasScopes("orders:read"), HasScopes("orders:write")


@pytest.mark.parametrize("middleware", BOTH)
@pytest.mark.parametrize(
    ("needed", "challenge"),
    [
        (READ, None),
        (READ | WRITE, None),
        (WRITE | READ, None),
        (~WRITE, None),
        (permissions.IsAuthenticated & READ, None),
        (WRITE, needs("orders:write")),
        (READ & WRITE, needs("orders:write")),
        (permissions.IsAuthenticated & WRITE, needs("orders:write")),
        (permissions.IsAdminUser | WRITE, needs("orders:write")),
        (HasScopes("orders:write", "orders:read"), needs("orders:read orders:write")),
        (HasScopes("a") | HasScopes("b"), needs("a")),
    ],
)
def test_it_composes_and_says_what_is_missing(needed: Any, challenge: str | None, middleware: tuple[str, ...]) -> None:
    answer = ask(asking(needed), middleware=middleware)

    assert (200 if challenge is None else 403) == answer.status
    assert challenge == answer.headers.get("www-authenticate")


def test_each_refusal_of_it_has_an_id_that_the_log_has_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    body = json.loads(ask(asking(HasScopes("a") | HasScopes("b"))).body)
    lines = [line for line in caplog.messages if line.startswith("refused")]

    assert 1 == len(lines)
    assert body["id"] in lines[0]
    assert "The access token does not allow this" == body["detail"]


def test_it_must_ask_for_something() -> None:
    with pytest.raises(Misconfigured):
        HasScopes()
    never_called: Any = HasScopes

    assert 500 == ask(asking(never_called)).status


def test_where_no_class_could_find_a_token_nothing_passes(caplog: pytest.LogCaptureFixture) -> None:
    for classes in ([], [SessionAuthentication]):
        view = asking(READ, authentication_classes=classes)

        assert 500 == ask(view, middleware=tuple(MIDDLEWARE)).status
        assert "the view needs JWTGuardAuthentication" in caplog.text


def test_whom_another_class_let_in_has_no_scopes() -> None:
    class Somebody(BaseAuthentication):
        def authenticate(self, request: Request) -> tuple[Any, None]:
            return find(Credentials("eve", None, frozenset(), frozenset(), "test", {}), request), None

    view = asking(READ, authentication_classes=[Somebody, JWTGuardAuthentication])
    answer = ask(view, middleware=tuple(MIDDLEWARE))

    assert 403 == answer.status
    assert "www-authenticate" not in answer.headers


def test_function_views_and_view_sets_have_it_too() -> None:
    @api_view(["GET"])
    @permission_classes([READ])
    def function(request: Request) -> Response:
        return Response(said(request))

    class Orders(ViewSet):
        permission_classes = (READ,)

        def list(self, request: Request) -> Response:
            return Response(said(request))

    for view in (function, Orders.as_view({"get": "list"})):
        assert b'"ada ada"' == ask(view).body
        assert 403 == ask(view, bearer(scope="x")).status
        assert 401 == ask(view, []).status


def test_requires_of_django_works_on_function_views() -> None:
    @api_view(["GET"])
    @requires("orders:read")
    def function(request: Request) -> HttpResponse:
        return Response(said(request))

    assert b'"ada ada"' == ask(function, middleware=tuple(MIDDLEWARE)).body
    assert 403 == ask(function, bearer(scope="x"), middleware=tuple(MIDDLEWARE)).status


# ── throttles and test clients ───────────────────────────────────────────────────────────────────────────────────


class Once(UserRateThrottle):
    rate = "1/day"


def test_throttles_count_each_user_apart() -> None:
    view = asking(throttle_classes=[Once])
    caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "of throttles"}}
    with override_settings(CACHES=caches):
        assert [200, 429, 200] == [ask(view, bearer(user)).status for user in ("ada", "ada", "Ada")]


def test_the_test_client_may_force_credentials() -> None:
    user: Any = find(Credentials("ada", None, frozenset(), frozenset(), "test", {}), None)
    given: Any = Credentials("ada", None, frozenset({"orders:read"}), frozenset(), "test", {})
    request = APIRequestFactory().get("/")
    force_authenticate(request, user, given)

    assert 200 == asking(READ)(request).status_code
    assert 403 == asking(WRITE)(request).status_code

    force_authenticate(request, user)

    assert 200 == asking(permissions.IsAuthenticated)(request).status_code
    assert 403 == asking(READ)(request).status_code


def test_the_test_client_takes_real_tokens() -> None:
    client = APIClient(headers={"Authorization": bearer()[0][1].decode()})
    urls: Any = (path("", asking(READ)),)
    with override_settings(JWT_GUARD=guarding(), ROOT_URLCONF=urls):
        assert "ada ada" == client.get("/").json()
        assert 401 == APIClient().get("/").status_code


def test_the_browsable_api_shows_its_forms_without_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

    class Split(Who):
        renderer_classes = (BrowsableAPIRenderer, JSONRenderer)

        def get_permissions(self) -> Any:
            return [READ() if self.request.method == "GET" else WRITE()]

    caplog.set_level(logging.INFO, "jwt_guard")
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
    with override_settings(TEMPLATES=templates, ROOT_URLCONF=(path("", Split.as_view()),)):
        answer = ask(Split.as_view())

    assert 200 == answer.status
    assert b"ada ada" in answer.body
    assert "refused" not in caplog.text


# ── OpenAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "listed"), [("3.0.3", []), ("3.1.1", ["orders:read"])])
def test_spectacular_describes_it_by_itself(version: str, listed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from drf_spectacular import generators, settings
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.utils import extend_schema

    class Described(Who):
        permission_classes = (READ,)

    described: Any = extend_schema(responses={200: str})(Described)
    described.schema = AutoSchema()
    values: Any = settings.spectacular_settings
    monkeypatch.setattr(values, "OAS_VERSION", version)
    generator: Any = generators.SchemaGenerator
    document = generator(patterns=[path("orders", described.as_view())]).get_schema(request=None, public=True)

    assert {"jwtGuard": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}} == document["components"][
        "securitySchemes"
    ]
    assert {"jwtGuard": listed} == document["paths"]["/orders"]["get"]["security"][0]
