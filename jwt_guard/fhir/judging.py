"""Request + Rights → what the client gets, by way of what the server is asked: one entry for every interaction.

The order is that of what may be learnt.  Whether the letters of the token's scopes allow such an interaction at all
comes first, and depends on the request alone; then what is asked is looked at; then the server is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..messages import Response
from . import batching, operating, reading, searching, writing
from .documents import written
from .exchange import Asking, Through
from .interaction import Interaction, read_interaction
from .letters import JOBS, SEARCHES, is_allowed, is_whole, known_preferences, may_search_by_reference, refused
from .outcome import FORBIDDEN, JSON, NOT_ACCEPTABLE, NOT_FOUND, NOT_SUPPORTED, Stopped
from .relaying import of_everything
from .request_parts import Refusal

if TYPE_CHECKING:
    from ..messages import Request
    from ..tokens.sealing import Sealer
    from .exchange import Exchange, Result
    from .rights import Rights

__all__ = ["judge", "wants_body"]

_ALWAYS: Final = frozenset({"bundle", "everything", "export"})
_WITH_BODY: Final = frozenset({"create", "update", "patch", "validate", "operation"})
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})
_OF_THE_CLIENT: Final = (
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-exist",
    "if-none-match",
    "if-range",
    "range",
)
"""The client's headers that go on with what nobody has to look at."""


def judge(
    request: Request,
    rights: Rights,
    sealer: Sealer,
    body: bytes | None,
    interaction: Interaction | Refusal | None = None,
) -> Exchange[Result]:
    """Return what the client gets for *request*, its path counted from the base URL.

    *body* is there where :func:`wants_body` says that it is wanted, and for a search by POST.  *interaction* is what
    *request* was read as, with the form that *body* is, where the caller has read it.  Raises Stopped.
    """
    if interaction is None:
        form = (body or b"").decode("latin-1") if request.path.rstrip("/").endswith("/_search") else None
        interaction = read_interaction(request, form, rights.server.surface)
    if isinstance(interaction, Refusal):
        raise refused(interaction, rights)
    if not is_allowed(interaction, rights):
        raise Stopped(FORBIDDEN, f"{interaction.kind}: no scope has the letters for it")
    result = yield from _judged(request, interaction, rights, sealer, body or b"")
    if isinstance(result, Through):
        return _with_headers(result, request, interaction)
    return Response(result.status, result.headers, b"") if interaction.head else result


def wants_body(interaction: Interaction, rights: Rights) -> bool:
    """Say whether the body of *interaction* has to be read before it is judged; otherwise it may be streamed on."""
    if not is_allowed(interaction, rights):
        return False
    if interaction.kind in _ALWAYS or may_search_by_reference(interaction, rights):
        return True
    return interaction.kind in _WITH_BODY and not is_whole(interaction, rights)


def _judged(
    request: Request, interaction: Interaction, rights: Rights, sealer: Sealer, body: bytes
) -> Exchange[Result]:
    kind = interaction.kind
    if kind == "smart-configuration":
        raise Stopped(NOT_FOUND, "nothing is known of an authorization server")
    if kind == "capabilities" or is_whole(interaction, rights):
        asking = Asking(request.method, interaction.path, interaction.parameters)
        if may_search_by_reference(interaction, rights):
            resource = writing.resource_of(body, str(interaction.type))
            writing.refuse_conditional_references(resource)
            # What was looked at is what goes on, in whatever charset or coding the client says that it came.
            asking = replace(asking, headers=(("content-type", JSON),), body=written(resource))
        return Through(asking)
    if kind in SEARCHES:
        return (yield from _searched(interaction, rights, sealer, body))
    if kind in JOBS:
        return (yield from operating.export(interaction, rights, sealer, body))
    _refuse_other_formats(interaction)
    if interaction.wants_async:
        raise Stopped(NOT_SUPPORTED, "what is answered elsewhere would not be looked at")
    if kind == "bundle":

        def alone(one: Request, content: bytes) -> Exchange[Result]:
            return judge(one, rights, sealer, content)

        return (yield from batching.bundle(interaction, rights, body, alone))
    return (yield from _of_one(request, interaction, rights, body))


def _of_one(request: Request, interaction: Interaction, rights: Rights, body: bytes) -> Exchange[Response]:
    """Return the answer to what is about one resource."""
    match interaction.kind:
        case "read" | "vread":
            return (yield from reading.read(interaction, rights, request.values("if-none-match")))
        case "validate":
            return (yield from operating.validate(interaction, rights, body))
        case "operation":
            return (yield from operating.operation(interaction, rights, body))
        case _:
            content_type = "".join(request.values("content-type"))
            return (yield from writing.write(interaction, rights, body, content_type))


def _searched(interaction: Interaction, rights: Rights, sealer: Sealer, body: bytes) -> Exchange[Result]:
    match interaction.kind:
        case "page":
            return (yield from searching.page(interaction, rights, sealer))
        case "everything":
            operating.refuse_parameters(body)
            return (yield from searching.everything(interaction, rights))
        case "history-type" | "history-system":
            return (yield from searching.history(interaction, rights, sealer))
        case "history-instance" if rights.whole("*", "r") and rights.whole("*", "s"):
            return (yield from of_everything(interaction, rights.server))
        case "history-instance":
            _refuse_other_formats(interaction)
            return (yield from reading.history(interaction, rights))
        case _:
            return (yield from searching.search(interaction, rights, sealer))


def _refuse_other_formats(interaction: Interaction) -> None:
    if interaction.format == "other":
        raise Stopped(NOT_ACCEPTABLE, "what is answered has to be looked at, and that is JSON")


def _with_headers(through: Through, request: Request, interaction: Interaction) -> Through:
    """Return *through* with the headers of the client that are known, beside its own."""
    asking = through.asking
    own = {name for name, _ in asking.headers}
    more = [(name, value) for name in _OF_THE_CLIENT if name not in own for value in request.values(name)]
    if asking.body or asking.method in _WITHOUT_BODY:
        more = [pair for pair in more if not pair[0].startswith("content-")]
    preferred = known_preferences(interaction.preferences)
    if preferred and "prefer" not in own:
        more.append(("prefer", ", ".join(map("=".join, preferred))))
    return replace(through, asking=replace(asking, headers=(*asking.headers, *more)))
