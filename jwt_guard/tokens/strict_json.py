"""Bytes → one JSON object that can be read in one way only (RFC 8259, RFC 7493), or the reason why not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from . import decoding

__all__ = ["NotStrictJson", "json_object"]

_LONGEST_INTEGER = 20  # characters: 64 bits and a sign, and ten thousand digits waste nobody's time
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACE, _BRACKET, _BACKSLASH = b"{[\\"  # numbers: `b"x" in data` costs an exception inside
_WHITESPACE = " \t\n\r"


class NotStrictJson(ValueError):
    """Why not, as the end of a sentence; never any of the text."""


def json_object(data: bytes, depth: int) -> dict[str, Any]:
    """Return the object that *data* is: UTF-8, no member twice, nested at most *depth* deep.

    No byte order mark, NaN, Infinity, half of a surrogate pair or integer of more than 20 characters.
    Raises NotStrictJson, and nothing else.
    """
    if _fast is not None and _BACKSLASH not in data and data.count(_BRACE) + data.count(_BRACKET) <= depth:
        # What orjson writes can be read in one way only, so what it would write just so can, too: with a member
        # twice, white space, -0 or a long integer in it, it would be written otherwise.  (So it would with most
        # backslashes, which are not worth the try.)
        loads, dumps = _fast
        try:
            value = loads(data)
            if value.__class__ is dict and dumps(value) == data:
                return value
        except (ValueError, TypeError):
            pass
    return _read(data, depth)


def _read(data: bytes, depth: int) -> dict[str, Any]:
    """Do so with the standard library, whose verdict counts wherever there is a doubt."""
    try:
        text = data.decode("utf-8").strip(_WHITESPACE)
    except UnicodeDecodeError:
        raise NotStrictJson("is not UTF-8") from None
    if text[:1] != "{":
        raise NotStrictJson("is no JSON object")
    if data.count(_BRACE) + data.count(_BRACKET) > depth and _depth_of(text) > depth:
        raise NotStrictJson(f"is nested more than {depth} deep")
    try:
        value, end = _scan(text, 0)
    except NotStrictJson:
        raise
    except (ValueError, StopIteration):
        raise NotStrictJson("is no JSON") from None
    if end != len(text):
        raise NotStrictJson("goes on after its end")
    # The first test is for speed: one byte is found ten times faster than three.
    if _BACKSLASH in data and (b"\\ud" in data or b"\\uD" in data) and _has_half_a_pair(value):
        raise NotStrictJson("has half of a surrogate pair")
    return value  # type: ignore[no-any-return]  # the scanner is untyped; it began with "{"


def _depth_of(text: str) -> int:
    deepest = depth = 0
    for character in _STRINGS.sub("", text):
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _has_half_a_pair(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(members)
    if len(values) != len(members):
        raise NotStrictJson("has a member twice")  # RFC 8725 §2.4, RFC 7493 §2.3
    return values


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise NotStrictJson("has an integer of more than 20 characters")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotStrictJson("has a number beyond all bounds")
    return number


def _constant(_name: str) -> NoReturn:
    raise NotStrictJson("has a number that is none")  # NaN, Infinity, -Infinity


_fast = decoding.json
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
# The scanner itself: decode() wraps it in two regular expressions for white space.  Its name is as old as the module.
_scan: Callable[[str, int], tuple[Any, int]] = vars(_decoder)["scan_once"]
