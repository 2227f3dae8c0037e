"""Method and path → the policy of the first route that matches: paths compared in one normal form.

This is the only place that takes paths apart.  A path that two programs could read differently matches
no route at all, so that nothing is let in on one reading and served on another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_to_bytes

from ..decision import Decision, Deny
from ..errors import AmbiguousPath, InsufficientScope, MethodNotAllowed, Misconfigured, shown
from ..tokens.claims import has_control
from .description import DescribedRoute, Description
from .policy import Policy, ask, described, is_open, is_settled_for

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..flow import Flow
    from ..messages import Request

__all__ = ["Route", "by_route", "looks_at_encoded", "segments"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §9.1: a method
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_NOT_A_PATH = re.compile(r"[^\x21-\x7e]|[\\#?;]|//|%(?![0-9A-Fa-f]{2})|%(?:2[Ff]|5[Cc]|00|3[Bb])")
_OPAQUE = re.compile(r"[^\x21-\x7e]|[\\#?]|//|%(?![0-9A-Fa-f]{2})|%(?:5[Cc]|00)")
_INSIDE = re.compile(r"[/;]")
_LONGEST = 8_192
_LONGEST_KEPT = 256


def segments(path: str, *, opaque: bool = False) -> tuple[str, ...] | None:
    """Return the decoded segments of *path*, or None where it has no unambiguous normal form.

    A trailing slash does not make another path.  ``%2F``, ``%5C``, ``;``, ``//``, dot segments, NUL,
    broken escapes and what is not UTF-8 have no normal form; *opaque* lets ``%2F`` and ``;`` stand inside
    one segment.
    """
    if not path.startswith("/") or len(path) > _LONGEST or (_OPAQUE if opaque else _NOT_A_PATH).search(path):
        return None
    pieces = path[1:].removesuffix("/").split("/")
    try:
        decoded = tuple(unquote_to_bytes(piece).decode("utf-8") for piece in pieces)
    except UnicodeDecodeError:
        return None
    for piece in decoded:
        # Also between the slashes and semicolons that an opaque segment may hold.
        if not {".", ".."}.isdisjoint(_INSIDE.split(piece)) or has_control(piece):
            return None
    return decoded if decoded != ("",) else ()


_segments = lru_cache(maxsize=1_024)(segments)  # half of what a request costs whose token is remembered


@dataclass(frozen=True, slots=True)
class Route:
    """One path, and what it asks for by method."""

    path: str
    """As written: ``{name}`` is one segment, a last ``**`` the rest, also none of it."""
    pieces: tuple[str | None, ...]
    """None stands for any one segment."""
    deep: bool
    opaque: bool
    policies: tuple[tuple[frozenset[str] | None, Policy], ...]
    """None stands for every method."""

    def matches(self, path: tuple[str, ...]) -> bool:
        """Say whether the segments are of this route."""
        if len(path) < len(self.pieces) or (len(path) > len(self.pieces) and not self.deep):
            return False
        # An empty segment cannot occur in the middle, and `{id}` does not mean "nothing".
        return all(
            (given != "") if wanted is None else wanted == given
            for wanted, given in zip(self.pieces, path, strict=False)
        )

    def policy_for(self, method: str) -> Policy | None:
        """Return what *method* asks for, or None where the route has no such method."""
        for methods, policy in self.policies:
            if methods is None or method in methods:
                return policy
        return None

    @property
    def methods(self) -> frozenset[str]:
        """Every method that the route takes by name."""
        return frozenset(method for methods, _ in self.policies for method in methods or ())


RouteRow: TypeAlias = "tuple[str | Sequence[str] | None, str, Policy]"
"""(method, methods, or None for all of them; path; policy)"""


@dataclass(frozen=True, slots=True)
class _ByRoute:
    routes: tuple[Route, ...]

    def __call__(self, request: Request, credentials: Credentials) -> Flow[Decision]:
        found = self._find(request)
        if isinstance(found, Deny):
            return found
        return (yield from ask(found, request, credentials))

    def is_open(self, request: Request) -> bool:
        found = self._find(request)
        return not isinstance(found, Deny) and is_open(found, request)

    def is_settled_for(self, request: Request) -> bool:
        found = self._find(request)
        return not isinstance(found, Deny) and is_settled_for(found, request)

    @property
    def described(self) -> Description:
        return Description("by_route", routes=tuple(map(_described, self.routes)))

    def _find(self, request: Request) -> Policy | Deny:
        asked = request.path
        plain = _segments(asked) if len(asked) <= _LONGEST_KEPT else segments(asked)
        opaque = plain if plain is not None else segments(asked, opaque=True)
        if opaque is None:
            return Deny(AmbiguousPath())
        for route in self.routes:
            path = opaque if route.opaque else plain
            if path is not None and route.matches(path):
                policy = route.policy_for(request.method)
                return Deny(MethodNotAllowed(route.methods)) if policy is None else policy
            if path is None and any(map(route.matches, _other_readings(opaque))):
                return Deny(AmbiguousPath())  # an application that decodes first would be on this route
        return Deny(InsufficientScope(reason="no route allows this path") if plain is not None else AmbiguousPath())


def _described(route: Route) -> DescribedRoute:
    policies = tuple((methods, described(policy)) for methods, policy in route.policies)
    return DescribedRoute(route.path, route.pieces, route.deep, route.opaque, policies)


def _other_readings(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield how programs read a path with ``%2F`` or ``;`` in it that do not keep segments whole."""
    pieces = [piece for segment in path for piece in segment.split("/") if piece]
    yield tuple(pieces)
    yield tuple(piece.partition(";")[0] for piece in pieces)


