"""A search with a token for A → an answer of our own, of what may be seen, whatever the server says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered, Asking, Exchange, Result
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.outcome import (
    FORBIDDEN,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    NOT_SUPPORTED,
    TOO_COSTLY,
    UPSTREAM,
    Stopped,
    outcome,
)
from jwt_guard.fhir.query import Parameters
from jwt_guard.fhir.references import Resource
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.searching import everything, find, history, page, search
from jwt_guard.fhir.server import Limits, Server
from jwt_guard.fhir.surface import Surface
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.sealing import Sealer
from tests.support.fhir_exchanges import BASE, SERVER, Asked, answer, of, reference, run
from tests.support.fhir_exchanges import UPSTREAM as ADDRESS

SEALER = Sealer(b"k" * 32)
PLAIN = Server(BASE)
SMALL = Server(BASE, also_known_as=(ADDRESS,), limits=Limits(page=2, largest_page=4, pages=3))
ALL = of("patient/*.rs")
FORM = ("content-type", "application/x-www-form-urlencoded")
PATIENT: Resource = {"resourceType": "Patient", "id": "A"}


def interaction(target: str, *headers: tuple[str, str], form: str | None = None, method: str = "GET") -> Interaction:
    path, _, query = target.partition("?")
    found = read_interaction(PlainRequest(method, path, query, headers), form)
    assert isinstance(found, Interaction), found
    return found


def flow(asked: Interaction, rights: Rights, sealer: Sealer = SEALER) -> Exchange[Result]:
    if asked.kind == "everything":
        return everything(asked, rights)
    return {"page": page, "history-type": history, "history-system": history}.get(asked.kind, search)(
        asked, rights, sealer
    )


def get(target: str, *answers: Answered, rights: Rights = ALL) -> Asked:
    return run(flow(interaction(target), rights), *answers)


def of_a(id_: str, subject: str = "Patient/A", **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": id_, "subject": reference(subject), **more}


def of_b(id_: str, **more: Any) -> Resource:
    return of_a(id_, "Patient/B", **more)


def bundle(*resources: Resource, next_: str | None = None, **more: Any) -> Answered:
    entries = [
        {"fullUrl": f"{ADDRESS}/x", "resource": each, "search": {"mode": "match", "score": 0.5}} for each in resources
    ]
    links = [{"relation": "self", "url": f"{ADDRESS}/secret"}]
    if next_ is not None:
        links.append({"relation": "next", "url": f"{ADDRESS}/{next_}"})
    return answer({"resourceType": "Bundle", "total": 4711, "link": links, "entry": entries, **more})


def ids(asked: Asked) -> list[str]:
    return [each["resource"]["id"] for each in asked.document.get("entry", [])]


def link(asked: Asked, relation: str = "next") -> str | None:
    urls = [each["url"] for each in asked.document["link"] if each["relation"] == relation]
    assert len(urls) < 2
    return urls[0].removeprefix(BASE) if urls else None


def follow(asked: Asked, *answers: Answered, rights: Rights = ALL) -> Asked:
    following = link(asked)
    assert following is not None
    return get(f"/{following}", *answers, rights=rights)


# --- an answer of our own ----------------------------------------------------------------------------


def test_an_answer_is_made_of_what_may_be_seen_and_nothing_of_the_servers_is_in_it() -> None:
    noise: dict[str, Any] = {
        "id": "secret",
        "meta": {"lastUpdated": "2024"},
        "timestamp": "2024",
        "signature": {"data": "x"},
    }
    asked = get("/Observation?code=a%7Cb", bundle(of_b("b1"), of_a("a1"), of_b("b2"), **noise))

    assert {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": f"{BASE}/Observation?code=a%7Cb"}],
        "entry": [{"fullUrl": f"{BASE}/Observation/a1", "resource": of_a("a1"), "search": {"mode": "match"}}],
    } == asked.document
    assert {"content-type": "application/fhir+json", "cache-control": "no-store"} == asked.headers
    assert 200 == asked.response.status


def test_nothing_found_is_an_answer() -> None:
    asked = get("/Observation", bundle(of_b("b1")))

    assert {"resourceType", "type", "total", "link"} == set(asked.document)
    assert 0 == asked.document["total"]


def test_who_asks_for_another_patients_gets_nothing_and_the_server_is_not_asked() -> None:
    asked = get("/Observation?patient=Patient/B")

    assert (0, [], []) == (asked.document["total"], ids(asked), asked.askings)


def test_a_search_of_several_types_gives_one_after_the_other() -> None:
    goal = {"resourceType": "Goal", "id": "g", "subject": reference("Patient/A")}
    asked = get("/?_type=Observation,Goal,Task", bundle(goal, of_b("b")), bundle(of_a("a1")))

    assert (["g", "a1"], 2) == (ids(asked), asked.document["total"])
    assert f"{BASE}?_type=Observation,Goal,Task" == BASE + str(link(asked, "self"))


def test_a_compartment_search_of_ones_own_patient_is_a_search() -> None:
    asked = get("/Patient/A/Observation", bundle(of_b("b1"), of_a("a1")))

    assert (["GET /Observation?patient=Patient/A&_count=51"], ["a1"]) == (asked.lines, ids(asked))


def test_included_resources_stand_behind_and_say_so() -> None:
    asked = get("/Observation?_include=Observation:subject", bundle(of_a("a1"), PATIENT), bundle(PATIENT))

    assert [("a1", "match"), ("A", "include")] == [
        (each["resource"]["id"], each["search"]["mode"]) for each in asked.document["entry"]
    ]
    assert 1 == asked.document["total"]


def test_the_same_is_answered_whatever_others_have() -> None:
    """One page of the server's, or three; a total, a link or none; others before, between and behind."""
    target = "/Observation?_count=2&_include=Observation:subject"
    alone = get(target, bundle(of_a("a1"), of_a("a2")), bundle(PATIENT))
    among = get(
        target,
        bundle(of_b("b1"), of_a("a1"), {"resourceType": "Patient", "id": "B"}, next_="Observation?p=2"),
        bundle(of_b("b2"), of_a("a2"), of_a("a2"), of_b("b3"), next_="Observation?p=3"),
        bundle(of_b("b4"), of_a("a1")),
        bundle(PATIENT, {"resourceType": "Patient", "id": "B"}),
    )

    assert alone.response == among.response


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 3),
        ("_total=none", None),
        ("_total=accurate", 3),
        ("_total=estimate", 3),
        ("_count=2", None),
        ("_count=2&_total=accurate", 3),
        ("_count=2&_total=none", None),
    ],
)
def test_there_is_a_total_where_all_was_counted(query: str, expected: int | None) -> None:
    found = bundle(of_a("a1"), of_b("b1"), of_a("a2"), of_a("a3"), of_b("b2"))

    assert expected == get(f"/Observation?{query}", found).document.get("total")


