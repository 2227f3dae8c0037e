"""A resource that the server gave + Rights → what of it may be seen: all, less of it, or nothing.

A resource in ``contained`` is a part of the one around it, and yet a resource.  It is left in where all of this holds:

- its type may be seen with the letter that is asked about, by a scope whose parameters it meets itself (a Koppeltaal
  origin is one of the resource around it);
- under a ``patient/`` scope: it is no Patient, since that would be somebody whom nothing identifies; and where its
  type is one that a patient can have, what makes it a member is about the patient of the token, or about no patient;
- it is no Bundle, no Parameters, and contains nothing itself.

What refers to one that was left out still says so: ``#p1`` with nothing there, which says no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeGuard

from .compartment import contained_membership
from .compartment_tables import TABLES
from .documents import written
from .elements import read_path, referent, values_at
from .matching import matches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .compartment_tables import Release
    from .rights import Rights
    from .scopes import SmartScope

__all__ = ["answered", "filtered", "is_nobody_elses", "left_out", "others_named"]

_HOLDING: Final = frozenset({"Bundle", "Parameters"})
_BUNDLES: Final = frozenset({"collection", "document", "history", "message", "searchset"})


def filtered(resource: dict[str, Any], rights: Rights, letter: str) -> dict[str, Any] | None:
    """Return what of *resource*, one that the server keeps, may be seen with *letter*; None: it may not be seen.

    Left out are contained resources, and those in a stored Bundle, that may not be.  *resource* is left as it is.
    """
    if not rights.sees(resource, letter):
        return None
    shown = _with_contained(resource, rights, letter)
    if shown["resourceType"] == "Bundle":
        return {**shown, "entry": [{**entry, "resource": seen} for entry, seen in _entries(shown, rights, letter)]}
    return shown


def answered(document: dict[str, Any], rights: Rights, letter: str) -> dict[str, Any] | None:
    """Return what of *document*, the answer to an operation, may be seen with *letter*; None: nothing.

    A Bundle and Parameters are taken part by part: of them stays what holds a resource, and that there was nothing
    else in them says nothing.  A value that the server has worked out is of nobody, and is not handed on.
    """
    match document.get("resourceType"):
        case "Bundle":
            return _bundle(document, rights, letter)
        case "Parameters":
            parameters = [*_parameters(_list(document, "parameter"), rights, letter)]
            return {"resourceType": "Parameters", "parameter": parameters}
        case _:
            return filtered(document, rights, letter)


def left_out(resource: dict[str, Any], shown: dict[str, Any]) -> list[Any]:
    """Return the contained resources of *resource* that *shown*, what of it may be seen, does not have."""
    kept = {id(each) for each in _list(shown, "contained")}
    return [each for each in _list(resource, "contained") if id(each) not in kept]


def is_nobody_elses(resource: dict[str, Any], rights: Rights, letter: str) -> bool:
    """Say whether *resource*, which somebody would have written, contains what may be in one of this patient.

    Contained Patients may, though nobody is shown them.  Whoever has another scope than ``patient/`` that allows
    *letter* on *resource* may write of everybody.
    """
    contained, inside = resource.get("contained", []), _Inside(resource, rights, letter)
    if not isinstance(contained, list) or not all(map(_may_be_contained, contained)):
        return False
    if rights.sees_anybodys(resource, letter):
        return True
    return all(each["resourceType"] == "Patient" or inside.is_of_nobody_else(each) for each in contained)


def others_named(
    resource: dict[str, Any], rights: Rights, names: Collection[str] = frozenset()
) -> frozenset[tuple[str, str]] | None:
    """Return where *resource* says that it is of another patient than ours, as (element, what is written there).

    A resource may be of two: an Observation of the one that the other has performed.  A reference to what is in
    ``contained`` is none of these, nor is one to what a transaction has yet to name, but for *names*: those are other
    patients'.  One by an identifier alone is, where it is to a patient.  None: an element there is of another shape
    than FHIR gives it, and a server might read in it what cannot be read here.
    """
    found = set[tuple[str, str]]()
    nominated = TABLES[rights.server.release].get(resource["resourceType"])
    for element in f"{nominated.asked} {nominated.missed}".split() if nominated is not None else ():
        references = values_at(resource, read_path(element))
        if references is None:
            return None
        for reference in references:
            text = reference.get("reference", "#") if isinstance(reference, dict) else None
            if not isinstance(text, str):
                return None
            if text in names or (not text.startswith(("#", "urn:")) and _is_to_another(text, rights)):
                found.add((element, text))
            elif "reference" not in reference and "identifier" in reference:
                # Of what is searched for as the patient, that is what it is, unless something else is said.
                usual = "Patient" if nominated is not None and element in nominated.asked.split() else None
                if reference.get("type", usual) == "Patient":
                    found.add((element, written(reference["identifier"]).decode()))
    return frozenset(found)


def _is_to_another(text: str, rights: Rights) -> bool:
    named = referent(text)
    if named is None:
        return True
    is_ours = named.base is None or any(named.is_on(base) for base in rights.server.bases)
    return named.type == "Patient" and not (is_ours and named.id == rights.patient)


def _with_contained(resource: dict[str, Any], rights: Rights, letter: str) -> dict[str, Any]:
    if "contained" not in resource:
        return resource
    inside = _Inside(resource, rights, letter)
    kept = [each for each in _list(resource, "contained") if _may_be_contained(each) and inside.is_kept(each)]
    if kept:
        return {**resource, "contained": kept}
    return {name: value for name, value in resource.items() if name != "contained"}


def _may_be_contained(each: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(each, dict) or "contained" in each:  # hl7.org/fhir/R4/references.html#contained
        return False
    kind = each.get("resourceType")
    return isinstance(kind, str) and kind not in _HOLDING


class _Inside:
    """What holds for every resource that one resource contains."""

    def __init__(self, around: dict[str, Any], rights: Rights, letter: str) -> None:
        self._around = around
        self._rights = rights
        self._letter = letter
        self._types = _types(around)

    def is_kept(self, each: dict[str, Any]) -> bool:
        scopes = self._rights.applying(each["resourceType"], self._letter)
        return any(self._allows(scope, each) for scope in scopes)

    def is_of_nobody_else(self, each: dict[str, Any]) -> bool:
        server, patient = self._rights.server, self._rights.patient
        return not _may_be_of_a_patient(each, self._types, server.release) or (
            patient is not None and contained_membership(each, patient, server.bases, release=server.release)
        )

    def _allows(self, scope: SmartScope, each: dict[str, Any]) -> bool:
        if scope.context == "patient" and not self._belongs(each):
            return False
        server = self._rights.server
        # Its id means something in there alone, and is none that a scope could be about.
        alone = {name: value for name, value in each.items() if name != "id"}
        return matches(alone if scope.origins is None else self._around, scope, server.bases, server.release)

    def _belongs(self, each: dict[str, Any]) -> bool:
        kind = each["resourceType"]
        if kind in self._rights.server.shared_types:
            return self._letter in "rs"
        return kind != "Patient" and self.is_of_nobody_else(each)


def _may_be_of_a_patient(each: dict[str, Any], types: dict[str, str], release: Release) -> bool:
    """Say whether what would put *each* into a patient's compartment could be about any patient at all.

    An element without a reference, or to what is of another type, is about none; one that cannot be read could be.
    """
    nominated = TABLES[release].get(each["resourceType"])
    for element in f"{nominated.asked} {nominated.missed}".split() if nominated is not None else ():
        found = values_at(each, read_path(element))
        if found is None or any(_may_be_a_patient(reference, types) for reference in found):
            return True
    return False


def _may_be_a_patient(reference: object, types: dict[str, str]) -> bool:
    if not isinstance(reference, dict):
        return True
    text, kind = reference.get("reference"), reference.get("type")
    if text is None:
        return kind == "Patient" or (kind is None and "identifier" in reference)
    if not isinstance(text, str) or kind == "Patient":
        return True
    if text.startswith("#"):
        return types.get(text, "Patient") == "Patient"
    named = referent(text)
    return named is None or named.type == "Patient"


def _types(resource: dict[str, Any]) -> dict[str, str]:
    """Return the type of what each reference with a ``#`` in *resource* is to; where that is two, it may be anybody."""
    types: dict[str, str] = {}
    for each in filter(_may_be_contained, _list(resource, "contained")):
        if isinstance(each.get("id"), str):
            name = f"#{each['id']}"
            types[name] = "Patient" if name in types else each["resourceType"]
    return types


