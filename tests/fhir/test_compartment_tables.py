"""What makes a member of a patient's compartment, as HL7 defines it → the tables, element by element.

``patient_compartment.json`` beside this file was put together from what HL7 published with 4.0.1 and 5.0.0: the patient
CompartmentDefinition says which search parameters count, the SearchParameters which elements those are, and the
StructureDefinitions which of them are arrays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.fhir.compartment_tables import TABLES, Release

FACTS: dict[Release, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_name("patient_compartment.json").read_text("utf-8")
)
SHARED = Path(__file__).parents[3] / "shared" / "vectors"


def starred(example: Any) -> str:
    """Return the path to the one reference in *example*, with a star after each array."""
    ((name, inner),) = example.items()
    name, inner = (f"{name}*", inner[0]) if isinstance(inner, list) else (name, inner)
    return name if inner == "@" else f"{name}.{starred(inner)}"


@pytest.mark.parametrize(("release", "count"), [("R4", 66), ("R5", 73)])
def test_the_types_are_those_of_the_definition(release: Release, count: int) -> None:
    assert count == len(TABLES[release])
    assert set(FACTS[release]) == set(TABLES[release])


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_the_elements_are_those_of_the_definition(release: Release) -> None:
    for name, fact in FACTS[release].items():
        row = TABLES[release][name]

        assert {starred(example) for example in fact["found"].values()} == set(row.asked.split()), name
        assert {starred(example) for example in fact["missed"].values()} == set(row.missed.split()), name
        assert fact["parameter"] == row.parameter, name


def test_r4b_has_the_definition_of_r4() -> None:
    assert TABLES["R4"] == TABLES["R4B"]


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TABLES["R4"]["Task"] = TABLES["R4"]["Account"]  # type: ignore[index]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared vectors are not here")
def test_the_shared_vectors_say_the_same_of_r4() -> None:
    vectors = json.loads((SHARED / "patient_narrowing_r4.json").read_text("utf-8"))
    definition = json.loads((SHARED / "CompartmentDefinition-patient.json").read_text("utf-8"))

    assert {entry["code"] for entry in definition["resource"] if entry.get("param")} == set(TABLES["R4"])
    assert set(vectors) == set(TABLES["R4"])
    for name, vector in vectors.items():
        row = TABLES["R4"][name]
        missed, asked = ({f"{name}.{path}" for path in t.replace("*", "").split()} for t in (row.missed, row.asked))

        assert vector["narrow_param"] == row.parameter, name
        assert set(vector["elements"]) == asked | missed, name
        assert set(vector["not_covered_by_narrow_param"]) == missed, name
