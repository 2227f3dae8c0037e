"""Everything that jwt_guard logs during the tests → the test fails in which a token, a key or a claim set is in it.

What is signed here is noted, so that a signature is known wherever it turns up; the rest is told by its shape.  The
log is looked at whether a test has it written or not: a line that only shows where somebody asks for it is one, too.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from jwt_guard.issuing.signing import SigningKey

__all__ = ["Watch", "leaks_in", "look_at", "note", "note_secret"]

_LOG = logging.getLogger("jwt_guard")
_FIRST = 16
"""Characters by which something is known."""
_MOST = 50_000
"""Things that are remembered of late, and as many again of those before."""
_RUN = re.compile(rf"[A-Za-z0-9_-]{{{_FIRST},}}")
_SHAPES = {
    "a part of a token": re.compile(r"eyJ[A-Za-z0-9_-]{17}"),  # it begins as each JSON object does in base64url
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a member of a private key": re.compile(r"""\\?['"](?:d|p|q|dp|dq|qi|k|priv)\\?['"]: ?\\?['"][A-Za-z0-9_-]{20}"""),
}
_CLAIM = re.compile(r"""\\?['"](sub|jti|exp|iat|nbf|client_id|scope|scp|azp)\\?['"]: ?""")
_FORMATTER = logging.Formatter()
_noted: tuple[set[str], set[str]] = (set(), set())


def note(octets: bytes) -> bytes:
    """Remember *octets*, a signature or a key, as a token or a JWK has them; return them."""
    _remember(base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")[:_FIRST])
    return octets


def note_secret(octets: bytes) -> None:
    """Remember *octets* also as they are, where they are a text."""
    note(octets)
    found = _RUN.fullmatch(octets.decode("latin-1"))
    if found is not None:
        _remember(found[0])


def _remember(text: str) -> None:
    global _noted  # noqa: PLW0603 - one pair for the whole run
    young, _ = _noted
    if len(young) >= _MOST:
        young = set()
        _noted = young, _noted[0]
    young.add(text)


def leaks_in(text: str) -> list[str]:
    """Return what is in *text* that should not be: what it is, and never how it reads."""
    young, old = _noted
    found = [name for name, shape in _SHAPES.items() if shape.search(text)]
    if len({each[1] for each in _CLAIM.finditer(text)}) > 1:
        found.append("a claim set")
    for run in _RUN.findall(text):
        first = run[:_FIRST]
        if first in young or first in old or run in young or run in old:
            found.append("a signature or a secret")
            break
    return found


def look_at(text: str) -> None:
    """Fail where *text*, which another process has logged, has something in it that should not be there."""
    found = {leak for line in text.splitlines() for leak in leaks_in(line)}

    assert not found, f"another process has logged {', '.join(sorted(found))}"


class Watch:
    """A plugin of pytest; ``-p no:leaks`` does without it, where it is registered under that name."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._enabled: Callable[[int], bool] = _LOG.isEnabledFor
        self._post_init: Callable[[SigningKey], None] = SigningKey.__post_init__

    def pytest_sessionstart(self) -> None:
        """Note what is signed from now on, and look at what is logged."""
        vars(_LOG)["isEnabledFor"] = lambda _level: True  # the filter asks what it was, when it has looked
        _LOG.addFilter(self._look)
        made = self._post_init

        def noting(key: SigningKey) -> None:
            made(key)
            if isinstance(key.material, bytes):
                note_secret(key.material)
            sign = key.sign
            object.__setattr__(key, "sign", lambda octets: note(sign(octets)))

        SigningKey.__post_init__ = noting  # type: ignore[method-assign, assignment]

    def pytest_unconfigure(self) -> None:
        """Leave everything as it was."""
        vars(_LOG).pop("isEnabledFor", None)
        _LOG.removeFilter(self._look)
        SigningKey.__post_init__ = self._post_init  # type: ignore[method-assign, assignment]

    def _look(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.exc_info:
            text += _FORMATTER.formatException(record.exc_info)
        found = leaks_in(text)
        if found:
            where = f"{record.module}:{record.lineno}"
            self.found.append(f"{', '.join(found)} in what {where} has logged: {record.msg!r:.60}")
        return self._enabled(record.levelno)

    def _fail(self) -> None:
        found, self.found = self.found, []
        if found:
            pytest.fail("there is " + "; and ".join(found), pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        """Look at what was logged meanwhile."""
        result = yield
        self._fail()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Look at what was logged meanwhile."""
        result = yield
        self._fail()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        """Look at what was logged meanwhile."""
        result = yield
        self._fail()
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look at what was logged after the last test."""
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
