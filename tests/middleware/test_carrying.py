"""A guard that looks beyond the header, behind the ASGI and the WSGI door: forms, private answers, metadata."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from jwt_guard import Guard
from jwt_guard.access.carriers import FORM_LIMIT, cookie, form, header, query, websocket_subprotocol
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.middleware import asgi, wsgi
from jwt_guard.middleware.carrying import private
from tests.doors.inside import Answer, ask_asgi, ask_wsgi, environ_for, scope_for

from .callers import bearer, guarding, whoever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

METADATA = "/.well-known/oauth-protected-resource/orders"
TOKEN = bearer()[0][1].removeprefix(b"Bearer ")
URLENCODED = b"application/x-www-form-urlencoded"
NO_CONTENT = 204
ALL = (header(), cookie("__Host-session"), websocket_subprotocol(), query(), form())


def looking() -> Guard:
    return replace(guarding(), carriers=ALL, resource=ProtectedResource("https://api.test/orders"))


class Body:
    """A body that notes how much of it was read."""

    def __init__(self, content: bytes, most: int = 1_000) -> None:
        self._stream = BytesIO(content)
        self._most = most
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        return self._stream.read(min(size, self._most))

    @property
    def at(self) -> int:
        return self._stream.tell()


# --- a form, in ASGI ---------------------------------------------------------------------------------


def post_asgi(chunks: list[bytes], *, gone: bool = False, of: Guard | None = None) -> dict[str, Any]:
    """Return what an application behind the door sees of a form in *chunks*, and what it answers."""
    given: list[asgi.Message] = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) or gone}
        for number, chunk in enumerate(chunks, 1)
    ]
    if gone:
        given.append({"type": "http.disconnect"})
    told: dict[str, Any] = {"left": 0}

    async def app(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        told.update(user=whoever(), body=body, then=(await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> asgi.Message:
        return given.pop(0) if given else {"type": "http.disconnect"}

    async def send(message: asgi.Message) -> None:
        told.setdefault("status", message.get("status"))

    scope = scope_for("http", "POST", "/orders", [("content-type", URLENCODED)])
    asyncio.run(asgi.GuardMiddleware(app, of or looking())(scope, receive, send))
    told["left"] = len(given)
    return told


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_an_application_reads_the_form_again_as_it_was_sent(pieces: int) -> None:
    whole = b"x=1&access_token=" + TOKEN + b"&y=2"
    size = -(-len(whole) // pieces)
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]

    seen = post_asgi(chunks)

    assert ("ada", whole, "http.disconnect", 200) == (seen["user"], seen["body"], seen["then"], seen["status"])


def test_a_form_without_a_token_is_one_of_nobody() -> None:
    assert 401 == post_asgi([b"x=1"])["status"]
    assert 401 == post_asgi([b""])["status"]


def test_of_a_form_that_is_too_long_no_more_is_read_than_that() -> None:
    seen = post_asgi([b"x=" + b"a" * FORM_LIMIT, b"b", b"c"])

    assert (413, 2) == (seen["status"], seen["left"])
    assert "user" not in seen


def test_a_form_may_be_as_long_as_it_may() -> None:
    token = b"&access_token=" + TOKEN
    whole = b"x=" + b"a" * (FORM_LIMIT - 2 - len(token)) + token

    assert (200, whole) == (post_asgi([whole])["status"], post_asgi([whole])["body"])
    assert 413 == post_asgi([whole, b"a"])["status"]


def test_nobody_is_answered_who_has_gone_in_the_middle_of_a_form() -> None:
    assert {"left": 0} == post_asgi([b"access_token=", TOKEN], gone=True)


def test_a_guard_that_takes_no_forms_reads_none() -> None:
    seen = post_asgi([b"access_token=" + TOKEN], of=guarding())

    assert (401, 1) == (seen["status"], seen["left"])


def test_where_no_middleware_has_read_the_form_nothing_passes() -> None:
    """Framework decorators with a guard of their own see a request whose body is the application's to read."""
    scope = scope_for("http", "POST", "/orders", [("content-type", URLENCODED)])

    with pytest.raises(RuntimeError, match="needs the middleware"):
        ALL[-1].offers(asgi.ScopeRequest(scope))


# --- a form, in WSGI ---------------------------------------------------------------------------------


