"""Request → the one token it carries, in the places where a guard looks: the header, and those it was told of.

Whoever sends two credentials lets two programs see two callers in one request: that is refused, wherever they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import parse_qsl

from ..errors import ContentTooLarge, CrossOrigin, MalformedRequest, Misconfigured, MissingToken, shown
from ..messages import opens_websocket
from ..sources.address import why_not
from ..tokens.bearer import bare_token, bearer_token

if TYPE_CHECKING:
    from ..messages import Request

__all__ = [
    "FORM_LIMIT",
    "Carrier",
    "Carriers",
    "cookie",
    "form",
    "header",
    "is_form",
    "is_origin",
    "query",
    "websocket_subprotocol",
]

Kind: TypeAlias = Literal["header", "cookie", "websocket_subprotocol", "query", "form"]

FORM_LIMIT = 65_536
"""Octets of a form that are read to look for a token in it."""
_MOST_PARAMETERS = 1_000
_FORM = "application/x-www-form-urlencoded"
# RFC 6750 §2.2: where the body has a defined meaning; GET in particular must not be used.
_WITH_FORM = ("POST", "PUT", "PATCH")
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110 §9.2.1
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2, as cookies and subprotocols have it
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")  # RFC 6454 §6.2
# RFC 9728 §2; the other places have no name there.
_METHODS: Mapping[Kind, str] = {"header": "header", "form": "body", "query": "query"}


@dataclass(frozen=True, slots=True)
class Carrier:
    """One place where a token may be: made by the functions below."""

    kind: Kind
    name: str = ""
    """What the cookie, the parameter or the subprotocol before the token is called."""
    origins: frozenset[str] = frozenset()
    """Of a cookie: whose pages may send it, beside our own."""

    def offers(self, request: Request) -> Sequence[str]:
        """Return what stands in this place of *request*, good or bad: more than one thing perhaps."""
        return _FINDERS[self.kind](request, self.name)


def header() -> Carrier:
    """Take the token from the ``Authorization`` header (RFC 6750 §2.1), which every guard does."""
    return Carrier("header")


def cookie(name: str, origins: Sequence[str] = ()) -> Carrier:
    """Take the token from the cookie called *name*, if the request comes from a page of ours.

    A browser sends a cookie whoever makes it send the request.  So a method that is not safe (RFC 9110 §9.2.1) and a
    websocket handshake must show where they come from: ``Sec-Fetch-Site: same-origin``, or an ``Origin`` that is our
    own or one of *origins*, as ``https://app.example``.  Else the answer is 403.  A name that begins with ``__Host-``
    is one that no other host can set (RFC 6265bis §4.1.3.2).  Raises Misconfigured.
    """
    return Carrier("cookie", _named("cookie", name), _origins(origins))


def websocket_subprotocol(name: str = "bearer") -> Carrier:
    """Take the token from ``Sec-WebSocket-Protocol``, where it follows *name*.

    In a browser: ``new WebSocket(url, ["bearer", token])``, since its scripts can set no other header of a handshake.
    The application answers with *name*, or with another of the subprotocols.  Raises Misconfigured.
    """
    return Carrier("websocket_subprotocol", _named("websocket_subprotocol", name))


def query(name: str = "access_token") -> Carrier:
    """Take the token from the query parameter called *name* (RFC 6750 §2.3: it is logged, kept and sent on there).

    Answers with 2xx are marked as private.  Raises Misconfigured.
    """
    return Carrier("query", _named("query", name))


def form(name: str = "access_token") -> Carrier:
    """Take the token from the parameter called *name* of a form that is sent with POST, PUT or PATCH (RFC 6750 §2.2).

    At most 64 KiB of it are read; a longer one is 413.  Raises Misconfigured.
    """
    return Carrier("form", _named("form", name))


def _named(kind: str, name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Misconfigured(f"{kind}: a name is letters, digits, dashes and underscores")
    return name


def _origins(origins: object) -> frozenset[str]:
    if isinstance(origins, str) or not isinstance(origins, Sequence | frozenset):
        raise Misconfigured("origins is a list of texts")
    for origin in origins:
        if not is_origin(origin):
            raise Misconfigured(f"origins: {shown(origin)} is none: https://HOST, in small letters and without a path")
    return frozenset(origins)


def is_origin(text: object) -> bool:
    """Say whether *text* is an origin as a browser writes it: not ``null``, which anybody can be, and no wildcard."""
    return isinstance(text, str) and _ORIGIN.fullmatch(text) is not None


class Carriers:
    """All the places where the token of a request may be; Misconfigured where the header is not among them."""

    __slots__ = ("_carriers", "is_header_only", "query", "reads_forms", "subprotocol")

    def __init__(self, carriers: object) -> None:
        listed = tuple(carriers) if isinstance(carriers, Sequence) else ()
        if not listed or not all(isinstance(carrier, Carrier) for carrier in listed):
            raise Misconfigured("carriers are header(), cookie(), websocket_subprotocol(), query() or form()")
        kinds = [carrier.kind for carrier in listed]
        if "header" not in kinds:
            raise Misconfigured("header() is one of the carriers: RFC 6750 §2.1 asks that of every resource server")
        if len(set(kinds)) < len(kinds):
            raise Misconfigured("two carriers are of one kind")
        self._carriers: tuple[Carrier, ...] = listed
        self.is_header_only = kinds == ["header"]
        self.reads_forms = "form" in kinds
        self.query = next((carrier for carrier in listed if carrier.kind == "query"), None)
        self.subprotocol = next((carrier for carrier in listed if carrier.kind == "websocket_subprotocol"), None)

    @property
    def methods(self) -> list[str]:
        """The ``bearer_methods_supported`` of RFC 9728 §2."""
        return [_METHODS[carrier.kind] for carrier in self._carriers if carrier.kind in _METHODS]

    def offers_credentials(self, request: Request) -> bool:
        """Say whether *request* tries to identify itself, well or badly, anywhere."""
        return any(carrier.offers(request) for carrier in self._carriers)

    def extract(self, request: Request, longest: int) -> str:
        """Return the token of *request*, at most *longest* characters of it.

        Raises MissingToken, MalformedRequest for two of them, CrossOrigin, ContentTooLarge, or InvalidToken for one
        that is too long to look at.
        """
        found = [(carrier, value) for carrier in self._carriers for value in carrier.offers(request)]
        if not found:
            raise MissingToken
        if len(found) > 1:  # RFC 6750 §3.1: more than one method for including a token, or a parameter repeated
            raise MalformedRequest("more than one credential")
        carrier, value = found[0]
        if carrier.kind == "header":
            return bearer_token(value, longest)
        if carrier.kind == "cookie" and _changes_something(request) and not _is_of(carrier.origins, request):
            raise CrossOrigin("a cookie, and neither Sec-Fetch-Site nor Origin says that a page of ours sent it")
        return bare_token(value, longest)

    def wants_form(self, request: Request) -> bool:
        """Say whether the body of *request* has to be read to know whether there is a token in it."""
        if not self.reads_forms:
            return False
        try:
            return is_form(request)
        except MalformedRequest:  # which whoever decides about the request will find
            return False

    def is_in_query(self, request: Request) -> bool:
        """Say whether *request* has a token in its query."""
        return self.query is not None and bool(self.query.offers(request))

    def without_token(self, subprotocols: Sequence[str]) -> list[str]:
        """Return *subprotocols* without the token among them, so that nobody answers with it."""
        if self.subprotocol is None:
            return list(subprotocols)
        before: str | None = None
        left: list[str] = []
        for entry in subprotocols:
            if before != self.subprotocol.name:
                left.append(entry)
            before = entry
        return left


# --- where they look ---------------------------------------------------------------------------------


def _in_header(request: Request, _name: str) -> Sequence[str]:
    return request.values("authorization")


def _in_cookies(request: Request, name: str) -> Sequence[str]:
    # RFC 6265 §4.2.1.  The parsers at hand keep one cookie of each name, and we must see that there are two.
    pairs = (pair.partition("=") for value in request.values("cookie") for pair in value.split(";"))
    return [text.strip(" \t") for found, equals, text in pairs if equals and found.strip(" \t") == name]


def _in_subprotocols(request: Request, name: str) -> Sequence[str]:
    values = request.values("sec-websocket-protocol")
    entries = [entry.strip(" \t") for value in values for entry in value.split(",")]
    following = [*entries[1:], ""]
    return [after for entry, after in zip(entries, following, strict=False) if entry == name]


def _in_query(request: Request, name: str) -> Sequence[str]:
    return list(_parameters(request.query, name))


def _in_form(request: Request, name: str) -> Sequence[str]:
    if not is_form(request):
        return ()
    read: Callable[[int], bytes | None] | None = getattr(request, "form", None)
    if read is None:
        message = "this door does not read forms: take form() out of the guard's carriers, or use the ASGI or WSGI door"
        raise RuntimeError(message)
    body = read(FORM_LIMIT)
    if body is None:
        raise ContentTooLarge(f"a form of more than {FORM_LIMIT} octets")
    found = list(_parameters(body.decode("latin-1"), name))
    if found and not body.isascii():  # RFC 6750 §2.2
        raise MalformedRequest("a form with a token and with octets that are not ASCII")
    return found


def is_form(request: Request) -> bool:
    """Say whether the body of *request* is a form that may hold a token (RFC 6750 §2.2); MalformedRequest for both."""
    if request.method not in _WITH_FORM:
        return False
    types = [value.partition(";")[0].strip(" \t").lower() == _FORM for value in request.values("content-type")]
    if any(types) and len(types) > 1:
        raise MalformedRequest("more than one Content-Type")
    return any(types)


def _parameters(text: str, name: str) -> Iterator[str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise MalformedRequest(f"more than {_MOST_PARAMETERS} parameters") from None
    return (value for found, value in pairs if found == name)


_FINDERS: Mapping[Kind, Callable[[Request, str], Sequence[str]]] = {
    "header": _in_header,
    "cookie": _in_cookies,
    "websocket_subprotocol": _in_subprotocols,
    "query": _in_query,
    "form": _in_form,
}


# --- who made the browser send it --------------------------------------------------------------------


def _changes_something(request: Request) -> bool:
    return request.method not in _SAFE or opens_websocket(request)


def _is_of(origins: frozenset[str], request: Request) -> bool:
    """Say whether a page of one of *origins*, or of our own, sent *request*: in headers that no script can set."""
    sites, sent = request.values("sec-fetch-site"), request.values("origin")
    if len(sites) > 1 or len(sent) > 1:
        return False
    if sent and sent[0] in origins:
        return True
    if sites:
        return sites[0] == "same-origin"
    return bool(sent) and _is_own(sent[0], request.values("host"))


def _is_own(origin: str, hosts: Sequence[str]) -> bool:
    # Only with TLS, or on this machine: who is in between can make a page of the same host without.
    return len(hosts) == 1 and origin.partition("://")[2] == hosts[0].lower() and why_not(origin) is None
