"""The double of a FHIR server → an ASGI application, to stand behind a guard as any application does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import anyio
import httpx

from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.middleware.asgi import App

__all__ = ["asgi_of", "asking_of", "client"]


def asgi_of(server: Callable[[Asking], Answered], root: str = "/fhir", seen: list[Any] | None = None) -> App:
    """Return the application with *server* at *root*; the scopes that it is given are put into *seen*."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if seen is not None:
            seen.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if not scope["path"].startswith(root):
            await _answer(send, Answered(200, (("content-type", "text/plain"),), b"elsewhere"))
            return
        await _answer(send, server(asking_of(scope, root, body)))

    return app


def asking_of(scope: Any, root: str, body: bytes) -> Asking:
    """Return what the double is asked."""
    query = tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    headers = tuple((name.decode(), value.decode()) for name, value in scope["headers"])
    return Asking(scope["method"], scope["path"].removeprefix(root) or "/", query, headers, body)


async def _answer(send: Any, answered: Answered) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answered.headers]
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


def client(app: App, base: str = "https://api.example") -> Callable[..., httpx.Response]:
    """Return what asks *app*, as the browser of somebody at *base* would."""

    def ask(method: str, target: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=base) as session:
                return await session.request(method, target, **more)

        return anyio.run(asked)

    return ask
