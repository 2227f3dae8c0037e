"""guard.toml → what is wrong with it, and what is risky about it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..access.guard import Guard
from ..access.provider import Provider
from ..access.routes import Route
from ..errors import Misconfigured, shown
from ..sources.address import why_not
from ..sources.fixed import FixedKeys
from ..tokens.algorithms import HMAC
from .load import find, guard_from, read
from .values import Table, WrongConfig

__all__ = ["Finding", "Severity", "check"]

Severity: TypeAlias = Literal["wrong", "risky"]
_MUCH_LEEWAY = 60
_READ = stat.S_IRGRP | stat.S_IROTH
_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change, or to think about."""

    severity: Severity
    """``wrong``: it cannot be used, or does not do what it says; ``risky``: it does, and should it?"""
    place: str
    """Dotted; empty for the file itself."""
    sentence: str


def check(path: str | Path | None = None) -> list[Finding]:
    """Return what is wrong or risky with the file that :func:`~jwt_guard.config.load.load` would read."""
    try:
        root = read(find(path))
        guard = guard_from(root)
    except WrongConfig as error:
        return [Finding("wrong", error.place, error.reason)]
    except Misconfigured as error:
        return [Finding("wrong", "", str(error))]
    return [*_of_file(root), *_of_providers(root, guard.providers), *_of_keys(root), *_of_routes(root, guard)]


# --- providers ---------------------------------------------------------------------------------------


def _of_providers(root: Table, providers: Sequence[Provider]) -> Iterator[Finding]:
    tables = root.inner("providers")
    for provider in providers:
        table = tables.inner(provider.name)
        yield from _of_provider(table, provider)
        if isinstance(provider.source, FixedKeys):
            yield from _of_key_file(table, provider.source)


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
    if table.has("secret") and table.is_in_clear("secret"):
        yield Finding("risky", f"{place}.secret", "the secret is in the file: write ${NAME}, and keep it elsewhere")
        if _others_may(table.file, _READ):
            yield Finding("risky", "", "the file has a secret in it, and others may read it: chmod 600")


def _of_file(root: Table) -> Iterator[Finding]:
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
    for host in (table and table.list_of_texts("plain_http_hosts")) or ():
        sentence = f"{shown(host)} may be asked without TLS: whoever is in between can give us keys"
        yield Finding("risky", "keys.plain_http_hosts", sentence)


# --- routes ------------------------------------------------------------------------------------------


def _of_routes(root: Table, guard: Guard) -> Iterator[Finding]:
    routes: tuple[Route, ...] = getattr(guard.policy, "routes", ())
    for number, route in enumerate(routes):
        earlier = next((other for other in routes[:number] if _covers(other, route)), None)
        if earlier is not None:
            sentence = (
                f"{shown(route.path)} is never reached: {shown(earlier.path)} comes first and takes all of its paths"
            )
            yield Finding("wrong", "routes", sentence)
        yield from _of_methods(route)
    for table in root.tables("routes") or ():
        if table.text("path") == "/**" and table.text("allow") == "anyone":
            yield Finding("risky", f"{table.place}.allow", "every path that no earlier route takes is open to anyone")


def _covers(earlier: Route, later: Route) -> bool:
    """Say whether *earlier* matches every path that *later* matches."""
    if later.opaque and not earlier.opaque:
        return False
    ours, theirs = earlier.pieces, later.pieces
    if earlier.deep:
        if len(ours) > len(theirs):
            return False
    elif later.deep or len(ours) != len(theirs):
        return False
    return all(our is None or our == their for our, their in zip(ours, theirs, strict=False))


def _of_methods(route: Route) -> Iterator[Finding]:
    """Find tables of one path that ask something of a method which an earlier one has taken."""
    taken: set[str] = set()
    everything = False
    for methods, _ in route.policies:
        twice = taken.intersection(methods or ())
        if "GET" in (methods or ()) and twice == {"HEAD"}:
            twice = set()  # HEAD first, for itself, and then GET, which would include it: that can be meant
        if everything or twice:
            what = ", ".join(sorted(twice)) or "every method"
            sentence = f"{shown(route.path)}: an earlier table of this path has taken {what} already"
            yield Finding("wrong", "routes", sentence)
        everything = everything or methods is None
        taken.update(methods or ())
