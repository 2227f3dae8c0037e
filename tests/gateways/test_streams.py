"""What takes longer than one answer → it passes every gateway while it lasts: events, and websockets."""

from __future__ import annotations

import http.client

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .rig import Front, token


def test_an_event_comes_when_it_happens(front: Front) -> None:
    front.upstream.go_on.clear()
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=5)
    try:
        connection.request("GET", "/events", headers={"Authorization": f"Bearer {token()}"})
        answer = connection.getresponse()

        assert 200 == answer.status
        assert b"data: 1\n" == answer.readline()
        front.upstream.go_on.set()
        assert b"\ndata: 2\n\n" == answer.read()
    finally:
        front.upstream.go_on.set()
        connection.close()


def test_a_websocket_passes_and_says_who_is_asking(front: Front) -> None:
    headers = {"Authorization": f"Bearer {token()}", "X-Auth-User": "root", "X_Auth_User": "root"}
    with connect(f"ws://127.0.0.1:{front.port}/socket", additional_headers=headers, proxy=None) as opened:
        told = str(opened.recv(5))
        opened.send("hello")

        assert "hello" == opened.recv(5)
    assert '["x-auth-user", "ada"]' in told
    assert "root" not in told


@pytest.mark.parametrize("bearer", [None, "abc"])
def test_a_websocket_needs_a_token(front: Front, bearer: str | None) -> None:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{front.port}/socket", additional_headers=headers, proxy=None)

    assert 401 == caught.value.response.status_code


def test_nothing_but_a_websocket_is_switched_to(front: Front) -> None:
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    answer = front.ask(headers=headers, bearer=token())

    assert answer.status in {200, 400, 403}
    if answer.status == 200:
        assert [] == answer.sent("upgrade")
