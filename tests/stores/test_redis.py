"""Stored → what a real Redis and a real Valkey answer: well, badly, late, or not at all."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import anyio
import anyio.to_thread
import pytest

from jwt_guard.errors import StoreFailed
from jwt_guard.flow import Entry, Flow, Stored, claim, read, write
from jwt_guard.runners import awaiting, blocking
from jwt_guard.stores.redis import DEADLINE, LIMIT, LONGEST_REST, REST, RedisStore
from tests.support.servers import StoreServer, certificates_for, in_tls, until

WORD = "hunter2"
ALL_OCTETS = bytes(range(256))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing fail since this machine is busy; where the deadline is what is tried, we are in a hurry."""
    monkeypatch.setattr("jwt_guard.stores.redis.DEADLINE", 10.0)


@contextmanager
def in_a_hurry() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt_guard.stores.redis.DEADLINE", DEADLINE)
        yield


def by_blocking(flow: Flow[Any]) -> Any:
    return blocking.run(flow)


def on_asyncio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="asyncio")


def on_trio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="trio")


Run = Callable[[Flow[Any]], Any]
each_runner = pytest.mark.parametrize("run", [by_blocking, on_asyncio, on_trio])


def failure(flow: Flow[Any]) -> str:
    with pytest.raises(StoreFailed) as caught:
        blocking.run(flow)
    error = caught.value
    assert error.__suppress_context__ or error.__context__ is None, "what the library said is not for our log"
    return str(error)


# ── what it does ────────────────────────────────────────────────────────────────────────────────────────────────


@each_runner
def test_what_is_written_is_read_with_the_time_that_it_still_has(server: StoreServer, run: Run) -> None:
    assert None is run(read(server.url, "key"))
    assert None is run(write(server.url, "key", ALL_OCTETS, 60.0))
    entry = run(read(server.url, "key"))

    assert ALL_OCTETS == entry.value
    assert 50 < entry.remaining <= 60
    server.ask("PEXPIRE", "jwt_guard:key", 7000)
    assert 0 < run(read(server.url, "key")).remaining <= 7
    assert None is run(read(server.url, "another key"))


@each_runner
def test_a_claim_holds_for_its_time_and_then_for_nobody(server: StoreServer, run: Run) -> None:
    assert True is run(claim(server.url, "key", 60.0))
    assert False is run(claim(server.url, "key", 60.0))
    assert True is run(claim(server.url, "another key", 60.0))
    assert 0 < server.ask("PTTL", "jwt_guard:key") <= 60_000
    server.ask("PEXPIRE", "jwt_guard:key", 1)
    until(lambda: run(claim(server.url, "key", 60.0)))


def test_it_all_goes_when_its_time_is_over(server: StoreServer) -> None:
    blocking.run(write(server.url, "key", b"value", 0.02))
    blocking.run(write(server.url, "at once", b"value", 0.0))

    until(lambda: blocking.run(read(server.url, "key")) is None)
    until(lambda: server.ask("DBSIZE") == 0)


@pytest.mark.parametrize(("seconds", "most"), [(1.9999, 1999), (86_400, 86_400_000), (1e300, 2**53), (0.0001, 1)])
def test_a_lifetime_is_never_longer_than_was_asked_for(server: StoreServer, seconds: float, most: int) -> None:
    blocking.run(write(server.url, "key", b"value", seconds))

    assert server.ask("PTTL", "jwt_guard:key") <= most
    blocking.run(claim(server.url, "claim", seconds))
    assert server.ask("PTTL", "jwt_guard:claim") <= most


def test_the_newest_value_and_its_time_count(server: StoreServer) -> None:
    blocking.run(write(server.url, "key", b"old", 1000.0))
    blocking.run(write(server.url, "key", b"new", 10.0))
    entry = blocking.run(read(server.url, "key"))

    assert entry is not None
    assert b"new" == entry.value
    assert entry.remaining <= 10


def test_a_value_and_its_time_belong_together_while_others_write(server: StoreServer) -> None:
    """One question after the other would find a value with the time of the next."""
    over = threading.Event()

    def keep_writing() -> None:
        while not over.is_set():
            server.ask("SET", "jwt_guard:key", "short", "PX", 1000)
            server.ask("SET", "jwt_guard:key", "long", "PX", 100_000)

    server.ask("SET", "jwt_guard:key", "short", "PX", 1000)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for _ in range(300):
            entry = blocking.run(read(server.url, "key"))

            assert entry is not None
            assert (entry.value == b"short") == (entry.remaining <= 1)
    finally:
        over.set()
        writer.join()