@pytest.mark.parametrize("query", ["_count=0", "_summary=count", "_summary=count&_total=none"])
def test_who_asks_how_many_gets_a_number(query: str) -> None:
    asked = get(f"/Observation?{query}", bundle(of_b("b1"), of_a("a1"), next_="Observation?p=2"), bundle(of_a("a2")))

    assert (2, [], None) == (asked.document["total"], ids(asked), link(asked))


def test_only_so_much_is_looked_through() -> None:
    pages = [bundle(of_b("b"), next_=f"Observation?p={number}") for number in range(4)]

    assert TOO_COSTLY == get("/Observation", *pages, rights=of("patient/*.rs", server=SMALL)).problem


# --- the next page -----------------------------------------------------------------------------------


def test_a_link_leads_to_the_rest() -> None:
    first = get(
        "/Observation?_count=2&code=1", bundle(of_b("b"), of_a("a1"), of_a("a2"), of_a("a3"), next_="Observation?p=2")
    )
    second = follow(
        first, bundle(of_a("a1"), of_b("b"), of_a("a2"), of_a("a3"), next_="Observation?p=2"), bundle(of_a("a4"))
    )

    assert (["a1", "a2"], ["a3", "a4"], None) == (ids(first), ids(second), link(second))
    assert ["GET /Observation?code=1&patient=Patient/A&_count=50", "GET /Observation?p=2"] == second.lines
    assert None is second.document.get("total")
    assert link(first) == link(second, "self")


def test_a_link_looks_the_same_whatever_it_stands_for() -> None:
    long = get("/Observation?_count=1", bundle(of_a("a1"), next_=f"Observation?after={'b' * 90}"), bundle(of_a("a2")))
    short = get("/Observation?_count=1", bundle(of_a("a1"), of_a("a2")))

    assert re.fullmatch(r"\?_getpages=[A-Za-z0-9_-]+", str(link(long)))
    assert len(str(link(short))) == len(str(link(long)))


