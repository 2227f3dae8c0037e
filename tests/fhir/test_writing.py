"""Writes under limited rights, by transcript: what is there and what is to be there are judged, then one is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir import judging
from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.outcome import CONFLICT, FORBIDDEN, MANY, NOT_FOUND, NOT_SUPPORTED, UNREADABLE, UPSTREAM, Problem
from jwt_guard.fhir.patching import UNFIT
from jwt_guard.fhir.writing import NOT_CURRENT, NOT_JSON_PATCH
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from ..support.fhir_exchanges import UPSTREAM as THERE

SEALER = Sealer(b"k" * 32)
KEEPS = replace(SERVER, updates_may_create=False)
PATCH = ("Content-Type", "application/json-patch+json")
ORIGIN = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"


def own(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "1", "status": "final", "subject": reference("Patient/A"), **more}


def stored(**more: Any) -> dict[str, Any]:
    """Return what the server has of one's own."""
    return own(meta={"versionId": "3"}, **more)


def others(**more: Any) -> dict[str, Any]:
    return {**stored(), "subject": reference("Patient/B"), **more}


def new(**more: Any) -> dict[str, Any]:
    return {name: value for name, value in own(**more).items() if name != "id"}


def asked(
    line: str,
    document: object,
    *answers: Answered,
    scopes: str = "patient/Observation.cruds",
    headers: tuple[tuple[str, str], ...] = (),
    server: Any = SERVER,
) -> Asked:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    request = PlainRequest(method, path, query, headers)
    return run(judging.judge(request, of(scopes, "A", server), SEALER, body), *answers)


def sent(got: Asked) -> Any:
    """Return the resource that the server was sent last."""
    return json.loads(got.askings[-1].body)


def last(got: Asked) -> dict[str, str]:
    return dict(got.askings[-1].headers)


def found(*resources: Any) -> Answered:
    return answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]})


# --- create ------------------------------------------------------------------------------------------


def test_own_resource_is_created_and_given_back_on_our_base() -> None:
    there = {**new(), "id": "9", "meta": {"versionId": "1"}}
    got = asked("POST /Observation", own(), answer(there, 201, location=f"{THERE}/Observation/9/_history/1"))

    assert ["POST /Observation"] == got.lines
    assert new() == sent(got), "the server chooses the id"
    assert {
        "accept": "application/fhir+json",
        "content-type": "application/fhir+json",
        "prefer": "return=representation",
    } == last(got)
    assert (201, there) == (got.response.status, got.document)
    assert f"{BASE}/Observation/9/_history/1" == got.headers["location"]
    assert 'W/"1"' == got.headers["etag"]


@pytest.mark.parametrize(
    ("scopes", "document"),
    [
        ("patient/*.cruds", new(subject=reference("Patient/B"))),
        ("patient/*.cruds", new(subject=None)),
        ("patient/*.cruds", {"resourceType": "Observation", "focus": [reference("Patient/A")]}),
        ("patient/*.cruds", new(subject=reference("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"))),
        ("patient/*.cruds", new(contained=[{"resourceType": "Observation", "subject": reference("Patient/B")}])),
        ("patient/*.cruds", new(contained={})),
        ("patient/Observation.c?code=x", new()),
        ("patient/Observation.rus patient/Condition.c", new()),
    ],
    ids=str,
)
def test_what_would_not_be_ones_own_is_not_created(scopes: str, document: Any) -> None:
    got = asked("POST /Observation", document, scopes=scopes)

    assert FORBIDDEN is got.problem
    assert [] == got.askings


