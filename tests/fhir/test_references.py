"""A resource → its name, and the names of all that it refers to."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.references import key_of, keys, referred_by
from tests.support.fhir_exchanges import BASE, SERVER, UPSTREAM, reference


def test_a_resource_is_known_by_its_type_and_id() -> None:
    assert ("Observation", "a-1.B") == key_of({"resourceType": "Observation", "id": "a-1.B"})


@pytest.mark.parametrize(
    "resource",
    [
        None,
        "Observation/1",
        [],
        {},
        {"resourceType": "Observation"},
        {"id": "1"},
        {"resourceType": "Observation", "id": 1},
        {"resourceType": "Observation", "id": None},
        {"resourceType": "Observation", "id": ""},
        {"resourceType": "Observation", "id": ".."},
        {"resourceType": "Observation", "id": "1/_history/2"},
        {"resourceType": "Observation", "id": "1\n"},
        {"resourceType": ["Observation"], "id": "1"},
        {"resourceType": "observation", "id": "1"},
        {"resourceType": "http://10.0.0.1/Observation", "id": "1"},
    ],
    ids=repr,
)
def test_what_no_server_could_give_has_no_name(resource: Any) -> None:
    assert None is key_of(resource)


@pytest.mark.parametrize("text", ["Patient/A", f"{BASE}/Patient/A", f"{UPSTREAM}/Patient/A"])
def test_a_reference_on_any_base_of_the_server_is_to_its_resource(text: str) -> None:
    assert {("Patient", "A")} == keys([text], SERVER)


@pytest.mark.parametrize(
    "text",
    [
        "https://other.example/fhir/Patient/A",
        "#A",
        "urn:uuid:A",
        "Patient",
        "Patient/A/_history/1",
        "Patient?name=A",
        "",
    ],
)
def test_other_references_are_to_nothing_that_is_there(text: str) -> None:
    assert frozenset() == keys([text], SERVER)


def test_references_are_found_wherever_they_stand() -> None:
    resource = {
        "resourceType": "Observation",
        "id": "1",
        "subject": reference("Patient/A"),
        "performer": [reference("Practitioner/p"), {"display": "somebody"}],
        "extension": [{"valueReference": reference("Device/d")}],
        "contained": [{"resourceType": "Specimen", "subject": reference("Patient/A"), "parent": [reference("#x")]}],
        "component": [{"valueString": "reference", "code": {"reference": {"not": "a text"}}}],
        "valueInteger": 3,
    }

    assert {("Patient", "A"), ("Practitioner", "p"), ("Device", "d")} == referred_by(resource, SERVER)
