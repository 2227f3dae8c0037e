"""A request whose answer nobody has to judge → Through; or the server's own Bundle, its links and addresses made ours.

Links are sealed for whoever may see everything of one type alone: a server's link to a page says nothing of whose page
it is, and where it is followed, nothing of the type would be left to look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ..messages import Response
from .answering import ACCEPT, failed
from .documents import read, written
from .exchange import Asking, Through, ask
from .links import Cursor, Place, below, ours, sealed, self_link
from .narrowed import FORM, SEARCH
from .outcome import JSON, UPSTREAM, Stopped
from .paging import bundle_in, objects_in

if TYPE_CHECKING:
    from ..tokens.sealing import Sealer
    from .exchange import Answered, Exchange, Result
    from .interaction import Interaction
    from .links import Spot
    from .rights import Rights
    from .server import Server

__all__ = ["as_asked", "of_everything", "of_one_type", "rest_of_one_type"]

_OK: Final = 200
_PAGES: Final = frozenset({"first", "last", "next", "prev", "previous"})
_HANDED_ON: Final = ("etag", "last-modified")


def as_asked(interaction: Interaction, path: str | None = None) -> Asking:
    """Return the request that *interaction* is, with *path* in place of its own."""
    method = "HEAD" if interaction.head else "GET"
    path = interaction.path if path is None else path
    if not path.endswith(SEARCH):
        return Asking(method, path, interaction.parameters)
    return Asking("POST", path, (), (FORM,), urlencode(interaction.parameters).encode("ascii"))


def _asked_as_json(asking: Asking) -> Asking:
    return Asking(asking.method, asking.path, asking.query, (ACCEPT, *asking.headers), asking.body)


def _is_not_read(interaction: Interaction) -> bool:
    """Say whether the answer to *interaction* has no JSON in it that could be rewritten."""
    return interaction.head or interaction.format == "other"


# --- who may see everything --------------------------------------------------------------------------


def of_everything(interaction: Interaction, server: Server) -> Exchange[Result]:
    """Return what the server answers to who may see all that it has: whatever it is."""
    asking = as_asked(interaction)
    if not server.also_known_as or _is_not_read(interaction):
        return Through(asking)
    answered = yield from ask(_asked_as_json(asking))
    bundle = read(answered.body)
    if answered.status != _OK or bundle is None or bundle.get("resourceType") != "Bundle":
        kept = _kept(answered, "content-type", "location", "content-location", "retry-after")
        return Response(answered.status, tuple((name, ours(value, server)) for name, value in kept), answered.body)
    links = [{**link, "url": _ours(link.get("url"), server)} for link in objects_in(bundle, "link")]
    entries = [_renamed(entry, server) for entry in objects_in(bundle, "entry")]
    return _answer(answered, bundle, links, entries)


def _renamed(entry: dict[str, Any], server: Server) -> dict[str, Any]:
    """Return *entry* with our addresses for the resource that it is about, which itself is left as it is."""
    response = entry.get("response")
    if "fullUrl" in entry:
        entry = {**entry, "fullUrl": _ours(entry["fullUrl"], server)}
    if isinstance(response, dict) and "location" in response:
        entry = {**entry, "response": {**response, "location": _ours(response["location"], server)}}
    return entry


def _ours(url: object, server: Server) -> object:
    return ours(url, server) if isinstance(url, str) else url


# --- who may see everything of one type --------------------------------------------------------------


def of_one_type(
    interaction: Interaction, resource_type: str, rights: Rights, sealer: Sealer, path: str | None = None
) -> Exchange[Result]:
    """Return what the server answers to who may see every *resource_type*, and asks for nothing else.

    *path* is what is asked for, in place of that of *interaction*.  Raises Stopped.
    """
    asking = as_asked(interaction, path)
    if _is_not_read(interaction):
        return Through(asking)
    answered = yield from ask(_asked_as_json(asking))
    here = self_link(interaction, rights.server)
    return _of_one_type(answered, asking.path, resource_type, rights, sealer, here=here)


def rest_of_one_type(cursor: Cursor, here: str, rights: Rights, sealer: Sealer) -> Exchange[Result]:
    """Return the page that *cursor*, from a link of such an answer, stands for; *here* is the URL of that link."""
    (resource_type, _), spot = cursor.parameters[0], cursor.place.page or ("/", ())
    answered = yield from ask(Asking("GET", *spot, (ACCEPT,)))
    return _of_one_type(answered, spot[0], resource_type, rights, sealer, here=here)


def _of_one_type(  # noqa: PLR0913 - all of them are in the answer
    answered: Answered, path: str, resource_type: str, rights: Rights, sealer: Sealer, *, here: str
) -> Response:
    if answered.status != _OK:
        raise failed(answered)
    bundle = bundle_in(answered)
    links = [{"relation": "self", "url": here}]
    for link in objects_in(bundle, "link"):
        relation, spot = link.get("relation"), below(link.get("url"), rights.server, path)
        if relation == "next" and spot is None:
            raise Stopped(UPSTREAM, "the server's link to the next page leads nowhere below its base")
        if isinstance(relation, str) and relation in _PAGES and spot is not None:
            links.append({"relation": relation, "url": _page(spot, resource_type, rights, sealer)})
    entries = [
        _renamed(entry, rights.server)
        for entry in objects_in(bundle, "entry")
        if _is_of(entry, resource_type, in_history=bundle.get("type") == "history")
    ]
    return _answer(answered, bundle, links, entries)


def _page(spot: Spot, resource_type: str, rights: Rights, sealer: Sealer) -> str:
    return sealed(Cursor("", ((resource_type, ""),), Place(page=spot)), rights, sealer)


def _is_of(entry: dict[str, Any], resource_type: str, *, in_history: bool) -> bool:
    """Say whether *entry* is of the one type; in a history, one without a resource says that it was deleted."""
    if in_history and "resource" not in entry:
        return True
    resource = entry.get("resource")
    return isinstance(resource, dict) and resource.get("resourceType") == resource_type


# --- the answer --------------------------------------------------------------------------------------


def _answer(
    answered: Answered, bundle: dict[str, Any], links: list[dict[str, Any]], entries: list[dict[str, Any]]
) -> Response:
    # A signature is of the Bundle as the server made it.
    changed = {**{name: value for name, value in bundle.items() if name != "signature"}, "link": links}
    changed["entry"] = entries
    document = {name: value for name, value in changed.items() if value or name not in ("entry", "link")}
    headers = (("content-type", JSON), ("cache-control", "no-store"), *_kept(answered, *_HANDED_ON))
    return Response(_OK, headers, written(document))


def _kept(answered: Answered, *names: str) -> tuple[tuple[str, str], ...]:
    found = ((name, answered.header(name)) for name in names)
    return tuple((name, value) for name, value in found if value is not None)
