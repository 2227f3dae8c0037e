"""The MCP SDK's own client, a real provider and a guarded server → let in, or told what is missing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import pytest
import uvicorn
from fastmcp import FastMCP
from mcp import ClientSession
from mcp.client.auth import TokenStorage
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from jwt_guard import Guard, current, rfc9068, scopes
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.middleware.mcp import GuardMiddleware, GuardTokenVerifier, fastmcp_auth, requires

from .rig import LiveProvider

if TYPE_CHECKING:
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken


def who() -> str:
    found = current()
    return "nobody" if found is None else f"{found.client} {' '.join(sorted(found.scopes))}"


@requires("orders:write")
def delete_order(order: str) -> str:
    return f"{order} is gone"


def _with_tools(server: Any) -> Any:
    server.tool()(who)
    server.tool()(delete_order)
    return server


def _of_sdk(guard: Guard) -> Any:
    return GuardMiddleware(_with_tools(MCPServer("orders")).streamable_http_app(), guard, tools=[delete_order])


def _of_fastmcp(guard: Guard) -> Any:
    return _with_tools(FastMCP("orders", auth=fastmcp_auth(guard, tools=[delete_order]))).http_app()


def _of_verifier(guard: Guard) -> Any:
    verifier = GuardTokenVerifier(guard)
    return _with_tools(MCPServer("orders", token_verifier=verifier, auth=verifier.settings())).streamable_http_app()


DOORS: dict[str, Callable[[Guard], Any]] = {"sdk": _of_sdk, "fastmcp": _of_fastmcp}


@contextmanager
def serving(live: LiveProvider, made: Callable[[Guard], Any]) -> Generator[str]:
    """Run a server that takes the tokens which *live* makes for it, and give its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    guard = Guard([rfc9068(live.issuer, url)], scopes("orders:read"), resource=ProtectedResource(url))
    server = uvicorn.Server(uvicorn.Config(made(guard), log_level="error", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        end = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.005)
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Storage(TokenStorage):
    """What a client keeps."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    granted: list[str] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.granted.append(tokens.scope or "")

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Visit:
    """What a client of the SDK has seen."""

    said: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    storage: Storage = field(default_factory=Storage)

    async def remember(self, response: httpx2.Response) -> None:
        self.requests.append((response.request.method, response.request.url.path, response.status_code))
        self.challenges += response.headers.get_list("www-authenticate")


def visit(live: LiveProvider, url: str, *calls: tuple[str, dict[str, str]]) -> Visit:
    """Let the SDK's client find out where tokens are, get one, and call tools."""
    seen = Visit()
    name, secret = live.machine

    async def go() -> None:
        auth = ClientCredentialsOAuthProvider(url, seen.storage, name, secret, issuer=live.issuer)
        hooks: dict[str, Any] = {"response": [seen.remember]}
        async with (
            httpx2.AsyncClient(auth=auth, trust_env=False, timeout=20, event_hooks=hooks) as http,
            streamable_http_client(url, http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as session,
        ):
            await session.initialize()
            for tool, arguments in calls:
                answer: Any = await session.call_tool(tool, arguments)
                seen.said.append(answer.content[0].text)

    anyio.run(go)
    return seen


@pytest.fixture(params=DOORS.values(), ids=list(DOORS))
def mcp_url(request: pytest.FixtureRequest, live_provider: LiveProvider) -> Any:
    with serving(live_provider, request.param) as url:
        yield url


def test_the_sdks_client_finds_its_way_in_by_itself(live_provider: LiveProvider, mcp_url: str) -> None:
    seen = visit(live_provider, mcp_url, ("who", {}))

    assert ["machine-with-secret orders:read"] == seen.said
    assert ("POST", "/mcp", 401) == seen.requests[0]
    assert ("GET", "/.well-known/oauth-protected-resource/mcp", 200) == seen.requests[1]
    assert 'scope="orders:read"' in seen.challenges[0]
    assert ["orders:read"] == seen.storage.granted


def test_the_sdks_client_asks_for_more_when_a_tool_needs_it(live_provider: LiveProvider, mcp_url: str) -> None:
    seen = visit(live_provider, mcp_url, ("delete_order", {"order": "1"}), ("who", {}))

    assert ["1 is gone", "machine-with-secret orders:read orders:write"] == seen.said
    assert ("POST", "/mcp", 403) in seen.requests
    assert 'scope="orders:write"' in seen.challenges[-1]
    first, last = seen.storage.granted[0], seen.storage.granted[-1]

    assert "orders:read" == first
    assert {"orders:read", "orders:write"} == set(last.split())


def _token(live: LiveProvider, resource: str, scope: str = "orders:read") -> str:
    metadata = httpx.get(f"{live.issuer.removesuffix('/')}/.well-known/openid-configuration", trust_env=False).json()
    asked = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
    granted = httpx.post(metadata["token_endpoint"], data=asked, auth=live.machine, trust_env=False)
    token: str = granted.json()["access_token"]
    return token


def _call(url: str, token: str, method: str = "tools/call") -> httpx.Response:
    params: dict[str, Any] = {"name": "delete_order", "arguments": {"order": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    return httpx.post(url, json=message, headers=headers, trust_env=False)


def test_a_token_for_another_resource_is_401_and_says_where_the_metadata_are(
    live_provider: LiveProvider, mcp_url: str
) -> None:
    metadata = mcp_url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    for token in (_token(live_provider, "http://127.0.0.1:1/mcp"), live_provider.token()):
        answer = _call(mcp_url, token)

        assert 401 == answer.status_code
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert f'resource_metadata="{metadata}"' in answer.headers["www-authenticate"]
    said = httpx.get(metadata, trust_env=False).json()

    assert [mcp_url, [live_provider.issuer]] == [said["resource"], said["authorization_servers"]]


def test_a_token_without_the_scope_is_403_and_says_which(live_provider: LiveProvider, mcp_url: str) -> None:
    answer = _call(mcp_url, _token(live_provider, mcp_url))

    assert 403 == answer.status_code
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="orders:write"' in answer.headers["www-authenticate"]

    answer = _call(mcp_url, _token(live_provider, mcp_url, "orders:write"), "tools/list")

    assert 403 == answer.status_code
    assert 'scope="orders:read"' in answer.headers["www-authenticate"]


def test_the_sdks_own_way_of_verifying_works_with_its_client(live_provider: LiveProvider) -> None:
    with serving(live_provider, _of_verifier) as url:
        seen = visit(live_provider, url, ("who", {}))

        assert ["nobody"] == seen.said  # current() is with the middleware; the SDK has get_access_token()
        assert ["orders:read"] == seen.storage.granted
        assert 401 == _call(url, _token(live_provider, "http://127.0.0.1:1/mcp")).status_code
        assert 401 == _call(url, _token(live_provider, url, "orders:write"), "tools/list").status_code
