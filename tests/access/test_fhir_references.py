"""A text → the resource it names, or nothing, whatever the text is."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.access.fhir_references import FhirReference, is_fhir_base, read_reference

BASE = "https://ehr.test/fhir"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", FhirReference("Patient", "1")),
        ("PractitionerRole/a-B.9", FhirReference("PractitionerRole", "a-B.9")),
        (f"Patient/{'x' * 64}", FhirReference("Patient", "x" * 64)),
        (f"{BASE}/Practitioner/123", FhirReference("Practitioner", "123", BASE)),
        ("http://127.0.0.1:8080/Person/1", FhirReference("Person", "1", "http://127.0.0.1:8080")),
        ("https://[::1]:8443/a/b/Person/...", FhirReference("Person", "...", "https://[::1]:8443/a/b")),
    ],
)
def test_a_reference_is_relative_or_absolute(text: str, expected: FhirReference) -> None:
    assert expected == read_reference(text)


@pytest.mark.parametrize(
    "value",
    [
        "", "1 ", "Patient",
        "Patient/", "/Patient/1", "patient/1", "Patient/1/", "Patient/1/_history/2", "Patient/1?a=b",
        "Patient/1#a", "Patient/..", "Patient/.", "Patient/1\n", " Patient/1", "Patient/a_b", "Patient/é", "Pati3nt/1",
        f"Patient/{'x' * 65}", f"{'P' * 66}/1", "Patient?_id=1", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "#p1",
        "ftp://ehr.test/Patient/1", "//ehr.test/Patient/1", f"{BASE}//Patient/1", "https:///Patient/1",
        "https://user@ehr.test/Patient/1", f"{BASE}?a=/Patient/1", f"{BASE}#/Patient/1", f"{BASE}\\x/Patient/1",
        f"https://ehr.test/{'x' * 2048}/Patient/1", f"{BASE} /Patient/1", None, 1, True, ["Patient/1"],
        {"reference": "Patient/1"},
    ],
)  # fmt: skip
def test_anything_else_is_none(value: Any) -> None:
    assert None is read_reference(value)


def test_a_patient_of_another_server_is_not_ours() -> None:
    assert FhirReference("Patient", "1").is_on(BASE)
    assert FhirReference("Patient", "1", BASE).is_on(BASE)
    assert FhirReference("Patient", "1", BASE).is_on(f"{BASE}/")
    assert not FhirReference("Patient", "1", "https://ehr.test/fhir2").is_on(BASE)


def test_whom_it_names_is_in_no_log() -> None:
    assert "ada-4711" not in repr(FhirReference("Patient", "ada-4711", BASE))


@pytest.mark.parametrize("url", [BASE, f"{BASE}/", "http://localhost:8080", "https://ehr.test/tenant/7/fhir"])
def test_a_base_is_a_url(url: str) -> None:
    assert is_fhir_base(url)


@pytest.mark.parametrize(
    "url",
    ["", "ehr.test/fhir", "https://", f"{BASE}//", f"{BASE}?a=b", f"{BASE}#a", "https://u@ehr.test", None, 5, [BASE]],
)
def test_what_is_no_url_is_no_base(url: Any) -> None:
    assert not is_fhir_base(url)