# --- resources in others, that are none of their parts -----------------------------------------------


def _bundle(document: dict[str, Any], rights: Rights, letter: str) -> dict[str, Any]:
    kind = document.get("type")
    entries = [
        {"fullUrl": f"{rights.server.base}/{seen['resourceType']}/{seen['id']}", "resource": seen}
        for _, seen in _entries(document, rights, letter)
        if isinstance(seen.get("id"), str)
    ]
    bundle = {"resourceType": "Bundle", "type": kind if isinstance(kind, str) and kind in _BUNDLES else "collection"}
    return {**bundle, "entry": entries} if entries else bundle


def _entries(bundle: dict[str, Any], rights: Rights, letter: str) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each entry whose resource may be seen, and what of that may be."""
    for entry in _list(bundle, "entry"):
        seen = _seen_in(entry, rights, letter)
        if seen is not None:
            yield entry, seen


def _parameters(parameters: list[Any], rights: Rights, letter: str) -> Iterable[dict[str, Any]]:
    for each in parameters:
        seen = _seen_in(each, rights, letter)
        if seen is not None:
            yield {"name": str(each.get("name")), "resource": seen}
        elif isinstance(each, dict) and (parts := [*_parameters(_list(each, "part"), rights, letter)]):
            yield {"name": str(each.get("name")), "part": parts}


def _seen_in(holder: object, rights: Rights, letter: str) -> dict[str, Any] | None:
    resource = holder.get("resource") if isinstance(holder, dict) else None
    return filtered(resource, rights, letter) if isinstance(resource, dict) else None


def _list(holder: dict[str, Any], name: str) -> list[Any]:
    found = holder.get(name)
    return found if isinstance(found, list) else []
