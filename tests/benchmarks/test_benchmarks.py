"""``python -m benchmarks`` → a table with every goal in it; how fast it is here and now is not the question."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.drawing import chart, table

HERE = Path(__file__).parents[2]
GOALS = [
    "RS256: jwt_guard",
    "RS256: faster than PyJWT",
    "PS256: jwt_guard",
    "ES256: jwt_guard",
    "EdDSA: jwt_guard",
    "HS256: jwt_guard",
    "refusing: unknown kid",
    "refusing: algorithm that does not fit",
    "refusing: 5 MB",
    "import jwt_guard",
]


def test_every_goal_gets_a_figure_and_a_verdict() -> None:
    drawn = HERE / "docs" / "figures" / "verification.svg"
    before = drawn.read_bytes()
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks", "cold", "refusals", "imports", "--rounds", "2"]
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
