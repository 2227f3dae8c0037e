"""The ``iss`` of an endorsement → the one URL of its key, and whether the addresses behind it are anybody's."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["addresses", "is_public", "well_known", "why_no_host"]

_LONGEST = 253  # characters (RFC 1035 §3.1, less the dots' own octets)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: "127.1", "0x7f.1" and the like are addresses to some parsers.
_HOST = re.compile(rf"(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]")
_RESERVED = re.compile(r"(?:^|\.)(?!xn)..--")  # RFC 5890 §2.3.1: only xn-- has a meaning yet
_NOT_IN_A_HOST = {
    "/": "a path or a scheme",
    "\\": "a path",
    "?": "a query",
    "#": "a fragment",
    "@": "a user",
    ":": "a port or a scheme",
    "%": "a percent sign",
}
_HTTPS = 443
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_DOCUMENTATION = IPv6Network("3fff::/20")  # RFC 9637, which older Pythons take for anybody's
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: an IPv4 address in its last four octets


def why_no_host(name: object) -> str | None:
    """Return why *name* is no host to ask, or None where it is one: fully qualified, in its one spelling.

    Two labels or more of lower-case letters, digits and dashes (RFC 1123 §2.1); no address, port, path, user or last
    dot.  An international name is written with its A-labels (``xn--``, RFC 5890 §2.3.2.1): nothing here converts
    one, so no two parsers can differ about it.
    """
    if not isinstance(name, str):
        return "it is no text"
    if not name.isascii():
        return "it is not ASCII: an international name is written with xn--"
    for character, what in _NOT_IN_A_HOST.items():
        if character in name:
            return f"it has {what} in it"
    if name != name.lower():
        return "it is not in lower case"
    if len(name) > _LONGEST or not _HOST.fullmatch(name) or _RESERVED.search(name):
        return "it is no fully qualified host name"
    return None


def well_known(host: str) -> str:
    """Return the URL of the key of *host*, of which :func:`why_no_host` has nothing to say."""
    return f"https://{host}/.well-known/poet.jwk"


async def addresses(host: str, deadline: float) -> list[str]:
    """Return the addresses of *host*; raises OSError, TimeoutError after *deadline* seconds among them."""
    import anyio

    with anyio.fail_after(deadline):
        found = await anyio.getaddrinfo(host, _HTTPS, type=socket.SOCK_STREAM)
    return [address for *_, (address, _) in found]


def is_public(address: str) -> bool:
    """Say whether *address* is one that the whole Internet can reach, and not a machine or a network of ours."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            ip = IPv4Address(ip.packed[-4:])
        elif ip not in _GLOBAL_UNICAST or ip in _DOCUMENTATION or ip.sixtofour is not None:
            return False
    return ip.is_global and not ip.is_multicast
