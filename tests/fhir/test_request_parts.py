"""Query, form and headers → the parts with a meaning; whatever asks for two things at once is refused."""

from __future__ import annotations

import pytest

from jwt_guard.fhir.interaction import Interaction, Refusal, read_interaction
from jwt_guard.messages import PlainRequest

FORM = "application/x-www-form-urlencoded"


def read(*headers: tuple[str, str], method: str = "GET", path: str = "/Patient/1") -> Interaction | Refusal:
    return read_interaction(PlainRequest(method, path, "", headers))


def why(found: Interaction | Refusal) -> str | None:
    return found.why if isinstance(found, Refusal) else None


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
@pytest.mark.parametrize("value", ["DELETE", "GET", ""])
def test_the_method_is_the_one_that_was_sent(name: str, value: str) -> None:
    assert "headers" == why(read((name, value)))
    assert "headers" == why(read((name.lower().replace("-", "_"), value)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), ()),
        (("",), ()),
        (("return=minimal",), (("return", "minimal"),)),
        (("Return=representation; handling=lenient",), (("return", "representation"), ("handling", "lenient"))),
        (("respond-async, return = OperationOutcome",), (("respond-async", ""), ("return", "OperationOutcome"))),
        (('return="minimal"', "respond-async"), (("return", "minimal"), ("respond-async", ""))),
    ],
)
def test_what_is_preferred_is_read(values: tuple[str, ...], expected: tuple[tuple[str, str], ...]) -> None:
    found = read(*(("Prefer", value) for value in values))

    assert isinstance(found, Interaction)
    assert expected == found.preferences
    assert ("respond-async" in " ".join(values)) is found.wants_async


@pytest.mark.parametrize("value", ["=minimal", "return=", "return==a", "a b", 'return="a', "return=é", "a=b=c"])
def test_what_is_preferred_unclearly_is_refused(value: str) -> None:
    assert "headers" == why(read(("Prefer", value)))


@pytest.mark.parametrize(
    "values",
    [("*",), ("3",), ("",), ('w/"3"',), ('W/"a b"',), ('"1", "2"',), ('W/"1"', 'W/"1"'), ('W/""',), ('W/"a_b"',)],
)
def test_a_version_to_match_is_one(values: tuple[str, ...]) -> None:
    assert "headers" == why(read(*(("If-Match", value) for value in values), method="PUT"))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_request_has_one_kind_of_body(method: str) -> None:
    path = "/Patient" if method == "POST" else "/Patient/1"

    assert "headers" == why(
        read(("Content-Type", "application/json"), ("Content-Type", FORM), method=method, path=path)
    )
    assert "headers" == why(read(("Content-Type", f"application/json, {FORM}"), method=method, path=path))
    assert "form" == why(read(("Content-Type", FORM), method=method, path=path))
    assert "form" == why(read(("Content-Type", f"{FORM.upper()} ;charset=utf-16"), method=method, path=path))
    assert None is why(read(("Content-Type", "application/fhir+json"), method=method, path=path))


@pytest.mark.parametrize(
    ("types", "form", "expected"),
    [
        ((FORM,), "a=1", None),
        ((f"{FORM}; charset=UTF-8",), "a=1", None),
        ((), "", None),
        ((FORM,), "", None),
        ((), "a=1", "form"),
        (("application/json",), "a=1", "form"),
        (("application/json",), "", "form"),
        (("multipart/form-data; boundary=x",), "", "form"),
        ((f"{FORM}; charset=utf-16",), "a=1", "form"),
        ((FORM,), None, "form"),
        ((FORM,), "a=é", "parameters"),
        ((FORM,), "a=1;b=2", "parameters"),
        ((FORM,), "a=1\r\n", "parameters"),
        ((FORM,), "_method=DELETE", "parameters"),
        ((FORM,), "_Include=*", "parameters"),
    ],
)
def test_the_form_of_a_search_is_a_form(types: tuple[str, ...], form: str | None, expected: str | None) -> None:
    headers = tuple(("Content-Type", value) for value in types)

    assert expected == why(read_interaction(PlainRequest("POST", "/Patient/_search", "b=2", headers), form))
