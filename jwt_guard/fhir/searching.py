"""A search, a page of one, a history, or all of one patient's record + Rights → what of the server's answer is given.

Whoever may see everything gets what the server says.  For others the answer is made here, of what they may see, so that
nothing in it comes from what they may not: no total, no link, no length of a page, no order, and no error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ..messages import PlainRequest, Response
from .documents import written
from .including import included
from .interaction import Interaction, read_interaction
from .links import PAGE, Cursor, Place, address, opened, sealed, self_link
from .matching import held
from .narrowed import FORM, SEARCH
from .outcome import FORBIDDEN, JSON, NOT_ACCEPTABLE, NOT_FOUND, NOT_SUPPORTED, Stopped
from .paging import gathered, gathered_octets
from .planning import planned, wanted
from .query import named, only
from .record import record
from .relaying import of_everything, of_one_type, rest_of_one_type
from .request_parts import GENERAL, OF_HISTORIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..tokens.sealing import Sealer
    from .exchange import Exchange, Result
    from .matching import Held
    from .paging import Gathered, Keep
    from .query import Parameters
    from .references import Key, Resource
    from .rights import Rights
    from .server import Server

__all__ = ["everything", "find", "history", "page", "search"]

_ORIGIN: Final = "resource-origin"
"""What each source holds resources against by itself (Koppeltaal 2.0)."""


def search(interaction: Interaction, rights: Rights, sealer: Sealer) -> Exchange[Result]:
    """Answer a search of one type, of several, or in a compartment.  Raises Stopped."""
    if _may_see_everything(rights):
        return (yield from of_everything(interaction, rights.server))
    kind = interaction.type
    if kind is not None and rights.whole(kind, "s") and not wanted(interaction, (kind,), rights.server).inclusions:
        return (yield from of_one_type(interaction, kind, rights, sealer))
    _refuse_other_formats(interaction)
    here = self_link(interaction, rights.server)
    return (yield from _searched(interaction, Cursor("", (), Place()), here, rights, sealer))


def page(interaction: Interaction, rights: Rights, sealer: Sealer) -> Exchange[Result]:
    """Answer a request for a page: one that a link of ours leads to; or of the server's own, to who may see all.

    Raises Stopped: a link of somebody else's leads nowhere.
    """
    texts = named(PAGE, interaction.parameters)
    alone = len(texts) == 1 and only(GENERAL | {PAGE}, interaction.parameters)
    cursor = opened(texts[0], rights, sealer) if alone else None
    if cursor is None:
        if _may_see_everything(rights):
            return (yield from of_everything(interaction, rights.server))
        raise Stopped(NOT_FOUND, "a link to a page that was not given to this bearer")
    _refuse_other_formats(interaction)
    here = address(rights.server, "/", ((PAGE, texts[0]),))
    if not cursor.path:
        return (yield from rest_of_one_type(cursor, here, rights, sealer))
    return (yield from _searched(_read_again(cursor, rights), cursor, here, rights, sealer))


def everything(interaction: Interaction, rights: Rights) -> Exchange[Result]:
    """Answer ``$everything`` of one patient: what may be seen of the record, all in one.  Raises Stopped.

    It is asked for with GET, and what a client has sent in a body is for the caller to look at.
    (hl7.org/fhir/R4/patient-operation-everything.html)
    """
    server = rights.server
    if _may_see_everything(rights):
        return (yield from of_everything(interaction, server))
    _refuse_other_formats(interaction)
    resources = yield from record(interaction, rights)
    entries = _written(resources, "match", server)
    return _searchset([("self", self_link(interaction, server))], entries, len(resources))


def history(interaction: Interaction, rights: Rights, sealer: Sealer) -> Exchange[Result]:
    """Answer with the history of a type, or of all that there is, to who may see all of it.  Raises Stopped.

    Under other rights there is none: what a version was, who has changed what, and when, could not be told apart.
    """
    if rights.whole("*", "s"):
        return (yield from of_everything(interaction, rights.server))
    types = rights.server.surface.types if interaction.type is None else frozenset({interaction.type})
    whole = sorted(each for each in types if rights.whole(each, "s"))
    if len(whole) != 1:  # those of several would have to be put into one order
        raise Stopped(FORBIDDEN, "the history of more than what may be seen")
    if not only(OF_HISTORIES, interaction.parameters):
        raise Stopped(NOT_SUPPORTED, "a history has no such parameter")
    return (yield from of_one_type(interaction, whole[0], rights, sealer, f"/{whole[0]}/_history"))


def find(
    resource_type: str, criteria: Parameters, rights: Rights, most: int = 2, *, for_certain: bool = False
) -> Exchange[list[Resource]]:
    """Return the first *most* resources of *resource_type* that meet *criteria* and may be seen by a search.

    A server may pass over a criterion, and then finds what does not meet it: what is found is held against each one as
    far as that can be done, and with *for_certain* there is no other.  Raises Stopped, as for a search of the same
    criteria.
    """
    asked = Interaction("search-type", f"/{resource_type}", type=resource_type, types=frozenset({resource_type}))
    plan = planned(replace(asked, parameters=criteria), rights)
    conditions = [
        held(name, value, resource_type, rights.server.release) for name, value in criteria if name != _ORIGIN
    ]
    known = [each for each in conditions if each is not None]
    if for_certain and len(known) < len(conditions):
        raise Stopped(NOT_SUPPORTED, "a condition that nothing here can be held against")
    sources = tuple(replace(each, keep=_meeting(known, each.keep, rights.server)) for each in plan.sources)
    some = yield from gathered(sources, Place(), most, rights.server)
    return list(some.matches.values())


def _meeting(conditions: list[Held], keep: Keep, server: Server) -> Keep:
    """Return *keep* for those resources alone that all of *conditions* are true of."""

    def kept(resource: Resource) -> Resource | None:
        return keep(resource) if all(each(resource, server.bases) for each in conditions) else None

    return kept


def _may_see_everything(rights: Rights) -> bool:
    return rights.whole("*", "r") and rights.whole("*", "s")


def _refuse_other_formats(interaction: Interaction) -> None:
    if interaction.format == "other":
        raise Stopped(NOT_ACCEPTABLE, "nobody can judge what is not JSON")


# --- an answer of our own ----------------------------------------------------------------------------


def _searched(
    interaction: Interaction, cursor: Cursor, here: str, rights: Rights, sealer: Sealer
) -> Exchange[Response]:
    """Return the page at *cursor*, which is asked for as *here*, of what *interaction* searches for."""
    server, plan = rights.server, planned(interaction, rights)
    asked_for = plan.wanted
    is_first = cursor.place == Place()
    to_end = asked_for.to_end and is_first
    some: Gathered[bytes] | Gathered[Resource]
    if asked_for.inclusions:
        some = yield from gathered(plan.sources, cursor.place, asked_for.count, server, to_end=to_end)
        beside = yield from included(some.matches, asked_for.inclusions, rights)
        entries = _written(some.matches.values(), "match", server) + _written(beside, "include", server)
    else:
        some = yield from gathered_octets(plan.sources, cursor.place, asked_for.count, server, to_end=to_end)
        entries = _entries(some.matches.items(), "match", server)
    total = some.total if is_first else cursor.total
    links = [("self", here)]
    if some.next is not None and asked_for.count:
        rest = Cursor(interaction.path, interaction.parameters, some.next, total)
        links.append(("next", sealed(rest, rights, sealer)))
    return _searchset(links, entries, None if asked_for.total == "none" and asked_for.count else total)


def _read_again(cursor: Cursor, rights: Rights) -> Interaction:
    """Return the search that *cursor* goes on with.  Raises Stopped where it is none any more."""
    query = urlencode(cursor.parameters)
    if cursor.path.endswith(SEARCH):
        request, form = PlainRequest("POST", cursor.path, headers=(FORM,)), query
    else:
        request, form = PlainRequest("GET", cursor.path, query), None
    first = read_interaction(request, form, rights.server.surface)
    if not isinstance(first, Interaction):
        raise Stopped(NOT_FOUND, "a link to a page of what can be searched for no more")
    return first


def _searchset(links: Iterable[tuple[str, str]], entries: list[bytes], total: int | None) -> Response:
    """Return the Bundle with *entries*, which are those of :func:`_entries`."""
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        bundle["total"] = total
    bundle["link"] = [{"relation": relation, "url": url} for relation, url in links]
    body = written(bundle)
    if entries:
        entries[0] = b'%b,"entry":[%b' % (body.removesuffix(b"}"), entries[0].removeprefix(b","))
        body = b"".join((*entries, b"]}"))
    return Response(200, (("content-type", JSON), ("cache-control", "no-store")), body)


def _entries(resources: Iterable[tuple[Key, bytes]], mode: str, server: Server) -> list[bytes]:
    """Return the octets of entries, a comma before each, in pieces: a page may be long, and is put together once.

    Neither a type nor an id has a character that JSON would have to escape, nor has a base URL.
    """
    base, end = server.base, b',"search":{"mode":"%b"}}' % mode.encode()
    return [
        piece
        for (kind, id_), octets in resources
        for piece in (f',{{"fullUrl":"{base}/{kind}/{id_}","resource":'.encode(), octets, end)
    ]


def _written(resources: Iterable[Resource], mode: str, server: Server) -> list[bytes]:
    return _entries([((each["resourceType"], each["id"]), written(each)) for each in resources], mode, server)
