"""Words → words in colour, where somebody sees it and wants it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

__all__ = ["painted", "wrapped"]

_COLOURS = {"ok": "32", "failed": "31", "not checked": "33", "wrong": "31", "risky": "33"}


def painted(word: str, width: int = 0) -> str:
    """Return *word*, filled up to *width*, in the colour of its meaning on a terminal that shows colours."""
    filled = word.ljust(width)
    colour = _COLOURS.get(word)
    # https://no-color.org: set and not empty
    if colour is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return filled
    return f"\x1b[{colour}m{filled}\x1b[0m"


def wrapped(text: str, indent: int) -> str:
    """Return *text* in lines that fit the terminal, the later ones indented; in a pipe it stays one line."""
    if not sys.stdout.isatty():
        return text
    room = max(40, shutil.get_terminal_size().columns - indent)
    return ("\n" + " " * indent).join(textwrap.wrap(text, room, break_on_hyphens=False))
