"""A decision → a span in the trace of its request, with the verdict in it and nothing of the token."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import Expired, Unavailable
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.observer import Circumstances
from jwt_guard.observing.traces import tracing

NOW = 1_800_000_000_000_000_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def span_of(
    spans: InMemorySpanExporter, decision: Decision, *headers: tuple[str, str], method: str = "GET"
) -> ReadableSpan:
    observe = tracing(lambda: NOW)
    assert observe is not None
    request = PlainRequest(method, "/patients/ada", "q=ada", (("authorization", f"Bearer {TOKEN}"), *headers))
    observe(request, decision, Circumstances(0.25, remembered=True))
    (span,) = spans.get_finished_spans()
    spans.clear()
    return span


def test_a_decision_is_a_span_that_takes_as_long(spans: InMemorySpanExporter) -> None:
    span = span_of(spans, Allow(None))

    assert ("jwt_guard.decide", NOW - 250_000_000, NOW) == (span.name, span.start_time, span.end_time)
    assert {"http.request.method": "GET", "jwt_guard.remembered": True, "jwt_guard.verdict": "allowed"} == dict(
        span.attributes or {}
    )
    assert span.parent is None


def test_it_belongs_to_the_trace_of_the_request(spans: InMemorySpanExporter) -> None:
    span = span_of(spans, Allow(None), ("traceparent", PARENT))

    assert span.parent is not None
    assert (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331) == (span.parent.trace_id, span.parent.span_id)


@pytest.mark.parametrize(
    "headers", [[("traceparent", "x")], [("traceparent", PARENT), ("traceparent", PARENT.replace("0af7", "0af8"))]]
)
def test_a_trace_that_is_not_named_clearly_is_none(spans: InMemorySpanExporter, headers: list[tuple[str, str]]) -> None:
    assert span_of(spans, Allow(None), *headers).parent is None


def test_a_refusal_is_no_error_and_what_is_ours_to_mend_is(spans: InMemorySpanExporter) -> None:
    refused = span_of(spans, Deny(Expired("exp", "is over")))

    assert ("refused", "Expired") == tuple(
        (refused.attributes or {})[name] for name in ("jwt_guard.verdict", "error.type")
    )
    assert trace.StatusCode.UNSET == refused.status.status_code

    unavailable = span_of(spans, Deny(Unavailable("not now")))
    assert trace.StatusCode.ERROR == unavailable.status.status_code
    assert unavailable.status.description is None


def test_nothing_that_a_client_has_sent_is_in_it(spans: InMemorySpanExporter) -> None:
    span = span_of(spans, Deny(Unavailable(f"ada {TOKEN}")), ("baggage", "who=ada"), method="ADA")
    text = json.dumps(json.loads(span.to_json())).lower()

    assert "_other" in text
    assert "ada" not in text
    assert TOKEN.lower() not in text


def test_what_is_not_sampled_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        trace, "get_tracer_provider", lambda: TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    )
    observe = tracing()

    assert observe is not None
    observe(PlainRequest("GET", "/"), Allow(None), Circumstances(0.0))


@pytest.mark.parametrize("provider", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
def test_where_nobody_takes_spans_none_are_made(
    monkeypatch: pytest.MonkeyPatch, provider: trace.TracerProvider
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    assert tracing() is None
