"""A token and a key → claims, or the reason why not."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.errors import BadSignature, UnknownKey
from jwt_guard.tokens.compact import parse, read_jws
from jwt_guard.tokens.keys import key_from_jwk
from jwt_guard.tokens.verify import check_signature, verify
from tests.support.keys import ALGORITHMS, public_jwk
from tests.support.minting import claims, mint


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_a_key_signed_is_vouched_for(alg: str) -> None:
    token = parse(mint(alg=alg))
    vouched = verify(token, key_from_jwk(public_jwk(alg)))

    assert claims() == vouched.values
    assert alg == vouched.header.alg


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_another_key_of_the_same_kind_vouches_for_nothing(alg: str) -> None:
    with pytest.raises(BadSignature) as caught:
        verify(parse(mint(alg=alg)), key_from_jwk(public_jwk(alg, "b")))

    assert ("a", alg) == (caught.value.kid, caught.value.alg)


@pytest.mark.parametrize("alg", ["RS512", "HS256", "none", "rs256", "RS256 "])
def test_a_key_with_an_algorithm_of_its_own_takes_no_other(alg: str) -> None:
    token = parse(mint(header={"alg": alg}, alg="RS256"))
    with pytest.raises(UnknownKey) as caught:
        verify(token, key_from_jwk(public_jwk("RS256", alg="RS256")))

    assert alg == caught.value.alg


def test_a_payload_that_is_no_claim_set_can_be_checked_all_the_same() -> None:
    jws = read_jws(mint(b"It's a dangerous business"))
    check_signature(jws, key_from_jwk(public_jwk("ES256")))

    assert b"It's a dangerous business" == jws.payload


@pytest.mark.parametrize("answer", [False, None, 1, "yes", [True]], ids=repr)
def test_a_key_that_may_not_vouch_for_the_claims_does_not_though_it_signed_them(answer: object) -> None:
    asked: list[object] = []

    def key_issuer(issuer: str | None, values: Any) -> Any:
        asked.append((issuer, values["sub"]))
        return answer

    key = key_from_jwk(public_jwk("ES256", issuer="https://id.test"))
    with pytest.raises(UnknownKey, match="the key is another issuer's"):
        verify(parse(mint()), key, key_issuer)

    assert [("https://id.test", claims()["sub"])] == asked
    assert claims() == verify(parse(mint()), key, lambda *_: True).values


def test_a_key_is_not_asked_whose_it_is_before_its_signature_holds() -> None:
    with pytest.raises(BadSignature):
        verify(parse(mint()), key_from_jwk(public_jwk("ES256", "b")), lambda *_: pytest.fail("asked"))
