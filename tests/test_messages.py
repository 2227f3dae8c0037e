"""A request in plain values, and what it answers."""

from __future__ import annotations

from jwt_guard.messages import PlainRequest, Response


def test_headers_are_found_by_lower_case_name_in_order_with_duplicates() -> None:
    headers = (("Authorization", "a"), ("X-Other", "b"), ("AUTHORIZATION", "c"), ("authorization", ""))
    request = PlainRequest("GET", "/orders", "a=1", headers)

    assert ("a", "c", "") == request.values("authorization")
    assert () == request.values("authorizatio")
    assert ("GET", "/orders", "a=1") == (request.method, request.path, request.query)


def test_a_request_does_not_show_its_headers() -> None:
    assert "secret" not in repr(PlainRequest("GET", "/", headers=(("authorization", "Bearer secret"),)))


def test_a_request_may_be_short() -> None:
    request = PlainRequest("GET", "/")

    assert "" == request.query
    assert () == request.values("authorization")


def test_a_response_is_a_value() -> None:
    assert Response(401, (("a", "b"),), b"") == Response(401, (("a", "b"),), b"")
