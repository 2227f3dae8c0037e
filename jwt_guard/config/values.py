"""A table of the file → values of the right type, or a sentence that names the file, the place and what is expected.

No sentence repeats a value: it may be a secret.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from ..errors import Misconfigured, shown

__all__ = ["Table", "WrongConfig", "expanded", "is_in_clear"]

_BARE = re.compile(r"[A-Za-z0-9_-]{1,120}")  # a key that TOML wants no quotes for
_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\})?")
_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


class WrongConfig(Misconfigured):
    """What is wrong with a configuration file, and where."""

    def __init__(self, file: str, place: str, reason: str) -> None:
        super().__init__(f"{file}: {place}: {reason}" if place else f"{file}: {reason}")
        self.file = file
        self.place = place
        """Dotted, with strange keys quoted and escaped; empty for the file itself.  Tables of a list count from 1."""
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Table:
    """One table, and where it is."""

    file: Path
    values: Mapping[str, object] = field(repr=False)
    """As written: texts are not expanded."""
    place: str = ""

    def wrong(self, key: str, reason: str) -> WrongConfig:
        """Return the error that says so of *key*, or of the table itself where that is empty."""
        return WrongConfig(str(self.file), self._at(key), reason)

    def only(self, known: Iterable[str], later: Iterable[str] = ()) -> None:
        """Refuse keys that are not *known*, and by name those that *later* versions know."""
        names = sorted(known)
        for key in self.values:
            if key in later:
                raise self.wrong("", f"{_heading(key, self)} is not supported by this version")
            if key not in names:
                near = get_close_matches(key, [*names, *later], 1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
                raise self.wrong(key, f"there is no such key; {hint}")

    def has(self, key: str) -> bool:
        """Say whether *key* is there."""
        return key in self.values

    def text(self, key: str) -> str | None:
        """Return the text at *key*, or None where there is none."""
        return self._text(key, self.values[key], "a text") if key in self.values else None

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return the list of texts at *key*; one text stands for a list of one."""
        if key not in self.values:
            return None
        value, expected = self.values[key], "a text or a list of texts"
        items = value if isinstance(value, list) else [value]
        if not items:
            raise self.wrong(key, f"{expected} is expected, not an empty list")
        return tuple(self._text(key, item, expected) for item in items)

    def list_of_texts(self, key: str) -> tuple[str, ...] | None:
        """Return the list of texts at *key*, which may be empty."""
        if key not in self.values:
            return None
        return tuple(self._text(key, item, "a list of texts") for item in self._list(key, "a list of texts"))

    def paths(self, key: str) -> tuple[str | tuple[str, ...], ...]:
        """Return the list at *key*, which is there, of claim names, and of lists that are the way to a claim."""
        expected = "a list of claim names, or of lists of them"
        paths: list[str | tuple[str, ...]] = []
        for item in self._list(key, expected):
            if isinstance(item, list):
                paths.append(tuple(self._text(key, step, expected) for step in item))
            else:
                paths.append(self._text(key, item, expected))
        return tuple(paths)

    def seconds(self, key: str) -> float | None:
        """Return the number at *key*."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._expected(key, "a number of seconds", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.wrong(key, f"a number of seconds is expected, not {value}")
        if value > sys.float_info.max:
            raise self.wrong(key, "the number is too large")
        return value

    def flag(self, key: str) -> bool | None:
        """Return the truth value at *key*."""
        if key not in self.values:
            return None
        value = self.values[key]
        if not isinstance(value, bool):
            raise self._expected(key, "true or false", value)
        return value

    def whole(self, key: str) -> int | None:
        """Return the whole number above 0 at *key*."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._expected(key, "a whole number", value)
        if value < 1:
            raise self.wrong(key, "a whole number above 0 is expected")
        return value

    def table(self, key: str) -> Table | None:
        """Return the table at *key*."""
        return self.inner(key) if key in self.values else None

    def inner(self, key: str) -> Table:
        """Return the table at *key*, which is there."""
        return self._table(self._at(key), self.values[key], key, "a table")

    def tables(self, key: str) -> tuple[Table, ...] | None:
        """Return the list of tables at *key*; there is at least one."""
        if key not in self.values:
            return None
        expected = "a list of tables"
        items = self._list(key, expected)
        if not items:
            raise self.wrong(key, f"{expected} is expected, not an empty one")
        return tuple(
            self._table(f"{self._at(key)}[{number}]", item, key, expected) for number, item in enumerate(items, 1)
        )

    def path(self, key: str, kind: str = "file") -> Path:
        """Return the file, or what *kind* says, named at *key*, which is there, relative to this file."""
        text = self.text(key)
        if not text:
            raise self.wrong(key, f"the name of a {kind} is expected, not an empty text")
        if "\0" in text:
            raise self.wrong(key, f"the name of a {kind} is expected, and none has a NUL in it")
        return self.file.parent / text

    def _at(self, key: str) -> str:
        return ".".join(filter(None, (self.place, key if not key or _BARE.fullmatch(key) else shown(key))))

    def _list(self, key: str, expected: str) -> list[object]:
        value = self.values[key]
        if not isinstance(value, list):
            raise self._expected(key, expected, value)
        return value

    def _table(self, place: str, value: object, key: str, expected: str) -> Table:
        if not isinstance(value, dict):
            raise self._expected(key, expected, value)
        return Table(self.file, value, place)

    def _text(self, key: str, value: object, expected: str) -> str:
        if not isinstance(value, str):
            raise self._expected(key, expected, value)
        try:
            return expanded(value)
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def _expected(self, key: str, expected: str, value: object) -> WrongConfig:
        return self.wrong(key, f"{expected} is expected, not {_KINDS.get(type(value), 'a date or time')}")


def expanded(text: str) -> str:
    """Return *text* with ``${NAME}`` from the environment and ``$$`` as a dollar.

    Raises ValueError, which says what is missing or malformed and repeats nothing else.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        if not match[2]:
            raise ValueError("a dollar is written $$, and what the environment has ${NAME}")
        value = os.environ.get(match[2])
        if value is None:
            raise ValueError(f"the environment has no {match[2]}")
        return value

    return _REFERENCE.sub(replacement, text)


def is_in_clear(text: object) -> bool:
    """Say whether *text* is a text that, as written, takes nothing from the environment."""
    return isinstance(text, str) and not any(match[2] for match in _REFERENCE.finditer(text))


def _heading(key: str, table: Table) -> str:
    if table.place:
        return shown(key)
    return (
        f"[[{key}]]"
        if isinstance(table.values[key], list)
        else f"[{key}]"
        if isinstance(table.values[key], dict)
        else key
    )
