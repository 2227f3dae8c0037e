"""A refusal → what the client is told: status, RFC 6750 challenge, and a small fixed body."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from ..errors import (
    AmbiguousRequest,
    ClientTooSlow,
    ContentTooLarge,
    CrossOrigin,
    InsufficientScope,
    MethodNotAllowed,
    Unavailable,
)
from ..messages import Response
from .policy import is_scope

if TYPE_CHECKING:
    from ..errors import GuardError

__all__ = ["Realm", "challenge", "quoted", "refusal"]

# Constant text: which check failed is nobody's business but ours (it is in the log, under the same id).
_SENTENCES = {
    "invalid_request": "The request does not carry its access token as RFC 6750 says",
    "invalid_token": "The access token is not valid here",
    "insufficient_scope": "The access token does not allow this",
}
_PLAIN_SENTENCES = {
    400: "The request can be read in more than one way",
    401: "An access token is needed",
    403: "The request does not come from a page of this site",
    405: "The route does not take this method",
    408: "The rest of the request did not come in time",
    413: "The form is too long",
    502: "The application cannot be reached at the moment",
    503: "The access token cannot be checked at the moment",
    504: "The application does not answer at the moment",
}


# Nobody who was told so would get further with another token.
_WITHOUT_CHALLENGE = (AmbiguousRequest, ClientTooSlow, ContentTooLarge, CrossOrigin)


class Realm(str):
    """The realm of a guard, which knows where the metadata of its resource are.

    It is a text, since each door hands on to each challenge what the guard calls its realm.
    """

    __slots__ = ("metadata_url",)

    metadata_url: str | None

    def __new__(cls, text: str, metadata_url: str | None = None) -> Self:
        """Return the realm called *text*."""
        realm = super().__new__(cls, text)
        realm.metadata_url = metadata_url
        return realm


def refusal(error: GuardError, realm: str, reference: str) -> Response:
    """Return the answer to who was refused with *error*; *reference* is the id that the log has, too."""
    sentence = _SENTENCES.get(error.code or "") or _PLAIN_SENTENCES.get(error.status, "The request was refused")
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if isinstance(error, Unavailable):
        headers.append(("retry-after", str(error.retry_after)))
    elif isinstance(error, MethodNotAllowed):
        headers.append(("allow", ", ".join(sorted(error.allowed))))
    elif not isinstance(error, _WITHOUT_CHALLENGE):
        headers.append(("www-authenticate", _challenge(error, realm, sentence)))
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": sentence,
        "id": reference,
    }
    body = json.dumps(problem).encode()
    headers.append(("content-length", str(len(body))))
    return Response(error.status, tuple(headers), body)


def challenge(error: GuardError, realm: str) -> str:
    """Return the challenge alone, for frameworks that put it into an answer of their own."""
    return _challenge(error, realm, _SENTENCES.get(error.code or "", ""))


def _challenge(error: GuardError, realm: str, sentence: str) -> str:
    parts = [f"Bearer realm={quoted(realm)}"]
    if error.code is not None:  # RFC 6750 §3.1: none where nothing was sent
        parts += [f'error="{error.code}"', f"error_description={quoted(sentence)}"]
    # A policy may have made its scopes of what the client sent; a refusal must be told all the same.
    if isinstance(error, InsufficientScope) and error.required and all(map(is_scope, error.required)):
        parts.append(f"scope={quoted(' '.join(sorted(error.required)))}")
    if isinstance(realm, Realm) and realm.metadata_url is not None:
        parts.append(f"resource_metadata={quoted(realm.metadata_url)}")  # RFC 9728 §5.1
    return ", ".join(parts)


def quoted(text: str) -> str:
    """Return *text* as a quoted-string (RFC 9110 §5.6.4); ValueError for what no header may carry."""
    if not text.isascii() or not text.isprintable():
        message = "a header carries printable ASCII"
        raise ValueError(message)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
