"""``jwt-guard export``: a configuration → that of a gateway which asks the guard about every request."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.gateway import read_gateway
from ..config.load import find, guard_from, read
from ..gateway.export.plan import LISTEN, plan
from .inputs import add_config

if TYPE_CHECKING:
    import argparse

    from ..gateway.export.plan import File
    from .commands import Commands

__all__ = ["add_parser", "run"]

_GATEWAYS = {
    "nginx": "nginx 1.22 or later, with auth_request",
    "caddy": "Caddy 2.11 or later, with forward_auth",
    "traefik": "Traefik 3.7.12 or later, with forwardAuth",
    "haproxy": "HAProxy 2.6 or later, with an action in Lua",
    "envoy-ext-authz": "Envoy, with ext_authz over gRPC where grpc_listen is set, else over HTTP",
    "envoy": "Envoy, which holds the policy itself; with --auth the guard is asked where Envoy cannot tell",
}
"""Each has a module of that name in ``gateway/export``."""
_HEADING = "-- {name}: a file of this name, without this line --"


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "export",
        help="print the configuration of a gateway that asks the guard",
        description="Print a whole configuration for a gateway that asks `jwt-guard serve` about every request before "
        "it passes it on. What the application is told of who is asking is taken from gateway.identity_headers.",
    )
    inner = parser.add_subparsers(title="gateways", dest="gateway", metavar="COMMAND", required=True)
    for name, help_text in _GATEWAYS.items():
        gateway = inner.add_parser(name, help=help_text, description=f"Print the configuration for {help_text}.")
        add_config(gateway)
        gateway.add_argument(
            "--listen", metavar="HOST:PORT", help=f"where the gateway listens; an IP address ({LISTEN} by default)"
        )
        gateway.add_argument("--upstream", metavar="URL", help="where the application is: http://HOST:PORT, say")
        gateway.add_argument(
            "--auth",
            metavar="ADDRESS",
            help="where jwt-guard is asked: HOST:PORT or unix:PATH; gateway.listen by default",
        )
        gateway.add_argument("--output", metavar="FOLDER", help="write the files into this folder, and print nothing")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    root = read(find(options.config))
    planned = plan(
        read_gateway(root), guard_from(root), listen=options.listen, upstream=options.upstream, auth=options.auth
    )
    module = import_module(f"...gateway.export.{options.gateway.replace('-', '_')}", __name__)
    more = {"asks": options.auth is not None} if options.gateway == "envoy" else {}
    files: tuple[File, ...] = module.export(planned, **more)
    if options.output is not None:
        _write(Path(options.output), files)
    elif len(files) == 1:
        print(files[0].text, end="")
    else:
        for number, each in enumerate(files):
            print(("\n" if number else "") + _HEADING.format(name=each.name), each.text, sep="\n", end="")
    return 0


def _write(folder: Path, files: tuple[File, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_text(file.text, encoding="utf-8")
