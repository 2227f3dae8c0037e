"""The origins whose pages may use a FHIR server → what answers say, so that a browser lets such a page read them.

SMART App Launch 2.2.0 has apps that are nothing but a page, and asks servers to let them in.  A bearer token is
nothing that a browser adds by itself, so that a page without one gets nothing by being let in (Fetch standard §3.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ..messages import Response

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..messages import Request

__all__ = ["ANY", "allowing", "preflight"]

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

ANY: Final = "*"
"""Every origin."""
_EXPOSED: Final = "WWW-Authenticate, Location, Content-Location, ETag, Last-Modified"
_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS: Final = (
    "Authorization, Accept, Content-Type, Prefer, If-Match, If-None-Match, If-None-Exist, If-Modified-Since"
)
_LIFETIME: Final = "3600"


def allowing(request: Request, origins: Collection[str]) -> Headers:
    """Return the headers of an answer to *request* by which a page of *origins* may read it."""
    if not origins:
        return ()
    if ANY in origins:
        return (("access-control-allow-origin", ANY), ("access-control-expose-headers", _EXPOSED))
    asking = request.values("origin")
    if len(asking) != 1 or asking[0] not in origins:
        return (("vary", "Origin"),)
    return (
        ("access-control-allow-origin", asking[0]),
        ("access-control-expose-headers", _EXPOSED),
        ("vary", "Origin"),
    )


def preflight(request: Request, origins: Collection[str]) -> Response:
    """Return the answer to the preflight *request*, which asks for the browser and not for the page."""
    allowed = allowing(request, origins)
    if not any(name == "access-control-allow-origin" for name, _ in allowed):
        return Response(204, allowed, b"")
    more = (
        ("access-control-allow-methods", _METHODS),
        ("access-control-allow-headers", _HEADERS),
        ("access-control-max-age", _LIFETIME),
    )
    return Response(204, (*allowed, *more), b"")
