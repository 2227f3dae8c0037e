"""A reverse proxy between real servers: what arrives, what comes back, and what happens when one side fails."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import anyone, authenticated, by_route, scopes
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.proxy import Proxy
from jwt_guard.gateway.settings import ProxySettings, Settings
from tests.support.minting import guard
from tests.support.proxied import ask, bearer, exchange, headers_of, of_octets, proxy, seen_by, serving
from tests.support.servers import Certificates, certificates_for, until

IDENTITY = IdentityHeaders(user="X-Auth-User", scopes="X-Auth-Scopes")
QUICK = ProxySettings(connect_timeout=0.5, answer_timeout=0.5)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Tell what arrived, in JSON."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    told = {
        "method": scope["method"],
        "target": scope["raw_path"].decode() + ("?" + scope["query_string"].decode() if scope["query_string"] else ""),
        "headers": [[name.decode(), value.decode("utf-8")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    octets = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"x-two", b"1"), (b"x-two", b"2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": octets})


@pytest.fixture(scope="module")
def upstream() -> Generator[int]:
    with serving(echo) as port:
        yield port


@pytest.fixture(scope="module")
def open_proxy(upstream: int) -> Generator[int]:
    with proxy(upstream) as port:
        yield port


def arrived(port: int, *arguments: Any, **more: Any) -> dict[str, Any]:
    reply = ask(port, *arguments, **more)

    assert 201 == reply.status, reply
    told: dict[str, Any] = json.loads(reply.body)
    told["sent"] = dict(told["headers"])
    return told


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_method_target_and_body_arrive_as_they_were_sent(open_proxy: int, method: str) -> None:
    told = arrived(open_proxy, "/a/b%20c,d/?x=%2F&y=../z", method=method, body=b"\x00\xff" * 100)

    assert (method, "/a/b%20c,d/?x=%2F&y=../z") == (told["method"], told["target"])
    assert "\x00\xff" * 100 == told["body"]
    assert "200" == told["sent"]["content-length"]


def test_a_request_without_a_body_has_none(open_proxy: int) -> None:
    told = arrived(open_proxy)

    assert "" == told["body"]
    assert not {"content-length", "transfer-encoding", "user-agent", "accept", "accept-encoding"} & told["sent"].keys()


def test_the_answer_comes_back_as_it_was_sent(open_proxy: int) -> None:
    reply = ask(open_proxy)

    assert ["1", "2"] == [value for name, value in reply.headers if name == "x-two"]
    assert 1 == sum(name == "date" for name, _ in reply.headers)
    assert "uvicorn" == reply.header("server")


def test_a_body_in_chunks_arrives(open_proxy: int) -> None:
    octets = b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = exchange(open_proxy, octets + b"2;ext=1\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n")

    assert b'"body": "hiyou"' in found
    assert b'["transfer-encoding", "chunked"]' in found


# --- who is asking -----------------------------------------------------------------------------------


def test_the_upstream_is_told_who_is_asking_and_nobody_else_may_say_so(upstream: int) -> None:
    lies = [("X-Auth-User", "root"), ("x_auth_user", "root"), ("X-AUTH-SCOPES", "all"), ("X.Auth.User", "root")]
    with proxy(upstream, guard(policy=anyone()), identity=IDENTITY) as port:
        told = arrived(port, "/", bearer(), *lies, ("Connection", "X-Auth-User, X-Auth-Scopes"))
        nobody = arrived(port, "/", *lies)

    named = [[name, value] for name, value in told["headers"] if "auth" in name.replace("_", "-").replace(".", "-")]
    assert [["x-auth-user", "ada-lovelace"], ["x-auth-scopes", "orders:read orders:write"]] == named
    assert "root" not in json.dumps(nobody["headers"])
    assert "x-auth-user" not in nobody["sent"]


@pytest.mark.parametrize("passes", [False, True])
def test_the_token_itself_goes_on_only_where_that_is_asked_for(upstream: int, passes: bool) -> None:
    with proxy(upstream, proxy=ProxySettings(pass_authorization=passes)) as port:
        token = bearer()
        assert (token[1] if passes else None) == arrived(port, "/", token)["sent"].get("authorization")


def test_who_may_not_pass_does_not_reach_the_upstream() -> None:
    record: list[bytes] = []
    rules = by_route(
        [("GET", "/open", anyone()), ("GET", "/orders", scopes("orders:read")), ("POST", "/x", scopes("no"))]
    )
    with of_octets(seen_by(record)) as upstream, proxy(upstream, guard(policy=rules)) as port:
        assert 401 == ask(port, "/orders").status
        assert 403 == ask(port, "/x", bearer(), method="POST", body=b"").status
        refused = ask(port, "/orders", bearer(), method="DELETE")
        assert (403, None) == (refused.status, refused.header("allow"))
        preflight = [("Origin", "https://page.test"), ("Access-Control-Request-Method", "GET")]
        assert 401 == ask(port, "/orders", *preflight, method="OPTIONS").status
        assert [] == record
        assert 200 == ask(port, "/open").status
        assert 1 == len(record)


def test_who_is_refused_before_the_body_is_not_asked_for_it(upstream: int) -> None:
    with proxy(upstream, guard(policy=authenticated())) as port, socket.create_connection(("127.0.0.1", port), 5) as it:
        it.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert it.recv(65_536).startswith(b"HTTP/1.1 401 ")


# --- one request, read in one way --------------------------------------------------------------------

AMBIGUOUS = [
    "//admin", "/a//b", "/a/../b", "/a/..", "/./a", "/a/%2e%2e/b", "/a/%2E./b", "/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b",
    "/a;b", "/a%3Bb", "/a/..;/b", "/a%00", "/a%0d%0ab", "/a%ff", "/a%c0%ae", "/a%zz", "/a%", "/a%2", "*", "/a?b#c",
    "http://other.test/a", "/a#b",
]  # fmt: skip


@pytest.fixture(scope="module", params=["strict", "h11"])
def watched_proxy(request: pytest.FixtureRequest) -> Generator[tuple[int, list[bytes]]]:
    """Give a proxy, by our own parser and by another, and what arrives behind it."""
    record: list[bytes] = []
    server = None if request.param == "strict" else {"http": "h11", "proxy_headers": False, "lifespan": "on"}
    with of_octets(seen_by(record)) as upstream, proxy(upstream, server=server) as port:
        yield port, record


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_a_target_with_two_readings_goes_nowhere_even_where_everybody_may(
    watched_proxy: tuple[int, list[bytes]], target: str
) -> None:
    port, record = watched_proxy
    record.clear()
    found = exchange(port, f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())

    assert found.partition(b" ")[2][:3] in {b"400", b"403"}
    assert [] == record


_POST = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
_CHUNKS = b"\r\n2\r\nhi\r\n0\r\n\r\n"
SMUGGLED = {
    "a length and chunks": _POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" + _CHUNKS,
    "chunks and a length": _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" + _CHUNKS,
    "two lengths": _POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length with a sign": _POST + b"Content-Length: +3\r\n\r\nabc",
    "a length in hexadecimal": _POST + b"Content-Length: 0x3\r\n\r\nabc",
    "a length below zero": _POST + b"Content-Length: -1\r\n\r\nabc",
    "a chunk that is none": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
    "a chunk with a sign": _POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n",
    "an unknown coding": _POST + b"Transfer-Encoding: xchunked\r\n" + _CHUNKS,
    "two codings": _POST + b"Transfer-Encoding: gzip, chunked\r\n" + _CHUNKS,
    "chunks, but not at last": _POST + b"Transfer-Encoding: chunked, identity\r\n" + _CHUNKS,
    "chunks twice": _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + _CHUNKS,
    "a blank before the colon": _POST + b"Transfer-Encoding : chunked\r\n" + _CHUNKS,
    "a tab that is another": _POST + b"Transfer-Encoding: \x0bchunked\r\n" + _CHUNKS,
    "chunks before there were any": _POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n" + _CHUNKS,
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\nConnection: close\r\n\r\n",
    "a bare return": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: b\rX-Auth-User: root\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: b\0c\r\n\r\n",
    "no text": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: \xe9\r\n\r\n",
    "a tunnel": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "an echo": b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "small letters": b"get / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_a_request_with_two_readings_goes_nowhere(watched_proxy: tuple[int, list[bytes]], how: str) -> None:
    port, record = watched_proxy
    record.clear()
    found = exchange(port, SMUGGLED[how], half_close=True)

    assert not found.startswith(b"HTTP/1.1 2") or (how, found.count(b"HTTP/1.1")) == ("a tunnel", 1), found
    assert [] == record


def test_a_trailer_is_no_header(watched_proxy: tuple[int, list[bytes]]) -> None:
    port, record = watched_proxy
    record.clear()
    trailers = b"X-Late: 1\r\nAuthorization: Bearer x\r\nHost: other\r\n\r\n"
    octets = _POST + b"Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n2\r\nhi\r\n0\r\n" + trailers

    assert exchange(port, octets).startswith(b"HTTP/1.1 200 ")
    assert ["h"] == [value for name, value in headers_of(record[0]) if name == "host"]
    assert not {"x-late", "authorization", "content-length"} & dict(headers_of(record[0])).keys()


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [("/%61dmin", "/admin"), ("/a%7eb", "/a~b"), ("/a%2cb", "/a%2Cb"), ("/a/", "/a/"), ("/%C3%a9", "/%C3%A9")],
)
def test_a_path_arrives_in_its_normal_form(open_proxy: int, sent: str, arrives: str) -> None:
    assert arrives == arrived(open_proxy, sent)["target"]


def test_an_escaped_slash_goes_on_where_a_route_says_so(upstream: int) -> None:
    rules = by_route([("GET", "/files/{name}", anyone()), ("GET", "/**", anyone())], encoded=["/files/{name}"])
    with proxy(upstream, guard(policy=rules)) as port:
        assert "/files/a%2Fb" == arrived(port, "/files/a%2fb")["target"]
        assert 403 == ask(port, "/other/a%2fb", bearer()).status


@pytest.mark.parametrize(
    "name",
    [
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override", "X-Original-URL",
        "X-Rewrite-URL", "X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "Proxy",
        "TE", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Trailer", "Upgrade", "HTTP2-Settings",
        "Content_Length", "Transfer_Encoding", "Transfer.Encoding",
    ],
)  # fmt: skip
def test_what_makes_another_request_of_it_is_left_out(open_proxy: int, name: str) -> None:
    told = arrived(open_proxy, "/", (name, "DELETE"), ("X-Stays", "1"))

    assert "DELETE" not in [value for _, value in told["headers"]]
    assert "1" == told["sent"]["x-stays"]


def test_what_connection_names_is_for_this_hop_alone(open_proxy: int) -> None:
    told = arrived(open_proxy, "/", ("Connection", "close, X-Mine"), ("Connection", "cookie"), ("X-Mine", "1"))

    assert not {"x-mine", "connection"} & told["sent"].keys()


def test_connection_takes_nothing_away_that_we_say(open_proxy: int) -> None:
    named = "Host, Content-Length, X-Forwarded-For, X-Forwarded-Proto, Forwarded, Via"
    told = arrived(open_proxy, "/", ("Connection", named), method="POST", body=b"abc")

    assert ("abc", "api.test", "127.0.0.1") == (
        told["body"],
        told["sent"]["host"],
        told["sent"]["x-forwarded-for"],
    )
    assert {"content-length", "x-forwarded-proto", "forwarded", "via"} <= told["sent"].keys()


def test_a_header_in_utf8_arrives(open_proxy: int) -> None:
    assert "Zoë" == arrived(open_proxy, "/", ("X-Name", "Zoë"))["sent"]["x-name"]


# --- where it comes from -----------------------------------------------------------------------------


def test_a_proxy_that_is_trusted_is_believed_and_others_are_not(upstream: int) -> None:
    said = [
        ("X-Forwarded-For", "junk, 192.0.2.7, 2001:db8::1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.test"),
        ("X-Forwarded-Prefix", "/p"),
        ("Forwarded", "for=1.2.3.4"),
        ("X-Real-IP", "192.0.2.7"),
    ]
    with proxy(upstream) as trusting, proxy(upstream, trusted_proxies=()) as careful:
        told, lies = arrived(trusting, "/", *said)["sent"], arrived(careful, "/", *said)["sent"]

    assert ("192.0.2.7, 2001:db8::1, 127.0.0.1", "https", "shop.test", "/p", "192.0.2.7") == (
        told["x-forwarded-for"],
        told["x-forwarded-proto"],
        told["x-forwarded-host"],
        told["x-forwarded-prefix"],
        told["x-real-ip"],
    )
    assert 'for=192.0.2.7;host="shop.test";proto=https, for="[2001:db8::1]", for=127.0.0.1' == told["forwarded"]
    assert ("127.0.0.1", "http", "api.test") == (
        lies["x-forwarded-for"],
        lies["x-forwarded-proto"],
        lies["x-forwarded-host"],
    )
    assert 'for=127.0.0.1;host="api.test";proto=http' == lies["forwarded"]
    assert not {"x-real-ip", "x-forwarded-prefix"} & lies.keys()


@pytest.mark.parametrize(("keeps", "host"), [(True, "api.test"), (False, "127.0.0.1:{port}")])
def test_the_host_is_the_clients_or_the_upstreams(upstream: int, keeps: bool, host: str) -> None:
    with proxy(upstream, proxy=ProxySettings(keep_host=keeps)) as port:
        assert host.format(port=upstream) == arrived(port)["sent"]["host"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/orders/1", "/orders/1"),
        ("orders/1?a=b#c", "orders/1?a=b#c"),
        ("http://127.0.0.1:{port}/orders/1?a=http://127.0.0.1:{port}/#f", "http://api.test/orders/1?a=http://127.0.0.1:{port}/#f"),
        ("HTTP://127.0.0.1:{port}", "http://api.test"),
        ("http://u@127.0.0.1:{port}/x", "http://u@127.0.0.1:{port}/x"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        ("http://127.0.0.1.evil.test/x", "http://127.0.0.1.evil.test/x"),
        ("https://id.test/login?next=/x", "https://id.test/login?next=/x"),
        ("http://[::1/x", "http://[::1/x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_a_location_leads_to_where_the_upstream_meant(name: str, location: str, expected: str) -> None:
    reply: list[bytes] = [b""]

    def answer(connection: socket.socket) -> None:
        seen_by([], reply[0])(connection)

    with of_octets(answer) as upstream, proxy(upstream) as port:
        reply[0] = (
            f"HTTP/1.1 302 Found\r\n{name}: {location.format(port=upstream)}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert expected.format(port=upstream) == ask(port).header(name.lower())


# --- answers of every kind ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "reply", "status", "headers", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, {"content-length": "7"}, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", 204, {"x-a": "1"}, b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, {"etag": "x"}, b""),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, {"content-length": "0"}, b""),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, {}, b"until the end"),
        ("GET", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, {}, b"x"),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
            200,
            {"trailer": None, "x-t": None},
            b"hi",
        ),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
            200,
            {"content-encoding": "gzip", "content-length": "3"},
            b"xyz",
        ),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nConnection: X-O\r\nX-O: 1\r\nKeep-Alive: x\r\nAlt-Svc: h\r\nContent-Length: 0\r\n\r\n",
            200,
            {"x-o": None, "keep-alive": None, "alt-svc": None},
            b"",
        ),
        ("GET", b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599, {}, b""),
    ],
)  # fmt: skip
def test_every_kind_of_answer_comes_back(
    method: str, reply: bytes, status: int, headers: dict[str, str | None], body: bytes
) -> None:
    with of_octets(seen_by([], reply)) as upstream, proxy(upstream) as port:
        found = ask(port, method=method)

    assert (status, body) == (found.status, found.body)
    assert headers == {name: found.header(name) for name in headers}


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_502(reply: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with of_octets(seen_by([], reply)) as upstream, proxy(upstream) as port:
        found = ask(port)

    assert 502 == found.status
    told = json.loads(found.body)
    assert "application/problem+json" == found.header("content-type")
    assert told["id"] in caplog.text
    assert "The application cannot be reached at the moment" == told["detail"]


def test_an_upstream_that_is_not_there_is_502_and_a_slow_one_504() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port_of_nobody = nobody.getsockname()[1]
    with proxy(port_of_nobody, proxy=QUICK) as port:
        assert 502 == ask(port).status
    with of_octets(lambda _: time.sleep(2)) as upstream, proxy(upstream, proxy=QUICK) as port:
        start = time.monotonic()
        slow = ask(port)
    assert (504, "5") == (slow.status, slow.header("retry-after"))
    assert time.monotonic() - start < 4


def test_an_upload_may_take_longer_than_the_answer_to_it(upstream: int) -> None:
    with proxy(upstream, proxy=QUICK) as port, socket.create_connection(("127.0.0.1", port), 10) as it:
        it.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
        for octet in b"hello":
            time.sleep(0.25)
            it.sendall(bytes([octet]))
        assert b'"body": "hello"' in b"".join(iter(lambda: it.recv(65_536), b""))


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nhe", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n"])
@pytest.mark.parametrize("asks", [False, True])
def test_a_client_that_does_not_send_the_rest_is_408_and_its_connection_ends(
    framing: bytes, asks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        seen_by([], b"HTTP/1.1 100 Continue\r\n\r\n" if asks else b"")(connection)
        with suppress(ConnectionResetError):
            while connection.recv(65_536):
                pass
        ended.set()

    caplog.set_level("INFO", "jwt_guard")
    expect = b"Expect: 100-continue\r\n" if asks else b""
    with of_octets(answer) as upstream, proxy(upstream, proxy=QUICK) as port:
        found = exchange(port, b"POST / HTTP/1.1\r\nHost: h\r\n" + expect + framing)
        assert ended.wait(10)

    final = found.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert final.startswith(b"HTTP/1.1 408 ")
    assert ("close", None) == (dict(headers_of(final))["connection"], dict(headers_of(final)).get("retry-after"))
    assert "The rest of the request did not come in time" in final.decode()
    assert ["INFO"] == [record.levelname for record in caplog.records if "408 ClientTooSlow" in record.getMessage()]


@pytest.mark.parametrize(
    "octets",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_an_upstream_that_does_not_answer_to_all_of_it_is_504(octets: bytes) -> None:
    with silent() as upstream, proxy(upstream, proxy=QUICK) as port:
        found = exchange(port, b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + octets)

    assert found.startswith(b"HTTP/1.1 504 ")


def test_an_upstream_that_does_not_take_what_the_client_sends_is_504() -> None:
    with (
        silent() as upstream,
        proxy(upstream, proxy=QUICK) as port,
        socket.create_connection(("127.0.0.1", port), 10) as it,
    ):
        it.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1073741824\r\n\r\n")
        sending = threading.Thread(target=send_all_that_is_taken, args=(it,))
        sending.start()
        assert it.recv(65_536).startswith(b"HTTP/1.1 504 ")
        it.shutdown(socket.SHUT_RDWR)
        sending.join(10)


@contextmanager
def silent() -> Generator[int]:
    """Give the port of an upstream that neither reads nor answers."""
    is_over = threading.Event()

    def answer(_connection: socket.socket) -> None:
        is_over.wait(20)

    with of_octets(answer) as port:
        try:
            yield port
        finally:
            is_over.set()


def send_all_that_is_taken(connection: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(16_384):
            connection.sendall(bytes(65_536))


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_an_answer_that_breaks_off_does_not_look_whole(reply: bytes) -> None:
    with of_octets(seen_by([], reply)) as upstream, proxy(upstream) as port:
        found = exchange(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

    assert b"half" in found
    assert b"\r\n0\r\n" not in found
    assert dict(headers_of(found)).get("content-length") in {None, "10"}


def test_connections_to_the_upstream_are_kept() -> None:
    opened: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        opened.append(connection)
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with of_octets(answer) as upstream, proxy(upstream) as port:
        assert [200] * 5 == [ask(port).status for _ in range(5)]
        assert 1 == len(opened)


def test_a_kept_connection_that_was_closed_loses_no_get_and_repeats_no_post() -> None:
    record: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        seen_by(record, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(connection)
        again = connection.recv(65_536)  # a server that closes as the next request arrives
        if again:
            record.append(again)

    with of_octets(answer) as upstream, proxy(upstream) as port:
        assert 200 == ask(port).status
        assert 200 == ask(port, "/again").status
        assert 502 == ask(port, "/post", method="POST", body=b"x").status
    assert 1 == sum(head.startswith(b"POST /post") for head in record)


# --- streams -----------------------------------------------------------------------------------------


def test_events_come_one_by_one() -> None:
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        seen_by([], b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")(connection)
        assert go_on.wait(10)
        connection.sendall(b"data: 2\n\n")

    with (
        of_octets(answer) as upstream,
        proxy(upstream) as port,
        socket.create_connection(("127.0.0.1", port), 10) as it,
    ):
        it.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n")
        found = b""
        while b"data: 1" not in found:
            found += it.recv(65_536)
        assert b"data: 2" not in found
        go_on.set()
        assert b"data: 2" in b"".join(iter(lambda: it.recv(65_536), b""))


@pytest.mark.parametrize("when", ["before the answer", "in the midst of it"])
def test_a_client_that_goes_ends_what_the_upstream_does(when: str) -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\n\r\nx" if when == "in the midst of it" else b""
        seen_by([], head)(connection)
        with suppress(ConnectionResetError):
            assert b"" == connection.recv(1)
        ended.set()

    with of_octets(answer) as upstream, proxy(upstream) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as it:
            it.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            if when == "in the midst of it":
                found = b""
                while not found.endswith(b"x\r\n"):
                    found += it.recv(65_536)
            else:
                time.sleep(0.2)
        assert ended.wait(5)


def test_a_client_that_goes_in_the_midst_of_an_upload_ends_it() -> None:
    found: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                found.append(piece)
        found.append(b"end")

    with of_octets(answer) as upstream, proxy(upstream) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as it:
            it.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
            until(lambda: b"half" in b"".join(found))
        until(lambda: bool(found) and found[-1] == b"end", 5)


def test_an_upstream_that_wants_the_body_is_asked_first_and_one_that_does_not_gets_none() -> None:
    record: list[bytes] = []

    def wants(connection: socket.socket) -> None:
        seen_by(record, b"HTTP/1.1 100 Continue\r\n\r\n")(connection)
        record.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    asking = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with of_octets(wants) as upstream, proxy(upstream) as port, socket.create_connection(("127.0.0.1", port), 10) as it:
        it.sendall(asking)
        assert it.recv(65_536).startswith(b"HTTP/1.1 100 Continue\r\n")
        it.sendall(b"hello")
        assert b"HTTP/1.1 200 OK" in b"".join(iter(lambda: it.recv(65_536), b""))
    assert "100-continue" == dict(headers_of(record[0]))["expect"]
    assert b"hello" == record[1]

    refuses = seen_by([], b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    with (
        of_octets(refuses) as upstream,
        proxy(upstream) as port,
        socket.create_connection(("127.0.0.1", port), 10) as it,
    ):
        it.sendall(asking)
        assert it.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_who_reads_slowly_slows_the_upstream_and_not_the_memory() -> None:
    sent = [0]

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        seen_by([], b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")(connection)
        while sent[0] < 67_108_864:
            connection.sendall(b"x" * 65_536)
            sent[0] += 65_536

    with of_octets(answer) as upstream, proxy(upstream) as port, socket.socket() as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        it.settimeout(10)
        it.connect(("127.0.0.1", port))
        it.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        before = -1
        while before != sent[0]:
            before = sent[0]
            time.sleep(0.3)
        assert 0 < sent[0] < 16_777_216
        assert 67_108_864 <= sum(len(piece) for piece in iter(lambda: it.recv(1 << 20), b""))


# --- an upstream with TLS ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificates]:
    folder = tmp_path_factory.mktemp("tls")
    wanted = {"good": "127.0.0.1", "of another authority": "127.0.0.1", "for another host": "127.0.0.2"}
    return {name: certificates_for(address, folder / name) for name, address in wanted.items()}


@contextmanager
def in_tls(app: Any, of: Certificates, trusted: Path | None) -> Generator[int]:
    """Give the port of a proxy before *app*, which speaks TLS."""
    settings = ProxySettings(ca_file=None if trusted is None else str(trusted))
    with (
        serving(app, ssl_certfile=of.certificate, ssl_keyfile=of.key) as port,
        proxy(port, upstream=f"https://127.0.0.1:{port}", proxy=settings) as own,
    ):
        yield own


def test_an_upstream_may_have_tls(files: dict[str, Certificates]) -> None:
    with in_tls(echo, files["good"], files["good"].authority) as port:
        told = arrived(port, "/a?b", method="POST", body=b"x" * 100_000)
        again = arrived(port, host="shop.test")

    assert ("/a?b", "x" * 100_000, "http") == (told["target"], told["body"], told["sent"]["x-forwarded-proto"])
    assert "shop.test" == again["sent"]["host"]  # which is not what the certificate is for, and need not be


@pytest.mark.parametrize(
    ("shown", "trusted"),
    [("of another authority", "good"), ("for another host", "for another host"), ("good", None)],
)
def test_an_upstream_that_cannot_show_who_it_is_hears_nothing(
    files: dict[str, Certificates], shown: str, trusted: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await echo(scope, receive, send)

    with in_tls(app, files[shown], None if trusted is None else files[trusted].authority) as port:
        assert 502 == ask(port, "/", bearer()).status

    assert [] == asked
    assert "ClientConnectorCertificateError" in caplog.text


def test_an_upstream_that_has_no_tls_where_it_should_is_502(upstream: int) -> None:
    with proxy(upstream, upstream=f"https://127.0.0.1:{upstream}") as port:
        assert 502 == ask(port).status


# --- the application by itself -----------------------------------------------------------------------


def test_it_knows_no_other_kind_of_scope_and_closes_with_its_lifespan() -> None:
    app = Proxy(Settings(upstream="http://127.0.0.1:9"))
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def all_of_it() -> None:
        session = app.session
        assert session is app.session
        await app({"type": "lifespan"}, receive, send)
        assert session.closed
        await app.close()
        with pytest.raises(RuntimeError, match="scope type"):
            await app({"type": "other"}, receive, send)

    asyncio.run(all_of_it())
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent


def test_nothing_of_the_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = bearer()
    with proxy(1, proxy=QUICK) as port:
        assert 502 == ask(port, "/", token).status
    assert token[1].removeprefix("Bearer ") not in caplog.text