@pytest.mark.parametrize(
    "more",
    [
        {"performer": [reference("Patient/A"), reference("Patient/B")]},
        {"performer": [reference("Patient/B")]},
        {"performer": [reference(f"{BASE}/Patient/B")]},
        {"performer": [reference("https://elsewhere.example/fhir/Patient/A")]},
        {"performer": [reference("Patient")]},
        {"subject": reference("Patient/B"), "performer": [reference("Patient/A")]},
    ],
)
def test_nothing_is_put_into_anothers_record_beside_ones_own(more: dict[str, Any]) -> None:
    before = stored(subject=reference("Patient/A"))

    assert FORBIDDEN is asked("POST /Observation", new(**more)).problem
    assert FORBIDDEN is asked("PUT /Observation/1", own(**more), answer(None, 404)).problem
    assert FORBIDDEN is asked("PUT /Observation/1", own(**more), answer(before)).problem
    assert FORBIDDEN is asked("PUT /Observation?status=final", new(**more), found()).problem
    patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in more.items()]
    assert FORBIDDEN is asked("PATCH /Observation/1", patch, answer(before), headers=(PATCH,)).problem


@pytest.mark.parametrize(
    "more",
    [
        {
            "performer": [
                reference("Practitioner/1"),
                reference(f"{THERE}/Patient/A"),
                {"display": "B"},
                reference("#p"),
            ]
        },
        {"performer": [reference("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")]},
        {"focus": [reference("Patient/B")]},
    ],
)
def test_what_makes_nothing_anothers_is_written(more: dict[str, Any]) -> None:
    assert asked("POST /Observation", new(**more), answer(None, 201)).response.status == 201


def test_what_is_anothers_as_well_stays_so_and_who_may_write_of_everybody_writes_so() -> None:
    both = {"performer": [reference("Patient/B")]}
    everybody = "user/Observation.c?status=final user/Observation.s"

    assert asked("PUT /Observation/1", own(**both), answer(stored(**both)), answer(own(**both))).response.status == 200
    assert asked("POST /Observation", new(**both), answer(None, 201), scopes=everybody).response.status == 201
    assert asked("POST /Task", {"resourceType": "Task"}, answer(None, 201), scopes="user/Task.c").response.status == 201


def test_patient_is_never_created_with_the_scopes_of_one() -> None:
    assert FORBIDDEN is asked("POST /Patient", {"resourceType": "Patient"}, scopes="patient/*.cruds").problem
    document = {"resourceType": "Patient", "id": "A"}

    assert FORBIDDEN is asked("POST /Patient", document, scopes="patient/*.cruds").problem


@pytest.mark.parametrize("body", [b"", b"<Observation/>", b"[]", b'{"resourceType":"Condition"}', b'{"a":1,"a":1}'])
def test_what_cannot_be_read_is_not_created(body: bytes) -> None:
    assert UNREADABLE is asked("POST /Observation", body).problem


@pytest.mark.parametrize(
    "more",
    [
        {"encounter": reference("Encounter?identifier=1")},
        {"contained": [{"resourceType": "Device", "patient": reference("Patient?name=x")}]},
        {"extension": [{"url": "x", "valueReference": {"reference": f"{BASE}/Patient?name=x"}}]},
    ],
)
def test_reference_that_is_a_search_is_not_written(more: dict[str, Any]) -> None:
    assert NOT_SUPPORTED is asked("POST /Observation", new(**more)).problem


def test_origin_is_for_the_server_to_write() -> None:
    koppeltaal = replace(SERVER, koppeltaal=True)
    task = {"resourceType": "Task", "status": "requested"}
    got = asked(
        "POST /Task", task, answer(None, 201), scopes="system/Task.c?resource-origin=Device/1", server=koppeltaal
    )

    assert (201, task) == (got.response.status, sent(got))


@pytest.mark.parametrize(("status", "told"), [(400, 400), (403, 400), (409, 409), (412, 409), (422, 422), (500, 502)])
def test_what_the_server_refuses_is_told_without_its_words(status: int, told: int) -> None:
    problem = asked("POST /Observation", new(), answer({"x": "Patient/B"}, status)).problem
    assert problem is not None

    assert told == problem.status
    assert "Patient/B" not in problem.text


# --- what is answered --------------------------------------------------------------------------------


