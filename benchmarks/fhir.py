"""Searchsets through the FHIR guard → what it adds to a real server's own work, and what each megabyte costs it.

The server is sekmet-fhir, a process of its own with made-up people in it, and so is the guard in front of it: what is
told is the CPU time that each spends on one search, which does not mind who else is using the machine.  Which decoders
there are is decided once in a process, so what is measured without sockets has processes of its own, too.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from jwt_guard.fhir.app import FhirGuard
from jwt_guard.fhir.exchange import Answered
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.outcome import JSON
from jwt_guard.fhir.rights import Rights
from jwt_guard.fhir.scopes import granted
from jwt_guard.fhir.searching import search
from jwt_guard.fhir.server import Server
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from jwt_guard.messages import PlainRequest, Response
from jwt_guard.tokens import decoding
from jwt_guard.tokens.sealing import Sealer
from tests.live.fhir_servers import is_installed, patients, sekmet
from tests.support.gateway_process import gateway_process, workers
from tests.support.minting import claims, guard, mint

from .rounds import Batches, Line, Progress, in_turn, is_quick, middle
from .served import _on_core

if TYPE_CHECKING:
    from jwt_guard.middleware.asgi import Message, Receive, Scope, Send

__all__ = ["GOAL", "MEGABYTE_GOAL", "rows"]

GOAL = 0.15
"""The most CPU time that the guard may add to a search, as a share of the server's own."""
MEGABYTE_GOAL = 2.0
"""The most CPU milliseconds that a megabyte of the server's may cost, with the extra."""
_HERE = Path(__file__).parent.parent
_BASE = "https://api.example/fhir"
_OWN = "http://127.0.0.1:8080/fhir"
_LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
_ENTRIES, _MANY = 50, 1_000
_ROUNDS = 5  # in a process
_DIRECTLY, _WITH, _WITHOUT = "directly", "with the extra", "without it"
_OF_A_SYSTEM = "with the extra, for system/*.rs"
_HANDED_ON = "with the extra, beside a small answer that is handed on as it comes"
"""What a proxy costs before it has judged anything: what is above it, is what judging costs."""
_WITH_GOAL = ("a search, all one patient's", "a search, every third another's")
_SECRET = "0123456789abcdef" * 3
_CONFIGURATION = f"""
[providers.ehr]
issuer = "https://id.example"
audience = "{_BASE}"
secret = "{_SECRET}"
[gateway]
listen = "127.0.0.1:0"
[fhir]
upstream = "{{upstream}}"
base = "{_BASE}"
"""


def rows(rounds: int) -> list[Line]:
    """Return the table's rows."""
    return [*_before_a_server(rounds), *_by_the_megabyte(rounds)]


