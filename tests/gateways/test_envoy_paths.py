"""A route's regular expression for Envoy → exactly the paths that the library takes for that route."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import authenticated, by_route
from jwt_guard.access.description import DescribedRoute
from jwt_guard.access.policy import described
from jwt_guard.access.routes import Route, segments
from jwt_guard.gateway.export.envoy_paths import also_read_as, own_paths

PATHS = ("/", "/a", "/a/{x}", "/a/{x}/b", "/**", "/a/**", "/{x}/**", "/%C3%A9", "/a%20b", "/x.y", "/h$+(i)")
PIECES = st.lists(
    st.sampled_from([
        "/", "a", "b", "x", "%61", ".", "%2e", "%2E", "..", "%2f", "%2F", ";", "%3b", "%5c", "\\", "%00", "%7f",
        "%C3%A9",
        "%c2%85", "%c2%a0", "%ff", "%e2%98%83", "%ed%a0%80", "%f0%9f%98%80", "%f4%90%80%80", "%c0%af", "%20", "%", "%2",
        "é", " ", "#", "?", "%25", "%23", "%3f", "y", "h", "$", "+", "(", "i", ")", "\n", "%0a", "~", "%E0%80%80",
        "%1f",
    ]),
    max_size=8,
)  # fmt: skip


def route_for(path: str, *, opaque: bool) -> DescribedRoute:
    policy = by_route([(None, path, authenticated())], encoded=[path] if opaque else [])
    (route,) = described(policy).routes
    return route


def fits(expression: str, path: str) -> bool:
    return re.fullmatch(expression, path) is not None


@given(path=PIECES.map(lambda pieces: "/" + "".join(pieces)))
@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("written", PATHS)
def test_a_path_is_of_the_route_for_envoy_where_it_is_for_us(written: str, path: str, *, opaque: bool) -> None:
    route = route_for(written, opaque=opaque)
    ours = Route(route.path, route.pieces, route.deep, route.opaque, ())
    found = segments(path, opaque=opaque)

    assert (found is not None and ours.matches(found)) is fits(own_paths(route), path)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/a/{x}", "/a%2Fb"), ("/a/{x}", "/a;p/b"), ("/a/{x}", "/a%3bp%2fb"), ("/a/b", "//a%2f%2fb/"),
        ("/a/**", "/a;x/y"),
        ("/a/**", "/a%2Fb%2Fc"), ("/a", "/a;x"), ("/{x}/**", "/q%2Fr"), ("/a", "/a%2F"),
    ],
)  # fmt: skip
def test_a_path_that_another_program_would_read_as_a_route_is_known(written: str, path: str) -> None:
    assert fits(also_read_as(route_for(written, opaque=False)), path)


@pytest.mark.parametrize(
    ("written", "path"), [("/a", "/b;a"), ("/a/{x}", "/a"), ("/a/{x}", "/a%2Fb%2Fc"), ("/a", "/ab")]
)
def test_and_no_other(written: str, path: str) -> None:
    assert not fits(also_read_as(route_for(written, opaque=False)), path)
