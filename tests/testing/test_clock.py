"""A clock that a test moves → what guards and issuers take for the present."""

from __future__ import annotations

import time

import pytest

from jwt_guard import verify
from jwt_guard.errors import Expired
from jwt_guard.testing import Clock, LocalIssuer


def test_it_begins_at_the_present_and_stands_still() -> None:
    before = time.time()
    clock = Clock()

    assert before <= clock() <= time.time()
    assert clock() == clock()


def test_it_goes_where_it_is_put() -> None:
    clock = Clock(1_000)
    clock.forward(2.5)
    clock.forward(0)

    assert 1_002.5 == clock()
    assert "Clock(1002.5)" == repr(clock)

    clock.set(10)

    assert 10 == clock()


def test_time_does_not_go_backward_by_mistake() -> None:
    clock = Clock(1_000)

    with pytest.raises(ValueError, match=r"set\(\)"):
        clock.forward(-1)

    assert 1_000 == clock()


def test_a_guard_and_an_issuer_share_it() -> None:
    clock = Clock(1_000)
    issuer = LocalIssuer(clock=clock)
    guard, token = issuer.guard(), issuer.token(lifetime=60)

    clock.forward(60 + 29)  # and thirty seconds are given to clocks that differ

    assert "ada" == verify(guard, token).user

    clock.forward(1)

    with pytest.raises(Expired):
        verify(guard, token)
