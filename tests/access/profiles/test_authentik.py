"""Tokens of authentik → credentials.

The shapes are those of authentik's source, https://github.com/goauthentik/authentik at 014e22c3:
``authentik/providers/oauth2/id_token.py`` (an access token is the ID token with ``azp`` and ``uid``),
``models.py`` (the two issuer modes) and ``views/token.py`` (``nonce``, and the account made for a client), and of
https://docs.goauthentik.io/add-secure-apps/providers/oauth2/ for the scope ``profile``, which brings ``groups``.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import ClaimNames, Provider, discovered
from jwt_guard.providers import authentik
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from tests.support.issuers import KEYS, TIMES, Who, who, why_not
from tests.support.minting import ABSENT

ISSUER = "https://authentik.company/application/o/orders/"
CLIENT = "Zt0zpvkQXLMIi7vjNcWDmUoCZQDqmo5aPrcCBNN6"
SUB = "2b1b8ef6a1a0a9f4a8a4bfdc3a0d7a6e6ce0ea1b3b7d2a6a1a4c8b7e1f0e9d8c"


def id_token(**changes: Any) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": SUB,
        "aud": CLIENT,
        **TIMES,
        "auth_time": TIMES["iat"],
        "acr": "goauthentik.io/providers/oauth2/default",
        "amr": ["pwd"],
        "nonce": "n-0S6_WzA2Mj",
        "sid": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "name": "Ada Lovelace",
        "preferred_username": "ada",
        "groups": ["authentik Admins", "orders-ops"],
        **changes,
    }


def access(**changes: Any) -> dict[str, Any]:
    return id_token(**{"azp": CLIENT, "uid": "mJ8aRq2PpEGNRlw0Tq3WjNfY", **changes})


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": ISSUER, "audience": CLIENT, "keys": KEYS}
    return authentik(**{**good, **changes})


@pytest.mark.parametrize("nonce", ["n-0S6_WzA2Mj", ABSENT])
def test_somebody_who_signed_in_is_named_and_their_groups_are_roles(nonce: Any) -> None:
    expected = Who(SUB, CLIENT, set(), {"authentik Admins", "orders-ops"}, "authentik")

    assert expected == who(provider(), access(nonce=nonce))


def test_scopes_come_from_the_claim_that_a_scope_mapping_adds() -> None:
    found = who(provider(), access(scope="openid profile orders:read", groups=ABSENT))

    assert {"openid", "profile", "orders:read"} == found.scopes
    assert set() == found.roles


def test_entitlements_can_be_the_roles() -> None:
    names = ClaimNames(client=("azp",), scopes=("scope",), roles=("entitlements",))

    assert {"packer"} == who(provider(claims=names), access(entitlements=["packer"])).roles


def test_the_account_that_is_made_for_a_client_is_nobodys_user() -> None:
    machine = access(preferred_username="ak-orders-client_credentials", nonce=ABSENT, amr=ABSENT, groups=[])

    assert Who(None, CLIENT, set(), set(), "authentik") == who(provider(), machine)
    for name in ("ak-orders", "client_credentials", "x-ak-orders-client_credentials", 5, ABSENT):
        assert SUB == who(provider(), access(preferred_username=name)).user


@pytest.mark.parametrize("nonce", ["n-0S6_WzA2Mj", ABSENT])
def test_an_id_token_is_no_access_token_though_both_are_for_the_same_client(nonce: Any) -> None:
    assert "azp" == why_not(provider(), id_token(nonce=nonce))
    assert "uid" == why_not(provider(), id_token(nonce=nonce, azp=CLIENT))
    assert "azp" == why_not(provider(), id_token(nonce=nonce, uid="x"))
    assert "at_hash" == why_not(provider(), access(nonce=nonce, at_hash="x"))


def test_another_provider_of_the_same_host_is_refused() -> None:
    other = "https://authentik.company/application/o/stock/"

    assert "UnknownIssuer" == why_not(provider(), access(iss=other))
    assert "UnknownIssuer" == why_not(provider(), access(iss=ISSUER.rstrip("/")))
    assert "aud" == why_not(provider(), access(aud="stock", azp="stock"))


def test_one_issuer_for_all_providers_is_asked_for_its_keys_at_one_of_them() -> None:
    everywhere = "https://authentik.company/"

    assert SUB == who(provider(issuer=everywhere), access(iss=everywhere)).user
    assert "aud" == why_not(provider(issuer=everywhere), access(iss=everywhere, aud="stock"))
    source = provider(issuer=everywhere, keys=discovered(everywhere, ISSUER)).source
    assert isinstance(source, RemoteKeys)
    assert f"{ISSUER}.well-known/openid-configuration" in source._name


def test_settings_are_for_the_fetch() -> None:
    source = provider(keys=None, settings=KeySettings(timeout=1)).source

    assert isinstance(source, RemoteKeys)
    assert 1 == source.settings.timeout
