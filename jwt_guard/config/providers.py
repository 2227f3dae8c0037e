"""[providers.NAME] → a Provider, with its keys from wherever the file says they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ..access.hti import hti_launch
from ..access.id_tokens import id_token
from ..access.joat import joat_tokens
from ..access.koppeltaal import koppeltaal
from ..access.once import Once
from ..access.profiles import auth0, authentik, cognito, entra, google_id_token, keycloak, okta, rfc9068, zitadel
from ..access.provider import Provider
from ..access.smart import smart
from ..errors import Misconfigured, shown
from ..sources.address import why_not
from ..sources.discovery import discovered
from ..sources.fixed import fixed, shared_secret
from ..sources.jwks import jwks
from ..sources.salted import salted
from .introspection import INTROSPECTION, read_introspection
from .values import WrongConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..access.provider import KeySource
    from ..sources.jwks import KeySettings
    from .values import Table

__all__ = ["KEYS", "read_provider"]

KEYS = ("discovery_url", "jwks_url", "jwks_file", "pem_file", "secret", "salt")
"""Where the keys are: one of these at most, and none for discovery at the issuer."""


class _Profile(NamedTuple):
    """What a profile is asked for in a file."""

    make: Callable[..., Provider]
    required: tuple[str, ...] = ("issuer", "audience")
    """Of all these, what it cannot do without."""
    optional: tuple[str, ...] = ()
    publishes_elsewhere: bool = False
    """Whether it knows further places than the issuer where the keys may be."""
    counts_once: bool = False
    """Whether each of its tokens counts once, in all processes that share a store."""


def _joat_tokens(name: str, issuer: Sequence[str], keys: Any, **more: Any) -> Provider:  # noqa: ANN401 - checked there
    return joat_tokens(issuer, keys, called=name, **more)  # whose own name is the issuer's, as in PyJOAT


_PROFILES: Mapping[str | None, _Profile] = {
    None: _Profile(Provider),
    "auth0": _Profile(auth0, ("domain", "audience")),
    "authentik": _Profile(authentik),
    "cognito": _Profile(cognito, ("region", "pool", "clients"), ("issuer_type",)),
    "entra": _Profile(entra, ("audience",), ("tenant", "tenants", "host")),
    "google_id_token": _Profile(google_id_token, ("audience",), ("hd",)),
    "hti_launch": _Profile(
        hti_launch,
        optional=(
            "longest_lifetime_beyond_hti",
            "kid_may_be_missing",
            "sub_may_be_any_text",
            "may_be_used_more_than_once",
        ),
        counts_once=True,
    ),
    "id_token": _Profile(
        id_token,
        ("issuer", "client"),
        (
            "trusted_audiences",
            "fhir_base",
            "fhir_users_of_other_servers_are_taken",
            "exp_may_be_missing",
            "iat_may_be_missing",
        ),
    ),
    "joat_tokens": _Profile(_joat_tokens, ("issuer",), ("clients",)),
    "keycloak": _Profile(keycloak, optional=("client",)),
    "koppeltaal": _Profile(koppeltaal, ("issuer",), ("audience",)),
    "okta": _Profile(okta),
    "rfc9068": _Profile(rfc9068),
    "smart": _Profile(smart, publishes_elsewhere=True),
    "zitadel": _Profile(zitadel, optional=("project",)),
}
_REQUIRED: Mapping[str, str] = {
    "issuer": "it is required: the exact iss of the tokens",
    "audience": "it is required: the aud of tokens that are meant for this API",
    "client": "it is required: the client_id at the issuer of whoever signs people in",
    "clients": "it is required: the ids of the app clients whose tokens are meant for this API",
    "domain": "it is required: the tenant's own, as in shop.eu.auth0.com",
    "pool": "it is required: the id of the user pool",
    "region": "it is required: the one of the user pool",
}
"""What is said where one of these is missing."""
_ARGUMENTS = frozenset(each for of in _PROFILES.values() for each in (*of.required, *of.optional))
_LISTS = frozenset({"issuer", "audience", "clients", "hd", "tenants", "trusted_audiences"})
_FLAGS = frozenset({
    "fhir_users_of_other_servers_are_taken", "exp_may_be_missing", "iat_may_be_missing",
    "kid_may_be_missing", "sub_may_be_any_text", "may_be_used_more_than_once",
})  # fmt: skip
_SECONDS = frozenset({"longest_lifetime_beyond_hti"})
_LATER_PROFILES = (
    "client_assertion",
)  # fmt: skip
_COMMON = (
    "profile", "algorithms", "leeway", "typ", "max_age", "required", "remember", "claims", *KEYS,
)  # fmt: skip
_CLAIMS = ("user", "client", "scopes", "roles")


def read_provider(name: str, table: Table, settings: KeySettings) -> Provider:
    """Return the provider that *table* describes; raises WrongConfig."""
    table.only({*_COMMON, "shortest_secret", "salt_blocking", *_ARGUMENTS, *INTROSPECTION})
    written = table.text("profile")
    profile = _profile(table, written)
    own = _own(table, written, profile)
    given: dict[str, Any] = {
        "algorithms": table.texts("algorithms"),
        "leeway": table.seconds("leeway"),
        "typ": _types(table),
        "max_age": table.seconds("max_age"),
        "required": table.list_of_texts("required"),
        "remember": table.flag("remember"),
        "introspection": read_introspection(table, settings),
    }
    given = {key: value for key, value in given.items() if value is not None}
    try:
        usual: KeySource | None = None
        if "issuer" in own:
            issuers = frozenset(own["issuer"])
            if profile.publishes_elsewhere and not any(map(table.has, KEYS)):
                usual = profile.make(name=name, settings=settings, **own).source
        else:  # the profile knows it, and where its keys are
            known = profile.make(name=name, settings=settings, **own)
            issuers, usual = known.issuers, known.source
        if profile.counts_once and settings.store is not None and not own.get("may_be_used_more_than_once"):
            given["once"] = Once(settings.store)
        provider = profile.make(name=name, keys=_keys(table, issuers, settings, usual), **own, **given)
        return _with_claims(provider, table.table("claims"))
    except WrongConfig:
        raise
    except Misconfigured as error:
        raise table.wrong("", str(error).removeprefix(f"provider {name}: ")) from None


def _profile(table: Table, written: str | None) -> _Profile:
    if written in _PROFILES:
        return _PROFILES[written]
    if written in _LATER_PROFILES:
        raise table.wrong("profile", f"{written} is not supported by this version")
    known = sorted(filter(None, _PROFILES))
    near = get_close_matches(str(written), known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    raise table.wrong("profile", f"there is no such profile; {hint}")


def _own(table: Table, written: str | None, profile: _Profile) -> dict[str, Any]:
    """Return what is particular to the *profile* that is *written*; what is another's is refused."""
    takes = (*profile.required, *profile.optional)
    for argument in sorted(_ARGUMENTS.difference(takes)):
        if not table.has(argument):
            continue
        if argument in _PROFILES[None].required:
            raise table.wrong(argument, f"profile = {written!r} knows it from {', '.join(takes)}")
        owners = (each for each, of in _PROFILES.items() if argument in (*of.required, *of.optional))
        raise table.wrong(argument, f"that is for profile = {' or '.join(map(repr, owners))}")
    own: dict[str, Any] = {key: _argument(table, key) for key in takes}
    for key in profile.required:
        if own[key] is None:
            raise table.wrong(key, _REQUIRED[key])
    return {key: value for key, value in own.items() if value is not None}


