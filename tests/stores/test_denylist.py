"""What is revoked in one process → what others refuse within a second, whatever becomes of the store in between."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import anyio
import pytest

from jwt_guard import Denylist, Guard, arevoke, averify, revoke, verify
from jwt_guard.access.denylist import KNOWN
from jwt_guard.credentials import Credentials
from jwt_guard.errors import GuardError, Revoked, StoreFailed, Unavailable
from jwt_guard.flow import Line, append, since
from jwt_guard.runners import blocking
from jwt_guard.runners.background import BACKGROUND
from jwt_guard.stores.redis import DEADLINE, LIMIT
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, mint, provider
from tests.support.servers import StoreServer, until

LOG = "jwt_guard:revoked"
SLACK = 1.0  # seconds that a busy machine may add to one that a revocation takes
CLOCK: Callable[[], float] = lambda: NOW  # noqa: E731


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing fail since this machine is busy; where the deadline is what is tried, we are in a hurry."""
    monkeypatch.setattr("jwt_guard.stores.redis.DEADLINE", 10.0)
    monkeypatch.setattr("jwt_guard.access.denylist._PATIENCE", 15.0)


@contextmanager
def in_a_hurry() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt_guard.stores.redis.DEADLINE", DEADLINE)
        yield


def following(server: StoreServer, **more: Any) -> Guard:
    return Guard([provider()], clock=CLOCK, revoked=Denylist(server.url, clock=CLOCK, **more))


def token(jti: str = "a", **changes: Any) -> str:
    return mint(claims(jti=jti, **changes))


def said(guard: Guard, text: str) -> str:
    try:
        return str(verify(guard, text).user)
    except GuardError as error:
        return type(error).__name__


def knows(guard: Guard, jti: str) -> bool:
    return said(guard, token(jti)) == "Revoked"


def lines_of(server: StoreServer) -> int:
    return int(server.ask("XLEN", LOG))


# --- lines in a store ----------------------------------------------------------------------------------


def test_lines_are_read_in_order_from_any_of_them_on(server: StoreServer) -> None:
    url = server.url
    assert () == blocking.run(since(url, "key", ""))
    for number in range(600):
        blocking.run(append(url, "key", f"{number}".encode(), 60.0))
    got = list(blocking.run(since(url, "key", "")))
    assert 1 < len(got) < 600
    while True:
        more = blocking.run(since(url, "key", got[-1].position))
        assert got[-1] == more[0]
        if len(more) == 1:
            break
        got += more[1:]

    assert [f"{number}".encode() for number in range(600)] == [line.value for line in got]
    assert 600 == len({line.position for line in got})
    assert () == blocking.run(since(url, "another", got[5].position))


def test_a_line_that_is_gone_is_not_given_in_its_place(server: StoreServer) -> None:
    for value in (b"a", b"b"):
        blocking.run(append(server.url, "key", value, 60.0))
    first, second = blocking.run(since(server.url, "key", ""))
    server.ask("XDEL", "jwt_guard:key", first.position)

    assert (second,) == blocking.run(since(server.url, "key", first.position))
    assert (second,) == blocking.run(since(server.url, "key", ""))


def test_lines_go_when_their_time_is_over_by_the_clock_of_the_server(server: StoreServer) -> None:
    server.configure("stream-node-max-entries", "1")
    old = int(time.time() * 1000) - 61_000
    for step in range(5):
        server.ask("XADD", "jwt_guard:key", f"{old + step}-0", "line", "old")
    server.ask("XADD", "jwt_guard:key", f"{old + 31_000}-0", "line", "young")
    blocking.run(append(server.url, "key", b"new", 60.0))

    assert [b"young", b"new"] == [line.value for line in blocking.run(since(server.url, "key", ""))]
    assert 50_000 < server.ask("PTTL", "jwt_guard:key") <= 60_000
    server.configure("stream-node-max-entries", "100")


def test_what_somebody_else_has_put_there_is_no_value_of_ours(server: StoreServer) -> None:
    server.ask("XADD", "jwt_guard:key", "*", "other", "x")
    (line,) = blocking.run(since(server.url, "key", ""))

    assert isinstance(line, Line)
    assert b"" == line.value
    server.ask("SET", "jwt_guard:text", "x")
    for flow in (since(server.url, "text", ""), append(server.url, "text", b"x", 60.0)):
        with pytest.raises(StoreFailed, match="refuses"):
            blocking.run(flow)


