"""How the gateway is → what those who mind it are told, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from jwt_guard import Guard, KeyState
from jwt_guard.gateway.admin import Show, admin, is_ready, prometheus
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.counting import Tally
from jwt_guard.runners.blocking import run
from jwt_guard.runners.fetching import fetch_counts
from jwt_guard.sources.jwks import KeySettings, jwks
from tests.support.bad_issuer import BadIssuer, answer, key_set, resets, says
from tests.support.minting import guard, mint

GOOD = KeyState(usable=True, keys=2, age=5.0)
FRESH = KeyState(usable=False, keys=0, next_refresh=0.0)
DOWN = KeyState(usable=False, keys=0, next_refresh=3.0, last_error="https://id.test/jwks: no answer")


class Stub:
    def __init__(self, **states: KeyState) -> None:
        self.states = states

    def key_states(self) -> Mapping[str, KeyState]:
        return self.states


def asked(
    path: str, show: Show | None = None, *, method: str = "GET", stopping: bool = False, **states: KeyState
) -> Any:
    app = admin(lambda: cast("Guard", Stub(**states)), show, is_stopping=lambda: stopping)
    return TestClient(app).request(method, path)


def test_whoever_answers_is_alive() -> None:
    answer = asked("/healthz", down=DOWN, stopping=True)

    assert (200, "ok\n", "no-store") == (answer.status_code, answer.text, answer.headers["cache-control"])
    assert 200 == asked("/healthz", method="HEAD").status_code


@pytest.mark.parametrize(
    ("states", "stopping", "status"),
    [
        ({}, False, 200),
        ({"shop": GOOD}, False, 200),
        ({"shop": GOOD, "new": FRESH}, False, 200),
        ({"shop": GOOD, "old": DOWN}, False, 503),
        ({"shop": GOOD}, True, 503),
    ],
)
def test_it_is_ready_where_every_provider_is_and_nobody_stops_it(
    states: dict[str, Any], stopping: bool, status: int
) -> None:
    answer = asked("/readyz", stopping=stopping, **states)

    assert status == answer.status_code
    assert {"ready": status == 200, "stopping": stopping} == {key: answer.json()[key] for key in ("ready", "stopping")}
    assert {name: is_ready(state) for name, state in states.items()} == {
        name: each["ready"] for name, each in answer.json()["providers"].items()
    }


def test_each_provider_is_told_of_without_its_addresses() -> None:
    answer = asked("/readyz", shop=GOOD, old=DOWN)

    assert {"ready": True, "usable": True, "keys": 2, "age": 5.0, "stale": False, "failing": False} == answer.json()[
        "providers"
    ]["shop"]
    assert answer.json()["providers"]["old"]["failing"]
    assert "id.test" not in answer.text


def test_the_guard_that_counts_now_is_asked() -> None:
    guards = [Stub(shop=GOOD), Stub(shop=DOWN)]
    client = TestClient(admin(lambda: cast("Guard", guards[0]), is_stopping=lambda: False))

    assert 200 == client.get("/readyz").status_code
    guards.pop(0)
    assert 503 == client.get("/readyz").status_code


def test_metrics_are_what_prometheus_reads() -> None:
    answer = asked("/metrics", prometheus(lambda: Tally(allowed=3)), shop=GOOD)

    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'jwt_guard_decisions_total{reason="",verdict="allowed"} 3.0\n' in answer.text
    assert 'jwt_guard_keys{provider="shop"} 2.0\n' in answer.text


def test_metrics_need_a_package_and_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jwt_guard.observing.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    show = prometheus(Tally)

    assert show is None
    answer = asked("/metrics", show)
    assert (501, "pip install 'jwt-guard[metrics]'\n") == (answer.status_code, answer.text)


def test_another_module_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jwt_guard.observing.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "jwt_guard.observing.counting", None)
    with pytest.raises(ModuleNotFoundError):
        prometheus(Tally)


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/readyz", "POST", 405)])
def test_there_is_nothing_else(path: str, method: str, status: int) -> None:
    assert status == asked(path, method=method).status_code


def test_fetches_are_counted_by_their_outcome() -> None:
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {mint()}"),))
    counts = []
    for way in (resets(), says(answer(key_set("b")))):
        before = fetch_counts()
        with BadIssuer(way) as issuer:
            source: Any = jwks(issuer.url, KeySettings(timeout=1))
            run(guard(keys=source).decide(request))
        after = fetch_counts()
        counts.append({name: after[name] - before[name] for name in after})

    assert counts[0]["failed"] > 0 == counts[0]["answered"]
    assert counts[1]["answered"] > 0 == counts[1]["failed"]
