"""ID tokens as OpenID providers and SMART servers write them, and a login → who signed in, or why nobody did.

The cases and their names are those of OpenID Connect Core §2 and §3.1.3.7, of SMART App Launch 2.2.0 ("Scopes for
requesting identity data"), and of what Inferno's test kit asks of servers.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from jwt_guard import Credentials, Guard, Provider, Resolver, fixed, shared_secret, verify, verify_id_token
from jwt_guard.access.explain import explain
from jwt_guard.access.fhir_references import FhirReference
from jwt_guard.access.id_tokens import at_hash, fhir_user, signed_in
from jwt_guard.errors import ClaimRejected, Expired, GuardError, InvalidToken, Misconfigured, UnknownIssuer
from jwt_guard.providers import google_id_token, id_token, rfc9068
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from tests.support.issuers import JWT, KEYS, guarding, token, who, why_not
from tests.support.keys import public_jwk, secret
from tests.support.minting import ABSENT, HOUR, NOW, mint
from tests.support.playing import play, reply

ISSUER = "https://ehr.test"
FHIR = "https://ehr.test/fhir"
APP = "growth-chart-app"
NONCE = "n-0S6_WzA2Mj"
NO_KID = b'{"alg":"RS256","typ":"JWT"}'
ACCESS_TOKEN = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"


def said(**changes: Any) -> dict[str, Any]:
    good = {"iss": ISSUER, "aud": APP, "sub": "ada", "iat": NOW - 60, "exp": NOW + HOUR, "nonce": NONCE}
    return {**good, **changes}


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": ISSUER, "client": APP, "fhir_base": FHIR, "keys": KEYS}
    return id_token(**{**good, **changes})


def login(of: Provider, claims: Mapping[str, Any], header: Any = JWT, *, alg: str = "RS256", **how: Any) -> Credentials:
    """Return who signed in, by the public function."""
    there = {name: value for name, value in claims.items() if value is not ABSENT}
    about: dict[str, Any] = {"nonce": NONCE, **how}
    return verify_id_token(guarding(of), mint(there, header, alg=alg), **about)


def refused_for(of: Provider, claims: Mapping[str, Any], header: Any = JWT, **how: Any) -> str:
    """Return the claim that the login fails for, else the kind of error."""
    with pytest.raises(GuardError) as caught:
        login(of, claims, header, **how)
    return caught.value.claim if isinstance(caught.value, ClaimRejected) else type(caught.value).__name__


# --- the cases ---------------------------------------------------------------------------------------

TRUSTING = {"trusted_audiences": ["api"]}
ACCEPTED: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "valid-rs256": (said(), JWT, {}),
    "aud-list-with-azp": (said(aud=[APP, "api"], azp=APP), JWT, TRUSTING),
    "fhiruser-patient": (said(fhirUser="Patient/1"), JWT, {}),
    "fhiruser-practitioner": (said(fhirUser=f"{FHIR}/Practitioner/1"), JWT, {}),
    "fhiruser-person": (said(fhirUser="Person/1"), JWT, {}),
    "fhiruser-practitionerrole": (said(fhirUser="PractitionerRole/1"), JWT, {}),
    "fhiruser-relative": (said(fhirUser="Practitioner/123"), JWT, {}),
    "fhiruser-relatedperson": (said(fhirUser="RelatedPerson/1"), JWT, {}),
    "fhiruser-foreign-base, by policy": (
        said(fhirUser="https://other.test/fhir/Patient/1"),
        JWT,
        {"fhir_users_of_other_servers_are_taken": True},
    ),
    "kid-missing-single-jwks": (said(), NO_KID, {}),
    "no typ": (said(), None, {}),
    "sub of 255 characters": (said(sub="x" * 255), JWT, {}),
    "aud is a list of one": (said(aud=[APP]), JWT, {}),
    "azp is the client": (said(azp=APP), JWT, {}),
    "no exp, where it may be missing": (said(exp=ABSENT), JWT, {"exp_may_be_missing": True}),
    "no iat, where it may be missing": (said(iat=ABSENT), JWT, {"iat_may_be_missing": True}),
}
REFUSED: dict[str, tuple[dict[str, Any], Any, dict[str, Any], str]] = {
    "alg-none": (said(), b'{"alg":"none","typ":"JWT"}', {}, "UnknownKey"),
    "aud-list-with-azp, not trusted": (said(aud=[APP, "api"], azp=APP), JWT, {}, "aud"),
    "aud is a list without azp": (said(aud=[APP, "api"]), JWT, TRUSTING, "azp"),
    "aud is a list, azp somebody trusted": (said(aud=[APP, "api"], azp="api"), JWT, TRUSTING, "azp"),
    "aud names only somebody trusted": (said(aud="api", azp=APP), JWT, TRUSTING, "aud"),
    "azp is another client": (said(azp="other"), JWT, {}, "azp"),
    "azp is null": (said(azp=None), JWT, {}, "azp"),
    "azp is a list": (said(azp=[APP]), JWT, {}, "azp"),
    "another client": (said(aud="other"), JWT, {}, "aud"),
    "aud is an object": (said(aud=[{"a": 1}]), JWT, {}, "aud"),
    "another issuer": (said(iss=f"{ISSUER}/"), JWT, {}, "UnknownIssuer"),
    "exp-missing": (said(exp=ABSENT), JWT, {}, "exp"),
    "exp over": (said(exp=NOW - 30), JWT, {}, "exp"),
    "exp is null, where it may be missing": (said(exp=None), JWT, {"exp_may_be_missing": True}, "exp"),
    "exp over, where it may be missing": (said(exp=NOW - 30), JWT, {"exp_may_be_missing": True}, "exp"),
    "iat-missing": (said(iat=ABSENT), JWT, {}, "iat"),
    "iat-missing, with requirements of one's own": (said(iat=ABSENT, acr="x"), JWT, {"required": ["acr"]}, "iat"),
    "iat in the future": (said(iat=NOW + HOUR), JWT, {}, "iat"),
    "iat in the future, where it may be missing": (said(iat=NOW + HOUR), JWT, {"iat_may_be_missing": True}, "iat"),
    "too old": (said(iat=NOW - HOUR), JWT, {"max_age": 600}, "iat"),
    "nonce-missing": (said(nonce=ABSENT), JWT, {}, "nonce"),
    "nonce of another login": (said(nonce="other"), JWT, {}, "nonce"),
    "nonce is null": (said(nonce=None), JWT, {}, "nonce"),
    "nonce is empty": (said(nonce=""), JWT, {}, "nonce"),
    "nonce is 0": (said(nonce=0), JWT, {}, "nonce"),
    "nonce is a list": (said(nonce=[NONCE]), JWT, {}, "nonce"),
    "sub-256": (said(sub="x" * 256), JWT, {}, "sub"),
    "sub is empty": (said(sub=""), JWT, {}, "sub"),
    "no sub": (said(sub=ABSENT), JWT, {}, "sub"),
    "fhiruser-other-type": (said(fhirUser="Device/1"), JWT, {}, "fhirUser"),
    "fhiruser-foreign-base": (said(fhirUser="https://other.test/fhir/Patient/1"), JWT, {}, "fhirUser"),
    "fhirUser on a longer base": (said(fhirUser=f"{FHIR}/x/Patient/1"), JWT, {}, "fhirUser"),
    "fhirUser of nobody knows where": (said(fhirUser=f"{FHIR}/Patient/1"), JWT, {"fhir_base": None}, "fhirUser"),
    "fhirUser is null": (said(fhirUser=None), JWT, {}, "fhirUser"),
    "fhirUser is an object": (said(fhirUser={"reference": "Patient/1"}), JWT, {}, "fhirUser"),
    "fhirUser of another type elsewhere": (
        said(fhirUser="https://other.test/fhir/Device/1"),
        JWT,
        {"fhir_users_of_other_servers_are_taken": True},
        "fhirUser",
    ),
    "access-token-as-id-token": (said(), {"typ": "at+jwt"}, {}, "typ"),
    "an access token without a type": (said(scope="openid"), JWT, {}, "scope"),
    "a logout token": (said(events={}), JWT, {}, "events"),
}  # fmt: skip


@pytest.mark.parametrize(("claims", "header", "settings"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_login_is_taken(claims: dict[str, Any], header: Any, settings: dict[str, Any]) -> None:
    found = login(provider(**settings), claims, header)

    assert claims["sub"] == found.user
    assert (APP, frozenset(), frozenset(), "id_token") == (found.client, found.scopes, found.roles, found.provider)


@pytest.mark.parametrize(("claims", "header", "settings", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_login_is_refused(claims: dict[str, Any], header: Any, settings: dict[str, Any], expected: str) -> None:
    assert expected == refused_for(provider(**settings), claims, header)


def test_the_example_of_the_guide_is_taken_with_explicit_words_alone() -> None:
    """It has no ``exp``, no ``iat`` and no ``kid`` (SMART App Launch 2.2.0, the worked example of an ID token)."""
    key = {
        "kty": "RSA",
        "kid": "alfWCReEumPPQfrRVm3l3ZrUNJIW92Wbz3ua-hIchtI",
        "e": "AQAB",
        "n": (
            "qgr-Ee4zvGP-giYxCAJ1oI_ZIwhnUueEyVGqXgWJKqTUkliL9ccK0lsaPKDPUlGeIhyjJJQKjOfWWS5bMucsx3h9t4x98aZVkYUAdm7RSwjd"
            "3b59Fr6G60SsfrbtYhp4varKk2ZP2Ex2lB6ZHZoc3hFs_sMKibQNGqQT2bt-xpHvGtY994Tun_C3iOvjk3hvHMDp5Q-NY0aE_FURLEsaquBb"
            "Oam0JTf9XVY8SBIsKb9sV0F6_lvWXos_acZflIFUyf22Z6eKniJKlH4FhrsQc8YeILGR3iEKY3vauajCjHJkAyR-_fNKdRO0gQI12DxAL-pi"
            "A8XtDxodNeTmIDXMrw"
        ),
    }
    text = (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJhbGljZSIsImF1ZCI6Imdyb3d0aC1jaGFydC1hcHAtMTIzIiwiaXNzIjoiaHR0"
        "cHM6Ly9teS1laHIub3JnL2ZoaXIiLCJmaGlyVXNlciI6Imh0dHBzOi8vbXktZWhyLm9yZy9maGlyL1ByYWN0aXRpb25lci8xMjMifQ.BuivDG9"
        "lOu0mI5ESm2Cl4EoGTW0BFA3N5oPcEX30Q77vxBuMspRd9N6kKLgTj8TsAFAutXKlTztdbbyDsTVcjYRZervUMgfS5gv2ERmTTy6wnWRxcsxA8o"
        "CmwJ8nqIz9VztCd73IZ8zvCebnaIwTjqt3r5a1aWNqRftncUa5pA2nN3DezMPrWaQ6U_S-QcyVrS_NznqRzI_2JFXlnLn6xSD6CXAfSHRy-1M2V"
        "ZA4b6m6K3LXM2Pe_WF8HJ1GCLKLMqvYM0oQGLgy4tpDrDr8T8kxd4nLisIjQoXVjx5kASSaSiEuPYMG5E0h9eeSUZFVG-FvYtkgXF3vKaBJjX40BA"
    )

    def example(client: str = "growth-chart-app-123", **settings: Any) -> Credentials:
        base = "https://my-ehr.org/fhir"
        provider = id_token(base, client, fhir_base=base, keys=fixed(key), **settings)
        return verify_id_token(Guard([provider]), text, nonce=None)

    found = example(exp_may_be_missing=True, iat_may_be_missing=True)

    assert "alice" == found.user
    assert FhirReference("Practitioner", "123", "https://my-ehr.org/fhir") == fhir_user(found)
    without_words: list[tuple[dict[str, Any], str]] = [
        ({}, "exp"),
        ({"exp_may_be_missing": True}, "iat"),
        ({"iat_may_be_missing": True}, "exp"),
        ({"client": "another-app", "exp_may_be_missing": True, "iat_may_be_missing": True}, "aud"),
    ]
    for settings, claim in without_words:
        with pytest.raises(ClaimRejected) as caught:
            example(**settings)

        assert claim == caught.value.claim, settings


# --- the provider ------------------------------------------------------------------------------------


def test_a_key_must_be_named_where_there_are_several() -> None:
    several = fixed({"keys": [public_jwk("RS256", kid="a"), public_jwk("ES256", kid="b")]})

    assert "ada" == login(provider(keys=several), said()).user
    assert "kid" == refused_for(provider(keys=several), said(), NO_KID)


def test_a_key_must_be_named_where_the_issuer_publishes_several() -> None:
    def found(*names: str) -> GuardError | None:
        keys = [public_jwk("ES256" if name == "b" else "RS256", kid=name) for name in names]
        guard = guarding(provider(keys=None))
        document = reply({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
        return play(
            lambda: signed_in(guard, mint(said(), NO_KID, alg="RS256"), nonce=NONCE), document, reply({"keys": keys})
        ).error

    assert None is found("a")
    error = found("a", "b")

    assert isinstance(error, ClaimRejected)
    assert "kid" == error.claim


def test_a_source_of_ones_own_says_nothing_of_its_keys() -> None:
    key = next(iter(KEYS.keys.keys))

    assert "ada" == login(provider(keys=lambda _: key), said(), NO_KID).user


def test_a_secret_takes_an_explicit_word() -> None:
    ours = shared_secret(secret())

    with pytest.raises(Misconfigured, match="a secret is for a client that is registered so: name its algorithms"):
        provider(keys=ours)
    assert "ada" == login(provider(keys=ours, algorithms=["HS256"]), said(), alg="HS256").user


def test_only_the_registered_algorithm_counts() -> None:
    assert "ada" == login(provider(algorithms=["RS384"]), said(), alg="RS384").user
    assert "UnknownKey" == refused_for(provider(algorithms=["RS384"]), said())


def test_what_else_may_be_said_of_a_provider_is_said_as_usual() -> None:
    picky = provider(extra_rules=[has("email")], required=["acr"], name="logins", leeway=0, typ=["JWT"])

    assert "logins" == login(picky, said(email="a@b.example", acr="x")).provider
    assert "email" == refused_for(picky, said(acr="x"))
    assert "acr" == refused_for(picky, said(email="a@b.example"))
    assert "azp" == refused_for(picky, said(email="a@b.example", acr="x", azp="other"))
    assert "typ" == refused_for(picky, said(email="a@b.example", acr="x"), None)


def test_the_keys_are_discovered_at_the_issuer() -> None:
    for source in (provider(keys=None).source, provider(keys=None, settings=KeySettings(timeout=1)).source):
        assert isinstance(source, RemoteKeys)
        assert f"discovery {ISSUER}/.well-known/openid-configuration {ISSUER}" == source._name


def test_equal_words_make_equal_providers() -> None:
    words: dict[str, Any] = {"trusted_audiences": "api", "fhir_base": f"{FHIR}/"}
    one = provider(**words)

    assert one == provider(**words)
    assert one.extra_rules == provider(**{**words, "trusted_audiences": ["api"], "keys": None}).extra_rules
    assert one != provider(**{**words, "fhir_base": None})


MISTAKES: dict[str, dict[str, Any]] = {
    "several clients": {"client": [APP, "other"]},
    "no client": {"client": ""},
    "None for a client": {"client": None},
    "an empty audience to trust": {"trusted_audiences": [""]},
    "a number to trust": {"trusted_audiences": 5},
    "a FHIR server without a scheme": {"fhir_base": "ehr.test/fhir"},
    "an empty FHIR server": {"fhir_base": ""},
    "perhaps no exp": {"exp_may_be_missing": "no"},
    "perhaps no iat": {"iat_may_be_missing": 0},
    "perhaps other servers": {"fhir_users_of_other_servers_are_taken": None},
    "settings for keys in hand": {"settings": KeySettings()},
    "an issuer that cannot be asked": {"issuer": "http://ehr.test", "keys": None},
}


@pytest.mark.parametrize("changes", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_at_the_start(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        provider(**changes)


def test_every_rule_is_explained_whatever_the_token_says() -> None:
    for strange in ({"aud": {"a": 1}, "azp": 5}, {"aud": None}, {"aud": [[]], "sub": 5, "fhirUser": []}):
        text = token({**said(), **strange}, {"typ": "JWT"})
        found = play(lambda text=text: explain(guarding(provider()), text, now=NOW)).value  # type: ignore[misc]

        assert "failed" == found.verdict
    good = play(lambda: explain(guarding(provider()), token(said(fhirUser="Patient/1"), JWT), now=NOW)).value

    assert "ok" == good.verdict
    assert {"sub", "azp", "kid", "fhirUser"} <= {step.about for step in good.steps}


def test_whom_a_token_names_is_in_no_error() -> None:
    for changes in ({"fhirUser": "Device/ada-4711"}, {"sub": "ada-4711" * 40}, {"nonce": "ada-4711"}):
        with pytest.raises(ClaimRejected) as caught:
            login(provider(), said(**changes))

        assert "ada-4711" not in f"{caught.value} {caught.value.advice} {caught.value.got}"


# --- as a bearer token -------------------------------------------------------------------------------


def test_a_guard_of_such_a_provider_takes_the_token_itself() -> None:
    assert "ada" == who(provider(), said()).user
    assert "fhirUser" == why_not(provider(), said(fhirUser="Device/1"))


def test_a_token_that_never_ends_is_remembered_no_longer_than_its_key_counts() -> None:
    guard = guarding(provider(exp_may_be_missing=True))
    text = token({name: value for name, value in said().items() if name != "exp"}, JWT)

    assert "ada" == verify(guard, text).user
    assert verify(guard, text) is verify(guard, text)
    with pytest.raises(ClaimRejected, match="exp"):
        verify(guarding(provider()), text)


# --- one login ---------------------------------------------------------------------------------------


def test_without_a_nonce_none_may_be_there() -> None:
    assert "ada" == login(provider(), said(nonce=ABSENT), nonce=None).user
    assert "nonce" == refused_for(provider(), said(), nonce=None)
    assert "nonce" == refused_for(provider(), said(nonce=""), nonce=None)
    assert "nonce" == refused_for(provider(), said(nonce=0), nonce=None)


def test_a_nonce_may_have_any_letters() -> None:
    assert "ada" == login(provider(), said(nonce="nönce"), nonce="nönce").user
    assert "nonce" == refused_for(provider(), said(nonce="nönce"), nonce="nonce")


@pytest.mark.parametrize(
    "how",
    [
        {"nonce": ""}, {"nonce": 5}, {"access_token": ""}, {"access_token": b"abc"}, {"max_age": -1}, {"max_age": True},
        {"max_age": "60"},
    ],
)  # fmt: skip
def test_an_empty_word_about_the_login_is_a_mistake(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"text that is not empty|number of seconds"):
        login(provider(), said(), **how)


def test_the_nonce_must_be_said_or_said_to_be_none() -> None:
    with pytest.raises(TypeError, match="nonce"):
        verify_id_token(guarding(provider()), token(said(), JWT))  # type: ignore[call-arg]  # which is what is tried


def half(name: str, text: str) -> str:
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("alg", "name"),
    [
        ("RS256", "sha256"), ("PS384", "sha384"), ("ES512", "sha512"), ("HS256", "sha256"), ("ES256K", "sha256"),
        ("EdDSA", "sha512"), ("Ed25519", "sha512"),
    ],
)  # fmt: skip
def test_at_hash_is_half_of_the_hash_of_the_algorithm(alg: str, name: str) -> None:
    assert half(name, ACCESS_TOKEN) == at_hash(ACCESS_TOKEN, alg)


def test_at_hash_is_that_of_the_standard() -> None:
    """OpenID Connect Core, appendix A.3: its response has both tokens."""
    assert "77QmUPtjPfzWtF2AnpK9RQ" == at_hash(ACCESS_TOKEN, "RS256")


@pytest.mark.parametrize("alg", ["ML-DSA-44", "none", "", "RS257", "Ed448"])
def test_where_no_standard_says_the_hash_nothing_is_compared(alg: str) -> None:
    with pytest.raises(InvalidToken, match="which hash at_hash takes with"):
        at_hash(ACCESS_TOKEN, alg)


def test_the_access_token_that_came_along_is_the_one() -> None:
    with_hash = said(at_hash=half("sha256", ACCESS_TOKEN))

    assert "ada" == login(provider(), with_hash, access_token=ACCESS_TOKEN).user
    assert "at_hash" == refused_for(provider(), with_hash, access_token="another")
    assert "at_hash" == refused_for(provider(), said(), access_token=ACCESS_TOKEN)
    assert "at_hash" == refused_for(provider(), said(at_hash=[]), access_token=ACCESS_TOKEN)
    assert "ada" == login(provider(), with_hash).user


def test_whoever_must_have_signed_in_lately_has() -> None:
    assert "ada" == login(provider(), said(auth_time=NOW - 600), max_age=600).user
    assert "ada" == login(provider(leeway=0), said(auth_time=NOW - 599), max_age=600).user
    assert "auth_time" == refused_for(provider(), said(), max_age=600)
    assert "auth_time" == refused_for(provider(leeway=0), said(auth_time=NOW - 600), max_age=600)
    assert "auth_time" == refused_for(provider(), said(auth_time="now"), max_age=600)
    with pytest.raises(Expired):
        login(provider(), said(auth_time=NOW - 630), max_age=600)


def test_a_login_needs_a_provider_of_id_tokens() -> None:
    careless = Provider(name="shop", issuer=ISSUER, audience=APP, keys=KEYS)
    access = {name: value for name, value in said(client_id=APP).items() if name != "nonce"}
    guard = guarding(careless)

    assert "ada" == verify(guard, token(access, JWT)).user
    with pytest.raises(InvalidToken, match="shop is no provider of ID tokens"):
        verify_id_token(guard, token(access, JWT), nonce=None)
    with pytest.raises(InvalidToken, match="no provider of ID tokens"):
        verify_id_token(
            guarding(rfc9068(ISSUER, APP, keys=KEYS)),
            token({**access, "jti": "1"}, {"typ": "at+jwt"}),
            nonce=None,
        )


def test_the_id_tokens_of_google_are_id_tokens() -> None:
    google = google_id_token(APP, keys=KEYS)

    assert "ada" == login(google, said(iss="accounts.google.com")).user
    assert "nonce" == refused_for(google, said(iss="accounts.google.com", nonce="other"))


def test_an_app_may_sign_people_in_at_many_servers() -> None:
    one, other = "https://ehr-a.test", "https://ehr-b.test"
    resolver = Resolver(lambda issuer: provider(issuer=issuer) if issuer == one else None, "https://{server}.test")
    guard = Guard([], clock=lambda: NOW, resolver=resolver)

    assert "ada" == verify_id_token(guard, token(said(iss=one), JWT), nonce=NONCE).user
    with pytest.raises(ClaimRejected, match="nonce"):
        verify_id_token(guard, token(said(iss=one), JWT), nonce="other")
    with pytest.raises(UnknownIssuer):
        verify_id_token(guard, token(said(iss=other), JWT), nonce=NONCE)


def test_a_provider_that_was_dropped_meanwhile_signs_nobody_in() -> None:
    """Where more servers are known than are kept, another thread may have had the one of this login dropped."""

    class Forgetful(dict[str, Provider]):
        def __setitem__(self, name: str, value: Provider) -> None:
            """Keep nothing."""

    resolver = Resolver(lambda issuer: provider(issuer=issuer), "https://{server}.test")
    object.__setattr__(resolver, "_kept", Forgetful())

    with pytest.raises(InvalidToken, match="no provider of ID tokens"):
        verify_id_token(
            Guard([], clock=lambda: NOW, resolver=resolver), token(said(iss="https://one.test"), JWT), nonce=NONCE
        )


# --- who it is on the FHIR server --------------------------------------------------------------------


def test_the_fhir_user_is_a_reference() -> None:
    assert FhirReference("Patient", "1") == fhir_user(login(provider(), said(fhirUser="Patient/1")))
    absolute = fhir_user(login(provider(fhir_base=f"{FHIR}/"), said(fhirUser=f"{FHIR}/Person/1")))

    assert FhirReference("Person", "1", FHIR) == absolute
    assert None is fhir_user(login(provider(), said()))


def test_a_fhir_user_that_nobody_looked_at_is_looked_at_when_it_is_read() -> None:
    careless = Provider(name="shop", issuer=ISSUER, audience=APP, keys=KEYS)
    found = verify(guarding(careless), token(said(nonce=ABSENT, client_id=APP, fhirUser="Device/1"), JWT))

    with pytest.raises(ClaimRejected) as caught:
        fhir_user(found)

    assert "fhirUser" == caught.value.claim
