"""An answer that nobody has to judge → handed on as it comes, or with our addresses in place of the server's."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.links import opened
from jwt_guard.fhir.outcome import NOT_FOUND, UPSTREAM, Stopped
from jwt_guard.fhir.relaying import as_asked, of_everything, of_one_type, rest_of_one_type
from jwt_guard.fhir.server import Server
from jwt_guard.messages import PlainRequest, Response
from jwt_guard.tokens.sealing import Sealer
from tests.support.fhir_exchanges import BASE, SERVER, Asked, answer, of, run
from tests.support.fhir_exchanges import UPSTREAM as ADDRESS

SEALER = Sealer(b"k" * 32)
PLAIN = Server(BASE)
RIGHTS = of("system/Observation.rs", None)
FORM = ("content-type", "application/x-www-form-urlencoded")
ACCEPT = ("accept", "application/fhir+json")


def interaction(target: str, method: str = "GET", form: str | None = None) -> Interaction:
    path, _, query = target.partition("?")
    found = read_interaction(PlainRequest(method, path, query, () if form is None else (FORM,)), form)
    assert isinstance(found, Interaction), found
    return found


def everything(target: str, *answers: Answered, server: Server = SERVER, method: str = "GET") -> Asked:
    return run(of_everything(interaction(target, method), server), *answers)


def one_type(target: str, *answers: Answered, method: str = "GET", path: str | None = None) -> Asked:
    return run(of_one_type(interaction(target, method), "Observation", RIGHTS, SEALER, path), *answers)


def entry(type_: str = "Observation", id_: str = "b", **more: Any) -> dict[str, Any]:
    return {"fullUrl": f"{ADDRESS}/{type_}/{id_}", "resource": {"resourceType": type_, "id": id_}, **more}


def searchset(*entries: dict[str, Any], **links: str) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "id": "x",
        "type": "searchset",
        "total": 7,
        "signature": {"data": "of the server's"},
        "link": [{"relation": name, "url": url} for name, url in links.items()],
        "entry": list(entries),
    }


# --- as it was asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (interaction("/Observation?code=1"), Asking("GET", "/Observation", (("code", "1"),))),
        (interaction("/Observation?code=1", "HEAD"), Asking("HEAD", "/Observation", (("code", "1"),))),
        (
            interaction("/Observation/_search?code=1", "POST", "note=a%26b"),
            Asking("POST", "/Observation/_search", (), (FORM,), b"code=1&note=a%26b"),
        ),
    ],
)
def test_a_request_is_asked_as_it_was_judged(asked: Interaction, expected: Asking) -> None:
    assert expected == as_asked(asked)


# --- who may see everything --------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["_format=xml", "_format=json", ""])
def test_where_the_server_has_our_name_nobody_looks(query: str) -> None:
    assert "/Observation" == everything(f"/Observation?{query}", server=PLAIN).through.path


@pytest.mark.parametrize(("target", "method"), [("/Observation?_format=xml", "GET"), ("/Observation", "HEAD")])
def test_what_has_no_json_to_be_rewritten_is_handed_on(target: str, method: str) -> None:
    assert method == everything(target, method=method).through.method


def test_the_servers_addresses_are_made_ours_and_all_else_is_left() -> None:
    located = entry(response={"status": "200", "location": f"{ADDRESS}/Observation/b/_history/1"}, search={"score": 1})
    found = searchset(
        located, {"resource": {"resourceType": "X"}}, self=f"{ADDRESS}/Observation", next=f"{ADDRESS}?_getpages=1"
    )
    asked = everything("/Observation", answer(found, etag='W/"1"', x_secret="1"))

    assert {
        "resourceType": "Bundle",
        "id": "x",
        "type": "searchset",
        "total": 7,
        "link": [
            {"relation": "self", "url": f"{BASE}/Observation"},
            {"relation": "next", "url": f"{BASE}?_getpages=1"},
        ],
        "entry": [
            {
                "fullUrl": f"{BASE}/Observation/b",
                "resource": {"resourceType": "Observation", "id": "b"},
                "response": {"status": "200", "location": f"{BASE}/Observation/b/_history/1"},
                "search": {"score": 1},
            },
            {"resource": {"resourceType": "X"}},
        ],
    } == asked.document
    assert {"content-type", "cache-control", "etag"} == set(asked.headers)
    assert [Asking("GET", "/Observation", (), (ACCEPT,))] == asked.askings


def test_what_is_wrongly_written_there_is_left_as_it_is() -> None:
    found = {
        "resourceType": "Bundle",
        "link": [{"relation": "self"}],
        "entry": [{"fullUrl": 7, "response": {"location": None}}],
    }

    assert {**found, "link": [{"relation": "self", "url": None}]} == everything("/Observation", answer(found)).document


def test_an_empty_bundle_stays_one() -> None:
    assert {"resourceType": "Bundle", "total": 0} == everything(
        "/Observation", answer({"resourceType": "Bundle", "total": 0})
    ).document


@pytest.mark.parametrize(
    ("document", "status"),
    [({"resourceType": "OperationOutcome"}, 400), (b"", 304), (b"<html>", 200), ({"resourceType": "Patient"}, 200)],
)
def test_what_is_no_bundle_is_handed_on_from_our_address(document: object, status: int) -> None:
    said = answer(document, status, location=f"{ADDRESS}/Patient/1", content_location=f"{ADDRESS}/job", x_secret="1")
    response = everything("/Observation", said).response

    assert (
        Response(
            status,
            (
                ("content-type", "application/fhir+json"),
                ("location", f"{BASE}/Patient/1"),
                ("content-location", f"{BASE}/job"),
            ),
            said.body,
        )
        == response
    )


def test_a_bundle_that_is_none_is_not_handed_on() -> None:
    assert UPSTREAM == everything("/Observation", answer({"resourceType": "Bundle", "entry": "x"})).problem


# --- who may see everything of one type --------------------------------------------------------------


@pytest.mark.parametrize(("target", "method"), [("/Observation?_format=xml", "GET"), ("/Observation", "HEAD")])
def test_what_has_no_json_is_handed_on_for_one_type_as_well(target: str, method: str) -> None:
    assert (method, "/Observation") == ((asking := one_type(target, method=method).through).method, asking.path)


def test_of_one_type_that_is_given_and_links_are_sealed() -> None:
    found = searchset(
        entry(), entry("Patient"), entry("OperationOutcome", search={"mode": "outcome"}), {"fullUrl": f"{ADDRESS}/x"},
        self=f"{ADDRESS}/secret", next=f"{ADDRESS}?_getpages=1", previous="Observation?p=0", last="http://evil.example",
        other=f"{ADDRESS}/x",
    )  # fmt: skip
    asked = one_type("/Observation?code=1&_elements=code", answer(found))
    (itself, following, previous) = asked.document["link"]

    assert [
        {"fullUrl": f"{BASE}/Observation/b", "resource": {"resourceType": "Observation", "id": "b"}}
    ] == asked.document["entry"]
    assert {"relation": "self", "url": f"{BASE}/Observation?code=1&_elements=code"} == itself
    assert [("next", ("/", (("_getpages", "1"),))), ("previous", ("/Observation", (("p", "0"),)))] == [
        (each["relation"], spot(each["url"])) for each in (following, previous)
    ]
    assert (7, False) == (asked.document["total"], "signature" in asked.document)
    assert ["GET /Observation?code=1&_elements=code"] == asked.lines


def spot(url: str) -> object:
    cursor = opened(url.partition("_getpages=")[2], RIGHTS, SEALER)
    assert cursor is not None
    return cursor.place.page


def test_the_next_page_is_answered_alike() -> None:
    first = one_type("/Observation", answer(searchset(entry(), next="Observation?p=2")))
    here = first.document["link"][1]["url"]
    cursor = opened(here.partition("_getpages=")[2], RIGHTS, SEALER)
    assert cursor is not None
    second = run(
        rest_of_one_type(cursor, here, RIGHTS, SEALER), answer(searchset(entry(id_="c"), entry("Patient"), next="?p=3"))
    )

    assert ["c"] == [each["resource"]["id"] for each in second.document["entry"]]
    assert here == second.document["link"][0]["url"]
    assert ("/Observation", (("p", "3"),)) == spot(second.document["link"][1]["url"])
    assert [Asking("GET", "/Observation", (("p", "2"),), (ACCEPT,))] == second.askings


def test_another_path_may_be_asked_for() -> None:
    asked = one_type("/_history", answer(searchset(next="?p=2")), path="/Observation/_history")

    assert ["GET /Observation/_history"] == asked.lines
    assert ("/Observation/_history", (("p", "2"),)) == spot(asked.document["link"][1]["url"])


def test_in_a_history_a_deletion_has_no_resource() -> None:
    deleted = {"request": {"method": "DELETE", "url": "Observation/b"}}
    found = {**searchset(deleted, entry("Patient"), {"resource": None}), "type": "history"}

    assert [deleted] == one_type("/Observation/_history", answer(found)).document["entry"]


@pytest.mark.parametrize(
    ("document", "status", "expected"),
    [({}, 200, UPSTREAM), ({"resourceType": "OperationOutcome", "text": "B"}, 404, NOT_FOUND), ({}, 204, UPSTREAM)],
)
def test_what_is_no_bundle_may_tell_of_other_types(document: object, status: int, expected: object) -> None:
    assert expected == one_type("/Observation", answer(document, status)).problem


def test_a_next_link_that_leads_elsewhere_is_none() -> None:
    stopped = one_type("/Observation", answer(searchset(next="http://evil.example/fhir"))).stopped

    assert isinstance(stopped, Stopped)
    assert UPSTREAM == stopped.problem
