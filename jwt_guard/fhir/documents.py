"""Octets ↔ FHIR's JSON: read where it can be read in one way only, and written so that no decimal loses a digit.

What is judged is what is sent on: it is read here, judged, and written anew, whether it comes from a client or from the
server.  With the extra ``jwt_guard[fast]`` it is orjson that reads and writes, to the same verdicts.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..tokens import decoding

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEEPEST", "read", "read_list", "written"]

DEEPEST: Final = 254
"""How deep a document may be nested: as deep as orjson writes; the deepest that FHIR shows are a dozen."""
_LONGEST_INTEGER = 20  # characters: 64 bits and a sign, and ten thousand digits waste nobody's time
_WHITESPACE = " \t\n\r"
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^][{}]+")
_ALIKE = str.maketrans("{}", "[]")  # which closes which, the reader itself looks at
# Writers take an exact number for a text with this before it; nobody outside this process can write such a text.
_MARK: Final = secrets.token_hex(16)
_MARKED = re.compile(rf'"{_MARK}([^"]*)"'.encode())


def read(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that *body* is; None where it is none, or could be read in more than one way.

    It is UTF-8, without a byte order mark; no object has a member twice; no number is NaN, beyond all bounds or a
    whole one of more than 20 characters; no text has half of a surrogate pair; and it is no deeper than
    :data:`DEEPEST`.

    A number that a float would be written otherwise than, such as 5.40, is a :class:`~decimal.Decimal`: how many
    digits it has means something (hl7.org/fhir/R4/datatypes.html#decimal).
    """
    if _loads is not None and _dumps is not None:
        # What orjson writes can be read in one way only: with a member twice, white space or 5.40 in it, it would
        # be written otherwise.
        try:
            value: dict[str, Any] = _loads(body)
            if value.__class__ is dict and _dumps(value) == body:
                return value
        except (ValueError, TypeError):
            pass
    try:
        value = _plainly_read(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_list(body: bytes) -> list[Any] | None:
    """Return the JSON array that *body* is, by the rules of :func:`read`; None where it is none."""
    try:
        value = _plainly_read(body)
    except ValueError:
        return None
    return value if isinstance(value, list) else None


def written(document: object) -> bytes:
    """Return *document*, of what :func:`read` gives, as JSON without white space."""
    try:
        text = _plainly_written(document) if _dumps is None else _dumps(document, default=_marked)
    except TypeError:  # it is deeper than orjson writes, or has a whole number of more than 64 bits
        text = _plainly_written(document)
    return _MARKED.sub(rb"\1", text) if _MARK.encode() in text else text


def _plainly_written(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_marked).encode()


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value}"
    raise TypeError("this is nothing that JSON has")


def _plainly_read(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Do so with the standard library, whose verdict counts wherever there is a doubt; raises ValueError."""
    text = body.decode("utf-8").strip(_WHITESPACE)
    if _dumps is None and _is_too_deep(text):
        raise ValueError("it is nested too deep")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("it is no JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    # Where orjson can write it, it is not too deep, and counting the brackets takes longer than all the rest.
    if _dumps is not None and not _is_written_by(_dumps, value) and _is_too_deep(text):
        raise ValueError("it is nested too deep")
    if end != len(text):
        raise ValueError("it goes on after its end")
    if "\\ud" in text or "\\uD" in text:
        _plainly_written(value)  # half of a surrogate pair has no UTF-8, and raises a ValueError
    return value


def _is_written_by(dumps: Callable[..., bytes], value: object) -> bool:
    try:
        dumps(value, default=_marked)
    except TypeError:
        return False
    return True


def _is_too_deep(text: str) -> bool:
    brackets = _NO_BRACKETS.sub("", _STRINGS.sub("", text)).translate(_ALIKE)
    for _ in range(DEEPEST):
        if not brackets:
            break
        brackets = brackets.replace("[]", "")  # what is innermost, and so one level of each
    return bool(brackets)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(members)
    if len(values) != len(members):
        raise ValueError("it has a member twice")
    return values


def _integer(digits: str) -> int | Decimal:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError("it has a whole number of more than 20 characters")
    return Decimal(digits) if digits == "-0" else int(digits)


def _decimal(digits: str) -> float | Decimal:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("it has a number beyond all bounds")
    return number if repr(number) == digits else Decimal(digits)


def _constant(_name: str) -> NoReturn:
    raise ValueError("it has a number that is none")  # NaN, Infinity, -Infinity


_loads: Callable[[bytes], Any] | None = None if decoding.json is None else decoding.json.loads
_dumps: Callable[..., bytes] | None = None if decoding.json is None else decoding.json.dumps
_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
# The scanner itself: decode() takes white space in front that this module has looked at already.
_scan: Callable[[str, int], tuple[Any, int]] = vars(_decoder)["scan_once"]
