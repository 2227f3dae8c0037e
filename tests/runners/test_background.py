"""The one thread that talks to issuers: it starts, stops, survives forks and exits, and forgets nobody who waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import anyio
import pytest

from jwt_guard.flow import Flow, alone
from jwt_guard.runners import awaiting, blocking
from jwt_guard.runners.background import Background
from tests.support.bad_issuer import BadIssuer, answer, hangs, key_set
from tests.support.minting import claims, mint


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.stop()


async def nothing() -> None:
    pass


async def forever() -> None:
    await asyncio.Event().wait()


def test_the_thread_starts_with_the_first_work(background: Background) -> None:
    assert None is background._thread

    async def here() -> bool:
        return background.is_here()

    assert background.submit(here()).result(5)
    assert not background.is_here()
    assert background._thread is not None
    assert background._thread.daemon


def test_stopping_lets_go_of_everybody_who_waits_and_it_starts_again(background: Background) -> None:
    stuck = background.submit(forever())
    alone = background.alone("key", forever)
    thread = background._thread

    background.stop()

    assert isinstance(stuck.exception(5) if not stuck.cancelled() else CancelledError(), CancelledError)
    assert alone.done() or alone.cancelled()
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()
    background.submit(nothing()).result(5)
    background.alone("key", nothing).result(5)


def test_stopping_what_never_started_does_nothing() -> None:
    Background().stop()


def test_work_submitted_just_before_the_end_is_not_lost(background: Background) -> None:
    for _ in range(20):
        futures = [background.submit(forever()) for _ in range(5)]
        background.stop()
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(5)


def test_work_that_will_not_end_does_not_hold_up_stop(background: Background) -> None:
    go = threading.Event()

    async def stubborn() -> None:
        go.wait(5)  # blocks the loop

    background.submit(stubborn())
    before = time.monotonic()
    background.stop()

    assert time.monotonic() - before < 3
    go.set()


def test_a_finished_one_is_not_waited_for_by_who_comes_next(background: Background) -> None:
    """Waiters wake before callbacks run: who looks at that moment must not join what is over."""
    over: Future[None] = Future()
    over.set_result(None)
    background._under_way["key"] = over
    ran = threading.Event()

    async def work() -> None:
        ran.set()

    background.alone("key", work).result(5)

    assert ran.is_set()


def test_a_finished_one_does_not_unlist_the_next(background: Background) -> None:
    over: Future[None] = Future()
    next_one = background.alone("key", forever)

    background._over("key", over)

    assert next_one is background.alone("key", forever)


def test_what_is_over_is_forgotten(background: Background) -> None:
    for _ in range(50):
        background.alone(object(), nothing).result(5)
    background.submit(nothing()).result(5)

    assert {} == background._under_way


def test_only_one_of_a_key_runs_however_many_ask(background: Background) -> None:
    running, most, runs = 0, 0, 0

    async def work() -> None:
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    def ask() -> None:
        for _ in range(200):
            background.alone("key", work).result(5)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == most
    assert 200 <= runs <= 1_600


def test_a_thread_that_cannot_start_is_an_error_now_and_not_for_ever(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                background.submit(forever())
            with pytest.raises(RuntimeError, match="can't start"):
                background.alone("key", forever)

    background.alone("key", nothing).result(5)


@pytest.mark.parametrize("way", ["threads", "asyncio", "trio"])
def test_a_deadline_begins_when_what_is_slow_to_load_is_loaded(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Future[None] = Future()
    worked = threading.Event()
    mine = Background()
    monkeypatch.setattr(mine, "warmed", lambda: loaded)
    monkeypatch.setattr("jwt_guard.runners.background.BACKGROUND", mine)

    def work() -> Flow[None]:
        worked.set()
        return
        yield

    async def awaited() -> None:
        await awaiting.run(alone("key", work, 5))

    waiting = threading.Thread(
        target=lambda: blocking.run(alone("key", work, 5)) if way == "threads" else anyio.run(awaited, backend=way)
    )
    waiting.start()
    try:
        assert not worked.wait(0.2)
        assert waiting.is_alive()
    finally:
        loaded.set_result(None)
        waiting.join(30)
        mine.stop()

    assert worked.is_set()


# --- processes ---------------------------------------------------------------------------------------

PRELUDE = """
import gc, os, sys, threading, time
from jwt_guard import Guard, KeySettings, Provider, jwks, verify
from jwt_guard.errors import KeysUnavailable

