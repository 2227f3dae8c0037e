"""ASGI scope ↔ Request: a guard around any ASGI application, for http and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..runners.awaiting import run
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
    "can_deny",
    "requires",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_GUARDED = ("http", "websocket")
_LENGTH = len(b"authorization")
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

    def values(self, name: str) -> tuple[str, ...]:
        """Return each value of the header *name*, in order."""
        wanted = name.encode("ascii")
        return tuple(
            value.decode("latin-1") for key, value in self._scope["headers"] if key == wanted or key.lower() == wanted
        )


class GuardMiddleware:
    """Let *guard* decide about every http and websocket request before *app* sees it.

    A CORS preflight passes, unless *preflight_passes* is False.
    """

    def __init__(self, app: App, guard: Guard, *, preflight_passes: bool = True) -> None:
        self.app = app
        self.guard = guard
        self.preflight_passes = preflight_passes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.  Lifespan passes; a scope type that is not known here is refused."""
        kind = scope["type"]
        if kind not in _GUARDED:
            if kind != "lifespan":
                message = f"jwt_guard does not know how to guard the ASGI scope type {kind!r}"
                raise RuntimeError(message)
            await self.app(scope, receive, send)
            return
        guard = self.guard
        authorization, is_one = None, True
        for name, value in scope["headers"]:
            if len(name) == _LENGTH and name.lower() == b"authorization":
                is_one = authorization is None
                authorization = value
        decision: Decision | None = None
        if is_one and authorization is not None and scope.get("method") != "OPTIONS":
            decision = guard.at_sight(authorization)
        if decision is None:
            request = ScopeRequest(scope)
            if self.preflight_passes and scope.get("method") == "OPTIONS" and is_preflight(request):
                decision = _PASS
            elif is_one:  # what a glance knows of the first says nothing about a second
                decision = guard.glance(authorization, request)
            if decision is None:
                decision = await run(guard.decide(request))
        if not isinstance(decision, Allow):
            await answer(refuse(decision.error, ScopeRequest(scope), guard.realm), scope, receive, send)
            return
        credentials = decision.credentials
        inner, send = self.admitted(credentials, scope, send)
        token = _set(credentials)
        try:
            await self.app(inner, receive, send)
        finally:
            _reset(token)

    def admitted(self, credentials: Credentials | None, scope: Scope, send: Send) -> tuple[Scope, Send]:
        """Return what the application is given in place of *scope* and *send*."""
        inner = dict(scope)
        inner[CREDENTIALS] = credentials
        inner[REALM] = self.guard.realm
        return inner, send


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
    await send({"type": f"{prefix}http.response.body", "body": body})


def can_deny(scope: Scope) -> bool:
    """Say whether the server can send an answer to a websocket handshake (ASGI's denial response)."""
    return "websocket.http.response" in (scope.get("extensions") or ())
