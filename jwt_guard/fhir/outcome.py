"""A reason to refuse → an OperationOutcome in the words of FHIR's issue-type value set, constant for strangers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ..access.challenge import refusal
from ..errors import (
    AmbiguousRequest,
    ClientTooSlow,
    ContentTooLarge,
    Expired,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Unavailable,
    UpstreamFailed,
    UpstreamTooSlow,
)
from ..messages import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import GuardError

__all__ = [
    "CONFLICT",
    "FORBIDDEN",
    "JSON",
    "MANY",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "NOT_SUPPORTED",
    "TOO_COSTLY",
    "TOO_LONG",
    "UNREADABLE",
    "UPSTREAM",
    "Problem",
    "Stopped",
    "outcome",
    "refused",
]

JSON: Final = "application/fhir+json"
Headers: TypeAlias = "tuple[tuple[str, str], ...]"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a client does not get what it asked for; the same text for everybody."""

    status: int
    code: str
    """Of the value set http://hl7.org/fhir/issue-type."""
    text: str


FORBIDDEN: Final = Problem(403, "forbidden", "The token does not allow this.")
NOT_FOUND: Final = Problem(404, "not-found", "There is no such resource, or the token does not allow to see it.")
NOT_SUPPORTED: Final = Problem(400, "not-supported", "This cannot be asked with a token that is limited in this way.")
UNREADABLE: Final = Problem(400, "invalid", "The request is not one that FHIR has.")
NOT_ACCEPTABLE: Final = Problem(406, "not-supported", "With this token, there is JSON alone.")
CONFLICT: Final = Problem(409, "conflict", "The resource has changed in the meantime.")
MANY: Final = Problem(412, "multiple-matches", "The condition is true of more than one resource.")
TOO_LONG: Final = Problem(413, "too-long", "The request is longer than what is judged here.")
TOO_COSTLY: Final = Problem(403, "too-costly", "The answer would take more than is done for one request.")
UPSTREAM: Final = Problem(502, "exception", "The server has answered with something that cannot be judged.")


class Stopped(Exception):
    """An exchange ends here: the client is told of *problem*, and the log of *reason*, which names no data."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem
        self.reason = reason


def outcome(problem: Problem, headers: Headers = ()) -> Response:
    """Return the answer that says *problem* (hl7.org/fhir/R4/operationoutcome.html)."""
    return Response(
        problem.status,
        (("content-type", JSON), ("cache-control", "no-store"), *headers),
        _body(problem.code, problem.text, problem.status),
    )


def refused(error: GuardError, realm: str, reference: str) -> Response:
    """Return the answer to a request that the guard refused with *error*, with the challenge of RFC 6750.

    *reference* is the id under which the log has the reason.
    """
    plain = refusal(error, realm, reference)
    kept = tuple(
        (name, value) for name, value in plain.headers if name.lower() not in ("content-type", "content-length")
    )
    text = f"{_said(plain.body)} Reference: {reference}."
    return Response(plain.status, (("content-type", JSON), *kept), _body(_code(error), text, plain.status))


def _code(error: GuardError) -> str:
    """Return which of FHIR's issue types *error* is (hl7.org/fhir/R4/valueset-issue-type.html)."""
    match error:
        case MissingToken():
            return "login"
        case Expired():
            return "expired"
        case InvalidToken():
            return "unknown"
        case InsufficientScope():
            return "forbidden"
        case ContentTooLarge():
            return "too-long"
        case MalformedRequest() | AmbiguousRequest():
            return "invalid"
        case UpstreamFailed():
            return "exception"
        case UpstreamTooSlow() | ClientTooSlow():
            return "timeout"
        case Unavailable():
            return "transient"
        case _:
            return "security"


def _said(body: bytes) -> str:
    said: Mapping[str, object] = json.loads(body)
    return str(said.get("detail") or said.get("title") or "Refused.")


def _body(code: str, text: str, status: int) -> bytes:
    severity = "error" if status < 500 else "fatal"  # noqa: PLR2004
    issue = {"severity": severity, "code": code, "details": {"text": text}}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}, separators=(",", ":")).encode()
