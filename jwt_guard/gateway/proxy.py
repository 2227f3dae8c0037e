"""A request that the guard lets in → the upstream's answer, both streamed at the pace of whoever reads them.

An ordinary ASGI application behind the ordinary middleware: :func:`proxied` puts the two together.  It runs on
asyncio, and speaks to the upstream through aiohttp, which keeps the connections.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Final, cast

import aiohttp
from yarl import URL

from ..access.routes import looks_at_encoded
from ..decision import Deny
from ..errors import (
    ClientTooSlow,
    GuardError,
    InsufficientScope,
    MethodNotAllowed,
    UpstreamFailed,
    UpstreamTooSlow,
)
from ..middleware.asgi import GuardMiddleware, ScopeRequest, answer
from ..middleware.refusing import REALM, refuse
from ..observing.observer import Circumstances, told
from .identity_token import IdentityToken
from .passing import Passing
from .tunnel import as_it_is, tunnel
from .upstream import LONGEST_HEADER, PIECE, Asking, Connector, is_plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ..access.guard import Guard
    from ..decision import Decision
    from ..messages import Response
    from ..middleware.asgi import App, Receive, Scope, Send
    from ..observing.observer import Observer
    from .passing import Outgoing
    from .settings import Settings
    from .upstream import Answer

__all__ = ["Proxy", "proxied"]

_log = logging.getLogger("jwt_guard")
_KEPT_FOR = 4.0
"""Seconds for which a connection that nobody uses is kept: less than the usual servers do, so that we close it."""
_SOON = 1.0
"""Seconds after which somebody looks whether the client is still there."""
_NOT_TO_ADD = ("accept", "accept-encoding", "content-type", "user-agent")


def proxied(
    settings: Settings, guard: Guard, *, grace: float | None = 0, observe: Observer | None = None
) -> GuardMiddleware:
    """Return the reverse proxy in front of ``settings.upstream``, with *guard* in front of it.

    *observe* is told of each decision.

    Serve it with :func:`jwt_guard.gateway.framing.server_options`; its lifespan closes what it holds.
    """
    return _Front(Proxy(settings, encoded=looks_at_encoded(guard.policy)), guard, settings, grace, observe)


class _Front(GuardMiddleware):
    """The middleware as it stands before a gateway: a preflight is judged like any request, and 405 is 403 there."""

    def __init__(
        self, app: App, guard: Guard, settings: Settings, grace: float | None, observe: Observer | None
    ) -> None:
        super().__init__(app, guard, preflight_passes=False, grace=grace)
        self._observe = observe
        self.decides_at_sight = observe is None
        token = settings.identity
        self._token = token if isinstance(token, IdentityToken) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        token = self._token
        asks_for_keys = token is not None and scope["type"] == "http" and scope["path"] == token.jwks_path
        if token is not None and asks_for_keys and scope["method"] in {"GET", "HEAD"}:
            await answer(token.document(), scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    async def _decided(self, scope: Scope, authorization: bytes | None, *, is_one: bool) -> Decision:
        began = perf_counter()
        decision = await super()._decided(scope, authorization, is_one=is_one)
        if self._observe is not None:
            told(self._observe, ScopeRequest(scope), decision, Circumstances(perf_counter() - began))
        if isinstance(decision, Deny) and isinstance(decision.error, MethodNotAllowed):
            return Deny(InsufficientScope(reason=decision.error.reason))  # as at the gateway's other doors
        return decision


class Proxy:
    """What is let in goes on to ``settings.upstream``.

    *encoded* says that the guard's policy has judged paths with ``%2F`` and ``;`` in them, which are refused else.
    """

    def __init__(self, settings: Settings, *, encoded: bool = False) -> None:
        self.settings: Final = settings
        self._passing = Passing(settings, encoded=encoded)
        self._upstream = (settings.upstream or "").rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=None, connect=settings.proxy.connect_timeout)
        self._session: aiohttp.ClientSession | None = None
        self._sockets: aiohttp.ClientSession | None = None
        self._asking: Asking | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            if kind == "websocket":
                outgoing = self._passing.request(scope)
                await tunnel(self.sockets, self._upstream, outgoing, self._passing, scope, receive, send)
            elif kind == "http":
                await self._exchange(self._passing.request(scope), scope, receive, send)
            else:
                message = f"the proxy does not know the ASGI scope type {kind!r}"
                raise RuntimeError(message)
        except GuardError as error:
            await answer(_refusal(error, scope), scope, receive, send)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections to the upstream, which belong to the loop that runs."""
        session = self._session
        if session is None:
            session = self._session = self._made()
        return session

    @property
    def asking(self) -> Asking:
        """The same for requests without a body."""
        asking = self._asking
        if asking is None:
            asking = self._asking = Asking(self.session, URL(self._upstream), self._timeout)
        return asking

    @property
    def sockets(self) -> aiohttp.ClientSession:
        """The same for websockets, of which aiohttp would follow redirections: to wherever, with all that we say."""
        if self._sockets is None:
            self._sockets = self._made(as_it_is)
        return self._sockets

    def _made(self, *middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(limit=0, keepalive_timeout=_KEPT_FOR, ssl=self.settings.proxy.tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_TO_ADD,
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
            read_bufsize=PIECE,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            middlewares=middlewares,
        )

    async def close(self) -> None:
        """Close every connection to the upstream."""
        sessions, self._session, self._sockets, self._asking = (self._session, self._sockets), None, None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _exchange(self, outgoing: Outgoing, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is to be sent, and hand back the answer.  Raises UpstreamFailed and UpstreamTooSlow."""
        loop = asyncio.get_running_loop()
        patience = self.settings.proxy.answer_timeout
        client: _Client | None = None
        try:
            async with asyncio.timeout(patience) as bound:
                client = _Client(receive, bound, patience, has_body=outgoing.has_body)
                soon = loop.call_later(_SOON, client.watch)
                try:
                    response = await self._asked(outgoing, client)
                    async with response:
                        bound.reschedule(None)
                        if response.status < 200:  # noqa: PLR2004 - nobody asked for another protocol
                            raise UpstreamFailed("the upstream changes the protocol")
                        await self._relay(response, outgoing, scope, client, send)
                finally:
                    soon.cancel()
                    client.stop()
        except TimeoutError:
            if client is None or not (client.is_gone or client.is_waited_for):
                raise UpstreamTooSlow("the upstream has not answered in time") from None
            if not client.is_gone:
                raise ClientTooSlow("the client has not sent the rest in time") from None

    async def _asked(self, outgoing: Outgoing, client: _Client) -> aiohttp.ClientResponse | Answer:
        try:
            if is_plain(outgoing.method, has_body=outgoing.has_body):
                return await self.asking.ask(outgoing.method, outgoing.target, outgoing.headers)
            return await self.session.request(
                outgoing.method,
                URL(self._upstream + outgoing.target, encoded=True),
                headers=outgoing.headers,
                data=client.body() if outgoing.has_body else None,
                expect100=outgoing.expects_100,
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError:
            raise UpstreamTooSlow("there is no connection to the upstream in time") from None
        except TimeoutError:  # of the whole exchange, which says itself why
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if client.is_gone:
                raise TimeoutError from None
            raise UpstreamFailed(f"the upstream has not answered ({type(error).__name__})") from None

    async def _relay(
        self, response: aiohttp.ClientResponse | Answer, outgoing: Outgoing, scope: Scope, client: _Client, send: Send
    ) -> None:
        headers = self._passing.answer(response.raw_headers, outgoing.origin)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        content = response.content
        while not content.at_eof():
            try:
                piece = await content.readany()
            except (aiohttp.ClientError, OSError) as error:
                # Without its end, so that the server closes the connection: nobody takes what came for the whole.
                _log.error(
                    "the upstream ended in the midst of an answer (%s): %s", type(error).__name__, scope["method"]
                )
                return
            if content.at_eof():
                await send({"type": "http.response.body", "body": piece, "more_body": False})
                return
            client.watch()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refusal(error: GuardError, scope: Scope) -> Response:
    response = refuse(error, ScopeRequest(scope), scope.get(REALM, "api"))
    if isinstance(error, ClientTooSlow):  # RFC 9110 §15.5.9: what may still come is no request
        response = replace(response, headers=(*response.headers, ("connection", "close")))
    return response


class _Client:
    """The client's side of an exchange: what it sends, and whether it is still there."""

    def __init__(self, receive: Receive, bound: asyncio.Timeout, patience: float, *, has_body: bool) -> None:
        self._receive = receive
        self._bound = bound
        self._patience = patience
        self._is_sending = has_body
        self._watching: asyncio.Task[None] | None = None
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self.is_gone = False
        self.is_waited_for = False
        """Whether it is to send more, so that nobody else is to blame when time is over."""

    async def body(self) -> AsyncIterator[bytes]:
        """Give what it sends; the upstream gets more time with each piece."""
        while True:
            self.is_waited_for = True
            message = await self._receive()
            self.is_waited_for = False
            if message["type"] == "http.disconnect":
                self._leave()
                raise aiohttp.ClientConnectionError
            if self._bound.when() is not None:
                self._bound.reschedule(self._now() + self._patience)
            piece = cast("bytes", message.get("body", b""))
            if piece:
                yield piece
            if not message.get("more_body", False):
                self._is_sending = False
                return

    def watch(self) -> None:
        """End the exchange when the client goes, once it has sent all that it sends."""
        if self._watching is None and not self._is_sending:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Look no longer."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        with suppress(asyncio.CancelledError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._leave()

    def _leave(self) -> None:
        self.is_gone = True
        with suppress(RuntimeError):  # it is over, so that nobody waits any more
            self._bound.reschedule(self._now())
