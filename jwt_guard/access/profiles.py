"""Profiles: what is known about a kind of issuer → a Provider, one function each.

All take *name*, which credentials and logs call the provider, *keys* where they are not where the issuer publishes
them, *settings* for how those are fetched, and as *more* the other fields of
:class:`~jwt_guard.access.provider.Provider`.  All raise Misconfigured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import ClaimRejected, Misconfigured, shown
from ..sources.discovery import discovered
from ..tokens.claims import FOREVER, Rule, access_token, has, id_token, one_of
from .identity import ClaimNames
from .provider import Provider

if TYPE_CHECKING:
    from ..sources.jwks import KeySettings
    from ..tokens.claims import Statement
    from ..tokens.verify import KeyIssuer
    from .provider import KeySource

__all__ = [
    "auth0",
    "authentik",
    "cognito",
    "entra",
    "google_id_token",
    "keycloak",
    "okta",
    "rfc9068",
    "zitadel",
]

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]+")


# --- any issuer that follows the standard ------------------------------------------------------------


def rfc9068(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "rfc9068",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of RFC 9068 access tokens: ``typ`` is ``at+jwt``, and the required claims are there."""
    more.setdefault("typ", ("at+jwt",))
    more.setdefault("required", ("sub", "client_id", "iat", "jti"))  # RFC 9068 §2.2; iss, aud and exp always are
    more.setdefault("claims", ClaimNames(client=("client_id",), scopes=("scope",)))
    return Provider(name=name, issuer=issuer, audience=audience, keys=_keys(issuer, keys, settings), **more)


# --- Keycloak ----------------------------------------------------------------------------------------


