"""Scopes and headers in plain values → what goes on: the corners that no server of ours brings about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.access.challenge import refusal
from jwt_guard.access.routes import segments
from jwt_guard.errors import AmbiguousPath, AmbiguousRequest
from jwt_guard.gateway.passing import Outgoing, Passing, normal_path
from jwt_guard.gateway.settings import Settings


def outgoing(*headers: tuple[bytes, bytes], upstream: str = "http://up.test:80", **changes: Any) -> Outgoing:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "scheme": "http",
        "client": ("192.0.2.1", 1),
        "headers": [(b"host", b"api.test"), *headers],
        **changes,
    }
    return Passing(Settings(upstream=upstream), encoded=False).request(scope)


@given(st.text(alphabet="/%2eEFf5cC;.aA~-_\\\x00é0", max_size=12))
def test_what_goes_on_is_read_as_what_was_judged(path: str) -> None:
    found = normal_path(f"/{path}", encoded=False)

    assert (found is None) == (segments(f"/{path}") is None)
    if found is not None:
        assert segments(f"/{path}") == segments(found)
        assert found == normal_path(found, encoded=False)
        assert found.endswith("/") == f"/{path}".endswith("/")


@pytest.mark.parametrize(
    ("path", "encoded", "expected"),
    [
        ("/a%2fb", True, "/a%2Fb"),
        ("/a;b", True, "/a;b"),
        ("/a%2fb", False, None),
        ("/a%2f..%2fb", True, None),
        ("/%5c", True, None),
    ],
)
def test_what_stands_for_a_slash_needs_a_policy_that_has_looked_at_it(
    path: str, encoded: bool, expected: str | None
) -> None:
    assert expected == normal_path(path, encoded=encoded)


def test_a_scope_that_contradicts_itself_goes_nowhere() -> None:
    with pytest.raises(AmbiguousPath):
        outgoing(path="/public", raw_path=b"/admin")


@pytest.mark.parametrize("query", [b"a#b", b"\xc3\xa9", b"a b", b"a\x00", b"a\r\nb"])
def test_a_query_of_what_is_none_goes_nowhere(query: bytes) -> None:
    with pytest.raises(AmbiguousRequest):
        outgoing(query_string=query)


@pytest.mark.parametrize("query", [b"a=b&c", b"x=%00;y?/", b'"<>\\^`{|}', b"'()*+,:@[]!$~"])
def test_every_other_query_goes_on_as_it_is(query: bytes) -> None:
    assert f"/?{query.decode()}" == outgoing(query_string=query).target


@pytest.mark.parametrize(
    ("version", "headers", "has_body"),
    [
        ("1.1", [], False),
        ("1.1", [(b"content-length", b"0")], False),
        ("1.1", [(b"content-length", b"1")], True),
        ("1.1", [(b"transfer-encoding", b"Chunked")], True),
        ("2", [], True),
        ("2", [(b"content-length", b"0")], False),
    ],
)
def test_where_there_may_be_a_body_there_is_one(version: str, headers: Any, has_body: bool) -> None:
    assert has_body is outgoing(*headers, http_version=version).has_body


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"content-length", b"2")],
        [(b"content-length", b"2, 2")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"identity")],
    ],
)
def test_a_body_that_could_end_in_two_places_goes_nowhere(headers: Any) -> None:
    with pytest.raises(AmbiguousRequest):
        outgoing(*headers)


@pytest.mark.parametrize("peer", [None, ("", 0), ("unix", 0)])
def test_a_client_without_an_address_is_unknown(peer: Any) -> None:
    told = dict(outgoing(client=peer).headers)

    assert 'for=unknown;host="api.test";proto=http' == told["forwarded"]
    assert "x-forwarded-for" not in told


def test_before_there_was_a_host_the_upstreams_is_used() -> None:
    scope: dict[str, Any] = {"headers": [], "http_version": "1.0"}

    assert "up.test:80" == dict(outgoing(**scope).headers)["host"]


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_the_scheme_is_the_clients(scheme: str) -> None:
    told = outgoing(scheme=scheme)

    assert "https://api.test" == told.origin
    assert "https" == dict(told.headers)["x-forwarded-proto"]


@pytest.mark.parametrize(
    ("upstream", "location", "expected"),
    [
        ("http://up.test", b"http://up.test:80/x", b"https://api.test/x"),
        ("http://up.test:80", b"http://UP.test/x", b"https://api.test/x"),
        ("https://up.test", b"https://up.test:443/x", b"https://api.test/x"),
        ("https://up.test", b"http://up.test/x", b"http://up.test/x"),
        ("http://up.test", b"//up.test/x", b"//up.test/x"),
        ("http://up.test", b"http://up.test:x/", b"http://up.test:x/"),
        ("http://up.test", b"\xff", b"\xff"),
    ],
)
def test_a_location_at_the_upstream_becomes_one_at_the_gateway(upstream: str, location: bytes, expected: bytes) -> None:
    passing = Passing(Settings(upstream=upstream), encoded=False)

    assert [(b"location", expected)] == passing.answer([(b"Location", location)], "https://api.test")


def test_a_length_beside_chunks_says_nothing_and_connection_cannot_take_one_away() -> None:
    passing = Passing(Settings(upstream="http://up.test"), encoded=False)

    assert [] == passing.answer([(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")], "")
    kept = [(b"Connection", b"close, Content-Length"), (b"Content-Length", b"3")]
    assert [(b"content-length", b"3")] == passing.answer(kept, "")


def test_strange_names_do_not_fill_the_memory() -> None:
    passing = Passing(Settings(upstream="http://up.test"), encoded=False)
    given = [(b"host", b"h"), *((f"x-{number}".encode(), b"1") for number in range(2_000))]
    passing.request({"type": "http", "method": "GET", "path": "/", "headers": given})

    assert len(passing._known) <= 1_024


def test_a_client_is_told_nothing_of_tokens_where_the_request_is_ambiguous() -> None:
    told = refusal(AmbiguousRequest("two lengths"), "api", "id")

    assert (400, False) == (told.status, "www-authenticate" in dict(told.headers))
    assert "two lengths" not in told.body.decode()
