"""The demo from beginning to end: servers up, patients there, each app asks for everything → the exit code."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import uvicorn

from ...access.guard import Guard
from ...access.smart import smart
from ...fhir.app import fhir_proxy
from ...fhir.configuration import SmartConfiguration
from ...fhir.server import Server
from ...gateway.framing import server_options
from ...gateway.settings import Settings
from ...issuing.endpoint import endpoint
from ...issuing.issuer import Issuer, sign
from ...issuing.keyring import Keyring
from ...issuing.signing import make
from ..demo.servers import address, asgi_served, loopback, terminable
from ..demo.story import say
from ..demo.table import mark
from .people import APPS, RECORDS, ROWS, App, Row
from .server import MISSING, found, sekmet_served

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterable

    from ...fhir.app import FhirGuard

__all__ = ["tell"]

_JSON: Final = {"content-type": "application/fhir+json"}
_HOUR: Final = 3_600
_PATIENCE: Final = 30.0
_OK: Final = 200


def tell(*, sekmet: str | None, server: str | None, keep: bool) -> int:
    """Show everything; return 0 where every answer was the expected one, else 1."""
    program = None if server is not None else found(sekmet)
    if server is None and program is None:
        print(MISSING, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        say("starting a FHIR server, an issuer and the guard on loopback ...")
        upstream = server or stack.enter_context(sekmet_served(str(program)))
        upstream = upstream.rstrip("/")
        _put(upstream)
        at, front = loopback(), loopback()
        issuer = Issuer(address(at), Keyring(make("ES384", "demo-1")))
        stack.enter_context(asgi_served(endpoint(issuer), at))
        base = f"{address(front)}/fhir"
        stack.enter_context(_served(_guarded(issuer, base, upstream), front))
        say(f"FHIR server {upstream}   issuer {issuer.url}   guarded at {base}\n")
        tokens = {app.name: _token(issuer, base, app) for app in APPS if app.scope is not None}
        wrong = _show(base, tokens)
        if keep:
            _keep(base, tokens)
    return 1 if wrong else 0


def _put(upstream: str) -> None:
    with httpx.Client(trust_env=False, timeout=_PATIENCE) as client:
        for record in RECORDS:
            place = f"{upstream}/{record['resourceType']}/{record['id']}"
            client.put(place, json=record, headers=_JSON).raise_for_status()


def _guarded(issuer: Issuer, base: str, upstream: str) -> FhirGuard:
    guard = Guard([smart(issuer.url, audience=base)], realm="fhir")
    told = SmartConfiguration(f"{issuer.url}/token", issuer=issuer.url)
    return fhir_proxy(Settings(), upstream, guard, Server(base), smart=told)


def _token(issuer: Issuer, base: str, app: App) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {"iss": issuer.url, "aud": base, "sub": app.name, "client_id": app.name}
    claims |= {"scope": app.scope, "iat": now, "exp": now + _HOUR}
    if app.patient is not None:
        claims["patient"] = app.patient
    return sign(issuer.keyring.current, claims)


# --- the table ---------------------------------------------------------------------------------------


def _show(base: str, tokens: dict[str, str]) -> int:
    """Print who sees what; return how many answers were not the expected ones."""
    began = time.monotonic()
    for app in APPS:
        whom = f", about {app.patient}" if app.patient else ""
        say(f"  {app.name:11} {'no token' if app.scope is None else app.scope}{whom}")
    widths = [max(len(row.expected[n]) for row in ROWS) for n in range(len(APPS))]
    widths = [max(width, len(app.name)) + 2 for width, app in zip(widths, APPS, strict=True)]
    say(f"\n  {'request':49} {_cells([app.name for app in APPS], widths)}\n  {(50 + sum(widths)) * '-'}")
    wrong = 0
    with httpx.Client(trust_env=False, timeout=_PATIENCE) as client:
        for row in ROWS:
            got = tuple(_seen(_asked(client, base, row, tokens.get(app.name))) for app in APPS)
            misses = sum(one != other for one, other in zip(got, row.expected, strict=True))
            wrong += misses
            say(f"{mark(not misses)} {row.method:6} {row.target:42} {_cells(got, widths)}".rstrip())
    judged = f"{wrong} not as expected" if wrong else "everything as expected"
    say(f"\n{len(ROWS) * len(APPS)} answers, {judged}, {time.monotonic() - began:.1f} s")
    return wrong


def _cells(texts: Iterable[str], widths: Iterable[int]) -> str:
    return "".join(f"{text:{width}}" for text, width in zip(texts, widths, strict=True))


def _asked(client: httpx.Client, base: str, row: Row, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if row.body is None:
        return client.request(row.method, base + row.target, headers=headers)
    return client.request(row.method, base + row.target, headers={**headers, **_JSON}, content=json.dumps(row.body))


def _seen(response: httpx.Response) -> str:
    """Return that a resource is seen, or how many of whom, or the status that says that there is none."""
    if response.status_code != _OK:
        return str(response.status_code)
    document = response.json()
    if document["resourceType"] != "Bundle":
        return "seen"
    # Whose a resource is, its made-up id says.
    of = Counter(str(entry["resource"]["id"]).partition("-")[0] for entry in document.get("entry", ()))
    return ", ".join(f"{number} of {name}" for name, number in sorted(of.items())) or "none"


# --- servers -----------------------------------------------------------------------------------------


@contextmanager
def _served(app: FhirGuard, bound: socket.socket) -> Generator[None]:
    """Serve *app* on *bound* as ``jwt-guard serve`` does, by a thread."""
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2, **server_options())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="demo guard", daemon=True)
    thread.start()
    try:
        end = time.monotonic() + _PATIENCE
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                message = "uvicorn did not start"
                raise RuntimeError(message)
            time.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        bound.close()


def _keep(base: str, tokens: dict[str, str]) -> None:
    """Leave everything running until Ctrl-C, with the tokens to try in files that go with it."""
    with tempfile.TemporaryDirectory(prefix="jwt-guard-fhir-demo-") as directory, terminable():
        say("\nGood for an hour, in another terminal:\n")
        for name, token in tokens.items():
            file = Path(directory, name.replace(" ", "-"))
            file.touch(mode=0o600)
            file.write_text(token, encoding="ascii")
            say(f'  curl -H "Authorization: Bearer $(cat {file})" {base}/Observation')
        say(f"  curl {base}/.well-known/smart-configuration")
        say("\nCtrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("")
