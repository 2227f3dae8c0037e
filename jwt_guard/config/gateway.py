"""``[gateway]`` of guard.toml → how the gateway listens, whom it believes and what it tells the upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..gateway.identity import IdentityHeaders
from ..gateway.settings import ProxySettings, Settings

if TYPE_CHECKING:
    from ..gateway.identity_token import IdentityToken
    from .values import Table

__all__ = ["read_gateway"]

_TEXTS = ("listen", "grpc_listen", "admin_listen", "forwarded", "upstream")
_IDENTITY = ("user", "client", "scopes", "provider")
_TOKEN = ("header", "issuer", "audience", "key_file", "lifetime", "jwks_path")
_WAITS, _FLAGS = ("connect_timeout", "answer_timeout"), ("keep_host", "pass_authorization")


def read_gateway(root: Table) -> Settings:
    """Return the settings in ``[gateway]`` of *root*, those that are usual where it has none.  Raises Misconfigured."""
    table = root.table("gateway")
    if table is None:
        return Settings()
    table.only((*_TEXTS, "trusted_proxies", "identity_headers", "identity_token", "answer_within", "proxy"))
    given: dict[str, Any] = {name: table.text(name) for name in _TEXTS if table.has(name)}
    if table.has("trusted_proxies"):
        given["trusted_proxies"] = table.list_of_texts("trusted_proxies")
    seconds = table.seconds("answer_within")
    if seconds is not None:
        given["answer_within"] = seconds
    given["identity"] = _identity_token(table) or _identity(table)
    given["proxy"] = _proxy(table)
    try:
        return Settings(**given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise table.wrong(key, reason) from None


def _identity(table: Table) -> IdentityHeaders:
    inner = table.table("identity_headers")
    if inner is None:
        return IdentityHeaders()
    inner.only(_IDENTITY)
    try:
        return IdentityHeaders(**{name: inner.text(name) for name in _IDENTITY})
    except Misconfigured as error:
        raise inner.wrong("", str(error).removeprefix("identity headers: ")) from None


def _identity_token(table: Table) -> IdentityToken | None:
    inner = table.table("identity_token")
    if inner is None:
        return None
    if table.has("identity_headers"):
        raise table.wrong("identity_token", "the upstream is told by it or by identity_headers, and not by both")
    inner.only(_TOKEN)
    for key in _TOKEN[:4]:
        if not inner.has(key):
            raise inner.wrong(key, "it is missing")
    from ..gateway.identity_token import IdentityToken
    from ..issuing.issuer import Issuer
    from ..issuing.keyring import Keyring
    from ..issuing.loading import load_signing_key

    given: dict[str, Any] = {"header": inner.text("header"), "audience": inner.texts("audience")}
    if inner.has("lifetime"):
        given["lifetime"] = inner.whole("lifetime")
    if inner.has("jwks_path"):
        given["jwks_path"] = inner.text("jwks_path")
    try:
        keyring = Keyring(load_signing_key(inner.path("key_file")))
    except Misconfigured as error:
        raise inner.wrong("key_file", str(error)) from None
    try:
        issuer = Issuer(inner.text("issuer") or "", keyring)
    except Misconfigured as error:
        raise inner.wrong("issuer", str(error).removeprefix("issuer: ")) from None
    try:
        return IdentityToken(issuer=issuer, **given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise inner.wrong(key, reason) from None


def _proxy(table: Table) -> ProxySettings:
    inner = table.table("proxy")
    if inner is None:
        return ProxySettings()
    inner.only((*_WAITS, *_FLAGS, "ca_file"))
    given: dict[str, Any] = {name: inner.seconds(name) for name in _WAITS if inner.has(name)}
    given |= {name: inner.flag(name) for name in _FLAGS if inner.has(name)}
    if inner.has("ca_file"):
        given["ca_file"] = str(inner.path("ca_file"))
    try:
        return ProxySettings(**given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise inner.wrong(key, reason) from None
