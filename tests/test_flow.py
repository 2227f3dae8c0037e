"""A flow → the needs it states, and what the answers make of it."""

from __future__ import annotations

from jwt_guard.flow import Alone, Call, Fetch, Flow, Later, Need, Reply, Trust, alone, call, fetch, later


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


def test_a_fetch_is_bounded_unless_somebody_says_otherwise() -> None:
    need = Fetch("https://id.test/jwks")

    assert 0 < need.deadline <= 5
    assert 0 < need.limit <= 262_144
    assert Trust(None, None) == need.trust


def test_needs_show_no_claims_and_replies_no_body() -> None:
    assert "lovelace" not in repr(Call(max, ("lovelace",)))
    assert "lovelace" not in repr(Reply(200, {}, b"lovelace"))
