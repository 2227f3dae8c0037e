"""Django: one middleware for sync and async, requires() for every kind of view, checks, and users where asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import markcoroutinefunction
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path, re_path
from django.utils.decorators import method_decorator
from django.views import View

from jwt_guard import (
    Allow,
    Credentials,
    Guard,
    Misconfigured,
    ProtectedResource,
    anyone,
    authenticated,
    by_route,
    scopes,
)
from jwt_guard.carriers import form, header, query
from jwt_guard.middleware import asgi
from jwt_guard.middleware.django import (
    GuardedUser,
    GuardMiddleware,
    Refusal,
    RequiresScopes,
    get_or_create_user,
    requires,
)
from jwt_guard.middleware.django.checks import check_settings
from jwt_guard.middleware.django.configured import is_async
from jwt_guard.middleware.django.streaming import kept
from jwt_guard.middleware.django.users import account_name
from tests.doors.apps_django import MIDDLEWARE, handler_for, in_small_letters
from tests.doors.inside import Answer, ask_asgi, ask_websocket, ask_wsgi, environ_for, scope_for
from tests.support.minting import HOUR, NOW

from .callers import HEADERS, bearer, guarding, name, whoever

if TYPE_CHECKING:
    from jwt_guard.access.policy import Policy

NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)
ROOM = "tests.middleware.test_django"
BOTH = ("wsgi", "asgi")


@contextmanager
def under(policy: Policy | None = None, **changes: Any) -> Generator[None]:
    """Have the guard of these tests, with *policy*, in the settings."""
    with override_settings(JWT_GUARD=guarding(policy), **changes):
        yield


def ask(  # noqa: PLR0913 - a request has parts
    kind: str,
    view: Any,
    target: str = "/",
    headers: HEADERS | None = None,
    *,
    method: str = "GET",
    middleware: tuple[str, ...] | list[str] = tuple(MIDDLEWARE),
) -> Answer:
    """Return what Django answers over WSGI or ASGI where *view* stands behind *middleware*."""
    sent = bearer() if headers is None else headers
    urls = [re_path("^.*$", view)]
    if kind == "wsgi":
        return ask_wsgi(handler_for(WSGIHandler, urls, middleware), method, target, sent)
    return ask_asgi(in_small_letters(handler_for(ASGIHandler, urls, middleware)), method, target, sent)


class Urls:
    """What a module of URLs is to Django."""

    def __init__(self, *patterns: Any) -> None:
        self.urlpatterns = list(patterns)


def who(request: Any) -> HttpResponse:
    return HttpResponse(f"{name(request.credentials)} {whoever()}")


async def awho(request: Any) -> HttpResponse:
    await asyncio.sleep(0)
    return who(request)


EVERY_WAY = [("wsgi", who), ("wsgi", awho), ("asgi", who), ("asgi", awho)]


@pytest.mark.parametrize(("kind", "view"), EVERY_WAY)
def test_the_request_and_current_say_who(kind: str, view: Any) -> None:
    with under(anyone()):
        assert b"ada ada" == ask(kind, view).body
        assert b"nobody nobody" == ask(kind, view, headers=[]).body
    assert "nobody" == whoever()


@pytest.mark.parametrize("kind", BOTH)
def test_everything_is_guarded_also_what_is_not_there(kind: str) -> None:
    with under():
        assert [401, 401] == [ask(kind, who, target, []).status for target in ("/", "/nowhere")]


def test_no_event_loop_is_started_for_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        pytest.fail("a loop was made")

    monkeypatch.setattr(asyncio, "new_event_loop", started)
    with under():
        assert 200 == ask("wsgi", who).status
        assert 401 == ask("wsgi", who, headers=[]).status
        assert 403 == ask("wsgi", requires("orders:write")(who)).status


def test_djangos_own_test_clients_go_through_the_guard() -> None:
    header = bearer()[0][1].decode()
    with under(ROOT_URLCONF=Urls(path("", who))):
        assert 401 == Client().get("/").status_code
        assert b"ada ada" == Client().get("/", headers={"Authorization": header}).content

        async def asked() -> tuple[int, bytes]:
            client = AsyncClient()
            nobody, ada = await client.get("/"), await client.get("/", headers={"Authorization": header})
            return nobody.status_code, ada.content

        assert (401, b"ada ada") == asyncio.run(asked())


# ── middlewares of either kind around and below ──────────────────────────────────────────────────────────────────


def sync_only(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


vars(sync_only).update(async_capable=False)


def async_only(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def middleware(request: HttpRequest) -> Any:
        return await get_response(request)

    return middleware


vars(async_only).update(sync_capable=False, async_capable=True)


@pytest.mark.parametrize(("kind", "view"), EVERY_WAY)
@pytest.mark.parametrize("other", ["sync_only", "async_only"])
@pytest.mark.parametrize("is_around", [True, False])
def test_middlewares_of_the_other_kind_change_nothing(kind: str, view: Any, other: str, is_around: bool) -> None:
    middleware = [f"{ROOM}.{other}", *MIDDLEWARE] if is_around else [*MIDDLEWARE, f"{ROOM}.{other}"]
    with under(anyone()):
        assert b"ada ada" == ask(kind, view, middleware=middleware).body
        assert 401 == ask(kind, view, headers=[("authorization", b"Bearer x")], middleware=middleware).status
    assert "nobody" == whoever()


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


@method_decorator(requires("orders:read"), name="dispatch")
class Decorated(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@method_decorator(requires("orders:read"), name="dispatch")
class DecoratedAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return await awho(request)


class ByMethod(View):
    @requires("orders:read")
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class ByMethodAsync(View):
    @requires("orders:read")
    async def get(self, request: HttpRequest) -> HttpResponse:
        return await awho(request)


class ByDispatchAsync(View):
    @requires("orders:read")
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    async def get(self, request: HttpRequest) -> HttpResponse:
        return await awho(request)


class Mixed(RequiresScopes, View):
    scopes = ("orders:read",)

    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


class MixedAsync(RequiresScopes, View):
    scopes = ["orders:read"]  # noqa: RUF012 - as people write it

    async def get(self, request: HttpRequest) -> HttpResponse:
        return await awho(request)


VIEWS: dict[str, Callable[..., Any]] = {
    "function": requires("orders:read")(who),
    "async function": requires("orders:read")(awho),
    "class, decorated": Decorated.as_view(),
    "async class, decorated": DecoratedAsync.as_view(),
    "method": ByMethod.as_view(),
    "async method": ByMethodAsync.as_view(),
    "dispatch of an async class": ByDispatchAsync.as_view(),
    "mixin": Mixed.as_view(),
    "async mixin": MixedAsync.as_view(),
    "what as_view gives": requires("orders:read")(Decorated.as_view()),
}


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("view", VIEWS)
def test_every_kind_of_view_can_ask_for_scopes(view: str, kind: str) -> None:
    with under(anyone()):
        assert b"ada ada" == ask(kind, VIEWS[view]).body

        refused = ask(kind, VIEWS[view], headers=bearer(scope="orders:write"))

        assert 403 == refused.status
        assert NEEDS_WRITE.replace(":write", ":read") == refused.headers["www-authenticate"]
        assert "application/problem+json" == refused.headers["content-type"]

        unknown = ask(kind, VIEWS[view], headers=[])

        assert (401, 'Bearer realm="api"') == (unknown.status, unknown.headers["www-authenticate"])


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("view", [*VIEWS, "own guard"])
def test_where_no_guard_has_looked_nothing_passes(view: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    if view == "own guard":
        assert 401 == ask(kind, requires("orders:read", guard=guarding())(who), headers=[], middleware=()).status
        return
    answer = ask(kind, VIEWS[view], middleware=())

    assert 500 == answer.status
    assert b"ada" not in answer.body
    assert "requires() found no guard" in caplog.text


def own_guards() -> dict[str, Any]:
    ask_for = requires("orders:read", guard=guarding())

    @method_decorator(ask_for, name="dispatch")
    class Own(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    @method_decorator(ask_for, name="dispatch")
    class OwnAsync(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return await awho(request)

    return {
        "function": ask_for(who),
        "async function": ask_for(awho),
        "class": Own.as_view(),
        "async class": OwnAsync.as_view(),
        "mixin": type("M", (Mixed,), {"guard": guarding()}).as_view(),  # type: ignore[attr-defined]
        "mixin, async": MixedAsync.as_view(guard=guarding()),
    }


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("view", own_guards())
def test_a_view_can_be_guarded_on_its_own(view: str, kind: str) -> None:
    guarded = own_guards()[view]

    assert b"ada ada" == ask(kind, guarded, middleware=()).body
    assert 401 == ask(kind, guarded, headers=[], middleware=()).status
    assert 401 == ask(kind, guarded, headers=[("authorization", b"Bearer x")], middleware=()).status
    assert 403 == ask(kind, guarded, headers=bearer(scope="orders:write"), middleware=()).status
    assert 401 == ask(kind, guarded, method="OPTIONS", headers=PREFLIGHT, middleware=()).status
    assert "nobody" == whoever()


PREFLIGHT: HEADERS = [("origin", b"https://shop.example"), ("access-control-request-method", b"GET")]


@pytest.mark.parametrize("kind", BOTH)
def test_what_a_door_around_django_found_is_enough_for_requires(kind: str) -> None:
    outer: Any
    if kind == "wsgi":
        from jwt_guard.middleware import wsgi

        outer = wsgi.GuardMiddleware(handler_for(WSGIHandler, [re_path("", VIEWS["function"])], ()), guarding())
        assert b"ada ada" == ask_wsgi(outer, "GET", "/", bearer()).body
        assert 403 == ask_wsgi(outer, "GET", "/", bearer(scope="orders:write")).status
        return
    inner: Any = in_small_letters(handler_for(ASGIHandler, [re_path("", VIEWS["async function"])], ()))
    outer = asgi.GuardMiddleware(inner, guarding())

    assert b"ada ada" == ask_asgi(outer, "GET", "/", bearer()).body
    assert 403 == ask_asgi(outer, "GET", "/", bearer(scope="orders:write")).status


def test_what_could_never_ask_is_refused_when_it_is_written() -> None:
    with pytest.raises(Misconfigured):
        requires()
    with pytest.raises(Misconfigured, match="no view function"):
        requires("orders:read")(Decorated)
    with pytest.raises(Misconfigured, match="stands before the view"):
        type("Late", (View, RequiresScopes), {"scopes": ["orders:read"]})
    with pytest.raises(Misconfigured):
        type("Empty", (RequiresScopes, View), {}).as_view()  # type: ignore[attr-defined]
    with pytest.raises(Misconfigured, match="is a list"):
        type("Text", (RequiresScopes, View), {"scopes": "orders:read"}).as_view()  # type: ignore[attr-defined]


def test_a_view_keeps_what_is_written_on_it() -> None:
    from django.views.decorators.csrf import csrf_exempt

    guarded: Any = requires("orders:read")(csrf_exempt(who))
    mixed: Any = Mixed.as_view()

    assert guarded.csrf_exempt
    assert "who" == guarded.__name__
    assert mixed.view_class is Mixed
    assert is_async(MixedAsync.as_view())


def test_requires_without_a_request_is_a_bug_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="no request"):
        requires("orders:read")(who)("orders")


def test_a_request_made_by_hand_has_been_seen_by_no_guard() -> None:
    with pytest.raises(RuntimeError, match="found no guard"):
        requires("orders:read")(who)(RequestFactory().get("/"))

    alone = requires("orders:read", guard=guarding())(who)

    assert 401 == alone(RequestFactory().get("/")).status_code
    assert 401 == alone(HttpRequest()).status_code
    assert b"ada ada" == alone(RequestFactory().get("/", headers={"Authorization": bearer()[0][1].decode()})).content


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


def broken(_request: HttpRequest) -> HttpResponse:
    message = "a bug"
    raise KeyError(message)


@pytest.mark.parametrize("kind", BOTH)
def test_a_bug_in_a_view_is_djangos_500_and_leaves_nobody_behind(kind: str) -> None:
    with under():
        assert 500 == ask(kind, broken).status
    assert "nobody" == whoever()


@pytest.mark.parametrize("kind", BOTH)
def test_a_bug_in_a_policy_is_djangos_500_and_never_a_pass(kind: str) -> None:
    def yes(_request: object, _credentials: object) -> Any:
        return True

    def bug(_request: object, _credentials: object) -> Any:
        raise ValueError

    for policy in (yes, bug):
        with under(policy):
            answer = ask(kind, who)

        assert 500 == answer.status
        assert b"ada" not in answer.body


@pytest.mark.parametrize("kind", BOTH)
def test_the_projects_error_views_know_who_it_is(kind: str) -> None:
    def forbidden(request: Any, exception: Exception) -> HttpResponse:
        return HttpResponse(whoever(), status=403)

    def denied(_request: HttpRequest) -> HttpResponse:
        raise PermissionDenied

    urls: Any = Urls(re_path("", denied))
    urls.handler403 = forbidden
    with under(MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=urls):
        if kind == "wsgi":
            answer = ask_wsgi(WSGIHandler(), "GET", "/", bearer())
        else:
            answer = ask_asgi(in_small_letters(ASGIHandler()), "GET", "/", bearer())

    assert (403, b"ada") == (answer.status, answer.body)


# ── answers in the project's own words ───────────────────────────────────────────────────────────────────────────


def in_own_words(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return JsonResponse({"said": refusal.detail, "id": refusal.id, "path": request.path}, status=200)


def in_no_words(_request: HttpRequest, _refusal: Refusal) -> None:
    return None


@pytest.mark.parametrize("kind", BOTH)
def test_a_project_writes_the_body_and_the_guard_keeps_status_and_challenge(kind: str) -> None:
    with under(JWT_GUARD_FAILURE_VIEW=f"{ROOM}.in_own_words"):
        by_policy = ask(kind, who, headers=[])
        by_view = ask(kind, requires("orders:write")(who))
        by_async_view = ask(kind, requires("orders:write")(awho))

    assert (401, 'Bearer realm="api"') == (by_policy.status, by_policy.headers["www-authenticate"])
    assert "An access token is needed" == json.loads(by_policy.body)["said"]
    assert "no-store" == by_policy.headers["cache-control"]
    for answer in (by_view, by_async_view):
        assert (403, NEEDS_WRITE) == (answer.status, answer.headers["www-authenticate"])
        assert "application/json" == answer.headers["content-type"]


@pytest.mark.parametrize("kind", BOTH)
def test_a_failure_view_without_an_answer_is_a_bug_and_no_pass(kind: str) -> None:
    with under(JWT_GUARD_FAILURE_VIEW=f"{ROOM}.in_no_words"):
        assert 500 == ask(kind, who, headers=[]).status


# ── streamed answers ─────────────────────────────────────────────────────────────────────────────────────────────

ended: list[str] = []


def ignored(*_: object) -> Any:
    """Take the place of ``start_response``."""


def streaming(_request: HttpRequest) -> StreamingHttpResponse:
    def steps() -> Iterator[str]:
        try:
            yield f"{whoever()} "
            yield whoever()
        finally:
            ended.append(whoever())

    return StreamingHttpResponse(steps())


async def astreaming(_request: HttpRequest) -> StreamingHttpResponse:
    async def steps() -> AsyncIterator[str]:
        yield f"{whoever()} "
        await asyncio.sleep(0)
        yield whoever()

    return StreamingHttpResponse(steps())


@pytest.mark.parametrize("is_own", [False, True])
@pytest.mark.parametrize(("kind", "view"), [("wsgi", streaming), ("asgi", astreaming)])
def test_a_streamed_answer_knows_for_whom_it_is(kind: str, view: Any, is_own: bool) -> None:
    view = requires("orders:read", guard=guarding())(view) if is_own else view
    with under():
        assert b"ada ada" == ask(kind, view, middleware=() if is_own else MIDDLEWARE).body
    assert "nobody" == whoever()


@pytest.mark.parametrize(("kind", "view"), [("wsgi", astreaming), ("asgi", streaming)])
def test_a_streamed_answer_of_the_other_kind_knows_it_too(kind: str, view: Any) -> None:
    with under(), pytest.warns(Warning, match="StreamingHttpResponse must consume"):
        assert b"ada ada" == ask(kind, view).body


def test_between_the_steps_of_an_answer_nobody_is_left_on_the_thread() -> None:
    app = handler_for(WSGIHandler, [path("", streaming)])
    with under():
        bodies: list[Any] = [iter(app(environ_for("GET", "/", bearer(user)), ignored)) for user in ("ada", "grace")]
        seen = []
        for _ in range(2):
            for body in bodies:
                seen.append(next(body))
                assert "nobody" == whoever()

        assert [[], []] == [list(body) for body in bodies]  # to the end, which is noted
    assert [b"ada ", b"grace ", b"ada", b"grace"] == seen


def test_an_answer_that_breaks_off_ends_as_whoever_it_was_for() -> None:
    ended.clear()
    with under():
        response: Any = handler_for(WSGIHandler, [path("", streaming)])(environ_for("GET", "/", bearer()), ignored)
        next(iter(response))
        response.close()

    assert ["ada"] == ended
    assert "nobody" == whoever()


def test_a_file_is_handed_to_the_server_as_the_server_likes_it() -> None:
    class FileWrapper:
        def __init__(self, file: Any, _size: int) -> None:
            self.file = file

    def file(_request: HttpRequest) -> FileResponse:
        return FileResponse(BytesIO(b"an order"))

    environ = {**environ_for("GET", "/", bearer()), "wsgi.file_wrapper": FileWrapper}
    with under():
        body: Any = handler_for(WSGIHandler, [path("", file)])(environ, ignored)

        assert isinstance(body, FileWrapper)
        assert b"an order" == body.file.read()
        body.file.close()

        assert b"an order" == ask("wsgi", file).body


# ── streams of events ────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Patient(GuardMiddleware):
    grace = None


class Nonsense(GuardMiddleware):
    grace = -1


def events(clock: Clock) -> Any:
    def view(_request: HttpRequest) -> StreamingHttpResponse:
        def steps() -> Iterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                clock.now += HOUR - 1

        return StreamingHttpResponse(steps(), content_type="text/event-stream")

    return view


def aevents(clock: Clock) -> Any:
    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        async def steps() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0)
                clock.now += HOUR - 1

        return StreamingHttpResponse(steps(), content_type="text/event-stream")

    return view


@pytest.mark.parametrize(("kind", "view"), [("wsgi", events), ("asgi", aevents)])
def test_a_stream_of_events_ends_with_its_token(kind: str, view: Any) -> None:
    clock = Clock()
    guard_of_now = replace(guarding(), clock=clock)
    with override_settings(JWT_GUARD=guard_of_now):
        assert b"data: 0\n\ndata: 1\n\n" == ask(kind, view(clock)).body
    with override_settings(JWT_GUARD=guard_of_now):
        clock.now = NOW

        assert 3 == ask(kind, view(clock), middleware=[f"{ROOM}.Patient"]).body.count(b"data")


def test_a_stream_of_events_that_waits_is_cut_when_its_token_is_over() -> None:
    clock = Clock()
    clock.now = NOW + HOUR - 0.05  # and no leeway
    cut: list[str] = []

    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        async def steps() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            try:
                await asyncio.Event().wait()
            finally:
                cut.append(whoever())

        return StreamingHttpResponse(steps(), content_type="text/event-stream")

    own = guarding()
    strict = replace(own, clock=clock, providers=[replace(own.providers[0], leeway=0)])
    with override_settings(JWT_GUARD=strict):
        assert b"data: 0\n\n" == ask("asgi", view).body
    assert ["ada"] == cut


def test_a_timeout_of_the_application_stays_its_own() -> None:
    async def steps() -> AsyncIterator[str]:
        yield "data: 0"
        raise TimeoutError

    async def read() -> None:
        response = StreamingHttpResponse(steps(), content_type="text/event-stream")
        until = Credentials("ada", None, frozenset(), frozenset(), "test", {"exp": NOW + HOUR})
        async for step in kept(response, until, guarding(), 0):
            assert b"data: 0" == step

    with pytest.raises(TimeoutError):
        asyncio.run(read())


def test_a_grace_that_is_none_is_refused_at_start() -> None:
    with under(), pytest.raises(Misconfigured):
        handler_for(WSGIHandler, [], [f"{ROOM}.Nonsense"])


# ── paths and methods ────────────────────────────────────────────────────────────────────────────────────────────

SHOP = by_route(
    [("GET", "/shop/orders", authenticated()), ("GET", "/shop", authenticated()), ("GET", "/open", anyone())]
)


def wsgi_status(script: str, rest: str, **more: str) -> int:
    environ: dict[str, Any] = {**environ_for("GET", rest, bearer()), "SCRIPT_NAME": script, **more}
    environ = {name: value for name, value in environ.items() if value is not None}
    statuses: list[str] = []
    start: Any = lambda status, _headers: statuses.append(status)  # noqa: E731 - of the one type that Django says
    body: Any = handler_for(WSGIHandler, [re_path("", who)])(environ, start)
    body.close()
    return int(statuses[0][:3])


def asgi_status(root: str, whole: str) -> int:
    async def asked() -> int:
        taken: list[Any] = []

        async def send(message: Any) -> None:
            taken.append(message)

        scope = {**scope_for("http", "GET", whole, bearer()), "root_path": root}
        app: Any = handler_for(ASGIHandler, [re_path("", who)])
        given = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive_once() -> Any:
            return next(given, None) or await asyncio.Future()

        await app(scope, receive_once, send)
        return int(taken[0]["status"])

    return asyncio.run(asked())


def test_the_policy_sees_the_path_with_its_mount() -> None:
    with under(SHOP):
        assert 200 == wsgi_status("/shop", "/orders", REQUEST_URI="/shop/orders?x=1")
        assert 200 == wsgi_status("/shop", "/orders", REQUEST_URI="http://shop.example/shop/orders")
        assert 200 == wsgi_status("/shop", "", REQUEST_URI="/shop")
        assert 200 == wsgi_status("/shop", "/", REQUEST_URI="/shop/")
        assert 403 == wsgi_status("", "/orders")
        assert 403 == wsgi_status("/other", "/orders", REQUEST_URI="/other/orders")
        assert 200 == asgi_status("/shop", "/shop/orders")
        assert 403 == asgi_status("", "/orders")
        assert 403 == asgi_status("/other", "/other/orders")


def test_where_the_server_contradicts_itself_nothing_is_allowed() -> None:
    with under(SHOP):
        assert 403 == wsgi_status("/shop", "/orders", REQUEST_URI="/open")
        assert 403 == wsgi_status("", "/admin", REQUEST_URI="/open")


def test_a_forced_script_name_is_part_of_the_path_whether_or_not_a_proxy_takes_it_off() -> None:
    with under(SHOP, FORCE_SCRIPT_NAME="/shop"):
        assert 200 == wsgi_status("", "/orders", REQUEST_URI="/orders")
        assert 200 == wsgi_status("", "/orders", REQUEST_URI="/shop/orders")
        assert 403 == wsgi_status("", "/orders", REQUEST_URI="/other/orders")
        assert 403 == wsgi_status("", "/open", REQUEST_URI="/open")
        assert 200 == asgi_status("", "/shop/orders")


def rewriting(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def rewritten(request: Any) -> Any:
        request.path_info = "/admin"
        return get_response(request)

    async def arewritten(request: Any) -> Any:
        request.path_info = "/admin"
        return await get_response(request)

    return arewritten if is_async(get_response) else rewritten


def overriding(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def overridden(request: Any) -> Any:
        request.method = "DELETE"
        return get_response(request)

    return markcoroutinefunction(overridden) if is_async(get_response) else overridden


for _middleware in (rewriting, overriding):
    vars(_middleware).update(sync_capable=True, async_capable=True)


@pytest.mark.parametrize("kind", BOTH)
def test_a_path_that_a_middleware_has_rewritten_is_allowed_nowhere(kind: str) -> None:
    with under(SHOP):
        assert 200 == ask(kind, who, "/open", []).status
        assert 401 == ask(kind, who, "/open", [], middleware=[f"{ROOM}.rewriting", *MIDDLEWARE]).status


@pytest.mark.parametrize("kind", BOTH)
def test_the_method_is_the_one_that_django_goes_by(kind: str) -> None:
    policy = by_route([("GET", "/", anyone()), ("DELETE", "/", scopes("orders:delete"))])
    with under(policy):
        assert 200 == ask(kind, who, headers=[]).status
        assert 401 == ask(kind, who, headers=[], middleware=[f"{ROOM}.overriding", *MIDDLEWARE]).status
        assert 403 == ask(kind, who, middleware=[f"{ROOM}.overriding", *MIDDLEWARE]).status


class NoPreflight(GuardMiddleware):
    preflight_passes = False


@pytest.mark.parametrize("kind", BOTH)
def test_a_preflight_can_be_kept_out(kind: str) -> None:
    with under():
        assert 200 == ask(kind, who, headers=PREFLIGHT, method="OPTIONS").status
        assert 401 == ask(kind, who, headers=PREFLIGHT, method="OPTIONS", middleware=[f"{ROOM}.NoPreflight"]).status


@pytest.mark.parametrize("kind", BOTH)
def test_a_policy_sees_query_and_headers(kind: str) -> None:
    seen: list[Any] = []

    def looking(request: Any, credentials: Credentials) -> Allow:
        seen.append((request.query, request.values("x-shop"), request.values("x-none")))
        return Allow(credentials)

    with under(looking):
        ask(kind, who, "/?a=1&b=%20", [*bearer(), ("x-shop", b"one"), ("x-shop", b"two")])

    ((query, (shops,), none),) = seen

    assert ("a=1&b=%20", ()) == (query, none)
    assert ["one", "two"] == [each.strip() for each in shops.split(",")]


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

made: list[Guard] = []
a_guard = guarding()
no_guard = "a guard in name only"


def make_guard() -> Guard:
    made.append(guarding())
    return made[-1]


def make_nothing() -> None:
    return None


def make_trouble() -> Guard:
    raise Misconfigured("a guard needs providers")


def make_a_leak() -> Guard:
    message = "redis://:hunter2@cache"
    raise RuntimeError(message)


def test_the_guard_may_be_named_by_where_it_is_or_by_what_makes_it() -> None:
    made.clear()
    with override_settings(JWT_GUARD=f"{ROOM}.a_guard"):
        assert 200 == ask("wsgi", who).status
    for _ in range(2):
        with override_settings(JWT_GUARD=f"{ROOM}.make_guard"):
            assert [200, 200] == [ask("wsgi", who).status, ask("asgi", who).status]

    assert 1 == len(made)


def test_settings_that_a_test_overrides_count_at_once() -> None:
    app = handler_for(WSGIHandler, [path("", who)])
    with under(anyone()):
        assert 200 == ask_wsgi(app, "GET", "/", []).status
    with under():
        assert 401 == ask_wsgi(app, "GET", "/", []).status
    assert 401 == ask_wsgi(app, "GET", "/whoami", []).status  # by the guard of all these tests


WRONG = {
    "missing": (None, "is missing"),
    "no guard": (42, "is a int"),
    "no path": ("hunter2", "no dotted path"),
    "not there": (f"{ROOM}.nothing", "cannot be imported"),
    "no module": ("no.such.module", "cannot be imported"),
    "something else": (f"{ROOM}.no_guard", "no Guard"),
    "a class": (f"{ROOM}.Clock", "no Guard"),
    "makes nothing": (f"{ROOM}.make_nothing", "no Guard"),
    "makes trouble": (f"{ROOM}.make_trouble", "a guard needs providers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_setting_that_gives_no_guard_is_said_at_start_and_by_the_check(case: str) -> None:
    value, words = WRONG[case]
    with override_settings(JWT_GUARD=value):
        with pytest.raises(ImproperlyConfigured, match=words) as caught:
            handler_for(WSGIHandler, [])
        found = check_settings()

    assert ["jwt_guard.E001" if value is None else "jwt_guard.E002"] == [each.id for each in found]
    assert "hunter2" not in f"{caught.value} {found}"


def test_a_check_says_no_secret() -> None:
    with override_settings(JWT_GUARD=f"{ROOM}.make_a_leak"):
        (found,) = check_settings()

    assert "jwt_guard.E002" == found.id
    assert "RuntimeError" in found.msg
    assert "hunter2" not in str(found)


async def acoroutine(*_: object) -> None:
    return None


CACHE = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"]
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
FIND = "jwt_guard.middleware.django.get_or_create_user"
CHECKED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing wrong": ({}, []),
    "a subclass does as well": ({"MIDDLEWARE": [f"{ROOM}.Patient"]}, []),
    "no middleware": ({"MIDDLEWARE": [], "REST_FRAMEWORK": {}}, ["W001"]),
    "no middleware, but REST framework": ({"MIDDLEWARE": []}, []),
    "twice": ({"MIDDLEWARE": [*MIDDLEWARE, f"{ROOM}.Patient"]}, ["E005"]),
    "no such user function": ({"JWT_GUARD_USER": f"{ROOM}.nothing"}, ["E003"]),
    "no text": ({"JWT_GUARD_USER": 42}, ["E003"]),
    "no function": ({"JWT_GUARD_USER": f"{ROOM}.no_guard"}, ["E003"]),
    "an async user function": ({"JWT_GUARD_USER": f"{ROOM}.acoroutine"}, ["E003"]),
    "no such failure view": ({"JWT_GUARD_FAILURE_VIEW": "hunter2"}, ["E004"]),
    "an async failure view": ({"JWT_GUARD_FAILURE_VIEW": f"{ROOM}.acoroutine"}, ["E004"]),
    "a user that is overwritten": ({"JWT_GUARD_USER": FIND, "MIDDLEWARE": [*MIDDLEWARE, AUTHENTICATION]}, ["E006"]),
    "a user that is not": ({"JWT_GUARD_USER": FIND, "MIDDLEWARE": [AUTHENTICATION, *MIDDLEWARE]}, []),
    "without users the order is free": ({"MIDDLEWARE": [*MIDDLEWARE, AUTHENTICATION]}, []),
    "cached pages before the guard": ({"MIDDLEWARE": [*CACHE, *MIDDLEWARE]}, ["E007"]),
    "cached pages behind it": ({"MIDDLEWARE": [CACHE[0], *MIDDLEWARE, CACHE[1]]}, []),
    "others are Django's to check": ({"MIDDLEWARE": ["no.such.middleware", *MIDDLEWARE]}, []),
}


@pytest.mark.parametrize("case", CHECKED)
def test_each_thing_that_is_wrong_has_an_id_of_its_own(case: str) -> None:
    changes, ids = CHECKED[case]
    with under(**changes):
        found = check_settings()

    assert [f"jwt_guard.{number}" for number in ids] == [each.id for each in found]
    assert "hunter2" not in str(found)


def test_manage_py_check_says_it() -> None:
    with override_settings(JWT_GUARD=None), pytest.raises(SystemCheckError, match=r"jwt_guard\.E001"):
        call_command("check")
    with under():
        call_command("check", verbosity=0)


def test_what_is_cached_for_one_token_is_not_served_to_another() -> None:
    cached = [CACHE[0], *MIDDLEWARE, CACHE[1]]
    caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "of this test"}}
    with under(CACHES=caches):
        app = handler_for(WSGIHandler, [path("", who)], cached)
        ada, grace, again = (ask_wsgi(app, "GET", "/", bearer(user)) for user in ("ada", "grace", "ada"))

        assert [b"ada ada", b"grace grace", b"ada ada"] == [ada.body, grace.body, again.body]
        assert "Authorization" in ada.headers["vary"]
        assert 401 == ask_wsgi(app, "GET", "/", []).status


def test_a_session_less_post_needs_no_csrf_token_only_where_the_project_says_so() -> None:
    from django.views.decorators.csrf import csrf_exempt

    csrf = [*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
    with under():
        assert 403 == ask("wsgi", who, method="POST", middleware=csrf).status
        assert 200 == ask("wsgi", csrf_exempt(who), method="POST", middleware=csrf).status


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have Django's own tables, in a file, since threads have connections of their own."""
    connections.close_all()
    values = connections["default"].settings_dict
    before = values["NAME"]
    values["NAME"] = str(tmp_path_factory.mktemp("django") / "db.sqlite3")
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()
    values["NAME"] = before


