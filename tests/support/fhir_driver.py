"""A flow of the FHIR guard and a double of the server → what the client gets; and a client that asks through both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from jwt_guard.fhir import judging
from jwt_guard.fhir.exchange import Answered, Asking, Exchange, Result
from jwt_guard.fhir.outcome import Stopped, outcome
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.server import Server
from jwt_guard.messages import PlainRequest, Response
from jwt_guard.tokens.sealing import Sealer

from .fhir_store import UPSTREAM

if TYPE_CHECKING:
    from jwt_guard.fhir.scopes import Grants

__all__ = ["BASE", "SERVER", "Client", "Upstream", "played", "rights_of"]

BASE = "https://api.example/fhir"
"""What the clients know the server as."""
SERVER = Server(BASE, also_known_as=(UPSTREAM,))

Upstream: TypeAlias = Callable[[Asking], Answered]


def played(server: Upstream, flow: Exchange[Result], body: bytes = b"") -> Response:
    """Run *flow*, *server* answering what it asks; *body* is the client's, which goes along with a Through."""
    try:
        asking = next(flow)
        while True:
            asking = flow.send(server(asking))
    except Stopped as stopped:
        return outcome(stopped.problem)
    except StopIteration as end:
        return _given(end.value, server, body)


def _given(result: Result, server: Upstream, body: bytes) -> Response:
    if isinstance(result, Response):
        return result
    asking = result.asking
    answered = server(asking if asking.body else replace(asking, body=body))
    return Response(answered.status, answered.headers, answered.body)


def rights_of(scopes: str, patient: str | None, server: Server = SERVER) -> Rights:
    """Return what a token with *scopes* and *patient* allows."""
    found: Grants = granted(scopes.split(), types=server.surface.types, system_read_includes_search=server.koppeltaal)
    return Rights(server, found, patient, bearer=f"{scopes} {patient}")


@dataclass
class Client:
    """One token's holder."""

    rights: Rights
    server: Upstream
    sealer: Sealer = field(default_factory=lambda: Sealer(b"k" * 32))

    def __call__(
        self, method: str, path: str, query: str = "", headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Response:
        """Ask for *path*, below the base."""
        request = PlainRequest(method, path, query, tuple(headers))
        return played(self.server, judging.judge(request, self.rights, self.sealer, body or None), body)
