"""Run every benchmark, print what each cost beside its goal, and draw the pictures of the documentation."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jwt_guard.tokens import decoding

from . import (
    compiled,
    doors,
    fast,
    fhir,
    fleet,
    gateway,
    hot,
    imports,
    issuing,
    memory,
    proxying,
    refusals,
    served,
    slow_keys,
    stampede,
    verification,
)
from .drawing import chart, table

if TYPE_CHECKING:
    from .rounds import Line

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "how-fast.table.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its goal."""

    what: str
    figure: str
    goal: str
    reached: bool | None
    """None: a figure for comparison, without a goal of ours."""

    @property
    def verdict(self) -> str:
        """Return the word in the table."""
        return {True: "yes", False: "NO", None: ""}[self.reached]


def cold(rounds: int, *, draw: bool) -> list[Row]:
    """Measure the verification of tokens that were never seen before."""
    rows, groups = [], {}
    for algorithm in verification.ALGORITHMS:
        figures = verification.cold(algorithm, rounds)
        groups[algorithm] = {name: figure.microseconds for name, figure in figures.items()}
        for name, figure in figures.items():
            goal = verification.GOALS[algorithm] if name == "jwt_guard" else None
            low, high = figure.spread
            rows.append(
                Row(
                    f"{algorithm}: {name}",
                    f"{figure.ratio:.2f} × raw ({low:.2f} to {high:.2f}), {figure.microseconds:.1f} µs",
                    "" if goal is None else f"≤ {goal} × raw",
                    None if goal is None else figure.ratio <= goal,
                )
            )
        if algorithm == "RS256":
            faster = figures["PyJWT"].ratio / figures["jwt_guard"].ratio
            rows.append(Row("RS256: faster than PyJWT", f"{faster:.2f} ×", "≥ 2.7 ×", faster >= verification.FASTER))
    if draw:
        FIGURES.mkdir(parents=True, exist_ok=True)
        FIGURES.joinpath("verification.svg").write_text(
            chart("One verification of a token never seen before, CPU time", groups, "µs"), encoding="utf-8"
        )
    return rows


