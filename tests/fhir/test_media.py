"""``Accept`` and ``_format`` → whether the answer will be JSON: what a filter cannot read is never taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.media import is_form, wanted_format
from jwt_guard.messages import PlainRequest


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ((), "any"),
        (("",), "any"),
        (("*/*",), "any"),
        (("application/*;q=0.5",), "any"),
        (("application/fhir+json",), "json"),
        (("application/json; fhirVersion=4.0; charset=UTF-8",), "json"),
        (("Application/FHIR+JSON;q=0.9, text/json",), "json"),
        (("application/fhir+json", "application/json"), "json"),
        (("application/fhir+json, */*;q=0",), "json"),
        (("application/fhir+json, application/fhir+xml;q=0.5",), "any"),
        (("text/html, */*;q=0.1",), "any"),
        (("application/fhir+json, */*",), "any"),
        (("application/fhir+xml",), "other"),
        (("text/html, application/xhtml+xml",), "other"),
        (("text/turtle",), "other"),
        (("text/*",), "other"),
        (("application/fhir+ndjson",), "other"),
        (("application/fhir+json;q=0",), "other"),
        (("application/fhir+json;q=0.000, */*",), "other"),
        (("*/*;q=0",), "other"),
        (("application/fhir+json;q=2",), "other"),
        (("application/fhir+json;q=x",), "other"),
        (("application/json;charset=utf-16",), "other"),
        (("json",), "json"),
    ],
)
def test_what_is_accepted_is_json_or_something_else(accept: tuple[str, ...], expected: str) -> None:
    assert expected == wanted_format(accept, ())


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (("json",), "json"),
        (("application/json",), "json"),
        (("application/fhir json",), "json"),
        (("application/fhir+json", "json"), "json"),
        (("text/json",), "json"),
        (("application/fhir+json;fhirVersion=4.0",), "json"),
        (("xml",), "other"),
        (("",), "other"),
        (("json", "xml"), "other"),
        (("html",), "other"),
        (("ttl",), "other"),
        (("application/fhir+xml",), "other"),
        (("json,xml",), "other"),
        (("*/*",), "other"),
        (("application/json;charset=utf-16",), "other"),
    ],
)
def test_the_parameter_goes_before_the_header(override: tuple[str, ...], expected: str) -> None:
    for accept in ((), ("application/fhir+xml",), ("application/fhir+json",), ("*/*",)):
        assert expected == wanted_format(accept, override)


@given(st.lists(st.text(max_size=20), max_size=3), st.lists(st.text(max_size=20), max_size=2))
def test_whatever_comes_is_one_of_three(accept: list[str], override: list[str]) -> None:
    assert wanted_format(accept, override) in ("json", "any", "other")


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", (), "any"),
        ("_format=application/fhir+json", (), "json"),
        ("_format=application%2Ffhir%2Bjson", (("Accept", "text/html"),), "json"),
        ("_format=xml", (("Accept", "application/json"),), "other"),
        ("_format=json&_format=xml", (), "other"),
        ("", (("Accept", "application/json"),), "json"),
    ],
)
def test_an_interaction_says_what_its_answer_will_be(
    query: str, headers: tuple[tuple[str, str], ...], expected: str
) -> None:
    found = read_interaction(PlainRequest("GET", "/Patient/1", query, headers))

    assert isinstance(found, Interaction)
    assert expected == found.format


def test_a_form_of_a_search_may_ask_for_a_format() -> None:
    headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
    found = read_interaction(PlainRequest("POST", "/Patient/_search", "", headers), "_format=xml")

    assert isinstance(found, Interaction)
    assert "other" == found.format


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Application/X-WWW-Form-Urlencoded ; Charset=UTF-8", True),
        ('application/x-www-form-urlencoded;charset="utf-8"', True),
        ("application/x-www-form-urlencoded;charset=latin1", None),
        ("application/fhir+json", False),
        ("", False),
    ],
)
def test_a_form_is_one_in_utf_8(content_type: str, expected: bool | None) -> None:
    assert expected is is_form(content_type)
