"""The text of a query or of a form → its parameters in order, or nothing where two programs could read two things."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import parse_qsl

from ..tokens.claims import has_control

__all__ = ["Parameters", "named", "read_parameters"]

Parameters: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value), decoded, duplicates kept."""

_LONGEST = 65_536
_MOST = 1_000
# A semicolon ends a parameter for some programs, and what follows a broken escape is anybody's guess.
_UNCLEAR = re.compile(r"[^\x21-\x7e]|[#;]|%(?![0-9A-Fa-f]{2})")
# No blanks, which some trim, and no brackets, of which some make lists: each would let another name through.
_NAME = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_$.:-]{0,255}")


def read_parameters(text: str) -> Parameters | None:
    """Return the parameters of *text*, form-urlencoded, as they stand; None where it has no one reading.

    Refused are octets that are no ASCII, broken escapes, ``;``, names that no FHIR parameter could have, what is not
    UTF-8, control characters, more than 1,000 parameters, and more than 64 KiB.
    """
    if len(text) > _LONGEST or _UNCLEAR.search(text):
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST, errors="strict")
    except ValueError:
        return None
    if any(not _NAME.fullmatch(name) or has_control(value) for name, value in pairs):
        return None
    return tuple(pairs)


def named(name: str, parameters: Parameters) -> tuple[str, ...]:
    """Return the values of each parameter *name*, with whatever modifier: ``_has`` is also ``_has:Observation:…``."""
    return tuple(value for found, value in parameters if plain(found) == name)


def plain(name: str) -> str:
    """Return *name* without its modifiers, and without what a chain asks of the resources at its end."""
    return re.split(r"[:.]", name, maxsplit=1)[0]


def only(names: Iterable[str], parameters: Parameters) -> bool:
    """Say whether each of *parameters* is one of *names*, with no modifier."""
    known = frozenset(names)
    return all(name in known for name, _ in parameters)
