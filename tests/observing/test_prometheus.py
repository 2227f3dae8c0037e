"""Counts and the states of keys → a text that Prometheus' own parser reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from jwt_guard import KeyState
from jwt_guard.observing.counting import BOUNDS, Tally
from jwt_guard.observing.prometheus import exposition

TALLY = Tally(
    allowed=7, remembered=5, refused={"Expired": 2, "BadSignature": 1}, durations=(4, *[0] * 11, 1, 5), seconds=2.5
)
STATES = {
    "shop": KeyState(usable=True, keys=2, skipped=1, age=12.5, usable_until=100.0, unknown_keys_per_minute=3.0),
    'odd"\n': KeyState(usable=False, keys=0, stale=True, last_error="https://id.test/jwks: no answer"),
}


def read(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def sample(of: bytes, name: str, **labels: str) -> float | None:
    return read(of).get((name, frozenset(labels.items())))


def test_every_figure_is_there() -> None:
    text = exposition(TALLY, STATES, {"answered": 3, "failed": 1})

    assert 7 == sample(text, "jwt_guard_decisions_total", verdict="allowed", reason="")
    assert 2 == sample(text, "jwt_guard_decisions_total", verdict="refused", reason="Expired")
    assert 1 == sample(text, "jwt_guard_decisions_total", verdict="refused", reason="BadSignature")
    assert 5 == sample(text, "jwt_guard_remembered_total")
    assert 3 == sample(text, "jwt_guard_fetches_total", outcome="answered")
    assert 1 == sample(text, "jwt_guard_fetches_total", outcome="failed")
    assert 1 == sample(text, "jwt_guard_keys_usable", provider="shop")
    assert 0 == sample(text, "jwt_guard_keys_usable", provider='odd"\n')
    assert 2 == sample(text, "jwt_guard_keys", provider="shop")
    assert 1 == sample(text, "jwt_guard_keys_skipped", provider="shop")
    assert 12.5 == sample(text, "jwt_guard_keys_age_seconds", provider="shop")
    assert sample(text, "jwt_guard_keys_age_seconds", provider='odd"\n') is None
    assert 100 == sample(text, "jwt_guard_keys_usable_until_seconds", provider="shop")
    assert 1 == sample(text, "jwt_guard_keys_stale", provider='odd"\n')
    assert 3 == sample(text, "jwt_guard_unknown_keys_per_minute", provider="shop")
    assert (0, 1) == tuple(sample(text, "jwt_guard_keys_failing", provider=name) for name in STATES)


def test_the_histogram_adds_up() -> None:
    text = exposition(TALLY, {}, {})

    assert 4 == sample(text, "jwt_guard_decision_seconds_bucket", le=str(BOUNDS[0]))
    assert 5 == sample(text, "jwt_guard_decision_seconds_bucket", le=str(BOUNDS[-1]))
    assert 10 == sample(text, "jwt_guard_decision_seconds_bucket", le="+Inf")
    assert 10 == sample(text, "jwt_guard_decision_seconds_count")
    assert 2.5 == sample(text, "jwt_guard_decision_seconds_sum")


def test_what_never_happened_is_0_and_what_is_not_known_is_not_there() -> None:
    text = exposition(Tally(), {}, {})

    assert 0 == sample(text, "jwt_guard_decisions_total", verdict="allowed", reason="")
    assert 0 == sample(text, "jwt_guard_fetches_total", outcome="failed")
    assert b"python_info" not in text


def test_no_address_of_an_issuer_is_in_it() -> None:
    assert b"id.test" not in exposition(TALLY, STATES, {})
