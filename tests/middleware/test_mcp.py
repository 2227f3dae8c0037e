"""MCP servers of the SDK and of FastMCP: who is let in, whose session it is, what each tool needs, and what is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import anyio
import httpx
import pytest
import uvicorn
from fastmcp import FastMCP
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token

from jwt_guard import Deny, Guard, Misconfigured, anyone, authenticated, by_route, claim, current, fixed, scopes
from jwt_guard.access.resolver import Resolver
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.errors import KeysUnavailable
from jwt_guard.middleware.mcp import GuardMiddleware, GuardTokenVerifier, fastmcp_auth, requires
from tests.doors.inside import ask_asgi
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, HOUR, NOW, claims, mint, minted, provider

from .callers import whoever

RESOURCE = "https://mcp.test/mcp"
METADATA = "https://mcp.test/.well-known/oauth-protected-resource/mcp"
PATH = "/.well-known/oauth-protected-resource/mcp"
Server: TypeAlias = "MCPServer | FastMCP[Any]"


def token(sub: object = "ada", scope: str = "orders:read", **changes: Any) -> str:
    return mint(claims(**{"sub": sub, "scope": scope, "aud": RESOURCE, **changes}), alg="HS256")


def guarding(policy: Any = None, **changes: Any) -> Guard:
    more = {"audience": RESOURCE, **changes.pop("provider", {})}
    guard = Guard(
        [provider("HS256", **more)],
        authenticated() if policy is None else policy,
        clock=lambda: NOW,
        resource=ProtectedResource(RESOURCE),
    )
    return replace(guard, **changes)


# ── servers, and what is asked of them ───────────────────────────────────────────────────────────────────────────


def who() -> str:
    """Say who asks, as jwt_guard and as the SDK know it."""
    found, token_of_sdk = current(), get_access_token()
    scopes_of = () if found is None else sorted(found.scopes)
    return f"{whoever()} {','.join(scopes_of)} {None if token_of_sdk is None else token_of_sdk.subject}"


async def who_later() -> str:
    await anyio.sleep(0.01)
    return who()


@requires("orders:write")
def delete_order(order: str) -> str:
    return f"{order} is gone, says {whoever()}"


@requires("orders:write")
async def cancel_order(order: str) -> str:
    return f"{order} is cancelled, says {whoever()}"


def with_tools(server: Any) -> Any:
    for tool in (who, who_later, delete_order, cancel_order):
        server.tool()(tool)
    return server


def of_sdk(guard: Guard, **more: Any) -> Any:
    return GuardMiddleware(with_tools(MCPServer("orders")).streamable_http_app(json_response=True), guard, **more)


def of_fastmcp(guard: Guard, **more: Any) -> Any:
    return GuardMiddleware(with_tools(FastMCP("orders")).http_app(json_response=True), guard, **more)


def of_fastmcp_auth(guard: Guard, **more: Any) -> Any:
    return with_tools(FastMCP("orders", auth=fastmcp_auth(guard, **more))).http_app(json_response=True)


DOORS: dict[str, Callable[..., Any]] = {"sdk": of_sdk, "fastmcp": of_fastmcp, "fastmcp auth": of_fastmcp_auth}


@pytest.fixture(params=DOORS.values(), ids=list(DOORS))
def door(request: pytest.FixtureRequest) -> Callable[..., Any]:
    made: Callable[..., Any] = request.param
    return made


class Caller:
    """Somebody who speaks MCP by hand."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.session: str | None = None

    def post(self, message: Any, bearer: str | None, **headers: str) -> httpx.Response:
        sent = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **headers}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if self.session is not None:
            sent["Mcp-Session-Id"] = self.session
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.http.post("/mcp", content=content, headers=sent)

    def open(self, bearer: str | None) -> httpx.Response:
        """Open a session."""
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, bearer)
        self.session = answer.headers.get("mcp-session-id")
        if self.session is not None:
            self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, bearer)
        return answer

    def call(self, tool: str, bearer: str | None, **arguments: str) -> httpx.Response:
        params = {"name": tool, "arguments": arguments}
        return self.post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, bearer)

    def said(self, tool: str, bearer: str | None, **arguments: str) -> str:
        """Return what the tool says."""
        answer = self.call(tool, bearer, **arguments).json()
        text: str = answer["result"]["content"][0]["text"]
        return text


