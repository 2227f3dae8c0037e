"""A gateway's question about a request → that request, as far as whoever asks may be believed.

Gateways name the request that they ask about in headers, and so can everybody else who reaches us.  Only one of two
families of headers counts, each header once, and only from those who are trusted to send them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import MalformedRequest, Refused, shown

if TYPE_CHECKING:
    from ..messages import Request
    from .settings import Family

__all__ = ["EXT_AUTHZ", "NotTrusted", "OriginalRequest", "meant", "original", "prefixed"]

EXT_AUTHZ = "/ext_authz"
"""What Envoy puts before the path of the request that it asks about over HTTP."""

_HEADERS: dict[Family, tuple[str, str]] = {
    "x-original": ("x-original-method", "x-original-uri"),
    "x-forwarded": ("x-forwarded-method", "x-forwarded-uri"),
}
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §9.1
_TARGET = re.compile(r"/[!-~]*")
_LONGEST = 16_384


class NotTrusted(Refused):
    """Whoever asks about a request is none of the gateways that are believed."""

    status = 403

    def __init__(self, peer: str | None) -> None:
        super().__init__("who asks is not in trusted_proxies")
        self.peer = peer

    def __str__(self) -> str:
        return f"{self.reason}: {shown(self.peer)}"


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """The request that somebody asks about, with the headers of the question: gateways copy those of the client."""

    method: str
    path: str
    query: str
    asked: Request = field(repr=False)

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name* (lower case), in order, duplicates kept."""
        return self.asked.values(name)


def original(asked: Request, family: Family | None) -> OriginalRequest:
    """Return the request that *asked* is about, by the headers of *family*, or of the one that was sent.

    Raises MalformedRequest where they are missing, repeated, contradict each other, or name no request.
    """
    found = {name: _named(asked, *headers) for name, headers in _HEADERS.items() if family in (None, name)}
    named = {request for request in found.values() if request is not None}
    if not named:
        raise MalformedRequest("no header names the original request")
    if len(named) > 1:
        raise MalformedRequest("two families of headers name two requests")
    return _about(*named.pop(), asked)


def prefixed(asked: Request) -> OriginalRequest:
    """Return the request that Envoy asks about: the same method, and the path after the prefix.

    Raises MalformedRequest where nothing follows the prefix.
    """
    target = asked.path.removeprefix(EXT_AUTHZ)
    if target == asked.path:
        raise MalformedRequest("the path has not the prefix of ext_authz")
    return _about(_method(asked.method), _target(_with_query(target, asked)), asked)


def meant(method: str, target: str, asked: Request) -> OriginalRequest:
    """Return the request that Envoy asks about over gRPC, where method and target have fields of their own.

    Raises MalformedRequest where they name no request.
    """
    return _about(_method(method), _target(target), asked)


def _named(asked: Request, method_header: str, target_header: str) -> tuple[str, str] | None:
    methods, targets = asked.values(method_header), asked.values(target_header)
    if not methods and not targets:
        return None
    if len(methods) != 1 or len(targets) != 1:
        raise MalformedRequest("the original request is not named by one method and one target")
    return _method(methods[0]), _target(targets[0])


def _method(method: str) -> str:
    if not _METHOD.fullmatch(method):
        raise MalformedRequest("the original method is none")
    if method.upper() == "CONNECT":
        raise MalformedRequest("CONNECT asks for a tunnel, and nothing can be said of what goes through it")
    return method


def _target(target: str) -> str:
    if len(target) > _LONGEST or not _TARGET.fullmatch(target) or "#" in target:
        raise MalformedRequest("the original target is no path")
    return target


def _with_query(path: str, asked: Request) -> str:
    return f"{path}?{asked.query}" if asked.query else path


def _about(method: str, target: str, asked: Request) -> OriginalRequest:
    path, _, query = target.partition("?")
    return OriginalRequest(method, path, query, asked)
