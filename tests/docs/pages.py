"""A page of the documentation → its fenced blocks, what is marked about them, its headings and its links.

What a reader does not see stands in HTML comments: ``<!-- file: guard.toml -->`` above a block writes it to
that file, and a comment of several lines is a file (``<!-- file: shop.py``) or a check (``<!-- check``) of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MARKS", "PAGES", "ROOT", "Block", "anchors", "blocks", "links", "name_of", "prose"]

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + [*(ROOT / "docs").rglob("*.md")]
)

MARKS = {
    "file": "write it to this file",
    "added to": "write it to the end of this file",
    "refused": "this guard file is refused, with these words",
    "exits": "the last command ends with this status",
    "leave running": "the command is a server: it runs until the page ends",
    "not run": "it cannot run here, for this reason",
}

_OPENING = re.compile(r"(?P<indent> *)```(?P<language>\w*) *")
_COMMENT = re.compile(r"<!-- (?P<mark>[a-z ]+?)(?:: (?P<value>.*?))? -->")
_HIDDEN = re.compile(r"<!-- (?P<mark>file|check)(?:: (?P<value>\S+))?")
_HEADING = re.compile(r"#{1,6} (.+)")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_EXPLICIT = re.compile(r'<a id="([^"]+)">')


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block, or what is hidden in a comment."""

    language: str
    text: str
    line: int
    """Where its text begins, counted from 1."""
    marks: Mapping[str, str] = field(default_factory=dict)


def name_of(page: Path) -> str:
    """Return what a test calls *page*."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the blocks of *page* in order; ValueError for a mark that means nothing."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if opening := _OPENING.fullmatch(line):
            indent = len(opening["indent"])
            text = [inner[indent:] for _, inner in _until(lines, " " * indent + "```")]
            found.append(Block(opening["language"], "\n".join(text) + "\n", number + 1, marks))
            marks = {}
        elif comment := _COMMENT.fullmatch(line.strip()):
            if comment["mark"] not in MARKS:
                message = f"{name_of(page)}:{number}: no such mark: {comment['mark']}"
                raise ValueError(message)
            marks[comment["mark"]] = comment["value"] or ""
        elif hidden := _HIDDEN.fullmatch(line):
            text = [inner for _, inner in _until(lines, "-->")]
            inner_marks = {"file": hidden["value"]} if hidden["mark"] == "file" else {}
            language = "toml" if (hidden["value"] or "").endswith(".toml") else "python"
            found.append(Block(language, "\n".join(text) + "\n", number + 1, inner_marks))
        elif line.strip() and marks:
            message = f"{name_of(page)}:{number}: a mark stands directly above its block"
            raise ValueError(message)
    return found


def _until(lines: Iterator[tuple[int, str]], end: str) -> list[tuple[int, str]]:
    taken: list[tuple[int, str]] = []
    for number, line in lines:
        if line == end:
            return taken
        taken.append((number, line))
    message = f"nothing ends what begins with {taken[:1]}"
    raise ValueError(message)


def prose(page: Path) -> str:
    """Return the text of *page* without its blocks and comments."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Return where the links of *page* lead."""
    return _LINK.findall(re.sub(r"`[^`]*`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """Return what a link into *page* may name: its headings as forges spell them, and its explicit anchors."""
    text = prose(page)
    names: set[str] = set(_EXPLICIT.findall(text))
    seen: dict[str, int] = {}
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            count = seen[slug] = seen.get(slug, -1) + 1
            names.add(f"{slug}-{count}" if count else slug)
    return names
