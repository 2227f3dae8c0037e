"""Text → a token, in the one way there is to write it."""

from __future__ import annotations

import json

import pytest

from jwt_guard.errors import InvalidToken, Misconfigured, UnknownKey
from jwt_guard.tokens.compact import (
    DEFAULT_LIMITS,
    Header,
    Limits,
    from_base64url,
    media_type,
    parse,
    read_jws,
    to_base64url,
)
from tests.support.keys import encode
from tests.support.minting import claims, mint

HEADER = '{"alg":"ES256"}'


def written(header: str = HEADER, payload: str = "{}", signature: bytes = b"sig") -> str:
    return f"{encode(header.encode())}.{encode(payload.encode())}.{encode(signature)}"


def reason(text: str, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(InvalidToken) as caught:
        parse(text, limits)
    return caught.value.reason


def test_a_token_is_taken_apart() -> None:
    text = mint(header={"typ": "at+jwt", "x": [1]})
    token = parse(text)

    assert ("ES256", "a") == (token.alg, token.kid)
    assert "at+jwt" == token.header.typ
    assert (1,) == token.header.values["x"]
    assert claims() == token.values
    assert claims()["iss"] == token.issuer
    assert text.rpartition(".")[0].encode() == token.signing_input
    assert 64 == len(token.signature)


def test_a_header_may_leave_out_all_but_the_algorithm() -> None:
    header = parse(written()).header

    assert (None, None, None) == (header.kid, header.typ, header.media_type)


def test_nothing_of_a_token_but_its_header_is_shown() -> None:
    text = mint(claims(sub="ada-lovelace"), header={"x": "private-matter"})
    for shown in (repr(parse(text)), str(parse(text)), f"{parse(text)}", repr(read_jws(text))):
        assert "kid='a'" in shown
        assert "lovelace" not in shown
        assert "private-matter" not in shown
        assert not any(part in shown for part in text.split("."))


@pytest.mark.parametrize(
    "text",
    ["", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "....", "..." + "." * 9_000, "{}"],
    ids=["nothing", "dot", "one", "two", "four", "jwe", "dots", "many", "json"],
)
def test_a_token_has_three_parts(text: str) -> None:
    assert "a signed token has three parts" == reason(text)


@pytest.mark.parametrize("text", ["é.b.c", "a.b.c\u2028", "a.\ud800.c", "\u0430.b.c"], ids=ascii)
def test_a_token_is_ascii(text: str) -> None:
    assert "a token is ASCII" == reason(text)


@pytest.mark.parametrize("text", [None, 5, b"a.b.c", ["a.b.c"], {"payload": "a"}], ids=repr)
def test_a_token_is_text(text: object) -> None:
    assert "a token is text" == reason(text)  # type: ignore[arg-type]


def test_each_part_is_named_where_it_is_not_base64url() -> None:
    head, payload, signature = written().split(".")

    assert "the header is not base64url" == reason(f"{head}=.{payload}.{signature}")
    assert "the payload is not base64url" == reason(f"{head}.{payload}=.{signature}")
    assert "the signature is not base64url" == reason(f"{head}.{payload}.{signature}=")


def test_a_long_token_is_refused_and_one_at_the_limit_is_not() -> None:
    text = written()
    exact = Limits(token=len(text), header=len(encode(HEADER.encode())))

    assert "ES256" == parse(text, exact).alg
    assert "the token is too long" == reason(text, Limits(len(text) - 1, exact.header))
    assert "the header is too long" == reason(text, Limits(len(text), exact.header - 1))


def test_who_looks_at_the_header_first_may_refuse_it_before_the_rest_is_read() -> None:
    seen: list[str | None] = []

    def look(header: Header) -> None:
        seen.append(header.kid)
        if header.kid == "nobody":
            raise UnknownKey(header.kid, header.alg)

    unreadable = encode(json.dumps({"alg": "ES256", "kid": "nobody"}).encode()) + ".?.?"
    with pytest.raises(UnknownKey):
        parse(unreadable, look=look)
    parse(mint(), look=look)

    assert ["nobody", "a"] == seen


def test_a_header_seen_before_is_held_to_the_limit_of_each_guard() -> None:
    text = written(header=json.dumps({"alg": "ES256", "pad": "x" * 100}))

    assert "ES256" == parse(text).alg
    assert "the header is too long" == reason(text, Limits(header=50))


@pytest.mark.parametrize(("token", "header"), [(0, 0), (10, 0), (10, 11), (-1, -1)])
def test_limits_leave_room_for_a_token(token: int, header: int) -> None:
    with pytest.raises(Misconfigured):
        Limits(token, header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("{}", "the header names no algorithm"),
        ('{"alg":null}', "the header names no algorithm"),
        ('{"alg":""}', "the header names no algorithm"),
        ('{"alg":["ES256"]}', "the header names no algorithm"),
        ('{"alg":{"ES256":1}}', "the header names no algorithm"),
        ('{"alg":256}', "the header names no algorithm"),
        ('{"alg":"ES256","alg":"none"}', "the header has a member twice"),
        ('["ES256"]', "the header is no JSON object"),
        ("", "the header is no JSON object"),
        ('{"alg":"ES256"', "the header is no JSON"),
        ('{"alg":"ES256","kid":null}', "the kid is no short text"),
        ('{"alg":"ES256","kid":5}', "the kid is no short text"),
        ('{"alg":"ES256","kid":["a"]}', "the kid is no short text"),
        ('{"alg":"ES256","kid":{"a":"b"}}', "the kid is no short text"),
        ('{"alg":"ES256","kid":"' + "a" * 1_025 + '"}', "the kid is no short text"),
        ('{"alg":"ES256","typ":null}', "the typ is no text"),
        ('{"alg":"ES256","typ":1}', "the typ is no text"),
        ('{"alg":"ES256","typ":["JWT"]}', "the typ is no text"),
        ('{"alg":"ES256","crit":["exp"],"exp":1}', "crit asks for an extension"),
        ('{"alg":"ES256","crit":[]}', "crit asks for an extension"),
        ('{"alg":"ES256","crit":null}', "crit asks for an extension"),
        ('{"alg":"ES256","b64":true}', "b64 has no place in a JWT"),
        ('{"alg":"ES256","b64":false}', "b64 has no place in a JWT"),
        ('{"alg":"ES256","zip":"DEF"}', "a signed token is not compressed"),
        ('{"alg":"ES256","cty":"JWT"}', "a token within a token"),
        ('{"alg":"ES256","cty":"application/jwt"}', "a token within a token"),
        ('{"alg":"ES256","cty":["JWT"]}', "a token within a token"),
        ('{"alg":"ES256","a":' + "[" * 16 + "]" * 16 + "}", "the header is nested more than 16 deep"),
    ],
    ids=lambda text: text[:30] if text.startswith(("{", "[")) or not text else "",
)
def test_a_header_that_asks_for_what_we_do_not_do_is_refused(header: str, expected: str) -> None:
    assert expected == reason(written(header))


