"""What answers a form → the ASGI application of it: what the tests of the endpoints leave open."""

from __future__ import annotations

from typing import Any

import anyio

from jwt_guard.issuing.form_app import NOT_A_POST, FormApp
from jwt_guard.issuing.oauth_form import FORM_LIMIT
from jwt_guard.messages import Response


def test_a_body_that_does_not_end_is_read_until_it_is_too_long() -> None:
    asked, seen = 0, 0
    sent: list[Any] = []

    def answer(_method: str, _type: str | None, body: bytes, _authorization: str | None) -> Any:
        nonlocal seen
        seen = len(body)
        yield from ()
        return Response(413, (), b"")

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"a" * 1_024, "more_body": asked < 1_000}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        await FormApp(answer)({"type": "http", "method": "POST", "headers": []}, receive, send)

    anyio.run(ask)

    assert FORM_LIMIT // 1_024 + 1 == asked
    assert FORM_LIMIT < seen <= FORM_LIMIT + 1_024
    assert [413, None] == [message.get("status") for message in sent]


def test_what_is_no_post_is_told_what_would_be() -> None:
    answer = NOT_A_POST.response()

    assert (405, "POST") == (answer.status, dict(answer.headers)["Allow"])
