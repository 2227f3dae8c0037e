"""A decision → one line in the log, under the id that the client was given; never a token, a key or a claim set."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import Unavailable, shown

if TYPE_CHECKING:
    from ..errors import GuardError
    from ..messages import Request

__all__ = ["log_refusal"]

_log = logging.getLogger("jwt_guard")


def log_refusal(error: GuardError, request: Request, reference: str) -> None:
    """Log why *request* was refused: our own trouble as an error, everything else as information."""
    _log.log(
        logging.ERROR if isinstance(error, Unavailable) else logging.INFO,
        "refused %s: %d %s: %s: %s %s",
        reference,
        error.status,
        type(error).__name__,
        error,
        shown(request.method),
        shown(request.path),
        extra={"jwt_guard_id": reference, "jwt_guard_error": type(error).__name__},
    )
