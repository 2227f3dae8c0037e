"""The headers of an answer that nobody looks at → those for the client: each place is named by our own base."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from .links import ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server import Server

__all__ = ["Raw", "handed_on"]

Raw: TypeAlias = "list[tuple[bytes, bytes]]"

_PLACES: Final = frozenset({b"content-location", b"location"})
_LINK: Final = b"link"
_SAID_BY_US: Final = b"access-control-"
_TARGET: Final = re.compile(r"<([^<>]*)>")  # RFC 8288 §3


def handed_on(headers: Iterable[tuple[bytes, bytes]], server: Server, root: str) -> Raw:
    """Return what of *headers* the client gets; *root* is the path of the base at the server itself.

    Which pages may read the answer is ours to say.
    """
    kept: Raw = []
    for name, value in headers:
        lower = name.lower()
        if lower in _PLACES:
            kept.append((lower, ours(value.decode("latin-1"), server, root).encode("latin-1")))
        elif lower == _LINK:
            said = _TARGET.sub(lambda found: f"<{ours(found[1], server, root)}>", value.decode("latin-1"))
            kept.append((lower, said.encode("latin-1")))
        elif not lower.startswith(_SAID_BY_US):
            kept.append((lower, value))
    return kept
