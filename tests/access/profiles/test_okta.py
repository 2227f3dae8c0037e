"""Tokens of Okta's custom authorization servers → credentials; those of the org server → why they are not for us.

The shapes are those of https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/ (access token header
and payload, reserved claims), and of
https://support.okta.com/help/s/article/Signature-Validation-Failed-on-Access-Token on the org server's tokens.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Provider
from jwt_guard.access.explain import Step, explain
from jwt_guard.errors import Misconfigured
from jwt_guard.providers import okta
from jwt_guard.tokens.claims import has
from tests.support.issuers import KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.minting import ABSENT, NOW
from tests.support.playing import play

SERVER = "https://shop.okta.com/oauth2/0oacqf8qaJw56czJi0g4"
CLIENT = "nmdP1fcyvdVO11AL7ECm"
UID = "00ujmkLgagxeRrAg20g3"
OWN = "application/okta-internal-at+jwt"


def access(**changes: Any) -> dict[str, Any]:
    return {
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": SERVER,
        "aud": "https://api.example.com",
        "sub": "annie.jackson@acme.example",
        **TIMES,
        "cid": CLIENT,
        "uid": UID,
        "scp": ["openid", "email", "flights", "custom"],
        "auth_time": TIMES["iat"],
        "custom_claim": "CustomValue",
        **changes,
    }


def id_token(**changes: Any) -> dict[str, Any]:
    not_there = {"cid": ABSENT, "uid": ABSENT, "scp": ABSENT}
    return access(**{**not_there, "aud": CLIENT, "idp": "00ok1u7AsAkrwdZL3z0g3", "amr": ["pwd"], **changes})


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": SERVER, "audience": "https://api.example.com", "keys": KEYS}
    return okta(**{**good, **changes})


def advice_on(claims: dict[str, Any], typ: str | None = None) -> dict[str, Step]:
    text = token(claims, {} if typ is None else {"typ": typ})
    steps = play(lambda: explain(guarding(provider()), text, now=NOW)).value.steps
    return {step.about: step for step in steps if step.verdict == "failed"}


def test_somebody_who_signed_in_is_named_by_what_does_not_change() -> None:
    expected = Who(UID, CLIENT, {"openid", "email", "flights", "custom"}, set(), "okta")

    assert expected == who(provider(), access(), {})


def test_groups_are_roles_where_the_claim_was_added() -> None:
    found = who(provider(), access(groups=["Ops", "Everyone"], scp=["flights"]), {})

    assert {"flights"} == found.scopes
    assert {"Ops", "Everyone"} == found.roles


def test_a_machine_is_nobodys_user() -> None:
    machine = access(uid=ABSENT, sub=CLIENT, scp=["flights"], auth_time=ABSENT)

    assert Who(None, CLIENT, {"flights"}, set(), "okta") == who(provider(), machine, {})


def test_an_id_token_is_no_access_token() -> None:
    assert "aud" == why_not(provider(), id_token(), {})
    assert "cid" == why_not(provider(audience=CLIENT), id_token(), {})
    assert "at_hash" == why_not(provider(audience=CLIENT), id_token(at_hash="x"), {})
    assert "cid" == why_not(provider(audience=CLIENT, required=["sub"]), id_token(), {})


def test_another_server_and_another_api_are_refused() -> None:
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://shop.okta.com/oauth2/default"), {})
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://evil.okta.com/oauth2/0oacqf8qaJw56czJi0g4"), {})
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://shop.okta.com"), {})
    assert "aud" == why_not(provider(), access(aud="https://shop.okta.com"), {})


def test_the_org_servers_token_is_said_to_be_for_okta_alone() -> None:
    org = access(iss="https://shop.okta.com", aud="https://shop.okta.com")
    failed = advice_on(org, OWN)

    assert "issuer" in failed
    for about in ("issuer", "typ"):
        assert "org authorization server, which is for Okta alone" in str(failed[about].advice)
    assert "org authorization server" in str(advice_on(org)["issuer"].advice)
    assert "org authorization server" not in str(advice_on(access(iss="https://evil.okta.com"))["issuer"].advice)
    assert "typ" == why_not(provider(), access(), {"typ": OWN})


def test_rules_of_ones_own_come_on_top() -> None:
    assert "tenant" == why_not(provider(extra_rules=[has("tenant")]), access(), {})
    assert "cid" == why_not(provider(extra_rules=[has("tenant")]), access(cid=ABSENT, tenant="a"), {})


@pytest.mark.parametrize(
    "issuer",
    [
        "https://shop.okta.com",
        "https://shop.okta.com/",
        "https://shop.okta.com/oauth2",
        "https://shop.okta.com/oauth2/",
        "https://shop.okta.com/oauth2/v1",
        "https://shop.okta.com/oauth2/default/",
        "http://shop.okta.com/oauth2/default",
        [SERVER, "https://shop.okta.com"],
    ],
)
def test_the_org_server_is_refused_at_the_start(issuer: str | list[str]) -> None:
    with pytest.raises(Misconfigured, match="tokens of the org authorization server are for Okta alone"):
        provider(issuer=issuer)


def test_two_custom_servers_are_two_issuers() -> None:
    other = "https://login.shop.example/oauth2/default"

    assert UID == who(provider(issuer=[SERVER, other]), access(iss=other), {}).user
    with pytest.raises(Misconfigured, match="issuer is a text that is not empty, or a list of such"):
        provider(issuer=[SERVER, 7])
