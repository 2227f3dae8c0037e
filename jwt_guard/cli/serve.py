"""``jwt-guard serve``: a configuration → what gateways ask about each request, until somebody stops it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..config.gateway import read_gateway
from ..config.load import find, guard_from, read
from ..config.shadow import read_shadow
from ..errors import Misconfigured
from ..gateway.settings import address
from ..gateway.sockets import close, handed_over, listening, where
from ..gateway.systemd import notify, watchdog_seconds
from ..gateway.workers import supervise
from ..observing.lines import log_to_standard_error
from .inputs import add_config

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ..access.guard import Guard
    from ..config.audit import AuditSettings
    from ..config.values import Table
    from ..fhir.audit_trail import AuditTrail
    from ..gateway.doors import Doors
    from ..gateway.judging import Judge
    from ..gateway.reloading import Built
    from ..gateway.serving import Beside
    from ..gateway.settings import Settings
    from ..gateway.watching import Watch
    from .commands import Commands

__all__ = ["add_parser", "run"]

_log = logging.getLogger("jwt_guard")
_MOST_WORKERS = 256
_FILES = ("jwks_file", "pem_file", "client_key_file", "key_file", "ca_file", "openapi", "file")


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "serve",
        help="be asked by gateways whether a request may pass",
        description="Serve the guard of a configuration to nginx, Caddy, Traefik, HAProxy or Envoy, which ask about "
        "each request at /auth, or at /ext_authz/ and the path. The configuration is read again when it changes, and "
        "on SIGHUP; SIGTERM and SIGINT stop it, after what was asked has been answered.",
    )
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS", help="HOST:PORT or unix:/PATH, in place of what the configuration says"
    )
    parser.add_argument("--workers", type=_workers, default=1, metavar="N", help="processes (1)")
    parser.add_argument(
        "--log", choices=("json", "text"), default="json", help="how what is logged is written to standard error (json)"
    )


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    try:
        return _serve(options)
    except ModuleNotFoundError as error:
        if error.name == "grpc":
            raise Misconfigured("grpc_listen needs grpc: pip install 'jwt-guard[envoy]'") from None
        if error.name not in ("aiohttp", "httptools", "uvicorn"):
            raise
        raise Misconfigured(f"serve needs {error.name}: pip install 'jwt-guard[gateway]'") from None


def _serve(options: argparse.Namespace) -> int:
    from ..gateway.reloading import doors_of
    from ..gateway.serving import Times, new_loop, serve
    from ..gateway.watching import Watch

    log_to_standard_error(options.log)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read anew
    file = find(options.config)
    key = os.urandom(32)  # the same for all workers, and until this process ends
    doors = doors_of(_built(file, key=key))  # what is wrong is said here, before anything is done
    settings = doors.settings
    if doors.is_proxy:
        import_module("jwt_guard.gateway.proxying")
    with ExitStack() as stack:
        listeners, minded = _listeners(options, settings, stack)

        def serving(folder: Path | None, beat: Callable[[], None]) -> int:
            watch = Watch(folder, is_counting=bool(minded))
            beside = [*_beside(settings), *map(watch.beside, minded)]
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(serve(partial(_built, file, watch, key=key), listeners, beat=beat, beside=beside))
            return 0

        ready = partial(_ready, listeners, minded)
        if options.workers > 1:
            with TemporaryDirectory(prefix="jwt-guard-") as folder:  # what each of them counts, for all to tell
                work = partial(serving, Path(folder))
                return supervise(options.workers, work, stop_within=Times().stop_within, ready=ready)
        status = serving(None, _Signs(ready))
        notify("STOPPING=1")
        return status


def _listeners(
    options: argparse.Namespace, settings: Settings, stack: ExitStack
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return what is listened on for questions, and for those who mind the service; *stack* closes it."""

    def closing(listener: socket.socket) -> socket.socket:
        stack.callback(close, listener)
        return listener

    listeners = [closing(each) for each in handed_over()]
    if not listeners:
        listeners.append(closing(listening(address(options.listen or settings.listen))))
    minded = [] if settings.admin_listen is None else [closing(listening(address(settings.admin_listen)))]
    return listeners, minded


def _beside(settings: Settings) -> tuple[Beside, ...]:
    """Return what is served beside HTTP."""
    if settings.grpc_listen is None:
        return ()
    from ..gateway.envoy_grpc import beside

    return (beside(settings),)


class _Signs:
    """What a single process says of itself."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready: Callable[[], None] | None = ready
        self._watched = watchdog_seconds() is not None

    def __call__(self) -> None:
        if self._ready is not None:
            self._ready()
            self._ready = None
        if self._watched:
            notify("WATCHDOG=1")


def _ready(listeners: Sequence[socket.socket], minded: Sequence[socket.socket]) -> None:
    for listener in minded:
        _log.info("health and metrics on %s", where(listener))
    _log.info("ready on %s", ", ".join(map(where, listeners)))
    notify("READY=1")


def _built(file: Path, watch: Watch | None = None, *, key: bytes) -> Built:
    from ..gateway.reloading import Built, marks

    files = marks([file])
    root = read(file)
    files = {**files, **marks(_named(root))}
    guard = guard_from(root)
    shadow = read_shadow(root, guard)
    built = Built(read_gateway(root), guard, files)
    if root.has("fhir"):
        built = replace(built, doors=_fhir_doors(root, guard, key))
    return built if watch is None else replace(built, observer=partial(watch.observer, shadow=shadow))


def _fhir_doors(root: Table, guard: Guard, key: bytes) -> Callable[[Settings, Judge], Doors]:
    """Return what makes the doors before the FHIR server of *root*; *key* seals links where it names no other."""
    from ..config.audit import read_audit
    from ..config.fhir import read_fhir
    from ..fhir.serving import FhirDoors
    from ..tokens.sealing import Sealer

    fhir, audit = read_fhir(root, guard.providers), read_audit(root)
    if fhir is None:
        raise root.wrong("fhir", "a table is expected")
    return partial(
        FhirDoors,
        upstream=fhir.upstream,
        server=fhir.server,
        patient_claims=fhir.patient_claims,
        smart=fhir.smart,
        origins=fhir.origins,
        sealer=Sealer(fhir.link_key or key),
        audit=None if audit is None else partial(_trail, audit),
        audit_queries=audit is not None and audit.queries,
    )


def _trail(settings: AuditSettings) -> AuditTrail:
    from ..fhir.audit_trail import AuditFile, AuditServer

    if settings.file is not None:
        return AuditFile(settings.file, required=settings.required)
    return AuditServer(
        settings.url or "",
        authorization=settings.authorization,
        waiting=settings.waiting,
        required=settings.required,
    )


def _named(root: Table) -> list[Path]:
    """Return the files that *root* names, which a change of is a change of it."""
    providers, shadow, gateway = root.table("providers"), root.table("shadow"), root.table("gateway")
    tables = [root.table("keys"), *(providers.inner(name) for name in providers.values)] if providers else []
    tables += [] if gateway is None else [gateway.table("proxy"), gateway.table("identity_token")]
    tables += [shadow, *(root.tables("routes") or ()), *((shadow and shadow.tables("routes")) or ())]
    return [table.path(key) for table in tables if table for key in _FILES if table.text(key)]


def _workers(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {_MOST_WORKERS} is expected")
    return number
