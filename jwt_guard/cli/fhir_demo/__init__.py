"""`jwt-guard fhir-demo`: a FHIR server, the guard, and three apps with different scopes → who sees what."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..commands import Commands

__all__ = ["add_parser", "run"]

_NEEDED = ("aiohttp", "httptools", "uvicorn")


def add_parser(subparsers: Commands) -> None:
    """Add the command to the others."""
    parser = subparsers.add_parser(
        "fhir-demo",
        help="a real FHIR server, three apps with different scopes, who sees what",
        description="Starts a FHIR server that knows nothing of SMART with the guard in front of it, puts two made-up "
        "patients there, and shows what three apps with different scopes get to see. Exits with 1 if any answer is "
        "not the expected one.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--sekmet", metavar="PROGRAM", help="the program of sekmet-fhir, the FHIR server (the one on the PATH)"
    )
    which.add_argument(
        "--server", metavar="URL", help="the base URL of a FHIR R4 server that runs; the patients are written there"
    )
    parser.add_argument("--keep", action="store_true", help="leave it running, with curl lines to try, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 where every answer was the expected one."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(f"The demo needs {' and '.join(missing)}: pip install 'jwt-guard[gateway]'", file=sys.stderr)
        return 1
    from .story import tell

    return tell(sekmet=arguments.sekmet, server=arguments.server, keep=arguments.keep)
