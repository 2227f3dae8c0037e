"""Reads, versions and histories of one resource, by transcript: what may be seen, and one 404 for all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir import judging, reading
from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.outcome import NOT_FOUND, NOT_SUPPORTED, TOO_COSTLY, UPSTREAM, outcome
from jwt_guard.fhir.server import Limits
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer

from ..support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from ..support.fhir_exchanges import UPSTREAM as THERE

SEALER = Sealer(b"k" * 32)
ALL = of("patient/*.rs")


def own(version: str = "3", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "1",
        "meta": {"versionId": version},
        "subject": reference("Patient/A"),
        **more,
    }


def other(version: str = "3") -> dict[str, Any]:
    return own(version, subject=reference("Patient/B"))


def asked(line: str, *answers: Answered, rights: Any = ALL, headers: tuple[tuple[str, str], ...] = ()) -> Asked:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    return run(judging.judge(PlainRequest(method, path, query, headers), rights, SEALER, None), *answers)


# --- reads -------------------------------------------------------------------------------------------


def test_own_resource_is_read_and_nothing_of_the_request_goes_along() -> None:
    line = "GET /Observation/1?_elements=code&_summary=text&_pretty=true&_format=json"
    client = (("If-None-Match", 'W/"2"'), ("If-Modified-Since", "x"), ("Range", "bytes=0-1"), ("Cookie", "x"))
    got = asked(line, answer(own(), etag='W/"3"'), headers=client)

    assert ["GET /Observation/1"] == got.lines
    assert (("accept", "application/fhir+json"),) == got.askings[0].headers
    assert got.response.status == 200
    assert own() == got.document
    assert 'W/"3"' == got.headers["etag"]


def test_what_is_not_there_is_gone_or_another_patients_is_told_in_the_same_words() -> None:
    told = {
        outcome(got.problem).body
        for got in (
            asked("GET /Observation/1", answer({"resourceType": "OperationOutcome"}, 404)),
            asked("GET /Observation/1", answer(None, 410)),
            asked("GET /Observation/1", answer(other())),
            asked("GET /Observation/1", answer(other()), headers=(("If-None-Match", 'W/"3"'),)),
            asked("HEAD /Observation/1", answer(other())),
        )
        if got.problem is not None
    }

    assert [outcome(NOT_FOUND).body] == [*told]


def test_what_it_contains_of_others_is_left_out() -> None:
    device, somebody = {"resourceType": "Device", "id": "d"}, {"resourceType": "Patient", "id": "p"}
    got = asked("GET /Observation/1", answer(own(contained=[device, somebody])))

    assert own(contained=[device]) == got.document


@pytest.mark.parametrize(
    "given", [answer(own(id="2")), answer({**own(), "resourceType": "Condition"}), answer(b"<x/>"), answer(None, 500)]
)
def test_what_cannot_be_judged_is_the_servers_fault(given: Answered) -> None:
    assert UPSTREAM is asked("GET /Observation/1", given).problem


def test_head_is_asked_as_a_get_and_has_no_body() -> None:
    got = asked("HEAD /Observation/1", answer(own()))

    assert ["GET /Observation/1"] == got.lines
    assert (200, b"") == (got.response.status, got.response.body)
    assert 'W/"3"' == got.headers["etag"]


@pytest.mark.parametrize("tags", ['W/"3"', '"3"', "*", 'W/"1", "3"', 'x, "3"'])
def test_who_has_the_version_is_told_so_after_it_was_judged(tags: str) -> None:
    got = asked("GET /Observation/1", answer(own()), headers=(("If-None-Match", tags),))

    assert (304, b"") == (got.response.status, got.response.body)
    assert {"etag": 'W/"3"', "cache-control": "no-store"} == got.headers


@pytest.mark.parametrize("tags", ['W/"2"', "3", '"3', "", 'w/"3"'])
def test_who_has_another_version_gets_this_one(tags: str) -> None:
    got = asked("GET /Observation/1", answer(own()), headers=(("If-None-Match", tags),))

    assert got.response.status == 200


def test_what_has_no_version_is_given_whole() -> None:
    resource = {"resourceType": "Observation", "id": "1", "subject": reference("Patient/A")}
    got = asked("GET /Observation/1", answer(resource), headers=(("If-None-Match", "*"),))

    assert resource == got.document


# --- versions ----------------------------------------------------------------------------------------


def test_version_counts_by_what_stands_in_it() -> None:
    assert own("2") == asked("GET /Observation/1/_history/2", answer(own("2"))).document
    assert NOT_FOUND is asked("GET /Observation/1/_history/2", answer(other("2"))).problem


def test_version_is_the_one_that_was_asked_for() -> None:
    assert UPSTREAM is asked("GET /Observation/1/_history/2", answer(own("3"))).problem


# --- the history of one ------------------------------------------------------------------------------


def version(resource: dict[str, Any] | None, method: str = "PUT") -> dict[str, Any]:
    """Return an entry of a server's history."""
    entry: dict[str, Any] = {
        "fullUrl": f"{THERE}/Observation/1",
        "request": {"method": method, "url": f"{THERE}/Observation/1"},
        "response": {"status": "200 OK", "lastModified": "2024-01-01T00:00:00Z"},
    }
    return entry if resource is None else {**entry, "resource": resource}


