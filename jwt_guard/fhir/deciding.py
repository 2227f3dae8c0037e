"""An Interaction + Rights → yes or a Problem, by the request alone: for gateways that ask and send on by themselves.

Who only answers a gateway's question sees neither a body nor an answer.  What would have to be looked at there is
refused; what nobody has to look at may pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..access.policy import ask, is_open
from ..decision import Allow, Deny
from ..errors import AmbiguousPath, InsufficientScope
from ..middleware.refusing import is_preflight
from .bearer import PATIENT_CLAIMS, ClaimPath, rights_of
from .interaction import Interaction, read_interaction
from .letters import may_search_by_reference
from .matching import is_plain_search
from .outcome import FORBIDDEN, NOT_SUPPORTED, Problem
from .place import Base, Below
from .query import only
from .request_parts import OF_HISTORIES, Refusal

if TYPE_CHECKING:
    from ..access.policy import Policy
    from ..credentials import Credentials
    from ..decision import Decision
    from ..flow import Flow
    from ..messages import Request
    from .rights import Rights
    from .server import Server

__all__ = ["by_request_alone", "decides"]

_BY_THE_SYSTEM: Final = ("export", "export-status", "export-cancel")
# The first has a server delete what refers to a resource, the second write a Provenance, the third an older version.
_MORE: Final = ("x-cascade", "x-provenance", "x-rewrite-history")
_DOING_MORE: Final = tuple(spelt for name in _MORE for spelt in (name, name.replace("-", "_")))
_EVERY: Final = "*"
_OF_ANSWERS: Final = frozenset({"_count", "_elements", "_format", "_pretty", "_summary", "_total", "_type"})
"""Parameters that say what an answer looks like, and bring nothing into it."""
_OF_MORE: Final = ("everything", "page")
"""What may be of types that were not asked for: there are servers that pass over ``_type`` there."""
_SEARCHES: Final = ("search-type", "search-compartment", "search-system")
_HISTORIES: Final = ("history-instance", "history-type", "history-system")


def decides(interaction: Interaction, rights: Rights) -> Problem | None:
    """Return why *interaction* may not pass, None where it may, whatever the server has and whatever it answers.

    Yes is said to what is for everybody, to what the bearer may do to every resource that it could be about, and to
    who reads the one Patient that the token is about.
    """
    if interaction.is_open:
        return None
    if interaction.wants_async and interaction.kind != "export":
        return NOT_SUPPORTED  # the answer would be fetched at a place that is anybody's
    if _is_own_patient(interaction, rights):
        return None
    needs = _needs(interaction, rights)
    return None if needs and all(_is_whole(need, interaction, rights) for need in needs) else FORBIDDEN


def _is_own_patient(interaction: Interaction, rights: Rights) -> bool:
    if (interaction.kind, interaction.type) != ("read", "Patient") or rights.patient is None:
        return False
    scopes = rights.grants.applying("Patient", "r", "patient")
    return interaction.id == rights.patient and any(not scope.parameters for scope in scopes)


def _needs(interaction: Interaction, rights: Rights) -> frozenset[tuple[str, str]]:
    """Return each (type, letter) that it takes, with what comes to light beside it."""
    kind = interaction.kind
    if kind == "bundle":  # of which nobody knows what is in it
        return frozenset((_EVERY, letter) for letter in "cruds")
    if kind in _OF_MORE or not _is_of_its_types(interaction, rights):
        return frozenset({(_EVERY, "r"), (_EVERY, "s")}) | interaction.needs
    needs = interaction.needs
    # The server answers with the resource as it is then, of which the client has sent a part, or nothing.
    if kind == "patch" or (kind in ("create", "update") and interaction.criteria is not None):
        needs |= {(str(interaction.type), "r")}
    # A reference in what is written, which nobody sees, may be a search.
    if kind == "patch" or may_search_by_reference(interaction, rights):
        needs |= {(_EVERY, "s")}
    return needs


def _is_of_its_types(interaction: Interaction, rights: Rights) -> bool:
    """Say whether what is searched for tells of nothing but its own types: no includes, no chains, nothing unknown."""
    kind, types, release = interaction.kind, interaction.types or frozenset(), rights.server.release
    if kind in _HISTORIES:
        return only(OF_HISTORIES, interaction.parameters)
    parameters = interaction.criteria or ()
    if kind in _SEARCHES:
        if not types:
            return False
        parameters = tuple(pair for pair in interaction.parameters if pair[0] not in _OF_ANSWERS)
    return all(is_plain_search(each, name, release) for name, _ in parameters for each in types)


def _is_whole(need: tuple[str, str], interaction: Interaction, rights: Rights) -> bool:
    if interaction.kind not in _BY_THE_SYSTEM:
        return rights.whole(*need)
    # An export is a system's, and what somebody may see of a person makes them no system (Bulk Data Access 2.0).
    return any(not scope.parameters for scope in rights.grants.applying(*need, "system"))


# --- as a policy -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ByRequestAlone:
    server: Server
    claims: tuple[ClaimPath, ...]
    otherwise: Policy
    base: Base = field(repr=False)

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        found = self._found(request)
        if found is None:
            return (yield from ask(self.otherwise, request, credentials))
        if not isinstance(found, Interaction):
            return Deny(InsufficientScope(reason=f"{found.why}: {found.reason}"))
        problem = decides(found, rights_of(credentials, self.server, self.claims))
        if problem is None:
            return Allow(credentials)
        return Deny(InsufficientScope(reason=f"{found.kind}: this is not decided by the request alone"))

    def is_open(self, request: Request) -> bool:
        try:
            found = self._found(request)
        except AmbiguousPath:
            return False
        if found is None:
            return is_open(self.otherwise, request)
        return is_preflight(request) or (isinstance(found, Interaction) and found.is_open)

    def _found(self, request: Request) -> Interaction | Refusal | None:
        path = self.base.below(request.path)
        if path is None:
            return None
        if any(request.values(name) for name in _DOING_MORE):
            return Refusal("headers", "a header asks for more to be written than the request says")
        return read_interaction(Below(request, path), None, self.server.surface)


def by_request_alone(server: Server, otherwise: Policy, claims: tuple[ClaimPath, ...] = PATIENT_CLAIMS) -> Policy:
    """Return the policy that lets in what :func:`decides` does below the base URL of *server*.

    Elsewhere *otherwise* holds.  *claims* name the patient.
    """
    return _ByRequestAlone(server, claims, otherwise, Base(server.base))
