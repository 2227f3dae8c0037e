"""Whatever an issuer writes into a good token is what the application reads, by every algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from jwt_guard.access.guard import Guard
from tests.support.keys import ALGORITHMS
from tests.support.minting import claims, guard, mint, verdict

from .strategies import EACH, harmless_claims, same, texts

GUARDS: dict[str, Guard] = {}


def guard_for(alg: str) -> Guard:
    if alg not in GUARDS:
        GUARDS[alg] = guard(alg)
    return GUARDS[alg]


def thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: thawed(inner) for name, inner in value.items()}
    return [thawed(inner) for inner in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("alg", ALGORITHMS)
@settings(max_examples=EACH)
@given(more=harmless_claims, user=texts)
def test_what_is_minted_is_what_is_read(alg: str, more: dict[str, Any], user: str) -> None:
    name = "".join(character for character in user if character.isprintable()) or "somebody"
    said = claims(sub=name) | more
    who: Any = verdict(guard_for(alg), mint(said, alg=alg))

    assert name == who.user
    assert {"orders:read", "orders:write"} == who.scopes
    assert same(said, thawed(who.claims))
