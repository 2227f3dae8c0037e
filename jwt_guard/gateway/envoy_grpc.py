"""Envoy's question about a request over gRPC → its answer: ``envoy.service.auth.v3.Authorization/Check``.

Whatever goes wrong in here is a refusal; that Envoy takes no answer for none is for its own configuration to say.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import grpc.aio

from ..decision import Allow, Deny
from ..errors import GuardError, Misconfigured, Unavailable
from ..messages import PlainRequest
from .original import NotTrusted, meant
from .settings import Settings, address, believes

if TYPE_CHECKING:
    from ..decision import Decision
    from ..messages import Request, Response
    from .judging import Judge
    from .serving import Beside

__all__ = ["Authorization", "beside", "serve_grpc"]

_log = logging.getLogger("jwt_guard")
_SERVICE: Final = "envoy.service.auth.v3.Authorization"
_GRACE: Final = 5.0
"""Seconds for questions that are being answered when the server stops."""
# google/rpc/code.proto.  Envoy looks at whether it is OK, and tells the client the HTTP status beside it.
_OK, _PERMISSION_DENIED = 0, 7
_CODES: Final = {400: 3, 401: 16, 403: _PERMISSION_DENIED, 503: 14}
_NOT_FOR_UPSTREAMS: Final = frozenset({"cache-control", "content-length"})


class Authorization:
    """Answers what Envoy asks, by what *judge* gives at that moment; *settings*, given likewise, say whom it believes.

    Raises Misconfigured where the messages of Envoy are not installed.
    """

    def __init__(self, settings: Callable[[], Settings], judge: Callable[[], Judge]) -> None:
        self._settings = settings
        self._judge = judge
        try:
            self._auth: Any = import_module("envoy.service.auth.v3.external_auth_pb2")
            self._base: Any = import_module("envoy.config.core.v3.base_pb2")
            self._http: Any = import_module("envoy.type.v3.http_status_pb2")
            self._rpc: Any = import_module("google.rpc.status_pb2")
        except ModuleNotFoundError as error:
            raise Misconfigured(f"grpc_listen needs {error.name}: pip install 'jwt-guard[envoy]'") from None

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is to be given."""
        check = grpc.unary_unary_rpc_method_handler(
            self.check,
            request_deserializer=self._auth.CheckRequest.FromString,
            response_serializer=self._auth.CheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"Check": check})

    async def check(self, question: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401 - generated
        """Return the answer to *question*, a CheckRequest."""
        judge, began = self._judge(), perf_counter()
        http = question.attributes.request.http
        asked = PlainRequest(http.method, http.path, headers=_headers(http))
        request: Request = asked
        try:
            peer = _peer(context.peer())
            if not believes(self._settings(), peer):
                raise NotTrusted(peer)  # noqa: TRY301 - one way out for all that is refused
            request = meant(http.method, http.path, asked)
            decision: Decision = await judge.decide(request)
            told = self._allowed(judge.answer(decision, request), judge, asked) if isinstance(decision, Allow) else None
        except GuardError as error:
            decision, told = Deny(error), None
        except Exception as bug:  # noqa: BLE001 - Envoy may be told to take no answer for a yes; a bug is none
            # Without its words: whoever raised it may have put a claim set into them.
            frames = "".join(traceback.format_tb(bug.__traceback__))
            _log.error("a bug, and so no yes: %s\n%s", type(bug).__name__, frames)
            decision, told = Deny(Unavailable(f"{type(bug).__name__} was raised while deciding")), None
        judge.tell(request, decision, began)
        return self._denied(judge.answer(decision, request)) if told is None else told

    def _allowed(self, answer: Response, judge: Judge, asked: PlainRequest) -> Any:  # noqa: ANN401 - generated
        """Return that the request goes on, with what the upstream is told in place of what the client said of it."""
        said = [(name, value) for name, value in answer.headers if name not in _NOT_FOR_UPSTREAMS]
        told = {name.lower() for name, value in said if value}
        # Envoy takes away what it is to take away after it has set what it is to set.
        silent = {name.lower() for name, value in said if not value}
        aliases = {name for name, _ in asked.headers if judge.identity.is_alias(name) and name not in told}
        return self._auth.CheckResponse(
            status=self._rpc.Status(code=_OK),
            ok_response=self._auth.OkHttpResponse(
                headers=[self._header(name, value) for name, value in said if value],
                headers_to_remove=sorted(silent | aliases),
            ),
        )

    def _denied(self, answer: Response) -> Any:  # noqa: ANN401 - generated
        return self._auth.CheckResponse(
            status=self._rpc.Status(code=_CODES.get(answer.status, _PERMISSION_DENIED)),
            denied_response=self._auth.DeniedHttpResponse(
                status=self._http.HttpStatus(code=answer.status),
                headers=[self._header(name, value) for name, value in answer.headers if name != "content-length"],
                body=answer.body.decode("ascii"),
            ),
        )

    def _header(self, name: str, value: str) -> Any:  # noqa: ANN401 - generated
        option = self._base.HeaderValueOption
        return option(
            header=self._base.HeaderValue(key=name, value=value), append_action=option.OVERWRITE_IF_EXISTS_OR_ADD
        )


async def serve_grpc(
    settings: Settings, judge: Callable[[], Judge], current: Callable[[], Settings] | None = None
) -> tuple[grpc.aio.Server, int]:
    """Start to answer Envoy at ``settings.grpc_listen``; return the server and its port (0 for a Unix socket).

    *current* gives the settings that count by then, where they may change.

    Raises Misconfigured where nobody can listen there.
    """
    if settings.grpc_listen is None:
        raise Misconfigured("grpc_listen: it is not said where to listen")
    where = address(settings.grpc_listen)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Authorization(current or (lambda: settings), judge).handler(),))
    try:
        port = server.add_insecure_port(str(where))
    except RuntimeError:  # whose words name the address only
        raise Misconfigured(f"grpc_listen: nobody can listen on {where}") from None
    await server.start()
    return server, 0 if where.path else port


def beside(settings: Settings) -> Beside:
    """Return what :func:`~jwt_guard.gateway.serving.serve` serves beside HTTP: the same judge, also when it changes."""

    @asynccontextmanager
    async def served(front: Any) -> AsyncGenerator[int]:  # noqa: ANN401 - a Front
        server, port = await serve_grpc(settings, lambda: front.doors.judge, lambda: front.doors.settings)
        try:
            yield port
        finally:
            await server.stop(_GRACE)

    return served


def _headers(http: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - generated
    """Return the headers of the client, their names in lower case.

    Envoy sends each as it came (``encode_raw_headers``), or one of each name, with a comma between the values of
    several.  That is two credentials in ``Authorization``, whoever put the comma there.
    """
    raw = http.header_map.headers
    if raw:
        return tuple((each.key.lower(), each.value or each.raw_value.decode("latin-1")) for each in raw)
    joined = ((name.lower(), value) for name, value in http.headers.items())
    return tuple(
        (name, part) for name, value in joined for part in (value.split(",") if name == "authorization" else (value,))
    )


def _peer(said: str) -> str | None:
    """Return the IP address in what gRPC calls a peer; None for the other end of a Unix socket."""
    kind, _, rest = said.partition(":")
    if kind == "unix":
        return None
    return unquote(rest.rpartition(":")[0]).strip("[]")
