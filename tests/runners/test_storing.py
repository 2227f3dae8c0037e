"""Stored → one client for each store and process, opened when first needed, closed with the background's loop."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from jwt_guard.errors import StoreFailed
from jwt_guard.flow import Entry, Flow, Stored, claim, read, write
from jwt_guard.runners import awaiting, blocking, storing
from jwt_guard.runners.background import BACKGROUND
from jwt_guard.stores.disk import FolderStore
from jwt_guard.stores.redis import RedisStore
from tests.support.servers import StoreServer, program, until

WORD = "hunter2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with StoreServer(program("redis"), tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without a client, let nothing fail since this machine is busy, and leave nothing open."""
    monkeypatch.setattr("jwt_guard.stores.redis.DEADLINE", 10.0)
    BACKGROUND.stop()
    yield
    BACKGROUND.stop()
    assert {} == storing._OPEN


def test_threads_and_loops_share_one_client_of_a_store(server: StoreServer, tmp_path: Path) -> None:
    folder = tmp_path.as_uri()

    def in_a_thread() -> None:
        blocking.run(read(server.url, "key"))
        anyio.run(awaiting.run, read(folder, "key"))

    threads = [threading.Thread(target=in_a_thread) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    anyio.run(awaiting.run, read(server.unix_url, "key"), backend="trio")

    assert sorted([server.url, server.unix_url, folder]) == sorted(url for _, url in storing._OPEN)
    assert {RedisStore, FolderStore} == {type(store) for store, _ in storing._OPEN.values()}


def test_stopping_the_background_closes_what_is_open_and_it_opens_again(server: StoreServer) -> None:
    blocking.run(write(server.url, "key", b"value", 60.0))
    assert 1 == server.clients()
    BACKGROUND.stop()

    assert {} == storing._OPEN
    until(lambda: server.clients() == 0)
    entry = blocking.run(read(server.url, "key"))
    assert entry is not None
    assert b"value" == entry.value


def test_stopping_lets_go_of_who_waits_for_a_store_that_hangs(server: StoreServer) -> None:
    blocking.run(read(server.url, "key"))
    server.hang()
    try:
        waiting = BACKGROUND.submit(storing.stored(Stored(server.url, "read", "key")))
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), next(iter(storing._OPEN))[0]).result(10)
        BACKGROUND.stop()

        assert waiting.done()
        assert waiting.cancelled() or isinstance(waiting.exception(), StoreFailed)
        assert {} == storing._OPEN
    finally:
        server.go_on()


def test_a_url_that_will_not_do_is_said_once_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever shares keys goes on without a store, so only the log can tell that nothing is shared."""
    caplog.set_level(logging.DEBUG)
    url = f"redis://:{WORD}@redis.internal/0?ssl_cert_reqs=none"
    for _ in range(2):
        with pytest.raises(StoreFailed, match=r"^the store cannot be asked: of options, "):
            blocking.run(read(url, "key"))

    assert {} == storing._OPEN
    reason = "the store cannot be asked: of options, its URL can have db, each once"
    assert [f"nothing is shared: {reason}"] == [
        each.getMessage() for each in caplog.records if each.name == "jwt_guard"
    ]
    assert WORD not in caplog.text


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)  # as if it were not there
    with pytest.raises(StoreFailed, match=r"pip install 'jwt-guard\[redis\]'"):
        blocking.run(claim("redis://127.0.0.1:1/0", "key", 60.0))

    assert 1 == len(caplog.records)


def test_a_flow_that_catches_a_failure_goes_on(tmp_path: Path) -> None:
    def flow() -> Flow[tuple[str, Any]]:
        try:
            yield from claim(tmp_path.as_uri(), "key", 60.0)
        except StoreFailed as error:
            failed = str(error)
        else:
            failed = "nothing failed"
        yield from write((tmp_path / "keys").as_uri(), "key", b"value", 60.0)
        return failed, (yield from read((tmp_path / "keys").as_uri(), "key"))

    on_loops = [anyio.run(awaiting.run, flow(), backend=loop) for loop in ("asyncio", "trio")]
    for failed, entry in (blocking.run(flow()), *on_loops):
        assert "a folder takes no claims" == failed
        assert isinstance(entry, Entry)
        assert b"value" == entry.value


async def verify_by_blocking(url: str) -> None:
    blocking.run(read(url, "key"))


def test_blocking_for_a_store_on_the_thread_that_asks_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"await jwt_guard\.averify\(\) there"):
        BACKGROUND.submit(verify_by_blocking(tmp_path.as_uri())).result(10)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_who_is_cancelled_while_waiting_leaves_the_client_to_others(server: StoreServer, loop: str) -> None:
    blocking.run(write(server.url, "key", b"value", 60.0))
    server.hang()

    async def give_up() -> bool:
        with anyio.move_on_after(0.02) as scope:
            await awaiting.run(read(server.url, "key"))
        return scope.cancelled_caught

    try:
        assert anyio.run(give_up, backend=loop)
    finally:
        server.go_on()
    entry = blocking.run(read(server.url, "key"))
    assert entry is not None
    assert b"value" == entry.value


LOADING = """\
import asyncio, sys
import jwt_guard.stores.redis
from jwt_guard.flow import Stored
from jwt_guard.runners.background import BACKGROUND
from jwt_guard.runners.storing import stored

assert "redis" not in sys.modules
jwt_guard.stores.redis.DEADLINE = 10.0

async def turn():
    turns = 0
    asking = asyncio.gather(*(stored(Stored(sys.argv[1], "read", "nobody's")) for _ in range(3)))
    while "redis.asyncio" not in sys.modules or not asking.done():
        turns += 1
        await asyncio.sleep(0.001)
    return turns, await asking

print(*BACKGROUND.submit(turn()).result(60))
"""


def test_what_is_slow_to_load_holds_up_nothing_else_in_the_background(server: StoreServer) -> None:
    """A package of half a second, with one thread for all fetches."""
    words = [sys.executable, "-c", LOADING, server.url]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    turns, _, asked = said.partition(" ")

    assert "[None, None, None]\n" == asked
    assert int(turns) > 20


LEAVING = """\
import sys
from jwt_guard.flow import read, write
from jwt_guard.runners import blocking

for url in sys.argv[1:]:
    blocking.run(write(url, "key", b"value", 60.0))
    blocking.run(read(url, "key"))
"""


def test_a_process_ends_soon_and_quietly_with_stores_open(server: StoreServer, tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", LEAVING, server.url, server.unix_url, tmp_path.as_uri()]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert (0, "", "") == (said.returncode, said.stdout, said.stderr)
    until(lambda: server.clients() == 0)
