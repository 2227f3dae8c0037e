"""A guard → how everything is that it has to ask somebody for, all asked at the same time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

import anyio

from ...errors import shown
from ...runners import awaiting
from ...sources.jwks import RemoteKeys
from .issuers import examine
from .places import examine_snapshot, examine_store

if TYPE_CHECKING:
    from ...access.guard import Guard
    from ...access.provider import Provider
    from .findings import Examined, Finding

__all__ = ["Report", "report_on"]

_PATIENCE = 2.0  # seconds before somebody at a terminal is told for whom we wait


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out."""

    providers: tuple[Examined, ...]
    places: tuple[Finding, ...]
    """About the store and the folder for snapshots."""

    @property
    def sick(self) -> tuple[str, ...]:
        """The names of the providers that cannot be used."""
        return tuple(provider.name for provider in self.providers if not provider.usable)


def report_on(guard: Guard) -> Report:
    """Ask everybody, and return how they are; what takes long is said on a terminal."""
    import_module("jwt_guard.runners.fetching")  # slow, and nobody's clock or patience is to be measured by it
    with _log_kept_quiet():
        return anyio.run(_Rounds(guard).made)


@dataclass
class _Rounds:
    guard: Guard
    found: dict[str, Examined] = field(default_factory=dict)
    places: list[Finding] = field(default_factory=list)

    async def made(self) -> Report:
        sources = [each.source for each in self.guard.providers if isinstance(each.source, RemoteKeys)]
        # Before the others, since it has less time to answer than anything that they make this process do.
        for url in dict.fromkeys(source.settings.store for source in sources if source.settings.store):
            self.places += await awaiting.run(examine_store(url))
        for folder in dict.fromkeys(source.settings.snapshot for source in sources if source.settings.snapshot):
            self.places += examine_snapshot(folder)
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._tell)
            async with anyio.create_task_group() as asking:
                for provider in self.guard.providers:
                    asking.start_soon(self._examined, provider)
            watching.cancel_scope.cancel()
        return Report(tuple(self.found[each.name] for each in self.guard.providers), tuple(self.places))

    async def _examined(self, provider: Provider) -> None:
        self.found[provider.name] = await awaiting.run(examine(provider, self.guard.clock))

    async def _tell(self) -> None:
        await anyio.sleep(_PATIENCE)
        if sys.stderr.isatty():
            names = ", ".join(shown(each.name) for each in self.guard.providers if each.name not in self.found)
            print(f"jwt-guard: still waiting for {names}", file=sys.stderr, flush=True)


@contextmanager
def _log_kept_quiet() -> Generator[None]:
    """Have nothing logged on standard error where nobody has set up logging: the report says it all."""
    logger, nowhere = logging.getLogger("jwt_guard"), logging.NullHandler()
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
