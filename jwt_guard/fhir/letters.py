"""Interaction + Rights → whether the letters for it are there, and whether anybody has to look at what comes of it.

Both are said of the request alone: whatever the server has, the same token hears the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .matching import is_plain_search
from .outcome import FORBIDDEN, NOT_FOUND, UNREADABLE, Problem, Stopped

if TYPE_CHECKING:
    from .interaction import Interaction
    from .query import Parameters
    from .request_parts import Refusal
    from .rights import Rights

__all__ = ["JOBS", "SEARCHES", "is_allowed", "is_whole", "known_preferences", "may_search_by_reference", "refused"]

SEARCHES: Final = frozenset(
    {
        "everything",
        "history-instance",
        "history-system",
        "history-type",
        "page",
        "search-compartment",
        "search-system",
        "search-type",
    }
)
"""What answers with many resources, and with links of the server's own."""
JOBS: Final = frozenset({"export", "export-status", "export-cancel"})
_CUT_DOWN: Final = frozenset({"search-compartment", "search-system", "history-system", "everything", "page"})
"""What is cut down to those types that the letters are there for."""
_ANSWERS_WITH_IT: Final = frozenset({"create", "update", "patch"})
_PREFERENCES: Final = frozenset(
    {
        ("handling", "lenient"),
        ("handling", "strict"),
        ("return", "OperationOutcome"),
        ("return", "minimal"),
        ("return", "representation"),
    }
)
_METHOD: Final = Problem(405, "not-supported", "This is nothing that the method can be used for.")
_REFUSED: Final = {"method": _METHOD, "path": NOT_FOUND, "type": NOT_FOUND, "operation": FORBIDDEN}


def is_allowed(interaction: Interaction, rights: Rights) -> bool:
    """Say whether the letters that *interaction* takes are there, for some resources at least."""
    if interaction.is_open:
        return True
    if interaction.kind == "bundle" or interaction.kind in JOBS:
        return bool(rights.grants.scopes)  # what they need, they are looked through for
    if interaction.kind in _CUT_DOWN:
        types = rights.server.surface.types if interaction.types is None else interaction.types
        return any(all(rights.may(name, letter) for letter in interaction.letters) for name in types)
    return all(rights.may(*need) for need in interaction.needs)


def is_whole(interaction: Interaction, rights: Rights) -> bool:
    """Say whether nobody has to look: neither at what is asked, nor at what is written, nor at what is answered.

    Who may see every resource of a type sees each as a whole, with all that it contains.  Of what answers with many
    resources, of bundles and of exports it is not said here.
    """
    if interaction.kind in SEARCHES or interaction.kind in JOBS or interaction.kind == "bundle":
        return False
    if interaction.kind == "patch" and not rights.whole("*", "s"):
        return False  # what it makes of a resource, and of a reference in it, nobody sees in the patch
    needs = interaction.needs
    # What is written is what is answered with, and to write is not to read.
    if interaction.kind in _ANSWERS_WITH_IT:
        needs |= {(str(interaction.type), "r")}
    return bool(needs) and all(rights.whole(*need) for need in needs) and _looks_at_its_type_alone(interaction, rights)


def may_search_by_reference(interaction: Interaction, rights: Rights) -> bool:
    """Say whether the references of what is written are to be looked at, though nothing else of it is.

    One may be a search, which some servers make at once, and that takes scopes to search (FHIR R4 §3.1.0.11.2).  The
    content of a Binary comes as it is, in whatever format.
    """
    return interaction.kind in ("create", "update") and interaction.type != "Binary" and not rights.whole("*", "s")


def known_preferences(preferences: Parameters) -> Parameters:
    """Return those of *preferences* that go on to the server (FHIR R4 §3.1.0.1.8, §3.1.1.1).

    ``respond-async`` does not: who is answered elsewhere fetches it where everybody else could.
    """
    return tuple(pair for pair in preferences if pair in _PREFERENCES)


def refused(refusal: Refusal, rights: Rights) -> Stopped:
    """Return the end that *refusal* makes.  Who has no scope that allows anything is told that, and nothing else."""
    if not rights.grants.scopes:
        return Stopped(FORBIDDEN, "the token has no scope that allows anything")
    problem = _REFUSED.get(refusal.why)
    if problem is None:
        problem = replace(UNREADABLE, text=f"{UNREADABLE.text[:-1]}: {refusal.reason}.")
    return Stopped(problem, f"{refusal.why}: {refusal.reason}")


def _looks_at_its_type_alone(interaction: Interaction, rights: Rights) -> bool:
    """Say whether the condition is about resources of one type, and tells of no others."""
    type_, release = str(interaction.type), rights.server.release
    plain = (is_plain_search(type_, name, release) for name, _ in interaction.criteria or ())
    return rights.whole("*", "s") or all(plain)
