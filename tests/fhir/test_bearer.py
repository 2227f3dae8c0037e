"""Claims and scopes → what their bearer may do at a server, and which patient it is about."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.errors import ClaimRejected, Misconfigured
from jwt_guard.fhir.bearer import PATIENT_CLAIMS, checked_claims, patient_of, rights_of
from jwt_guard.fhir.server import Server

BASE = "https://api.example/fhir"
SERVER = Server(BASE, also_known_as=("http://10.0.0.1:8080/r4",))


def credentials(*scopes: str, user: str | None = "ada", client: str | None = "app", **claims: Any) -> Credentials:
    return Credentials(user, client, frozenset(scopes), frozenset(), "ehr", ReadOnly({"iss": "https://id", **claims}))


@pytest.mark.parametrize("value", ["123", "Patient/123", f"{BASE}/Patient/123", "http://10.0.0.1:8080/r4/Patient/123"])
@pytest.mark.parametrize("claim", ["patient", "patient_id"])
def test_a_patient_is_named_by_id_with_the_type_or_with_our_own_base(claim: str, value: str) -> None:
    assert "123" == patient_of(credentials(**{claim: value}), SERVER)


@pytest.mark.parametrize(
    "value",
    ["https://other.example/fhir/Patient/123", "Practitioner/123", "Patient/1/_history/2", "Patient/", "/123", "", " 1",
     "a_b", "..", "x" * 65, "Patient/1?x", 123, ["123"], {"reference": "Patient/1"}, True,
     "https://api.example/fhir/r4/Patient/123", "https://api.example/Patient/123"],
)  # fmt: skip
def test_what_names_no_patient_of_this_server_is_refused(value: object) -> None:
    with pytest.raises(ClaimRejected) as caught:
        patient_of(credentials(patient=value), SERVER)

    assert "patient" == caught.value.claim
    assert "123" not in str(caught.value)


def test_without_a_claim_there_is_no_patient() -> None:
    assert patient_of(credentials(), SERVER) is None
    assert patient_of(credentials(patient=None), SERVER) is None


def test_a_claim_may_be_inside_of_another() -> None:
    assert "123" == patient_of(credentials(launch_response={"patient": "123"}), SERVER)
    assert "123" == patient_of(credentials(ext={"fhir": {"who": "123"}}), SERVER, [("ext", "fhir", "who")])
    assert patient_of(credentials(launch_response="patient"), SERVER) is None


def test_two_claims_that_name_one_patient_are_as_one() -> None:
    assert "123" == patient_of(credentials(patient="123", patient_id="Patient/123"), SERVER)


def test_two_claims_that_name_two_patients_are_refused() -> None:
    with pytest.raises(ClaimRejected, match="two claims name two patients") as caught:
        patient_of(credentials(patient="1", launch_response={"patient": "2"}), SERVER)

    assert "launch_response.patient" == caught.value.claim


def test_who_signed_in_is_the_patient_only_where_that_was_said_and_is_so() -> None:
    claims = (*PATIENT_CLAIMS, "fhirUser")

    assert patient_of(credentials(fhirUser="Patient/1"), SERVER) is None
    assert "1" == patient_of(credentials(fhirUser=f"{BASE}/Patient/1"), SERVER, claims)
    assert patient_of(credentials(fhirUser="Practitioner/1"), SERVER, claims) is None
    assert "2" == patient_of(credentials(patient="2", fhirUser="Practitioner/1"), SERVER, claims)
    with pytest.raises(ClaimRejected, match="two claims"):
        patient_of(credentials(patient="2", fhirUser="Patient/1"), SERVER, claims)
    for value in ("1", "https://other.example/Patient/1", "somebody"):
        with pytest.raises(ClaimRejected):
            patient_of(credentials(fhirUser=value), SERVER, claims)


def test_rights_are_what_the_scopes_say_about_that_patient() -> None:
    rights = rights_of(credentials("patient/Observation.rs", "openid", patient="123"), SERVER)

    assert "123" == rights.patient
    assert rights.may("Observation", "r")
    assert not rights.may("Observation", "u")
    assert not rights.may("Condition", "r")


def test_whoever_has_not_said_who_they_are_may_do_nothing() -> None:
    rights = rights_of(None, SERVER)

    assert rights.patient is None
    assert not any(rights.may(name, letter) for name in ("Patient", "*") for letter in "cruds")


def test_the_words_of_a_server_are_those_of_its_scopes() -> None:
    entra, koppeltaal = Server(BASE, entra_spelling=True), Server(BASE, koppeltaal=True)

    assert rights_of(credentials("patient.Observation.rs", patient="1"), entra).may("Observation", "r")
    assert not rights_of(credentials("patient.Observation.rs", patient="1"), SERVER).may("Observation", "r")
    assert rights_of(credentials("system/Observation.r"), koppeltaal).may("Observation", "s")
    assert not rights_of(credentials("system/Observation.r"), SERVER).may("Observation", "s")


def test_two_tokens_have_one_bearer_where_they_may_do_the_same_in_the_same_name() -> None:
    def bearer(*scopes: str, **more: Any) -> str:
        return rights_of(credentials(*scopes, **more), SERVER).bearer

    one = bearer("patient/*.rs", "openid", patient="1", jti="a")

    assert one == bearer("openid", "patient/*.rs", patient="Patient/1", jti="b")
    others = [
        bearer("patient/*.rs", patient="1"),
        bearer("patient/*.rs", "openid", patient="2"),
        bearer("patient/*.rs", "openid", patient="1", user="bob"),
        bearer("patient/*.rs", "openid", patient="1", user=None),
        bearer("patient/*.rs", "openid", patient="1", client="other"),
        bearer("patient/*.rs", "openid", patient="1", iss="https://else"),
        bearer("patient/*.rs openid", patient="1"),
    ]

    assert len({one, *others}) == len(others) + 1


@pytest.mark.parametrize("claims", [(), "patient", ("",), ((),), ((1,),), (1,), (("a", ""),)])
def test_claims_that_are_none_are_refused_at_start(claims: Any) -> None:
    with pytest.raises(Misconfigured, match="patient_claims"):
        checked_claims(claims)


def test_claims_are_names_or_ways_to_them() -> None:
    assert ("patient", ("a", "b")) == checked_claims(["patient", ["a", "b"]])  # type: ignore[list-item]
