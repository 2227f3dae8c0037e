"""README and docs → whether what they show is what happens: every block runs, every command, every guard file."""

from __future__ import annotations

import importlib
import re
import runpy
import socket
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Misconfigured
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from tests.docs.pages import PAGES, ROOT, Block, blocks, name_of
from tests.docs.session import Session, commands, fits

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LANGUAGES = {"python", "toml", "console", "text", "json", "http", "ini", "yaml"}
SHOWN_ONLY = {"text", "json", "http", "ini", "yaml"}
UPSTREAM = "9000"
LISTENS = f'("127.0.0.1", {UPSTREAM})'
"""Where a page itself starts the application behind a gateway; there it is another port, since that may be taken."""
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in an empty folder, where a page's modules can be imported, and forget them afterwards."""
    place = tmp_path / "page"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    monkeypatch.delenv("JWT_GUARD_CONFIG", raising=False)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("ISSUER", "http://127.0.0.1:8000")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(place)):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_is_what_happens(page: Path, folder: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    printed: str | None = None
    names: dict[str, Any] = {"__name__": "page", "a_token": a_token}
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as more:
        port, upstream = free.getsockname()[1], str(more.getsockname()[1])
    if LISTENS not in page.read_text(encoding="utf-8"):
        upstream = UPSTREAM
    with Session(folder, tools, {"8000": str(port), UPSTREAM: upstream}) as session:
        for written_block in blocks(page):
            block = replace(written_block, text=written_block.text.replace(UPSTREAM, upstream))
            where = f"{name_of(page)}:{block.line}"

            assert block.language in LANGUAGES, where
            if "not run" in block.marks:
                assert block.marks["not run"], f"{where}: it says no reason"
                continue
            if block.language in SHOWN_ONLY and printed is not None:
                assert fits(block.text, printed), f"{where}: printed\n{printed}"
                printed = None
                continue
            written = write(block, folder)
            printed = None
            if block.language == "python":
                printed = run_python(block, where, names, written)
            elif block.language == "toml":
                load(block, where, folder, written)
            elif block.language == "console":
                run_console(block, where, session)


def a_token(**changes: Any) -> str:
    """Return a good token for the guards of the pages, with *changes*: for the checks that readers do not see."""
    now = int(time.time())
    claims = {"iss": "https://id.example", "aud": "orders", "sub": "ada", "client_id": "webshop", "exp": now + 300}
    return sign(SigningKey("HS256", SECRET.encode()), {**claims, **changes})


def write(block: Block, folder: Path) -> Path | None:
    for mark, mode in (("file", "w"), ("added to", "a")):
        if mark in block.marks:
            path = folder / block.marks[mark]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode, encoding="utf-8") as file:
                file.write(block.text)
            importlib.invalidate_caches()
            return path
    return None


def run_python(block: Block, where: str, names: dict[str, Any], written: Path | None) -> str | None:
    """Return what the block prints, or None where it prints nothing."""
    said = StringIO()
    with redirect_stdout(said):
        if written is not None:
            runpy.run_path(str(written), run_name=written.stem)
        else:
            exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)  # noqa: S102 - that is the test
    return said.getvalue() or None


def load(block: Block, where: str, folder: Path, written: Path | None) -> None:
    file = written or folder / "of-this-block.toml"
    if written is None:
        file.write_text(block.text, encoding="utf-8")
    words = block.marks.get("refused")
    if words is None:
        jwt_guard.load(file)
        return
    assert words, f"{where}: it says no reason"
    with pytest.raises(Misconfigured) as caught:
        jwt_guard.load(file)
    assert fits(f"…{words}…", str(caught.value)), where


def run_console(block: Block, where: str, session: Session) -> None:
    lines = commands(block.text)

    assert lines, f"{where}: there is no command in it"
    for number, (command, shown) in enumerate(lines, 1):
        at = f"{where}: $ {command}"
        program, _, rest = command.partition(" ")
        if program == "make":
            assert re.search(rf"^{rest.split()[0]}:", MAKEFILE, re.MULTILINE), at
        elif program == "pip":
            assert_installs(rest, at)
        elif "leave running" in block.marks:
            session.start(command)
        else:
            output, status = session.run(command)
            expected = int(block.marks.get("exits", "0")) if number == len(lines) else 0

            assert expected == status, f"{at}\n{output}"
            assert not shown or fits(shown, output), f"{at}\n{output}"


def assert_installs(words: str, at: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    verb, *wanted = words.replace("'", "").split()

    assert verb == "install", at
    assert any(name.startswith(PROJECT["project"]["name"]) for name in wanted), at
    for name in wanted:
        if given := re.fullmatch(r"jwt-guard\[([a-z,]+)\]", name):
            assert set(given[1].split(",")) <= set(extras), at


def test_a_shown_output_stands_for_what_was_printed_and_nothing_else() -> None:
    assert fits("a …\n…\nz", "a b\nc\nd\nz\n")
    assert fits("…\nz", "z")
    assert not fits("a …\nz", "a b\nc\nz")
    assert not fits("a", "a\nb")
    assert not fits("a.c", "abc")


def test_a_console_block_is_read_as_a_terminal_shows_it() -> None:
    text = "$ one \\\n    two\n$ three\nfour\n"

    assert [("one \\\n    two", ""), ("three", "four")] == commands(text)
