"""Websockets through the reverse proxy, between a real client and a real upstream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jwt_guard import authenticated, scopes
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.settings import ProxySettings
from tests.support.minting import NOW, guard
from tests.support.proxied import Reply, ask, bearer, of_octets, proxy, seen_by, serving
from tests.support.servers import certificates_for

BIG = 4 * 1_048_576


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    """Echo; a few words make it do other things."""
    if scope["type"] != "websocket":
        return
    await receive()
    headers = dict(scope["headers"])
    if scope["path"] == "/refused":
        told = [(b"retry-after", b"7"), (b"x-own", b"1")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": told})
        await send({"type": "websocket.http.response.body", "body": b"no"})
        return
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"set-cookie", b"a=b")]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            CLOSED.append((message["code"], message.get("reason")))
            return
        text = message.get("text")
        if text == "who":
            await send({"type": "websocket.send", "text": headers.get(b"x-auth-user", b"nobody").decode()})
        elif text == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
            return
        elif text == "crash":
            raise RuntimeError
        else:
            await send({**message, "type": "websocket.send"})


CLOSED: list[tuple[int, str | None]] = []


@pytest.fixture(scope="module")
def port() -> Generator[int]:
    with (
        serving(upstream, ws="websockets-sansio") as behind,
        proxy(behind, guard(policy=authenticated()), identity=IdentityHeaders(user="X-Auth-User")) as own,
    ):
        yield own


def meet(port: int, talk: Callable[[Any], Coroutine[Any, Any, Any]], path: str = "/", **options: Any) -> Any:
    """Return what *talk* returns of a websocket to *port*."""
    options.setdefault("additional_headers", [bearer(), ("X-Auth-User", "root"), ("x_auth_user", "root")])

    async def all_of_it() -> Any:
        async with asyncio.timeout(10), connect(f"ws://127.0.0.1:{port}{path}", max_size=None, **options) as socket:
            return await talk(socket)

    return asyncio.run(all_of_it())


async def _ask(socket: Any, message: Any) -> Any:
    await socket.send(message)
    return await socket.recv()


@pytest.mark.parametrize("text", ["hello", "", "Zoë", "x" * BIG], ids=["word", "none", "letters", "much"])
@pytest.mark.parametrize("is_text", [True, False])
def test_what_is_said_comes_through_and_back(port: int, text: str, is_text: bool) -> None:
    message = text if is_text else text.encode()
    assert message == meet(port, lambda socket: _ask(socket, message))


def test_the_upstream_is_told_who_is_asking(port: int) -> None:
    assert "ada-lovelace" == meet(port, lambda socket: _ask(socket, "who"))


def test_subprotocol_and_cookies_are_the_upstreams(port: int) -> None:
    async def talk(socket: Any) -> Any:
        return socket.subprotocol, socket.response.headers["set-cookie"]

    assert ("b", "a=b") == meet(port, talk, subprotocols=["a", "b"])
    assert (None, "a=b") == meet(port, talk)


@pytest.mark.parametrize(("word", "codes"), [("close", {4001}), ("crash", {1014, 1011, 1012, 1006})])
def test_when_the_upstream_ends_it_is_told(port: int, word: str, codes: set[int]) -> None:
    async def talk(socket: Any) -> Any:
        await socket.send(word)
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
        received = caught.value.rcvd
        return (received.code, received.reason) if received else (1006, "")

    code, reason = meet(port, talk)
    assert code in codes
    assert ("enough" if word == "close" else reason) == reason


@pytest.mark.parametrize(("code", "expected"), [(1000, 1000), (3007, 3007)])
def test_when_the_client_ends_it_is_told(port: int, code: int, expected: int) -> None:
    CLOSED.clear()

    async def talk(socket: Any) -> None:
        await _ask(socket, "x")
        await socket.close(code, "bye")
        for _ in range(500):
            if CLOSED:
                return
            await asyncio.sleep(0.01)

    meet(port, talk)
    assert [(expected, "bye")] == CLOSED


HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),  # RFC 6455 §1.3
)


def refused(port: int, path: str = "/", *headers: tuple[str, str]) -> Reply:
    """Return the answer to a handshake with a good token that leads to no websocket."""
    reply = ask(port, path, *HANDSHAKE, *(headers or (bearer(),)))

    assert 101 != reply.status
    return reply


def test_who_may_not_in_stays_outside(port: int) -> None:
    assert 401 == refused(port, "/", ("X-A", "1")).status
    with proxy(1, guard(policy=scopes("no"))) as closed:
        assert 403 == refused(closed).status


@pytest.mark.parametrize("path", ["/a//b", "/a%2Fb", "/a;b"])
def test_a_path_with_two_readings_goes_nowhere(port: int, path: str) -> None:
    assert 403 == refused(port, path).status


def test_a_handshake_that_the_upstream_refuses_is_refused(port: int) -> None:
    reply = refused(port, "/refused")

    assert (429, "7", None) == (reply.status, reply.header("retry-after"), reply.header("x-own"))


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 502),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 307),
        (b"", 502),
    ],
)
def test_what_is_no_websocket_is_said_to_be_none(reply: bytes, status: int) -> None:
    with of_octets(seen_by([], reply)) as behind, proxy(behind) as port:
        assert status == refused(port).status


def test_an_upstream_that_does_not_answer_the_handshake_is_504() -> None:
    quick = ProxySettings(answer_timeout=0.3)
    with of_octets(lambda _: time.sleep(1)) as behind, proxy(behind, proxy=quick) as port:
        assert 504 == refused(port).status


def test_it_ends_with_its_token() -> None:
    moment = [float(NOW)]
    with serving(upstream, ws="websockets-sansio") as behind:
        judge = replace(guard(policy=authenticated()), clock=lambda: moment[0])
        with proxy(behind, judge) as port:

            async def talk(socket: Any) -> Any:
                assert "x" == await _ask(socket, "x")
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
                return caught.value.rcvd.code if caught.value.rcvd else None

            soon = [bearer(exp=NOW + 1 - 30)]
            assert 1008 == meet(port, talk, additional_headers=soon)


def test_a_websocket_goes_on_in_tls_to_who_can_show_who_it_is(tmp_path: Path) -> None:
    good, other = (certificates_for("127.0.0.1", tmp_path / name) for name in ("good", "other"))
    options = {"ssl_certfile": good.certificate, "ssl_keyfile": good.key, "ws": "websockets-sansio"}
    with serving(upstream, **options) as behind:
        found: list[Any] = []
        for files in (good, other):
            settings = ProxySettings(ca_file=str(files.authority))
            with proxy(behind, upstream=f"https://127.0.0.1:{behind}", proxy=settings) as own:
                if files is good:
                    found.append(meet(own, lambda it: _ask(it, "hello")))
                else:
                    with pytest.raises(InvalidStatus) as caught:
                        meet(own, lambda it: _ask(it, "hello"))
                    found.append(caught.value.response.status_code)

    assert ["hello", 502] == found
