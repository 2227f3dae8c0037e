"""What every door does alike: a refusal → one line in the log and the answer for the client, under one id."""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING, Any

from ..access.challenge import refusal
from ..errors import InsufficientScope, MissingToken
from ..observing.log import log_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..credentials import Credentials
    from ..errors import GuardError
    from ..messages import Request, Response

__all__ = ["CREDENTIALS", "PATH_CHARACTERS", "REALM", "is_preflight", "missing", "refuse"]

CREDENTIALS = "jwt_guard"
"""Where a scope or an environ holds the credentials; None on an open route that nobody identified themselves on."""
REALM = "jwt_guard.realm"

# A browser adds nothing of its own to a preflight; with an override it could be served as another method.
_NOT_OF_A_BROWSER = ("authorization", "x-http-method-override", "x-method-override", "x-http-method")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §9.1
PATH_CHARACTERS = "/!$&'()*+,;=:@~-._"
"""What a path may hold as it is (RFC 3986 §3.3), for servers that give it only decoded."""
_log = logging.getLogger("jwt_guard")


def refuse(error: GuardError, request: Request, realm: str) -> Response:
    """Log that *request* was refused with *error*, and return what to tell the client."""
    reference = secrets.token_hex(8)
    log_refusal(error, request, reference)
    return refusal(error, realm, reference)


def missing(found: Mapping[str, Any], scopes: frozenset[str]) -> GuardError | None:
    """Return why the request of *found*, a scope or an environ, may not go where *scopes* are asked for.

    None where it may; RuntimeError where no guard has looked at it, so that nothing passes.
    """
    if CREDENTIALS not in found:
        message = "requires() found no guard: put the guard's middleware around the application, or give requires() one"
        _log.error(message)
        raise RuntimeError(message)
    credentials: Credentials | None = found[CREDENTIALS]
    if credentials is None:
        return MissingToken()
    if not scopes <= credentials.scopes:
        return InsufficientScope(scopes, "a scope is missing")
    return None


def is_preflight(request: Request) -> bool:
    """Say whether *request* is a CORS preflight (Fetch standard §3.2.2), which carries no credentials by design."""
    if request.method != "OPTIONS":
        return False
    origins, methods = request.values("origin"), request.values("access-control-request-method")
    return (
        len(origins) == len(methods) == 1
        and origins[0] != ""
        and _METHOD.fullmatch(methods[0]) is not None
        and not any(request.values(name) for name in _NOT_OF_A_BROWSER)
    )
