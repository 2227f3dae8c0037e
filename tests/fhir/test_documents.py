"""JSON that clients and servers send: read in one way or not at all, and written to the last digit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwt_guard.fhir import documents
from jwt_guard.fhir.documents import DEEPEST, read, read_list, written
from jwt_guard.tokens import decoding

ONE_FOR_ALL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, params=["orjson", "plain"])
def with_each(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test run with orjson and without."""
    fast = decoding.fast_json()
    assert fast is not None
    monkeypatch.setattr(documents, "_loads", fast.loads if request.param == "orjson" else None)
    monkeypatch.setattr(documents, "_dumps", fast.dumps if request.param == "orjson" else None)


def nested(depth: int) -> bytes:
    """Return an object with as many levels as *depth* says, of both kinds in turn."""
    pieces = [('{"a":', "}") if level % 2 == 0 else ("[", "]") for level in range(depth - 1)]
    innermost = "{}" if depth % 2 else "[]"
    return ("".join(begin for begin, _ in pieces) + innermost + "".join(end for _, end in reversed(pieces))).encode()


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType":"Patient","active":true,"x":null,"n":[1,-2,0.5,1e+16]}',
        b'\t{ "a" : "\\u00e9\\ud83d\\ude00\\n" } \r\n',
        '{"name":"Zoë 😀","brackets":"]}{[\\"]}"}'.encode(),
        b"{}",
    ],
)
def test_an_object_is_read_as_it_is(text: bytes) -> None:
    assert json.loads(text) == read(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'"text"',
        b"[{}]",
        b"12",
        b"{",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"\\u0061":1,"a":1}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":123456789012345678901}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uDfff x"}',
        b"{} {}",
        b'{"a":1}x',
        b'{"a":1,}',
        b'{"a":"\n"}',
        "{}".encode("utf-16"),
        b"{]",
    ],
)
def test_what_is_no_object_or_has_more_than_one_reading_is_none(text: bytes) -> None:
    assert read(text) is None


def test_a_document_is_nested_as_deep_as_can_be_written_and_no_deeper() -> None:
    assert json.loads(nested(DEEPEST)) == read(nested(DEEPEST))
    assert read(nested(DEEPEST + 1)) is None
    assert read(nested(DEEPEST * 2)) is None
    assert read(nested(DEEPEST + 1).replace(b"{}", b'{"n":99999999999999999999}')) is None
    assert read(nested(100_000)) is None


def test_brackets_in_texts_are_no_depth() -> None:
    text = json.dumps({"a": '\\"[{' * 1_000}).encode()

    assert json.loads(text) == read(text)


@pytest.mark.parametrize("number", ["5.40", "1.0e3", "0.1000000000000000055511151231257827", "-0", "1E-7", "100.00"])
def test_a_decimal_keeps_each_of_its_digits(number: str) -> None:
    text = f'{{"valueQuantity":{{"value":{number}}}}}'.encode()
    document = read(text)
    assert document is not None
    value = document["valueQuantity"]["value"]

    assert Decimal(number) == value
    assert str(Decimal(number)) == str(value)
    assert f'{{"valueQuantity":{{"value":{Decimal(number)}}}}}'.encode() == written(document)


@pytest.mark.parametrize("number", ["5.4", "120", "0.5", "-0.25", "0", "1.0"])
def test_a_number_that_a_float_is_written_as_is_one(number: str) -> None:
    document = read(f'{{"value": {number}}}'.encode())
    assert document is not None

    assert isinstance(document["value"], int | float)
    assert f'{{"value":{number}}}'.encode() == written(document)


def test_a_text_that_looks_like_an_exact_number_stays_a_text() -> None:
    text = b'{"a":"5.40","b":5.40,"c":"\\"5.40\\""}'

    assert text == written(read(text))


def test_what_orjson_cannot_write_is_written_all_the_same() -> None:
    deep: Any = read(nested(DEEPEST))
    for _ in range(3):
        deep = [deep]

    assert b"[[[" + nested(DEEPEST) + b"]]]" == written(deep)
    assert b"[99999999999999999999]" == written([99_999_999_999_999_999_999])


def test_what_json_has_not_is_not_written() -> None:
    with pytest.raises(TypeError):
        written({"a": object()})


def test_a_list_is_read_by_the_same_rules() -> None:
    assert [{"op": "remove", "path": "/a"}, Decimal("5.40")] == read_list(b'[{"op":"remove","path":"/a"},5.40]')
    assert read_list(b'{"a":[]}') is None
    assert read_list(b'[{"a":1,"a":1}]') is None
    assert read_list(b"[") is None


TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 10**19, 10**19) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@ONE_FOR_ALL
@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.booleans())
def test_what_is_written_is_read_again_as_what_it_was(document: dict[str, Any], is_compact: bool) -> None:
    text = json.dumps(document, separators=(",", ":") if is_compact else None, ensure_ascii=not is_compact).encode()

    assert document == read(text)
    assert document == read(written(document))


@ONE_FOR_ALL
@given(
    st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2), st.integers(0), st.sampled_from(b'{}[]",:.\\ud8eE0+-a')
)
def test_both_readers_say_the_same_of_what_is_almost_json(document: dict[str, Any], at: int, octet: int) -> None:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    at %= len(text) + 1
    edited = text[:at] + bytes([octet]) + text[at:]
    try:
        plainly = documents._plainly_read(edited)
    except ValueError:
        plainly = None

    assert (plainly if isinstance(plainly, dict) else None) == read(edited)
