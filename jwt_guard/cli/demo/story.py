"""The demo from beginning to end: servers up, cases asked, a key rotated, the issuer off → the exit code."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from ...issuing.endpoint import endpoint
from ...issuing.issuer import Issuer
from ...issuing.keyring import Keyring
from ...issuing.signing import make
from . import cases
from .apps import flask_app, guard_for, starlette_app
from .asking import ask, listening
from .rotation import rotated_under_load
from .servers import address, asgi_served, loopback, terminable, wsgi_served
from .table import Row, as_expected, header, mark, row
from .tokens import Cast

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager

    from .asking import Reasons
    from .rotation import Tally

__all__ = ["tell"]

_FIRST = "RS256"
_THEN = "ES256"


def tell(*, keep: bool, log: bool) -> int:
    """Show everything; return 0 where every answer was the expected one, else 1."""
    began = time.monotonic()
    say("starting an issuer and two guarded apps on loopback ...")
    with listening(aloud=log) as reasons, ExitStack() as stack:
        bound = loopback()
        cast = _cast(bound)
        issuer = stack.enter_context(ExitStack())
        issuer.enter_context(_issuer_served(cast, bound))
        urls = {
            "Starlette": stack.enter_context(asgi_served(starlette_app(guard_for(cast.issuer.url)), loopback())),
            "Flask": stack.enter_context(wsgi_served(flask_app(guard_for(cast.issuer.url)), loopback())),
        }
        show = _Show(cast, urls, reasons, stack)
        say(f"issuer {cast.issuer.url}   " + "   ".join(f"{name} {url}" for name, url in urls.items()))
        say(f"\n{header(urls)}")
        show.cases(cases.OPEN_SHOP)
        say("\nthe issuer rotates its key while requests run:")
        show.rotation()
        issuer.close()
        say("\nthe issuer is switched off:")
        show.cases(cases.WITHOUT_ISSUER)
        verdict = show.verdict(time.monotonic() - began)
        if keep:
            with _issuer_served(cast, loopback(int(cast.issuer.url.rpartition(":")[2]))):
                _keep(cast, urls)
        return verdict


class _Show:
    """Asks, prints, and counts what was not as expected."""

    def __init__(self, cast: Cast, urls: dict[str, str], reasons: Reasons, stack: ExitStack) -> None:
        self._cast = cast
        self._urls = urls
        self._reasons = reasons
        self._doors = {
            name: stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=10))
            for name, url in urls.items()
        }
        self._asked = self._wrong = self._under_load = self._refused_under_load = 0

    def cases(self, rows: tuple[cases.Case, ...]) -> None:
        """Ask each case at both doors."""
        for case in rows:
            answers = ask(case, self._cast, self._doors, self._reasons)
            self._asked += len(answers)
            self._wrong += not as_expected(case, answers)
            say(str(row(case, answers)))

    def rotation(self) -> None:
        """Rotate the key while good tokens are sent to both doors."""
        old, new = rotated_under_load(self._cast, make(_THEN, "shop-2"), self._urls)
        self._tally("good, by the old key (RS256)", old)
        self._tally("good, by the new key (ES256)", new)

    def _tally(self, what: str, doors: dict[str, Tally]) -> None:
        refused = sum(tally.refused for tally in doors.values())
        sent = sum(tally.sent for tally in doors.values())
        good = not refused and all(tally.passed for tally in doors.values())
        self._wrong += not good
        self._under_load += sent
        self._refused_under_load += refused
        counts = tuple(f"200 x{tally.passed}" for tally in doors.values())
        say(str(Row(mark(good), "GET /orders", what, "200", counts, f"{refused} of {sent} refused")))

    def verdict(self, seconds: float) -> int:
        """Say how it went; return the exit code."""
        wrong = f"{self._wrong} not as expected" if self._wrong else "everything as expected"
        say(
            f"\n{self._asked} answers and {self._under_load} more during the rotation"
            f" ({self._refused_under_load} refused), {wrong}, {seconds:.1f} s"
        )
        return 1 if self._wrong else 0


def say(text: str) -> None:
    """Print *text* at once, also into a pipe."""
    print(text, flush=True)


def _cast(bound: socket.socket) -> Cast:
    first = make(_FIRST, "shop-1")
    return Cast(Issuer(address(bound), Keyring(first)), make(_FIRST, "stranger-1"), first)


def _issuer_served(cast: Cast, bound: socket.socket) -> AbstractContextManager[str]:
    return asgi_served(endpoint(cast.issuer), bound)


def _keep(cast: Cast, urls: dict[str, str]) -> None:
    """Leave everything running until Ctrl-C, with a token to try in a file that goes with it."""
    with tempfile.TemporaryDirectory(prefix="jwt-guard-demo-") as directory, terminable():
        file = Path(directory, "token")
        file.touch(mode=0o600)
        file.write_text(cast.good(), encoding="ascii")
        say("\nthe issuer is back.  Good for an hour, in another terminal:\n")
        say(f"  TOKEN=$(cat {file})")
        for url in urls.values():
            say(f'  curl -i -H "Authorization: Bearer $TOKEN" {url}/orders')
        say(f"  curl -i {next(iter(urls.values()))}/orders")
        say(f"  curl -i {cast.issuer.url}/jwks")
        say("\nCtrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("")
