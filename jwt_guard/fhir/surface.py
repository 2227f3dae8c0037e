"""What is at one FHIR server beside what every one has → a Surface: types, further operations, paths of exports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..access.routes import segments
from ..errors import Misconfigured, shown
from .resource_types import R4

__all__ = ["POLL", "Surface"]

POLL = "$export-poll-status"
_OPERATION = re.compile(r"(?:(?P<type>[A-Za-z]{1,64})/)?(?P<name>\$[A-Za-z][A-Za-z0-9.-]{0,127})")
_KNOWN = frozenset({"$everything", "$export", "$validate", POLL})


@dataclass(frozen=True, slots=True)
class Surface:
    """What there is at one server, beside the interactions that every one may have.  Raises Misconfigured."""

    types: frozenset[str] = R4
    """Its resource types."""
    operations: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further operations, ``$lookup`` or ``ValueSet/$expand``, and the letters of ``cruds`` that each needs."""
    jobs: tuple[str, ...] = ("/_operations/export",)
    """Below which paths it says how exports are getting on, one segment more being the job."""
    job_paths: frozenset[tuple[str, ...]] = field(init=False, repr=False)
    """The segments of *jobs*."""

    def __post_init__(self) -> None:
        """Refuse what could open more than it says."""
        if not self.types:
            raise Misconfigured("a FHIR server has resource types")
        for name, letters in self.operations.items():
            found = _OPERATION.fullmatch(name)
            if found is None or (found["type"] is not None and found["type"] not in self.types):
                raise Misconfigured(f"operation {shown(name)}: write it as $name or as Type/$name")
            if found["name"] in _KNOWN:
                raise Misconfigured(f"operation {shown(name)}: what it needs is known, and not for a list to change")
            if not isinstance(letters, str) or not letters or not set("cruds").issuperset(letters):
                raise Misconfigured(f"operation {shown(name)}: say which letters of cruds it needs")
        paths = [segments(path) for path in self.jobs]
        if any(not path or path[0] in self.types for path in paths):
            raise Misconfigured("jobs are paths such as /_operations/export, and none of a resource type")
        object.__setattr__(self, "operations", MappingProxyType(dict(self.operations)))
        object.__setattr__(self, "job_paths", frozenset(path for path in paths if path))
