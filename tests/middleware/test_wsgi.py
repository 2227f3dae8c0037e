"""Raw WSGI: what the table of the doors does not say."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import pytest

from jwt_guard import Misconfigured, anyone, authenticated, by_route, current
from jwt_guard.middleware import wsgi
from tests.doors.inside import ask_wsgi, environ_for

from .callers import bearer, guarding, name, whoever

if TYPE_CHECKING:
    from jwt_guard.middleware.wsgi import App, Environ, StartResponse


def guarded(app: App) -> wsgi.GuardMiddleware:
    return wsgi.GuardMiddleware(app, guarding())


def simple(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [whoever().encode()]


def start(*_: object, **__: object) -> Any:
    """Stand for a server's start_response."""


def status_of(app: App, **changes: Any) -> int:
    """Return what *app* answers to a request of Ada's whose environ was changed like this; None takes away."""
    environ = {**environ_for("GET", "/orders", bearer()), **changes}
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _exc_info: object = None) -> None:
        statuses.append(status)

    list(app({key: value for key, value in environ.items() if value is not None}, start_response))
    return int(statuses[0][:3])


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────────

BY_PATH = by_route([("GET", "/v1/orders", authenticated()), ("GET", "/open/**", anyone())])


@pytest.mark.parametrize(
    ("script", "path", "sent", "status"),
    [
        ("", "/v1/orders", "/v1/orders", 200),
        ("", "/v1/orders", "/v1/orders?x=/y", 200),
        ("", "/v1/orders", "http://shop.example/v1/orders?x", 200),  # RFC 9112 §3.2.2
        ("", "/v1/orders", "http://shop.example/open/x", 403),
        ("", "/v1/orders", None, 200),
        ("/v1", "/orders", "/v1/orders", 200),
        ("/v1", "/orders", None, 200),
        ("/v2", "/orders", "/v2/orders", 403),
        ("/open", "/orders", "/orders", 403),  # a prefix that somebody claims, and the request never had
        ("", "/v1/orders", "/open/x", 403),
        ("", "/v1/orders", "", 403),
        ("", "/v1/orders", "*", 403),
        ("", "/v1/orders", "/v1%2Forders", 403),
        ("", "/open/../v1/orders", None, 403),
        ("", "/open/caf\xc3\xa9", None, 200),
        ("", "/open/\xff", None, 403),
        ("", "/open/\u2603", None, 403),  # not as PEP 3333 has it
        ("", "/open/x", "/open/\ud800", 403),
    ],
)
def test_the_path_is_the_one_the_application_routes_on(script: str, path: str, sent: str | None, status: int) -> None:
    app = wsgi.GuardMiddleware(simple, guarding(BY_PATH))

    assert status == status_of(app, SCRIPT_NAME=script, PATH_INFO=path, REQUEST_URI=sent)
    assert status == status_of(app, SCRIPT_NAME=script, PATH_INFO=path, REQUEST_URI=None, RAW_URI=sent)


def test_the_path_may_be_left_out() -> None:
    app = wsgi.GuardMiddleware(simple, guarding(by_route([("GET", "/", authenticated())])))

    assert 200 == status_of(app, PATH_INFO="/", REQUEST_URI="/")
    assert 403 == status_of(app, PATH_INFO=None, REQUEST_URI=None)


# ── who is being served ──────────────────────────────────────────────────────────────────────────────────────────


def generating(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])  # late: at the first step
    yield whoever().encode()
    yield b" "
    yield whoever().encode()


class Body:
    """An answer that notes who is being served when it is asked for more, and when it is closed."""

    def __init__(self) -> None:
        self.saw: list[str] = []
        self.left = 2

    def __iter__(self) -> Iterator[bytes]:
        self.saw.append(f"iter {whoever()}")
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.left -= 1
        self.saw.append(f"next {whoever()}")
        return b"x"

    def close(self) -> None:
        self.saw.append(f"close {whoever()}")


def test_a_generator_that_starts_late_knows_for_whom_it_is() -> None:
    assert b"ada ada" == ask_wsgi(guarded(generating), "GET", "/", bearer()).body


def test_each_step_of_an_answer_is_the_callers_and_nothing_is_between_them() -> None:
    body = Body()
    steps: Any = guarded(lambda _environ, _start: body)(environ_for("GET", "/", bearer()), start)
    between = [whoever() for _ in steps]
    steps.close()

    assert ["iter ada", "next ada", "next ada", "close ada"] == body.saw
    assert ["nobody", "nobody"] == between
    assert current() is None


def test_two_answers_in_turns_on_one_thread_do_not_mix() -> None:
    app = guarded(generating)
    one: Any = app(environ_for("GET", "/", bearer("ada")), start)
    two: Any = app(environ_for("GET", "/", bearer("grace")), start)

    assert [(b"ada", b"grace"), (b" ", b" "), (b"ada", b"grace")] == list(zip(one, two, strict=True))