@pytest.fixture
def users(tables: None) -> Iterator[Any]:
    model: Any = get_user_model()
    yield model.objects
    model.objects.all().delete()


def of(user: str | None = "ada", provider: str = "shop", client: str | None = "web") -> Credentials:
    return Credentials(user, client, frozenset(), frozenset(), provider, {})


def user_of(request: Any) -> HttpResponse:
    return HttpResponse(f"{request.user.username} {request.user.is_authenticated}")


async def auser_of(request: Any) -> HttpResponse:
    user = await request.auser()
    again = await request.auser()

    assert user is again

    return HttpResponse(f"{user.username} {user.is_authenticated}")


WITH_USERS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    AUTHENTICATION,
    *MIDDLEWARE,
]


@pytest.mark.parametrize(
    ("kind", "view"), [("wsgi", user_of), ("asgi", user_of), ("wsgi", auser_of), ("asgi", auser_of)]
)
def test_who_asks_for_it_gets_a_user_of_the_database(kind: str, view: Any, users: Any) -> None:
    with under(anyone(), JWT_GUARD_USER=FIND):
        assert b"test:ada True" == ask(kind, view, middleware=WITH_USERS).body
        assert b"test:ada True" == ask(kind, view, middleware=WITH_USERS).body
    assert ["test:ada"] == [user.username for user in users.all()]


