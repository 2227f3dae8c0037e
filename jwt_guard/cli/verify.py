"""``jwt-guard verify``: a token → whom it names, as JSON, or the error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..config.load import load
from ..runners.outside import verify
from .inputs import SOURCES, add_config, read_token

if TYPE_CHECKING:
    import argparse

    from .commands import Commands

__all__ = ["add_parser", "run"]


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "verify",
        help="say whom a token names, or why it is refused",
        description="Verify a token as the guard does, asking the issuer for its keys where they are not in hand, and "
        "print the credentials as JSON. There is no request, so the routes are not asked. The exit status is 0 for "
        "a good token, and 1 for any other, with the reason on standard error.",
    )
    parser.add_argument("token", metavar="TOKEN", help=SOURCES)
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    guard = load(options.config)
    credentials = verify(guard, read_token(options.token))
    document = {
        "user": credentials.user,
        "client": credentials.client,
        "scopes": sorted(credentials.scopes),
        "roles": sorted(credentials.roles),
        "provider": credentials.provider,
    }
    print(json.dumps(document, indent=2))
    return 0
