"""Resources held against the parameters of scopes → only those that meet them, and nothing where that is unclear."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jwt_guard.fhir.compartment_tables import Release
from jwt_guard.fhir.matching import asked, elements, is_enforceable, is_plain_search, is_reference, matches, referred
from jwt_guard.fhir.matching_tables import OF_EVERY_TYPE, PARAMETERS
from jwt_guard.fhir.resource_types import TYPES
from jwt_guard.fhir.scopes import SmartScope, read_scope
from tests.properties.strategies import scalars, texts, values

BASE = "https://ehr.test/fhir"
OWN = "http://fhir-server:8080/fhir"
BASES = (BASE, OWN)
RELEASES: list[Release] = ["R4", "R4B", "R5"]
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC = "http://loinc.org"
ORIGIN = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"
KINDS = {"boolean", "canonical", "coding", "concept", "contact", "identifier", "other", "reference", "text", "uri"}
NO_RESOURCES: list[Any] = [{}, {"resourceType": ["Observation"]}, {"resourceType": 1}, [], None, "Observation"]
LABORATORY = {"coding": [{"system": CATEGORY, "code": "laboratory", "display": "Laboratory"}]}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "1",
    "meta": {
        "profile": ["http://p.test/one", "http://p.test/two|2"],
        "security": [{"system": "http://s.test", "code": "R"}],
        "source": "urn:source",
        "tag": [{"code": "x"}],
    },
    "identifier": [{"system": "urn:lab", "value": "17"}, {"value": "loose"}],
    "status": "final",
    "category": [{"text": "something"}, LABORATORY],
    "code": {"coding": [{"system": LOINC, "code": "4548-4"}, {"code": "A1C"}], "text": "vital"},
    "subject": {"reference": "Patient/A"},
    "encounter": {"reference": f"{BASE}/Encounter/E"},
    "performer": [{"reference": "Practitioner/P", "type": "Practitioner"}, {"reference": "Organization/O/_history/2"}],
    "device": {"reference": "https://other.test/fhir/Device/D"},
    "component": [{"code": {"coding": [{"code": "systolic"}]}}, {}],
    "valueCodeableConcept": {"coding": [{"code": "high"}]},
}


def scope(query: str, name: str = "Observation", context: str = "patient") -> SmartScope:
    read = read_scope(f"{context}/{name}.cruds?{query}", types=TYPES["R4"] | TYPES["R5"])

    assert isinstance(read, SmartScope), read
    return read


def built(*parameters: tuple[str, str], **more: Any) -> SmartScope:
    return SmartScope("user", "Observation", frozenset("rs"), parameters, **more)


def meets(query: str, resource: Any = OBSERVATION, release: Release = "R4", **changed: Any) -> bool:
    read = scope(query, resource["resourceType"])

    assert is_enforceable(read, resource["resourceType"], release), query
    return matches(resource | changed, read, BASES, release)


def may_be_asked(query: str, name: str = "Observation", release: Release = "R4") -> bool:
    read = scope(query, name)
    enforceable = is_enforceable(read, name, release)

    assert enforceable or not matches({"resourceType": name}, read, BASES, release)
    return enforceable


# --- what is met -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("met", "query"),
    [
        # a CodeableConcept
        (True, f"category={CATEGORY}|laboratory"),
        (True, "category=laboratory"),
        (True, f"category={CATEGORY}|"),
        (False, f"category={CATEGORY}|vital-signs"),
        (False, "category=http://other.test|laboratory"),
        (False, "category=http://other.test|"),
        (False, f"category={CATEGORY}/|laboratory"),
        (False, "category=|laboratory"),
        (False, "category=Laboratory"),
        (False, "category=lab"),
        (False, "category=laboratory2"),
        (False, "category=something"),  # a text is no code
        (False, "code=vital"),
        (True, "code=|A1C"),
        (True, "code=A1C"),
        (False, f"code={LOINC}|A1C"),
        (True, "code=4548-4"),
        (False, "code=|4548-4"),
        (True, "value-concept=high"),
        # in one of several elements
        (True, "combo-code=systolic"),
        (True, "combo-code=A1C"),
        (False, "code=systolic"),
        (False, "component-code=A1C"),
        # an Identifier
        (True, "identifier=urn:lab|17"),
        (True, "identifier=17"),
        (True, "identifier=urn:lab|"),
        (True, "identifier=|loose"),
        (True, "identifier=loose"),
        (False, "identifier=|17"),
        (False, "identifier=urn:lab|loose"),
        (False, "identifier=1"),
        # a code
        (True, "status=final"),
        (False, "status=Final"),
        (False, "status=fina"),
        # what every type has
        (True, "_id=1"),
        (False, "_id=11"),
        (True, "_tag=x"),
        (True, "_tag=|x"),
        (False, "_tag=http://s.test|x"),
        (True, "_security=http://s.test|R"),
        (False, "_security=http://s.test|V"),
        (True, "_profile=http://p.test/one"),
        (True, "_profile=http://p.test/two%7C2"),
        (False, "_profile=http://p.test/two"),  # a URI is one text
        (False, "_profile=http://p.test/"),
        (True, "_source=urn:source"),
        (False, "_source=urn:Source"),
        # a Reference
        (True, "subject=Patient/A"),
        (True, f"subject={BASE}/Patient/A"),
        (True, f"subject={OWN}/Patient/A"),
        (False, "subject=Patient/a"),
        (False, "subject=Patient/AA"),
        (False, "subject=Group/A"),
        (False, "subject=https://other.test/fhir/Patient/A"),
        (True, "patient=Patient/A"),
        (True, "patient=A"),
        (False, "patient=B"),
        (True, "performer=Practitioner/P"),
        (True, "performer=Organization/O"),  # a reference to a version is one to what it is a version of
        (False, "performer=Organization/P"),
        (True, "device=https://other.test/fhir/Device/D"),
        (False, "device=Device/D"),
        (False, f"device={BASE}/Device/D"),
        (False, "specimen=Specimen/S"),
        # one of a list, and all of several
        (True, "code=8480-6,4548-4"),
        (False, "code=8480-6,4548"),
        (True, f"code={LOINC}|8480-6,|A1C"),
        (True, "code=8480-6%2C4548-4"),
        (True, "category=laboratory&status=final"),
        (False, "category=laboratory&status=amended"),
        (False, "category=vital-signs&status=final"),
        (True, "code=4548-4&code=A1C"),
        (False, "code=4548-4&code=8480-6"),
        # decoded once
        (True, "status=%66inal"),
        (False, "status=%2566inal"),
    ],
)
def test_a_resource_meets_what_it_says_itself(met: bool, query: str) -> None:
    assert met == meets(query)


@pytest.mark.parametrize(
    ("met", "query", "resource"),
    [
        (True, "active=true", {"resourceType": "Patient", "active": True}),
        (False, "active=true", {"resourceType": "Patient", "active": False}),
        (True, "active=false", {"resourceType": "Patient", "active": False}),
        (False, "active=false", {"resourceType": "Patient"}),
        (False, "active=true", {"resourceType": "Patient", "active": "true"}),
        (False, "active=1", {"resourceType": "Patient", "active": 1}),
        (True, "telecom=a@b.test", {"resourceType": "Patient", "telecom": [{"system": "email", "value": "a@b.test"}]}),
        (False, "telecom=a@b.test", {"resourceType": "Patient", "telecom": [{"system": "email"}]}),
        (False, "telecom=a@b.test", {"resourceType": "Patient", "telecom": ["a@b.test"]}),
        (True, "class=AMB", {"resourceType": "Encounter", "class": {"code": "AMB"}}),
        (False, "class=AMB", {"resourceType": "Encounter", "class": [{"code": "AMB"}]}),
        (True, "url=http://v.test/1", {"resourceType": "ValueSet", "url": "http://v.test/1"}),
        (False, "url=http://v.test/", {"resourceType": "ValueSet", "url": "http://v.test/1"}),
        (True, "url=http://v.test/a%7C1", {"resourceType": "ValueSet", "url": "http://v.test/a|1"}),
        (True, "patient=A", {"resourceType": "AuditEvent", "entity": [{"what": {"reference": "Patient/A"}}]}),
        (False, "patient=A", {"resourceType": "AuditEvent", "entity": [{"what": {"reference": "Group/A"}}]}),
    ],
)  # fmt: skip
def test_elements_of_every_kind_can_be_asked_about(met: bool, query: str, resource: dict[str, Any]) -> None:
    assert met == meets(query, resource)


@pytest.mark.parametrize(
    ("met", "query", "canonical"),
    [
        (True, "http://q.test/a", "http://q.test/a"),
        (True, "http://q.test/a", "http://q.test/a|2"),
        (True, "http://q.test/a|2", "http://q.test/a|2"),
        (False, "http://q.test/a|2", "http://q.test/a"),
        (False, "http://q.test/a|2", "http://q.test/a|22"),
        (False, "http://q.test/a", "http://q.test/ab"),
        (False, "http://q.test/a", "http://q.test/a#2"),
        (False, "http://q.test/a", ["http://q.test/a"]),
    ],
)
def test_a_canonical_url_without_a_version_is_meant_in_every_version(met: bool, query: str, canonical: object) -> None:
    response = {"resourceType": "QuestionnaireResponse", "questionnaire": canonical}

    assert met == meets(f"questionnaire={query}", response)


def test_an_array_in_an_array_is_looked_through() -> None:
    rash = {"manifestation": [{"coding": [{"code": "rash"}]}]}
    allergy = {"resourceType": "AllergyIntolerance", "reaction": [{}, {"manifestation": []}, rash]}

    assert meets("manifestation=rash", allergy)
    assert not meets("manifestation=rash", allergy | {"reaction": rash})
    assert not meets("manifestation=rash", allergy | {"reaction": [rash, None]})


def test_a_scope_without_parameters_is_met_by_every_resource_and_by_nothing_else() -> None:
    whole = built()

    assert is_enforceable(whole, "Observation", "R4")
    assert is_enforceable(whole, "*", "R4")
    assert matches(OBSERVATION, whole, (), "R4")
    for nothing in NO_RESOURCES:
        assert not matches(nothing, whole, (), "R4")


def test_each_release_has_its_own_elements() -> None:
    of_r4: dict[str, Any] = {"resourceType": "Encounter", "class": {"code": "AMB"}}
    of_r5: dict[str, Any] = {"resourceType": "Encounter", "class": [{"coding": [{"code": "AMB"}]}]}

    assert [True, True, False] == [meets("class=AMB", of_r4, release) for release in RELEASES]
    assert [False, False, True] == [meets("class=AMB", of_r5, release) for release in RELEASES]


# --- what cannot be said for certain -----------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "date=2024-01-01",
        "date=ge2024-01-01",
        "_lastUpdated=gt2024-01-01",
        "value-quantity=5",
        "value-string=a",
        "code-value-quantity=8480-6%24gt100",
        "no-such-parameter=1",
        "clinical-status=active",  # it is one of Condition
        "_text=a",
        "_content=a",
        "name=a",
        # a code and a string have no system that could be compared
        "status=http://hl7.org/fhir/observation-status|final",
        "status=|final",
        "_id=|1",
        # neither a system nor a code, or more
        "code=a|b|c",
        "code=%7C%C3%A9%7C",
        # a list of which a part says nothing
        "code=a%2C",
        "code=%2Ca",
        "code=a%2C%2Cb",
        "code=a%2C%7C",
        # blanks, which some trim; a plus, which is one in a form; a backslash, after which a comma may not divide
        "code=%20a",
        "code=a%20%2Cb",
        "code=a+b",
        "code=a%5C%2Cb",
        "code=a%5Cb",
        # a semicolon divides for some; half a character is none
        "code=a;b",
        "code=%C3a",
        "code=a%C3",
        "code=a%C2%85b",
        # which type this is an id of, nobody can say
        "subject=A",
        "performer=P,Practitioner/P",
        # no reference, one to a version, one to a type that is not meant, one that leaves the folder
        "patient=Group/A",
        "patient=Patient/A/_history/1",
        "patient=Patient%252FA",
        "patient=http://",
        "subject=Patient/%C3%A9",
        "subject=Patient/A%23b",
        "encounter=..a/b",
        "patient=A|1",
    ],
)
def test_what_cannot_be_said_for_certain_allows_nothing(query: str) -> None:
    assert not may_be_asked(query)


def test_one_such_parameter_spoils_the_others() -> None:
    assert may_be_asked("status=final&code=a")
    assert not may_be_asked("status=final&date=2024")
    assert not may_be_asked("date=2024&status=final")


def test_a_value_must_be_one_that_every_element_of_its_parameter_can_be_held_against() -> None:
    assert may_be_asked("event=admit", "MessageHeader")  # a Coding or a URI
    assert not may_be_asked("event=http://v2.test|admit", "MessageHeader")
    assert may_be_asked("participant=Patient/A", "RequestOrchestration", "R5")  # a Reference or a canonical URL
    assert not may_be_asked("participant=http://a.test/one|2", "RequestOrchestration", "R5")


def test_a_parameter_is_of_a_type_and_of_a_release() -> None:
    assert may_be_asked("clinical-status=active", "Condition")
    assert not may_be_asked("clinical-status=active", "Patient")
    assert not is_enforceable(scope("status=final"), "NoSuchType", "R4")
    assert [True, True, False] == [
        may_be_asked("asserter=Patient/A", "AllergyIntolerance", release) for release in RELEASES
    ]


def test_of_every_type_only_what_every_type_has_can_be_asked() -> None:
    for query in ("_id=1", "_tag=a|b", "_security=R", "_profile=http://p.test", "_source=urn:x"):
        assert is_enforceable(scope(query, "*"), "*", "R4"), query
        assert is_enforceable(scope(query, "*"), "Binary", "R4"), query
    for query in ("status=final", "category=a", "patient=A", "identifier=1", "_lastUpdated=2024"):
        assert not is_enforceable(scope(query, "*"), "*", "R4"), query


def test_a_scope_for_all_types_is_held_against_each_by_its_own_elements() -> None:
    final = scope("status=final", "*")

    assert is_enforceable(final, "Observation", "R4")
    assert not is_enforceable(final, "Patient", "R4")
    assert matches(OBSERVATION, final, BASES, "R4")
    assert not matches({"resourceType": "Patient", "status": "final"}, final, BASES, "R4")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", ""),
        ("code", "a&code=b"),
        ("code&status=final", "a"),
        ("code", "a=b&"),
        ("code:not", "a"),
        ("code:exact", "4548-4"),
        ("subject:Patient", "A"),
        ("subject.name", "A"),
        ("_has:Observation:patient:code", "a"),
        ("Code", "4548-4"),
        ("", "4548-4"),
        ("code", "4548-4 "),
        ("code", "4548-4\n"),
        ("code", "%"),
        ("_filter", "code eq 4548-4"),
        ("resource-origin", "Device/1"),
    ],
)
def test_a_scope_that_nobody_could_have_read_allows_nothing(name: str, value: str) -> None:
    odd = built((name, value))

    assert not is_enforceable(odd, "Observation", "R4")
    assert not matches(OBSERVATION, odd, BASES, "R4")


# --- what is wrongly shaped --------------------------------------------------------------------------

WRONG: list[Any] = [
    None,
    1,
    1.5,
    True,
    "laboratory",
    [],
    {},
    [None],
    ["laboratory"],
    [[LABORATORY]],
    [LABORATORY, None],
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrongly_shaped_element_meets_nothing(wrong: object) -> None:
    for query, element in [
        ("category=laboratory", "category"),
        ("code=laboratory", "code"),
        ("status=laboratory", "status"),
        ("identifier=laboratory", "identifier"),
        ("performer=Patient/laboratory", "performer"),
        ("encounter=laboratory", "encounter"),
        ("combo-code=laboratory", "component"),
    ]:
        if (query, wrong) != ("status=laboratory", "laboratory"):
            assert not meets(query, OBSERVATION | {element: wrong}), element


@pytest.mark.parametrize(
    "changed",
    [
        {"category": LABORATORY},
        {"category": [LABORATORY, {"coding": LABORATORY["coding"][0]}]},
        {"category": [LABORATORY, {"coding": None}]},
        {"category": [LABORATORY, {"coding": [None]}]},
        {"category": [LABORATORY, {"coding": [{"system": CATEGORY, "code": 1}]}]},
        {"category": [LABORATORY, {"coding": [{"system": None, "code": "laboratory"}]}]},
        {"category": [LABORATORY, {"coding": [{"system": CATEGORY, "code": ""}]}]},
        {"category": [LABORATORY, "laboratory"]},
        {"category": [{"coding": [{"system": [CATEGORY], "code": "laboratory"}]}]},
        {"category": [{"coding": [{"system": CATEGORY, "code": ["laboratory"]}]}]},
    ],
)
def test_one_wrongly_shaped_element_spoils_the_others(changed: dict[str, Any]) -> None:
    assert meets(f"category={CATEGORY}|laboratory")
    assert not meets(f"category={CATEGORY}|laboratory", **changed)
    assert not meets("category=laboratory", **changed)


def test_an_empty_system_does_not_pass_for_an_absent_one() -> None:
    odd: list[Any] = ["", None, 0, False, []]
    for system in odd:
        assert not meets("code=|a", code={"coding": [{"system": system, "code": "a"}]}), system
    assert meets("code=|a", code={"coding": [{"code": "a"}]})
    assert meets("code=urn:a|", code={"coding": [{"system": "urn:a"}]})


def test_a_wrongly_shaped_element_spoils_the_other_places_of_its_parameter_too() -> None:
    assert meets("combo-code=A1C")
    assert not meets("combo-code=A1C", component={"code": LABORATORY})
    assert not meets("combo-code=A1C", component=[{"code": [LABORATORY]}])
    assert not meets("combo-code=systolic", code=[LABORATORY])


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/A", "type": "Group"},
        {"reference": "Patient/A", "type": None},
        {"reference": ["Patient/A"]},
        {"reference": None},
        {"reference": "#A"},
        {"reference": "urn:uuid:A"},
        {"reference": "A"},
        {"reference": "patient/A"},
        {"reference": "Patient/A/"},
        {"reference": "Patient/A "},
        {"reference": "/Patient/A"},
        {"reference": "Patient/A/_history/"},
        {"reference": "Patient/A?x"},
        {"reference": f"{BASE}//Patient/A"},
        {"reference": f"{BASE}/evil/Patient/A"},
        {"reference": f"{BASE}.evil.test/Patient/A"},
        {"reference": "HTTPS://ehr.test/fhir/Patient/A"},
        {"identifier": {"value": "A"}, "display": "Patient/A"},
        {},
        "Patient/A",
        [{"reference": "Patient/A"}],
    ],
)
def test_a_reference_of_another_shape_or_to_elsewhere_is_not_to_the_patient(reference: Any) -> None:
    assert meets("patient=A", subject={"reference": "Patient/A", "type": "Patient"})
    assert not meets("patient=A", subject=reference)
    assert not meets("subject=Patient/A", subject=reference)


def test_a_reference_is_followed_only_on_the_servers_own_bases() -> None:
    there = scope(f"subject={BASE}/Patient/A")

    assert matches(OBSERVATION, there, BASES, "R4")
    assert not matches(OBSERVATION, there, (OWN,), "R4")
    assert not matches(OBSERVATION, there, (), "R4")
    assert matches(OBSERVATION | {"subject": {"reference": f"{BASE}/Patient/A"}}, there, (), "R4")
    assert matches(OBSERVATION, scope("subject=Patient/A"), (), "R4")


@pytest.mark.parametrize(
    ("expected", "read"),
    [
        ("", built()),
        ("code component", scope("combo-code=a")),
        ("category status", scope("category=laboratory&status=final")),
        ("id meta", scope("_id=1&_tag=a&_profile=http://p.test")),
        ("extension", scope("resource-origin=Device/1", "Observation", "system")),
        ("", scope("date=2024")),
    ],
)
def test_the_elements_that_decide_are_named(expected: str, read: SmartScope) -> None:
    assert set(expected.split()) == elements(read, "Observation", "R4")


# --- Koppeltaal --------------------------------------------------------------------------------------


def of_origin(*references: Any, name: str = "Task") -> dict[str, Any]:
    extensions = [{"url": ORIGIN, "valueReference": {"reference": each}} for each in references]
    return {"resourceType": name, "extension": [{"url": "http://other.test", "valueString": "Device/1"}, *extensions]}


@pytest.mark.parametrize(
    ("met", "resource"),
    [
        (True, of_origin("Device/1")),
        (True, of_origin("Device/2")),
        (True, of_origin(f"{BASE}/Device/1")),
        (False, of_origin("Device/12")),
        (False, of_origin("Device/0")),
        (False, of_origin("Device/")),
        (False, of_origin("Device/1,Device/2")),
        (False, of_origin("Device/1/_history/1")),
        (False, of_origin("Patient/1")),
        (False, of_origin("device/1")),
        (False, of_origin("1")),
        (False, of_origin("https://other.test/fhir/Device/1")),
        (False, of_origin(None)),
        (False, of_origin(["Device/1"])),
        (False, of_origin("Device/1", "Device/3")),
        (False, of_origin("Device/3", "Device/1")),
        (False, of_origin("Device/1", "Device/1")),  # the server writes one
        (False, of_origin()),
        (False, {"resourceType": "Task"}),
        (False, {"resourceType": "Task", "extension": None}),
        (False, {"resourceType": "Task", "extension": of_origin("Device/1")["extension"][1]}),
        (False, {"resourceType": "Task", "extension": [*of_origin("Device/1")["extension"], None]}),
        (False, {"resourceType": "Task", "extension": [{"url": ORIGIN}]}),
        (False, {"resourceType": "Task", "extension": [{"url": ORIGIN, "valueReference": "Device/1"}]}),
        (False, {"resourceType": "Task", "extension": [{"url": ORIGIN, "valueString": "Device/1"}]}),
        (False, {"resourceType": "Task", "modifierExtension": of_origin("Device/1")["extension"]}),
        (False, {"resourceType": "Task", "for": of_origin("Device/1")}),
        (False, {"resourceType": "Task", "contained": [of_origin("Device/1")]}),
        # those of three types are everybody's where nobody made them
        (True, of_origin(name="Device")),
        (True, {"resourceType": "CodeSystem"}),
        (True, {"resourceType": "SearchParameter", "extension": []}),
        (False, of_origin("Device/3", name="Device")),
        (False, {"resourceType": "Device", "extension": {}}),
        (False, {"resourceType": "Device", "id": "1", "extension": [1]}),
        (False, of_origin(name="ValueSet")),
    ],
)
def test_an_origin_is_one_device_to_the_letter(met: bool, resource: dict[str, Any]) -> None:
    of_two = scope("resource-origin=Device/1,Device/2", resource["resourceType"], "system")

    assert frozenset({"Device/1", "Device/2"}) == of_two.origins
    assert is_enforceable(of_two, resource["resourceType"], "R4")
    assert met == matches(resource, of_two, BASES, "R4")


def test_beside_an_origin_other_parameters_count_too() -> None:
    task = of_origin("Device/1") | {"status": "ready"}
    both = built(("resource-origin", "Device/1"), ("status", "ready"), origins=frozenset({"Device/1"}))
    other = built(("resource-origin", "Device/1"), ("status", "draft"), origins=frozenset({"Device/1"}))
    unclear = built(("resource-origin", "Device/1"), ("modified", "2024"), origins=frozenset({"Device/1"}))

    assert matches(task, both, BASES, "R4")
    assert not matches(task, other, BASES, "R4")
    assert not matches(task, unclear, BASES, "R4")
    assert not is_enforceable(unclear, "Task", "R4")


# --- what is asked of the server ---------------------------------------------------------------------


def test_what_is_asked_is_decoded_once() -> None:
    assert () == asked(built())
    assert (("status", "final"), ("code", f"{LOINC}|4548-4,a b")) == asked(
        scope(f"status=%66inal&code={LOINC}%7C4548-4,a%20b")
    )
    assert (("code", "%66"),) == asked(scope("code=%2566"))
    assert (("resource-origin", "Device/1,Device/2"),) == asked(
        scope("resource-origin=Device/1,Device/2", "Task", "system")
    )


@pytest.mark.parametrize("value", ["", "a+b", "a,,b", "a%5C", "a&status=final", "%"])
def test_what_cannot_be_asked_is_not_left_out(value: str) -> None:
    with pytest.raises(ValueError, match="a value that"):
        asked(built(("code", value)))


# --- what a resource refers to -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "parameter"),
    [
        (("Patient/A",), "subject"),
        (("Patient/A",), "patient"),
        ((f"{BASE}/Encounter/E",), "encounter"),
        (("Practitioner/P", "Organization/O/_history/2"), "performer"),
        (("https://other.test/fhir/Device/D",), "device"),
        ((), "specimen"),
        ((), "focus"),
        (None, "category"),
        (None, "date"),
        (None, "no-such-parameter"),
        (None, "_profile"),
        (None, "subject:Patient"),
    ],
)
def test_what_a_reference_parameter_refers_to_is_given_as_it_is_written(expected: Any, parameter: str) -> None:
    assert expected == referred(OBSERVATION, parameter, "R4")
    assert (expected is not None) == is_reference("Observation", parameter, "R4")


def test_a_parameter_about_one_type_does_not_lead_to_others() -> None:
    for reference in ("Group/A", "#A", "urn:uuid:A", "https://ehr.test/fhir/Device/A", "Patient", "A"):
        changed = OBSERVATION | {"subject": {"reference": reference}}

        assert () == referred(changed, "patient", "R4")
        assert (reference,) == referred(changed, "subject", "R4")
    assert () == referred(OBSERVATION | {"subject": {"display": "A"}}, "subject", "R4")


def test_references_in_several_elements_are_given_once_each() -> None:
    event = {
        "resourceType": "AuditEvent",
        "agent": [{"who": {"reference": "Patient/A"}}, {"who": {"reference": "Practitioner/P"}}],
        "entity": [{"what": {"reference": "Patient/B"}}, {"what": {"reference": "Patient/A"}}],
    }

    assert ("Patient/A", "Patient/B") == referred(event, "patient", "R4")


def test_a_wrongly_shaped_element_refers_to_nothing() -> None:
    for wrong in ("Patient/A", [{"reference": "Patient/A"}], {"reference": 1}, {"reference": None}, None):
        assert () == referred(OBSERVATION | {"subject": wrong}, "subject", "R4")
    assert () == referred(OBSERVATION | {"performer": {"reference": "Practitioner/P"}}, "performer", "R4")
    event: dict[str, Any] = {"resourceType": "AuditEvent", "entity": [{"what": {"reference": "Patient/A"}}]}
    agents: list[Any] = [{}, [{"who": "Patient/A"}], [None]]
    for agent in agents:
        assert () == referred(event | {"agent": agent}, "patient", "R4")
    assert ("Patient/A",) == referred(event | {"agent": []}, "patient", "R4")


def test_what_is_no_resource_refers_to_nothing_that_is_known() -> None:
    for nothing in (*NO_RESOURCES, {"resourceType": "NoSuchType"}):
        assert referred(nothing, "subject", "R4") is None


def test_a_parameter_about_canonical_urls_is_no_reference() -> None:
    assert not is_reference("QuestionnaireResponse", "questionnaire", "R4")
    assert not is_reference("RequestOrchestration", "participant", "R5")  # about both
    assert is_reference("QuestionnaireResponse", "source", "R4")
    assert not is_reference("NoSuchType", "subject", "R4")
    assert not is_reference("*", "subject", "R4")


# --- plain searches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["code", "date", "value-quantity", "code-value-quantity", "patient", "_id", "_lastUpdated", "_tag", "_profile"],
)
def test_a_parameter_of_any_kind_may_be_plain(name: str) -> None:
    assert is_plain_search("Observation", name, "R4")


@pytest.mark.parametrize(
    "name",
    [
        "", "_has", "_has:Observation:patient:code", "_filter", "_query", "_list", "_text", "_content", "_type",
        "_include", "_sort", "_count", "subject.name", "subject:Patient", "code:not", "Code", "no-such-parameter",
        "category*", "concept", "concept:", "other",
    ],
)  # fmt: skip
def test_what_asks_for_more_than_the_resource_is_not_plain(name: str) -> None:
    for release in RELEASES:
        assert not is_plain_search("Observation", name, release)
        assert not is_plain_search("*", name, release)


def test_a_plain_search_is_of_a_type_and_of_a_release() -> None:
    assert not is_plain_search("Location", "near", "R4")
    assert not is_plain_search("Location", "contains", "R5")
    assert is_plain_search("Patient", "deceased", "R4")
    assert is_plain_search("Binary", "_id", "R4")
    assert not is_plain_search("Binary", "code", "R4")
    assert not is_plain_search("NoSuchType", "_id", "R4")
    assert not is_plain_search("Media", "_id", "R5")
    assert is_plain_search("*", "_id", "R4")
    assert not is_plain_search("*", "code", "R4")
    assert [False, False, True] == [is_plain_search("Transport", "status", release) for release in RELEASES]
    assert [True, False, False] == [is_plain_search("Evidence", "topic", release) for release in RELEASES]


# --- the tables --------------------------------------------------------------------------------------

WORD = re.compile(
    r"(?P<name>[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*|_[A-Za-z]+)(?:(?P<short>\*?)(?:\((?P<type>[A-Za-z]+)\))?|=(?P<paths>\S+))"
)
PATH = re.compile(r"[a-z][A-Za-z0-9]*\*?(?:\.[a-z][A-Za-z0-9]*\*?)*(?:\((?P<type>[A-Za-z]+)\))?")


def rows(release: Release, name: str) -> list[tuple[str, str]]:
    """Return each word of the paragraph about the type *name*, with the kind that it stands under."""
    found: list[tuple[str, str]] = []
    kind = ""
    for word in PARAMETERS[release][name].split():
        kind = word[:-1] if word.endswith(":") else kind
        found += [] if word.endswith(":") else [(kind, word)]
    return found


@pytest.mark.parametrize("release", RELEASES)
def test_every_paragraph_can_be_read(release: Release) -> None:
    assert set(PARAMETERS[release]) <= TYPES[release]
    for name in PARAMETERS[release]:
        names: dict[str, set[str]] = {}
        for kind, word in rows(release, name):
            read = WORD.fullmatch(word)

            assert read is not None, (name, word)
            assert kind in KINDS, (name, word)
            assert read["name"] not in OF_EVERY_TYPE.replace("=", " ").split(), (name, word)
            assert kind not in names.setdefault(read["name"], set()), (name, word)
            names[read["name"]].add(kind)
            paths = [PATH.fullmatch(path) for path in (read["paths"] or "x").split(",")]
            targets = {read["type"], *(path["type"] for path in paths if path is not None)} - {None}

            assert None not in paths, (name, word)
            assert targets <= TYPES[release], (name, word)
            assert not targets or kind == "reference", (name, word)
            assert kind != "other" or word == read["name"], (name, word)
        assert all(kinds == {"other"} for kinds in names.values() if "other" in kinds), name


@pytest.mark.parametrize(
    ("release", "count", "digest"),
    [
        ("R4", 1696, "70b7ac1a121655d786470b6322b3bb07b6767b1e0d21ea6c26061d98f92231c3"),
        ("R4B", 1730, "aa940e86f12d41aeacbf71dbfab3d2f409db848e5919b2a371c5d7846a77851c"),
        ("R5", 1965, "9def43d39d78f1b880f4b5abdd39ecf1434a8e3cf378c7e3d3b4d1878d8d1d5d"),
    ],
)
def test_the_names_are_those_that_hl7_published(release: Release, count: int, digest: str) -> None:
    # The digest is of ``Type?code``, a line each and sorted, for every base of the SearchParameters in the bundle
    # ``search-parameters.json`` of the release, but for those of all types and those of the type "special".
    names = {f"{name}?{re.split('[=*(]', word)[0]}" for name in PARAMETERS[release] for _, word in rows(release, name)}

    assert count == len(names)
    assert digest == hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


FACTS = json.loads(Path(__file__).with_name("patient_compartment.json").read_text("utf-8"))


@pytest.mark.parametrize("release", RELEASES)
def test_the_parameters_that_narrow_to_a_patient_find_the_nominated_elements(release: Release) -> None:
    for name, fact in FACTS["R5" if release == "R5" else "R4"].items():
        if name == "Patient":
            continue

        assert is_reference(name, fact["parameter"], release), name
        for element in fact["found"].values():
            resource = json.loads(json.dumps(element).replace('"@"', '{"reference": "Patient/A"}'))

            assert ("Patient/A",) == referred({"resourceType": name} | resource, fact["parameter"], release), name


@pytest.mark.parametrize(
    ("release", "name", "kind", "word"),
    [
        ("R4", "Condition", "concept", "clinical-status"),
        ("R4", "Condition", "reference", "patient=subject(Patient)"),
        ("R4", "Coverage", "reference", "patient=beneficiary(Patient)"),
        ("R4", "DocumentReference", "reference", "encounter=context.encounter*"),
        ("R4", "Encounter", "coding", "class"),
        ("R4", "Goal", "text", "lifecycle-status"),
        ("R4", "MedicationRequest", "concept", "code=medicationCodeableConcept"),
        ("R4", "MedicationRequest", "reference", "medication=medicationReference(Medication)"),
        ("R4", "Patient", "boolean", "active"),
        ("R4", "Patient", "other", "birthdate"),
        ("R4", "Procedure", "reference", "performer=performer*.actor"),
        ("R4", "Task", "reference", "patient=for(Patient)"),
        ("R4", "ValueSet", "uri", "reference=compose.include*.system"),
        ("R4B", "SubscriptionTopic", "uri", "url"),
        ("R4B", "Encounter", "coding", "class"),
        ("R5", "Encounter", "concept", "class*"),
        ("R5", "DocumentReference", "reference", "attester=attester*.party"),
        ("R5", "MedicationRequest", "concept", "code=medication.concept"),
        ("R5", "MedicationRequest", "reference", "medication=medication.reference(Medication)"),
        ("R5", "Consent", "reference", "patient=subject(Patient)"),
    ],
)  # fmt: skip
def test_a_few_rows_are_what_everybody_knows_them_to_be(release: Release, name: str, kind: str, word: str) -> None:
    assert (kind, word) in rows(release, name)


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PARAMETERS["R4"]["Task"] = ""  # type: ignore[index]


# --- whatever it is ----------------------------------------------------------------------------------

leaves = st.one_of(
    values,
    st.sampled_from([LABORATORY, [LABORATORY], {"reference": "Patient/A"}, [{"reference": "Patient/A"}], "Patient/A"]),
    st.fixed_dictionaries({}, optional={"reference": values, "type": values, "coding": values, "value": values}),
    st.lists(st.fixed_dictionaries({}, optional={"coding": values, "system": scalars, "code": scalars})),
)
NAMES = [(release, name) for release in RELEASES for name in sorted(PARAMETERS[release])]


@given(st.data(), st.sampled_from(NAMES))
def test_no_json_makes_it_fail(data: st.DataObject, where: tuple[Release, str]) -> None:
    release, name = where
    row = [WORD.fullmatch(word) for kind, word in rows(release, name) if kind != "other"]
    known = [each for each in row if each is not None]
    assume(known)
    tops = sorted({top for each in known for top in re.findall(r"[A-Za-z]+", each["paths"] or each["name"])})
    inner = st.dictionaries(st.sampled_from(tops), st.one_of(leaves, st.lists(leaves, max_size=2)))
    resource = data.draw(st.dictionaries(st.sampled_from([*tops, "extension", "meta"]), st.one_of(leaves, inner)))
    parameter = data.draw(st.sampled_from(known))["name"]
    value = data.draw(st.sampled_from(["laboratory", "Patient/A", "true", f"{CATEGORY}%7Claboratory"]))
    held = SmartScope("patient", name, frozenset("r"), ((parameter, value),))
    whole = resource | {"resourceType": name}

    assert isinstance(matches(whole, held, BASES, release), bool)
    assert isinstance(referred(whole, parameter, release), tuple) == is_reference(name, parameter, release)
    assert not matches({"resourceType": name}, held, BASES, release)


@given(
    st.sampled_from(["category=laboratory", "combo-code=A1C&_tag=x", "patient=A", "identifier=17&status=final"]),
    st.dictionaries(st.sampled_from(sorted(OBSERVATION.keys() - {"resourceType"})), leaves, max_size=3),
)
def test_other_elements_than_those_that_are_named_decide_nothing(query: str, changed: dict[str, Any]) -> None:
    held = scope(query)
    whole = OBSERVATION | changed
    named = elements(held, "Observation", "R4") | {"resourceType"}
    alone = {name: value for name, value in whole.items() if name in named}

    assert matches(alone, held, BASES, "R4") == matches(whole, held, BASES, "R4")


@given(texts | st.sampled_from(sorted(TYPES["R4"])), st.dictionaries(texts, values, max_size=3), texts, texts)
@example("Observation", {}, "code", "a%")
def test_no_scope_makes_it_fail(name: str, more: dict[str, Any], parameter: str, value: str) -> None:
    odd = SmartScope("system", name, frozenset("r"), ((parameter, value),))
    for release in RELEASES:
        assert not matches(more | {"resourceType": name}, odd, BASES, release) or name in TYPES[release]
        assert is_enforceable(odd, name, release) in {True, False}
        assert is_plain_search(name, parameter, release) in {True, False}


@given(st.dictionaries(texts, values, max_size=3), st.sampled_from(["code", "subject", "performer", "status"]))
def test_what_a_parameter_is_not_about_never_matters(more: dict[str, Any], parameter: str) -> None:
    held = {"code": "4548-4", "subject": "Patient/A", "performer": "Practitioner/P", "status": "final"}[parameter]
    around = {name: value for name, value in more.items() if name not in {"resourceType", parameter}}

    assert matches(OBSERVATION | around, scope(f"{parameter}={held}"), BASES, "R4")
    assert not matches(OBSERVATION | around, scope(f"{parameter}={held}0"), BASES, "R4")
