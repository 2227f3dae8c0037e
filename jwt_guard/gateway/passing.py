"""A request that was let in → what the upstream is sent; its answer → what the client is told.

What was judged is what is sent: one normal form of the path, the method as it is, and no header by which a server
would take it for another request.  Nothing here waits or speaks to anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..access.routes import segments
from ..errors import AmbiguousPath, AmbiguousRequest
from ..middleware.asgi import ScopeRequest
from ..middleware.refusing import CREDENTIALS
from .settings import believes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..middleware.asgi import Scope
    from .settings import Settings

__all__ = ["Outgoing", "Passing", "normal_path"]

Headers = list[tuple[str, str]]
RawHeaders = list[tuple[bytes, bytes]]

_DROPPED, _PASSED, _FORWARDED, _LOOKED_AT = range(4)

# RFC 9110 §7.6.1, and what older clients take for such headers.
_HOP_BY_HOP = frozenset({
    b"connection", b"http2-settings", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info",
    b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
# By one of these a framework behind us takes the request for another one; "proxy" becomes a setting of CGI programs.
_ANOTHER_REQUEST = frozenset({
    b"proxy", b"x-http-method", b"x-http-method-override", b"x-method-override", b"x-original-host",
    b"x-original-method", b"x-original-uri", b"x-original-url", b"x-rewrite-url",
    b"x-forwarded-method", b"x-forwarded-path", b"x-forwarded-uri",
})  # fmt: skip
# What we say ourselves of where the request comes from, and its cousins.
_ABOUT_THE_CLIENT = frozenset({
    b"client-ip", b"fastly-client-ip", b"cf-connecting-ip", b"forwarded", b"true-client-ip", b"x-client-ip",
    b"x-cluster-client-ip", b"x-real-ip", b"x-url-scheme",
})  # fmt: skip
_LOOKED_INTO = frozenset({
    b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"via",
})  # fmt: skip
# A handshake is made anew with the upstream.
_HANDSHAKE = b"sec-websocket-"
_SET_ANEW = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
# Servers make one variable of X-User and X_User, so that only names that no two of them read differently go on.
_NAME = re.compile(rb"[A-Za-z0-9-]{1,128}")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_QUERY = re.compile(rb'[!$-;=?-~"<>]*')  # no "#", nothing that is not visible ASCII
_LENGTH = re.compile(rb"[0-9]{1,18}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986 §2.3
_NOT_PASSED_ON = ("CONNECT", "TRACE")
_NAMES_KEPT = 1_024
_LOCATIONS = (b"location", b"content-location")
_VIA = "1.1 jwt-guard"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What the upstream is sent, but for the body."""

    method: str
    target: str
    """Path and query."""
    headers: Headers = field(repr=False)
    has_body: bool
    expects_100: bool
    origin: str
    """Scheme and host as the client knows them."""


def normal_path(path: str, *, encoded: bool) -> str | None:
    """Return *path* in the form of RFC 3986 §6.2.2, or None where it has no unambiguous one.

    *encoded* lets ``%2F`` and ``;`` stand inside a segment, for a policy that has looked at that.
    """
    if segments(path) is None and not (encoded and segments(path, opaque=True) is not None):
        return None
    return _ESCAPE.sub(_shortest, path) if "%" in path else path


