"""A resource + a patient → whether it is in the patient's compartment; a resource type → how to search there alone.

What the patient CompartmentDefinition nominates counts, and nothing else: an Observation whose ``focus`` alone is the
patient belongs to somebody else.  What cannot be read for certain does not belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..access.fhir_references import read_reference
from .compartment_tables import TABLES
from .elements import read_path, referent, values_at

if TYPE_CHECKING:
    from collections.abc import Collection

    from .compartment_tables import Release
    from .elements import Path

__all__ = ["Narrowing", "contained_membership", "membership", "narrowing"]

_PATHS: dict[Release, dict[str, tuple[Path, ...]]] = {
    release: {
        name: tuple(read_path(element) for element in f"{row.asked} {row.missed}".split())
        for name, row in table.items()
    }
    for release, table in TABLES.items()
}
"""The nominated elements, by release and type."""


def membership(
    resource: object,
    patient: str,
    bases: Collection[str] = (),
    *,
    release: Release = "R4",
    follow_patient_links: bool = False,
) -> bool:
    """Say whether *resource*, as its JSON was read, is in the compartment of the patient with the id *patient*.

    A reference counts that is relative, or absolute on one of *bases*, the URLs that the guarded server is known by;
    one to a version counts as one to what it is a version of.  One to a contained resource does not, nor one by
    identifier, nor one to another server.  A nominated element of another shape than FHIR gives it, or a reference to
    the patient whose ``type`` says that it is to something else, makes the whole resource nobody's.

    A Patient is in the compartment by its own id.  With *follow_patient_links*, so is one that has *patient* in its
    ``link``, which anybody who may write that one can bring about.

    The resource is one that the server keeps under its id; for others there is :func:`contained_membership`.
    (hl7.org/fhir/R4/compartmentdefinition-patient.html)
    """
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    paths = _PATHS[release].get(kind) if isinstance(kind, str) else None
    if paths is None or not isinstance(resource, dict) or not isinstance(patient, str) or not _is_id(patient):
        return False
    if kind == "Patient" and resource.get("id") == patient:
        return True
    return (kind != "Patient" or follow_patient_links) and _refers(resource, paths, patient, bases)


def contained_membership(
    resource: object, patient: str, bases: Collection[str] = (), *, release: Release = "R4"
) -> bool:
    """Say whether *resource*, found in ``contained``, is in the compartment by what it refers to itself.

    Its id means something in its container alone (hl7.org/fhir/R4/references.html#contained), so that a contained
    Patient is nobody.
    """
    is_patient = isinstance(resource, dict) and resource.get("resourceType") == "Patient"
    return not is_patient and membership(resource, patient, bases, release=release)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A search parameter that finds members of the compartment alone, where the server honours it.

    Servers pass over parameters that they do not know, and count other servers' patients among ours: the answer is to
    be judged all the same, and so is its ``total``.
    """

    parameter: str
    """Its name."""
    under_returns: tuple[str, ...] = ()
    """The elements that make a member and are not looked at, such as ``Observation.performer``; none: it is exact."""

    def pair(self, patient: str) -> tuple[str, str]:
        """Return the name and the value that ask for the patient with the id *patient*."""
        return self.parameter, patient if self.parameter == "_id" else f"Patient/{patient}"


def narrowing(resource_type: str, release: Release = "R4") -> Narrowing | None:
    """Return how a search of *resource_type* is narrowed to one patient; None for a type no patient has members of."""
    nominated = TABLES[release].get(resource_type)
    if nominated is None:
        return None
    missed = nominated.missed.replace("*", "").split()
    return Narrowing(nominated.parameter, tuple(f"{resource_type}.{path}" for path in missed))


def nominated(resource_type: str, release: Release = "R4") -> frozenset[str]:
    """Return the names of the elements of *resource_type* that its membership depends on, beside its id."""
    return frozenset(path[0][0] for path in _PATHS[release].get(resource_type, ()))


def _refers(resource: dict[str, Any], paths: tuple[Path, ...], patient: str, bases: Collection[str]) -> bool:
    """Say whether an element at *paths* is a reference to the patient, all of them being well-formed."""
    refers = False
    for path in paths:
        found = values_at(resource, path)
        if found is None:
            return False
        for reference in found:
            names = _names(reference, patient, bases)
            if names is None:
                return False
            refers = refers or names
    return refers


def _names(reference: object, patient: str, bases: Collection[str]) -> bool | None:
    """Say whether *reference* is a Reference to the patient; None where it is not well-formed."""
    text = reference.get("reference", "") if isinstance(reference, dict) else None
    if not isinstance(reference, dict) or not isinstance(text, str):
        return None
    if patient not in text:  # most are not, and reading every one takes longer than all the rest
        return False
    if text != f"Patient/{patient}" and not _is_of(text, patient, bases):
        return False
    return True if reference.get("type", "Patient") == "Patient" else None


def _is_of(text: str, patient: str, bases: Collection[str]) -> bool:
    """Say whether *text* names the patient on the guarded server."""
    named = referent(text)
    if named is None or named.type != "Patient" or named.id != patient:
        return False
    return named.base is None or any(named.is_on(base) for base in bases)


@lru_cache(maxsize=1_024)
def _is_id(text: str) -> bool:
    return read_reference(f"Patient/{text}") is not None