def _argument(table: Table, key: str) -> object:
    if key in _SECONDS:
        return table.seconds(key)
    return table.texts(key) if key in _LISTS else table.flag(key) if key in _FLAGS else table.text(key)


def _types(table: Table) -> tuple[str | None, ...] | None:
    """Return the types, None for an empty one: as it is written, since a variable that is empty may be a mistake."""
    texts, written = table.texts("typ"), table.values.get("typ")
    if texts is None:
        return None
    items = written if isinstance(written, list) else [written]
    return tuple(None if item == "" else text for item, text in zip(items, texts, strict=True))


def _with_claims(provider: Provider, table: Table | None) -> Provider:
    """Return *provider* reading what *table* says, and the rest as its profile does."""
    if table is None:
        return provider
    table.only(_CLAIMS)
    changes: dict[str, Any] = {key: table.paths(key) for key in _CLAIMS if table.has(key)}
    try:
        return replace(provider, claims=replace(provider.claims, **changes))
    except Misconfigured as error:
        raise table.wrong("", str(error)) from None


# --- keys --------------------------------------------------------------------------------------------


def _keys(table: Table, issuers: frozenset[str], settings: KeySettings, usual: KeySource | None) -> KeySource:
    """Return the keys from where *table* says they are, else the *usual* ones, else those that the issuer publishes."""
    given = [key for key in KEYS if table.has(key)]
    if len(given) > 1:
        raise table.wrong("", f"the keys are in one place only, not in {' and '.join(given)}")
    kind = given[0] if given else None
    shortest = table.whole("shortest_secret")
    if shortest is not None and kind not in ("secret", "salt"):
        raise table.wrong("shortest_secret", "that is for secret and salt")
    blocking = table.flag("salt_blocking")
    if blocking is not None and kind != "salt":
        raise table.wrong("salt_blocking", "that is for salt")
    try:
        match kind:
            case "secret":
                return shared_secret(_octets(table.text(kind) or ""), shortest=shortest)
            case "salt":
                return salted(_function(table, kind), shortest=shortest, blocking=bool(blocking))
            case "jwks_file" | "pem_file":
                return fixed(table.path(kind))
            case "jwks_url":
                return jwks(_url(table, kind, settings), settings)
            case "discovery_url":
                return discovered(issuers, _url(table, kind, settings), settings)
            case _:
                return usual or _from_issuer(table, issuers, settings)
    except WrongConfig:
        raise
    except Misconfigured as error:
        what, _, reason = str(error).partition(": ")
        raise table.wrong(kind or "issuer", reason or what) from None


