"""A text such as ``Patient/1`` → which resource it names, and on which FHIR server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["FhirReference", "is_fhir_base", "read_reference"]

_LONGEST = 2_048
_BASE = r"https?://[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~%!$&'()*+,;=:-]+)*"
# The id is that of FHIR R4 §2.24.0.1, which two dots would be as well, and a way out of the folder.
_REFERENCE = re.compile(rf"(?:({_BASE})/)?([A-Z][A-Za-z]{{0,63}})/(?!\.{{1,2}}\Z)([A-Za-z0-9.-]{{1,64}})")
_IS_BASE = re.compile(_BASE)


@dataclass(frozen=True, slots=True)
class FhirReference:
    """One resource of a FHIR server."""

    type: str
    """The resource type, as in ``Practitioner``."""
    id: str = field(repr=False)
    """Its logical id, which names a person."""
    base: str | None = None
    """The base URL of its server, without a slash at the end; None: the server that the application asks."""

    def is_on(self, fhir_base: str) -> bool:
        """Say whether it is a resource of the server at *fhir_base*: a ``Patient/1`` elsewhere is somebody else."""
        return self.base is None or self.base == fhir_base.rstrip("/")


def is_fhir_base(url: object) -> bool:
    """Say whether *url* can be the base of a FHIR server: http or https, no user, no query, no fragment."""
    return isinstance(url, str) and _IS_BASE.fullmatch(url.removesuffix("/")) is not None


def read_reference(value: object) -> FhirReference | None:
    """Return the reference, relative or absolute, that *value* is; None for all else, one to a version included."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST else None
    return None if match is None else FhirReference(match[2], match[3], match[1])