def test_our_keys_have_a_name_of_their_own_and_any_text_is_one(server: StoreServer) -> None:
    for key in ("key", "a\n b*", "\u00e4\U0001f511", "\udcff"):
        assert blocking.run(claim(server.url, key, 60.0))
        assert not blocking.run(claim(server.url, key, 60.0))

    assert {True} == {name.startswith(b"jwt_guard:") for name in server.ask("KEYS", "*")}
    assert 4 == server.ask("DBSIZE")


def test_a_value_has_a_greatest_length(server: StoreServer, caplog: pytest.LogCaptureFixture) -> None:
    longest = bytes(LIMIT)
    blocking.run(write(server.url, "longest", longest, 60.0))

    assert longest == found(server.url, "longest").value
    for _ in range(2):
        assert f"a value has at most {LIMIT} octets" == failure(write(server.url, "longer", longest + b"x", 60.0))
    assert None is blocking.run(read(server.url, "longer"))
    assert 1 == len(caplog.records)
    assert longest == found(server.url, "longest").value, "nothing rests for that"


def test_a_value_that_somebody_made_too_long_is_not_even_sent(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("SET", "jwt_guard:key", bytes(30 * LIMIT), "EX", 60)
    before = sent_by(server)

    for _ in range(2):
        assert None is blocking.run(read(server.url, "key"))
    assert sent_by(server) - before < 4 * LIMIT
    assert [f"more than {LIMIT} octets"] == said_in_brackets(caplog)


def found(url: str, key: str) -> Entry:
    entry = blocking.run(read(url, key))
    assert entry is not None
    return entry


def sent_by(server: StoreServer) -> int:
    statistics: dict[str, int] = server.ask("INFO", "stats")
    return statistics["total_net_output_bytes"]


def said_in_brackets(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().rpartition("(")[2].rstrip(")") for record in caplog.records]


def test_a_value_without_an_end_is_not_ours(server: StoreServer) -> None:
    server.ask("SET", "jwt_guard:key", "for ever")

    assert None is blocking.run(read(server.url, "key"))
    assert not blocking.run(claim(server.url, "key", 60.0))


CLAIMING = """\
import sys, threading, time
import jwt_guard.stores.redis
from jwt_guard.flow import claim, read
from jwt_guard.runners import blocking

jwt_guard.stores.redis.DEADLINE = 10.0
url, won = sys.argv[1], []

def take():
    while blocking.run(read(url, "go")) is None:
        time.sleep(0.01)
    for number in range(50):
        if blocking.run(claim(url, f"claim {number}", 60.0)):
            won.append(number)

threads = [threading.Thread(target=take) for _ in range(3)]
print("ready", flush=True)
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*won)
"""


def test_of_many_processes_and_threads_one_gets_what_it_claims(server: StoreServer) -> None:
    words = [sys.executable, "-c", CLAIMING, server.url]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    until(lambda: server.clients() >= 2)
    blocking.run(write(server.url, "go", b"", 60.0))
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    won = Counter(int(number) for output in outputs for number in output.split())

    assert [0, 0] == [process.returncode for process in processes]
    assert dict.fromkeys(range(50), 1) == won


def test_many_at_once_share_a_few_connections(server: StoreServer) -> None:
    async def ask() -> list[bool]:
        flows = [claim(server.url, f"claim {number // 2}", 60.0) for number in range(100)]
        return await asyncio.gather(*map(awaiting.run, flows))

    won = asyncio.run(ask())

    assert 50 == sum(won)
    assert server.clients() <= 8


# ── how it is reached ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_reached_by_a_socket_too_and_each_database_is_another(server: StoreServer) -> None:
    blocking.run(write(server.url, "key", b"in the first", 60.0))

    assert b"in the first" == found(server.unix_url, "key").value
    for elsewhere in (f"{server.url}/3", f"{server.url}?db=4", f"{server.unix_url}?db=5"):
        assert None is blocking.run(read(elsewhere, "key"))


def test_a_password_may_have_any_character(server: StoreServer) -> None:
    password, written = "a/b@c:d#e?f%g", "a%2Fb%40c%3Ad%23e%3Ff%25g"
    server.configure("requirepass", password)
    server.ask("AUTH", password)
    for url in (f"redis://:{written}@127.0.0.1:{server.port}", f"unix://default:{written}@{server.socket}"):
        blocking.run(write(url, "key", b"value", 60.0))

        assert b"value" == found(url, "key").value


def test_tls_counts_if_its_certificate_does(
    server: StoreServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = certificates_for("127.0.0.1", tmp_path)
    with in_tls(server.port, certificates) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        trusting = f"{url}?ssl_ca_certs={certificates.authority}"
        blocking.run(write(trusting, "key", b"value", 60.0))

        assert b"value" == found(trusting, "key").value
        assert "the store does not answer (ConnectionError)" == failure(read(url, "key")), "a stranger's authority"
        assert "the store does not answer (ConnectionError)" == failure(
            read(f"rediss://localhost:{port}/0?ssl_ca_certs={certificates.authority}", "key")
        ), "another host's certificate"
    assert 2 == len(caplog.records)


def test_tls_can_ask_for_our_certificate(server: StoreServer, tmp_path: Path) -> None:
    certificates = certificates_for("127.0.0.1", tmp_path)
    with in_tls(server.port, certificates, of_clients=True) as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority}"
        pair = f"&ssl_certfile={certificates.certificate}&ssl_keyfile="

        assert blocking.run(claim(f"{url}{pair}{certificates.key}", "key", 60.0))
        assert "does not answer" in failure(claim(url, "key", 60.0))
        assert "cannot be asked" in failure(claim(f"{url}{pair}{certificates.locked}", "key", 60.0))


# ── what it refuses ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_of_another_kind_is_refused_and_nothing_else_suffers(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("RPUSH", "jwt_guard:list", "x")
    server.ask("EXPIRE", "jwt_guard:list", 60)

    for _ in range(2):
        assert "the store refuses (ResponseError)" == failure(read(server.url, "list"))
    assert blocking.run(claim(server.url, "key", 60.0))
    assert [f"the store at '127.0.0.1:{server.port}' cannot read (ResponseError)"] == caplog.messages


def test_a_store_that_may_not_be_written_to_can_still_be_read(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    blocking.run(write(server.url, "key", b"value", 60.0))
    server.ask("REPLICAOF", "127.0.0.1", 1)

    for _ in range(2):
        assert "the store refuses (ReadOnlyError)" == failure(write(server.url, "key", b"new", 60.0))
        assert "the store refuses (ReadOnlyError)" == failure(claim(server.url, "claim", 60.0))
    assert b"value" == found(server.url, "key").value
    assert 2 == len(caplog.records), "one for each command"


def test_a_store_that_is_full_can_still_be_read(server: StoreServer, caplog: pytest.LogCaptureFixture) -> None:
    blocking.run(write(server.url, "key", b"value", 60.0))
    server.configure("maxmemory", "1")

    assert "the store refuses (OutOfMemoryError)" == failure(write(server.url, "key", b"new", 60.0))
    assert "the store refuses (OutOfMemoryError)" == failure(claim(server.url, "claim", 60.0))
    assert b"value" == found(server.url, "key").value
    server.configure("maxmemory", "0")
    assert blocking.run(claim(server.url, "claim", 60.0)), "without any rest"
    assert 2 == len(caplog.records)


def test_a_wrong_password_is_warned_about_once_and_not_repeated(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.configure("requirepass", "right")
    server.ask("AUTH", "right")
    caplog.set_level(logging.DEBUG)
    for url in (f"redis://:{WORD}@127.0.0.1:{server.port}", f"redis://{WORD}:{WORD}@127.0.0.1:{server.port}"):
        caplog.clear()
        said = {failure(read(url, "key")) for _ in range(5)}

        assert {"the store does not answer (AuthenticationError)", "the store did not answer just now"} == said
        warned = f"the store at '127.0.0.1:{server.port}' does not answer (AuthenticationError)"
        assert [f"{warned}: nothing is shared meanwhile"] == of_ours(caplog)
        assert WORD not in caplog.text
    assert "the store does not answer (AuthenticationError)" == failure(read(server.url, "key")), "none is wrong, too"


def of_ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "jwt_guard"]


LEAST = ("+getrange", "+pttl", "+set", "+multi", "+exec")
FOR_WHAT_IS_REVOKED = ("+xrange", "+xadd", "+xtrim", "+pexpire")  # see test_denylist.py
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share-keys-between-processes.md"


def test_the_user_that_the_page_shows_may_do_what_is_needed_and_nothing_else(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("ACL SETUSER"))
    words = line.split()
    _, _, user, _, password, keys, *commands = words
    server.ask(*words)
    url = f"redis://{user}:{quote(password[1:], safe='')}@127.0.0.1:{server.port}"

    assert ("~jwt_guard:*", sorted({*LEAST, *FOR_WHAT_IS_REVOKED})) == (keys, sorted(commands))
    blocking.run(write(url, "key", b"value", 60.0))

    assert b"value" == found(url, "key").value
    assert blocking.run(claim(url, "claim", 60.0))
    assert not blocking.run(claim(url, "claim", 60.0))
    assert [] == caplog.records


@pytest.mark.parametrize("missing", LEAST)
def test_each_of_the_little_is_needed_and_nothing_is_taken_for_granted(
    server: StoreServer, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    """Without ``exec`` a connection stays in a transaction, where a claim is QUEUED and nobody's."""
    rest = [each for each in LEAST if each != missing]
    server.ask("ACL", "SETUSER", "guard", "reset", "on", f">{WORD}", "~jwt_guard:*", *rest)
    url = f"redis://guard:{WORD}@127.0.0.1:{server.port}"
    server.ask("SET", "jwt_guard:claim", "somebody else's", "EX", 60)
    outcomes: list[str] = []
    for _ in range(2):
        for flow in (read(url, "claim"), claim(url, "claim", 60.0), write(url, "key", b"value", 60.0)):
            try:
                outcomes.append(str(blocking.run(flow)))
            except StoreFailed as error:
                outcomes.append(str(error))

    assert "True" not in outcomes
    assert any(outcome.startswith("the store ") for outcome in outcomes)
    assert caplog.records
    assert WORD not in caplog.text


def test_a_user_of_other_keys_is_refused(server: StoreServer, caplog: pytest.LogCaptureFixture) -> None:
    server.ask("ACL", "SETUSER", "guard", "reset", "on", f">{WORD}", "~theirs:*", "+@all")
    url = f"redis://guard:{WORD}@127.0.0.1:{server.port}"

    for flow in (read(url, "key"), write(url, "key", b"", 60.0), claim(url, "key", 60.0)):
        assert "the store refuses (NoPermissionError)" == failure(flow)
    assert 3 == len(caplog.records)


# ── what it does not answer ─────────────────────────────────────────────────────────────────────────────────────


def test_a_store_that_hangs_costs_one_deadline_and_then_nothing(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    blocking.run(write(server.url, "key", b"value", 60.0))
    server.hang()
    before = time.monotonic()

    with in_a_hurry():
        assert "the store does not answer (TimeoutError)" == failure(read(server.url, "key"))
    assert DEADLINE - 0.05 < time.monotonic() - before < 8 * DEADLINE
    before, asked = time.monotonic(), 0
    while True:
        said = failure(read(server.url, "key"))
        if time.monotonic() - before > REST / 2:  # looked at last: a machine that stood still says nothing about us
            break
        assert "the store did not answer just now" == said
        asked += 1
    assert asked > 10, "it costs nothing"
    server.go_on()
    until(lambda: outcome(read(server.url, "key")) == "answered")
    assert [
        f"the store at '127.0.0.1:{server.port}' does not answer (TimeoutError): nothing is shared meanwhile",
        f"the store at '127.0.0.1:{server.port}' answers again",
    ] == of_ours(caplog)


def outcome(flow: Flow[Any]) -> str:
    try:
        blocking.run(flow)
    except StoreFailed as error:
        return str(error)
    return "answered"


class Turns:
    """A loop that would like to turn each 2 ms, and a thread that would, too: so we know who held up whom."""

    def __init__(self) -> None:
        self._of_loop: list[float] = []
        self._of_thread: list[float] = []
        self._over = threading.Event()

    async def turn(self) -> None:
        """Turn the loop, until cancelled."""
        thread = threading.Thread(target=self._turn_beside)
        thread.start()
        try:
            while True:
                self._of_loop.append(time.monotonic())
                await anyio.sleep(0.002)
        finally:
            self._of_loop.append(time.monotonic())
            self._over.set()
            thread.join()

    def _turn_beside(self) -> None:
        while not self._over.wait(0.002):
            self._of_thread.append(time.monotonic())

    def held_up(self, seconds: float = 0.6 * DEADLINE) -> list[float]:
        """Return how long the loop stood still, each time that it did so for *seconds* while the thread did not.

        Whoever waits for a store on the loop holds it up for a deadline; a crowded machine does so for 0.05 s.
        """
        gaps = [(begin, end) for begin, end in pairwise(self._of_loop) if end - begin > seconds]
        return [end - begin for begin, end in gaps if sum(begin < turn < end for turn in self._of_thread) > 10]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_store_that_hangs_does_not_hold_up_the_loop(server: StoreServer, loop: str) -> None:
    blocking.run(write(server.url, "key", b"value", 60.0))
    server.hang()
    turns = Turns()

    async def ask() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(turns.turn)
            with in_a_hurry(), pytest.raises(StoreFailed):
                await awaiting.run(read(server.url, "key"))
            group.cancel_scope.cancel()

    anyio.run(ask, backend=loop)

    assert [] == turns.held_up()


class Load:
    """Four threads and four tasks of one loop that ask as fast as they can, and what comes of it."""

    def __init__(self, url: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.others: list[BaseException] = []
        """What is no StoreFailed, or nothing that was asked for."""
        self.turns = Turns()
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._in_a_thread, args=(who,)) for who in range(4)]
        self._threads.append(threading.Thread(target=anyio.run, args=(self._on_a_loop,)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, what: str, times: int) -> None:
        """Wait until *what* has come out so many *times* from now on."""
        before = self.outcomes[what]
        until(lambda: self.outcomes[what] >= before + times)

    def _flow(self, who: str, turn: int) -> Flow[None]:
        key = f"{who} {turn % 5}"
        try:
            yield from write(self._url, key, key.encode(), 60.0)
            entry = yield from read(self._url, key)
            if entry is not None and entry.value != key.encode():
                self.others.append(AssertionError("somebody else's answer"))
            yield from claim(self._url, f"claim of {key}", 0.01)
            self.outcomes["answered"] += 1
        except StoreFailed:
            self.outcomes[f"failed {who[:9]}"] += 1
        except Exception as error:  # noqa: BLE001 - noted, and looked at in the end
            self.others.append(error)

    def _in_a_thread(self, who: int) -> None:
        turn = 0
        while not self._over.wait(0.001):
            turn += 1
            blocking.run(self._flow(f"in thread {who}", turn))

    async def _on_a_loop(self) -> None:
        async with anyio.create_task_group() as group:
            for who in range(4):
                group.start_soon(self._in_a_task, f"in a task {who}")
            group.start_soon(self.turns.turn)
            await anyio.to_thread.run_sync(self._over.wait)
            group.cancel_scope.cancel()

    async def _in_a_task(self, who: str) -> None:
        turn = 0
        while True:
            turn += 1
            await anyio.sleep(0.001)
            await awaiting.run(self._flow(who, turn))


def test_a_store_that_is_killed_and_comes_back_under_load_only_fails_meanwhile(server: StoreServer) -> None:
    with in_a_hurry(), Load(server.url) as load:
        load.wait_for("answered", 100)
        for _ in range(2):
            server.kill()
            load.wait_for("failed in thread", 1)
            load.wait_for("failed in a task", 1)
            server.start()
            load.wait_for("answered", 100)

    assert [] == load.others
    assert [] == load.turns.held_up()


def test_a_store_that_was_away_for_a_moment_answers_at_once_on_each_connection(server: StoreServer) -> None:
    async def ask_many() -> list[object]:
        return await asyncio.gather(
            *(awaiting.run(read(server.url, str(number))) for number in range(20)), return_exceptions=True
        )

    assert [None] * 20 == asyncio.run(ask_many())
    assert server.clients() > 1
    server.kill()
    server.start()

    until(lambda: asyncio.run(ask_many()) == [None] * 20)


FORKING = """\
import os, sys, threading
import jwt_guard.stores.redis
from jwt_guard.flow import claim, read, write
from jwt_guard.runners import blocking

jwt_guard.stores.redis.DEADLINE = 10.0
url = sys.argv[1]

def ask_as(name, times):
    for turn in range(times):
        value = f"{name} {turn}".encode()
        blocking.run(write(url, name, value, 60.0))
        entry = blocking.run(read(url, name))
        if entry is None or entry.value != value:
            raise SystemExit(f"{name} got somebody else's answer")
    if not blocking.run(claim(url, f"claim of {name}", 60.0)):
        raise SystemExit(f"{name} did not get its claim")

ask_as("parent", 5)
busy = threading.Thread(target=ask_as, args=("thread", 300))
busy.start()
children = []
for number in range(3):
    child = os.fork()
    if not child:
        ask_as(f"child {number}", 100)
        print("child", os.getpid(), flush=True)
        os._exit(0)
    children.append(child)
ask_as("parent once more", 100)
busy.join()
for child in children:
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a child failed")
ask_as("parent at last", 5)
print("parent", flush=True)
sys.stdin.read()
"""


def test_after_a_fork_both_go_on_with_connections_of_their_own(server: StoreServer) -> None:
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, server.url]
    before = server.ask("INFO", "stats")["total_connections_received"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]

        assert 3 == sum(line.startswith("child ") for line in lines), process.communicate()
        assert server.ask("INFO", "stats")["total_connections_received"] - before >= 4
        assert server.clients() >= 1, "the parent's are still open, though its children have gone"
        _, said = process.communicate(timeout=60)
    assert ("", 0) == (said, process.returncode)


# ── with a clock of ours ────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asking(url: str, scene: Callable[[RedisStore, Clock], Coroutine[Any, Any, None]]) -> None:
    """Play *scene* with a store at *url*, on a loop of its own."""

    async def play() -> None:
        clock = Clock()
        store = RedisStore(url, clock)
        try:
            await scene(store, clock)
        finally:
            await store.close()

    asyncio.run(play())


Command = Literal["read", "write", "claim"]


async def said(store: RedisStore, key: str = "key", command: Command = "read") -> str:
    try:
        return str(await store.ask(Stored("", command, key, b"value", 60.0)))
    except StoreFailed as error:
        return str(error)


RESTS = "the store did not answer just now"


def test_a_rest_grows_while_the_store_is_away_and_is_short_again_afterwards(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        assert "None" == await said(store)
        for _ in range(2):
            server.kill()
            rest = REST
            for _ in range(6):
                assert "the store does not answer (ConnectionError)" == await said(store)
                clock.now += rest - 0.001
                assert RESTS == await said(store)
                clock.now += 0.002
                rest = min(2 * rest, LONGEST_REST)
            server.start()
            assert "None" == await said(store)

    asking(server.url, scene)


def test_a_refusal_is_an_answer_too_and_ends_the_rest(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        server.kill()
        assert "does not answer" in await said(store)
        server.start()
        server.ask("RPUSH", "jwt_guard:list", "x")
        clock.now += REST
        assert "the store refuses (ResponseError)" == await said(store, "list")
        assert "None" == await said(store)

    asking(server.url, scene)


def test_one_asks_whether_the_store_is_back_and_nobody_waits_with_it(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        assert "None" == await said(store)
        server.hang()
        silent = "the store does not answer (TimeoutError)"
        with in_a_hurry():
            assert Counter({silent: 5}) == Counter(await asyncio.gather(*(said(store) for _ in range(5))))
            clock.now = REST + 0.001
            assert Counter({silent: 1, RESTS: 4}) == Counter(await asyncio.gather(*(said(store) for _ in range(5))))
            clock.now += REST + 0.001
            assert RESTS == await said(store), "five who failed together count as one, and the next rest is longer"
            clock.now += REST
            assert silent == await said(store)

    asking(server.url, scene)


def test_an_answer_that_comes_too_late_is_nobody_elses(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        for key in ("ours", "another"):
            await store.ask(Stored("", "write", key, key.encode(), 60.0))
        server.hang()
        for command in ("read", "claim", "write"):
            with in_a_hurry():
                assert "does not answer" in await said(store, "ours", command)
            clock.now += 2 * LONGEST_REST
        server.go_on()
        for _ in range(5):
            entry = await store.ask(Stored("", "read", "another"))

            assert isinstance(entry, Entry)
            assert b"another" == entry.value
            assert await store.ask(Stored("", "claim", "another", lifetime=60.0)) is False

    asking(server.url, scene)


def test_who_gives_up_waiting_takes_no_answer_of_others_along(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        keys = [str(number) for number in range(30)]
        for key in keys:
            await store.ask(Stored("", "write", key, key.encode(), 60.0))
        for turn in range(10):
            tasks = [asyncio.create_task(store.ask(Stored("", "read", key))) for key in keys]
            for _ in range(turn):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks[1::2])

            assert keys[1::2] == [entry.value.decode() for entry in answers if isinstance(entry, Entry)]

    asking(server.url, scene)


def test_a_store_that_is_full_of_waiting_ones_is_closed_soon(server: StoreServer) -> None:
    async def scene(store: RedisStore, clock: Clock) -> None:
        assert "None" == await said(store)
        server.hang()
        with in_a_hurry():
            tasks = [asyncio.create_task(said(store)) for _ in range(20)]
            await asyncio.sleep(0.01)
            before = time.monotonic()
            await store.close()
            assert time.monotonic() - before < 8 * DEADLINE
            await asyncio.gather(*tasks)

    asking(server.url, scene)


async def ask_a_liar(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]], command: Command
) -> str:
    """Return what comes of *command* where somebody answers who is no store."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", Clock())
    try:
        return await said(store, command=command)
    finally:
        await store.close()
        server.close()
        for connection in connections:
            connection.transport.abort()
            with suppress(OSError):
                await connection.wait_closed()


each_command = pytest.mark.parametrize("command", ["read", "write", "claim"])


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00" * 100_000,
        b"$99999999999\r\nvalue\r\n",
        b"*999999999\r\n",
        b"*1\r\n" * 5000,
    ],
    ids=lambda octets: repr(octets[:12]),
)
@each_command
def test_what_speaks_another_language_is_no_store(octets: bytes, command: Command) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(octets)
        await writer.drain()

    with in_a_hurry():
        assert asyncio.run(ask_a_liar(babble, command)).startswith("the store does not answer (")


@pytest.mark.parametrize(
    ("octets", "truth"),
    [
        (b"+OK\r\n", {"write": "None", "claim": "True"}),
        (b"$-1\r\n", {"claim": "False"}),  # nil
        (b"+QUEUED\r\n", {}),
        (b"$2\r\nno\r\n", {}),
        (b":1\r\n", {}),
        (b"*0\r\n", {}),
        (b"*-1\r\n", {"claim": "False"}),  # another nil
        (b"*2\r\n*1\r\n:1\r\n:1000\r\n", {}),
        (b"*2\r\n$1\r\nx\r\n$1\r\nx\r\n", {}),
        (b"*2\r\n$-1\r\n$-1\r\n", {}),
        (b"*2\r\n$1\r\nx\r\n-ERR no\r\n", {}),
        (b"*3\r\n$1\r\nx\r\n:1000\r\n:1000\r\n", {}),
        (b"*2\r\n$1\r\nx\r\n:-2\r\n", {"read": "None"}),
        (b"*2\r\n$1\r\nx\r\n:0\r\n", {"read": "None"}),
        (b"*2\r\n$1\r\nx\r\n:1000\r\n", {"read": "Entry(remaining=1.0)"}),
        (b"-ERR no\r\n", {}),
        (b"-LOADING it starts\r\n", {}),
        (b"-MOVED 1 127.0.0.1:1\r\n", {}),
        (b"-EXECABORT no\r\n", {}),
    ],
)
@each_command
def test_only_what_a_store_would_say_is_an_answer(octets: bytes, truth: dict[str, str], command: Command) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            for _ in range(int((await reader.readuntil(b"\r\n"))[1:])):
                size = int((await reader.readuntil(b"\r\n"))[1:])
                await reader.readexactly(size + 2)
            writer.write(octets)

    assert asyncio.run(ask_a_liar(say, command)).startswith(truth.get(command, "the store "))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:6379", "redis://h/0?ssl_cert_reqs=none", f"redis://:{WORD}#@h", "redis://"]
)
def test_a_url_that_will_not_do_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(StoreFailed, match=r"^the store cannot be asked: ") as caught:
        RedisStore(url)

    assert WORD not in str(caught.value)


def test_nothing_that_can_be_printed_has_the_password(server: StoreServer) -> None:
    url = f"redis://guard:{WORD}@127.0.0.1:{server.port}"

    async def scene(store: RedisStore, clock: Clock) -> None:
        assert "does not answer" in await said(store)
        assert WORD not in repr(store)
        assert WORD not in repr(store._client)

    asking(url, scene)

    assert WORD not in repr(Stored(url, "write", "key", WORD.encode()))
    assert WORD not in repr(Entry(WORD.encode(), 1.0))
