"""The same table over real HTTP, through the servers that people run."""

from __future__ import annotations

import http.client
import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import COMMANDS
from .inside import Answer, Headers
from .serve import SERVERS
from .table import READER, ROWS, WEBSOCKET_ROWS, Row
from .test_doors import WITH_A_SERVER_OF_THEIR_OWN, judge

ALL = (*SERVERS, *COMMANDS)


def ask(port: int, method: str, target: str, headers: Headers) -> Answer:
    """Return what the server on *port* answers to a request that is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    finally:
        connection.close()


ASKED = [(row, server) for row in ROWS for server in ALL if server not in row.not_at]


@pytest.mark.parametrize(("row", "server"), ASKED, ids=str)
def test_every_server_lets_the_same_requests_in(row: Row, server: str, ports: dict[str, int]) -> None:
    judge(row, ask(ports[server], row.method, row.target, row.headers))


def test_where_a_server_differs_nobody_gets_more_than_their_own(ports: dict[str, int]) -> None:
    exceptions = [(row, server) for row in ROWS for server in row.not_at if server in ALL]
    for row, server in exceptions:
        answer = ask(ports[server], row.method, row.target, row.headers)

        if answer.status < 400:
            assert (READER if row.headers else None) == json.loads(answer.body)["who"]
    assert len(exceptions) > 10


def test_every_exception_names_a_server_and_a_reason() -> None:
    exceptions = {server: reason for row in ROWS for server, reason in row.not_at.items()}

    assert set(exceptions) <= {*ALL, *WITH_A_SERVER_OF_THEIR_OWN}
    assert all(exceptions.values())


# ── websockets ───────────────────────────────────────────────────────────────────────────────────────────────────

SPEAK_WEBSOCKET = ("uvicorn/h11", "uvicorn/httptools", "hypercorn", "granian")


def sayable(row: Row) -> bool:
    """Say whether it can be sent: the client takes semicolons out of paths, uvicorn's parsers take 8 KiB a header."""
    return ";" not in row.target and all(value.isascii() and len(value) < 8_000 for _, value in row.headers)


def shake_hands(port: int, row: Row) -> Answer:
    headers = [(name, value.decode()) for name, value in row.headers]
    try:
        with connect(f"ws://127.0.0.1:{port}{row.target}", additional_headers=headers, proxy=None) as socket:
            return Answer(101, {}, str(socket.recv(timeout=10)).encode())
    except InvalidStatus as refused:
        got = refused.response
        return Answer(
            got.status_code, {name.lower(): value for name, value in got.headers.raw_items()}, bytes(got.body)
        )


@pytest.mark.parametrize("server", SPEAK_WEBSOCKET)
@pytest.mark.parametrize("row", [row for row in WEBSOCKET_ROWS if sayable(row)], ids=str)
def test_a_websocket_is_let_in_like_a_request(row: Row, server: str, ports: dict[str, int]) -> None:
    judge(row, shake_hands(ports[server], row), accepted=101)
