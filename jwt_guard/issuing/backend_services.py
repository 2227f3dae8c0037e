"""A client's key → an ``httpx.Auth`` that gets, keeps and renews its access tokens: SMART Backend Services.

The grant is ``client_credentials`` (RFC 6749 §4.4), and the client proves itself by an assertion (RFC 7523 §2.2), so it
also serves for other servers that take the two, Koppeltaal's among them.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx

from ..errors import FetchFailed, Misconfigured, Unavailable, shown
from ..flow import Fetch, Flow, Reply, Trust, alone, fetch, later
from ..runners import awaiting, blocking
from ..sources.address import why_not
from ..tokens.strict_json import NotStrictJson, json_object
from .assertion import ASSERTION_TYPE, USUAL, assertions
from .oauth_form import FORM_LIMIT
from .signing import SigningKey

__all__ = ["BackendServicesAuth", "TokenRefused"]

_DEPTH = 16
_OK, _UNAUTHORIZED, _SERVER_ERROR = 200, 401, 500
_TOKEN = re.compile(r"[!-~]+")
_CODE = re.compile(r"[a-z_]{1,64}")
_UNSAID = 60.0  # seconds that a token is taken for good where the server does not say
_AHEAD = 0.2  # the share of its life in which a token is renewed behind the requests
_SPARE = 0.1, 5.0  # the share of its life, and the seconds at most, in which it is not sent any more: it may be late
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds after a failure, in which nobody asks again


class TokenRefused(Unavailable):
    """The server gives this client no token: its registration, its key or its scopes have to be looked at."""

    def __init__(self, url: str, answered: int, error: str | None) -> None:
        super().__init__(f"{shown(url)} gives no token: {answered} {error or 'without a code'}")
        self.url = url
        self.answered = answered
        """The status of the answer."""
        self.error = error
        """Its code (RFC 6749 §5.2), where there is one: ``invalid_client``, say, or ``invalid_scope``."""


@dataclass(frozen=True, slots=True)
class _Held:
    text: str = field(repr=False)
    scope: str | None
    renew_at: float
    until: float


class BackendServicesAuth(httpx.Auth):
    """Give it to ``httpx.Client(auth=…)`` or ``httpx.AsyncClient(auth=…)``, one to as many of both as there are.

    The first request gets a token, while all others wait for that same one; it is renewed behind the requests
    before it ends.  A request that is answered with 401 is sent once more with a new token, if its body is in hand.
    Requests raise TokenRefused where the server gives none, and FetchFailed where it cannot be asked.
    """

    def __init__(  # noqa: PLR0913 - what a server registers, and how it is asked
        self,
        base: str,
        client_id: str,
        key: SigningKey,
        scope: str | Sequence[str] | None,
        *,
        token_url: str | None = None,
        audience: str | None = None,
        jku: str | None = None,
        lifetime: int = USUAL,
        other_places_that_get_the_token: Collection[str] = (),
        timeout: float = 10.0,
        trust: Trust | None = None,
        plain_http_hosts: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Ask for *scope* as *client_id*, whose private key is *key*, and send the tokens to what is below *base*.

        *base* is the URL of the FHIR server; its ``.well-known/smart-configuration`` names the token endpoint, unless
        *token_url* does.  A *scope* of None leaves the choice to the server.  *audience* is the ``aud`` of the
        assertions where it is not the URL of the token endpoint, *lifetime* their seconds, *jku* the URL that is
        registered for the keys.  A token goes nowhere but below *base* and the URLs in
        *other_places_that_get_the_token*; other requests raise ValueError.  *timeout* is the seconds for all of
        getting a token.  Raises Misconfigured.
        """
        for url in (base, *([] if token_url is None else [token_url]), *other_places_that_get_the_token):
            reason = why_not(url, plain_http_hosts)
            if reason is not None:
                raise Misconfigured(f"backend services: {shown(url)} cannot be asked: {reason}")
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout < float("inf"):
            raise Misconfigured("backend services: timeout is a number of seconds above 0")
        assertions(key, client_id, audience or base, lifetime=lifetime, jku=jku)  # raises what is wrong, at start
        self._base, self._client_id, self._clock = base, client_id, clock
        self._scope = _scope(scope)
        self._assert = partial(assertions, key, client_id, lifetime=lifetime, jku=jku, clock=clock)
        self._audience, self._token_url, self._timeout = audience, token_url, timeout
        self._trust, self._plain = trust or Trust(), frozenset(plain_http_hosts)
        self._places = tuple(_place(httpx.URL(url)) for url in (base, *other_places_that_get_the_token))
        self._located: str | None = None
        self._held: _Held | None = None
        self._failure: Unavailable | None = None
        self._pause = _FIRST_PAUSE
        self._not_before = self._no_retry_before = -float("inf")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base!r}, {self._client_id!r})"

    @property
    def granted(self) -> str | None:
        """The scope of the token in hand, which may be less than was asked for; None where nothing is known of it."""
        return None if self._held is None else self._held.scope

    # --- what httpx asks ------------------------------------------------------------------------------

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send *request* with a token; httpx calls this."""
        answer: Any = None
        with closing(self._steps(request)) as steps:
            while (step := _next(steps, answer)) is not None:
                answer = (yield step) if isinstance(step, httpx.Request) else blocking.run(step)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send *request* with a token, on asyncio or trio; httpx calls this."""
        answer: Any = None
        with closing(self._steps(request)) as steps:
            while (step := _next(steps, answer)) is not None:
                answer = (yield step) if isinstance(step, httpx.Request) else await awaiting.run(step)

    def _steps(self, request: httpx.Request) -> Generator[Flow[str] | httpx.Request, Any, None]:
        if not any(_is_below(place, request.url) for place in self._places):
            message = f"the token is for {self._base}, and not for {request.url.host}: use another client there"
            raise ValueError(message)
        token = yield self.access_token()
        response = yield _with(request, token)
        # A body that comes out of a stream is gone.
        if response.status_code != _UNAUTHORIZED or not isinstance(request.stream, httpx.ByteStream):
            return
        if self._clock() < self._no_retry_before:
            return
        another = yield self.access_token(refused=token)
        response = yield _with(request, another)
        if response.status_code == _UNAUTHORIZED:
            # It is not the token then, and each such request would cost the server another one.
            self._no_retry_before = self._clock() + _LONGEST_PAUSE

    # --- the token ------------------------------------------------------------------------------------

    def access_token(self, *, refused: str | None = None) -> Flow[str]:
        """Return a token that is good now, and is another one than *refused*.

        Raises TokenRefused or FetchFailed, as a request does.
        """
        now = self._clock()
        held = self._good(now, refused)
        if held is not None:
            if now >= max(held.renew_at, self._not_before):
                yield from later(self, partial(self._renew, refused))
            return held.text
        yield from alone(self, partial(self._renew, refused), self._timeout)
        # A server may give the same token once more, and then it is that which counts.
        held = self._good(self._clock(), refused if self._failure is not None else None)
        if held is not None:
            return held.text
        raise (self._failure or Unavailable(f"no token from {shown(self._base)} in time")).with_traceback(None)

    def _good(self, now: float, refused: str | None) -> _Held | None:
        held = self._held
        return held if held is not None and now < held.until and held.text != refused else None

    def _renew(self, refused: str | None) -> Flow[None]:
        """Get a token unless somebody has just done so, or failed to.  Runners run one of these at a time."""
        now = self._clock()
        held = self._good(now, refused)
        if now < (self._not_before if held is None else max(held.renew_at, self._not_before)):
            return
        try:
            self._held = yield from self._asked_for(now)
        except Unavailable as error:
            self._failure = error
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._located = None  # it may have moved
            return
        self._failure, self._pause, self._not_before = None, _FIRST_PAUSE, -float("inf")

    def _asked_for(self, began: float) -> Flow[_Held]:
        url = self._token_url or self._located
        if url is None:
            url = self._located = yield from self._looked_up()
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        if self._scope is not None:
            form["scope"] = self._scope
        form["client_assertion"] = self._assert(self._audience or url)()
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        left = max(0.0, self._timeout - (self._clock() - began))
        body = urlencode(form).encode("ascii")
        reply = yield from fetch(Fetch(url, headers, left, FORM_LIMIT, self._trust, body))
        return _read(url, reply, began)

    def _looked_up(self) -> Flow[str]:
        """Return the URL of the token endpoint (SMART App Launch 2.2, "Conformance")."""
        url = f"{self._base.rstrip('/')}/.well-known/smart-configuration"
        reply = yield from fetch(Fetch(url, {"Accept": "application/json"}, self._timeout / 2, trust=self._trust))
        if reply.status != _OK:
            raise FetchFailed(url, f"the configuration was answered with {reply.status}")
        found = _document(url, reply).get("token_endpoint")
        # A server elsewhere must not aim us at what listens on our own machine.
        reason = why_not(found, self._plain, loopback=self._base.startswith("http:"))
        if reason is not None:
            raise FetchFailed(url, f"its token_endpoint cannot be asked: {reason}")
        return str(found)


