"""An exchange of the FHIR guard and the server's answers, one after the other → what came of it, and all it asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from jwt_guard.fhir.exchange import Answered, Asking, Exchange, Through
from jwt_guard.fhir.outcome import Problem, Stopped
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.server import Server
from jwt_guard.messages import Response

__all__ = ["BASE", "SERVER", "UPSTREAM", "Asked", "answer", "of", "reference", "run"]

BASE = "https://api.example/fhir"
"""What the clients know the server as."""
UPSTREAM = "http://10.0.0.1:8080/fhir"
"""What the server knows itself as."""
SERVER = Server(BASE, also_known_as=(UPSTREAM,))


@dataclass
class Asked:
    """What came of an exchange."""

    result: Any = None
    """What it returned."""
    stopped: Stopped | None = None
    askings: list[Asking] = field(default_factory=list)

    @property
    def problem(self) -> Problem | None:
        return None if self.stopped is None else self.stopped.problem

    @property
    def lines(self) -> list[str]:
        """Method and path of all that was asked, with the query where there is one."""
        return [
            f"{each.method} {each.path}" + (f"?{'&'.join(map('='.join, each.query))}" if each.query else "")
            for each in self.askings
        ]

    @property
    def response(self) -> Response:
        assert isinstance(self.result, Response), self.stopped
        return self.result

    @property
    def through(self) -> Asking:
        assert isinstance(self.result, Through), self.stopped
        return self.result.asking

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.response.headers)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON of the answer."""
        read: dict[str, Any] = json.loads(self.response.body)
        return read


def run(exchange: Exchange[Any], *answers: Answered) -> Asked:
    """Run *exchange*, answering with *answers* in turn; every one of them has to be asked for, and no more."""
    asked, left = Asked(), list(answers)
    try:
        asking = next(exchange)
        while True:
            asked.askings.append(asking)
            assert left, f"more was asked than is answered: {asking}"
            asking = exchange.send(left.pop(0))
    except StopIteration as end:
        asked.result = end.value
    except Stopped as stopped:
        asked.stopped = stopped
    assert not left, f"never asked for: {left}"
    return asked


def answer(document: object = None, status: int = 200, **headers: str) -> Answered:
    """Return an answer of the server, *document* as JSON, or as it is where it is bytes; ``_`` is ``-`` in headers."""
    pairs = {"content-type": "application/fhir+json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    return Answered(status, tuple(pairs.items()), body)


def of(scopes: str, patient: str | None = "A", server: Server = SERVER) -> Rights:
    """Return the rights of a token with *scopes* for *patient*."""
    found = granted(scopes.split(), types=server.surface.types, system_read_includes_search=server.koppeltaal)
    return Rights(server, found, patient, bearer=f"{scopes} {patient}")


def reference(text: str) -> dict[str, str]:
    """Return a Reference to what *text* names."""
    return {"reference": text}
