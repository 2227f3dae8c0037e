"""Fetch → Reply: a small document over HTTP, within one deadline, or the reason why not."""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from ..errors import FetchFailed, shown
from ..flow import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flow import Fetch, Trust

__all__ = ["context", "fetch_counts", "fetched"]

_counts = {"answered": 0, "failed": 0}  # changed on the one loop that fetches run on


def fetch_counts() -> Mapping[str, int]:
    """Return how many fetches of this process were answered, and how many failed."""
    return dict(_counts)


async def fetched(need: Fetch) -> Reply:
    """Answer *need*, on an asyncio loop; raises FetchFailed for everything that can go wrong."""
    try:
        reply = await _fetched(need)
    except FetchFailed:
        _counts["failed"] += 1
        raise
    _counts["answered"] += 1
    return reply


async def _fetched(need: Fetch) -> Reply:
    try:
        async with asyncio.timeout(need.deadline):
            return await _get(need)
    except TimeoutError:
        raise FetchFailed(need.url, f"no answer within {need.deadline:.1f} s") from None
    except FetchFailed:
        raise
    except Exception as error:  # noqa: BLE001 - httpx has two families, a strange host makes a UnicodeError
        raise FetchFailed(need.url, f"no answer ({type(error).__name__}: {shown(str(error))})") from None


async def _get(need: Fetch) -> Reply:
    headers = {"Accept-Encoding": "identity", "User-Agent": "jwt_guard", **need.headers}
    opened: list[Any] = []

    async def note(event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(info["return_value"])

    try:
        return await _read(need, headers, {"trace": note})
    finally:
        for connection in opened:  # httpcore forgets one whose TLS handshake does not come to an end
            await connection.aclose()


async def _read(need: Fetch, headers: Mapping[str, str], extensions: dict[str, Any]) -> Reply:
    async with (
        httpx.AsyncClient(
            verify=context(need.trust),
            proxy=need.trust.proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the deadline above is for the whole of it
        ) as client,
        client.stream(
            "GET" if need.body is None else "POST",
            need.url,
            headers=headers,
            content=need.body,
            extensions=extensions,
        ) as response,
    ):
        if response.has_redirect_location:
            raise FetchFailed(need.url, "a redirect, which is not followed")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed(need.url, "compressed, though that was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > need.limit:
                raise FetchFailed(need.url, f"longer than {need.limit} octets")
        return Reply(response.status_code, dict(response.headers), bytes(body))


@lru_cache(maxsize=8)  # reading the system's certificates takes tens of milliseconds
def context(trust: Trust) -> ssl.SSLContext:
    """Return whose certificates count, read once; it blocks, but for once only."""
    return httpx.create_ssl_context() if trust.ca_file is None else ssl.create_default_context(cafile=trust.ca_file)
