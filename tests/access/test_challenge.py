"""A refusal → what the client is told: RFC 6750 to the letter, constant words, nothing that the client sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwt_guard.access.challenge import quoted, refusal
from jwt_guard.errors import (
    BadSignature,
    ClaimRejected,
    Expired,
    FetchFailed,
    GuardError,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    MissingToken,
    Refused,
    SaltFailed,
    Unavailable,
    UnknownIssuer,
    UnknownKey,
)

BARE = 'Bearer realm="api"'
INVALID = 'Bearer realm="api", error="invalid_token", error_description="The access token is not valid here"'
MALFORMED = (
    'Bearer realm="api", error="invalid_request", '
    'error_description="The request does not carry its access token as RFC 6750 says"'
)
NOT_ENOUGH = 'Bearer realm="api", error="insufficient_scope", error_description="The access token does not allow this"'

SECRET = 'SECRET"\\\r\nX: y'
TABLE: list[tuple[GuardError, int, dict[str, str]]] = [
    (MissingToken(), 401, {"www-authenticate": BARE}),
    (MissingToken(SECRET), 401, {"www-authenticate": BARE}),
    (MalformedRequest(SECRET), 400, {"www-authenticate": MALFORMED}),
    (InvalidToken(SECRET), 401, {"www-authenticate": INVALID}),
    (UnknownIssuer(SECRET), 401, {"www-authenticate": INVALID}),
    (UnknownKey(SECRET, SECRET), 401, {"www-authenticate": INVALID}),
    (BadSignature(SECRET, SECRET), 401, {"www-authenticate": INVALID}),
    (SaltFailed(SECRET), 401, {"www-authenticate": INVALID}),
    (ClaimRejected(SECRET, SECRET, expected=SECRET, got=SECRET), 401, {"www-authenticate": INVALID}),
    (Expired("exp", SECRET), 401, {"www-authenticate": INVALID}),
    (InsufficientScope(reason=SECRET), 403, {"www-authenticate": NOT_ENOUGH}),
    (InsufficientScope(frozenset({"b", "a:c"})), 403, {"www-authenticate": NOT_ENOUGH + ', scope="a:c b"'}),
    (MethodNotAllowed(frozenset({"POST", "GET", "HEAD"})), 405, {"allow": "GET, HEAD, POST"}),
    (Unavailable(SECRET), 503, {"retry-after": "5"}),
    (KeysUnavailable(SECRET, retry_after=17), 503, {"retry-after": "17"}),
    (FetchFailed(SECRET, SECRET), 503, {"retry-after": "5"}),
    (Refused(SECRET), 401, {"www-authenticate": BARE}),
]  # fmt: skip


IDS = [f"{number}-{type(row[0]).__name__}" for number, row in enumerate(TABLE)]


@pytest.mark.parametrize(("error", "status", "told"), TABLE, ids=IDS)
def test_each_error_is_told_as_the_standard_says_and_no_further(
    error: GuardError, status: int, told: dict[str, str]
) -> None:
    response = refusal(error, "api", "0123")

    headers = dict(response.headers)
    assert len(headers) == len(response.headers)
    assert status == response.status
    assert told == {name: headers[name] for name in ("www-authenticate", "allow", "retry-after") if name in headers}
    assert "no-store" == headers["cache-control"]
    assert "application/problem+json" == headers["content-type"]
    assert str(len(response.body)) == headers["content-length"]
    body = json.loads(response.body)
    assert {"type", "title", "status", "detail", "id"} == set(body)
    assert (status, "0123", "about:blank") == (body["status"], body["id"], body["type"])
    assert "SECRET" not in f"{response.headers}{response.body!r}"
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def test_strangers_cannot_tell_what_was_wrong_with_their_token() -> None:
    answers = {
        refusal(error, "api", "1")
        for error in (
            InvalidToken("x"), UnknownIssuer("https://a"), UnknownKey("k", "ES256"), BadSignature("k", "ES256"),
            ClaimRejected("aud", "x"), Expired("exp", "x"), SaltFailed("x"),
        )
    }  # fmt: skip

    assert 1 == len(answers)


def test_only_a_token_that_was_sent_gets_an_error_code() -> None:
    """RFC 6750 §3.1: no error code or other information when nothing was sent."""
    (challenge,) = (value for name, value in refusal(MissingToken(), "r", "1").headers if name == "www-authenticate")

    assert 'Bearer realm="r"' == challenge


@pytest.mark.parametrize(
    ("realm", "written"),
    [
        ("api", '"api"'), ("", '""'), ("my api, v2", '"my api, v2"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'),
        ('\\"', '"\\\\\\""'), ('", error="x', '"\\", error=\\"x"'),
    ],
)  # fmt: skip
def test_a_realm_cannot_end_its_quotes(realm: str, written: str) -> None:
    assert written == quoted(realm)
    assert ("www-authenticate", f"Bearer realm={written}") in refusal(MissingToken(), realm, "1").headers


@pytest.mark.parametrize("realm", ["a\r\nX: y", "a\0", "a\tb", "a\x7f", "café", "\ud800"])
def test_what_no_header_may_carry_is_refused(realm: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        quoted(realm)


def test_a_status_of_ones_own_is_told_in_general_words() -> None:
    class Teapot(GuardError):
        status = 418

    body: dict[str, Any] = json.loads(refusal(Teapot("x"), "api", "1").body)

    assert 418 == body["status"]
    assert "The request was refused" == body["detail"]


@pytest.mark.parametrize("scope", ["orders:é", 'a"b', "a\r\nb", "a b", ""], ids=ascii)
def test_a_scope_that_no_challenge_can_name_is_left_out(scope: str) -> None:
    headers = dict(refusal(InsufficientScope(frozenset({scope})), "api", "0" * 16).headers)

    assert "scope=" not in headers["www-authenticate"]
    assert 'error="insufficient_scope"' in headers["www-authenticate"]
