"""``jwt-guard keys``: keys made, shown, named and rotated, in JWK and JWK Set files."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, shown
from ..issuing.jwk import pem_of_public, thumbprint
from ..issuing.keyring import Rotation, Step, make
from ..issuing.keyring_file import create_keyring, open_keyring
from ..issuing.loading import public_jwks
from ..issuing.private_file import write_private
from .inputs import SOURCES, read_secret

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..issuing.signing import SigningKey
    from .commands import Commands, Parser

__all__ = ["add_parser", "run"]

_HOUR = 3_600
_MARGIN = 60
_DONE = {"publish": "published", "sign": "signs", "retire": "retired"}
_TO_DO = {"publish": "publish another key", "sign": "sign with {kid}", "retire": "retire {kid}"}
_WIDTH = 11


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "keys",
        help="make, show, name and rotate signing keys",
        description="Work with files of signing keys. Private ones are written with mode 0600, whole or not at all.",
        epilog="jwt-guard keys COMMAND --help says more about each.",
    )
    several = parser.add_subparsers(title="commands", dest="action", metavar="COMMAND", required=True)
    _add_new(several.add_parser("new", help="make a key, and write it to a file of its own"))
    _add_public(several.add_parser("public", help="print what may be published of a file of keys"))
    _add_rotate(several.add_parser("rotate", help="publish the next key, sign with it, retire the last, as is due"))
    _add_thumbprint(several.add_parser("thumbprint", help="print the names that RFC 7638 gives to keys"))


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    does: Callable[[argparse.Namespace], int] = options.does
    return does(options)


# --- new ---------------------------------------------------------------------------------------------


def _add_new(parser: Parser) -> None:
    parser.description = (
        "Make a key and write it to FILE, which must not be there yet: as a JWK, or with --keyring as a JWK Set that "
        "`keys rotate` and several processes can work on. Every other command here takes both."
    )
    parser.add_argument("file", metavar="FILE", help="where to write it; - for standard output")
    parser.add_argument("--alg", default="ES256", help="the algorithm (ES256 by default)")
    parser.add_argument("--kid", help="its name (by default its RFC 7638 thumbprint)")
    parser.add_argument("--keyring", action="store_true", help="a set of keys that can be rotated")
    parser.add_argument("--overwrite", action="store_true", help="the file may be there: what is in it is lost")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(does=_new)


def _new(options: argparse.Namespace) -> int:
    if options.file == "-":
        if options.keyring or options.json:
            raise Misconfigured("standard output takes a JWK alone: leave out --keyring and --json")
        print(_document(make(options.alg, options.kid)), end="")
        return 0
    path = Path(options.file)
    try:
        if options.keyring:
            key = create_keyring(
                path, options.alg, kid=options.kid, replace_what_is_there=options.overwrite, clock=time.time
            )
        else:
            key = make(options.alg, options.kid)
            write_private(path, _document(key).encode("ascii"), replace=options.overwrite)
    except FileExistsError:
        raise Misconfigured(f"{path}: there is such a file; with --overwrite its key is lost") from None
    if options.json:
        print(json.dumps({"file": str(path), "kid": key.kid, "alg": key.alg}, indent=2))
    else:
        name = "a secret without a name" if key.kid is None else key.kid
        print(f"{path}: {name} ({key.alg})")
    return 0


def _document(key: SigningKey) -> str:
    return json.dumps(key.private_jwk(), indent=2) + "\n"


# --- public, thumbprint ------------------------------------------------------------------------------


def _add_public(parser: Parser) -> None:
    parser.description = (
        "Print the public half of each key in FILE, a JWK, a JWK Set or a PEM private key. No private member is ever "
        "among it; a secret, which has no public half, is refused."
    )
    parser.add_argument("file", metavar="FILE", help=SOURCES)
    parser.add_argument("--kid", help="only the key of this name")
    parser.add_argument(
        "--format", choices=("jwks", "jwk", "pem"), default="jwks", help="a set (by default), one JWK, or PEM"
    )
    parser.set_defaults(does=_public)


def _public(options: argparse.Namespace) -> int:
    keys = _keys(options)
    if options.format == "jwks":
        print(json.dumps({"keys": keys}, indent=2))
        return 0
    if len(keys) != 1:
        names = ", ".join(shown(key["kid"]) for key in keys)
        raise Misconfigured(f"one key is written as {options.format}, and there are {len(keys)}: say --kid ({names})")
    print(json.dumps(keys[0], indent=2) if options.format == "jwk" else pem_of_public(keys[0]).strip())
    return 0


def _add_thumbprint(parser: Parser) -> None:
    parser.description = "Print the RFC 7638 thumbprint (SHA-256) of each key in FILE, one a line, in their order."
    parser.add_argument("file", metavar="FILE", help=SOURCES)
    parser.add_argument("--kid", help="only the key of this name")
    parser.add_argument("--json", action="store_true", help="for programs: with the name of each key")
    parser.set_defaults(does=_thumbprint)


def _thumbprint(options: argparse.Namespace) -> int:
    found = [{"thumbprint": thumbprint(key), "kid": key["kid"]} for key in _keys(options)]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(*(each["thumbprint"] for each in found), sep="\n")
    return 0


def _keys(options: argparse.Namespace) -> list[dict[str, str]]:
    source: str = options.file
    if source != "-" and not source.startswith("env:") and not os.path.exists(source):  # noqa: PTH110 - as in inputs
        raise Misconfigured(f"there is no such file; keys are in {SOURCES}")
    keys = public_jwks(read_secret(source))
    if options.kid is None:
        return keys
    named = [key for key in keys if key["kid"] == options.kid]
    if not named:
        names = ", ".join(shown(key["kid"]) for key in keys)
        raise Misconfigured(f"there is no key {shown(options.kid)}; there are {names}")
    return named


# --- rotate ------------------------------------------------------------------------------------------


def _add_rotate(parser: Parser) -> None:
    parser.description = (
        "Do with the keyring in FILE what is due: publish the next key, sign with one that was published long enough "
        "ago, and take away one whose last token has expired. Run it twice for a new key, with the wait between; "
        "with --every it can run each hour, and does nothing until it is time."
    )
    parser.add_argument("file", metavar="FILE", help="a keyring, as `keys new --keyring` makes it")
    parser.add_argument(
        "--every", type=int, metavar="SECONDS", help="how long each key signs; without it, the next is published now"
    )
    for name, default, text in (
        ("--published-before", _HOUR, "how long a key is published before it signs: the max-age of the key set"),
        ("--longest-token", _HOUR, "how long a token lives at most: for so long a key stays after it has signed"),
        ("--margin", _MARGIN, "added to both, for clocks and processes that are late"),
    ):
        parser.add_argument(name, type=int, default=default, metavar="SECONDS", help=f"{text} ({default} by default)")
    parser.add_argument("--alg", help="the algorithm of the next key (that of the one that signs by default)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(does=_rotate)


def _rotate(options: argparse.Namespace) -> int:
    plan = Rotation(
        published_before=options.published_before,
        longest_token=options.longest_token,
        every=options.every,
        margin=options.margin,
        alg=options.alg,
    )
    ring = open_keyring(Path(options.file), rotation=plan, clock=time.time)
    done = ring.turn(prepare=options.every is None)
    if options.json:
        document = {
            "signs": ring.current.kid,
            "published": [key.kid for key in ring.keys],
            "done": [_told(step) for step in done],
            "next": [_told(step) for step in ring.ahead],
        }
        print(json.dumps(document, indent=2))
        return 0
    algorithms = {key.kid: f" ({key.alg})" for key in ring.keys}
    for step in done:
        print(f"{_DONE[step.action]:<{_WIDTH}}{step.kid}{algorithms.get(step.kid, '')}")
    if not done:
        print(f"{'unchanged':<{_WIDTH}}{ring.current.kid}{algorithms[ring.current.kid]} signs")
    for step in ring.ahead:
        print(f"{'next':<{_WIDTH}}{_TO_DO[step.action].format(kid=step.kid)}, from {_when(step.at)} on")
    return 0


def _told(step: Step) -> dict[str, Any]:
    return {"action": step.action, "kid": step.kid, "at": _when(step.at)}


def _when(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
