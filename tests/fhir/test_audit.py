"""A decision → the AuditEvent that says so, and where such events are kept."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.fhir import audit_trail
from jwt_guard.fhir.app import FhirGuard
from jwt_guard.fhir.audit import Decided, audit_event
from jwt_guard.fhir.audit_trail import AuditFile, AuditServer, Unrecorded
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.server import Server
from jwt_guard.messages import PlainRequest
from tests.support.fhir_app import asgi_of, client
from tests.support.fhir_double import FhirDouble
from tests.support.minting import NOW, claims, guard, mint
from tests.support.proxied import serving

if TYPE_CHECKING:
    import httpx

BASE = "https://api.example/fhir"
ADA = Credentials("ada", "app", frozenset(), frozenset(), "ehr", ReadOnly({"iss": "https://id.example"}))


def decided(
    method: str = "GET", target: str = "/Observation/1", status: int = 200, who: Credentials | None = ADA, **more: Any
) -> Decided:
    path, _, query = target.partition("?")
    found = read_interaction(PlainRequest(method, path, query))
    given: dict[str, Any] = {"patient": "ann", "address": "192.0.2.1", **more}
    return Decided(method, found if isinstance(found, Interaction) else None, who, status=status, **given)


def event_of(*of: Any, now: float = 1_790_000_000.5, **more: Any) -> dict[str, Any]:
    return audit_event(decided(*of, **more), BASE, now)


# --- the event ---------------------------------------------------------------------------------------


def test_an_event_says_who_asked_for_what_about_whom_and_when() -> None:
    event = event_of()

    assert "2026-09-21T14:13:20.500Z" == event["recorded"]
    assert ("AuditEvent", "rest", "read", "R", "0") == (
        event["resourceType"],
        event["type"]["code"],
        event["subtype"][0]["code"],
        event["action"],
        event["outcome"],
    )
    assert [
        {
            "who": {"identifier": {"system": "https://id.example", "value": "ada"}},
            "requestor": True,
            "network": {"address": "192.0.2.1", "type": "2"},
        },
        {"who": {"identifier": {"system": "https://id.example", "value": "app"}}, "requestor": False},
    ] == event["agent"]
    assert [("Patient/ann", "1", "1"), ("Observation/1", "2", "4")] == [
        (each["what"]["reference"], each["type"]["code"], each["role"]["code"]) for each in event["entity"]
    ]
    assert {"site": BASE, "observer": {"display": "jwt-guard"}} == event["source"]


@pytest.mark.parametrize(
    ("method", "target", "action", "subtype"),
    [
        ("GET", "/Observation/1/_history/2", "R", "vread"),
        ("GET", "/Observation/1/_history", "R", "history-instance"),
        ("GET", "/Observation?status=final", "E", "search-type"),
        ("GET", "/Patient/ann/Observation", "E", "search"),
        ("GET", "/?_getpages=x", "E", "search"),
        ("POST", "/Observation", "C", "create"),
        ("PUT", "/Observation/1", "U", "update"),
        ("PATCH", "/Observation/1", "U", "patch"),
        ("DELETE", "/Observation/1", "D", "delete"),
        ("GET", "/Patient/ann/$everything", "E", "operation"),
        ("POST", "/", "E", None),
        ("GET", "/Planet/1", "E", None),
    ],
)
def test_what_was_done_is_said_in_the_words_of_fhir(method: str, target: str, action: str, subtype: str | None) -> None:
    event = event_of(method, target)

    assert action == event["action"]
    assert subtype == (event["subtype"][0]["code"] if "subtype" in event else None)


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "0"), (304, "0"), (400, "4"), (404, "4"), (500, "8"), (502, "8")]
)
def test_what_came_of_it_is_told_by_the_status(status: int, outcome: str) -> None:
    assert outcome == event_of(status=status)["outcome"]


def test_a_system_asks_by_itself_and_a_stranger_is_none() -> None:
    system = Credentials(None, "backend", frozenset(), frozenset(), "ehr", ReadOnly({}))
    nobody = Credentials(None, None, frozenset(), frozenset(), "ehr", ReadOnly({}))

    assert [{"who": {"identifier": {"system": "ehr", "value": "backend"}}, "requestor": True}] == event_of(
        who=system, address=None
    )["agent"]
    assert [{"who": {"display": "nobody is named"}, "requestor": True}] == event_of(who=nobody, address=None)["agent"]
    assert [{"requestor": True}] == event_of(who=None, patient=None, address=None)["agent"]


def test_what_it_was_about_is_as_near_as_is_known() -> None:
    assert "entity" not in event_of("GET", "/Planet/1", patient=None)
    assert ["Observation"] == [each["name"] for each in event_of("GET", "/Observation", patient=None)["entity"]]
    assert ["Observation/1/_history/2"] == [
        each["what"]["reference"] for each in event_of("GET", "/Observation/1/_history/2", patient=None)["entity"]
    ]
    assert "Patient/bob" in str(event_of("GET", "/Patient/bob/Observation")["entity"])


def test_what_was_searched_for_is_there_only_where_it_is_asked_for() -> None:
    (*_, entity) = event_of("GET", "/Observation?code=x", query="code=x")["entity"]

    assert ("24", b"code=x") == (entity["role"]["code"], base64.b64decode(entity["query"]))
    assert "query" not in str(event_of("GET", "/Observation?code=x")["entity"])


# --- a file ------------------------------------------------------------------------------------------


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_event_is_a_line_of_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    one, other = AuditFile(path), AuditFile(path)
    one.record({"n": 1})
    other.record({"n": 2, "text": "a\nb"})
    one.record({"n": 3})

    assert [1, 2, 3] == [each["n"] for each in lines(path)]
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    trail = AuditFile(path)
    trail.record({"n": 1})
    path.rename(tmp_path / "audit.1")
    trail.record({"n": 2})
    trail.record({"n": 3})

    assert [2, 3] == [each["n"] for each in lines(path)]
    assert [1] == [each["n"] for each in lines(tmp_path / "audit.1")]


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the guard has logged; others may log as well, where a test before has told them to."""
    return [record for record in caplog.records if record.name == "jwt_guard"]