def bad_tokens(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Measure what refusing costs."""
    rows = []
    for kind, figures in refusals.refused(rounds).items():
        ours = figures["jwt_guard"].microseconds
        goal = refusals.GOALS.get(kind)
        if "PyJWT" in figures:
            ratio = figures["PyJWT"].ratio
            rows.append(
                Row(
                    f"refusing: {kind}",
                    f"1/{ratio:.1f} of PyJWT, {ours:.2f} µs",
                    "" if goal is None else f"≤ 1/{goal:g}",
                    None if goal is None else ratio >= goal,
                )
            )
        if kind in refusals.OVERLONG:
            limit = refusals.OVERLONG_MICROSECONDS
            rows.append(Row(f"refusing: {kind}", f"{ours:.2f} µs", f"≤ {limit:g} µs", ours <= limit))
    return rows


def start(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Measure what importing adds to a bare interpreter."""
    rows = []
    for name, milliseconds in imports.added(max(5, rounds // 3)).items():
        goal = imports.GOALS.get(name)
        rows.append(
            Row(
                name,
                f"+ {milliseconds:.1f} ms",
                "" if goal is None else f"≤ {goal:g} ms",
                None if goal is None else milliseconds <= goal,
            )
        )
    return rows


def stampedes(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Count the fetches that 200 cold requests cause."""
    goal = stampede.GOAL
    return [
        Row(f"stampede of 200: {way}", f"{fetches} fetches", f"≤ {goal}", fetches <= goal)
        for way, fetches in stampede.stampedes().items()
    ]


def slow(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Measure what a refresh that takes 3 s costs those who have a key."""
    found = slow_keys.slow_keys()
    slower, blocked = slow_keys.SLOWER_GOAL, slow_keys.BLOCKED_GOAL
    is_unchanged = found.answered and found.slower <= slower
    return [
        Row("3 s JWKS: p99 of known keys", f"{found.slower:.2f} ×", f"≤ {slower} ×", is_unchanged),
        Row(
            "3 s JWKS: loop blocked longer",
            f"{found.blocked:.1f} ms",
            f"≤ {blocked:g} ms",
            found.answered and found.blocked <= blocked,
        ),
    ]


def fleets(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Simulate the fetches of whole fleets of workers."""
    goal = fleet.GOAL
    return [
        Row(
            f"fetches per hour, {workers:,} workers",
            f"{alone:,.0f}; with a store {shared:,.0f}",
            f"≤ {goal:g} with a store",
            shared <= goal,
        )
        for workers, alone, shared in fleet.rows((1, 10, 100, 1_000), progress=True)
    ]


def gateways(rounds: int, *, draw: bool) -> list[Row]:  # noqa: ARG001 - each suite is called alike
    """Measure the forward-auth service beside nginx and Envoy; no row where there is no wrk."""
    figures = gateway.measured(min(rounds, 5))
    if not figures:
        return []
    cost = {name: figure.microseconds for name, figure in figures.items()}
    seen, cached = cost["nginx + the service, tokens seen before"], cost["Envoy's filter, with its cache"]
    uncached, constant = cost["Envoy's filter, without"], cost["nginx, a constant 200"]
    alone = cost["the service alone"]
    adds = cost["nginx + the service, nothing remembered"] - cost["nginx, without a guard"]
    # What Envoy's filter adds to a token that it has not seen, is more than what it adds to one that it has.
    at_least = uncached - cached
    return [
        *(Row(f"gateway: {name}", f"{value:.1f} µs", "", None) for name, value in cost.items()),
        Row("nginx + the service: Envoy, with its cache", f"{cached / seen:.2f} ×", "≥ 1.5 ×", cached / seen >= 1.5),
        Row("nginx + the service: Envoy, without", f"{uncached / seen:.2f} ×", "≥ 3.5 ×", uncached / seen >= 3.5),
        Row(
            "nginx + the service: a new token",
            f"+ {adds:.1f} µs",
            f"≤ {at_least:.1f} µs and more",
            True if adds <= at_least else None,
        ),
        Row("the service alone: a constant 200", f"{constant / alone:.2f} ×", "≥ 1 ×", constant / alone >= 1),
    ]


def told(lines: Callable[[int], list[Line]]) -> Callable[..., list[Row]]:
    """Return the suite of what *lines* tells."""
    return lambda rounds, *, draw: [Row(*line) for line in lines(rounds)]  # noqa: ARG005 - each suite is called alike


SUITES: dict[str, Callable[..., list[Row]]] = {
    "hot": told(hot.rows),
    "memory": told(memory.rows),
    "doors": told(doors.rows),
    "served": told(served.rows),
    "proxy": told(proxying.rows),
    "gateway": gateways,
    "compiled": told(compiled.rows),
    "fhir": told(fhir.rows),
    "stampede": stampedes,
    "slow keys": slow,
    "fleet": fleets,
    "cold": cold,
    "fast": told(fast.rows),
    "issuing": told(issuing.rows),
    "refusals": bad_tokens,
    "imports": start,
}


def main() -> int:
    """Run what is asked for; exit 1 where a goal is missed and ``--gate`` says that this matters."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suite",
        nargs="*",
        choices=[[], *SUITES],
        help="all of them where none is named: then the documentation's table and picture are made anew",
    )
    parser.add_argument("--rounds", type=int, default=25, help="more rounds, less noise (default 25)")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a goal is missed")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.suite or SUITES:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += SUITES[name](arguments.rounds, draw=not arguments.suite)
    head = ["what", "figure", "goal", "reached"]
    text = table(head, [[row.what, row.figure, row.goal, row.verdict] for row in rows])
    print(text)
    if not arguments.suite:
        machine = f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}"
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        with_extra = " and ".join(decoding.active) or "the standard library's decoders, but for the rows with the extra"
        words = f"Medians of {arguments.rounds} interleaved rounds, {machine}, with {with_extra}."
        PAGE.write_text(f"{text}\n\n{words}\n", encoding="utf-8")
    missed = [row.what for row in rows if row.reached is False]
    if missed:
        print(f"goals missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed and arguments.gate else 0


if __name__ == "__main__":
    sys.exit(main())
