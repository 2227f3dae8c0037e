"""The URLs of a server's answer → ours; a place in an answer → a sealed link that only its bearer can follow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from ..access.routes import segments
from .outcome import TOO_COSTLY, Stopped
from .query import Parameters, read_parameters

if TYPE_CHECKING:
    from ..tokens.sealing import Sealer
    from .interaction import Interaction
    from .rights import Rights
    from .server import Server

__all__ = ["PAGE", "Cursor", "Place", "Spot", "address", "below", "opened", "ours", "sealed", "self_link"]

PAGE: Final = "_getpages"
"""The parameter of the base URL that a link to a page has."""
_PURPOSE: Final = "page of an answer"
_LONGEST: Final = 60_000  # a query of more than 65,536 characters would not be read when it comes back
_SAFE: Final = ":/,$"
_ROOM: Final = 1_024
"""Octets that where the server is takes in a link, or a multiple of them."""

Spot: TypeAlias = tuple[str, Parameters]
"""A path below the server's base URL, and a query, decoded."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in what the server has to say an answer goes on."""

    source: int = 0
    """Which of the searches that it was made into, counted from 0."""
    page: Spot | None = field(default=None, repr=False)
    """The page of it; None: the first."""
    given: int = 0
    """How many of that page's entries that may be seen were given already."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """What one of our links to a page stands for."""

    path: str = field(repr=False)
    """Of what was asked at first; empty: the page is the server's own, and all that is to be known of it."""
    parameters: Parameters = field(repr=False)
    """Of what was asked at first."""
    place: Place
    total: int | None = None
    """How many entries the whole answer has, where that is known."""


def address(server: Server, path: str, parameters: Parameters = ()) -> str:
    """Return the URL of *path* below our base, its query percent-encoded once."""
    query = urlencode(parameters, safe=_SAFE, quote_via=quote)
    return f"{server.base}{'' if path == '/' else path}{'?' if query else ''}{query}"


def self_link(interaction: Interaction, server: Server) -> str:
    """Return the URL of what *interaction* asks for; a search by POST has that of the same search by GET."""
    path = interaction.path.removesuffix("/_search") or "/"
    return address(server, path, interaction.parameters)


def ours(url: str, server: Server, root: str = "") -> str:
    """Return *url* with our base in place of one by which the server speaks of itself.

    *root* is the path of the base at the server, where *url* may be nothing but a path.
    """
    for base in (*sorted(server.also_known_as, key=len, reverse=True), root):
        if base and (url == base or url.startswith((f"{base}/", f"{base}?"))):
            return server.base + url[len(base) :]
    return url


def below(url: object, server: Server, asked: str) -> Spot | None:
    """Return what *url*, a link in an answer to a request for *asked*, is below the server's base; None: nothing.

    It is absolute on one of the server's base URLs, or has the path of one, or is relative to the base; one that is a
    query alone is about the path that was asked.  Anything else leads elsewhere, or could.
    """
    if not isinstance(url, str):
        return None
    text, _, query = url.partition("?")
    path = _path(text, server) if text else asked
    normal = None if path is None or "%" in path else segments(path)
    parameters = read_parameters(query)
    if normal is None or parameters is None:
        return None
    return "/" + "/".join(normal), parameters


def _path(text: str, server: Server) -> str | None:
    """Return what of *text*, a URL without its query, is below the base."""
    absolute = "://" in text
    if not absolute and not text.startswith("/"):
        return f"/{text}"
    for base in sorted(server.bases, key=len, reverse=True):
        known = base if absolute else urlsplit(base).path
        if text == known:
            return "/"
        if text.startswith(f"{known}/"):
            return text[len(known) :]
    return None


# --- sealed links ------------------------------------------------------------------------------------


def sealed(cursor: Cursor, rights: Rights, sealer: Sealer) -> str:
    """Return the URL that stands for *cursor*, and is of use to the bearer of *rights* alone.

    Raises Stopped where so much was asked for that no URL has room for it.
    """
    place, server = cursor.place, rights.server
    at = [place.source, place.page, place.given]
    content = json.dumps([_PURPOSE, server.base, cursor.path, cursor.parameters, at, cursor.total])
    # Whether the server is at a further page, and which, tells of what was left out: no length is to say it.
    blanks = b" " * (-len(json.dumps(at)) % _ROOM)
    text = sealer.seal(content.encode() + blanks, rights.bearer)
    if len(text) > _LONGEST:
        raise Stopped(TOO_COSTLY, "a link to the next page would be too long")
    return address(server, "/", ((PAGE, text),))


def opened(text: str, rights: Rights, sealer: Sealer) -> Cursor | None:
    """Return what *text*, the value of a link, stands for; None where it was not sealed here for this bearer.

    Nothing stands for anything where nobody knows whose the rights are.
    """
    content = sealer.opened(text, rights.bearer) if rights.bearer else None
    if content is None:
        return None
    # What is sealed is ours, whatever its purpose; only that has to be looked at.
    read: Any = json.loads(content)
    if not isinstance(read, list) or read[:2] != [_PURPOSE, rights.server.base]:
        return None
    _, _, path, parameters, (source, page, given), total = read
    spot = None if page is None else (page[0], _pairs(page[1]))
    return Cursor(path, _pairs(parameters), Place(source, spot, given), total)


def _pairs(pairs: list[list[str]]) -> Parameters:
    return tuple((name, value) for name, value in pairs)
