"""A resource + a patient → whether it is in the patient's compartment; a resource type → how to search there alone.

What the patient CompartmentDefinition nominates counts, and nothing else: an Observation whose ``focus`` alone is the
patient belongs to somebody else.  What cannot be read for certain does not belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ..access.fhir_references import read_reference
from .compartment_tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..access.fhir_references import FhirReference
    from .compartment_tables import Nominated, Release

__all__ = ["Narrowing", "contained_membership", "membership", "narrowing"]

_Step: TypeAlias = tuple[str, bool]
"""The name of an element, and whether it is an array in JSON."""


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
    if not (isinstance(resource, dict) and _is_id(patient)):
        return False
    kind = resource.get("resourceType")
    nominated = TABLES[release].get(kind) if isinstance(kind, str) else None
    if nominated is None:
        return False
    itself = kind == "Patient" and resource.get("id") == patient
    by_reference = kind != "Patient" or follow_patient_links
    return itself or (by_reference and _refers(resource, nominated, patient, bases))


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


def _refers(resource: dict[str, Any], nominated: Nominated, patient: str, bases: Collection[str]) -> bool:
    """Say whether a nominated element is a reference to the patient, all of them being well-formed."""
    refers = False
    for path in _paths(nominated):
        found = _at(resource, path)
        if found is None:
            return False
        for reference in found:
            names = _names(reference, patient, bases)
            if names is None:
                return False
            refers = refers or names
    return refers


@lru_cache(maxsize=256)
def _paths(nominated: Nominated) -> tuple[tuple[_Step, ...], ...]:
    elements = (*nominated.asked.split(), *nominated.missed.split())
    return tuple(
        tuple((name.removesuffix("*"), name.endswith("*")) for name in element.split(".")) for element in elements
    )


def _at(resource: dict[str, Any], path: tuple[_Step, ...]) -> list[dict[str, Any]] | None:
    """Return the objects at the end of *path*; None where something on the way is there and not what it must be."""
    nodes = [resource]
    for name, is_array in path:
        values = [node[name] for node in nodes if name in node]
        if is_array:
            for value in values:
                if not isinstance(value, list):
                    return None
            values = [item for value in values for item in value]
        for value in values:
            if not isinstance(value, dict):
                return None
        nodes = values
    return nodes


def _names(reference: dict[str, Any], patient: str, bases: Collection[str]) -> bool | None:
    """Say whether *reference*, a Reference, is to the patient; None where it is not well-formed."""
    text = reference.get("reference", "")
    if not isinstance(text, str):
        return None
    if patient not in text:  # most are not, and reading every one takes longer than all the rest
        return False
    target = _target(text)
    if target is None or target.type != "Patient" or target.id != patient:
        return False
    if target.base is not None and not any(target.is_on(base) for base in bases):
        return False
    return True if reference.get("type", "Patient") == "Patient" else None


def _target(text: str) -> FhirReference | None:
    """Return the resource that *text* names, itself or a version of it; None for all that is no RESTful reference."""
    text, names_version, version = text.partition("/_history/")
    return None if names_version and not _is_id(version) else read_reference(text)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and read_reference(f"Patient/{value}") is not None
