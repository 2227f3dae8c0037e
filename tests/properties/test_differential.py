"""Two other readers and ours: where they refuse, so do we; what we read, they read alike."""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from jwt_guard import Guard
from jwt_guard.errors import GuardError
from jwt_guard.tokens.strict_json import NotStrictJson, json_object
from tests.support import keys
from tests.support.keys import encode, public_jwk
from tests.support.minting import AUDIENCE, HOUR, ISSUER, NOW, claims, mint, provider, verdict

from .strategies import EACH, almost_json, edits, objects, odd_claims, odd_header, same

# PyJWT asks the clock of the machine, so these tokens live around now, and no time of theirs is at a limit of it.
LEEWAY = 30
MARGIN = 20

# What PyJWT cannot do, and so refuses, though it is right.
BEYOND_PYJWT = {
    "Ed25519": "RFC 9864's name is not known to it",
    "ML-DSA-44": "RFC 9964 is not known to it",
    "ML-DSA-65": "RFC 9964 is not known to it",
    "ML-DSA-87": "RFC 9964 is not known to it",
}
COMMON = [alg for alg in keys.ALGORITHMS if alg not in BEYOND_PYJWT]


@pytest.mark.parametrize("alg", BEYOND_PYJWT)
def test_the_list_of_exceptions_is_still_true(alg: str) -> None:
    assert alg not in jwt.api_jws.PyJWS().get_algorithms()


def now_based(payload: dict[str, Any]) -> dict[str, Any]:
    """Move times near the NOW of the other tests to the real one, and away from the limits of the rules."""
    start = int(time.time())

    def moved(value: Any) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value - NOW) > 3 * HOUR:
            return value
        at_a_limit = abs(abs(value - NOW) - LEEWAY) < MARGIN
        return value - NOW + start + (3 * MARGIN if at_a_limit else 0)

    return {name: moved(value) for name, value in payload.items()}


def ours(alg: str) -> Guard:
    return Guard([provider(alg)], clock=time.time)


GUARDS = {alg: ours(alg) for alg in COMMON}


def taken_by_pyjwt(token: str, alg: str) -> bool:
    key = keys.secret() if alg in keys.HMAC else keys.public_key(alg)
    try:
        jwt.decode(
            token,
            key,
            algorithms=[alg],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError:
        return False
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):  # it crashes on some: no yes either
        return False
    return True


def never_more_lenient(token: str, alg: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = taken_by_pyjwt(token, alg)
    taken = not isinstance(verdict(GUARDS[alg], token), GuardError)
    event(f"PyJWT {'takes' if theirs else 'refuses'} it, we {'take' if taken else 'refuse'} it")

    assert theirs or not taken


@pytest.mark.parametrize("alg", COMMON)
def test_both_take_a_good_token(alg: str) -> None:
    token = mint(now_based(claims()), alg=alg)

    assert taken_by_pyjwt(token, alg)
    assert not isinstance(verdict(GUARDS[alg], token), GuardError)


@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES256", "EdDSA"])
@settings(max_examples=EACH)
@given(data=st.data())
def test_an_edited_token_that_pyjwt_refuses_is_refused(alg: str, data: st.DataObject) -> None:
    token = mint(now_based(claims()), alg=alg)
    for _ in range(data.draw(st.integers(1, 3))):
        token = data.draw(edits(token))

    never_more_lenient(token, alg)


@given(alg=st.sampled_from(["HS256", "ES256", "EdDSA"]), changes=odd_claims, header=odd_header)
@example(alg="HS256", changes={"iat": None}, header={})
@example(alg="HS256", changes={"sub": 5, "jti": []}, header={})
def test_claims_that_pyjwt_refuses_are_refused(alg: str, changes: dict[str, Any], header: dict[str, Any]) -> None:
    never_more_lenient(mint(now_based(claims() | changes), header, alg=alg), alg)


@given(payload=almost_json(), header=almost_json())
def test_json_that_pyjwt_refuses_is_refused(payload: bytes, header: bytes) -> None:
    good = json.dumps(now_based(claims()))
    for spliced in (payload, good[:-1].encode() + b"," + payload[1:], header):
        never_more_lenient(mint(spliced, alg="HS256"), "HS256")
    head = b'{"alg":"HS256","kid":"a",' + header[1:]

    never_more_lenient(mint(good.encode(), head, alg="HS256"), "HS256")


@pytest.mark.parametrize("alg", COMMON)
@settings(max_examples=EACH)
@given(header=st.sampled_from((*keys.ALGORITHMS, "none", "None", "")))
def test_a_header_that_lies_about_its_algorithm_is_refused_by_both(alg: str, header: str) -> None:
    assume(header != alg and {header, alg} != {"EdDSA", "Ed25519"})  # two names of one algorithm
    token = mint(now_based(claims()), {"alg": header}, alg=alg)
    never_more_lenient(token, alg)

    assert isinstance(verdict(GUARDS[alg], token), GuardError)


# --- JSON ----------------------------------------------------------------------------------------------------------


@given(objects, st.booleans(), st.sampled_from([None, 0, "\t"]))
def test_any_object_is_read_as_it_was_written(value: dict[str, Any], plain: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=plain, indent=indent)

    assert same(json.loads(text), json_object(text.encode(), 50))


@given(st.one_of(almost_json(), st.binary(max_size=60)))
@example(b'{"a":1,"a":2}')
@example(b'{"a":1E400}')
def test_what_we_read_json_reads_alike(data: bytes) -> None:
    try:
        value = json_object(data, 50)
    except NotStrictJson:
        return
    text = data.decode("utf-8")
    text.encode("utf-8")

    assert same(json.loads(text), value)
    assert same(json.loads(json.dumps(value)), value)


@given(st.binary(max_size=40), st.text(max_size=4))
def test_base64url_is_read_by_both_alike(octets: bytes, odd: str) -> None:
    from jwt.utils import base64url_decode

    from jwt_guard.errors import InvalidToken
    from jwt_guard.tokens.compact import from_base64url

    text = encode(octets)
    for segment in (text, text + odd, odd + text):
        raw = segment.encode("utf-8", "surrogatepass")
        try:
            read = from_base64url(raw, "part")
        except InvalidToken:
            continue

        assert base64url_decode(raw) == read
        assert encode(read) == segment


def test_the_key_of_the_comparison_is_the_one_of_the_guard() -> None:
    assert public_jwk("HS256")["k"] == encode(keys.secret())