def test_nobody_is_looked_for_before_somebody_asks(users: Any) -> None:
    with under(JWT_GUARD_USER=FIND):
        assert 200 == ask("wsgi", who, middleware=WITH_USERS).status
    assert 0 == users.count()


def test_without_the_setting_users_are_djangos_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        pytest.fail("the database was asked")

    monkeypatch.setattr(connections["default"], "connect", touched)

    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(hasattr(request, "user")))

    with under():
        assert b"False" == ask("wsgi", view).body
        assert b"False" == ask("asgi", view).body


def a_stranger(_credentials: Credentials, _request: HttpRequest) -> None:
    return None


def test_a_function_that_finds_nobody_gives_an_anonymous_user() -> None:
    with under(JWT_GUARD_USER=f"{ROOM}.a_stranger"):
        assert b" False" == ask("wsgi", user_of).body


def test_one_name_at_two_providers_is_two_people(users: Any) -> None:
    request = HttpRequest()
    shop = get_or_create_user(of(), request)
    office = get_or_create_user(of(provider="office"), request)

    assert shop.pk != office.pk
    assert shop.pk == get_or_create_user(of(), request).pk
    assert not shop.has_usable_password()


def test_nobody_is_found_by_address_or_by_a_name_of_the_projects_own(users: Any) -> None:
    users.create_user("ada", email="ada@shop.example", password="hunter2")
    users.create_user("ada@shop.example")
    request = HttpRequest()
    for user in ("ada", "ada@shop.example"):
        found = get_or_create_user(of(user), request)

        assert f"shop:{user}" == found.username
        assert "" == found.email


