"""What is installed → what decodes tokens: the standard library, or orjson and pybase64, to the same verdicts.

The two come with the extra ``jwt_guard[fast]``.  Each is taken where it can be imported, and left alone where
the environment says ``JWT_GUARD_FAST=0``.  What they are trusted with, the modules that use them say:
:mod:`~jwt_guard.tokens.strict_json` and :mod:`~jwt_guard.tokens.compact`.
"""

from __future__ import annotations

import os
from binascii import a2b_base64
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any, NamedTuple, TypeAlias

__all__ = ["SWITCH", "Base64", "Json", "active", "b64decode", "json", "standard_b64decode"]

SWITCH = "JWT_GUARD_FAST"
"""The environment variable that switches both off where it is ``0``; looked at once, when this is imported."""

Base64: TypeAlias = Callable[[bytes, bytes, bool], bytes]
"""(padded text without ``+`` and ``/``, ``b"-_"``, True: nothing is skipped) → octets; raises binascii.Error.

It need not notice spare bits that are set.
"""
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DASH, _UNDERSCORE = b"-_"  # numbers: `b"-" in data` costs an exception inside


class Json(NamedTuple):
    """A reader of JSON, and a writer with one spelling for each value."""

    loads: Callable[[bytes], Any]
    """Raises ValueError for what is no JSON."""
    dumps: Callable[[Any], bytes]
    """Writes no white space, and each number as short as it can be; raises TypeError where it cannot."""


def standard_b64decode(text: bytes, _url_safe: bytes = b"-_", _validate: bool = True) -> bytes:  # noqa: FBT001, FBT002 - as pybase64 has it
    """Decode as the standard library does: a :data:`Base64`."""
    if _DASH in text or _UNDERSCORE in text:
        text = text.translate(_FROM_URL_SAFE)
    return a2b_base64(text, strict_mode=True)


def is_on() -> bool:
    """Say whether the environment leaves the extra on."""
    return os.environ.get(SWITCH) != "0"


def fast_b64decode() -> Base64 | None:
    """Return pybase64's decoder; None where it is absent, or lacks its C part and so is slower than ours."""
    try:
        from pybase64 import b64decode as found
    except ImportError:
        return None
    return found if isinstance(found, BuiltinFunctionType) else None


def fast_json() -> Json | None:
    """Return orjson's reader and writer, None where it is absent."""
    try:
        import orjson
    except ImportError:
        return None
    return Json(orjson.loads, orjson.dumps)


_found = (fast_json(), fast_b64decode()) if is_on() else (None, None)
json = _found[0]
"""None: read with the standard library."""
b64decode: Base64 = _found[1] or standard_b64decode
active = tuple(name for name, part in zip(("orjson", "pybase64"), _found, strict=True) if part is not None)
"""The names of those that are in use."""
