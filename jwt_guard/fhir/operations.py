"""``$name`` at a place → the operation that it is there, and what it takes; or a Refusal, which unknown ones get."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from .kinds import METHOD, PARAMETERS, Asked, Found, Kind
from .query import named, only
from .request_parts import GENERAL, Refusal
from .surface import POLL

__all__ = ["read_job", "read_operation"]

_EVERYTHING = frozenset({("Patient", False), ("Patient", True), ("Encounter", True)})
"""The type, and whether of one resource of it."""
_EXPORTED: Mapping[tuple[str | None, bool], frozenset[str]] = {
    (None, False): frozenset(),
    ("Patient", False): frozenset({"Patient"}),
    ("Group", True): frozenset({"Group", "Patient"}),
}
"""Where ``$export`` is, and the types that it takes beside those that are exported (Bulk Data Access 2.0)."""
_BULK = frozenset({"_count", "_outputFormat", "_since", "_type", "end", "start"})
"""The parameters that leave the types as they are."""
_JOB = re.compile(r"[A-Za-z0-9._~-]{1,4096}")  # as long as a sealed link
_UNLISTED = Refusal("operation", "the operation is not one that is let through")
_NO_JOB = Refusal("id", "this can be no job")


def read_operation(asked: Asked, name: str, type_: str | None = None, id_: str | None = None) -> Found:
    """Return the operation *name* at the base, at a type or at one resource."""
    if name == POLL and type_ is None:
        jobs = named("_jobId", asked.parameters)
        if len(jobs) != 1:
            return PARAMETERS
        return read_job(asked, jobs[0]) if asked.only("_jobId") else PARAMETERS
    if not (asked.reads or asked.method == "POST"):
        return METHOD
    place = (type_, id_ is not None)
    if name == "$everything" and place in _EVERYTHING:
        found = _bulk(asked, "everything", frozenset({str(type_)}))
    elif name == "$export" and place in _EXPORTED:
        found = _bulk(asked, "export", _EXPORTED[place])
    elif name == "$validate" and type_ is not None:
        found = _validate(asked, type_, one=id_ is not None)
    else:
        found = _listed(asked, name, type_)
    return found if isinstance(found, Refusal) else replace(found, type=type_, id=id_, operation=name)


def _bulk(asked: Asked, kind: Kind, also: frozenset[str]) -> Found:
    """Return what answers with resources of many types: those of ``_type`` and *also*, or all."""
    types = asked.types()
    if isinstance(types, Refusal):
        return types
    # A body may say another _type, and associated data are of types that nothing names.
    if types is None or not asked.reads or not only(_BULK | GENERAL, asked.parameters):
        return asked.place(kind, "rs", None)
    return asked.place(kind, "rs", types | also)


def _validate(asked: Asked, type_: str, *, one: bool) -> Found:
    # No letter is for it: it tells of what there would be, and of a resource by its id also what there is.
    if asked.reads and not one:
        return METHOD
    return asked.place("validate", "ru" if one else "c", frozenset({type_}))


def _listed(asked: Asked, name: str, type_: str | None) -> Found:
    operations = asked.surface.operations
    letters = operations.get(name) if type_ is None else operations.get(f"{type_}/{name}", operations.get(name))
    if letters is None:
        return _UNLISTED
    return asked.place("operation", letters, None if type_ is None else frozenset({type_}))


def read_job(asked: Asked, job: str) -> Found:
    """Return the status of an export, of which nothing says what it exports."""
    if not _JOB.fullmatch(job):
        return _NO_JOB
    if asked.reads:
        return replace(asked.place("export-status", "rs", None), id=job)
    return replace(asked.place("export-cancel", "rs", None), id=job) if asked.method == "DELETE" else METHOD
