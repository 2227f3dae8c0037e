"""A flow → its result: both runners answer each need, throw failures back, and close what they do not finish."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jwt_guard import Guard, Provider, averify, jwks, salted, verify
from jwt_guard.errors import InvalidToken, SaltFailed
from jwt_guard.flow import Fetch, Flow, alone, call, fetch, later, pause
from jwt_guard.runners import awaiting, blocking
from jwt_guard.runners.background import BACKGROUND
from tests.support.bad_issuer import BadIssuer, hangs
from tests.support.keys import secret
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, mint


def by_blocking(flow: Flow[Any]) -> Any:
    return blocking.run(flow)


def on_asyncio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="asyncio")


def on_trio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="trio")


LOOPS = (on_asyncio, on_trio)
each_runner = pytest.mark.parametrize("run", [by_blocking, *LOOPS])
each_loop = pytest.mark.parametrize("loop", ["asyncio", "trio"])


def plain(number: int) -> int:
    return number + 1


async def waiting(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return number + 1


def waiting_in_a_thread(number: int) -> Any:
    return waiting(number)


@each_runner
def test_a_flow_that_needs_nothing_just_returns(run: Callable[[Flow[Any]], Any]) -> None:
    def flow() -> Flow[int]:
        return 5
        yield

    assert 5 == run(flow())


@each_runner
@pytest.mark.parametrize("off_the_loop", [False, True])
@pytest.mark.parametrize("function", [plain, waiting, waiting_in_a_thread])
def test_functions_are_called_and_awaited(
    run: Callable[[Flow[Any]], Any], function: Callable[[int], object], *, off_the_loop: bool
) -> None:
    def flow() -> Flow[object]:
        one = yield from call(function, 1, blocking=off_the_loop)
        two = yield from call(function, one, blocking=off_the_loop)
        return (one, two)

    assert (2, 3) == run(flow())


def test_a_blocking_runner_awaits_on_the_one_thread_there_is() -> None:
    async def where() -> bool:
        return BACKGROUND.is_here()

    assert blocking.run(call(where)) is True


@each_runner
def test_failures_are_thrown_into_the_flow_which_may_go_on(run: Callable[[Flow[Any]], Any]) -> None:
    def flow() -> Flow[list[str]]:
        seen = []
        for error in (ValueError("a"), StopIteration("b"), TimeoutError("c"), InvalidToken("d")):
            try:
                yield from call(fail, error)
            except Exception as caught:  # noqa: BLE001 - all of them
                seen.append(f"{type(caught).__name__}")
        return seen

    assert ["ValueError", "RuntimeError", "TimeoutError", "InvalidToken"] == run(flow())


def fail(error: BaseException) -> None:
    raise error


@each_runner
def test_what_the_flow_does_not_catch_comes_out(run: Callable[[Flow[Any]], Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        run(call(fail, ZeroDivisionError()))


@each_runner
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_closes_the_flow(run: Callable[[Flow[Any]], Any], error: type[BaseException]) -> None:
    closed = []

    def flow() -> Flow[None]:
        try:
            yield from call(fail, error())
        except Exception:  # noqa: BLE001 - it must not get here
            closed.append("as a failure")
        finally:
            closed.append("closed")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - trio groups what it lets out
        run(flow())

    assert caught.group_contains(error) if isinstance(caught.value, BaseExceptionGroup) else caught.errisinstance(error)
    assert ["closed"] == closed


def test_an_interrupt_while_waiting_closes_the_flow_and_leaves_the_fetch_to_others() -> None:
    closed = []
    with BadIssuer(hangs()) as issuer:

        def flow() -> Flow[None]:
            try:
                yield from fetch(Fetch(issuer.url))
            finally:
                closed.append(True)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(KeyboardInterrupt):
                blocking.run(flow())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert [True] == closed


@each_loop
def test_being_cancelled_closes_the_flow(loop: str) -> None:
    closed = []

    def flow() -> Flow[None]:
        try:
            yield from call(anyio.sleep_forever)
        finally:
            closed.append(True)

    async def cancel() -> None:
        with anyio.move_on_after(0.01):
            await awaiting.run(flow())

    anyio.run(cancel, backend=loop)

    assert [True] == closed


@each_runner
def test_what_runs_alone_runs_once_and_its_bugs_go_to_the_log(
    run: Callable[[Flow[Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def work() -> Flow[None]:
        seen.append((yield from call(plain, 1)))
        raise ZeroDivisionError

    def flow() -> Flow[str]:
        yield from alone("key", work, 5)
        return "went on"

    assert "went on" == run(flow())
    assert [2] == seen
    assert "work in the background failed" in caplog.text
    assert "went on" == run(flow())
    assert [2, 2] == seen, "the next one runs again"


@each_runner
def test_what_runs_later_keeps_nobody_waiting(run: Callable[[Flow[Any]], Any]) -> None:
    go, gone = threading.Event(), threading.Event()

    def work() -> Flow[None]:
        yield from call(go.wait, 5, blocking=True)
        gone.set()

    def flow() -> Flow[bool]:
        yield from later(work, work)
        return gone.is_set()

    assert run(flow()) is False
    go.set()
    assert gone.wait(5)


@each_runner
def test_who_waits_gives_up_at_the_deadline(run: Callable[[Flow[Any]], Any]) -> None:
    go = threading.Event()

    def work() -> Flow[None]:
        yield from call(go.wait, 5, blocking=True)

    def flow() -> Flow[str]:
        yield from alone(work, work, 0.05)
        return "looked again"

    assert "looked again" == run(flow())
    assert not go.is_set()
    go.set()


@each_runner
def test_a_pause_lasts_as_long_as_it_says_and_the_flow_goes_on(run: Callable[[Flow[Any]], Any]) -> None:
    def flow() -> Flow[float]:
        before = time.monotonic()
        yield from pause(0.0)
        yield from pause(0.02)
        return time.monotonic() - before

    assert 0.019 < run(flow())


@each_loop
def test_a_pause_holds_up_no_loop_and_ends_when_cancelled(loop: str) -> None:
    closed = []

    def flow() -> Flow[None]:
        try:
            yield from pause(3600.0)
        finally:
            closed.append(True)

    async def serve() -> bool:
        with anyio.move_on_after(0.01) as scope:
            await awaiting.run(flow())
        return scope.cancelled_caught

    assert anyio.run(serve, backend=loop)
    assert [True] == closed


def test_a_pause_that_would_stop_all_fetches_is_refused() -> None:
    async def pauses_by_blocking() -> None:
        blocking.run(pause(3600.0))

    with pytest.raises(RuntimeError, match=r"await jwt_guard\.averify\(\) there"):
        blocking.run(call(pauses_by_blocking))


@each_loop
def test_a_generator_that_waits_does_not_hold_up_the_loop(loop: str) -> None:
    go = threading.Event()

    def generate(_claims: object) -> bytes:
        assert go.wait(5), "the loop did not run on"
        return secret()

    provider = Provider(name="salted", issuer=ISSUER, audience=AUDIENCE, keys=salted(generate, blocking=True))
    guard = Guard([provider], clock=lambda: NOW)

    async def serve() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(averify, guard, mint(alg="HS256"))
            await anyio.sleep(0.01)
            go.set()

    anyio.run(serve, backend=loop)


@each_loop
def test_a_generator_that_does_not_wait_runs_on_the_loop(loop: str) -> None:
    threads = []

    def generate(_claims: object) -> bytes:
        threads.append(threading.current_thread())
        return secret()

    provider = Provider(name="salted", issuer=ISSUER, audience=AUDIENCE, keys=salted(generate))
    guard = Guard([provider], clock=lambda: NOW)
    anyio.run(averify, guard, mint(alg="HS256"), backend=loop)

    assert [threading.current_thread()] == threads


def test_blocking_on_the_thread_that_does_the_work_is_refused_and_does_not_hang() -> None:
    with BadIssuer() as issuer:
        inner = Guard([Provider(name="in", issuer=ISSUER, audience=AUDIENCE, keys=jwks(issuer.url))], clock=lambda: NOW)

        async def generate(_claims: object) -> bytes:
            verify(inner, mint())  # should be averify
            return secret()

        outer = Guard(
            [Provider(name="out", issuer=ISSUER, audience=AUDIENCE, keys=salted(generate))], clock=lambda: NOW
        )
        with pytest.raises(SaltFailed, match="RuntimeError"):
            verify(outer, mint(alg="HS256"))
        assert "ada" == verify(inner, mint(claims(sub="ada"))).user, "the thread lives"


def test_a_generator_that_exits_does_not_take_the_thread_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async def generate(_claims: object) -> bytes:
        raise SystemExit(3)

    provider = Provider(name="salted", issuer=ISSUER, audience=AUDIENCE, keys=salted(generate))
    with pytest.raises(SaltFailed, match="SystemExit"):
        verify(Guard([provider], clock=lambda: NOW), mint(alg="HS256"))

    assert 2 == blocking.run(call(waiting, 1))


def test_nothing_that_runs_in_the_background_ends_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    async def leaves() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        blocking.run(call(leaves))

    assert "tried to end its thread" in caplog.text
    assert 2 == blocking.run(call(waiting, 1))
    caplog.clear()


@pytest.mark.parametrize("token", [None, 5, b"a.b.c", ["a"]])
def test_what_is_no_text_is_no_token(token: Any) -> None:
    with BadIssuer() as issuer:
        guard = Guard([Provider(name="t", issuer=ISSUER, audience=AUDIENCE, keys=jwks(issuer.url))])
        with pytest.raises(InvalidToken, match="a token is text"):
            verify(guard, token)
        with pytest.raises(InvalidToken, match="a token is text"):
            anyio.run(averify, guard, token)
