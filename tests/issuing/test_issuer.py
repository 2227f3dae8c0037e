"""Claims → tokens, that a guard and RFC 9068 agree on."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from jwt_guard import Guard, Provider, rfc9068, verify
from jwt_guard.errors import ClaimRejected, Expired, Misconfigured, UnknownKey
from jwt_guard.issuing import issuer as module
from jwt_guard.issuing.issuer import HTI_ALGORITHMS, Issuer, sign
from jwt_guard.issuing.keyring import Keyring, Rotation, make
from jwt_guard.sources.fixed import FixedKeys, fixed
from jwt_guard.tokens.claims import id_token
from jwt_guard.tokens.keys import KeySet
from tests.support.keys import ALGORITHMS, ASYMMETRIC, decode

URL = "https://id.test"
NOW = 1_800_000_000.75


def issuer(alg: str = "ES256") -> Issuer:
    return Issuer(URL, Keyring(make(alg, "a")), lambda: NOW)


def guard(of: Issuer, now: float = NOW) -> Guard:
    return Guard([rfc9068(URL, "orders", keys=fixed(of.keyring.jwks()))], clock=lambda: now)


def header(token: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(decode(token.partition(".")[0]))
    return said


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_guard_takes_what_an_issuer_makes(alg: str) -> None:
    by = issuer(alg)

    who = verify(guard(by), by.access_token("ada", "orders", "orders:read orders:write", "webshop", roles=["ops"]))

    assert ("ada", "webshop") == (who.user, who.client)
    assert {"orders:read", "orders:write"} == who.scopes
    assert {"ops"} == who.roles


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_guard_takes_what_a_key_signs(alg: str) -> None:
    key = make(alg)
    keys = FixedKeys(KeySet((key.verifying,)))
    claims = {"iss": URL, "aud": "orders", "sub": "ada", "client_id": "c", "iat": 1, "exp": NOW + 1, "jti": "1"}

    assert "ada" == verify(Guard([rfc9068(URL, "orders", keys=keys)], clock=lambda: NOW), sign(key, claims)).user


def test_an_access_token_says_what_rfc_9068_asks_for() -> None:
    token = issuer().access_token("ada", ["orders", "billing"], ["a", "b"], "webshop", 60, acr="1")

    said = jwt.decode(token, options={"verify_signature": False})
    assert len(said.pop("jti")) >= 16
    assert {
        "iss": URL,
        "sub": "ada",
        "aud": ["orders", "billing"],
        "client_id": "webshop",
        "scope": "a b",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "acr": "1",
    } == said
    assert {"alg": "ES256", "kid": "a", "typ": "at+jwt"} == header(token)


def test_no_two_tokens_have_one_jti() -> None:
    by = issuer()
    tokens = [by.access_token("ada", "orders", "", "webshop") for _ in range(3)]

    said = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert 3 == len({each["jti"] for each in said})
    assert all("scope" not in each for each in said)


def test_a_token_lives_as_long_as_it_was_given() -> None:
    by = issuer()
    token = by.access_token("ada", "orders", "a", "webshop", 60)

    assert "ada" == verify(guard(by, NOW + 89), token).user
    with pytest.raises(Expired):
        verify(guard(by, NOW + 91), token)


@pytest.mark.parametrize("claim", ["iss", "iat", "exp"])
def test_what_the_issuer_says_cannot_be_said_otherwise(claim: str) -> None:
    with pytest.raises(ValueError, match=claim):
        issuer().access_token("ada", "orders", "a", "webshop", **{claim: 1})


def test_after_a_rotation_both_keys_are_taken_until_the_old_one_retires() -> None:
    by = issuer()
    old = by.access_token("ada", "orders", "a", "webshop")
    by.keyring.rotate()
    new = by.access_token("ada", "orders", "a", "webshop")

    assert ["ada", "ada"] == [verify(guard(by), token).user for token in (old, new)]
    by.keyring.retire("a")
    with pytest.raises(UnknownKey):
        verify(guard(by), old)
    assert "ada" == verify(guard(by), new).user


def test_a_header_can_say_more_but_not_otherwise() -> None:
    key = make("ES256", "a")

    assert {"alg": "ES256", "kid": "a", "jku": "https://x.test"} == header(
        sign(key, {}, typ=None, header={"jku": "https://x.test"})
    )
    for name in ("alg", "kid", "typ"):
        with pytest.raises(ValueError, match="come from the key"):
            sign(key, {}, header={name: "none"})


def test_a_secret_without_a_name_names_none() -> None:
    assert {"alg": "HS256", "typ": "JWT"} == header(sign(make("HS256"), {}, typ="JWT"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_signed(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        sign(make("ES256"), {"n": value})


def test_text_of_any_script_arrives() -> None:
    by = issuer()

    assert "Zoë 🦊" == verify(guard(by), by.access_token("Zoë 🦊", "orders", "a", "webshop")).user


@pytest.mark.parametrize("url", ["", " https://id.test", None])
def test_an_issuer_has_a_name(url: Any) -> None:
    with pytest.raises(Misconfigured):
        Issuer(url, Keyring(make("ES256")))


# --- ID tokens ---------------------------------------------------------------------------------------


def said_by(token: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(decode(token.split(".")[1]))
    return values


def test_an_id_token_says_what_openid_connect_asks_for() -> None:
    token = issuer("RS256").id_token(
        "ada", "webshop", 60, nonce="n", auth_time=NOW - 5.5, azp="webshop", fhirUser="Practitioner/7"
    )

    said = said_by(token)
    assert len(said.pop("jti")) >= 16
    assert {
        "iss": URL,
        "sub": "ada",
        "aud": "webshop",
        "nonce": "n",
        "azp": "webshop",
        "auth_time": 1_799_999_995,
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "fhirUser": "Practitioner/7",
    } == said
    assert {"alg": "RS256", "kid": "a", "typ": "JWT"} == header(token)


@pytest.mark.parametrize("alg", ["RS256", "ES384", "EdDSA", "ML-DSA-44"])
def test_an_id_token_is_checked_as_any_token_is_and_is_no_access_token(alg: str) -> None:
    by = issuer(alg)
    token = by.id_token("ada", "orders", nonce="n")

    assert "ada" == verify(Guard([google_like(by)], clock=lambda: NOW), token).user
    with pytest.raises(ClaimRejected):
        verify(guard(by), token)


def google_like(by: Issuer) -> Provider:
    return Provider("login", URL, "orders", keys=fixed(by.keyring.jwks()), kind=id_token())


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ""},
        {"subject": 256 * "a"},
        {"subject": "Zoë"},
        {"subject": None},
        {"client": ""},
        {"client": ["webshop"]},
        {"lifetime": 0},
        {"lifetime": -1},
        {"lifetime": 1.5},
        {"lifetime": True},
        {"nonce": ""},
        {"azp": ""},
        {"auth_time": NOW + 1},
        {"auth_time": 0},
        {"auth_time": True},
        {"auth_time": float("nan")},
        {"iat": 1},
        {"aud": "other"},
    ],
)
def test_an_id_token_that_makes_no_sense_is_not_made(change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"subject": "ada", "client": "webshop", **change}

    with pytest.raises(ValueError, match=f"{next(iter(change))}|claims have"):
        issuer().id_token(**usual)


# --- launch tokens -----------------------------------------------------------------------------------

TASK = {"resourceType": "Task", "id": "11", "status": "requested", "intent": "plan", "for": {"reference": "Patient/9"}}


@pytest.mark.parametrize("alg", HTI_ALGORITHMS)
def test_a_launch_token_says_what_hti_2_asks_for(alg: str) -> None:
    token = issuer(alg).hti_launch(
        "Practitioner/7",
        "Device/123",
        "Task/11",
        definition="ActivityDefinition/5",
        patient="Patient/9",
        intent="plan",
        idp_hint="hospital",
    )

    said = said_by(token)
    assert len(said.pop("jti")) >= 16
    assert {
        "iss": URL,
        "sub": "Practitioner/7",
        "aud": "Device/123",
        "resource": "Task/11",
        "hti-version": "2.0",
        "definition": "ActivityDefinition/5",
        "patient": "Patient/9",
        "intent": "plan",
        "iat": 1_800_000_000,
        "exp": 1_800_000_300,
        "idp_hint": "hospital",
    } == said
    assert {"alg": alg, "kid": "a", "typ": "JWT"} == header(token)


def test_a_launch_token_says_what_hti_1_1_asks_for() -> None:
    said = said_by(issuer().hti_launch("Patient/9", "Device/123", task=TASK, fhir_version="R4"))

    assert (TASK, "R4") == (said["task"], said["fhir-version"])
    assert {"resource", "hti-version", "definition", "patient", "intent"}.isdisjoint(said)
    assert "fhir-version" not in said_by(issuer().hti_launch("Patient/9", "Device/123", task=TASK))


@pytest.mark.parametrize("alg", sorted({*ASYMMETRIC} - {*HTI_ALGORITHMS}))
def test_a_launch_token_is_signed_with_what_every_module_knows(alg: str) -> None:
    with pytest.raises(ValueError, match="signed with one of"):
        issuer(alg).hti_launch("Patient/9", "Device/123", "Task/11")


def test_a_launch_token_is_never_signed_with_a_secret() -> None:
    with pytest.raises(Misconfigured, match="secret"):
        issuer("HS256")


def test_a_launch_token_lives_longer_only_where_somebody_says_so_at_length() -> None:
    with pytest.raises(ValueError, match="300 seconds"):
        issuer().hti_launch("Patient/9", "Device/123", "Task/11", lifetime=301)

    token = issuer().hti_launch("Patient/9", "Device/123", "Task/11", lifetime=900, longer_than_hti_allows=True)
    assert 900 == said_by(token)["exp"] - said_by(token)["iat"]


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "1234567890"},
        {"subject": "patient/9"},
        {"subject": "Patient/9/_history/1"},
        {"subject": "https://fhir.test/Patient/9"},
        {"subject": "Patient/9\n"},
        {"audience": ""},
        {"audience": ["Device/1"]},
        {"resource": "11"},
        {"resource": None},
        {"resource": ""},
        {"resource": "Task/11", "task": TASK},
        {"fhir_version": "R4"},
        {"definition": ""},
        {"patient": "9"},
        {"intent": ""},
        {"lifetime": 0},
        {"resource": None, "task": "Task/11"},
        {"resource": None, "task": {**TASK, "resourceType": "Patient"}},
        {"resource": None, "task": {**TASK, "id": ""}},
        {"resource": None, "task": {**TASK, "status": None}},
        {"resource": None, "task": {**TASK, "intent": 1}},
        {"resource": None, "task": {**TASK, "for": {}}},
        {"resource": None, "task": {**TASK, "for": "Patient/9"}},
        {"resource": None, "task": TASK, "patient": "Patient/9"},
        {"resource": None, "task": TASK, "fhir_version": "R9"},
        {"hti-version": "1.1"},
        {"resource": None, "task": TASK, "hti-version": "2.0"},
        {"exp": 1},
    ],
)
def test_a_launch_token_that_makes_no_sense_is_not_made(change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"subject": "Patient/9", "audience": "Device/1", "resource": "Task/11"}

    with pytest.raises(ValueError, match=r"HTI|audience|lifetime|definition|intent|claims have") as caught:
        issuer().hti_launch(**{**usual, **change})
    assert "Patient/9" not in str(caught.value)


# --- any other kind ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_token_of_any_kind_has_a_beginning_an_end_and_a_name(alg: str) -> None:
    by = issuer(alg)
    token = by.token({"sub": "ada", "events": {"x": {}}}, typ="secevent+jwt", lifetime=30)

    said = said_by(token)
    assert len(said.pop("jti")) >= 16
    assert {"iss": URL, "sub": "ada", "events": {"x": {}}, "iat": 1_800_000_000, "exp": 1_800_000_030} == said
    assert {"alg": alg, "kid": "a", "typ": "secevent+jwt"} == header(token)
    assert "mine" == said_by(by.token({"jti": "mine"}))["jti"]
    assert {"alg": alg, "kid": "a"} == header(by.token({}, typ=None))


@pytest.mark.parametrize("claim", ["iss", "iat", "exp"])
def test_a_token_of_any_kind_cannot_be_somebody_elses(claim: str) -> None:
    with pytest.raises(ValueError, match=claim):
        issuer().token({claim: 1})


@pytest.mark.parametrize("more", [{"typ": ""}, {"lifetime": 0}, {"lifetime": 0.5}])
def test_a_token_without_sense_is_not_made(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"typ|lifetime"):
        issuer().token({"sub": "ada"}, **more)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ""},
        {"audience": ""},
        {"audience": []},
        {"audience": ["orders", ""]},
        {"client_id": ""},
        {"client_id": None},
        {"lifetime": 0},
        {"lifetime": -300},
        {"lifetime": True},
    ],
)
def test_an_access_token_that_makes_no_sense_is_not_made(change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"subject": "ada", "audience": "orders", "scope": "a", "client_id": "webshop"}

    with pytest.raises(ValueError, match=next(iter(change))):
        issuer().access_token(**{**usual, **change})


def test_no_token_outlives_the_key_that_signed_it() -> None:
    plan = Rotation(published_before=60, longest_token=300)
    by = Issuer(URL, Keyring(make("ES256", "a"), rotation=plan, clock=lambda: NOW), lambda: NOW)

    assert by.access_token("ada", "orders", "a", "webshop", 300)
    with pytest.raises(ValueError, match="longest_token"):
        by.access_token("ada", "orders", "a", "webshop", 301)
    with pytest.raises(ValueError, match="longest_token"):
        by.id_token("ada", "webshop", 301)
    with pytest.raises(ValueError, match="longest_token"):
        by.token({}, lifetime=301)


def test_json_is_written_alike_where_python_has_no_fast_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {"a": 'Zoë \u2028 " \\ \n', "b": [1, -2.5, 1e300, None, True, {"c": {}}], "é": []}
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)

    assert module._json_writer()(values) == module._to_json(values)
    assert values == json.loads(module._to_json(values))