def test_a_name_that_people_can_choose_is_never_that_of_an_account() -> None:
    from django.contrib.auth.validators import UnicodeUsernameValidator
    from django.core.exceptions import ValidationError

    for credentials in (of(), of("Ada"), of(None)):
        with pytest.raises(ValidationError):
            UnicodeUsernameValidator()(account_name(credentials))


def test_each_person_and_each_machine_has_a_name_of_its_own() -> None:
    alike = ["ada", "Ada", "ADA", "ada ", "ада", "a:b", "é", "e\u0301", "x" * 151, "x" * 152, "", "/web", "ada#"]
    everybody = [of(user, provider) for user in alike for provider in ("shop", "Shop", "shop:a", "a")]
    everybody += [
        of(None, provider, client) for provider in ("shop", "shop:a") for client in ("web", "Web", "ada", None)
    ]
    names = [account_name(each) for each in everybody]

    assert len(everybody) == len({each.casefold().strip() for each in names})
    assert all(len(each) <= 150 and each.isascii() for each in names)
    assert ["shop:ada", "shop/web"] == [account_name(of()), account_name(of(None))]


def test_a_user_who_is_not_active_is_refused(users: Any) -> None:
    user = get_or_create_user(of(), HttpRequest())
    user.is_active = False
    user.save()
    with pytest.raises(PermissionDenied):
        get_or_create_user(of(), HttpRequest())


