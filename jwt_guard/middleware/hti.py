"""A browser that comes from a portal → Launch, or the page to answer it with: for a handler of any framework.

The page says nothing of what was wrong, but a reference; the log says the rest under it (HTI 2.0, Validation and
error conditions).
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..access.challenge import challenge
from ..access.hti import Launch
from ..access.launching import Launches
from ..errors import GuardError, InvalidToken, MethodNotAllowed, Unavailable
from ..runners import awaiting, blocking

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Launch", "LaunchRefused", "Launches", "areceive_launch", "receive_launch"]

_log = logging.getLogger("jwt_guard")

_REALM = "launch"
_REFUSED = "This could not be opened. Please go back and try it once more."
_FOR_NOW = "This cannot be opened right now. Please go back and try it again in a little while."
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Not opened</title>
<p>{sentence}</p>
<p>If you ask somebody for help, say this reference: {reference}</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class LaunchRefused:
    """What to answer a browser whose launch is not taken; *reference* is what our log calls it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """A page for people, always the same but for the reference; a page of your own may stand here instead."""
    reference: str
    error: GuardError = field(repr=False)
    """Why: for your own log, not for the page."""


def receive_launch(launches: Launches, method: str, content_type: str | None, body: bytes) -> Launch | LaunchRefused:
    """Return what the request of this *method*, ``Content-Type`` and *body* launches, or the refusal of it."""
    try:
        return blocking.run(launches.receive(method, content_type, body))
    except GuardError as error:
        return _refused(error)


async def areceive_launch(
    launches: Launches, method: str, content_type: str | None, body: bytes
) -> Launch | LaunchRefused:
    """Return what :func:`receive_launch` does, on asyncio or trio."""
    try:
        return await awaiting.run(launches.receive(method, content_type, body))
    except GuardError as error:
        return _refused(error)


def _refused(error: GuardError) -> LaunchRefused:
    reference = secrets.token_hex(8)
    is_ours = isinstance(error, Unavailable)
    _log.log(
        logging.ERROR if is_ours else logging.INFO,
        "launch refused %s: %d %s: %s",
        reference,
        error.status,
        type(error).__name__,
        error,
        extra={"jwt_guard_id": reference, "jwt_guard_error": type(error).__name__},
    )
    body = _PAGE.format(sentence=_FOR_NOW if is_ours else _REFUSED, reference=reference).encode("ascii")
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(sorted(error.allowed))
    if isinstance(error, InvalidToken):  # RFC 9110 §15.5.2: a 401 has a challenge
        headers["www-authenticate"] = challenge(error, _REALM)
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after)
    return LaunchRefused(error.status, headers, body, reference, error)
