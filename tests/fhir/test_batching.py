"""Batches and transactions, by transcript: each entry is judged, and of a transaction all are or none is."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.judging import judge
from jwt_guard.fhir.outcome import (
    CONFLICT,
    FORBIDDEN,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    NOT_SUPPORTED,
    TOO_LONG,
    UNREADABLE,
    UPSTREAM,
    Problem,
)
from jwt_guard.fhir.server import Limits
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from ..support.fhir_exchanges import UPSTREAM as THERE

SEALER = Sealer(b"k" * 32)
OWN: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "1",
    "meta": {"versionId": "3", "lastUpdated": "2024-01-01T00:00:00Z"},
    "subject": reference("Patient/A"),
}
OTHER = {**OWN, "id": "2", "subject": reference("Patient/B")}
NEW = {"resourceType": "Observation", "subject": reference("Patient/A")}
URN = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
ALL = "patient/*.cruds"


def entry(line: str, resource: Any = None, name: str | None = None, **request: Any) -> dict[str, Any]:
    method, _, url = line.partition(" ")
    found: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        found["resource"] = resource
    return found if name is None else {**found, "fullUrl": name}


def asked(
    kind: str, entries: Any, *answers: Answered, scopes: str = ALL, prefer: str = "", server: Any = SERVER
) -> Asked:
    document = {"resourceType": "Bundle", "type": kind, "entry": entries}
    headers = (("Prefer", prefer),) if prefer else ()
    request = PlainRequest("POST", "/", "", headers)
    return run(judge(request, of(scopes, "A", server), SEALER, json.dumps(document).encode()), *answers)


def batch(*entries: Any) -> Any:
    return [*entries]


def told(*entries: Any) -> Answered:
    """Return what a server answers to a transaction."""
    return answer({"resourceType": "Bundle", "type": "transaction-response", "entry": [*entries]})


def said(status: str, resource: Any = None, **response: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"response": {"status": status, **response}}
    return found if resource is None else {**found, "resource": resource}


def statuses(got: Asked) -> list[str]:
    return [each["response"]["status"] for each in got.document["entry"]]


def sent(got: Asked) -> list[dict[str, Any]]:
    """Return the entries of the transaction that the server was sent."""
    (document,) = (json.loads(each.body) for each in got.askings if each.path == "/")
    entries: list[dict[str, Any]] = document["entry"]
    return entries


# --- what is a Bundle to be done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Bundle/>",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle","type":"collection"}',
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":["batch"]}',
        b'{"resourceType":"Bundle","type":"batch","entry":{}}',
        b'{"resourceType":"Bundle","type":"batch","type":"transaction"}',
    ],
)
def test_what_is_no_bundle_is_not_begun(body: bytes) -> None:
    assert UNREADABLE is run(judge(PlainRequest("POST", "/"), of(ALL), SEALER, body)).problem


def test_bundle_has_no_more_entries_than_are_judged() -> None:
    small = replace(SERVER, limits=Limits(entries=2))
    one = entry("GET Observation/1")

    assert TOO_LONG is asked("batch", [one] * 3, server=small).problem
    assert asked("batch", [one] * 2, answer(OWN), answer(OWN), server=small).response.status == 200


def test_answer_to_a_bundle_is_json() -> None:
    request = PlainRequest("POST", "/", "", (("Accept", "application/fhir+xml"),))
    body = b'{"resourceType":"Bundle","type":"batch"}'

    assert NOT_ACCEPTABLE is run(judge(request, of(ALL), SEALER, body)).problem
    assert NOT_ACCEPTABLE is run(judge(request, of("system/*.cruds"), SEALER, body)).problem


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_nothing_to_be_done_is_done(kind: str) -> None:
    assert {"resourceType": "Bundle", "type": f"{kind}-response"} == asked(kind, []).document


# --- a batch -----------------------------------------------------------------------------------------


def test_each_entry_of_a_batch_is_judged_as_if_it_had_come_alone() -> None:
    search = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OTHER}, {"resource": OWN}]})
    got = asked(
        "batch",
        batch(
            entry("GET Observation/1"),
            entry("GET Observation/2"),
            entry("GET Observation?code=x"),
            entry("POST Observation", NEW),
            entry("POST Observation", {**NEW, "subject": reference("Patient/B")}),
            entry("DELETE Observation/1"),
            entry("GET Nothing/1"),
            entry("HEAD Observation/1"),
        ),
        answer(OWN),
        answer(OTHER),
        search,
        answer({**NEW, "id": "9"}, 201, location=f"{THERE}/Observation/9/_history/1"),
        answer(OWN),
        answer(None, 204),
        answer(OWN),
    )
    entries = got.document["entry"]

    assert [
        "200 OK", "404 Not Found", "200 OK", "201 Created", "403 Forbidden", "204 No Content", "404 Not Found", "200 OK"
    ] == statuses(got)  # fmt: skip
    assert {
        "resource": OWN,
        "response": {"status": "200 OK", "etag": 'W/"3"', "lastModified": "2024-01-01T00:00:00Z"},
    } == entries[0]
    assert ("not-found", "forbidden") == tuple(
        entries[number]["response"]["outcome"]["issue"][0]["code"] for number in (1, 4)
    )
    assert [OWN] == [each["resource"] for each in entries[2]["resource"]["entry"]]
    assert f"{BASE}/Observation/9" == entries[3]["response"]["location"]
    assert "resource" not in entries[7]


@pytest.mark.parametrize(
    "one",
    [
        "text",
        {},
        {"request": []},
        entry("BREW Observation/1"),
        entry("get Observation/1"),
        {"request": {"method": ["GET"], "url": "Observation/1"}},
        {"request": {"method": "GET"}},
        entry("GET https://elsewhere.example/fhir/Observation/1"),
        entry("GET https://api.example/fhirx/Observation/1"),
        entry("GET http://10.0.0.1:8080/fhir/Observation/1"),
        entry("GET Observation/1", "text"),
        entry("PUT Observation/1", OWN, ifMatch=3),
        entry("PUT Observation/1", OWN, ifMatch="3"),
        entry("PATCH Observation/1", {"resourceType": "Binary", "contentType": "x", "data": "%"}),
        entry("PATCH Observation/1", {"resourceType": "Binary", "contentType": "x\r\ny: z", "data": "W10="}),
        entry("GET Observation/1", ifNoneMatch="x\r\ny: z"),
        entry("GET Observation/1", ifNoneMatch="\u0100"),
        entry("GET Observation/1?_method=DELETE"),
    ],
    ids=str,
)
def test_entry_that_is_no_request_is_one_that_fails(one: Any) -> None:
    assert ["400 Bad Request"] == statuses(asked("batch", [one]))


@pytest.mark.parametrize(
    "url",
    ["Observation/../Patient/B", "//elsewhere.example/Observation/1", "Observation%2F1", "Observation/1;x", "#x"],
)
def test_address_that_could_be_read_in_two_ways_is_none(url: str) -> None:
    assert ["404 Not Found"] == statuses(asked("batch", [entry(f"GET {url}")]))


@pytest.mark.parametrize("line", ["GET Observation/1", "DELETE Observation/1", "HEAD Observation/1"])
def test_entry_that_has_no_use_for_a_resource_sends_none(line: str) -> None:
    got = asked("batch", [entry(line, OTHER)], answer(None), scopes="system/*.cruds")

    assert [b""] == [each.body for each in got.askings]


@pytest.mark.parametrize("url", ["Observation/1", "/Observation/1", f"{BASE}/Observation/1"])
def test_address_is_relative_to_the_base_or_on_ours(url: str) -> None:
    assert ["GET /Observation/1"] == asked("batch", [entry(f"GET {url}")], answer(OWN)).lines


@pytest.mark.parametrize("line", ["POST ", "POST /", f"POST {BASE}/", "GET $export", "GET _operations/export/x"])
def test_bundles_and_exports_are_no_parts_of_one(line: str) -> None:
    got = asked("batch", [entry(line, {"resourceType": "Bundle", "type": "batch"})], scopes="system/*.cruds")

    assert ["400 Bad Request"] == statuses(got)


def test_conditions_of_an_entry_are_those_of_its_request() -> None:
    found = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OWN}]})
    got = asked(
        "batch",
        batch(
            entry("POST Observation", NEW, ifNoneExist="?subject=Patient/A"),
            entry("GET Observation/1", ifNoneMatch='W/"3"'),
            entry("PUT Observation/1", OWN, ifMatch='W/"2"'),
        ),
        found,
        answer(OWN),
        answer(OWN),
    )

    assert ["200 OK", "304 Not Modified", "412 Precondition Failed"] == statuses(got)


def test_patch_of_an_entry_comes_in_a_binary() -> None:
    patch = json.dumps([{"op": "add", "path": "/status", "value": "final"}]).encode()
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": b64encode(patch).decode(),
    }
    got = asked(
        "batch",
        batch(entry("PATCH Observation/1", binary), entry("PATCH Observation/1", OWN)),
        answer(OWN),
        answer({**OWN, "status": "final"}),
    )

    assert ["200 OK", "415 Unsupported Media Type"] == statuses(got)
    assert {**OWN, "status": "final"} == json.loads(got.askings[1].body)


def test_what_nobody_has_to_look_at_is_asked_for_and_named_as_ours() -> None:
    got = asked(
        "batch",
        batch(
            entry("GET Observation/2"), entry("PUT Observation/2", OTHER), entry("GET Binary/1"), entry("GET Basic/1")
        ),
        answer(OTHER, etag='W/"3"', x_secret="x"),
        answer(OTHER, 201, location=f"{THERE}/Observation/2/_history/1"),
        answer(b"\x00"),
        answer({"resourceType": "OperationOutcome", "issue": []}, 599),
        scopes="system/*.cruds",
    )
    entries = got.document["entry"]

    assert [
        {
            "resource": OTHER,
            "response": {"status": "200 OK", "etag": 'W/"3"', "lastModified": "2024-01-01T00:00:00Z"},
        },
        {
            "resource": OTHER,
            "response": {
                "status": "201 Created",
                "location": f"{BASE}/Observation/2/_history/1",
                "lastModified": "2024-01-01T00:00:00Z",
            },
        },
    ] == entries[:2]
    assert OTHER == json.loads(got.askings[1].body)
    assert ["502 Bad Gateway", "599"] == statuses(got)[2:]
    assert "outcome" in entries[3]["response"]


def test_outcome_that_is_asked_for_is_no_resource() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": []}
    got = asked("batch", [entry("DELETE Observation/1")], answer(outcome), scopes="system/*.cruds")

    assert [{"response": {"status": "200 OK", "outcome": outcome}}] == got.document["entry"]


def test_what_the_client_prefers_is_for_each_entry() -> None:
    got = asked("batch", [entry("POST Observation", NEW)], answer({**NEW, "id": "9"}, 201), prefer="return=minimal")

    assert [{"response": {"status": "201 Created", "location": f"{BASE}/Observation/9"}}] == got.document["entry"]


# --- a transaction: nobody has to look ---------------------------------------------------------------


def test_transaction_that_nobody_has_to_look_at_is_sent_as_what_was_read() -> None:
    entries = [
        entry(f"PUT {BASE}/Observation/2", OTHER, ifMatch='W/"3"'),
        entry("POST /Observation", NEW, URN, ifNoneExist="code=x"),
        entry("GET Observation?subject:Patient.name=x%26y"),
        entry("DELETE Observation/1", name=f"{BASE}/Observation/1"),
    ]
    given = (
        said("200 OK", OTHER, location=f"{THERE}/Observation/2/_history/4"),
        {"fullUrl": f"{THERE}/Observation/9", **said("201 Created", location="Observation/9")},
        said("200 OK", {"resourceType": "Bundle"}),
        {"resource": OWN},
    )
    got = asked("transaction", entries, told(*given), scopes="system/*.cruds", prefer="return=minimal")

    assert [
        entry("PUT Observation/2", OTHER, ifMatch='W/"3"'),
        entry("POST Observation", NEW, URN, ifNoneExist="code=x"),
        entry("GET Observation?subject:Patient.name=x%26y"),
        entry("DELETE Observation/1"),
    ] == sent(got)
    assert ("prefer", "return=minimal") in got.askings[0].headers
    assert [
        said("200 OK", OTHER, location=f"{BASE}/Observation/2/_history/4"),
        {"fullUrl": f"{BASE}/Observation/9", **said("201 Created", location="Observation/9")},
        said("200 OK", {"resourceType": "Bundle"}),
        {"resource": OWN},
    ] == got.document["entry"]


def test_reference_that_searches_is_for_who_may_search_for_everything() -> None:
    one = entry("POST Observation", {**NEW, "subject": reference("Patient?name=x")})

    assert asked("transaction", [one], told(said("201")), scopes="system/*.cruds").response.status == 200
    assert NOT_SUPPORTED is asked("transaction", [one], scopes="system/Observation.cruds").problem


# --- a transaction: each entry is judged -------------------------------------------------------------


def test_all_is_judged_before_anything_is_written_and_written_in_one_piece() -> None:
    patch = [{"op": "add", "path": "/status", "value": "final"}]
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": b64encode(json.dumps(patch).encode()).decode(),
    }
    related = {**NEW, "hasMember": [reference(URN)]}
    old = {**OWN, "id": "5"}
    got = asked(
        "transaction",
        [
            entry("GET Observation/1"),
            entry("POST Observation", NEW, URN),
            entry("POST Observation", related, f"{BASE}/Patient/A"),
            entry("PUT Observation/1", OWN),
            entry("PUT Observation/7", {**OWN, "id": "7"}),
            entry("PATCH Observation/5", binary),
            entry("DELETE Observation/6"),
        ],
        answer(OWN),
        answer(OWN),
        answer(None, 404),
        answer(old),
        answer({**OWN, "id": "6"}),
        told(
            said("201 Created", {**NEW, "id": "8"}, location=f"{THERE}/Observation/8/_history/1", etag='W/"1"'),
            said("201", {**related, "id": "9"}),
            said("200 OK", {**OWN, "meta": {"versionId": "4"}}),
            said("201 Created", location="Observation/7/_history/1"),
            said("200 OK", OTHER),
            said("204"),
        ),
        answer(OWN),
        prefer="return=representation",
    )

    assert [
        "GET /Observation/1", "GET /Observation/1", "GET /Observation/7", "GET /Observation/5", "GET /Observation/6",
        "POST /", "GET /Observation/1",
    ] == got.lines  # fmt: skip
    assert [
        entry("POST Observation", NEW, URN),
        entry("POST Observation", related),
        entry("PUT Observation/1", OWN, ifMatch='W/"3"'),
        entry("PUT Observation/7", {**OWN, "id": "7"}, ifNoneMatch="*"),
        entry("PUT Observation/5", {**old, "status": "final"}, ifMatch='W/"3"'),
        entry("DELETE Observation/6", ifMatch='W/"3"'),
    ] == sent(got)
    assert "200 OK|201 Created|201 Created|200 OK|201 Created|200 OK|204 No Content" == "|".join(statuses(got))
    entries = got.document["entry"]
    assert [OWN, {**NEW, "id": "8"}, {**related, "id": "9"}, {**OWN, "meta": {"versionId": "4"}}, None, None, None] == [
        each.get("resource") for each in entries
    ]
    assert f"{BASE}/Observation/8/_history/1" == entries[1]["response"]["location"]
    assert f"{BASE}/Observation/7" == entries[4]["response"]["location"]


@pytest.mark.parametrize(
    ("one", "answers", "problem"),
    [
        (entry("POST Observation", {**NEW, "subject": reference("Patient/B")}), (), FORBIDDEN),
        (entry("POST Observation", {**NEW, "subject": reference(URN)}), (), FORBIDDEN),
        (entry("POST Patient", {"resourceType": "Patient"}, URN), (), FORBIDDEN),
        (entry("DELETE Patient/A"), (), FORBIDDEN),
        (entry("GET Encounter?patient=B"), (), FORBIDDEN),
        (entry("GET Observation/2"), (answer(OTHER),), NOT_FOUND),
        (entry("DELETE Observation/2"), (answer(OTHER),), NOT_FOUND),
        (entry("PUT Observation/2", {**OWN, "id": "2"}), (answer(OTHER),), FORBIDDEN),
        (entry("GET Patient/A/$everything"), (), FORBIDDEN),
        (entry("POST Observation/1/$my-op", NEW), (), FORBIDDEN),
        (entry("POST ", {"resourceType": "Bundle", "type": "batch"}), (), NOT_SUPPORTED),
        (entry("GET Nothing/1"), (), NOT_FOUND),
        (entry("POST Observation", {**NEW, "encounter": reference("Encounter?x=1")}), (), NOT_SUPPORTED),
        ("text", (), UNREADABLE),
        (entry("GET metadata"), (), FORBIDDEN),
    ],
)
def test_with_one_entry_that_may_not_be_nothing_is_done(
    one: Any, answers: tuple[Answered, ...], problem: Problem
) -> None:
    got = asked("transaction", [entry("POST Observation", NEW), one], *answers)

    assert problem is got.problem
    assert "POST /" not in got.lines


def test_letters_of_all_come_before_anything_is_asked() -> None:
    entries = [entry("PUT Observation/1", OWN), entry("PUT Condition/1", {**NEW, "resourceType": "Condition"})]
    got = asked("transaction", entries, scopes="patient/Observation.ru")

    assert FORBIDDEN is got.problem
    assert [] == got.lines


def test_reference_to_what_is_there_already_is_to_that() -> None:
    found = answer({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OWN}]})
    none = answer({"resourceType": "Bundle", "type": "searchset"})
    related = {**NEW, "hasMember": [reference(URN), reference("Observation/3")]}
    got = asked(
        "transaction",
        [
            entry("POST Observation", NEW, URN, ifNoneExist="subject=Patient/A"),
            entry("POST Observation", related),
            entry("POST Observation", NEW, ifNoneExist="code=y"),
            entry("POST Observation", NEW, ifNoneExist="subject=Patient/A"),
        ],
        found,
        none,
        found,
        told(said("201 Created"), said("201 Created")),
    )

    assert [
        entry("POST Observation", {**NEW, "hasMember": [reference("Observation/1"), reference("Observation/3")]}),
        entry("POST Observation", NEW),
    ] == sent(got)
    assert ["200 OK", "201 Created", "201 Created", "200 OK"] == statuses(got)
    assert OWN == got.document["entry"][0]["resource"]


def test_where_nothing_is_left_to_be_written_nothing_is_sent() -> None:
    got = asked("transaction", [entry("GET Observation/1")], answer(OWN), answer(OWN))

    assert ["GET /Observation/1", "GET /Observation/1"] == got.lines
    assert OWN == got.document["entry"][0]["resource"]


def test_what_is_read_after_the_writes_may_be_gone_by_then() -> None:
    got = asked("transaction", [entry("GET Observation/1")], answer(OWN), answer(None, 404))

    assert ["404 Not Found"] == statuses(got)


def test_who_may_not_read_hears_only_that_it_was_done() -> None:
    given = told(said("201 Created", {**NEW, "id": "8"}, etag='W/"1"'))
    got = asked("transaction", [entry("POST Observation", NEW)], given, scopes="patient/Observation.c")

    assert [{"response": {"status": "201 Created", "location": f"{BASE}/Observation/8"}}] == got.document["entry"]


def test_two_entries_are_not_about_one_resource_nor_of_one_name() -> None:
    one = entry("PUT Observation/1", OWN)

    assert UNREADABLE is asked("transaction", [one, one], answer(OWN), answer(OWN)).problem
    assert UNREADABLE is asked("transaction", [entry("POST Observation", NEW, URN)] * 2).problem


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (answer({"x": "Patient/B"}, 412), CONFLICT),
        (answer(None, 500), UPSTREAM),
        (told(), UPSTREAM),
        (told("x"), UPSTREAM),
        (told({}), UPSTREAM),
        (told(said("")), UPSTREAM),
        (told({"response": {"status": 201}}), UPSTREAM),
        (told(said("409 Conflict")), CONFLICT),
        (answer({"resourceType": "Bundle"}), UPSTREAM),
        (answer({"resourceType": "Bundle", "entry": {}}), UPSTREAM),
    ],
)
def test_what_the_server_does_not_say_clearly_is_its_fault(given: Answered, problem: Problem) -> None:
    assert problem is asked("transaction", [entry("POST Observation", NEW)], given).problem