def test_the_total_that_was_counted_goes_along() -> None:
    found = bundle(of_a("a1"), of_a("a2"), of_a("a3"))
    first = get("/Observation?_count=1&_total=accurate", found)
    second = follow(first, found)
    third = follow(second, found)

    assert [3, 3, 3] == [each.document["total"] for each in (first, second, third)]
    assert (["a3"], None) == (ids(third), link(third))


def test_includes_go_along() -> None:
    found = bundle(of_a("a1"), of_a("a2"))
    first = get("/Observation?_count=1&_include=*", found, bundle(PATIENT))
    second = follow(first, found, bundle(PATIENT))

    assert ["a2", "A"] == ids(second)


def test_a_search_by_post_goes_on_as_one() -> None:
    asked = interaction("/Observation/_search?_count=1", FORM, form="code=a%26b", method="POST")
    first = run(search(asked, ALL, SEALER), bundle(of_a("a1"), of_a("a2")))
    second = follow(first, bundle(of_a("a1"), of_a("a2")))

    assert ["a2"] == ids(second)
    assert first.askings == second.askings
    assert [("POST", b"code=a%26b&patient=Patient%2FA&_count=50")] == [
        (each.method, each.body) for each in first.askings
    ]
    assert "/Observation?_count=1&code=a%26b" == link(first, "self")


def test_a_compartment_goes_along() -> None:
    rights = of("user/Observation.s?status=final", None)
    finals = [of_b("b1", status="final"), of_b("b2", status="final"), of_a("a1", status="final")]
    first = get("/Patient/B/Observation?_count=1", bundle(*finals), rights=rights)
    second = follow(first, bundle(*reversed(finals)), rights=rights)

    assert (["b1"], ["b1"], None) == (ids(first), ids(second), link(second))


@pytest.mark.parametrize(
    ("scopes", "patient"), [("patient/*.rs", "B"), ("patient/*.r", "A"), ("patient/*.cruds", "A"), ("user/*.s", "A")]
)
def test_a_link_of_another_bearer_leads_nowhere(scopes: str, patient: str) -> None:
    first = get("/Observation?_count=1", bundle(of_a("a1"), of_a("a2")))

    assert NOT_FOUND == follow(first, rights=of(scopes, patient)).problem


@pytest.mark.parametrize(
    "query", ["_getpages=none", "_getpages=", "_getpages={}&_count=5", "_getpages={0}&_getpages={0}"]
)
def test_only_a_link_as_it_was_given_leads_anywhere(query: str) -> None:
    text = str(link(get("/Observation?_count=1", bundle(of_a("a1"), of_a("a2"))))).partition("=")[2]
    asked = get(f"/?{query.format(text)}")

    assert (NOT_FOUND, []) == (asked.problem, asked.askings)


def test_a_link_may_say_which_format_is_wanted() -> None:
    first = get("/Observation?_count=1", bundle(of_a("a1"), of_a("a2")))

    assert ["a2"] == ids(get(f"/{link(first)}&_format=json", bundle(of_a("a1"), of_a("a2"))))
    assert NOT_ACCEPTABLE == get(f"/{link(first)}&_format=xml").problem


def test_what_can_be_searched_for_no_more_is_gone() -> None:
    first = get("/Observation?_count=1", bundle(of_a("a1"), of_a("a2")))
    object.__setattr__(changed := of("patient/*.rs"), "server", Server(BASE, surface=_without_observations()))

    assert NOT_FOUND == follow(first, rights=changed).problem


def _without_observations() -> Surface:
    return Surface(types=SERVER.surface.types - {"Observation"})


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "scopes", "problem"),
    [
        ("/Observation", "patient/Observation.r", FORBIDDEN),
        ("/Patient/B/Observation", "patient/*.rs", FORBIDDEN),
        ("/Observation?subject.name=B", "patient/*.rs", NOT_SUPPORTED),
        ("/Observation?subject.name=B", "system/Observation.rs", NOT_SUPPORTED),
        ("/Observation?_format=xml", "patient/*.rs", NOT_ACCEPTABLE),
        ("/Patient/A/$everything?_format=xml", "patient/*.rs", NOT_ACCEPTABLE),
        ("/Patient/B/$everything", "patient/*.rs", FORBIDDEN),
        ("/Observation/_history", "patient/*.rs", FORBIDDEN),
        ("/_history", "patient/*.rs", FORBIDDEN),
        ("/_history", "system/Observation.rs system/Goal.s", FORBIDDEN),
        ("/Observation/_history", "system/Observation.s?status=final", FORBIDDEN),
        ("/Observation/_history?_list=7", "system/Observation.s", NOT_SUPPORTED),
        ("/?_getpages=1", "system/Observation.rs", NOT_FOUND),
        ("/?_getpages=1", "system/*.s", NOT_FOUND),
    ],
)
def test_what_is_refused_is_refused_before_anybody_is_asked(target: str, scopes: str, problem: object) -> None:
    asked = get(target, rights=of(scopes))

    assert (problem, []) == (asked.problem, asked.askings)


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 500])
def test_no_word_of_the_server_is_in_a_refusal(status: int) -> None:
    said = answer({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "Patient/B"}]}, status)
    stopped = get("/Observation", said).stopped

    assert isinstance(stopped, Stopped)
    assert b"Patient/B" not in outcome(stopped.problem).body
    assert "Patient/B" not in stopped.reason


