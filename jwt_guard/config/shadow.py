"""``[shadow]`` of guard.toml → a second guard, to be judged beside the first; its answers count for nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..gateway.shadow import ShadowSettings
from .routes import read_routes

if TYPE_CHECKING:
    from pathlib import Path

    from ..access.guard import Guard
    from .values import Table

__all__ = ["read_shadow"]


def read_shadow(root: Table, guard: Guard) -> ShadowSettings | None:
    """Return what ``[shadow]`` of *root*, whose guard is *guard*, describes; None where there is none.

    Raises WrongConfig, also for what is wrong with the file that it names.
    """
    table = root.table("shadow")
    if table is None:
        return None
    table.only(("file", "routes", "per_second", "logged_per_minute"))
    if table.has("file") == table.has("routes"):
        raise table.wrong("", "either file or routes is expected")
    limits = {name: table.whole(name) for name in ("per_second", "logged_per_minute")}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    if table.has("routes"):
        return ShadowSettings(replace(guard, policy=read_routes(table)), **given)
    file = table.path("file")
    return ShadowSettings(_guard_of(table, file), file, **given)


def _guard_of(table: Table, file: Path) -> Guard:
    from .load import guard_from, read  # which read shadows

    other = read(file)
    if other.has("shadow"):
        raise table.wrong("file", "a shadow has no shadow of its own")
    return guard_from(other)
