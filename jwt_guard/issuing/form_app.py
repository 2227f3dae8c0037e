"""What answers a form → an ASGI application, the same for each endpoint that clients post forms to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..messages import Response
from ..runners import awaiting
from .oauth_form import FORM_LIMIT, OAuthError

if TYPE_CHECKING:
    from ..errors import Unavailable
    from ..flow import Flow

__all__ = ["NOT_A_POST", "Answer", "FormApp", "not_kept", "unavailable"]

NOT_A_POST = OAuthError("invalid_request", "not a POST", 405, (("Allow", "POST"),))
"""The answer to any other method (RFC 6749 §3.2, RFC 7662 §2.1, RFC 7009 §2.1)."""

Answer: TypeAlias = "Callable[[str, str | None, bytes, str | None], Flow[Response]]"
"""(method, ``Content-Type``, body, ``Authorization``) → the answer; several headers of one name joined by commas."""
_Message: TypeAlias = MutableMapping[str, Any]


class FormApp:
    """The ASGI application that answers as *answer* says, at whatever path it is mounted."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request; RuntimeError for what is none."""
        if scope["type"] != "http":
            message = "a form is posted over HTTP"
            raise RuntimeError(message)
        body = await _body(receive)
        if body is None:
            return  # nobody waits for an answer
        content_type, authorization = (_joined(scope, name) for name in (b"content-type", b"authorization"))
        answer = await awaiting.run(self._answer(scope["method"], content_type, body, authorization))
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode("ascii")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def not_kept(document: dict[str, Any] | None) -> Response:
    """Return an answer of *document*, or of nothing, that nobody keeps (RFC 6749 §5.1)."""
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache"))
    if document is None:
        return Response(200, headers[1:], b"")
    return Response(200, headers, json.dumps(document).encode("utf-8"))


def unavailable(error: Unavailable) -> OAuthError:
    """Return the answer for when *error* keeps us from telling (RFC 7009 §2.2.1)."""
    return OAuthError("temporarily_unavailable", str(error), 503, (("Retry-After", str(error.retry_after)),))


async def _body(receive: Callable[[], Awaitable[_Message]]) -> bytes | None:
    """Return the body, no more of it than shows that it is too long; None where the client has gone."""
    body = b""
    more = True
    while more and len(body) <= FORM_LIMIT:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _joined(scope: _Message, name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return ", ".join(values) if values else None