def test_what_cannot_be_kept_is_said_once_in_a_while_and_refused_where_it_has_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "none" / "audit.ndjson"
    trail = AuditFile(path)
    for _ in range(3):
        trail.record({"secret": "Bob"})

    assert 1 == len(ours(caplog))
    assert "Bob" not in caplog.text
    with pytest.raises(Unrecorded):
        AuditFile(path, required=True).record({})
    path.parent.mkdir()
    trail.record({"n": 4})

    assert [4] == [each["n"] for each in lines(path)]


def test_half_a_line_is_no_event_and_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.ndjson"
    trail = AuditFile(path, required=True)
    write = os.write
    monkeypatch.setattr("jwt_guard.fhir.audit_trail.os.write", lambda file, octets: write(file, octets[:3]))
    with pytest.raises(Unrecorded):
        trail.record({"number": 1})
    monkeypatch.undo()
    trail.record({"number": 2})

    assert ['{"n', '{"number":2}'] == path.read_text(encoding="utf-8").splitlines()


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit").symlink_to(tmp_path / "else")
    with pytest.raises(Unrecorded):
        AuditFile(tmp_path / "audit", required=True).record({})

    assert not (tmp_path / "else").exists()


def test_a_file_that_is_closed_opens_again(tmp_path: Path) -> None:
    trail = AuditFile(tmp_path / "audit")
    trail.record({"n": 1})
    asyncio.run(trail.close())
    asyncio.run(trail.close())
    trail.record({"n": 2})

    assert [1, 2] == [each["n"] for each in lines(tmp_path / "audit")]


# --- a server ----------------------------------------------------------------------------------------