@contextmanager
def running(app: Any) -> Generator[Caller]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        end = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.005)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base, trust_env=False, timeout=20) as http:
            yield Caller(http)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


# ── who is let in ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tool_knows_who_calls_it(door: Callable[..., Any]) -> None:
    with running(door(guarding())) as caller:
        caller.open(token())

        assert "ada orders:read ada" == caller.said("who", token())
        assert "ada orders:read ada" == caller.said("who_later", token())


def test_without_a_token_nobody_gets_in_and_is_told_where_to_ask(door: Callable[..., Any]) -> None:
    with running(door(guarding(scopes("orders:read")))) as caller:
        answer = caller.open(None)

        assert 401 == answer.status_code
        assert (
            f'Bearer realm="api", resource_metadata="{METADATA}", scope="orders:read"'
            == answer.headers["www-authenticate"]
        )
        assert caller.session is None


BAD = {
    "no JWT": "x",
    "expired": token(exp=NOW - HOUR),
    "for another resource": token(aud="https://mcp.test/other"),
    "for its parent": token(aud="https://mcp.test"),
    "with a slash": token(aud=RESOURCE + "/"),
}


def test_no_bad_token_gets_in(door: Callable[..., Any]) -> None:
    with running(door(guarding())) as caller:
        caller.open(token())
        for what, bad in BAD.items():
            answer = caller.call("who", bad)

            assert 401 == answer.status_code, what
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert f'resource_metadata="{METADATA}"' in answer.headers["www-authenticate"]


def test_two_headers_are_no_credentials(door: Callable[..., Any]) -> None:
    with running(door(guarding())) as caller:
        sent = [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token('eve')}")]

        assert 400 == caller.http.post("/mcp", headers=sent, content=b"{}").status_code


def test_a_token_without_the_scope_of_the_server_is_403_with_the_scope(door: Callable[..., Any]) -> None:
    with running(door(guarding(scopes("orders:admin")))) as caller:
        answer = caller.open(token())

        assert 403 == answer.status_code
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert 'scope="orders:admin"' in answer.headers["www-authenticate"]


def test_keys_out_of_reach_are_503(door: Callable[..., Any]) -> None:
    def policy(_request: Any, _credentials: Any) -> Deny:
        return Deny(KeysUnavailable("they do not answer"))

    with running(door(guarding(policy))) as caller:
        assert 503 == caller.open(token()).status_code


def test_who_is_a_stranger_on_an_open_server_is_nobody() -> None:
    for made in (of_sdk, of_fastmcp):
        with running(made(guarding(anyone()), tools=[delete_order])) as caller:
            caller.open(None)

            assert "nobody  None" == caller.said("who", None)
            assert 401 == caller.call("delete_order", None, order="1").status_code
            assert 200 == caller.call("cancel_order", None, order="1").status_code
            assert "access token is needed" in caller.call("cancel_order", None, order="1").text


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_gets_into_the_session_of_somebody_else(door: Callable[..., Any]) -> None:
    with running(door(guarding())) as caller:
        caller.open(token("ada"))

        assert 404 == caller.call("who", token("eve")).status_code
        assert 404 == caller.call("who", token("ada", client_id="another")).status_code
        assert 404 == caller.call("who", token(ABSENT)).status_code
        assert 401 == caller.call("who", None).status_code
        assert "ada orders:read ada" == caller.said("who", token("ada"))


def test_a_session_is_not_what_says_who_asks_or_what_they_may(door: Callable[..., Any]) -> None:
    with running(door(guarding(), tools=[delete_order])) as caller:
        caller.open(token(scope="orders:write"))

        assert "ada orders:write ada" == caller.said("who", token(scope="orders:write"))
        assert "ada orders:read ada" == caller.said("who", token(scope="orders:read"))
        assert 403 == caller.call("delete_order", token(scope="orders:read"), order="1").status_code
        assert 401 == caller.call("who", token(exp=NOW - HOUR)).status_code


