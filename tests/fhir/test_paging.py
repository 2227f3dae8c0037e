"""The server's pages → one of ours: filled with what may be seen, and telling nothing of what may not."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.links import Place
from jwt_guard.fhir.outcome import CONFLICT, NOT_FOUND, TOO_COSTLY, UPSTREAM, Problem
from jwt_guard.fhir.paging import Gathered, Source, bundle_in, gathered, read_sheet
from jwt_guard.fhir.references import Resource
from jwt_guard.fhir.server import Limits, Server
from tests.support.fhir_exchanges import BASE, SERVER, Asked, answer, run
from tests.support.fhir_exchanges import UPSTREAM as ADDRESS

FIRST = Asking("GET", "/Observation", (("_count", "3"),))
SMALL = Server(BASE, also_known_as=(ADDRESS,), limits=Limits(pages=2))


def own(resource: Resource) -> Resource | None:
    """Keep what begins with an a."""
    return resource if resource["id"].startswith("a") else None


SOURCE = Source(FIRST, own)


def entry(id_: str, mode: str | None = "match", type_: str = "Observation") -> dict[str, Any]:
    resource = {"resourceType": type_, "id": id_}
    return {"resource": resource} if mode is None else {"resource": resource, "search": {"mode": mode}}


def sheet(*ids: str, next_: str | None = None, total: int = 4711) -> Answered:
    links = [{"relation": "self", "url": f"{ADDRESS}/Observation"}]
    if next_ is not None:
        links.append({"relation": "next", "url": f"{ADDRESS}/Observation?page={next_}"})
    return answer({"resourceType": "Bundle", "total": total, "link": links, "entry": [entry(each) for each in ids]})


def at(page: str, given: int, source: int = 0) -> Place:
    return Place(source, ("/Observation", (("page", page),)), given)


def gather(
    *answers: Answered,
    place: Place = Place(),  # noqa: B008 - frozen
    count: int = 2,
    server: Server = SERVER,
    to_end: bool = False,
    sources: tuple[Source, ...] = (SOURCE,),
) -> Asked:
    return run(gathered(sources, place, count, server, to_end=to_end), *answers)


def taken(asked: Asked) -> tuple[list[str], Place | None, int | None]:
    result = asked.result
    assert isinstance(result, Gathered), asked.stopped
    return [id_ for _, id_ in result.matches], result.next, result.total


# --- what is on a page of ours -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "pages",
    [
        (sheet("a1", "a2"),),
        (sheet("b1", "a1", "b2", "a2", "b3"),),
        (sheet("a1", next_="2"), sheet("a2")),
        (sheet("b1", "b2", next_="2"), sheet("b3", next_="3"), sheet("a1", "b4", "a2", next_="4"), sheet("b5")),
        (sheet(next_="2"), sheet("a1", "a2", next_="3"), sheet()),
        (sheet("a1", "a1", "a2", next_="2"), sheet("a2", "a1")),
    ],
)
def test_whatever_the_server_has_beside_it_the_page_is_the_same(pages: tuple[Answered, ...]) -> None:
    assert (["a1", "a2"], None, 2) == taken(gather(*pages))


@pytest.mark.parametrize(
    "pages",
    [
        (sheet("a1", "a2", "a3", "a4", next_="2"),),
        (sheet("a1", "b1", "a2", "b2", "b3", next_="2"), sheet("b4", next_="3"), sheet("a3", "a4", next_="4")),
    ],
)
def test_there_is_a_next_page_where_one_more_may_be_seen_and_what_there_is_in_all_nobody_knows(
    pages: tuple[Answered, ...],
) -> None:
    kept, following, total = taken(gather(*pages))

    assert (["a1", "a2"], True, None) == (kept, following is not None, total)


def test_the_next_page_begins_with_the_first_entry_that_was_not_given() -> None:
    assert Place(0, None, 2) == taken(gather(sheet("b1", "a1", "a2", "b2", "a3", next_="2")))[1]
    assert at("2", 0) == taken(gather(sheet("a1", "a2", next_="2"), sheet("b1", "a3")))[1]
    assert at("2", 1) == taken(gather(sheet("a1", next_="2"), sheet("b1", "a2", "b2", "a3", "a4")))[1]


def test_from_there_it_goes_on() -> None:
    asked = gather(sheet("a0", "b1", "a2", "a3", next_="3"), sheet("a4", "a5"), place=at("2", 1))

    assert (["a2", "a3"], at("3", 0), None) == taken(asked)
    assert ["GET /Observation?page=2", "GET /Observation?page=3"] == asked.lines


def test_what_was_given_is_counted_by_what_may_be_seen() -> None:
    given = [
        taken(gather(page, place=at("2", 2)))[0]
        for page in (sheet("a1", "a2", "a3"), sheet("b", "a1", "b", "a2", "a3"))
    ]

    assert [["a3"], ["a3"]] == given


def test_the_end_of_an_answer_that_was_begun_elsewhere_is_no_total() -> None:
    assert (["a3"], None, None) == taken(gather(sheet("a1", "a2", "a3"), place=Place(given=2)))


def test_where_nothing_is_left_of_the_page_it_goes_on_with_the_one_after() -> None:
    assert ["a9"] == taken(gather(sheet("a1", next_="3"), sheet("a9"), place=at("2", 5)))[0]


def test_an_entry_is_counted_once_whoever_gives_it_twice() -> None:
    # The second a2 is what was kept already, and no entry more.
    kept, following, total = taken(gather(sheet("a1", "a2", next_="2"), sheet("a2", "a1", next_="3"), sheet("b1")))

    assert (["a1", "a2"], None, 2) == (kept, following, total)


def test_of_an_entry_that_is_there_twice_the_first_counts() -> None:
    twice = [entry("a1"), {"resource": {"resourceType": "Observation", "id": "a1", "status": "final"}}]
    asked = gather(answer({"resourceType": "Bundle", "entry": twice}))

    assert [{"resourceType": "Observation", "id": "a1"}] == list(asked.result.matches.values())


def test_a_place_counts_the_entries_that_were_given_twice() -> None:
    asked = gather(sheet("a1", next_="2"), sheet("a1", "a2", "a3"))

    assert at("2", 2) == taken(asked)[1]
    assert ["a3"] == taken(gather(sheet("a1", "a2", "a3"), place=at("2", 2)))[0]


def test_nothing_is_a_page_too() -> None:
    assert ([], None, 0) == taken(gather(sheet("b1", "b2", next_="2"), sheet("b3")))
    assert ([], None, 0) == taken(gather(sources=()))


# --- counting ----------------------------------------------------------------------------------------


def test_to_the_end_the_rest_is_counted_and_not_kept() -> None:
    asked = gather(sheet("a1", "b1", "a2", "a3", next_="2"), sheet("a4", "b2", "a4", "a1"), to_end=True)

    assert (["a1", "a2"], Place(given=2), 4) == taken(asked)


def test_to_count_alone_keeps_nothing() -> None:
    assert ([], 3) == taken(gather(sheet("a1", next_="2"), sheet("a2", "b1", "a3"), count=0, to_end=True))[::2]


# --- several sources ---------------------------------------------------------------------------------

TWO = (SOURCE, Source(Asking("GET", "/Condition"), own, may_be_missing=True), SOURCE)


def test_sources_are_gathered_one_after_the_other() -> None:
    asked = gather(sheet("b1"), sheet("a1", next_="2"), sheet("b2"), sheet("a2"), sources=TWO)

    assert (["a1", "a2"], None, 2) == taken(asked)
    assert [
        "GET /Observation?_count=3",
        "GET /Condition",
        "GET /Observation?page=2",
        "GET /Observation?_count=3",
    ] == asked.lines


def test_those_behind_a_full_page_are_not_asked() -> None:
    assert 1 == len(gather(sheet("a1", "a2", "a3"), sources=TWO).askings)


def test_they_are_to_count() -> None:
    asked = gather(sheet("a1", "a2", "a3"), sheet("a4"), sheet("a5"), sources=TWO, to_end=True)

    assert (["a1", "a2"], Place(given=2), 5) == taken(asked)


def test_the_next_page_may_begin_in_another_source() -> None:
    asked = gather(sheet("a1", "a2"), sheet("b1", "a3"), sources=TWO)

    assert Place(1, None, 0) == taken(asked)[1]


def test_from_there_the_ones_before_are_not_asked() -> None:
    asked = gather(sheet("a3", next_="2"), sheet("b1"), sheet("a4"), sources=TWO, place=Place(1, None, 0))

    assert ["a3", "a4"] == taken(asked)[0]
    assert "GET /Condition" == asked.lines[0]


def test_a_place_in_one_source_is_none_in_the_next() -> None:
    asked = gather(sheet("a1"), sheet("a2", "a3"), sources=TWO[:2], place=at("7", 1))

    assert (["a2", "a3"], ["GET /Observation?page=7", "GET /Condition"]) == (taken(asked)[0], asked.lines)


@pytest.mark.parametrize("status", [404, 410])
def test_a_type_that_the_server_has_not_is_one_with_nothing(status: int) -> None:
    assert ["a1"] == taken(gather(sheet(), answer(status=status), sheet("a1"), sources=TWO))[0]


def test_a_page_that_is_gone_is_no_end() -> None:
    asked = gather(sheet(), sheet(next_="2"), answer(status=410), sources=TWO)

    assert NOT_FOUND == asked.problem


def test_the_only_type_must_be_there() -> None:
    assert NOT_FOUND == gather(answer(status=404)).problem


# --- limits ------------------------------------------------------------------------------------------


def test_only_so_many_pages_are_looked_through() -> None:
    many = [sheet("b", next_=f"{number}") for number in range(3)]

    assert TOO_COSTLY == gather(*many, server=SMALL).problem


def test_each_source_may_have_its_first_page_beside_them() -> None:
    pages = [sheet("a1", next_="1"), sheet(next_="2"), sheet(), sheet(), sheet("a2")]

    assert ["a1", "a2"] == taken(gather(*pages, sources=TWO, server=SMALL))[0]


@pytest.mark.parametrize("path", ["page=1", "_count=3"])
def test_a_circle_is_not_walked(path: str) -> None:
    back = answer({"resourceType": "Bundle", "link": [{"relation": "next", "url": f"Observation?{path}"}]})

    assert UPSTREAM == gather(sheet("b1", next_="1"), back).problem


# --- an answer of the server -------------------------------------------------------------------------


def test_entries_that_are_there_for_others_or_for_the_search_are_told_apart() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            entry("a1"),
            entry("a2", None),
            entry("a3", "include"),
            entry("a4", "something"),
            entry("a5", "outcome"),
            {"resource": {"resourceType": "Observation", "id": "a6"}, "search": "match"},
            {"resource": {"resourceType": "Observation"}},
            {"fullUrl": f"{ADDRESS}/Observation/a7"},
            {"resource": "a8"},
        ],
    }

    assert [("a1", True), ("a2", True), ("a3", False), ("a4", False), ("a6", True)] == [
        (key[1], is_match) for key, _, is_match in read_sheet(answer(bundle), "/Observation", SERVER).entries
    ]


def test_what_is_included_is_no_match() -> None:
    bundle = {"resourceType": "Bundle", "entry": [entry("a1"), entry("a2", "include")]}

    assert (["a1"], None, 1) == taken(gather(answer(bundle)))


@pytest.mark.parametrize(
    "document",
    [
        {"resourceType": "OperationOutcome"},
        {"resourceType": "Bundle", "entry": {}},
        {"resourceType": "Bundle", "entry": ["a"]},
        {"resourceType": "Bundle", "entry": [None]},
        {"resourceType": "Bundle", "link": "next"},
        {"resourceType": "Bundle", "link": [{"relation": "next"}]},
        {"resourceType": "Bundle", "link": [{"relation": "next", "url": "http://evil.example/fhir/Observation"}]},
        {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{ADDRESS}/../admin"}]},
        {"resourceType": "Bundle", "link": [{"relation": "next", "url": "Observation?a=1"}] * 2},
        {},
        [],
        b"",
        b"<Bundle/>",
        b'{"resourceType":"Bundle","resourceType":"Bundle"}',
    ],
    ids=repr,
)
def test_what_is_no_page_is_nothing_that_can_be_judged(document: Any) -> None:
    assert UPSTREAM == gather(answer(document)).problem


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, 502),
        (302, 502),
        (304, 502),
        (400, 400),
        (401, 400),
        (403, 400),
        (404, 404),
        (410, 404),
        (422, 422),
        (500, 502),
    ],
)
def test_an_error_is_told_without_a_word_of_the_server(status: int, expected: int) -> None:
    problem = gather(answer({"resourceType": "OperationOutcome", "text": "Patient/B"}, status)).problem

    assert isinstance(problem, Problem)
    assert (expected, False) == (problem.status, "Patient/B" in problem.text)


def test_a_conflict_is_one() -> None:
    assert CONFLICT == gather(answer(status=409)).problem


def test_other_links_lead_nowhere() -> None:
    links = [{"relation": name, "url": "http://evil.example"} for name in ("self", "previous", "first", "last")]

    assert None is read_sheet(answer({"resourceType": "Bundle", "link": links}), "/Observation", SERVER).next


def test_a_bundle_is_what_says_so() -> None:
    assert {"resourceType": "Bundle", "id": "x"} == bundle_in(answer({"resourceType": "Bundle", "id": "x"}))
