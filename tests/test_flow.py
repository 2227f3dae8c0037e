"""A flow → the needs it states, and what the answers make of it."""

from __future__ import annotations

import pytest

from jwt_guard.errors import StoreFailed
from jwt_guard.flow import (
    Alone,
    Call,
    Entry,
    Fetch,
    Flow,
    Later,
    Line,
    Need,
    Pause,
    Reply,
    Stored,
    Trust,
    alone,
    append,
    call,
    claim,
    fetch,
    later,
    pause,
    read,
    since,
    write,
)


def play(flow: Flow[object], *answers: object) -> tuple[object, list[Need]]:
    """Answer the needs of *flow* in turn; return its result, and what it asked."""
    asked: list[Need] = []
    try:
        asked.append(next(flow))
        for answer in answers:
            asked.append(flow.send(answer))  # noqa: PERF401 - the flow may end here, and what it asked counts
    except StopIteration as stop:
        return stop.value, asked
    raise AssertionError(f"the flow asks for more than {len(answers)} answers")


def test_a_fetch_is_answered_with_a_reply() -> None:
    need = Fetch("https://id.test/jwks")
    reply = Reply(200, {}, b"{}")

    assert (reply, [need]) == play(fetch(need), reply)


def test_a_call_states_function_and_arguments() -> None:
    assert (3, [Call(max, (1, 3), blocking=True)]) == play(call(max, 1, 3, blocking=True), 3)
    assert not Call(max, ()).blocking


def nothing() -> Flow[None]:
    yield from ()


def test_work_for_one_at_a_time_has_no_result() -> None:
    assert (None, [Alone("key", nothing, 5.0)]) == play(alone("key", nothing, 5.0), None)


def test_work_nobody_waits_for_has_none_either() -> None:
    assert (None, [Later("key", nothing)]) == play(later("key", nothing), None)


def test_a_pause_states_its_seconds() -> None:
    assert (None, [Pause(1.5)]) == play(pause(1.5), None)


STORE = "redis://:hunter2@redis.test/0"


def test_reading_states_the_key_and_gives_what_the_store_had() -> None:
    entry = Entry(b"value", 59.5)

    assert (entry, [Stored(STORE, "read", "key")]) == play(read(STORE, "key"), entry)
    assert (None, [Stored(STORE, "read", "key")]) == play(read(STORE, "key"), None)


def test_writing_states_value_and_lifetime() -> None:
    asked: list[Need] = [Stored(STORE, "write", "key", b"value", 60.0)]

    assert (None, asked) == play(write(STORE, "key", b"value", 60.0), None)


@pytest.mark.parametrize("ours", [True, False])
def test_a_claim_states_its_lifetime_and_says_whether_it_is_ours(*, ours: bool) -> None:
    assert (ours, [Stored(STORE, "claim", "key", lifetime=60.0)]) == play(claim(STORE, "key", 60.0), ours)


@pytest.mark.parametrize("flow", [read(STORE, "key"), write(STORE, "key", b"", 1.0), claim(STORE, "key", 1.0)])
def test_a_store_that_fails_is_for_the_flow_to_catch(flow: Flow[object]) -> None:
    next(flow)

    with pytest.raises(StoreFailed):
        flow.throw(StoreFailed("the store does not answer"))


def test_a_fetch_is_bounded_unless_somebody_says_otherwise() -> None:
    need = Fetch("https://id.test/jwks")

    assert 0 < need.deadline <= 5
    assert 0 < need.limit <= 262_144
    assert Trust(None, None) == need.trust


def test_needs_show_no_claims_and_replies_no_body() -> None:
    assert "lovelace" not in repr(Call(max, ("lovelace",)))
    assert "lovelace" not in repr(Reply(200, {}, b"lovelace"))


def test_needs_of_a_store_show_no_password_and_no_value() -> None:
    assert "Stored(command='write', key='key', lifetime=60.0)" == repr(Stored(STORE, "write", "key", b"lovelace", 60.0))
    assert "Entry(remaining=60.0)" == repr(Entry(b"lovelace", 60.0))


def test_a_line_is_appended_and_those_from_a_position_on_are_read() -> None:
    lines = (Line("1-0", b"value"),)

    assert (None, [Stored("redis://store", "append", "key", b"value", 5.0)]) == play(
        append("redis://store", "key", b"value", 5.0), None
    )
    assert (lines, [Stored("redis://store", "since", "key", b"1-0")]) == play(
        since("redis://store", "key", "1-0"), lines
    )
    assert "value" not in repr(lines)
