"""An error → whose fault it is, what a client may know, and a line for the log that gives nothing away."""

from __future__ import annotations

import pytest

from jwt_guard import errors
from jwt_guard.errors import (
    AmbiguousPath,
    AmbiguousRequest,
    BadSignature,
    ClaimRejected,
    ClientTooSlow,
    ContentTooLarge,
    CrossOrigin,
    Expired,
    FetchFailed,
    GuardError,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    Misconfigured,
    MissingToken,
    Refused,
    Revoked,
    SaltFailed,
    StoreFailed,
    Unavailable,
    UnknownIssuer,
    UnknownKey,
    UpstreamFailed,
    UpstreamTooSlow,
    shown,
)

EACH = [
    (MissingToken(), 401, None),
    (MalformedRequest("two tokens"), 400, "invalid_request"),
    (AmbiguousRequest("two lengths"), 400, None),
    (ContentTooLarge("too long"), 413, None),
    (ClientTooSlow("the rest does not come"), 408, None),
    (CrossOrigin("from elsewhere"), 403, None),
    (InvalidToken("no token"), 401, "invalid_token"),
    (UnknownIssuer("x"), 401, "invalid_token"),
    (UnknownKey("k", "ES256"), 401, "invalid_token"),
    (BadSignature("k", "ES256"), 401, "invalid_token"),
    (SaltFailed("no salt"), 401, "invalid_token"),
    (Revoked(), 401, "invalid_token"),
    (ClaimRejected("aud", "not us"), 401, "invalid_token"),
    (Expired("exp", "over"), 401, "invalid_token"),
    (InsufficientScope(), 403, "insufficient_scope"),
    (AmbiguousPath(), 403, "insufficient_scope"),
    (MethodNotAllowed(frozenset({"GET"})), 405, None),
    (Unavailable("later"), 503, None),
    (KeysUnavailable("no keys"), 503, None),
    (FetchFailed("https://id.test", "no answer"), 503, None),
    (StoreFailed("no answer"), 503, None),
    (UpstreamFailed("no answer"), 502, None),
    (UpstreamTooSlow("no answer in time"), 504, None),
]


@pytest.mark.parametrize(("error", "status", "code"), EACH, ids=[type(error).__name__ for error, _, _ in EACH])
def test_every_error_has_the_status_of_whose_fault_it_is(error: GuardError, status: int, code: str | None) -> None:
    assert (status, code) == (error.status, error.code)
    assert isinstance(error, Unavailable if status >= 500 else Refused)


def test_every_error_is_in_that_list() -> None:
    public = {getattr(errors, name) for name in errors.__all__} - {GuardError, Refused, Misconfigured, shown}

    assert public == {type(error) for error, _, _ in EACH}


def test_a_wrong_configuration_is_no_answer_to_a_request() -> None:
    assert not issubclass(Misconfigured, GuardError)
    assert issubclass(Misconfigured, ValueError)


def test_an_error_reads_as_its_reason() -> None:
    assert "no bearer token was sent" == str(MissingToken())
    assert "the token was revoked" == str(Revoked())
    assert "no provider has this issuer: 'x'" == str(UnknownIssuer("x"))
    assert "no such key: kid 'k', alg 'ES256'" == str(UnknownKey("k", "ES256"))
    assert "the signature does not verify: kid None, alg 'ES256'" == str(BadSignature(None, "ES256"))
    assert "no provider has this issuer" == UnknownIssuer("x").reason
    assert "no such key" == UnknownKey("k", "ES256").reason
    assert "aud: not us (expected ['a'], got 'b')" == str(ClaimRejected("aud", "not us", expected=["a"], got="b"))
    assert "cnf: bound" == str(ClaimRejected("cnf", "bound", got="x"))
    assert "the token does not allow this" == str(InsufficientScope())
    assert "the token does not allow this: needs 'a b'" == str(InsufficientScope(frozenset({"b", "a"})))
    assert "the route takes GET, POST" == str(MethodNotAllowed(frozenset({"POST", "GET"})))
    assert "no answer: 'https://id.test'" == str(FetchFailed("https://id.test", "no answer"))


def test_an_error_keeps_what_programs_ask_for() -> None:
    rejected = ClaimRejected("aud", "not us", expected=1, got=2, advice="say us")

    assert ("aud", "not us", 1, 2, "say us") == (
        rejected.claim,
        rejected.reason,
        rejected.expected,
        rejected.got,
        rejected.advice,
    )
    assert 5 == Unavailable("later").retry_after
    assert 9 == KeysUnavailable("later", retry_after=9).retry_after
    assert frozenset({"a"}) == InsufficientScope(frozenset({"a"})).required
    assert frozenset({"GET"}) == MethodNotAllowed(frozenset({"GET"})).allowed
    assert "https://id.test" == FetchFailed("https://id.test", "?").url
    assert ["x"] == UnknownIssuer(["x"]).issuer


@pytest.mark.parametrize(
    "nasty",
    ["\r\nX-Admin: yes", "\x1b[2J", "é\u2028\ud800", "\0", "a" * 100_000],
    ids=["line", "escape", "far", "nul", "long"],
)
def test_whatever_a_stranger_sends_is_one_short_line(nasty: str) -> None:
    for text in (
        shown(nasty),
        str(UnknownIssuer(nasty)),
        str(UnknownKey(nasty, nasty)),
        str(UnknownIssuer({nasty: nasty})),
    ):
        assert text.replace("…", "").isascii()
        assert text.isprintable()
        assert len(text) < 400


def test_what_is_short_is_shown_whole() -> None:
    assert "'" + "a" * 118 + "'" == shown("a" * 118)
    assert 121 == len(shown("a" * 119))


@pytest.mark.parametrize("value", [{"sub": "alice"}, ["a", {"sub": "alice"}], [["alice"]], object()], ids=repr)
def test_of_what_may_be_a_claim_set_only_the_type_is_shown(value: object) -> None:
    assert f"<{type(value).__name__}>" == shown(value)
    assert "alice" not in str(UnknownIssuer(value)) + str(ClaimRejected("aud", "no", expected="us", got=value))
