"""``$everything`` of one patient → what may be seen of the record, whoever refers to it."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.interaction import Interaction, Surface, read_interaction
from jwt_guard.fhir.outcome import FORBIDDEN, NOT_FOUND, NOT_SUPPORTED, TOO_COSTLY
from jwt_guard.fhir.record import record
from jwt_guard.fhir.references import Resource
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.server import Limits, Server
from jwt_guard.messages import PlainRequest
from tests.support.fhir_exchanges import BASE, Asked, answer, reference, run

TYPES = frozenset({"Observation", "Patient", "Practitioner", "Condition", "Task"})
SERVER = Server(BASE, surface=Surface(types=TYPES), shared_types=frozenset({"Practitioner"}))
SHORT = Server(
    BASE, surface=SERVER.surface, shared_types=SERVER.shared_types, limits=Limits(page=1, largest_page=1, pages=2)
)
PATIENT: Resource = {"resourceType": "Patient", "id": "A"}
DOCTOR: Resource = {"resourceType": "Practitioner", "id": "p"}


def rights_of(scopes: str, server: Server = SERVER, patient: str | None = "A") -> Rights:
    return Rights(server, granted(scopes.split(), types=TYPES), patient, "x")


ALL = rights_of("patient/*.rs")


def of_a(type_: str, id_: str, subject: str = "Patient/A", **more: Any) -> Resource:
    return {"resourceType": type_, "id": id_, "subject": reference(subject), **more}


def bundle(*resources: Resource) -> Answered:
    return answer({"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]})


def everything(*answers: Answered, target: str = "/Patient/A/$everything", rights: Rights = ALL) -> Asked:
    path, _, query = target.partition("?")
    interaction = read_interaction(PlainRequest("GET", path, query), None, SERVER.surface)
    assert isinstance(interaction, Interaction), interaction
    return run(record(interaction, rights), *answers)


def ids(asked: Asked) -> list[str]:
    assert isinstance(asked.result, list), asked.stopped
    return [f"{each['resourceType']}/{each['id']}" for each in asked.result]


def test_each_type_is_searched_for_and_the_patient_stands_first() -> None:
    mine = [of_a("Observation", "2"), of_a("Observation", "1")]
    asked = everything(answer(PATIENT), bundle(of_a("Condition", "c")), bundle(*mine), bundle(PATIENT))

    assert ["Patient/A", "Condition/c", "Observation/1", "Observation/2"] == ids(asked)
    assert [
        "GET /Patient/A",
        "GET /Condition?patient=Patient/A&_count=1000",
        "GET /Observation?patient=Patient/A&_count=1000",
        "GET /Patient?_id=A&_count=1000",
    ] == asked.lines


def test_what_is_anothers_is_left_out() -> None:
    theirs = of_a("Observation", "b", "Patient/B", performer=[reference("Practitioner/of-b")])
    asked = everything(
        answer(PATIENT), bundle(), bundle(theirs, DOCTOR), bundle(PATIENT, {"resourceType": "Patient", "id": "B"})
    )

    assert ["Patient/A"] == ids(asked)


def test_what_is_shared_is_given_where_the_record_refers_to_it() -> None:
    mine = of_a("Observation", "1", performer=[reference("Practitioner/p")])
    asked = everything(answer(PATIENT), bundle(), bundle(mine), bundle(PATIENT), bundle(DOCTOR, {**DOCTOR, "id": "q"}))

    assert ["Patient/A", "Observation/1", "Practitioner/p"] == ids(asked)
    assert "GET /Practitioner?_id=p&_count=1000" == asked.lines[-1]


def test_what_the_server_has_not_is_missing() -> None:
    assert ["Patient/A"] == ids(everything(answer(PATIENT), answer(status=404), answer(status=404), bundle(PATIENT)))


def test_types_and_since_are_what_was_asked_for() -> None:
    asked = everything(
        answer(PATIENT), bundle(of_a("Observation", "1", performer=[reference("Practitioner/p")])),
        target="/Patient/A/$everything?_type=Observation&_since=2020-01-01&_count=1",
    )  # fmt: skip

    assert ["Patient/A", "Observation/1"][1:] == ids(asked)
    assert "GET /Observation?_lastUpdated=ge2020-01-01&patient=Patient/A&_count=1000" == asked.lines[1]


def test_a_type_that_is_shared_is_looked_for_in_all_of_the_record() -> None:
    mine = of_a("Condition", "1", asserter=reference("Practitioner/p"))
    target = "/Patient/A/$everything?_type=Practitioner"
    asked = everything(answer(PATIENT), bundle(mine), bundle(), bundle(PATIENT), bundle(DOCTOR), target=target)

    assert ["Practitioner/p"] == ids(asked)


def test_both_letters_are_needed_and_r_for_the_patient() -> None:
    rights = rights_of("patient/Patient.r patient/Observation.rs patient/Condition.s patient/Practitioner.r")
    mine = of_a("Observation", "1", performer=[reference("Practitioner/p")])
    asked = everything(answer(PATIENT), bundle(mine), bundle(DOCTOR), rights=rights)

    assert ["Observation/1"] == ids(asked)


def test_each_letter_has_its_own_scopes() -> None:
    rights = rights_of("patient/Patient.r patient/Observation.s patient/Observation.r?status=final")
    drafts = [of_a("Observation", "1", status="draft"), of_a("Observation", "2", status="final")]

    assert ["Observation/2"] == ids(everything(answer(PATIENT), bundle(*drafts), rights=rights))


@pytest.mark.parametrize(
    "answers",
    [(answer(status=404),), (answer(status=410),), (answer({**PATIENT, "gender": "male"}),)],
)
def test_without_a_patient_who_may_be_read_there_is_nothing(answers: tuple[Answered, ...]) -> None:
    rights = rights_of("patient/Patient.rs?gender=female patient/Observation.rs")

    assert NOT_FOUND == everything(*answers, rights=rights).problem


@pytest.mark.parametrize(
    ("target", "scopes"),
    [
        ("/Patient/B/$everything", "patient/*.rs"),
        ("/Patient/$everything", "patient/*.rs"),
        ("/Encounter/A/$everything", "patient/*.rs"),
        ("/Patient/A/$everything", "patient/Observation.rs"),
        ("/Patient/A/$everything", "patient/Patient.s patient/Observation.rs"),
        ("/Patient/A/$everything", "user/Observation.rs"),
    ],
)
def test_for_others_nobody_is_asked(target: str, scopes: str) -> None:
    path = Surface(types=TYPES | {"Encounter"})
    interaction = read_interaction(PlainRequest("GET", target), None, path)
    assert isinstance(interaction, Interaction)
    asked = run(record(interaction, rights_of(scopes)))

    assert (FORBIDDEN, []) == (asked.problem, asked.lines)


def test_who_may_see_more_patients_gets_the_record_of_one_and_what_is_anothers_is_none_of_it() -> None:
    rights = rights_of("user/Patient.rs user/Observation.rs", patient=None)
    other = {**PATIENT, "id": "B"}
    observations = [of_a("Observation", "1", "Patient/B", focus=[reference("Observation/2")]), of_a("Observation", "2")]
    asked = everything(
        answer(other), bundle(*observations), bundle(other, PATIENT),
        target="/Patient/B/$everything", rights=rights,
    )  # fmt: skip

    assert ["Patient/B", "Observation/1"] == ids(asked)


@pytest.mark.parametrize("query", ["start=2020", "end=2020", "_typeFilter=x", "unknown=1"])
def test_what_nobody_could_check_is_not_asked_for(query: str) -> None:
    assert NOT_SUPPORTED == everything(target=f"/Patient/A/$everything?{query}").problem


def test_a_record_that_is_too_long_is_not_given_in_part() -> None:
    page = [bundle(*(of_a("Condition", f"{each}") for each in range(3)))]
    asked = everything(answer(PATIENT), *page, rights=rights_of("patient/*.rs", SHORT))

    assert TOO_COSTLY == asked.problem
