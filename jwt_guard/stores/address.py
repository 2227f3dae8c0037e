"""The URL of a store → whether it can be asked, and who could listen; the store itself is not asked yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from urllib.parse import parse_qsl, urlsplit

from ..errors import Misconfigured, shown
from ..sources import address

__all__ = ["SCHEMES", "is_exposed", "place_of", "usable", "why_not"]

SCHEMES = ("redis", "rediss", "unix")
"""Of the servers that can be shared."""

_VISIBLE = re.compile(r"[!-~]+")
_DATABASE = re.compile(r"[0-9]{1,5}")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def usable(url: str) -> None:
    """Refuse a *url* that cannot be asked here, and a missing package.  Raises Misconfigured, which repeats nothing."""
    reason = why_not(url)
    if reason is not None:
        raise Misconfigured(f"the store cannot be asked: {reason}")
    if find_spec("redis") is None:
        raise Misconfigured("the store needs a package that is not installed: pip install 'jwt-guard[redis]'")


def why_not(url: str) -> str | None:
    """Return why the server at *url* is not asked, or None where it may be.

    The options of the client library are not for the URL, since some of them switch off what protects it:
    a query holds ``db`` and, with TLS, files of certificates.
    """
    if not _VISIBLE.fullmatch(url):
        return "its URL has characters that no URL has"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return "its URL cannot be read; what is special in a password is percent-encoded"
    if url.partition("://")[0] not in SCHEMES:  # in lower case, as everybody who looks at it expects
        return "its URL is redis://HOST:PORT/0, rediss:// for TLS, or unix:///PATH"
    if "#" in url:
        return "its URL has a fragment; a # in a password is written %23"
    if parts.scheme == "unix":
        if host is not None or port is not None or len(parts.path) < len("/x"):
            return "its URL is unix:///PATH"
    elif not host or port == 0:
        return "its URL names no host, or no port"
    elif parts.path not in ("", "/") and not _DATABASE.fullmatch(parts.path[1:]):
        return "its URL ends with the number of a database"
    return _why_not_with(query, tls=parts.scheme == "rediss")


def _why_not_with(query: list[tuple[str, str]], *, tls: bool) -> str | None:
    names = [name for name, _ in query]
    known = ("db", *_FILES) if tls else ("db",)
    if len(set(names)) < len(names) or not set(names) <= set(known):
        return f"of options, its URL can have {', '.join(known)}, each once"
    for name, value in query:
        if name == "db" and not _DATABASE.fullmatch(value):
            return "its db is the number of a database"
        if name in _FILES and not _is_file(value):
            return f"its {name} names no file"
    if "ssl_keyfile" in names and "ssl_certfile" not in names:
        return "its ssl_keyfile is without an ssl_certfile"
    return _why_not_certified(dict(query)) if tls else None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # it is too long, or in a folder that we may not see
        return False


def _why_not_certified(files: Mapping[str, str]) -> str | None:
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    try:
        if "ssl_ca_certs" in files:
            context.load_verify_locations(files["ssl_ca_certs"])
    except OSError:
        return "its ssl_ca_certs is no file of certificates"
    try:
        if "ssl_certfile" in files:  # with some password, lest OpenSSL ask a terminal, and wait, for that of the key
            context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"), password="")
    except OSError:
        return "its ssl_certfile, and the key for it, cannot be used; the key has no password"
    return None


def is_exposed(url: str) -> bool:
    """Say whether what is asked of the usable store at *url* goes over a network, and without TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return (
        parts.scheme == "redis" and address.why_not(f"http://[{host}]" if ":" in host else f"http://{host}") is not None
    )


def place_of(url: str) -> str:
    """Return where the usable store at *url* is, fit to be logged: without user and password."""
    parts = urlsplit(url)
    return shown(parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2])
