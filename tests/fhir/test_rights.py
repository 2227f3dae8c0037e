"""Scopes and a patient at a server → what may be seen and what may be changed, resource by resource."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.errors import Misconfigured
from jwt_guard.fhir.compartment_tables import TABLES, Release
from jwt_guard.fhir.resource_types import TYPES
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.server import Server
from jwt_guard.fhir.surface import Surface
from tests.properties.strategies import texts, values

BASE = "https://api.test/fhir"
OWN = "http://fhir-server:8080/fhir"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"patient/Observation.cruds?category={CATEGORY}|laboratory"
ORIGIN = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"


def rights(scopes: str, patient: str | None = "A", release: Release = "R4", **server: Any) -> Rights:
    at = Server(BASE, (OWN,), release, Surface(TYPES[release]), **server)
    return Rights(at, granted(scopes.split(), types=TYPES[release]), patient, "someone")


def observation(of: str = "A", *, category: str = "laboratory", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "1",
        "subject": {"reference": f"Patient/{of}"},
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        **more,
    }


def seen(held: Rights, resource: object) -> str:
    """Return the letters that are allowed on *resource*."""
    return "".join(letter for letter in "cruds" if held.sees(resource, letter))


# --- which scopes apply ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "scopes"),
    [
        ([], ""),
        ([], "openid fhirUser launch/patient offline_access"),
        ([], "patient/Observation.s"),
        ([], "patient/Patient.r"),
        (["patient/Observation.r"], "patient/Observation.r"),
        (["patient/*.r"], "patient/*.r"),
        (["system/Observation.r"], "system/Observation.r patient/Observation.r"),
        (["user/Observation.r"], "user/Observation.r?status=final user/Observation.r patient/Observation.r"),
        (
            ["user/Observation.r?status=final", "patient/Observation.r"],
            "user/Observation.r?status=final patient/Observation.r",
        ),
        (["patient/Observation.r"], "patient/Observation.r patient/Observation.r?status=final"),
        # what cannot be held against a resource allows nothing, and takes nothing from the others
        ([], "patient/Observation.r?date=2024"),
        ([], "system/Observation.r?status=final&date=2024"),
        ([], "user/Observation.r?code:in=http://v.test"),
        ([], "user/Observation.r?no-such-parameter=1"),
        ([], "user/Observation.r?resource-origin=Device/1"),
        (["patient/Observation.r?status=final"], "patient/Observation.r?status=final system/Observation.r?date=2024"),
        # a parameter of another type
        ([], "system/*.r?clinical-status=active"),
        (["system/*.r?status=final"], "system/*.r?status=final"),
    ],
)
def test_the_scopes_that_apply_are_those_that_can_be_enforced(expected: list[str], scopes: str) -> None:
    found = [str(scope) for scope in rights(scopes).applying("Observation", "r")]

    assert expected == found
    assert bool(expected) == rights(scopes).may("Observation", "r")


def test_what_was_found_once_is_found_again() -> None:
    held = rights("patient/Observation.rs system/Patient.r")
    for _ in range(2):
        assert held.may("Observation", "r")
        assert held.may("Observation", "s")
        assert not held.may("Observation", "u")
        assert held.may("Patient", "r")
        assert not held.may("Patient", "s")
        assert not held.may("NoSuchType", "r")
        assert not held.may("*", "r")
    assert rights("patient/Observation.rs system/Patient.r") == held


def test_for_every_type_counts_what_is_granted_for_every_type() -> None:
    assert rights("patient/*.r").may("*", "r")
    assert rights("system/*.r?_tag=x").may("*", "r")
    assert not rights("system/*.r?status=final").may("*", "r")
    assert not rights(" ".join(f"system/{name}.r" for name in TYPES["R4"])).may("*", "r")


@pytest.mark.parametrize(
    ("whole", "scopes"),
    [
        (True, "system/Observation.r"),
        (True, "user/*.cruds"),
        (True, "patient/Observation.r system/*.read"),
        (False, "patient/*.cruds"),
        (False, "system/Observation.r?status=final"),
        (False, "system/Observation.s"),
        (False, "system/Observation.r?resource-origin=Device/1"),
        (False, ""),
    ],
)
def test_rights_are_whole_where_no_resource_has_to_be_looked_at(whole: bool, scopes: str) -> None:
    assert whole == rights(scopes).whole("Observation", "r")


def test_without_a_patient_scopes_of_patients_allow_nothing() -> None:
    for patient in (None, "", "..", "A/B", "Patient/A"):
        held = rights("patient/*.cruds", patient)

        assert "" == seen(held, observation())
        assert "" == seen(held, {"resourceType": "Patient", "id": patient})
    assert not rights("patient/*.cruds", None).may("Observation", "r")
    assert not rights("patient/*.cruds", None).may("Organization", "r")
    assert "" == seen(rights("patient/*.cruds", None), {"resourceType": "Organization", "id": "1"})


# --- whose resources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "resource"),
    [
        ("cruds", observation("A")),
        ("", observation("B")),
        ("", observation("a")),
        ("cruds", observation() | {"subject": {"reference": f"{BASE}/Patient/A"}}),
        ("cruds", observation() | {"subject": {"reference": f"{OWN}/Patient/A"}}),
        ("", observation() | {"subject": {"reference": "https://other.test/fhir/Patient/A"}}),
        ("", observation("B") | {"focus": [{"reference": "Patient/A"}]}),
        ("", observation("A") | {"performer": {"reference": "Patient/A"}}),
        # a Patient, by its own id alone: nobody makes or unmakes the one whom the token is about
        ("rus", {"resourceType": "Patient", "id": "A"}),
        ("", {"resourceType": "Patient", "id": "B"}),
        ("", {"resourceType": "Patient", "id": "B", "link": [{"other": {"reference": "Patient/A"}}]}),
        ("", {"resourceType": "Patient"}),
        # shared types are read and never written
        ("rs", {"resourceType": "Organization", "id": "1"}),
        ("rs", {"resourceType": "Medication", "id": "1"}),
        # what is in no compartment is nobody's
        ("", {"resourceType": "Device", "patient": {"reference": "Patient/A"}}),
        ("", {"resourceType": "Task", "for": {"reference": "Patient/A"}}),
        ("", {"resourceType": "Bundle", "entry": [{"resource": observation("A")}]}),
        ("", {"resourceType": "Binary", "securityContext": {"reference": "Patient/A"}}),
        ("", {"resourceType": "Parameters"}),
        ("", {"resourceType": "NoSuchType", "subject": {"reference": "Patient/A"}}),
        ("", {"resourceType": ["Observation"], "subject": {"reference": "Patient/A"}}),
        ("", {"subject": {"reference": "Patient/A"}}),
        ("", [observation("A")]),
        ("", "Patient/A"),
        ("", None),
    ],
)
def test_a_patients_scopes_are_about_that_patient_alone(letters: str, resource: object) -> None:
    assert letters == seen(rights("patient/*.cruds"), resource)


@pytest.mark.parametrize("context", ["user", "system"])
def test_the_scopes_of_users_and_systems_are_about_everybody(context: str) -> None:
    held = rights(f"{context}/*.cruds", None)

    assert "cruds" == seen(held, observation("B"))
    assert "cruds" == seen(held, {"resourceType": "Patient", "id": "B"})
    assert "cruds" == seen(held, {"resourceType": "Device"})
    assert "" == seen(held, {"resourceType": "NoSuchType"})


def test_only_the_letters_that_are_granted_count() -> None:
    assert "cu" == seen(rights("patient/Observation.cu"), observation())
    assert "rs" == seen(rights("patient/Observation.read"), observation())
    assert "rs" == seen(rights("patient/Observation.r patient/*.s"), observation())
    assert "" == seen(rights("patient/Condition.cruds"), observation())
    assert "s" == seen(rights("patient/Observation.r system/Patient.s"), {"resourceType": "Patient", "id": "A"})


def test_shared_types_need_a_scope_as_well() -> None:
    organization = {"resourceType": "Organization", "id": "1"}

    assert "" == seen(rights("patient/Observation.rs"), organization)
    assert "rs" == seen(rights("patient/Organization.cruds"), organization)
    assert "" == seen(rights("patient/*.cruds", shared_types=frozenset()), organization)
    assert "rs" == seen(rights("patient/*.cruds", shared_types=frozenset({"Device"})), {"resourceType": "Device"})
    assert "rs" == seen(rights("patient/*.cruds?_id=1"), organization)
    assert "" == seen(rights("patient/*.cruds?_id=2"), organization)


@pytest.mark.parametrize("release", ["R4", "R4B", "R5"])
def test_a_type_that_patients_have_members_of_cannot_be_shared(release: Release) -> None:
    for name in TABLES[release]:
        with pytest.raises(Misconfigured, match="is of a patient"):
            rights("patient/*.cruds", release=release, shared_types=frozenset({name, "Device"}))


def test_links_between_patients_are_followed_where_that_is_wanted_and_never_to_write() -> None:
    linked = {"resourceType": "Patient", "id": "B", "link": [{"other": {"reference": "Patient/A"}}]}

    assert "" == seen(rights("patient/*.cruds"), linked)
    assert "rs" == seen(rights("patient/*.cruds", follow_patient_links=True), linked)
    assert "rus" == seen(rights("patient/*.cruds", follow_patient_links=True), linked | {"id": "A"})


# --- parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "scopes", "resource"),
    [
        ("cruds", LAB, observation()),
        ("", LAB, observation(category="vital-signs")),
        ("", LAB, observation("B")),
        ("", LAB, observation() | {"category": observation()["category"][0]}),
        ("", LAB, {"resourceType": "Observation", "subject": {"reference": "Patient/A"}}),
        # all of one scope's, any of several scopes
        ("rs", "patient/Observation.rs?category=laboratory&status=final", observation(status="final")),
        ("", "patient/Observation.rs?category=laboratory&status=final", observation(status="amended")),
        ("rs", "patient/Observation.rs?category=vital-signs patient/Observation.rs?category=laboratory", observation()),
        (
            "rs",
            "patient/Observation.r?category=laboratory patient/Observation.s?status=final",
            observation(status="final"),
        ),
        ("r", "patient/Observation.r?category=laboratory patient/Observation.s?status=final", observation()),
        # two halves of two scopes are no scope
        (
            "",
            "patient/Observation.r?category=vital-signs user/Observation.r?category=laboratory&status=final",
            observation(),
        ),
        ("r", "patient/Observation.r?category=vital-signs user/Observation.r?category=laboratory", observation("B")),
        ("", "patient/Observation.r?category=laboratory user/Observation.r?category=vital-signs", observation("B")),
        # one without parameters allows all that the others do
        ("rs", f"patient/Observation.rs {LAB.replace('cruds', 'rs')}", observation(category="vital-signs")),
        ("rs", f"patient/*.rs {LAB.replace('cruds', 'rs')}", observation(category="vital-signs")),
        ("", "patient/Observation.rs?date=2024", observation()),
    ],
)
def test_a_resource_meets_all_of_one_scope(letters: str, scopes: str, resource: dict[str, Any]) -> None:
    assert letters == seen(rights(scopes), resource)


def test_who_creates_does_not_choose_the_id() -> None:
    held = rights("patient/Observation.cruds?_id=1 system/Device.cruds?_id=1")

    assert "ruds" == seen(held, observation())
    assert "" == seen(held, observation() | {"id": "2"})
    assert "ruds" == seen(held, {"resourceType": "Device", "id": "1"})
    assert "cruds" == seen(rights(LAB), observation())


# --- Koppeltaal --------------------------------------------------------------------------------------


def task(origin: str | None, name: str = "Task") -> dict[str, Any]:
    extension = {"url": ORIGIN, "valueReference": {"reference": origin}}
    return {"resourceType": name, "id": "1"} | ({} if origin is None else {"extension": [extension]})


@pytest.mark.parametrize(
    ("letters", "scopes", "resource"),
    [
        ("cruds", "system/Task.cruds?resource-origin=Device/1", task("Device/1")),
        ("cruds", "system/Task.cruds?resource-origin=Device/1,Device/2", task("Device/2")),
        # what is new has no origin yet, and another one that it says it has is not believed by the server
        ("c", "system/Task.cruds?resource-origin=Device/1", task(None)),
        ("c", "system/Task.cruds?resource-origin=Device/1", task("Device/12")),
        ("c", "system/Task.cruds?resource-origin=Device/12", task("Device/1")),
        ("c", "system/Task.cruds?resource-origin=Device/1", task("Device/3")),
        ("", "system/Task.ruds?resource-origin=Device/1", task(None)),
        ("", "system/Task.r?resource-origin=Device/1", task("Device/2")),
        ("r", "system/*.r?resource-origin=Device/1", task("Device/1")),
        ("", "system/Patient.cruds?resource-origin=Device/1", task("Device/1")),
        # an unlimited scope is not narrowed by a limited one beside it
        ("r", "system/Task.r system/Task.r?resource-origin=Device/1", task("Device/2")),
        ("r", "system/Task.r?resource-origin=Device/2 system/Task.r?resource-origin=Device/1", task("Device/1")),
        # three types are everybody's where nobody made them
        ("cruds", "system/*.cruds?resource-origin=Device/1", task(None, "SearchParameter")),
        ("cruds", "system/*.cruds?resource-origin=Device/1", task(None, "Device")),
        ("cruds", "system/*.cruds?resource-origin=Device/1", task(None, "CodeSystem")),
        ("c", "system/*.cruds?resource-origin=Device/1", task("Device/2", "Device")),
        ("c", "system/*.cruds?resource-origin=Device/1", task(None, "Endpoint")),
        # it is a parameter of system scopes alone
        ("", "user/Task.cruds?resource-origin=Device/1", task("Device/1")),
        (
            "",
            "patient/Observation.cruds?resource-origin=Device/1",
            observation(extension=task("Device/1")["extension"]),
        ),
    ],
)
def test_an_origin_limits_all_but_creation(letters: str, scopes: str, resource: dict[str, Any]) -> None:
    assert letters == seen(rights(scopes, None if "system" in scopes else "A"), resource)


# --- whatever it is ----------------------------------------------------------------------------------

held_by_a = st.sampled_from(
    ["patient/*.cruds", LAB, "patient/*.rs?_id=1", "patient/*.cruds patient/Observation.r?subject=Patient/A"]
)


@given(held_by_a, st.dictionaries(st.one_of(texts, st.just("subject")), values), st.sampled_from(sorted(TABLES["R4"])))
def test_no_json_makes_it_fail_and_nothing_that_does_not_name_the_patient_is_seen(
    scopes: str, more: dict[str, Any], name: str
) -> None:
    held = rights(scopes, "Zz9-not-there")

    assert "" == seen(held, more)
    assert "" == seen(held, more | {"resourceType": name})


@given(st.sets(st.sampled_from("cruds"), min_size=1), st.sampled_from([observation("A"), observation("B")]), st.data())
def test_a_scope_more_never_takes_anything_away(
    letters: set[str], resource: dict[str, Any], data: st.DataObject
) -> None:
    word = "".join(letter for letter in "cruds" if letter in letters)
    pool = [
        f"patient/Observation.{word}",
        f"patient/*.{word}?category=laboratory",
        f"patient/Observation.{word}?date=2024",
        f"user/Observation.{word}?category=vital-signs",
        f"system/Observation.{word}?resource-origin=Device/1",
        f"system/*.{word}",
    ]
    some = data.draw(st.lists(st.sampled_from(pool), max_size=3))
    more = data.draw(st.lists(st.sampled_from(pool), max_size=3))
    before = set(seen(rights(" ".join(some)), resource))

    assert before <= set(seen(rights(" ".join(some + more)), resource))
    assert before <= letters
