"""A question about a request → the request: named once, by one family of headers, as it was sent."""

from __future__ import annotations

import pytest

from jwt_guard.errors import MalformedRequest
from jwt_guard.gateway.original import EXT_AUTHZ, original, prefixed
from jwt_guard.gateway.settings import Family
from jwt_guard.messages import PlainRequest

ORIGINAL = {"x-original-method": "GET", "x-original-uri": "/orders/1?a=1"}
FORWARDED = {"x-forwarded-method": "GET", "x-forwarded-uri": "/orders/1?a=1"}


def question(*headers: dict[str, str], path: str = "/auth", method: str = "GET", query: str = "") -> PlainRequest:
    return PlainRequest(method, path, query, tuple(pair for some in headers for pair in some.items()))


def named(asked: PlainRequest, family: Family | None = None) -> tuple[str, str, str]:
    found = original(asked, family)
    return found.method, found.path, found.query


@pytest.mark.parametrize(
    ("headers", "family"),
    [
        ((ORIGINAL,), None),
        ((FORWARDED,), None),
        ((ORIGINAL, FORWARDED), None),
        ((ORIGINAL,), "x-original"),
        ((FORWARDED,), "x-forwarded"),
        ((ORIGINAL, {**FORWARDED, "x-forwarded-uri": "/public"}), "x-original"),
        ((ORIGINAL, {"x-forwarded-uri": "/public"}), "x-original"),
        (({**ORIGINAL, "x-original-uri": "/public"}, FORWARDED), "x-forwarded"),
    ],
)
def test_one_family_names_the_request(headers: tuple[dict[str, str], ...], family: Family | None) -> None:
    assert ("GET", "/orders/1", "a=1") == named(question(*headers), family)


@pytest.mark.parametrize(
    ("headers", "family"),
    [
        ((), None),
        ((FORWARDED,), "x-original"),
        ((ORIGINAL,), "x-forwarded"),
        ((ORIGINAL, {**FORWARDED, "x-forwarded-uri": "/public"}), None),
        ((ORIGINAL, {**FORWARDED, "x-forwarded-method": "HEAD"}), None),
        ((ORIGINAL, {**FORWARDED, "x-forwarded-method": "get"}), None),
        ((ORIGINAL, {"x-forwarded-uri": "/orders/1?a=1"}), None),
        (({"x-original-method": "GET"},), None),
        (({"x-original-uri": "/orders"},), None),
        ((ORIGINAL, ORIGINAL), None),
        ((ORIGINAL, {"x-original-uri": "/public"}), "x-original"),
        ((ORIGINAL, {"x-original-method": "OPTIONS"}), "x-original"),
    ],
)
def test_what_names_none_or_two_is_refused(headers: tuple[dict[str, str], ...], family: Family | None) -> None:
    with pytest.raises(MalformedRequest):
        named(question(*headers), family)


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "GET,POST", "CONNECT", "connect", "Connect", "GÉT"])
def test_what_is_no_method_or_asks_for_a_tunnel_is_refused(method: str) -> None:
    with pytest.raises(MalformedRequest):
        named(question({**ORIGINAL, "x-original-method": method}))
    with pytest.raises(MalformedRequest):
        prefixed(question(path=f"{EXT_AUTHZ}/orders", method=method))


@pytest.mark.parametrize("method", ["get", "PURGE", "OPTIONS", "M-SEARCH"])
def test_a_method_stays_as_it_is(method: str) -> None:
    assert method == named(question({**ORIGINAL, "x-original-method": method}))[0]
    assert method == prefixed(question(path=f"{EXT_AUTHZ}/orders", method=method)).method


@pytest.mark.parametrize(
    "target",
    ["", "orders", "*", "http://id.example/orders", "/a b", "/a#b", "/\x00", "/é", "/a\r\nb", "/" + "a" * 16_384],
)
def test_what_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(MalformedRequest):
        named(question({**ORIGINAL, "x-original-uri": target}))


@pytest.mark.parametrize("target", ["/", "//", "/a/../b", "/%2e%2e/a%2Fb;x", "/?", "/?a?b"])
def test_a_path_stays_as_it_is(target: str) -> None:
    method, path, query = named(question({**ORIGINAL, "x-original-uri": target}))
    assert ("GET", *target.partition("?")[::2]) == (method, path, query)


def test_envoy_puts_a_prefix_before_the_path() -> None:
    found = prefixed(question(path=f"{EXT_AUTHZ}/orders/1", method="DELETE", query="a=1"))
    assert ("DELETE", "/orders/1", "a=1") == (found.method, found.path, found.query)


@pytest.mark.parametrize("path", [EXT_AUTHZ, f"{EXT_AUTHZ}x", "/auth", "/other/orders"])
def test_without_the_prefix_there_is_no_request(path: str) -> None:
    with pytest.raises(MalformedRequest):
        prefixed(question(path=path))


def test_the_headers_of_the_client_are_those_of_the_question() -> None:
    asked = question(ORIGINAL, {"authorization": "Bearer a"}, {"authorization": "Bearer b"})
    assert ("Bearer a", "Bearer b") == original(asked, None).values("authorization")
