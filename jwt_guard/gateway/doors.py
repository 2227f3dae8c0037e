"""A question that a gateway asks over HTTP → the octets of the answer: at once where nothing has to be waited for.

There are two doors.  ``/auth`` and what is below it name the request that is meant in headers, ``/ext_authz/…`` is that
request but for the prefix.  Whatever else is asked for is not there.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from json import dumps
from time import perf_counter
from typing import TYPE_CHECKING, Final, cast

from ..access.policy import is_settled_for
from ..decision import Allow, Deny
from ..errors import GuardError, MalformedRequest, Misconfigured, Unavailable, shown
from ..messages import Response
from ..observing.log import log_refusal
from .identity_token import IdentityToken
from .original import EXT_AUTHZ, NotTrusted, original, prefixed
from .settings import believes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from ..credentials import Credentials
    from ..decision import Decision
    from ..messages import Request
    from ..middleware.asgi import App
    from .judging import Judge
    from .settings import Settings

__all__ = ["AUTH", "Asked", "Doors", "Held", "Question", "cannot_be_read", "octets"]

AUTH = "/auth"
"""Where gateways ask that name the original request in headers."""

_log = logging.getLogger("jwt_guard")
_BLANK = b" \t"
_LAST = b"connection: close\r\n"
_NOT_LAST = b"connection: keep-alive\r\n"
_MOST_PREPARED = 4_096
_SENTENCES = {
    400: "The request is not one that is understood",
    403: "Whoever asks is none of the gateways that are answered",
    404: "There is nothing here",
    431: "The head of the request is too long",
}


class Asked:
    """What came over a connection, as a Request: header names in lower case, everything else as it was sent."""

    __slots__ = ("_headers", "method", "path", "query")

    def __init__(self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self._headers = headers

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name* (lower case), in order, duplicates kept."""
        wanted = name.encode("ascii")
        return tuple([value.strip(_BLANK).decode("latin-1") for key, value in self._headers if key == wanted])


@dataclass(frozen=True, slots=True)
class Question:
    """What a gateway asks, as far as its octets alone say it; so the same octets are the same question."""

    asked: Asked
    request: Request | None
    """What it is about; None: it is no question that a guard could decide."""
    error: GuardError | None
    """Why it is none."""
    authorization: bytes | None = field(repr=False)
    """The one such header."""
    is_one: bool
    """Whether there is at most one."""
    stays: bool
    """Whether the connection may be used again."""
    is_old: bool
    """Whether it came by HTTP/1.0, where staying has to be said."""
    is_public: bool = False
    """Whether what is asked for is for everybody: what clients are told of the resource, or our own keys."""


class Held:
    """A question that was asked a moment ago, and the answer to it, for as long as it is the same person's."""

    __slots__ = ("credentials", "question", "sent")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.credentials: Credentials | None = None
        """Whose answer it is; None: nobody's."""
        self.sent = b""


