"""A websocket that was let in → one with the upstream, and every message of the one in the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from ..errors import UpstreamFailed, UpstreamTooSlow
from ..messages import Response
from ..middleware.asgi import answer

if TYPE_CHECKING:
    from ..middleware.asgi import Receive, Scope, Send
    from .passing import Outgoing, Passing

__all__ = ["as_it_is", "tunnel"]

_LONGEST = 16 * 1_048_576
"""Octets of a message at most, as the usual servers have it."""
_USUAL, _GONE, _NO_CODE, _BROKEN, _BAD_GATEWAY = 1_000, 1_001, 1_005, 1_006, 1_014  # RFC 6455 §7.4.1
_CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)
_TOLD = ("location", "retry-after", "www-authenticate")


async def as_it_is(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Return the answer to a handshake; raise WSServerHandshakeError for one that leads elsewhere."""
    response = await handler(request)
    if 300 <= response.status < 400:  # noqa: PLR2004 - RFC 9110 §15.4
        response.close()
        raise aiohttp.WSServerHandshakeError(
            response.request_info, (), status=response.status, headers=response.headers
        )
    return response


async def tunnel(  # noqa: PLR0913, PLR0917 - the two sides of it, and how they are to meet
    session: aiohttp.ClientSession,
    upstream: str,
    outgoing: Outgoing,
    passing: Passing,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve the websocket of *scope*, whose handshake the server has announced.

    Raises UpstreamFailed and UpstreamTooSlow where there is none behind it, before anything is sent.
    """
    try:
        async with asyncio.timeout(passing.settings.proxy.answer_timeout):
            other = await session.ws_connect(
                URL(upstream + outgoing.target, encoded=True),
                headers=outgoing.headers,
                protocols=scope.get("subprotocols", ()),
                max_msg_size=_LONGEST,
                autoclose=False,
            )
    except aiohttp.WSServerHandshakeError as error:
        await answer(_denied(error, passing, outgoing.origin), scope, receive, send)
        return
    except TimeoutError:
        raise UpstreamTooSlow("the upstream has not answered the handshake in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise UpstreamFailed(f"there is no websocket behind ({type(error).__name__})") from None
    async with other:
        if (await receive())["type"] == "websocket.connect":
            await send({"type": "websocket.accept", "subprotocol": other.protocol, "headers": _cookies(other)})
            await _join(other, receive, send)


async def _join(other: aiohttp.ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    """Hand on what either side says, until one of them ends."""
    pumps = {asyncio.create_task(_up(other, receive)), asyncio.create_task(_down(other, send))}
    try:
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    for pump in done:
        pump.result()


async def _up(other: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await other.close(code=_code(message.get("code"), _GONE), message=_reason(message.get("reason")))
            return
        text = message.get("text")
        try:
            if text is not None:
                await other.send_str(text)
            else:
                await other.send_bytes(message.get("bytes") or b"")
        except (aiohttp.ClientError, OSError):  # the other pump sees why
            await asyncio.Event().wait()


async def _down(other: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    while True:
        message = await other.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        elif message.type in _CLOSED:
            await send(
                {"type": "websocket.close", "code": _code(other.close_code, _BAD_GATEWAY), "reason": _said(message)}
            )
            return
        else:
            await send({"type": "websocket.close", "code": _BAD_GATEWAY, "reason": ""})
            return


def _code(code: object, broken: int) -> int:
    """Return what to close the one side with when the other was closed with *code* (RFC 6455 §7.4.1)."""
    if not isinstance(code, int) or code == _BROKEN:
        return broken
    return _USUAL if code == _NO_CODE else code


def _reason(text: object) -> bytes:
    return text.encode("utf-8") if isinstance(text, str) else b""


def _said(message: aiohttp.WSMessage) -> str:
    return message.extra if isinstance(message.extra, str) else ""


def _denied(error: aiohttp.WSServerHandshakeError, passing: Passing, origin: str) -> Response:
    """Return what is told of a handshake that the upstream refused: its status, and where to go or come back."""
    status = error.status if error.status >= 300 else 502  # noqa: PLR2004 - no success is a refusal
    raw = [
        (name.lower().encode("ascii"), value.encode("utf-8", "surrogateescape"))
        for name, value in (error.headers or {}).items()
        if name.lower() in _TOLD
    ]
    told = [(name.decode("ascii"), value.decode("latin-1")) for name, value in passing.answer(raw, origin)]
    return Response(status, (*told, ("content-length", "0")), b"")


def _cookies(other: aiohttp.ClientWebSocketResponse) -> list[tuple[bytes, bytes]]:
    raw: Any = other._response.raw_headers  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no public name
    return [(b"set-cookie", value) for name, value in raw if name.lower() == b"set-cookie"]