class Receiver:
    """A server that keeps what it is sent, once it is let."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[str, dict[str, str], Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append((f"{scope['method']} {scope['path']}", headers, json.loads(body)))
        status = self.statuses.pop(0) if self.statuses else 201
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


def run(url: str, do: Callable[[AuditServer], Awaitable[None]], **more: Any) -> None:
    async def all_of_it() -> None:
        trail = AuditServer(url, **more)
        try:
            await do(trail)
        finally:
            await trail.close()
            await trail.close()

    asyncio.run(all_of_it())


def test_events_are_posted_in_order_and_none_is_left_behind() -> None:
    receiver = Receiver()

    async def do(trail: AuditServer) -> None:
        for number in range(5):
            trail.record({"n": number})

    with serving(receiver) as port:
        run(f"http://127.0.0.1:{port}/fhir/", do, authorization="Basic eDp5")

    assert [0, 1, 2, 3, 4] == [event["n"] for _, _, event in receiver.got]
    assert {"POST /fhir/AuditEvent"} == {target for target, _, _ in receiver.got}
    assert {("Basic eDp5", "application/fhir+json")} == {
        (headers["authorization"], headers["content-type"]) for _, headers, _ in receiver.got
    }


def test_a_server_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "_PAUSE", 0)
    receiver = Receiver(503, 500)

    async def do(trail: AuditServer) -> None:
        trail.record({"n": 1})

    with serving(receiver) as port:
        run(f"http://127.0.0.1:{port}", do)

    assert 3 == len(receiver.got)


def test_an_event_that_is_not_taken_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_trail, "_PAUSE", 0)
    receiver = Receiver(*[400] * 6)

    async def do(trail: AuditServer) -> None:
        trail.record({"n": "Bob"})
        trail.record({"n": "Bob"})

    with serving(receiver) as port:
        run(f"http://127.0.0.1:{port}", do, required=True)

    assert ["1 audit events are not kept"] == [record.getMessage()[:27] for record in ours(caplog)]
    assert "answered 400" in caplog.text
    assert "Bob" not in caplog.text


def test_what_finds_no_room_is_lost_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def do(trail: AuditServer) -> None:
        trail.record({"n": 1})
        trail.record({"n": 2})

    with serving(Receiver()) as port:
        run(f"http://127.0.0.1:{port}", do, waiting=1)

        assert "it takes fewer than there are" in caplog.text
        with pytest.raises(Unrecorded):
            run(f"http://127.0.0.1:{port}", do, waiting=1, required=True)


def test_a_server_that_hangs_holds_up_nobodys_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_trail, "_PATIENCE", 0.05)
    monkeypatch.setattr(audit_trail, "_PAUSE", 60)

    async def hanging(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(5)

    async def do(trail: AuditServer) -> None:
        for _ in range(3):
            trail.record({})
        await asyncio.sleep(0)

    with serving(hanging, timeout_graceful_shutdown=1) as port:
        run(f"http://127.0.0.1:{port}", do)

    assert "audit events are not kept" in caplog.text


# --- behind the guard --------------------------------------------------------------------------------


class Kept:
    """A trail that keeps events at hand, or none where it is full."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.events: list[dict[str, Any]] = []
        self.is_full = is_full
        self.is_closed = False

    def record(self, event: Any) -> None:
        if self.is_full:
            raise Unrecorded("full")
        self.events.append(event)

    async def close(self) -> None:
        self.is_closed = True


def guarded(trail: Kept, **more: Any) -> Callable[..., httpx.Response]:
    app = asgi_of(FhirDouble([{"resourceType": "Patient", "id": each} for each in ("ann", "bob")]))
    return client(FhirGuard(app, guard(), Server(BASE), audit=trail, **more))


def headers(scope: str, **more: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(claims(scope=scope, **more))}"}


ANN = {"scope": "patient/*.rs", "patient": "ann"}


