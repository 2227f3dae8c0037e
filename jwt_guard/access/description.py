"""What a policy asks for, as data: for those who say it in another language, or draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FUNCTION", "DescribedRoute", "Description", "Kind"]

Kind: TypeAlias = Literal[
    "anyone", "authenticated", "scopes", "roles", "claim equals", "claim contains",
    "all_of", "any_of", "none_of", "by_route", "function",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Description:
    """One policy; which of the fields say something depends on its kind."""

    kind: Kind
    names: frozenset[str] = frozenset()
    """The scopes or the roles, all of which are needed."""
    path: tuple[str, ...] = ()
    """The way to the claim."""
    value: object = None
    """What the claim equals, or contains."""
    parts: tuple[Description, ...] = ()
    """The policies that are combined, in order."""
    routes: tuple[DescribedRoute, ...] = ()
    """Those of ``by_route``, in order."""

    @property
    def is_open(self) -> bool:
        """Whether it lets in who sends no token, on any route: what is asked of a request alone, it cannot say."""
        match self.kind:
            case "anyone":
                return True
            case "all_of":
                return all(part.is_open for part in self.parts)
            case "any_of":
                return any(part.is_open for part in self.parts)
            case _:
                return False


@dataclass(frozen=True, slots=True)
class DescribedRoute:
    """One path, and what it asks for by method: the same fields as a :class:`~jwt_guard.access.routes.Route`."""

    path: str
    pieces: tuple[str | None, ...]
    deep: bool
    opaque: bool
    policies: tuple[tuple[frozenset[str] | None, Description], ...]


FUNCTION = Description("function")
"""All that can be said of a function."""