def post_wsgi(body: Any, *, of: Guard | None = None, **environ: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}

    def app(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        told.update(user=whoever(), body=environ["wsgi.input"].read(100_000))
        start_response("200 OK", [])
        return []

    def start_response(status: str, _headers: object, _error: object = None) -> None:
        told["status"] = int(status[:3])

    whole = {**environ_for("POST", "/orders", []), "CONTENT_TYPE": URLENCODED.decode(), "wsgi.input": body, **environ}
    wsgi.GuardMiddleware(app, of or looking())(whole, start_response)
    return told


@pytest.mark.parametrize("most", [1_000, 10])
def test_a_wsgi_application_reads_the_form_again_as_it_was_sent(most: int) -> None:
    whole = b"x=1&access_token=" + TOKEN

    seen = post_wsgi(Body(whole + b"of the next request", most), CONTENT_LENGTH=str(len(whole)))

    assert {"user": "ada", "body": whole, "status": 200} == seen


def test_a_form_without_a_length_is_read_where_the_server_ends_it() -> None:
    whole = b"access_token=" + TOKEN

    ended: dict[str, Any] = {"wsgi.input_terminated": True}
    assert {"user": "ada", "body": whole, "status": 200} == post_wsgi(Body(whole), **ended)
    assert {"status": 413} == post_wsgi(Body(b"a" * 100_000, 100_000), **ended)
    unread = Body(whole)
    assert {"status": 401} == post_wsgi(unread)
    assert [] == unread.asked  # PEP 3333: it could be waited for for ever


def test_of_a_wsgi_form_that_says_it_is_too_long_nothing_is_read() -> None:
    body = Body(b"a" * 100_000)

    assert {"status": 413} == post_wsgi(body, CONTENT_LENGTH=str(FORM_LIMIT + 1))
    assert [] == body.asked


def test_a_wsgi_form_is_as_long_as_it_says() -> None:
    whole = b"access_token=" + TOKEN

    assert {"status": 400} == post_wsgi(Body(whole), CONTENT_LENGTH=str(len(whole) + 1))
    for strange in ("-1", "1e3", "²", "1 1", "+5"):
        assert {"status": 400} == post_wsgi(Body(whole), CONTENT_LENGTH=strange), strange


def test_a_wsgi_form_is_read_once_however_often_it_is_asked_for() -> None:
    environ: wsgi.Environ = {
        **environ_for("POST", "/", []), "CONTENT_LENGTH": "2", "wsgi.input": BytesIO(b"ab"),
    }  # fmt: skip

    assert b"ab" == wsgi.EnvironRequest(environ).form(10)
    assert b"ab" == environ["wsgi.input"].read()
    assert b"ab" == wsgi.EnvironRequest(environ).form(10)


def test_a_wsgi_request_has_its_content_type_where_the_standard_puts_it() -> None:
    environ = {**environ_for("POST", "/", []), "CONTENT_TYPE": "text/plain"}

    assert ("text/plain",) == wsgi.EnvironRequest(environ).values("content-type")
    assert () == wsgi.EnvironRequest({**environ, "CONTENT_TYPE": ""}).values("content-type")
    assert () == wsgi.EnvironRequest(environ_for("POST", "/", [])).values("content-type")


# --- a query -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ([], "private"),
        (["no-cache, max-age=0"], "private, no-cache, max-age=0"),
        (["public, max-age=60"], "private, max-age=60"),
        (["Public"], "private"),
        (["private", "PUBLIC , s-maxage=60"], "private"),
        (["max-age=60", "s-maxage=60"], "private, max-age=60"),
        (['private="x-user"'], "private"),
        (["private"], None),
        (["max-age=60, private"], None),
        (["No-Store"], None),
        ([" , no-store,"], None),
    ],
)
def test_an_answer_is_kept_private_and_as_fresh_as_its_application_says(said: list[str], sent: str | None) -> None:
    assert sent == private(said)