def _shortest(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()


class Passing:
    """What goes on and what does not, by the *settings* of a gateway with an upstream.

    *encoded* says that the guard's policy has looked at paths with ``%2F`` and ``;`` in them.
    """

    def __init__(self, settings: Settings, *, encoded: bool) -> None:
        self.settings = settings
        self._encoded = encoded
        self._identity = settings.identity
        self._upstream = (settings.upstream or "").rstrip("/")
        self._authority = urlsplit(self._upstream).netloc
        self._ports = _same_origins(self._upstream)
        self._known: dict[bytes, int] = {}
        self._is_believed = lru_cache(maxsize=1_024)(lambda peer: believes(settings, peer))

    def request(self, scope: Scope) -> Outgoing:
        """Return what is sent for the request of *scope*.

        Raises AmbiguousPath and AmbiguousRequest.
        """
        method: str = scope.get("method", "GET")  # a handshake has none
        if method in _NOT_PASSED_ON or method != method.upper():  # the client library would send another one
            raise AmbiguousRequest("no such method is passed on")
        path = normal_path(ScopeRequest(scope).path, encoded=self._encoded)
        if path is None:
            raise AmbiguousPath
        query: bytes = scope.get("query_string", b"")
        if not _QUERY.fullmatch(query):
            raise AmbiguousRequest("the query has characters that none has")
        headers, found, connection = self._sorted(scope["headers"])
        has_body = _has_body(found, scope.get("http_version", "1.1"))
        host = self._host(found, scope)
        if connection:
            headers = [(name, value) for name, value in headers if name not in connection]
        peer = scope.get("client")
        origin = self._about_the_client(headers, found, None if not peer else peer[0], _scheme(scope), host)
        headers.insert(0, ("host", host if self.settings.proxy.keep_host else self._authority))
        lengths = found.get("content-length")
        if lengths:
            headers.append(("content-length", lengths[0]))
        headers.append(("via", ", ".join([*found.get("via", ()), _VIA])))
        # Last, so that nothing that a client has sent takes them away.
        headers += ((name, value) for name, value in self._identity.headers(scope.get(CREDENTIALS)) if value)
        expects_100 = has_body and [value.lower() for value in found.get("expect", ())] == ["100-continue"]
        target = f"{path}?{query.decode('ascii')}" if query else path
        return Outgoing(method, target, headers, has_body, expects_100, origin)

    def answer(self, raw: Iterable[tuple[bytes, bytes]], origin: str) -> RawHeaders:
        """Return the headers for the client of those that the upstream sent."""
        named: set[bytes] = set()
        headers: RawHeaders = []
        is_chunked = False
        for name, value in raw:
            lower = name.lower()
            if lower in _HOP_BY_HOP:
                if lower == b"connection":
                    named.update(part.strip().lower() for part in value.split(b","))
                is_chunked = is_chunked or lower == b"transfer-encoding"
            elif lower in _LOCATIONS:
                headers.append((lower, self._location(value, origin)))
            elif lower != b"alt-svc":  # it names another way to the upstream, past us
                headers.append((lower, value))
        if is_chunked:
            named.add(b"content-length")  # RFC 9112 §6.1: it says nothing then
        else:
            named.discard(b"content-length")
        return [(name, value) for name, value in headers if name not in named] if named else headers

    def _sorted(
        self, given: Iterable[tuple[bytes, bytes]]
    ) -> tuple[Headers, dict[str, list[str]], frozenset[str] | None]:
        """Return the headers that go on, those that are looked into, and the names that ``Connection`` has."""
        passed: Headers = []
        found: dict[str, list[str]] = {}
        known = self._known
        try:
            for name, value in given:
                kind = known.get(name)
                if kind is None:
                    kind = self._learn(name)
                if kind == _PASSED:
                    passed.append((name.decode("ascii"), value.decode("utf-8")))
                elif kind != _DROPPED:
                    found.setdefault(name.lower().decode("ascii"), []).append(value.decode("utf-8"))
        except UnicodeDecodeError:
            raise AmbiguousRequest("a header is not in UTF-8") from None
        connection = found.get("connection")
        if connection is None:
            return passed, found, None
        return passed, found, frozenset(part.strip().lower() for value in connection for part in value.split(","))

    def _learn(self, name: bytes) -> int:
        kind = self._kind(name.lower())
        if len(self._known) < _NAMES_KEPT:
            self._known[name] = kind
        return kind

    def _kind(self, name: bytes) -> int:
        if not _NAME.fullmatch(name) or self._identity.is_alias(name.decode("ascii")):
            return _DROPPED
        if name in _LOOKED_INTO:
            return _LOOKED_AT
        if name in _HOP_BY_HOP or name in _ANOTHER_REQUEST or name.startswith(_HANDSHAKE):
            return _DROPPED
        if name in _ABOUT_THE_CLIENT or name.startswith(b"x-forwarded-"):
            return _FORWARDED
        if name == b"authorization" and not self.settings.proxy.pass_authorization:
            return _DROPPED
        return _PASSED

    def _host(self, found: Mapping[str, list[str]], scope: Scope) -> str:
        hosts = found.get("host", [])
        if not hosts and scope.get("http_version") == "1.0":
            return self._authority  # RFC 9112 §3.2: only later clients must send one
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            raise AmbiguousRequest("the host is not named once")
        return hosts[0]

    def _about_the_client(
        self, headers: Headers, found: Mapping[str, list[str]], peer: str | None, scheme: str, host: str
    ) -> str:
        """Add to *headers* where the request comes from; return scheme and host as the client knows them.

        What a proxy before us says counts where it is trusted, and ``Forwarded`` is written anew from the same facts,
        so that no two headers tell two stories.
        """
        chain: tuple[str, ...] = ()
        if self._is_believed(peer):
            chain = _addresses(found.get("x-forwarded-for", ()))
            schemes, hosts = found.get("x-forwarded-proto", ()), found.get("x-forwarded-host", ())
            if len(schemes) == 1 and schemes[0] in {"http", "https"}:
                scheme = schemes[0]
            if len(hosts) == 1 and _HOST.fullmatch(hosts[0]):
                host = hosts[0]
            for name, values in found.items():
                if name not in _SET_ANEW and self._known.get(name.encode("ascii")) == _FORWARDED:
                    headers += ((name, value) for value in values)
        headers += _forwarded(chain, peer, scheme, host)
        return f"{scheme}://{host}"

    def _location(self, value: bytes, origin: str) -> bytes:
        """Return where *value* leads for somebody who reaches the upstream through us alone."""
        try:
            parts = urlsplit(value.decode("ascii"))
            is_upstream = (parts.scheme.lower(), (parts.hostname or "").lower(), parts.port) in self._ports
        except ValueError:
            return value
        if not is_upstream or parts.username is not None:
            return value
        rest = value.decode("ascii").partition("//")[2][len(parts.netloc) :]
        return f"{origin}{rest}".encode("ascii")


def _has_body(found: Mapping[str, list[str]], version: str) -> bool:
    """Say whether a body follows; AmbiguousRequest where that, or where it ends, can be read in two ways."""
    lengths, codings = found.get("content-length", []), found.get("transfer-encoding", [])
    if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0].encode("utf-8"))):
        raise AmbiguousRequest("the length of the body is not named once")
    if codings and (lengths or version == "1.0" or len(codings) > 1 or codings[0].lower() != "chunked"):
        raise AmbiguousRequest("the body can be framed in two ways")  # RFC 9112 §6.1
    if version not in {"1.0", "1.1"}:
        return not lengths or lengths[0] != "0"  # later versions frame bodies by themselves
    return bool(codings) or (bool(lengths) and int(lengths[0]) > 0)