@pytest.mark.parametrize(
    ("method", "target", "given", "outcome", "what"),
    [
        ("GET", "/fhir/Patient/ann", ANN, "0", "Patient/ann"),
        ("GET", "/fhir/Patient/bob", ANN, "4", "Patient/bob"),
        ("DELETE", "/fhir/Patient/ann", ANN, "4", "Patient/ann"),
        ("GET", "/fhir/Patient/bob", {"scope": "system/*.rs"}, "0", "Patient/bob"),
        ("GET", "/fhir/Patient/no", {"scope": "system/*.rs"}, "4", "Patient/no"),
        ("GET", "/fhir/Patient/bob", {"scope": "x", "exp": 1}, "4", "Patient/bob"),
        ("GET", "/fhir/Patient/bob", {**ANN, "patient_id": "bob"}, "4", "Patient/bob"),
    ],
)
def test_there_is_one_event_of_each_decision_and_no_token_in_it(
    method: str, target: str, given: dict[str, Any], outcome: str, what: str
) -> None:
    trail, sent = Kept(), headers(**given)
    guarded(trail)(method, target, headers=sent)
    (event,) = trail.events

    assert outcome == event["outcome"]
    assert what in [entity["what"]["reference"] for entity in event["entity"]]
    assert event["recorded"].startswith("2027-01-15")
    assert NOW == 1_800_000_000
    for part in sent["authorization"].removeprefix("Bearer ").split("."):
        assert part not in json.dumps(event)


def test_what_is_for_everybody_is_no_decision() -> None:
    trail = Kept()
    ask = guarded(trail)
    ask("GET", "/fhir/metadata")
    ask("OPTIONS", "/fhir/Patient", headers={"origin": "https://a", "access-control-request-method": "GET"})

    assert [] == trail.events


def test_a_request_that_is_none_is_recorded_too() -> None:
    trail = Kept()
    ask = guarded(trail)
    ask("GET", "/fhir/Planet/1", headers=headers(**ANN))
    ask("GET", "/FHIR/Patient/1", headers=headers(**ANN))

    assert ["4", "4"] == [event["outcome"] for event in trail.events]


@pytest.mark.parametrize(
    ("method", "target", "content"),
    [("GET", "/fhir/Patient?name=x", None), ("POST", "/fhir/Patient/_search", "name=x")],
)
def test_what_was_searched_for_is_kept_if_that_is_wanted(method: str, target: str, content: str | None) -> None:
    for wanted in (True, False):
        trail = Kept()
        more = {} if content is None else {"content-type": "application/x-www-form-urlencoded"}
        guarded(trail, audit_queries=wanted)(method, target, headers={**headers("user/*.rs"), **more}, content=content)
        (event,) = trail.events

        assert "search-type" == event["subtype"][0]["code"]
        assert [b"name=x"] * wanted == [
            base64.b64decode(entity["query"]) for entity in event["entity"] if "query" in entity
        ]


@pytest.mark.parametrize(
    "given", [ANN, {"scope": "system/*.rs"}, {"scope": "x", "exp": 1}, {**ANN, "patient_id": "bob"}]
)
def test_nothing_is_answered_that_could_not_be_recorded(given: dict[str, Any]) -> None:
    response = guarded(Kept(is_full=True))("GET", "/fhir/Patient/ann", headers=headers(**given))

    assert (503, "transient") == (response.status_code, response.json()["issue"][0]["code"])
    assert "/ann" not in response.text


def test_a_client_that_left_is_recorded_as_one_that_got_nothing() -> None:
    trail = Kept()

    async def waiting(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        await receive()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        raise AssertionError

    scope = {
        "type": "http", "method": "GET", "path": "/fhir/Patient/ann", "query_string": b"", "scheme": "https",
        "headers": [(b"authorization", headers(**ANN)["authorization"].encode())], "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(FhirGuard(waiting, guard(), Server(BASE), audit=trail)(scope, receive, send))
    trail.is_full = True
    asyncio.run(FhirGuard(waiting, guard(), Server(BASE), audit=trail)(scope, receive, send))

    assert ["4"] == [event["outcome"] for event in trail.events]


def test_the_trail_ends_with_the_application() -> None:
    trail = Kept()
    sent: list[str] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(f"{message['type']} {trail.is_closed}")

    asyncio.run(FhirGuard(app, guard(), Server(BASE), audit=trail)({"type": "lifespan"}, receive, send))

    assert ["lifespan.startup.complete False", "lifespan.shutdown.complete True"] == sent
    other = Kept()
    asyncio.run(FhirGuard(app, guard(), Server(BASE), audit=other).close())

    assert other.is_closed
