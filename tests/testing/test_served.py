"""An issuer in this process → the same over HTTP: what it says, what it counts, and how it ends."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import anyio
import httpx
import pytest

from jwt_guard import Guard, KeySettings, averify
from jwt_guard.issuing.keyring import make
from jwt_guard.testing import Clock, Exchange, Fault, LocalIssuer, ServedIssuer, faults
from tests.testing.wire import METADATA, asked, connected, status, statuses, until

OPEN_FILES = Path("/dev/fd")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> Iterator[ServedIssuer]:
    with LocalIssuer(clock=clock).serve() as served:
        yield served


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "local issuer"}


def open_files() -> int:
    gc.collect()  # what other tests have forgotten
    return len(list(OPEN_FILES.iterdir()))


# --- what it says ------------------------------------------------------------------------------------


def test_it_publishes_its_keys_and_where_they_are(issuer: ServedIssuer) -> None:
    issuer.publish(make("EdDSA", "second"))
    metadata, keys = asked(issuer.url + METADATA), asked(issuer.jwks_url)

    assert (issuer.url, issuer.jwks_url) == (metadata.json()["issuer"], metadata.json()["jwks_uri"])
    assert ["ES256", "EdDSA"] == metadata.json()["id_token_signing_alg_values_supported"]
    assert issuer.keyring.jwks() == keys.json()
    assert "application/json" == metadata.headers["content-type"]
    assert "application/jwk-set+json" == keys.headers["content-type"]


def test_other_places_have_nothing(issuer: ServedIssuer) -> None:
    assert 404 == asked(f"{issuer.url}/").status_code
    assert 200 == asked(f"{issuer.url}/jwks?x=y").status_code
    assert 200 == asked(f"{issuer.url}/.well-known/oauth-authorization-server").status_code
    assert 501 == httpx.post(issuer.jwks_url, trust_env=False).status_code


def test_a_document_that_has_not_changed_is_not_sent_again(issuer: ServedIssuer) -> None:
    tag = asked(issuer.jwks_url).headers["etag"]
    for said in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = asked(issuer.jwks_url, If_None_Match=said)

        assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])

    assert 200 == asked(issuer.jwks_url, If_None_Match='"x"').status_code

    issuer.rotate()
    new = asked(issuer.jwks_url, If_None_Match=tag)

    assert 200 == new.status_code
    assert tag != new.headers["etag"]


@pytest.mark.parametrize(("max_age", "said"), [(300, "public, max-age=300"), (0, "public, max-age=0"), (None, None)])
def test_it_says_for_how_long_its_documents_may_be_kept(max_age: int | None, said: str | None) -> None:
    with LocalIssuer().serve(max_age=max_age) as issuer:
        assert said == asked(issuer.jwks_url).headers.get("cache-control")

        issuer.max_age = 7

        assert "public, max-age=7" == asked(issuer.jwks_url).headers["cache-control"]


def test_its_keys_are_those_of_the_issuer_it_was_made_of() -> None:
    of = LocalIssuer(audience="orders", clock=Clock(1_000))
    with of.serve() as issuer:
        of.rotate()
        issuer.publish(make("ES256", "third"))

        assert (of.keyring, of.clock, "orders") == (issuer.keyring, issuer.clock, issuer.audience)
        assert [key.kid for key in of.keyring.keys] == [key["kid"] for key in asked(issuer.jwks_url).json()["keys"]]
        assert 200 == status(issuer.guard(), issuer.token())
        assert 401 == status(issuer.guard(), of.token()), "its iss is another one"


def test_while_it_is_down_it_is_so_for_everybody_whatever_else_is_its_fault() -> None:
    of = LocalIssuer()
    with of.serve() as issuer:
        issuer.fault, issuer.is_down = faults.html(), True

        assert 503 == asked(issuer.jwks_url).status_code
        assert 200 == status(of.guard(), of.token()), "the one in process is asked by nobody over HTTP"

        issuer.is_down = False

        assert "text/html" == asked(issuer.jwks_url).headers["content-type"]


# --- time --------------------------------------------------------------------------------------------


def test_a_token_by_a_new_key_is_taken_at_once_while_time_stands_still(issuer: ServedIssuer) -> None:
    guard = issuer.guard()

    assert 200 == status(guard, issuer.token())

    issuer.rotate()

    assert 200 == status(guard, issuer.token())
    assert 2 == issuer.requests["/jwks"]


@pytest.mark.parametrize(("max_age", "fresh_for"), [(300, 9), (None, 300)])
def test_keys_grow_old_by_the_clock_of_the_test(clock: Clock, max_age: int | None, fresh_for: float) -> None:
    with LocalIssuer(clock=clock).serve(max_age=max_age) as issuer:
        guard = issuer.guard(keys=issuer.keys(KeySettings(fresh_for=fresh_for)))
        old, key = issuer.token(lifetime=3_600), issuer.key
        issuer.rotate()

        assert 200 == status(guard, old)

        issuer.retire(key.kid)
        clock.forward(200)

        assert 200 == status(guard, old), "nobody has asked again"
        assert 1 == issuer.requests["/jwks"]

        clock.forward(100)
        status(guard, old)  # and now somebody does, behind it
        issuer.wait_for(lambda: issuer.requests["/jwks"] == 2)
        until(lambda: status(guard, old) == 401)


def test_keys_are_given_up_by_the_clock_of_the_test(issuer: ServedIssuer, clock: Clock) -> None:
    guard = issuer.guard()

    assert 200 == status(guard, issuer.token())

    issuer.is_down = True
    clock.forward(24 * 3_600 - 60)

    assert 200 == status(guard, issuer.token())

    clock.forward(60)

    assert 503 == status(guard, issuer.token())


def test_any_function_may_be_the_clock() -> None:
    with LocalIssuer(clock=lambda: 1_000.0).serve() as issuer:
        assert 200 == status(issuer.guard(), issuer.token())


# --- what it counts ----------------------------------------------------------------------------------


def test_requests_are_counted_by_path(issuer: ServedIssuer) -> None:
    for url in (issuer.jwks_url, f"{issuer.jwks_url}?x", issuer.url + METADATA, f"{issuer.url}/x"):
        asked(url)
    counted = issuer.requests
    counted["/jwks"] = 99

    assert {"/jwks": 2, METADATA: 1, "/x": 1} == dict(issuer.requests)
    assert 0 == issuer.requests["/y"]


def test_those_under_way_are_seen(issuer: ServedIssuer) -> None:
    issuer.fault = faults.hang()

    assert 0 == issuer.under_way

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(asked, issuer.jwks_url) for _ in range(3)]
        issuer.wait_for(lambda: issuer.under_way == 3)

        assert 3 == issuer.requests["/jwks"]

        issuer.release()

        assert {200} == {answer.result(10).status_code for answer in answers}

    issuer.wait_for(lambda: issuer.under_way == 0)


def test_waiting_comes_to_an_end(issuer: ServedIssuer) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        issuer.wait_for(lambda: issuer.under_way == 1, seconds=0.01)


@pytest.mark.parametrize("error", [ZeroDivisionError("in the fault"), FileNotFoundError("in the fault")])
def test_an_error_in_a_fault_is_shown_and_stops_nothing(
    issuer: ServedIssuer, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fault(_exchange: Exchange) -> None:
        raise error

    issuer.fault = fault
    with pytest.raises(httpx.RemoteProtocolError):
        asked(issuer.jwks_url)
    issuer.wait_for(lambda: issuer.under_way == 0)
    issuer.fault = None

    assert 200 == asked(issuer.jwks_url).status_code
    until(lambda: f"{type(error).__name__}: in the fault" in capsys.readouterr().err)


def test_a_client_that_goes_is_no_error(issuer: ServedIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    issuer.fault = faults.in_turn(faults.drip(), faults.hang(faults.huge(5_000_000)))
    for number in (1, 2):
        connected(issuer.url).close()
        issuer.wait_for(lambda number=number: issuer.requests["/jwks"] == number)  # type: ignore[misc]  # a default, so that it is this number
        issuer.release()
        issuer.wait_for(lambda: issuer.under_way == 0)

    assert 200 == asked(issuer.jwks_url).status_code
    assert "" == capsys.readouterr().err


# --- many --------------------------------------------------------------------------------------------


def test_two_are_served_at_once() -> None:
    with LocalIssuer().serve() as one, LocalIssuer().serve() as other:
        one.fault = faults.reset()

        assert one.url != other.url
        assert 200 == status(other.guard(), other.token())
        assert 401 == status(other.guard(), one.token())
        assert {} == dict(one.requests)


def test_many_threads_need_one_fetch(issuer: ServedIssuer) -> None:
    guard = issuer.guard()
    issuer.fault = faults.slow(0.2)

    assert [200] * 20 == statuses(guard, [issuer.token() for _ in range(20)])
    assert 1 == issuer.requests["/jwks"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_event_loops_are_served_alike(issuer: ServedIssuer, backend: str) -> None:
    async def users() -> list[str]:
        guard, seen = issuer.guard(), list[str | None]()

        async def one(name: str) -> None:
            seen.append((await averify(guard, issuer.token(sub=name))).user)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(one, f"user {number}")
        return sorted(map(str, seen))

    assert [f"user {number}" for number in range(10)] == anyio.run(users, backend=backend)
    assert 1 == issuer.requests["/jwks"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_can_be_served_inside_an_event_loop(backend: str) -> None:
    async def user() -> str | None:
        with LocalIssuer().serve() as issuer:
            guard: Guard = issuer.guard()
            return (await averify(guard, issuer.token())).user

    assert "ada" == anyio.run(user, backend=backend)


# --- the end -----------------------------------------------------------------------------------------


def test_afterwards_nobody_listens() -> None:
    with LocalIssuer().serve() as issuer:
        guard, never_asked = issuer.guard(), issuer.guard(keys=issuer.keys(KeySettings(timeout=0.3)))

        assert 200 == status(guard, issuer.token())

    with pytest.raises(ConnectionRefusedError):
        connected(issuer.url)
    assert 200 == status(guard, issuer.token())
    assert 503 == status(never_asked, issuer.token())


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="this system does not say which files are open")
@pytest.mark.parametrize(
    "make_fault", [faults.hang, faults.drip, lambda: faults.slow(60)], ids=["hang", "drip", "slow"]
)
def test_nothing_is_left_of_it_however_many_hang(make_fault: Callable[[], Fault]) -> None:
    files, others = open_files(), threads()
    with ExitStack() as clients:
        with LocalIssuer().serve() as issuer:
            issuer.fault = make_fault()
            for _ in range(20):
                clients.enter_context(closing(connected(issuer.url)))
            issuer.wait_for(lambda: issuer.under_way == 20)
            began = time.monotonic()

        assert time.monotonic() - began < 1
        assert set() == threads() - others
        assert 0 == issuer.under_way

    assert files == open_files()


def test_who_has_not_said_what_they_want_does_not_keep_it() -> None:
    others = threads()
    with LocalIssuer().serve() as issuer:
        port = int(issuer.url.rpartition(":")[2])
        silent = socket.create_connection(("127.0.0.1", port), 10)
        until(lambda: len(threads() - others) == 2)  # the one that accepts, and the one that reads
        began = time.monotonic()

    assert time.monotonic() - began < 1
    assert set() == threads() - others
    with closing(silent):
        assert b"" == silent.recv(1)


def test_it_ends_where_its_test_fails() -> None:
    others = threads()

    def fail() -> None:
        with LocalIssuer().serve() as issuer:
            issuer.fault = faults.hang()
            with closing(connected(issuer.url)):
                issuer.wait_for(lambda: issuer.under_way == 1)
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert set() == threads() - others
