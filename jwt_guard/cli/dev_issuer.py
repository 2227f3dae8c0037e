"""``jwt-guard dev-issuer``: names of clients → an issuer on this machine that gives them tokens, until Ctrl-C."""

from __future__ import annotations

import json
import logging
import os
import shlex
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import Misconfigured, StoreFailed
from .demo.servers import asgi_served, terminable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

    from ..issuing.keyring import Keyring
    from .commands import Commands
    from .dev_clients import DevClient

__all__ = ["add_parser", "run"]

_PORT = 9080
_MOST_PORT = 65_535
_HOUR = 3_600
_MONTH = 2_592_000
_LOOK = 1.0  # seconds between two looks at the keyring
_REACHABLE = "--others-may-reach-it"


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "dev-issuer",
        help="an issuer for development: tokens for programs, keys, introspection, revocation",
        description="Starts an issuer on loopback that gives tokens to the programs it knows (client_credentials), and "
        "prints what a guard and these clients need. It is no authorization server for people to log in to. What "
        "clients ask for, and why they do not get it, is on standard error.",
    )
    text = "a client, and the scopes it may have, separated by blanks; several times if need be"
    parser.add_argument("--client", action="append", default=[], metavar="NAME[=SCOPES]", help=text)
    text = (
        "this client has a key instead of a secret: a new one, or that whose public half is in this file or at this URL"
    )
    parser.add_argument("--with-key", action="append", default=[], metavar="NAME[=KEYS]", help=text)
    text = "whom the tokens are for (api by default); several times if need be"
    parser.add_argument("--audience", action="append", metavar="API", help=text)
    parser.add_argument("--lifetime", type=int, default=300, metavar="SECONDS", help="of a token (300 by default)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"where it listens ({_PORT} by default); 0: a free one")
    parser.add_argument("--alg", default="ES256", help="the algorithm of a new key (ES256 by default)")
    text = "sign with this keyring, which is made where there is none; `keys rotate` works on it meanwhile"
    parser.add_argument("--keyring", type=Path, metavar="FILE", help=text)
    text = "keep secrets and keys here, for the next time (by default they are gone in the end)"
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help=text)
    text = "the Redis or Valkey through which guards hear what was revoked; env:NAME where it has a password"
    parser.add_argument("--store", metavar="URL", help=text)
    text = (
        "for SMART backend services: there is a .well-known/smart-configuration, too, and the audience is a FHIR server"
    )
    parser.add_argument("--smart", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="print one line, for programs")
    text = "listen here (127.0.0.1 by default); beyond loopback only with"
    parser.add_argument("--host", default="127.0.0.1", help=f"{text} {_REACHABLE}")
    text = "the URL that clients and guards know it by, where that is not http://HOST:PORT"
    parser.add_argument("--url", help=text)
    text = "anybody who reaches this machine may ask, and without TLS others can read the tokens"
    parser.add_argument(_REACHABLE, action="store_true", help=text)


def run(options: argparse.Namespace) -> int:
    """Run it until Ctrl-C; return the exit status."""
    if find_spec("uvicorn") is None:
        raise Misconfigured("dev-issuer needs uvicorn: pip install 'jwt-guard[demo]'")
    if options.smart and not options.audience:
        raise Misconfigured(
            "--smart needs --audience: the base URL of the FHIR server, as in http://127.0.0.1:8000/fhir"
        )
    with ExitStack() as stack:
        stack.enter_context(terminable())
        stack.enter_context(_heard())
        try:
            _serve(options, stack)
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return 0


def _serve(options: argparse.Namespace, stack: ExitStack) -> None:
    from ..access.denylist import Denylist
    from ..access.once import Once
    from ..issuing.embedded import embedded_issuer
    from ..issuing.issuer import Issuer
    from .dev_clients import dev_clients

    folder = _folder(options.folder, stack)
    ring = _keyring(options, folder if options.folder is not None else None)
    clients = dev_clients(folder, options.client, options.with_key)
    bound = stack.enter_context(_bound(options.host, options.port, may_be_reached=options.others_may_reach_it))
    url = _url(options, bound)
    store = _store(options.store)
    audience = options.audience or ["api"]
    app = embedded_issuer(
        Issuer(url, ring),
        [each.client for each in clients],
        audience,
        lifetime=options.lifetime,
        denylist=Denylist(store, longest_life=max(_MONTH, options.lifetime)),
        once=Once(store),
        is_for_smart=options.smart,
        plain_http_hosts=[urlsplit(url).hostname or ""] if options.others_may_reach_it else (),
    )
    guard = _guard(options, url, audience)
    stack.enter_context(asgi_served(app, bound))
    print(_in_json(url, guard, clients) if options.json else _in_words(url, guard, clients), flush=True)
    _wait(ring)


def _wait(ring: Keyring) -> None:
    """Wait for Ctrl-C; meanwhile follow what others do with the keyring, and do what is due."""
    said = ""
    forever = threading.Event()
    while not forever.wait(None if ring.rotation is None else _LOOK):
        try:
            ring.turn()
            said = ""
        except StoreFailed as error:
            if str(error) != said:
                print(f"jwt-guard: {error}", file=sys.stderr)
            said = str(error)


# --- what it is made of ------------------------------------------------------------------------------