def test_who_may_write_and_not_read_is_told_that_it_was_done_and_where() -> None:
    there = {**new(), "id": "9", "meta": {"versionId": "1"}}
    given = answer(there, 201, location=f"{THERE}/Observation/9/_history/1", etag='W/"1"', last_modified="x")
    got = asked("POST /Observation", new(), given, scopes="patient/Observation.c")

    assert "return=minimal" == last(got)["prefer"]
    assert (201, b"") == (got.response.status, got.response.body)
    assert {"cache-control": "no-store", "location": f"{BASE}/Observation/9"} == got.headers


def test_what_is_written_is_given_back_only_where_it_may_be_read_as_it_now_is() -> None:
    there = {**new(), "id": "9", "meta": {"versionId": "1"}}
    got = asked(
        "POST /Observation", new(), answer(there, 201), scopes="patient/Observation.c patient/Observation.r?code=x"
    )

    assert (201, b"") == (got.response.status, got.response.body)
    assert {"cache-control": "no-store", "location": f"{BASE}/Observation/9"} == got.headers


@pytest.mark.parametrize(
    "given",
    [
        answer({"resourceType": "OperationOutcome", "issue": []}, 201, location=f"{THERE}/Observation/9"),
        answer({**own(), "id": "8"}, 201, location=f"{THERE}/Observation/9"),
        answer({"resourceType": "Observation", "id": ["9"]}, 201, location="Observation/9"),
        answer(b"<x/>", 201, location="Observation/9"),
    ],
)
def test_what_the_server_gives_back_beside_it_is_not_handed_on(given: Answered) -> None:
    got = asked("POST /Observation", new(), given)

    assert (201, b"") == (got.response.status, got.response.body)
    assert f"{BASE}/Observation/9" == got.headers["location"]


def test_server_that_says_no_place_leaves_it_unsaid() -> None:
    for given in ({**new(), "id": "a\r\nb"}, new()):
        got = asked("POST /Observation", new(), answer(given, 200))

        assert (200, b"", {"cache-control": "no-store"}) == (got.response.status, got.response.body, got.headers)


@pytest.mark.parametrize(
    ("prefer", "is_whole"),
    [("return=representation", True), ("return=minimal", False), ("return=OperationOutcome", False), ("x", True)],
)
def test_client_may_prefer_less(prefer: str, is_whole: bool) -> None:
    there = {**new(), "id": "9", "meta": {"versionId": "1"}}
    got = asked("POST /Observation", new(), answer(there, 201), headers=(("Prefer", prefer),))

    assert is_whole is bool(got.response.body)
    assert 'W/"1"' == got.headers["etag"]


# --- conditional create ------------------------------------------------------------------------------

CONDITION = (("If-None-Exist", "status=final"),)


def test_nothing_is_created_where_there_is_one_that_may_be_seen() -> None:
    got = asked("POST /Observation", new(), found(stored()), headers=CONDITION)

    assert [each.split("?")[0] for each in got.lines] == ["GET /Observation"]
    assert (200, stored()) == (got.response.status, got.document)


def test_what_others_have_does_not_keep_it_from_being_created() -> None:
    got = asked("POST /Observation", new(), found(others()), answer(None, 201), headers=CONDITION)

    assert ("status", "final") in got.askings[0].query
    assert ("patient", "Patient/A") in got.askings[0].query
    assert "if-none-exist" not in last(got)
    assert got.response.status == 201


def test_condition_that_is_true_of_two_is_none() -> None:
    assert MANY is asked("POST /Observation", new(), found(stored(), stored(id="2")), headers=CONDITION).problem


def test_who_may_search_and_not_read_hears_only_where_it_is() -> None:
    got = asked("POST /Observation", new(), found(stored()), headers=CONDITION, scopes="patient/Observation.cs")

    assert (200, b"") == (got.response.status, got.response.body)
    assert {"cache-control": "no-store", "location": f"{BASE}/Observation/1"} == got.headers


