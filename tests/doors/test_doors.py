"""The table, through every door in this process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from . import apps
from .inside import Answer, Headers, ask_asgi, ask_websocket, ask_wsgi
from .table import ROWS, WEBSOCKET_ROWS, Row, tokens

Door = Callable[[str, str, Headers], Answer]

DOORS: dict[str, Door] = {
    "asgi": partial(ask_asgi, apps.asgi_app),
    "wsgi": partial(ask_wsgi, apps.wsgi_app),
    "starlette": partial(ask_asgi, apps.starlette_app),
    "flask": partial(ask_wsgi, apps.flask_app.wsgi_app),
}
WEBSOCKET_DOORS: dict[str, Any] = {"asgi": apps.asgi_app, "starlette": apps.starlette_app}


def judge(row: Row, answer: Answer, *, accepted: int = 200) -> None:
    """Hold *answer* to what *row* says."""
    status = accepted if row.status == 200 else row.status

    assert status == answer.status
    assert row.challenge == answer.headers.get("www-authenticate")
    assert row.more == {name: answer.headers.get(name) for name in row.more}

    if row.method == "HEAD":
        assert b"" == answer.body
    elif status == accepted:
        assert {"who": row.who, "current": True} == json.loads(answer.body)
    else:
        refusal = json.loads(answer.body)

        assert {"type", "title", "status", "detail", "id"} == set(refusal)
        assert ("about:blank", status) == (refusal["type"], refusal["status"])
        assert "application/problem+json" == answer.headers["content-type"]
        assert "no-store" == answer.headers["cache-control"]
        assert_nothing_is_echoed(row, answer)


def assert_nothing_is_echoed(row: Row, answer: Answer) -> None:
    told = answer.body.decode() + repr(dict(answer.headers))
    sent = [row.target, *(value.decode("latin-1") for _, value in row.headers), *tokens().values()]

    assert [] == [text for text in sent if len(text) > len("Bearer x") and text in told]


def assert_logged_once(row: Row, answer: Answer, logged: pytest.LogCaptureFixture) -> None:
    """Hold the log to one line for each refusal, under the id that the client has, and without the token."""
    lines = [record for record in logged.records if record.name == "jwt_guard" and "refused" in record.message]
    if row.status == 200:
        assert [] == lines
        return
    line = lines[0]

    assert 1 == len(lines)
    assert f" {row.status} " in line.getMessage()
    assert row.method == "HEAD" or f"refused {json.loads(answer.body)['id']}: " in line.getMessage()
    assert (logging.ERROR if row.status == 503 else logging.INFO) == line.levelno
    assert [] == [name for name, token in tokens().items() if token in logged.text]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_door_gives_the_same_answer(row: Row, door: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")

    answer = DOORS[door](row.method, row.target, row.headers)

    judge(row, answer)
    assert_logged_once(row, answer, caplog)


@pytest.mark.parametrize("door", WEBSOCKET_DOORS)
@pytest.mark.parametrize("row", WEBSOCKET_ROWS, ids=str)
def test_a_websocket_is_refused_with_the_same_answer(row: Row, door: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")

    answer = ask_websocket(WEBSOCKET_DOORS[door], row.target, row.headers)

    judge(row, answer, accepted=101)
    assert_logged_once(row, answer, caplog)


@pytest.mark.parametrize("door", WEBSOCKET_DOORS)
@pytest.mark.parametrize("row", WEBSOCKET_ROWS, ids=str)
def test_a_websocket_is_closed_before_it_is_accepted_where_no_answer_can_be_sent(row: Row, door: str) -> None:
    answer = ask_websocket(WEBSOCKET_DOORS[door], row.target, row.headers, denial=False)

    assert (101 if row.status == 200 else 403) == answer.status


def test_no_two_rows_make_one_claim() -> None:
    claims = [row.claim for row in ROWS]

    assert sorted(set(claims)) == sorted(claims)
