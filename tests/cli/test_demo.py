"""The demo: it shows what it says, notices what is wrong, and leaves nothing behind."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from jwt_guard.cli import demo
from jwt_guard.cli.demo import cases, rotation, story
from jwt_guard.cli.demo.asking import Answer, Reasons, read
from jwt_guard.cli.demo.cases import Case, Verdict
from jwt_guard.cli.demo.table import as_expected
from jwt_guard.errors import Expired
from jwt_guard.issuing.keyring import Keyring

ROOT = Path(__file__).parents[2]
# In development mode, what is not closed is said on standard error.
COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "jwt_guard", "demo"]
EVERYTHING = len(cases.OPEN_SHOP) + len(cases.WITHOUT_ISSUER) + 2


def told(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """Run the demo in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        encoding=encoding,
        timeout=60,
        check=False,
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long."""
    monkeypatch.setattr(rotation, "_LEAST", 1)
    monkeypatch.setattr(rotation, "_BEFORE", 0.0)
    monkeypatch.setattr(rotation, "_AFTER", 0.0)
    monkeypatch.setattr(cases, "OPEN_SHOP", cases.OPEN_SHOP[:1])
    monkeypatch.setattr(cases, "WITHOUT_ISSUER", ())


def test_every_answer_is_the_expected_one_and_nothing_stays_open() -> None:
    ran = told()

    # asyncio's own words on a crowded machine, in development mode
    said = [line for line in ran.stderr.splitlines() if not line.startswith("Executing ")]
    assert [] == said
    assert 0 == ran.returncode, ran.stdout
    assert EVERYTHING == len(re.findall("^✓", ran.stdout, re.MULTILINE))
    assert "✗" not in ran.stdout
    assert re.search(r"good, by the old key .* 0 of [1-9][0-9]* refused", ran.stdout)
    assert re.search(r"good, by the new key .* 0 of [1-9][0-9]* refused", ran.stdout)
    assert re.search(r"expired +401 +401 +401 +invalid_token: exp is over", ran.stdout)
    assert "everything as expected" in ran.stdout.splitlines()[-1]


def test_the_log_is_shown_when_asked_for_and_a_plain_terminal_will_do() -> None:
    ran = told("--log", encoding="ascii")

    assert 0 == ran.returncode, ran.stdout
    assert EVERYTHING == len(re.findall("^[+]", ran.stdout, re.MULTILINE))
    assert re.search(r"^refused [0-9a-f]{16}: 401 Expired: exp: ", ran.stderr, re.MULTILINE)
    assert "eyJ" not in ran.stdout + ran.stderr  # how each token begins


def test_kept_running_it_takes_the_token_it_gave_and_goes_when_told(tmp_path: Path) -> None:
    with kept(tmp_path) as (process, lines):
        file = Path(next(line for line in lines if "TOKEN=" in line).partition("cat ")[2].rstrip(")\n"))
        headers = {"Authorization": f"Bearer {file.read_text('ascii')}"}
        shown = [line for line in lines if "Bearer $TOKEN" in line]
        answers = [httpx.get(line.split()[-1], headers=headers, trust_env=False) for line in shown]
        mode = stat.S_IMODE(file.stat().st_mode)
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)

    assert [200, 200] == [answer.status_code for answer in answers]
    assert [{"user": "ada", "client": "webshop"}] * 2 == [answer.json() for answer in answers]
    assert 0o600 == mode
    assert 0 == status
    assert not file.exists()


@contextmanager
def kept(directory: Path) -> Generator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the demo with --keep until it waits, and give what it said."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "TMPDIR": str(directory)}
    with subprocess.Popen(
        [*COMMAND, "--keep"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            yield process, lines
        finally:
            process.kill()


@pytest.mark.usefixtures("short")
def test_a_verdict_that_is_not_the_expected_one_is_marked_and_ends_in_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = cases.OPEN_SHOP[0]
    wrong = replace(good, what="a wrong hope", expected=Verdict(401, "invalid_token"))
    monkeypatch.setattr(cases, "OPEN_SHOP", (good, wrong))

    status = story.tell(keep=False, log=False)

    said = capsys.readouterr().out
    assert 1 == status
    assert re.search(r"^✓ .* a good token ", said, re.MULTILINE)
    assert re.search(r"^✗ .* a wrong hope +401 +200 +200 ", said, re.MULTILINE)
    assert "1 not as expected" in said.splitlines()[-1]


@pytest.mark.usefixtures("short")
def test_a_key_that_signs_unpublished_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Keyring, "jwks", lambda ring: {"keys": [dict(ring.keys[0].public)]})

    status = story.tell(keep=False, log=False)

    said = capsys.readouterr().out
    assert 1 == status
    assert re.search(r"^✗ .* by the new key .* ([1-9]\d*) of \1 refused", said, re.MULTILINE)


@pytest.mark.usefixtures("short")
def test_left_to_itself_the_short_demo_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    status = story.tell(keep=False, log=False)

    assert 0 == status, capsys.readouterr().out


def test_without_its_parts_it_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name in {"flask", "waitress"} else object())

    status = demo.run(argparse.Namespace(keep=False, log=False))

    assert 1 == status
    assert ("", "The demo needs flask and waitress: pip install 'jwt-guard[demo]'\n") == capsys.readouterr()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="orders"'}), "a token is needed"),
        (httpx.Response(401), "no challenge"),
        (httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="orders"'}), "no challenge"),
        (httpx.Response(403, headers={"WWW-Authenticate": 'Bearer realm="o", error="x_y", scope="a"'}), "x_y"),
        (httpx.Response(503, headers={"Retry-After": "5"}), "come back later"),
        (httpx.Response(503), "no Retry-After"),
        (httpx.Response(503, headers={"Retry-After": "soon"}), "no Retry-After"),
        (httpx.Response(405, headers={"Allow": "GET"}), "allowed: GET"),
        (httpx.Response(200, json={"user": None, "client": None}), "anybody"),
        (httpx.Response(200, json={"user": None, "client": "shop"}), "the client shop"),
        (httpx.Response(200, json={"user": "ada", "client": "shop"}), "ada, through shop"),
    ],
    ids=range(11),
)
def test_an_answer_is_read_as_a_client_reads_it(response: httpx.Response, expected: str) -> None:
    assert Verdict(response.status_code, expected) == read(response, Reasons()).verdict


def test_a_reason_is_found_under_the_id_of_the_answer() -> None:
    reasons = Reasons()
    error = Expired("exp", "is over")
    record = logging.LogRecord("jwt_guard", logging.INFO, __file__, 1, "%s %s", ("abc", error), None)
    record.jwt_guard_id = "abc"
    reasons.handle(record)

    found, unknown, without = (read(refusal(body), reasons).reason for body in ({"id": "abc"}, {"id": "x"}, {}))

    assert ("exp is over", "not in the log", "no id in the body") == (found, unknown, without)


def refusal(body: dict[str, str]) -> httpx.Response:
    return httpx.Response(401, content=json.dumps(body), headers={"Content-Type": "application/problem+json"})


def test_one_door_that_says_otherwise_is_enough_to_be_wrong() -> None:
    case = Case("x", cases.nothing, Verdict(401, "invalid_token"))
    good, bad = Answer(Verdict(401, "invalid_token"), "y"), Answer(Verdict(401, "no challenge"), "y")

    assert as_expected(case, {"a": good, "b": good})
    assert not as_expected(case, {"a": good, "b": bad})
    assert not as_expected(case, {})
