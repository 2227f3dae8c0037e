"""A read, a version or a history of one resource, under limited rights → what of it may be seen, or the constant 404.

What there is not and what may not be seen are answered alike.  A version counts by what stands in it: one from before
a resource was moved to another patient stays with the first, and one from after is the other's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..messages import Response
from .answering import ACCEPT, document_of, etag_of, found, refuse_as_missing, shown, url_of, version_of
from .documents import written
from .exchange import Asking, ask
from .filtering import filtered
from .links import below, self_link
from .outcome import JSON, NOT_FOUND, NOT_SUPPORTED, TOO_COSTLY, UPSTREAM, Stopped
from .request_parts import OF_HISTORIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .exchange import Answered, Exchange
    from .interaction import Interaction
    from .rights import Rights
    from .server import Server

__all__ = ["history", "is_unchanged", "read"]

_DELETED: Final = "DELETE"
_STATUS: Final = {"POST": "201", "PUT": "200", "PATCH": "200", _DELETED: "204"}
_INSTANT = re.compile(r"(?:ge|gt|le|lt|eq|sa|eb|ap)?[0-9]{4}[0-9T:.Z+-]{0,40}")
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')  # RFC 9110 §8.8.3


def read(interaction: Interaction, rights: Rights, if_none_match: tuple[str, ...] = ()) -> Exchange[Response]:
    """Ask for the resource, or the version of it, that *interaction* reads.  Raises Stopped.

    *if_none_match* are the values of that header: the server is not told, since 304 is an answer, too.
    """
    _refuse_hopeless(interaction, rights)
    answered = yield from ask(Asking("GET", interaction.path, (), (ACCEPT,)))
    resource = found(answered, str(interaction.type), str(interaction.id))
    seen = None if resource is None else filtered(resource, rights, "r")
    if resource is None or seen is None:
        raise Stopped(NOT_FOUND, "it is not there, or may not be seen")
    version = version_of(resource, answered)
    if interaction.version is not None and version != interaction.version:
        raise Stopped(UPSTREAM, "the server has answered with another version than it was asked for")
    response = shown(seen, answered, rights)
    if version is not None and is_unchanged(version, if_none_match):
        return Response(304, tuple(pair for pair in response.headers if pair[0] != "content-type"), b"")
    return response


def _refuse_hopeless(interaction: Interaction, rights: Rights) -> None:
    """Raise Stopped where nothing of the type may be seen, so that nothing is told by how the server answers."""
    if not rights.could_see(str(interaction.type), "r"):
        raise Stopped(NOT_FOUND, "nothing of the type may be seen")


def is_unchanged(version: str, if_none_match: Iterable[str]) -> bool:
    """Say whether who has one of *if_none_match* has *version* already, compared weakly (RFC 9110 §13.1.2)."""
    tags = [piece.strip(" \t") for value in if_none_match for piece in value.split(",")]
    wanted = etag_of(version).removeprefix("W/")
    return any(tag == "*" or ((match := _TAG.fullmatch(tag)) is not None and match[1] == wanted) for tag in tags)


# --- the history of one ------------------------------------------------------------------------------


def history(interaction: Interaction, rights: Rights) -> Exchange[Response]:
    """Ask for the history of one resource, and give the versions of it that may be seen, all in one.  Raises Stopped.

    The end of a version that may be seen may be seen, too: a deletion stays with what it deleted.
    """
    asking = Asking("GET", interaction.path, _asked(interaction), (ACCEPT,))
    _refuse_hopeless(interaction, rights)
    entries: list[dict[str, Any]] = []
    for _ in range(rights.server.limits.pages):
        answered = yield from ask(asking)
        page = _page(answered)
        entries += _objects(page.get("entry"))
        following = _next(page, asking, rights.server)
        if following is None:
            break
        asking = following
    else:
        raise Stopped(TOO_COSTLY, "the history has more pages than are asked for")
    seen = [*_seen(entries, interaction, rights)]
    if not any("resource" in entry for entry in seen):
        raise Stopped(NOT_FOUND, "it is not there, or no version of it may be seen")
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "total": len(seen),
        "link": [{"relation": "self", "url": self_link(interaction, rights.server)}],
        "entry": seen,
    }
    return Response(200, (("content-type", JSON), ("cache-control", "no-store")), written(bundle))


def _asked(interaction: Interaction) -> tuple[tuple[str, str], ...]:
    for name, value in interaction.parameters:
        if name not in OF_HISTORIES or (name in ("_at", "_since") and not _INSTANT.fullmatch(value)):
            raise Stopped(NOT_SUPPORTED, "a history has no such parameter")
    return tuple(pair for pair in interaction.parameters if pair[0] in ("_at", "_since"))


def _page(answered: Answered) -> dict[str, Any]:
    refuse_as_missing(answered)
    page = document_of(answered)
    if page.get("resourceType") != "Bundle":
        raise Stopped(UPSTREAM, "the server has answered with something else than a history")
    return page


def _next(page: dict[str, Any], asking: Asking, server: Server) -> Asking | None:
    """Return what asks for the page after *page*; None: it is the last."""
    url = next((link.get("url") for link in _objects(page.get("link")) if link.get("relation") == "next"), None)
    if url is None:
        return None
    spot = below(url, server, asking.path)
    if spot is None:
        raise Stopped(UPSTREAM, "the server goes on at a place that is none of its own")
    return replace(asking, path=spot[0], query=spot[1])


def _seen(entries: list[dict[str, Any]], interaction: Interaction, rights: Rights) -> Iterator[dict[str, Any]]:
    """Yield the entries that may be seen, newest first, as the server has them (hl7.org/fhir/R4/http.html#history)."""
    ended: list[dict[str, Any]] = []
    for entry in entries:
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            ended.append(_entry(_DELETED, interaction, rights))
            continue
        is_of_it = (resource.get("resourceType"), resource.get("id")) == (interaction.type, interaction.id)
        seen = filtered(resource, rights, "r") if is_of_it else None
        if seen is not None:
            yield from ended
            yield {**_entry(_method(entry), interaction, rights), "resource": seen}
        ended = []


def _method(entry: dict[str, Any]) -> str:
    request = entry.get("request")
    method = request.get("method") if isinstance(request, dict) else None
    return method if isinstance(method, str) and method in _STATUS else "PUT"


def _entry(method: str, interaction: Interaction, rights: Rights) -> dict[str, Any]:
    name = f"{interaction.type}/{interaction.id}"
    return {
        "fullUrl": url_of(rights.server, str(interaction.type), str(interaction.id)),
        "request": {"method": method, "url": str(interaction.type) if method == "POST" else name},
        "response": {"status": _STATUS[method]},
    }


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