url, token, other = sys.argv[1:]
source = jwks(url, KeySettings(timeout=3, fresh_for=0))
provider = Provider(name="t", issuer="https://id.test", audience="orders", keys=source)
guard = Guard([provider], clock=lambda: 1_800_000_000)
"""

FORKS = """
def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:
            print("child:", type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    print("child ended with", os.waitpid(child, 0)[1], flush=True)
"""

FORK_WHEN_WARM = (
    PRELUDE
    + FORKS
    + """
print(verify(guard, token).user, flush=True)
in_child(lambda: print("child", verify(guard, token).user, verify(guard, other).user, flush=True))
print(verify(guard, token).user, flush=True)
"""
)

FORK_WHILE_FETCHING = (
    PRELUDE
    + FORKS
    + """
threading.Thread(target=lambda: print("parent", verify(guard, token).user, flush=True)).start()
sys.stdin.readline()  # until the issuer was asked
def work():
    print("child", verify(guard, token).user, flush=True)
in_child(work)
"""
)

EXIT_WHILE_FETCHING = (
    PRELUDE
    + """
def wait():
    try:
        verify(guard, token)
    except KeysUnavailable:
        pass
threading.Thread(target=wait, daemon=True).start()
sys.stdin.readline()  # until the issuer was asked
print("end", flush=True)
"""
)

EXIT_AT_ONCE = (
    PRELUDE
    + """
print(verify(guard, token).user, flush=True)
for _ in range(3):
    verify(guard, token)  # each leaves a refresh to be done later
"""
)


def run(program: str, issuer: BadIssuer) -> tuple[str, str, float]:
    """Return what *program* says and what it complains of, and how long it took."""
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program]
    tokens = [mint(claims(sub="ada"), which=which) for which in "ab"]
    with subprocess.Popen(
        [*command, issuer.url, *tokens],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        issuer.wait_for(lambda: bool(issuer.requests), 60)
        before = time.monotonic()
        said, complained = process.communicate("asked\n", timeout=30)
        took = time.monotonic() - before
    assert 0 == process.returncode, complained
    return said, complained, took


def test_a_fork_leaves_a_working_child_and_a_working_parent() -> None:
    with BadIssuer() as issuer:
        issuer.way = lambda of, connection: connection.sendall(answer(key_set(*("a", "b")[: len(of.requests)])))
        said, complained, _ = run(FORK_WHEN_WARM, issuer)

    assert ["ada", "child ada ada", "child ended with 0", "ada"] == said.splitlines()
    assert "" == complained


def test_a_fork_in_the_middle_of_a_fetch_leaves_both_working() -> None:
    with BadIssuer() as issuer:

        def way(of: BadIssuer, connection: object) -> None:
            if len(of.requests) == 1:  # the parent's waits until the child is done
                of.wait_for(lambda: len(of.requests) == 2)
                time.sleep(0.3)
            hangs(answer(key_set("a")))(of, connection)  # type: ignore[arg-type]

        issuer.way = way
        issuer.released.set()
        said, complained, _ = run(FORK_WHILE_FETCHING, issuer)

    assert {"child ada", "child ended with 0", "parent ada"} == set(said.splitlines())
    assert "" == complained


def test_leaving_in_the_middle_of_a_fetch_is_quick_and_quiet() -> None:
    with BadIssuer(hangs()) as issuer:
        said, complained, took = run(EXIT_WHILE_FETCHING, issuer)

    assert "end\n" == said
    assert "" == complained
    assert took < 3, "that is how long the fetch would have had"


def test_leaving_work_for_later_and_then_leaving_is_quiet() -> None:
    with BadIssuer() as issuer:
        said, complained, _ = run(EXIT_AT_ONCE, issuer)

    assert "ada\n" == said
    assert "" == complained
