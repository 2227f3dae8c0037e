"""Many callers, one issuer that misbehaves → one fetch at a time, nobody who has a key waits, nobody is poisoned."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from jwt_guard import Guard, KeySettings, Provider, averify, jwks, verify
from jwt_guard.errors import GuardError, InvalidToken, KeysUnavailable, UnknownKey
from jwt_guard.sources.jwks import RemoteKeys
from tests.support.bad_issuer import BadIssuer, answer, hangs, key_set, resets, says
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, mint

LOOPS = ("asyncio", "trio")
WAYS = ("threads", *LOOPS)
A, B = (mint(claims(sub="ada"), which=which) for which in "ab")


def guard(source: RemoteKeys) -> Guard:
    return Guard([Provider(name="test", issuer=ISSUER, audience=AUDIENCE, keys=source)], clock=lambda: NOW)


def guard_of(issuer: BadIssuer, **settings: Any) -> Guard:
    return guard(jwks(issuer.url, KeySettings(**settings)))


def outcome(of: Guard, token: str) -> str | type[GuardError] | None:
    """Return who the token is, or the type of what is wrong with it."""
    try:
        return verify(of, token).user
    except GuardError as error:
        return type(error)


async def aoutcome(of: Guard, token: str) -> str | type[GuardError] | None:
    try:
        return (await averify(of, token)).user
    except GuardError as error:
        return type(error)


def together(way: str, of: Guard, tokens: list[str], meanwhile: Callable[[], object]) -> list[Any]:
    """Verify *tokens* at the same time, with *meanwhile* going on in a thread; return the outcomes."""
    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(meanwhile)
        outcomes = _together(way, of, tokens)
        done.result()
    return outcomes


def _together(way: str, of: Guard, tokens: list[str]) -> list[Any]:
    if way == "threads":
        with ThreadPoolExecutor(len(tokens)) as pool:
            return list(pool.map(lambda token: outcome(of, token), tokens))

    async def all_of_them() -> list[Any]:
        outcomes: list[Any] = []

        async def one(token: str) -> None:
            outcomes.append(await aoutcome(of, token))

        async with anyio.create_task_group() as group:
            for token in tokens:
                group.start_soon(one, token)
        return outcomes

    return anyio.run(all_of_them, backend=way)


def after_a_request(issuer: BadIssuer, pause: float = 0.1) -> Callable[[], None]:
    """Return what lets the issuer go on once it was asked and everybody had time to queue."""

    def release() -> None:
        issuer.wait_for(lambda: bool(issuer.requests))
        time.sleep(pause)
        issuer.released.set()

    return release


# --- one fetch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_forty_first_callers_make_one_fetch(way: str) -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer:
        outcomes = together(way, guard_of(issuer), [A] * 40, after_a_request(issuer))

    assert ["ada"] * 40 == outcomes
    assert 1 == len(issuer.requests)


def test_forty_first_callers_of_all_kinds_and_two_guards_make_one_fetch() -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer, ThreadPoolExecutor(len(WAYS)) as pool:
        source = jwks(issuer.url)
        guards = {way: guard(source) for way in WAYS}
        running = [pool.submit(_together, way, guards[way], [A] * 14) for way in WAYS]
        after_a_request(issuer)()
        outcomes = [who for future in running for who in future.result()]

    assert ["ada"] * 42 == outcomes
    assert 1 == len(issuer.requests)


@pytest.mark.parametrize("way", WAYS)
def test_a_rotation_while_requests_run_is_taken_by_all_of_them(way: str) -> None:
    with BadIssuer() as issuer:
        rotating = guard_of(issuer)
        assert "ada" == outcome(rotating, A)
        issuer.way = hangs(answer(key_set("a", "b")))
        issuer.wait_for(lambda: issuer.holding == 0)
        issuer.requests.clear()

        outcomes = together(way, rotating, [B] * 20, after_a_request(issuer))

    assert ["ada"] * 20 == outcomes
    assert 1 == len(issuer.requests)


def test_a_fetch_that_began_before_the_rotation_is_made_again_once() -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer, ThreadPoolExecutor(10) as pool:
        rotating = guard_of(issuer)
        first = pool.submit(outcome, rotating, A)
        issuer.wait_for(lambda: issuer.holding == 1)
        late = [pool.submit(outcome, rotating, B) for _ in range(8)]
        time.sleep(0.1)  # they wait for a fetch whose answer was made before their key was
        issuer.way = says(answer(key_set("a", "b")))
        issuer.released.set()

        assert "ada" == first.result()
        assert ["ada"] * 8 == [future.result() for future in late]
    assert 2 == len(issuer.requests)


@pytest.mark.parametrize("way", WAYS)
def test_unknown_kids_cost_a_handful_of_fetches_one_at_a_time(way: str) -> None:
    tokens = [mint(claims(sub="ada"), header={"kid": f"bogus-{number}"}) for number in range(100)]
    with BadIssuer() as issuer:
        flooded = guard_of(issuer)
        outcomes = together(way, flooded, tokens, lambda: None)
        assert "ada" == outcome(flooded, A)

    assert {UnknownKey} <= set(outcomes) <= {UnknownKey, KeysUnavailable}
    assert len(issuer.requests) <= 4
    assert 1 == issuer.most_at_once


@pytest.mark.parametrize("way", WAYS)
def test_unknown_kids_cost_no_more_while_the_issuer_fails(way: str) -> None:
    tokens = [mint(claims(sub="ada"), header={"kid": f"bogus-{number}"}) for number in range(100)]
    with BadIssuer() as issuer:
        flooded = guard_of(issuer)
        outcome(flooded, A)
        issuer.way = resets()
        outcomes = together(way, flooded, tokens, lambda: None)
        assert "ada" == outcome(flooded, A)

    assert {KeysUnavailable} == set(outcomes)
    assert len(issuer.requests) <= 4
    assert 1 == issuer.most_at_once


# --- nobody who has a key waits ----------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_known_keys_never_wait_while_a_fetch_hangs(way: str) -> None:
    with BadIssuer() as issuer, ThreadPoolExecutor(1) as pool:
        slow = guard_of(issuer, fresh_for=0)
        outcome(slow, A)
        issuer.wait_for(lambda: issuer.holding == 0)
        issuer.way = hangs(answer(key_set("a")))
        issuer.requests.clear()
        stuck = pool.submit(outcome, slow, B)
        issuer.wait_for(lambda: issuer.holding == 1)

        outcomes = _together(way, slow, [A] * 100)

        assert 1 == issuer.holding, "the issuer has not answered yet"
        assert not stuck.done()
        assert ["ada"] * 100 == outcomes
        assert 1 == len(issuer.requests), "nor was it asked by anybody else"
        issuer.released.set()
        assert UnknownKey is stuck.result()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_runs_on_while_one_of_its_tasks_waits_for_keys(loop: str) -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer:
        cold = guard_of(issuer)

        async def serve() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(averify, cold, A)
                while not issuer.requests:  # noqa: ASYNC110 - another thread sees them
                    await anyio.sleep(0.001)
                assert 1 == issuer.holding
                issuer.released.set()

        anyio.run(serve, backend=loop)


@pytest.mark.parametrize("way", WAYS)
def test_who_must_wait_waits_no_longer_than_the_timeout(way: str) -> None:
    with BadIssuer(hangs()) as issuer:
        before = time.monotonic()
        outcomes = _together(way, guard_of(issuer, timeout=0.2), [A] * 5)
        took = time.monotonic() - before

    assert [KeysUnavailable] * 5 == outcomes
    assert 0.2 <= took < 2


@pytest.mark.parametrize("way", WAYS)
def test_without_any_time_nobody_waits(way: str) -> None:
    with BadIssuer() as issuer:
        assert [KeysUnavailable] * 3 == _together(way, guard_of(issuer, timeout=0), [A] * 3)


def test_a_token_that_could_not_be_good_waits_for_nobody_and_asks_nobody() -> None:
    with BadIssuer(hangs()) as issuer:
        cold = guard_of(issuer)
        for bad in (claims(exp=NOW - 1_000), claims(aud="others"), claims(nbf=NOW + 1_000)):
            with pytest.raises(InvalidToken):
                verify(cold, mint(bad))

    assert [] == issuer.requests


# --- callers that go away ----------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_first_caller_does_not_poison_the_others(loop: str) -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer:
        cold = guard_of(issuer)
        outcomes: list[Any] = []

        async def second() -> None:
            outcomes.append(await aoutcome(cold, A))

        async def serve() -> None:
            async with anyio.create_task_group() as group:
                with anyio.CancelScope() as first:
                    group.start_soon(second)
                    async with anyio.create_task_group() as inner:
                        inner.start_soon(averify, cold, A)
                        await anyio.to_thread.run_sync(issuer.wait_for, lambda: issuer.holding == 1)
                        first.cancel()
                assert first.cancelled_caught
                issuer.released.set()

        anyio.run(serve, backend=loop)

    assert ["ada"] == outcomes
    assert 1 == len(issuer.requests)


def test_a_loop_that_is_gone_does_not_poison_the_others() -> None:
    with BadIssuer(hangs(answer(key_set("a")))) as issuer:
        cold = guard_of(issuer)

        async def give_up() -> None:
            with anyio.move_on_after(0.05):
                await averify(cold, A)

        for loop in LOOPS:
            anyio.run(give_up, backend=loop)
        issuer.released.set()

        assert "ada" == outcome(cold, A)
    assert 1 == len(issuer.requests)


# --- loops within threads within loops ---------------------------------------------------------------


def test_verify_works_inside_a_running_loop() -> None:
    with BadIssuer() as issuer:

        async def handler() -> str | None:
            return verify(guard_of(issuer), A).user

        assert "ada" == asyncio.run(handler())
        assert "ada" == trio.run(handler)


def test_many_loops_one_after_another_share_the_keys() -> None:
    with BadIssuer() as issuer:
        shared = guard_of(issuer)
        for loop in LOOPS * 3:
            assert "ada" == anyio.run(aoutcome, shared, A, backend=loop)

    assert 1 == len(issuer.requests)


# --- an issuer that comes back -----------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_cold_start_recovers_with_the_issuer(way: str) -> None:
    with BadIssuer(says(answer(status="500 Oh"))) as issuer:
        cold = guard_of(issuer, cooldown=0.05)
        assert [KeysUnavailable] * 3 == _together(way, cold, [A] * 3)
        issuer.way = says(answer(key_set("a")))
        time.sleep(0.06)

        assert ["ada"] == _together(way, cold, [A])


def test_known_keys_work_on_while_the_issuer_is_switched_off() -> None:
    with BadIssuer() as issuer:
        off = guard_of(issuer, fresh_for=0)
        assert "ada" == outcome(off, A)

    for _ in range(20):
        assert "ada" == outcome(off, A)
        time.sleep(0.002)
    assert KeysUnavailable is outcome(off, B)


def test_a_thousand_calls_leave_no_thread_behind() -> None:
    with BadIssuer() as issuer:
        busy = guard_of(issuer, fresh_for=0)
        outcome(busy, A)
        before = threading.active_count()
        for _ in range(1_000):
            outcome(busy, A)

        assert threading.active_count() <= before + 20, "the issuer has one for each of its few connections"
        assert 1 == sum(thread.name == "jwt_guard" for thread in threading.enumerate())