def test_an_answer_may_be_finished_on_another_thread() -> None:
    steps: Any = iter(guarded(generating)(environ_for("GET", "/", bearer()), start))
    said = [next(steps)]
    other = threading.Thread(target=lambda: said.extend(steps))
    other.start()
    other.join()

    assert [b"ada", b" ", b"ada"] == said


def test_nothing_stays_on_the_thread_when_the_application_raises() -> None:
    def broken(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError(whoever())

    def breaking(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
        yield b"x"
        raise LookupError(whoever())

    for app in (broken, breaking):
        with pytest.raises(LookupError, match="ada"):
            list(guarded(app)(environ_for("GET", "/", bearer()), start))

        assert "nobody" == whoever()


def test_what_the_application_sets_does_not_stay_on_the_thread() -> None:
    cart: ContextVar[str] = ContextVar("cart", default="empty")

    def app(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
        cart.set("full")
        return []

    list(guarded(app)(environ_for("GET", "/", bearer()), start))

    assert "empty" == cart.get()


# ── what goes through as it is ───────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_and_a_file_go_through_as_they_are() -> None:
    whole, file = [b"x"], FileWrapper(io.BytesIO(b"x"))
    for body in (whole, file):
        environ = {**environ_for("GET", "/", bearer()), "wsgi.file_wrapper": FileWrapper}

        assert body is guarded(lambda _environ, _start, body=body: body)(environ, start)  # type: ignore[misc]


def test_another_file_is_a_stream_like_any_other() -> None:
    def wrapper(_file: object) -> Any:
        """Stand for a server whose wrapper is no class."""

    for made in (wrapper, FileWrapper, None):
        body = Body()
        environ = {**environ_for("GET", "/", bearer()), "wsgi.file_wrapper": made}
        list(guarded(lambda _environ, _start, body=body: body)(environ, start))  # type: ignore[misc]

        assert "next ada" in body.saw


def test_the_server_is_told_what_start_response_is_told() -> None:

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["nothing"]
        except LookupError:
            start_response("500 Oops", [], sys.exc_info())
        return []

    calls: list[tuple[object, ...]] = []

    def server_start(*args: object) -> None:
        calls.append(args)

    guarded(app)(environ_for("GET", "/", bearer()), server_start)

    assert KeyError is calls[0][2][0]  # type: ignore[index]


def test_an_answer_is_closed_as_often_as_the_server_says() -> None:
    closed: list[str] = []

    class Once(Body):
        def close(self) -> None:
            closed.append("closed")

    ask_wsgi(
        guarded(lambda _environ, begin: (begin("200 OK", [("Content-Type", "x/y")]), Once())[1]), "GET", "/", bearer()
    )

    assert ["closed"] == closed


def test_a_refused_request_never_reaches_the_application() -> None:
    reached: list[str] = []

    def app(environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
        reached.append(environ["PATH_INFO"])
        return []

    guarded(app)(environ_for("GET", "/", []), start)

    assert [] == reached


@pytest.mark.parametrize("answer", [True, None, "yes", 1])
def test_a_policy_that_does_not_answer_lets_nobody_in(answer: object) -> None:
    policy: Callable[..., Any] = lambda _request, _credentials: answer  # noqa: E731

    with pytest.raises(TypeError):
        wsgi.GuardMiddleware(simple, guarding(policy))(environ_for("GET", "/", bearer()), start)


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="no guard"):
        wsgi.requires("orders:read")(simple)(environ_for("GET", "/", bearer()), start)

    assert ["jwt_guard"] == [record.name for record in caplog.records]


def test_requires_with_a_guard_of_its_own_needs_no_middleware() -> None:
    app = wsgi.requires("orders:write", guard=guarding())(simple)

    assert b"ada" == ask_wsgi(app, "GET", "/", bearer(scope="orders:write")).body
    assert 403 == ask_wsgi(app, "GET", "/", bearer()).status
    assert 401 == ask_wsgi(app, "GET", "/", []).status


def test_the_credentials_are_in_the_environ() -> None:
    environ = environ_for("GET", "/", bearer())
    guarded(simple)(environ, start)

    assert "ada" == name(environ["jwt_guard"])


def test_requires_without_scopes_fails_at_once() -> None:
    with pytest.raises(Misconfigured):
        wsgi.requires()


def test_what_is_guarded_on_its_own_lets_no_preflight_pass() -> None:
    def app(_environ: wsgi.Environ, _start: wsgi.StartResponse) -> list[bytes]:
        raise AssertionError

    preflight = {"HTTP_ORIGIN": "https://shop.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    statuses: list[str] = []
    own = wsgi.requires("orders:read", guard=guarding(authenticated()))(app)
    own({"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "/", **preflight}, lambda status, _headers: statuses.append(status))

    assert ["401 Unauthorized"] == statuses
