"""A path that two programs could read differently → it is refused, or sent as it was judged, at every gateway."""

from __future__ import annotations

import pytest

from .rig import Front, token

# What some reading of it would allow: an open route, or one whose scope the token has.
REFUSED = (
    "/public//x", "//public/x", "/public/../admin/x", "/public/%2e%2e/admin/x", "/public/%2E%2E/admin/x",
    "/public/.%2e/admin/x", "/public/./x", "/public/%2e/x", "/public/..;/admin/x", "/public/x;y", "/public/x;/../admin",
    "/public/a%2Fb", "/public/a%2fb", "/public/%2e%2e%2fadmin/x", "/public/a%5Cb", "/public/..%5Cadmin/x",
    "/public/a%00b", "/public/%ff", "/public/%c0%af", "/public/x%3By", "/public/%", "/public/%zz", "/public/%2",
    "/public/..", "/public/.", "/orders/..", "/orders/.", "/orders/1/..", "/orders/1;x", "/orders/1%2F2",
    "/admin/x", "/ADMIN/x", "/Admin/x", "/admin%2Fx", "/%61dmin/x", "/orders/1/2", "/ORDERS/1", "/health/..", "/Health",
    "/public/%252e%252e/%2e%2e/admin/x", "/public/a\\b", "/_jwt_guard", "/auth", "/ext_authz/health",
)  # fmt: skip
TAKEN = {
    "/public/x": "/public/x",
    "/public/x/": "/public/x/",
    "/public": "/public",
    "/public/": "/public/",
    "/public/%252e%252e/x": "/public/%252e%252e/x",
    "/public/a%20b": "/public/a%20b",
    "/public/~a": "/public/~a",
    "/public/A": "/public/A",
    "/public/x?a=../%2e%2e//b": "/public/x?a=../%2e%2e//b",
    "/public/x?": "/public/x",
    "/public/%61": "/public/%61",
}


@pytest.mark.parametrize("target", REFUSED)
def test_what_can_be_read_in_two_ways_reaches_no_application(front: Front, target: str) -> None:
    before = len(front.upstream.seen)
    for bearer in (None, token()):
        answer = front.ask(target=target, bearer=bearer)

        assert answer.status in {400, 401, 403, 404}, front.upstream.seen[before:]
        assert answer.status != 404 or target == "/_jwt_guard"
    assert [] == front.upstream.seen[before:]


@pytest.mark.parametrize("target", TAKEN)
def test_what_is_sent_is_what_was_judged(front: Front, target: str) -> None:
    answer = front.ask(target=target)

    assert 200 == answer.status
    wanted = {target, TAKEN[target]} | ({"/public/a"} if target == "/public/%61" else set())
    assert answer.told["target"] in wanted


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://127.0.0.1/admin/x HTTP/1.1", {400, 401}),
        ("GET http://127.0.0.1/public/../admin/x HTTP/1.1", {400, 401, 403}),
        ("GET http://other.test/admin/x HTTP/1.1", {400, 401}),
        ("OPTIONS * HTTP/1.1", {200, 400, 401, 404, 405}),  # Go's server answers for itself
        ("CONNECT 127.0.0.1:80 HTTP/1.1", {400, 401, 404, 405, 501}),
        ("CONNECT /public/x HTTP/1.1", {400, 401, 404, 405, 501}),
        ("GET admin HTTP/1.1", {400, 401, 404}),
        ("GET ?x HTTP/1.1", {400, 401, 404}),
        ("GET /public/x HTTP/1.1\r\nX-A : b", {400}),
        ("GET /public/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x", {400, 501}),
    ],
)
def test_other_targets_and_framings_open_nothing(front: Front, line: str, status: set[int]) -> None:
    before = len(front.upstream.seen)
    got = front.raw(f"{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())

    assert got in {*status, 0}, (got, front.upstream.seen[before:])
    assert [] == front.upstream.seen[before:]


def test_a_number_sign_ends_nothing(front: Front) -> None:
    before = len(front.upstream.seen)
    answer = front.ask(target="/public/a#b")

    assert (answer.status == 200) == (front.upstream.seen[before:] == ["/public/a%23b"])
    assert answer.status in {200, 400, 401}


def test_a_body_that_can_be_framed_in_two_ways_is_one_request_at_most(front: Front) -> None:
    before = len(front.upstream.seen)
    smuggled = b"GET /admin/x HTTP/1.1\r\nHost: a\r\n\r\n"
    status = front.raw(
        b"POST /public/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\n" + smuggled
    )

    assert status in {200, 400}
    assert ["/public/x"] * (status == 200) == front.upstream.seen[before:]
