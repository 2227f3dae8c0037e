"""A request → the one interaction that it is: each form that FHIR R4 has, and each that only looks like one."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jwt_guard.access.fhir_references import FhirReference
from jwt_guard.fhir.interaction import Interaction, Refusal, Surface, read_interaction
from jwt_guard.messages import PlainRequest

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def asked(
    line: str, *headers: tuple[str, str], form: str | None = None, surface: Surface | None = None
) -> Interaction | Refusal:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    return read_interaction(PlainRequest(method, path, query, headers), form, surface or Surface())


def taken(line: str, *headers: tuple[str, str], form: str | None = None) -> Interaction:
    found = asked(line, *headers, form=form)
    assert isinstance(found, Interaction), found
    return found


def why(line: str, *headers: tuple[str, str], form: str | None = None) -> str | None:
    found = asked(line, *headers, form=form)
    return found.why if isinstance(found, Refusal) else None


# --- what each is, and what it takes -----------------------------------------------------------------

# (request, kind, letters, types: "*" for every one, "" for none)
KINDS = [
    ("GET /Patient/1", "read", "r", "Patient"),
    ("HEAD /Patient/1", "read", "r", "Patient"),
    ("GET /Patient/1/", "read", "r", "Patient"),
    ("GET /Patient/1?_format=json&_pretty=true&_summary=text&_elements=name", "read", "r", "Patient"),
    ("GET /Observation/a-B.9/_history/2", "vread", "r", "Observation"),
    ("HEAD /Observation/1/_history/2", "vread", "r", "Observation"),
    ("GET /Observation/1/_history", "history-instance", "r", "Observation"),
    ("GET /Observation/1/_history?_since=2020&_count=5", "history-instance", "r", "Observation"),
    ("GET /Observation/_history", "history-type", "s", "Observation"),
    ("GET /_history", "history-system", "s", "*"),
    # A parameter that R4 has not for a history is one that a server may leave aside.
    ("GET /_history?_type=Patient", "history-system", "s", "*"),
    ("GET /Observation", "search-type", "s", "Observation"),
    ("GET /Observation/", "search-type", "s", "Observation"),
    ("HEAD /Observation?code=1", "search-type", "s", "Observation"),
    ("GET /Observation?_include=Observation:subject&_has:x:y:z=1", "search-type", "s", "Observation"),
    ("GET /Patient/1/Observation?code=1", "search-compartment", "s", "Observation"),
    ("HEAD /Encounter/1/Observation", "search-compartment", "s", "Observation"),
    ("GET /Patient/1/*", "search-compartment", "s", "*"),
    ("GET /Device/1/*?_type=Observation,Flag", "search-compartment", "s", "Observation Flag"),
    ("GET /", "search-system", "s", "*"),
    ("GET /?_lastUpdated=gt2020-01-01", "search-system", "s", "*"),
    ("GET /?_type=Patient,Observation", "search-system", "s", "Patient Observation"),
    # Whether both or one of them counts, servers do not agree.
    ("GET /?_type=Patient&_type=Task", "search-system", "s", "Patient Task"),
    ("GET /?_getpages=abc&_getpagesoffset=20", "page", "s", "*"),
    ("HEAD /?_getpages=abc", "page", "s", "*"),
    ("POST /Observation", "create", "c", "Observation"),
    ("POST /Observation?_format=json", "create", "c", "Observation"),
    ("PUT /Observation/1", "update", "u", "Observation"),
    ("PATCH /Observation/1", "patch", "u", "Observation"),
    ("DELETE /Observation/1", "delete", "d", "Observation"),
    ("PUT /Patient?identifier=a%7Cb", "update", "us", "Patient"),
    ("PATCH /Patient?identifier=a|b&_format=json", "patch", "us", "Patient"),
    ("DELETE /Observation?code=4548-4", "delete", "ds", "Observation"),
    ("DELETE /Observation?_id=1,2", "delete", "ds", "Observation"),
    ("POST /", "bundle", "", ""),
    ("POST /?_format=json", "bundle", "", ""),
    ("GET /metadata", "capabilities", "", ""),
    ("HEAD /metadata?mode=full&_format=json", "capabilities", "", ""),
    ("GET /.well-known/smart-configuration", "smart-configuration", "", ""),
]


@pytest.mark.parametrize(("line", "kind", "letters", "types"), KINDS)
def test_each_request_is_what_it_is(line: str, kind: str, letters: str, types: str) -> None:
    found = taken(line)

    assert kind == found.kind
    assert frozenset(letters) == found.letters
    assert (None if types == "*" else frozenset(types.split())) == found.types
    assert line.startswith("HEAD ") is found.head
    assert (kind in ("capabilities", "smart-configuration")) is found.is_open


# What each is, and the type that it is of where `_type` says Patient.
BY_FORM = [
    ("POST /Observation/_search", "search-type", "Observation"),
    ("POST /_search", "search-system", "Patient"),
    ("POST /Patient/1/Observation/_search", "search-compartment", "Observation"),
    ("POST /Patient/1/*/_search", "search-compartment", "Patient"),
    ("POST /Patient/1/_search", "search-compartment", "Patient"),
]


@pytest.mark.parametrize(("line", "kind", "types"), BY_FORM)
def test_a_search_may_be_a_post(line: str, kind: str, types: str) -> None:
    found = taken(line, FORM, form="_type=Patient")

    assert (kind, frozenset("s"), frozenset({types})) == (found.kind, found.letters, found.types)


def test_the_parameters_of_a_search_are_those_of_its_query_and_then_those_of_its_body() -> None:
    found = taken("POST /Observation/_search?patient=1&code=a", FORM, form="patient=2&code=b%2Cc")

    assert (("patient", "1"), ("code", "a"), ("patient", "2"), ("code", "b,c")) == found.parameters


@pytest.mark.parametrize("form", [None, ""])
def test_a_search_by_post_need_have_no_body_but_it_must_be_known_that_it_has_none(form: str | None) -> None:
    assert (None if form == "" else "form") == why("POST /Observation/_search?code=1", form=form)


def test_parameters_are_kept_as_they_stand() -> None:
    found = taken("GET /Observation?b=2&a=%7C1&b=&c&b=2")

    assert (("b", "2"), ("a", "|1"), ("b", ""), ("c", ""), ("b", "2")) == found.parameters


def test_a_read_names_type_and_id_and_a_vread_the_version_as_well() -> None:
    read, vread = taken("GET /Patient/a.b"), taken("GET /Patient/a.b/_history/7")

    assert ("Patient", "a.b", None) == (read.type, read.id, read.version)
    assert ("Patient", "a.b", "7") == (vread.type, vread.id, vread.version)


@pytest.mark.parametrize(
    ("line", "type_"),
    [("GET /Practitioner/9/Task", "Task"), ("GET /Practitioner/9/*", None)],
)
def test_a_compartment_search_says_whose(line: str, type_: str | None) -> None:
    found = taken(line)

    assert (FhirReference("Practitioner", "9"), type_, None) == (found.compartment, found.type, found.id)


def test_the_path_is_the_one_to_send_on() -> None:
    assert "/Patient/1" == taken("GET /Patient/1/").path
    assert "/" == taken("GET /").path
    assert "/Patient/1/*" == taken("GET /Patient/1/*").path


def test_what_it_takes_is_every_letter_for_every_type() -> None:
    assert {("Patient", "u"), ("Patient", "s")} == taken("PUT /Patient?name=x").needs
    assert {("*", "s")} == taken("GET /_history").needs
    assert set() == taken("POST /").needs


def test_whom_it_is_about_is_in_no_log() -> None:
    found = taken("PUT /Patient/ada-4711")
    searched = taken("POST /Patient/ada-4711/Observation/_search", FORM, form="code=hiv")
    conditional = taken("POST /Patient", ("If-None-Exist", "identifier=ada-4711"))

    assert "4711" not in f"{found!r} {searched!r} {conditional!r}"
    assert "hiv" not in repr(searched)


# --- conditions --------------------------------------------------------------------------------------


def test_a_conditional_create_takes_letters_of_two_kinds() -> None:
    found = taken("POST /Observation", ("If-None-Exist", "identifier=http://lab%7C1&status=final"))

    assert ("create", frozenset("cs"), (("identifier", "http://lab|1"), ("status", "final"))) == (
        found.kind,
        found.letters,
        found.criteria,
    )


def test_a_condition_is_the_parameters_that_are_not_about_the_answer() -> None:
    found = taken("PATCH /Patient?name=x&_format=json")

    assert (("name", "x"),) == found.criteria
    assert (("name", "x"), ("_format", "json")) == found.parameters
    assert None is taken("PATCH /Patient/1").criteria


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "query",
    [
        "", "_format=json", "name=", "name", "name=,", "name=a,", "name=|", "_count=1", "name=a&_count=1", "_sort=name",
        "_has:Observation:patient:code=1", "_filter=name eq x".replace(" ", "+"), "_query=all", "_list=1", "_text=a",
        "name=a&code=%20", "_type=Patient", "$x=1", "name=_", "_cascade=delete", "name=a&_expunge=true", "_=1",
    ],
)  # fmt: skip
def test_a_condition_that_may_be_true_of_everything_changes_nothing(method: str, query: str) -> None:
    assert "criteria" == why(f"{method} /Patient?{query}")


@pytest.mark.parametrize(
    "value", ["", "name=", "?name=a", "Patient?name=a", "_count=1", "name=a;b=c", "name=é", "name=%zz", "_format=json"]
)
def test_if_none_exist_is_a_condition(value: str) -> None:
    assert "criteria" == why("POST /Patient", ("If-None-Exist", value))


def test_two_conditions_are_none() -> None:
    assert "criteria" == why("POST /Patient", ("If-None-Exist", "name=a"), ("If-None-Exist", "name=a"))


@pytest.mark.parametrize("line", ["GET /Patient?name=a", "PUT /Patient?name=a", "PUT /Patient/1", "POST /"])
def test_if_none_exist_is_of_a_create_alone(line: str) -> None:
    assert "headers" == why(line, ("If-None-Exist", "name=a"))


@pytest.mark.parametrize("line", ["PUT /Patient/1", "PATCH /Patient/1", "DELETE /Patient/1", "PUT /Patient?name=a"])
@pytest.mark.parametrize("value", ['W/"3"', '"3"'])
def test_a_write_may_name_the_version_that_it_changes(line: str, value: str) -> None:
    assert "3" == taken(line, ("If-Match", value)).if_match
    assert None is taken(line).if_match


@pytest.mark.parametrize("line", ["GET /Patient/1", "POST /Patient", "POST /", "GET /Patient/1/_history/3"])
def test_a_version_to_match_is_of_a_write_to_what_is_there(line: str) -> None:
    assert "headers" == why(line, ("If-Match", 'W/"3"'))


# --- what is none ------------------------------------------------------------------------------------

# By what of them it is that cannot be judged.
NONE = {
    "method": [
        "get /Patient/1", "Get /Patient", "head /Patient/1", "post /Patient", "delete /Patient/1", " GET /Patient/1",
        "OPTIONS /Patient", "TRACE /Patient/1", "LINK /Patient/1", "POST /Patient/1", "POST /Patient/1/_history",
        "DELETE /Patient/1/_history", "DELETE /Patient/1/_history/2", "PUT /Patient/1/_history/2", "POST /_history",
        "POST /Patient/_history", "GET /Patient/_search", "GET /_search", "PUT /", "DELETE /?name=a", "PATCH /",
        "POST /Patient/1/Observation", "POST /Patient/1/*", "GET /Patient/1/_search", "GET /Patient/1/*/_search",
        "DELETE /Patient/1/Observation?code=1", "POST /metadata", "PUT /.well-known/smart-configuration",
        "GET /Patient/1/Observation/_search", "DELETE /?_getpages=a", "SEARCH /Patient", "PROPFIND /Patient?name=a",
        "get /metadata", "DELETE /Patient/_search?name=a", "PUT /Patient/_search",
    ],
    "type": [
        "GET /patient/1", "GET /Patients", "GET /Patient1/1", "GET /PATIENT", "POST /Parameters", "GET /DomainResource",
        "GET /Patient/1/observation", "GET /Patient/1/Observations", "GET /Patient/1/metadata", "GET /?_type=patient",
        "GET /?_type=", "GET /?_type=Patient,", "GET /?_type=Patient&_type=Nobody", "GET /Patient/1/*?_type=X",
        "GET /?_type=Patient,%20Task", "GET /Metadata", "GET /.well-known", "GET /.well-known/openid-configuration",
        "GET /metadata/x", "GET /_History", "GET /_history/1", "GET /*", "GET /SubscriptionTopic", "GET /x/y/z/a/b",
        "GET /swagger", "GET /_operations", "GET /Patient/1/$everything/_search",
    ],
    "id": [
        f"GET /Patient/{'x' * 65}", "GET /Patient/a_b", "GET /Patient/a,b", "GET /Patient/*", "GET /Patient/a:b",
        "PUT /Patient/(1)", "GET /Patient/_History", "GET /Patient/1/_history/a_b", "GET /Patient/_search/x",
        "GET /Patient/@1/Observation", "GET /Patient/a+b", "GET /Patient/1/_history/_search",
    ],
    "path": [
        "GET ", "GET Patient/1", "GET //Patient/1", "GET /Patient//1", "GET /Patient/../Observation/1",
        "GET /Patient/..", "GET /Patient/.", "GET /Patient/%31", "GET /%50atient/1", "GET /Patient%2F1",
        "GET /Patient/1/%24everything", "GET /Patient/1;v=2", "GET /Patient;x/1", "GET /Patient/1\\2",
        "GET /Patient/1%00", "GET /Patient/1%", "GET /Patient/%2e%2e/Task", "GET http://ehr.test/Patient/1",
        "GET /Patient/1 ", "GET /Patiént/1", "GET /Patient/1/_history/2/3", "GET /Patient/1/Observation/2/_search",
        "GET /Task/1/Observation", "GET /Organization/1/*", "GET /Group/1/Patient", "GET /Patient/1/Observation/2",
        "GET /Patient/1#2",
    ],
    "parameters": [
        "GET /Patient/1?_include=Patient:organization", "GET /Patient/1?name=a", "GET /Patient/1/_history/2?a=b",
        "PUT /Patient/1?_cascade=delete", "DELETE /Patient/1?_cascade=delete", "DELETE /Patient/1?_expunge=true",
        "POST /Patient?name=a", "POST /?_type=Patient", "POST /?_getpages=a", "GET /metadata?name=a",
        "GET /.well-known/smart-configuration?a=b", "GET /Patient/1?_getpages=a", "GET /Patient?_getpages=a",
        "GET /Patient/1/*?_getpages=a", "GET /Patient/_history?_getpages=a", "GET /Patient?_method=DELETE",
        "POST /Patient?_method=GET", "GET /Patient?_METHOD=PUT", "GET /Patient?x-http-method-override=PUT",
        "GET /Patient?X_HTTP_Method_Override=PUT", "GET /Patient?_method:x=PUT", "GET /Patient?a=b;c=d",
        "GET /Patient?name=é", "GET /Patient?name=%zz", "GET /Patient?name=%", "GET /Patient?name=%ff",
        "GET /Patient?name=%00", "GET /Patient?name=a%0Ab", "GET /Patient?=a", "GET /Patient?%20name=a",
        "GET /Patient?name%5B%5D=a", "GET /Patient?patient[]=a", "GET /Patient?patient%255b=a", "GET /Patient?a b=1",
        "GET /Patient?na%00me=1", "GET /Patient?_Include=*", "GET /Patient?_REVINCLUDE=*", "GET /Patient?_Has:a:b:c=1",
        "GET /Patient?_format:x=json", "GET /?_type:not=Patient", "GET /?_Type=Patient", "GET /Patient?_FORMAT=xml",
        "GET /Patient?a#b", "GET /Patient?_lastupdated=2020", "GET /?_type.x=Patient",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "line"), [(reason, line) for reason, lines in NONE.items() for line in lines])
def test_what_only_looks_like_an_interaction_is_refused(reason: str, line: str) -> None:
    method = line[: len(line) - len(line.lstrip())] + line.split(maxsplit=1)[0]
    target = line[len(method) :].removeprefix(" ")
    path, _, query = target.partition("?")

    found = read_interaction(PlainRequest(method, path, query), "" if path.endswith("_search") else None)

    assert isinstance(found, Refusal)
    assert reason == found.why


def test_a_link_to_a_page_cannot_come_in_a_form() -> None:
    assert "parameters" == why("POST /_search", FORM, form="_getpages=a")


def test_only_a_search_has_a_form() -> None:
    assert "form" == why("POST /Patient", form="name=a")
    assert "form" == why("PUT /Patient/_search", FORM)


@pytest.mark.parametrize("line", ["GET /Patient/_search", "PUT /_search", "HEAD /Patient/1/*/_search"])
def test_a_search_by_form_is_a_post(line: str) -> None:
    assert "method" == why(line)


def test_the_types_are_those_of_the_server() -> None:
    r4b_like = Surface(types=frozenset({"Patient", "SubscriptionTopic"}))

    assert isinstance(asked("GET /SubscriptionTopic/1", surface=r4b_like), Interaction)
    assert isinstance(asked("GET /Observation/1", surface=r4b_like), Refusal)
    assert isinstance(asked("GET /Patient/1/Observation", surface=r4b_like), Refusal)


def test_a_refusal_quotes_nothing_of_the_request() -> None:
    found = asked("GET /Zaphod/zaphod?zaphod=zaphod")

    assert isinstance(found, Refusal)
    assert "aphod" not in found.reason


# --- requests that were written elsewhere ------------------------------------------------------------

CASES = Path(__file__).parents[3] / "shared" / "vectors" / "smart_scope_cases.json"


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not here")
def test_of_the_shared_cases_none_is_refused_but_the_unknown_operation() -> None:
    refused: set[str] = set()
    for case in json.loads(CASES.read_text()):
        headers = [(name, value) for name, value in (case.get("headers") or {}).items() if value is not None]
        found = asked(f"{case['method']} {case['path_with_query']}", *headers)
        refused |= {case["id"]} if isinstance(found, Refusal) else set()

    assert {"unknown-operation"} == refused


# --- for whatever comes ------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["", "Patient", "Observation", "1", "_history", "_search", "*", "$everything", "$export", "$export-poll-status",
     "$validate", "metadata", ".well-known", "smart-configuration", "_operations", "export", "..", "%24x", "a;b", "é"]
)  # fmt: skip
PATHS = st.lists(PIECES | st.text(max_size=6), max_size=6).map(lambda pieces: "/" + "/".join(pieces)) | st.text()
NAMES = st.sampled_from(["_type", "_format", "_getpages", "_jobId", "_include", "_has:a:b:c", "name", "_method", ""])
QUERIES = st.lists(st.tuples(NAMES | st.text(max_size=5), st.text(max_size=8)), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"]) | st.text(max_size=7)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["If-None-Exist", "If-Match", "Prefer", "Accept", "Content-Type", "X-HTTP-Method-Override"]),
        st.sampled_from(["name=a", 'W/"1"', "return=minimal", "*/*", FORM[1]]) | st.text(max_size=12),
    ),
    max_size=3,
).map(tuple)


@given(METHODS, PATHS, QUERIES | st.text(), HEADERS, st.none() | QUERIES)
@example("GET", "/Patient/\ud800", "a=\ud800", (), None)
def test_whatever_comes_is_one_thing_or_is_refused(
    method: str, path: str, query: str, headers: Any, form: str | None
) -> None:
    found = read_interaction(PlainRequest(method, path, query, headers), form)

    assert isinstance(found, Interaction | Refusal)
    if isinstance(found, Interaction):
        assert method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
        # Nothing but what is open or judged entry by entry takes no letter, and no letter is for no type.
        assert (found.kind in ("bundle", "capabilities", "smart-configuration")) is not bool(found.letters)
        assert bool(found.needs) is bool(found.letters)
        assert set("cruds") >= found.letters
        # What goes on is what was judged.
        assert read_interaction(PlainRequest(method, found.path, query, headers), form) == found


LETTERS_OF_WRITING = {"PUT": "u", "PATCH": "u", "DELETE": "d"}


@given(
    st.sampled_from(sorted(LETTERS_OF_WRITING)),
    st.sampled_from(["Patient", "Task"]),
    st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=64),
)
def test_a_write_takes_its_letter_whatever_the_id(method: str, type_: str, id_: str) -> None:
    assert {(type_, LETTERS_OF_WRITING[method])} == taken(f"{method} /{type_}/{id_}").needs