def test_condition_takes_the_letter_of_a_search() -> None:
    assert FORBIDDEN is asked("POST /Observation", new(), headers=CONDITION, scopes="patient/Observation.cru").problem


def test_condition_that_looks_elsewhere_is_none() -> None:
    headers = (("If-None-Exist", "subject:Patient.name=x"),)

    assert NOT_SUPPORTED is asked("POST /Observation", new(), headers=headers).problem


# --- update ------------------------------------------------------------------------------------------


def test_own_resource_is_updated_as_the_version_that_was_judged() -> None:
    after = {**own(status="amended"), "meta": {"versionId": "4"}}
    got = asked("PUT /Observation/1", own(status="amended"), answer(stored()), answer(after))

    assert ["GET /Observation/1", "PUT /Observation/1"] == got.lines
    assert own(status="amended") == sent(got)
    assert 'W/"3"' == last(got)["if-match"]
    assert "if-none-match" not in last(got)
    assert (200, after) == (got.response.status, got.document)
    assert 'W/"4"' == got.headers["etag"]
    assert "location" not in got.headers


def test_version_may_be_said_by_the_header_alone() -> None:
    got = asked("PUT /Observation/1", own(), answer(own(), etag='W/"5"'), answer(own()))

    assert 'W/"5"' == last(got)["if-match"]


def test_what_has_no_version_is_not_written_over() -> None:
    got = asked("PUT /Observation/1", own(), answer(own()))

    assert UPSTREAM is got.problem
    assert ["GET /Observation/1"] == got.lines


@pytest.mark.parametrize("status", [409, 412])
def test_what_has_changed_in_between_is_a_conflict(status: int) -> None:
    assert CONFLICT is asked("PUT /Observation/1", own(), answer(stored()), answer(stored(), status)).problem


def test_clients_version_is_compared_before_anything_is_sent() -> None:
    named = (("If-Match", 'W/"2"'),)
    got = asked("PUT /Observation/1", own(), answer(stored()), headers=named)

    assert NOT_CURRENT is got.problem
    assert asked("PUT /Observation/1", own(), answer(stored()), answer(own()), headers=(("If-Match", 'W/"3"'),)).result


def test_ones_own_is_not_made_anothers() -> None:
    got = asked("PUT /Observation/1", own(subject=reference("Patient/B")))

    assert FORBIDDEN is got.problem
    assert [] == got.askings


def test_anothers_is_not_made_ones_own() -> None:
    got = asked("PUT /Observation/1", own(), answer(others()))

    assert FORBIDDEN is got.problem
    assert ["GET /Observation/1"] == got.lines


def test_where_updates_create_nothing_what_is_not_there_and_what_is_anothers_are_one() -> None:
    for given in (answer(others()), answer(None, 404), answer(None, 410)):
        for named in ((), (("If-Match", 'W/"3"'),)):
            assert NOT_FOUND is asked("PUT /Observation/1", own(), given, server=KEEPS, headers=named).problem


@pytest.mark.parametrize("status", [404, 410])
def test_update_of_what_is_not_there_creates_it_unless_it_is_by_then(status: int) -> None:
    after = {**own(), "meta": {"versionId": "1"}}
    got = asked("PUT /Observation/1", own(), answer(None, status), answer(after, 201), scopes="patient/Observation.ru")

    assert "*" == last(got)["if-none-match"]
    assert "if-match" not in last(got)
    assert (201, f"{BASE}/Observation/1/_history/1") == (got.response.status, got.headers["location"])


def test_version_of_what_is_not_there_is_not_the_current_one() -> None:
    got = asked("PUT /Observation/1", own(), answer(None, 404), headers=(("If-Match", 'W/"1"'),))

    assert NOT_CURRENT is got.problem


@pytest.mark.parametrize("id_", ["2", None, 1])
def test_resource_has_the_id_of_its_place(id_: object) -> None:
    assert UNREADABLE is asked("PUT /Observation/1", own(id=id_)).problem


