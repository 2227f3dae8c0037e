"""Method and path → the route that decides: one normal form, and nothing for a path that could be read in two ways."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import anyone, authenticated, by_route, none_of, scopes
from jwt_guard.access.policy import Policy, is_open, is_settled_for
from jwt_guard.access.routes import segments
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.decision import Allow, Decision
from jwt_guard.errors import InsufficientScope, MethodNotAllowed, Misconfigured
from jwt_guard.messages import PlainRequest
from tests.support.playing import play

ADA = Credentials("ada", None, frozenset({"read"}), frozenset(), "test", ReadOnly({}))


def decision(policy: Policy, method: str, path: str) -> Decision:
    answer: Decision = play(partial(policy, PlainRequest(method, path), ADA)).value
    return answer


def let_in(policy: Policy, path: str, method: str = "GET") -> bool:
    return isinstance(decision(policy, method, path), Allow)


# --- the normal form ---------------------------------------------------------------------------------

NORMAL: dict[str, tuple[str, ...]] = {
    "/": (),
    "/orders": ("orders",),
    "/orders/": ("orders",),
    "/orders/7": ("orders", "7"),
    "/orders/7/": ("orders", "7"),
    "/%6Frders": ("orders",),
    "/%6frders": ("orders",),
    "/a%20b": ("a b",),
    "/caf%C3%A9": ("café",),
    "/%25": ("%",),
    "/%252e%252e": ("%2e%2e",),
    "/...": ("...",),
    "/.well-known/x": (".well-known", "x"),
    "/a.": ("a.",),
    "/a:b@c!$&'()*+,=~_-": ("a:b@c!$&'()*+,=~_-",),
    "/{id}": ("{id}",),
    "/*": ("*",),
    "/%3F%23": ("?#",),
}
NONE_AT_ALL = [
    "", "*", "orders", "http://id.test/orders", "//", "//orders", "/orders//7", "/orders//", "///",
    "/.", "/..", "/./orders", "/a/../b", "/a/..", "/a/.", "/a/./", "/%2e", "/%2E%2e/a", "/a/.%2e/b", "/a/%2e./b",
    "/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb", "/a\\b", "/..\\a", "/a;b", "/a;", "/;", "/a%3Bb", "/a%3b", "/a/..;/b",
    "/a%00", "/%00", "/a%0A", "/a%0d%0a", "/a%7F", "/a%1f", "/a%C2%85", "/a\n", "/a b", "/a\tb", "/café", "/a\x00",
    "/a%", "/a%2", "/a%zz", "/%%32", "/%u0041", "/a%FF", "/%C3", "/%C0%AF", "/%C0%AE%C0%AE", "/%ED%A0%80",
    "/%F4%90%80%80",
    "/a?b", "/a#b", "/a#", "/orders%2F", "/%2F", "/a%2F..%2Fb", "/" + "a" * 8_192,
]  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), NORMAL.items())
def test_a_path_has_one_normal_form(path: str, expected: tuple[str, ...]) -> None:
    assert expected == segments(path)
    assert expected == segments(path, opaque=True)


@pytest.mark.parametrize("path", NONE_AT_ALL, ids=lambda path: ascii(path)[:40])
def test_a_path_that_could_be_read_in_two_ways_has_none_and_matches_nothing(path: str) -> None:
    everything = by_route([(None, "/**", anyone()), (None, "/{a}", anyone()), (None, "/{a}/{b}", anyone())])

    assert None is segments(path)
    assert not let_in(everything, path)
    assert not is_open(everything, PlainRequest("GET", path))


OPAQUE: dict[str, tuple[str, ...] | None] = {
    "/a%2Fb": ("a/b",),
    "/a%2fb/c": ("a/b", "c"),
    "/a;b": ("a;b",),
    "/a%3Bb": ("a;b",),
    "/a%2F%2Fb": ("a//b",),
    # and still not
    "/a%5Cb": None,
    "/a//b": None,
    "/a%00b": None,
    "/a/../b": None,
    "/a%2F..%2Fb": None,
    "/..%2Fb": None,
    "/a%2F.": None,
    "/..;/b": None,
    "/a/..;x=1/b": None,
    "/a%2F%2e%2e": None,
    "/a?b": None,
    "/a%FF": None,
}


@pytest.mark.parametrize(("path", "expected"), OPAQUE.items())
def test_an_opaque_route_lets_slash_and_semicolon_stand_in_a_segment_and_nothing_else(
    path: str, expected: tuple[str, ...] | None
) -> None:
    policy = by_route([("GET", "/{a}", anyone()), ("GET", "/{a}/{b}", anyone())], encoded=["/{a}", "/{a}/{b}"])

    assert expected == segments(path, opaque=True)
    assert (expected is not None) is let_in(policy, path)


def test_opaque_is_each_routes_own() -> None:
    policy = routes(("GET", "/files/{name}"), ("GET", "/orders/{id}"), encoded=["/files/{name}"])

    assert let_in(policy, "/files/a%2Fb")
    assert not let_in(policy, "/orders/a%2Fb")


@given(st.text(st.sampled_from("/%.;\\2eEfF5cC03bB#?a\0é"), max_size=12))
def test_whatever_the_path_no_segment_goes_up_or_hides_a_slash(text: str) -> None:
    found = segments("/" + text)

    for piece in found or ():
        assert piece not in ("", ".", "..")
        assert not set(piece) & set("/\\;\0")
    assert found == segments("/" + text + "/") or text.endswith("/") or not text


# --- which route -------------------------------------------------------------------------------------


def routes(*rows: Any, **more: Any) -> Policy:
    return by_route([row if len(row) == 3 else (*row, anyone()) for row in rows], **more)


MATCHES = {
    "/orders": (
        ["/orders", "/orders/", "/%6Frders"],
        ["/", "/order", "/orders/7", "/Orders", "/orders.json", "/x/orders"],
    ),
    "/orders/": (["/orders", "/orders/"], ["/orders/7"]),
    "/": (["/"], ["/x", "", "//"]),
    "/orders/{id}": (
        ["/orders/7", "/orders/7/", "/orders/{id}", "/orders/%20"],
        ["/orders", "/orders/", "/orders/7/x"],
    ),
    "/{a}/x/{b}": (["/1/x/2"], ["/1/y/2", "/x/2", "//x/2", "/1/x/", "/1/x"]),
    "/**": (["/", "/x", "/x/y/z/"], [""]),
    "/admin/**": (["/admin", "/admin/", "/admin/x", "/admin/x/y"], ["/", "/administrator", "/x/admin", "/Admin/x"]),
    "/{tenant}/admin/**": (["/a/admin", "/a/admin/x/y"], ["/admin/x", "/a/b/admin"]),
    "/caf%C3%A9": (["/caf%C3%A9", "/caf%c3%a9"], ["/cafe", "/caf%E9"]),
    "/%7Bid%7D": (["/{id}", "/%7Bid%7D"], ["/7"]),
    "/a%2Ab": (["/a*b"], ["/ab", "/axb"]),
}


@pytest.mark.parametrize(("pattern", "paths"), MATCHES.items())
def test_these_paths_are_of_the_route_and_these_are_not(pattern: str, paths: tuple[list[str], list[str]]) -> None:
    policy = routes(("GET", pattern))

    assert [] == [path for path in paths[0] if not let_in(policy, path)]
    assert [] == [path for path in paths[1] if let_in(policy, path)]


def test_the_first_route_that_matches_decides() -> None:
    policy = routes(("GET", "/orders/new", scopes("admin")), ("GET", "/orders/{id}"), ("GET", "/**", scopes("root")))

    assert not let_in(policy, "/orders/new")
    assert not let_in(policy, "/orders/%6eew")
    assert let_in(policy, "/orders/7")
    assert not let_in(policy, "/orders")


def test_what_no_route_matches_is_refused() -> None:
    denied = decision(routes(("GET", "/orders")), "GET", "/other")

    assert not isinstance(denied, Allow)
    assert isinstance(denied.error, InsufficientScope)
    assert frozenset() == denied.error.required


# --- methods -----------------------------------------------------------------------------------------


def test_several_rows_of_one_path_are_one_route() -> None:
    policy = routes(("GET", "/orders/{id}"), ("GET", "/**"), ("DELETE", "/orders/{number}/", scopes("admin")))

    assert let_in(policy, "/orders/7")
    assert not let_in(policy, "/orders/7", "DELETE"), "by its second row"
    denied = decision(policy, "PUT", "/orders/7")
    assert not isinstance(denied, Allow)
    assert isinstance(denied.error, MethodNotAllowed)
    assert {"GET", "HEAD", "DELETE"} == denied.error.allowed


def test_get_includes_head_and_nothing_else() -> None:
    policy = routes(("GET", "/orders"), ("POST", "/forms"))

    assert let_in(policy, "/orders", "HEAD")
    assert not let_in(policy, "/forms", "HEAD")
    for method in ("get", "Get", "OPTIONS", "TRACE", "CONNECT", "POST", "PROPFIND", "", "GET ", "GET\n"):
        denied = decision(policy, method, "/orders")
        assert not isinstance(denied, Allow), method
        assert isinstance(denied.error, MethodNotAllowed)
        assert {"GET", "HEAD"} == denied.error.allowed


def test_another_method_does_not_fall_through_to_a_later_route() -> None:
    policy = routes(("GET", "/orders"), (None, "/**"))

    assert not let_in(policy, "/orders", "DELETE")
    assert let_in(policy, "/other", "DELETE")
    assert not is_open(policy, PlainRequest("DELETE", "/orders"))


def test_a_row_may_take_several_methods_or_all() -> None:
    policy = routes((["PUT", "PATCH"], "/orders"), (("GET",), "/orders"), (None, "/any"))

    assert [True] * 4 == [let_in(policy, "/orders", method) for method in ("PUT", "PATCH", "GET", "HEAD")]
    assert all(let_in(policy, "/any", method) for method in ("GET", "POST", "BREW", "get"))


# --- configuration -----------------------------------------------------------------------------------

MISTAKES: dict[str, Any] = {
    "no rows": [],
    "a pair": [("GET", "/x")],
    "a list": [["GET", "/x", anyone()]],
    "a path that is none": [("GET", None, anyone())],
    "a policy that is none": [("GET", "/x", "anyone")],
    "no slash": [("GET", "x", anyone())],
    "an empty path": [("GET", "", anyone())],
    "two slashes": [("GET", "/a//b", anyone())],
    "dots": [("GET", "/a/../b", anyone())],
    "encoded dots": [("GET", "/a/%2e%2e/b", anyone())],
    "an encoded slash": [("GET", "/a%2Fb", anyone())],
    "a semicolon": [("GET", "/a;b", anyone())],
    "a query": [("GET", "/a?b", anyone())],
    "beyond ASCII": [("GET", "/café", anyone())],
    "stars in the middle": [("GET", "/a/**/b", anyone())],
    "one star": [("GET", "/a/*", anyone())],
    "stars stuck to a name": [("GET", "/a**", anyone())],
    "three stars": [("GET", "/a/***", anyone())],
    "half a segment": [("GET", "/a{id}", anyone())],
    "an open brace": [("GET", "/{id", anyone())],
    "an empty name": [("GET", "/{}", anyone())],
    "a regular expression": [("GET", "/{id:[0-9]+}", anyone())],
    "lower case": [("get", "/x", anyone())],
    "an empty method": [("", "/x", anyone())],
    "two methods in one": [("GET,POST", "/x", anyone())],
    "no methods": [([], "/x", anyone())],
    "a method that is none": [(5, "/x", anyone())],
    "a list of none": [([None], "/x", anyone())],
}


@pytest.mark.parametrize("rows", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_route_that_means_nothing_is_refused_at_once(rows: Any) -> None:
    with pytest.raises(Misconfigured):
        by_route(rows)


def test_encoded_names_routes_that_are_there() -> None:
    with pytest.raises(Misconfigured, match="have no route"):
        routes(("GET", "/files/{name}"), encoded=["/file/{name}"])


# --- paths that others may read differently ----------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin%2Fusers", "/x%2F..%2Fadmin", "/admin;a/users", "/admin%3Bx", "/%2Fadmin"])
def test_an_opaque_route_does_not_get_round_an_earlier_one(path: str) -> None:
    policy = by_route([(None, "/admin/**", scopes("admin")), (None, "/**", anyone())], encoded=["/**"])

    assert not is_open(policy, PlainRequest("GET", path))
    assert not let_in(policy, path)
    assert is_open(policy, PlainRequest("GET", "/files/a%2Fb"))


@pytest.mark.parametrize("path", ["/%2e/internal/x", "/internal%2Fx", "//internal/x", "/internal/x;a"])
def test_what_no_route_can_be_told_of_is_not_let_in_by_none_of(path: str) -> None:
    policy = none_of(by_route([(None, "/internal/**", authenticated())]))

    assert let_in(policy, "/public")
    assert not let_in(policy, "/internal/x")
    assert not let_in(policy, path)


def test_a_wrong_method_is_no_no_for_none_of() -> None:
    assert not let_in(none_of(by_route([("POST", "/orders", authenticated())])), "/orders")


def test_what_a_route_said_it_says_again_where_it_asks_for_nothing_but_credentials() -> None:
    def own(_request: object, credentials: Credentials) -> Decision:
        return Allow(credentials)

    policy = by_route(
        [
            ("GET", "/orders", scopes("read")),
            (None, "/own", own),
            (None, "/inner/**", by_route([("GET", "/inner/y", own)])),
        ]
    )
    expected = {"/orders": True, "/own": False, "/inner/x": False, "/inner/y": False, "//": False}
    assert expected == {path: is_settled_for(policy, PlainRequest("GET", path)) for path in expected}
    assert is_settled_for(scopes("read"), PlainRequest("GET", "/"))
    assert not is_settled_for(own, PlainRequest("GET", "/"))


def test_a_path_may_be_too_long_to_be_remembered_and_is_the_same() -> None:
    policy = by_route([(None, "/{id}", authenticated())])
    for length in (1, 255, 256, 5_000):
        assert let_in(policy, "/" + "x" * length)
        assert not let_in(policy, "//" + "x" * length)
