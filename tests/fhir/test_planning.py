"""A search + limited rights → what it asks for, or why it is refused: by the request and the rights alone."""

from __future__ import annotations

import pytest

from jwt_guard.fhir.exchange import Asking
from jwt_guard.fhir.including import Inclusion
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.outcome import FORBIDDEN, NOT_SUPPORTED, UNREADABLE, Problem, Stopped
from jwt_guard.fhir.planning import Plan, planned, wanted
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.server import Limits, Server
from jwt_guard.messages import PlainRequest
from tests.support.fhir_exchanges import BASE, SERVER, of

ALL = of("patient/*.rs")
LIMITED = Server(BASE, limits=Limits(page=5, largest_page=8))
KOPPELTAAL = Server(BASE, koppeltaal=True)
FORM = ("content-type", "application/x-www-form-urlencoded")


def interaction(target: str) -> Interaction:
    path, _, query = target.partition("?")
    found = read_interaction(PlainRequest("GET", path, query))
    assert isinstance(found, Interaction), found
    return found


def plan(target: str, rights: Rights = ALL) -> Plan:
    return planned(interaction(target), rights)


def problem(target: str, rights: Rights = ALL) -> Problem:
    with pytest.raises(Stopped) as stopped:
        plan(target, rights)
    return stopped.value.problem


def lines(target: str, rights: Rights = ALL) -> list[str]:
    """Return what the server is asked for, but for how many."""
    firsts = [each.first for each in plan(target, rights).sources]
    return [f"{each.path}?{'&'.join('='.join(pair) for pair in each.query if pair[0] != '_count')}" for each in firsts]


def counts(target: str, rights: Rights = ALL) -> tuple[int, int]:
    """Return how many entries a page of ours has, and one of the server's is asked to have."""
    found = plan(target, rights)
    return found.wanted.count, int(dict(found.sources[0].first.query)["_count"])


# --- which types, and whose --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/Observation", ["/Observation?patient=Patient/A"]),
        ("/Observation?code=1&code=2", ["/Observation?code=1&code=2&patient=Patient/A"]),
        ("/Patient?name=x", ["/Patient?name=x&_id=A"]),
        ("/Practitioner?name=x", ["/Practitioner?name=x"]),
        ("/Patient/A/Observation?code=1", ["/Observation?code=1&patient=Patient/A"]),
        ("/?_type=Practitioner,Goal,Patient", ["/Goal?patient=Patient/A", "/Patient?_id=A", "/Practitioner?"]),
        # No patient has such a thing, and so there is nothing to ask for.
        ("/Task", []),
        ("/Patient/A/Practitioner", []),
    ],
)
def test_a_search_is_narrowed_to_the_patient(target: str, expected: list[str]) -> None:
    assert expected == lines(target)


def test_of_several_types_those_count_that_may_be_searched() -> None:
    rights = of("patient/Observation.s patient/Goal.r system/Practitioner.s")

    assert ["/Observation?patient=Patient/A", "/Practitioner?"] == lines("/", rights)
    assert ["/Observation?patient=Patient/A"] == lines("/?_type=Observation,Goal,Patient", rights)
    assert ["/Observation?patient=Patient/A"] == lines("/Patient/A/*", rights)


def test_all_that_a_patient_can_have_is_asked_for_and_what_is_shared() -> None:
    paths = [each.partition("?")[0] for each in lines("/")]

    assert sorted(paths) == paths
    assert (70, False, True) == (len(paths), "/Task" in paths, "/Organization" in paths)


@pytest.mark.parametrize(
    ("target", "scopes"),
    [
        ("/Observation", "patient/Observation.r"),
        ("/Observation", "patient/Condition.s"),
        ("/?_type=Goal,Condition", "patient/Observation.s"),
        ("/Patient/B/Observation", "patient/*.s"),
        ("/Patient/B/*", "patient/*.s"),
        ("/Patient/B/Practitioner", "patient/*.s"),
        ("/Encounter/A/Observation", "patient/*.s"),
        ("/Practitioner/A/Observation", "user/Observation.s?status=final"),
    ],
)
def test_what_no_scope_allows_is_forbidden(target: str, scopes: str) -> None:
    assert FORBIDDEN == problem(target, of(scopes))


def test_in_another_patients_compartment_the_scopes_that_are_no_patients_count() -> None:
    rights = of("user/Observation.s?status=final patient/*.s")

    assert ["/Observation?patient=Patient/B"] == lines("/Patient/B/*", rights)


# --- what may be asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "code=1", "code:not=1", "code:text=x", "status:missing=true", "_id=a,b", "_lastUpdated=gt2020", "_tag=x|y",
        "_profile=http://x.example/p", "_security=R", "_source=x", "subject:Patient=Patient/A", "value-quantity=gt5",
        "date=ge2020&date=lt2021", "patient:missing=false", "_sort=-date,code", "_sort=_lastUpdated",
    ],
)  # fmt: skip
def test_what_depends_on_each_resource_alone_is_handed_on(query: str) -> None:
    assert sorted([*query.split("&"), "patient=Patient/A"]) == sorted(lines(f"/Observation?{query}")[0][13:].split("&"))