def test_a_search_that_is_answered_with_something_else_is_not_judged() -> None:
    assert UPSTREAM == get("/Observation", answer(PATIENT)).problem


# --- for conditions ----------------------------------------------------------------------------------


def find_some(criteria: Parameters, *answers: Answered, rights: Rights = ALL, most: int = 2) -> Asked:
    return run(find("Observation", criteria, rights, most), *answers)


def test_what_meets_a_condition_is_found_as_by_a_search() -> None:
    asked = find_some((("subject", "Patient/A"),), bundle(of_b("b1"), of_a("a1"), of_a("a2"), of_a("a3")))

    assert ([of_a("a1"), of_a("a2")], ["GET /Observation?subject=Patient/A&patient=Patient/A&_count=51"]) == (
        asked.result,
        asked.lines,
    )
    assert [of_a("a1")] == find_some((), bundle(of_a("a1"), of_a("a2")), most=1).result


def test_a_condition_is_refused_like_a_search() -> None:
    assert NOT_SUPPORTED == find_some((("subject.name", "x"),)).problem
    assert FORBIDDEN == find_some((("code", "x"),), rights=of("patient/*.r")).problem


# --- $everything -------------------------------------------------------------------------------------


def test_everything_is_an_answer_of_our_own() -> None:
    rights = of("patient/Patient.rs patient/Observation.rs")
    asked = get(
        "/Patient/A/$everything", answer(PATIENT), bundle(of_b("b"), of_a("a1")), bundle(PATIENT), rights=rights
    )

    assert (["A", "a1"], 2) == (ids(asked), asked.document["total"])
    assert "/Patient/A/$everything" == link(asked, "self")


# --- who may see everything --------------------------------------------------------------------------


def through(target: str, scopes: str) -> Asking:
    return run(flow(interaction(target), of(scopes, None, PLAIN))).through


@pytest.mark.parametrize(
    "target",
    [
        "/Observation?subject.name=x&_include=*",
        "/?_getpages=1",
        "/_history",
        "/Observation/_history",
        "/Patient/B/$everything",
    ],
)
def test_who_may_see_everything_is_answered_by_the_server(target: str) -> None:
    path, _, query = target.partition("?")
    asking = through(target, "system/*.rs")

    assert (path, query) == (asking.path, "&".join(map("=".join, asking.query)))


def test_all_of_one_type_is_not_everything() -> None:
    rights = of("system/Observation.rs system/Patient.r", None)
    asked = get(
        "/Observation?_include=Observation:subject",
        bundle(of_b("b1")),
        bundle(PATIENT, {"resourceType": "Patient", "id": "B"}),
        rights=rights,
    )

    assert ["b1", "B"] == ids(asked)


def test_to_search_for_everything_is_not_to_include_it() -> None:
    asked = get("/Observation?_include=Observation:subject", bundle(of_b("b1")), rights=of("system/*.s", None))

    assert (["b1"], ["GET /Observation?_count=51"]) == (ids(asked), asked.lines)


def test_a_history_of_all_types_is_one_of_the_type_that_may_be_seen() -> None:
    asked = get("/_history?_since=2020", bundle(type="history"), rights=of("system/Observation.s", None))

    assert ["GET /Observation/_history?_since=2020"] == asked.lines


def test_the_servers_links_to_all_of_one_type_are_followed_by_their_bearer() -> None:
    rights = of("system/Observation.s", None)
    first = get("/Observation", bundle(of_b("b1"), next_="?_getpages=7"), rights=rights)
    second = follow(first, bundle(of_a("a1")), rights=rights)

    assert (["b1"], ["a1"], ["GET /?_getpages=7"]) == (ids(first), ids(second), second.lines)
    assert NOT_FOUND == follow(first, rights=of("system/Goal.s", None)).problem
