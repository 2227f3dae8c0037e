"""orjson, pybase64 and a glance → what the standard library and the rules say one by one: the same, whatever comes."""

from __future__ import annotations

import json
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from jwt_guard.errors import ClaimRejected, InvalidToken
from jwt_guard.tokens import decoding, strict_json
from jwt_guard.tokens.claims import ACCESS_TOKEN_TYPES, Claims, Rule, check, usual
from jwt_guard.tokens.compact import from_base64url, parse, to_base64url
from jwt_guard.tokens.strict_json import NotStrictJson, json_object
from tests.support.minting import AUDIENCE, HOUR, ISSUER, NOW, claims, mint

from .strategies import MEANINGFUL, almost_json, odd_claims, same, texts, times, values

# --- JSON --------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(10**22), 10**22).map(str),
    st.floats().map(json.dumps),
    st.from_regex(r"-?(0|[1-9][0-9]{0,21})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["-0", "-0.0", "0.0", "1e5", "1E5", "1e400", "-1e400", "1e-400", "5e-324", "1.0", "1e16", "1e22", "01", "1."]
        + ["18446744073709551615", "18446744073709551616", "9" * 20, "9" * 21, "-9223372036854775808"]
        + ["-9223372036854775809", "9007199254740993", "9007199254740993.0", "0.1", "0.30000000000000004", "NaN"]
    ),
)
strings = st.one_of(
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    texts.map(json.dumps),
    st.sampled_from(
        ['"\\ud83d\\ude00"', '"\\ud800"', '"\\/"', '"\x7f"', '"\n"', '"\0"', '"\u2028"', '"\\u0061"', '"a"']
    ),
)
members = st.one_of(strings, st.sampled_from(['"a"', '"b"', '""']))
spaces = st.sampled_from(["", "", "", "", " ", "\n", "\t", "\ufeff", "\u00a0"])


def written(pieces: Iterable[str], around: str, space: str) -> str:
    return around[0] + f",{space}".join(pieces) + around[1]


json_texts: st.SearchStrategy[str] = st.recursive(
    st.one_of(numbers, strings, st.sampled_from(["true", "false", "null", "nul", "True", ""])),
    lambda inner: st.one_of(
        st.builds(written, st.lists(inner, max_size=4), st.just("[]"), spaces),
        st.builds(
            written,
            st.lists(
                st.builds(lambda name, value, space: f"{name}:{space}{value}", members, inner, spaces), max_size=4
            ),
            st.just("{}"),
            spaces,
        ),
    ),
    max_leaves=10,
)
objects = st.lists(st.builds("{}:{}".format, members, json_texts), max_size=5).map(lambda all_: f"{{{','.join(all_)}}}")


def outcome(read: Any, data: bytes, depth: int) -> Any:
    try:
        return read(data, depth)
    except NotStrictJson as error:
        return str(error)


def same_verdict(data: bytes, depth: int = 32) -> None:
    strictly = outcome(strict_json._read, data, depth)
    event("refused" if isinstance(strictly, str) else "read")

    assert same(strictly, outcome(json_object, data, depth))


@given(objects, st.integers(1, 6))
@example('{"a":1,"a":1}', 5)
@example('{"a":1,"a" :1}', 5)
@example('{"a":{"b":1,"b":1}}', 5)
@example('{"a":[[[[]]]]}', 5)
@example('{"a":[[[[]]]]}', 4)
@example('{"a":[[],[],[],[]],"b":"[[[["}', 4)
@example('{"a":18446744073709551616}', 5)
@example('{"a":-0}', 5)
@example('{"a":-0.0}', 5)
@example('{"a":1e400}', 5)
@example('{"a":"\\ud800"}', 5)
@example('\ufeff{"a":1}', 5)
def test_any_object_is_read_or_refused_alike(text: str, depth: int) -> None:
    same_verdict(text.encode("utf-8", "surrogatepass"), depth)


@given(json_texts)
def test_any_json_is(text: str) -> None:
    same_verdict(text.encode("utf-8", "surrogatepass"))


@given(
    st.one_of(st.binary(max_size=60), almost_json(), st.binary(max_size=20).map(lambda octets: b'{"a":"%s"}' % octets))
)
def test_any_octets_are(data: bytes) -> None:
    same_verdict(data)


@given(
    values=st.dictionaries(texts, values, max_size=6), at=st.integers(0), octet=st.integers(0, 255), cut=st.booleans()
)
def test_what_orjson_itself_would_write_is_and_so_is_any_edit_of_it(
    values: dict[str, Any], at: int, octet: int, cut: bool
) -> None:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    at %= len(text) + 1

    same_verdict(text)
    same_verdict(text[:at] + bytes([octet]) + text[at + cut :])


def test_the_usual_claims_need_the_standard_library_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_data: bytes, _depth: int) -> dict[str, Any]:
        raise AssertionError

    monkeypatch.setattr(strict_json, "_read", never)
    monkeypatch.setattr(strict_json, "_fast", decoding.fast_json())
    text = json.dumps(claims(name="Zoë", ratio=0.5, roles=["a"]), ensure_ascii=False, separators=(",", ":"))

    assert claims(name="Zoë", ratio=0.5, roles=["a"]) == json_object(text.encode(), 32)


# --- base64url ---------------------------------------------------------------------------------------


def strictly(segment: bytes) -> bytes | None:
    """Return what *segment* stands for as the standard library sees it, and only if it writes it just so."""
    try:
        octets = a2b_base64(segment.translate(bytes.maketrans(b"-_+/", b"+/??")) + b"=" * (-len(segment) % 4))
    except NotBase64:
        return None
    return octets if to_base64url(octets).encode() == segment else None