def keycloak(  # noqa: PLR0913 - what is particular to one installation, and what all profiles take
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    client: str | None = None,
    *,
    name: str = "keycloak",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for one Keycloak realm: *issuer* is its URL, ``https://host/realms/NAME``.

    Roles are the realm's, or with *client* those of that client.  A service account is nobody's user.
    """
    roles = ("realm_access", "roles") if client is None else ("resource_access", client, "roles")
    more.setdefault("claims", ClaimNames(client=("client_id", "azp"), scopes=("scope",), roles=(roles,)))
    more.setdefault("is_machine", _is_service_account)
    return Provider(name=name, issuer=issuer, audience=audience, keys=_keys(issuer, keys, settings), **more)


def _is_service_account(values: Mapping[str, Any]) -> bool:
    name = values.get("preferred_username")
    if not isinstance(name, str) or not name.startswith("service-account-"):
        return False
    client = values.get("client_id", values.get("azp"))
    # Keycloak writes user names in small letters; somebody else may be called like the account of another client.
    return isinstance(client, str) and name == f"service-account-{client.lower()}"


# --- Microsoft Entra ID ------------------------------------------------------------------------------

_GLOBAL = "login.microsoftonline.com"
_V1_HOSTS = {
    _GLOBAL: "sts.windows.net",
    "login.microsoftonline.us": "sts.windows.net",
    "login.partner.microsoftonline.cn": "sts.chinacloudapi.cn",
}
"""By cloud: whose name stands in the ``iss`` of its tokens of version 1.0."""
_EXTERNAL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.ciamlogin\.com")
"""Where the customers of an external tenant sign in."""
_TENANT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANY_TENANT = "{tenantid}"  # as Microsoft writes it in what all tenants share
_TENANTS = "Tokens are taken from the tenants in the configuration alone: add this one there if you trust it."
_ENTRA = (
    has("azp", "appid", advice="This may be an ID token: send the access_token of the token response instead."),
    # Each application of a tenant can get a token for each API there; what it was granted stands in one of these.
    has(
        "scp",
        "roles",
        advice="Nothing was granted to the client: have it ask for a scope of this API (api://ID/.default), and expose "
        "one there, or assign an app role to it.",
    ),
)


def entra(  # noqa: PLR0913 - what is particular to one installation, and what all profiles take
    tenant: str | None = None,
    audience: str | Sequence[str] = (),
    *,
    tenants: Sequence[str] | None = None,
    host: str = _GLOBAL,
    name: str = "entra",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for one *tenant* of Microsoft Entra ID, or for those in *tenants*, and for no other.

    A tenant is its id, a GUID.  *audience* is the application id of this API, and for tokens of version 1.0 its
    application id URI too.  *host* is where the cloud signs people in, or of an external tenant (External ID) its own
    ``SUBDOMAIN.ciamlogin.com``, whose tokens are of version 2.0.  A token of an application is nobody's user.
    """
    if (tenant is None) == (tenants is None):
        raise _wrong(name, "say either tenant or tenants")
    if not isinstance(host, str) or not (host in _V1_HOSTS or _EXTERNAL.fullmatch(host)):
        raise _wrong(name, f"host is one of {', '.join(_V1_HOSTS)}, or an external tenant's SUBDOMAIN.ciamlogin.com")
    several = tenants if tenants is not None else (tenant,)
    if not isinstance(several, Sequence) or isinstance(several, str) or not several:
        raise _wrong(name, "tenants is a list of tenants")
    ids = frozenset(_tenant_id(name, each) for each in several)
    if len(ids) > 1 and host not in _V1_HOSTS:
        raise _wrong(name, "an external tenant has a host and keys of its own: make one provider for each")
    more.setdefault("claims", ClaimNames(client=("azp", "appid"), scopes=("scp",)))
    more.setdefault("is_machine", _is_application)
    own_tenant, key_issuer = _of_tenants(ids, host)
    return Provider(
        name=name,
        issuer=sorted(issuer for each in ids for issuer in _issuers_of(each, host)),
        audience=audience,
        keys=_entra_keys(ids, host, keys, settings),
        extra_rules=(*_ENTRA, own_tenant, *more.pop("extra_rules", ())),
        key_issuer=key_issuer,
        **more,
    )


def _tenant_id(name: str, tenant: object) -> str:
    if isinstance(tenant, str) and _TENANT.fullmatch(tenant.lower()):
        return tenant.lower()
    raise _wrong(name, f"a tenant is its id, as in 8eaef023-2b34-4da1-9baa-8bc8c9d6a490, not {shown(tenant)}")


def _issuers_of(tenant: str, host: str) -> tuple[str, ...]:
    """Return what *tenant* is called in tokens: in those of version 2.0 first, then in those of 1.0."""
    if host in _V1_HOSTS:
        return f"https://{host}/{tenant}/v2.0", f"https://{_V1_HOSTS[host]}/{tenant}/"
    return (f"https://{tenant}.ciamlogin.com/{tenant}/v2.0",)  # with the id in front, wherever people sign in


def _key_issuers_of(tenant: str, host: str) -> tuple[str, ...]:
    """Return in which words a key says that it is for *tenant*."""
    issuers = _issuers_of(tenant, host)
    return issuers if host in _V1_HOSTS else (*issuers, _issuers_of(tenant, _GLOBAL)[0])


def _entra_keys(
    ids: frozenset[str], host: str, keys: KeySource | None, settings: KeySettings | None
) -> KeySource | None:
    if len(ids) == 1:
        (tenant,) = ids
        return _keys(_issuers_of(tenant, host)[0], keys, settings, where=f"https://{host}/{tenant}/v2.0")
    return _keys(_issuers_of(_ANY_TENANT, host)[0], keys, settings, where=f"https://{host}/common/v2.0")


@lru_cache(maxsize=256)  # for equal tenants the same, so that equal providers are equal
def _of_tenants(ids: frozenset[str], host: str) -> tuple[Rule, KeyIssuer]:
    """Return what ties ``tid``, ``iss`` and the key to one and the same of the tenants *ids*.

    All tenants get their tokens from one place, and share a set of keys in which some are for one tenant alone.
    """
    tenant_of = {issuer: each for each in ids for issuer in _issuers_of(each, host)}

    def holds_until(statement: Statement, _now: float) -> float:
        named, issuer = statement.values.get("tid"), statement.values.get("iss")
        expected = tenant_of.get(issuer) if isinstance(issuer, str) else None
        if expected is None or named != expected:
            reason = "is not the tenant of the issuer"
            raise ClaimRejected("tid", reason, expected=expected or sorted(ids), got=named, advice=_TENANTS)
        return FOREVER

    def key_issuer(issuer: str | None, values: Mapping[str, Any]) -> bool:
        named = values.get("iss")
        tenant = tenant_of.get(named) if isinstance(named, str) else None
        if tenant is None:
            return False
        if issuer is None:
            return len(ids) == 1  # its own set, which need not say so
        return issuer.replace(_ANY_TENANT, tenant) in _key_issuers_of(tenant, host)

    return Rule("tid", "the tenant is the one that the issuer names", holds_until), key_issuer


def _is_application(values: Mapping[str, Any]) -> bool:
    kind = values.get("idtyp")  # an optional claim
    return kind != "user" if kind is not None else not values.get("scp")


# --- Auth0 -------------------------------------------------------------------------------------------

_AUTH0 = has("client_id", "azp", advice="This may be an ID token: send the access_token of the token response instead.")


def auth0(
    domain: str,
    audience: str | Sequence[str],
    *,
    name: str = "auth0",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for an Auth0 tenant, in both of its token profiles; *audience* is the identifier of the API.

    *domain* is the tenant's or your own, ``shop.eu.auth0.com``.  Roles are what RBAC writes into ``permissions``:
    those of whoever signed in, whatever the client asked for in ``scope``.  A machine is nobody's user.
    """
    if not isinstance(domain, str) or not _HOST.fullmatch(domain):
        raise _wrong(name, "domain is the name alone, as in shop.eu.auth0.com")
    issuer = f"https://{domain}/"
    more.setdefault("claims", ClaimNames(client=("client_id", "azp"), scopes=("scope",), roles=("permissions",)))
    more.setdefault("is_machine", _is_auth0_machine)
    rules = (_AUTH0, *more.pop("extra_rules", ()))
    keys = _keys(issuer, keys, settings)
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, extra_rules=rules, **more)


def _is_auth0_machine(values: Mapping[str, Any]) -> bool:
    client = values.get("client_id", values.get("azp"))
    return values.get("gty") == "client-credentials" or values.get("sub") == f"{client}@clients"


# --- Okta --------------------------------------------------------------------------------------------

_OKTA_SERVER = re.compile(r"https://[^/?#]+/oauth2/(?!v1$)[^/?#]+")
_OKTA = has("cid", advice="This may be an ID token: send the access_token of the token response instead.")


def okta(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "okta",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for a custom authorization server of Okta: *issuer* is ``https://host/oauth2/ID``.

    The user is ``uid``, which never changes, not the login in ``sub``; roles are the claim ``groups``, where it was
    added.  The org authorization server, whose issuer has no path, makes tokens for Okta alone, and is refused.
    """
    for each in (issuer,) if isinstance(issuer, str) else tuple(issuer):
        if isinstance(each, str) and not _OKTA_SERVER.fullmatch(each):
            raise _wrong(
                name,
                f"the issuer is a custom authorization server, as in https://shop.okta.com/oauth2/default, not "
                f"{shown(each)}: tokens of the org authorization server are for Okta alone",
            )
    more.setdefault("claims", ClaimNames(user=("uid",), client=("cid",), scopes=("scp",), roles=("groups",)))
    rules = (_OKTA, *more.pop("extra_rules", ()))
    keys = _keys(issuer, keys, settings)
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, extra_rules=rules, **more)


# --- Amazon Cognito ----------------------------------------------------------------------------------

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")
_POOL = re.compile(r"[A-Za-z0-9]+")
_ISSUER_HOSTS = {"ORIGINAL": "cognito-idp", "UPDATED": "issuer-cognito-idp"}
"""By the type of its issuer, as the configuration of a user pool has it: what stands before the region."""
_COGNITO = one_of(
    "token_use",
    frozenset({"access"}),
    advice="This may be an ID token: send the access_token of the token response instead.",
)


def cognito(  # noqa: PLR0913 - what is particular to one installation, and what all profiles take
    region: str,
    pool: str,
    clients: str | Sequence[str],
    *,
    issuer_type: str = "ORIGINAL",
    name: str = "cognito",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for a user pool of Amazon Cognito; *clients* are the app clients whose tokens are for us.

    *issuer_type* is that of the pool's issuer, ``ORIGINAL`` or ``UPDATED``: the other issuer is nobody's.  Its access
    tokens have no ``aud``: ``client_id`` is compared.  Roles are the groups of the pool.  A token of an app client
    itself is nobody's user.
    """
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise _wrong(name, "region is one as in eu-west-1")
    prefix, _, rest = pool.partition("_") if isinstance(pool, str) else ("", "", "")
    if prefix != region or not _POOL.fullmatch(rest):
        raise _wrong(name, f"pool is the id of a user pool in that region, as in {region}_AbCdEfGhI")
    if not clients:
        raise _wrong(name, "clients are the ids of app clients whose tokens are for this API")
    if not isinstance(issuer_type, str) or issuer_type not in _ISSUER_HOSTS:
        raise _wrong(name, f"issuer_type is {' or '.join(_ISSUER_HOSTS)}, as the user pool has it")
    suffix = ".cn" if region.startswith("cn-") else ""
    if suffix and issuer_type != "ORIGINAL":
        raise _wrong(name, "what the UPDATED issuer of a user pool in China is called is not known here")
    issuer = f"https://{_ISSUER_HOSTS[issuer_type]}.{region}.amazonaws.com{suffix}/{pool}"
    more.setdefault("claims", ClaimNames(client=("client_id",), scopes=("scope",), roles=("cognito:groups",)))
    return Provider(
        name=name,
        issuer=issuer,
        audience=clients,
        keys=_keys(issuer, keys, settings),
        audience_claim="client_id",
        extra_rules=(_COGNITO, *more.pop("extra_rules", ())),
        **more,
    )


# --- Google ------------------------------------------------------------------------------------------

_GOOGLE = "https://accounts.google.com"
_AN_ID_TOKEN = id_token()


def google_id_token(
    audience: str | Sequence[str],
    hd: str | Sequence[str] | None = None,
    *,
    name: str = "google_id_token",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of Google's ID tokens: its access tokens are opaque, so these are what a client has to show.

    *audience* are the OAuth client ids, or what a service account was told to ask for.  *hd* are the Workspace
    domains whose people are let in, for lack of which it is everybody with a Google account.  There are no scopes.
    """
    more.setdefault("typ", ("JWT", None))
    more.setdefault("required", ("sub", "iat"))
    more.setdefault("claims", ClaimNames(client=("azp",), scopes=(), roles=()))
    domains = () if hd is None else (_domain_rule(_domains(name, hd)),)
    return Provider(
        name=name,
        issuer=(_GOOGLE, "accounts.google.com"),
        audience=audience,
        keys=_keys(_GOOGLE, keys, settings, where=_GOOGLE),
        kind=_AN_ID_TOKEN,
        extra_rules=(*domains, *more.pop("extra_rules", ())),
        **more,
    )


def _domains(name: str, hd: object) -> frozenset[str]:
    domains = (hd,) if isinstance(hd, str) else tuple(hd) if isinstance(hd, Sequence) else ()
    if not domains or not all(isinstance(each, str) and _HOST.fullmatch(each) for each in domains):
        raise _wrong(name, "hd is a domain of Google Workspace, or a list of such")
    return frozenset(each.lower() for each in domains)


@lru_cache(maxsize=256)  # for equal domains the same, so that equal providers are equal
def _domain_rule(domains: frozenset[str]) -> Rule:
    advice = "Only people of these Workspace domains are let in: sign in with such an account, or add the domain to hd."
    return one_of("hd", domains, advice=advice)


# --- authentik ---------------------------------------------------------------------------------------

# Its access token is its ID token with these added, and a nonce where the client sent one.
_AUTHENTIK = access_token(known_by=("azp", "uid"))


def authentik(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "authentik",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for a provider of authentik: *issuer* is ``https://host/application/o/SLUG/``.

    *audience* is its client id.  Roles are the groups that the scope ``profile`` brings, and scopes those of a claim
    ``scope``, which takes a scope mapping.  The account that authentik makes for a client is nobody's user.
    """
    more.setdefault("claims", ClaimNames(client=("azp",), scopes=("scope",), roles=("groups",)))
    more.setdefault("is_machine", _is_generated_account)
    keys = _keys(issuer, keys, settings)
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, kind=_AUTHENTIK, **more)


def _is_generated_account(values: Mapping[str, Any]) -> bool:
    if values.get("sid") is not None:  # somebody signed in, who may have chosen that name
        return False
    names = values.get("preferred_username"), values.get("sub")  # a provider may be told to write names into sub
    return any(
        isinstance(name, str) and name.startswith("ak-") and name.endswith("-client_credentials") for name in names
    )


# --- Zitadel -----------------------------------------------------------------------------------------

_ZITADEL = access_token(known_by=("jti",), never=("nonce", "auth_time", "amr"))


def zitadel(  # noqa: PLR0913 - what is particular to one installation, and what all profiles take
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    project: str | None = None,
    *,
    name: str = "zitadel",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for an instance of Zitadel; *audience* is the id of the project that this API belongs to.

    Roles are those in *project*, the audience unless it is given, whichever organisation granted them: the claim
    without a project in its name has those of the client's project, which may be another one.  A service account that
    signs in with its private key is nobody's user; one that has a client secret is told from people by its login name
    in ``client_id`` alone, which takes an *is_machine* that knows it.
    """
    if project is None and isinstance(audience, str):
        project = audience
    roles = () if project is None else ((f"urn:zitadel:iam:org:project:{project}:roles", "*"),)
    more.setdefault("claims", ClaimNames(client=("client_id", "azp"), scopes=("scope",), roles=roles))
    keys = _keys(issuer, keys, settings)
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, kind=_ZITADEL, **more)


# --- for all of them ---------------------------------------------------------------------------------


def _keys(
    issuer: str | Sequence[str], keys: KeySource | None, settings: KeySettings | None, where: str | None = None
) -> KeySource | None:
    """Return *keys*, else those that *issuer* publishes at *where*; None leaves that to Provider."""
    if keys is not None and settings is not None:
        raise Misconfigured("settings are for keys that are fetched from the issuer: give them to the source of keys")
    if keys is not None or (settings is None and where is None):
        return keys
    return discovered(issuer, where, settings)


def _wrong(name: str, reason: str) -> Misconfigured:
    return Misconfigured(f"provider {name}: {reason}")
