"""A case → the verdicts of both doors, each with the reason that the guard logged under the id it answered with."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ClaimRejected, GuardError
from .cases import Verdict

if TYPE_CHECKING:
    from collections.abc import Generator

    import httpx

    from .cases import Case
    from .tokens import Cast

__all__ = ["Answer", "Reasons", "ask", "listening"]

_CODE = re.compile(r'Bearer realm="[^"]+", error="([a-z_]+)"')
_OK = 200
_METHOD = 405
_LATER = 503


@dataclass(frozen=True, slots=True)
class Answer:
    """What one door said."""

    verdict: Verdict
    reason: str
    """Why not, as only the log says it; empty where somebody was let in."""


class Reasons(logging.Handler):
    """Remembers why each request was refused, by the id that its answer has."""

    def __init__(self) -> None:
        super().__init__()
        self._by_id: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason of a refusal."""
        reference = getattr(record, "jwt_guard_id", None)
        error = next((each for each in record.args or () if isinstance(each, GuardError)), None)
        if isinstance(reference, str) and error is not None:
            claim = f"{error.claim} " if isinstance(error, ClaimRejected) else ""
            self._by_id[reference] = f"{claim}{error.reason}"

    def of(self, reference: object) -> str:
        """Return why the request that was answered with *reference* was refused."""
        return self._by_id.get(reference, "not in the log") if isinstance(reference, str) else "no id in the body"


@contextmanager
def listening(*, aloud: bool) -> Generator[Reasons]:
    """Collect what the guard logs, *aloud* on standard error too, and nowhere else."""
    reasons = Reasons()
    handlers: list[logging.Handler] = [reasons]
    if aloud:
        handlers.append(logging.StreamHandler(sys.stderr))
    guards, servers = logging.getLogger("jwt_guard"), logging.getLogger("waitress")
    before = guards.level, guards.propagate, servers.level
    guards.setLevel(logging.INFO)
    guards.propagate = False
    servers.setLevel(logging.ERROR)  # a queue of one request is no news
    for handler in handlers:
        guards.addHandler(handler)
    try:
        yield reasons
    finally:
        for handler in handlers:
            guards.removeHandler(handler)
        level, guards.propagate, servers_level = before
        guards.setLevel(level)
        servers.setLevel(servers_level)


def ask(case: Case, cast: Cast, doors: dict[str, httpx.Client], reasons: Reasons) -> dict[str, Answer]:
    """Send *case* to each of *doors*, and return what each said."""
    headers = [("Authorization", value) for value in case.authorization(cast)]
    return {
        name: read(client.request(case.method, case.path, headers=headers), reasons) for name, client in doors.items()
    }


def read(response: httpx.Response, reasons: Reasons) -> Answer:
    """Return what *response* says."""
    said = response.json() if "json" in response.headers.get("content-type", "") else {}
    words, reason = (_who(said), "") if response.status_code == _OK else (_told(response), reasons.of(said.get("id")))
    return Answer(Verdict(response.status_code, words), reason)


def _who(said: dict[str, Any]) -> str:
    user, client = said.get("user"), said.get("client")
    if user is None:
        return "anybody" if client is None else f"the client {client}"
    return f"{user}, through {client}"


def _told(response: httpx.Response) -> str:
    if response.status_code == _LATER:
        return "come back later" if response.headers.get("retry-after", "").isdigit() else "no Retry-After"
    if response.status_code == _METHOD:
        return f"allowed: {response.headers.get('allow')}"
    challenge = response.headers.get("www-authenticate", "")
    if challenge == 'Bearer realm="orders"':  # RFC 6750 §3.1: no error code where nothing was sent
        return "a token is needed"
    found = _CODE.match(challenge)
    return found[1] if found else "no challenge"
