"""What was asked for and what guard.toml says → addresses and names that can stand in any configuration as they are.

Nothing is quoted later on: what has a character that means something to a gateway is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import Misconfigured
from ..settings import Address, address

if TYPE_CHECKING:
    from ...access.guard import Guard
    from ..identity import IdentityHeaders
    from ..identity_token import IdentityToken
    from ..settings import Family, Settings

__all__ = ["ABOUT_THE_CLIENT", "ANOTHER_REQUEST", "CERTIFICATES", "LISTEN", "File", "Plan", "Upstream", "is_ip", "plan"]

LISTEN = "127.0.0.1:8080"
"""Where a gateway listens unless something else is asked for."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Who vouches for an upstream with https, where a gateway has to be told."""
ANOTHER_REQUEST = (
    "X-Original-Method", "X-Original-URI", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL",
    "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override",
    "X-Forwarded-Method", "X-Forwarded-Path", "X-Forwarded-URI", "Proxy",
)  # fmt: skip
"""By one of these some application takes the request for another one than was judged."""
ABOUT_THE_CLIENT = (
    "Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-URL-Scheme", "Client-IP",
    "CF-Connecting-IP", "Fastly-Client-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP",
)  # fmt: skip
"""By these some application takes it for one of somebody else; X-Real-IP is set by some gateways themselves."""

_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]{1,100}")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a configuration."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the application is."""

    host: str
    port: int
    tls: bool

    @property
    def place(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        return str(Address(self.host, self.port))

    @property
    def url(self) -> str:
        """The same as a URL, always with a port."""
        return f"{'https' if self.tls else 'http'}://{self.place}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration is made of."""

    listen: Address
    """Where the gateway listens; the host is an IP address."""
    upstream: Upstream
    auth: Address
    """Where it asks over HTTP."""
    grpc: Address | None
    """Where Envoy asks over gRPC; None: over HTTP."""
    identity: IdentityHeaders | IdentityToken
    forwarded: Family | None
    """Which headers name the original request, where guard.toml says so."""
    pass_authorization: bool
    """Whether the application sees the token."""
    guard: Guard = field(repr=False)

    def named_by(self, *families: Family) -> Family:
        """Return the family of headers that names the original request, of those that the gateway can send.

        Raises Misconfigured where guard.toml wants another one.
        """
        if self.forwarded is None:
            return families[0]
        if self.forwarded not in families:
            raise Misconfigured(
                f"gateway.forwarded: this gateway names the original request in {families[0]}-… headers; "
                f'write "{families[0]}", or leave it out'
            )
        return self.forwarded

    @property
    def drops_authorization(self) -> bool:
        """Whether the application is sent no ``Authorization``, neither the client's nor the gateway's."""
        return not self.pass_authorization and "authorization" not in map(str.lower, self.identity.names)

    @property
    def head_kib(self) -> int:
        """How many KiB of headers the gateway has to take, so that the guard is who refuses a long token."""
        return max(16, self.guard.limits.token // 1_024 + 8)


def plan(settings: Settings, guard: Guard, *, listen: str | None, upstream: str | None, auth: str | None) -> Plan:
    """Return the plan for a gateway on *listen* in front of *upstream*, asking at *auth*.

    What is None is taken from *settings*, as far as they say it.  Raises Misconfigured.
    """
    if settings.upstream is not None:
        raise Misconfigured(
            "gateway.upstream: it makes serve a reverse proxy, which answers no gateway; leave it out, say --upstream"
        )
    if upstream is None:
        raise Misconfigured("--upstream: say where the application is: http://HOST:PORT or https://HOST")
    if guard.carried.reads_forms:
        raise Misconfigured("tokens.form: gateways ask without the body of a request; take it out")
    grpc = settings.grpc_listen
    return Plan(
        _listening(listen or LISTEN),
        _upstream(settings, upstream),
        _asked("--auth", auth) if auth is not None else _asked("gateway.listen", settings.listen),
        None if grpc is None else _asked("gateway.grpc_listen", grpc),
        settings.identity,
        settings.forwarded,
        settings.proxy.pass_authorization,
        guard,
    )


def is_ip(host: str) -> bool:
    """Say whether *host* is an IP address and no name."""
    try:
        found = ip_address(host)
    except ValueError:
        return False
    return not (isinstance(found, IPv6Address) and found.scope_id)


def _listening(text: str) -> Address:
    place = _address("--listen", text)
    if place.path or not is_ip(place.host) or place.port == 0:
        raise Misconfigured("--listen: an IP address and a port are expected: 0.0.0.0:8080 or [::]:8080, say")
    return place


def _asked(where: str, text: str) -> Address:
    place = _address(where, text)
    if place.path:
        if not _PATH.fullmatch(place.path):
            raise Misconfigured(f"{where}: the path of the socket has letters, digits and . _ - / @ +, at most 100")
        return place
    if not _is_host(place.host) or place.port == 0:
        raise Misconfigured(f"{where}: a host and a port are expected, or unix: and a path")
    if is_ip(place.host) and ip_address(place.host).is_unspecified:
        raise Misconfigured(f"{where}: that is every address of a machine; say --auth with the one to ask at")
    return place


def _upstream(settings: Settings, url: str) -> Upstream:
    try:
        replace(settings, upstream=url)
    except Misconfigured as error:
        raise Misconfigured(f"--upstream: {str(error).partition(': ')[2]}") from None
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    if not _is_host(host):
        raise Misconfigured("--upstream: the host is a name or an IP address")
    return Upstream(host, parts.port or (443 if tls else 80), tls)


def _address(where: str, text: str) -> Address:
    try:
        return address(text)
    except Misconfigured as error:
        raise Misconfigured(f"{where}: {error}") from None


def _is_host(host: str) -> bool:
    return is_ip(host) or _NAME.fullmatch(host) is not None
