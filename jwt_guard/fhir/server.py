"""What is known of the FHIR server that is guarded → a Server: where it is, what it has, and how much is held of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..access.fhir_references import is_fhir_base
from ..errors import Misconfigured, shown
from .compartment_tables import TABLES
from .resource_types import TYPES
from .surface import Surface

if TYPE_CHECKING:
    from .compartment_tables import Release

__all__ = ["SHARED", "Limits", "Server"]

SHARED = frozenset({"Location", "Medication", "Organization", "Practitioner"})
"""Types that are of no patient, and that a patient's record is not understood without."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held or asked for on behalf of one request.  Raises Misconfigured."""

    body: int = 4 * 1_048_576
    """Octets of what a client sends, where it is to be judged."""
    answer: int = 32 * 1_048_576
    """Octets of one answer of the server, where it is to be judged."""
    page: int = 50
    """Entries in a page of a search that says no ``_count``."""
    largest_page: int = 1_000
    """Entries in a page of any search."""
    pages: int = 40
    """Pages that are asked of the server to fill one of ours, where others' entries are left out of them."""
    entries: int = 500
    """Entries of a batch or a transaction."""

    def __post_init__(self) -> None:
        """Refuse what would let nothing through, or all."""
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise Misconfigured(f"{name}: a limit is a whole number, and at least 1")
        if self.page > self.largest_page:
            raise Misconfigured("page: it is larger than largest_page")


@dataclass(frozen=True, slots=True)
class Server:
    """One FHIR server as its clients see it, and as it sees itself.  Raises Misconfigured."""

    base: str
    """The base URL that clients use, without a slash at the end: what every answer speaks of."""
    also_known_as: tuple[str, ...] = ()
    """Base URLs by which the server speaks of itself, such as its own address; answers have `base` in their place."""
    release: Release = "R4"
    surface: Surface = field(default_factory=Surface)
    shared_types: frozenset[str] = SHARED
    """Types outside every compartment that ``patient/`` scopes let read all the same: read, and never written."""
    follow_patient_links: bool = False
    """Whether a Patient that names the patient in its ``link`` is that patient's as well."""
    updates_may_create: bool = True
    """Whether a PUT to an id that nobody has creates it, as FHIR has it; a client sees then which ids are taken."""
    koppeltaal: bool = False
    """Whether scopes are Koppeltaal's: there ``r`` is also ``s``, and what has no ``resource-origin`` is nobody's."""
    entra_spelling: bool = False
    """Whether scopes may be spelt as Microsoft Entra ID has to."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what no server can be."""
        for url in (self.base, *self.also_known_as):
            if not is_fhir_base(url) or url.endswith("/"):
                raise Misconfigured(f"{shown(url)} is no base URL of a FHIR server, as in https://api.example/fhir")
        if self.release not in TYPES:
            raise Misconfigured(f"release: one of {', '.join(TYPES)}")
        unknown = self.shared_types - self.surface.types
        if unknown:
            raise Misconfigured(f"shared_types: the server has no {shown(min(unknown))}")
        owned = self.shared_types & TABLES[self.release].keys()
        if owned:
            raise Misconfigured(f"shared_types: {shown(min(owned))} is of a patient, and so of nobody else")

    @property
    def bases(self) -> tuple[str, ...]:
        """Every base URL under which its resources may be named."""
        return (self.base, *self.also_known_as)
