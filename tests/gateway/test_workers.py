"""A pipe → a beat that is heard, or not, or that tells a worker that nobody is left to hear it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from jwt_guard.gateway.workers import _beating


@pytest.fixture
def raised() -> Iterator[list[int]]:
    """Give the signals that end a worker, as they come."""
    found: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        found.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_beat_that_nobody_hears_any_more_ends_the_worker_once(
    raised: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    read, write = os.pipe()
    beat = _beating(write)
    beat()

    assert b"." == os.read(read, 10)
    assert [] == raised
    os.close(read)
    beat()
    beat()
    os.close(write)

    assert [signal.SIGTERM] == raised
    assert 1 == caplog.text.count("so that this one ends")


def test_a_minder_that_does_not_listen_for_long_holds_nobody_up(raised: list[int]) -> None:
    read, write = os.pipe()
    beat = _beating(write)
    octets = 0
    for _ in range(70_000):  # more than a pipe takes
        beat()
    os.set_blocking(read, False)
    while True:
        try:
            octets += len(os.read(read, 1 << 20))
        except BlockingIOError:
            break
    os.close(read)
    os.close(write)

    assert 0 < octets < 70_000
    assert [] == raised
