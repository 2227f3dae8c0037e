"""A test that names them → a clock, an issuer in its process, and one over HTTP.

pytest loads this in every session, so all else is loaded when a fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .clock import Clock
    from .issuer import LocalIssuer
    from .served import ServedIssuer

__all__ = ["jwt_guard_clock", "jwt_guard_http_issuer", "jwt_guard_issuer"]


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
