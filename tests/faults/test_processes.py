"""Processes that fork, start while the issuer is down, or share a store that dies → good tokens are let in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from jwt_guard.errors import KeysUnavailable
from jwt_guard.sources.copies import MARGIN
from jwt_guard.testing import LocalIssuer, ServedIssuer
from tests.faults.callers import WAYS, Process, aoutcome, guard, kinds, outcome, state, until
from tests.support.servers import KINDS, StoreServer, program

PATIENCE = 120.0  # seconds: a crowded machine takes long to start a process


@pytest.fixture
def issuer() -> Generator[ServedIssuer]:
    with LocalIssuer().serve() as served:
        yield served


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[StoreServer]:
    with StoreServer(program(request.param), tmp_path) as running:
        yield running


# --- forks --------------------------------------------------------------------------------------------


def test_who_is_forked_verifies_with_what_is_known_and_fetches_for_itself(issuer: ServedIssuer) -> None:
    with Process(issuer, timeout=PATIENCE) as parent:
        assert "ada" == parent.ask("threads", issuer.token())
        parent.ask("fork", len(WAYS))
        for child, way in enumerate(WAYS):
            assert "ada" == parent.ask("child", child, way, issuer.token())
        assert 1 == issuer.requests["/jwks"]

        issuer.rotate()
        for child, way in enumerate(WAYS):
            assert "ada" == parent.ask("child", child, way, issuer.token())
            assert "UnknownKey" == parent.ask("child", child, way, issuer.bad_token("signed by an unknown key"))
        assert "ada" == parent.ask("asyncio", issuer.token())


def test_who_is_forked_shares_what_it_fetches(issuer: ServedIssuer, store: StoreServer) -> None:
    with Process(issuer, timeout=PATIENCE, store=store.url) as parent:
        assert "ada" == parent.ask("threads", issuer.token())
        parent.ask("fork", len(WAYS))
        time.sleep(MARGIN)  # by which a set must be younger to be taken from another
        issuer.rotate()
        for child, way in enumerate(WAYS):
            assert "ada" == parent.ask("child", child, way, issuer.token())
            until(lambda: str(issuer.key.kid).encode() in shared(store))  # where it is put behind the request

        assert "ada" == parent.ask("trio", issuer.token())
        assert 2 == issuer.requests["/jwks"]


def shared(store: StoreServer) -> bytes:
    """Return what the store holds of all key sets."""
    names: list[bytes] = store.ask("KEYS", "jwt_guard:*")
    values: list[bytes | None] = [store.ask("GET", name) for name in names]
    return b"".join(value or b"" for value in values)


# --- a start while the issuer is down -----------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.jwt_guard") if path.stat().st_size]


@pytest.fixture
def snapshot(issuer: ServedIssuer, tmp_path: Path) -> Path:
    """Return the folder of an earlier run; from then on the issuer is down."""
    folder = tmp_path / "snapshot"
    assert "ada" == outcome(guard(issuer, timeout=PATIENCE, snapshot=folder), issuer.token())
    until(lambda: bool(files(folder)))
    issuer.is_down = True
    return folder


def test_with_a_snapshot_a_process_starts_while_the_issuer_is_down(issuer: ServedIssuer, snapshot: Path) -> None:
    with Process(issuer, issuer.jwks_url, snapshot=str(snapshot)) as process:
        for way in WAYS:
            assert "ada" == process.ask(way, issuer.token())
            assert "BadSignature" == process.ask(way, issuer.bad_token("signed by another key"))


def test_without_a_snapshot_it_does_not(issuer: ServedIssuer, snapshot: Path, tmp_path: Path) -> None:
    assert [KeysUnavailable] == kinds([outcome(guard(issuer, snapshot=tmp_path / "another"), issuer.token())])


def change(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[:-40] + octets[-40:].swapcase())


def open_to_others(path: Path) -> None:
    path.chmod(0o666)


def give_away(path: Path) -> None:
    os.chown(path, 12_345, -1)


@pytest.mark.parametrize("spoil", [change, open_to_others, give_away])
def test_a_snapshot_that_somebody_else_may_have_written_lets_nobody_in(
    spoil: object, issuer: ServedIssuer, snapshot: Path
) -> None:
    assert callable(spoil)
    if spoil is give_away and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    for path in files(snapshot):
        spoil(path)
    of = guard(issuer, timeout=PATIENCE, snapshot=snapshot)
    assert [KeysUnavailable] == kinds([outcome(of, issuer.token())])

    issuer.is_down = False
    assert "ada" == outcome(of, issuer.token())


# --- a shared store -----------------------------------------------------------------------------------


def test_processes_take_the_keys_from_each_other(issuer: ServedIssuer, store: StoreServer) -> None:
    one, two = (Process(issuer, timeout=PATIENCE, store=store.url) for _ in range(2))
    with one, two:
        for process in (one, two):  # both at once
            process.tell("threads", issuer.token())

        assert ["ada"] * 2 == [process.hear() for process in (one, two)]
        assert 1 == issuer.requests["/jwks"]


def test_a_store_that_is_killed_and_comes_back_under_load_refuses_nobody(
    issuer: ServedIssuer, store: StoreServer
) -> None:
    issuer.max_age = 0
    of, good = guard(issuer, timeout=PATIENCE, fresh_for=0, store=store.url), issuer.token()
    over, counts = threading.Event(), {"threads": 0, "loop": 0}
    refusals: list[object] = []

    def on_a_thread() -> None:
        while not over.is_set():
            counts["threads"] += 1
            time.sleep(0.001)  # for the threads that ask
            refusals.extend(said for said in [outcome(of, good)] if said != "ada")

    async def on_a_loop() -> None:
        while not over.is_set():
            counts["loop"] += 1
            refusals.extend(said for said in [await aoutcome(of, good)] if said != "ada")
            await anyio.sleep(0.001)

    def go_on() -> None:
        fetches, before = issuer.requests["/jwks"], dict(counts)
        until(lambda: issuer.requests["/jwks"] > fetches and all(counts[way] > before[way] for way in counts))

    assert "ada" == outcome(of, good)
    until(lambda: bool(shared(store)))
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(on_a_thread), pool.submit(anyio.run, on_a_loop), pool.submit(anyio.run, on_a_loop)]
        try:
            for _ in range(2):
                go_on()
                store.kill()
                go_on()  # keys are fetched, by ourselves
                store.start()
                until(lambda: bool(shared(store)))  # and shared again
            go_on()
        finally:
            over.set()
        for future in running:
            future.result()

    assert [] == refusals
    assert state(of).last_error is None
