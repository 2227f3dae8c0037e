"""Names on the command line → clients to develop with, and files with the secrets and keys made for them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import Misconfigured, shown
from ..issuing.client_authentication import Client
from ..issuing.loading import load_signing_key
from ..issuing.private_file import write_private
from ..issuing.signing import make

__all__ = ["DevClient", "dev_clients"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_USUAL = ("service=orders:read orders:write", "backend=orders:read orders:write")
_USUAL_WITH_KEY = ("backend",)
_ALG = "ES384"  # SMART Backend Services know it, and so does everybody else
_MOST_OCTETS = 4_096


@dataclass(frozen=True, slots=True)
class DevClient:
    """A client, and where it finds what it authenticates with."""

    client: Client
    file: Path | None
    """Of its secret or its private key; None where the key is its own and only the public half is known here."""


def dev_clients(folder: Path, clients: Sequence[str], with_key: Sequence[str]) -> list[DevClient]:
    """Return the *clients*, each as ``NAME`` or ``NAME=SCOPES``, with what is in *folder*, or is made there now.

    Each of *with_key*, ``NAME`` or ``NAME=KEYS``, authenticates by a key: one that is made, or that whose public half
    is in the file, or at the URL, KEYS.  The others have secrets.  Raises Misconfigured and OSError.
    """
    if not clients and not with_key:
        clients, with_key = _USUAL, _USUAL_WITH_KEY
    scopes = _by_name(clients)
    keys = _by_name(with_key)
    strangers = keys.keys() - scopes.keys()
    if strangers:
        raise Misconfigured(f"--with-key is for a client that --client names, and {shown(min(strangers))} is none")
    return [
        _with_key(folder, name, text.split(), keys[name]) if name in keys else _with_secret(folder, name, text.split())
        for name, text in scopes.items()
    ]


def _by_name(arguments: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument in arguments:
        name, _, rest = argument.partition("=")
        if not _NAME.fullmatch(name):  # it names a file, too
            raise Misconfigured("the name of a client is letters, digits, dots, dashes and underscores here")
        if name in found:
            raise Misconfigured(f"client {name} is there twice")
        found[name] = rest
    return found


def _with_secret(folder: Path, name: str, scopes: Sequence[str]) -> DevClient:
    path = folder / f"{name}.secret"
    with suppress(FileExistsError):  # it has the one of last time
        write_private(path, f"{secrets.token_urlsafe(32)}\n".encode("ascii"))
    with path.open("rb") as file:
        secret = file.read(_MOST_OCTETS).decode("ascii", "replace").strip()
    return DevClient(Client(name, secret=secret, scopes=scopes), path)


def _with_key(folder: Path, name: str, scopes: Sequence[str], published: str) -> DevClient:
    if published.startswith(("https:", "http:")):
        return DevClient(Client(name, jwks_url=published, scopes=scopes), None)
    if published:
        return DevClient(Client(name, jwks=Path(published), scopes=scopes), None)
    path = folder / f"{name}.jwk"
    with suppress(FileExistsError):
        write_private(path, (json.dumps(make(_ALG).private_jwk(), indent=2) + "\n").encode("ascii"))
    return DevClient(Client(name, jwks=dict(load_signing_key(path).public or {}), scopes=scopes), path)
