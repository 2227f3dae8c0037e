"""The routes of a configuration → those that are never asked, and those that let in more than they seem to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import shown
from .finding import Finding

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..access.routes import Route
    from .values import Table

__all__ = ["of_routes"]


def of_routes(root: Table, guard: Guard) -> Iterator[Finding]:
    """Yield what is wrong or risky with the routes of *root*, whose guard is *guard*."""
    routes: tuple[Route, ...] = getattr(guard.policy, "routes", ())
    for number, route in enumerate(routes):
        earlier = next((other for other in routes[:number] if _covers(other, route)), None)
        if earlier is not None:
            sentence = (
                f"{shown(route.path)} is never reached: {shown(earlier.path)} comes first and takes all of its paths"
            )
            yield Finding("wrong", "routes", sentence)
        else:
            yield from _of_encoded(route, routes[:number])
        yield from _of_methods(route)
    for table in root.tables("routes") or ():
        if table.has("openapi") and table.text("allow") == "anyone":
            yield Finding("risky", f"{table.place}.allow", "an operation without security is open to anyone")
        if table.text("path") == "/**" and table.text("allow") == "anyone":
            yield Finding("risky", f"{table.place}.allow", "every path that no earlier route takes is open to anyone")


def _covers(earlier: Route, later: Route) -> bool:
    """Say whether *later* is never reached: *earlier* takes every path of it, or has it refused."""
    ours, theirs = earlier.pieces, later.pieces
    if not earlier.opaque and _may_be_encoded(later) and (not earlier.deep or None in theirs[: len(ours)]):
        return False
    if earlier.deep:
        if len(ours) > len(theirs):
            return False
    elif later.deep or len(ours) != len(theirs):
        return False
    return all(our is None or our == their for our, their in zip(ours, theirs, strict=False))


def _may_be_encoded(route: Route) -> bool:
    """Say whether ``%2F`` or ``;`` may stand in a path of *route*: in what is written out they cannot."""
    return route.opaque and (route.deep or None in route.pieces)


def _of_encoded(route: Route, before: Sequence[Route]) -> Iterator[Finding]:
    earlier = next((other for other in before if not other.opaque and _may_be_read_as(route, other)), None)
    if earlier is not None:
        sentence = (
            f"{shown(route.path)} comes after {shown(earlier.path)}: a path with %2F or ; in it is refused "
            "if it could be of that one once decoded"
        )
        yield Finding("risky", "routes", sentence)


def _may_be_read_as(route: Route, earlier: Route) -> bool:
    """Say whether a path of *route* with ``%2F`` or ``;`` in it can be one of *earlier* to who decodes it first.

    What stands for any one segment of *route* may then be any number of segments, or none.
    """
    if not _may_be_encoded(route):
        return False
    end = len(earlier.pieces)
    reached = {0}  # how many pieces of the earlier route may be behind us
    for piece in (*route.pieces, *([None] if route.deep else [])):
        if piece is None:
            reached = set(range(min(reached), end + 1))
        else:
            reached = {
                min(place + 1, end)
                for place in reached
                if (earlier.deep if place == end else earlier.pieces[place] in (None, piece))
            }
        if not reached:
            return False
    return end in reached


def _of_methods(route: Route) -> Iterator[Finding]:
    """Find tables of one path that ask something of a method which an earlier one has taken."""
    taken: set[str] = set()
    everything = False
    for methods, _ in route.policies:
        twice = taken.intersection(methods or ())
        if "GET" in (methods or ()) and twice == {"HEAD"}:
            twice = set()  # HEAD first, for itself, and then GET, which would include it: that can be meant
        if everything or twice:
            what = ", ".join(sorted(twice)) or "every method"
            sentence = f"{shown(route.path)}: an earlier table of this path has taken {what} already"
            yield Finding("wrong", "routes", sentence)
        everything = everything or methods is None
        taken.update(methods or ())