def answering(status: int, headers: list[tuple[str, str]]) -> tuple[asgi.App, wsgi.App]:
    async def in_asgi(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"{}"})

    def in_wsgi(_environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        kind = [] if status == NO_CONTENT else [("Content-Type", "text/plain")]
        start_response(f"{status} Whatever", [*kind, *headers])
        return [b"{}"]

    return in_asgi, in_wsgi


def through_asgi(status: int, headers: list[tuple[str, str]], target: str, sent: Any) -> Answer:
    return ask_asgi(asgi.GuardMiddleware(answering(status, headers)[0], looking()), "GET", target, sent)


def through_wsgi(status: int, headers: list[tuple[str, str]], target: str, sent: Any) -> Answer:
    return ask_wsgi(wsgi.GuardMiddleware(answering(status, headers)[1], looking()), "GET", target, sent)


each_door = pytest.mark.parametrize("ask", [through_asgi, through_wsgi])
IN_QUERY = f"/orders?access_token={TOKEN.decode()}"


@each_door
def test_an_answer_to_a_token_in_the_query_is_private(ask: Callable[..., Answer]) -> None:
    """RFC 6750 §2.3: success responses SHOULD contain Cache-Control with private."""
    for status in (200, 204, 299):
        assert "private" == ask(status, [], IN_QUERY, []).headers["cache-control"], status
    for said, kept in (("public, max-age=5", "private, max-age=5"), ("no-store", "no-store")):
        assert kept == ask(200, [("Cache-Control", said)], IN_QUERY, []).headers["cache-control"]
    for status in (199, 300, 404):
        assert "cache-control" not in ask(status, [], IN_QUERY, []).headers, status
    assert "cache-control" not in ask(200, [], "/orders", bearer()).headers


# --- metadata ----------------------------------------------------------------------------------------


@each_door
@pytest.mark.parametrize("sent", [[], bearer(), [("authorization", b"Bearer bad")]], ids=["nobody", "somebody", "bad"])
def test_metadata_are_given_to_whoever_asks(ask: Callable[..., Answer], sent: Any) -> None:
    answer = ask(500, [], METADATA, sent)

    assert 200 == answer.status
    assert "https://api.test/orders" == json.loads(answer.body)["resource"]
    assert "*" == answer.headers["access-control-allow-origin"]


@each_door
def test_a_challenge_leads_to_the_metadata(ask: Callable[..., Answer]) -> None:
    challenge = ask(500, [], "/orders", []).headers["www-authenticate"]

    assert f'resource_metadata="https://api.test{METADATA}"' in challenge


def test_metadata_have_no_body_for_head_and_are_open_to_preflights() -> None:
    in_asgi = asgi.GuardMiddleware(answering(500, [])[0], looking())
    in_wsgi = wsgi.GuardMiddleware(answering(500, [])[1], looking())
    for method, status in (("HEAD", 200), ("OPTIONS", 204), ("POST", 405)):
        for answer in (ask_asgi(in_asgi, method, METADATA, []), ask_wsgi(in_wsgi, method, METADATA, [])):
            assert (status, b"") == (answer.status, answer.body), method


def test_a_mounted_application_answers_where_its_server_puts_it() -> None:
    app = asgi.GuardMiddleware(answering(500, [])[0], looking())

    async def mounted(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await app({**scope, "root_path": "/api"}, receive, send)

    assert 200 == ask_asgi(mounted, "GET", f"/api{METADATA}", []).status
    assert 401 == ask_asgi(mounted, "GET", f"/other{METADATA}", []).status


# --- a websocket -------------------------------------------------------------------------------------


def handshake(subprotocols: list[str], headers: Any, of: Guard) -> tuple[Any, list[Any]]:
    """Return the scope that the application sees, and what was sent."""
    seen: list[Any] = []
    sent: list[Any] = []

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        seen.append((whoever(), list(scope["subprotocols"])))
        await send({"type": "websocket.accept", "subprotocol": "bearer"})

    async def receive() -> asgi.Message:
        return {"type": "websocket.connect"}

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    scope = {**scope_for("websocket", "GET", "/orders", headers), "subprotocols": subprotocols}
    asyncio.run(asgi.GuardMiddleware(app, of)(scope, receive, send))
    return seen[0] if seen else None, sent


def test_the_application_cannot_answer_with_the_token() -> None:
    token = TOKEN.decode()
    offered = [("sec-websocket-protocol", b"chat, bearer, " + TOKEN)]

    assert ("ada", ["chat", "bearer"]) == handshake(["chat", "bearer", token], offered, looking())[0]
    assert ("ada", []) == handshake([], bearer(), looking())[0]


def test_a_handshake_with_a_cookie_comes_from_a_page_of_ours() -> None:
    sent = [("cookie", b"__Host-session=" + TOKEN)]

    assert None is handshake([], sent, looking())[0]
    assert None is handshake([], [*sent, ("origin", b"https://evil.test"), ("host", b"api.test")], looking())[0]
    assert ("ada", []) == handshake([], [*sent, ("origin", b"https://api.test"), ("host", b"api.test")], looking())[0]


def test_the_path_of_the_metadata_is_a_websocket_like_any_other() -> None:
    scope, sent = handshake([], [], looking())

    assert None is scope
    assert "websocket.close" == sent[0]["type"]


def test_lifespan_passes_also_where_more_is_looked_at() -> None:
    seen: list[Any] = []

    async def app(scope: asgi.Scope, _receive: asgi.Receive, _send: asgi.Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> Any:
        """Say nothing."""

    scope = {"type": "lifespan"}
    asyncio.run(asgi.GuardMiddleware(app, looking())(scope, nothing, nothing))

    assert scope is seen[0]
