"""guard.toml and the environment → a Guard."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..access.carriers import Carrier, cookie, form, header, query, websocket_subprotocol
from ..access.challenge import quoted
from ..access.denylist import Denylist
from ..access.guard import Guard
from ..access.remembered import Memory
from ..access.resource import ProtectedResource
from ..errors import Misconfigured
from ..flow import Trust
from ..sources.jwks import KeySettings
from ..stores.address import usable
from ..tokens.compact import DEFAULT_LIMITS, Limits
from .audit import read_audit
from .gateway import read_gateway
from .providers import read_provider
from .routes import read_routes
from .shadow import read_shadow
from .values import Table, WrongConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access.provider import Provider

__all__ = ["find", "guard_from", "load", "read"]

_VARIABLE = "JWT_GUARD_CONFIG"
_USUAL = "guard.toml"
_KNOWN = (
    "realm",
    "providers",
    "routes",
    "tokens",
    "resource",
    "keys",
    "store",
    "memory",
    "limits",
    "gateway",
    "shadow",
    "fhir",
    "audit",
)
_LATER: tuple[str, ...] = ()
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f.]*:[0-9a-f:.]+")
_DEPTH = 64  # less than what a stack has room for, here and when a request is decided; a token is less deep by far
_SIZES = ("tokens", "octets")
_PLACES = {"websocket_subprotocol": websocket_subprotocol, "query": query, "form": form}
_OF_RESOURCE = ("name", "documentation", "policy_uri", "tos_uri")
_LISTS_OF_RESOURCE = ("scopes_supported", "authorization_servers")
_DURATIONS = ("timeout", "fresh_for", "usable_for", "cooldown")


def load(path: str | Path | None = None) -> Guard:
    """Return the guard that the file describes.

    The file is *path*, else the one that ``JWT_GUARD_CONFIG`` names, else ``guard.toml`` in the current
    folder.  Raises Misconfigured with one sentence that names the file and the place.
    """
    return guard_from(read(find(path)))


def find(path: str | Path | None = None) -> Path:
    """Return which file :func:`load` reads."""
    if path is not None:
        return Path(path)
    named = os.environ.get(_VARIABLE)
    if named == "":
        raise Misconfigured(f"{_VARIABLE} is set, but empty")
    return Path(_USUAL if named is None else named)


def read(file: Path) -> Table:
    """Return what *file* says, as it is written."""
    deep = WrongConfig(str(file), "", f"the file is nested more than {_DEPTH} deep")
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise WrongConfig(str(file), "", f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongConfig(str(file), "", "the file is not UTF-8") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongConfig(str(file), "", f"the file is no TOML: {error}") from None
    except RecursionError:
        raise deep from None
    except ValueError:  # which int() raises
        raise WrongConfig(str(file), "", "the file has a number in it that is too long") from None
    if _is_deep(values):
        raise deep
    return Table(file, values)


def _is_deep(values: dict[str, object]) -> bool:
    level: list[object] = [values]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _within(outer) if isinstance(inner, dict | list)]
    return bool(level)


def _within(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def guard_from(root: Table) -> Guard:
    """Return the guard that the file, once read, describes."""
    root.only(_KNOWN, _LATER)
    read_gateway(root)  # wrong for one is wrong for all: the same file is for applications and for gateways
    realm, settings, limits, memory = _realm(root), _key_settings(root), _limits(root), _memory(root)
    carriers, resource, revoked = _carriers(root), _resource(root), _denylist(root)
    providers, policy = _providers(root, settings), read_routes(root)
    try:
        guard = Guard(
            providers, policy, realm, limits, memory=memory, revoked=revoked, carriers=carriers, resource=resource
        )
    except Misconfigured as error:
        raise root.wrong("providers", str(error)) from None  # each of them is good: two do not go together
    read_shadow(root, guard)  # as above
    if root.has("fhir"):
        from .fhir import read_fhir

        read_fhir(root, guard.providers)
    read_audit(root)
    return guard


def _realm(root: Table) -> str:
    realm = root.text("realm")
    if realm is None:
        return "api"
    try:
        quoted(realm)
    except ValueError as error:
        raise root.wrong("realm", str(error)) from None
    return realm


def _carriers(root: Table) -> tuple[Carrier, ...]:
    """Return where a token may be: in the header, and where ``[tokens]`` says."""
    table = root.table("tokens")
    if table is None:
        return (header(),)
    table.only(("cookie", "origins", *_PLACES))
    carriers = [header()]
    name, origins = table.text("cookie"), table.list_of_texts("origins")
    if name is not None:
        carriers.append(_cookie(table, name, origins or ()))
    elif origins is not None:
        raise table.wrong("origins", "they are those of pages that may send the cookie, and cookie names none")
    carriers += [place() for key, place in _PLACES.items() if table.flag(key)]
    return tuple(carriers)


def _cookie(table: Table, name: str, origins: tuple[str, ...]) -> Carrier:
    try:
        cookie(name)
    except Misconfigured as error:
        raise table.wrong("cookie", str(error).removeprefix("cookie: ")) from None
    try:
        return cookie(name, origins)
    except Misconfigured as error:
        raise table.wrong("origins", str(error).removeprefix("origins: ")) from None


def _resource(root: Table) -> ProtectedResource | None:
    table = root.table("resource")
    if table is None:
        return None
    table.only(("url", *_OF_RESOURCE, *_LISTS_OF_RESOURCE))
    url = table.text("url")
    if not url:
        raise table.wrong("url", "it is required: the https URL of what is protected")
    more: dict[str, Any] = {name: table.text(name) for name in _OF_RESOURCE}
    more |= {name: table.list_of_texts(name) or () for name in _LISTS_OF_RESOURCE}
    try:
        return ProtectedResource(url, **more)
    except Misconfigured as error:
        raise table.wrong("", str(error).removeprefix("resource: ")) from None


def _providers(root: Table, settings: KeySettings) -> list[Provider]:
    table = root.table("providers")
    if table is None or not table.values:
        raise root.wrong("providers", "at least one [providers.NAME] is expected")
    return [read_provider(name, table.inner(name), settings) for name in table.values]


def _key_settings(root: Table) -> KeySettings:
    store, table = _store(root), root.table("keys")
    if table is None:
        return KeySettings(store=store)
    table.only((*_DURATIONS, "plain_http_hosts", "ca_file", "proxy", "snapshot"))
    durations: dict[str, Any] = {}
    for name in _DURATIONS:
        seconds = table.seconds(name)
        if seconds is not None:
            if seconds < 0:
                raise table.wrong(name, "a number of seconds, 0 or more, is expected")
            durations[name] = seconds
    hosts = frozenset(host.lower() for host in table.list_of_texts("plain_http_hosts") or ())
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise table.wrong("plain_http_hosts", "names of hosts are expected, without scheme, port or wildcard")
    trust = Trust(_ca_file(table), _proxy(table))
    return KeySettings(plain_http_hosts=hosts, trust=trust, store=store, snapshot=_snapshot(table), **durations)


def _store(root: Table) -> str | None:
    table = root.table("store")
    if table is None:
        return None
    table.only(("url", "revocation_when_unknown", "every_request"))
    url = table.text("url")
    if not url:
        raise table.wrong("url", "it is required: redis://HOST:PORT/0, rediss:// for TLS, or unix:///PATH")
    try:
        usable(url)
    except Misconfigured as error:  # which repeats nothing of it: there may be a password in it
        raise table.wrong("url", str(error)) from None
    return url


def _denylist(root: Table) -> Denylist:
    """Return what is revoked: in the store, else in this process alone."""
    table, store = root.table("store"), _store(root)
    if table is None:
        return Denylist()
    when_unknown = table.text("revocation_when_unknown")
    if when_unknown not in (None, "refuse", "allow"):
        raise table.wrong("revocation_when_unknown", '"refuse" or "allow" is expected')
    return Denylist(
        store,
        when_unknown="allow" if when_unknown == "allow" else "refuse",
        every_request=table.flag("every_request") or False,
    )


def _snapshot(table: Table) -> Path | None:
    if not table.has("snapshot"):
        return None
    folder = table.path("snapshot", "folder")
    if str(table.text("snapshot")).startswith("~"):
        raise table.wrong("snapshot", "~ is for shells; write ${HOME}")
    try:
        if folder.exists() and not folder.is_dir():
            raise table.wrong("snapshot", "the name of a folder is expected, and this is none")
    except OSError as error:  # one of its parents is none, say
        raise table.wrong("snapshot", f"the folder cannot be used: {error.strerror}") from None
    return folder


def _memory(root: Table) -> Memory | None:
    """Return how much is remembered, None where ``memory = false`` says that nothing is."""
    written = root.values.get("memory")
    if written is None or isinstance(written, bool):
        return None if written is False else Memory()
    if not isinstance(written, dict):
        raise root.wrong("memory", "a table, or false, is expected")
    table = root.inner("memory")
    table.only(_SIZES)
    for name in _SIZES:
        if table.values.get(name) == 0:
            raise table.wrong(name, "a whole number above 0 is expected; memory = false switches it off")
    sizes = {name: table.whole(name) for name in _SIZES}
    return Memory(**{name: size for name, size in sizes.items() if size is not None})


def _ca_file(table: Table) -> str | None:
    if not table.text("ca_file"):
        return None
    path = table.path("ca_file")
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise table.wrong("ca_file", "the file holds no certificates in PEM") from None
    except OSError as error:
        raise table.wrong("ca_file", f"the file cannot be read: {error.strerror}") from None
    return str(path)


def _proxy(table: Table) -> str | None:
    proxy = table.text("proxy")
    if not proxy:
        return None
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and proxy.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise table.wrong("proxy", "http://HOST:PORT is expected")
    return proxy


def _limits(root: Table) -> Limits:
    table = root.table("limits")
    if table is None:
        return DEFAULT_LIMITS
    table.only(("token", "header"))
    token, header = table.whole("token"), table.whole("header")
    try:
        return Limits(
            token or DEFAULT_LIMITS.token, header or min(DEFAULT_LIMITS.header, token or DEFAULT_LIMITS.header)
        )
    except Misconfigured:
        raise table.wrong("header", "at most as many characters as token are expected") from None
