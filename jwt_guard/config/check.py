"""guard.toml → what is wrong with it, and what is risky about it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..access.guard import Guard
from ..access.provider import Provider
from ..errors import Misconfigured, shown
from ..sources.address import why_not
from ..sources.fixed import FixedKeys
from ..sources.introspection import Introspection
from ..sources.salted import SaltedKeys
from ..stores.address import is_exposed
from ..tokens.algorithms import HMAC
from .check_fhir import of_fhir
from .check_gateway import of_gateway
from .check_routes import of_routes
from .finding import Finding, Severity
from .load import find, guard_from, read
from .shadow import read_shadow
from .values import Table, WrongConfig, is_in_clear

__all__ = ["Finding", "Severity", "check"]

_MUCH_LEEWAY = 60
_LONG = 604_800  # seconds: a week
_LONG_FOR_AN_ANSWER = 300
_PASSWORD = re.compile(r"//[^/:]*:([^/]+)@")  # in a URL
_PASSWORD_IN_FILE = "its password is in the file: write ${NAME}, and keep it elsewhere"
_READ = stat.S_IRGRP | stat.S_IROTH
_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check(path: str | Path | None = None) -> list[Finding]:
    """Return what is wrong or risky with the file that :func:`~jwt_guard.config.load.load` would read."""
    try:
        root = read(find(path))
        guard = guard_from(root)
    except WrongConfig as error:
        return [Finding("wrong", error.place, error.reason)]
    except Misconfigured as error:
        return [Finding("wrong", "", str(error))]
    of_values = [*_of_providers(root, guard), *_of_keys(root), *_of_store(root), *_of_memory(root)]
    of_values += [*_of_tokens(root), *_of_resource(guard)]
    of_requests = [*of_routes(root, guard), *of_gateway(root, guard), *_of_shadow(root, guard)]
    of_requests += of_fhir(root, guard)
    return [*of_values, *_of_file(root), *of_requests]


def _of_shadow(root: Table, guard: Guard) -> Iterator[Finding]:
    """Find what is said of the other routes; another file is checked by itself."""
    shadow = read_shadow(root, guard)
    if shadow is not None and shadow.file is None:
        table = root.inner("shadow")
        for finding in of_routes(table, shadow.guard):
            yield finding if finding.place.startswith(table.place) else replace(finding, place="shadow.routes")


# --- providers ---------------------------------------------------------------------------------------


def _of_providers(root: Table, guard: Guard) -> Iterator[Finding]:
    tables = root.inner("providers")
    for provider in guard.providers:
        table = tables.inner(provider.name)
        yield from _of_provider(table, provider)
        if provider.remember:
            yield from _of_remembering(table, provider, off=guard.memory is None)
        if isinstance(provider.source, FixedKeys):
            yield from _of_key_file(table, provider.source)
    yield from _of_hmac(root, guard)


def _of_hmac(root: Table, guard: Guard) -> Iterator[Finding]:
    """Find secrets beside the public keys of another issuer; one with both is refused at once."""
    if all(provider.allowed & HMAC.keys() for provider in guard.providers):
        return
    for provider in guard.providers:
        if provider.allowed & HMAC.keys():
            sentence = (
                "whoever can check its tokens can make them, with scopes that count as much as those of issuers with "
                "public keys"
            )
            yield Finding("risky", root.inner("providers").inner(provider.name).place, sentence)


def _of_provider(table: Table, provider: Provider) -> Iterator[Finding]:
    place = table.place
    for issuer in sorted(provider.issuers):
        if _is_plain_http(issuer):
            sentence = f"{shown(issuer)} has no TLS: whoever is in between can read its tokens and change its keys"
            yield Finding("risky", f"{place}.issuer", sentence)
    for key in ("discovery_url", "jwks_url"):
        if _is_plain_http(table.text(key)):
            yield Finding("risky", f"{place}.{key}", "it has no TLS: whoever is in between can change the keys")
    if provider.leeway > _MUCH_LEEWAY:
        sentence = f"clocks that differ by more than {_MUCH_LEEWAY} seconds should be set, not forgiven"
        yield Finding("risky", f"{place}.leeway", sentence)
    for key in ("secret", "client_secret"):
        if is_in_clear(table.values.get(key)):
            yield Finding("risky", f"{place}.{key}", "the secret is in the file: write ${NAME}, and keep it elsewhere")
    if provider.introspection is not None:
        yield from _of_introspection(table, provider.introspection)


def _of_introspection(table: Table, introspection: Introspection) -> Iterator[Finding]:
    place = table.place
    if _is_plain_http(introspection.url):
        sentence = "it has no TLS: whoever is in between can read the tokens, and say of any that it is good"
        yield Finding("risky", f"{place}.introspection_url", sentence)
    if (table.seconds("introspection_kept_for") or 0) > _LONG_FOR_AN_ANSWER:
        sentence = "a token that was taken back, since it was stolen perhaps, counts for so long"
        yield Finding("risky", f"{place}.introspection_kept_for", sentence)
    if introspection.aud_may_be_missing:
        sentence = "a token that says of nobody that it is for them is taken, also one for another API of this issuer"
        yield Finding("risky", f"{place}.introspection_aud_may_be_missing", sentence)
    if introspection.token_type_may_be_missing:
        sentence = "a refresh token may be taken for an access token, if the issuer tells this client of those"
        yield Finding("risky", f"{place}.introspection_token_type_may_be_missing", sentence)
    if table.has("client_key_file") and _others_may(table.path("client_key_file"), _READ):
        yield Finding("risky", f"{place}.client_key_file", "the file holds a private key: chmod 600")


def _of_remembering(table: Table, provider: Provider, *, off: bool) -> Iterator[Finding]:
    place = f"{table.place}.remember"
    if off:
        yield Finding("wrong", place, "nothing is remembered, since memory = false says so")
    elif isinstance(provider.source, SaltedKeys):
        sentence = (
            "a salt that changes takes a token back only when it expires: leave remember out, unless none changes"
        )
        yield Finding("risky", place, sentence)


def _of_file(root: Table) -> Iterator[Finding]:
    providers = root.inner("providers")
    tables = [providers.inner(name).values for name in providers.values]
    secrets = [table.get(key) for table in tables for key in ("secret", "client_secret")]
    passwords = [_password(root.table("keys"), "proxy"), _password(root.table("store"), "url")]
    if any(map(is_in_clear, [*secrets, *passwords])) and _others_may(root.file, _READ):
        yield Finding("risky", "", "the file has a secret in it, and others may read it: chmod 600")
    if _others_may(root.file, _WRITE):
        yield Finding("risky", "", "others may write the file, and so decide who is let in: chmod go-w")


def _of_key_file(table: Table, source: FixedKeys) -> Iterator[Finding]:
    key = next((key for key in ("jwks_file", "pem_file") if table.has(key)), None)
    if key is None:
        return
    place, path = f"{table.place}.{key}", table.path(key)
    for skipped in source.keys.skipped:
        yield Finding("risky", place, f"the key {shown(skipped.kid)} is not used: {skipped.reason}")
    if source.algorithms & HMAC.keys() and _others_may(path, _READ):
        yield Finding("risky", place, "the file holds a secret, and others may read it: chmod 600")
    if key == "jwks_file" and _has_private_key(path):
        yield Finding("risky", place, "the file holds a private key, and a guard needs only the public half")


def _has_private_key(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return False  # a PEM key, which the guard has looked at
    keys = document.get("keys", [document])
    return any(isinstance(key, dict) and ("d" in key or "priv" in key) for key in keys)


def _is_plain_http(url: str | None) -> bool:
    # Loopback may always be asked: there is nobody in between.
    return url is not None and url.startswith("http://") and why_not(url) is not None


def _others_may(path: Path, mode: int) -> bool:
    return bool(path.stat().st_mode & mode)


def _of_keys(root: Table) -> Iterator[Finding]:
    table = root.table("keys")
    if table is None:
        return
    for host in table.list_of_texts("plain_http_hosts") or ():
        sentence = f"{shown(host)} may be asked without TLS: whoever is in between can give us keys"
        yield Finding("risky", "keys.plain_http_hosts", sentence)
    if is_in_clear(_password(table, "proxy")):
        yield Finding("risky", "keys.proxy", _PASSWORD_IN_FILE)
    if (table.seconds("usable_for") or 0) > _LONG:
        sentence = "a key that was taken out, since it was stolen perhaps, counts for so long while its issuer is down"
        yield Finding("risky", "keys.usable_for", sentence)
    if table.seconds("cooldown") == 0:
        sentence = "whoever makes up names of keys can have us ask the issuer as often as they like"
        yield Finding("risky", "keys.cooldown", sentence)
    if table.has("snapshot"):
        folder = table.path("snapshot", "folder")
        if folder.exists() and _others_may(folder, stat.S_IRWXG | stat.S_IRWXO):
            sentence = "others may read or change what is in the folder: chmod 700"
            yield Finding("risky", "keys.snapshot", sentence)


def _of_store(root: Table) -> Iterator[Finding]:
    table = root.table("store")
    if table is None:
        return
    if is_exposed(table.text("url") or ""):
        sentence = "it has no TLS: whoever is in between can give us keys; write rediss://"
        yield Finding("risky", "store.url", sentence)
    if is_in_clear(_password(table, "url")):
        yield Finding("risky", "store.url", _PASSWORD_IN_FILE)


def _of_memory(root: Table) -> Iterator[Finding]:
    if root.values.get("memory") is False:
        sentence = (
            "every request pays for its signature again, and nothing is safer for it: "
            "a key that is taken out counts at once with memory, too"
        )
        yield Finding("risky", "memory", sentence)


# --- where tokens are, and what is protected ---------------------------------------------------------


def _of_tokens(root: Table) -> Iterator[Finding]:
    table = root.table("tokens")
    if table is None:
        return
    name = table.text("cookie")
    if name is not None and not name.startswith("__Host-"):
        sentence = "another host of the same site can set this cookie for ours: call it __Host-…, which browsers refuse"
        yield Finding("risky", "tokens.cookie", sentence)
    for origin in table.list_of_texts("origins") or ():
        if _is_plain_http(origin):
            sentence = f"{shown(origin)} has no TLS: whoever is in between can make its pages send the cookie"
            yield Finding("risky", "tokens.origins", sentence)
    if table.flag("query"):
        sentence = "addresses are logged, kept in histories and sent on, and the token is in them (RFC 6750 §2.3)"
        yield Finding("risky", "tokens.query", sentence)
    if table.flag("form"):
        sentence = (
            "it is for clients that cannot set a header, and has a body read of whoever sends one (RFC 6750 §2.2)"
        )
        yield Finding("risky", "tokens.form", sentence)


def _of_resource(guard: Guard) -> Iterator[Finding]:
    resource = guard.resource
    if resource is None:
        return
    for provider in guard.providers:
        audiences = (provider.audience,) if isinstance(provider.audience, str) else provider.audience
        if resource.url not in audiences:
            sentence = (
                f"{provider.name} does not take it as an audience: a client that asks its issuer for a token for this "
                "resource (RFC 8707) may get one that is refused here"
            )
            yield Finding("risky", "resource.url", sentence)
    if guard.metadata is not None and "authorization_servers" not in guard.metadata:
        sentence = "no issuer is a URL, so that clients are told of none to get a token from"
        yield Finding("risky", "resource.authorization_servers", sentence)


def _password(table: Table | None, key: str) -> str | None:
    """Return the password in the URL at *key* as it is written, if there is one."""
    written = table.values.get(key) if table else None
    found = _PASSWORD.search(written) if isinstance(written, str) else None
    return found and found[1]
