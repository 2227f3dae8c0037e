"""What of a resource may be seen: in it, in what it contains, and in what holds resources."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir.filtering import answered, filtered, is_nobody_elses, left_out, others_named

from ..support.fhir_exchanges import BASE, SERVER, UPSTREAM, of, reference

OWN: dict[str, Any] = {"resourceType": "Observation", "id": "1", "subject": reference("Patient/A")}
OTHER: dict[str, Any] = {"resourceType": "Observation", "id": "2", "subject": reference("Patient/B")}
ORIGIN = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"


def containing(*contained: Any) -> dict[str, Any]:
    return {**OWN, "contained": [*contained]}


def kept(scopes: str, *contained: Any, letter: str = "r") -> list[Any]:
    """Return what of *contained* may be seen in an Observation of the patient A."""
    before = containing(*contained)
    copied = copy.deepcopy(before)
    shown = filtered(before, of(scopes), letter)
    assert shown is not None
    assert copied == before, "what was given is left as it is"
    assert ("contained" in shown) is bool(shown.get("contained")), "FHIR has no empty arrays"
    remaining: list[Any] = shown.get("contained", [])
    return remaining


# --- the resource itself -----------------------------------------------------------------------------


def test_own_resource_is_seen_as_it_is() -> None:
    assert OWN == filtered(OWN, of("patient/*.r"), "r")


@pytest.mark.parametrize("scopes", ["patient/Observation.s", "patient/Condition.r", "user/Condition.r"])
def test_what_the_letters_are_not_there_for_is_not_seen(scopes: str) -> None:
    assert filtered(OWN, of(scopes), "r") is None


def test_what_is_of_another_patient_is_not_seen() -> None:
    assert filtered(OTHER, of("patient/*.cruds"), "r") is None


# --- contained ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contained",
    [
        {"resourceType": "Medication", "id": "m"},
        {"resourceType": "Device", "id": "d"},
        {"resourceType": "Observation", "id": "o"},
        {"resourceType": "Observation", "subject": reference("Patient/A")},
        {"resourceType": "Observation", "subject": reference(f"{UPSTREAM}/Patient/A/_history/3")},
        {"resourceType": "Observation", "subject": reference("Group/1"), "performer": [reference("Practitioner/1")]},
        {"resourceType": "Observation", "performer": [{"display": "Dr. Who"}]},
        {"resourceType": "Observation", "performer": [{"identifier": {"value": "1"}, "type": "Practitioner"}]},
    ],
    ids=str,
)
def test_contained_resource_about_nobody_else_is_seen(contained: dict[str, Any]) -> None:
    assert [contained] == kept("patient/*.r", contained)


@pytest.mark.parametrize(
    "contained",
    [
        {"resourceType": "Patient", "id": "A"},
        {"resourceType": "Patient", "id": "p", "link": [{"other": reference("Patient/A")}]},
        {"resourceType": "Observation", "subject": reference("Patient/B")},
        {"resourceType": "Observation", "performer": [reference("Patient/B")]},
        {"resourceType": "Observation", "subject": reference("https://other.example/fhir/Patient/A")},
        {"resourceType": "Observation", "subject": reference("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")},
        {"resourceType": "Observation", "subject": reference("Patient?identifier=1")},
        {"resourceType": "Observation", "subject": reference("#somebody")},
        {"resourceType": "Observation", "subject": {"identifier": {"value": "1"}}},
        {"resourceType": "Observation", "subject": {"identifier": {"value": "1"}, "type": "Patient"}},
        {"resourceType": "Observation", "subject": {"display": "B", "type": "Patient"}},
        {"resourceType": "Observation", "subject": {"reference": "Group/1", "type": "Patient"}},
        {"resourceType": "Observation", "subject": {"reference": 7}},
        {"resourceType": "Observation", "subject": [reference("Patient/A")]},
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": OTHER}]},
        {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": OTHER}]},
        {"resourceType": "Device", "contained": [OTHER]},
        {"resourceType": "Nothing"},
        {"resourceType": ["Observation"]},
        {"id": "1"},
        "Observation",
        None,
    ],
    ids=str,
)
def test_contained_resource_that_could_be_somebody_elses_is_left_out(contained: Any) -> None:
    own = {"resourceType": "Device", "id": "d"}

    assert [] == kept("patient/*.r", contained)
    assert [own] == kept("patient/*.r", contained, own)


def test_contained_resource_of_another_type_than_the_letters_are_for_is_left_out() -> None:
    device = {"resourceType": "Device", "id": "d"}

    assert [] == kept("patient/Observation.r patient/Device.s", device)
    assert [device] == kept("patient/Observation.r patient/Device.r", device)
    assert [device] == kept("patient/Observation.r user/Device.r", device)


def test_shared_types_that_are_contained_are_for_reading_alone() -> None:
    medication = {"resourceType": "Medication", "id": "m"}

    assert [medication] == kept("patient/*.s", medication, letter="s")
    assert [] == kept("patient/*.u", medication, letter="u")


def test_reference_beside_it_is_to_what_is_there_and_to_nobody_where_two_are() -> None:
    doctor, patient = {"resourceType": "Practitioner", "id": "x"}, {"resourceType": "Patient", "id": "x"}
    by_it = {"resourceType": "Observation", "performer": [reference("#x")]}

    assert [doctor, by_it] == kept("patient/*.r", doctor, by_it)
    assert [] == kept("patient/*.r", patient, by_it)
    assert [doctor] == kept("patient/*.r", doctor, patient, by_it)
    assert [doctor] == kept("patient/*.r", patient, doctor, by_it)
    assert [{"resourceType": "Device"}] == kept("patient/*.r", {"resourceType": "Device"}, by_it)


def test_contained_patient_is_seen_by_who_sees_every_patient() -> None:
    patient = {"resourceType": "Patient", "id": "p"}

    assert [patient] == kept("patient/Observation.r user/Patient.r", patient)


def test_contained_resource_has_to_meet_the_parameters_of_a_scope_itself() -> None:
    lab, plain = {"resourceType": "Condition", "code": {"coding": [{"code": "x"}]}}, {"resourceType": "Condition"}

    assert [lab] == kept("patient/Observation.r user/Condition.r?code=x", lab, plain)
    assert [lab] == kept("patient/Observation.r patient/Condition.r?code=x", lab, plain)


def test_origin_of_a_contained_resource_is_that_of_the_one_around_it() -> None:
    rights = of("system/*.r?resource-origin=Device/1", None, replace(SERVER, koppeltaal=True))
    task = {"resourceType": "Task", "id": "1", "contained": [{"resourceType": "Patient", "id": "p"}]}
    own, other = (
        {**task, "extension": [{"url": ORIGIN, "valueReference": reference(f"Device/{number}")}]} for number in (1, 2)
    )

    assert own == filtered(own, rights, "r")
    assert filtered(other, rights, "r") is None


def test_contained_that_is_no_list_is_left_out() -> None:
    assert OWN == filtered({**OWN, "contained": {"resourceType": "Device"}}, of("patient/*.r"), "r")


def test_what_was_left_out_can_be_told() -> None:
    device, other = {"resourceType": "Device"}, {"resourceType": "Patient", "id": "p"}
    resource = containing(device, other)
    shown = filtered(resource, of("patient/*.r"), "r")
    assert shown is not None

    assert [other] == left_out(resource, shown)
    assert [] == left_out(OWN, OWN)
    assert [device, other] == left_out(resource, OWN)


# --- what somebody would have written ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("contained", "may_be"),
    [
        ([], True),
        ([{"resourceType": "Patient", "id": "p"}], True),
        ([{"resourceType": "Medication"}, {"resourceType": "Observation"}], True),
        ([{"resourceType": "Observation", "subject": reference("Patient/A")}], True),
        ([{"resourceType": "Observation", "subject": reference("Patient/B")}], False),
        ([{"resourceType": "Bundle"}], False),
        ([{"resourceType": "Device", "contained": []}], False),
        (["text"], False),
        ({"resourceType": "Device"}, False),
    ],
    ids=str,
)
def test_what_is_written_contains_nobody_else(contained: Any, may_be: bool) -> None:
    assert may_be is is_nobody_elses({**OWN, "contained": contained}, of("patient/Observation.c"), "c")


def test_who_may_write_of_everybody_may_do_so_in_what_is_contained() -> None:
    resource = containing({"resourceType": "Observation", "subject": reference("Patient/B")})

    assert is_nobody_elses(resource, of("user/Observation.c"), "c")
    assert is_nobody_elses(OWN, of("patient/Observation.c"), "c")


def test_other_patients_are_named_where_a_resource_would_be_theirs_as_well() -> None:
    elsewhere = "https://elsewhere.example/fhir/Patient/A"
    named = ["Patient/B", f"{BASE}/Patient/B", elsewhere, "Patient", "Patient/A", f"{UPSTREAM}/Patient/A/_history/2"]
    more = ["Practitioner/1", "#p", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"]
    performers = [*map(reference, [*named, *more]), {"display": "B"}]
    resource = {**OWN, "performer": performers, "focus": [reference("Patient/C")]}

    expected = {("performer*", each) for each in ("Patient/B", f"{BASE}/Patient/B", elsewhere, "Patient")}
    temporary = {**OWN, "performer": [reference("urn:uuid:1")]}

    assert frozenset(expected) == others_named(resource, of("patient/*.cu"))
    assert frozenset({("performer*", "urn:uuid:1")}) == others_named(temporary, of(""), {"urn:uuid:1"})
    assert not others_named({"resourceType": "Task", "for": reference("Patient/B")}, of("patient/*.cu"))


@pytest.mark.parametrize("performer", ["x", ["x"], [{"reference": 1}], {"reference": "Patient/B"}])
def test_where_an_element_is_of_another_shape_nobody_knows_who_is_named(performer: Any) -> None:
    assert others_named({**OWN, "performer": performer}, of("patient/*.cu")) is None


# --- resources that hold others ----------------------------------------------------------------------


def test_stored_bundle_is_seen_without_what_may_not_be_seen_in_it() -> None:
    own, other = {"fullUrl": "urn:uuid:1", "resource": OWN}, {"fullUrl": "urn:uuid:2", "resource": OTHER}
    bundle = {"resourceType": "Bundle", "id": "b", "type": "document", "entry": [own, other, {"link": []}, "x"]}

    assert {**bundle, "entry": [own]} == filtered(bundle, of("user/Bundle.r patient/*.r"), "r")
    assert filtered(bundle, of("patient/*.r"), "r") is None


def test_bundle_that_an_operation_answers_with_is_taken_entry_by_entry() -> None:
    bundle = {
        "resourceType": "Bundle",
        "id": "b",
        "meta": {"lastUpdated": "2024"},
        "type": "searchset",
        "total": 2,
        "link": [{"relation": "next", "url": UPSTREAM}],
        "entry": [
            {"fullUrl": f"{UPSTREAM}/Observation/1", "resource": OWN, "search": {"mode": "match", "score": 1}},
            {"fullUrl": f"{UPSTREAM}/Observation/2", "resource": OTHER},
            {"resource": {"resourceType": "Observation", "subject": reference("Patient/A")}},
            {"resource": "x"},
        ],
    }
    seen = {"fullUrl": f"{BASE}/Observation/1", "resource": OWN}

    assert {"resourceType": "Bundle", "type": "searchset", "entry": [seen]} == answered(bundle, of("patient/*.r"), "r")


@pytest.mark.parametrize("kind", ["x", None, ["searchset"]])
def test_bundle_with_nothing_to_be_seen_says_nothing(kind: Any) -> None:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": {"resource": OWN}}

    assert {"resourceType": "Bundle", "type": "collection"} == answered(bundle, of("patient/*.r"), "r")


def test_parameters_that_an_operation_answers_with_are_taken_part_by_part() -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "return", "resource": OWN},
            {"name": "return", "resource": OTHER},
            {"name": "count", "valueInteger": 2},
            {"name": "both", "part": [{"name": "own", "resource": OWN}, {"name": "other", "resource": OTHER}]},
            {"name": "nothing", "part": [{"name": "other", "resource": OTHER}]},
            "x",
        ],
    }
    own = {"name": "own", "resource": OWN}

    assert {
        "resourceType": "Parameters",
        "parameter": [{"name": "return", "resource": OWN}, {"name": "both", "part": [own]}],
    } == answered(parameters, of("patient/*.r"), "r")


def test_single_resource_that_an_operation_answers_with_is_seen_or_is_not() -> None:
    assert OWN == answered(OWN, of("patient/*.r"), "r")
    assert answered(OTHER, of("patient/*.r"), "r") is None
    assert answered({"resourceType": "OperationOutcome"}, of("patient/*.r"), "r") is None
