"""Requests without a body → what an upstream is sent, on which connection, and how often."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress

import aiohttp
import pytest
from yarl import URL

from jwt_guard.errors import UpstreamFailed
from jwt_guard.gateway.settings import ProxySettings
from jwt_guard.gateway.upstream import Asking, ConnectionLost, _head, is_plain
from tests.support.proxied import ask, of_octets, proxy, seen_by

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("method", "has_body", "expected"),
    [
        ("GET", False, True), ("HEAD", False, True), ("OPTIONS", False, True),
        ("GET", True, False), ("POST", False, False), ("DELETE", False, False), ("PROPFIND", False, False),
    ],
)  # fmt: skip
def test_what_has_a_body_or_may_have_side_effects_is_asked_elsewhere(
    method: str, has_body: bool, expected: bool
) -> None:
    assert expected == is_plain(method, has_body=has_body)


def test_a_request_is_sent_as_it_was_given() -> None:
    assert b"GET /a?b HTTP/1.1\r\nhost: h\r\nx-name: Zo\xc3\xab\r\nx-name: \r\n\r\n" == _head(
        "GET", "/a?b", [("host", "h"), ("x-name", "Zoë"), ("x-name", "")]
    )


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\x00", "/\x7f", "/ä", "/\u2028"])
def test_a_target_that_ends_too_soon_is_not_sent(target: str) -> None:
    with pytest.raises(ValueError, match="no request can have this"):
        _head("GET", target, [])


@pytest.mark.parametrize("value", ["a\r\nX-Auth-User: root", "a\nb", "a\rb", "a\0"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    with pytest.raises(ValueError, match="no request can have this"):
        _head("GET", "/", [("x-a", "fine"), ("x-b", value)])


ANSWERS = {
    "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "OPTIONS": b"HTTP/1.1 204 No Content\r\n\r\n",
    "GET": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
}


def test_a_connection_is_kept_whatever_was_answered_and_is_shared_with_requests_that_have_a_body() -> None:
    opened: list[int] = []

    def answer(connection: socket.socket) -> None:
        opened.append(1)
        while octets := connection.recv(65_536):
            connection.sendall(ANSWERS.get(octets.partition(b" ")[0].decode(), OK))

    with of_octets(answer) as upstream, proxy(upstream) as port:
        found = [ask(port, method=method, body=b"x" if method == "POST" else None) for method in (*ANSWERS, "POST") * 2]

    assert [200, 204, 200, 200] * 2 == [reply.status for reply in found]
    assert [b"", b"", b"hi", b"ok"] * 2 == [reply.body for reply in found]
    assert 1 == len(opened)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_a_connection_on_which_more_may_come_is_not_asked_again(reply: bytes) -> None:
    opened: list[int] = []

    def answer(connection: socket.socket) -> None:
        opened.append(1)
        while connection.recv(65_536):
            connection.sendall(reply)

    with of_octets(answer) as upstream, proxy(upstream) as port:
        found = [ask(port, f"/{number}") for number in range(3)]

    assert 3 == len(opened)
    assert {b"ok"} == {each.body for each in found} or {502} == {each.status for each in found}


@pytest.mark.parametrize("resets", [False, True])
def test_a_request_that_a_kept_connection_loses_is_sent_again_once(resets: bool) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        seen.append(connection.recv(65_536))
        if b"/lost" in seen[-1]:
            leave(connection, resets=resets)
            return
        connection.sendall(OK)
        seen.append(connection.recv(65_536))
        leave(connection, resets=resets)

    with of_octets(answer) as upstream, proxy(upstream) as port:
        assert [200, 200, 502] == [ask(port, target).status for target in ("/first", "/again", "/lost")]

    targets = [octets.split()[1] for octets in seen if octets]
    assert [b"/first", b"/again", b"/again", b"/lost", b"/lost"] == targets


def leave(connection: socket.socket, *, resets: bool) -> None:
    if resets:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        connection.close()


def test_an_answer_that_nobody_reads_to_its_end_costs_its_connection_alone() -> None:
    opened: list[int] = []

    def answer(connection: socket.socket) -> None:
        opened.append(1)
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(10_000))

    async def play(port: int) -> list[bytes]:
        pieces: list[bytes] = []
        url = URL(f"http://127.0.0.1:{port}")
        async with aiohttp.ClientSession() as session:
            asking = Asking(session, url, aiohttp.ClientTimeout(total=None))
            for _ in range(2):
                async with await asking.ask("GET", "/", [("host", "h")]) as found:
                    pieces.append((await found.content.readany())[:1])
        return pieces

    with of_octets(answer) as port:
        pieces = asyncio.run(play(port))

    assert [b"\0", b"\0"] == pieces
    assert 2 == len(opened)


def test_an_answer_that_comes_too_late_is_nobody_elses() -> None:
    given_up = threading.Event()
    opened: list[int] = []

    def answer(connection: socket.socket) -> None:
        opened.append(1)
        while octets := connection.recv(65_536):
            if b"/late" in octets:
                given_up.wait(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + octets.split()[1][:5])

    with of_octets(answer) as upstream, proxy(upstream, proxy=ProxySettings(answer_timeout=0.5)) as port:
        assert 504 == ask(port, "/late").status
        given_up.set()
        assert [b"/mine", b"/mine"] == [ask(port, "/mine").body for _ in range(2)]
    assert 2 == len(opened)


def test_a_proxy_that_is_closed_asks_nobody() -> None:
    async def play() -> None:
        session = aiohttp.ClientSession()
        asking = Asking(session, URL("http://127.0.0.1:1"), aiohttp.ClientTimeout(total=None))
        await session.close()
        with pytest.raises((UpstreamFailed, ConnectionLost, aiohttp.ClientError)):
            await asking.ask("GET", "/", [])

    asyncio.run(play())


def test_a_connection_that_does_not_come_in_time_is_504() -> None:
    with socket.socket() as full:  # nobody accepts, and there is no more room
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - it takes no name
            with suppress(BlockingIOError):
                each.connect(full.getsockname())
        with proxy(full.getsockname()[1], proxy=ProxySettings(connect_timeout=0.3)) as port:
            assert 504 == ask(port).status
        for each in waiting:
            each.close()


def test_what_was_asked_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "jwt_guard")
    with of_octets(seen_by([], b"nonsense\r\n\r\n")) as upstream, proxy(upstream) as port:
        assert 502 == ask(port, "/", ("Cookie", "a-secret-of-the-client")).status

    assert "502 UpstreamFailed" in caplog.text
    assert "a-secret-of-the-client" not in caplog.text
