"""Octets → the answers that they deserve: whatever comes, however it is cut, and by whomever it is sent."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import anyone, by_route, scopes
from jwt_guard.access.carriers import form, header
from jwt_guard.access.guard import Guard
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import InsufficientScope, Misconfigured
from jwt_guard.flow import Flow, call
from jwt_guard.gateway import front as module
from jwt_guard.gateway.doors import Doors
from jwt_guard.gateway.front import Front
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.messages import PlainRequest
from tests.support.gateway import Kept, answers, doors, exchange, fed, question, settled
from tests.support.minting import NOW, claims, guard, mint, provider

IDENTITY = IdentityHeaders(user="X-Auth-User", scopes="X-Auth-Scopes")
POLICY = by_route(
    [
        (None, "/open", anyone()),
        ("GET", "/orders/{id}", scopes("orders:read")),
        ("DELETE", "/orders/{id}", scopes("admin")),
        ("POST", "/orders", scopes("orders:write")),
    ]
)
GOOD = mint()
ORDER = (("X-Original-Method", "GET"), ("X-Original-URI", "/orders/1?a=1"))
TOKEN = ("Authorization", f"Bearer {GOOD}")
SLOW = "slow"


def judge(policy: Any = POLICY, **changes: Any) -> Judge:
    return Judge(guard(policy=policy), IDENTITY, **changes)


def slow(_request: object, credentials: Any) -> Flow[Decision]:
    async def wait() -> None:
        await asyncio.sleep(0.01)

    yield from call(wait)
    return Allow(credentials)


def ask(*pieces: bytes, of: Front | None = None, peer: Any = ("127.0.0.1", 1)) -> list[Any]:
    return answers(asyncio.run(exchange(of or Front(doors(judge())), *pieces, peer=peer)))


def statuses(*pieces: bytes, of: Front | None = None) -> list[int]:
    return [answer.status for answer in ask(*pieces, of=of)]


# --- what is asked for -------------------------------------------------------------------------------


def test_a_yes_is_200_and_says_who_is_asking() -> None:
    front = Front(doors(judge()))
    for _ in range(3):  # verified, remembered, and known by its octets
        (answer,) = ask(question(TOKEN, *ORDER), of=front)
        assert (200, b"") == (answer.status, answer.body)
        assert {
            "cache-control": "no-store",
            "content-length": "0",
            "x-auth-user": "ada-lovelace",
            "x-auth-scopes": "orders:read orders:write",
        } == answer.headers
    assert 1 == len(front.seen)


def test_an_open_route_lets_nobody_in_as_nobody() -> None:
    (answer,) = ask(question(("X-Original-Method", "GET"), ("X-Original-URI", "/open")))
    assert (200, "", "") == (answer.status, answer.headers["x-auth-user"], answer.headers["x-auth-scopes"])


def test_two_who_ask_are_told_apart() -> None:
    other = ("Authorization", f"Bearer {mint(claims(sub='bob'))}")
    front = Front(doors(judge()))
    for _ in range(3):
        users = [
            answer.headers["x-auth-user"] for answer in ask(question(TOKEN, *ORDER), question(other, *ORDER), of=front)
        ]
        assert ["ada-lovelace", "bob"] == users


def test_a_no_says_why() -> None:
    front = Front(doors(judge()))
    for _ in range(2):
        (answer,) = ask(question(*ORDER), of=front)
        assert 401 == answer.status
        assert 'Bearer realm="api"' == answer.headers["www-authenticate"]
        assert "x-auth-user" not in answer.headers


@pytest.mark.parametrize(
    ("start", "headers", "status"),
    [
        ("GET /auth HTTP/1.1", (TOKEN, *ORDER), 200),
        ("POST /auth/ HTTP/1.1", (TOKEN, *ORDER), 200),
        ("DELETE /auth/orders/1?x=1 HTTP/1.1", (TOKEN, *ORDER), 200),
        ("GET /auth HTTP/1.1", (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/orders/1"), TOKEN), 200),
        ("GET /ext_authz/orders/1?x=1 HTTP/1.1", (TOKEN,), 200),
        ("DELETE /ext_authz/orders/1 HTTP/1.1", (TOKEN,), 403),
        ("PATCH /ext_authz/orders/1 HTTP/1.1", (TOKEN,), 403),
        ("POST /ext_authz/orders HTTP/1.1", (TOKEN,), 200),
        ("GET /ext_authz/open HTTP/1.1", (), 200),
        ("GET /ext_authz HTTP/1.1", (TOKEN,), 400),
        ("GET /ext_authz/orders/1 HTTP/1.1", (TOKEN, TOKEN), 400),
        ("GET /ext_authz/open HTTP/1.1", (TOKEN, TOKEN), 400),
        ("GET /ext_authz/orders/1 HTTP/1.1", (("Authorization", f"Bearer {GOOD},Bearer {GOOD}"),), 400),
        ("GET /ext_authz/orders/1 HTTP/1.1", (("Authorization", f"Bearer {GOOD} \t"),), 200),
        ("GET /ext_authz/orders/1 HTTP/1.1", (("Authorization", "Basic YTpi"),), 401),
        ("GET /ext_authz/orders/1 HTTP/1.1", (("Authorization", ""),), 401),
        ("GET /auth HTTP/1.1", (TOKEN,), 400),
        ("GET /auth HTTP/1.1", (TOKEN, *ORDER, *ORDER), 400),
        ("GET /auth HTTP/1.1", (TOKEN, *ORDER, ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/open")), 400),
        ("GET /auth HTTP/1.1", (TOKEN, ("X-Original-Method", "get"), ("X-Original-URI", "/orders/1")), 403),
        ("GET /auth HTTP/1.1", (TOKEN, ("X-Original-Method", "CONNECT"), ("X-Original-URI", "/open")), 400),
        ("GET /auth HTTP/1.1", (TOKEN, ("X_Original_Method", "GET"), ("X_Original_URI", "/open")), 400),
        ("GET /authx HTTP/1.1", (TOKEN, *ORDER), 404),
        ("GET /AUTH HTTP/1.1", (TOKEN, *ORDER), 404),
        ("GET //auth HTTP/1.1", (TOKEN, *ORDER), 404),
        ("GET /x/../auth HTTP/1.1", (TOKEN, *ORDER), 404),
        ("GET /%61uth HTTP/1.1", (TOKEN, *ORDER), 404),
        ("GET / HTTP/1.1", (TOKEN, *ORDER), 404),
        ("OPTIONS * HTTP/1.1", (TOKEN, *ORDER), 400),
        ("GET http://x/auth HTTP/1.1", (TOKEN, *ORDER), 400),
        ("GET http://x/ext_authz/orders/1 HTTP/1.1", (TOKEN,), 400),
        ("CONNECT x:1 HTTP/1.1", (TOKEN, *ORDER), 400),
    ],
)
def test_each_door_answers_in_words_that_gateways_know(
    start: str, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    front = Front(doors(judge()))
    for _ in range(3):
        assert [status] == statuses(question(*headers, start=start), of=front)


@pytest.mark.parametrize(
    "target",
    [
        "//orders/1",
        "/orders//1",
        "/orders/../orders/1",
        "/orders/%2e%2e/open",
        "/orders%2F1",
        "/orders/1;x",
        "/orders/1%00",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_let_in_nowhere(target: str) -> None:
    headers = (TOKEN, ("X-Original-Method", "GET"), ("X-Original-URI", target))
    assert [403] == statuses(question(*headers))
    assert [403] == statuses(question(TOKEN, start=f"GET /ext_authz{target} HTTP/1.1"))


def test_head_has_no_body() -> None:
    octets = asyncio.run(
        exchange(Front(doors(judge())), question(start="HEAD /ext_authz/orders/1 HTTP/1.1"), question(TOKEN, *ORDER))
    )
    assert [401, 200] == [answer.status for answer in answers(octets, "HEAD", "GET")]


@pytest.mark.parametrize("host", ["", "Host: x\r\nHost: y\r\n", "Host: x\r\nHost: x\r\n"])
def test_a_question_has_one_host(host: str) -> None:
    assert [400] == statuses(question(TOKEN, *ORDER, host=host))


def test_the_metadata_of_the_resource_are_given_to_anybody() -> None:
    resource = ProtectedResource("https://api.example/orders")
    of = Front(
        Doors(doors(judge()).settings, Judge(Guard([provider()], clock=lambda: NOW, resource=resource), IDENTITY))
    )
    start = f"GET {resource.path} HTTP/1.1"
    for peer in (("127.0.0.1", 1), ("10.0.0.1", 1)):
        (answer,) = ask(question(start=start), of=of, peer=peer)
        assert (200, "application/json") == (answer.status, answer.headers["content-type"])


# --- who asks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("peer", "status"), [(("127.0.0.1", 1), 200), (("::1", 1, 0, 0), 200), ("", 200), (b"x", 200)])
def test_a_gateway_is_answered(peer: Any, status: int) -> None:
    assert [status] == [answer.status for answer in ask(question(TOKEN, *ORDER), peer=peer)]


def test_a_stranger_is_told_the_same_whatever_they_ask(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    front = Front(doors(judge()))
    assert [200] == statuses(question(TOKEN, *ORDER), of=front)
    told = set()
    for asked in (question(TOKEN, *ORDER), question(), question(start="GET /x HTTP/1.1")):
        (answer,) = ask(asked + asked, of=front, peer=("10.0.0.1", 1))
        told.add((answer.status, answer.headers["connection"], answer.body.partition(b'"id"')[0]))
        assert "www-authenticate" not in answer.headers
    assert 1 == len(told)
    assert (403, "close") == told.pop()[:2]
    assert "'10.0.0.1'" in caplog.text


# --- connections -------------------------------------------------------------------------------------


def test_questions_are_answered_in_their_order() -> None:
    front = Front(doors(judge(policy=by_route([(None, "/slow", slow), (None, "/open", anyone())]))))
    starts = ["/slow", "/open", "/slow", "/nowhere", "/open"]
    sent = b"".join(question(TOKEN, start=f"GET /ext_authz{path} HTTP/1.1") for path in starts)
    expected = [200, 200, 200, 403, 200]
    assert expected == statuses(sent, of=front)
    assert expected == statuses(*(sent[place : place + 1] for place in range(len(sent))), of=front)


@pytest.mark.parametrize(
    ("start", "more", "expected"),
    [
        ("GET /auth HTTP/1.1", "", None),
        ("GET /auth HTTP/1.1", "close", "close"),
        ("GET /auth HTTP/1.0", "", "close"),
        ("GET /auth HTTP/1.0", "keep-alive", "keep-alive"),
    ],
)
def test_a_connection_stays_where_it_may(start: str, more: str, expected: str | None) -> None:
    headers = (TOKEN, *ORDER, *([("Connection", more)] if more else []))
    sent = question(*headers, start=start)
    front = Front(doors(judge()))
    for _ in range(2):
        found = ask(sent, sent, of=front)
        assert [200] * (1 if expected == "close" else 2) == [answer.status for answer in found]
        assert expected == found[0].headers.get("connection")


def test_http_1_0_needs_no_host() -> None:
    assert [200] == statuses(question(TOKEN, *ORDER, start="GET /auth HTTP/1.0", host=""))


@pytest.mark.parametrize("start", ["GET /auth HTTP/2.0", "GET /auth HTTP/0.9", "GET /auth", "GET /auth HTTP/1.2"])
def test_other_versions_are_not_answered(start: str) -> None:
    assert [400] == statuses(question(TOKEN, *ORDER, start=start))


def test_whoever_wants_another_protocol_is_answered_in_this_one() -> None:
    upgrade = question(TOKEN, *ORDER, ("Connection", "Upgrade"), ("Upgrade", "websocket"))
    (answer,) = ask(upgrade + question(TOKEN, *ORDER))
    assert (200, "close") == (answer.status, answer.headers["connection"])


BODIES = [
    (b"Content-Length: 3\r\n\r\nabc", 200),
    (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200),
    (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Basic x\r\nX-Original-URI: /x\r\n\r\n", 200),
    (b"Content-Length: 65536\r\n\r\n" + b"x" * 65_536, 200),
    (b"Content-Length: 65537\r\n\r\n" + b"x" * 65_537, 400),
    (b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 65_537 + b"0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 700_000 + b"\r\nx\r\n0\r\n\r\n", 400),
    (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"Content-Length: 3, 3\r\n\r\nabc", 400),
    (b"Content-Length: +3\r\n\r\nabc", 400),
    (b"Content-Length: -3\r\n\r\nabc", 400),
    (b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked\r\n\r\nx\r\n0\r\n\r\n", 400),
    (b"X: a\r\n b\r\n\r\n", 400),
    (b"X : a\r\n\r\n", 400),
    (b"X: a\x00b\r\n\r\n", 400),
    (b"X: a\rb\r\n\r\n", 400),
    (b"X: a\n\r\n", 400),
]


@pytest.mark.parametrize(("rest", "status"), BODIES)
def test_a_body_is_dropped_and_what_has_no_clear_end_refused(rest: bytes, status: int) -> None:
    sent = question(TOKEN, *ORDER)[:-2] + rest
    after = question(TOKEN, *ORDER)
    expected = [200, 200] if status == 200 else [status]
    assert expected == statuses(sent + after)
    if len(sent) < 10_000:
        assert expected == statuses(*(bytes([octet]) for octet in sent + after))


def test_a_body_is_asked_for_once_what_came_before_is_answered() -> None:
    front = Front(doors(judge(policy=by_route([(None, "/slow", slow)]))))
    head = question(TOKEN, ("Expect", "100-Continue"), ("Content-Length", "3"), start="POST /ext_authz/slow HTTP/1.1")

    async def talk() -> bytes:
        transport, connection = await fed(front, [head[:-4] + head[-4:]])
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == bytes(transport.written)
        connection.data_received(b"abc" + head)
        await settled(connection)
        connection.data_received(b"abc")
        await settled(connection)
        connection.connection_lost(None)
        return bytes(transport.written)

    written = asyncio.run(talk())
    assert [b"100", b"200", b"100", b"200"] == [part[:3] for part in written.split(b"HTTP/1.1 ")[1:]]


def test_a_body_that_is_here_already_is_not_asked_for() -> None:
    sent = question(TOKEN, *ORDER, ("Expect", "100-continue"), ("Content-Length", "3")) + b"abc"
    assert [200] == statuses(sent)


# --- too much, and too slow --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7_000, 16_384, 1_000_000])
def test_a_head_has_an_end(size: int) -> None:
    longest = doors(judge()).longest
    front = Front(doors(judge()))
    for length, status in ((longest - 2_000, 200), (longest + 2_000, 431), (2_000_000, 431)):
        if length > 100_000 and size == 1:
            continue
        sent = question(TOKEN, *ORDER)[:-2] + b"X: " + b"x" * (length - 1_000) + b"\r\n\r\n"
        assert [status] == statuses(*(sent[place : place + size] for place in range(0, len(sent), size)), of=front)


def test_a_target_and_a_name_have_an_end_too() -> None:
    long = "x" * 200_000
    assert [431] == statuses(question(start=f"GET /{long} HTTP/1.1"))
    assert [431] == statuses(question((long, "x")))
    assert [431] == statuses(question(*[("x", "")] * 300))
    assert [400] == statuses(b"\r\n" * 20_000)


def after(front: Front, *pieces: bytes, seconds: int, peer: str) -> Kept:
    async def talk() -> Kept:
        transport, _ = await fed(front, pieces, (peer, 1))
        for _ in range(seconds):
            front.second()
        return transport

    return asyncio.run(talk())


@pytest.mark.parametrize(
    ("pieces", "seconds", "peer"),
    [
        ((b"G",), 10, "127.0.0.1"),
        ((question(TOKEN, *ORDER) + b"G",), 10, "127.0.0.1"),
        ((question(TOKEN, *ORDER, ("Content-Length", "3")) + b"ab",), 10, "127.0.0.1"),
        ((), 300, "127.0.0.1"),
        ((question(TOKEN, *ORDER),), 300, "127.0.0.1"),
        ((), 10, "10.0.0.1"),
        ((b"\x00",), 5, "127.0.0.1"),
    ],
)
def test_whoever_takes_too_long_is_let_go(pieces: tuple[bytes, ...], seconds: int, peer: str) -> None:
    assert not after(Front(doors(judge())), *pieces, seconds=seconds, peer=peer).is_closed
    assert after(Front(doors(judge())), *pieces, seconds=seconds + 1, peer=peer).is_closed


def test_a_drip_is_no_progress() -> None:
    front = Front(doors(judge()))

    async def talk() -> bool:
        transport, connection = await fed(front, [])
        for octet in question(TOKEN, *ORDER)[:20]:
            connection.data_received(bytes([octet]))
            front.second()
        return transport.is_aborted

    assert asyncio.run(talk())


def test_whoever_does_not_read_is_not_answered_until_they_do() -> None:
    front = Front(doors(judge()))
    sent = question(TOKEN, *ORDER)

    async def talk() -> None:
        transport, connection = Kept(is_full=True), front.connection()
        transport.protocol = connection
        connection.connection_made(transport)
        connection.data_received(sent * 1_000)
        assert transport.is_paused
        assert 1 == transport.written.count(b"HTTP/1.1 200")
        transport.is_full = False
        connection.resume_writing()
        assert not transport.is_paused
        assert 1_000 == transport.written.count(b"HTTP/1.1 200")
        connection.pause_writing()
        for _ in range(11):
            front.second()
        assert transport.is_aborted

    asyncio.run(talk())


def test_what_is_asked_before_the_end_is_answered_after_it() -> None:
    front = Front(doors(judge(policy=by_route([(None, "/slow", slow)]))))

    async def talk() -> Kept:
        transport, connection = Kept(), front.connection()
        connection.connection_made(transport)
        connection.data_received(question(TOKEN, start="GET /ext_authz/slow HTTP/1.1") * 2)
        assert connection.eof_received()
        await settled(connection)
        return transport

    transport = asyncio.run(talk())
    assert [200, 200] == [answer.status for answer in answers(bytes(transport.written))]
    assert transport.is_closed


def test_who_has_gone_is_told_nothing() -> None:
    front = Front(doors(judge(policy=by_route([(None, "/slow", slow)]))))

    async def talk() -> int:
        transport, connection = Kept(), front.connection()
        connection.connection_made(transport)
        connection.data_received(question(TOKEN, start="GET /ext_authz/slow HTTP/1.1") * 3)
        connection.connection_lost(None)
        await settled(connection)
        assert b"" == transport.written
        return len(asyncio.all_tasks())

    assert 1 == asyncio.run(talk())


# --- configurations that change ----------------------------------------------------------------------


def test_what_changes_counts_for_the_next_question_on_every_connection() -> None:
    front = Front(doors(judge()))
    sent = question(TOKEN, *ORDER)

    async def talk() -> list[int]:
        transport, connection = await fed(front, [sent, sent])
        front.swap(Doors(front.doors.settings, Judge(guard(policy=scopes("admin")), IDENTITY)))
        connection.data_received(sent)
        front.swap(doors(judge(), forwarded="x-forwarded"))
        connection.data_received(sent)
        front.swap(doors(judge()))
        connection.data_received(sent)
        front.swap(doors(judge(), trusted_proxies=()))
        connection.data_received(sent)
        return [answer.status for answer in answers(bytes(transport.written))]

    assert [200, 200, 403, 400, 200, 403] == asyncio.run(talk())


def test_when_it_closes_it_answers_and_closes() -> None:
    front = Front(doors(judge()))
    sent = question(TOKEN, *ORDER)

    async def talk() -> None:
        idle, _ = await fed(front, [])
        busy, connection = await fed(front, [sent[:20]])
        front.close()
        front.close_idle()
        assert (True, False) == (idle.is_closed, busy.is_closed)
        connection.data_received(sent[20:])
        (answer,) = answers(bytes(busy.written))
        assert (200, "close") == (answer.status, answer.headers["connection"])
        front.abort()
        assert busy.is_aborted

    asyncio.run(talk())


def test_a_guard_that_has_to_see_a_body_is_refused_at_start() -> None:
    sees = Guard([provider()], clock=lambda: NOW, carriers=(header(), form()))
    with pytest.raises(Misconfigured, match="without the body"):
        doors(Judge(sees, IDENTITY))


# --- what was asked a moment ago ---------------------------------------------------------------------


def held(front: Front) -> list[bool]:
    return [entry.credentials is not None for entry in front.seen.values()]


def of(policy: Any, clock: Any = lambda: NOW, **changes: Any) -> Judge:
    return Judge(Guard([provider()], policy, clock=clock, **changes), IDENTITY)


def test_a_yes_is_held_where_the_policy_will_say_it_again() -> None:
    front = Front(doors(judge()))
    for _ in range(2):
        assert [200, 200] == statuses(question(TOKEN, *ORDER), question(TOKEN, *ORDER), of=front)
    assert [True] == held(front)


def test_a_no_is_not_held_and_nobodys_yes_neither() -> None:
    front = Front(doors(judge()))
    bad = ("Authorization", f"Bearer {mint(claims(scope='none'))}")
    for _ in range(3):
        assert [403] == statuses(question(bad, *ORDER), of=front)
        assert [200] == statuses(question(start="GET /ext_authz/open HTTP/1.1"), of=front)
        assert [400] == statuses(question(TOKEN), of=front)
    assert [False] * 3 == held(front)


def test_a_function_is_asked_each_time() -> None:
    asked: list[str] = []

    def first(request: Any, credentials: Any) -> Decision:
        asked.append(request.path)
        return Allow(credentials) if len(asked) < 4 else Deny(InsufficientScope())

    for policy in (first, by_route([(None, "/orders/{id}", first)])):
        asked.clear()
        front = Front(doors(of(policy)))
        found = [status for _ in range(5) for status in statuses(question(TOKEN, *ORDER), of=front)]
        assert [200, 200, 200, 403, 403] == found
        assert not any(held(front))


def test_a_held_yes_ends_with_the_token_and_with_the_trust_in_who_asks() -> None:
    now = [float(NOW)]
    front = Front(doors(of(POLICY, lambda: now[0])))
    sent = question(TOKEN, *ORDER)
    assert [200] * 3 == statuses(sent, sent, sent, of=front)
    assert [True] == held(front)
    assert [403] == [answer.status for answer in ask(sent, of=front, peer=("10.0.0.1", 1))]
    now[0] += 3_700
    assert [401] == statuses(sent, of=front)


def test_a_held_yes_ends_with_a_revocation() -> None:
    revoked: list[bool | None] = [False]

    def is_revoked(_credentials: Any) -> bool:
        if revoked[0] is None:
            message = "the list is out of reach"
            raise RuntimeError(message)
        return revoked[0]

    front = Front(doors(of(POLICY, revoked=is_revoked)))
    sent = question(TOKEN, *ORDER)
    assert [200] * 3 == statuses(sent, sent, sent, of=front)
    assert [True] == held(front)
    revoked[0] = True
    assert [401] * 2 == statuses(sent, sent, of=front)
    revoked[0] = None
    assert [503] * 2 == statuses(sent, sent, of=front)
    revoked[0] = False
    assert [200] * 2 == statuses(sent, sent, of=front)


def test_the_observer_hears_of_each() -> None:
    heard: list[Any] = []
    front = Front(doors(judge(observe=lambda *what: heard.append(what))))
    sent = question(TOKEN, *ORDER)
    assert [200] * 4 == statuses(sent, sent, sent, sent, of=front)
    assert 4 == len(heard)


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    front = Front(doors(judge()))
    sent = b"".join(question(("X-Number", str(number))) for number in range(2))
    many = [question(("X-Number", str(number))) for number in range(module._MOST_SEEN + 10)]
    assert [400] * (len(many) + 2) == statuses(*many, sent, of=front)
    assert len(front.seen) <= module._MOST_SEEN


# --- bugs --------------------------------------------------------------------------------------------


def broken(_request: object, credentials: Any) -> Decision:
    raise ValueError(credentials.claims["sub"])


def broken_later(_request: object, credentials: Any) -> Flow[Decision]:
    yield from call(lambda: None)
    raise ValueError(credentials.claims["sub"])


@pytest.mark.parametrize("policy", [broken, broken_later, lambda _request, _credentials: True])
def test_a_bug_is_no_yes(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    front = Front(doors(Judge(guard(policy=policy), IDENTITY)))
    assert [503, 503] == statuses(question(TOKEN, *ORDER) * 2, of=front)
    assert "a bug, and so no yes: " in caplog.text
    assert "ada-lovelace" not in caplog.text
    assert GOOD not in caplog.text


# --- whatever comes ----------------------------------------------------------------------------------

TOKENS = ["", GOOD, GOOD[:-4], mint(claims(scope="admin")), mint(claims(exp=NOW - 100)), f"{GOOD},{GOOD}", "x.y.z"]
METHODS = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "get"]
TARGETS = ["/open", "/orders/1", "/orders", "/orders/1?q=/open", "//orders", "/", "/orders/%2e%2e/open", "*", "x"]


@st.composite
def asked(draw: st.DrawFn) -> tuple[bytes, PlainRequest | None, str]:
    """Return a question as it is sent, the request that it is about (None: it names none) and its method."""
    tokens = draw(st.lists(st.sampled_from(TOKENS), max_size=2))
    headers = [("authorization", f"Bearer {token}") for token in tokens]
    method, target = draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS))
    noise = [("x-noise", draw(st.text("abc ,;", max_size=40)).strip())] * draw(st.integers(0, 3))
    body = draw(st.binary(max_size=50))
    if draw(st.booleans()) and target.startswith("/") and method != "get":
        start, own = f"{method} /ext_authz{target} HTTP/1.1", method
    else:
        family = draw(st.sampled_from(["x-original", "x-forwarded"]))
        own = draw(st.sampled_from(["GET", "POST", "HEAD"]))
        start = f"{own} /auth{draw(st.sampled_from(['', '/', '/a/b?c']))} HTTP/1.1"
        headers += [(f"{family}-method", method), (f"{family}-uri", target)]
    headers = draw(st.permutations([*headers, *noise]))
    length = [("content-length", str(len(body)))] if body else []
    path, _, query = target.partition("?")
    request = PlainRequest(method, path, query, tuple(headers)) if target.startswith("/") else None
    return question(*headers, *length, start=start) + body, request, own


@st.composite
def cut(draw: st.DrawFn, octets: bytes) -> Iterator[bytes]:
    places = sorted({0, len(octets), *draw(st.lists(st.integers(0, len(octets)), max_size=8))})
    return iter([octets[begin:end] for begin, end in itertools.pairwise(places)])


JUDGE = judge()
FRONT = Front(doors(JUDGE))


@given(st.data(), st.lists(asked(), min_size=1, max_size=6))
def test_whatever_is_asked_is_answered_as_the_judge_would(
    data: st.DataObject, questions: list[tuple[bytes, PlainRequest | None, str]]
) -> None:
    pieces = list(data.draw(cut(b"".join(sent for sent, _, _ in questions))))

    async def talk() -> tuple[bytes, list[int]]:
        written = await exchange(FRONT, *pieces)
        expected = []
        for _, request, _ in questions:
            decision = Deny(None) if request is None else await JUDGE.decide(request)  # type: ignore[arg-type]
            expected.append(400 if request is None else JUDGE.answer(decision, request).status)
        return written, expected

    written, expected = asyncio.run(talk())
    found = answers(written, *(method for _, _, method in questions))
    assert expected == [answer.status for answer in found]


@pytest.mark.parametrize("index", range(3))
def test_wherever_a_question_is_cut_it_is_the_same(index: int) -> None:
    start = ["GET /auth HTTP/1.1", "POST /ext_authz/orders HTTP/1.1", "DELETE /ext_authz/orders/1 HTTP/1.1"][index]
    whole = question(TOKEN, *(ORDER if index == 0 else ()), ("Content-Length", "2"), start=start) + b"ab"
    expected = [(200, 200, 403)[index]] * 2

    async def all_of_them() -> None:
        for place in range(len(whole) * 2):
            both = whole + whole
            written = await exchange(FRONT, both[:place], both[place:])
            assert expected == [answer.status for answer in answers(written)], place

    asyncio.run(all_of_them())


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([
    b"GET ", b"/auth", b" HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n", b"Host: x\r\n", b"Content-Length: 5\r\n", b": ",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"Authorization: Bearer " + GOOD.encode() + b"\r\n",
    b"X-Original-Method: GET\r\n", b"X-Original-URI: /orders/1\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n",
    b"Connection: upgrade\r\n", question(TOKEN, *ORDER), question(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
])), max_size=12))  # fmt: skip
def test_nothing_that_comes_raises_leaks_or_lets_in_who_should_not(pieces: list[bytes]) -> None:
    async def talk() -> tuple[bytes, int]:
        written = await exchange(FRONT, *pieces)
        return written, len(asyncio.all_tasks())

    written, tasks = asyncio.run(talk())
    assert 1 == tasks
    rest = written.replace(module._CONTINUE, b"")
    for answer in answers(rest):
        assert answer.status in (200, 400, 401, 403, 404, 431, 503)
    if rest.count(b"HTTP/1.1 200"):
        assert GOOD.encode() in b"".join(pieces)


@given(st.data(), st.lists(asked(), min_size=1, max_size=3))
def test_what_is_cut_short_is_answered_as_far_as_it_came(
    data: st.DataObject, questions: list[tuple[bytes, PlainRequest | None, str]]
) -> None:
    whole = b"".join(sent for sent, _, _ in questions)
    end = data.draw(st.integers(0, len(whole) - 1))
    complete = sum(
        len(b"".join(sent for sent, _, _ in questions[: number + 1])) <= end for number in range(len(questions))
    )
    found = answers(asyncio.run(exchange(FRONT, whole[:end])), *(method for _, _, method in questions))
    assert complete == len(found)
