"""A test as a user writes it → what both checkers make of it, in their strictest mode; `make types` has them look."""
# pyright: strict, reportUnknownArgumentType=true, reportUnknownMemberType=true, reportUnknownVariableType=true

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, assert_type

import pytest

from jwt_guard import Guard, KeySettings, Provider, scopes, verify
from jwt_guard.access.provider import KeySource
from jwt_guard.issuing.keyring import SigningKey
from jwt_guard.testing import (
    FLAWS,
    Answer,
    Clock,
    Exchange,
    Fault,
    Flaw,
    LocalIssuer,
    ServedIssuer,
    bearer,
    faults,
    mint,
)


def test_an_issuer_has_types(jwt_guard_issuer: LocalIssuer, jwt_guard_clock: Clock) -> None:
    issuer = jwt_guard_issuer
    assert_type(issuer.url, str)
    assert_type(issuer.audience, str)
    assert_type(issuer.clock, Callable[[], float])
    assert_type(issuer.is_down, bool)
    assert_type(issuer.key, SigningKey)
    assert_type(issuer.token(scope="orders:read", lifetime=1.5, header={"kid": None}), str)
    assert_type(issuer.bad_token("expired", sub="mary"), str)
    assert_type(issuer.rotate(), SigningKey)
    assert_type(issuer.keys(), KeySource)
    assert_type(issuer.provider("orders", name="orders", leeway=0), Provider)
    assert_type(issuer.guard(scopes("orders:read"), leeway=0), Guard)
    assert_type(issuer.serve(max_age=None), AbstractContextManager[ServedIssuer])
    jwt_guard_clock.forward(1.5)
    jwt_guard_clock.set(jwt_guard_clock() + 1)

    assert "ada" == verify(issuer.guard(), issuer.token()).user


def test_one_over_http_has_types(jwt_guard_http_issuer: ServedIssuer) -> None:
    issuer = jwt_guard_http_issuer
    assert_type(issuer.jwks_url, str)
    assert_type(issuer.requests, Counter[str])
    assert_type(issuer.under_way, int)
    issuer.max_age = None
    issuer.fault = faults.on_keys(faults.sometimes(0.5, faults.reset(), faults.in_turn(None, slow_down), seed=3))
    issuer.fault = None
    issuer.wait_for(lambda: issuer.under_way == 0, seconds=1)
    guard = issuer.guard(keys=issuer.keys(KeySettings(fresh_for=60)))

    assert "ada" == verify(guard, issuer.token()).user


def slow_down(exchange: Exchange) -> None:
    """Be a fault of one's own."""
    assert_type(exchange.is_for_keys, bool)
    assert_type(exchange.wait(0.01), bool)
    document = exchange.document
    assert_type(exchange.published(document), Answer)
    exchange.answer(Answer(429, {"Retry-After": "1"}))


@pytest.mark.parametrize("make_fault", [faults.reset, faults.hang])
def test_a_fault_is_a_function(make_fault: Callable[[], Fault]) -> None:
    own: Fault = slow_down

    assert callable(own)
    assert callable(make_fault())


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_one_of_a_few_texts(flaw: Flaw) -> None:
    claims: Mapping[str, Any] = {"sub": "mary"}
    token = LocalIssuer().bad_token(flaw, **claims)
    assert_type(bearer(token), dict[str, str])

    assert {"Authorization": f"Bearer {token}"} == bearer(token)


def test_a_token_is_a_text() -> None:
    assert_type(mint({"sub": "ada"}, key="0123456789abcdef0123456789abcdef", clock=Clock(1)), str)