def _folder(path: Path | None, stack: ExitStack) -> Path:
    if path is None:
        return Path(stack.enter_context(TemporaryDirectory(prefix="jwt-guard-dev-issuer-")))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _keyring(options: argparse.Namespace, folder: Path | None) -> Keyring:
    from ..issuing.keyring import Keyring, Rotation, make
    from ..issuing.keyring_file import open_keyring

    path = options.keyring or (folder and folder / "keyring.json")
    if path is None:
        return Keyring(make(options.alg))
    # As `keys rotate` has it where nobody says otherwise.
    plan = Rotation(published_before=_HOUR, longest_token=max(_HOUR, options.lifetime))
    return open_keyring(path, rotation=plan, alg=options.alg, clock=time.time)


def _store(url: str | None) -> str | None:
    if url is None or not url.startswith("env:"):
        return url
    found = os.environ.get(url[4:])
    if not found:
        raise Misconfigured("--store: the environment has no variable of this name")
    return found


@contextmanager
def _bound(host: str, port: int, *, may_be_reached: bool) -> Generator[socket.socket]:
    """Give a socket on *host*, on loopback unless it may be reached from elsewhere; nobody can connect to it yet."""
    if not 0 <= port <= _MOST_PORT:
        raise Misconfigured(f"--port is a number up to {_MOST_PORT}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):  # a name can have labels that are too long
        raise Misconfigured("--host: there is no such address") from None
    if not (may_be_reached or ip_address(address[0]).is_loopback):
        raise Misconfigured(f"--host is not on loopback, so others may reach it; {_REACHABLE} says that they may")
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise Misconfigured(f"port {port}: {error.strerror}; --port says another, 0 a free one") from None
        yield bound


def _url(options: argparse.Namespace, bound: socket.socket) -> str:
    if options.url is not None:
        return str(options.url)
    host, port = bound.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        raise Misconfigured("--host stands for every address of this machine: say with --url what others call it")
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}"  # noqa: PLR2004 - of IP


@contextmanager
def _heard() -> Generator[None]:
    """Print what the issuer says about requests."""
    logger, handler = logging.getLogger("jwt_guard"), logging.StreamHandler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


# --- what is said about it ---------------------------------------------------------------------------


def _guard(options: argparse.Namespace, url: str, audience: list[str]) -> str:
    """Return a ``guard.toml`` for whoever takes the tokens."""
    lines = [
        "[providers.dev]",
        f'profile = "{"smart" if options.smart else "rfc9068"}"',
        f"issuer = {json.dumps(url)}",
        f"audience = {json.dumps(audience[0] if len(audience) == 1 else audience)}",
    ]
    if options.others_may_reach_it and url.startswith("http:"):
        lines += ["", "[keys]", f"plain_http_hosts = {json.dumps([urlsplit(url).hostname])}"]
    if options.store is not None:
        lines += ["", "[store]", f"url = {json.dumps(_unsaid(options.store))}"]
    return "\n".join(lines)


def _unsaid(store: str) -> str:
    """Return how a file says where the store is, without the password that its URL may have."""
    if store.startswith("env:"):
        return f"${{{store[4:]}}}"
    return "${STORE_URL}" if "@" in store else store


def _in_json(url: str, guard: str, clients: list[DevClient]) -> str:
    said: list[dict[str, Any]] = [
        {
            "client_id": each.client.client_id,
            "method": each.client.methods[0],
            "scopes": list(each.client.scopes),
            "file": each.file and str(each.file.absolute()),
        }
        for each in clients
    ]
    return json.dumps({"issuer": url, "token_endpoint": f"{url.rstrip('/')}/token", "guard": guard, "clients": said})


def _in_words(url: str, guard: str, clients: list[DevClient]) -> str:
    base = url.rstrip("/")
    lines = [
        f"dev-issuer {url}",
        "It gives tokens to programs. It is no authorization server for people to log in to.",
        "",
        "guard.toml for whoever takes the tokens:",
        "",
        *(f"  {line}".rstrip() for line in guard.splitlines()),
    ]
    for each in clients:
        client, file = each.client, None if each.file is None else shlex.quote(str(each.file))
        lines += ["", f"{client.client_id} ({client.methods[0]}) may have: {' '.join(client.scopes) or 'no scopes'}"]
        if client.secret is not None:
            who = f'-u "{client.client_id}:$(cat {file})"'
            lines += [f"  TOKEN=$(curl -s {who} -d grant_type=client_credentials {base}/token | {_TAKE})"]
            lines += [f'  curl -s {who} -d "token=$TOKEN" {base}/{place}' for place in ("introspect", "revoke")]
        elif file is not None:
            lines += _by_assertion(client.client_id, file, f"{base}/token")
    return "\n".join([*lines, "", "Ctrl-C ends it."])


_TAKE = """python -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'"""


def _by_assertion(name: str, file: str, url: str) -> list[str]:
    from ..issuing.assertion import ASSERTION_TYPE

    return [
        f"  ASSERTION=$(jwt-guard assertion make --key {file} --client {name} --audience {url})",
        f"  curl -s -d grant_type=client_credentials -d client_assertion_type={ASSERTION_TYPE} \\",
        f'    -d "client_assertion=$ASSERTION" {url}',
    ]
