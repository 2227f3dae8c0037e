"""A test that names them → a clock, an issuer in its process and one over HTTP, callers, and attacks.

pytest loads this in every session, so all else is loaded when a fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .as_user import AsUser
    from .attacks import Report
    from .clock import Clock
    from .issuer import LocalIssuer
    from .served import ServedIssuer

__all__ = ["as_user", "attack", "jwt_guard_app", "jwt_guard_clock", "jwt_guard_http_issuer", "jwt_guard_issuer"]


@pytest.fixture
def jwt_guard_clock() -> Clock:
    """Return a clock that stands at the present until the test moves it (``jwt_guard.testing.Clock``)."""
    from .clock import Clock

    return Clock()


@pytest.fixture
def jwt_guard_issuer(jwt_guard_clock: Clock) -> LocalIssuer:
    """Return an issuer in this process, by ``jwt_guard_clock`` (``jwt_guard.testing.LocalIssuer``)."""
    from .issuer import LocalIssuer

    return LocalIssuer(clock=jwt_guard_clock)


@pytest.fixture
def jwt_guard_http_issuer(jwt_guard_issuer: LocalIssuer) -> Iterator[ServedIssuer]:
    """Serve the issuer of ``jwt_guard_issuer`` over HTTP on loopback (``jwt_guard.testing.ServedIssuer``)."""
    with jwt_guard_issuer.serve() as served:
        yield served


@pytest.fixture
def jwt_guard_app() -> object:
    """Return your application, or its guard: a fixture of yours with this name says which one it is."""
    pytest.fail("as_user needs to know whose guard to ask: write a fixture jwt_guard_app that returns your application")


@pytest.fixture
def as_user(jwt_guard_app: object, jwt_guard_clock: Clock) -> Iterator[AsUser]:
    """Have the guard of ``jwt_guard_app`` take callers that this makes, by ``jwt_guard_clock``."""
    from .as_user import trusting

    with trusting(jwt_guard_app, clock=jwt_guard_clock) as callers:
        yield callers


@pytest.fixture
def attack() -> Callable[..., Report]:
    """Return ``jwt_guard.testing.attack``, which sends hostile requests to an application."""
    from .attacks import attack

    return attack
