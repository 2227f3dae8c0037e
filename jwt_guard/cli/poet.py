"""``jwt-guard poet``: key pairs, endorsements of applications, and whether one holds: the five commands of poetri."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..flow import Trust
from ..issuing import poet
from ..issuing.private_file import write_private
from ..tokens.strict_json import NotStrictJson, json_object
from .inputs import SOURCES, read_secret, read_token

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from .commands import Commands

__all__ = ["add_parser", "run"]

_DEPTH = 16
_MOST_OCTETS = 1_048_576
_DEADLINE = 5.0
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "poet",
        help="endorse applications, and check who has endorsed one (POET)",
        description="Make and check POET endorsements: what a body says of an application, as a JWT that anybody can "
        "check with the key at the body's own host.",
        epilog="jwt-guard poet COMMAND --help says more about each.",
    )
    verbs: Commands = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    keygen = verbs.add_parser("keygen", help="make a key pair", description="Print a new RSA key pair as a JWK.")
    keygen.add_argument("kid", metavar="KID", help="what it is called: by custom the host name of the issuer")
    keygen.add_argument("--out", metavar="FILE", help="write it to this new file, which only you can read")
    public = verbs.add_parser(
        "public",
        help="give the half of a key pair that is published",
        description="Print the public half of a key pair, for https://ISSUER/.well-known/poet.jwk.",
    )
    public.add_argument("key", metavar="KEYPAIR", help=SOURCES)
    _add_sign(verbs)
    verify = verbs.add_parser(
        "verify",
        help="check an endorsement with a key in hand",
        description="Print the payload of an endorsement that the key has signed and that holds now.",
    )
    verify.add_argument("token", metavar="JWS", help=SOURCES)
    verify.add_argument("key", metavar="JWK", help=f"the public key in {SOURCES}")
    verify.add_argument("--issuer", metavar="HOST", help="whose it must be, if that is not what the key is called")
    _add_conditions(verify)
    _add_verify_url(verbs)


def _add_sign(verbs: Commands) -> None:
    sign = verbs.add_parser(
        "sign",
        help="endorse an application",
        description="Print an endorsement that says what PAYLOAD says; iss, iat and exp are set.",
    )
    sign.add_argument("payload", metavar="PAYLOAD", help=f"a JSON object in {SOURCES}")
    sign.add_argument("key", metavar="KEYPAIR", help=SOURCES)
    sign.add_argument("issuer", metavar="ISSUER", help="the host name of the body that endorses")
    sign.add_argument(
        "expires",
        metavar="EXPIRES",
        type=int,
        nargs="?",
        default=poet.LIFETIME,
        help=f"how many seconds it holds ({poet.LIFETIME} by default, one year)",
    )
    _add_unchecked(sign)


def _add_verify_url(verbs: Commands) -> None:
    verify = verbs.add_parser(
        "verify-url",
        help="check an endorsement with the key that its issuer publishes",
        description="Fetch https://ISS/.well-known/poet.jwk, and print the payload of an endorsement that this key has "
        "signed and that holds now. The issuer may be anybody who has a host: see whose word it is, or say "
        "--issuer.",
    )
    verify.add_argument("token", metavar="JWS", help=SOURCES)
    verify.add_argument(
        "--issuer", metavar="HOST", action="append", help="ask this host, and no other; can be given several times"
    )
    _add_conditions(verify)
    verify.add_argument(
        "--timeout", type=float, default=_DEADLINE, metavar="SECONDS", help=f"for the answer ({_DEADLINE:g} by default)"
    )
    verify.add_argument("--ca-file", metavar="FILE", help="trust these authorities (PEM) instead of the usual ones")
    verify.add_argument("--proxy", metavar="URL", help="ask through this proxy; env:NAME where it has a password")
    verify.add_argument(
        "--private-addresses-too",
        action="store_true",
        help="ask hosts in private networks and on this machine, too: the token says which",
    )


def _add_conditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--software-id", metavar="ID", help="the software_id that it must be about")
    parser.add_argument("--as-of", type=float, metavar="SECONDS", help="judge it as of then (since 1970), not of now")
    _add_unchecked(parser)


def _add_unchecked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--payload-unchecked", action="store_true", help="whatever the fields of the payload say")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    verbs: dict[str, Callable[[argparse.Namespace], None]] = {
        "keygen": _keygen,
        "public": _public,
        "sign": _sign,
        "verify": _verify,
        "verify-url": _verify_url,
    }
    verbs[options.verb](options)
    return 0


def _keygen(options: argparse.Namespace) -> None:
    text = json.dumps(poet.key_pair(options.kid).private_jwk())
    if options.out is not None:
        try:
            write_private(Path(options.out), f"{text}\n".encode("ascii"))  # never over a key that may be in use
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be written"
            raise Misconfigured(f"--out: {reason}") from None
        return
    print(text)
    sys.stdout.flush()
    if _others_can_read(sys.stdout):
        print("jwt-guard: note: others can read that file; chmod 600 it, or use --out", file=sys.stderr)


def _public(options: argparse.Namespace) -> None:
    print(json.dumps(poet.public_half(_document(options.key, "key pair")), indent=4))


def _sign(options: argparse.Namespace) -> None:
    if options.payload == options.key == "-":
        raise Misconfigured("standard input has one of the two, the payload or the key pair")
    payload = _document(options.payload, "payload")
    key = poet.endorsing_key(_document(options.key, "key pair"))
    print(
        poet.sign(
            payload,
            key,
            options.issuer,
            time.time(),
            expires=options.expires,
            payload_unchecked=options.payload_unchecked,
        )
    )


def _verify(options: argparse.Namespace) -> None:
    if options.token == options.key == "-":
        raise Misconfigured("standard input has one of the two, the endorsement or the key")
    jwk = _document(options.key, "key")
    _show(poet.verify(read_token(options.token), jwk, _now(options), issuer=options.issuer, **_conditions(options)))


def _verify_url(options: argparse.Namespace) -> None:
    proxy = options.proxy
    if proxy is not None and proxy.startswith("env:"):
        proxy = os.fsdecode(read_secret(proxy))
    if not 0 < options.timeout < float("inf"):
        raise Misconfigured("--timeout is a number of seconds above 0")
    source = poet.WellKnownKey(Trust(options.ca_file, proxy), options.timeout, options.private_addresses_too)
    payload = poet.verify_url(
        read_token(options.token), _now(options), issuers=options.issuer, key=source, **_conditions(options)
    )
    _show(payload)


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {"software_id": options.software_id, "payload_unchecked": options.payload_unchecked}


def _now(options: argparse.Namespace) -> float:
    now: float = time.time() if options.as_of is None else options.as_of
    return now


def _show(payload: object) -> None:
    print(json.dumps(payload, indent=4))


def _document(source: str, what: str) -> dict[str, Any]:
    """Return the JSON object that *source* leads to."""
    if source == "-" or source.startswith("env:"):
        octets = read_secret(source)
    else:
        try:
            with Path(source).open("rb") as file:
                octets = file.read(_MOST_OCTETS + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be read"
            raise Misconfigured(f"the {what} is in {SOURCES}: {reason}") from None
        if len(octets) > _MOST_OCTETS:
            raise Misconfigured(f"the {what} is more than 1 MiB")
    try:
        return json_object(octets, _DEPTH)
    except NotStrictJson as error:
        raise Misconfigured(f"the {what} {error}") from None


def _others_can_read(stream: IO[str]) -> bool:
    """Say whether *stream* is a file that is not for its owner alone; a terminal or a pipe is none."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) and bool(mode & _FOR_OTHERS)
