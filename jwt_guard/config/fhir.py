"""``[fhir]`` of guard.toml → which FHIR server is guarded, as what its clients know it, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..access.fhir_references import is_fhir_base
from ..errors import Misconfigured
from ..fhir.bearer import PATIENT_CLAIMS, checked_claims
from ..fhir.configuration import SmartConfiguration
from ..fhir.cors import ANY
from ..fhir.place import Base
from ..fhir.resource_types import TYPES
from ..fhir.server import Limits, Server
from ..fhir.surface import Surface
from ..sources.address import why_not

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..access.provider import Provider
    from ..fhir.bearer import ClaimPath
    from .values import Table

__all__ = ["FhirSettings", "read_fhir"]

_FLAGS = ("follow_patient_links", "updates_may_create", "koppeltaal", "entra_spelling")
_SURFACE = ("operations", "jobs")
_OTHERS = ("upstream", "base", "release", "also_known_as", "shared_types", "patient_claims", "origins", "link_key")
_LIMITS = tuple(each.name for each in fields(Limits))
_SMART_LISTS = (
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "response_types_supported",
    "code_challenge_methods_supported",
    "scopes_supported",
    "capabilities",
)
_SMART_TEXTS = (
    "token_endpoint",
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "management_endpoint",
    "registration_endpoint",
)
_SHORTEST_KEY = 32


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """What ``[fhir]`` says."""

    upstream: str
    """The base URL of the server, as it is reached from here."""
    server: Server
    patient_claims: tuple[ClaimPath, ...] = PATIENT_CLAIMS
    smart: SmartConfiguration | None = None
    """What clients are told of the authorization server."""
    origins: tuple[str, ...] = (ANY,)
    """The origins whose pages may read answers."""
    link_key: bytes | None = field(default=None, repr=False)
    """Seals links to further pages; None: those of another process, or of before a restart, are not known."""


def read_fhir(root: Table, providers: Sequence[Provider]) -> FhirSettings | None:
    """Return what ``[fhir]`` of *root*, whose providers are *providers*, says; None where there is none.

    Raises WrongConfig.
    """
    table = root.table("fhir")
    if table is None:
        return None
    table.only((*_OTHERS, *_FLAGS, *_SURFACE, "limits", "smart"))
    gateway = root.table("gateway")
    if gateway is not None and gateway.has("upstream"):
        raise gateway.wrong("upstream", "the FHIR server is the one that is proxied: it is fhir.upstream")
    tokens = root.table("tokens")
    for key in ("query", "form"):
        if tokens is not None and tokens.flag(key):
            raise tokens.wrong(key, "a token there would go on to the FHIR server, and into its links and logs")
    more: dict[str, Any] = {}
    if table.has("patient_claims"):
        more["patient_claims"] = _patient_claims(table)
    if table.has("origins"):
        more["origins"] = _origins(table)
    return FhirSettings(
        _upstream(table), _server(table), smart=_smart(root, table, providers), link_key=_key(table), **more
    )


def _upstream(table: Table) -> str:
    url = table.text("upstream")
    if url is None:
        raise table.wrong("upstream", "it is required: the base URL of the FHIR server, as it is reached from here")
    if _is_wrong(url):
        raise table.wrong("upstream", "the base URL of a FHIR server is expected, as in http://127.0.0.1:8080/fhir")
    return url


def _server(table: Table) -> Server:
    base = table.text("base")
    if base is None:
        raise table.wrong("base", "it is required: the base URL that clients use, as in https://api.example.com/fhir")
    release: Any = table.text("release") or "R4"
    if release not in TYPES:
        raise table.wrong("release", f"one of {', '.join(TYPES)} is expected")
    given: dict[str, Any] = {name: table.flag(name) for name in _FLAGS if table.has(name)}
    if table.has("also_known_as"):
        given["also_known_as"] = table.list_of_texts("also_known_as")
    if table.has("shared_types"):
        given["shared_types"] = frozenset(table.list_of_texts("shared_types") or ())
    surface, limits = _surface(table, TYPES[release]), _limits(table)
    try:
        Base(base)
        return Server(base, release=release, surface=surface, limits=limits, **given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        if key in _OTHERS:
            raise table.wrong(key, reason) from None
        raise table.wrong("base" if _is_wrong(base) else "also_known_as", str(error)) from None


def _is_wrong(url: str) -> bool:
    return not is_fhir_base(url) or url.endswith("/")


def _surface(table: Table, types: frozenset[str]) -> Surface:
    given: dict[str, Any] = {}
    if table.has("operations"):
        inner = table.inner("operations")
        given["operations"] = {name: inner.text(name) for name in inner.values}
    if table.has("jobs"):
        given["jobs"] = table.list_of_texts("jobs")
    try:
        return Surface(types, **given)
    except Misconfigured as error:
        reason = str(error)
        raise table.wrong("operations" if reason.startswith("operation ") else "jobs", reason) from None


def _limits(table: Table) -> Limits:
    inner = table.table("limits")
    if inner is None:
        return Limits()
    inner.only(_LIMITS)
    given: dict[str, Any] = {name: inner.whole(name) for name in _LIMITS if inner.has(name)}
    try:
        return Limits(**given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise inner.wrong(key, reason) from None


def _patient_claims(table: Table) -> tuple[ClaimPath, ...]:
    try:
        return checked_claims(table.paths("patient_claims"))
    except Misconfigured as error:
        raise table.wrong("patient_claims", str(error).removeprefix("patient_claims: ")) from None


def _origins(table: Table) -> tuple[str, ...]:
    origins = table.list_of_texts("origins") or ()
    for origin in origins:
        if origin != ANY and (why_not(origin) is not None or origin.count("/") != 2):  # noqa: PLR2004 - those of ://
            raise table.wrong("origins", '"*", or origins such as https://app.example, are expected')
    return origins


def _key(table: Table) -> bytes | None:
    text = table.text("link_key")
    if text is None:
        return None
    key = text.encode("utf-8")
    if len(key) < _SHORTEST_KEY:
        raise table.wrong("link_key", f"a random text of at least {_SHORTEST_KEY} octets is expected")
    return key


def _smart(root: Table, table: Table, providers: Sequence[Provider]) -> SmartConfiguration | None:
    inner = table.table("smart")
    if inner is None:
        return None
    inner.only((*_SMART_TEXTS, *_SMART_LISTS))
    given: dict[str, Any] = {name: inner.text(name) for name in _SMART_TEXTS if inner.has(name)}
    given |= {name: inner.list_of_texts(name) for name in _SMART_LISTS if inner.has(name)}
    if "token_endpoint" not in given:
        raise inner.wrong("token_endpoint", "it is required: where clients get their tokens")
    issuers = [issuer for provider in providers for issuer in provider.issuers]
    if "issuer" not in given and len(issuers) == 1 and why_not(issuers[0]) is None:
        given["issuer"] = issuers[0]
    keys = root.table("keys")
    hosts = () if keys is None else keys.list_of_texts("plain_http_hosts") or ()
    try:
        return SmartConfiguration(**given, plain_http_hosts=hosts)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise inner.wrong(key, reason) from None
