"""An ASGI application that serves FHIR, or a server at a URL → one that gives each token what its scopes allow.

The guard's middleware looks at the token; what may be asked for with it, and what of an answer may be seen, a flow
says (:func:`~jwt_guard.fhir.judging.judge`), which this runs: it asks the server what the flow asks for, and hands the
client what the flow returns.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..access.fhir_references import is_fhir_base
from ..errors import AmbiguousPath, GuardError, Misconfigured, shown
from ..gateway.proxy import Proxy
from ..messages import Response
from ..middleware.asgi import ScopeRequest, answer
from ..middleware.refusing import CREDENTIALS, is_preflight
from ..observing.log import log_refusal
from ..tokens.sealing import Sealer
from .answering import failed
from .audit import Decided, audit_event
from .audit_trail import Unrecorded
from .bearer import PATIENT_CLAIMS, checked_claims, rights_of
from .configuration import WELL_KNOWN, answer_smart, as_clients_see_it
from .cors import ANY, allowing, preflight
from .documents import read, written
from .door import AtBase, Denied, Door
from .exchange import Through
from .headers import handed_on
from .inner import Client, Gone, Inner
from .interaction import Interaction, read_interaction
from .judging import judge, wants_body
from .outcome import NOT_FOUND, Problem, Stopped, outcome, refused
from .place import Base, Below, spoken
from .request_parts import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..gateway.settings import Settings
    from ..messages import Request
    from ..middleware.asgi import App, Message, Receive, Scope, Send
    from ..observing.observer import Observer
    from .audit_trail import AuditTrail
    from .bearer import ClaimPath
    from .configuration import SmartConfiguration
    from .exchange import Answered, Asking, Exchange, Result
    from .headers import Raw
    from .rights import Rights
    from .server import Server

__all__ = ["FhirGuard", "fhir_proxy"]

_log = logging.getLogger("jwt_guard")
_BUG: Final = Problem(500, "exception", "Something went wrong here.")
_ID: Final = "x-jwt-guard-id"
"""The header that says under which id the log has the reason."""
_OK: Final = 200
_OURS: Final = 500
_CLIENT_GONE: Final = 499
_WITHOUT_BODY: Final = (204, 304)
_OF_A_DOCUMENT: Final = ("content-type", "cache-control")
_MOST_RIGHTS: Final = 1_024


class FhirGuard:
    """An ASGI application, for *app* that serves FHIR at the path of ``server.base``, as *guard* lets in whom it knows.

    Below the base each good token counts for what its SMART scopes say, and for nothing else.  The policy of *guard* is
    for other paths, which go to *app* as they are; with *only_fhir* nothing is there.  *root* is the path at which
    *app* has its base, if that is another one.  *patient_claims* name the patient that a token is about.  *smart* is
    what clients are told of the authorization server.  *sealer* seals links to further pages: give it a key where
    several processes serve.  *origins* are those of pages whose scripts may read answers.  *audit* is given an
    AuditEvent of each decision, with *audit_queries* also what was searched for.  *grace* is as for
    :class:`~jwt_guard.middleware.asgi.GuardMiddleware`.  *observe* is told of each decision about a token.

    Raises Misconfigured.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        app: App,
        guard: Guard,
        server: Server,
        *,
        root: str | None = None,
        only_fhir: bool = False,
        patient_claims: Sequence[ClaimPath] = PATIENT_CLAIMS,
        smart: SmartConfiguration | None = None,
        sealer: Sealer | None = None,
        origins: Collection[str] = (ANY,),
        audit: AuditTrail | None = None,
        audit_queries: bool = False,
        grace: float | None = 0,
        observe: Observer | None = None,
    ) -> None:
        if not {"body", "query"}.isdisjoint(guard.carried.methods):
            raise Misconfigured(
                "a token in a form or a query would go on to the FHIR server, and into its links and logs"
            )
        self.app: Final = app
        self.server: Final = server
        self._base: Final = Base(server.base)
        self._root: Final = self._base.path if root is None else root
        self._inner: Final = Inner(app, self._root, server.base)
        self._only_fhir: Final = only_fhir
        self._claims: Final = checked_claims(patient_claims)
        self._smart: Final = smart
        self._sealer: Final = Sealer() if sealer is None else sealer
        self._origins: Final = frozenset(origins)
        self._audit: Final = audit
        self._audit_queries: Final = audit_queries
        policy = AtBase(self._base, guard.policy)
        self._door: Final = Door(self._admitted, replace(guard, policy=policy), self._base, grace, observe)
        self._held: Final[dict[int, tuple[Credentials, Rights]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        request = ScopeRequest(scope)
        try:
            below = self._base.below(request.path)
            if below is None or scope["type"] != "http":
                await self._door(scope, receive, send)
                return
            response = self._open(request, below)
            if response is None:
                await self._door(scope, receive, send)
                return
        except (Denied, AmbiguousPath) as refusal:
            error = refusal.error if isinstance(refusal, Denied) else refusal
            response = self._refused(error, request)
            if scope["type"] == "http":
                response = self._recorded(self._about_refused(request, scope), response)
        await self._tell(response, request, scope, receive, send)

    def _open(self, request: Request, below: str) -> Response | None:
        """Return the answer to what is asked by those who have no token yet; None: it is something else."""
        if is_preflight(request):
            return preflight(request, self._origins)
        if below == WELL_KNOWN and self._smart is not None:
            return answer_smart(self._smart, request)
        return None

    def _about_refused(self, request: Request, scope: Scope) -> _About:
        """Return what is known of a request whose token is not good, or whose path is not."""
        about = _About(request, scope)
        try:
            below = self._base.below(request.path)
        except AmbiguousPath:
            below = None
        if below is not None:
            about.interaction = read_interaction(Below(request, below), None, self.server.surface)
        return about

    async def close(self) -> None:
        """Close what is held: connections to a server at a URL, and what the audit trail has open."""
        if isinstance(self.app, Proxy):
            await self.app.close()
        if self._audit is not None:
            await self._audit.close()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete" and self._audit is not None:
                await self._audit.close()
            await send(message)

        await self.app(scope, receive, sending)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve who was let in."""
        request = ScopeRequest(scope)
        below = self._base.below(request.path)
        if below is not None and scope["type"] == "http":
            await self._judged(Below(request, below), scope, receive, send)
        elif below is not None or self._only_fhir:
            await answer(outcome(NOT_FOUND), scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _judged(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        client, about = Client(scope, receive), _About(request, scope)
        has_begun = False

        def begun(message: Message) -> Message:
            nonlocal has_begun
            self._record(about, message["status"])
            has_begun = True
            return {**message, "headers": self._ours(message.get("headers", ()), request)}

        try:
            result = await self._result(about, client)
            if isinstance(result, Through):
                await self._inner.stream(result.asking, client, send, begun)
                return
            response = result
        except Gone:
            with suppress(Unrecorded):  # nobody is there to be refused
                self._record(about, _CLIENT_GONE)
            return
        except Stopped as stopped:
            response = self._stopped(stopped, request)
        except GuardError as error:
            if has_begun:
                raise
            response = self._refused(error, request)
        await self._tell(self._recorded(about, response), request, scope, receive, send)

    # --- what is asked -------------------------------------------------------------------------------

    async def _result(self, about: _About, client: Client) -> Result:
        """Return what the client gets.  Raises Stopped, GuardError and Gone."""
        request = about.request
        about.interaction = interaction = read_interaction(request, None, self.server.surface)
        about.rights = rights = self._rights(about.credentials)
        body = await client.body(self.server.limits.body) if _wants_body(interaction, rights) else None
        if body is not None and isinstance(interaction, Refusal):
            about.form = body.decode("latin-1")
            about.interaction = read_interaction(request, about.form, self.server.surface)
        result = await self._run(judge(request, rights, self._sealer, body, about.interaction), client)
        is_of_capabilities = isinstance(interaction, Interaction) and interaction.kind == "capabilities"
        if is_of_capabilities and isinstance(result, Through):
            return await self._capabilities(result.asking, client)
        return result

    def _rights(self, credentials: Credentials | None) -> Rights:
        """Return what *credentials* allow; those of a token that is remembered are the same object each time."""
        held = self._held.get(id(credentials))
        if held is not None and held[0] is credentials:
            return held[1]
        rights = rights_of(credentials, self.server, self._claims)
        if credentials is not None:
            if len(self._held) >= _MOST_RIGHTS:
                self._held.clear()
            self._held[id(credentials)] = credentials, rights
        return rights

    async def _run(self, exchange: Exchange[Result], client: Client) -> Result:
        step: Callable[[], Asking] = partial(next, exchange)
        while True:
            try:
                asking = step()
            except StopIteration as end:
                result: Result = end.value
                return result
            except Stopped:
                raise
            except Exception as bug:  # noqa: BLE001 - whatever it is, it is no answer
                # Without its words: whoever raised it may have put somebody's data into them.
                frames = "".join(traceback.format_tb(bug.__traceback__))
                _log.error("a bug, and so no answer: %s\n%s", type(bug).__name__, frames)
                raise Stopped(_BUG, f"{type(bug).__name__} was raised while judging") from None
            answered = await self._asked(asking, client)
            step = partial(exchange.send, answered)

    async def _asked(self, asking: Asking, client: Client) -> Answered:
        return await self._inner.ask(asking, client, self.server.limits.answer)

    async def _capabilities(self, asking: Asking, client: Client) -> Response:
        """Return the CapabilityStatement that *asking* is for, as it is for clients, if it is one in JSON."""
        accept = tuple(pair for pair in asking.headers if pair[0] == "accept")
        answered = await self._asked(replace(asking, method="GET", headers=accept), client)
        if answered.status != _OK:
            raise failed(answered)
        kept = tuple(pair for pair in answered.headers if pair[0] in _OF_A_DOCUMENT)
        statement = read(answered.body)
        if statement is None or statement.get("resourceType") != "CapabilityStatement":
            return Response(_OK, kept, answered.body)
        told = as_clients_see_it(statement, self.server, self._smart, cors=bool(self._origins))
        return Response(_OK, kept, written(told))

    # --- what is answered ----------------------------------------------------------------------------

    async def _tell(self, response: Response, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Send *response*, with its length, and readable by the pages that may."""
        headers = [pair for pair in response.headers if pair[0] != "content-length"]
        if response.status not in _WITHOUT_BODY:
            headers.append(("content-length", str(len(response.body))))
        if not any(name == "access-control-allow-origin" for name, _ in headers):
            headers += allowing(request, self._origins)
        await answer(replace(response, headers=tuple(headers)), scope, receive, send)

    def _ours(self, headers: Iterable[tuple[bytes, bytes]], request: Request) -> Raw:
        """Return *headers* of the server for the client."""
        more = allowing(request, self._origins)
        return [
            *handed_on(headers, self.server, self._root),
            *((name.encode("ascii"), value.encode("ascii")) for name, value in more),
        ]

    # --- what is recorded ----------------------------------------------------------------------------

    def _record(self, about: _About, status: int) -> None:
        """Keep that *about* was answered with *status*; raises Unrecorded where that is not possible and has to be."""
        trail, found = self._audit, about.interaction
        interaction = found if isinstance(found, Interaction) else None
        if trail is None or (interaction is not None and interaction.is_open):
            return
        decided = Decided(
            about.request.method,
            interaction,
            about.credentials,
            None if about.rights is None else about.rights.patient,
            about.address,
            status,
            "&".join(filter(None, (about.request.query, about.form))) if self._audit_queries else "",
        )
        trail.record(audit_event(decided, self.server.base, self._door.guard.clock()))

    def _recorded(self, about: _About, response: Response) -> Response:
        """Return *response*, once it is recorded."""
        try:
            self._record(about, response.status)
        except Unrecorded as error:
            return self._refused(error, about.request)
        return response

    # --- what is refused -----------------------------------------------------------------------------

    def _stopped(self, stopped: Stopped, request: Request) -> Response:
        """Log why it ends here, and return what the client is told."""
        reference = secrets.token_hex(8)
        problem, about = stopped.problem, spoken(request, self._base)
        _log.log(
            logging.ERROR if problem.status >= _OURS else logging.INFO,
            "refused %s: %d %s: %s: %s %s",
            reference,
            problem.status,
            problem.code,
            stopped.reason,
            shown(about.method),
            about.path,
            extra={"jwt_guard_id": reference},
        )
        return outcome(problem, ((_ID, reference),))

    def _refused(self, error: GuardError, request: Request) -> Response:
        reference = secrets.token_hex(8)
        log_refusal(error, spoken(request, self._base), reference)
        return refused(error, self._door.guard.realm, reference)


class _About:
    """One request, and what has come to be known of it."""

    __slots__ = ("address", "credentials", "form", "interaction", "request", "rights")

    def __init__(self, request: Request, scope: Scope) -> None:
        client = scope.get("client")
        self.request = request
        self.credentials: Credentials | None = scope.get(CREDENTIALS)
        self.address: str | None = client[0] if client else None
        self.rights: Rights | None = None
        self.interaction: Interaction | Refusal | None = None
        self.form = ""


def _wants_body(interaction: Interaction | Refusal, rights: Rights) -> bool:
    """Say whether the body has to be read before *interaction* can be judged."""
    if isinstance(interaction, Interaction):
        return wants_body(interaction, rights)
    return interaction.why == "form"  # a search by POST, whose parameters are there


# --- in front of a server at a URL -------------------------------------------------------------------


def fhir_proxy(
    settings: Settings,
    upstream: str,
    guard: Guard,
    server: Server,
    **more: Any,  # noqa: ANN401 - as for FhirGuard, which checks them
) -> FhirGuard:
    """Return the guard in front of the FHIR server whose base URL is *upstream*, reached as *settings* say.

    Its own address is one that *server* is also known as, and other paths than those below the base are not there.
    *more* are the other settings of :class:`FhirGuard`.  Serve it with
    :func:`jwt_guard.gateway.framing.server_options`; its lifespan closes what it holds.  Raises Misconfigured.
    """
    if not is_fhir_base(upstream) or upstream.endswith("/"):
        raise Misconfigured("upstream: the base URL of a FHIR server is expected, as in http://127.0.0.1:8080/fhir")
    parts, base = urlsplit(upstream), urlsplit(server.base)
    # A server that makes its URLs of the host that it is asked by has ours in front of its own path.
    own = (upstream, f"{base.scheme}://{base.netloc}{parts.path}")
    known = dict.fromkeys((*server.also_known_as, *(url for url in own if url != server.base)))
    return FhirGuard(
        _Upstream(replace(settings, upstream=f"{parts.scheme}://{parts.netloc}")),
        guard,
        replace(server, also_known_as=tuple(known)),
        root=parts.path,
        only_fhir=True,
        **more,
    )


class _Upstream(Proxy):
    """The proxy, whose failures are told to whoever has called it, and to nobody else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await self._exchange(self._passing.request(scope), scope, receive, send)
