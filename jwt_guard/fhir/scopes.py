"""Scope texts such as ``patient/Observation.rs?category=…`` → SmartScopes, and what all of a token's allow together.

The grammar is that of SMART App Launch 2.2.0, "Scopes for requesting FHIR resources", with the words of version 1
beside it.  What is not understood grants nothing, and is reported; a parameter is never dropped, since a scope
without it allows more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from ..access.koppeltaal import permission
from ..errors import shown
from .resource_types import R4

__all__ = ["Context", "Grants", "SmartScope", "Unreadable", "granted", "read_scope"]

Context: TypeAlias = Literal["patient", "user", "system"]
"""Whose data: the patient's in context, those that the user may see, or those that the client may."""

_LETTERS: Final = "cruds"
_CONTEXTS: Final[dict[str, Context]] = {"patient": "patient", "user": "user", "system": "system"}
_VERSION_1: Final = {"read": frozenset("rs"), "write": frozenset("cud"), "*": frozenset(_LETTERS)}
_URI: Final = "http://smarthealthit.org/fhir/scopes/"
_ORIGIN: Final = "resource-origin"
_OF_EVERY_TYPE: Final = frozenset({"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"})
"""The parameters with an underscore that say what a resource is like; the others ask for something else."""

_VERSION_2 = re.compile(r"(?=[cruds])c?r?u?d?s?")
_ENTRA = re.compile(r"\A(patient|user|system)(?:%2[Ff]|[.$])")
_PARTS = re.compile(r"([^.?]*)\.([^?]*)(?:\?(.*))?", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*(?:[.:][A-Za-z0-9_-]+)*"
# RFC 6749 §3.3's characters, but for those that could be read as the end of a value or as a second one.  Each part of
# a list has a letter or a digit: a server may ignore what has none, and then it narrows nothing.
_SIGN = r"(?:[!$'-+\--/:;<>@\[\]-`{-~]|%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]))"
_WORD = r"(?:[A-Za-z0-9]|%[89A-Fa-f][0-9A-Fa-f])"
_MEMBER = rf"{_SIGN}*{_WORD}(?:{_SIGN}|{_WORD})*"
_PARAMETER = re.compile(rf"({_NAME})=({_MEMBER}(?:,{_MEMBER})*)")


@dataclass(frozen=True, slots=True)
class SmartScope:
    """What one scope allows."""

    context: Context
    resource_type: str
    """One of FHIR's, or ``*``."""
    letters: frozenset[str]
    """Which of create, read, update, delete and search (``c r u d s``)."""
    parameters: tuple[tuple[str, str], ...] = ()
    """The search parameters that a resource must meet, all of them, as they are written: nothing is decoded."""
    origins: frozenset[str] | None = None
    """The Devices of Koppeltaal's ``resource-origin``, as ``Device/id``, if that is the parameter; else None."""

    @property
    def unenforceable(self) -> tuple[str, ...]:
        """The parameters that this guard does not hold resources against: such a scope allows nothing here.

        These are what SMART calls experimental (modifiers, chains, ``_filter``), other ways to say what to answer
        (``_has``, ``_include``, ``_count``), and an origin outside Koppeltaal's own scopes.
        """
        return tuple(name for name, _ in self.parameters if not self._is_plain(name))

    def _is_plain(self, name: str) -> bool:
        if name == _ORIGIN:
            return self.origins is not None
        return name in _OF_EVERY_TYPE or _PLAIN.fullmatch(name) is not None

    def __str__(self) -> str:
        """Return the scope in the spelling of version 2."""
        letters = "".join(letter for letter in _LETTERS if letter in self.letters)
        narrowed = "&".join(f"{name}={value}" for name, value in self.parameters)
        return f"{self.context}/{self.resource_type}.{letters}{'?' if narrowed else ''}{narrowed}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A scope that begins like one of SMART and goes on like none: it grants nothing."""

    text: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.text)}: {self.reason}"


def read_scope(
    text: str, *, types: frozenset[str] = R4, entra_spelling: bool = False
) -> SmartScope | Unreadable | None:
    """Return what *text*, one scope, allows; None for what is no scope for FHIR resources, such as ``launch/patient``.

    *types* are the resource types of the server's FHIR version.  With *entra_spelling* the slash may be ``.``, ``$``
    or ``%2f``, which Microsoft Entra ID has instead.
    """
    named = text.removeprefix(_URI)
    if entra_spelling:
        named = _ENTRA.sub(r"\1/", named)
    first, slash, rest = named.partition("/")
    context = _CONTEXTS.get(first)
    if context is None or not slash:
        return None
    scope = _resources(context, rest, types)
    return scope if isinstance(scope, SmartScope) else Unreadable(text, scope)


