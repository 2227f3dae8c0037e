"""How long a connection may last that a token has opened."""

from __future__ import annotations

from dataclasses import replace

from jwt_guard import Guard, Resolver, verify
from jwt_guard.access.lifetime import good_until
from tests.support.minting import NOW, claims, guard, mint


def test_it_is_over_when_the_guard_would_take_it_no_longer() -> None:
    made = guard("HS256")
    plain = made.providers[0]
    strict = Guard([replace(plain, leeway=5, max_age=100)], clock=made.clock)
    token = mint(claims(exp=NOW + 600, iat=NOW - 10), alg="HS256")
    long, short = (verify(guarded, token) for guarded in (made, strict))

    assert NOW + 630 == good_until(made, long)
    assert NOW + 95 == good_until(strict, short)
    assert NOW + 600 == good_until(Guard([replace(plain, name="other")]), long)


def test_that_of_a_provider_that_was_resolved_is_known_too() -> None:
    plain = guard("HS256").providers[0]
    tenant = replace(plain, leeway=1)
    many = Guard([], resolver=Resolver(lambda _: tenant, tuple(plain.issuers)), clock=lambda: NOW)

    assert NOW + 601 == good_until(many, verify(many, mint(claims(exp=NOW + 600), alg="HS256")))
