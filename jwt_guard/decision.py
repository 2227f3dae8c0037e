"""The two answers a guard has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from .credentials import Credentials
from .errors import GuardError

__all__ = ["Allow", "Decision", "Deny"]


class _NotATruthValue:
    __slots__ = ()

    def __bool__(self) -> NoReturn:
        # `if decision:` would take every Deny for a yes.
        message = "a decision is no truth value: match it, or ask isinstance(decision, Allow)"
        raise TypeError(message)


@dataclass(frozen=True, slots=True, init=False)
class Allow(_NotATruthValue):
    """Let the request in."""

    credentials: Credentials | None
    """None on an open route that nobody identified themselves on."""

    def __init__(self, credentials: Credentials | None) -> None:
        _set_credentials(self, credentials)


_set_credentials = vars(Allow)["credentials"].__set__  # by name it would take twice as long, on every request


@dataclass(frozen=True, slots=True)
class Deny(_NotATruthValue):
    """Keep the request out."""

    error: GuardError


Decision: TypeAlias = Allow | Deny