def test_who_may_not_read_hears_nothing_of_what_is_there() -> None:
    got = asked(
        "PUT /Observation/1", own(), answer(stored()), answer(stored(), etag='W/"4"'), scopes="patient/Observation.u"
    )

    assert (200, b"") == (got.response.status, got.response.body)
    assert {"cache-control": "no-store", "location": f"{BASE}/Observation/1"} == got.headers


def test_own_patient_is_updated_and_no_other() -> None:
    patient = {"resourceType": "Patient", "id": "A", "meta": {"versionId": "1"}}

    assert asked("PUT /Patient/A", patient, answer(patient), answer(patient), scopes="patient/Patient.ru").result
    assert FORBIDDEN is asked("PUT /Patient/B", {**patient, "id": "B"}, scopes="patient/Patient.ru").problem


def test_parameters_of_a_scope_hold_for_what_is_there_and_for_what_is_to_be_there() -> None:
    lab, plain = stored(code={"coding": [{"code": "lab"}]}), stored()
    scopes = "patient/Observation.u?code=lab"

    assert FORBIDDEN is asked("PUT /Observation/1", plain, scopes=scopes).problem
    assert FORBIDDEN is asked("PUT /Observation/1", lab, answer(plain), scopes=scopes).problem
    assert asked("PUT /Observation/1", lab, answer(lab), answer(lab), scopes=scopes).result


# --- what is contained -------------------------------------------------------------------------------

SOMEBODY = {"resourceType": "Patient", "id": "p"}
DEVICE = {"resourceType": "Device", "id": "d"}


def test_what_is_contained_and_hidden_stays_in_it() -> None:
    got = asked(
        "PUT /Observation/1",
        own(contained=[DEVICE]),
        answer(stored(contained=[SOMEBODY])),
        answer(own(contained=[DEVICE, SOMEBODY])),
        scopes="patient/*.ru",
    )

    assert [DEVICE, SOMEBODY] == sent(got)["contained"]
    assert [DEVICE] == got.document["contained"]


def test_what_is_contained_and_hidden_stays_where_nothing_else_is() -> None:
    hidden = {"resourceType": "Patient"}
    got = asked("PUT /Observation/1", own(), answer(stored(contained=[hidden, "x"])), answer(own()))

    assert [hidden, "x"] == sent(got)["contained"]


def test_what_is_contained_and_hidden_is_not_written_over() -> None:
    taken = own(contained=[{**DEVICE, "id": "p"}])

    assert CONFLICT is asked("PUT /Observation/1", taken, answer(stored(contained=[SOMEBODY]))).problem


def test_who_may_not_read_writes_all_of_it() -> None:
    given = answer(stored(contained=[SOMEBODY])), answer(own())
    got = asked("PUT /Observation/1", own(), *given, scopes="patient/Observation.u")

    assert own() == sent(got)


# --- conditional update ------------------------------------------------------------------------------


def test_update_of_the_one_that_meets_a_condition_is_one_by_its_id() -> None:
    got = asked("PUT /Observation?status=final", new(), found(stored()), answer(stored()), answer(stored()))

    assert ["GET /Observation", "GET /Observation/1", "PUT /Observation/1"] == [
        each.split("?")[0] for each in got.lines
    ]
    assert own() == sent(got)
    assert 'W/"3"' == last(got)["if-match"]


def test_update_of_many_is_none() -> None:
    assert MANY is asked("PUT /Observation?status=final", new(), found(stored(), stored(id="2"))).problem


def test_update_where_nothing_meets_the_condition_creates_something() -> None:
    got = asked("PUT /Observation?status=final", new(), found(others()), answer(None, 201))

    assert "POST /Observation" == got.lines[-1]
    assert FORBIDDEN is asked("PUT /Observation?status=final", new(subject=reference("Patient/B")), found()).problem
    assert NOT_FOUND is asked("PUT /Observation?status=final", new(), found(), server=KEEPS).problem
    assert NOT_FOUND is asked("PUT /Observation?status=final", new(), found(), headers=(("If-Match", 'W/"1"'),)).problem


