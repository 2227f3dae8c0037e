"""Operations, validations and exports, by transcript."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.judging import judge
from jwt_guard.fhir.outcome import CONFLICT, FORBIDDEN, NOT_FOUND, NOT_SUPPORTED, UNREADABLE, UPSTREAM, Problem
from jwt_guard.fhir.surface import Surface
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from ..support.fhir_exchanges import UPSTREAM as THERE

SEALER = Sealer(b"k" * 32)
LISTED = replace(
    SERVER, surface=Surface(operations={"$last": "rs", "$lookup": "r", "$change": "u", "Patient/$both": "ru"})
)
POLLING = replace(SERVER, surface=Surface(jobs=()))
OWN: dict[str, Any] = {
    "resourceType": "Observation", "id": "1", "meta": {"versionId": "3"}, "subject": reference("Patient/A")
}  # fmt: skip
OTHER = {**OWN, "id": "2", "subject": reference("Patient/B")}
PATIENT = {"resourceType": "Patient", "id": "A"}
ASYNC = (("Prefer", "respond-async"),)


def asked(
    line: str,
    scopes: str,
    *answers: Answered,
    document: object = None,
    headers: tuple[tuple[str, str], ...] = (),
    server: Any = LISTED,
) -> Asked:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    request = PlainRequest(method, path, query, headers)
    return run(judge(request, of(scopes, "A", server), SEALER, body), *answers)


# --- operations that are listed ----------------------------------------------------------------------


def test_operation_on_ones_own_answers_with_what_may_be_seen() -> None:
    bundle = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OWN}, {"resource": OTHER}]})
    got = asked("GET /Patient/A/$last?max=1", "patient/*.rs", answer(PATIENT), bundle)

    assert ["GET /Patient/A", "GET /Patient/A/$last?max=1"] == got.lines
    assert (("accept", "application/fhir+json"),) == got.askings[1].headers
    assert {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"fullUrl": f"{BASE}/Observation/1", "resource": OWN}],
    } == got.document


def test_values_that_an_operation_has_worked_out_are_not_handed_on() -> None:
    parameters = answer({"resourceType": "Parameters", "parameter": [{"name": "count", "valueInteger": 7}]})
    got = asked("GET /Patient/A/$lookup", "patient/*.r", answer(PATIENT), parameters)

    assert {"resourceType": "Parameters", "parameter": []} == got.document


@pytest.mark.parametrize("given", [answer(OTHER), answer({"resourceType": "OperationOutcome"})])
def test_operation_that_answers_with_nothing_to_be_seen_is_as_if_there_were_none(given: Answered) -> None:
    assert NOT_FOUND is asked("GET /Patient/A/$lookup", "patient/*.r", answer(PATIENT), given).problem


@pytest.mark.parametrize("given", [answer(OTHER), answer(None, 404)])
def test_operation_on_anothers_is_not_asked_for(given: Answered) -> None:
    got = asked("GET /Observation/2/$lookup", "patient/*.r", given)

    assert NOT_FOUND is got.problem
    assert ["GET /Observation/2"] == got.lines


def test_operation_takes_each_of_its_letters_on_the_resource() -> None:
    scopes = "patient/Observation.s patient/Observation.r?code=x"

    assert NOT_FOUND is asked("GET /Observation/1/$last", scopes, answer(OWN)).problem


@pytest.mark.parametrize(
    "line", ["GET /Observation/$last", "GET /$lookup", "POST /Patient/A/$change", "POST /Patient/A/$both"]
)
def test_operation_on_many_or_one_that_writes_is_for_who_may_do_it_to_all(line: str) -> None:
    assert FORBIDDEN is asked(line, "patient/*.cruds").problem
    assert line.partition(" ")[2] == asked(line, "system/*.cruds").through.path


def test_parameters_of_an_operation_are_in_the_query() -> None:
    given = answer(PATIENT), answer(OWN)
    nothing = {"resourceType": "Parameters"}

    assert asked("POST /Patient/A/$lookup", "patient/*.r", *given, document=nothing).lines[1].startswith("GET ")
    for document in ({**nothing, "parameter": [{"name": "x"}]}, b"<x/>", b"[]"):
        assert NOT_SUPPORTED is asked("POST /Patient/A/$lookup", "patient/*.r", document=document).problem


def test_what_the_server_refuses_is_told_without_its_words() -> None:
    refused = answer({"x": "Patient/B"}, 409)

    assert CONFLICT is asked("GET /Patient/A/$lookup", "patient/*.r", answer(PATIENT), refused).problem


# --- validations -------------------------------------------------------------------------------------

NEW = {"resourceType": "Observation", "subject": reference("Patient/A")}
ISSUE = {"severity": "error", "code": "required", "expression": ["Observation.status"]}


def outcome(*issues: Any, status: int = 200) -> Answered:
    return answer({"resourceType": "OperationOutcome", "issue": [*issues]}, status)


@pytest.mark.parametrize(
    "document", [NEW, {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": NEW}]}]
)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_validation_is_told_in_codes_and_places(document: Any, status: int) -> None:
    words = {"diagnostics": "Patient/B", "details": {"text": "Patient/B"}, "location": ["/f:x", "Observation[1]"]}
    given = outcome({**ISSUE, **words}, "x", {"code": "Patient/B", "severity": 7, "expression": "x"}, status=status)
    got = asked("POST /Observation/$validate", "patient/Observation.c", given, document=document)

    assert ["POST /Observation/$validate"] == got.lines
    assert NEW == json.loads(got.askings[0].body)
    assert {
        "resourceType": "OperationOutcome",
        "issue": [{**ISSUE, "location": ["Observation[1]"]}, {"severity": "error", "code": "invalid"}],
    } == got.document
    assert got.response.status == 200


def test_what_may_not_be_written_is_not_validated() -> None:
    others = {**NEW, "subject": reference("Patient/B")}
    containing = {**NEW, "contained": [others]}
    for document in (others, containing):
        assert FORBIDDEN is asked("POST /Observation/$validate", "patient/Observation.c", document=document).problem
    assert FORBIDDEN is asked("POST /Observation/$validate", "patient/Observation.ru", document=NEW).problem


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, UNREADABLE),
        (b" ", UNREADABLE),
        (b"<x/>", UNREADABLE),
        ({"resourceType": "Condition"}, UNREADABLE),
        ({"resourceType": "Parameters"}, NOT_SUPPORTED),
        ({"resourceType": "Parameters", "parameter": ["x"]}, NOT_SUPPORTED),
        ({"resourceType": "Parameters", "parameter": [{"name": "mode"}, {"name": "resource"}]}, NOT_SUPPORTED),
        ({"resourceType": "Parameters", "parameter": [{"name": "x", "resource": NEW}]}, UNREADABLE),
        ({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": "x"}]}, UNREADABLE),
    ],
)
def test_validation_is_of_one_resource_of_the_type(document: Any, problem: Problem) -> None:
    assert problem is asked("POST /Observation/$validate", "patient/Observation.c", document=document).problem


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (answer(None, 500), UPSTREAM),
        (answer(None, 409), CONFLICT),
        (answer(b"x"), UPSTREAM),
        (answer(OWN), UPSTREAM),
        (answer({"resourceType": "OperationOutcome", "issue": {}}), UPSTREAM),
    ],
)
def test_validation_without_an_outcome_is_none(given: Answered, problem: Problem) -> None:
    assert problem is asked("POST /Observation/$validate", "patient/Observation.c", given, document=NEW).problem


def test_what_is_there_is_validated_by_who_may_see_and_change_it() -> None:
    hidden = {**OWN, "contained": [{"resourceType": "Patient", "id": "p"}]}
    got = asked("GET /Observation/1/$validate", "patient/Observation.ru", answer(hidden), outcome())

    assert ["GET /Observation/1", "POST /Observation/$validate"] == got.lines
    assert OWN == json.loads(got.askings[1].body)
    changed = {**OWN, "status": "final"}
    got = asked("POST /Observation/1/$validate", "patient/Observation.ru", answer(OWN), outcome(), document=changed)
    assert changed == json.loads(got.askings[1].body)
    assert NOT_FOUND is asked("GET /Observation/2/$validate", "patient/Observation.ru", answer(OTHER)).problem
    scopes = "patient/Observation.r patient/Observation.u?code=x"
    assert NOT_FOUND is asked("GET /Observation/1/$validate", scopes, answer(OWN)).problem


# --- exports -----------------------------------------------------------------------------------------

BEGUN = answer(None, 202, content_location=f"{THERE}/_operations/export/42?x=1")


def job(got: Asked) -> str:
    """Return the path of the job that an export has begun, below our base."""
    url = got.headers["content-location"]
    assert url.startswith(f"{BASE}/")
    return url.removeprefix(BASE)


def test_export_is_begun_and_asked_after_by_a_link_of_ours() -> None:
    got = asked(
        "GET /Patient/$export?_type=Observation", "system/Patient.rs system/Observation.rs", BEGUN, headers=ASYNC
    )

    assert ["GET /Patient/$export?_type=Observation"] == got.lines
    assert (("accept", "application/fhir+json"), ("prefer", "respond-async")) == got.askings[0].headers
    assert (202, b"") == (got.response.status, got.response.body)
    assert job(got).startswith("/_operations/export/")

    scopes = "system/Patient.rs system/Observation.rs"
    got = asked(f"GET {job(got)}", scopes, answer(None, 202, x_progress="50%", retry_after="120", x_secret="x"))

    assert ["GET /_operations/export/42?x=1"] == got.lines
    assert {"cache-control": "no-store", "x-progress": "50%", "retry-after": "120"} == got.headers
    assert got.response.status == 202


def test_server_may_say_its_jobs_elsewhere() -> None:
    begun = answer(None, 202, content_location="/fhir/$export-poll-status?_jobId=42")
    got = asked("GET /$export", "system/*.rs", begun, headers=ASYNC, server=POLLING)

    assert job(got).startswith("/$export-poll-status?_jobId=")
    got = asked(f"GET {job(got)}", "system/*.rs", answer(None, 202, x_progress="x" * 300), server=POLLING)
    assert ["GET /$export-poll-status?_jobId=42"] == got.lines
    assert {"cache-control": "no-store"} == got.headers


@pytest.mark.parametrize(
    ("line", "scopes"),
    [
        ("GET /Patient/$export", "patient/*.rs"),
        ("GET /$export", "user/*.cruds"),
        ("GET /$export", "system/Patient.rs"),
        ("GET /$export", "system/*.r"),
        ("GET /Patient/$export?_type=Observation", "system/Observation.rs"),
        ("GET /Patient/$export?_type=Observation", "system/Observation.rs?category=laboratory system/Patient.rs"),
        ("GET /Group/1/$export?_type=Observation", "system/Observation.rs system/Patient.rs"),
    ],
)
def test_export_is_a_systems_for_whole_types(line: str, scopes: str) -> None:
    assert FORBIDDEN is asked(line, scopes, headers=ASYNC).problem


def test_export_is_answered_later_and_asked_for_in_the_query() -> None:
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]}

    assert UNREADABLE is asked("GET /$export", "system/*.rs").problem
    assert NOT_SUPPORTED is asked("POST /$export", "system/*.rs", headers=ASYNC, document=parameters).problem
    assert ["GET /$export"] == asked("POST /$export", "system/*.rs", BEGUN, headers=ASYNC).lines


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (answer(None, 500), UPSTREAM),
        (answer(None, 400), Problem(400, "invalid", "The server does not take the request.")),
        (answer(None, 202), UPSTREAM),
        (answer(None, 202, content_location="https://elsewhere.example/1"), UPSTREAM),
        (answer(None, 200), UPSTREAM),
    ],
)
def test_export_that_is_not_begun_clearly_is_none(given: Answered, problem: Problem) -> None:
    assert problem == asked("GET /$export", "system/*.rs", given, headers=ASYNC).problem


def test_anothers_job_is_none() -> None:
    path = job(asked("GET /$export", "system/*.rs", BEGUN, headers=ASYNC))
    page = SEALER.seal(b'["page of an answer"]', of("system/*.rs", "A", LISTED).bearer)
    number = SEALER.seal(b"7", of("system/*.rs", "A", LISTED).bearer)

    assert NOT_FOUND is asked(f"GET {path}", "system/*.cruds").problem
    for other in (path[:-1], "/_operations/export/42", f"/_operations/export/{page}", f"/_operations/export/{number}"):
        for method in ("GET", "DELETE"):
            assert NOT_FOUND is asked(f"{method} {other}", "system/*.rs").problem


def test_export_is_ended() -> None:
    path = job(asked("GET /$export", "system/*.rs", BEGUN, headers=ASYNC))
    got = asked(f"DELETE {path}", "system/*.rs", answer(None, 202))

    assert ["DELETE /_operations/export/42?x=1"] == got.lines
    assert (202, b"") == (got.response.status, got.response.body)
    assert NOT_FOUND is asked(f"DELETE {path}", "system/*.rs", answer(None, 404)).problem


MANIFEST: dict[str, Any] = {
    "transactionTime": "2024-01-01T00:00:00Z",
    "request": f"{THERE}/$export",
    "requiresAccessToken": True,
    "output": [
        {"type": "Patient", "url": f"{THERE}/Binary/7", "count": 2},
        {"type": "Observation", "url": "https://files.example/signed"},
        "x",
    ],
    "error": [],
    "link": [{"relation": "next", "url": f"{THERE}/_operations/export/42?page=2"}],
}


def test_files_of_an_export_are_fetched_by_links_of_ours() -> None:
    path = job(asked("GET /$export", "system/*.rs", BEGUN, headers=ASYNC))
    got = asked(f"GET {path}", "system/*.rs", answer(MANIFEST, content_type="application/json"))
    manifest = got.document
    file, elsewhere = manifest["output"]
    more = manifest["link"][0]

    assert (("accept", "application/json"),) == got.askings[0].headers
    assert {"content-type": "application/json", "cache-control": "no-store"} == got.headers
    assert (f"{BASE}/$export", []) == (manifest["request"], manifest["error"])
    assert THERE not in json.dumps(manifest)
    assert ("Patient", 2) == (file["type"], file["count"])
    assert {"type": "Observation", "url": "https://files.example/signed"} == elsewhere

    at = urlsplit(file["url"]).path.removeprefix("/fhir")
    through = asked(f"GET {at}", "system/*.rs", headers=(("Accept", "application/fhir+ndjson"),)).through
    assert ("GET", "/Binary/7", (("accept", "application/fhir+ndjson"),)) == (
        through.method, through.path, through.headers
    )  # fmt: skip
    assert asked(f"HEAD {at}", "system/*.rs").through.method == "HEAD"
    assert NOT_FOUND is asked(f"DELETE {at}", "system/*.rs").problem
    assert NOT_FOUND is asked(f"GET {at}", "system/*.cruds").problem

    next_at = urlsplit(more["url"]).path.removeprefix("/fhir")
    got = asked(f"GET {next_at}", "system/*.rs", answer({"output": {}, "request": 7}))
    assert ["GET /_operations/export/42?page=2"] == got.lines
    assert {"output": {}, "request": 7} == got.document
