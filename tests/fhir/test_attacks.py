"""Attempts to see, change or learn of more than a token lets its bearer: each claim is one way that leads nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard import authenticated
from jwt_guard.access.policy import at_once
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.decision import Allow, Deny
from jwt_guard.fhir import judging
from jwt_guard.fhir.deciding import by_request_alone, decides
from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.filtering import filtered
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.outcome import FORBIDDEN, MANY, NOT_FOUND, NOT_SUPPORTED, UNREADABLE, Problem
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import SERVER, Asked, answer, of, reference, run

SEALER = Sealer(b"k" * 32)
NAME = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
JSON_PATCH = ("content-type", "application/json-patch+json")


def observation(id_: str = "1", code: str = "bp", patient: str = "A", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "meta": {"versionId": "3"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": reference(f"Patient/{patient}"),
        **more,
    }


def new(**more: Any) -> dict[str, Any]:
    return {name: value for name, value in observation(**more).items() if name not in ("id", "meta")}


def condition(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": reference("Patient/A"), **more}


def found(*resources: Any) -> Answered:
    return answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]})


def asked(
    line: str,
    document: object = None,
    *answers: Answered,
    scopes: str = "patient/*.cruds",
    headers: tuple[tuple[str, str], ...] = (),
    server: Any = SERVER,
) -> Asked:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    body = b"" if document is None else json.dumps(document).encode()
    request = PlainRequest(method, path, query, headers)
    return run(judging.judge(request, of(scopes, "A", server), SEALER, body), *answers)


# --- conditions that a server passes over ------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "document", "headers"),
    [
        ("DELETE /Observation?code=hr", None, ()),
        ("DELETE /Observation?code=http://loinc.org%7Chr", None, ()),
        ("DELETE /Observation?_id=2", None, ()),
        ("PATCH /Observation?code=hr", [{"op": "add", "path": "/status", "value": "final"}], (JSON_PATCH,)),
    ],
)
def test_what_does_not_meet_the_condition_is_not_written_though_the_server_has_found_it(
    line: str, document: object, headers: tuple[tuple[str, str], ...]
) -> None:
    got = asked(line, document, found(observation(code="bp")), headers=headers)

    assert NOT_FOUND is got.problem
    assert 1 == len(got.askings)


def test_what_a_server_finds_beside_what_meets_the_condition_makes_it_no_less_one() -> None:
    there = observation("2", code="hr")
    got = asked("DELETE /Observation?code=hr", None, found(observation(), there), answer(there), answer(status=204))

    assert "DELETE /Observation/2" == got.lines[-1]


@pytest.mark.parametrize(
    "condition", ["date=2020", "value-string=x", "code:text=heart", "_lastUpdated=ge2020", "code=hr&status:not=final"]
)
def test_nothing_is_deleted_on_a_condition_that_cannot_be_held_against_what_is_found(condition: str) -> None:
    got = asked(f"DELETE /Observation?{condition}")

    assert NOT_SUPPORTED is got.problem
    assert [] == got.askings


def test_a_conditional_update_writes_over_nothing_that_its_condition_is_not_true_of() -> None:
    got = asked("PUT /Observation?code=hr", new(code="hr"), found(observation(code="bp")), answer(status=201))

    assert "POST /Observation" == got.lines[-1]


def test_a_conditional_create_finds_nothing_that_its_condition_is_not_true_of() -> None:
    created = observation("9", code="hr")
    got = asked(
        "POST /Observation",
        new(code="hr"),
        found(observation(code="bp")),
        answer(created, 201),
        headers=(("if-none-exist", "code=hr"),),
    )

    assert 201 == got.response.status


def test_several_that_meet_the_condition_are_still_too_many() -> None:
    got = asked("DELETE /Observation?code=hr", None, found(observation("1", "hr"), observation("2", "hr")))

    assert MANY is got.problem


# --- writing into another's record -------------------------------------------------------------------

OWN = {"resourceType": "Patient", "id": "A", "meta": {"versionId": "3"}}


@pytest.mark.parametrize(
    "link",
    [
        {"other": reference("Patient/B"), "type": "replaces"},
        [[{"other": reference("Patient/B"), "type": "replaces"}]],
        [{"other": [reference("Patient/B")], "type": "replaces"}],
        [{"other": "Patient/B", "type": "replaces"}],
        [{"other": {"reference": ["Patient/B"]}, "type": "replaces"}],
    ],
    ids=str,
)
def test_a_link_of_ones_own_patient_in_another_shape_than_fhir_has_is_not_written(link: Any) -> None:
    got = asked("PUT /Patient/A", {**OWN, "link": link}, answer(OWN))

    assert FORBIDDEN is got.problem
    assert ["GET /Patient/A"] == got.lines


def test_a_scope_of_a_person_for_something_else_lets_nobody_write_into_anothers_record() -> None:
    scopes = "patient/Observation.cruds user/Observation.cruds?code=weight"
    got = asked("POST /Observation", new(performer=[reference("Patient/B")]), scopes=scopes)

    assert FORBIDDEN is got.problem
    assert [] == got.askings


def test_a_scope_of_a_person_that_covers_a_resource_lets_it_be_of_several() -> None:
    scopes = "patient/Observation.cruds user/Observation.cruds?code=bp"
    there = observation("9", performer=[reference("Patient/B")])
    got = asked("POST /Observation", new(performer=[reference("Patient/B")]), answer(there, 201), scopes=scopes)

    assert 201 == got.response.status


def test_a_scope_of_a_person_for_something_else_lets_nobody_contain_what_is_anothers() -> None:
    scopes = "patient/Observation.cruds user/Observation.cruds?code=weight"
    inside = {"resourceType": "Condition", "id": "c", "subject": reference("Patient/B")}
    got = asked("POST /Observation", new(contained=[inside]), scopes=scopes)

    assert FORBIDDEN is got.problem


BY_IDENTIFIER = {"identifier": {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999990019"}}


@pytest.mark.parametrize(
    "more",
    [
        {"subject": BY_IDENTIFIER, "performer": [reference("Patient/A")]},
        {"performer": [{**BY_IDENTIFIER, "type": "Patient"}]},
    ],
)
def test_another_patient_is_not_named_by_an_identifier_either(more: dict[str, Any]) -> None:
    assert FORBIDDEN is asked("POST /Observation", new(**more)).problem
    assert FORBIDDEN is asked("PUT /Observation/1", observation(**more), answer(observation())).problem


@pytest.mark.parametrize("more", [{}, {"type": "Practitioner"}])
def test_who_is_no_patient_may_be_named_by_an_identifier(more: dict[str, Any]) -> None:
    given = answer(status=201)

    assert 201 == asked("POST /Observation", new(performer=[{**BY_IDENTIFIER, **more}]), given).response.status
    assert 201 == asked("POST /Condition", condition(asserter={**BY_IDENTIFIER, **more}), given).response.status


def test_what_another_has_performed_is_not_made_what_another_is_the_subject_of() -> None:
    before = observation(performer=[reference("Patient/B")])
    after = observation(patient="B", performer=[reference("Patient/A")])

    assert FORBIDDEN is asked("PUT /Observation/1", after, answer(before)).problem


def transaction(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": [*entries]}


def entry(line: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    method, _, url = line.partition(" ")
    condition = {"ifNoneExist": more.pop("condition")} if "condition" in more else {}
    held = {} if resource is None else {"resource": resource}
    return {"request": {"method": method, "url": url, **condition}, **held, **more}


@pytest.mark.parametrize(
    "of_the_other",
    [
        entry("PUT Patient/B", {"resourceType": "Patient", "id": "B"}, fullUrl=NAME),
        entry("POST Patient", {"resourceType": "Patient"}, fullUrl=NAME, condition="_id=B"),
        entry("POST Patient", {"resourceType": "Patient"}, fullUrl=NAME),
    ],
    ids=["by id", "by a condition", "new"],
)
def test_the_name_that_a_transaction_gives_another_patient_puts_nothing_into_that_record(of_the_other: Any) -> None:
    own = new(performer=[reference(NAME)])
    got = asked(
        "POST /",
        transaction(entry("POST Observation", own), of_the_other),
        scopes="patient/Observation.cruds user/Patient.cruds",
    )

    assert FORBIDDEN is got.problem
    assert [] == got.askings


def test_a_transaction_may_name_ones_own_patient() -> None:
    itself = {"resourceType": "Patient", "id": "A", "meta": {"versionId": "3"}}
    written = answer({"resourceType": "Bundle", "entry": [{"response": {"status": "200"}}] * 2})
    got = asked(
        "POST /",
        transaction(
            entry("POST Observation", new(performer=[reference(NAME)])), entry("PUT Patient/A", itself, fullUrl=NAME)
        ),
        answer(itself),
        written,
    )

    assert 200 == got.response.status


# --- learning of what is there -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 405, 409, 410, 422, 423, 451])
@pytest.mark.parametrize("line", ["GET /Observation/1", "GET /Observation/1/_history/2", "GET /Observation/1/_history"])
def test_whatever_a_server_says_against_a_read_is_what_it_says_of_what_is_not_there(line: str, status: int) -> None:
    assert NOT_FOUND is asked(line, None, answer(status=status)).problem


@pytest.mark.parametrize(
    "line", ["GET /Binary/1", "HEAD /Binary/1", "GET /Task/1/_history/2", "GET /Binary/1/_history"]
)
def test_what_no_patient_has_is_not_even_asked_for(line: str) -> None:
    got = asked(line)

    assert NOT_FOUND is got.problem
    assert [] == got.askings


SEARCHING: dict[str, Any] = {"focus": [reference("Patient?identifier=http://fhir.nl/bsn%7C1")]}


@pytest.mark.parametrize(
    ("line", "document", "headers"),
    [
        ("POST /Observation", new(**SEARCHING), ()),
        ("PUT /Observation/1", observation(**SEARCHING), ()),
        ("PATCH /Observation/1", [{"op": "add", "path": "/focus", "value": SEARCHING["focus"]}], (JSON_PATCH,)),
    ],
)
def test_who_may_not_search_everything_searches_by_no_reference(
    line: str, document: object, headers: tuple[tuple[str, str], ...]
) -> None:
    answers = [answer(observation())] if line.startswith("PATCH") else []
    got = asked(line, document, *answers, scopes="system/Observation.cruds", headers=headers)

    assert NOT_SUPPORTED is got.problem
    assert got.lines == ["GET /Observation/1"][: len(answers)]
    if not answers:
        assert asked(line, document, scopes="system/Observation.cu system/*.rs", headers=headers).through is not None


def test_no_reference_is_searched_for_by_a_validation() -> None:
    got = asked("POST /Observation/$validate", new(**SEARCHING), scopes="patient/Observation.c")

    assert NOT_SUPPORTED is got.problem


def test_what_is_written_by_whoever_may_write_all_of_its_type_goes_on_once_its_references_were_looked_at() -> None:
    line = "POST /Observation"
    headers = (("content-type", "application/fhir+json; charset=shift_jis"), ("content-encoding", "x"))
    sent = asked(line, new(), scopes="system/Observation.cr", headers=headers).through

    assert (line, new()) == (f"{sent.method} {sent.path}", json.loads(sent.body))
    assert (("content-type", "application/fhir+json"),) == sent.headers
    assert UNREADABLE is asked(line, "<Observation/>", scopes="system/Observation.cr").problem
    assert asked("POST /Binary", "any", scopes="system/Binary.cr").through is not None


def test_a_contained_resource_is_not_met_by_a_scope_for_an_id() -> None:
    inside = {"resourceType": "Condition", "id": "c1", "code": {"text": "secret"}}
    holder = observation(contained=[inside])
    shown = filtered(holder, of("user/Observation.r user/Condition.r?_id=c1"), "r")

    assert shown is not None
    assert "contained" not in shown


# --- what is decided by the request alone ------------------------------------------------------------


def decided(scopes: str, line: str, *headers: tuple[str, str], server: Any = SERVER) -> Problem | str | None:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    found = read_interaction(PlainRequest(method, path, query, headers), None, server.surface)
    return decides(found, of(scopes, "A", server)) if isinstance(found, Interaction) else found.why


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("DELETE /Observation?subject:Patient.birthdate=1970-01-01", ()),
        ("PUT /Observation?subject.name=x", ()),
        ("POST /Observation", (("if-none-exist", "subject:Patient.birthdate=1970-01-01"),)),
    ],
)
def test_a_condition_about_other_types_takes_scopes_for_everything(line: str, headers: Any) -> None:
    assert FORBIDDEN is decided("system/Observation.cruds", line, *headers)
    assert decided("system/*.cruds", line, *headers) is None


@pytest.mark.parametrize("name", ["x-cascade", "x-provenance", "x-rewrite-history", "x_cascade"])
def test_a_header_that_has_a_server_write_more_than_was_asked_is_refused(name: str) -> None:
    policy = by_request_alone(SERVER, authenticated())
    holder = Credentials("ada", "app", frozenset({"system/*.cruds"}), frozenset(), "ehr", ReadOnly({}))
    request = PlainRequest("DELETE", "/fhir/Patient/A")

    assert isinstance(at_once(policy(request, holder)), Allow)
    assert isinstance(at_once(policy(replace(request, headers=((name, "delete"),)), holder)), Deny)


def test_what_is_answered_elsewhere_is_not_decided_of_ones_own_patient_either() -> None:
    prefer = ("prefer", "respond-async")

    assert NOT_SUPPORTED is decided("patient/Patient.r", "GET /Patient/A", prefer)


@pytest.mark.parametrize("line", ["GET /Observation/_history?_list=x", "GET /Observation/1/_history?x=y"])
def test_a_history_with_a_parameter_that_nobody_knows_takes_scopes_for_everything(line: str) -> None:
    assert FORBIDDEN is decided("system/Observation.cruds", line)


@pytest.mark.parametrize("scopes", ["system/Patient.rs system/Observation.rs", "user/Patient.rs user/Observation.rs"])
def test_all_of_a_record_takes_scopes_for_everything_since_there_are_servers_that_pass_over_the_types(
    scopes: str,
) -> None:
    line = "GET /Patient/B/$everything?_type=Observation"

    assert FORBIDDEN is decided(scopes, line)
    assert decided("user/*.rs", line) is None


# --- what an export gives ----------------------------------------------------------------------------


def test_a_manifest_has_no_files_of_types_that_the_bearer_may_not_export() -> None:
    rights = "system/Observation.rs"
    begun = asked(
        "GET /$export?_type=Observation",
        None,
        answer(status=202, content_location=f"{SERVER.base}/_operations/export/1"),
        scopes=rights,
        headers=(("prefer", "respond-async"),),
    )
    spot = begun.headers["content-location"].removeprefix(SERVER.base)
    files = [{"type": kind, "url": f"{SERVER.base}/files/{kind}"} for kind in ("Observation", "Condition")]
    got = asked(f"GET {spot}", None, answer({"output": files}, content_type="application/json"), scopes=rights)

    assert ["Observation"] == [each["type"] for each in got.document["output"]]
