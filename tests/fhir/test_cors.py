"""A page in a browser → what it may read, by what the answers say."""

from __future__ import annotations

import pytest

from jwt_guard.fhir.cors import allowing, preflight
from jwt_guard.messages import PlainRequest

APP = "https://app.example"


def request(*origins: str) -> PlainRequest:
    return PlainRequest("OPTIONS", "/", "", tuple(("origin", origin) for origin in origins))


def test_any_page_may_read_where_any_may() -> None:
    for asked in (request(), request(APP)):
        assert "*" == dict(allowing(asked, ["*", APP]))["access-control-allow-origin"]


@pytest.mark.parametrize("origins", [(), ("https://app.example.evil",), (APP, APP), ("null",)])
def test_no_page_but_those_that_are_named(origins: tuple[str, ...]) -> None:
    assert (("vary", "Origin"),) == allowing(request(*origins), [APP])
    assert (204, (("vary", "Origin"),), b"") == parts(origins)


def parts(origins: tuple[str, ...]) -> tuple[int, object, bytes]:
    response = preflight(request(*origins), [APP])
    return response.status, response.headers, response.body


def test_a_page_that_is_named_may() -> None:
    headers = dict(allowing(request(APP), [APP]))

    assert (APP, "Origin") == (headers["access-control-allow-origin"], headers["vary"])
    assert {"WWW-Authenticate", "Location", "ETag", "Content-Location"} <= set(
        headers["access-control-expose-headers"].split(", ")
    )
    assert "access-control-allow-credentials" not in headers


def test_nothing_is_said_where_no_page_may() -> None:
    assert () == allowing(request(APP), [])
    assert () == preflight(request(APP), []).headers


def test_a_preflight_says_what_a_page_may_send() -> None:
    headers = dict(preflight(request(APP), ["*"]).headers)

    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(headers["access-control-allow-methods"].split(", "))
    assert {"Authorization", "If-Match", "Prefer"} <= set(headers["access-control-allow-headers"].split(", "))
