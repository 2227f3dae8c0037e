"""Where key sets are shared and kept → whether the store answers, and whether the folder is ours to write to."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import StoreFailed, shown
from ...flow import claim, pause
from ...stores.address import is_exposed, place_of
from .findings import Finding

if TYPE_CHECKING:
    from ...flow import Flow

__all__ = ["examine_snapshot", "examine_store"]

_AGAIN = 1.1  # seconds: a store that has failed is left alone for one
_FOR = 1.0  # seconds that a claim of ours is there
_SUFFIX = ".jwt_guard"


def examine_store(url: str) -> Flow[list[Finding]]:
    """Return how the store at *url* is: it is asked to take a claim for a second, as it is before each fetch.

    None of this keeps a provider from being usable: a store that is down takes away the sharing and nothing else.
    """
    key, place = f"doctor:{secrets.token_hex(8)}", place_of(url)
    try:
        try:
            yield from claim(url, key, _FOR)
        except StoreFailed:  # the first answer of a process comes with a connection and imports, and may be late
            yield from pause(_AGAIN)
            yield from claim(url, key, _FOR)
    except StoreFailed as error:
        words = f"at {place}: {error}; meanwhile each process fetches for itself"
        advice = "See whether it runs, whether this machine reaches it, and whether url under [store] may write there."
        return [Finding("risky", "store", words, advice)]
    found = [Finding("ok", "store", f"at {place}: it answers, and can be written to")]
    if is_exposed(url):
        words = f"at {place}: it is asked without TLS, and whoever is in between can give us keys"
        found.append(Finding("risky", "store", words, "Write rediss:// in url under [store]."))
    return found


def examine_snapshot(folder: Path) -> list[Finding]:
    """Return how the *folder* is for whoever has started this program, who should be the one that runs the service."""
    place = shown(str(folder))
    try:
        return [_of_folder(folder, place), *_of_files(folder, place)]
    except OSError as error:
        return [_risky(f"{place} cannot be looked at: {error.strerror}", "See who may enter the folders above it.")]


def _of_folder(folder: Path, place: str) -> Finding:
    if not folder.exists():
        above = next(parent for parent in folder.absolute().parents if parent.exists())
        if os.access(above, os.W_OK | os.X_OK):
            return Finding("ok", "snapshot", f"{place} is not there yet: it is made with the first fetch")
        return _risky(
            f"{place} is not there, and cannot be made in {shown(str(above))}", "Make it, for the service alone."
        )
    status = folder.stat()
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "Give it to the user that runs the service (and start this program as that user, to be told the same)."
        return _risky(f"{place} cannot be written to by this user", advice)
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return _risky(f"{place} is open to others (mode {status.st_mode & 0o777:o})", "chmod 700")
    return Finding("ok", "snapshot", f"{place} can be written to, and by nobody else")


def _of_files(folder: Path, place: str) -> list[Finding]:
    """Find files that the service would not read, since somebody else can have written them."""
    files = [file.lstat() for file in folder.glob(f"*{_SUFFIX}")] if folder.exists() else []
    others = [
        file
        for file in files
        if file.st_uid != os.geteuid() or file.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or not stat.S_ISREG(file.st_mode)
    ]
    if not others:
        return []
    words = f"{len(others)} of {len(files)} files in {place} are not read, since others may have written them"
    return [_risky(words, "Delete them: the service writes its own.")]


def _risky(words: str, advice: str) -> Finding:
    return Finding("risky", "snapshot", words, advice)