def _resources(context: Context, text: str, types: frozenset[str]) -> SmartScope | str:
    """Return the scope whose part after the slash is *text*, or the reason why it is none."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return "a resource type is followed by a dot and letters"
    resource_type, word, query = parts.groups()
    if resource_type != "*" and resource_type not in types:
        return "no such resource type"
    letters = _VERSION_1.get(word)  # before the letters: read is none of r, d
    if letters is None:
        if not _VERSION_2.fullmatch(word):
            return "its letters are none of c r u d s, or not in that order"
        letters = frozenset(word)
    elif query is not None:
        return "parameters go with the letters of version 2"
    if query is None:
        return SmartScope(context, resource_type, letters)
    found = [_PARAMETER.fullmatch(each) for each in query.split("&")]
    parameters = tuple((each[1], each[2]) for each in found if each is not None)
    if len(parameters) != len(found):
        return "its parameters are not each a name, one =, and a value"
    scope = SmartScope(context, resource_type, letters, parameters)
    return _of_koppeltaal(scope) if context == "system" and any(name == _ORIGIN for name, _ in parameters) else scope


def _of_koppeltaal(scope: SmartScope) -> SmartScope | str:
    allowed = permission(str(scope))
    if allowed is None:
        return "its resource-origin is not one list of Devices and the only parameter"
    return replace(scope, origins=allowed.origins)


# --- all of a token's scopes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grants:
    """What the scopes of one token allow together: their union."""

    scopes: tuple[SmartScope, ...]
    """Those that count; without any, nothing is allowed."""
    unenforceable: tuple[SmartScope, ...]
    """Those that count for nothing, since they are narrowed by what this guard does not check."""
    unreadable: tuple[Unreadable, ...]
    """Those that count for nothing, since they are not understood."""
    types: frozenset[str] = field(repr=False)
    """The resource types that ``*`` stands for."""

    @property
    def contexts(self) -> frozenset[Context]:
        """Whose data there are scopes for."""
        return frozenset(each.context for each in self.scopes)

    def applying(self, resource_type: str, letter: str, context: Context) -> tuple[SmartScope, ...]:
        """Return the scopes that allow *letter*, one of ``c r u d s``, on *resource_type* in *context*.

        Empty: it is not allowed.  One without parameters is returned alone, since it allows all that the others do.
        Otherwise a resource must meet every parameter of one of them, whichever.  The type ``*`` asks for scopes for
        every type.  An interaction that needs two letters is asked about twice.
        """
        if resource_type != "*" and resource_type not in self.types:
            return ()
        wanted = ("*", resource_type)
        found = tuple(
            each
            for each in self.scopes
            if each.context == context and letter in each.letters and each.resource_type in wanted
        )
        whole = next((each for each in found if not each.parameters), None)
        return found if whole is None else (whole,)


def granted(
    scopes: Iterable[str],
    *,
    types: frozenset[str] = R4,
    entra_spelling: bool = False,
    system_read_includes_search: bool = False,
) -> Grants:
    """Return what *scopes*, those of credentials, allow together; versions and contexts may be mixed.

    *types* and *entra_spelling* are as for :func:`read_scope`.  With *system_read_includes_search* the letter ``r``
    of a system scope is ``s`` as well, as Koppeltaal has it.
    """
    texts = sorted(set(scopes))  # a set has no order, and what is reported should have one
    read = [read_scope(text, types=types, entra_spelling=entra_spelling) for text in texts]
    smart = [each for each in read if isinstance(each, SmartScope)]
    if system_read_includes_search:
        smart = [_searching(each) for each in smart]
    once = tuple(dict.fromkeys(smart))
    return Grants(
        scopes=tuple(each for each in once if not each.unenforceable),
        unenforceable=tuple(each for each in once if each.unenforceable),
        unreadable=tuple(each for each in read if isinstance(each, Unreadable)),
        types=types,
    )


def _searching(scope: SmartScope) -> SmartScope:
    if scope.context == "system" and "r" in scope.letters:
        return replace(scope, letters=scope.letters | {"s"})
    return scope