class Doors:
    """One configuration, as connections ask it: it is swapped whole."""

    __slots__ = ("_guard", "_is_observed", "_known", "_prepared", "_said", "_token", "judge", "longest", "settings")

    def __init__(self, settings: Settings, judge: Judge) -> None:
        """Raise Misconfigured for a guard that has to see what gateways do not send along."""
        guard = judge.guard
        if guard.carried.reads_forms and settings.upstream is None:
            raise Misconfigured("tokens.form: gateways ask without the body of a request; take it out for the gateway")
        self.settings: Final = settings
        self.judge: Final = judge
        self.longest: Final = guard.limits.token + 32_768
        """Octets that the head of a question may have."""
        self._guard: Final = guard
        self._known: Final = guard.known_at_sight
        self._prepared: Final[dict[bytes | None, tuple[Credentials | None, bytes]]] = {}
        self._token: Final = judge.identity if isinstance(judge.identity, IdentityToken) else None
        self._said: Final = bool(judge.identity.names)
        self._is_observed: Final = judge.observe is not None

    @property
    def is_proxy(self) -> bool:
        """Whether what is let in goes on from here, so that an application stands at the doors."""
        return self.settings.upstream is not None

    def application(self) -> App:
        """Return that application, which has what it stands before as its ``app``."""
        from .proxy import proxied

        return proxied(self.settings, self.judge.guard, observe=self.judge.observe)

    def believes(self, peer: str | None) -> bool:
        """Say whether the word of *peer* counts."""
        return believes(self.settings, peer)

    def question(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]], *, stays: bool, is_old: bool
    ) -> Question:
        """Return what is asked; *headers* have their names in lower case."""
        asked = Asked(method, target, headers)
        sent = [value for name, value in headers if name == b"authorization"]
        request: Request | None = None
        error: GuardError | None = None
        is_public = False
        try:
            _check_host(headers, is_old=is_old)
            request = self._meant(asked, target)
            is_public = request is None and self._public(asked) is not None
        except MalformedRequest as malformed:
            error = malformed
        authorization = sent[0].strip(_BLANK) if len(sent) == 1 else None
        return Question(asked, request, error, authorization, len(sent) <= 1, stays, is_old, is_public)

    def _meant(self, asked: Asked, target: str) -> Request | None:
        if not target.startswith("/"):
            raise MalformedRequest("the target is no path")
        path = asked.path
        if path == AUTH or path.startswith(f"{AUTH}/"):
            return original(asked, self.settings.forwarded)
        if path == EXT_AUTHZ or path.startswith(f"{EXT_AUTHZ}/"):
            return prefixed(asked)
        return None

    def _public(self, asked: Asked) -> Response | None:
        token = self._token
        if token is not None and asked.path == token.jwks_path and asked.method in ("GET", "HEAD"):
            return token.document()
        return self._guard.answer(asked)

    def answer(self, question: Question, peer: str | None, *, is_believed: bool) -> bytes | Awaitable[bytes]:
        """Return the answer to *question* of *peer*, or what to wait for where that takes time."""
        request = question.request
        if request is None or not is_believed:
            return octets(self._without_guard(question, peer, is_believed=is_believed), question)
        began = perf_counter() if self._is_observed else 0.0
        remembered = False
        try:
            decision = self._at_once(question, request)
            if decision is None:
                later = self.judge.begin(request)
                if not isinstance(later, Allow | Deny):
                    return self._later(later, question, request, began)
                decision = later
            else:
                remembered = True
            sent = self._told(decision, question, request)
        except Exception as bug:  # noqa: BLE001 - a gateway may take no answer for a yes; a bug is none
            decision = _bug(bug)
            sent = self._told(decision, question, request)
        if self._is_observed:
            self.judge.tell(request, decision, began, remembered=remembered)
        return sent

    def again(self, held: Held) -> bytes | None:
        """Return the answer to a question that is *held*, of who is believed, where it cannot have changed.

        Whether the token is good still is looked at here as anywhere; the rest is the same for the same octets.
        """
        credentials = held.credentials
        if credentials is None:
            return None
        began = perf_counter() if self._is_observed else 0.0
        try:
            decision = self._known(cast("bytes", held.question.authorization))
        except Exception:  # noqa: BLE001 - which is asked again, and then dealt with
            return None
        if not isinstance(decision, Allow) or decision.credentials is not credentials:
            return None
        if self._is_observed:
            self.judge.tell(cast("Request", held.question.request), decision, began, remembered=True)
        return held.sent

    def hold(self, held: Held, sent: bytes) -> None:
        """Hold that *sent* is the answer, if it is a yes that will be the same for the same person."""
        question = held.question
        request, authorization = question.request, question.authorization
        if request is None or authorization is None or self._token is not None or not question.stays:
            return
        try:
            if is_settled_for(self._guard.policy, request) and isinstance(self._at_once(question, request), Allow):
                decision = self._known(authorization)
                held.credentials, held.sent = decision.credentials if isinstance(decision, Allow) else None, sent
        except Exception:  # noqa: BLE001 - it was just dealt with
            return

    def _at_once(self, question: Question, request: Request) -> Decision | None:
        authorization = question.authorization
        if authorization is None:
            return self._guard.glance(None, request) if question.is_one else None
        decision = self._guard.at_sight(authorization)
        return self._guard.glance(authorization, request) if decision is None else decision

    async def _later(self, waiting: Awaitable[Decision], question: Question, request: Request, began: float) -> bytes:
        try:
            decision = await waiting
        except Exception as bug:  # noqa: BLE001 - as above
            decision = _bug(bug)
        sent = self._told(decision, question, request)
        self.judge.tell(request, decision, began)
        return sent

    def _told(self, decision: Decision, question: Question, request: Request) -> bytes:
        if not isinstance(decision, Allow):
            return octets(self.judge.answer(decision, request), question)
        if self._token is not None:  # which does not live long
            return octets(self.judge.answer(decision, request), question)
        authorization = question.authorization if self._said else None
        prepared = self._prepared.get(authorization)
        if prepared is None or (self._said and prepared[0] is not decision.credentials):
            prepared = decision.credentials, octets(self.judge.answer(decision, request))
            _hold(self._prepared, authorization, prepared)
        return _ended(prepared[1], question)

    def _without_guard(self, question: Question, peer: str | None, *, is_believed: bool) -> Response:
        asked = question.asked
        if question.is_public:
            return cast("Response", self._public(asked))
        if not is_believed:
            stranger = NotTrusted(peer)
            self.judge.tell(asked, Deny(stranger), perf_counter())
            return _refused(stranger, asked)
        if question.error is not None:
            self.judge.tell(asked, Deny(question.error), perf_counter())
            return self.judge.refuse(question.error, asked)
        reference = secrets.token_hex(8)
        _log.info(
            "no door %s: %s %s", reference, shown(asked.method), shown(asked.path), extra={"jwt_guard_id": reference}
        )
        return _constant(404, reference)


