"""The double of a FHIR server → it does what a server does, and what its bad habits say."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from jwt_guard.fhir.exchange import Answered, Asking
from tests.support.fhir_cases import RESOURCES
from tests.support.fhir_double import UPSTREAM, FhirDouble, Habits
from tests.support.fhir_parameters import written

A_LAB = next(each for each in RESOURCES if each["id"] == "a-lab")


def ask(server: FhirDouble, path: str, *query: tuple[str, str], method: str = "GET", **more: Any) -> Answered:
    headers = tuple((name.replace("_", "-"), value) for name, value in more.get("headers", {}).items())
    return server(Asking(method, path, query, headers, more.get("body", b"")))


def ids(answered: Answered, mode: str | None = None) -> list[str]:
    entries = json.loads(answered.body).get("entry", [])
    return [entry["resource"]["id"] for entry in entries if mode in (None, entry["search"]["mode"])]


def link(answered: Answered) -> tuple[str, tuple[tuple[str, str], ...]]:
    urls = {each["relation"]: each["url"] for each in json.loads(answered.body)["link"]}
    path, _, query = urls["next"].removeprefix(UPSTREAM).partition("?")
    return path or "/", tuple(parse_qsl(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ((("patient", "A"),), ["a-lab", "a-vital", "a-social"]),
        ((("subject", "Patient/B"), ("code", "4548-4")), ["b-lab", "b-focus-a"]),
        ((("code", "http://loinc.org|4548-4"), ("category:not", "vital-signs"), ("patient", "A")), ["a-lab"]),
        ((("category", "vital-signs,survey"),), ["a-vital", "b-performed-by-a"]),
        ((("performer:missing", "false"),), ["b-performed-by-a"]),
        ((("subject:Patient.name", "alpha"), ("_sort", "-code")), ["a-vital", "a-social", "a-lab"]),
        ((("_has:DiagnosticReport:result:status", "final"),), ["a-lab", "b-focus-a"]),
        ((("_content", "survey"),), ["b-performed-by-a"]),
        ((("_id", "a-lab,b-lab"),), ["a-lab", "b-lab"]),
        ((("nonsense", "1"), ("_id", "a-lab")), ["a-lab"]),
    ],
)
def test_it_finds_what_is_asked_for(query: tuple[tuple[str, str], ...], expected: list[str]) -> None:
    assert expected == ids(ask(FhirDouble(RESOURCES), "/Observation", *query))


def test_it_includes_what_is_referred_to_and_what_refers() -> None:
    server = FhirDouble(RESOURCES)
    one = ask(server, "/DiagnosticReport", ("_id", "a-dr"), ("_include", "DiagnosticReport:result"))
    on = ("_include:iterate", "Observation:focus")
    two = ask(server, "/DiagnosticReport", ("_id", "a-dr"), ("_include", "DiagnosticReport:result"), on)
    back = ask(server, "/Patient", ("_id", "A"), ("_revinclude", "Observation:focus"))

    assert (["a-dr"], ["b-focus-a"]) == (ids(one, "match"), ids(one, "include"))
    assert ["b-focus-a", "A"] == ids(two, "include")
    assert ["b-focus-a"] == ids(back, "include")


def test_a_compartment_has_what_it_should_or_all_that_speaks_of_the_patient() -> None:
    kind, loose = FhirDouble(RESOURCES), FhirDouble(RESOURCES, Habits(follows_any_reference=True))

    assert ["a-lab", "a-vital", "a-social", "b-performed-by-a"] == ids(ask(kind, "/Patient/A/Observation"))
    assert "b-focus-a" in ids(ask(loose, "/Patient/A/Observation"))


@pytest.mark.parametrize("plain", [False, True])
def test_its_links_lead_through_all_pages(plain: bool) -> None:
    server = FhirDouble(RESOURCES, Habits(has_plain_links=plain))
    first = ask(server, "/Patient/A/Observation", ("_count", "3"))
    path, query = link(first)

    assert ["b-performed-by-a"] == ids(ask(server, path, *query))


def test_the_second_page_of_a_compartment_may_be_everybodys() -> None:
    server = FhirDouble(RESOURCES, Habits(drops_compartment=True))
    path, query = link(ask(server, "/Patient/A/Observation", ("_count", "3")))

    assert "b-lab" in ids(ask(server, path, *query))


def test_bad_habits_are_bad() -> None:
    lab = ("code", "4548-4")
    ignores = FhirDouble(RESOURCES, Habits(ignores_narrowing=frozenset({"Observation"}), total="all"))
    mixes = FhirDouble(RESOURCES, Habits(mixes="A", includes_all=True))
    strict = FhirDouble(RESOURCES, Habits(is_strict=True, quotes=True))

    assert "b-lab" in ids(ask(ignores, "/Observation", ("patient", "A")))
    assert 6 == json.loads(ask(ignores, "/Observation", ("patient", "A"), lab).body)["total"]
    assert {"b-lab"} < set(ids(ask(mixes, "/Observation", ("patient", "A"))))
    assert "b-dr" in ids(ask(mixes, "/Observation", ("_id", "a-lab"), ("_include", "Observation:subject")), "include")
    assert 400 == ask(strict, "/Observation", ("nonsense", "1")).status
    assert b"a-vital" in ask(strict, "/Observation/none").body


def test_a_write_is_a_version_and_only_what_was_expected_is_written_over() -> None:
    server = FhirDouble(RESOURCES, Habits(says_gone=True))
    other = server.fresh()
    body, place = written({**A_LAB, "status": "amended"}), "/Observation/a-lab"

    assert 412 == ask(server, place, method="PUT", body=body, headers={"if_match": 'W/"2"'}).status
    assert 412 == ask(server, place, method="PUT", body=body, headers={"if_none_match": "*"}).status
    assert 200 == ask(server, place, method="PUT", body=body, headers={"if_match": 'W/"1"'}).status
    assert 2 == len(json.loads(ask(server, f"{place}/_history").body)["entry"])
    assert b'"final"' in ask(server, f"{place}/_history/1").body
    assert (204, 410) == (ask(server, place, method="DELETE").status, ask(server, place).status)
    assert 200 == ask(other, place).status


def test_a_new_id_tells_of_nothing_but_what_was_written() -> None:
    body = written({**A_LAB, "id": "x"})
    here, there = FhirDouble(RESOURCES), FhirDouble([])
    made = [ask(server, "/Observation", method="POST", body=body).header("location") for server in (here, there, here)]

    assert made[0] == made[1]
    assert made[2] not in (None, made[0])


def test_a_transaction_is_done_as_a_whole_or_not_at_all() -> None:
    server = FhirDouble(RESOURCES)
    new, seen = "urn:uuid:1", {"resourceType": "Observation", "encounter": {"reference": "urn:uuid:1"}}
    good = [
        {"fullUrl": new, "request": {"method": "POST", "url": "Encounter"}, "resource": {"resourceType": "Encounter"}},
        {"request": {"method": "POST", "url": "Observation"}, "resource": seen},
    ]
    bad = [*good, {"request": {"method": "DELETE", "url": "Observation/none"}}]

    def sent(entries: list[Any]) -> Answered:
        return ask(server, "/", method="POST", body=written({"type": "transaction", "entry": entries}))

    before = len(ids(ask(server, "/Observation")))

    assert 404 == sent(bad).status
    assert before == len(ids(ask(server, "/Observation")))
    encounter, observation = (entry["resource"] for entry in json.loads(sent(good).body)["entry"])

    assert f"Encounter/{encounter['id']}" == observation["encounter"]["reference"]