def test_a_line_has_a_greatest_length(server: StoreServer) -> None:
    with pytest.raises(StoreFailed, match="at most"):
        blocking.run(append(server.url, "key", bytes(LIMIT + 1), 60.0))


LEAST = ("+xrange", "+xadd", "+xtrim", "+pexpire", "+set", "+multi", "+exec")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share-keys-between-processes.md"


def test_the_user_that_the_page_shows_may_do_what_is_needed(server: StoreServer) -> None:
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("ACL SETUSER"))
    words = line.split()
    _, _, user, _, password, keys, *commands = words
    assert set(LEAST) <= set(commands)
    server.ask("ACL", "SETUSER", user, "reset", "on", password, keys, *LEAST)
    url = f"redis://{user}:{quote(password[1:], safe='')}@127.0.0.1:{server.port}"
    denylist = Denylist(url, clock=CLOCK)
    guard = Guard([provider()], clock=CLOCK, revoked=denylist)

    assert "ada-lovelace" == said(guard, token())
    revoke(denylist, issuer=ISSUER, jti="a")
    until(lambda: guard.recall(token("b")) is None)
    server.ask("DEL", LOG)
    until(lambda: lines_of(server) == 1)


# --- who is told -----------------------------------------------------------------------------------------


def by_blocking(guard: Guard, **what: Any) -> None:
    revoke(guard, **what)


def on_asyncio(guard: Guard, **what: Any) -> None:
    anyio.run(lambda: arevoke(guard, **what), backend="asyncio")


def on_trio(guard: Guard, **what: Any) -> None:
    anyio.run(lambda: arevoke(guard, **what), backend="trio")


each_way = pytest.mark.parametrize("told", [by_blocking, on_asyncio, on_trio])


@each_way
def test_others_know_within_a_second(server: StoreServer, told: Callable[..., None]) -> None:
    here, there, good = following(server), following(server), token("good")
    for guard in (here, there):
        assert "ada-lovelace" == said(guard, token())
        assert "ada-lovelace" == said(guard, good)
    told(here, issuer=ISSUER, jti="a")
    began = time.monotonic()

    assert "Revoked" == said(here, token())
    until(lambda: said(there, token()) == "Revoked")
    assert time.monotonic() - began < KNOWN + SLACK
    for guard in (here, there):
        assert "ada-lovelace" == said(guard, good)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_is_told_the_same(server: StoreServer, backend: str) -> None:
    here, there = following(server), following(server)

    async def ask() -> None:
        assert "ada-lovelace" == (await averify(there, token())).user
        await arevoke(here, issuer=ISSUER, sub="ada-lovelace")
        with anyio.fail_after(20):
            while True:
                try:
                    await averify(there, token())
                except Revoked:
                    return
                await anyio.sleep(0.01)

    anyio.run(ask, backend=backend)


def test_whoever_begins_later_knows_too(server: StoreServer) -> None:
    denylist = Denylist(server.url, clock=CLOCK)
    for number in range(700):
        revoke(denylist, issuer=ISSUER, jti=f"{number}")
    guard = following(server)

    assert "Revoked" == said(guard, token("0"))
    assert "Revoked" == said(guard, token("699"))
    assert "ada-lovelace" == said(guard, token("700"))


def test_each_request_may_ask(server: StoreServer) -> None:
    here, there = following(server), following(server, every_request=True)
    assert "ada-lovelace" == said(there, token())
    for number in range(5):
        assert "ada-lovelace" == said(there, token(f"{number}"))
        revoke(here, issuer=ISSUER, jti=f"{number}")
        assert "Revoked" == said(there, token(f"{number}"))


def test_a_guard_without_a_list_has_nothing_to_revoke_with() -> None:
    with pytest.raises(ValueError, match="no denylist"):
        revoke(Guard([provider()]), client="shop")
    guard = Guard([provider()], clock=CLOCK, revoked=Denylist(clock=CLOCK))
    revoke(guard, client="shop")
    assert "Revoked" == said(guard, token())


# --- a store that fails ------------------------------------------------------------------------------------


