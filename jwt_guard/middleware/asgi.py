"""ASGI scope ↔ Request: a guard around any ASGI application, for http and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..runners.awaiting import run
from .carrying import form_of, is_plain, read_form, sent_privately, without_token
from .expiring import EVENTS, checked, comes_of_the_end, left, serve, watched
from .refusing import CREDENTIALS, PATH_CHARACTERS, REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..decision import Decision
    from ..messages import Response

__all__ = [
    "App",
    "GuardMiddleware",
    "Message",
    "Receive",
    "Scope",
    "ScopeRequest",
    "Send",
    "answer",
    "at_sight",
    "can_deny",
    "decided",
    "requires",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""Frameworks have types of their own for a scope and its messages, and so for their applications."""

_GUARDED = ("http", "websocket")
_LENGTH, _ACCEPT, _SHORTEST = len(b"authorization"), len(b"accept"), len(EVENTS)
_PASS = Allow(None)
_set, _reset = CURRENT.set, CURRENT.reset


class ScopeRequest:
    """A view of an ASGI scope that reads what it is asked for."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def method(self) -> str:
        """The method as sent; a websocket handshake is a GET (RFC 6455 §4.1)."""
        method: str = self._scope.get("method", "GET")
        return method

    @property
    def path(self) -> str:
        """The raw path; ``""`` where it does not say what ``path`` says, since applications route on that."""
        try:
            return self._path()
        except UnicodeError:  # a lone surrogate is no text that anybody can have sent
            return ""

    def _path(self) -> str:
        path: str = self._scope["path"]
        raw: bytes | None = self._scope.get("raw_path")
        if raw is None:
            return quote(path, safe=PATH_CHARACTERS)
        raw = raw.partition(b"?")[0]
        if unquote_to_bytes(raw) != path.encode("utf-8", "surrogateescape"):
            return ""
        return raw.decode("latin-1")

    @property
    def query(self) -> str:
        """The query as sent."""
        query: bytes = self._scope.get("query_string", b"")
        return query.decode("latin-1")

    @property
    def is_websocket(self) -> bool:
        """Whether it is the handshake of a websocket."""
        return bool(self._scope["type"] == "websocket")

    def form(self, _limit: int) -> bytes | None:
        """Return the body, which the middleware has read where the guard looks into it."""
        return form_of(self._scope)

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name*, in order."""
        wanted = name.encode("ascii")
        return tuple(
            value.decode("latin-1") for key, value in self._scope["headers"] if key == wanted or key.lower() == wanted
        )


