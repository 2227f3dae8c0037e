"""The quick way through a searchset says what the long one does, and hands on what the server wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.fhir import narrowed
from jwt_guard.fhir.documents import read, written
from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.outcome import JSON
from jwt_guard.fhir.paging import Source, read_sheet
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.server import Server
from jwt_guard.fhir.verbatim import read_verbatim

BASE, OWN = "https://api.test/fhir", "http://fhir:8080/fhir"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ASKED = Asking("GET", "/Observation")
SCOPES = (
    "patient/*.rs",
    "patient/Observation.s",
    "patient/Patient.rs",
    f"patient/Observation.rs?category={CATEGORY}|laboratory",
    "patient/Observation.s?_id=1",
    "patient/Observation.s?_tag=http://x.test|y user/Observation.s?status=final",
    "system/Observation.rs?resource-origin=Device/1",
    "patient/Observation.r",
)


def rights(scopes: str) -> Rights:
    return Rights(Server(BASE, (OWN,)), granted(scopes.split()), "A", "somebody")


def observation(id_: str = "1", patient: str = "A", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "subject": {"reference": f"Patient/{patient}"}, **more}


def bundle(*resources: object, **more: Any) -> bytes:
    return written(
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources], **more}
    )


def long_way(body: bytes, kind: str, held: Rights, letter: str) -> list[tuple[Any, Any]]:
    source: Source | None = narrowed.source(kind, (), held, letter, 50)
    if source is None:
        source = Source(ASKED, lambda _: None)
    sheet = read_sheet(Answered(200, (("content-type", JSON),), body), "/Observation", held.server)
    return [(key, shown) for key, each, is_match in sheet.entries if is_match and (shown := source.keep(each))]


def test_what_may_be_seen_is_in_the_servers_own_octets() -> None:
    octets = (
        b'{ "id":"1","valueQuantity":{"value":5.40},\n"resourceType":"Observation","subject":{"reference":"Patient/A"}}'
    )
    other = octets.replace(b"Patient/A", b"Patient/B").replace(b'"1"', b'"2"')
    body = b'{"resourceType":"Bundle","entry":[{"resource":%b},{"resource":%b}]}' % (octets, other)

    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", body)

    assert sheet is not None
    assert [(("Observation", "1"), octets)] == [(key, bytes(each)) for key, each in sheet.entries]
    assert [] == sheet.links


def test_a_reference_within_which_a_member_is_twice_is_not_read_in_a_hurry() -> None:
    twice = b'{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/B","reference":"Patient/A"}}'
    body = b'{"resourceType":"Bundle","entry":[{"resource":%b}]}' % twice

    assert read_verbatim("Observation", rights("patient/*.rs"), "s", body) is None
    assert read(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"resourceType":"Observation","id":"1"}',
        b'{"resourceType":"Bundle","entry":{}}',
        b'{"resourceType":"Bundle","entry":[{"resource":"x"}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{}}]}',
        b'{"resourceType":"Bundle","link":["x"]}',
        b'{"resourceType":"Bundle","entry":[{"resource":' + b"[" * 200_000,
    ],
)
def test_what_is_not_plain_is_read_as_everything_else(body: bytes) -> None:
    assert read_verbatim("Observation", rights("patient/*.rs"), "s", body) is None


def test_what_contains_others_is_handed_on_without_them() -> None:
    inside = {"resourceType": "Patient", "id": "p"}
    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", bundle(observation(contained=[inside])))

    assert sheet is not None
    assert observation() == read(sheet.entries[0][1])


@pytest.mark.parametrize("id_", ["..", ".", "a b", "é", "x" * 65, "", "a/b", "/", "a/", "a\n"])
def test_who_has_no_name_that_a_server_could_give_is_left_out(id_: str) -> None:
    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", bundle(observation(id_), observation("2")))

    assert sheet is not None
    assert [("Observation", "2")] == [key for key, _ in sheet.entries]


def test_who_is_of_another_type_is_left_out() -> None:
    others = bundle({**observation(), "resourceType": "Condition"}, observation("2"))
    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", others)

    assert sheet is not None
    assert [("Observation", "2")] == [key for key, _ in sheet.entries]


def test_what_one_contains_says_nothing_of_the_next() -> None:
    inside = {"resourceType": "Patient", "id": "p"}
    containing, plain = observation("2", contained=[inside]), observation("3")
    body = bundle(observation("1", "B", contained=[inside]), containing, plain, observation("4", "B"))
    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", body)

    assert sheet is not None
    assert [observation("2"), plain] == [read(bytes(octets)) for _, octets in sheet.entries]


def test_what_one_says_in_one_element_is_not_what_another_says_in_the_next() -> None:
    ours, theirs = {"reference": "Patient/A"}, {"reference": "Patient/B"}
    first, second = observation("1", performer=[ours]), observation("2", performer=[theirs])
    first["subject"], second["subject"] = theirs, ours
    nobodys = {**observation("3", "B"), "performer": [theirs]}
    sheet = read_verbatim("Observation", rights("patient/*.rs"), "s", bundle(first, second, nobodys))

    assert sheet is not None
    assert ["1", "2"] == [id_ for (_, id_), _ in sheet.entries]


def test_without_the_extra_there_is_no_such_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowed, "is_on", lambda: False)
    assert narrowed.shortcut() is None

    monkeypatch.setattr(narrowed, "is_on", lambda: True)
    assert read_verbatim is narrowed.shortcut()

    monkeypatch.setitem(__import__("sys").modules, "jwt_guard.fhir.verbatim", None)
    assert narrowed.shortcut() is None


REFERENCES: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"reference": "Patient/A"},
        {"reference": "Patient/B"},
        {"reference": f"{OWN}/Patient/A"},
        {"reference": "https://elsewhere.test/fhir/Patient/A"},
        {"reference": "Patient/A", "type": "Group"},
        {"reference": "Patient/A/_history/2"},
        {"reference": "#p"},
        {"reference": 1},
        {"display": "somebody"},
        {},
        [],
        "Patient/A",
        None,
    ]
)
CATEGORIES = st.sampled_from(
    [
        [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        [{"coding": [{"code": "laboratory"}]}],
        {"coding": []},
        [None],
    ]
)
ORIGIN = {
    "url": "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin",
    "valueReference": {"reference": "Device/1"},
}
GOOD: dict[str, Any] = {
    **observation(),
    "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
    "meta": {"tag": [{"system": "http://x.test", "code": "y"}]},
    "status": "final",
    "extension": [ORIGIN],
}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "resourceType": st.sampled_from(["Patient", "Condition", 1]),
        "id": st.sampled_from(["2", "A", "B", "..", "a b", 1]),
        "subject": REFERENCES,
        "performer": st.one_of(st.lists(REFERENCES, max_size=2), REFERENCES),
        "category": CATEGORIES,
        "status": st.sampled_from(["amended", 1]),
        "meta": st.sampled_from([{"tag": []}, []]),
        "contained": st.sampled_from(
            [[], [{"resourceType": "Patient", "id": "p"}], [{"resourceType": "Device", "id": "p"}], 1]
        ),
        "valueString": st.text(max_size=3),
        "extension": st.sampled_from([[], {}]),
    },
)
# A change or two at once: with more, hardly anything is to be seen.
RESOURCES = st.builds(
    lambda changes, names: GOOD | {name: value for name, value in changes.items() if name in names},
    CHANGES,
    st.sets(
        st.sampled_from(
            [
                "resourceType",
                "id",
                "subject",
                "performer",
                "category",
                "status",
                "meta",
                "contained",
                "valueString",
                "extension",
            ]
        ),
        max_size=2,
    ),
)
ENTRIES = st.fixed_dictionaries(
    {"resource": RESOURCES},
    optional={
        "search": st.sampled_from([{"mode": "match"}, {"mode": "include"}, {"mode": "outcome"}, {"score": 1}, {}]),
        "fullUrl": st.just(f"{OWN}/Observation/1"),
    },
)


@given(
    st.lists(ENTRIES, max_size=6),
    st.sampled_from(SCOPES),
    st.sampled_from(["Observation", "Patient", "Condition"]),
    st.sampled_from("rs"),
    st.booleans(),
)
def test_it_says_what_the_long_way_says(
    entries: list[dict[str, Any]], scopes: str, kind: str, letter: str, is_written_widely: bool
) -> None:
    document = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    body = json.dumps(document, indent=1).encode() if is_written_widely else written(document)
    held = rights(scopes)

    sheet = read_verbatim(kind, held, letter, body)

    if sheet is not None:
        assert long_way(body, kind, held, letter) == [(key, read(bytes(octets))) for key, octets in sheet.entries]


@pytest.mark.parametrize(
    ("scopes", "kind", "good", "bad"),
    [
        (
            "patient/Patient.rs",
            "Patient",
            {"resourceType": "Patient", "id": "A"},
            {"resourceType": "Patient", "id": "B"},
        ),
        ("patient/Observation.s?_id=1", "Observation", observation("1"), observation("2")),
    ],
)
def test_who_is_told_by_the_id_is_told_by_it_here_as_well(
    scopes: str, kind: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    sheet = read_verbatim(kind, rights(scopes), "s", bundle(bad, good))

    assert sheet is not None
    assert [((kind, good["id"]), written(good))] == [(key, bytes(each)) for key, each in sheet.entries]
