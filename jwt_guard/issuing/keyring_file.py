"""A file of our own → the keyring in it, which several processes may use at once.

The file is a JWK Set of private keys, each with its times, so that whatever reads a JWK Set reads it, too.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, StoreFailed, shown
from ..tokens.strict_json import NotStrictJson, json_object
from .keyring import Keyring
from .loading import signing_key
from .private_file import DRAFT, write_private
from .rotation import Member, Rotation
from .signing import make

if TYPE_CHECKING:
    from .signing import SigningKey

__all__ = ["create_keyring", "open_keyring"]

_MARK = "jwt_guard_keyring"
_VERSION = 1
_TIMES = ("published", "signs_from", "signed_until")
_DEPTH = 8
_MOST_OCTETS = 1_048_576
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PATIENCE = 10.0
"""Seconds for which anybody waits for the others: each of them writes one small file."""
_PAUSE = 0.01

Signature = tuple[int, int, int]


def open_keyring(
    path: Path,
    *,
    rotation: Rotation | None = None,
    alg: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Keyring:
    """Return the keyring in the file at *path*; with *alg* one is made where there is none.

    Every process may open it; each has to call :meth:`~jwt_guard.issuing.keyring.Keyring.turn` to see what the
    others have done.  Raises Misconfigured, also where somebody else can read the file.
    """
    if alg is not None and not os.path.lexists(path):
        with suppress(FileExistsError):  # another process was first, and theirs is as good
            create_keyring(path, alg, clock=clock)
    try:
        return Keyring.kept_in(_File(path), rotation=rotation, clock=clock)
    except StoreFailed as error:
        raise Misconfigured(str(error)) from None


def create_keyring(
    path: Path,
    alg: str,
    *,
    kid: str | None = None,
    replace_what_is_there: bool = False,
    clock: Callable[[], float] = time.time,
) -> SigningKey:
    """Write a new keyring, of one key that signs from now on, and return that key.

    Raises FileExistsError where there is a file and nobody has said that it may go, and Misconfigured.
    """
    key, now = make(alg, kid), clock()
    if key.public is None:
        raise Misconfigured("keyring: a secret cannot be published; sign with it directly")
    try:
        with _File(path).locked():  # or else somebody who opens it would take our draft for one that was left
            write_private(path, _written((Member(key, now, signs_from=now),)), replace=replace_what_is_there)
    except FileExistsError:
        raise
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from None
    except StoreFailed as error:
        raise Misconfigured(str(error)) from None
    return key


class _File:
    """The home of a keyring: one file, and a second one, empty, whose lock says who may write."""

    def __init__(self, path: Path) -> None:
        if sys.platform == "win32":
            raise Misconfigured("keyring: a file with keys that rotate needs the locks and modes of a POSIX system")
        self._name = path
        self._path = path.absolute()  # wherever the process goes later
        self._seen: Signature | None = None

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other threads and processes from writing; StoreFailed where they take too long."""
        import fcntl  # not on every system

        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._failed(error.strerror) from None
        try:
            end = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise self._failed("another process does not let go of it") from None
                    time.sleep(_PAUSE)
                except OSError as error:
                    raise self._failed(error.strerror) from None
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also if a fork has taken the descriptor along
        finally:
            os.close(descriptor)

    def read(self, known: tuple[Member, ...]) -> tuple[Member, ...]:
        """Return the keys in the file.  Raises StoreFailed."""
        octets, seen = self._content()
        try:
            members = _members(octets, {member.key.kid: member.key for member in known})
        except (NotStrictJson, Misconfigured) as error:
            reason = f"the file {error}" if isinstance(error, NotStrictJson) else str(error)
            raise self._failed(reason) from None
        self._seen = seen
        return members

    def write(self, members: tuple[Member, ...]) -> None:
        """Put *members* into the file; only under the lock."""
        try:
            self._sweep()
            write_private(self._path, _written(members), replace=True)
            self._seen = _signature(self._path.lstat())
        except OSError as error:
            raise self._failed(error.strerror) from None

    def changed(self) -> bool:
        """Say whether the file is another one than was read or written last."""
        try:
            return _signature(self._path.lstat()) != self._seen
        except OSError as error:
            raise self._failed(error.strerror) from None

    def _content(self) -> tuple[bytes, Signature]:
        """Return what is in the file, if nobody else can have seen or written it."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise self._failed(reason) from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._failed("it is no file")
            if status.st_uid != os.geteuid():
                raise self._failed("it is somebody else's")
            if status.st_mode & _OTHERS:
                raise self._failed("others may read or write it (chmod 600 takes that back)")
            with open(descriptor, "rb", closefd=False) as file:  # what was judged is what is read
                octets = file.read(_MOST_OCTETS + 1)
        finally:
            os.close(descriptor)
        if len(octets) > _MOST_OCTETS:
            raise self._failed("it is larger than 1 MiB")
        return octets, _signature(status)

    def _sweep(self) -> None:
        """Remove what writers have left who were ended in the midst of it: there are private keys in it."""
        with os.scandir(self._path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(f".{self._path.name}.") and entry.name.endswith(DRAFT):
                    with suppress(FileNotFoundError):
                        os.unlink(entry.path)  # noqa: PTH108 - an entry is no Path

    def _failed(self, reason: str | None) -> StoreFailed:
        return StoreFailed(f"{self._name}: {reason or 'cannot be used'}")


def _signature(status: os.stat_result) -> Signature:
    """Return what tells one version of the file from the next, which is another file each time."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def _written(members: tuple[Member, ...]) -> bytes:
    keys: list[dict[str, Any]] = []
    for member in members:
        times = {name: getattr(member, name) for name in _TIMES}
        keys.append({**member.key.private_jwk(), **{name: at for name, at in times.items() if at is not None}})
    return f"{json.dumps({_MARK: _VERSION, 'keys': keys}, indent=1)}\n".encode("ascii")


def _members(octets: bytes, known: Mapping[str | None, SigningKey]) -> tuple[Member, ...]:
    document = json_object(octets, _DEPTH)
    if document.get(_MARK) != _VERSION:
        raise Misconfigured("it is no keyring of this version; `jwt-guard keys new --keyring` makes one")
    entries = document.get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Misconfigured("keyring: the keys are no list of keys")
    return tuple(_member(entry, known) for entry in entries)


def _member(entry: dict[str, Any], known: Mapping[str | None, SigningKey]) -> Member:
    times = {name: entry.pop(name) for name in _TIMES if name in entry}
    if "published" not in times or None in times.values():
        raise Misconfigured(f"keyring: a time of {shown(entry.get('kid'))} is missing")
    kid = entry.get("kid")
    key = known.get(kid) if isinstance(kid, str) else None
    if key is None or key.private_jwk() != entry:  # reading one takes a while, and others may hold the old object
        key = signing_key(entry)
    return Member(key, **times)
