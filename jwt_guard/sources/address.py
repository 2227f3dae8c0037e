"""URL → whether it may be asked for keys."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["why_not"]

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def why_not(url: object, plain_http_hosts: Collection[str] = (), *, loopback: bool = True) -> str | None:
    """Return why *url* is not asked, or None where it may be.

    Only ``https``; ``http`` on *loopback*, unless that is False, and for the hosts in *plain_http_hosts*.
    No user in it, no fragment, nothing but printable ASCII: what one parser takes for the host is what all do.
    """
    if not isinstance(url, str):
        return "it is no text"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "it has characters that no URL has"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if not host:
        return "it names no host"
    if parts.username is not None or parts.password is not None:
        return "it has a user in it"
    if "#" in url:
        return "it has a fragment"
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "its host is not one that every parser reads alike"
    if parts.scheme == "https":
        return None
    if parts.scheme != "http":
        return "it is not https"
    if (loopback and _is_loopback(host)) or host in plain_http_hosts:
        return None
    return "it is not https, and its host is not in plain_http_hosts"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