def test_a_kid_may_be_any_short_text() -> None:
    for kid in ("", "a" * 1_024, "../../dev/null", "' OR 1=1 --", "\r\n\0", "😀"):
        assert kid == parse(written(json.dumps({"alg": "ES256", "kid": kid}))).kid


def test_unknown_members_and_offered_keys_are_ignored() -> None:
    offered = {
        "jwk": {"kty": "oct", "k": "AA"},
        "jku": "https://evil.test",
        "x5u": 5,
        "x5c": "?",
        "cty": "json",
        "?": None,
    }

    assert "ES256" == parse(written(json.dumps({"alg": "ES256", **offered}))).alg


@pytest.mark.parametrize(
    "payload", ["", "[]", "null", '"a"', "{", '{"a":1,"a":2}', '{"a":' + "[" * 32 + "]" * 32 + "}"]
)
def test_a_payload_that_is_no_claim_set_is_refused(payload: str) -> None:
    assert reason(written(payload=payload)).startswith("the payload ")


def test_a_jws_may_carry_anything_and_be_signed_by_nothing() -> None:
    jws = read_jws(written(payload="prose", signature=b""))

    assert (b"prose", b"") == (jws.payload, jws.signature)


@pytest.mark.parametrize(
    "octets", [bytes(range(256)) + bytes(range(n)) for n in range(4)] + [b"", b"\xfb\xff\xbf"], ids=len
)
def test_base64url_is_read_as_it_is_written(octets: bytes) -> None:
    text = to_base64url(octets)

    assert encode(octets) == text
    assert octets == from_base64url(text.encode(), "part")


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7])
def test_each_octet_string_has_one_spelling(length: int) -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings: dict[bytes, bytes] = {}
    for last in range(256):
        segment = b"A" * (length - 1) + bytes([last])
        try:
            octets = from_base64url(segment, "part")
        except InvalidToken:
            continue

        assert last in alphabet
        assert octets not in spellings
        spellings[octets] = segment
    assert {0: 64, 1: 0, 2: 4, 3: 16}[length % 4] == len(spellings)


@pytest.mark.parametrize("position", range(8))
def test_no_octet_outside_the_alphabet_is_skipped(position: int) -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for octet in set(range(256)) - set(alphabet):
        segment = b"AAAAAAAA"[:position] + bytes([octet]) + b"AAAAAAAA"[position:]
        for text in (segment, segment[:8]):
            with pytest.raises(InvalidToken):
                from_base64url(text, "part")


@pytest.mark.parametrize(
    ("typ", "expected"),
    [
        (None, None),
        ("JWT", "jwt"),
        ("at+JWT", "at+jwt"),
        ("application/at+jwt", "at+jwt"),
        ("APPLICATION/AT+JWT", "at+jwt"),
        ("text/at+jwt", "text/at+jwt"),
        (" at+jwt", " at+jwt"),
        ("", ""),
    ],
)
def test_a_media_type_is_compared_without_case_and_prefix(typ: str | None, expected: str | None) -> None:
    assert expected == media_type(typ)
