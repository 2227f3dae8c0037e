"""Whoever is refused is told so in FHIR's words, by a text that is the same for everybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from jwt_guard.errors import (
    AmbiguousRequest,
    BadSignature,
    ClientTooSlow,
    ContentTooLarge,
    CrossOrigin,
    Expired,
    GuardError,
    InsufficientScope,
    KeysUnavailable,
    MalformedRequest,
    MissingToken,
    UpstreamFailed,
    UpstreamTooSlow,
)
from jwt_guard.fhir.outcome import FORBIDDEN, JSON, NOT_FOUND, UPSTREAM, Problem, Stopped, outcome, refused
from jwt_guard.messages import Response


def issue(response: Response) -> dict[str, Any]:
    document = json.loads(response.body)
    assert "OperationOutcome" == document["resourceType"]
    (one,) = document["issue"]
    found: dict[str, Any] = one
    return found


def headers(response: Response) -> Mapping[str, str]:
    assert len(dict(response.headers)) == len(response.headers)
    return dict(response.headers)


@pytest.mark.parametrize("problem", [FORBIDDEN, NOT_FOUND])
def test_a_problem_is_an_outcome(problem: Problem) -> None:
    response = outcome(problem, (("x-id", "1"),))

    assert problem.status == response.status
    assert {"content-type": JSON, "cache-control": "no-store", "x-id": "1"} == headers(response)
    assert {"severity": "error", "code": problem.code, "details": {"text": problem.text}} == issue(response)


def test_what_is_the_servers_fault_is_fatal() -> None:
    assert "fatal" == issue(outcome(UPSTREAM))["severity"]


def test_the_log_is_told_more_than_the_client() -> None:
    stopped = Stopped(FORBIDDEN, "no scope lets search for this")

    assert "no scope lets search for this" == str(stopped) == stopped.reason
    assert stopped.reason not in outcome(stopped.problem).body.decode()


@pytest.mark.parametrize(
    ("error", "status", "code", "challenge"),
    [
        (MissingToken(), 401, "login", 'Bearer realm="fhir"'),
        (BadSignature("k1", "RS256"), 401, "unknown", 'error="invalid_token"'),
        (Expired("exp", "it is over"), 401, "expired", 'error="invalid_token"'),
        (MalformedRequest("two tokens"), 400, "invalid", 'error="invalid_request"'),
        (AmbiguousRequest("two lengths"), 400, "invalid", None),
        (InsufficientScope(reason="none"), 403, "forbidden", 'error="insufficient_scope"'),
        (CrossOrigin("another site"), 403, "security", None),
        (ClientTooSlow("it stopped"), 408, "timeout", None),
        (ContentTooLarge("a form"), 413, "too-long", None),
        (UpstreamFailed("nobody there"), 502, "exception", None),
        (UpstreamTooSlow("not in time"), 504, "timeout", None),
        (KeysUnavailable("https://id.example/jwks"), 503, "transient", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GuardError) else None,
)
def test_a_refusal_has_its_issue_type_and_its_challenge(
    error: GuardError, status: int, code: str, challenge: str | None
) -> None:
    response = refused(error, "fhir", "a1b2")
    found = headers(response)

    assert status == response.status
    assert JSON == found["content-type"]
    assert code == issue(response)["code"]
    assert "a1b2" in issue(response)["details"]["text"]
    assert "content-length" not in found
    if challenge is None:
        assert "www-authenticate" not in found
    else:
        assert challenge in found["www-authenticate"]
    for reason in ("two", "it is over", "none", "nobody there", "id.example"):
        assert reason not in response.body.decode()
