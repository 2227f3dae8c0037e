"""The two answers, neither of which is a truth value."""

from __future__ import annotations

import pytest

from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import MissingToken


@pytest.mark.parametrize("decision", [Allow(None), Deny(MissingToken())], ids=["allow", "deny"])
def test_a_decision_is_neither_true_nor_false(decision: Decision) -> None:
    for ask in (bool, lambda it: not it, lambda it: it and 1, lambda it: all([it])):
        with pytest.raises(TypeError, match="no truth value"):
            ask(decision)


def test_a_decision_is_matched() -> None:
    error = MissingToken()

    match Deny(error):
        case Deny(why):
            assert error is why
    match Allow(None):
        case Allow(who):
            assert who is None


def test_a_decision_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Deny(MissingToken()).error = MissingToken()  # type: ignore[misc]
