"""Tokens of Auth0 in both of its profiles → credentials.

The shapes are those of https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles (samples, and the
table of claims, ``sub`` of machines among them), https://auth0.com/docs/secure/tokens/id-tokens/id-token-structure
and https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis for ``permissions``.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import ClaimNames, Provider
from jwt_guard.errors import Misconfigured
from jwt_guard.providers import auth0
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from tests.support.issuers import KEYS, TIMES, Who, who, why_not
from tests.support.minting import ABSENT

CLIENT = "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja"
API = "https://example.com/health-api"
USER = "auth0|6553da60a54af58e29493993"
AT = {"typ": "at+jwt"}


def legacy(**changes: Any) -> dict[str, Any]:
    """Return the claims of the "Auth0 profile", which is the default."""
    return {
        "iss": "https://my-domain.auth0.com/",
        "sub": USER,
        "aud": [API, "https://my-domain.auth0.com/userinfo"],
        "azp": CLIENT,
        **TIMES,
        "scope": "openid profile read:patients read:admin",
        "my_custom_claim": "my_custom_value",
        **changes,
    }


def rfc9068(**changes: Any) -> dict[str, Any]:
    """Return the claims of the "RFC 9068 profile"."""
    return legacy(**{"azp": ABSENT, "client_id": CLIENT, "jti": "73WakrfVbNJBaAmhQtEeDv", **changes})


def id_token(**changes: Any) -> dict[str, Any]:
    not_there = {"azp": ABSENT, "scope": ABSENT, "my_custom_claim": ABSENT}
    return legacy(**{**not_there, "aud": CLIENT, "name": "Jane Doe", "email": "janedoe@exampleco.com", **changes})


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"domain": "my-domain.auth0.com", "audience": API, "keys": KEYS}
    return auth0(**{**good, **changes})


def test_somebody_who_signed_in_is_named_by_both_profiles_alike() -> None:
    expected = Who(USER, CLIENT, {"openid", "profile", "read:patients", "read:admin"}, set(), "auth0")

    assert expected == who(provider(), legacy())
    assert expected == who(provider(), rfc9068(), AT)


def test_permissions_are_roles_and_no_scopes() -> None:
    """A client that asks for little acts for a person who may do much: the two are different things."""
    found = who(provider(), legacy(scope="openid", permissions=["read:patients", "delete:patients"]))

    assert {"openid"} == found.scopes
    assert {"read:patients", "delete:patients"} == found.roles


def test_roles_may_come_from_a_claim_in_a_namespace() -> None:
    names = ClaimNames(client=("client_id", "azp"), scopes=("scope",), roles=("https://shop.example/roles",))
    found = who(provider(claims=names), legacy(**{"https://shop.example/roles": ["ops"], "permissions": ["x"]}))

    assert {"ops"} == found.roles


@pytest.mark.parametrize("of", [legacy, rfc9068])
def test_a_machine_is_nobodys_user(of: Any) -> None:
    found = who(provider(), of(sub=f"{CLIENT}@clients", scope="read:patients"))

    assert Who(None, CLIENT, {"read:patients"}, set(), "auth0") == found


def test_a_machine_is_also_told_by_how_it_got_its_token() -> None:
    assert None is who(provider(), legacy(sub="something", gty="client-credentials")).user
    assert USER == who(provider(), legacy(gty="password")).user
    assert "someone@clients" == who(provider(), legacy(sub="someone@clients")).user


def test_an_id_token_is_no_access_token_though_it_names_the_api() -> None:
    assert "aud" == why_not(provider(), id_token())
    assert "client_id or azp" == why_not(provider(), id_token(aud=[API]))
    assert "client_id or azp" == why_not(provider(audience=CLIENT), id_token())
    assert "nonce" == why_not(provider(audience=CLIENT), id_token(nonce="n"))


def test_another_tenant_and_another_api_are_refused() -> None:
    assert "UnknownIssuer" == why_not(provider(), legacy(iss="https://other.auth0.com/"))
    assert "UnknownIssuer" == why_not(provider(), legacy(iss="https://my-domain.auth0.com"))
    assert "aud" == why_not(provider(), legacy(aud=["https://my-domain.auth0.com/userinfo"]))


def test_rules_of_ones_own_come_on_top() -> None:
    assert "org_id" == why_not(provider(extra_rules=[has("org_id")]), legacy())
    assert "client_id or azp" == why_not(provider(extra_rules=[has("org_id")]), id_token(aud=API, org_id="o"))


def test_the_keys_are_where_the_domain_is() -> None:
    for more in ({}, {"settings": KeySettings(timeout=1)}):
        source = provider(keys=None, **more).source

        assert isinstance(source, RemoteKeys)
        assert "https://my-domain.auth0.com/.well-known/openid-configuration" in source._name


@pytest.mark.parametrize("domain", ["https://shop.eu.auth0.com", "shop.eu.auth0.com/", "", "shop", "a b.example", None])
def test_a_domain_is_a_name_alone(domain: Any) -> None:
    with pytest.raises(Misconfigured, match=r"domain is the name alone, as in shop\.eu\.auth0\.com"):
        provider(domain=domain)
