"""Google's ID tokens → credentials: of people, of a Workspace domain's people, and of service accounts.

The shapes are those of https://developers.google.com/identity/openid-connect/openid-connect (an ID token's payload,
and how to validate it), https://developers.google.com/identity/openid-connect/reference (both issuers),
https://developers.google.com/identity/gsi/web/guides/verify-google-id-token and, for service accounts,
https://cloud.google.com/docs/authentication/token-types#id.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Provider
from jwt_guard.access.explain import explain
from jwt_guard.errors import Misconfigured
from jwt_guard.providers import google_id_token
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from tests.support.issuers import JWT, KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.minting import ABSENT, NOW
from tests.support.playing import play

CLIENT = "1234987819200.apps.googleusercontent.com"
SUB = "10769150350006150715113082367"


def id_token(**changes: Any) -> dict[str, Any]:
    return {
        "iss": "https://accounts.google.com",
        "azp": CLIENT,
        "aud": CLIENT,
        "sub": SUB,
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
        "hd": "example.com",
        "email": "jsmith@example.com",
        "email_verified": True,
        **TIMES,
        "nonce": "0394852-3190485-2490358",
        **changes,
    }


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"audience": CLIENT, "keys": KEYS}
    return google_id_token(**{**good, **changes})


def test_somebody_who_signed_in_is_named_and_has_no_scopes() -> None:
    assert Who(SUB, CLIENT, set(), set(), "google_id_token") == who(provider(), id_token())
    assert Who(SUB, CLIENT, set(), set(), "google_id_token") == who(provider(), id_token(iss="accounts.google.com"))
    assert Who(SUB, CLIENT, set(), set(), "google_id_token") == who(provider(), id_token(), {})


def test_an_app_on_a_phone_signs_in_for_the_api_of_its_project() -> None:
    phone = "1234987819200-android.apps.googleusercontent.com"

    assert phone == who(provider(), id_token(azp=phone)).client


def test_a_service_account_is_nobodys_user() -> None:
    number = "112010400000000710080"
    machine = id_token(
        aud="https://orders.example.com", azp=number, sub=number, email="robot@project.iam.gserviceaccount.com",
        hd=ABSENT, nonce=ABSENT, at_hash=ABSENT,
    )  # fmt: skip

    assert None is who(provider(audience="https://orders.example.com"), machine).user
    assert number == who(provider(audience="https://orders.example.com"), machine).client


def test_only_people_of_the_domain_are_let_in_where_one_is_named() -> None:
    inside = provider(hd="Example.com")

    assert SUB == who(inside, id_token()).user
    for domain in ("example.org", "EXAMPLE.com", "example.com.evil.example", "", None, ["example.com"], ABSENT):
        assert "hd" == why_not(inside, id_token(hd=domain, email="jsmith@example.com")), domain
    assert SUB == who(provider(hd=["example.org", "example.com"]), id_token()).user
    assert SUB == who(provider(), id_token(hd=ABSENT)).user


def test_what_is_no_id_token_is_refused_with_what_to_send() -> None:
    assert "typ" == why_not(provider(), id_token(), {"typ": "at+jwt"})
    assert "typ" == why_not(provider(), id_token(), {"typ": "secevent+jwt"})
    assert "scope" == why_not(provider(), id_token(scope="openid"))
    assert "scp" == why_not(provider(), id_token(scp=["openid"]))
    assert "events" == why_not(provider(), id_token(events={"https://schemas.openid.net/secevent/risc": {}}))
    assert "htm" == why_not(provider(), id_token(htm="GET"))
    assert "htu" == why_not(provider(), id_token(htu="https://a.example"))
    assert "typ" == why_not(provider(typ=["at+jwt"]), id_token(), {"typ": "at+jwt"})
    explained = play(lambda: explain(guarding(provider()), token(id_token(scope="a"), JWT), now=NOW)).value
    (step,) = (each for each in explained.steps if each.about == "kind")
    assert "send the id_token of the token response instead" in step.advice


def test_another_client_and_another_issuer_are_refused() -> None:
    assert "aud" == why_not(provider(), id_token(aud="407408718192.apps.googleusercontent.com"))
    assert "aud" == why_not(provider(), id_token(aud="other", azp=CLIENT))
    assert "UnknownIssuer" == why_not(provider(), id_token(iss="https://accounts.google.com/"))
    assert "UnknownIssuer" == why_not(provider(), id_token(iss="https://securetoken.google.com/project"))
    assert "sub" == why_not(provider(), id_token(sub=ABSENT))
    assert "exp" == why_not(provider(), id_token(exp=NOW - 60))


def test_rules_of_ones_own_come_on_top() -> None:
    verified = provider(hd="example.com", extra_rules=[has("email_verified")])

    assert SUB == who(verified, id_token()).user
    assert "email_verified" == why_not(verified, id_token(email_verified=ABSENT))
    assert "hd" == why_not(verified, id_token(hd=ABSENT))


def test_the_keys_are_discovered_at_google() -> None:
    for source in (provider(keys=None).source, provider(keys=None, settings=KeySettings(timeout=1)).source):
        assert isinstance(source, RemoteKeys)
        assert "https://accounts.google.com/.well-known/openid-configuration" in source._name


def test_equal_words_make_equal_providers() -> None:
    assert provider(hd="example.com") == provider(hd=["Example.com"]) != provider()


@pytest.mark.parametrize("hd", ["", [], "example", "https://example.com", "*.example.com", ["example.com", 5], 5])
def test_a_workspace_domain_is_a_name(hd: Any) -> None:
    with pytest.raises(Misconfigured, match="hd is a domain of Google Workspace, or a list of such"):
        provider(hd=hd)