def test_update_with_an_id_is_of_that_one_or_of_none() -> None:
    assert UNREADABLE is asked("PUT /Observation?status=final", own(id="2"), found(stored())).problem
    assert NOT_SUPPORTED is asked("PUT /Observation?status=final", own(id="2"), found()).problem


def test_what_may_be_found_and_not_changed_is_not() -> None:
    scopes = "patient/Observation.s patient/Observation.u?code=x"
    document = new(code={"coding": [{"code": "x"}]})

    assert (
        FORBIDDEN
        is asked("PUT /Observation?status=final", document, found(stored()), answer(stored()), scopes=scopes).problem
    )


# --- patch -------------------------------------------------------------------------------------------

AMEND = [{"op": "replace", "path": "/status", "value": "amended"}]


def test_patch_is_done_here_and_sent_as_the_update_that_it_is() -> None:
    got = asked("PATCH /Observation/1", AMEND, answer(stored()), answer(stored()), headers=(PATCH,))

    assert ["GET /Observation/1", "PUT /Observation/1"] == got.lines
    assert stored(status="amended") == sent(got)
    assert 'W/"3"' == last(got)["if-match"]
    assert (200, stored()) == (got.response.status, got.document)


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ({"op": "replace", "path": "/subject/reference", "value": "Patient/B"}, FORBIDDEN),
        ({"op": "remove", "path": "/subject"}, FORBIDDEN),
        ({"op": "replace", "path": "/id", "value": "2"}, UNREADABLE),
        ({"op": "remove", "path": "/id"}, UNREADABLE),
        ({"op": "replace", "path": "/resourceType", "value": "Condition"}, UNREADABLE),
        ({"op": "add", "path": "/encounter", "value": reference("Encounter?x=1")}, NOT_SUPPORTED),
        ({"op": "test", "path": "/status", "value": "amended"}, UNFIT),
    ],
)
def test_what_a_patch_makes_of_it_is_judged(operation: dict[str, Any], problem: Problem) -> None:
    assert problem is asked("PATCH /Observation/1", [operation], answer(stored()), headers=(PATCH,)).problem


def test_what_is_not_there_and_what_is_anothers_are_one_to_a_patch_and_to_a_deletion() -> None:
    for given in (answer(others()), answer(None, 404), answer(None, 410)):
        for named in ((), (("If-Match", 'W/"3"'),), (("If-Match", 'W/"4"'),)):
            assert NOT_FOUND is asked("PATCH /Observation/1", AMEND, given, headers=(PATCH, *named)).problem
            assert NOT_FOUND is asked("DELETE /Observation/1", None, given, headers=named).problem


def test_patch_is_about_what_may_be_seen_and_what_is_hidden_stays() -> None:
    before = stored(contained=[SOMEBODY, DEVICE])
    remove = [{"op": "remove", "path": "/contained/0"}]
    got = asked("PATCH /Observation/1", remove, answer(before), answer(own()), headers=(PATCH,), scopes="patient/*.ru")

    assert [SOMEBODY] == sent(got)["contained"]


def test_who_may_not_read_does_not_ask_by_a_patch() -> None:
    test = [{"op": "test", "path": "/status", "value": "final"}]
    scopes = "patient/Observation.u"

    assert (
        NOT_SUPPORTED is asked("PATCH /Observation/1", test, answer(stored()), headers=(PATCH,), scopes=scopes).problem
    )
    got = asked("PATCH /Observation/1", AMEND, answer(stored()), answer(stored()), headers=(PATCH,), scopes=scopes)

    assert (200, b"") == (got.response.status, got.response.body)


def test_patch_names_the_version_that_it_is_for() -> None:
    headers = (PATCH, ("If-Match", 'W/"2"'))
    unfit = [{"op": "remove", "path": "/code"}]

    for steps in (AMEND, unfit):
        assert NOT_CURRENT is asked("PATCH /Observation/1", steps, answer(stored()), headers=headers).problem