def _octets(secret: str) -> bytes:
    """Return the octets of a secret: where the environment holds what is not UTF-8, those that it holds."""
    return secret.encode("utf-8", "surrogateescape") if secret.strip() else b""


def _url(table: Table, key: str, settings: KeySettings) -> str:
    url = table.text(key) or ""
    reason = why_not(url, settings.plain_http_hosts)
    if reason is not None:
        raise table.wrong(key, f"the URL cannot be asked: {reason}")
    return url


def _from_issuer(table: Table, issuers: frozenset[str], settings: KeySettings) -> KeySource:
    if len(issuers) == 1:
        reason = why_not(next(iter(issuers)), settings.plain_http_hosts)
        if reason is None:
            return discovered(issuers, None, settings)
        reason = f"the issuer cannot be asked for its keys: {reason}"
    else:
        reason = "several issuers cannot be asked for their keys"
    raise table.wrong("issuer", f"{reason}; say where they are ({', '.join(KEYS)})")


def _function(table: Table, key: str) -> Callable[[Mapping[str, Any]], object]:
    """Return the function named ``module:function``."""
    module_name, _, function_name = (table.text(key) or "").partition(":")
    steps = [*module_name.split("."), *function_name.split(".")]
    if not all(step.isidentifier() for step in steps):
        raise table.wrong(key, "module:function is expected")
    try:
        found: Any = _module(module_name, table.file.resolve().parent)
    except Exception as error:  # whatever a module raises while it is imported
        what = f"No module named {shown(error.name)}" if isinstance(error, ModuleNotFoundError) else "it fails"
        raise table.wrong(key, f"{module_name} cannot be imported: {what} ({type(error).__name__})") from error
    for step in function_name.split("."):
        found = getattr(found, step, None)
    if not callable(found):
        raise table.wrong(key, f"{module_name} has no function {function_name}")
    return found  # type: ignore[no-any-return]  # what it takes and gives shows when it is called


def _module(name: str, beside: Path) -> object:
    """Import *name* from where this program finds its modules, else from beside the file.

    The folder goes last, so that nothing in it stands in for a module that could be found without, and
    stays, so that the module finds its neighbours later too.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or name.partition(".")[0] != error.name or str(beside) in sys.path:
            raise
    sys.path.append(str(beside))
    return import_module(name)
