"""``jwt-guard mint``: claims and a local key → a signed token, good or bad, for trying things out."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..issuing.issuer import sign
from ..issuing.keyring import SigningKey, load_signing_key
from .inputs import SOURCES, read_secret

if TYPE_CHECKING:
    import argparse

    from .commands import Commands

__all__ = ["add_parser", "run"]

_LIFETIME = 300


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "mint",
        help="make a token with a local key, for trying things out",
        description="Print a token that says what you ask for, signed with a key of your own. Nothing is required of "
        "it, so that bad tokens can be made too: a guard wants at least --issuer and --audience. The claims "
        "iat, exp and jti are set unless --claim sets them.",
    )
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--key", metavar="FILE", help="a private key: JWK, JWK Set or PEM")
    keys.add_argument("--secret", metavar="SOURCE", help=f"an HMAC secret in {SOURCES}")
    parser.add_argument("--kid", help="which key of a set, or the name of one that has none")
    parser.add_argument("--alg", help="the algorithm, where the key leaves a choice")
    parser.add_argument("--typ", default="at+jwt", help="the typ of the header; empty for none (at+jwt by default)")
    parser.add_argument("--issuer", metavar="URL", help="iss")
    parser.add_argument("--audience", action="append", metavar="NAME", help="aud; can be given several times")
    parser.add_argument("--subject", metavar="NAME", help="sub")
    parser.add_argument("--client", metavar="NAME", help="client_id")
    parser.add_argument("--scope", action="append", metavar="WORDS", help="scope; can be given several times")
    parser.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other claim; VALUE is JSON, or text where it is none",
    )
    parser.add_argument(
        "--lifetime", type=int, default=_LIFETIME, metavar="SECONDS", help=f"until exp ({_LIFETIME} by default)"
    )


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    key, claims = _key(options), _claims(options)
    try:
        token = sign(key, claims, typ=options.typ or None)
    except UnicodeEncodeError:
        raise Misconfigured("a token is UTF-8, and what it should say is not") from None
    except (ValueError, RecursionError):
        raise Misconfigured("a claim is a number that is too large, or nested too deeply") from None
    print(token)
    return 0


def _key(options: argparse.Namespace) -> SigningKey:
    if options.key is not None:
        return load_signing_key(Path(options.key), kid=options.kid, alg=options.alg)
    return SigningKey(options.alg or "HS256", read_secret(options.secret), options.kid)


def _claims(options: argparse.Namespace) -> dict[str, Any]:
    now = int(time.time())
    audience = options.audience and (options.audience[0] if len(options.audience) == 1 else options.audience)
    claims = {
        "iss": options.issuer,
        "aud": audience,
        "sub": options.subject,
        "client_id": options.client,
        "scope": options.scope and " ".join(options.scope),
        "iat": now,
        "exp": now + options.lifetime,
        "jti": secrets.token_urlsafe(16),
    }
    return {name: value for name, value in claims.items() if value is not None} | dict(map(_claim, options.claim))


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Misconfigured("--claim takes NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=_no_number)
    except ValueError:
        return name, value
    except RecursionError:
        raise Misconfigured("--claim: the value is nested too deeply") from None


def _no_number(_name: str) -> None:
    raise ValueError  # NaN and Infinity are texts, then