class Requests:
    """Requests for one token, one after the other, and what was said to them and when."""

    def __init__(self, guard: Guard, text: str) -> None:
        self._guard, self._text = guard, text
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.said: list[tuple[float, str]] = []
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def last(self) -> str:
        return self.said[-1][1] if self.said else ""

    def after(self, moment: float) -> set[str]:
        return {word for when, word in self.said if when > moment}

    def _ask(self) -> None:
        while not self._over.wait(0.005):
            began = time.monotonic()
            word = said(self._guard, self._text)
            self.longest = max(self.longest, time.monotonic() - began)
            self.said.append((began, word))


@pytest.mark.parametrize(("when_unknown", "expected"), [("refuse", "Unavailable"), ("allow", "ada-lovelace")])
def test_while_the_store_is_away_it_is_as_the_settings_say(
    server: StoreServer, when_unknown: str, expected: str
) -> None:
    guard = following(server, when_unknown=when_unknown)
    revoke(guard, issuer=ISSUER, jti="gone")
    with in_a_hurry(), Requests(guard, token()) as requests:
        until(lambda: requests.last == "ada-lovelace")
        server.kill()
        killed = time.monotonic()
        until(lambda: requests.last == expected)
        time.sleep(KNOWN + SLACK)
        assert {expected} == requests.after(killed + KNOWN + DEADLINE + 0.5)
        assert said(guard, token("gone")) in ("Revoked", expected if expected == "Unavailable" else "Revoked")
        server.start()
        until(lambda: requests.last == "ada-lovelace")
        until(lambda: said(guard, token("gone")) == "Revoked")
    assert {"ada-lovelace", expected} == requests.after(0)


def test_a_store_that_hangs_is_one_that_is_away(server: StoreServer) -> None:
    guard = following(server)
    with in_a_hurry(), Requests(guard, token()) as requests:
        until(lambda: requests.last == "ada-lovelace")
        server.hang()
        until(lambda: requests.last == "Unavailable")
        time.sleep(KNOWN)
        server.go_on()
        until(lambda: requests.last == "ada-lovelace")
    assert requests.longest < 4 * DEADLINE + SLACK, "nobody waits for long"


def test_no_revocation_is_lost_while_the_store_comes_and_goes(server: StoreServer) -> None:
    """Also with all that the store had: whoever knows tells it again."""
    here, there = following(server), following(server)
    told: list[str] = []
    with in_a_hurry(), Requests(here, token()), Requests(there, token()) as requests:
        until(lambda: requests.last == "ada-lovelace")
        for turn in range(3):
            for number in range(5):
                with suppress(Unavailable):
                    revoke(here, issuer=ISSUER, jti=f"{turn} {number}")
                told.append(f"{turn} {number}")
            server.kill()
            with pytest.raises(Unavailable):
                revoke(here, issuer=ISSUER, jti=f"down {turn}")
            told.append(f"down {turn}")
            server.start()
            until(lambda: requests.last == "ada-lovelace")
        until(lambda: all(said(there, token(jti)) == "Revoked" for jti in told))
    newcomer = following(server)
    assert ["Revoked"] * len(told) == [said(newcomer, token(jti)) for jti in told]


def test_what_is_flushed_is_told_again_by_one_of_those_who_know(server: StoreServer) -> None:
    guards = [following(server) for _ in range(3)]
    for number in range(100):
        revoke(guards[0], issuer=ISSUER, jti=f"{number}")
    for guard in guards:
        until(partial(knows, guard, "99"))
    server.ask("FLUSHALL")
    revoke(guards[1], issuer=ISSUER, jti="after")

    until(lambda: lines_of(server) > 1)
    until(lambda: (said(guards[0], token()), said(following(server), token("57")))[1] == "Revoked")
    newcomer = following(server)
    for jti in ("0", "57", "99", "after"):
        assert "Revoked" == said(newcomer, token(jti))
    for guard in guards:
        for _ in range(100):
            said(guard, token())
            time.sleep(0.01)
    assert lines_of(server) < 20, "one of them, and not one by one"


