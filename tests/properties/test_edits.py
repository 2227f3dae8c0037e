"""A good token with one character changed → a bad token, whichever character it is."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jwt_guard.errors import InvalidToken
from tests.support.minting import guard, mint, refused, verdict

from .strategies import ALPHABET, EACH, FAMILIES, edits

TOKENS = {alg: mint(alg=alg) for alg in FAMILIES}
GUARDS = {alg: guard(alg) for alg in FAMILIES}


@pytest.mark.parametrize("alg", FAMILIES)
def test_the_whole_token_is_good(alg: str) -> None:
    assert not isinstance(verdict(GUARDS[alg], TOKENS[alg]), Exception)


@pytest.mark.parametrize("alg", FAMILIES)
@settings(max_examples=EACH)
@given(data=st.data())
def test_any_one_edit_makes_it_bad(alg: str, data: st.DataObject) -> None:
    edited = data.draw(edits(TOKENS[alg]))
    assume(edited != TOKENS[alg])

    assert isinstance(refused(GUARDS[alg], edited), InvalidToken)


def test_every_substitution_there_is_makes_it_bad() -> None:
    token, of = TOKENS["HS256"], GUARDS["HS256"]
    for at, was in enumerate(token):
        for character in ALPHABET + ".":
            if character != was:
                assert isinstance(verdict(of, token[:at] + character + token[at + 1 :]), InvalidToken)


@pytest.mark.parametrize("alg", ["HS256", "ES256", "EdDSA"])
def test_every_part_of_it_is_bad(alg: str) -> None:
    token, of = TOKENS[alg], GUARDS[alg]
    for at in range(len(token)):
        assert isinstance(verdict(of, token[:at]), InvalidToken)
        assert isinstance(verdict(of, token[at + 1 :]), InvalidToken)


@pytest.mark.parametrize("alg", FAMILIES)
def test_no_two_tokens_can_be_mixed(alg: str) -> None:
    other = mint({"iss": "https://id.test", "aud": "orders", "exp": 2**33, "sub": "somebody-else"}, {"x": 1}, alg=alg)
    for pick in range(1, 7):
        mixed = ".".join(
            pair[pick >> part & 1]
            for part, pair in enumerate(zip(TOKENS[alg].split("."), other.split("."), strict=True))
        )

        assert isinstance(refused(GUARDS[alg], mixed), InvalidToken)
