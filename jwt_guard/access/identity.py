"""Claims → Credentials: one reader for each dialect of user, client, scopes and roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from ..credentials import Credentials, ReadOnly
from ..errors import ClaimRejected, Misconfigured
from ..tokens.claims import Claims, has_control

__all__ = ["ClaimNames", "Path", "Reader", "reader"]

Reader: TypeAlias = Callable[[Claims, str], Credentials]
"""(claims, provider name) → credentials; raises ClaimRejected for a claim of the wrong shape."""
Path: TypeAlias = "str | tuple[str, ...]"
"""A claim, or the way to one inside others: ``("realm_access", "roles")``.

A last step of ``*`` stands for the names of an object's members, where an issuer writes a list that way.
"""

_NOTHING: frozenset[str] = frozenset()
_LONGEST_KEPT = 1_024
_NAMES = "*"


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims say what; of each list the first that is present wins."""

    user: tuple[Path, ...] = ("sub",)
    client: tuple[Path, ...] = ("client_id", "azp", "cid")
    scopes: tuple[Path, ...] = ("scope", "scp")
    roles: tuple[Path, ...] = ("roles",)

    def __post_init__(self) -> None:
        """Refuse an empty name; an empty list says that no claim tells."""
        for paths in (self.user, self.client, self.scopes, self.roles):
            if not isinstance(paths, tuple):
                raise Misconfigured("claim names: each is a tuple of names or paths")
            for path in paths:
                named = isinstance(path, str | tuple) and path
                if not named or not all(isinstance(name, str) and name for name in _steps(path)):
                    raise Misconfigured("claim names: a name is a text that is not empty")


def reader(names: ClaimNames, is_machine: Callable[[Mapping[str, Any]], bool] | None = None) -> Reader:
    """Return the reader of *names*.

    A token whose user is its client itself names nobody (RFC 9068 §5), nor does one that *is_machine*.
    """
    user, client = _finder(names.user), _finder(names.client)
    scopes, roles = _finder(names.scopes), _finder(names.roles)

    def read(claims: Claims, provider: str) -> Credentials:
        values = claims.values
        frozen = ReadOnly(values)
        # Nearly all names are just that; the others _text tells apart.
        who = user(values)
        if who is not None and not (who.__class__ is str and who and who.isprintable()):
            who = _text("user", who)
        application = client(values)
        if application is not None and not (application.__class__ is str and application and application.isprintable()):
            application = _text("client", application)
        if who is not None and (who == application or (is_machine is not None and is_machine(frozen))):
            who = None
        return Credentials(
            who,
            application,
            _words("scopes", scopes(values)),
            _names("roles", roles(values)),
            provider,
            frozen,
        )

    return read


def _steps(path: Path) -> tuple[str, ...]:
    return (path,) if isinstance(path, str) else path


def _finder(paths: tuple[Path, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that gives the value of the first of *paths* that is present, None where none is."""
    plain = tuple(path for path in paths if isinstance(path, str))
    deep = tuple(map(_steps, paths))
    if len(plain) == len(paths) == 1:
        only = plain[0]
        return lambda values: values.get(only)

    def find_plain(values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
        for name in plain:
            value = values.get(name)
            if value is not None:
                return value
        return None

    def find_deep(values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
        for steps in deep:
            value: Any = values
            for name in steps:
                if not isinstance(value, dict):
                    value = None
                    break
                value = [*value] if name == _NAMES else value.get(name)
            if value is not None:
                return value
        return None

    return find_plain if len(plain) == len(paths) else find_deep


# What follows takes the name of what is read only for the error.


def _text(claim: str, value: object) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # PyJOAT names the client in aud
    if isinstance(value, str) and value and (value.isprintable() or not has_control(value)):
        return value
    raise ClaimRejected(claim, "names nobody: it is no text")


def _words(claim: str, value: object) -> frozenset[str]:
    """Read a scope: words between spaces (RFC 6749 §3.3), or a list of words."""
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        words = _split(value) if len(value) <= _LONGEST_KEPT else _split.__wrapped__(value)
        if words is None:
            raise ClaimRejected(claim, "has a control character in it")
        return words
    names = _names(claim, value)
    if any(" " in name for name in names):
        raise ClaimRejected(claim, "has a word with a space in it")
    return names


# An issuer grants the same few scopes again and again; a client that may choose writes long ones.
@lru_cache(maxsize=512)
def _split(text: str) -> frozenset[str] | None:
    return None if has_control(text) else frozenset(word for word in text.split(" ") if word)


def _names(claim: str, value: object) -> frozenset[str]:
    """Read one name, or a list of names, which may have spaces in them as roles do."""
    if value is None or value == "":
        return _NOTHING
    listed: list[Any] = value if isinstance(value, list) else [value]
    try:
        together = "".join(listed)
    except TypeError:
        raise ClaimRejected(claim, "is neither a text nor a list of names") from None
    if "" in listed or not (together.isprintable() or not has_control(together)):
        raise ClaimRejected(claim, "has an empty name, or a control character in one")
    names = tuple(listed)
    return _set_of(names) if len(together) <= _LONGEST_KEPT else frozenset(names)


@lru_cache(maxsize=512)  # the same few roles, in the same order, again and again
def _set_of(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)