def test_a_database_that_takes_one_name_for_another_lets_nobody_in(users: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = get_user_model()
    other = model(username="shop:eve")
    monkeypatch.setattr(model.objects, "get_or_create", lambda **_: (other, False))
    monkeypatch.setattr(type(model._default_manager), "get_or_create", lambda *_, **__: (other, False))
    with pytest.raises(PermissionDenied):
        get_or_create_user(of(), HttpRequest())


def test_a_model_that_names_people_by_address_needs_a_function_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    with pytest.raises(ImproperlyConfigured, match="e-mail"):
        get_or_create_user(of(), HttpRequest())


def test_a_machine_is_in_no_database() -> None:
    machine = get_or_create_user(of(None), HttpRequest())

    assert isinstance(machine, GuardedUser)
    assert ("web", "shop/web", True, False) == (
        machine.get_username(),
        machine.id,
        machine.is_authenticated,
        machine.is_anonymous,
    )
    assert not machine.has_perm("shop.delete_order")
    assert not machine.has_perms(["shop.delete_order"])
    assert not machine.has_module_perms("shop")
    assert machine.has_perms([])
    assert {machine} == {machine, GuardedUser(of(None))}
    assert machine != GuardedUser(of("web"))
    assert "web" == str(machine)


# ── Channels ─────────────────────────────────────────────────────────────────────────────────────────────────────


def channels_app() -> Any:
    websocket: Any = import_module("channels.generic.websocket")  # which has no types
    routing: Any = import_module("channels.routing")

    class Orders(websocket.AsyncWebsocketConsumer):  # type: ignore[misc] # as above
        async def connect(self) -> None:
            await self.accept()
            await self.send(text_data=f"{name(self.scope['jwt_guard'])} {whoever()}")

    consumer: Any = Orders
    http = in_small_letters(handler_for(ASGIHandler, [path("", VIEWS["function"])]))
    return routing.ProtocolTypeRouter(
        {"http": http, "websocket": routing.URLRouter([path("orders/", consumer.as_asgi())])}
    )


def test_the_websockets_of_channels_are_guarded_by_the_asgi_door() -> None:
    app = asgi.GuardMiddleware(channels_app(), guarding())
    communicator: Any = ApplicationCommunicator  # which has no types

    async def told() -> str:
        client: Any = communicator(app, scope_for("websocket", "GET", "/orders/", bearer()))
        await client.send_input({"type": "websocket.connect"})
        accepted, message = await client.receive_output(), await client.receive_output()
        await client.send_input({"type": "websocket.disconnect", "code": 1000})
        await client.wait()

        assert "websocket.accept" == accepted["type"]

        return str(message["text"])

    assert "ada ada" == asyncio.run(told())
    assert 401 == ask_websocket(app, "/orders/", []).status
    assert 403 == ask_websocket(app, "/orders/", [], denial=False).status
    with under():
        assert b"ada ada" == ask_asgi(app, "GET", "/", bearer()).body
        assert 401 == ask_asgi(app, "GET", "/", []).status


# ── beyond the header ────────────────────────────────────────────────────────────────────────────────────────────


def _beyond() -> Guard:
    resource = ProtectedResource("https://api.example/orders")
    return replace(guarding(), carriers=(header(), query(), form()), resource=resource)


@pytest.mark.parametrize("kind", BOTH)
def test_the_metadata_of_the_resource_are_there_for_everybody(kind: str) -> None:
    with override_settings(JWT_GUARD=_beyond()):
        metadata = ask(kind, VIEWS["function"], "/.well-known/oauth-protected-resource/orders", headers=[])
        refused = ask(kind, VIEWS["function"], headers=[])

    assert (200, "https://api.example/orders") == (metadata.status, json.loads(metadata.body)["resource"])
    assert "resource_metadata=" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("kind", BOTH)
def test_an_answer_to_a_token_in_the_query_is_for_nobody_else(kind: str) -> None:
    token = dict(bearer())["authorization"].decode().removeprefix("Bearer ")
    view = VIEWS["function" if kind == "wsgi" else "async function"]
    with override_settings(JWT_GUARD=_beyond()):
        answer = ask(kind, view, f"/?access_token={token}", headers=[])
        plain = ask(kind, view, headers=bearer())

    assert (200, "private") == (answer.status, answer.headers["cache-control"])
    assert (200, None) == (plain.status, plain.headers.get("cache-control"))


@pytest.mark.parametrize(("more", "status"), [(b"", 200), (b"&x=" + b"y" * 70_000, 413)])
def test_a_token_in_a_form_leaves_the_form_to_the_view(more: bytes, status: int) -> None:
    token = dict(bearer())["authorization"].decode().removeprefix("Bearer ")

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{whoever()} {request.POST['item']}")

    body = f"access_token={token}&item=tea".encode() + more
    environ = {
        **environ_for("POST", "/", []),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    told: list[str] = []
    with override_settings(JWT_GUARD=_beyond()):
        app: Any = handler_for(WSGIHandler, [re_path("", view)])
        said = b"".join(app(environ, lambda line, _headers: told.append(line)))

    assert str(status) == told[0][:3]
    assert status != 200 or said == b"ada tea"
