"""Records → lines: JSON that programs read, and text for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from datetime import datetime

import pytest

from jwt_guard.errors import MissingToken
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.lines import log_to_standard_error
from jwt_guard.observing.log import log_refusal

LOG = logging.getLogger("jwt_guard")


@pytest.fixture
def _log() -> Generator[None]:
    before = (LOG.handlers[:], LOG.level, LOG.propagate)
    yield
    LOG.handlers[:], LOG.propagate = before[0], before[2]
    LOG.setLevel(before[1])


@pytest.mark.usefixtures("_log")
def test_a_refusal_is_one_line_of_json_with_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("json")
    log_refusal(MissingToken(), PlainRequest("GET", "/a\n\u2028b"), "0123")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert ("info", "0123", "MissingToken") == (found["level"], found["id"], found["error"])
    assert found["message"].startswith("refused 0123: 401 MissingToken: ")
    assert datetime.fromisoformat(found["time"]).utcoffset() is not None
    assert line.isascii()


@pytest.mark.usefixtures("_log")
def test_other_records_have_no_id_and_a_bug_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("json")
    LOG.info("plain")
    try:
        raise ValueError  # noqa: TRY301 - to be logged
    except ValueError:
        LOG.exception("bad")
    plain, bad = map(json.loads, capsys.readouterr().err.splitlines())
    assert {"time", "level", "logger", "message"} == plain.keys()
    assert "ValueError" in bad["traceback"]


@pytest.mark.usefixtures("_log")
def test_people_get_text(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("text")
    LOG.info("plain")
    assert capsys.readouterr().err.endswith(" INFO plain\n")
