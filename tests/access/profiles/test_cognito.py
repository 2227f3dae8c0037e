"""Tokens of a user pool of Amazon Cognito → credentials.

The shapes are those of
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html,
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html and
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
(``client_id`` is compared in access tokens, ``aud`` in ID tokens).  The two issuers that a user pool may have are in
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html; that the
host of the second answers 403 for a pool that has the first is in https://github.com/awslabs/aws-jwt-verify/issues/279.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Provider
from jwt_guard.access.explain import explain
from jwt_guard.errors import Misconfigured
from jwt_guard.providers import cognito
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from jwt_guard.tokens.compact import parse
from tests.support.issuers import KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, NOW, verdict
from tests.support.playing import play, reply

POOL = "us-west-2_example"
ISSUER = f"https://cognito-idp.us-west-2.amazonaws.com/{POOL}"
UPDATED = f"https://issuer-cognito-idp.us-west-2.amazonaws.com/{POOL}"
CLIENT = "1example23456789"
SUB = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def access(**changes: Any) -> dict[str, Any]:
    return {
        "sub": SUB,
        "device_key": SUB,
        "cognito:groups": ["testgroup"],
        "iss": ISSUER,
        "version": 2,
        "client_id": CLIENT,
        "origin_jti": SUB,
        "event_id": SUB,
        "token_use": "access",
        "scope": "phone openid profile resourceserver.1/appclient2 email",
        "auth_time": TIMES["iat"],
        **TIMES,
        "jti": SUB,
        "username": "my-test-user",
        **changes,
    }


def id_token(**changes: Any) -> dict[str, Any]:
    not_there = dict.fromkeys(("client_id", "scope", "username", "version", "device_key"), ABSENT)
    there = {"aud": CLIENT, "token_use": "id", "cognito:username": "my-test-user", "email_verified": True}
    return access(**{**not_there, **there, **changes})


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"region": "us-west-2", "pool": POOL, "clients": [CLIENT], "keys": KEYS}
    return cognito(**{**good, **changes})


def test_somebody_who_signed_in_is_named_and_their_groups_are_roles() -> None:
    scopes = {"phone", "openid", "profile", "resourceserver.1/appclient2", "email"}

    assert Who(SUB, CLIENT, scopes, {"testgroup"}, "cognito") == who(provider(), access(), {})


def test_a_token_of_the_api_of_cognito_has_its_one_scope() -> None:
    assert {"aws.cognito.signin.user.admin"} == who(
        provider(), access(scope="aws.cognito.signin.user.admin"), {}
    ).scopes


def test_an_app_client_itself_is_nobodys_user() -> None:
    not_there = dict.fromkeys(("username", "cognito:groups", "device_key", "origin_jti", "event_id"), ABSENT)
    machine = access(**not_there, sub=CLIENT, scope="orders/read orders/write")

    assert Who(None, CLIENT, {"orders/read", "orders/write"}, set(), "cognito") == who(provider(), machine, {})


def test_an_id_token_is_no_access_token_whatever_it_names() -> None:
    assert "client_id" == why_not(provider(), id_token(), {})
    assert "token_use" == why_not(provider(), id_token(client_id=CLIENT), {})
    for use in ("id", "refresh", "", None, ABSENT, ["access"], "Access"):
        assert "token_use" == why_not(provider(), access(token_use=use), {}), use


def test_another_pool_and_another_client_are_refused() -> None:
    other = "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_other"

    assert "UnknownIssuer" == why_not(provider(), access(iss=other), {})
    assert "UnknownIssuer" == why_not(provider(), access(iss=ISSUER.replace("us-west-2.", "eu-west-1.")), {})
    assert "client_id" == why_not(provider(), access(client_id="2example"), {})
    assert "client_id" == why_not(provider(), access(client_id=ABSENT), {})
    assert "client_id" == why_not(provider(), access(client_id="2example", aud=CLIENT), {})


def test_another_client_comes_with_advice_that_speaks_of_clients() -> None:
    explained = play(lambda: explain(guarding(provider()), token(access(client_id="other"), {}), now=NOW)).value
    (step,) = (each for each in explained.steps if each.about == "client_id")

    assert "name it in the configuration if its tokens are for us" in step.advice


def test_a_pool_has_one_of_two_issuers_and_no_third() -> None:
    original, updated = provider(issuer_type="ORIGINAL"), provider(issuer_type="UPDATED")

    assert provider().issuers == original.issuers == {ISSUER}
    assert SUB == who(updated, access(iss=UPDATED), {}).user
    assert "UnknownIssuer" == why_not(original, access(iss=UPDATED), {})
    for iss in (
        ISSUER,
        f"{UPDATED}/",
        UPDATED.replace("us-west-2.", "us-east-1."),  # of a replica, perhaps
        UPDATED.replace("issuer-cognito", "issuer.cognito"),
        UPDATED.replace("https:", "http:"),
        UPDATED.replace(POOL, "us-west-2_other"),
    ):
        assert "UnknownIssuer" == why_not(updated, access(iss=iss), {}), iss


def test_while_a_pool_changes_its_issuer_two_providers_take_both() -> None:
    guard = guarding(provider(), provider(issuer_type="UPDATED", name="updated"))

    for iss in (ISSUER, UPDATED):
        assert SUB == getattr(verdict(guard, token(access(iss=iss), {})), "user", None)


def test_the_keys_of_the_updated_issuer_are_discovered_there() -> None:
    updated = provider(issuer_type="UPDATED", keys=None)
    found = play(
        lambda: updated.source(parse(token(access(iss=UPDATED), {}))),
        reply({"issuer": UPDATED, "jwks_uri": f"{UPDATED}/.well-known/jwks.json"}),
        reply({"keys": [public_jwk("RS256", kid="a")]}),
    )

    assert [f"{UPDATED}/.well-known/openid-configuration", f"{UPDATED}/.well-known/jwks.json"] == found.fetched


def test_several_clients_are_taken() -> None:
    both = provider(clients=[CLIENT, "2example"])

    assert "2example" == who(both, access(client_id="2example"), {}).client
    assert CLIENT == who(both, access(), {}).client
    assert CLIENT == who(provider(clients=CLIENT), access(), {}).client


def test_rules_of_ones_own_come_on_top() -> None:
    assert "tenant" == why_not(provider(extra_rules=[has("tenant")]), access(), {})
    assert "token_use" == why_not(provider(extra_rules=[has("tenant")]), access(token_use=ABSENT, tenant="a"), {})


def test_the_keys_are_the_pools_in_china_too() -> None:
    source = provider(keys=None, settings=KeySettings(timeout=1)).source
    china = cognito("cn-north-1", "cn-north-1_example", CLIENT)

    assert isinstance(source, RemoteKeys)
    assert f"{ISSUER}/.well-known/openid-configuration" in source._name
    assert {"https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_example"} == china.issuers


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"region": "us-west"}, "region is one as in eu-west-1"),
        ({"region": "evil.example/us-west-2"}, "region is one as in eu-west-1"),
        ({"region": None}, "region is one as in eu-west-1"),
        ({"pool": "eu-west-1_example"}, "pool is the id of a user pool in that region, as in us-west-2_AbCdEfGhI"),
        ({"pool": "example"}, "pool is the id"),
        ({"pool": "us-west-2_"}, "pool is the id"),
        ({"pool": "us-west-2_a/b"}, "pool is the id"),
        ({"pool": 5}, "pool is the id"),
        ({"issuer_type": "updated"}, "issuer_type is ORIGINAL or UPDATED, as the user pool has it"),
        ({"issuer_type": None}, "issuer_type is ORIGINAL or UPDATED"),
        ({"issuer_type": ["UPDATED"]}, "issuer_type is ORIGINAL or UPDATED"),
        (
            {"region": "cn-north-1", "pool": "cn-north-1_example", "issuer_type": "UPDATED"},
            "what the UPDATED issuer of a user pool in China is called is not known here",
        ),
        ({"clients": []}, "clients are the ids of app clients"),
    ],
)
def test_what_is_no_pool_is_refused_at_the_start(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        provider(**changes)
