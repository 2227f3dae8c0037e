"""``python -m benchmarks`` → a table with every goal in it; how fast it is here and now is not the question."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from benchmarks import calling, compiled, doors, fhir, gateway, hot, memory, served
from benchmarks.__main__ import SUITES
from benchmarks.drawing import chart, table
from benchmarks.rounds import Batches, Line, Middle, in_turn, middle
from tests.live import fhir_servers

HERE = Path(__file__).parents[2]
GOALS = [
    "RS256: jwt_guard",
    "RS256: faster than PyJWT",
    "PS256: jwt_guard",
    "ES256: jwt_guard",
    "EdDSA: jwt_guard",
    "HS256: jwt_guard",
    "issuing RS256: Issuer.access_token()",
    "issuing ES256: Issuer.access_token()",
    "refusing: unknown kid",
    "refusing: algorithm that does not fit",
    "refusing: 5 MB",
    "import jwt_guard",
    "pytest: our plugin",
]


def test_every_goal_gets_a_figure_and_a_verdict() -> None:
    drawn = HERE / "docs" / "figures" / "verification.svg"
    before = drawn.read_bytes()
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks",
        "cold",
        "issuing",
        "refusals",
        "imports",
        "--rounds",
        "2",
    ]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=HERE, timeout=120, check=False)

    assert 0 == ran.returncode, ran.stderr
    for goal in GOALS:
        assert re.search(rf"^\| {re.escape(goal)} +\| .*\d.* \| (≤|≥) .* \| (yes|NO) ", ran.stdout, re.MULTILINE), goal
    assert before == drawn.read_bytes(), "a partial run leaves the documentation alone"


def test_a_missed_goal_fails_the_gate() -> None:
    code = (
        "import sys, benchmarks.__main__ as b\n"
        "b.SUITES = {'cold': lambda rounds, draw: [b.Row('x', '2 s', '1 s', False)]}\n"
        "sys.argv = ['benchmarks', 'cold', *sys.argv[1:]]\n"
        "sys.exit(b.main())"
    )
    codes = [
        subprocess.run([sys.executable, "-c", code, *more], capture_output=True, cwd=HERE, check=False).returncode
        for more in ([], ["--gate"])
    ]

    assert [0, 1] == codes


def test_a_chart_and_a_table_hold_what_they_were_given() -> None:
    drawn = chart("A <title>", {"RS256": {"raw": 20.0, "a&b": 40.0}}, "µs")

    assert "A &lt;title&gt;" in drawn
    assert "a&amp;b" in drawn
    assert 2 == len(re.findall(r'<rect x="150"', drawn))
    assert "| a   | b |" == table(["a", "b"], [["1.5", "2"]]).splitlines()[0]


QUICK = 2
ROWS: dict[str, tuple[Callable[[int], list[Line]], list[str]]] = {
    "hot": (
        hot.rows,
        [
            "hot: 100 tokens at random",
            "hot: 100 tokens at random: faster than PyJWT",
            "hot: 2,000 tokens at random",
        ],
    ),
    "memory": (memory.rows, ["memory: 2,000 tokens, each", "memory: 2,000 tokens, a full gc.collect()"]),
    "doors": (
        doors.rows,
        [
            "raw ASGI: added",
            "Starlette, current(): added",
            "Starlette, request.user: added",
            "FastAPI, middleware: added",
            "FastAPI, dependency: added",
            "Flask: added",
            "REST framework: added",
            "REST framework, behind the middleware: added",
        ],
    ),
    "served": (partial(served.rows, wrk=None), ["uvicorn, Starlette: kept, by our own client"]),
}


@pytest.mark.parametrize("suite", ROWS)
def test_each_goal_of_the_second_visit_gets_a_figure_and_a_verdict(suite: str) -> None:
    rows, goals = ROWS[suite]
    told = {what: (figure, goal, reached) for what, figure, goal, reached in rows(QUICK)}

    assert goals == [what for what, (_, _, reached) in told.items() if reached is not None]
    for what, (figure, goal, reached) in told.items():
        assert re.search(r"\d", figure), what
        assert (reached is None) is (not re.search(r"[≤≥] .*\d", goal)), what


def test_what_is_not_remembered_is_not_called_a_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = jwt_guard.Guard

    def forgetful(providers: Sequence[jwt_guard.Provider], policy: jwt_guard.Policy, *, memory: object) -> object:
        return guard(providers, policy, memory=None)

    monkeypatch.setattr(jwt_guard, "Guard", forgetful)

    with pytest.raises(RuntimeError, match="no hits"):
        hot.remembered(1, {"few": 10, "many": 10})


def test_a_server_that_lets_everybody_in_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_status", lambda *_: 200)

    with pytest.raises(RuntimeError, match="guarded server answered"):
        served.kept(1, 0.1, None)


def test_a_door_that_lets_everybody_in_is_not_measured() -> None:
    world = calling.World.new()
    app = doors.starlette_app()

    assert 3 == len(calling.asgi_batches(app, world, "/current", 3).arguments())
    with pytest.raises(RuntimeError, match=r"answered \[200\], not 401"):
        calling.asgi_batches(app, world, "/current", 3, refuses=True)


def test_a_door_that_lets_nobody_in_is_not_measured() -> None:
    def closed(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        start_response("401 Unauthorized", [])
        return []

    with pytest.raises(RuntimeError, match=r"answered \[401\], not 200"):
        calling.wsgi_batches(closed, calling.World.new(), "/current", 3)


def test_each_door_with_a_peer_is_held_to_a_share_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(theirs: float) -> list[Line]:
        found = {
            door: {doors.OURS: Middle(2, 1, 3), peer.name: Middle(theirs * peer.goal, 1, 2)}
            for door, peer in doors.PEERS.items()
        }
        monkeypatch.setattr(doors, "added", lambda _rounds: found)
        return doors.rows(QUICK)

    assert {"≤ 1/80", "≤ 1/60", "≤ 1/200"} == {goal for _, _, goal, _ in told(2)}
    assert {True} == {reached for _, _, _, reached in told(2)}
    assert {False} == {reached for _, _, _, reached in told(1.9)}


def test_the_compiled_policy_is_held_to_the_one_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def told(ours: tuple[float, ...]) -> list[Line]:
        def measured(rounds: int) -> compiled.Cost:
            asked.append(rounds)
            return compiled.Cost(ours, (100.0, 200.0))

        monkeypatch.setattr(compiled, "compiled", measured)
        return compiled.rows(25)

    by_hand, policy = told((105.0, 300.0))

    assert ("100.0 µs", None) == (by_hand[1], by_hand[3])
    assert ("1.05 × by hand (1.05 to 1.50, median 1.27), 105.0 µs", "≤ 1.05 ×", True) == policy[1:]
    assert told((106.0, 300.0))[1][3] is False
    assert [compiled._MOST_ROUNDS] * 2 == asked
    monkeypatch.setattr(compiled, "compiled", lambda _: None)
    assert [] == compiled.rows(25), "no wrk, no row"


def test_the_gateway_is_held_to_nginx_and_envoy(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*costs: float) -> list[tuple[str, bool | None]]:
        names = (
            "nginx, a constant 200", "the service alone", "nginx, without a guard",
            "nginx + the service, tokens seen before", "nginx + the service, nothing remembered",
            "Envoy's filter, with its cache", "Envoy's filter, without",
        )  # fmt: skip
        figures = {name: gateway.Figure(cost, 1.0) for name, cost in zip(names, costs, strict=True)}
        monkeypatch.setattr(gateway, "measured", lambda _: figures)
        return [(row.figure, row.reached) for row in SUITES["gateway"](25, draw=False)[len(names) :]]

    assert [("1.50 ×", True), ("3.50 ×", True), ("+ 40.0 µs", True), ("1.00 ×", True)] == told(
        10, 10, 20, 20, 60, 30, 70
    )
    assert [("1.45 ×", False), ("3.45 ×", False), ("+ 41.0 µs", None), ("0.91 ×", False)] == told(
        10, 11, 20, 20, 61, 29, 69
    )
    monkeypatch.setattr(gateway, "measured", lambda _: {})
    assert [] == SUITES["gateway"](25, draw=False), "no wrk, no row"


def test_searches_of_a_real_server_are_measured_through_the_fhir_guard() -> None:
    if not (fhir_servers.is_installed() and Path("/proc/self/schedstat").exists()):
        pytest.skip("sekmet-fhir cannot be had, or the system does not tell of CPU times")
    told = {what: (figure, goal, reached) for what, figure, goal, reached in fhir.rows(QUICK)}

    assert [
        "FHIR: a search of 50 entries before sekmet-fhir, with the extra",
        "FHIR: a search, all one patient's, with the extra",
        "FHIR: a search, every third another's, with the extra",
    ] == [what for what, (_, _, reached) in told.items() if reached is not None]
    assert 14 == len(told)
    assert all(re.match(r"\d+\.\d", figure) for figure, _, _ in told.values()), told


def test_the_fhir_guard_is_held_to_a_share_of_the_servers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(ours: float) -> tuple[str, bool | None]:
        found = {fhir._DIRECTLY: [fhir._Cost(2, 0, 3)] * 5, fhir._WITH: [fhir._Cost(9, ours, 4)] * 5}
        monkeypatch.setattr(fhir, "_costs", lambda *_: found)
        ((_, figure, _, reached),) = fhir._before_a_server(25)
        return figure, reached

    monkeypatch.setattr(fhir, "is_installed", lambda: True)

    assert ("15.0% (15.0% to 15.0%), 0.30 ms beside 2.00 ms; on the wall 4.0 ms after 3.0 ms", True) == told(0.3)
    assert told(0.31)[1] is False
    monkeypatch.setattr(fhir, "is_installed", lambda: False)
    assert None is fhir._before_a_server(25)[0][3]


def test_a_searchset_that_is_not_filtered_as_it_should_be_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="666 entries were found, not 1000"):
        fhir._searching("patient/*.rs", fhir._searchset(3), 1_000)


def test_contestants_take_turns_and_the_order_is_turned_round() -> None:
    ran: list[str] = []

    def contestant(name: str) -> Batches:
        return Batches(lambda: [name, name], ran.extend, 2)

    times = in_turn({"a": contestant("a"), "b": contestant("b")}, 2, "test", turns=2)

    assert "aabb" == "".join(ran[:4]), "once each, untold"
    assert "aaaabbbbbbbbaaaabbbbaaaaaaaabbbb" == "".join(ran[4:])
    assert {"a": 2, "b": 2} == {name: len(taken) for name, taken in times.items()}
    assert all(microseconds > 0 for taken in times.values() for microseconds in taken)


def test_what_is_warmed_up_is_not_counted() -> None:
    ran: list[str] = []
    warmed = Batches(lambda: ["a", "b", "c"], ran.extend, warm=2)

    assert [1] == [len(taken) for taken in in_turn({"a": warmed}, 1, "test").values()]
    assert "abc" + "ab" + "abc" == "".join(ran)


def test_a_middle_has_its_quartiles_around_it() -> None:

    assert Middle(5, 3, 7) == middle([9, 1, 8, 2, 7, 3, 6, 4, 5])
    assert Middle(2, 2, 2) == middle([2])
