"""A path → where it is below the base URL, if anybody could find it there."""

from __future__ import annotations

import pytest

from jwt_guard.errors import AmbiguousPath, Misconfigured
from jwt_guard.fhir.place import Base, Below, spoken, unnamed
from jwt_guard.messages import PlainRequest

FHIR = Base("https://api.example/fhir/r4")
ALONE = Base("https://api.example")


@pytest.mark.parametrize(
    ("path", "below"),
    [("/fhir/r4", "/"), ("/fhir/r4/", "/"), ("/fhir/r4/Patient/1", "/Patient/1"), ("/fhir/r4/a%20b", "/a%20b"),
     ("/fhir", None), ("/", None), ("/fhir/r45", None), ("/other/fhir/r4", None), ("/a%2Fb", None), ("/a;b/c", None),
     ("/fhir;x", None)],
)  # fmt: skip
def test_a_path_is_below_the_base_or_elsewhere(path: str, below: str | None) -> None:
    assert below == FHIR.below(path)


@pytest.mark.parametrize(
    "path",
    ["/%66hir/r4/Patient", "/FHIR/r4", "/fhir/R4/Patient/1", "//fhir/r4", "/fhir//r4", "/x/../fhir/r4", "/fhir/./r4",
     "/fhir%2Fr4/Patient", "/fhir;v=1/r4/Patient", "/fhir/r4;v=1", "/fhir/r4/a%2Fb", "/fhir/r4/%2e%2e/x", "/a%00",
     "/a\\b", "/%ff", "", "fhir/r4", "/fhir/r4/a?b"],
)  # fmt: skip
def test_a_path_that_somebody_could_find_below_the_base_is_refused(path: str) -> None:
    with pytest.raises(AmbiguousPath):
        FHIR.below(path)


def test_where_the_host_is_the_servers_alone_everything_is_below() -> None:
    assert "/" == ALONE.below("/")
    assert "/Patient/1" == ALONE.below("/Patient/1")
    with pytest.raises(AmbiguousPath):
        ALONE.below("/a%2Fb")


@pytest.mark.parametrize("url", ["https://x/a%20b", "https://x/a/../b", "https://x/a;b", "https://x/a//b"])
def test_a_base_that_two_programs_read_differently_is_none(url: str) -> None:
    with pytest.raises(Misconfigured, match="base"):
        Base(url)


def test_a_request_below_is_the_same_but_for_its_path() -> None:
    request = PlainRequest("PUT", "/fhir/r4/Patient/1", "a=b", (("If-Match", "x"),))
    below = Below(request, "/Patient/1")

    assert ("PUT", "/Patient/1", "a=b", ("x",)) == (below.method, below.path, below.query, below.values("if-match"))


@pytest.mark.parametrize(
    ("path", "said"),
    [("/fhir/r4/Patient/ann", "/fhir/r4/Patient/*"), ("/fhir/r4/Patient", "/fhir/r4/Patient"),
     ("/fhir/r4/ann", "/fhir/r4/*"), ("/fhir/r4", "/fhir/r4/"), ("/fhir/r4/metadata", "/fhir/r4/metadata"),
     ("/fhir/R4/ann", "/fhir/r4/*")],
)  # fmt: skip
def test_a_log_is_told_the_type_and_nobody(path: str, said: str) -> None:
    assert PlainRequest("GET", said) == spoken(PlainRequest("GET", path, "name=ann", (("x", "ann"),)), FHIR)


def test_whoever_observes_is_told_of_the_token_and_of_nobodys_id() -> None:
    request = PlainRequest("GET", "/fhir/r4/Patient/ann", "", (("authorization", "Bearer x"),))
    other = PlainRequest("GET", "/orders/1")
    told = unnamed(request, FHIR)

    assert ("/fhir/r4/Patient/*", ("Bearer x",)) == (told.path, told.values("authorization"))
    assert "/fhir/r4/*" == unnamed(PlainRequest("GET", "/fhir/R4/ann"), FHIR).path
    assert other is unnamed(other, FHIR)


def test_a_log_is_told_the_same_of_what_was_counted_from_the_base() -> None:
    below = Below(PlainRequest("GET", "/fhir/r4/Patient/ann"), "/Patient/ann")

    assert "/fhir/r4/Patient/*" == spoken(below, FHIR).path
