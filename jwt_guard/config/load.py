"""guard.toml and the environment → a Guard."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..access.challenge import quoted
from ..access.guard import Guard
from ..errors import Misconfigured
from ..flow import Trust
from ..sources.jwks import KeySettings
from ..tokens.compact import DEFAULT_LIMITS, Limits
from .providers import read_provider
from .routes import read_routes
from .values import Table, WrongConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access.provider import Provider

__all__ = ["find", "guard_from", "load", "read"]

_VARIABLE = "JWT_GUARD_CONFIG"
_USUAL = "guard.toml"
_KNOWN = ("realm", "providers", "routes", "keys", "limits")
_LATER = ("gateway", "store", "fhir", "openapi", "shadow", "audit")
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f.]*:[0-9a-f:.]+")
_DEPTH = 64  # less than what a stack has room for, here and when a request is decided; a token is less deep by far
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
    realm, settings, limits = _realm(root), _key_settings(root), _limits(root)
    providers, policy = _providers(root, settings), read_routes(root)
    try:
        return Guard(providers, policy, realm, limits)
    except Misconfigured as error:
        raise root.wrong("providers", str(error)) from None  # each of them is good: two do not go together


def _realm(root: Table) -> str:
    realm = root.text("realm")
    if realm is None:
        return "api"
    try:
        quoted(realm)
    except ValueError as error:
        raise root.wrong("realm", str(error)) from None
    return realm


def _providers(root: Table, settings: KeySettings) -> list[Provider]:
    table = root.table("providers")
    if table is None or not table.values:
        raise root.wrong("providers", "at least one [providers.NAME] is expected")
    return [read_provider(name, table.inner(name), settings) for name in table.values]


def _key_settings(root: Table) -> KeySettings:
    table = root.table("keys")
    if table is None:
        return KeySettings()
    table.only((*_DURATIONS, "plain_http_hosts", "ca_file", "proxy"))
    durations: dict[str, float] = {}
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
    return KeySettings(plain_http_hosts=hosts, trust=Trust(_ca_file(table), _proxy(table)), **durations)


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