class GuardMiddleware:
    """Let *guard* decide about every http and websocket request before *app* sees it.

    A CORS preflight passes, unless *preflight_passes* is False.  A websocket or an event stream is closed *grace*
    seconds after its token is over; None: it may stay.  Raises Misconfigured for a grace that is neither.
    """

    decides_at_sight = True
    """Whether a header may be enough, without a request to show to anybody."""

    def __init__(self, app: App, guard: Guard, *, preflight_passes: bool = True, grace: float | None = 0) -> None:
        self.app = app
        self.guard = guard
        self.preflight_passes = preflight_passes
        self.grace = checked(grace)
        self._looks_beyond = not is_plain(guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0912 - each call in between is paid for by every request
        """Serve one connection.  Lifespan passes; a scope type that is not known here is refused."""
        kind = scope["type"]
        if self._looks_beyond or kind not in _GUARDED:
            prepared = await self._prepared(scope, receive, send)
            if prepared is None:
                return
            receive, send = prepared
        guard = self.guard
        authorization, is_one, accepted = None, True, b""
        for name, value in scope["headers"]:
            length = len(name)  # which tells nearly all names apart
            if length == _LENGTH:
                if name == b"authorization" or name.lower() == b"authorization":
                    is_one = authorization is None
                    authorization = value
            elif length == _ACCEPT and name == b"accept":
                accepted = accepted + b"," + value if accepted else value
        decision = None
        if authorization is not None and is_one and self.decides_at_sight:  # with which it is no preflight
            decision = guard.at_sight(authorization)
        if decision is None:
            decision = await self._decided(scope, authorization, is_one=is_one)
        if not isinstance(decision, Allow):
            await answer(refuse(decision.error, ScopeRequest(scope), guard.realm), scope, receive, send)
            return
        credentials = decision.credentials
        ending = None if self.grace is None else credentials
        is_to_stay = kind == "websocket" or (len(accepted) >= _SHORTEST and EVENTS in accepted)
        inner, send = self.admitted(credentials, scope, send, None if is_to_stay else ending)
        token = _set(credentials)
        try:
            if is_to_stay and ending is not None:
                await serve(self.app, inner, receive, send, left(guard, ending, self.grace or 0))
            else:
                await self.app(inner, receive, send)
        except Exception as error:
            if not comes_of_the_end(error):
                raise
        finally:
            _reset(token)

    async def _unguarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "lifespan":
            message = f"jwt_guard does not know how to guard the ASGI scope type {kind!r}"
            raise RuntimeError(message)
        await self.app(scope, receive, send)

    async def _prepared(self, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send] | None:
        """Return what to serve with where the header is not all there is to look at; None where all is done."""
        if scope["type"] not in _GUARDED:
            await self._unguarded(scope, receive, send)
            return None
        request, carried = ScopeRequest(scope), self.guard.carried
        if scope["type"] == "websocket":
            without_token(self.guard, scope)
            return receive, send
        response = self.guard.answer(request, scope.get("root_path", ""))
        if response is not None:
            await answer(response, scope, receive, send)
            return None
        again = await read_form(scope, receive) if carried.wants_form(request) else receive
        if again is None:
            return None
        return again, sent_privately(send) if carried.is_in_query(request) else send

    async def _decided(self, scope: Scope, authorization: bytes | None, *, is_one: bool) -> Decision:
        request = ScopeRequest(scope)
        if self.preflight_passes and scope.get("method") == "OPTIONS" and is_preflight(request):
            return _PASS  # a websocket has no method
        return await _decided(self.guard, request, authorization, is_one=is_one)

    def admitted(
        self, credentials: Credentials | None, scope: Scope, send: Send, ending: Credentials | None
    ) -> tuple[Scope, Send]:
        """Return what the application is given in place of *scope* and *send*.

        An answer that turns out to be an event stream ends with the token of *ending*; None: that is seen to already.
        """
        inner = dict(scope)
        inner[CREDENTIALS] = credentials
        inner[REALM] = self.guard.realm
        return inner, send if ending is None else watched(send, self.guard, ending, self.grace or 0)


def at_sight(guard: Guard, scope: Scope) -> Decision | None:
    """Return what *guard* says of the request of *scope* where a header is enough for that, else None."""
    authorization, is_one = _authorization(scope)
    return guard.at_sight(authorization) if is_one and authorization is not None else None


async def decided(guard: Guard, scope: Scope) -> Decision:
    """Return what *guard* says of the request of *scope*: for what guards a part of an application on its own."""
    authorization, is_one = _authorization(scope)
    return await _decided(guard, ScopeRequest(scope), authorization, is_one=is_one)


def _authorization(scope: Scope) -> tuple[bytes | None, bool]:
    """Return the header of *scope*, and whether there is no other."""
    authorization, is_one = None, True
    for name, value in scope["headers"]:
        if len(name) == _LENGTH and (name == b"authorization" or name.lower() == b"authorization"):
            is_one = authorization is None
            authorization = value
    return authorization, is_one


async def _decided(guard: Guard, request: ScopeRequest, authorization: bytes | None, *, is_one: bool) -> Decision:
    # What a glance knows of the first header says nothing about a second.
    decision = guard.glance(authorization, request) if is_one else None
    return await run(guard.decide(request)) if decision is None else decision


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[App], App]:
    """Wrap an ASGI app so that it asks for *scopes*.

    With *guard* the app is guarded on its own; without, GuardMiddleware must be around it (RuntimeError
    where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)

    def wrap(app: App) -> App:
        if guard is not None:
            return GuardMiddleware(app, guard.requiring(policy), preflight_passes=False)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] in ("http", "websocket"):
                error = missing(scope, wanted)
                if error is not None:
                    await answer(refuse(error, ScopeRequest(scope), scope[REALM]), scope, receive, send)
                    return
            await app(scope, receive, send)

        return guarded

    return wrap


async def answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send *response*; to a websocket as a denial where the server can, else by closing before accepting."""
    prefix = ""
    if scope["type"] == "websocket":
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        if not can_deny(scope):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        prefix = "websocket."
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": f"{prefix}http.response.start", "status": response.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else response.body
    await send({"type": f"{prefix}http.response.body", "body": body, "more_body": False})


def can_deny(scope: Scope) -> bool:
    """Say whether the server can send an answer to a websocket handshake (ASGI's denial response)."""
    return "websocket.http.response" in (scope.get("extensions") or ())
