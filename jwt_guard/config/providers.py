"""[providers.NAME] → a Provider, with its keys from wherever the file says they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..access.profiles import keycloak, rfc9068
from ..access.provider import Provider
from ..errors import Misconfigured, shown
from ..sources.address import why_not
from ..sources.discovery import discovered
from ..sources.fixed import fixed, shared_secret
from ..sources.jwks import jwks
from ..sources.salted import salted
from .values import WrongConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..access.provider import KeySource
    from ..sources.jwks import KeySettings
    from .values import Table

__all__ = ["KEYS", "read_provider"]

KEYS = ("discovery_url", "jwks_url", "jwks_file", "pem_file", "secret", "salt")
"""Where the keys are: one of these at most, and none for discovery at the issuer."""

_PROFILES: Mapping[str | None, tuple[Callable[..., Provider], frozenset[str]]] = {
    None: (Provider, frozenset()),
    "keycloak": (keycloak, frozenset({"client"})),
    "rfc9068": (rfc9068, frozenset()),
}
"""By name: the function, and its own arguments."""
_LATER_PROFILES = (
    "auth0", "authentik", "client_assertion", "cognito", "entra", "google_id_token", "hti_launch", "id_token",
    "joat_tokens", "koppeltaal", "okta", "smart", "zitadel",
)  # fmt: skip
_COMMON = (
    "profile", "issuer", "audience", "algorithms", "leeway", "typ", "max_age", "required", "remember", "claims", *KEYS,
)  # fmt: skip
_LATER = (
    "introspection_url", "client_id", "client_secret", "client_key_file",
    "tenant", "tenants", "domain", "region", "pool", "clients",
)  # fmt: skip
_CLAIMS = ("user", "client", "scopes", "roles")


def read_provider(name: str, table: Table, settings: KeySettings) -> Provider:
    """Return the provider that *table* describes; raises WrongConfig."""
    own = frozenset(argument for _, arguments in _PROFILES.values() for argument in arguments)
    table.only({*_COMMON, "shortest_secret", "salt_blocking", *own}, _LATER)
    profile = table.text("profile")
    make, arguments = _profile(table, profile)
    for argument in sorted(own - arguments):
        if table.has(argument):
            owner = next(str(each) for each, (_, theirs) in _PROFILES.items() if argument in theirs)
            raise table.wrong(argument, f"that is for profile = {owner!r}")
    issuer, audience = table.texts("issuer"), table.texts("audience")
    if issuer is None:
        raise table.wrong("issuer", "it is required: the exact iss of the tokens")
    if audience is None:
        raise table.wrong("audience", "it is required: the aud of tokens that are meant for this API")
    given: dict[str, Any] = {
        "algorithms": table.texts("algorithms"),
        "leeway": table.seconds("leeway"),
        "typ": _types(table),
        "max_age": table.seconds("max_age"),
        "required": table.list_of_texts("required"),
        "remember": table.flag("remember"),
        **{argument: table.text(argument) for argument in arguments},
    }
    given = {key: value for key, value in given.items() if value is not None}
    keys = _keys(table, frozenset(issuer), settings)
    try:
        provider = make(name=name, issuer=issuer, audience=audience, keys=keys, **given)
        return _with_claims(provider, table.table("claims"))
    except WrongConfig:
        raise
    except Misconfigured as error:
        raise table.wrong("", str(error).removeprefix(f"provider {name}: ")) from None


def _profile(table: Table, profile: str | None) -> tuple[Callable[..., Provider], frozenset[str]]:
    if profile in _PROFILES:
        return _PROFILES[profile]
    if profile in _LATER_PROFILES:
        raise table.wrong("profile", f"{profile} is not supported by this version")
    known = ", ".join(sorted(filter(None, _PROFILES)))
    raise table.wrong("profile", f"there is no such profile; known here: {known}")


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


def _keys(table: Table, issuers: frozenset[str], settings: KeySettings) -> KeySource:
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
                return _from_issuer(table, issuers, settings)
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