def test_a_restart_with_older_data_is_seen(server: StoreServer) -> None:
    """As with a copy that was behind: what came after it is told again."""
    guard = following(server)
    revoke(guard, issuer=ISSUER, jti="first")
    revoke(guard, issuer=ISSUER, jti="second")
    assert "ada-lovelace" == said(guard, token())
    until(lambda: said(guard, token()) == "ada-lovelace")
    (_, second) = blocking.run(since(server.url, "revoked", ""))
    server.ask("XDEL", LOG, second.position)
    server.ask("XADD", LOG, "*", "line", '{"revoked": []}')
    until(lambda: (said(guard, token()), lines_of(server))[1] == 3)

    assert "Revoked" == said(following(server), token("second"))


def test_what_nobody_understands_is_said_to_be_unknown(server: StoreServer) -> None:
    server.ask("XADD", LOG, "*", "line", "nonsense")

    assert "Unavailable" == said(following(server), token())
    assert "ada-lovelace" == said(following(server, when_unknown="allow"), token())


def test_what_is_flushed_while_nothing_was_revoked_is_no_loss(
    server: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    guard = following(server)
    assert "ada-lovelace" == said(guard, token())
    server.ask("FLUSHALL")
    time.sleep(2 * KNOWN)

    assert "ada-lovelace" == said(guard, token())
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


# --- processes -----------------------------------------------------------------------------------------------

FORKING = """\
import json, os, sys, time
import jwt_guard.access.denylist, jwt_guard.stores.redis
from jwt_guard import Denylist, Guard, Provider, fixed, verify
from jwt_guard.errors import GuardError

jwt_guard.stores.redis.DEADLINE = 10.0
jwt_guard.access.denylist._PATIENCE = 15.0
url, key, now, issuer, audience, gone, good = sys.argv[1:]
begun = time.monotonic()
clock = lambda: float(now) + time.monotonic() - begun
provider = Provider("test", issuer, audience, fixed({"keys": [json.loads(key)]}))
guard = Guard([provider], clock=clock, revoked=Denylist(url, clock=clock))

def said(token):
    try:
        return str(verify(guard, token).user)
    except GuardError as error:
        return type(error).__name__

def wait(token, word):
    end = time.monotonic() + 20
    while said(token) != word:
        if time.monotonic() > end:
            raise SystemExit(f"{os.getpid()} still says {said(token)}")
        time.sleep(0.01)

wait(gone, "ada-lovelace")
children = []
for number in range(2):
    child = os.fork()
    if not child:
        wait(gone, "ada-lovelace")
        os.write(1, b"ready\\n")
        wait(gone, "Revoked")
        wait(good, "ada-lovelace")
        os._exit(0)
    children.append(child)
os.write(1, b"ready\\n")
wait(gone, "Revoked")
for child in children:
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a child failed")
os.write(1, b"done\\n")
"""


def test_after_a_fork_both_follow(server: StoreServer) -> None:
    words = [
        sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, server.url, *the_key(), str(NOW), ISSUER,
        AUDIENCE, token("gone"), token("good"),
    ]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert ["ready\n"] * 3 == [process.stdout.readline() for _ in range(3)], process.communicate()
        revoke(Denylist(server.url, clock=CLOCK), issuer=ISSUER, jti="gone")
        out, err = process.communicate(timeout=60)
    assert ("done\n", "", 0) == (out, err, process.returncode)


def the_key() -> Iterator[str]:
    import json

    yield json.dumps(public_jwk("ES256", "a", kid="a"))


def test_the_thread_may_end_and_begin_again(server: StoreServer) -> None:
    here, there = following(server), following(server)
    assert "ada-lovelace" == said(there, token())
    BACKGROUND.stop()
    until(lambda: said(there, token()) == "ada-lovelace")
    revoke(here, issuer=ISSUER, jti="a")
    until(lambda: said(there, token()) == "Revoked")


def test_nobody_is_followed_whom_nobody_asks(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt_guard.access.denylist._IDLE", 0.5)
    guard = following(server)
    assert isinstance(verify(guard, token()), Credentials)

    def asked() -> int:
        return int(server.ask("INFO", "commandstats").get("cmdstat_xrange", {}).get("calls", 0))

    def is_quiet() -> bool:
        before = asked()
        time.sleep(0.8)
        return asked() == before

    until(is_quiet)
    assert isinstance(verify(guard, token()), Credentials)