def by_route(rows: Iterable[RouteRow], *, encoded: Iterable[str] = ()) -> Policy:
    """Return the policy that asks the first route whose path matches; what none matches is refused.

    Several rows of one path are one route.  ``GET`` includes ``HEAD``.  The paths in *encoded* let ``%2F``
    and ``;`` stand inside a segment.  Raises Misconfigured.
    """
    opaque = frozenset(encoded)
    routes: dict[_Form, tuple[str, list[tuple[frozenset[str] | None, Policy]]]] = {}
    written: set[str] = set()
    for row in rows:
        if not isinstance(row, tuple) or len(row) != 3 or not isinstance(row[1], str):  # noqa: PLR2004
            raise Misconfigured("a route is (method, path, policy)")
        method, path, policy = row
        if not callable(policy):
            raise Misconfigured(f"route {shown(path)}: the third is a policy")
        written.add(path)
        _, policies = routes.setdefault(_form(path, path in opaque), (path, []))
        policies.append((_methods(path, method), policy))
    if not routes:
        raise Misconfigured("by_route() needs routes")
    if opaque - written:
        raise Misconfigured(f"encoded names paths that have no route: {shown(sorted(opaque - written))}")
    return _ByRoute(tuple(Route(path, *form, tuple(policies)) for form, (path, policies) in routes.items()))


def looks_at_encoded(policy: Policy) -> bool:
    """Say whether *policy* is one of routes, and so has judged whatever path it lets in, ``%2F`` and ``;`` included."""
    return isinstance(policy, _ByRoute)


_Form: TypeAlias = "tuple[tuple[str | None, ...], bool, bool]"


def _form(path: str, opaque: bool) -> _Form:  # noqa: FBT001 - private
    """Return the normal form of the path of a route: pieces, whether more may follow, whether escapes may."""
    deep = path.endswith("/**")
    plain = path.removesuffix("**") if deep else path
    pieces = segments(_PARAMETER.sub("x", plain))
    if pieces is None or "*" in plain:
        raise Misconfigured(f"route {shown(path)}: the path has no normal form")
    wanted: list[str | None] = []
    for piece, decoded in zip(plain[1:].split("/"), pieces, strict=False):
        if _PARAMETER.fullmatch(piece):
            wanted.append(None)
        elif "{" in piece or "}" in piece:
            raise Misconfigured(f"route {shown(path)}: {{name}} stands for a whole segment")
        else:
            wanted.append(decoded)
    return tuple(wanted), deep, opaque


def _methods(path: str, method: str | Sequence[str] | None) -> frozenset[str] | None:
    if method is None:
        return None
    names = (method,) if isinstance(method, str) else tuple(method) if isinstance(method, Sequence) else ()
    if not names or not all(isinstance(name, str) and _TOKEN.fullmatch(name) for name in names):
        raise Misconfigured(f"route {shown(path)}: a method is a name, and there is at least one")
    if any(name != name.upper() for name in names):
        raise Misconfigured(f"route {shown(path)}: methods are written in capitals")
    return frozenset(names) | ({"HEAD"} if "GET" in names else frozenset())