def test_a_session_that_a_stranger_opened_is_nobodys_and_theirs_alone() -> None:
    with running(of_sdk(guarding(anyone()))) as caller:
        caller.open(None)

        assert 404 == caller.call("who", token()).status_code
        assert "nobody  None" == caller.said("who", None)


def test_callers_without_a_name_share_no_session() -> None:
    nameless: dict[str, Any] = {"client_id": ABSENT}
    with running(of_sdk(guarding())) as caller:
        caller.open(token(ABSENT, **nameless))

        assert 200 == caller.call("who", token(ABSENT, **nameless)).status_code
        assert 404 == caller.call("who", token(ABSENT, jti="other", **nameless)).status_code


def test_two_at_a_time_do_not_mix(door: Callable[..., Any]) -> None:
    with running(door(guarding())) as ada:
        bob = Caller(ada.http)
        ada.open(token("ada"))
        bob.open(token("bob"))
        said: dict[str, set[str]] = {"ada": set(), "bob": set()}

        def ask(name: str, caller: Caller) -> None:
            for _ in range(5):
                said[name].add(caller.said("who_later", token(name)))

        threads = [threading.Thread(target=ask, args=each) for each in (("ada", ada), ("bob", bob))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert {"ada": {"ada orders:read ada"}, "bob": {"bob orders:read bob"}} == said


# ── tools that need more ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tools", [[delete_order], {"delete_order": scopes("orders:write")}], ids=["list", "mapping"])
def test_a_tool_that_needs_more_is_403_with_the_scope_before_it_runs(door: Callable[..., Any], tools: Any) -> None:
    with running(door(guarding(scopes("orders:read")), tools=tools)) as caller:
        caller.open(token())
        answer = caller.call("delete_order", token(), order="1")

        assert 403 == answer.status_code
        assert (
            'Bearer realm="api", error="insufficient_scope", error_description="The access token does not allow this", '
            f'scope="orders:write", resource_metadata="{METADATA}"' == answer.headers["www-authenticate"]
        )
        assert "1 is gone, says ada" == caller.said("delete_order", token(scope="orders:read orders:write"), order="1")


@pytest.mark.parametrize("tool", ["delete_order", "cancel_order"])
def test_requires_alone_refuses_in_the_words_of_json_rpc(door: Callable[..., Any], tool: str) -> None:
    with running(door(guarding())) as caller:
        caller.open(token())
        answer = caller.call(tool, token(), order="1")

        assert 200 == answer.status_code
        assert "The access token does not allow this" in answer.text
        assert "says ada" not in answer.text
        assert "says ada" in caller.said(tool, token(scope="orders:write"), order="1")


def test_requires_without_a_guard_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    for app in (with_tools(MCPServer("orders")).streamable_http_app(json_response=True),):
        with running(app) as caller:
            caller.open(None)
            answer = caller.call("delete_order", token(scope="orders:write"), order="1")

            assert "is gone" not in answer.text
            assert "requires() found no guard" in caplog.text


def test_requires_keeps_what_a_tool_looks_like() -> None:
    async def listed() -> Any:
        return [tool for tool in await with_tools(MCPServer("orders")).list_tools() if tool.name == "delete_order"]

    (tool,) = anyio.run(listed)

    assert {"order"} == set(tool.input_schema["properties"])


CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_order","arguments":{"order":"1"}}}'
AMBIGUOUS = {
    "two methods": CALL.replace('"method":', '"method":"ping","method":'),
    "two names": CALL.replace('"name":', '"name":"who","name":'),
    "two names, the other way": CALL.replace('"delete_order",', '"delete_order","name":"who",'),
    "two params": CALL.replace('"params":', '"params":{"name":"who"},"params":'),
    "a batch": f"[{CALL}]",
    "a name that is none": CALL.replace('"delete_order"', '["delete_order"]'),
    "no params": '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    "params that are a list": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["delete_order"]}',
    "UTF-16": CALL.encode("utf-16"),
    "a byte order mark": CALL.encode("utf-8-sig"),
    "not UTF-8": CALL.encode().replace(b'"1"', b'"\xff"'),
    "NaN": CALL.replace('"1"', "NaN"),
    "half of it": CALL[:-1],
    "two of them": CALL + CALL,
    "nothing": "",
    "nested without end": CALL.replace('"1"', "[" * 500 + "]" * 500),
}


def test_what_can_be_read_in_two_ways_reaches_no_tool() -> None:
    with running(of_sdk(guarding(), tools={"delete_order": scopes("orders:write")})) as caller:
        caller.open(token())
        for what, body in AMBIGUOUS.items():
            answer = caller.post(body.encode() if isinstance(body, str) else body, token())

            assert 400 == answer.status_code, what
            assert {"jsonrpc", "id", "error"} == set(answer.json())


SAME = {
    "escaped": CALL.replace("delete_order", "delete\\u005forder"),
    "an escaped method": CALL.replace("tools/call", "tools\\/call"),
    "white space": "\n " + CALL.replace(":", " : ") + "\n",
    "with a name that nobody reads": CALL.replace('"id":1,', '"id":1,"name":"who",'),
}


def test_the_same_call_in_other_letters_is_the_same_call() -> None:
    with running(of_sdk(guarding(), tools={"delete_order": scopes("orders:write")})) as caller:
        caller.open(token())
        for what, body in SAME.items():
            assert 403 == caller.post(body.encode(), token()).status_code, what


def test_a_call_without_a_session_in_the_newest_words_is_judged_too() -> None:
    for made in (of_sdk, of_fastmcp):
        with running(made(guarding(), tools=[delete_order])) as caller:
            for version in ("2026-07-28", "2999-01-01", "1"):
                answer = caller.post(CALL.encode(), token(), **{"MCP-Protocol-Version": version})

                assert 403 == answer.status_code


def test_a_message_that_is_too_long_is_refused() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 100_000

    with running(of_sdk(guarding(), tools=[delete_order])) as caller:
        sent = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}

        assert 413 == caller.http.post("/mcp", content=endless(), headers=sent).status_code


