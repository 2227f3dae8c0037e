"""The client's side of a request, and an application behind the guard: what each is given of the other."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jwt_guard.fhir.exchange import Asking
from jwt_guard.fhir.inner import Client, Gone, Inner
from jwt_guard.fhir.outcome import TOO_LONG, Stopped

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "http_version": "1.1",
    "headers": [],
    "extensions": {"http.response.pathsend": {}},
}


def client(*pieces: bytes, headers: Any = (), method: str = "POST", then: str = "http.disconnect") -> Client:
    messages: list[Any] = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": then}

    return Client({**SCOPE, "headers": list(headers), "method": method}, receive)


def test_a_body_is_read_once_and_given_again() -> None:
    async def of(one: Client) -> Any:
        first, again = await one.body(10), await one.body(10)
        receive, framing = one.own()
        return first, again, await receive(), await receive(), framing

    first, again, sent, then, framing = anyio.run(of, client(b"ab", b"c", headers=[(b"Transfer-Encoding", b"chunked")]))

    assert (b"abc", b"abc", b"abc") == (first, again, sent["body"])
    assert not sent["more_body"]
    assert "http.disconnect" == then["type"]
    assert [(b"content-length", b"3")] == framing


def test_a_body_that_nobody_has_read_goes_on_as_it_is_framed() -> None:
    framed = [(b"Content-Length", b"3")]
    receive, framing = client(b"ab", b"c", headers=[*framed, (b"x-other", b"1")]).own()

    assert framed == framing
    assert b"ab" == anyio.run(receive)["body"]


@pytest.mark.parametrize(("version", "framed"), [("1.1", []), ("2", [(b"transfer-encoding", b"chunked")])])
def test_a_body_that_a_later_version_frames_by_itself_is_not_lost(version: str, framed: Any) -> None:
    one = client(b"ab")
    one.scope["http_version"] = version

    assert framed == one.own()[1]


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"11"),), ((b"content-length", b"x"),)])
def test_no_more_is_read_than_may_be(headers: Any) -> None:
    with pytest.raises(Stopped) as caught:
        anyio.run(client(b"12345", b"678901", headers=headers).body, 10)

    assert TOO_LONG is caught.value.problem
    assert b"0123456789" == anyio.run(client(b"0123456789").body, 10)


def test_who_leaves_in_the_midst_of_a_body_is_gone() -> None:
    one = client()
    with pytest.raises(Gone):
        anyio.run(one.body, 10)

    assert one.is_gone


async def nothing(_message: Any) -> None:
    """Hear of it."""


@pytest.mark.parametrize(("method", "asking", "expected"), [
    ("GET", Asking("GET", "/Patient/1"), b""),
    ("HEAD", Asking("GET", "/Patient/1"), b""),
    ("POST", Asking("POST", "/Patient"), b"theirs"),
    ("POST", Asking("POST", "/Patient", body=b"ours"), b"ours"),
    ("POST", Asking("GET", "/Patient"), b""),
])  # fmt: skip
def test_what_is_streamed_has_the_body_that_was_judged(method: str, asking: Asking, expected: bytes) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, (await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.body", "body": b"answer"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def streamed() -> None:
        one = client(b"theirs", method=method, headers=[(b"content-length", b"6")])
        await Inner(app, "/r4", "https://api.example/fhir").stream(asking, one, send, lambda message: message)

    anyio.run(streamed)
    ((scope, body),) = seen

    assert expected == body
    assert ("/r4" + asking.path, {}, "1.1") == (scope["path"], scope["extensions"], scope["http_version"])
    assert [b"" if method == "HEAD" else b"answer"] == [each["body"] for each in sent[1:]]
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    assert [str(len(expected)).encode()] * bool(expected) == lengths


def test_the_base_itself_has_no_slash_unless_it_is_all_there_is() -> None:
    asked: list[str] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        for root in ("/fhir", ""):
            await Inner(app, root, "https://api.example").ask(Asking("GET", "/"), client(b""), 10)

    anyio.run(ask)

    assert ["/fhir", "/"] == asked