def page(*entries: Any, following: object = None) -> Answered:
    links: list[Any] = [{"relation": "self", "url": THERE}, "x"]
    if following is not None:
        links.append({"relation": "next", "url": following})
    return answer({"resourceType": "Bundle", "type": "history", "total": 9, "link": links, "entry": [*entries]})


def given(method: str, resource: dict[str, Any] | None) -> dict[str, Any]:
    """Return an entry of our history."""
    entry: dict[str, Any] = {
        "fullUrl": f"{BASE}/Observation/1",
        "request": {"method": method, "url": "Observation" if method == "POST" else "Observation/1"},
        "response": {"status": {"POST": "201", "PUT": "200", "DELETE": "204"}[method]},
    }
    return entry if resource is None else {**entry, "resource": resource}


def test_history_has_the_versions_that_may_be_seen_from_all_pages() -> None:
    got = asked(
        "GET /Observation/1/_history?_count=1&_since=2020-01-01T00:00:00Z&_format=json",
        page(version(other("4")), version(own("3")), "x", following=f"{THERE}/Observation/1/_history?page=2"),
        page(version(own("2"), "?"), version({**own("9"), "id": "2"}), version(own("1"), "POST")),
    )

    assert [
        "GET /Observation/1/_history?_since=2020-01-01T00:00:00Z",
        "GET /Observation/1/_history?page=2",
    ] == got.lines
    assert {
        "resourceType": "Bundle",
        "type": "history",
        "total": 3,
        "link": [
            {
                "relation": "self",
                "url": f"{BASE}/Observation/1/_history?_count=1&_since=2020-01-01T00:00:00Z&_format=json",
            }
        ],
        "entry": [given("PUT", own("3")), given("PUT", own("2")), given("POST", own("1"))],
    } == got.document


def test_deletion_is_seen_with_what_it_deleted_and_with_nothing_else() -> None:
    deleted = version(None, "DELETE")
    got = asked("GET /Observation/1/_history", page(deleted, version(own("3")), deleted, version(other("1"))))

    assert [given("DELETE", None), given("PUT", own("3"))] == got.document["entry"]

    got = asked("GET /Observation/1/_history", page(deleted, version(other("3")), version(own("1")), deleted))

    assert [given("PUT", own("1"))] == got.document["entry"]


@pytest.mark.parametrize(
    "answered", [page(), page(version(other())), page(version(None, "DELETE")), answer(None, 404), answer(None, 410)]
)
def test_history_of_which_nothing_may_be_seen_is_none(answered: Answered) -> None:
    assert NOT_FOUND is asked("GET /Observation/1/_history", answered).problem


@pytest.mark.parametrize(
    "answered",
    [
        answer(own()),
        answer(None, 500),
        page(version(own()), following="https://elsewhere.example/Observation/1/_history?page=2"),
        page(version(own()), following=7),
    ],
)
def test_history_that_cannot_be_judged_is_the_servers_fault(answered: Answered) -> None:
    assert UPSTREAM is asked("GET /Observation/1/_history", answered).problem


def test_history_without_end_is_too_much() -> None:
    endless = page(version(own()), following=f"{THERE}/Observation/1/_history?page=2")
    rights = of("patient/*.r", server=replace(SERVER, limits=Limits(pages=3)))

    assert TOO_COSTLY is asked("GET /Observation/1/_history", endless, endless, endless, rights=rights).problem


def test_history_with_entries_that_are_none_has_none() -> None:
    answered = answer({"resourceType": "Bundle", "entry": {"resource": own()}, "link": {}})

    assert NOT_FOUND is asked("GET /Observation/1/_history", answered).problem


@pytest.mark.parametrize("query", ["_since=2020,2021", "_list=42", "_sort=_id", "_at=x"])
def test_history_has_no_other_parameters(query: str) -> None:
    assert NOT_SUPPORTED is asked(f"GET /Observation/1/_history?{query}").problem


def test_tags_are_compared_without_their_weakness() -> None:
    assert reading.is_unchanged("1", ['"2", W/"1"'])
    assert not reading.is_unchanged("1", [])
