"""Django's request → ours, under WSGI and under ASGI, and where the credentials stand on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http.request import RawPostDataException

from ...errors import MalformedRequest
from ..asgi import ScopeRequest
from ..refusing import CREDENTIALS, PATH_CHARACTERS, REALM
from ..wsgi import EnvironRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

    from ...credentials import Credentials

__all__ = ["SeenRequest", "found_in", "place"]


class SeenRequest:
    """A view of a Django request that reads what it is asked for.

    Headers are those of ``request.META``, so the guard reads the token that the application would read.
    """

    __slots__ = ("_request",)

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def method(self) -> str:
        """The method as sent; where a middleware has changed it, the one that Django goes by."""
        request = self._request
        scope: Mapping[str, Any] | None = getattr(request, "scope", None)
        sent: str = request.META.get("REQUEST_METHOD", "") if scope is None else scope["method"]
        return sent if sent.upper() == request.method else request.method or ""

    @property
    def path(self) -> str:
        """The path as sent, with that of the mount; ``""`` where that is not what Django routes on."""
        try:
            return _path_in_scope(self._request) if hasattr(self._request, "scope") else _path_in_environ(self._request)
        except UnicodeError:  # a lone surrogate is no text that anybody can have sent
            return ""

    @property
    def query(self) -> str:
        """The query as sent."""
        query: str = self._request.META.get("QUERY_STRING", "")
        return query

    def form(self, limit: int) -> bytes | None:
        """Return the body, which Django keeps for the application; None where it has more than *limit* octets.

        Raises MalformedRequest where somebody has read it already.
        """
        try:
            body: bytes = self._request.body
        except RequestDataTooBig:  # Django's own limit
            return None
        except RawPostDataException:
            raise MalformedRequest("the form was read before the guard could") from None
        return body if len(body) <= limit else None

    def values(self, name: str) -> tuple[str, ...]:
        """Return the value of the header *name*; Django joins duplicates with commas, as WSGI servers do."""
        return EnvironRequest(self._request.META).values(name)


def _path_in_scope(request: Any) -> str:  # noqa: ANN401 - ASGIRequest, which nobody imports for WSGI
    script, routed, whole = request.script_name, request.path_info, request.scope["path"]
    if whole not in {routed, script + routed, script.rstrip("/") + routed}:
        return ""  # a middleware has put another path in its place
    return ScopeRequest(request.scope).path


def _path_in_environ(request: HttpRequest) -> str:
    """Return what the server says was sent, where that is what Django made of it.

    Django has written into the environ already: text in place of PEP 3333's octets, ``/`` for an empty path,
    and FORCE_SCRIPT_NAME.
    """
    meta = request.META
    routed, script = request.path_info, meta.get("SCRIPT_NAME", "")
    if meta.get("PATH_INFO", "") != routed:
        return ""  # a middleware has put another path in its place
    server: dict[str, str] = {name: meta[name] for name in ("REQUEST_URI", "RAW_URI") if name in meta}
    readings = [("", script, routed)]
    if routed == "/":
        readings.append(("", script, ""))
    if settings.FORCE_SCRIPT_NAME:  # a proxy may have taken it off
        readings.append((quote(script, safe=PATH_CHARACTERS), "", routed))
    for front, name, info in readings:
        path = EnvironRequest({**server, "SCRIPT_NAME": _octets(name), "PATH_INFO": _octets(info)}).path
        if path:
            return front + path
    return ""


def _octets(text: str) -> str:
    return text.encode().decode("latin-1")


def place(request: HttpRequest, credentials: Credentials | None, realm: str) -> None:
    """Say on *request* who it comes from."""
    on = request.__dict__
    on["credentials"] = on[CREDENTIALS] = credentials
    on[REALM] = realm


def found_in(request: HttpRequest) -> Mapping[str, Any]:
    """Return where a guard has put what it found: on *request*, else where a door around Django puts it."""
    if CREDENTIALS in request.__dict__:
        return request.__dict__
    scope: Mapping[str, Any] | None = getattr(request, "scope", None)
    return request.META if scope is None else scope
