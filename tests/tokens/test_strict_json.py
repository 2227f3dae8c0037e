"""Octets → the one object they can mean, or a reason that holds none of them."""

from __future__ import annotations

import json

import pytest

from jwt_guard.tokens.strict_json import NotStrictJson, json_object

DEPTH = 8


def reason(data: bytes) -> str:
    with pytest.raises(NotStrictJson) as caught:
        json_object(data, DEPTH)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        ' \t\r\n{ "a" : [ 1 , -0.5e3 , true , false , null , "\\u00e9\\n" ] } \n',
        '{"a": "\\ud83d\\ude00", "b": "😀", "\\\\": "\\\\ud800"}',
        '{"a": 18446744073709551615, "b": -9223372036854775808}',
        '{"a": {"a": {"a": {}}}}',
        '{"a": "{[{[{[{[{[{[{["}',
        '{"a\\"{[": "\\\\", "b": "]}"}',
    ],
    ids=ascii,
)
def test_an_object_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert json.loads(text) == json_object(text.encode(), DEPTH)


@pytest.mark.parametrize("text", ["", " ", "[]", '"a"', "1", "null", "true", "[{}]", "\ufeff{}", "\u00a0{}"], ids=ascii)
def test_what_is_no_object_is_refused(text: str) -> None:
    assert "is no JSON object" == reason(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{'a':1}",
        '{"a":01}',
        '{"a":+1}',
        '{"a":.5}',
        '{"a":"\n"}',
        '{"a":"\\x41"}',
        "{a:1}",
        '{"a":1 "b":2}',
        '{"a":tru}',
        '{"a":"',
        '{"a":"\\',
        '{"a":[}',
        '{"a":/**/1}',
        '{"a":"\\u12"}',
        '{"\x00":1}',
        '{"a":\u0661}',
    ],
    ids=ascii,
)
def test_what_is_no_json_is_refused(text: str) -> None:
    assert "is no JSON" == reason(text.encode())


@pytest.mark.parametrize("text", ["{}{}", "{} x", "{}\0", "{},", "{}}", '{"a":1}\u2028'], ids=ascii)
def test_nothing_follows_the_object(text: str) -> None:
    assert "goes on after its end" == reason(text.encode())


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"b":{"a":1,"b":2,"a":3}}', '{"b":[{"a":1,"a":null}]}', '{"":1,"":2}'],
)
def test_a_member_twice_can_be_read_in_two_ways(text: str) -> None:
    assert "has a member twice" == reason(text.encode())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_none(word: str) -> None:
    assert "has a number that is none" == reason(f'{{"a":{word}}}'.encode())


@pytest.mark.parametrize("number", ["1e400", "-1e309", "1" + "0" * 400 + ".0"], ids=["large", "small", "long"])
def test_a_number_beyond_all_bounds_is_none(number: str) -> None:
    assert "has a number beyond all bounds" == reason(f'{{"a":{number}}}'.encode())


@pytest.mark.parametrize("digits", [21, 100, 5_000])
def test_a_long_integer_costs_nobody_any_time(digits: int) -> None:
    assert "has an integer of more than 20 characters" == reason(b'{"a":' + b"9" * digits + b"}")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"\\ud800"}',
        '{"a":"\\uDFFF"}',
        '{"\\uD83D":1}',
        '{"a":["\\ude00\\ud83d"]}',
        '{"a":"\\uD83Dx"}',
        '{"a":"\\uDe0a"}',
    ],
    ids=ascii,
)
def test_half_of_a_pair_is_no_text(text: str) -> None:
    assert "has half of a surrogate pair" == reason(text.encode())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b'{"a":"\xc3"}',
        b'{"a":"\xc0\xae"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xf5"}',
    ],
    ids=ascii,
)
def test_what_is_not_utf8_is_refused(data: bytes) -> None:
    assert "is not UTF-8" == reason(data)


def test_utf16_without_a_mark_is_no_object() -> None:
    assert "is no JSON" == reason('{"a":1}'.encode("utf-16-le"))


@pytest.mark.parametrize(("open_", "close"), [('{"a":', "}"), ("[", "]")])
def test_depth_is_counted_before_anything_is_built(open_: str, close: str) -> None:
    def nested(levels: int) -> bytes:
        return f'{{"a":{open_ * (levels - 1)}1{close * (levels - 1)}}}'.encode()

    assert json.loads(nested(DEPTH)) == json_object(nested(DEPTH), DEPTH)
    assert f"is nested more than {DEPTH} deep" == reason(nested(DEPTH + 1))
    assert f"is nested more than {DEPTH} deep" == reason(nested(100_000))


def test_many_small_ones_are_not_deep() -> None:
    text = json.dumps({"a": [[], {}, [[]], {"b": {}}] * 50})

    assert json.loads(text) == json_object(text.encode(), DEPTH)


def test_brackets_hide_in_no_text() -> None:
    assert f"is nested more than {DEPTH} deep" == reason(b'{"a\\\\":' + b"[" * 9 + b'"\\""' + b"]" * 9 + b"}")
    assert f"is nested more than {DEPTH} deep" == reason(b'{"a' + b'":' + b"[" * 50_000)


def test_the_reason_holds_nothing_of_the_text() -> None:
    for text in (
        "{secret",
        '{"secret":NaN}',
        '{"secret":1,"secret":2}',
        '{"a":"secret\\ud800"}',
        '"secret"',
        "{}secret",
    ):
        assert "secret" not in reason(text.encode())