def _next(steps: Generator[Flow[str] | httpx.Request, Any, None], answer: Any) -> Flow[str] | httpx.Request | None:  # noqa: ANN401 - a token or a response
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _with(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _read(url: str, reply: Reply, began: float) -> _Held:
    """Return the token in *reply* (RFC 6749 §5.1, §5.2), whose life is counted from when it was asked for."""
    if reply.status >= _SERVER_ERROR:
        raise FetchFailed(url, f"the token request was answered with {reply.status}")
    try:
        document = _document(url, reply)
    except FetchFailed:
        if reply.status == _OK:
            raise
        document = {}
    if reply.status != _OK:
        code = document.get("error")
        raise TokenRefused(url, reply.status, code if isinstance(code, str) and _CODE.fullmatch(code) else None)
    token, kind, seconds = (document.get(name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise FetchFailed(url, "the answer has no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise FetchFailed(url, "the token is of another type than Bearer")
    life = _UNSAID if seconds is None else seconds
    if not isinstance(life, int | float) or isinstance(life, bool) or life <= 0:
        raise FetchFailed(url, "the expires_in of the answer is no number of seconds")
    share, most = _SPARE
    scope = document.get("scope")
    until = began + life - min(share * life, most)
    return _Held(token, scope if isinstance(scope, str) else None, began + (1 - _AHEAD) * life, until)


def _document(url: str, reply: Reply) -> Mapping[str, Any]:
    try:
        return json_object(reply.body, _DEPTH)
    except NotStrictJson as error:
        raise FetchFailed(url, f"the answer {error}") from None


def _scope(scope: object) -> str | None:
    if scope is None:
        return None
    words = scope.split() if isinstance(scope, str) else list(scope) if isinstance(scope, Sequence) else []
    if not words or not all(isinstance(word, str) and _TOKEN.fullmatch(word) for word in words):
        raise Misconfigured(
            "backend services: scope is words without blanks, or None to leave the choice to the server"
        )
    return " ".join(words)


_Place = tuple[str, str, int | None, bytes]


def _place(url: httpx.URL) -> _Place:
    return url.scheme, url.host, url.port, url.raw_path.partition(b"?")[0].rstrip(b"/")


def _is_below(place: _Place, url: httpx.URL) -> bool:
    *origin, path = _place(url)
    return tuple(origin) == place[:3] and (path == place[3] or path.startswith(place[3] + b"/"))
