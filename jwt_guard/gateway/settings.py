"""Where the gateway listens, whom it believes, and what it tells the upstream: checked when it is made."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from ..errors import Misconfigured, shown
from .identity import IdentityHeaders
from .identity_token import IdentityToken

__all__ = ["Address", "Family", "ProxySettings", "Settings", "address", "believes"]

Family: TypeAlias = Literal["x-original", "x-forwarded"]
"""Which headers name the original request."""
Network: TypeAlias = IPv4Network | IPv6Network

_PORT = re.compile(r"[0-9]{1,5}")
_MOST_PORT = 65_535
_FAMILIES = ("x-original", "x-forwarded")
_MOST_SECONDS = 60.0
_MOST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """Return what *text* says: ``HOST:PORT``, ``[HOST]:PORT`` or ``unix:PATH``; Misconfigured for anything else.

    Port 0 lets the system choose one.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise Misconfigured("unix: takes the whole path of a socket")
        return Address(path=path)
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host) or not _PORT.fullmatch(port) or int(port) > _MOST_PORT:
        raise Misconfigured("HOST:PORT or unix:PATH is expected")
    return Address(bare, int(port))


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The ``[gateway.proxy]`` of guard.toml: how what is let in goes on to the upstream.  Raises Misconfigured."""

    connect_timeout: float = 5.0
    """Seconds until there is a connection to the upstream."""
    answer_timeout: float = 60.0
    """Seconds until its answer begins, counted from the last octet that it was sent."""
    keep_host: bool = True
    """Whether the upstream sees the host that the client asked for; else its own."""
    pass_authorization: bool = False
    """Whether the upstream sees the client's ``Authorization``, by which it could ask others in their name."""
    ca_file: str | None = None
    """Certificates of the authorities that an ``https`` upstream is trusted by, in PEM; None: the system's."""
    tls: ssl.SSLContext | None = field(init=False, repr=False, compare=False)
    """What it says, read once; None: as usual."""

    def __post_init__(self) -> None:
        """Check the numbers, and read the certificates."""
        for name in ("connect_timeout", "answer_timeout"):
            if not 0 < getattr(self, name) <= _MOST_WAIT:
                raise Misconfigured(f"{name}: a number of seconds above 0, and at most a day, is expected")
        object.__setattr__(self, "tls", None if self.ca_file is None else _trusting(self.ca_file))


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``[gateway]`` of guard.toml.  Raises Misconfigured."""

    listen: str = "127.0.0.1:9191"
    grpc_listen: str | None = None
    """Envoy's gRPC ext_authz; None: not served."""
    admin_listen: str | None = None
    """Health, readiness and metrics; None: not served."""
    trusted_proxies: Sequence[str] = ("127.0.0.1/32", "::1/128")
    """Networks whose word about the original request is taken.  A Unix socket is as open as its file is."""
    forwarded: Family | None = None
    """Which headers name the original request; None: the one family that was sent."""
    upstream: str | None = None
    """Where the reverse proxy sends what is let in; None: forward-auth alone."""
    identity: IdentityHeaders | IdentityToken = field(default_factory=IdentityHeaders)
    """What the upstream is told."""
    proxy: ProxySettings = ProxySettings()
    """How what is let in goes on to it."""
    answer_within: float = 0.1
    """Seconds after which the answer is that we cannot tell."""
    networks: tuple[Network, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check everything."""
        for name in ("listen", "grpc_listen", "admin_listen"):
            text: str = getattr(self, name)
            if text is None and name != "listen":
                continue
            try:
                address(text)
            except Misconfigured as error:
                raise Misconfigured(f"{name}: {error}") from None
        if self.forwarded is not None and self.forwarded not in _FAMILIES:
            raise Misconfigured(f"forwarded: {' or '.join(_FAMILIES)} is expected")
        if self.upstream is not None:
            _check_upstream(self.upstream)
        if isinstance(self.identity, IdentityToken) and self.identity.is_bearer and self.proxy.pass_authorization:
            raise Misconfigured("proxy: Authorization is the client's or the identity token, and not both")
        if self.proxy.ca_file is not None and not (self.upstream or "").startswith("https://"):
            raise Misconfigured("proxy: ca_file is for an upstream with https://")
        if not 0 < self.answer_within <= _MOST_SECONDS:
            raise Misconfigured("answer_within: a number of seconds above 0, and at most 60, is expected")
        object.__setattr__(self, "networks", tuple(map(_network, self.trusted_proxies)))


def believes(settings: Settings, peer: str | None) -> bool:
    """Say whether the word of *peer*, an IP address, is taken; None is the other end of a Unix socket."""
    if peer is None:
        return True
    try:
        who = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(who, "ipv4_mapped", None)
    return any(who in network or (mapped is not None and mapped in network) for network in settings.networks)


def _trusting(file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        raise Misconfigured("ca_file: the file holds no certificates in PEM") from None
    except OSError as error:
        raise Misconfigured(f"ca_file: the file cannot be read: {error.strerror}") from None
    context.set_alpn_protocols(("http/1.1",))
    return context


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise Misconfigured(f"trusted_proxies: {shown(text)} is no network: 10.0.0.0/8 or 127.0.0.1/32, say") from None


def _check_upstream(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not url.isprintable():
        raise Misconfigured("upstream: http://HOST:PORT or https://HOST is expected")
    if parts.query or parts.fragment or parts.username is not None or parts.path not in ("", "/"):
        raise Misconfigured("upstream: scheme, host and port are expected, and nothing else: paths go on as they are")
