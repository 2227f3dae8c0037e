"""What was counted, and how keys are → the text that Prometheus reads.  Needs ``prometheus_client``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from .counting import BOUNDS

if TYPE_CHECKING:
    from prometheus_client import Metric

    from ..sources.key_state import KeyState
    from .counting import Tally

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_OF_KEYS: Mapping[str, str] = {
    "usable": "Whether the tokens of this provider can be verified now",
    "keys": "Keys that can be used",
    "skipped": "Keys that are published, but cannot be used here",
    "age": "Seconds since the key set was fetched",
    "stale": "Whether the key set is older than it should be",
    "usable_until": "Seconds until the key set is given up, if the issuer fails until then",
    "unknown_keys_per_minute": "Tokens of late that named a key which nobody knows",
}
_NAMES: Mapping[str, str] = {
    "keys": "jwt_guard_keys",
    "age": "jwt_guard_keys_age_seconds",
    "usable_until": "jwt_guard_keys_usable_until_seconds",
    "unknown_keys_per_minute": "jwt_guard_unknown_keys_per_minute",
}


def exposition(tally: Tally, states: Mapping[str, KeyState], fetches: Mapping[str, int]) -> bytes:
    """Return the text: what was decided, how the keys of each provider are, and how fetches went, by outcome.

    It has a registry of its own: what else a process counts is not in it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_of_decisions(tally), *_of_keys(states), _of_fetches(fetches)]))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _of_decisions(tally: Tally) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "jwt_guard_decisions", "Decisions by what came of them", labels=["verdict", "reason"]
    )
    decisions.add_metric(["allowed", ""], tally.allowed)
    for reason, number in sorted(tally.refused.items()):
        decisions.add_metric(["refused", reason], number)
    yield decisions
    yield CounterMetricFamily("jwt_guard_remembered", "Decisions that took no verifying", value=tally.remembered)
    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(tally.durations), strict=False))
    yield HistogramMetricFamily(
        "jwt_guard_decision_seconds", "From the question to the decision", buckets=buckets, sum_value=tally.seconds
    )


def _of_keys(states: Mapping[str, KeyState]) -> Iterator[Metric]:
    for field, sentence in _OF_KEYS.items():
        gauge = GaugeMetricFamily(_NAMES.get(field, f"jwt_guard_keys_{field}"), sentence, labels=["provider"])
        for provider, state in states.items():
            value = getattr(state, field)
            if value is not None:
                gauge.add_metric([provider], float(value))
        yield gauge
    failing = GaugeMetricFamily("jwt_guard_keys_failing", "Whether the last fetch of keys failed", labels=["provider"])
    for provider, state in states.items():
        failing.add_metric([provider], float(state.last_error is not None))
    yield failing


def _of_fetches(fetches: Mapping[str, int]) -> Metric:
    counter = CounterMetricFamily("jwt_guard_fetches", "Requests to issuers, in this process", labels=["outcome"])
    for outcome in ("answered", "failed"):
        counter.add_metric([outcome], fetches.get(outcome, 0))
    return counter