@pytest.mark.parametrize(
    "query",
    [
        "subject:Patient.name=B", "subject.name=B", "patient.identifier=1", "_has:Provenance:target:agent=B",
        "_has=x", "_filter=name eq B".replace(" ", "+"), "_query=x", "_list=7", "_content=B", "_text=B",
        "_contained=both", "_containedType=container", "_score=1", "_sort=_score", "_sort=subject.name",
        "_sort=subject:Patient.name", "_sort=-unknown", "_sort=date,,code", "unknown=1", "_unknown=1", "_type=Patient",
        "code:in=http://x.example/v", "code:not-in=x", "code:below=x", "code:above=x", "subject:identifier=x|1",
        "patient:identifier=x|1", "code:Patient=1", "code:unknown=1", "code:=1", "_id:Patient=1", "$x=1", "_since=2020",
        "_at=2020", "resource-origin=Device/1", "_include=Observation", "_include=Observation:code",
        "_include=Unknown:subject", "_include:recurse=*", "_revinclude=*", "_revinclude=Provenance:*", "_count:exact=1",
        "_include=Observation:subject:Nobody", "_include=Observation:subject:Patient:x", "_include=",
    ],
)  # fmt: skip
def test_what_could_tell_of_other_resources_and_what_is_unknown_is_refused(query: str) -> None:
    assert NOT_SUPPORTED == problem(f"/Observation?{query}")


@pytest.mark.parametrize("query", ["_count=x", "_count=-1", "_count=1.5", "_count=1&_count=2", "_count=%201"])
def test_a_count_is_one_number(query: str) -> None:
    assert UNREADABLE == problem(f"/Observation?{query}")


@pytest.mark.parametrize("query", ["_total=all", "_total=none&_total=accurate", "_summary=count&_summary=text"])
def test_what_is_to_be_there_once_is(query: str) -> None:
    assert UNREADABLE == problem(f"/Observation?{query}")


def test_whether_it_is_refused_does_not_depend_on_whose_it_is() -> None:
    assert NOT_SUPPORTED == problem("/Observation?patient=B&subject.name=B")
    assert NOT_SUPPORTED == problem("/Task?unknown=1")


def test_how_the_answer_is_written_is_left_aside() -> None:
    assert ["/Observation?patient=Patient/A"] == lines(
        "/Observation?_elements=code&_format=json&_pretty=true&_summary=text&_total=estimate&code="
    )


def test_each_type_must_have_the_parameter() -> None:
    assert ["/Goal?_id=x&patient=Patient/A", "/Observation?_id=x&patient=Patient/A"] == lines(
        "/?_type=Goal,Observation&_id=x"
    )
    assert NOT_SUPPORTED == problem("/?_type=Goal,Observation&code=1")


def test_several_types_have_no_order() -> None:
    assert NOT_SUPPORTED == problem("/?_type=Goal,Observation&_sort=_lastUpdated")
    assert ["/Goal?_sort=_lastUpdated&patient=Patient/A"] == lines("/?_type=Goal&_sort=_lastUpdated")


def test_at_koppeltaal_the_origin_may_be_asked_for() -> None:
    rights = of("system/Task.rs?resource-origin=Device/1", None, KOPPELTAAL)

    assert ["/Task?resource-origin=Device/9&resource-origin=Device/1"] == lines(
        "/Task?resource-origin=Device/9", rights
    )
    assert NOT_SUPPORTED == problem("/Task?resource-origin:not=Device/9", rights)


def test_includes_are_read_and_not_handed_on() -> None:
    found = plan("/Observation?_include=Observation:subject&_revinclude:iterate=Provenance:target&code=1")

    assert ("/Observation", (("code", "1"), ("patient", "Patient/A"), ("_count", "51"))) == (
        found.sources[0].first.path,
        found.sources[0].first.query,
    )
    assert (
        Inclusion(is_reverse=False, iterates=False, source="Observation", parameter="subject"),
        Inclusion(is_reverse=True, iterates=True, source="Provenance", parameter="target"),
    ) == found.wanted.inclusions


# --- how many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (5, 6)),
        ("_count=7", (7, 8)),
        # Others' entries may be among them, and whoever asks for few should not find out how many.
        ("_count=1", (1, 5)),
        ("_count=999", (8, 9)),
        ("_count=3&_total=accurate", (3, 8)),
        ("_count=3&_total=estimate", (3, 5)),
        ("_count=0", (0, 8)),
        ("_summary=count&_count=5", (0, 8)),
        ("_summary=text&_count=5", (5, 6)),
    ],
)
def test_the_server_is_asked_for_one_more_than_is_given_and_never_for_few(
    query: str, expected: tuple[int, int]
) -> None:
    assert expected == counts(f"/Observation?{query}", of("patient/*.rs", server=LIMITED))


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", False), ("_total=none", False), ("_total=estimate", False), ("_total=accurate", True), ("_count=0", True)],
)
def test_it_is_counted_where_that_is_asked_for(query: str, expected: bool) -> None:
    assert expected is wanted(interaction(f"/Observation?{query}"), ["Observation"], SERVER).to_end


def test_a_search_by_post_is_one() -> None:
    sent = read_interaction(PlainRequest("POST", "/Observation/_search", "code=1", (FORM,)), "note=a%26b")
    assert isinstance(sent, Interaction)

    assert [
        Asking(
            "POST",
            "/Observation/_search",
            headers=(("accept", "application/fhir+json"), FORM),
            body=b"code=1&patient=Patient%2FA&_count=51",
        )
    ] == [each.first for each in planned(_without_note(sent), ALL).sources]


def _without_note(sent: Interaction) -> Interaction:
    object.__setattr__(sent, "parameters", sent.parameters[:1])
    return sent
