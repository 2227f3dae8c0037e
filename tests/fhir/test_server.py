"""What is said of a server: what none can be is refused on the day that it is said."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.fhir.resource_types import R5
from jwt_guard.fhir.server import SHARED, Limits, Server
from jwt_guard.fhir.surface import Surface

BASE = "https://api.example/fhir"


def test_a_server_is_known_by_each_of_its_base_urls() -> None:
    server = Server(BASE, ("http://127.0.0.1:8080/fhir",))

    assert (BASE, "http://127.0.0.1:8080/fhir") == server.bases
    assert SHARED == server.shared_types


@pytest.mark.parametrize(
    "base", ["", "api.example/fhir", f"{BASE}/", "https://who:pass@api.example/fhir", f"{BASE}?a=b"]
)
def test_what_is_no_base_url_is_refused(base: str) -> None:
    for urls in ((base, ()), (BASE, (base,))):
        with pytest.raises(Misconfigured, match="is no base URL"):
            Server(*urls)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"release": "STU3"}, "release"),
        ({"shared_types": frozenset({"Organisation"})}, "has no 'Organisation'"),
        ({"shared_types": frozenset({"Observation", "Organization"})}, "'Observation' is of a patient"),
        ({"surface": Surface(types=frozenset({"Patient"}))}, "has no 'Location'"),
    ],
)
def test_what_cannot_go_together_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        Server(BASE, **more)


def test_what_belongs_to_a_patient_is_a_matter_of_the_release() -> None:
    server = Server(BASE, release="R4", shared_types=frozenset({"Task"}))

    assert {"Task"} == server.shared_types
    with pytest.raises(Misconfigured, match="'Task' is of a patient"):
        Server(BASE, release="R5", surface=Surface(types=R5), shared_types=frozenset({"Task"}))


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "50", None])
def test_a_limit_that_is_none_is_refused(value: object) -> None:
    for name in Limits.__slots__:
        with pytest.raises(Misconfigured, match=f"{name}: a limit"):
            Limits(**{name: value})  # type: ignore[arg-type]


def test_a_page_is_no_larger_than_the_largest() -> None:
    assert 10 == Limits(page=10, largest_page=10).page
    with pytest.raises(Misconfigured, match="larger than largest_page"):
        Limits(page=11, largest_page=10)
