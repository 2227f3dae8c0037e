"""What a request may turn out to be → Kind and Interaction, and the Asked that places are looked up with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..access.fhir_references import FhirReference
from .media import Format
from .query import Parameters, named, only
from .request_parts import GENERAL, Refusal
from .surface import Surface

__all__ = ["METHOD", "PARAMETERS", "TYPE", "Asked", "Found", "Interaction", "Kind"]

Kind: TypeAlias = Literal[
    "read",
    "vread",
    "history-instance",
    "history-type",
    "history-system",
    "search-type",
    "search-compartment",
    "search-system",
    "page",
    "create",
    "update",
    "patch",
    "delete",
    "bundle",
    "everything",
    "export",
    "export-status",
    "export-cancel",
    "validate",
    "operation",
    "capabilities",
    "smart-configuration",
]
"""What a request is, in FHIR's own words where it has some (value set restful-interaction).

``page`` is a link that a server made for the rest of an answer; ``bundle`` a batch or a transaction, whose entries are
requests of their own.
"""


METHOD = Refusal("method", "this is nothing that the method can be used for")
TYPE = Refusal("type", "there is no such resource type")
PARAMETERS = Refusal("parameters", "the interaction has no such parameter")


@dataclass(frozen=True, slots=True)
class Interaction:
    """What one request does, as FHIR understands it."""

    kind: Kind
    path: str = field(repr=False)
    """The path in normal form: what was judged, and so what is to be sent on."""
    letters: frozenset[str] = frozenset()
    """Which of ``c r u d s`` it takes, every one of them, for each of *types*."""
    types: frozenset[str] | None = frozenset()
    """The types that it takes *letters* for; None: every type there is."""
    type: str | None = None
    """The type that the path names last: what is read, written, searched or operated on."""
    id: str | None = field(default=None, repr=False)
    """The id of the resource, or of the job of an export."""
    version: str | None = None
    """The version that is read."""
    operation: str | None = None
    """The name of the operation, as in ``$everything``."""
    compartment: FhirReference | None = None
    """Whose compartment is searched."""
    parameters: Parameters = field(default=(), repr=False)
    """Those of the query and then of the form, decoded, in order, duplicates kept."""
    criteria: Parameters | None = field(default=None, repr=False)
    """What a conditional create, update, patch or delete looks for; None: it is not conditional."""
    if_match: str | None = None
    """The version that a write asks to be the current one."""
    preferences: Parameters = ()
    """What ``Prefer`` says, names in lower case (RFC 7240)."""
    format: Format = "any"
    """Whether the answer will be JSON, as far as the request says."""
    head: bool = False
    """Whether the answer is to have no body."""

    @property
    def needs(self) -> frozenset[tuple[str, str]]:
        """Each (type, letter) that it takes; ``*`` for every type."""
        types = ("*",) if self.types is None else self.types
        return frozenset((name, letter) for name in types for letter in self.letters)

    @property
    def is_open(self) -> bool:
        """Whether it is for everybody, with a token or without."""
        return self.kind in ("capabilities", "smart-configuration")

    @property
    def wants_async(self) -> bool:
        """Whether the answer may come later and elsewhere, where nobody looks at it (FHIR R4, asynchronous use)."""
        return any(name == "respond-async" for name, _ in self.preferences)


@dataclass(frozen=True, slots=True)
class Asked:
    """What places are looked up with: of a request what decides which interaction it is."""

    method: str
    segments: tuple[str, ...]
    parameters: Parameters
    if_none_exist: Parameters | None
    surface: Surface

    @property
    def reads(self) -> bool:
        """Whether the method is one that reads: HEAD asks for what GET does (RFC 9110 §9.3.2)."""
        return self.method in ("GET", "HEAD")

    def only(self, *names: str) -> bool:
        """Say whether there is no parameter but *names*, and those that every interaction has."""
        return only(GENERAL.union(names), self.parameters)

    def types(self) -> frozenset[str] | Refusal | None:
        """Return the types that ``_type`` names, all of them where it is there more than once; None where it is not."""
        values = named("_type", self.parameters)
        types = frozenset(name for value in values for name in value.split(","))
        if not types <= self.surface.types:
            return TYPE
        return types if values else None

    def place(self, kind: Kind, letters: str = "", types: frozenset[str] | None = frozenset()) -> Interaction:
        """Return an interaction of this path."""
        return Interaction(kind, "/" + "/".join(self.segments), frozenset(letters), types)


Found: TypeAlias = Interaction | Refusal
