"""A test that names a server → one of each kind in turn, empty and as it was made, and no client of ours yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jwt_guard.runners.background import BACKGROUND
from tests.support.servers import KINDS, StoreServer, program


@pytest.fixture(scope="session", params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """Run one for all tests, since a start takes longer than most of them."""
    with StoreServer(program(request.param), tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def server(running: StoreServer) -> Iterator[StoreServer]:
    BACKGROUND.stop()  # with the clients of the test before, which may be resting still
    yield running
    BACKGROUND.stop()
    running.go_on()
    if not running.is_running:
        running.start()
    for name, value in (("requirepass", ""), ("maxmemory", "0")):
        running.configure(name, value)
    running.ask("REPLICAOF", "NO", "ONE")
    running.ask("FLUSHALL")
