"""The access tokens of SMART servers → credentials and the context of the launch, or why they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Provider, jwks, verify
from jwt_guard.access.explain import explain
from jwt_guard.access.fhir_references import FhirReference
from jwt_guard.access.smart import LaunchContext, context
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.errors import ClaimRejected, KeysUnavailable, Misconfigured
from jwt_guard.providers import smart
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from tests.support.issuers import JWT, KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, NOW
from tests.support.playing import play, reply

ISSUER = "https://auth.ehr.test"
FHIR = "https://ehr.test/fhir"
ELSEWHERE = "https://other.test/fhir"
CONFIGURATION = f"{FHIR}/.well-known/smart-configuration"


def said(**changes: Any) -> dict[str, Any]:
    """Return the claims of a launch by a practitioner, for one patient."""
    return {
        "iss": ISSUER,
        "aud": FHIR,
        "sub": "ada",
        "client_id": "growth-chart-app",
        "scope": "launch openid fhirUser patient/Observation.rs",
        "patient": "123",
        "encounter": "e-7",
        "fhirUser": f"{FHIR}/Practitioner/9",
        **TIMES,
        **changes,
    }


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": ISSUER, "audience": FHIR, "keys": KEYS}
    return smart(**{**good, **changes})


def read(claims: dict[str, Any], of: Provider | None = None, fhir_base: str | None = None) -> LaunchContext:
    return context(verify(guarding(of or provider()), token(claims, JWT)), fhir_base)


# --- who it is ---------------------------------------------------------------------------------------


def test_an_app_that_was_launched_acts_for_somebody() -> None:
    scopes = {"launch", "openid", "fhirUser", "patient/Observation.rs"}

    assert Who("ada", "growth-chart-app", scopes, set(), "smart") == who(provider(), said())
    assert scopes == who(provider(), said(), {"typ": "at+jwt"}).scopes


def test_a_backend_service_is_nobodys_user() -> None:
    machine = said(
        sub="bili-monitor", client_id="bili-monitor", scope="system/Observation.rs", patient=ABSENT, encounter=ABSENT,
        fhirUser=ABSENT,
    )  # fmt: skip

    assert Who(None, "bili-monitor", {"system/Observation.rs"}, set(), "smart") == who(provider(), machine)


def test_scopes_may_be_a_list_and_the_client_azp() -> None:
    found = who(provider(), said(scope=ABSENT, scp=["user/Patient.r"], client_id=ABSENT, azp="app", roles=["admin"]))

    assert ("app", {"user/Patient.r"}, set()) == (found.client, found.scopes, found.roles)


def test_a_token_is_for_this_fhir_server() -> None:
    assert "ada" == who(provider(), said(aud=[ELSEWHERE, FHIR])).user
    for audience in (ELSEWHERE, f"{FHIR}/", "https://ehr.test", "growth-chart-app", FHIR.upper(), ABSENT):
        assert "aud" == why_not(provider(), said(aud=audience)), audience
    both = provider(audience=[FHIR, f"{FHIR}/"])

    assert "ada" == who(both, said()).user == who(both, said(aud=f"{FHIR}/")).user


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": ABSENT}, "scope or scp"),
        ({"scope": ""}, "scope or scp"),
        ({"scope": ABSENT, "scp": []}, "scope or scp"),
        ({"exp": ABSENT}, "exp"),
        ({"at_hash": "x"}, "at_hash"),
        ({"scope": ABSENT, "nonce": "n"}, "scope or scp"),
        ({"scope": ABSENT, "client_id": ABSENT, "nonce": "n"}, "nonce"),
        ({"iss": ELSEWHERE}, "UnknownIssuer"),
    ],
)
def test_what_is_no_access_token_with_scopes_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert expected == why_not(provider(), said(**changes))


def test_rules_of_ones_own_come_on_top() -> None:
    assert "acr" == why_not(provider(extra_rules=[has("acr")]), said())
    assert "patient" == why_not(provider(extra_rules=[has("acr")]), said(patient="a b", acr="x"))


# --- the context of the launch -----------------------------------------------------------------------


@pytest.mark.parametrize("patient", ["123", "Patient/123", f"{FHIR}/Patient/123"])
@pytest.mark.parametrize("encounter", ["e-7", "Encounter/e-7", f"{FHIR}/Encounter/e-7"])
def test_the_context_is_the_same_in_each_spelling(patient: str, encounter: str) -> None:
    found = read(said(patient=patient, encounter=encounter))

    assert LaunchContext("123", "e-7", FhirReference("Practitioner", "9", FHIR)) == found


def test_there_may_be_no_context() -> None:
    assert LaunchContext() == read(said(patient=ABSENT, encounter=ABSENT, fhirUser=ABSENT))


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "1 2", "..",
        "Patient/..", "Practitioner/1", "Patient/", "/1", "Patient/1/_history/2", "x" * 65, "a%2Fb",
        f"{ELSEWHERE}/Patient/1", f"{FHIR}//Patient/1", f"{FHIR}/x/Patient/1", f"{FHIR}/Practitioner/1", 123, None,
        True, ["123"], {"reference": "Patient/1"},
    ],
    ids=ascii,
)  # fmt: skip
def test_a_patient_is_one_of_this_server_or_the_token_is_refused(value: Any) -> None:
    assert "patient" == why_not(provider(), said(patient=value))


@pytest.mark.parametrize("value", ["", "Patient/1", f"{ELSEWHERE}/Encounter/1", 1, None], ids=ascii)
def test_an_encounter_is_one_of_this_server(value: Any) -> None:
    assert "encounter" == why_not(provider(), said(encounter=value))


@pytest.mark.parametrize("value", ["", "9", "Device/9", f"{ELSEWHERE}/Practitioner/9", None], ids=ascii)
def test_a_fhir_user_is_a_person_of_this_server(value: Any) -> None:
    assert "fhirUser" == why_not(provider(), said(fhirUser=value))


def test_a_patient_of_another_audience_of_the_token_is_not_ours() -> None:
    """A token for two servers: what the other one calls Patient/1 is somebody else here."""
    assert "patient" == why_not(provider(), said(aud=[FHIR, ELSEWHERE], patient=f"{ELSEWHERE}/Patient/1"))


def test_a_server_has_the_same_patients_with_a_slash_at_its_end() -> None:
    both = provider(audience=[f"{FHIR}/"])

    assert "1" == read(said(aud=f"{FHIR}/", patient=f"{FHIR}/Patient/1"), both).patient


def test_which_server_is_ours_is_said_where_the_token_names_several() -> None:
    several = said(aud=[FHIR, ELSEWHERE], patient=f"{FHIR}/Patient/1")

    assert "1" == read(several, fhir_base=f"{FHIR}/").patient
    for base in (None, ELSEWHERE):
        with pytest.raises(ClaimRejected) as caught:
            read(several, fhir_base=base)

        assert "patient" == caught.value.claim


@pytest.mark.parametrize(
    "claims",
    [
        {"patient": f"{FHIR}/Patient/1"}, {"aud": 5, "patient": f"{FHIR}/Patient/1"}, {"patient": "Device/1"},
        {"aud": [{}], "patient": f"{FHIR}/Patient/1"}, {"encounter": ""}, {"fhirUser": "1"},
        {"aud": ELSEWHERE, "patient": f"{FHIR}/Patient/1"},
    ],
)  # fmt: skip
def test_credentials_that_nobody_looked_at_are_looked_at_when_they_are_read(claims: dict[str, Any]) -> None:
    nobody: frozenset[str] = frozenset()

    with pytest.raises(ClaimRejected):
        context(Credentials("ada", None, nobody, nobody, "careless", ReadOnly(claims)))


def test_whom_an_app_was_launched_for_is_in_no_log() -> None:
    found = read(said(patient="ada-4711", encounter="e-4711", fhirUser="Patient/ada-4711"))

    assert "4711" not in repr(found)
    with pytest.raises(ClaimRejected) as caught:
        read(said(patient="Device/ada-4711"))
    assert "4711" not in f"{caught.value} {caught.value.advice}"


def test_every_rule_is_explained() -> None:
    explained = play(lambda: explain(guarding(provider()), token(said(), JWT), now=NOW)).value

    assert "ok" == explained.verdict
    assert {"scope", "patient", "fhirUser"} <= {step.about for step in explained.steps}


# --- where its keys are ------------------------------------------------------------------------------


def found_at(of: Provider, *answers: Any) -> Any:
    return play(lambda: guarding(of).verified(token(said(), JWT)), *answers)


METADATA = {"issuer": ISSUER, "jwks_uri": "https://auth.ehr.test/keys"}
OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
PUBLISHED = {"keys": [public_jwk("RS256", kid="a")]}


def test_the_issuer_says_where_its_keys_are() -> None:
    played = found_at(provider(keys=None), reply(METADATA), reply(PUBLISHED))

    assert "ada" == played.value.user
    assert [OPENID, METADATA["jwks_uri"]] == played.fetched


def test_else_the_fhir_server_says_it() -> None:
    played = found_at(provider(keys=None), reply({}, 404), reply({}, 404), reply(METADATA), reply(PUBLISHED))

    assert "ada" == played.value.user
    assert [OPENID, OAUTH, CONFIGURATION, METADATA["jwks_uri"]] == played.fetched


@pytest.mark.parametrize("issuer", [None, "https://evil.test", f"{ISSUER}/", FHIR], ids=ascii)
def test_the_fhir_server_must_name_the_issuer(issuer: str | None) -> None:
    document = reply({**METADATA, "issuer": issuer})

    played = found_at(provider(keys=None), reply({}, 404), reply({}, 404), document)

    assert isinstance(played.error, KeysUnavailable)
    assert METADATA["jwks_uri"] not in played.fetched


def test_only_servers_that_may_be_asked_are_asked() -> None:
    inside = "http://fhir:8080/r4"
    silent = provider(keys=None, audience=[inside, FHIR]).source
    allowed = provider(keys=None, audience=inside, settings=KeySettings(plain_http_hosts=frozenset({"fhir"}))).source

    assert isinstance(silent, RemoteKeys)
    assert isinstance(allowed, RemoteKeys)
    assert f"discovery {OPENID} {ISSUER} {CONFIGURATION}" == silent._name
    assert f"discovery {OPENID} {ISSUER} {inside}/.well-known/smart-configuration" == allowed._name


def test_keys_that_are_elsewhere_are_asked_for_there_alone() -> None:
    there = provider(keys=jwks("https://keys.test/jwks")).source

    assert isinstance(there, RemoteKeys)
    assert "jwks https://keys.test/jwks" == there._name


def test_equal_words_make_equal_providers() -> None:
    assert provider() == provider() != provider(audience=ELSEWHERE)
    assert provider(keys=None).extra_rules == provider().extra_rules


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": "orders"}, {"audience": ""}, {"audience": []}, {"audience": [FHIR, "orders"]}, {"audience": None},
        {"audience": 5},
        {"audience": f"{FHIR}?tenant=1"}, {"issuer": ""}, {"issuer": "http://auth.ehr.test", "keys": None},
        {"settings": KeySettings()},
    ],
    ids=ascii,
)  # fmt: skip
def test_a_mistake_is_said_at_the_start(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        provider(**changes)
