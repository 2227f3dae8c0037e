"""Tokens of Zitadel → credentials.

The shapes are those of https://zitadel.com/docs/apis/openidoauth/claims (which claim is in which token) and
https://zitadel.com/docs/guides/integrate/retrieve-user-roles, and of Zitadel's source for who gets which roles claim
(https://github.com/zitadel/zitadel, ``internal/api/oidc/userinfo.go``, ``setUserInfoRoleClaims``).  What a service
account gets is in its ``token_client_credentials.go``, ``client_credentials.go`` and ``token_jwt_profile.go``, at
0204c49a: ``sub`` is the id of the account, and ``client_id`` its login name where it has a client secret, its id again
where it has a private key; no application is in ``aud``, and the claim of roles without a project is not there.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import ClaimNames, Provider
from jwt_guard.providers import zitadel
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from tests.support.issuers import KEYS, TIMES, Who, who, why_not
from tests.support.minting import ABSENT

ISSUER = "https://shop-abc123.zitadel.cloud"
PROJECT = "69234237810729019"
CLIENT = "69234237810729234"
SUB = "77776025198584418"


def roles_of(project: str) -> str:
    return f"urn:zitadel:iam:org:project:{project}:roles"


def access(**changes: Any) -> dict[str, Any]:
    roles = {"admin": {"id1": "acme.zitadel.cloud"}, "ops": {"id1": "acme.zitadel.cloud", "id2": "caos.example"}}
    return {
        "iss": ISSUER,
        "sub": SUB,
        "aud": [CLIENT, "69234237810729999", PROJECT],
        **TIMES,
        "nbf": TIMES["iat"],
        "jti": "69234237813329048",
        "client_id": CLIENT,
        "urn:zitadel:iam:org:project:roles": roles,
        roles_of(PROJECT): roles,
        "urn:zitadel:iam:user:resourceowner:id": "id1",
        **changes,
    }


def id_token(**changes: Any) -> dict[str, Any]:
    login = {"amr": ["pwd"], "auth_time": TIMES["iat"], "nonce": "blQtVEJHNTF0WHhFQmhqZ0RqeHJsdzdkd2d", "azp": CLIENT}
    return access(**{"jti": ABSENT, "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", **login, **changes})


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": ISSUER, "audience": PROJECT, "keys": KEYS}
    return zitadel(**{**good, **changes})


def test_somebody_who_signed_in_is_named_and_the_members_of_the_roles_object_are_roles() -> None:
    assert Who(SUB, CLIENT, set(), {"admin", "ops"}, "zitadel") == who(provider(), access())
    assert CLIENT == who(provider(), access(client_id=ABSENT, azp=CLIENT)).client
    assert {"openid", "orders"} == who(provider(), access(scope=["openid", "orders"])).scopes


def test_roles_in_the_clients_project_are_none_in_ours() -> None:
    """A client of another project brings the roles of that: whoever is admin there is not admin here."""
    theirs = {"admin": {"id9": "evil.example"}}
    token = access(**{"urn:zitadel:iam:org:project:roles": theirs, roles_of("999"): theirs, roles_of(PROJECT): ABSENT})

    assert set() == who(provider(), token).roles
    assert {"admin"} == who(provider(project="999"), token).roles
    assert set() == who(provider(audience=[PROJECT, CLIENT]), access()).roles
    assert {"admin", "ops"} == who(provider(audience=[PROJECT, CLIENT], project=PROJECT), access()).roles


@pytest.mark.parametrize(
    ("roles", "expected"), [({}, set()), (None, set()), (ABSENT, set()), (["admin"], set()), ("admin", set())]
)
def test_what_is_no_object_of_roles_gives_none(roles: Any, expected: set[str]) -> None:
    assert expected == who(provider(), access(**{roles_of(PROJECT): roles})).roles


def test_a_role_without_a_name_is_refused() -> None:
    assert "roles" == why_not(provider(), access(**{roles_of(PROJECT): {"": {}}}))
    assert "roles" == why_not(provider(), access(**{roles_of(PROJECT): {"a\nb": {}}}))


def test_a_machine_is_nobodys_user_where_the_token_tells() -> None:
    """Its tokens do not say which accounts are services; a claim of one's own can."""
    told = provider(is_machine=lambda values: values.get("kind") == "service")

    assert None is who(provider(), access(sub=CLIENT)).user
    assert None is who(told, access(kind="service")).user
    assert SUB == who(told, access()).user


def service(client: str, **changes: Any) -> dict[str, Any]:
    """Return the claims of a service account's token, asked for with the scopes for the project and its roles."""
    return access(
        **{"client_id": client, "aud": [PROJECT], "urn:zitadel:iam:org:project:roles": ABSENT, **changes},
    )


def test_a_service_account_with_a_private_key_is_nobodys_user() -> None:
    assert Who(None, SUB, set(), {"admin", "ops"}, "zitadel") == who(provider(), service(SUB))


@pytest.mark.parametrize("login", ["orders-sync", "orders-sync@acme.zitadel.cloud", "1234567890"])
def test_a_service_account_with_a_client_secret_is_told_from_people_by_its_login_name_alone(login: str) -> None:
    """So that it is a user to whoever does not know the name."""
    told = provider(is_machine=lambda values: values.get("client_id") == login)

    assert Who(SUB, login, set(), {"admin", "ops"}, "zitadel") == who(provider(), service(login))
    assert Who(None, login, set(), {"admin", "ops"}, "zitadel") == who(told, service(login))
    assert SUB == who(told, access()).user


def test_a_service_account_that_did_not_ask_for_the_project_is_refused() -> None:
    """What it did not ask for is not in ``aud``; without any such scope that is its own ``client_id``."""
    assert "aud" == why_not(provider(), service("orders-sync", aud=["orders-sync"]))
    assert set() == who(provider(), service("orders-sync", **{roles_of(PROJECT): ABSENT})).roles


def test_an_id_token_is_no_access_token_though_it_names_the_project() -> None:
    assert "at_hash" == why_not(provider(), id_token())
    assert "nonce" == why_not(provider(), id_token(at_hash=ABSENT))
    assert "auth_time" == why_not(provider(), id_token(at_hash=ABSENT, nonce=ABSENT))
    assert "amr" == why_not(provider(), id_token(at_hash=ABSENT, nonce=ABSENT, auth_time=ABSENT))
    assert "jti" == why_not(provider(), id_token(at_hash=ABSENT, nonce=ABSENT, auth_time=ABSENT, amr=ABSENT))


def test_another_instance_and_another_project_are_refused() -> None:
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://other.zitadel.cloud"))
    assert "aud" == why_not(provider(), access(aud=[CLIENT]))


def test_the_names_of_members_are_read_where_a_path_ends_in_a_star() -> None:
    names = ClaimNames(roles=(("a", "b", "*"), "roles"))

    assert {"x", "y"} == who(provider(claims=names), access(a={"b": {"x": 1, "y": None}})).roles
    assert {"z"} == who(provider(claims=names), access(a={"b": ["x"]}, roles=["z"])).roles
    assert {"z"} == who(provider(claims=ClaimNames(roles=(("a", "*", "b"), "roles"))), access(a={}, roles="z")).roles


def test_settings_are_for_the_fetch() -> None:
    source = provider(keys=None, settings=KeySettings(timeout=1)).source

    assert isinstance(source, RemoteKeys)
    assert 1 == source.settings.timeout