def read(segment: bytes) -> bytes | None:
    try:
        return from_base64url(segment, "part")
    except InvalidToken:
        return None


@given(st.one_of(st.binary(max_size=80), st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_octets_are_base64url_or_not(segment: bytes) -> None:
    assert strictly(segment) == read(segment)


@given(octets=st.binary(max_size=200), at=st.integers(0), octet=st.integers(0, 255), cut=st.booleans())
@example(octets=b"\xfb\xff", at=0, octet=ord("+"), cut=True)
@example(octets=b"a", at=1, octet=ord("R"), cut=True)
@example(octets=bytes(100), at=50, octet=ord("\n"), cut=False)
def test_base64url_with_one_edit_is_too(octets: bytes, at: int, octet: int, cut: bool) -> None:
    segment = to_base64url(octets).encode()
    at %= len(segment) + 1
    edited = segment[:at] + bytes([octet]) + segment[at + cut :]

    assert octets == read(segment)
    assert strictly(edited) == read(edited)


# --- the rules ---------------------------------------------------------------------------------------

LEEWAY = 30
RULES = {
    claim: usual(
        types=ACCESS_TOKEN_TYPES,
        issuers=frozenset({ISSUER, "https://other.test"}),
        audiences=frozenset({AUDIENCE}),
        leeway=LEEWAY,
        audience_claim=claim,
    )
    for claim in ("aud", "client_id")
}


def answer(rules: Iterable[Rule], statement: Claims, now: float) -> Any:
    try:
        return check(statement, rules, now)
    except ClaimRejected as error:
        return type(error), error.claim, str(error), error.expected, error.got


near = st.sampled_from([-HOUR, -LEEWAY - 1, -LEEWAY, -LEEWAY + 1, -1, 0, 1, LEEWAY - 1, LEEWAY, LEEWAY + 1, HOUR])


headers = {typ: parse(mint(header={} if typ is None else {"typ": typ})).header for typ in (None, "JWT", "at+jwt", "x")}


def alike(claim: str, said: dict[str, Any], typ: str | None, now: float) -> bool:
    """Look whether all rules at a glance and one by one say the same; return whether that is yes."""
    one_by_one, at_once = RULES[claim]
    statement = Claims(headers[typ], said)
    expected, got = answer(one_by_one, statement, now), answer([at_once], statement, now)

    assert (type(expected), expected) == (type(got), got)
    return not isinstance(expected, tuple)


@pytest.mark.parametrize("claim", RULES)
@given(
    changes=odd_claims,
    dates=st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "auth_time"]), st.one_of(near.map(NOW.__add__), times)),
    without=st.sets(st.sampled_from(sorted(claims())), max_size=2),
    typ=st.sampled_from(sorted(headers, key=str)),
    now=st.one_of(near.map(NOW.__add__), st.floats(NOW - 2 * HOUR, NOW + 2 * HOUR), st.just(-1)),
)
def test_rules_at_a_glance_say_what_they_say_one_by_one(  # noqa: PLR0913, PLR0917 - hypothesis draws each
    claim: str, changes: dict[str, Any], dates: dict[str, Any], without: set[str], typ: str | None, now: float
) -> None:
    said = {name: value for name, value in (claims() | changes | dates).items() if name not in without}

    event("taken" if alike(claim, said, typ, now) else "refused")


EDGES = [NOW + distance for distance in (-HOUR, -LEEWAY - 1, -LEEWAY, -LEEWAY + 1, 0, LEEWAY, LEEWAY + 1, HOUR)]
DATES = [*EDGES, *map(float, EDGES), 0, -0.0, -1, 1.5, 253_402_300_799, 253_402_300_800, float("inf"), str(NOW), True]
TEXTS = ["", "shop", "Bearer", "bearer", "ID", "access", "id", ISSUER, "https://other.test", AUDIENCE, "a b", "\n"]
LISTS = [[], [AUDIENCE], ["shop", AUDIENCE], [AUDIENCE, 5], [[AUDIENCE]], [ISSUER], {}, {"a": 1}, {AUDIENCE: 1}]
ODD = [None, False, *DATES, *TEXTS, *LISTS]


@pytest.mark.parametrize("claim", RULES)
@pytest.mark.parametrize("name", [*MEANINGFUL, "anything else"])
def test_each_claim_is_seen_at_a_glance_as_its_rule_sees_it(claim: str, name: str) -> None:
    """Whatever stands in one claim of a token that is good in all else."""
    good = claims(aud=AUDIENCE, client_id=AUDIENCE)
    for said in ([good | {name: value} for value in ODD], [{other: good[other] for other in good if other != name}]):
        for each in said:
            for typ in headers:
                alike(claim, each, typ, NOW)
                alike(claim, each, typ, NOW + 0.5)

    assert alike(claim, good, "JWT", NOW)


def test_before_1970_nothing_is_taken_for_what_it_is_not() -> None:
    for expires in (0, False, True, 1, 0.0):
        for now in (-HOUR, -LEEWAY - 1, -LEEWAY, -LEEWAY + 1, 0):
            alike("aud", claims(exp=expires, iat=0), None, now)


def test_a_good_token_needs_no_more_than_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object) -> float:
        raise AssertionError

    monkeypatch.setattr("jwt_guard.tokens.claims.check", never)
    _, at_once = RULES["aud"]
    for more in ({}, {"aud": ["shop", AUDIENCE]}, {"typ": "Bearer", "azp": "shop", "auth_time": NOW}, {"nbf": NOW}):
        assert NOW + HOUR + LEEWAY == at_once.holds_until(Claims(headers["JWT"], claims(**more)), NOW)
