"""The table, through every door in this process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from . import (
    apps,
    apps_aiohttp,
    apps_django,
    apps_falcon,
    apps_fastapi,
    apps_litestar,
    apps_quart,
    apps_sanic,
)
from .inside import Answer, Headers, ask_asgi, ask_websocket, ask_wsgi
from .table import ROWS, WEBSOCKET_ROWS, Row, tokens

Door = Callable[[str, str, Headers], Answer]

# REST framework and FastAPI's dependencies alone have bodies, or anonymous callers, of their own: their tests run the
# table, too.
DOORS: dict[str, Door] = {
    "asgi": partial(ask_asgi, apps.asgi_app),
    "wsgi": partial(ask_wsgi, apps.wsgi_app),
    "starlette": partial(ask_asgi, apps.starlette_app),
    "flask": partial(ask_wsgi, apps.flask_app.wsgi_app),
    "fastapi": partial(ask_asgi, apps_fastapi.app),
    "django": partial(ask_wsgi, apps_django.django_wsgi_app),
    "django, async": partial(ask_asgi, apps_django.django_asgi_app),
    "quart": partial(ask_asgi, apps_quart.app),
    "litestar": partial(ask_asgi, apps_litestar.app),
    "falcon": partial(ask_wsgi, apps_falcon.app),
    "falcon, async": partial(ask_asgi, apps_falcon.asgi_app),
    "aiohttp": apps_aiohttp.ask,
    "sanic": apps_sanic.ask,
}
WITH_A_SERVER_OF_THEIR_OWN: dict[str, Any] = {"aiohttp": apps_aiohttp, "sanic": apps_sanic}
WEBSOCKET_DOORS: dict[str, Any] = {
    "asgi": apps.asgi_app,
    "starlette": apps.starlette_app,
    "fastapi": apps_fastapi.app,
    "quart": apps_quart.app,
    "litestar": apps_litestar.app,
    "falcon": apps_falcon.asgi_app,
}


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


SAID = [pytest.param(row, door, id=f"{row}-{door}") for row in ROWS for door in DOORS if door not in row.not_at]


@pytest.mark.parametrize(("row", "door"), SAID)
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


@pytest.mark.parametrize("door", WITH_A_SERVER_OF_THEIR_OWN)
@pytest.mark.parametrize("row", WEBSOCKET_ROWS, ids=str)
def test_a_websocket_at_a_server_of_its_own_is_refused_alike(row: Row, door: str) -> None:
    if door not in row.not_at:
        judge(row, WITH_A_SERVER_OF_THEIR_OWN[door].ask_websocket(row.target, row.headers), accepted=101)


@pytest.mark.parametrize("door", WEBSOCKET_DOORS)
@pytest.mark.parametrize("row", WEBSOCKET_ROWS, ids=str)
def test_a_websocket_is_closed_before_it_is_accepted_where_no_answer_can_be_sent(row: Row, door: str) -> None:
    answer = ask_websocket(WEBSOCKET_DOORS[door], row.target, row.headers, denial=False)

    assert (101 if row.status == 200 else 403) == answer.status


def test_no_two_rows_make_one_claim() -> None:
    claims = [row.claim for row in ROWS]

    assert sorted(set(claims)) == sorted(claims)
