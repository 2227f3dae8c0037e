"""A resource → whose it is, by what the definition nominates and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from jwt_guard.fhir.compartment import Narrowing, contained_membership, membership, narrowing
from jwt_guard.fhir.compartment_tables import Release
from tests.properties.strategies import scalars, texts, values

BASE = "https://ehr.test/fhir"
OTHER = "https://other.test/fhir"
A = {"reference": "Patient/A"}
B = {"reference": "Patient/B"}
RELEASES: list[Release] = ["R4", "R4B", "R5"]
FACTS: dict[Release, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_name("patient_compartment.json").read_text("utf-8")
)
FACTS["R4B"] = FACTS["R4"]
EXAMPLES: list[tuple[Release, str, str, Any]] = [
    (release, name, element, example)
    for release in RELEASES
    for name, fact in FACTS[release].items()
    if name != "Patient"
    for element, example in (fact["found"] | fact["missed"]).items()
]


def filled(example: Any, reference: Any) -> Any:
    """Return *example* with *reference* where it has its ``@``."""
    if isinstance(example, dict):
        return {name: filled(inner, reference) for name, inner in example.items()}
    return [filled(inner, reference) for inner in example] if isinstance(example, list) else reference


def turned(example: Any, deep: int) -> Any:
    """Return *example* with what is *deep* names into it an array where it is none, and none where it is one."""
    if isinstance(example, list):
        return example[0] if deep == 0 else [turned(example[0], deep)]
    if deep == 0 or not isinstance(example, dict):
        return [example]
    return {name: turned(inner, deep - 1) for name, inner in example.items()}


def observation(reference: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "subject": reference, **more}


# ── what counts ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("release", "name", "element", "example"), EXAMPLES)
def test_every_nominated_element_makes_a_member(release: Release, name: str, element: str, example: Any) -> None:
    mine = {"resourceType": name, "id": "1"} | filled(example, A)
    theirs = {"resourceType": name, "id": "A"} | filled(example, B)

    assert membership(mine, "A", release=release), element
    assert not membership(theirs, "A", release=release), element
    assert membership(theirs, "B", release=release), element


@pytest.mark.parametrize(("release", "name", "element", "example"), EXAMPLES)
def test_an_element_of_another_shape_makes_nobodys(release: Release, name: str, element: str, example: Any) -> None:
    resource = {"resourceType": name} | filled(example, A)
    for deep in range(1, element.count(".") + 2):
        assert not membership({"resourceType": name} | filled(turned(example, deep), A), "A", release=release)
    top = element.partition(".")[0]
    for wrong in (None, "Patient/A", 1, True, [None], ["Patient/A"], [[A]], [A, None], {"reference": [A]}):
        assert not membership(resource | {top: wrong}, "A", release=release), wrong


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Observation", {"focus": [A]}),
        ("Observation", {"subjectReference": A}),
        ("Observation", {"patient": A}),
        ("Observation", {"derivedFrom": [A], "note": [{"authorReference": A}]}),
        ("Appointment", {"subject": A, "actor": A}),
        ("AuditEvent", {"patient": A, "source": {"observer": A}}),
        ("Composition", {"section": [{"entry": [A], "author": [A], "focus": A}]}),
        ("Encounter", {"participant": [{"individual": A}], "patient": A}),
        ("List", {"entry": [{"item": A}]}),
        ("Group", {"managingEntity": A, "entity": A, "characteristic": [{"valueReference": A}]}),
        ("MedicationRequest", {"requester": A, "performer": A}),
        ("MessageHeader", {"focus": [A]}),
        ("Procedure", {"asserter": A, "recorder": A}),
        ("Provenance", {"agent": [{"who": A}], "patient": A}),
        ("QuestionnaireResponse", {"source": A}),
        # Its nominated participants are those of the outer actions.
        ("RequestGroup", {"action": [{"action": [{"participant": [A]}]}]}),
        ("ServiceRequest", {"requester": A}),
        ("SupplyRequest", {"subject": A, "deliverFor": A}),
        ("Task", {"for": A, "focus": A}),
        ("Device", {"patient": A}),
        ("Contract", {"subject": [A]}),
        ("Bundle", {"entry": [{"resource": {"resourceType": "Patient", "id": "A"}}]}),
        ("Practitioner", {"id": "A"}),
        ("observation", {"subject": A}),
        ("NoSuchType", {"subject": A, "patient": A}),
    ],
)
def test_other_elements_and_types_do_not_count(name: str, more: Any) -> None:
    assert not membership({"resourceType": name} | more, "A")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Appointment", {"subject": A}),
        ("SupplyRequest", {"deliverFor": A}),
        ("RequestOrchestration", {"action": [{"participant": [{"actorCanonical": "Patient/A", "actor": A}]}]}),
        ("NutritionIntake", {"reportedBoolean": True, "reported": A}),
        ("DeviceRequest", {"performer": A}),
        ("MedicationAdministration", {"performer": [{"actor": A}]}),
        ("RequestGroup", {"subject": A}),
    ],
)
def test_in_r5_too_other_elements_and_types_do_not_count(name: str, more: Any) -> None:
    assert not membership({"resourceType": name} | more, "A", release="R5")


def test_one_reference_of_several_is_enough() -> None:
    team = {"resourceType": "Group", "member": [{"entity": B}, {}, {"inactive": True, "entity": A}]}

    assert membership(team, "A")
    assert membership(team, "B")
    assert not membership(team, "C")
    assert membership(observation(B, performer=[{"reference": "Practitioner/1"}, A]), "A")


def test_what_is_absent_or_empty_is_not_malformed() -> None:
    assert membership(observation(A, performer=[]), "A")
    assert membership(observation({}, performer=[A]), "A")
    assert membership(observation({"display": "her"}, performer=[{"identifier": {"value": "A"}}, A]), "A")
    assert not membership({"resourceType": "Observation"}, "A")


def test_one_malformed_element_spoils_the_others() -> None:
    assert not membership(observation(A, performer=A), "A")
    assert not membership(observation(A, performer=[None]), "A")
    assert not membership(observation(A, performer=[{"reference": 1}]), "A")
    assert not membership(observation(A, performer=[A | {"type": "Practitioner"}]), "A")


# ── references ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/A"},
        {"reference": "Patient/A", "type": "Patient", "display": "somebody", "identifier": {"value": "B"}},
        {"reference": "Patient/A/_history/1"},
        {"reference": f"{BASE}/Patient/A"},
        {"reference": f"{BASE}/Patient/A/_history/v.2-3"},
        {"reference": "http://inside.test:8080/r4/Patient/A"},
    ],
)
def test_a_reference_is_relative_or_on_our_own_base_and_may_name_a_version(reference: Any) -> None:
    assert membership(observation(reference), "A", [f"{BASE}/", "http://inside.test:8080/r4"])


@pytest.mark.parametrize(
    "text",
    [
        "", "A", "Patient", "Patient/", "/Patient/A", "Patient/a", "patient/A", "Patient/A/", "Patient//A",
        "Patient/A ", "Patient/AA", "Patient/A/..", "Patient/B/../A", "Patient/%41", "Patient/A?x=y", "Patient/A#x",
        "Patient?_id=A", "Group/A", "RelatedPerson/A", "#A", "#", "#Patient/A", "urn:uuid:A", "Patient/A|1",
        "Patient/A\n", "Patient/A/_history", "Patient/A/_history/", "Patient/A/_history/..",
        "Patient/A/_history/1/_history/2", "Patient/A/_history/1/", "Patient/A/_history/1?x", "Patient/B/_history/A",
        "/_history/1", "Patient/_history/A", "Patient/A/Observation/1", f"{OTHER}/Patient/A",
        f"{OTHER}/Patient/A/_history/1", f"{BASE}x/Patient/A", f"{BASE}/tenant/Patient/A",
        "https://ehr.test/Patient/A", "http://ehr.test/fhir/Patient/A", "https://ehr.test:443/fhir/Patient/A",
        "https://EHR.test/fhir/Patient/A", f"{BASE}//Patient/A", f"{BASE}/_history/1/Patient/A", f"{BASE}/Patient/B",
        f"{BASE}/Group/A", "https://user@ehr.test/fhir/Patient/A", "//ehr.test/fhir/Patient/A",
    ],
)  # fmt: skip
def test_other_references_are_not_to_the_patient(text: str) -> None:
    assert not membership(observation({"reference": text}), "A", [BASE])
    assert membership(observation({"reference": text}, performer=[A]), "A", [BASE])


@pytest.mark.parametrize(
    "reference",
    [
        {"identifier": {"system": "urn:ssn", "value": "A"}, "type": "Patient"},
        {"identifier": {"value": "Patient/A"}, "display": "Patient/A"},
        {"reference": "Patient/A", "type": "Group"},
        {"reference": "Patient/A", "type": None},
        {"reference": "Patient/A", "type": ["Patient"]},
        {"reference": None},
        {"reference": ["Patient/A"]},
        {"reference": {"reference": "Patient/A"}},
        {"Reference": "Patient/A"},
        {"_reference": "Patient/A", "id": "A", "extension": [{"valueReference": A}]},
    ],
)
def test_what_does_not_refer_by_a_url_or_contradicts_itself_does_not_count(reference: Any) -> None:
    assert not membership(observation(reference), "A", [BASE])


def test_a_reference_to_a_contained_patient_is_to_nobody_else() -> None:
    contained = [{"resourceType": "Patient", "id": "A"}]

    assert not membership(observation({"reference": "#A"}, contained=contained), "A")
    assert not membership(observation({"reference": f"{BASE}/Patient/A"}), "A")
    assert not membership(observation({"reference": f"{BASE}/Patient/A"}), "A", BASE)


# ── patients ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_patient_is_in_its_own_compartment_by_its_id() -> None:
    assert membership({"resourceType": "Patient", "id": "A", "link": 1}, "A")
    assert not membership({"resourceType": "Patient", "id": "B"}, "A")
    assert not membership({"resourceType": "Patient"}, "A")
    assert not membership({"resourceType": "Patient", "id": ["A"]}, "A")
    assert not membership({"resourceType": "Patient", "patient": A, "subject": A}, "A")


def test_a_link_to_the_patient_counts_only_where_that_is_asked_for() -> None:
    linked = {"resourceType": "Patient", "id": "B", "link": [{"other": A, "type": "seealso"}]}

    assert not membership(linked, "A")
    assert not membership(linked, "A", follow_patient_links=False)
    assert membership(linked, "A", follow_patient_links=True)
    assert membership(linked, "B", follow_patient_links=True)
    assert not membership(linked, "C", follow_patient_links=True)
    assert not membership(linked | {"link": {"other": A}}, "A", follow_patient_links=True)


def test_following_links_changes_nothing_for_other_types() -> None:
    assert membership(observation(A), "A", follow_patient_links=True)
    assert not membership(observation(B, link=[{"other": A}]), "A", follow_patient_links=True)


def test_a_contained_resource_belongs_by_what_it_refers_to_and_never_by_its_id() -> None:
    assert contained_membership(observation(A), "A")
    assert contained_membership(observation({"reference": f"{BASE}/Patient/A"}), "A", [BASE])
    assert contained_membership({"resourceType": "DeviceUsage", "patient": A}, "A", release="R5")
    assert not contained_membership({"resourceType": "DeviceUsage", "patient": A}, "A")
    assert not contained_membership(observation(B), "A")
    assert not contained_membership({"resourceType": "Patient", "id": "A"}, "A")
    assert not contained_membership("Patient/A", "A")


@pytest.mark.parametrize("patient", ["", " ", ".", "..", "A/B", "Patient/A", "A\n", "é", "x" * 65, None, 1, ["A"]])
def test_what_is_no_id_has_no_compartment(patient: Any) -> None:
    assert not membership({"resourceType": "Patient", "id": patient}, patient)
    assert not membership(observation({"reference": f"Patient/{patient}"}), patient)


@pytest.mark.parametrize("resource", [None, "Patient/A", 1, True, [], [observation(A)], {}, {"resourceType": None}])
def test_what_is_no_resource_is_nobodys(resource: Any) -> None:
    assert not membership(resource, "A")


@pytest.mark.parametrize("kind", [None, 1, ["Observation"], {"Observation": 1}, ""])
def test_a_resource_of_no_type_is_nobodys(kind: Any) -> None:
    assert not membership({"resourceType": kind, "subject": A}, "A")
    assert not membership({"subject": A, "id": "A"}, "A")


# ── narrowing ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("release", RELEASES)
def test_narrowing_says_what_it_does_not_find(release: Release) -> None:
    for name, fact in FACTS[release].items():
        missed = {f"{name}.{element}" for element in fact["missed"]}
        found = narrowing(name, release)

        assert found is not None
        assert fact["parameter"] == found.parameter
        assert missed == set(found.under_returns)


def test_narrowing_is_of_r4_unless_said_otherwise() -> None:
    assert Narrowing("patient", ("Observation.performer",)) == narrowing("Observation")
    assert Narrowing("patient", ("CarePlan.activity.detail.performer",)) == narrowing("CarePlan")
    assert Narrowing("patient") == narrowing("CarePlan", "R5")
    assert Narrowing("actor") == narrowing("Appointment", "R5")
    assert narrowing("Task") is None
    assert Narrowing("patient", ("Task.focus",)) == narrowing("Task", "R5")


@pytest.mark.parametrize("name", ["Practitioner", "Organization", "Location", "Medication", "Binary", "patient", ""])
def test_types_that_no_compartment_has_cannot_be_narrowed(name: str) -> None:
    assert narrowing(name) is None
    assert narrowing(name, "R5") is None


def test_a_narrowing_asks_for_the_patient_with_its_type() -> None:
    found = [narrowing(name) for name in ("Observation", "Schedule", "Group", "Patient")]

    assert [
        ("patient", "Patient/A"),
        ("actor", "Patient/A"),
        ("member", "Patient/A"),
        ("_id", "A"),
    ] == [each.pair("A") for each in found if each is not None]


# ── whatever it is ─────────────────────────────────────────────────────────────────────────────────────────────────

TEMPTING = [
    "subject",
    "patient",
    "focus",
    "actor",
    "performer",
    "entity",
    "contained",
    "extension",
    "link",
    "reference",
]
references: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [A, B, {"reference": "#A"}, {"reference": "Group/1"}, {"identifier": {"value": "A"}}, {}]
)
tempting = st.sampled_from([A, [A], "Patient/A", [{"actor": A, "entity": A, "other": A}]])
junk: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.dictionaries(texts, values, max_size=3), st.dictionaries(st.sampled_from(TEMPTING), tempting)
)


@st.composite
def garnished(draw: st.DrawFn, example: Any) -> tuple[Any, Any]:
    """Return *example* filled with references, twice: once bare, and once with all sorts of things beside them."""
    if isinstance(example, list):
        pairs = draw(st.lists(garnished(example[0]), max_size=3))
        return [bare for bare, _ in pairs], [full for _, full in pairs]
    if example == "@":
        bare: dict[str, Any] = draw(references)
        beside = {name: value for name, value in draw(junk).items() if name not in {"reference", "type"}}
        return bare, beside | bare
    pairs_by_name = {name: draw(garnished(inner)) for name, inner in example.items() if draw(st.booleans())}
    beside = {name: value for name, value in draw(junk).items() if name not in example}
    return (
        {name: bare for name, (bare, _) in pairs_by_name.items()},
        beside | {name: full for name, (_, full) in pairs_by_name.items()},
    )


@given(st.data(), st.sampled_from(RELEASES))
def test_what_is_not_nominated_never_matters(data: st.DataObject, release: Release) -> None:
    name = data.draw(st.sampled_from(sorted(set(FACTS[release]) - {"Patient"})))
    fact = FACTS[release][name]
    elements: dict[str, Any] = {}
    for each in (fact["found"] | fact["missed"]).values():
        elements |= each
    bare, full = data.draw(garnished(elements))
    bare |= {"resourceType": name}
    full |= {"resourceType": name}
    expected = membership(bare, "A", release=release)
    event("a member" if expected else "none")

    assert expected == membership(full, "A", release=release)
    assert expected == ('"Patient/A"' in json.dumps(bare))


@given(junk, st.sampled_from(["A", "B"]))
@example({"link": [{"other": A}]}, "B")
def test_of_a_patient_nothing_but_the_id_matters(more: dict[str, Any], own: str) -> None:
    assert (own == "A") == membership(more | {"resourceType": "Patient", "id": own}, "A")


@given(st.data(), st.sampled_from(RELEASES))
def test_no_json_makes_it_fail_and_none_without_the_id_belongs(data: st.DataObject, release: Release) -> None:
    name = data.draw(st.sampled_from(sorted(FACTS[release])))
    fact = FACTS[release][name]
    tops = sorted({element.partition(".")[0] for element in (*fact["found"], *fact["missed"])})
    reference = st.fixed_dictionaries({"reference": values}, optional={"type": values})
    wild = st.one_of(values, st.lists(st.one_of(scalars, references, reference, junk)), junk, reference)
    resource = data.draw(st.dictionaries(st.sampled_from([*tops, "id"]), wild, min_size=1)) | {"resourceType": name}
    belongs = membership(resource, "Zz9", [BASE], release=release, follow_patient_links=data.draw(st.booleans()))
    assume("Zz9" not in json.dumps(resource))

    assert not belongs