# ── what is added to a server's own work ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one search took, in milliseconds."""

    server: float
    guard: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a search is asked for, and who works on it."""

    port: int
    server: int
    guard: int | None = None
    """The process of each; None: there is none."""
    scope: str = "patient/*.rs"
    target: str = f"/fhir/Observation?patient=Patient/A&_count={_ENTRIES}"
    entries: int = _ENTRIES

    def cost(self, number: int) -> _Cost:
        """Return what each of *number* searches took."""
        key = SigningKey("HS256", _SECRET.encode())
        said = {"iss": "https://id.example", "aud": _BASE, "sub": "ada", "scope": self.scope, "patient": "A"}
        token = sign(key, {**said, "exp": int(time.time()) // 3_600 * 3_600 + 7_200})  # the same, so it is remembered
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        before, began = (_cpu(self.server), _cpu(self.guard)), time.perf_counter()
        for _ in range(number):
            connection.request("GET", self.target, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            found = answer.read().count(b'"fullUrl"')
            if (answer.status, found) != (200, self.entries):
                message = f"{answer.status}, and {found} entries, so this measures something else"
                raise RuntimeError(message)
        took = (time.perf_counter() - began) * 1_000
        connection.close()
        server, guard = _cpu(self.server) - before[0], _cpu(self.guard) - before[1]
        return _Cost(server / number, guard / number, took / number)


def _cpu(pid: int | None) -> float:
    """Return the CPU milliseconds that the threads of a process have spent."""
    threads = () if pid is None else Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in threads) / 1e6


def _before_a_server(rounds: int) -> list[Line]:
    what, goal = f"FHIR: a search of {_ENTRIES} entries before sekmet-fhir", f"≤ {GOAL:.0%} of its own CPU time"
    if not (is_installed() and Path("/proc/self/schedstat").exists()):
        return [(what, "it could not be installed, or there are no CPU times", goal, None)]
    costs = _costs(rounds, 5 if is_quick(rounds) else 40)
    own = costs.pop(_DIRECTLY)
    lines: list[Line] = []
    for name, found in costs.items():
        share = middle([one.guard / other.server for one, other in zip(found, own, strict=True)])
        figure = f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%}), "
        ours, theirs = (median(each.guard for each in found), median(each.server for each in own))
        waited, before = (median(each.wall for each in some) for some in (found, own))
        figure += f"{ours:.2f} ms beside {theirs:.2f} ms; on the wall {waited:.1f} ms after {before:.1f} ms"
        is_ours = name == _WITH
        lines.append((f"{what}, {name}", figure, goal if is_ours else "", share.value <= GOAL if is_ours else None))
    return lines


def _costs(rounds: int, number: int) -> dict[str, list[_Cost]]:
    """Return what a search cost in each of *rounds*, which are of *number*, at the server and at each guard."""
    progress = Progress("FHIR server: round")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with _on_core(0):
            base, server = stack.enter_context(_server(Path(folder) / "server"))
            port = int(base.removesuffix("/fhir").rpartition(":")[2])
            ways = {_DIRECTLY: _Way(port, server)}
            for name, switch in ((_WITH, "1"), (_WITHOUT, "0")):
                port, guard = stack.enter_context(_guarding(Path(folder) / f"{switch}.toml", base, switch))
                ways[name] = _Way(port, server, guard)
                if name == _WITH:
                    ways[_OF_A_SYSTEM] = _Way(port, server, guard, "system/*.rs")
                    ways[_HANDED_ON] = _Way(port, server, guard, "system/*.rs", "/fhir/Patient/A", 0)
        stack.enter_context(_on_core(1))
        for way in ways.values():
            way.cost(number)  # once, so that everything is loaded and remembered
        costs: dict[str, list[_Cost]] = {name: [] for name in ways}
        for done in range(rounds):
            for name in sorted(ways, reverse=bool(done % 2)):
                costs[name].append(ways[name].cost(number))
            progress(done + 1, rounds)
    return costs


@contextmanager
def _server(folder: Path) -> Generator[tuple[str, int]]:
    """Give the base URL of a sekmet-fhir that holds 50 Observations of A and as many of B, and its process."""
    before = workers(os.getpid())
    with sekmet(folder) as server:
        (pid,) = set(workers(os.getpid())) - {*before}
        server.put([{"resourceType": "Patient", "id": each} for each in "AB"])
        made = [entry["resource"] for text in patients(4) for entry in json.loads(text)["entry"]]
        observations = [each for each in made if each["resourceType"] == "Observation"][: 2 * _ENTRIES]
        for number, each in enumerate(observations):
            references = {name: {"reference": f"{name.title()}/1"} for name in ("encounter", "practitioner")}
            owner, performers = {"reference": f"Patient/{'AB'[number % 2]}"}, [references.pop("practitioner")]
            server.put([{**each, **references, "id": f"o{number}", "subject": owner, "performer": performers}])
        yield server.base, pid


@contextmanager
def _guarding(file: Path, upstream: str, switch: str) -> Generator[tuple[int, int]]:
    """Give the port and the process of ``jwt-guard serve`` before *upstream*."""
    file.write_text(_CONFIGURATION.format(upstream=upstream), encoding="utf-8")
    before = os.environ.get(decoding.SWITCH)
    os.environ[decoding.SWITCH] = switch
    try:
        process = gateway_process(file)
        running = process.__enter__()
        running.wait_for("ready on ")
    finally:
        os.environ.pop(decoding.SWITCH) if before is None else os.environ.update({decoding.SWITCH: before})
    try:
        found = re.search(r"ready on 127\.0\.0\.1:([0-9]+)", running.log)
        assert found is not None  # noqa: S101 - it has said so
        yield int(found[1]), running.process.pid
    finally:
        process.__exit__(None, None, None)


# ── what a megabyte costs ────────────────────────────────────────────────────────────────────────────────────────


def _by_the_megabyte(rounds: int) -> list[Line]:
    lines: list[Line] = []
    for switch, extra in (("1", _WITH), ("0", _WITHOUT)):
        progress = Progress(f"FHIR searchsets, {extra}: round")
        taken: dict[str, list[float]] = {}
        for done in range(0, rounds, _ROUNDS):
            words = [sys.executable, "-m", "benchmarks.fhir", str(min(_ROUNDS, rounds - done))]
            environment = {**os.environ, decoding.SWITCH: switch}
            ran = subprocess.run(
                words, cwd=_HERE, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            for name, each in json.loads(ran.stdout).items():
                taken.setdefault(name, []).extend(each)
            progress(done, rounds)
        for name, each in taken.items():
            cost = middle(each)
            has_goal = extra == _WITH and name in _WITH_GOAL
            lines.append(
                (
                    f"FHIR: {name}, {extra}",
                    f"{cost.value:.2f} ms per MB ({cost.low:.2f} to {cost.high:.2f})",
                    f"≤ {MEGABYTE_GOAL:g} ms per MB" if has_goal else "",
                    cost.value <= MEGABYTE_GOAL if has_goal else None,
                )
            )
    return lines


def _per_megabyte(rounds: int) -> dict[str, list[float]]:
    """Return the CPU milliseconds for each megabyte that the server answers, in each of *rounds*."""
    bodies = {every: _searchset(every) for every in (0, 3)}
    granular = f"patient/Observation.rs?category={_LABORATORY}"
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "a search, all one patient's": (_searching("patient/*.rs", bodies[0], _MANY), 0),
        "a search, every third another's": (_searching("patient/*.rs", bodies[3], _MANY - (_MANY + 2) // 3), 3),
        "a search, granular scope": (_searching(granular, bodies[0], _MANY), 0),
        "the application, all one patient's": (_serving("patient/*.rs", bodies[0], _MANY), 0),
        "the decoder alone": (_decoding(bodies[0]), 0),
    }
    found: dict[str, list[float]] = {}
    for name, (call, every) in calls.items():  # each for itself: what one leaves behind is not what another starts with
        taken = in_turn({name: _batches(call)}, rounds, f"FHIR, {name}")[name]
        found[name] = [each * 1_000 / len(bodies[every]) for each in taken]
    return found


def _batches(call: Callable[[], object]) -> Batches:
    return Batches(lambda: [call], lambda calls: [each() for each in calls], number=5, warm=1)


def _searching(scopes: str, body: bytes, expected: int) -> Callable[[], Response]:
    server = Server(_BASE, (_OWN,))
    rights = Rights(server, granted(scopes.split()), "A", "somebody")
    interaction = read_interaction(PlainRequest("GET", "/Observation", f"_count={_MANY}"), None, server.surface)
    answered, sealer = Answered(200, (("content-type", JSON),), body), Sealer()

    def call() -> Response:
        assert isinstance(interaction, Interaction)  # noqa: S101 - it is a search
        flow = search(interaction, rights, sealer)
        next(flow)
        try:
            flow.send(answered)
        except StopIteration as stop:
            response: Response = stop.value
            return response
        message = "it asks for another page, so this measures something else"
        raise RuntimeError(message)

    _look(call().body, expected)
    return call


def _serving(scopes: str, body: bytes, expected: int) -> Callable[[], bytes]:
    async def upstream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", JSON.encode())]})
        await send({"type": "http.response.body", "body": body})

    app = FhirGuard(upstream, guard(), Server(_BASE, (_OWN,)))
    token = mint(claims(scope=scopes, patient="A"))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8_000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "https",
        "root_path": "",
        "method": "GET",
        "path": "/fhir/Observation",
        "raw_path": b"/fhir/Observation",
        "query_string": f"_count={_MANY}".encode(),
        "headers": [(b"host", b"api.example"), (b"authorization", f"Bearer {token}".encode())],
    }
    loop = asyncio.new_event_loop()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    def call() -> bytes:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        loop.run_until_complete(app({**scope, "headers": [*scope["headers"]]}, receive, send))
        return b"".join(message.get("body", b"") for message in sent) if len(sent) > 2 else sent[-1]["body"]

    _look(call(), expected)
    return call


def _decoding(body: bytes) -> Callable[[], object]:
    loads = json.loads if decoding.json is None else decoding.json.loads
    return lambda: loads(body)


def _look(body: bytes, expected: int) -> None:
    """See that what is measured is what is meant."""
    found = body.count(b'"fullUrl"')
    if found != expected or body.count(b"Patient/A") != expected or b"Patient/B" in body:
        message = f"{found} entries were found, not {expected}, so this measures something else"
        raise RuntimeError(message)


def _searchset(every: int) -> bytes:
    """Return a searchset of 1,000 Observations of A; each of *every* is another patient's."""
    entries = [
        {
            "fullUrl": f"{_OWN}/Observation/{number:08x}-77c1-4a57-9a0f-000000000000",
            "resource": _observation(number, "B" if every and number % every == 0 else "A"),
            "search": {"mode": "match"},
        }
        for number in range(_MANY)
    ]
    link = [{"relation": "self", "url": f"{_OWN}/Observation"}]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": _MANY, "link": link, "entry": entries}
    return json.dumps(bundle, separators=(",", ":")).encode()


def _observation(number: int, patient: str) -> dict[str, Any]:
    """Return a laboratory result as US Core has it, about 1.2 kB."""
    category, name = _LABORATORY.split("|"), "Sodium [Moles/volume] in Serum or Plasma"
    value = {"value": 1_200 + number / 10, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    return {
        "resourceType": "Observation",
        "id": f"{number:08x}-77c1-4a57-9a0f-000000000000",
        "meta": {
            "versionId": "1",
            "lastUpdated": "2026-11-28T20:00:00.000Z",
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"],
        },
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{name}</p><p>{value["value"]} mmol/L</p></div>',
        },
        "status": "final",
        "category": [{"coding": [{"system": category[0], "code": category[1], "display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2", "display": name}], "text": name},
        "subject": {"reference": f"Patient/{patient}"},
        "encounter": {"reference": f"Encounter/{number // 10}"},
        "effectiveDateTime": "2026-11-28T08:30:00+01:00",
        "performer": [{"reference": f"Practitioner/{number % 7}"}],
        "valueQuantity": value,
        "referenceRange": [{"low": {**value, "value": 136}, "high": {**value, "value": 145}}],
    }


if __name__ == "__main__":
    print(json.dumps(_per_megabyte(int(sys.argv[1]))))
