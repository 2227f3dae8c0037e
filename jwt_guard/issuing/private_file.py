"""Octets that are secret → a file that nobody else can read, written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

__all__ = ["DRAFT", "write_private"]

DRAFT = ".draft"
"""How the name of a file ends that is not whole yet."""


def write_private(path: Path, octets: bytes, *, replace: bool = False) -> None:
    """Write *octets* to *path* with mode 0600, and return when the disk has them.

    Raises FileExistsError where there is something already and *replace* does not say that it may go, and OSError.
    """
    draft = path.with_name(f".{path.name}.{token_hex(8)}{DRAFT}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the mode is given above, before there is a file
            file.write(octets)
            file.flush()
            os.fsync(descriptor)  # before it gets its name, which is then that of a whole file
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)  # unlike a rename, this fails where there is a file of that name
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the disk keep the new name, too, where a folder can be asked for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
