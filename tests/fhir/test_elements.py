"""Paths into a resource, and the texts of references → what is there, and nothing where that is unclear."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.access.fhir_references import FhirReference
from jwt_guard.fhir.elements import read_path, referent, values_at
from tests.properties.strategies import objects, texts


def test_a_path_says_which_of_its_names_are_arrays() -> None:
    assert (("subject", False),) == read_path("subject")
    assert (("agent", True), ("who", False)) == read_path("agent*.who")


@pytest.mark.parametrize(
    ("expected", "path", "resource"),
    [
        ([1], "a", {"a": 1}),
        ([None], "a", {"a": None}),
        ([], "a", {}),
        ([], "a", {"b": 1}),
        ([[1]], "a", {"a": [1]}),
        ([1, 2], "a*", {"a": [1, 2]}),
        ([], "a*", {"a": []}),
        (None, "a*", {"a": 1}),
        (None, "a*", {"a": {"0": 1}}),
        (None, "a*", {"a": None}),
        ([1, 3], "a*.b", {"a": [{"b": 1}, {}, {"b": 3}]}),
        ([1, 2, 3], "a*.b*", {"a": [{"b": [1, 2]}, {"b": [3]}]}),
        (None, "a*.b", {"a": [{"b": 1}, None]}),
        (None, "a*.b", {"a": {"b": 1}}),
        (None, "a.b", {"a": [{"b": 1}]}),
        (None, "a.b", {"a": "b"}),
        (None, "a*.b*", {"a": [{"b": [1]}, {"b": 1}]}),
    ],
)
def test_what_is_at_a_path_is_found_unless_something_before_it_is_wrongly_shaped(
    expected: Any, path: str, resource: dict[str, Any]
) -> None:
    assert expected == values_at(resource, read_path(path))


@given(objects, st.lists(texts.filter(lambda name: "." not in name), min_size=1, max_size=3))
def test_no_json_makes_it_fail(resource: dict[str, Any], names: list[str]) -> None:
    found = values_at(resource, read_path(".".join(names)))

    assert found is None or isinstance(found, list)


def test_a_reference_to_a_version_is_one_to_what_it_is_a_version_of() -> None:
    assert FhirReference("Patient", "A") == referent("Patient/A")
    assert FhirReference("Patient", "A") == referent("Patient/A/_history/1")
    assert FhirReference("Patient", "A", "https://ehr.test/fhir") == referent(
        "https://ehr.test/fhir/Patient/A/_history/1"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "#A",
        "urn:uuid:A",
        "Patient/A/",
        "Patient/A/_history",
        "Patient/A/_history/",
        "Patient/A/_history/1/2",
        "Patient/A/_history/..",
        "Patient/A/_history/1/_history/2",
        "Patient/_history/1",
        "Patient?identifier=A",
    ],
)
def test_all_else_is_no_reference_to_a_resource_of_a_server(text: str) -> None:
    assert referent(text) is None
