"""Many callers at once, rotations and made-up names of keys → few fetches, and nobody is kept out by somebody else."""

from __future__ import annotations

import json

import pytest

from jwt_guard import KeySettings
from jwt_guard.errors import KeysUnavailable, UnknownKey
from jwt_guard.testing import LocalIssuer, ServedIssuer, faults
from jwt_guard.tokens.compact import to_base64url
from tests.faults.callers import WAYS, guard, kinds, one_by_one, together, without_a_wait

PATIENCE = 20.0
EITHER = {UnknownKey, KeysUnavailable}
"""Who comes while the issuer is being asked for somebody else may be told to come again."""
METADATA = "/.well-known/openid-configuration"


def bogus(issuer: ServedIssuer, count: int, name: str = "bogus-{}") -> list[str]:
    """Return tokens that say all that a good one does, each by a key of another made-up name."""
    _, rest = issuer.token().split(".", 1)
    heads = [{"alg": issuer.key.alg, "typ": "at+jwt", "kid": name.format(number)} for number in range(count)]
    return [f"{to_base64url(json.dumps(head).encode())}.{rest}" for head in heads]


@pytest.mark.parametrize("way", WAYS)
def test_two_hundred_first_callers_make_one_fetch(way: str) -> None:
    with LocalIssuer().serve() as issuer:
        of = issuer.guard(keys=issuer.keys(KeySettings(timeout=PATIENCE)))
        tokens = [issuer.token() for _ in range(200)]
        issuer.fault = faults.on_keys(faults.hang())

        def answer() -> None:
            issuer.wait_for(lambda: issuer.requests["/jwks"] > 0)
            issuer.release()

        assert ["ada"] * 200 == together(way, of, tokens, answer)
        assert {METADATA: 1, "/jwks": 1} == issuer.requests


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_signs_as_soon_as_it_is_published_works_with_its_first_token(way: str) -> None:
    with LocalIssuer().serve() as issuer:
        of, old = guard(issuer, timeout=PATIENCE), issuer.token()
        assert ["ada"] == together(way, of, [old])

        for _ in range(8):
            issuer.rotate()
            assert ["ada"] == together(way, of, [issuer.token()])
        assert ["ada"] == together(way, of, [old])
        assert 9 == issuer.requests["/jwks"]


@pytest.mark.parametrize("way", WAYS)
def test_ten_thousand_made_up_names_cost_a_handful_of_fetches_and_keep_no_rotation_out(way: str) -> None:
    with LocalIssuer().serve() as issuer:
        of = guard(issuer, timeout=PATIENCE)
        assert ["ada"] == together(way, of, [issuer.token()])

        assert {UnknownKey} <= set(kinds(one_by_one(way, of, bogus(issuer, 10_000)))) <= EITHER
        assert issuer.requests["/jwks"] <= 1 + 6
        before = issuer.requests["/jwks"]
        issuer.rotate()
        assert ["ada"] == together(way, of, [issuer.token()])
        assert before + 1 == issuer.requests["/jwks"]


@pytest.mark.parametrize("way", WAYS)
def test_names_that_look_like_those_of_the_issuer_cost_no_more(way: str) -> None:
    with LocalIssuer().serve() as issuer:
        of, alike = guard(issuer, timeout=PATIENCE), f"{{:0>{len(str(issuer.key.kid))}}}"
        assert ["ada"] == together(way, of, [issuer.token()])

        assert {UnknownKey} <= set(kinds(one_by_one(way, of, bogus(issuer, 2_000, alike)))) <= EITHER
        assert issuer.requests["/jwks"] <= 1 + 6
        assert "ada" == without_a_wait(of, issuer.token())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [faults.status(500), faults.reset()], ids=["500", "reset"])
def test_made_up_names_cost_a_handful_of_requests_while_the_issuer_fails(fault: faults.Fault, way: str) -> None:
    with LocalIssuer().serve() as issuer:
        of = guard(issuer, timeout=PATIENCE)
        assert ["ada"] == together(way, of, [issuer.token()])
        issuer.fault = fault

        assert {KeysUnavailable} == set(kinds(one_by_one(way, of, bogus(issuer, 500))))
        assert issuer.requests["/jwks"] <= 1 + 6
        assert "ada" == without_a_wait(of, issuer.token())
