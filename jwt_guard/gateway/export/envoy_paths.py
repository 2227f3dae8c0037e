"""A route → the regular expression (RE2) of the paths that are its own, whichever way they are spelt.

Envoy compares paths as they were sent.  So every spelling of a path is in the expression, and none that two programs
could read differently (see :func:`~jwt_guard.access.routes.segments`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...access.description import DescribedRoute

__all__ = ["LONGER", "also_read_as", "own_paths"]

_DOT: Final = 0x2E
_SLASH, _SEMICOLON, _BACKSLASH = 0x2F, 0x3B, 0x5C
_VISIBLE = range(0x21, 0x7F)
_NEVER_BARE = frozenset(b"#%/;?\\")


def own_paths(route: DescribedRoute) -> str:
    """Return the expression of the paths that match *route* and have a normal form."""
    segment = _OPAQUE_SEGMENT if route.opaque else _SEGMENT
    fixed = "".join("/" + (segment if piece is None else _literal(piece)) for piece in route.pieces)
    if route.deep:
        return f"{fixed}(?:/{segment})*/?" if fixed else f"/(?:{segment}(?:/{segment})*/?)?"
    return f"{fixed}/?" if fixed else "/"


def also_read_as(route: DescribedRoute) -> str:
    """Return the expression of the paths that a program which does not keep segments whole would read as *route*."""
    pieces = [f"{_WILD if piece is None else _literal(piece)}{_PARAMETERS}" for piece in route.pieces]
    rest = f"(?:{_BREAK}(?s:.*))?" if route.deep else ""
    return f"{_BREAK}{_BREAK.join(pieces)}{rest}{_BREAK[:-1]}*"


def _escape(octet: int) -> str:
    return "%" + "".join(_either_case(digit) for digit in f"{octet:02X}")


def _either_case(digit: str) -> str:
    return digit if digit.isdigit() else f"[{digit}{digit.lower()}]"


def _literal(piece: str) -> str:
    return "".join(map(_octet, piece.encode("utf-8")))


def _octet(octet: int) -> str:
    """Return the spellings of one octet of a segment: as it is where it may stand so, and escaped."""
    bare = octet in _VISIBLE and (octet not in _NEVER_BARE or octet == _SEMICOLON)
    return f"(?:{re.escape(chr(octet))}|{_escape(octet)})" if bare else _escape(octet)


def _nibbles(octets: list[int]) -> str:
    digits = [f"{octet & 15:X}" for octet in octets]
    return "[" + "".join(digit if digit.isdigit() else digit + digit.lower() for digit in digits) + "]"


def _escapes_of_ascii() -> str:
    allowed = [octet for octet in range(0x20, 0x7F) if octet not in {_DOT, _SLASH, _SEMICOLON, _BACKSLASH}]
    rows = [[octet for octet in allowed if octet >> 4 == high] for high in range(2, 8)]
    return "|".join(f"{high:X}{_nibbles(row)}" for high, row in enumerate(rows, 2))


_NEXT = "%[89ABab][0-9A-Fa-f]"
# The well-formed sequences of Unicode §3.9, table 3-7, without the control characters U+0080 to U+009F.
_MORE_OCTETS = "|".join((
    "[Cc]2%[ABab][0-9A-Fa-f]",
    f"(?:[Cc][3-9A-Fa-f]|[Dd][0-9A-Fa-f]){_NEXT}",
    f"[Ee]0%[ABab][0-9A-Fa-f]{_NEXT}",
    f"[Ee][1-9A-Ca-cEeFf]{_NEXT}{_NEXT}",
    f"[Ee][Dd]%[89][0-9A-Fa-f]{_NEXT}",
    f"[Ff]0%[9ABab][0-9A-Fa-f]{_NEXT}{_NEXT}",
    f"[Ff][1-3]{_NEXT}{_NEXT}{_NEXT}",
    f"[Ff]4%8[0-9A-Fa-f]{_NEXT}{_NEXT}",
))  # fmt: skip
_BARE = "".join(re.escape(chr(octet)) for octet in range(0x21, 0x7F) if octet != _DOT and octet not in _NEVER_BARE)
_ONE = f"(?:[{_BARE}]|%(?:{_escapes_of_ascii()}|{_MORE_OCTETS}))"
_FULL_STOP = "(?:\\.|%2[Ee])"
# A segment that is neither "." nor "..", in whichever spelling.
_SEGMENT = f"(?:{_FULL_STOP}{{0,2}}{_ONE}|{_FULL_STOP}{{3}})(?:{_ONE}|{_FULL_STOP})*"
_INSIDE = "(?:;|%3[Bb]|%2[Ff])"
_OPAQUE_SEGMENT = f"(?:{_SEGMENT}(?:{_INSIDE}(?:{_SEGMENT})?)*|(?:{_INSIDE}(?:{_SEGMENT})?)+)"
_BREAK = "(?:/|%2[Ff])+"
_WITHIN = "(?:[^/%]|%(?:[013-9A-Fa-f][0-9A-Fa-f]|2[0-9A-Ea-e]))"
_WILD = f"{_WITHIN}+"
_PARAMETERS = f"(?:(?:;|%3[Bb]){_WITHIN}*)?"

LONGER: Final = "[!-~]{1000}" * 8 + "[!-~]{193}[!-~]*"
"""The paths that are longer than any route's own, 8,192 characters."""
