"""``$everything`` of one patient + Rights → the resources of that patient's record that may be seen, and no others.

The server's own operation is not asked for: servers follow any reference, and so give what is another's, and what may
be seen only where another's refers to it.  Here each type is searched for in the patient's compartment, and what these
resources refer to beside it is looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .answering import ACCEPT, found
from .compartment import narrowing
from .exchange import Asking, ask
from .filtering import filtered
from .including import Inclusion, included
from .links import Place
from .narrowed import source
from .outcome import FORBIDDEN, NOT_FOUND, NOT_SUPPORTED, TOO_COSTLY, Stopped
from .paging import gathered
from .query import named, only
from .request_parts import GENERAL

if TYPE_CHECKING:
    from .exchange import Exchange
    from .interaction import Interaction
    from .query import Parameters
    from .references import Key, Resource
    from .rights import Rights
    from .server import Server

__all__ = ["record"]

_PATIENT: Final = "Patient"
_KNOWN: Final = GENERAL | {"_count", "_since", "_type"}


def record(interaction: Interaction, rights: Rights) -> Exchange[list[Resource]]:
    """Return what *interaction*, a ``$everything``, is about: the Patient first, then by type and id.  Raises Stopped.

    Each may be seen with both ``r`` and ``s``.  The Patient may be read, also if it is not asked for: otherwise there
    is nothing, as where there is no such patient.
    """
    patient, server = _patient(interaction, rights), rights.server
    if not only(_KNOWN, interaction.parameters):
        raise Stopped(NOT_SUPPORTED, "a parameter that is not known to tell of the resource alone")
    answered = yield from ask(Asking("GET", f"/{_PATIENT}/{patient}", (), (ACCEPT,)))
    itself = found(answered, _PATIENT, patient)
    if itself is None or not rights.sees(itself, "r"):
        raise Stopped(NOT_FOUND, "there is no such patient, or none that may be read")
    types = frozenset(each for value in named("_type", interaction.parameters) for each in value.split(","))
    are_members = all(_can_be_members(each, server) for each in types)
    searched = types if types and are_members else server.surface.types
    kept = yield from _members(sorted(searched), patient, interaction.parameters, rights)
    if not types or not are_members:
        shared = frozenset(each for each in server.surface.types if not _can_be_members(each, server))
        any_reference = Inclusion(is_reverse=False, iterates=False, targets=shared)
        beside = yield from included(kept, (any_reference,), rights)
        kept |= {(each["resourceType"], each["id"]): each for each in beside if rights.sees(each, "s")}
    return [kept[key] for key in sorted(kept, key=_rank) if not types or key[0] in types]


def _rank(key: Key) -> tuple[bool, Key]:
    return key[0] != _PATIENT, key


def _patient(interaction: Interaction, rights: Rights) -> str:
    """Return the id of the patient whose record it is.  Raises Stopped for one who is not the bearer's to ask for."""
    id_ = interaction.id
    if interaction.type != _PATIENT or id_ is None:
        raise Stopped(FORBIDDEN, "the record of more than one patient, or of something else")
    is_own = id_ == rights.patient
    if not any(is_own or scope.context != "patient" for scope in rights.applying(_PATIENT, "r")):
        raise Stopped(FORBIDDEN, "the record of a patient who may not be read")
    return id_


def _can_be_members(resource_type: str, server: Server) -> bool:
    """Say whether *resource_type* is one that is in a compartment, and so of the record for that reason alone."""
    return narrowing(resource_type, server.release) is not None and resource_type not in server.shared_types


def _members(types: list[str], patient: str, parameters: Parameters, rights: Rights) -> Exchange[dict[Key, Resource]]:
    """Return what of *types* is in the compartment of *patient* and may be seen."""
    limits = rights.server.limits
    since = tuple(("_lastUpdated", f"ge{value}") for name, value in parameters if name == "_since")
    sources = [
        source(each, since, rights, "s", limits.largest_page, within=patient, may_be_missing=True)
        for each in types
        if rights.may(each, "r") and rights.may(each, "s")
    ]
    searches = tuple(each for each in sources if each is not None)
    some = yield from gathered(searches, Place(), limits.largest_page * limits.pages, rights.server)
    if some.next is not None:
        raise Stopped(TOO_COSTLY, "the record is longer than what is gathered at once")
    read = ((key, filtered(each, rights, "r")) for key, each in some.matches.items())
    return {key: each for key, each in read if each is not None}
