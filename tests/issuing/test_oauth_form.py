"""Forms that are read in one way only, and errors that tell a stranger nothing."""

from __future__ import annotations

import json

import pytest

from jwt_guard.issuing.oauth_form import FORM_LIMIT, OAuthError, read_form
from tests.support.assertions import FORM


@pytest.mark.parametrize("content_type", [FORM, f"{FORM};charset=UTF-8", f"{FORM.upper()} ; x=y", f" {FORM}"], ids=repr)
def test_a_form_is_its_parameters(content_type: str) -> None:
    assert {"a": "1 2", "b": "ä&="} == read_form(b"a=1+2&b=%C3%A4%26%3D", content_type)


def test_a_parameter_without_a_value_is_none() -> None:
    assert {"a": "1"} == read_form(b"a=1&b=&c", FORM)
    assert {} == read_form(b"", FORM)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "multipart/form-data; boundary=x", f"{FORM}, {FORM}", f"{FORM}x", f"x; {FORM}"],
    ids=repr,
)
def test_anything_else_than_a_form_is_refused(content_type: str | None) -> None:
    assert OAuthError("invalid_request", "the body is no form") == read_form(b"a=1", content_type)


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=1&a=1", b"a=&a=1", b"a=1&%61=2"], ids=repr)
def test_a_parameter_that_is_there_twice_is_refused(body: bytes) -> None:
    assert OAuthError("invalid_request", "a parameter is there twice") == read_form(body, FORM)


@pytest.mark.parametrize(
    "body", [b"a=\xc3\xa4", b"a=%FF", b"&".join(b"p%d=1" % number for number in range(65))], ids=[0, 1, 2]
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    found = read_form(body, FORM)

    assert isinstance(found, OAuthError)
    assert ("invalid_request", 400) == (found.error, found.status)


def test_a_form_of_64_kib_is_read_and_a_longer_one_is_not() -> None:
    found, more = (read_form(b"a=" + b"x" * (FORM_LIMIT - less), FORM) for less in (2, 1))

    assert {"a": "x" * (FORM_LIMIT - 2)} == found
    assert isinstance(more, OAuthError)
    assert 413 == more.status


def test_an_answer_has_what_rfc_6749_asks_for_and_nothing_of_the_reason() -> None:
    answer = OAuthError("invalid_client", "kid 'x' is not known", 401, (("WWW-Authenticate", "Basic"),)).response()

    assert 401 == answer.status
    assert {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Pragma": "no-cache",
        "WWW-Authenticate": "Basic",
    } == dict(answer.headers)
    assert {
        "error": "invalid_client",
        "error_description": "The client could not be authenticated.",
    } == json.loads(answer.body)


def test_a_code_that_needs_no_words_has_none() -> None:
    assert {"error": "invalid_scope"} == json.loads(OAuthError("invalid_scope", "x").response().body)
