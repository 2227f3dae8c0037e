"""``$name`` at a place → what it takes; all that is not listed is refused."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.fhir.interaction import Interaction, Refusal, read_interaction
from jwt_guard.fhir.surface import Surface
from jwt_guard.messages import PlainRequest

LISTED = Surface(operations={"$lookup": "r", "Observation/$lastn": "rs", "Observation/$lookup": "rc"})


def asked(line: str, surface: Surface | None = None) -> Interaction | Refusal:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    return read_interaction(PlainRequest(method, path, query), None, surface or Surface())


def taken(line: str, surface: Surface | None = None) -> Interaction:
    found = asked(line, surface)
    assert isinstance(found, Interaction), found
    return found


# (request, kind, letters, types: "*" for every one)
OPERATIONS = [
    ("GET /Patient/1/$everything", "everything", "rs", "*"),
    ("POST /Patient/1/$everything", "everything", "rs", "*"),
    ("HEAD /Patient/1/$everything?_since=2020", "everything", "rs", "*"),
    ("GET /Patient/$everything", "everything", "rs", "*"),
    ("GET /Encounter/1/$everything?_type=Observation", "everything", "rs", "Encounter Observation"),
    ("GET /Patient/1/$everything?_type=Observation,Flag&_count=5&start=2020", "everything", "rs",
     "Flag Observation Patient"),
    # What its body says nobody looks at, and what an unknown parameter adds nobody knows.
    ("POST /Patient/1/$everything?_type=Observation", "everything", "rs", "*"),
    ("GET /Patient/1/$everything?_type=Observation&more=all", "everything", "rs", "*"),
    ("GET /$export", "export", "rs", "*"),
    ("POST /$export?_type=Observation", "export", "rs", "*"),
    ("GET /$export?_type=Observation", "export", "rs", "Observation"),
    ("GET /Patient/$export", "export", "rs", "*"),
    ("GET /Patient/$export?_type=Observation&_outputFormat=ndjson", "export", "rs", "Observation Patient"),
    ("GET /Group/7/$export?_type=Observation&_type=Flag", "export", "rs", "Flag Group Observation Patient"),
    ("GET /Group/7/$export?_type=Flag&includeAssociatedData=LatestProvenanceResources", "export", "rs", "*"),
    ("POST /Observation/$validate?mode=create", "validate", "c", "Observation"),
    ("POST /Observation/1/$validate", "validate", "ru", "Observation"),
    ("GET /Observation/1/$validate?profile=x", "validate", "ru", "Observation"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "letters", "types"), OPERATIONS)
def test_an_operation_that_is_known_takes_what_it_answers_with(line: str, kind: str, letters: str, types: str) -> None:
    found = taken(line)

    assert kind == found.kind
    assert frozenset(letters) == found.letters
    assert (None if types == "*" else frozenset(types.split())) == found.types
    assert line.partition("?")[0].rpartition("/")[2] == found.operation


def test_an_operation_says_where_it_is() -> None:
    system, whole, one = taken("GET /$export"), taken("GET /Patient/$export"), taken("GET /Group/7/$export")

    assert (None, None) == (system.type, system.id)
    assert ("Patient", None) == (whole.type, whole.id)
    assert ("Group", "7") == (one.type, one.id)


@pytest.mark.parametrize(
    "line",
    [
        "GET /$everything", "GET /Observation/1/$everything", "GET /Encounter/$everything", "GET /Group/1/$everything",
        "GET /Patient/1/$export", "GET /Group/$export", "GET /Observation/$export", "POST /$validate",
        "POST /Observation/1/$my-op", "GET /$graphql", "POST /Patient/$graphql", "GET /Patient/1/$graphql",
        "POST /Observation/$EVERYTHING", "GET /$", "POST /$reindex", "POST /Patient/$match", "POST /$expunge",
        "GET /Patient/1/$everything$", "GET /Patient/$export-poll-status?_jobId=1", "POST /$process-message",
        "GET /Patient/$export-poll-status", "GET /Observation/$lastn", "GET /Patient/1/$Everything",
    ],
)  # fmt: skip
def test_an_operation_that_is_not_listed_is_refused(line: str) -> None:
    found = asked(line)

    assert isinstance(found, Refusal)
    assert "operation" == found.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("DELETE /Patient/1/$everything", "method"),
        ("PUT /$export", "method"),
        ("PATCH /Observation/$validate", "method"),
        ("GET /Observation/$validate", "method"),
        ("get /$export", "method"),
        ("GET /$export?_type=nobody", "type"),
        ("GET /$export?_type=", "type"),
        ("GET /Patient/1/$everything?_type=Observation,", "type"),
        ("GET /nobody/$export", "type"),
        ("GET /Patient/a_b/$everything", "id"),
        ("GET /Patient/1/$everything?_getpages=1", "parameters"),
        ("GET /Patient/1/$everything/x", "path"),
        ("GET /$export/x", "type"),
        ("GET /Patient/$export/x", "id"),
    ],
)
def test_what_a_known_operation_cannot_be_is_refused(line: str, why: str) -> None:
    found = asked(line)

    assert isinstance(found, Refusal)
    assert why == found.why


# --- how an export is getting on ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("GET /_operations/export/9f-1", "export-status"),
        ("HEAD /_operations/export/9f-1?_format=json", "export-status"),
        ("DELETE /_operations/export/9f-1", "export-cancel"),
        ("GET /$export-poll-status?_jobId=9f-1", "export-status"),
        ("DELETE /$export-poll-status?_jobId=9f-1", "export-cancel"),
    ],
)
def test_of_a_job_nobody_knows_what_it_exports(line: str, kind: str) -> None:
    found = taken(line)

    assert (kind, "9f-1", None, frozenset("rs")) == (found.kind, found.id, found.types, found.letters)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("POST /_operations/export/9f-1", "method"),
        ("PUT /$export-poll-status?_jobId=9f-1", "method"),
        ("POST /$export-poll-status?_jobId=9f-1", "method"),
        ("GET /_operations/export/a:b", "id"),
        ("GET /$export-poll-status?_jobId=", "id"),
        ("GET /$export-poll-status?_jobId=a/b", "id"),
        ("GET /_operations/export/9f-1?a=b", "parameters"),
        ("GET /$export-poll-status", "parameters"),
        ("GET /$export-poll-status?_jobId=1&_jobId=2", "parameters"),
        ("GET /$export-poll-status?_jobId=1&a=b", "parameters"),
        ("GET /$export-poll-status?_jobId:x=1", "parameters"),
        ("GET /_operations/export", "type"),
        ("GET /_operations/export/1/2", "type"),
        ("GET /_operations/import/1", "type"),
    ],
)
def test_what_is_no_status_of_a_job_is_refused(line: str, why: str) -> None:
    found = asked(line)

    assert isinstance(found, Refusal)
    assert why == found.why


def test_where_jobs_are_the_server_says() -> None:
    surface = Surface(jobs=("/bulkstatus", "/jobs/of/mine/"))

    assert "export-status" == taken("GET /bulkstatus/1", surface).kind
    assert "export-status" == taken("GET /jobs/of/mine/1", surface).kind
    assert isinstance(asked("GET /_operations/export/1", surface), Refusal)


# --- further operations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "letters", "types"),
    [
        ("GET /$lookup", "r", "*"),
        ("POST /Patient/$lookup", "r", "Patient"),
        ("POST /Patient/1/$lookup", "r", "Patient"),
        ("GET /Observation/$lastn?max=1", "rs", "Observation"),
        ("GET /Observation/1/$lookup", "rc", "Observation"),
    ],
)
def test_a_listed_operation_takes_the_letters_that_the_list_says(line: str, letters: str, types: str) -> None:
    found = taken(line, LISTED)

    assert ("operation", frozenset(letters)) == (found.kind, found.letters)
    assert (None if types == "*" else {types}) == found.types


@pytest.mark.parametrize("line", ["GET /$lastn", "GET /Patient/$lastn", "GET /Observation/$other"])
def test_an_operation_is_listed_for_its_type_alone(line: str) -> None:
    assert isinstance(asked(line, LISTED), Refusal)


@pytest.mark.parametrize(
    "more",
    [
        {"types": frozenset()},
        {"operations": {"lookup": "r"}},
        {"operations": {"$lookup": ""}},
        {"operations": {"$lookup": "rx"}},
        {"operations": {"$lookup": None}},
        {"operations": {"$": "r"}},
        {"operations": {"/$lookup": "r"}},
        {"operations": {"Nobody/$lookup": "r"}},
        {"operations": {"Patient/1/$lookup": "r"}},
        {"operations": {"$everything": "r"}},
        {"operations": {"Observation/$export": "r"}},
        {"operations": {"Group/$validate": "r"}},
        {"operations": {"$export-poll-status": "r"}},
        {"jobs": ("",)},
        {"jobs": ("/",)},
        {"jobs": ("jobs",)},
        {"jobs": ("/a/../b",)},
        {"jobs": ("/Patient",)},
        {"jobs": ("/Patient/1",)},
    ],
)
def test_a_surface_that_opens_more_than_it_says_is_a_mistake(more: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        Surface(**more)


def test_a_surface_without_jobs_has_none() -> None:
    assert isinstance(asked("GET /_operations/export/1", Surface(jobs=())), Refusal)


def test_what_is_listed_cannot_change_afterwards() -> None:
    operations = {"$lookup": "r"}
    surface = Surface(operations=operations)
    operations["$graphql"] = "r"

    assert isinstance(asked("GET /$graphql", surface), Refusal)
