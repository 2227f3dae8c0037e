"""``[audit]`` of guard.toml → where it is kept who has seen what, and whether nothing may happen without that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..access.fhir_references import is_fhir_base

if TYPE_CHECKING:
    from pathlib import Path

    from .values import Table

__all__ = ["AuditSettings", "read_audit"]

_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What ``[audit]`` says: a file, or a FHIR server."""

    file: Path | None = None
    """What each event is added to, as a line."""
    url: str | None = None
    """The base URL of the FHIR server that each event is posted to."""
    authorization: str | None = field(default=None, repr=False)
    """The header that it is posted with."""
    waiting: int = _WAITING
    """How many events may wait to be posted."""
    required: bool = False
    """Whether nothing is answered that could not be recorded."""
    queries: bool = False
    """Whether it is kept what was searched for."""


def read_audit(root: Table) -> AuditSettings | None:
    """Return what ``[audit]`` of *root* says; None where there is none.  Raises WrongConfig."""
    table = root.table("audit")
    if table is None:
        return None
    table.only(("file", "url", "authorization", "waiting", "required", "queries"))
    if not root.has("fhir"):
        raise table.wrong("", "it is kept who asked the FHIR server for what, and there is no [fhir]")
    if table.has("file") == table.has("url"):
        raise table.wrong("", "either file or url is expected")
    required, queries = table.flag("required") or False, table.flag("queries") or False
    if table.has("file"):
        for key in ("authorization", "waiting"):
            if table.has(key):
                raise table.wrong(key, "it goes with url")
        return AuditSettings(table.path("file"), required=required, queries=queries)
    url = table.text("url")
    if not is_fhir_base(url):
        raise table.wrong("url", "the base URL of a FHIR server is expected, as in https://audit.example/fhir")
    authorization = table.text("authorization")
    if authorization is not None and not (authorization.isascii() and authorization.isprintable() and authorization):
        raise table.wrong("authorization", "the value of a header is expected")
    waiting = table.whole("waiting") or _WAITING
    return AuditSettings(None, url, authorization, waiting, required, queries)
