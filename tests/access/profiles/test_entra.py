"""Tokens of Microsoft Entra ID → credentials, from the tenants that are named and with the keys of those alone.

The shapes are those of https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference and
https://learn.microsoft.com/entra/identity-platform/access-tokens (samples, and "Validate the issuer" on the keys'
own issuer), https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference for ID tokens,
https://learn.microsoft.com/entra/identity-platform/optional-claims-reference for ``idtyp``, and
https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud for the clouds.

For external tenants https://learn.microsoft.com/entra/identity-platform/security-tokens ("Token endpoints and issuers")
says where the metadata are and which issuer they name; the claims of version 2.0 are those of all tenants.  A key says
``login.microsoftonline.com`` there too: https://github.com/dotnet/aspnetcore/issues/52283 shows such a set.
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import ClaimNames, Provider, fixed
from jwt_guard.errors import Misconfigured, UnknownKey
from jwt_guard.providers import entra
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.claims import has
from jwt_guard.tokens.compact import parse
from tests.support.issuers import JWT, KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, refused, verdict
from tests.support.playing import play, reply

OURS = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
THEIRS = "82229342-1101-4ab6-817b-70c0747630f3"
NOBODYS = "fa15d692-e9c7-4460-a743-29f2956fd429"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
API = "6e74172b-be56-4843-9ff4-e66a39bb12e3"
CLIENT = "75dbe77f-10a3-4e59-85fd-8c127544f17c"
SUB = "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ"
OID = "690222be-ff1a-4d56-abd1-7e4f7d38e474"
URI = f"api://{API}"


def v2(tenant: str = OURS, **changes: Any) -> dict[str, Any]:
    """Return the claims of a version 2.0 access token of somebody who signed in."""
    return {
        "aud": API,
        "iss": f"https://login.microsoftonline.com/{tenant}/v2.0",
        **TIMES,
        "nbf": TIMES["iat"],
        "aio": "AXQAi/8IAAAAtAaZLo3ChMif6KOntt",
        "azp": CLIENT,
        "azpacr": "0",
        "name": "Abe Lincoln",
        "oid": OID,
        "preferred_username": "abeli@contoso.example",
        "rh": "I",
        "scp": "Orders.Read Orders.Write",
        "sub": SUB,
        "tid": tenant,
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
        "ver": "2.0",
        **changes,
    }


def v1(tenant: str = OURS, **changes: Any) -> dict[str, Any]:
    """Return the same in version 1.0."""
    return {
        "aud": URI,
        "iss": f"https://sts.windows.net/{tenant}/",
        **TIMES,
        "nbf": TIMES["iat"],
        "acr": "1",
        "aio": "AXQAi/8IAAAAFm+E/QTG+gFnVxLj",
        "amr": ["wia"],
        "appid": CLIENT,
        "appidacr": "0",
        "idp": "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd0122247/",
        "ipaddr": "222.222.222.22",
        "name": "abeli",
        "oid": OID,
        "rh": "I",
        "scp": "user_impersonation",
        "sub": SUB,
        "tid": tenant,
        "unique_name": "abeli@contoso.example",
        "uti": "FVsGxYXI30-TuikuuUoFAA",
        "ver": "1.0",
        **changes,
    }


def application(**changes: Any) -> dict[str, Any]:
    """Return the claims of a token that an application got for itself."""
    nobody: dict[str, Any] = dict.fromkeys(("scp", "name", "preferred_username"), ABSENT)
    return v2(**nobody, sub=OID, azpacr="1", roles=["Orders.Read.All"], idtyp="app", **changes)


def id_token(**changes: Any) -> dict[str, Any]:
    not_there: dict[str, Any] = dict.fromkeys(("azp", "azpacr", "scp"), ABSENT)
    return v2(**{**not_there, "nonce": "12345", **changes})


def one(**changes: Any) -> Provider:
    good: dict[str, Any] = {"tenant": OURS, "audience": [API, URI], "keys": KEYS}
    return entra(**{**good, **changes})


def shared(*issuers: str | None, tenants: tuple[str, ...] = (OURS, THEIRS), **changes: Any) -> Provider:
    """Return a provider of several tenants whose keys a, b, c, … say that they are of *issuers*."""
    jwks = [
        public_jwk("RS256", which, kid=which, **({} if issuer is None else {"issuer": issuer}))
        for which, issuer in zip("abc", issuers, strict=False)
    ]
    return entra(tenants=tenants, audience=[API, URI], keys=fixed({"keys": jwks}), **changes)


def own(tenant: str) -> str:
    return f"https://login.microsoftonline.com/{tenant}/v2.0"


# --- who it is ---------------------------------------------------------------------------------------


def test_somebody_who_signed_in_is_named_by_both_versions_alike() -> None:
    assert Who(SUB, CLIENT, {"Orders.Read", "Orders.Write"}, set(), "entra") == who(one(), v2())
    assert Who(SUB, CLIENT, {"user_impersonation"}, set(), "entra") == who(one(), v1())


def test_what_was_granted_to_the_client_and_to_the_person_stays_apart() -> None:
    found = who(one(), v2(roles=["Orders.Approver"], groups=["82f6e2b1"], wids=["b79fbf4d"]))

    assert {"Orders.Read", "Orders.Write"} == found.scopes
    assert {"Orders.Approver"} == found.roles


def test_an_application_is_nobodys_user_whether_or_not_its_token_says_what_it_is() -> None:
    expected = Who(None, CLIENT, set(), {"Orders.Read.All"}, "entra")

    assert expected == who(one(), application())
    assert expected == who(one(), application() | {"idtyp": ABSENT})
    assert expected == who(one(), application() | {"idtyp": ABSENT, "scp": ""})
    assert expected == who(one(), application() | {"idtyp": "device"})
    assert SUB == who(one(), v2(idtyp="user")).user
    assert SUB == who(one(), v2(idtyp="user", scp=ABSENT, roles=["x"])).user


def test_the_id_that_is_the_same_in_all_applications_can_be_the_users_name() -> None:
    names = ClaimNames(user=("oid",), client=("azp", "appid"), scopes=("scp",))

    assert OID == who(one(claims=names), v2()).user
    assert None is who(one(claims=names), application()).user


# --- what is not for us ------------------------------------------------------------------------------


def test_an_id_token_is_no_access_token_though_client_and_api_are_one_registration() -> None:
    assert "azp or appid" == why_not(one(), {**id_token(roles=["x"], nonce=ABSENT), "azp": ""})
    assert "nonce" == why_not(one(), id_token(roles=["x"]))
    assert "azp or appid" == why_not(one(), id_token(roles=["x"], nonce=ABSENT))


def test_an_application_of_the_tenant_that_nothing_was_granted_to_is_refused() -> None:
    """Any application can get a token for any API of its tenant: without a role it proves nothing."""
    assert "scp or roles" == why_not(one(), application() | {"roles": ABSENT})
    assert "scp or roles" == why_not(one(), application() | {"roles": []})


@pytest.mark.parametrize("of", [v2, v1])
def test_another_tenant_and_another_api_are_refused(of: Any) -> None:
    assert "UnknownIssuer" == why_not(one(), of(THEIRS))
    assert "UnknownIssuer" == why_not(one(), of("common"))
    assert "UnknownIssuer" == why_not(one(), of("{tenantid}"))
    assert "aud" == why_not(one(), of(aud="00000003-0000-0000-c000-000000000000"))
    assert "aud" == why_not(one(), of(aud=f"{URI}/"))


@pytest.mark.parametrize("tid", [THEIRS, OURS.upper(), "", None, 7, [OURS], {OURS: 1}, ABSENT], ids=repr)
def test_the_tenant_claim_is_that_of_the_issuer(tid: Any) -> None:
    assert "tid" == why_not(one(), v2(tid=tid))
    assert "tid" == why_not(shared(own("{tenantid}")), v1(tid=tid))


def test_a_version_one_issuer_of_another_cloud_is_not_ours() -> None:
    china = one(host="login.partner.microsoftonline.cn")

    assert "UnknownIssuer" == why_not(china, v1())
    assert "UnknownIssuer" == why_not(china, v2())
    assert SUB == who(china, v1(iss=f"https://sts.chinacloudapi.cn/{OURS}/")).user
    assert SUB == who(china, v2(iss=f"https://login.partner.microsoftonline.cn/{OURS}/v2.0")).user


def test_rules_of_ones_own_come_on_top() -> None:
    assert "acr" == why_not(one(extra_rules=[has("acr")]), v2())
    assert "tid" == why_not(one(extra_rules=[has("acr")]), v1(tid=THEIRS))


# --- many tenants, one set of keys -------------------------------------------------------------------


def test_each_tenant_on_the_list_is_taken_and_no_other() -> None:
    both = shared(own("{tenantid}"))

    for tenant in (OURS, THEIRS):
        assert SUB == who(both, v2(tenant)).user
        assert SUB == who(both, v1(tenant)).user
    assert "UnknownIssuer" == why_not(both, v2(NOBODYS))
    assert "UnknownIssuer" == why_not(both, v1(NOBODYS))


def test_a_key_of_one_tenant_does_not_sign_for_another() -> None:
    """Cross-tenant confusion: the set that tenants share has keys in it that are for one tenant alone."""
    guard = guarding(shared(own("{tenantid}"), own(THEIRS), own(PERSONAL)))

    for claims in (v2(), v1()):
        forged = token(claims, JWT, which="b")
        for _ in range(2):  # nor is the verdict of another token of that key remembered for it
            error = refused(guard, forged)

            assert isinstance(error, UnknownKey)
            assert "b" == error.kid
            assert SUB == getattr(verdict(guard, token(v2(THEIRS), JWT, which="b")), "user", None)
    assert isinstance(refused(guard, token(v2(), JWT, which="c")), UnknownKey)
    assert isinstance(refused(guard, token(v2(THEIRS), JWT, which="c")), UnknownKey)


def test_personal_accounts_are_a_tenant_like_others_with_keys_of_their_own() -> None:
    guard = guarding(shared(own("{tenantid}"), own(PERSONAL), tenants=(OURS, PERSONAL)))

    assert SUB == getattr(verdict(guard, token(v2(PERSONAL), JWT, which="b")), "user", None)
    assert isinstance(refused(guard, token(v2(OURS), JWT, which="b")), UnknownKey)


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        f"https://login.microsoftonline.com/{NOBODYS}/v2.0",
        f"https://login.microsoftonline.com/{OURS}",
        "https://login.microsoftonline.us/{tenantid}/v2.0",
        "https://login.microsoftonline.com/{TENANTID}/v2.0",
        "https://evil.example/{tenantid}",
        "{tenantid}",
    ],
)
def test_a_key_that_does_not_say_that_it_is_for_this_tenant_is_not_used_for_several(issuer: str | None) -> None:
    assert isinstance(refused(guarding(shared(issuer)), token(v2(), JWT)), UnknownKey)


def test_the_set_of_one_tenant_need_not_say_whose_it_is_but_must_not_say_another() -> None:
    def keyed(issuer: str) -> Provider:
        return one(keys=fixed({"keys": [public_jwk("RS256", kid="a", issuer=issuer)]}))

    assert SUB == who(one(), v2()).user
    assert SUB == who(keyed(own(OURS)), v1()).user
    assert SUB == who(keyed(own("{tenantid}")), v2()).user
    assert "UnknownKey" == why_not(keyed(own(THEIRS)), v2())
    assert "UnknownKey" == why_not(keyed(own(PERSONAL)), v1())


@pytest.mark.parametrize("issuer", [None, 5, [own(OURS)], own(NOBODYS)])
def test_the_key_is_not_asked_about_an_issuer_that_is_nobodys(issuer: Any) -> None:
    ask = shared(own("{tenantid}")).key_issuer

    assert ask is not None
    assert ask(own("{tenantid}"), {"iss": own(OURS)})
    assert not ask(own("{tenantid}"), {"iss": issuer})


# --- external tenants --------------------------------------------------------------------------------

HOST = "contoso.ciamlogin.com"


def ciam(tenant: str = OURS) -> str:
    return f"https://{tenant}.ciamlogin.com/{tenant}/v2.0"


def external(*issuers: str | None, **changes: Any) -> Provider:
    """Return a provider of an external tenant whose keys a, b, c, … say that they are of *issuers*."""
    jwks = [
        public_jwk("RS256", which, kid=which, **({} if issuer is None else {"issuer": issuer}))
        for which, issuer in zip("abc", issuers, strict=False)
    ]
    return one(host=HOST, **{"keys": fixed({"keys": jwks}) if jwks else KEYS, **changes})


def test_customers_and_programs_of_an_external_tenant_are_known_as_others_are() -> None:
    program = {**application(iss=ciam()), "sub": OID}

    assert Who(SUB, CLIENT, {"Orders.Read", "Orders.Write"}, set(), "entra") == who(external(), v2(iss=ciam()))
    assert Who(None, CLIENT, set(), {"Orders.Read.All"}, "entra") == who(external(), program)
    assert "scp or roles" == why_not(external(), program | {"roles": ABSENT})
    assert "azp or appid" == why_not(external(), id_token(iss=ciam(), roles=["x"], nonce=ABSENT))
    assert "aud" == why_not(external(), v2(iss=ciam(), aud=CLIENT))


@pytest.mark.parametrize(
    "iss",
    [
        ciam(THEIRS),
        f"https://{HOST}/{OURS}/v2.0",  # where the metadata are, but not the issuer that they name
        f"https://{THEIRS}.ciamlogin.com/{OURS}/v2.0",
        f"https://{OURS}.ciamlogin.com/{THEIRS}/v2.0",
        f"https://{OURS}.ciamlogin.com/{OURS}/",
        f"https://{OURS}.ciamlogin.com/{OURS}/v2.0/",
        "https://{tenantid}.ciamlogin.com/{tenantid}/v2.0",
        own(OURS),
        f"https://sts.windows.net/{OURS}/",
    ],
)
def test_an_external_tenant_has_one_issuer(iss: str) -> None:
    assert {ciam()} == external().issuers
    assert "UnknownIssuer" == why_not(external(), v2(iss=iss))


def test_a_tenant_that_is_not_external_takes_no_tokens_of_one_that_is() -> None:
    assert "UnknownIssuer" == why_not(one(), v2(iss=ciam()))
    assert "tid" == why_not(external(), v2(iss=ciam(), tid=THEIRS))


@pytest.mark.parametrize(
    "issuer", [None, ciam(), own(OURS), own("{tenantid}"), "https://{tenantid}.ciamlogin.com/{tenantid}/v2.0"]
)
def test_a_key_for_an_external_tenant_says_so_in_either_of_microsofts_words(issuer: str | None) -> None:
    assert SUB == who(external(issuer), v2(iss=ciam())).user


@pytest.mark.parametrize(
    "issuer",
    [ciam(THEIRS), own(THEIRS), own(PERSONAL), f"https://sts.windows.net/{OURS}/", f"https://{HOST}/{OURS}/v2.0", ""],
)
def test_a_key_of_another_tenant_does_not_sign_for_an_external_one(issuer: str) -> None:
    guard = guarding(external(ciam(), issuer))

    assert isinstance(refused(guard, token(v2(iss=ciam()), JWT, which="b")), UnknownKey)
    assert SUB == getattr(verdict(guard, token(v2(iss=ciam()), JWT)), "user", None)


def test_the_keys_of_an_external_tenant_are_discovered_where_its_customers_sign_in() -> None:
    provider = external(keys=None)
    jwks_uri = f"https://{HOST}/{OURS}/discovery/v2.0/keys"
    found = play(
        lambda: provider.source(parse(token(v2(iss=ciam()), JWT))),
        reply({"issuer": ciam(), "jwks_uri": jwks_uri}),
        reply({"keys": [public_jwk("RS256", kid="a")]}),
    )

    assert [f"https://{HOST}/{OURS}/v2.0/.well-known/openid-configuration", jwks_uri] == found.fetched


def test_a_key_of_the_global_cloud_signs_for_external_tenants_and_in_no_other_cloud() -> None:
    us = "login.microsoftonline.us"
    iss = f"https://{us}/{OURS}/v2.0"

    def keyed(issuer: str) -> Provider:
        return one(host=us, keys=fixed({"keys": [public_jwk("RS256", kid="a", issuer=issuer)]}))

    assert "UnknownKey" == why_not(keyed(own(OURS)), v2(iss=iss))
    assert "UnknownKey" == why_not(keyed(own("{tenantid}")), v2(iss=iss))
    assert SUB == who(keyed(iss), v2(iss=iss)).user


def test_each_external_tenant_is_a_provider_of_its_own() -> None:
    both = guarding(external(), one(tenant=THEIRS, host="fabrikam.ciamlogin.com", name="fabrikam"))

    assert "entra" == getattr(verdict(both, token(v2(iss=ciam()), JWT)), "provider", None)
    assert "fabrikam" == getattr(verdict(both, token(v2(THEIRS, iss=ciam(THEIRS)), JWT)), "provider", None)
    assert SUB == who(one(tenant=None, tenants=[OURS], host=HOST), v2(iss=ciam())).user
    with pytest.raises(Misconfigured, match="an external tenant has a host and keys of its own: make one provider for"):
        one(tenant=None, tenants=[OURS, THEIRS], host=HOST)


# --- where the keys are ------------------------------------------------------------------------------


def test_one_tenants_keys_are_discovered_at_that_tenant() -> None:
    provider = one(keys=None)
    found = play(
        lambda: provider.source(parse(token(v2(), JWT))),
        reply({"issuer": own(OURS), "jwks_uri": "https://login.microsoftonline.com/keys"}),
        reply({"keys": [public_jwk("RS256", kid="a", issuer=own(OURS))]}),
    )

    assert f"{own(OURS)}/.well-known/openid-configuration" == found.fetched[0]
    assert own(OURS) == found.value.issuer


def test_the_keys_of_several_are_discovered_where_all_tenants_have_theirs() -> None:
    provider = entra(tenants=[OURS, THEIRS], audience=API)
    found = play(
        lambda: provider.source(parse(token(v2(), JWT))),
        reply({"issuer": own("{tenantid}"), "jwks_uri": "https://login.microsoftonline.com/keys"}),
        reply({"keys": [public_jwk("RS256", kid="a", issuer=own("{tenantid}"))]}),
    )

    assert "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration" == found.fetched[0]
    assert own("{tenantid}") == found.value.issuer


def test_a_list_of_one_is_one_tenant_and_settings_are_for_the_fetch() -> None:
    settings = KeySettings(timeout=1)
    provider = entra(tenants=[OURS.upper()], audience=API, host="login.microsoftonline.us", settings=settings)

    assert isinstance(provider.source, RemoteKeys)
    assert settings == provider.source.settings
    assert f"login.microsoftonline.us/{OURS}/v2.0/.well-known" in provider.source._name
    assert {f"https://login.microsoftonline.us/{OURS}/v2.0", f"https://sts.windows.net/{OURS}/"} == provider.issuers


def test_equal_words_make_equal_providers() -> None:
    assert one() == one()
    assert shared(own("{tenantid}")).key_issuer is shared(own("{tenantid}")).key_issuer
    assert one() != one(tenant=THEIRS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenant": None}, "say either tenant or tenants"),
        ({"tenants": [OURS]}, "say either tenant or tenants"),
        ({"tenant": "common"}, "a tenant is its id, as in 8eaef023-2b34-4da1-9baa-8bc8c9d6a490, not 'common'"),
        ({"tenant": "organizations"}, "a tenant is its id"),
        ({"tenant": "contoso.onmicrosoft.com"}, "a tenant is its id"),
        ({"tenant": "{tenantid}"}, "a tenant is its id"),
        ({"tenant": f"{OURS}/"}, "a tenant is its id"),
        ({"tenant": 7}, "a tenant is its id"),
        ({"tenant": None, "tenants": []}, "tenants is a list of tenants"),
        ({"tenant": None, "tenants": OURS}, "tenants is a list of tenants"),
        ({"tenant": None, "tenants": 5}, "tenants is a list of tenants"),
        ({"tenant": None, "tenants": [OURS, "*"]}, "a tenant is its id"),
        ({"host": "login.example"}, "host is one of login.microsoftonline.com, login.microsoftonline.us, "),
        ({"host": "ciamlogin.com"}, "or an external tenant's SUBDOMAIN.ciamlogin.com"),
        ({"host": ".ciamlogin.com"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": "a.b.ciamlogin.com"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": "Contoso.ciamlogin.com"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": "contoso.ciamlogin.com.evil.example"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": "evil.example/contoso.ciamlogin.com"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": "contoso-ciamlogin.com"}, "SUBDOMAIN.ciamlogin.com"),
        ({"host": None}, "host is one of"),
        ({"host": [HOST]}, "host is one of"),
        ({"audience": ()}, "audience is a text that is not empty"),
        ({"settings": KeySettings()}, "settings are for keys that are fetched from the issuer"),
    ],
)
def test_what_is_no_tenant_is_refused_at_the_start(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason.replace("(", r"\(")):
        one(**changes)