def _scheme(scope: Scope) -> str:
    return "https" if scope.get("scheme") in {"https", "wss"} else "http"


def _addresses(values: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses in ``X-Forwarded-For``, from the right as far as they are some."""
    found: list[str] = []
    for part in reversed([part.strip() for value in values for part in value.split(",")]):
        try:
            found.append(str(ip_address(part.removeprefix("[").removesuffix("]"))))
        except ValueError:
            break
    return tuple(reversed(found))


@lru_cache(maxsize=1_024)
def _forwarded(chain: tuple[str, ...], peer: str | None, scheme: str, host: str) -> tuple[tuple[str, str], ...]:
    who = (*chain, *_addresses([peer or ""]))
    nodes = [f'"[{address}]"' if ":" in address else address for address in who] or ["unknown"]  # RFC 7239 §6
    first = f'for={nodes[0]};host="{host}";proto={scheme}'
    said: list[tuple[str, str]] = [("x-forwarded-host", host), ("x-forwarded-proto", scheme)]
    if who:
        said.append(("x-forwarded-for", ", ".join(who)))
    return (*said, ("forwarded", ", ".join([first, *(f"for={node}" for node in nodes[1:])])))


def _same_origins(upstream: str) -> frozenset[tuple[str, str, int | None]]:
    """Return scheme, host and port of *upstream* as a ``Location`` may spell them."""
    parts: Any = urlsplit(upstream)
    usual = 443 if parts.scheme == "https" else 80
    ports = {None, usual} if (parts.port or usual) == usual else {parts.port}
    return frozenset((parts.scheme, (parts.hostname or "").lower(), port) for port in ports)
