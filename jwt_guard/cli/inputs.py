"""A file, ``env:NAME``, ``-`` or the text itself → what is there, so that no token has to stand on a command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Misconfigured

if TYPE_CHECKING:
    import argparse

__all__ = ["SOURCES", "add_config", "read_secret", "read_token"]

SOURCES = "a file, env:NAME for an environment variable, or - for standard input"
_MOST_OCTETS = 1_048_576
_SHORTEST_TOKEN = 40


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` to *parser*."""
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration; else JWT_GUARD_CONFIG names it, else ./guard.toml"
    )


def read_token(source: str) -> str:
    """Return the token that *source* leads to, or *source* where that can only be a token itself."""
    octets = _read(source)
    if octets is None:
        if not _looks_like_a_token(source):
            raise Misconfigured("there is no such file (nor does the argument look like a token)")
        if sys.stderr.isatty():
            print("jwt-guard: note: a token on the command line stays in the shell's history", file=sys.stderr)
        return source
    return octets.decode("utf-8", "replace")  # what is not UTF-8 is no token, and is refused as that


def read_secret(source: str) -> bytes:
    """Return the secret that *source* leads to, which need not be text."""
    octets = _read(source)
    if octets is None:
        raise Misconfigured(f"the secret is in {SOURCES}; there is no such file")
    return octets


def _read(source: str) -> bytes | None:
    """Return what is at *source* without the line end that files have, or None where there is no such file."""
    if source == "-":
        octets = sys.stdin.buffer.read(_MOST_OCTETS + 1)
    elif source.startswith("env:"):
        value = os.environ.get(source[4:])
        if value is None:
            raise Misconfigured("the environment has no variable of this name")
        octets = os.fsencode(value)
    elif os.path.exists(source):  # noqa: PTH110 - Path.exists() raises for a name that is too long, as a token is
        try:
            with Path(source).open("rb") as file:
                octets = file.read(_MOST_OCTETS + 1)
        except OSError as error:
            raise Misconfigured(f"the file cannot be read: {error.strerror}") from None
    else:
        return None
    if len(octets) > _MOST_OCTETS:
        raise Misconfigured("that is more than 1 MiB")
    return octets.removesuffix(b"\n").removesuffix(b"\r")


def _looks_like_a_token(text: str) -> bool:
    return text.startswith("ey") or text.count(".") > 1 or " " in text or len(text) >= _SHORTEST_TOKEN
