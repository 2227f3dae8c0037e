"""A configuration that changes → the doors that it describes, swapped whole; or the last good ones, kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ..access.denylist import Denylist
from ..access.resolver import is_same
from ..errors import Misconfigured, shown
from ..runners.awaiting import run
from ..sources.jwks import RemoteKeys
from .doors import Doors
from .judging import Judge
from .settings import Settings

if TYPE_CHECKING:
    from ..access.guard import Guard
    from ..observing.observer import Observer

__all__ = ["Build", "Built", "Marks", "Reloading", "Service", "doors_of", "marks", "warmed"]

_log = logging.getLogger("jwt_guard")
_EVERY = 1.0
_LONGEST_WARMING = 5.0
_AT_THE_START = ("listen", "grpc_listen", "admin_listen")
"""Keys of ``[gateway]`` that are looked at once: who listens goes on where it listens."""

Marks: TypeAlias = Mapping[Path, tuple[int, int, int] | None]
"""By file: when it was changed, which it is and how long; None where there is none."""


class Service(Protocol):
    """What asks doors, and may be given others."""

    doors: Doors

    def swap(self, doors: Doors) -> None:
        """Ask *doors* from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Built:
    """What a configuration describes, and the files that say it, as they were before they were read."""

    settings: Settings
    guard: Guard
    files: Marks
    observer: Callable[[Guard], Observer | None] = lambda _guard: None
    """Returns who is told of each decision of a guard, which knows its keys by then."""
    doors: Callable[[Settings, Judge], Doors] = Doors
    """Makes the doors."""


Build: TypeAlias = Callable[[], Built]
"""Reads the configuration; it may wait, and raises Misconfigured."""


def doors_of(built: Built, before: Doors | None = None) -> Doors:
    """Return the doors of *built*; providers that are as *before* are those of before, with the keys they know."""
    guard = built.guard
    if before is not None:
        known = {provider.name: provider for provider in before.judge.guard.providers}
        providers = [
            known[new.name] if new.name in known and is_same(known[new.name], new) else new for new in guard.providers
        ]
        guard = replace(guard, providers=providers)
    settings = built.settings
    return built.doors(settings, Judge(guard, settings.identity, settings.answer_within, built.observer(guard)))


async def warmed(doors: Doors) -> Doors:
    """Return *doors* when the issuers have been asked for their keys, or have had their time."""
    sources = [provider.source for provider in doors.judge.guard.providers]
    asked = [run(source.made_ready()) for source in sources if isinstance(source, RemoteKeys)]
    revoked = doors.judge.guard.revoked
    if isinstance(revoked, Denylist):
        asked.append(run(revoked.freshened()))  # else the first of those who ask would wait for the store
    try:
        async with asyncio.timeout(_LONGEST_WARMING):
            await asyncio.gather(*asked, return_exceptions=True)
    except TimeoutError:
        pass  # questions wait for them, or are told that we cannot tell
    return doors


class Reloading:
    """Have a service ask what *build* makes of the files, anew each time that one changes, or it is told to."""

    def __init__(self, build: Build, *, every: float = _EVERY) -> None:
        self._build = build
        self._every = every
        self._files: Marks = {}
        self._told = asyncio.Event()
        self._started: Settings | None = None

    def now(self) -> None:
        """Read the files, whether they have changed or not."""
        self._told.set()

    async def first(self) -> Doors:
        """Return what the files describe; raises Misconfigured."""
        built = await asyncio.to_thread(self._build)
        self._files = built.files
        self._started = built.settings
        return await warmed(doors_of(built))

    async def forever(self, service: Service) -> None:
        """Look for changes."""
        seen = self._files
        while True:
            try:
                async with asyncio.timeout(self._every):
                    await self._told.wait()
            except TimeoutError:
                found = await asyncio.to_thread(marks, self._files)
                # Twice the same, and not as they were: nobody is about to write the rest.
                is_due, seen = found == seen != self._files, found
                if not is_due:
                    continue
            self._told.clear()
            await self.once(service)
            seen = self._files

    async def once(self, service: Service) -> bool:
        """Read the files, and say whether what they say is asked from now on."""
        found = await asyncio.to_thread(marks, self._files)
        try:
            built = await asyncio.to_thread(self._build)
            doors = doors_of(built, service.doors)
            _check_alike(doors, service.doors)
        except Misconfigured as error:
            self._files = found
            _log.error("the configuration stays as it was: %s", error)
            return False
        except Exception as bug:  # noqa: BLE001 - a function that it names may raise anything, with anything in it
            self._files = found
            _log.error("the configuration stays as it was: reading the new one raised %s", shown(type(bug).__name__))
            return False
        if await asyncio.to_thread(marks, built.files) != built.files:
            self._files = dict.fromkeys(built.files)  # changed while it was read, so that it may be half of each
            return False
        self._files = built.files
        await warmed(doors)
        self._started = self._started or service.doors.settings
        service.swap(doors)
        _log.info("the configuration was read again, and counts from now on")
        waiting = [f"gateway.{key}" for key in _AT_THE_START if _differs(key, doors.settings, self._started)]
        if waiting:
            _log.warning("%s: a change of it counts after a restart, and not before", ", ".join(waiting))
        return True


def _check_alike(new: Doors, old: Doors) -> None:
    if new.is_proxy is not old.is_proxy:
        is_plain = (new.settings.upstream is None) is not (old.settings.upstream is None)
        key = "gateway.upstream" if is_plain else "fhir"
        raise Misconfigured(f"{key}: whether there is one counts from the next start on")


def _differs(key: str, new: Settings, old: Settings) -> bool:
    return bool(getattr(new, key) != getattr(old, key))


def marks(files: Iterable[Path]) -> Marks:
    """Return how *files* are now."""
    return {file: _mark(file) for file in files}


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
