"""What a server answered → what is made of it: constant where it refuses, and nothing where it cannot be read."""

from __future__ import annotations

import json

import pytest

from jwt_guard.fhir.answering import document_of, etag_of, failed, found, located, shown, url_of, version_of
from jwt_guard.fhir.outcome import CONFLICT, NOT_FOUND, UPSTREAM, Stopped, outcome

from ..support.fhir_exchanges import BASE, SERVER, answer, of
from ..support.fhir_exchanges import UPSTREAM as THERE

OWN = {"resourceType": "Observation", "id": "1", "meta": {"versionId": "7"}}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, 400), (401, 400), (403, 400), (404, 404), (405, 400), (409, 409), (410, 404), (412, 409), (418, 400),
        (422, 422), (429, 400), (500, 502), (503, 502), (302, 502), (304, 502), (100, 502),
    ],
)  # fmt: skip
def test_what_the_server_refuses_with_is_told_in_constant_words(status: int, told: int) -> None:
    secret = answer({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "Patient/B"}]}, status)
    response = outcome(failed(secret).problem)

    assert told == response.status
    assert b"Patient/B" not in response.body


def test_what_is_there_no_more_and_what_never_was_are_one() -> None:
    assert NOT_FOUND is failed(answer(None, 404)).problem
    assert NOT_FOUND is failed(answer(None, 410)).problem
    assert CONFLICT is failed(answer(None, 412)).problem


@pytest.mark.parametrize("kind", ["application/fhir+json", "application/json; charset=utf-8", "Text/JSON"])
def test_json_is_read(kind: str) -> None:
    assert OWN == document_of(answer(OWN, content_type=kind))
    assert OWN == document_of(answer(OWN, 201, content_type=kind))


@pytest.mark.parametrize("kind", ["application/fhir+xml", "text/html", "", "application/jsonx"])
def test_what_is_said_to_be_no_json_is_not_read(kind: str) -> None:
    with pytest.raises(Stopped) as caught:
        document_of(answer(OWN, content_type=kind))

    assert UPSTREAM is caught.value.problem


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a":1,"a":2}', b"<Patient/>"])
def test_what_cannot_be_read_in_one_way_is_not_read(body: bytes) -> None:
    with pytest.raises(Stopped) as caught:
        document_of(answer(body))

    assert UPSTREAM is caught.value.problem


def test_resource_is_the_one_that_was_asked_for() -> None:
    assert OWN == found(answer(OWN), "Observation", "1")
    assert found(answer(OWN, 404), "Observation", "1") is None
    assert found(answer(OWN, 410), "Observation", "1") is None
    for type_, id_ in (("Observation", "2"), ("Patient", "1")):
        with pytest.raises(Stopped) as caught:
            found(answer(OWN), type_, id_)

        assert UPSTREAM is caught.value.problem
    with pytest.raises(Stopped):
        found(answer(OWN, 500), "Observation", "1")


def test_version_is_said_by_the_resource_or_else_by_the_header() -> None:
    assert version_of(OWN, answer(etag='W/"8"')) == "7"
    assert version_of({"meta": {"versionId": 7}}, answer(etag='W/"8"')) == "8"
    assert version_of({"meta": {"versionId": 'x"'}}, answer(etag='"8"')) == "8"
    assert version_of({"meta": []}, answer(etag="8")) is None
    assert version_of({}, answer()) is None


@pytest.mark.parametrize(
    "location",
    [
        f"{THERE}/Observation/1",
        f"{THERE}/Observation/1/_history/2",
        "/fhir/Observation/1/_history/1/",
        "Observation/1",
        "http://elsewhere.example/Observation/1/",
    ],
)
def test_id_is_read_from_a_location_on_any_base(location: str) -> None:
    assert located(answer(location=location), "Observation") == "1"


@pytest.mark.parametrize(
    "location", ["", "1", f"{THERE}/Patient/1", "Observation/a b", "Observation/../Observation/.."]
)
def test_location_that_is_none_of_the_type_says_no_id(location: str) -> None:
    assert located(answer(location=location), "Observation") is None


def test_no_location_says_no_id() -> None:
    assert located(answer(), "Observation") is None


def test_what_may_be_seen_is_shown_with_what_says_which_version_it_is() -> None:
    response = shown(OWN, answer(last_modified="Mon, 01 Jan 2024 08:00:00 GMT", x_secret="B"), of("patient/*.r"))

    assert response.status == 200
    assert OWN == json.loads(response.body)
    assert {
        "content-type": "application/fhir+json",
        "cache-control": "no-store",
        "etag": 'W/"7"',
        "last-modified": "Mon, 01 Jan 2024 08:00:00 GMT",
    } == dict(response.headers)


def test_what_nobody_says_is_not_shown() -> None:
    response = shown({"resourceType": "Basic", "id": "1"}, answer(last_modified="\x00"), of("patient/*.r"))

    assert {"content-type", "cache-control"} == {name for name, _ in response.headers}


def test_what_is_new_is_shown_with_its_place_on_our_base() -> None:
    rights = of("patient/*.r")

    assert ("location", f"{BASE}/Observation/1/_history/7") in shown(
        OWN, answer(), rights, status=201, has_moved=True
    ).headers
    assert f"{BASE}/Observation/1" == url_of(SERVER, "Observation", "1")
    assert 'W/"7"' == etag_of("7")
