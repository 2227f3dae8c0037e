"""`jwt-guard demo`: an issuer and two guarded apps on this machine → who is let in, and why not."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..commands import Commands

__all__ = ["add_parser", "run"]

_NEEDED = ("flask", "uvicorn", "waitress")


def add_parser(subparsers: Commands) -> None:
    """Add the command to the others."""
    parser = subparsers.add_parser(
        "demo",
        help="who is let in and why not, shown on this machine",
        description="Starts an issuer and two guarded apps on loopback, sends them good and bad requests, and prints"
        " who was let in and why not.  Exits with 1 if any answer is not the expected one.",
    )
    parser.add_argument("--keep", action="store_true", help="leave it running, with curl lines to try, until Ctrl-C")
    parser.add_argument("--log", action="store_true", help="show what the guard logs, on standard error")


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 where every answer was the expected one."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(f"The demo needs {' and '.join(missing)}: pip install 'jwt-guard[demo]'", file=sys.stderr)
        return 1
    from .story import tell

    return tell(keep=arguments.keep, log=arguments.log)
