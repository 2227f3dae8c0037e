"""A refusal at any door → one line in the log and the answer for the client, under one id."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ..access.challenge import refusal
from ..observing.log import log_refusal

if TYPE_CHECKING:
    from ..errors import GuardError
    from ..messages import Request, Response

__all__ = ["is_preflight", "refuse"]


def refuse(error: GuardError, request: Request, realm: str) -> Response:
    """Log that *request* was refused with *error*, and return what to tell the client."""
    reference = secrets.token_hex(8)
    log_refusal(error, request, reference)
    return refusal(error, realm, reference)


def is_preflight(request: Request) -> bool:
    """Say whether *request* is a CORS preflight (Fetch standard §3.2.2), which carries no credentials by design."""
    return (
        request.method == "OPTIONS"
        and bool(request.values("origin"))
        and bool(request.values("access-control-request-method"))
    )
