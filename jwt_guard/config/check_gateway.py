"""``[gateway]`` of a configuration → what is wrong or risky about who is believed, who listens in, and what goes on.

Also which routes gateways could understand otherwise than the guard does.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address
from typing import TYPE_CHECKING

from ..errors import shown
from ..gateway.identity import IdentityHeaders
from ..gateway.settings import address
from ..sources.address import why_not
from .finding import Finding
from .gateway import read_gateway

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..access.routes import Route
    from ..gateway.settings import Settings
    from .values import Table

__all__ = ["of_gateway"]

_LISTENS = {
    "listen": "questions have tokens in them, and there is no TLS: whoever is in between can read them",
    "grpc_listen": "questions have tokens in them, and there is no TLS: whoever is in between can read them",
    "admin_listen": "whoever reaches it sees how many are refused, and why",
}
# Decoded once too often, or not at all, they end a path, or become another character.
_ENDS_A_PATH = frozenset("%?#")
_WIDE = {4: 8, 6: 19}  # as much of the Internet as an RFC 1918 network, or a registry's, has at most


def of_gateway(root: Table, guard: Guard) -> Iterator[Finding]:
    """Yield what is wrong or risky with ``[gateway]`` of *root*, whose guard is *guard*."""
    if root.table("gateway") is None:
        return
    settings = read_gateway(root)
    yield from _of_addresses(settings)
    yield from _of_trust(settings)
    if settings.upstream is not None and settings.upstream.startswith("http://") and why_not(settings.upstream):
        sentence = "it has no TLS: whoever is in between can read what is let in, and answer in its place"
        yield Finding("risky", "gateway.upstream", sentence)
    if settings.upstream is None:
        yield from _of_forward_auth(settings, guard)
    routes: tuple[Route, ...] = getattr(guard.policy, "routes", ())
    for route in routes:
        yield from _of_route(route)


def _of_addresses(settings: Settings) -> Iterator[Finding]:
    taken: set[str] = set()
    for name, sentence in _LISTENS.items():
        text = getattr(settings, name)
        if text is None:
            continue
        where = address(text)
        if str(where) in taken and (where.path or where.port):
            yield Finding("wrong", f"gateway.{name}", "two cannot listen at one address")
        taken.add(str(where))
        if not where.path and not _is_loopback(where.host):
            yield Finding("risky", f"gateway.{name}", sentence)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _of_trust(settings: Settings) -> Iterator[Finding]:
    fours = [network for network in settings.networks if isinstance(network, IPv4Network)]
    sixes = [network for network in settings.networks if isinstance(network, IPv6Network)]
    together: list[IPv4Network | IPv6Network] = [*collapse_addresses(fours), *collapse_addresses(sixes)]
    for network in together:
        if network.prefixlen == 0:
            sentence = (
                "everyone is trusted: whoever reaches us can have any request judged in place of the one they send"
            )
        elif network.prefixlen < _WIDE[network.version]:
            sentence = f"{network} is a large part of the Internet: name the gateways, or their network"
        else:
            continue
        yield Finding("risky", "gateway.trusted_proxies", sentence)


def _of_forward_auth(settings: Settings, guard: Guard) -> Iterator[Finding]:
    if guard.carried.reads_forms:
        yield Finding("wrong", "tokens.form", "gateways ask without the body of a request, so no token in it is found")
    if isinstance(settings.identity, IdentityHeaders) and settings.identity.names:
        sentence = (
            "the gateway has to drop what clients send under these names, and under all that some servers take for "
            "them, as X_Auth_User for X-Auth-User: what jwt-guard export prints does"
        )
        yield Finding("risky", "gateway.identity_headers", sentence)


def _of_route(route: Route) -> Iterator[Finding]:
    if "CONNECT" in route.methods:
        yield Finding("wrong", "routes", f"{shown(route.path)}: CONNECT is refused before any route is asked")
    strange = sorted({letter for piece in route.pieces for letter in piece or "" if letter in _ENDS_A_PATH})
    if strange:
        sentence = (
            f"{shown(route.path)}: some gateways pass an encoded {' and '.join(strange)} on as it is, and others "
            "decode it, so that the upstream may see another path than the guard"
        )
        yield Finding("risky", "routes", sentence)
    if route.opaque and (route.deep or None in route.pieces):
        sentence = (
            f"{shown(route.path)}: some gateways pass %2F and ; on as they are, and others decode, merge or refuse "
            "them, so that the upstream may see another path than the guard"
        )
        yield Finding("risky", "routes", sentence)
