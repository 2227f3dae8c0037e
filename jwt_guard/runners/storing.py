"""Stored → what the store has, on the one loop of the background: one client for each store in a process."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from ..errors import StoreFailed

if TYPE_CHECKING:
    from ..flow import Entry, Line, Stored

__all__ = ["stored"]


class _Store(Protocol):
    async def ask(self, need: Stored) -> Entry | bool | tuple[Line, ...] | None: ...

    async def close(self) -> None: ...


_log = logging.getLogger("jwt_guard")
_WARNED: set[str] = set()
# What belongs to the loop of a process that we were forked from stays here, untouched: closing it would reach into
# the connections, and into the epoll, that the two share.
_OPEN: dict[tuple[asyncio.AbstractEventLoop, str], tuple[_Store, asyncio.Task[None]]] = {}


async def stored(need: Stored) -> Entry | bool | tuple[Line, ...] | None:
    """Answer *need*, on the loop of the background; raises StoreFailed for everything that can go wrong."""
    at = (asyncio.get_running_loop(), need.store)
    if at not in _OPEN and not need.store.startswith("file:"):
        # Slow, the second is needed next, and all fetches of this process run on this loop.
        await at[0].run_in_executor(None, _load, "redis.asyncio", "jwt_guard.runners.fetching")
    if at not in _OPEN:
        store = _opened(need.store)
        _OPEN[at] = (store, asyncio.create_task(_closed_in_the_end(at, store)))
    return await _OPEN[at][0].ask(need)


def _load(*modules: str) -> None:
    for module in modules:
        with suppress(ImportError):  # which is said when the store is opened
            import_module(module)


def _opened(url: str) -> _Store:
    if url.startswith("file:"):
        from ..stores.disk import FolderStore

        return FolderStore(url)
    from ..stores.redis import RedisStore

    try:
        return RedisStore(url)
    except StoreFailed as error:
        if url not in _WARNED:  # whoever asks goes on without a store, so nobody else would hear of it
            _WARNED.add(url)
            _log.warning("nothing is shared: %s", error)
        raise


async def _closed_in_the_end(at: tuple[asyncio.AbstractEventLoop, str], store: _Store) -> None:
    """Close *store* when everything on this loop is cancelled, as it is before the loop ends."""
    try:
        await asyncio.Event().wait()
    finally:
        del _OPEN[at]
        await store.close()
