"""Address → the socket that is listened on: made here, or handed over by systemd."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Misconfigured

if TYPE_CHECKING:
    from .settings import Address

__all__ = ["close", "handed_over", "listening", "where"]

_FIRST = 3
"""The first descriptor that is handed over (sd_listen_fds(3))."""
_BACKLOG = 2_048
_USUAL_MODE = 0o660


def listening(address: Address, mode: int = _USUAL_MODE) -> socket.socket:
    """Return a socket that listens on *address*; *mode* is that of the file of a Unix socket.

    A file that is left of one that nobody listens on any more is removed.  Raises OSError.  :func:`close` it.
    """
    if address.path:
        return _unix(address.path, mode)
    family, *_, place = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        return _ready(listener)
    except OSError:
        listener.close()
        raise


def close(listener: socket.socket) -> None:
    """Close *listener*, and remove the file that :func:`listening` made for it in this process.

    What systemd has handed over stays, and so does a file that somebody else has put in its place meanwhile.
    """
    if isinstance(listener, _OfFile) and listener.maker == os.getpid():
        with suppress(FileNotFoundError):
            if _identity(listener.path) == listener.identity:
                Path(listener.path).unlink()
    listener.close()


def handed_over() -> list[socket.socket]:
    """Return the sockets that systemd has handed over to this process; none where it has not.

    Raises Misconfigured for what is no listening stream socket.
    """
    pid, number = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdecimal():
        return []
    found: list[socket.socket] = []
    for descriptor in range(_FIRST, _FIRST + int(number)):
        try:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no name
            listener = socket.socket(fileno=descriptor)
        except OSError:
            raise _no_listener(descriptor) from None
        if listener.type != socket.SOCK_STREAM or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.close()
            raise _no_listener(descriptor)
        listener.settimeout(0)
        found.append(listener)
    return found


def _no_listener(descriptor: int) -> Misconfigured:
    return Misconfigured(f"the socket {descriptor}, which was handed over, is none that a stream is accepted on")


def where(listener: socket.socket) -> str:
    """Return the address of *listener*, as a configuration says it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _OfFile(socket.socket):
    """A Unix socket that knows which file was made for it, and by whom."""

    path = ""
    identity: tuple[int, int, int] | None = None
    maker = 0


def _identity(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns  # a number may be given again, the time is not


def _unix(path: str, mode: int) -> socket.socket:
    listener = _OfFile(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        before = os.umask(0o777 & ~mode)  # so that there is no moment in which more may connect
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.path, listener.identity, listener.maker = path, _identity(path), os.getpid()
        Path(path).chmod(mode)
        return _ready(listener)
    except OSError:
        close(listener)
        raise


def _remove_stale(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        return  # somebody else's: to bind will fail, and say so
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                Path(path).unlink()


def _ready(listener: socket.socket) -> socket.socket:
    listener.listen(_BACKLOG)
    listener.settimeout(0)
    return listener
