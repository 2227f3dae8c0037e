"""What a policy asks for, as data."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import (
    Allow,
    Credentials,
    all_of,
    any_of,
    anyone,
    authenticated,
    by_route,
    claim,
    none_of,
    roles,
    scopes,
)
from jwt_guard.access.description import FUNCTION, Description
from jwt_guard.access.policy import Policy, described

A = Description("scopes", names=frozenset("a"))


def function(_request: Any, credentials: Credentials) -> Allow:
    return Allow(credentials)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (anyone(), Description("anyone")),
        (authenticated(), Description("authenticated")),
        (scopes("a"), A),
        (roles("ops"), Description("roles", names=frozenset({"ops"}))),
        (claim("a", "b", equals=3), Description("claim equals", path=("a", "b"), value=3)),
        (claim("a", contains="b"), Description("claim contains", path=("a",), value="b")),
        (claim("a", check=bool), FUNCTION),
        (function, FUNCTION),
        (all_of(scopes("a"), authenticated()), Description("all_of", parts=(A, Description("authenticated")))),
        (all_of(scopes("a"), function), Description("all_of", parts=(A, FUNCTION))),
        (any_of(scopes("a")), Description("any_of", parts=(A,))),
        (none_of(scopes("a")), Description("none_of", parts=(A,))),
    ],
)
def test_each_policy_says_what_it_asks_for(policy: Policy, expected: Description) -> None:
    assert expected == described(policy)


def test_routes_say_their_paths_and_methods() -> None:
    (one, two) = described(
        by_route([("GET", "/a/{x}", scopes("a")), (None, "/b/**", function)], encoded=["/b/**"])
    ).routes

    assert ("/a/{x}", ("a", None), False, False) == (one.path, one.pieces, one.deep, one.opaque)
    assert ((frozenset({"GET", "HEAD"}), A),) == one.policies
    assert ("/b/**", ("b",), True, True) == (two.path, two.pieces, two.deep, two.opaque)
    assert ((None, FUNCTION),) == two.policies


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (anyone(), True),
        (authenticated(), False),
        (any_of(scopes("a"), anyone()), True),
        (any_of(scopes("a")), False),
        (all_of(anyone(), anyone()), True),
        (all_of(anyone(), scopes("a")), False),
        (none_of(anyone()), False),
        (function, False),
    ],
)
def test_whether_nobody_may_come_in_is_said_without_a_request(policy: Policy, *, expected: bool) -> None:
    assert expected is described(policy).is_open


def test_what_says_of_itself_anything_else_is_a_function() -> None:
    class Odd:
        described = "scopes"

        def __call__(self, request: Any, credentials: Credentials) -> Allow:
            return function(request, credentials)

    assert FUNCTION is described(Odd())
