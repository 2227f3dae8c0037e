"""A decision → a span of OpenTelemetry, in the trace that the request belongs to.  Needs ``opentelemetry-api``.

In it are the verdict and its reason, and nothing that a client has sent but the name of a well-known method.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..decision import Allow
from ..errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..decision import Decision
    from ..messages import Request
    from .observer import Circumstances, Observer

__all__ = ["tracing"]

_NANOSECONDS = 1_000_000_000
_WELL_KNOWN = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_HEADERS = ("traceparent", "tracestate")  # W3C Trace Context
_PROPAGATOR = TraceContextTextMapPropagator()


def tracing(clock: Callable[[], int] = time.time_ns) -> Observer | None:
    """Return an observer that makes spans, None where nobody has set up a tracer provider to take them.

    *clock* says how many nanoseconds it is since the epoch.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    tracer = trace.get_tracer("jwt_guard")

    def observe(request: Request, decision: Decision, circumstances: Circumstances) -> None:
        end = clock()
        sent = {name: values[0] for name in _HEADERS if len(values := request.values(name)) == 1}
        span = tracer.start_span(
            "jwt_guard.decide",
            context=_PROPAGATOR.extract(sent),
            kind=trace.SpanKind.INTERNAL,
            start_time=end - int(circumstances.seconds * _NANOSECONDS),
        )
        if span.is_recording():
            _describe(span, request, decision, circumstances)
        span.end(end)

    return observe


def _describe(span: trace.Span, request: Request, decision: Decision, circumstances: Circumstances) -> None:
    method = request.method
    span.set_attribute("http.request.method", method if method in _WELL_KNOWN else "_OTHER")
    span.set_attribute("jwt_guard.remembered", circumstances.remembered)
    if isinstance(decision, Allow):
        span.set_attribute("jwt_guard.verdict", "allowed")
        return
    span.set_attribute("jwt_guard.verdict", "refused")
    span.set_attribute("error.type", type(decision.error).__name__)
    if isinstance(decision.error, Unavailable):
        span.set_status(trace.StatusCode.ERROR)  # ours; a refusal is no error of a guard
