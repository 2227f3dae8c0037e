"""``Accept`` and ``_format`` → whether the answer will be JSON, which is all that a filter here can read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

__all__ = ["Format", "is_form", "wanted_format"]

Format: TypeAlias = Literal["json", "any", "other"]
"""What is asked for: JSON alone; JSON among others, or nothing in particular; or what no filter here can read."""

# FHIR R4 §3.1.0 takes short names as well, and `+` is a blank to whoever decodes the query as a form.
_JSON = frozenset({"json", "text/json", "application/json", "application/fhir+json", "application/fhir json"})
_ANY = frozenset({"*/*", "application/*"})
_UTF_8 = frozenset({"utf-8", "utf8"})
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")  # RFC 9110 §12.4.2
_FORM = "application/x-www-form-urlencoded"


def wanted_format(accept: Iterable[str], override: Iterable[str]) -> Format:
    """Return what the values of ``Accept``, or where there are any those of ``_format``, ask for (FHIR R4 §3.1.0)."""
    formats = list(override)
    if formats:
        return "json" if all(map(_is_json, formats)) else "other"
    ranges = [text for value in accept for piece in value.split(",") if (text := piece.strip(" \t"))]
    kinds = {kind for kind in map(_range, ranges) if kind is not None}
    if not ranges:
        return "any"
    if kinds == {"json"}:
        return "json"
    return "any" if kinds & {"json", "any"} and not _says_no_json(ranges) else "other"


def is_form(content_type: str) -> bool | None:
    """Say whether a body of *content_type* is a form, in an encoding that is read here; None: a form in another."""
    if content_type.partition(";")[0].strip(" \t").lower() != _FORM:
        return False
    return True if _is_utf_8(_attributes(content_type)) else None


def _range(text: str) -> Format | None:
    """Return which kind of answer one range of ``Accept`` lets be; None where its weight is nought."""
    attributes = _attributes(text)
    weight = attributes.get("q", "1")
    if not _WEIGHT.fullmatch(weight) or not _is_utf_8(attributes):
        return "other"
    if float(weight) == 0:
        return None
    kind = _type(text)
    return "json" if kind in _JSON else "any" if kind in _ANY else "other"


def _is_json(text: str) -> bool:
    return _type(text) in _JSON and _is_utf_8(_attributes(text))


def _says_no_json(ranges: Iterable[str]) -> bool:
    """Say whether JSON is what *ranges* exclude by name, so that ``*/*`` beside it means something else."""
    return any(_type(text) in _JSON and _range(text) is None for text in ranges)


def _is_utf_8(attributes: dict[str, str]) -> bool:
    return attributes.get("charset", "utf-8") in _UTF_8


def _type(text: str) -> str:
    return text.partition(";")[0].strip(" \t").lower()


def _attributes(text: str) -> dict[str, str]:
    pieces = (piece.partition("=") for piece in text.lower().split(";")[1:])
    return {name.strip(" \t"): value.strip(' \t"') for name, _, value in pieces}