# --- octets ------------------------------------------------------------------------------------------


def octets(response: Response, question: Question | None = None) -> bytes:
    """Return *response* as it is sent: to *question*, or to any that came by HTTP/1.1, stays and is no HEAD."""
    head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    head += [f"{name}: {value}" for name, value in response.headers]
    head += ["", ""]
    sent = "\r\n".join(head).encode("latin-1") + response.body
    return sent if question is None else _ended(sent, question)


def cannot_be_read(status: int) -> bytes:
    """Return the answer with *status*, 400 or 431, to what is not understood; nothing follows it."""
    reference = secrets.token_hex(8)
    _log.info(
        "refused %s: %d: what came is no request that is read", reference, status, extra={"jwt_guard_id": reference}
    )
    return _with(octets(_constant(status, reference)), _LAST)


def _ended(sent: bytes, question: Question) -> bytes:
    """Return *sent* as *question* wants it: without a body to HEAD, and with what has to be said of the connection."""
    if question.asked.method == "HEAD":
        head, blank, _ = sent.partition(b"\r\n\r\n")
        sent = head + blank
    if not question.stays:
        return _with(sent, _LAST)
    return _with(sent, _NOT_LAST) if question.is_old else sent


def _with(sent: bytes, line: bytes) -> bytes:
    head, blank, body = sent.partition(b"\r\n\r\n")
    return head + b"\r\n" + line + blank[2:] + body


def _constant(status: int, reference: str) -> Response:
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _SENTENCES[status],
        "id": reference,
    }
    body = dumps(problem).encode()
    headers = (
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("content-length", str(len(body))),
    )
    return Response(status, headers, body)


def _refused(error: GuardError, asked: Asked) -> Response:
    reference = secrets.token_hex(8)
    log_refusal(error, asked, reference)
    return _constant(error.status, reference)


def _bug(bug: Exception) -> Deny:
    # Without its words: whoever raised it may have put a claim set into them.
    frames = "".join(traceback.format_tb(bug.__traceback__))
    _log.error("a bug, and so no yes: %s\n%s", type(bug).__name__, frames)
    return Deny(Unavailable(f"{type(bug).__name__} was raised while deciding"))


def _check_host(headers: Sequence[tuple[bytes, bytes]], *, is_old: bool) -> None:
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and not is_old):  # RFC 9112 §3.2
        raise MalformedRequest("the question has not one Host")


def _hold(
    prepared: dict[bytes | None, tuple[Credentials | None, bytes]],
    key: bytes | None,
    entry: tuple[Credentials | None, bytes],
) -> None:
    if len(prepared) >= _MOST_PREPARED:
        for other in tuple(islice(prepared, _MOST_PREPARED // 2)):
            del prepared[other]
    prepared[key] = entry
