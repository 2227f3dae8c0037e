"""A guard that looks beyond the header → what its door does for it: reads a form, keeps an answer private.

Doors that build on the ASGI or the WSGI one have it from there.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..access.carriers import FORM_LIMIT
from ..errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ..access.guard import Guard
    from .asgi import Message, Receive, Scope, Send

__all__ = [
    "FORM",
    "form_of",
    "is_plain",
    "private",
    "read_form",
    "readable",
    "sent_privately",
    "started_privately",
    "without_token",
]

FORM = "jwt_guard.form"
"""Where a scope or an environ holds the form that was read of it, None for one that is too long."""
_PUBLIC = ("public", "s-maxage", "private", "no-store")


def is_plain(guard: Guard) -> bool:
    """Say whether nothing here is of use to *guard*."""
    return guard.carried.is_header_only and guard.resource is None


# --- answers to a token in a query -------------------------------------------------------------------


def private(cache_control: list[str]) -> str | None:
    """Return the ``Cache-Control`` that keeps an answer from being shared, None where *cache_control* does that.

    RFC 6750 §2.3 asks for it where the token was in the query; all else that the application said of it stays.
    """
    directives = [directive.strip() for value in cache_control for directive in value.split(",") if directive.strip()]
    names = [directive.partition("=")[0].strip().lower() for directive in directives]
    if "public" not in names and ("private" in directives or "no-store" in names):
        return None
    kept = [directive for directive, name in zip(directives, names, strict=True) if name not in _PUBLIC]
    return ", ".join(["private", *kept])


def sent_privately(send: Send) -> Send:
    """Return *send* for answers that only whoever asked may keep."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and _is_success(message["status"]):
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            said = private([value.decode("latin-1") for name, value in headers if name.lower() == b"cache-control"])
            if said is not None:
                rest = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
                message = {**message, "headers": [*rest, (b"cache-control", said.encode("latin-1"))]}
        return send(message)

    return sending


def started_privately(start_response: Callable[..., Any]) -> Callable[..., Any]:
    """Return *start_response* for answers that only whoever asked may keep."""

    def starting(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401 - as PEP 3333 has it
        if _is_success(int(status[:3])):
            said = private([value for name, value in headers if name.lower() == "cache-control"])
            if said is not None:
                rest = [(name, value) for name, value in headers if name.lower() != "cache-control"]
                headers = [*rest, ("Cache-Control", said)]
        return start_response(status, headers, *error)

    return starting


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110 §15.3


# --- a token in a subprotocol ------------------------------------------------------------------------


def without_token(guard: Guard, scope: Scope) -> None:
    """Take the token out of the subprotocols of *scope*, which an application may answer with."""
    if scope.get("subprotocols"):
        scope["subprotocols"] = guard.carried.without_token(scope["subprotocols"])


# --- a token in a form -------------------------------------------------------------------------------


async def read_form(scope: Scope, receive: Receive) -> Receive | None:
    """Read the form of *scope*, note it there, and return a ``receive`` that gives it again.

    None where the client has gone.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= FORM_LIMIT:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    whole: bytes | None = b"".join(chunks)
    scope[FORM] = whole if size <= FORM_LIMIT else None
    again: list[Message] = [{"type": "http.request", "body": whole, "more_body": more}]

    async def receive_again() -> Message:
        return again.pop() if again else await receive()

    return receive_again


def form_of(scope: Scope) -> bytes | None:
    """Return the form that :func:`read_form` has read; RuntimeError where it was not asked to."""
    if FORM not in scope:
        message = (
            "a guard with form() among its carriers needs the middleware around the application: it reads the form"
        )
        raise RuntimeError(message)
    form: bytes | None = scope[FORM]
    return form


def readable(environ: MutableMapping[str, Any], limit: int) -> bytes | None:
    """Return the form of *environ*, which can be read again, or None where it has more than *limit* octets.

    MalformedRequest where it is not as long as it says.
    """
    if FORM not in environ:
        environ[FORM] = _read(environ, limit)
    form: bytes | None = environ[FORM]
    return form


def _read(environ: MutableMapping[str, Any], limit: int) -> bytes | None:
    said: str = environ.get("CONTENT_LENGTH") or ""
    if said and not (said.isascii() and said.isdecimal()):
        raise MalformedRequest("a Content-Length that is no number")
    if not said and not environ.get("wsgi.input_terminated", False):
        return b""  # PEP 3333 lets nobody read on: the application will find nothing either
    size = int(said) if said else limit + 1
    if said and size > limit:
        return None
    body = b""
    while len(body) < size and (chunk := environ["wsgi.input"].read(size - len(body))):
        body += chunk
    if said and len(body) < size:
        raise MalformedRequest("a body that is shorter than its Content-Length")
    environ["wsgi.input"] = BytesIO(body)
    return body if len(body) <= limit else None
