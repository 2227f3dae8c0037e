"""A type, criteria + rights → what the server is asked for, and what is kept of what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.narrowed import are_of_patient, source
from jwt_guard.fhir.paging import Source
from jwt_guard.fhir.query import Parameters
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.server import Server
from tests.support.fhir_exchanges import BASE, UPSTREAM, of, reference

ALL = of("patient/*.rs")
LAB, VITAL = "category=laboratory", "category=vital-signs"


def asked(
    criteria: Parameters, rights: Rights = ALL, type_: str = "Observation", within: str | None = None
) -> str | None:
    found = source(type_, criteria, rights, "s", 9, within=within)
    return None if found is None else "&".join("=".join(pair) for pair in found.first.query[:-1])


def made(rights: Rights = ALL, type_: str = "Observation", letter: str = "s", within: str | None = None) -> Source:
    found = source(type_, (), rights, letter, 9, within=within)
    assert found is not None
    return found


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "1", "subject": reference(subject), **more}


# --- what is asked for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["A", "Patient/A", f"{BASE}/Patient/A", f"{UPSTREAM}/Patient/A", "Patient/B,Patient/A", "B,A"]
)
@pytest.mark.parametrize("name", ["patient", "patient:Patient"])
def test_who_names_the_patient_asks_for_nobody_else(name: str, value: str) -> None:
    assert "code=1&patient=Patient/A" == asked(((name, value), ("code", "1")))


@pytest.mark.parametrize(
    "value", ["B", "Patient/B", "a", "A1", "Patient/A1", "https://other.example/fhir/Patient/A", "Group/A", "B,C"]
)
def test_who_names_another_finds_nothing_and_nobody_is_asked(value: str) -> None:
    assert None is asked((("patient", value),))
    assert None is asked((("patient", "A"), ("patient:Patient", value)))


def test_the_patients_id_is_intersected_too() -> None:
    assert "_id=A" == asked((("_id", "B,A"),), type_="Patient")
    assert None is asked((("_id", "B"),), type_="Patient")
    assert "_id=b1,a1&patient=Patient/A" == asked((("_id", "b1,a1"),))


def test_by_parameters_that_can_be_about_others_the_patient_is_asked_for_beside_them() -> None:
    assert "actor=Practitioner/P&actor=Patient/A" == asked((("actor", "Practitioner/P"),), type_="Schedule")
    assert "subject=Patient/B&patient=Patient/A" == asked((("subject", "Patient/B"),))
    assert "patient:missing=false&patient=Patient/A" == asked((("patient:missing", "false"),))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (f"patient/Observation.s?{LAB}", f"patient=Patient/A&{LAB}"),
        (f"patient/Observation.s?{LAB}&code=1", f"patient=Patient/A&{LAB}&code=1"),
        (f"patient/Observation.s?{LAB} patient/Observation.s?{VITAL}", f"patient=Patient/A&{LAB},vital-signs"),
        (f"patient/Observation.s?{LAB} patient/*.s?{LAB}", f"patient=Patient/A&{LAB}"),
        # A query cannot say "or" between these, and so they are judged only.
        (f"patient/Observation.s?{LAB} patient/Observation.s?code=1", "patient=Patient/A"),
        (f"patient/Observation.s?{LAB} patient/Observation.s?{VITAL}&code=1", "patient=Patient/A"),
        (f"user/Observation.s?{LAB}", LAB),
        # What somebody may see of others is not narrowed to the patient.
        (f"user/Observation.s?{LAB} patient/Observation.s?{VITAL}", f"{LAB},vital-signs"),
        (f"user/Observation.s?{LAB} patient/Observation.s", ""),
        ("system/Observation.s patient/Observation.s", ""),
        ("patient/Observation.s patient/Observation.s?code=1", "patient=Patient/A"),
    ],
)
def test_scopes_narrow_as_far_as_a_query_can_say_it(scopes: str, expected: str) -> None:
    assert expected == asked((), of(scopes))


def test_what_a_scope_narrows_by_stands_beside_what_is_asked_for() -> None:
    rights = of(f"patient/Observation.s?{LAB}")

    assert f"{VITAL}&patient=Patient/A&{LAB}" == asked((("category", "vital-signs"),), rights)
    assert f"{LAB}&patient=Patient/A" == asked((("category", "laboratory"),), rights)


def test_a_compartment_narrows_and_so_does_the_patient() -> None:
    user = of("user/Observation.s?status=final")

    assert "patient=Patient/B&status=final" == asked((), user, within="B")
    assert "patient=Patient/A" == asked((), within="A")
    assert None is asked((), within="B")
    assert None is asked((), type_="Practitioner", within="A")


def test_what_is_shared_is_not_narrowed_and_what_is_nobodys_is_not_asked_for() -> None:
    assert "" == asked((), type_="Organization")
    assert None is asked((), type_="Task")


def test_the_letter_says_which_scopes_count() -> None:
    found = source("Observation", (), of(f"patient/Observation.s?{LAB} patient/Observation.r?{VITAL}"), "r", 9)

    assert found is not None
    assert (("patient", "Patient/A"), ("category", "vital-signs"), ("_count", "9")) == found.first.query


# --- what is kept ------------------------------------------------------------------------------------


def test_what_may_be_seen_is_kept_and_nothing_else_whatever_was_asked() -> None:
    keep = made().keep

    assert observation("Patient/A") == keep(observation("Patient/A"))
    assert None is keep(observation("Patient/B"))
    assert None is keep(observation("Patient/B", focus=[reference("Patient/A")]))
    assert None is keep({"resourceType": "Patient", "id": "A"})


def test_what_it_contains_of_others_is_left_out() -> None:
    inner = {"resourceType": "Patient", "id": "x"}

    assert observation("Patient/A") == made().keep(observation("Patient/A", contained=[inner]))


def test_the_letter_is_the_one_that_was_asked_for() -> None:
    rights = of(f"patient/Observation.s?{LAB} patient/Observation.r?{VITAL}")
    lab = observation("Patient/A", category=[{"coding": [{"code": "laboratory"}]}])

    assert lab == made(rights).keep(lab)
    assert None is made(rights, letter="r").keep(lab)


def test_in_a_compartment_its_members_are_kept_alone() -> None:
    keep = made(of("user/Observation.s?status=final"), within="B").keep

    assert None is keep(observation("Patient/A", status="final"))
    assert None is keep(observation("Patient/B", status="draft"))
    assert observation("Patient/B", status="final") == keep(observation("Patient/B", status="final"))


def test_scopes_of_the_patient_alone_are_told_apart() -> None:
    def of_patient(scopes: str) -> bool:
        return are_of_patient(of(scopes).applying("Observation", "s"))

    assert of_patient("patient/Observation.s")
    assert not of_patient("patient/Observation.s user/Observation.s?code=1")


def test_at_koppeltaal_the_origin_that_was_asked_for_is_looked_at_here() -> None:
    """Servers that do not know the parameter pass over it."""
    server = Server(BASE, koppeltaal=True)
    rights = of("system/Task.rs?resource-origin=Device/1,Device/2", None, server)
    found = source("Task", (("resource-origin", "Device/2,Device/9"),), rights, "s", 9)
    assert found is not None

    assert ["2"] == [task["id"] for id_ in "129" if (task := found.keep(_task(id_))) is not None]


def _task(device: str) -> dict[str, Any]:
    origin = {
        "url": "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin",
        "valueReference": reference(f"Device/{device}"),
    }
    return {"resourceType": "Task", "id": device, "extension": [origin]}
