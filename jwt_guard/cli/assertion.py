"""``jwt-guard assertion``: a client's private key → an assertion, and an assertion → whether it holds."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..access.client_assertion import LONGEST, client_assertion
from ..access.guard import Guard
from ..errors import Misconfigured
from ..issuing.assertion import USUAL, make_assertion
from ..issuing.loading import load_signing_key
from ..runners.outside import verify
from .inputs import SOURCES, read_token

if TYPE_CHECKING:
    import argparse

    from .commands import Commands

__all__ = ["add_parser", "run"]


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "assertion",
        help="make and check the assertions by which clients authenticate",
        description="The JWTs by which a client tells a token endpoint that it is itself (private_key_jwt), as "
        "SMART App Launch and RFC 7523 have them.",
    )
    several: Commands = parser.add_subparsers(title="commands", dest="action", metavar="COMMAND", required=True)
    _add_make(several)
    _add_check(several)


def _add_make(several: Commands) -> None:
    parser = several.add_parser(
        "make",
        help="make an assertion",
        description="Print an assertion, which is good once, and for a few minutes.",
    )
    parser.add_argument("--key", metavar="FILE", required=True, help="the private key: JWK, JWK Set or PEM")
    parser.add_argument("--kid", help="which key of a set, or the name of one that has none")
    parser.add_argument("--alg", help="the algorithm, where the key leaves a choice")
    _add_who(parser)
    parser.add_argument(
        "--lifetime",
        type=int,
        default=USUAL,
        metavar="SECONDS",
        help=f"until exp, at most {LONGEST} ({USUAL} by default)",
    )
    parser.add_argument("--jti", help="what it is called, if that is not to be random")
    parser.add_argument("--jku", metavar="URL", help="the URL that is registered for the client's keys")
    _add_at(parser)


def _add_check(several: Commands) -> None:
    parser = several.add_parser(
        "check",
        help="check an assertion as a token endpoint does",
        description="Print who the client is, as JSON, or why the assertion is refused. It is not used up: nobody "
        "else hears of it. The exit status is 0 for a good one, and 1 for any other.",
    )
    parser.add_argument("assertion", metavar="ASSERTION", help=SOURCES)
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--jwks", metavar="FILE", help="the registered keys: a JWK Set or a JWK")
    keys.add_argument("--jwks-url", metavar="URL", help="where the registered keys are published")
    _add_who(parser)
    parser.add_argument(
        "--several-audiences-are-taken", action="store_true", help="let it name other servers beside this one"
    )
    _add_at(parser)


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client", metavar="ID", required=True, help="the client_id: iss and sub")
    parser.add_argument("--audience", metavar="URL", required=True, help="the token endpoint: aud")


def _add_at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at", type=float, metavar="SECONDS", help="the time since 1970; now by default")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    now = time.time() if options.at is None else options.at
    if not math.isfinite(now) or now < 0:
        raise Misconfigured("--at is a number of seconds since 1970")
    return _make(options, now) if options.action == "make" else _check(options, now)


def _make(options: argparse.Namespace, now: float) -> int:
    key = load_signing_key(Path(options.key), kid=options.kid, alg=options.alg)
    lifetime, jti, jku = options.lifetime, options.jti, options.jku
    print(make_assertion(key, options.client, options.audience, now=now, lifetime=lifetime, jti=jti, jku=jku))
    return 0


def _check(options: argparse.Namespace, now: float) -> int:
    provider = client_assertion(
        options.client,
        options.audience,
        jwks=None if options.jwks is None else Path(options.jwks),
        jwks_url=options.jwks_url,
        several_audiences_are_taken=options.several_audiences_are_taken,
    )
    credentials = verify(Guard([provider], clock=lambda: now), read_token(options.assertion))
    claims = credentials.claims
    print(json.dumps({"client": credentials.client, "exp": claims["exp"], "jti": claims["jti"]}, indent=2))
    return 0
