"""What entries refer to, and what refers to them → searched for hop by hop, each by the parameter that was named."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.including import Inclusion, included, read_inclusion
from jwt_guard.fhir.outcome import NOT_SUPPORTED, TOO_COSTLY, UPSTREAM
from jwt_guard.fhir.references import Key, Resource, key_of
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.server import Limits, Server
from tests.support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from tests.support.fhir_exchanges import UPSTREAM as ADDRESS

ALL = of("patient/*.rs")
FEW = of("patient/*.rs", server=Server(BASE, limits=Limits(page=1, largest_page=2, pages=2)))
PATIENT: Resource = {"resourceType": "Patient", "id": "A"}
OTHER: Resource = {"resourceType": "Patient", "id": "B"}
DOCTOR: Resource = {"resourceType": "Practitioner", "id": "p"}


def observation(id_: str, subject: str = "Patient/A", **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": id_, "subject": reference(subject), **more}


def bundle(*resources: Resource, mode: str = "match", next_: str | None = None) -> Answered:
    entries = [{"resource": each, "search": {"mode": mode}} for each in resources]
    links = [] if next_ is None else [{"relation": "next", "url": f"{ADDRESS}/{next_}"}]
    return answer({"resourceType": "Bundle", "entry": entries, "link": links})


def named(resources: list[Resource] | tuple[Resource, ...]) -> dict[Key, Resource]:
    return {key: each for each in resources if (key := key_of(each)) is not None}


def include(matches: list[Resource], asked: list[str], *answers: Answered, rights: Rights = ALL) -> Asked:
    """Include what *asked* ask for, each as in a query."""
    pairs = [each.split("=", 1) for each in asked]
    read = [read_inclusion(name, value, rights.server) for name, value in pairs]
    inclusions = tuple(each for each in read if each is not None)
    assert len(read) == len(inclusions), NOT_SUPPORTED
    return run(included(named(matches), inclusions, rights), *answers)


def ids(asked: Asked) -> list[str]:
    assert isinstance(asked.result, list), asked.stopped
    return [f"{each['resourceType']}/{each['id']}" for each in asked.result]


# --- what a parameter says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_include", "*", Inclusion(is_reverse=False, iterates=False)),
        ("_include:iterate", "*", Inclusion(is_reverse=False, iterates=True)),
        ("_include", "Observation:*", Inclusion(is_reverse=False, iterates=False, source="Observation")),
        (
            "_include",
            "Observation:subject:Patient",
            Inclusion(
                is_reverse=False,
                iterates=False,
                source="Observation",
                parameter="subject",
                targets=frozenset({"Patient"}),
            ),
        ),
        (
            "_revinclude:iterate",
            "Provenance:target",
            Inclusion(is_reverse=True, iterates=True, source="Provenance", parameter="target"),
        ),
    ],
)
def test_an_include_is_read(name: str, value: str, expected: Inclusion) -> None:
    assert expected == read_inclusion(name, value, SERVER)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_include:recurse", "*"),
        ("_revinclude", "*"),
        ("_revinclude", "Observation:*"),
        ("_include", ""),
        ("_include", "Observation"),
        ("_include", "Nobody:*"),
        ("_include", "Observation:code"),
        ("_include", "Observation:unknown"),
        ("_include", "Observation:subject:Nobody"),
        ("_include", "Observation:subject:"),
        ("_include", "Observation:subject:Patient:x"),
        ("_include", "Observation:subject,Observation:focus"),
    ],
)
def test_what_could_mean_anything_means_nothing(name: str, value: str) -> None:
    assert None is read_inclusion(name, value, SERVER)


# --- what entries refer to ---------------------------------------------------------------------------


def test_what_an_entry_refers_to_is_looked_up() -> None:
    asked = include([observation("1")], ["_include=Observation:subject"], bundle(PATIENT))

    assert (["Patient/A"], ["GET /Patient?_id=A&_count=1000"]) == (ids(asked), asked.lines)


def test_what_may_not_be_seen_is_not_asked_for_or_left_out() -> None:
    entry = observation("1", focus=[reference("Patient/B"), reference("Task/t"), reference("Practitioner/p")])
    asked = include([entry], ["_include=Observation:focus"], bundle(DOCTOR, OTHER))

    assert (["Practitioner/p"], ["GET /Practitioner?_id=p&_count=1000"]) == (ids(asked), asked.lines)


def test_without_the_letter_r_nothing_is_included() -> None:
    asked = include([observation("1")], ["_include=Observation:subject"], rights=of("patient/*.s"))

    assert ([], []) == (ids(asked), asked.lines)


def test_the_letter_r_is_enough() -> None:
    asked = include(
        [observation("1")], ["_include=*"], bundle(PATIENT), rights=of("patient/Observation.s patient/Patient.r")
    )

    assert ["Patient/A"] == ids(asked)


def test_what_the_server_gives_beside_it_is_left_out() -> None:
    entry = observation("1", performer=[reference("Practitioner/p")])
    others = [{"resourceType": "Practitioner", "id": "of-b"}, PATIENT]
    asked = include([entry], ["_include=Observation:performer"], bundle(*others, DOCTOR))

    assert ["Practitioner/p"] == ids(asked)


def test_a_parameter_leads_where_its_own_elements_do() -> None:
    entry = observation("1", focus=[reference("Observation/2")], hasMember=[reference("Observation/3")])
    asked = include([entry], ["_include=Observation:focus"], bundle(observation("3"), observation("2")))

    assert (["Observation/2"], ["GET /Observation?_id=2&patient=Patient/A&_count=1000"]) == (ids(asked), asked.lines)


def test_the_type_of_the_target_counts() -> None:
    entry = observation("1", performer=[reference("Practitioner/p"), reference("Organization/o")])
    asked = include([entry], ["_include=Observation:performer:Organization"], bundle(DOCTOR))

    assert ([], ["GET /Organization?_id=o&_count=1000"]) == (ids(asked), asked.lines)


def test_the_type_of_the_source_counts() -> None:
    assert [] == include([observation("1")], ["_include=Condition:subject", "_include=Condition:*"]).lines


def test_a_star_is_any_reference() -> None:
    entry = observation("1", extension=[{"valueReference": reference("Practitioner/p")}])
    asked = include([entry], ["_include=*"], bundle(PATIENT), bundle(DOCTOR))

    assert ["Patient/A", "Practitioner/p"] == ids(asked)


def test_a_version_and_another_server_are_not_followed() -> None:
    entry = observation("1", "Patient/A/_history/1", focus=[reference("https://other.example/fhir/Practitioner/p")])

    assert [] == include([entry], ["_include=*"]).lines


def test_what_is_an_entry_already_is_not_asked_for() -> None:
    asked = include(
        [observation("1", hasMember=[reference("Observation/2")]), observation("2")],
        ["_include=Observation:has-member"],
    )

    assert ([], []) == (ids(asked), asked.lines)


def test_they_have_an_order_of_their_own_whatever_the_servers_is() -> None:
    entry = observation("1", hasMember=[reference(f"Observation/{each}") for each in "4352"])
    asked = include([entry], ["_include=Observation:has-member"], bundle(*(observation(each) for each in "5243")))

    assert [f"Observation/{each}" for each in "2345"] == ids(asked)


def test_a_type_that_the_server_has_not_has_nothing() -> None:
    assert [] == ids(include([observation("1")], ["_include=Observation:subject"], answer(status=404)))


def test_many_are_asked_for_by_queries_of_a_bearable_length() -> None:
    entry = observation("1", hasMember=[reference(f"Observation/{each}") for each in range(102)])
    asked = include([entry], ["_include=Observation:has-member"], bundle(), bundle(observation("7")), bundle())

    assert (["Observation/7"], [50, 50, 1]) == (
        ids(asked),
        [len(dict(each.query)["_id"].split(",")) for each in asked.askings],
    )


# --- what refers to entries --------------------------------------------------------------------------


def test_what_refers_to_an_entry_is_searched_for_and_narrowed() -> None:
    asked = include([PATIENT], ["_revinclude=Observation:subject"], bundle(observation("1")))

    assert ["GET /Observation?subject=Patient/A&patient=Patient/A&_count=1000"] == asked.lines
    assert ["Observation/1"] == ids(asked)


def test_from_what_is_shared_the_patients_own_is_found_alone() -> None:
    mine = {
        "resourceType": "Encounter",
        "id": "a",
        "subject": reference("Patient/A"),
        "participant": [{"individual": reference("Practitioner/p")}],
    }
    asked = include(
        [DOCTOR],
        ["_revinclude=Encounter:practitioner"],
        bundle({**mine, "id": "b", "subject": reference("Patient/B")}, mine),
    )

    assert ["GET /Encounter?practitioner=Practitioner/p&patient=Patient/A&_count=1000"] == asked.lines
    assert ["Encounter/a"] == ids(asked)


def test_a_server_that_passes_over_the_parameter_adds_nothing() -> None:
    others = [observation("2", focus=[reference("Observation/1")]), observation("3")]
    asked = include([observation("1")], ["_revinclude=Observation:has-member"], bundle(*others))

    assert [] == ids(asked)


def test_the_type_that_is_referred_to_counts() -> None:
    assert [] == include([PATIENT], ["_revinclude=Observation:subject:Group"]).lines


# --- hop by hop --------------------------------------------------------------------------------------

ENCOUNTER: Resource = {
    "resourceType": "Encounter",
    "id": "e",
    "subject": reference("Patient/A"),
    "participant": [{"individual": reference("Practitioner/p")}],
}
HOPS = ["_include=Observation:encounter", "_include{}=Encounter:practitioner"]


def test_without_iterate_an_include_is_about_entries_alone() -> None:
    entry = observation("1", encounter=reference("Encounter/e"))
    asked = include([entry], [each.format("") for each in HOPS], bundle(ENCOUNTER))

    assert ["Encounter/e"] == ids(asked)


def test_with_iterate_it_is_about_what_was_included_too() -> None:
    entry = observation("1", encounter=reference("Encounter/e"))
    asked = include([entry], [each.format(":iterate") for each in HOPS], bundle(ENCOUNTER), bundle(DOCTOR))

    assert ["Encounter/e", "Practitioner/p"] == ids(asked)


def test_over_what_may_not_be_seen_no_way_leads() -> None:
    entry = observation("1", encounter=reference("Encounter/e"))
    theirs = {**ENCOUNTER, "subject": reference("Patient/B")}
    asked = include([entry], [each.format(":iterate") for each in HOPS], bundle(theirs, DOCTOR))

    assert ([], 1) == (ids(asked), len(asked.askings))


def test_a_circle_comes_to_its_end() -> None:
    one, two = (
        observation("1", hasMember=[reference("Observation/2")]),
        observation("2", hasMember=[reference("Observation/1")]),
    )
    asked = include([one], ["_include:iterate=Observation:has-member"], bundle(two))

    assert ["Observation/2"] == ids(asked)


def test_both_directions_go_together() -> None:
    note = {"resourceType": "Provenance", "id": "n", "target": [reference("Observation/1"), reference("Patient/A")]}
    asked = include(
        [observation("1")], ["_include=Observation:subject", "_revinclude:iterate=Provenance:target"],
        bundle(PATIENT), bundle(note), bundle(note),
    )  # fmt: skip

    assert ["Patient/A", "Provenance/n"] == ids(asked)


def test_so_much_is_looked_up_and_no_more() -> None:
    chain = [bundle(observation(f"{each}", hasMember=[reference(f"Observation/{each + 1}")])) for each in range(2, 5)]
    first = observation("1", hasMember=[reference("Observation/2")])

    assert TOO_COSTLY == include([first], ["_include:iterate=Observation:has-member"], *chain, rights=FEW).problem


def test_so_much_refers_to_an_entry_and_no_more() -> None:
    found = bundle(*(observation(f"{each}") for each in range(3)))

    assert TOO_COSTLY == include([PATIENT], ["_revinclude=Observation:subject"], found, rights=FEW).problem


def test_what_cannot_be_judged_ends_it() -> None:
    assert UPSTREAM == include([PATIENT], ["_revinclude=Observation:subject"], answer({})).problem
