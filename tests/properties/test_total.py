"""Anything at all → a verdict: no input makes anything but a GuardError of our own."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jwt_guard import anyone, authenticated, by_route
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import GuardError, InvalidToken, MalformedRequest, MissingToken, shown
from jwt_guard.messages import PlainRequest
from jwt_guard.runners.blocking import run
from jwt_guard.tokens.bearer import bearer_token
from jwt_guard.tokens.compact import UnverifiedToken, parse, read_jws
from jwt_guard.tokens.keys import Key, KeySet, KeyUnusable, key_from_jwk, key_from_pem, key_set_from_jwks
from jwt_guard.tokens.secrets import usable_secret
from jwt_guard.tokens.strict_json import NotStrictJson, json_object
from tests.support import keys
from tests.support.asking import DOORS
from tests.support.keys import encode, public_jwk
from tests.support.minting import claims, guard, mint, verdict

from .strategies import EACH, FAMILIES, almost_json, characters, odd_claims, odd_header, values, wild_paths

GUARD = guard()
OPEN = guard(policy=by_route([("GET", "/public/**", anyone()), (None, "/**", authenticated())]))
anything = st.one_of(
    st.text(max_size=60),
    st.text(st.sampled_from('eyJ.-_=+/{}[]"\\:,0 '), max_size=60),
    st.text(characters, max_size=60),
)
dotted = st.lists(st.binary(max_size=30).map(encode), min_size=1, max_size=5).map(".".join)


def outcome(text: str) -> Credentials | GuardError:
    answer = verdict(GUARD, text)

    assert isinstance(answer, Credentials | GuardError)
    return answer


@given(st.one_of(anything, dotted))
@example("..")
@example("\ud800")
def test_any_text_gets_a_verdict(text: str) -> None:
    assert isinstance(outcome(text), InvalidToken)
    try:
        assert isinstance(parse(text), UnverifiedToken)
        read_jws(text)
    except InvalidToken:
        pass


@given(st.one_of(st.none(), st.integers(), st.binary(), st.lists(st.text()), st.floats(), st.booleans()))
def test_anything_else_gets_one_too(thing: Any) -> None:
    assert isinstance(outcome(thing), InvalidToken)


@given(header=almost_json(), payload=almost_json())
def test_any_signed_json_gets_a_verdict(header: bytes, payload: bytes) -> None:
    for token in (mint(payload), mint(header=header), mint(payload, header)):
        outcome(token)


@given(changes=odd_claims, header=odd_header)
def test_any_claims_get_a_verdict(changes: dict[str, Any], header: dict[str, Any]) -> None:
    outcome(mint(claims() | changes, header))


@given(changes=odd_claims)
def test_a_reason_is_one_line_of_ascii(changes: dict[str, Any]) -> None:
    answer = outcome(mint(claims() | changes))
    if isinstance(answer, GuardError):
        text = str(answer).replace("…", "")

        assert text.isascii()
        assert text.isprintable()


@given(
    st.one_of(
        anything, anything.map(lambda text: f"Bearer {text}"), st.text(st.sampled_from("Beareraer \t,"), max_size=20)
    )
)
def test_any_header_gets_a_verdict(value: str) -> None:
    try:
        token = bearer_token(value, 50)
    except (MissingToken, MalformedRequest, InvalidToken):
        return
    assert value[7:].strip(" ") == token
    assert token.isascii()
    assert len(token) <= 50


@given(
    headers=st.lists(st.one_of(anything, anything.map(lambda text: f"Bearer {text}")), max_size=3),
    path=wild_paths,
    method=st.text(max_size=8),
)
def test_any_request_gets_a_decision(headers: list[str], path: str, method: str) -> None:
    request = PlainRequest(method, path, headers=tuple(("Authorization", value) for value in headers))
    for of in (GUARD, OPEN):
        decision = run(of.decide(request))

        assert isinstance(decision, Allow | Deny)
        assert isinstance(decision, Deny) or (not headers and decision.credentials is None)
    assert isinstance(run(GUARD.decide(request)), Deny)


latin = st.text(st.characters(max_codepoint=255), max_size=40)


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=EACH)
@given(
    value=st.one_of(st.none(), latin, latin.map(lambda text: f"Bearer {text}")),
    path=st.text(st.characters(max_codepoint=255), max_size=20),
)
def test_any_request_gets_an_answer_at_every_door(door: str, value: str | None, path: str) -> None:
    headers = [] if value is None else [("authorization", value)]
    answer = DOORS[door](OPEN, headers, path="/" + path)

    assert answer.status in (200, 400, 401)
    assert (200 == answer.status) == answer.reached
    assert not answer.reached or value is None
    assert all(text.isprintable() and text.isascii() for text in answer.headers.values())


@given(st.one_of(st.binary(max_size=80), almost_json()), st.integers(1, 8))
def test_any_octets_are_strict_json_or_not(data: bytes, depth: int) -> None:
    reason = ""
    try:
        assert isinstance(json_object(data, depth), dict)
    except NotStrictJson as error:
        reason = str(error)
    assert reason.isascii()


JWK_MEMBERS = ["kty", "crv", "x", "y", "n", "e", "k", "pub", "alg", "use", "key_ops", "kid", "x5c", "d"]
jwk_values = st.one_of(
    values,
    st.sampled_from(
        [
            "RSA",
            "EC",
            "OKP",
            "AKP",
            "oct",
            "P-256",
            "P-521",
            "Ed25519",
            "RS256",
            "ES256",
            "HS256",
            "EdDSA",
            "ML-DSA-44",
            "sig",
            "enc",
            "verify",
            "AQAB",
        ]
    ),
    st.binary(max_size=80).map(encode),
    st.sampled_from([["verify"], ["sign"], "A" * 43, "A" * 86, "A" * 342]),
)


@given(
    base=st.sampled_from([{}, *(public_jwk(alg) for alg in FAMILIES)]),
    changes=st.dictionaries(st.sampled_from(JWK_MEMBERS), jwk_values, max_size=4),
    text=st.text(max_size=5),
)
def test_any_jwk_is_a_key_or_not(base: dict[str, Any], changes: dict[str, Any], text: str) -> None:
    for jwk in (base | changes, changes, [changes], text, base | {"x": text, "n": text, "k": text, "pub": text}):
        try:
            key = key_from_jwk(jwk)
        except KeyUnusable:
            continue
        assert isinstance(key, Key)
        assert all(check(b"input", b"signature" * 8) is False for check in key.verifiers.values())


@given(st.one_of(almost_json(), st.binary(max_size=50), st.lists(values, max_size=5).map(lambda keys: {"keys": keys})))
def test_any_document_is_a_set_or_not(document: Any) -> None:
    with contextlib.suppress(KeyUnusable):
        assert isinstance(key_set_from_jwks(document, symmetric=True), KeySet)


@given(st.binary(max_size=60), st.sampled_from(["PUBLIC KEY", "CERTIFICATE", "RSA PUBLIC KEY", "X"]))
def test_any_pem_is_a_key_or_not(octets: bytes, label: str) -> None:
    import base64

    for pem in (
        octets,
        b"-----BEGIN %s-----\n%s\n-----END %s-----" % ((label.encode(), base64.b64encode(octets), label.encode())),
    ):
        with contextlib.suppress(KeyUnusable):
            assert isinstance(key_from_pem(pem), Key)


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80), values))
def test_anything_is_a_secret_or_not(thing: Any) -> None:
    usable = usable_secret(thing)

    assert isinstance(usable, str) or usable == (
        thing.encode("utf-8", "surrogatepass") if isinstance(thing, str) else thing
    )


@pytest.mark.parametrize("alg", FAMILIES)
@settings(max_examples=EACH)
@given(signature=st.binary(max_size=200), octets=st.binary(max_size=40))
def test_any_octets_are_a_signature_or_not(alg: str, signature: bytes, octets: bytes) -> None:
    key = key_from_jwk(public_jwk(alg))
    size = len(keys.sign(alg, b"")) if alg not in keys.RSA else 256
    for guess in (signature, (signature * size)[:size], signature.ljust(size, b"\0")):
        assert key.verifiers[alg](octets, guess) is False


@given(st.one_of(st.text(), values, st.binary()))
def test_anything_is_shown_as_one_short_line(thing: Any) -> None:
    text = shown(thing)

    assert text.replace("…", "").isascii()
    assert text.replace("…", "").isprintable()
    assert len(text) <= 121
