"""The text of a query → its parameters in order; nothing, where two programs could read two things."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.fhir.query import named, plain, read_parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("&&", ()),
        ("a", (("a", ""),)),
        ("a=", (("a", ""),)),
        ("a=b=c", (("a", "b=c"),)),
        ("a=1&b=2&a=1", (("a", "1"), ("b", "2"), ("a", "1"))),
        ("code=http://loinc.org|1&x=a%7Cb", (("code", "http://loinc.org|1"), ("x", "a|b"))),
        ("a=1+2%2B3", (("a", "1 2+3"),)),
        ("%5Fid=1", (("_id", "1"),)),
        ("_has%3AObservation%3Apatient%3Acode=1", (("_has:Observation:patient:code", "1"),)),
        ("subject:Patient.name=%C3%A9", (("subject:Patient.name", "é"),)),
        ("resource-origin=Device/1", (("resource-origin", "Device/1"),)),
        ("a=%253B", (("a", "%3B"),)),
        ("a=%3B", (("a", ";"),)),
        ("&".join(["a=1"] * 1_000), (("a", "1"),) * 1_000),
        ("x" * 256, (("x" * 256, ""),)),
    ],
)
def test_parameters_are_read_in_order(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert expected == read_parameters(text)


@pytest.mark.parametrize(
    "text",
    [
        "a;b", "a=1;b=2", "a=b c", "a=é", "a=\ud800", "a=%", "a=%2", "a=%zz", "a=%u0041", "a=%ff", "a=%C0%AF",
        "a=%ED%A0%80", "a=%00", "a=%0d%0a", "a=%7F", "a=%C2%85", "=1", "=", "+a=1", "a+=1", "a%20=1", "a[]=1",
        "a%5B0%5D=1", "%E2%80%8Ba=1", "a%00=1", "a#b", "a=1#b", ".a=1", ":a=1", "?a=1", "%25a=1", "a\t=1", "a=1\n",
        "x" * 257, "&".join(["a=1"] * 1_001), "a=" + "x" * 65_536,
    ],
)  # fmt: skip
def test_what_has_more_than_one_reading_has_none(text: str) -> None:
    assert None is read_parameters(text)


PAIRS = st.lists(
    st.tuples(st.from_regex(r"[A-Za-z0-9_$][A-Za-z0-9_$.:-]{0,9}", fullmatch=True), st.text(st.characters(
        exclude_categories=("Cc", "Cs")), max_size=9)), max_size=9)  # fmt: skip


@given(PAIRS)
def test_what_is_written_well_is_read_as_it_was_meant(pairs: list[tuple[str, str]]) -> None:
    assert tuple(pairs) == read_parameters(urlencode(pairs))


@given(st.text())
def test_whatever_comes_is_parameters_or_none(text: str) -> None:
    found = read_parameters(text)

    assert found is None or found == read_parameters(urlencode(found))


def test_a_parameter_is_known_by_what_stands_before_its_modifier() -> None:
    parameters = (("_include:iterate", "a"), ("_include", "b"), ("_includes", "c"), ("_include.x", "d"))

    assert ("a", "b", "d") == named("_include", parameters)
    assert "_has" == plain("_has:Observation:patient:code.x")
    assert "subject" == plain("subject:Patient.name")
    assert "name" == plain("name")