LONGEST = 4 * 1024 * 1024


def posted(*parts: bytes, more: bool = False) -> tuple[int, int, list[bytes]]:
    """Post *parts*, with *more* announcing others behind them that never come.

    Return the status, how many of the parts were read, and the bodies that reached the server behind the guard.
    """
    read, reached, statuses = 0, list[bytes](), list[int]()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert not message["more_body"]
        reached.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        nonlocal read
        assert read < len(parts), "more is read than shows that it is too much"
        read += 1
        return {"type": "http.request", "body": parts[read - 1], "more_body": more or read < len(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"authorization", f"Bearer {token()}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
    anyio.run(GuardMiddleware(app, guarding(), tools=[delete_order]), scope, receive, send)
    (status,) = statuses
    return status, read, reached


def test_no_more_is_read_of_a_message_than_shows_that_it_is_too_long() -> None:
    quarter = b" " * (LONGEST // 4)

    assert (413, 5, []) == posted(*[quarter] * 4, b" ", *[quarter] * 4, more=True)
    assert (413, 1, []) == posted(b" " * (LONGEST + 1), b" ", more=True)
    assert (413, 2, []) == posted(CALL.encode().ljust(LONGEST), b"x", b"x", more=True)


def test_a_message_of_the_greatest_length_is_judged_and_handed_on_whole() -> None:
    harmless = CALL.replace("delete_order", "who").encode().ljust(LONGEST)

    assert (200, 1, [harmless]) == posted(harmless)
    assert (200, 3, [harmless]) == posted(harmless[:100], harmless[100:-1], harmless[-1:])
    assert (200, 2, [harmless]) == posted(harmless, b"")
    assert (403, 1, []) == posted(CALL.encode().ljust(LONGEST))
    assert (413, 1, []) == posted(CALL.encode().ljust(LONGEST + 1))


def test_a_policy_of_a_tool_may_be_any(door: Callable[..., Any]) -> None:
    tools = {"who": claim("sub", equals="bob")}
    with running(door(guarding(), tools=tools)) as caller:
        caller.open(token("ada"))

        assert 403 == caller.call("who", token("ada")).status_code
        caller.session = None
        caller.open(token("bob"))
        assert "bob orders:read bob" == caller.said("who", token("bob"))


def test_a_policy_that_cannot_tell_is_503() -> None:
    def policy(_request: Any, _credentials: Any) -> Any:
        raise KeysUnavailable("they do not answer")

    with running(of_sdk(guarding(), tools={"who": policy})) as caller:
        caller.open(token())

        assert 503 == caller.call("who", token()).status_code


def test_a_websocket_is_not_judged_tool_by_tool_so_it_is_refused() -> None:
    reached: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["type"])

    async def handshake() -> list[Any]:
        sent: list[Any] = []
        scope = {
            "type": "websocket",
            "path": "/ws",
            "headers": [(b"authorization", f"Bearer {token()}".encode())],
            "extensions": {},
        }

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await GuardMiddleware(app, guarding(), tools=[delete_order])(scope, receive, send)
        await GuardMiddleware(app, guarding())(scope, receive, send)
        return sent

    assert ["websocket.close"] == [message["type"] for message in anyio.run(handshake)]
    assert ["websocket"] == reached


def test_a_client_that_goes_in_the_midst_of_a_message_is_let_go() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError

    async def ask() -> None:
        messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
        headers = [(b"authorization", f"Bearer {token()}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}

        async def receive() -> Any:
            return messages.pop(0)

        async def send(_message: Any) -> None:
            raise AssertionError

        await GuardMiddleware(app, guarding(), tools=[delete_order])(scope, receive, send)

    anyio.run(ask)


# ── what is told to everybody ────────────────────────────────────────────────────────────────────────────────────


def test_the_metadata_say_where_tokens_are_and_which_scopes_there_are(door: Callable[..., Any]) -> None:
    with running(door(guarding(scopes("orders:read")), tools=[delete_order])) as caller:
        answer = caller.http.get(PATH)

        assert 200 == answer.status_code
        assert "*" == answer.headers["access-control-allow-origin"]
        assert {
            "resource": RESOURCE,
            "authorization_servers": ["https://id.test"],
            "scopes_supported": ["orders:read", "orders:write"],
            "bearer_methods_supported": ["header"],
        } == answer.json()


def test_scopes_that_somebody_has_chosen_stay_as_they_are() -> None:
    guard = guarding(scopes("orders:read"), resource=ProtectedResource(RESOURCE, ["orders:all"]))

    assert ["orders:all"] == json.loads(ask_asgi(GuardMiddleware(never, guard), "GET", PATH, []).body)[
        "scopes_supported"
    ]


async def never(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError


def test_a_guard_without_a_resource_is_refused_at_start(door: Callable[..., Any]) -> None:
    with pytest.raises(Misconfigured, match="protected resource"):
        door(guarding(resource=None))


WRONG: dict[str, Any] = {
    "another audience": {"provider": {"audience": "orders"}},
    "another audience too": {"provider": {"audience": [RESOURCE, "orders"]}},
    "an issuer that is no URL": {"provider": {"issuer": "shop"}},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_guard_that_takes_tokens_for_others_is_refused_at_start(door: Callable[..., Any], changes: Any) -> None:
    with pytest.raises(Misconfigured):
        door(guarding(**changes))


def test_a_guard_whose_providers_nobody_knows_yet_is_refused_at_start() -> None:
    resolver = Resolver(lambda _issuer: None, issuers=["https://*.id.test"])
    with pytest.raises(Misconfigured, match="resolver"):
        GuardMiddleware(never, guarding(resolver=resolver))


def test_an_issuer_with_names_of_its_own_is_told_so(door: Callable[..., Any]) -> None:
    guard = guarding(provider={"audience": ["api://orders"]})
    for audience in ("api://orders", ["api://orders", "other"]):
        with running(door(guard, audience=audience)) as caller:
            assert 200 == caller.open(token(aud="api://orders")).status_code
            assert 401 == caller.open(token()).status_code


@pytest.mark.parametrize(
    "tools",
    [[who], {"who": None}, {"": scopes("a")}, [delete_order, delete_order]],
    ids=["not decorated", "no policy", "no name", "twice"],
)
def test_tools_that_need_nothing_are_a_mistake(door: Callable[..., Any], tools: Any) -> None:
    with pytest.raises(Misconfigured, match="tools"):
        door(guarding(), tools=tools)


# ── the SDK's own way ────────────────────────────────────────────────────────────────────────────────────────────


def todays_guard(policy: Any = None) -> Guard:
    """Return a guard on the clock of the SDK, which looks at times, too."""
    return replace(guarding(policy), clock=time.time)


def todays_token(sub: str = "ada", scope: str = "orders:read", **changes: Any) -> str:
    now = int(time.time())
    return token(sub, scope, **{"iat": now, "exp": now + HOUR, **changes})


def verified(guard: Guard) -> Any:
    verifier = GuardTokenVerifier(guard)
    server = with_tools(MCPServer("orders", token_verifier=verifier, auth=verifier.settings()))
    return server.streamable_http_app(json_response=True)


def test_the_sdk_verifies_with_the_guard() -> None:
    with running(verified(todays_guard(scopes("orders:read")))) as caller:
        answer = caller.open(None)

        assert 401 == answer.status_code
        assert METADATA in answer.headers["www-authenticate"]
        metadata = caller.http.get(PATH).json()
        assert [RESOURCE, ["https://id.test"]] == [metadata["resource"], metadata["authorization_servers"]]
        caller.open(todays_token())
        assert "nobody  ada" == caller.said("who", todays_token())
        assert 404 == caller.call("who", todays_token("eve")).status_code
        assert 401 == caller.call("who", todays_token(aud="https://mcp.test/other")).status_code
        assert 401 == caller.call("who", todays_token(scope="other")).status_code
        assert "does not allow this" in caller.call("delete_order", todays_token(), order="1").text
        assert "1 is gone" in caller.said("delete_order", todays_token(scope="orders:read orders:write"), order="1")


def test_the_verifier_says_who_it_is_and_shows_no_secret() -> None:
    text = token(groups=[{"name": "ops"}])
    found = anyio.run(GuardTokenVerifier(guarding()).verify_token, text)

    assert found is not None
    assert ("shop", "ada", ["orders:read"], RESOURCE) == (found.client_id, found.subject, found.scopes, found.resource)
    assert NOW + HOUR + 30 == found.expires_at
    assert found.claims is not None
    assert [{"name": "ops"}] == found.claims["groups"]
    assert text not in repr(found)
    assert "ops" not in str(found)


def test_the_verifier_asks_the_policy_too() -> None:
    route = by_route([("POST", "/mcp", claim("sub", equals="ada"))])
    verifier = GuardTokenVerifier(guarding(route))

    assert anyio.run(verifier.verify_token, token("ada")) is not None
    assert anyio.run(verifier.verify_token, token("eve")) is None
    assert anyio.run(verifier.verify_token, "x") is None


def test_the_verifier_does_not_take_an_outage_for_a_bad_token() -> None:
    def policy(_request: Any, _credentials: Any) -> Deny:
        return Deny(KeysUnavailable("they do not answer"))

    def policy_raises(_request: Any, _credentials: Any) -> Deny:
        raise KeysUnavailable("they do not answer")

    for each in (policy, policy_raises):
        with pytest.raises(KeysUnavailable):
            anyio.run(GuardTokenVerifier(guarding(each)).verify_token, token())


def test_fastmcps_provider_verifies_by_itself_too() -> None:
    auth = fastmcp_auth(guarding())
    found = anyio.run(auth.verify_token, token())

    assert found is not None
    assert "ada" == found.subject
    assert anyio.run(auth.verify_token, "x") is None


def test_a_public_key_does_as_well() -> None:
    guard = guarding(provider={"keys": fixed({"keys": [public_jwk("ES256", "a", kid="a")]})})
    text = minted(mint(claims(aud=RESOURCE), alg="ES256"))

    assert anyio.run(GuardTokenVerifier(guard).verify_token, text) is not None
