"""Launch tokens of HTI → Launch, or the one thing that is not as HTI has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, KeySettings, fixed, shared_secret
from jwt_guard.access.explain import explain
from jwt_guard.access.hti import HTI_ALGORITHMS, Launch, hti_launch, is_of_launches, read_launch
from jwt_guard.access.once import Once
from jwt_guard.access.provider import Provider
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected, GuardError, InvalidToken, Misconfigured, Unavailable
from jwt_guard.sources.jwks import RemoteKeys, jwks
from jwt_guard.tokens.claims import has
from tests.support.keys import pem, public_jwk, secret
from tests.support.minting import ABSENT, NOW, mint, provider, verdict
from tests.support.playing import Clock, play

PORTAL = "portal-client-id"
DEVICE = "Device/123"
SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "hti_launch_cases.json"
CASES: list[dict[str, Any]] = json.loads(SHARED.read_text(encoding="utf-8"))["cases"] if SHARED.exists() else []
TASK: dict[str, Any] = {
    "resourceType": "Task",
    "id": "11",
    "status": "requested",
    "intent": "plan",
    "instantiatesCanonical": "https://module.example/ActivityDefinition/8",
    "for": {"reference": "Patient/9"},
}


def launch(**changes: Any) -> dict[str, Any]:
    """Return the claims of HTI 2.0 as a portal writes them; a name with a dash is written with an underscore."""
    good = {
        "iss": PORTAL,
        "aud": DEVICE,
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "679e1e4c-bcb9-4fcc-80c4-f36e7063545c",
        "sub": "Practitioner/225d67a7",
        "resource": "Task/5f684c5f",
        "definition": "ActivityDefinition/d76ba97b",
        "patient": "Patient/b592f103",
        "intent": "plan",
        "hti-version": "2.0",
    }
    changed = {**good, **{name.replace("_", "-") if "_" in name and name != "idp_hint" else name: value
                          for name, value in changes.items()}}  # fmt: skip
    return {name: value for name, value in changed.items() if value is not ABSENT}


def launch_1_1(task: Any = None, **changes: Any) -> dict[str, Any]:
    new = dict.fromkeys(("resource", "definition", "patient", "intent", "hti_version"), ABSENT)
    return launch(**{**new, "task": TASK if task is None else task, "fhir_version": "R4", **changes})


def of(alg: str = "RS256", **changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": PORTAL, "audience": DEVICE, "keys": fixed({"keys": [public_jwk(alg, kid="a")]})}
    return hti_launch(**{**good, **changes})


def guarding(*providers: Provider) -> Guard:
    return Guard(providers or [of()], clock=Clock(NOW))


def taken(claims: dict[str, Any], **more: Any) -> Launch:
    found = verdict(guarding(of(**more)), mint(claims, {"typ": "JWT"}, alg="RS256"))

    assert isinstance(found, Credentials), found
    return read_launch(found.claims, sub_may_be_any_text=True)


def why_not(claims: dict[str, Any], header: dict[str, Any] | None = None, **more: Any) -> str:
    found = verdict(guarding(of(**more)), mint(claims, header, alg="RS256"))

    assert isinstance(found, GuardError)
    return str(found)


# --- what is taken -----------------------------------------------------------------------------------


def test_version_2_says_it_in_claims() -> None:
    expected = Launch(
        user="Practitioner/225d67a7",
        resource="Task/5f684c5f",
        definition="ActivityDefinition/d76ba97b",
        patient="Patient/b592f103",
        intent="plan",
        version="2.0",
        issuer=PORTAL,
        audience=DEVICE,
        jti="679e1e4c-bcb9-4fcc-80c4-f36e7063545c",
    )

    assert expected == taken(launch())
    assert expected == taken(launch(hti_version=ABSENT))
    assert expected == taken(launch(aud=[DEVICE]))


def test_what_is_optional_may_be_left_out() -> None:
    least = taken(launch(definition=ABSENT, patient=ABSENT, intent=ABSENT))

    assert (None, None, None, None) == (least.definition, least.patient, least.intent, least.idp_hint)


def test_version_1_1_says_it_in_a_task() -> None:
    found = taken(launch_1_1())

    assert "1.1" == found.version
    assert "Task/11" == found.resource
    assert "https://module.example/ActivityDefinition/8" == found.definition
    assert ("Practitioner/225d67a7", "Patient/9") == (found.user, found.patient)
    assert "plan" == found.intent
    assert found == taken(launch_1_1(hti_version="1.1"))


def test_who_launches_a_task_of_their_own_is_not_named_twice() -> None:
    assert None is taken(launch_1_1(sub="Patient/9")).patient
    assert None is taken(launch_1_1({**TASK, "for": {"reference": "RelatedPerson/9"}})).patient


def test_a_task_of_an_older_fhir_has_its_definition_elsewhere() -> None:
    without = {name: value for name, value in TASK.items() if name != "instantiatesCanonical"}
    older = {**without, "definitionReference": {"reference": "ActivityDefinition/8"}}

    assert "ActivityDefinition/8" == taken(launch_1_1(older, fhir_version="STU3")).definition
    assert None is taken(launch_1_1(without)).definition


def test_beside_a_task_the_claims_of_version_2_say_nothing() -> None:
    found = taken(launch_1_1(patient="Patient/other", resource="Task/other", hti_version="2.0"))

    assert ("1.1", "Task/11", "Patient/9") == (found.version, found.resource, found.patient)


@pytest.mark.parametrize(
    "definition",
    ["https://module.example/ActivityDefinition/a5|1.0", "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
     "urn:oid:1.2.3", "ActivityDefinition/8"],
)  # fmt: skip
def test_a_definition_is_a_url_or_a_reference(definition: str) -> None:
    assert definition == taken(launch(definition=definition)).definition


def test_koppeltaal_adds_where_to_sign_in() -> None:
    assert "https://idp.example/ a" == taken(launch(idp_hint="https://idp.example/ a")).idp_hint


@pytest.mark.parametrize("alg", HTI_ALGORITHMS)
def test_each_algorithm_of_hti_is_taken(alg: str) -> None:
    found = verdict(guarding(of(alg)), mint(launch(), alg=alg))

    assert isinstance(found, Credentials)
    assert ("Practitioner/225d67a7", None, frozenset(), frozenset()) == (
        found.user, found.client, found.scopes, found.roles,
    )  # fmt: skip
    assert "hti_launch" == found.provider


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["PS256", "ES256K", "EdDSA"])
def test_no_other_algorithm_is_taken(alg: str) -> None:
    keys = fixed({"keys": [public_jwk(alg, kid="a"), public_jwk("ES384", kid="b")]})

    assert isinstance(verdict(guarding(of(keys=keys)), mint(launch(), alg=alg)), InvalidToken)
    with pytest.raises(Misconfigured, match="none of the algorithms of HTI" if alg != "PS256" else "algorithms of HTI"):
        of(keys=fixed({"keys": [public_jwk(alg, kid="a", alg=alg)]}))
    with pytest.raises(Misconfigured, match="the algorithms of HTI are"):
        of(algorithms=[alg])


def test_a_secret_is_no_key_of_a_portal() -> None:
    with pytest.raises(Misconfigured, match="none of the algorithms of HTI"):
        of(keys=shared_secret(secret()))
    with pytest.raises(Misconfigured, match="the algorithms of HTI are"):
        of(algorithms="HS256")
    for alg in ("HS256", "HS512"):
        assert isinstance(verdict(guarding(), mint(launch(), alg=alg)), InvalidToken)


def test_fewer_algorithms_may_be_asked_for() -> None:
    strict = guarding(of(algorithms=["RS384"]))

    assert isinstance(verdict(strict, mint(launch(), alg="RS256")), InvalidToken)
    assert isinstance(verdict(strict, mint(launch(), alg="RS384")), Credentials)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aud": "Device/999"}, "aud: does not name us"),
        ({"aud": [DEVICE, "Device/999"]}, "aud: does not name one module alone"),
        ({"iss": "nobody"}, "no provider has this issuer"),
        ({"iss": ABSENT}, "no provider has this issuer"),
        ({"iat": ABSENT}, "iat: is required"),
        ({"iat": NOW + 60, "exp": NOW + 120}, "iat: is in the future"),
        ({"exp": ABSENT}, "exp: is required"),
        ({"exp": NOW - 30, "iat": NOW - 60}, "exp: is over"),
        ({"exp": NOW + 301}, "exp: is not a launch's (expected 'at most 300 s after iat', got '301 s')"),
        ({"exp": NOW, "iat": NOW}, "exp: is not a launch's"),
        ({"jti": ABSENT}, "jti: is required"),
        ({"jti": ""}, "jti: is required"),
        ({"jti": "a b"}, "jti: is no short text"),
        ({"jti": "a" * 256}, "jti: is no short text"),
        ({"sub": ABSENT}, "sub: is required"),
        ({"sub": "1234567890"}, "sub: is no reference, Type/id"),
        ({"sub": "practitioner/1"}, "sub: is no reference"),
        ({"sub": "Practitioner/"}, "sub: is no reference"),
        ({"sub": "Practitioner/1/_history/2"}, "sub: is no reference"),
        ({"sub": "https://fhir.example/Practitioner/1"}, "sub: is no reference"),
        ({"sub": "Practitioner/1\n"}, "sub: is no reference"),
        ({"sub": "Practitioner/.."}, "sub: is no reference"),
        ({"sub": "Practitioner/" + "a" * 65}, "sub: is no reference"),
        ({"resource": ABSENT}, "resource: is required"),
        ({"resource": None}, "resource: is no reference"),
        ({"resource": 11}, "resource: is no reference"),
        ({"resource": "11"}, "resource: is no reference"),
        ({"resource": "Task/."}, "resource: is no reference"),
        ({"definition": None}, "definition: is neither"),
        ({"definition": "javascript:alert(1)"}, "definition: is neither"),
        ({"definition": 'https://module.example/"><script>'}, "definition: is neither"),
        ({"patient": "Practitioner/1"}, "patient: is no reference, Patient/id"),
        ({"patient": None}, "patient: is no reference"),
        ({"intent": "a plan"}, "intent: is no code"),
        ({"intent": None}, "intent: is no code"),
        ({"idp_hint": ""}, "idp_hint: is no short text"),
        ({"idp_hint": "a\nb"}, "idp_hint: is no short text"),
        ({"hti_version": "3.0"}, "hti-version: is not known here (expected '2.0', got '3.0')"),
        ({"hti_version": "1.1"}, "hti-version: is not known here"),
        ({"hti_version": None}, "hti-version: is not known here (expected '2.0', got 'NoneType')"),
        ({"hti_version": 2.0}, "hti-version: is not known here"),
        ({"scope": "openid"}, "scope: says that this is an access token"),
        ({"nonce": "a"}, "nonce: says that this is an ID token"),
        ({"type": "access"}, "type: says that this is an access token"),
        ({"events": {}}, "events: says that this is a logout or security event token"),
    ],
)
def test_what_is_not_as_hti_has_it_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert why_not(launch(**changes)).startswith(expected)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ([], "is no FHIR Task"),
        ("Task/11", "is no FHIR Task"),
        ({**TASK, "resourceType": "Patient"}, "is no FHIR Task"),
        ({**TASK, "id": None}, "has no id"),
        ({**TASK, "id": "Task/11"}, "has no id"),
        ({**TASK, "status": 1}, "has no status"),
        ({**TASK, "intent": ""}, "has no intent"),
        ({**TASK, "instantiatesCanonical": 1}, "is neither a URL nor a reference"),
        ({**TASK, "for": "Patient/9"}, "has a for that is no reference"),
        ({**TASK, "for": {"reference": "9"}}, "has a for that is no reference, Type/id"),
        ({name: value for name, value in TASK.items() if name != "for"}, "says nothing of whom it is for"),
        ({**TASK, "definitionReference": {"reference": "ActivityDefinition/9"}}, "has two definitions"),
    ],
)
def test_what_is_no_task_of_hti_is_refused(task: Any, expected: str) -> None:
    assert why_not(launch_1_1(task)).startswith(f"task: {expected}")


def test_a_task_says_its_version_or_that_of_its_successor_and_no_other() -> None:
    assert "hti-version: is not known here" in why_not(launch_1_1(hti_version="1.0"))


def test_the_header_names_the_key_unless_it_was_handed_over_without_a_name() -> None:
    bare = json.dumps({"alg": "RS256"}).encode()
    handed_over = guarding(of(keys=fixed(pem("RS256")), kid_may_be_missing=True))

    assert "kid: is required" == str(verdict(guarding(), mint(launch(), bare, alg="RS256")))
    assert isinstance(verdict(handed_over, mint(launch(), bare, alg="RS256")), Credentials)


@pytest.mark.parametrize("typ", ["at+jwt", "client-authentication+jwt", "dpop+jwt"])
def test_another_kind_of_token_is_refused_by_its_type(typ: str) -> None:
    assert why_not(launch(), {"typ": typ}).startswith("typ: is another kind of token")


def test_a_launch_is_taken_once_and_burnt_only_when_all_else_holds() -> None:
    guard = guarding()

    assert isinstance(verdict(guard, mint(launch(resource=ABSENT), alg="RS256")), ClaimRejected)
    assert isinstance(verdict(guard, mint(launch(), alg="RS256", which="stranger")), InvalidToken)
    assert isinstance(verdict(guard, mint(launch(), alg="RS256")), Credentials)
    assert "jti: was used before" == str(verdict(guard, mint(launch(), alg="RS256")))


def test_two_providers_may_share_what_was_used() -> None:
    used = Once(most=1)
    guard = guarding(of(once=used), of(issuer="other", name="other", once=used))

    assert isinstance(verdict(guard, mint(launch(), alg="RS256")), Credentials)
    assert isinstance(verdict(guard, mint(launch(iss="other"), alg="RS256")), Unavailable)


# --- what may be asked less --------------------------------------------------------------------------


def test_the_example_of_hti_itself_lives_longer_than_hti_allows() -> None:
    example = launch(exp=NOW + 900)

    assert "exp: is not a launch's" in why_not(example)
    assert "Task/5f684c5f" == taken(example, longest_lifetime_beyond_hti=900).resource
    assert "exp: is not a launch's" in why_not(launch(exp=NOW + 901), longest_lifetime_beyond_hti=900)


def test_whoever_cannot_name_a_user_as_hti_does_may_be_let_in() -> None:
    assert "1234567890" == taken(launch(sub="1234567890"), sub_may_be_any_text=True).user
    assert "sub: is required" == why_not(launch(sub=""), sub_may_be_any_text=True)
    assert "sub: is not a text" == why_not(launch(sub=1), sub_may_be_any_text=True)


def test_a_launch_may_count_more_than_once() -> None:
    guard = guarding(of(may_be_used_more_than_once=True))

    assert isinstance(verdict(guard, mint(launch(), alg="RS256")), Credentials)
    assert isinstance(verdict(guard, mint(launch(), alg="RS256")), Credentials)


def test_rules_of_ones_own_come_on_top() -> None:
    assert "tenant: is required" == why_not(launch(), extra_rules=[has("tenant")])
    assert "tenant: is required" == why_not(launch(), required=["tenant"])
    assert "resource: is required" == why_not(launch(resource=ABSENT, tenant="a"), extra_rules=[has("tenant")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": KeySettings()},
        {"longest_lifetime_beyond_hti": 60},
        {"longest_lifetime_beyond_hti": True},
        {"longest_lifetime_beyond_hti": "900"},
        {"longest_lifetime_beyond_hti": float("nan")},
        {"longest_lifetime_beyond_hti": float("inf")},
        {"kid_may_be_missing": 1},
        {"sub_may_be_any_text": "no"},
        {"may_be_used_more_than_once": None},
        {"may_be_used_more_than_once": True, "once": Once()},
        {"audience": ""},
        {"issuer": ()},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="provider hti_launch: "):
        of(**wrong)


def test_the_keys_are_where_the_issuer_says_unless_they_are_given() -> None:
    found = hti_launch("https://portal.example", DEVICE, settings=KeySettings(timeout=2)).source

    assert isinstance(found, RemoteKeys)
    assert 2 == found.settings.timeout
    assert isinstance(hti_launch("https://portal.example", DEVICE).source, RemoteKeys)


def test_equal_arguments_make_equal_providers() -> None:
    used, keys = Once(), jwks("https://portal.example/jwks")

    assert of(once=used, keys=keys) == of(once=used, keys=keys)
    assert of(once=used, keys=keys) != of(once=used, keys=keys, longest_lifetime_beyond_hti=900)
    assert is_of_launches(of())
    assert not is_of_launches(provider())


# --- around it ---------------------------------------------------------------------------------------


def test_explain_says_what_to_do() -> None:
    found = play(lambda: explain(guarding(), mint(launch(exp=NOW + 900), alg="RS256"), now=NOW)).value
    failed = {step.about: step for step in found.steps if step.verdict == "failed"}

    assert {"exp"} == set(failed)
    assert "longest_lifetime_beyond_hti" in str(failed["exp"].advice)


def test_explain_goes_on_where_a_time_is_missing() -> None:
    found = play(lambda: explain(guarding(), mint(launch(iat=ABSENT), alg="RS256"), now=NOW)).value

    assert {"iat", "exp"} == {step.about for step in found.steps if step.verdict == "failed"}


def test_nobody_is_named_where_a_launch_is_shown() -> None:
    shown = repr(taken(launch()))

    assert "225d67a7" not in shown
    assert "b592f103" not in shown


@pytest.mark.parametrize("values", [{"sub": "Patient/1", "aud": "a"}, {"sub": "Patient/1", "aud": 1, "iss": "a"}])
def test_claims_from_elsewhere_are_looked_at_as_closely(values: dict[str, Any]) -> None:
    with pytest.raises(ClaimRejected, match=r"iss|aud"):
        read_launch(values)


@pytest.mark.skipif(not CASES, reason="the shared vectors are not here")
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_shared_cases(case: dict[str, Any]) -> None:
    """Each change to the good token, null taking a claim away, has the verdict that is stated."""
    numbers = {"now": NOW, "now+300": NOW + 300, "now+900": NOW + 900}
    changes: dict[str, Any] = dict(case["change"])
    alg: str = changes.pop("header.alg", "RS256")
    encrypted = changes.pop("serialization", None)
    values = {name: value for name, value in {**launch(), **changes}.items() if value is not None}
    values = {name: numbers.get(value, value) if isinstance(value, str) else value for name, value in values.items()}
    signer = alg if alg != "none" else "RS256"
    keys = signer if not signer.startswith("HS") else "RS256"
    text = mint(values, {"alg": alg}, alg=signer)
    if alg == "none":
        text = text[: text.rindex(".") + 1]
    if encrypted:
        text = f"{text}.a.b"
    found = verdict(guarding(of(keys)), text)
    if case["expect"].startswith("accept"):
        assert isinstance(found, Credentials), found
        assert case["expect"].removeprefix("accept-as-") in ("accept", read_launch(found.claims).version)
    else:
        assert isinstance(found, InvalidToken)
