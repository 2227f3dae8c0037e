"""The body of a POST → its parameters, each once, or the OAuth error that a client is told (RFC 6749 §3.2, §5.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl

from ..messages import Response

__all__ = ["FORM_LIMIT", "OAuthError", "read_form"]

FORM_LIMIT = 65_536
"""Octets of a form that are read."""

_FORM = "application/x-www-form-urlencoded"
_MOST_PARAMETERS = 64
_DESCRIPTIONS = {
    "invalid_client": "The client could not be authenticated.",
    "invalid_request": "The request is not one that this endpoint understands.",
    "temporarily_unavailable": "That cannot be told at the moment; try again soon.",
}
_NOT_KEPT = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))  # RFC 6749 §5.1


@dataclass(frozen=True, slots=True)
class OAuthError:
    """Why a request is refused, as a value: what the client is told, and what only our log is."""

    error: str
    """A code of RFC 6749 §5.2."""
    reason: str
    """For our own log; a client is told nothing that it does not know already."""
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that every answer of this kind has."""

    def response(self) -> Response:
        """Return the answer (RFC 6749 §5.2): JSON that nobody keeps, and nothing in it that was sent."""
        document = {"error": self.error}
        if self.error in _DESCRIPTIONS:
            document["error_description"] = _DESCRIPTIONS[self.error]
        headers = (("Content-Type", "application/json"), *_NOT_KEPT, *self.headers)
        return Response(self.status, headers, json.dumps(document).encode("ascii"))


def read_form(body: bytes, content_type: str | None) -> Mapping[str, str] | OAuthError:
    """Return the parameters of a form, without those that have no value (RFC 6749 §3.2).

    *content_type* is the header, several joined by commas.  A parameter that is there twice, a body of another type
    or of more than 64 KiB is an ``invalid_request``.
    """
    if (content_type or "").partition(";")[0].strip(" \t").lower() != _FORM:
        return OAuthError("invalid_request", "the body is no form")
    if len(body) > FORM_LIMIT:
        return OAuthError("invalid_request", f"the form has more than {FORM_LIMIT} octets", 413)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),  # what is not, is percent-encoded
            keep_blank_values=True,
            max_num_fields=_MOST_PARAMETERS,
            errors="strict",
        )
    except ValueError:
        return OAuthError("invalid_request", "the form cannot be read, or has too many parameters")
    values = dict(pairs)
    if len(values) < len(pairs):
        return OAuthError("invalid_request", "a parameter is there twice")
    return MappingProxyType({name: value for name, value in values.items() if value})
