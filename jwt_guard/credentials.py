"""Who is asking: the one thing an application sees of a token, and where it finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any, final

__all__ = ["CURRENT", "Credentials", "ReadOnly", "current"]


@final
@dataclass(frozen=True, slots=True, repr=False, init=False)
class Credentials:
    """A caller whose token was verified, in the same words whichever provider issued it."""

    user: str | None
    """The person, or None for a machine and where the token names nobody."""
    client: str | None
    """The application the token was issued to."""
    scopes: frozenset[str]
    roles: frozenset[str]
    provider: str
    """The name of the provider whose key verified the token."""
    claims: Mapping[str, Any] = field(hash=False)
    """Everything the token says, read-only to the bottom."""

    def __init__(  # noqa: PLR0913, PLR0917 - as a dataclass has it, in half the time, since each request makes one
        self,
        user: str | None,
        client: str | None,
        scopes: frozenset[str],
        roles: frozenset[str],
        provider: str,
        claims: Mapping[str, Any],
    ) -> None:
        _set_user(self, user)
        _set_client(self, client)
        _set_scopes(self, scopes)
        _set_roles(self, roles)
        _set_provider(self, provider)
        _set_claims(self, claims)

    def __repr__(self) -> str:
        """Show everything but the claims, which belong in no log."""
        return (
            f"Credentials(user={self.user!r}, client={self.client!r}, scopes={sorted(self.scopes)}, "
            f"roles={sorted(self.roles)}, provider={self.provider!r})"
        )

    def can(self, *scopes: str) -> bool:
        """Say whether the token carries every one of *scopes*; asking for none is a mistake (ValueError)."""
        if not scopes:
            message = "can() needs at least one scope"
            raise ValueError(message)
        return self.scopes.issuperset(scopes)


# The slots themselves, which do not know that the class is frozen.
_set_user, _set_client, _set_scopes, _set_roles, _set_provider, _set_claims = (
    vars(Credentials)[each.name].__set__ for each in fields(Credentials)
)

CURRENT: ContextVar[Credentials | None] = ContextVar("jwt_guard_credentials", default=None)
"""Set by shells around the application, read by :func:`current`."""


def current() -> Credentials | None:
    """Return the credentials of the request being served.

    None outside a request and on an open route where nobody identified themselves.
    """
    return CURRENT.get()


class ReadOnly(Mapping[str, Any]):
    """A JSON object that cannot be changed: its objects are read-only too, its arrays are tuples."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a JSON value
        return _frozen(self._values[name])

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - a JSON value
        """Return the member *name*, or *default*: as Mapping does, without an exception where there is none."""
        values = self._values
        return _frozen(values[name]) if name in values else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} claims>"  # a claim set belongs in no log


def _frozen(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return ReadOnly(value)
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value
