"""``[fhir]`` of a configuration → what is risky about where records go, who may read them, and what opens links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AmbiguousPath, shown
from ..sources.address import why_not
from .finding import Finding
from .values import is_in_clear

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..access.guard import Guard
    from ..access.routes import Route
    from ..fhir.place import Base
    from .values import Table

__all__ = ["of_fhir"]


def of_fhir(root: Table, guard: Guard) -> Iterator[Finding]:
    """Yield what is risky about ``[fhir]`` of *root*, whose guard is *guard*."""
    if not root.has("fhir"):
        return
    from ..fhir.place import Base
    from .fhir import read_fhir

    settings = read_fhir(root, guard.providers)
    if settings is None:
        return
    if settings.upstream.startswith("http://") and why_not(settings.upstream) is not None:
        sentence = "it has no TLS: whoever is in between reads every record, and can answer in its place"
        yield Finding("risky", "fhir.upstream", sentence)
    if why_not(settings.server.base) is not None:
        yield Finding("risky", "fhir.base", "it is not https, and clients send tokens there, and get records")
    if is_in_clear(root.inner("fhir").values.get("link_key")):
        yield Finding("risky", "fhir.link_key", "it is in the file: write ${NAME}, and keep it elsewhere")
    if settings.server.follow_patient_links:
        sentence = "whoever can write the link of a Patient decides whose record it is"
        yield Finding("risky", "fhir.follow_patient_links", sentence)
    written = sorted(name for name, letters in settings.server.surface.operations.items() if set("cud") & set(letters))
    if written:
        sentence = f"{shown(written[0])} changes what it likes: nobody looks at what, only at the letters of the token"
        yield Finding("risky", "fhir.operations", sentence)
    routes: tuple[Route, ...] = getattr(guard.policy, "routes", ())
    for route in routes:
        if _is_below(Base(settings.server.base), route):
            sentence = f"{shown(route.path)}: it is below fhir.base, where scopes decide and no route is asked"
            yield Finding("wrong", "routes", sentence)


def _is_below(base: Base, route: Route) -> bool:
    try:
        return base.below("/" + "/".join(piece or "x" for piece in route.pieces)) is not None
    except AmbiguousPath:
        return False
