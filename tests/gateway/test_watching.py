"""What is seen of decisions in one process and in several, and that nothing of a token, a key or a claim is in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jwt_guard import Guard, authenticated, scopes
from jwt_guard.gateway.admin import prometheus
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.shadow import Shadow, ShadowSettings
from jwt_guard.gateway.watching import Watch, _shadow
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.counting import Counts, Tally
from tests.support.gateway_process import gateway_process, workers
from tests.support.keys import secret
from tests.support.minting import NOW, claims, guard, mint, provider
from tests.support.servers import until

SECRET = "a-secret-that-nobody-may-ever-read-in-a-log-or-anywhere-else"
PERSON = "person-whose-name-is-nobody's-business"
CONFIG = f"""
[providers.one]
issuer = "https://one.example"
audience = "orders"
secret = "{SECRET}"

[[routes]]
path = "/orders/{{id}}"
methods = ["GET"]
scopes = ["orders:read"]

[gateway]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
"""
SHADOW = """
[shadow]
[[shadow.routes]]
path = "/orders/{id}"
scopes = ["orders:admin"]
"""
ALLOWED = 'jwt_guard_decisions_total{reason="",verdict="allowed"}'
EXPIRED = 'jwt_guard_decisions_total{reason="Expired",verdict="refused"}'


def token(key: str = SECRET, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    said = {
        "iss": "https://one.example", "aud": "orders", "sub": PERSON, "client_id": "shop-of-this-person",
        "scope": "orders:read", "exp": now + 3_600, "name": "Ada Augusta Byron", **changes,
    }  # fmt: skip
    return sign(SigningKey("HS256", key.encode()), {name: value for name, value in said.items() if value is not None})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "guard.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "guard.toml"


@pytest.mark.parametrize("number", [1, 3])
def test_whichever_worker_is_asked_tells_for_all_of_them(file: Path, number: int) -> None:
    expired = token(exp=int(time.time()) - 3_600)
    with gateway_process(file, "--workers", str(number)) as gateway:
        for _ in range(12):
            assert 200 == gateway.ask(token())
            assert 401 == gateway.ask(expired)
        until(lambda: all((12, 12) == (gateway.figure(ALLOWED), gateway.figure(EXPIRED)) for _ in range(5)))

        assert (200, "ok\n") == gateway.tells("/healthz")
        status, text = gateway.tells("/readyz")
        assert (200, True) == (status, json.loads(text)["ready"])
        assert 24 == gateway.figure("jwt_guard_decision_seconds_count")
        assert 0 == gateway.stop()
    assert "Traceback" not in gateway.log


def test_what_a_worker_has_counted_outlives_it(file: Path) -> None:
    with gateway_process(file, "--workers", "2") as gateway:
        for _ in range(10):
            assert 200 == gateway.ask(token())
        # So often that both are asked, and so each has left what it counted to the other.
        until(lambda: all(10 == gateway.figure(ALLOWED) for _ in range(40)))
        os.kill(workers(gateway.process.pid)[0], signal.SIGKILL)
        gateway.wait_for("a worker ended with")
        for _ in range(10):
            assert 10 == gateway.figure(ALLOWED)


def test_a_shadow_tells_of_differences_and_changes_no_answer(file: Path) -> None:
    file.write_text(CONFIG + SHADOW, encoding="utf-8")
    with gateway_process(file) as gateway:
        assert 200 == gateway.ask(token())
        gateway.wait_for("shadow: now let in, then 403 InsufficientScope")
        assert 401 == gateway.ask()
        assert 200 == gateway.ask(token())
        assert 0 == gateway.stop()
    assert "MissingToken" in gateway.log
    assert not any("shadow" in line and "MissingToken" in line for line in gateway.log.splitlines())


def test_an_openapi_document_that_changes_changes_the_routes(file: Path) -> None:
    document = file.parent / "openapi.json"
    schemes = {"securitySchemes": {"shop": {"type": "oauth2", "flows": {}}}}
    of = {"openapi": "3.1.0", "components": schemes, "paths": {"/a": {"get": {"security": [{"shop": ["boss"]}]}}}}
    document.write_text(json.dumps(of), encoding="utf-8")
    text = CONFIG.replace("[gateway]", '[[routes]]\nopenapi = "openapi.json"\n\n[gateway]')
    file.write_text(text, encoding="utf-8")
    with gateway_process(file) as gateway:
        assert 403 == gateway.ask(token(), target="/a")
        document.write_text(json.dumps(of).replace("boss", "orders:read"), encoding="utf-8")
        gateway.wait_for("the configuration was read again")
        assert 200 == gateway.ask(token(), target="/a")


def test_nothing_of_a_token_a_key_or_a_claim_set_is_in_logs_and_metrics(file: Path) -> None:
    file.write_text(CONFIG + SHADOW, encoding="utf-8")
    now = int(time.time())
    sent: list[tuple[str, ...]] = [
        (),
        (token(),),
        (token(), token(jti="second-of-two")),
        (token(exp=now - 3_600),),
        (token(nbf=now + 3_600),),
        (token(aud="another-audience-entirely"),),
        (token(iss="https://two.example"),),
        (token(scope="nothing-that-is-enough"),),
        (token("another-secret-that-nobody-may-ever-read-anywhere"),),
        (token(sub=None),),
        (f"{token()}, Bearer {token()}",),
        (token()[:-3],),
        (token().replace(".", "..", 1),),
        (f"opaque-{PERSON.encode().hex()}",),
        (token(exp="a-time-that-is-none"),),
    ]
    with gateway_process(file) as gateway:
        statuses = [gateway.ask(*tokens) for tokens in sent]
        statuses += [gateway.ask(token(), method=method) for method in ("POST", "get", "CONNECT")]
        statuses += [gateway.ask(token(), target=target) for target in ("/orders/%2F", "/nowhere", "/orders//1")]
        gateway.wait_for("shadow: ")
        told = gateway.tells("/metrics")[1] + gateway.tells("/readyz")[1]
        gateway.stop()

    assert {200, 400, 401, 403} == set(statuses)
    assert len(statuses) - statuses.count(200) <= gateway.log.count('"id"')
    everything = gateway.log + told
    assert [] == [part for part in private(sent) if part in everything]
    assert all(json.loads(line)["message"] for line in gateway.log.splitlines())


def private(sent: list[tuple[str, ...]]) -> set[str]:
    """Return what must not turn up: parts of what was sent, who it is about, and the secret."""
    parts = {part for tokens in sent for each in tokens for part in each.split(".") if len(part) > 12}
    names = {SECRET, PERSON, "shop-of-this-person", "Ada Augusta Byron", "second-of-two"}
    return {part for part in parts if "," not in part} | names


def test_nothing_of_them_is_in_traces_and_counts_either(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    of = guard(policy=scopes("orders:read"))
    watch = Watch()
    observe = watch.observer(of, ShadowSettings(guard(policy=scopes("boss"))))
    judge = Judge(of, IdentityHeaders(user="X-Auth-User"), observe=observe)
    tokens = [mint(), mint(claims(exp=NOW - 3_600)), mint(which="b"), mint(claims(scope="x")), mint()[:-4], "x"]

    async def ask() -> None:
        for each in tokens:
            request = PlainRequest("GET", "/orders", headers=(("authorization", f"Bearer {each}"),))
            judge.answer(await judge.decide(request), request)
        await asyncio.sleep(0.1)

    asyncio.run(ask())
    tracers.shutdown()
    show = prometheus(watch.total)
    assert show is not None
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    everything = "".join([caplog.text, show(of)[1].decode(), *spans])

    assert len(tokens) == len(spans) == sum(watch.total().durations)
    assert "InsufficientScope" in everything
    assert "shadow: now let in" in everything
    parts = {part for each in tokens for part in each.split(".") if len(part) > 6}
    assert [] == [part for part in {*parts, "ada-lovelace", "jti-of-this-token", secret().hex()} if part in everything]


def test_nobody_observes_where_there_is_nothing_to_see() -> None:
    assert Watch(is_counting=False).observer(guard(), None) is None
    assert Tally() == Watch(is_counting=False).total()


def test_counting_is_all_that_is_done_where_nothing_else_is_wanted() -> None:
    watch = Watch()

    assert isinstance(watch.observer(guard(), None), Counts)
    assert isinstance(Watch(is_counting=False).observer(guard(), ShadowSettings(guard())), Shadow)


def test_traces_need_a_package_and_its_absence_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jwt_guard.observing.traces", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    assert Watch(is_counting=False).observer(guard(), None) is None


def test_another_module_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jwt_guard.observing.traces", raising=False)
    monkeypatch.setitem(sys.modules, "jwt_guard.decision", None)
    with pytest.raises(ModuleNotFoundError):
        Watch().observer(guard(), None)


def test_other_routes_are_judged_with_the_keys_that_are_known() -> None:
    of, other = Guard([provider()]), Guard([provider()], policy=authenticated())

    assert of.providers[0].source is _shadow(of, ShadowSettings(other)).guard.providers[0].source
    assert other.providers[0].source is _shadow(of, ShadowSettings(other, Path("x"))).guard.providers[0].source
