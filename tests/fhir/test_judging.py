"""One entry for every interaction: what comes first, what goes through, and what is told of the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.judging import judge, wants_body
from jwt_guard.fhir.outcome import FORBIDDEN, NOT_ACCEPTABLE, NOT_FOUND, NOT_SUPPORTED, UNREADABLE
from jwt_guard.fhir.surface import Surface
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import SERVER, UPSTREAM, Asked, answer, of, reference, run

SEALER = Sealer(b"k" * 32)
OWN = {"resourceType": "Observation", "id": "1", "meta": {"versionId": "3"}, "subject": reference("Patient/A")}
OPEN = replace(SERVER, surface=Surface(operations={"$lookup": "r", "Patient/$merge": "u"}))


def asked(
    line: str,
    scopes: str,
    *answers: Answered,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
    server: Any = SERVER,
) -> Asked:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    request = PlainRequest(method, path, query, headers)
    return run(judge(request, of(scopes, "A", server), SEALER, body), *answers)


def status(line: str, scopes: str, *answers: Answered, **more: Any) -> int:
    got = asked(line, scopes, *answers, **more)
    if got.problem is not None:
        return got.problem.status
    return got.response.status


# --- what comes first --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "GET /Observation/1",
        "GET /Observation?subject:Patient.name=x",
        "GET /Nothing/1",
        "GET //x",
        "BREW /Observation",
        "POST /Observation/1/$my-op",
        "POST /",
        "GET /?_getpages=x",
        "GET /$export",
        "GET /_operations/export/x",
        "GET /_history",
        "DELETE /Observation?",
    ],
)
@pytest.mark.parametrize("scopes", ["", "openid fhirUser launch/patient", "patient/Observation.dus"])
def test_token_without_a_scope_is_told_that_and_nothing_else(line: str, scopes: str) -> None:
    assert FORBIDDEN is asked(line, scopes).problem


@pytest.mark.parametrize(
    ("line", "scopes", "told"),
    [
        ("GET /Nothing/1", "patient/*.rs", 404),
        ("GET //x", "patient/*.rs", 404),
        ("GET /Observation/1/x/y/z", "patient/*.rs", 404),
        ("POST /Observation/1", "patient/*.rs", 405),
        ("BREW /Observation", "patient/*.rs", 405),
        ("POST /Observation/1/$my-op", "patient/*.cruds", 403),
        ("GET /Observation/a_b", "patient/*.rs", 400),
        ("GET /Observation/1?_id=2", "patient/*.rs", 400),
        ("DELETE /Observation?_count=2", "patient/*.ds", 400),
    ],
)
def test_what_is_no_interaction_is_told_in_words_that_depend_on_the_request_alone(
    line: str, scopes: str, told: int
) -> None:
    assert told == status(line, scopes)


def test_what_is_wrong_with_a_request_is_told_in_words() -> None:
    problem = asked("GET /Observation/1?_id=2", "patient/*.rs").problem
    assert problem is not None

    assert UNREADABLE.code == problem.code
    assert "The request is not one that FHIR has: the interaction has no such parameter." == problem.text


@pytest.mark.parametrize("line", ["GET /metadata", "HEAD /metadata", "GET /metadata?mode=full&_format=xml"])
@pytest.mark.parametrize("scopes", ["", "patient/Patient.r"])
def test_what_the_server_can_do_is_for_everybody(line: str, scopes: str) -> None:
    assert [f"{asked(line, scopes).through.method} /metadata"] == [line.partition("?")[0]]


def test_what_is_known_of_the_authorization_server_is_not_said_here() -> None:
    assert NOT_FOUND is asked("GET /.well-known/smart-configuration", "").problem


# The cases of a catalogue of SMART scopes for which the server need not be asked (request, scopes, status).
DECIDED = [
    ("GET /Patient?name=Alpha", "patient/Patient.r", 403),
    ("POST /Observation", "patient/*.rs patient/Observation.u", 403),
    ("POST /Patient", "patient/*.*", 403),
    ("DELETE /Patient/A", "patient/*.*", 403),
    ("PATCH /Observation/a-lab", "patient/Patient.write patient/Observation.read", 403),
    ("DELETE /Observation/a-lab", "patient/Observation.crus", 403),
    ("GET /Observation/a-lab/_history", "patient/Observation.s", 403),
    ("GET /Observation/_history", "system/Observation.r", 403),
    ("GET /Observation/_history", "patient/Observation.s", 403),
    ("POST /Observation", "user/Observation.create patient/Observation.read", 403),
    ("GET /Observation/a-lab", "patient/Observation.write", 403),
    ("GET /Observation?patient=Patient/A", "patient/Observation.read-only", 403),
    ("GET /Observation?patient=Patient/A", "patient/Observation.rs?active", 403),
    ("GET /Observation?patient=Patient/A", "patient/observation.rs", 403),
    ("GET /Observation?patient=Patient/A", "Patient/Observation.rs", 403),
    ("GET /Observation?patient=Patient/A", "patient/Observation.rs?code:exact=a=b", 403),
    ("GET /Condition?patient=A", "patient/Patient.rs patient/Observation.rs", 403),
    ("GET /Condition?_count=1", "user/Condition.rs?category:in=http://hl7.org/fhir/ValueSet/condition-category", 403),
    ("GET /Observation?_count=1", "patient/Observation.rs?subject:Patient.name=Smith", 403),
    ("GET /Patient?_count=1", "user/Patient.rs?_has:Observation:patient:code=http://loinc.org|1234-5", 403),
    ("GET /Observation?subject:Patient.name=SMARTGivenName1", "patient/Observation.rs", 400),
    ("GET /Patient?_id=A&_has:Observation:patient:code-value-quantity=1", "patient/Patient.rs", 400),
    ("PUT /Patient?name=SMARTGivenName1", "patient/Patient.u", 403),
    ("DELETE /Observation?code=4548-4", "patient/Observation.d", 403),
    ("POST /Observation/a-lab/$my-op", "patient/*.cruds", 403),
    ("POST /Task", "system/Task.ruds", 403),
    ("PUT /Task/12", "system/Task.crds", 403),
]


@pytest.mark.parametrize(("line", "scopes", "told"), DECIDED)
def test_what_the_request_decides_is_decided_without_the_server(line: str, scopes: str, told: int) -> None:
    assert told == status(line, scopes, body=b'{"resourceType":"Patient"}')


def test_patients_scopes_without_a_patient_allow_nothing() -> None:
    request = PlainRequest("GET", "/Observation", "patient=Patient/A")

    assert FORBIDDEN is run(judge(request, of("patient/*.rs", None), SEALER, None)).problem


# --- what goes through -------------------------------------------------------------------------------

CLIENT = (
    ("Accept", "application/fhir+xml"),
    ("Content-Type", "application/fhir+xml"),
    ("If-Match", 'W/"1"'),
    ("Prefer", 'return=minimal; handling=strict, respond-async, x="a"'),
    ("Authorization", "Bearer x"),
    ("Cookie", "x"),
    ("X-Provenance", "{}"),
)


@pytest.mark.parametrize(
    ("line", "scopes"),
    [
        ("PUT /Observation/1", "system/*.cruds"),
        ("PUT /Observation/1", "user/Observation.ru system/*.s"),
        ("PATCH /Observation/1", "user/Observation.ru user/*.s patient/Observation.u?code=x"),
        ("DELETE /Observation/1", "system/Observation.d"),
        ("PUT /Observation?code=x", "system/Observation.rus system/*.s"),
        ("DELETE /Observation?subject:Patient.name=x", "system/*.cruds"),
    ],
)
def test_who_may_do_it_to_everything_is_let_through_with_the_headers_that_are_known(line: str, scopes: str) -> None:
    asking = asked(line, scopes, headers=CLIENT).through
    path, _, query = line.partition(" ")[2].partition("?")

    assert (line.partition(" ")[0], path) == (asking.method, asking.path)
    assert query == "&".join(map("=".join, asking.query))
    assert asking.body == b""
    assert {
        "accept": "application/fhir+xml",
        "content-type": "application/fhir+xml",
        "if-match": 'W/"1"',
        "prefer": "return=minimal, handling=strict",
    } == dict(asking.headers)


def test_reading_goes_through_with_what_is_of_reading() -> None:
    headers = (
        ("Accept", "image/png"),
        ("If-None-Match", 'W/"1"'),
        ("Range", "bytes=0-1"),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    )
    asking = asked("GET /Binary/1?_format=xml", "user/Binary.r", headers=headers).through

    assert (("_format", "xml"),) == asking.query
    assert {"accept": "image/png", "if-none-match": 'W/"1"', "range": "bytes=0-1"} == dict(asking.headers)
    assert asked("HEAD /Binary/1", "user/Binary.r").through.method == "HEAD"


def test_history_in_another_format_goes_through_to_who_may_see_everything() -> None:
    assert asked("GET /Observation/1/_history?_format=xml", "system/*.rs").through.path == "/Observation/1/_history"
    assert NOT_ACCEPTABLE is asked("GET /Observation/1/_history?_format=xml", "system/Observation.r").problem


def test_links_of_a_history_are_never_the_servers_own() -> None:
    document = {
        "resourceType": "Bundle",
        "type": "history",
        "link": [{"relation": "self", "url": f"{UPSTREAM}/Observation/1/_history"}],
        "entry": [{"fullUrl": f"{UPSTREAM}/Observation/1", "resource": OWN}],
    }
    for scopes in ("system/*.rs", "system/Observation.r", "patient/*.rs"):
        assert UPSTREAM not in asked("GET /Observation/1/_history", scopes, answer(document)).response.body.decode()


def test_condition_of_a_create_goes_through() -> None:
    headers = (("If-None-Exist", "code=x"),)
    asking = asked("POST /Observation", "system/Observation.cr system/*.s", headers=headers).through

    assert (("if-none-exist", "code=x"),) == asking.headers


@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        ("PUT /Observation?subject:Patient.name=x", (), OWN),
        ("DELETE /Observation?code:in=x", (), None),
        ("POST /Observation", (("If-None-Exist", "subject:Patient.name=x"),), OWN),
    ],
)
def test_condition_that_looks_elsewhere_does_not_go_through(line: str, headers: Any, body: Any) -> None:
    text = b"" if body is None else json.dumps(body).encode()

    assert NOT_SUPPORTED is asked(line, "system/Observation.cruds", headers=headers, body=text).problem


@pytest.mark.parametrize("line", ["POST /Observation", "PUT /Observation/1", "PATCH /Observation/1"])
def test_who_may_write_everything_and_read_nothing_is_not_let_through(line: str) -> None:
    got = asked(line, "system/Observation.cu", body=b"")

    assert got.problem is not None


# --- what is judged ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /Observation/1", (("Accept", "application/fhir+xml"),)),
        ("GET /Observation/1?_format=ttl", ()),
        ("PUT /Observation/1", (("Accept", "text/html"),)),
        ("GET /Observation/1/_history", (("Accept", "application/fhir+xml"),)),
        ("GET /Observation", (("Accept", "application/fhir+xml"),)),
    ],
)
def test_what_cannot_be_read_is_not_asked_for(line: str, headers: Any) -> None:
    assert NOT_ACCEPTABLE is asked(line, "patient/Observation.rus", headers=headers).problem


@pytest.mark.parametrize("line", ["GET /Observation/1", "PUT /Observation/1", "POST /"])
def test_what_would_be_answered_elsewhere_is_not_asked_for(line: str) -> None:
    assert NOT_SUPPORTED is asked(line, "patient/*.cruds", headers=(("Prefer", "respond-async"),)).problem


def test_each_kind_is_judged_where_it_is_known() -> None:
    scopes = "patient/*.cruds"
    bundle = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OWN}]})

    assert status("GET /Observation/1", scopes, answer(OWN)) == 200
    assert status("GET /Observation/1/_history/3", scopes, answer(OWN)) == 200
    assert status("GET /Observation/1/_history", scopes, bundle) == 200
    assert status("GET /Observation", scopes, bundle) == 200
    assert status("GET /Observation/1/_history", "system/Observation.r", bundle) == 200
    assert status("GET /Observation/1/_history", "system/*.rs", bundle) == 200
    assert status("GET /Patient/A/$everything", "system/*.rs", bundle) == 200
    assert status("GET /?_getpages=x", scopes) == 404
    assert status("GET /_history", scopes) == 403
    assert status("POST /Observation", scopes, answer(OWN, 201), body=json.dumps(OWN).encode()) == 201
    assert status("POST /", scopes, body=b'{"resourceType":"Bundle","type":"batch"}') == 200
    assert status("GET /Observation/1/$validate", scopes, answer(OWN), answer({"resourceType": "x"})) == 502
    assert status("GET /$export", scopes, headers=(("Prefer", "respond-async"),)) == 403
    assert status("GET /Patient/A/$lookup", scopes, answer(None, 404), server=OPEN) == 404


def test_form_of_a_search_is_read() -> None:
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    bundle = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OWN}]})
    got = asked("POST /Observation/_search?status=final", "patient/Observation.s", bundle, headers=form, body=b"code=x")

    assert OWN == got.document["entry"][0]["resource"]
    assert all(part in got.askings[0].body for part in (b"code=x", b"status=final", b"patient="))
    assert status("POST /Observation/_search", "patient/Observation.s", bundle) == 200
    assert status("POST /Observation/_search", "patient/Observation.s", headers=form, body="é".encode()) == 400


def test_everything_is_asked_for_without_a_body() -> None:
    parameters = b'{"resourceType":"Parameters","parameter":[{"name":"start","valueDate":"2020"}]}'

    assert NOT_SUPPORTED is asked("POST /Patient/A/$everything", "patient/*.rs", body=parameters).problem


def test_head_of_what_is_judged_has_no_body() -> None:
    got = asked("HEAD /Observation/1", "patient/Observation.r", answer(OWN))

    assert (200, b"") == (got.response.status, got.response.body)


# --- whether the body is wanted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "scopes", "is_wanted"),
    [
        ("POST /", "system/*.cruds", True),
        ("POST /", "", False),
        ("PUT /Observation/1", "patient/Observation.u", True),
        ("PUT /Observation/1", "user/Observation.u", True),
        ("PUT /Observation/1", "user/Observation.ru", True),
        ("PUT /Observation/1", "user/Observation.ru user/*.s", False),
        ("PUT /Observation/1", "patient/Observation.r", False),
        ("POST /Observation", "patient/Observation.c", True),
        ("PATCH /Observation/1", "patient/Observation.u", True),
        ("DELETE /Observation/1", "patient/Observation.d", False),
        ("GET /Observation/1", "patient/Observation.r", False),
        ("POST /Observation/$validate", "patient/Observation.c", True),
        ("POST /Observation/$validate", "user/Observation.c", False),
        ("POST /Patient/A/$everything", "patient/*.rs", True),
        ("POST /$export", "system/*.rs", True),
        ("POST /Patient/A/$lookup", "patient/*.rs", True),
        ("POST /Patient/A/$lookup", "system/*.rs", False),
    ],
)
def test_body_is_wanted_where_it_is_to_be_judged(line: str, scopes: str, is_wanted: bool) -> None:
    method, _, path = line.partition(" ")
    interaction = read_interaction(PlainRequest(method, path), None, OPEN.surface)
    assert isinstance(interaction, Interaction)

    assert is_wanted is wants_body(interaction, of(scopes, "A", OPEN))


def test_operations_take_their_letters_for_their_type_or_for_every_type() -> None:
    assert asked("POST /Patient/A/$merge", "system/Patient.u", server=OPEN).through.path == "/Patient/A/$merge"
    assert asked("GET /$lookup", "system/*.r", server=OPEN).through.path == "/$lookup"
    assert FORBIDDEN is asked("GET /$lookup", "system/Patient.r", server=OPEN).problem