@pytest.mark.parametrize(
    "kind", ["application/fhir+json", "application/json", "application/merge-patch+json", "application/fhir+xml"]
)
def test_patch_in_another_language_is_not_begun(kind: str) -> None:
    assert NOT_JSON_PATCH is asked("PATCH /Observation/1", AMEND, headers=(("Content-Type", kind),)).problem
    assert NOT_JSON_PATCH is asked("PATCH /Observation/1", AMEND).problem


@pytest.mark.parametrize("document", [{"op": "remove", "path": "/status"}, [], b"x", [{"op": "remove"}]])
def test_what_is_no_patch_is_not_begun(document: Any) -> None:
    assert UNREADABLE is asked("PATCH /Observation/1", document, headers=(PATCH,)).problem


def test_patch_of_the_one_that_meets_a_condition() -> None:
    got = asked(
        "PATCH /Observation?status=final", AMEND, found(stored()), answer(stored()), answer(own()), headers=(PATCH,)
    )

    assert "PUT /Observation/1" == got.lines[-1]
    assert NOT_FOUND is asked("PATCH /Observation?status=final", AMEND, found(others()), headers=(PATCH,)).problem


# --- delete ------------------------------------------------------------------------------------------


def test_own_resource_is_deleted_as_the_version_that_was_judged() -> None:
    got = asked("DELETE /Observation/1", None, answer(stored()), answer({"resourceType": "OperationOutcome"}, 200))

    assert ["GET /Observation/1", "DELETE /Observation/1"] == got.lines
    assert {"accept": "application/fhir+json", "if-match": 'W/"3"'} == last(got)
    assert (204, b"") == (got.response.status, got.response.body)


def test_deletion_names_the_version_that_it_is_for() -> None:
    named = (("If-Match", 'W/"2"'),)

    assert NOT_CURRENT is asked("DELETE /Observation/1", None, answer(stored()), headers=named).problem


@pytest.mark.parametrize(
    "line", ["DELETE /Patient/A", "DELETE /Practitioner/1", "DELETE /Task/1", "DELETE /Patient?name=x"]
)
def test_what_patients_scopes_are_never_for_is_not_even_looked_for(line: str) -> None:
    assert FORBIDDEN is asked(line, None, scopes="patient/*.cruds").problem


@pytest.mark.parametrize("line", ["PATCH /Practitioner/1", "PATCH /Task/1"])
def test_shared_types_are_not_patched(line: str) -> None:
    assert FORBIDDEN is asked(line, AMEND, scopes="patient/*.cruds", headers=(PATCH,)).problem


def test_deletion_of_the_one_that_meets_a_condition_and_of_no_other() -> None:
    got = asked(
        "DELETE /Observation?status=final", None, found(others(id="2"), stored()), answer(stored()), answer(None, 204)
    )

    assert "DELETE /Observation/1" == got.lines[-1]
    assert MANY is asked("DELETE /Observation?status=final", None, found(stored(), stored(id="2"))).problem
    assert NOT_FOUND is asked("DELETE /Observation?status=final", None, found(others())).problem
    assert FORBIDDEN is asked("DELETE /Observation?status=final", None, scopes="patient/Observation.d").problem


def test_origin_of_what_is_there_counts() -> None:
    koppeltaal = replace(SERVER, koppeltaal=True)
    task = {
        "resourceType": "Task",
        "id": "12",
        "meta": {"versionId": "1"},
        "extension": [{"url": ORIGIN, "valueReference": reference("Device/456")}],
    }
    scopes = "system/Task.cruds?resource-origin=Device/4 system/*.d?resource-origin=Device/34,Device/456"

    def deleted(task: Any, *more: Answered) -> Asked:
        return asked("DELETE /Task/12", None, answer(task), *more, scopes=scopes, server=koppeltaal)

    assert deleted(task, answer(None, 204)).response.status == 204
    assert NOT_FOUND is deleted({**task, "extension": []}).problem
