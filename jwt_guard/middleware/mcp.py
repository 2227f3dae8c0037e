"""MCP server → protected resource (MCP authorization): around its ASGI app, or in the words of the SDK and of FastMCP.

Tokens are for this server alone (RFC 8707), clients find out where to get them (RFC 9728), a tool may need more scopes
than the rest (403 ``insufficient_scope``), and a session belongs to whoever opened it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware, get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from pydantic import PrivateAttr
from starlette.authentication import AuthCredentials

from ..access.lifetime import good_until
from ..access.policy import OfCredentials, Policy, ask
from ..access.policy import scopes as needs
from ..credentials import ReadOnly
from ..decision import Allow
from ..errors import GuardError, InsufficientScope, Misconfigured, MissingToken, Unavailable, shown
from ..messages import PlainRequest, Response
from ..runners.awaiting import run
from ..runners.outside import averify
from ..tokens.strict_json import NotStrictJson, json_object
from . import asgi
from .refusing import CREDENTIALS, REALM, missing, refuse

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from fastmcp.server.auth import AuthProvider

    from ..access.guard import Guard
    from ..access.resource import ProtectedResource
    from ..credentials import Credentials

__all__ = ["GuardMiddleware", "GuardTokenVerifier", "fastmcp_auth", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")
Tools: TypeAlias = "Mapping[str, Policy] | Iterable[Callable[..., Any]]"

_LONGEST_MESSAGE = 4 * 1024 * 1024  # octets, as the SDK has it
_DEEPEST = 128
_MARK = "__jwt_guard_needs__"
_SCOPE: ContextVar[asgi.Scope | None] = ContextVar("jwt_guard_mcp_scope", default=None)
"""The request whose message is being served; the SDK runs each message in the context that its request came in."""


class GuardMiddleware(asgi.GuardMiddleware):
    """Let *guard* decide about every request: ``GuardMiddleware(server.streamable_http_app(), guard)``.

    *guard* has a ``resource``; the audience of each of its providers is the URL of that, or one of *audience* where an
    issuer has names of its own.  *tools* says what single tools need on top: a policy by the tool's name, or the
    functions that :func:`requires` is around.  Raises Misconfigured.
    """

    def __init__(  # noqa: PLR0913 - each has a name
        self,
        app: asgi.App,
        guard: Guard,
        *,
        tools: Tools = (),
        audience: str | Sequence[str] = (),
        preflight_passes: bool = True,
        grace: float | None = 0,
    ) -> None:
        policies = _policies(tools)
        guard = _telling(_bound(guard, audience), policies.values())
        judged = _Judged(cast("asgi.App", AuthContextMiddleware(app)), policies)
        super().__init__(judged, guard, preflight_passes=preflight_passes, grace=grace)
        self._wanted = " ".join(sorted(_scopes_of(guard.policy)))

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and self._wanted:
            send = _hinting(send, self._wanted)
        await super().__call__(scope, receive, send)

    def admitted(
        self, credentials: Credentials | None, scope: asgi.Scope, send: asgi.Send, ending: Credentials | None
    ) -> tuple[asgi.Scope, asgi.Send]:
        """Return the scope with what the SDK binds a session to, and what ``get_access_token()`` gives."""
        inner, send = super().admitted(credentials, scope, send, ending)
        if credentials is None:
            inner.pop("user", None)
            return inner, send
        sent = asgi.ScopeRequest(scope).values("authorization")
        token = _access_token(self.guard, credentials, sent[0].partition(" ")[2].strip() if sent else "")
        inner["user"] = AuthenticatedUser(token)
        inner["auth"] = AuthCredentials(token.scopes)
        return inner, send


def _hinting(send: asgi.Send, scopes: str) -> asgi.Send:
    """Return *send* for a client that has no token yet, which is told what to ask for (MCP: scope selection)."""

    def hinting(message: asgi.Message) -> Awaitable[None]:
        if message.get("status") == MissingToken.status and message["type"] == "http.response.start":
            headers = [
                (name, value + f', scope="{scopes}"'.encode() if _is_ours(name, value) else value)
                for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
        return send(message)

    return hinting


def _is_ours(name: bytes, value: bytes) -> bool:
    return name == b"www-authenticate" and value.startswith(b"Bearer realm=") and b"scope=" not in value


class _Judged:
    """An MCP server, each POST to which is read to see whether it calls a tool that needs more."""

    def __init__(self, app: asgi.App, policies: Mapping[str, Policy]) -> None:
        self._app = app
        self._policies = policies

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        token = _SCOPE.set(scope)
        try:
            if not self._policies:
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                error = InsufficientScope(reason="what comes over a websocket is not judged tool by tool")
                await asgi.answer(refuse(error, asgi.ScopeRequest(scope), scope[REALM]), scope, receive, send)
            elif scope["method"] == "POST":
                await self._judged(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            _SCOPE.reset(token)

    async def _judged(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        response = await self._refusal(scope, body)
        if response is None:
            await self._app(scope, _replayed(body, receive), send)
        else:
            await asgi.answer(response, scope, receive, send)

    async def _refusal(self, scope: asgi.Scope, body: bytes) -> Response | None:
        """Return the answer to a message that goes no further.

        What can be read in two ways goes no further either: the server may read it in the other.
        """
        if len(body) > _LONGEST_MESSAGE:
            return _rpc_error(413, INVALID_REQUEST, "The message is too long")
        try:
            message = json_object(body, _DEEPEST)
        except NotStrictJson:
            return _rpc_error(400, PARSE_ERROR, "Parse error")
        if message.get("method") != "tools/call":
            return None
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if not isinstance(name, str):
            return _rpc_error(400, INVALID_PARAMS, "A tool is called by its name")
        policy = self._policies.get(name)
        if policy is None:
            return None
        request, credentials = asgi.ScopeRequest(scope), cast("Credentials | None", scope[CREDENTIALS])
        error = MissingToken() if credentials is None else await _denial(policy, request, credentials)
        return None if error is None else refuse(error, request, scope[REALM])


async def _denial(policy: Policy, request: Any, credentials: Credentials) -> GuardError | None:  # noqa: ANN401 - a Request
    try:
        decision = await run(ask(policy, request, credentials))
    except GuardError as error:
        return error
    return None if isinstance(decision, Allow) else decision.error


async def _body(receive: asgi.Receive) -> bytes | None:
    """Return the body, or as much of one that is too long as shows it; None where the client has gone."""
    parts: list[bytes] = []
    length, more = 0, True
    while more and length <= _LONGEST_MESSAGE:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: asgi.Receive) -> asgi.Receive:
    first: list[asgi.Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> asgi.Message:
        return first.pop() if first else await receive()

    return replayed


def _rpc_error(status: int, code: int, sentence: str) -> Response:
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": sentence}}).encode()
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Response(status, headers, body)


# ── one tool ─────────────────────────────────────────────────────────────────────────────────────────────────────


def requires(*scopes: str) -> Callable[[F], F]:
    """Ask for *scopes* at one tool, resource or prompt: ``@server.tool()`` stands above it.

    Give the function to ``GuardMiddleware(tools=[…])`` too: then a client is told by HTTP 403 what to ask for, and
    not only by an error of JSON-RPC.  Raises RuntimeError on each call where no guard is in front of the server, so
    that nothing passes.
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)

    def wrap(tool: F) -> F:
        if iscoroutinefunction(tool):

            @wraps(tool)
            async def awaiting_it(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the tool takes and gives
                _check(wanted)
                return await tool(*args, **kwargs)

            guarded: Callable[..., Any] = awaiting_it
        else:

            @wraps(tool)
            def calling(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the tool takes and gives
                _check(wanted)
                return tool(*args, **kwargs)

            guarded = calling
        setattr(guarded, _MARK, policy)
        return cast("F", guarded)

    return wrap


def _check(wanted: frozenset[str]) -> None:
    scope = _SCOPE.get()
    if scope is None:
        token = get_access_token()
        found: Mapping[str, Any] = {CREDENTIALS: token.credentials} if isinstance(token, _AccessToken) else {}
        request, realm = PlainRequest("POST", ""), "api"
    else:
        found, request, realm = scope, PlainRequest("POST", asgi.ScopeRequest(scope).path), scope[REALM]
    error = missing(found, wanted)
    if error is not None:
        response = refuse(error, request, realm)
        problem = json.loads(response.body)
        data = {"error": error.code, "scope": " ".join(sorted(wanted)), "id": problem["id"]}
        raise MCPError(INVALID_REQUEST, problem["detail"], data)


def _policies(tools: Tools) -> dict[str, Policy]:
    named: dict[str, Any]
    if isinstance(tools, Mapping):
        named = dict(cast("Mapping[str, Policy]", tools))
    else:
        functions = list(tools)
        named = {function.__name__: getattr(function, _MARK, None) for function in functions}
        if len(named) < len(functions):
            raise Misconfigured("tools: two of them have one name; give them as NAME: POLICY")
    for name, policy in named.items():
        if not (isinstance(name, str) and name and callable(policy)):
            raise Misconfigured(f"tools: {shown(name)}: a tool needs a policy, or requires() around it")
    return named


# ── the resource ─────────────────────────────────────────────────────────────────────────────────────────────────


def _bound(guard: Guard, audience: str | Sequence[str]) -> Guard:
    """Return *guard* if it takes tokens for its resource and for no other; else raise Misconfigured."""
    resource = _resource(guard)
    if guard.resolver is not None:
        raise Misconfigured("an MCP server takes tokens of providers that are known at start: resolver is not for it")
    if not guard.metadata or not guard.metadata.get("authorization_servers"):
        raise Misconfigured("clients of an MCP server must be told an issuer that is a URL")
    meant = {resource.url, *([audience] if isinstance(audience, str) else audience)}
    for provider in guard.providers:
        own = {provider.audience} if isinstance(provider.audience, str) else set(provider.audience)
        if not own <= meant:  # a token for another resource must not be good here (MCP: access token privilege)
            raise Misconfigured(
                f"provider {provider.name}: its audience must be the resource {shown(resource.url)}, or be named as "
                "audience= where the issuer has another name for it"
            )
    return guard


def _resource(guard: Guard) -> ProtectedResource:
    if guard.resource is None:
        raise Misconfigured("an MCP server is a protected resource: Guard(…, resource=ProtectedResource(URL))")
    return guard.resource


def _telling(guard: Guard, more: Iterable[Policy]) -> Guard:
    """Return *guard* with metadata that name the scopes which its policies do, where nobody has chosen them."""
    resource = _resource(guard)
    scopes = _scopes_of(guard.policy).union(*map(_scopes_of, more))
    if resource.scopes_supported or not scopes:
        return guard
    return replace(guard, resource=replace(resource, scopes_supported=tuple(sorted(scopes))))


def _scopes_of(policy: Policy) -> frozenset[str]:
    return policy.refusal().required if isinstance(policy, OfCredentials) else frozenset()


# ── in the words of the SDK, and of FastMCP ──────────────────────────────────────────────────────────────────────


class _AccessToken(AccessToken):
    """What the SDK knows of a caller; it shows neither token nor claims in a log."""

    _credentials: Credentials | None = PrivateAttr(default=None)

    @property
    def credentials(self) -> Credentials | None:
        return self._credentials

    def of(self, credentials: Credentials) -> Self:
        self._credentials = credentials
        return self

    def __repr_args__(self) -> Generator[tuple[str | None, Any]]:
        yield "client_id", self.client_id
        yield "scopes", self.scopes


def _access_token(guard: Guard, credentials: Credentials, text: str) -> _AccessToken:
    return _AccessToken(
        token=text,
        client_id=credentials.client or "",
        scopes=sorted(credentials.scopes),
        expires_at=int(good_until(guard, credentials)),
        resource=_resource(guard).url,
        subject=_subject(credentials, text),
        claims=_plain(credentials.claims),
    ).of(credentials)


def _subject(credentials: Credentials, text: str) -> str | None:
    """Return what tells this caller from others of its client, since the SDK binds sessions to that."""
    sub = credentials.claims.get("sub")
    subject = credentials.user or (sub if isinstance(sub, str) else None)
    if subject is None and credentials.client is None:
        return hashlib.sha256(text.encode()).hexdigest()  # nobody has a name: the session is this token's
    return subject


def _plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, ReadOnly | Mapping):
        return {name: _plain(inner) for name, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value


class GuardTokenVerifier:
    """The SDK's ``token_verifier``: ``MCPServer(name, token_verifier=verifier, auth=verifier.settings())``.

    It answers in the SDK's words: 401 also where the policy says no, and no id of the log's.  GuardMiddleware tells
    a client more; ``current()`` is with that alone, and with ``fastmcp_auth``.  *audience* is as there.
    """

    def __init__(self, guard: Guard, *, audience: str | Sequence[str] = ()) -> None:
        self.guard = _bound(guard, audience)
        self._request = PlainRequest("POST", urlsplit(_resource(guard).url).path or "/")

    def settings(self) -> AuthSettings:
        """Return the SDK's ``auth`` for it."""
        metadata = cast("Mapping[str, Any]", self.guard.metadata)
        return AuthSettings.model_validate(  # of texts, since a URL in an object of its own gets a slash at its end
            {
                "issuer_url": metadata["authorization_servers"][0],
                "resource_server_url": _resource(self.guard).url,
                "required_scopes": sorted(_scopes_of(self.guard.policy)) or None,
                "validate_token_resource": True,
            }
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return who may come in with *token*, else None.  Raises Unavailable where we cannot tell."""
        try:
            credentials = await averify(self.guard, token)
            error = await _denial(self.guard.policy, self._request, credentials)
            if error is None:
                return _access_token(self.guard, credentials, token)
        except GuardError as refused:
            error = refused
        refuse(error, self._request, self.guard.realm)
        if isinstance(error, Unavailable):
            raise error  # which the SDK makes a 500: a 401 would make the client throw away a token that may be good
        return None


def fastmcp_auth(guard: Guard, *, tools: Tools = (), audience: str | Sequence[str] = ()) -> AuthProvider:
    """Return what FastMCP calls ``auth``: ``FastMCP(name, auth=fastmcp_auth(guard))``, GuardMiddleware inside.

    Raises Misconfigured as that does.
    """
    from fastmcp.server.auth import AccessToken as FastAccessToken
    from fastmcp.server.auth import AuthProvider
    from starlette.middleware import Middleware

    verifier = GuardTokenVerifier(guard, audience=audience)
    named = _policies(tools)

    class GuardProvider(AuthProvider):
        def get_middleware(self) -> list[Any]:
            return [Middleware(GuardMiddleware, guard=guard, tools=named, audience=audience)]

        async def verify_token(self, token: str) -> FastAccessToken | None:
            found = await verifier.verify_token(token)
            return None if found is None else FastAccessToken(**found.model_dump())

    return GuardProvider()
