"""Arguments → the command that is meant, and its exit status: 0, 1 for what failed, 2 for what was not understood."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NoReturn

from ..errors import GuardError, Misconfigured

if TYPE_CHECKING:
    from typing import TypeAlias

    # It has no public name.
    Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

__all__ = ["main"]

_COMMANDS = {
    "demo": "start an issuer and guarded apps on this machine, and show who is let in and why",
    "check": "say what is wrong or risky with a configuration",
    "explain": "go through a token: what was expected, what was got, what to do about it",
    "doctor": "ask each issuer for its keys, and say what is wrong and what to do",
    "verify": "say whom a token names, or why it is refused",
    "mint": "make a token with a local key, for trying things out",
    "keys": "make, show, name and rotate signing keys",
    "assertion": "make and check the assertions by which clients authenticate",
    "poet": "endorse applications, and check who has endorsed one (POET)",
    "dev-issuer": "an issuer for development: tokens for programs, keys, introspection, revocation",
    "serve": "be asked by gateways whether a request may pass",
    "export": "print the configuration of a gateway that asks the guard",
    "fhir-demo": "a real FHIR server, three apps with different scopes, who sees what",
}
_LONG = re.compile(r"\S{24,}")
_USAGE = 2
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* (the program's own arguments by default) asks for; return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no ± gets \xb1, and no traceback
    try:
        status = _status(arguments)
        sys.stdout.flush()  # while somebody can still deal with a reader who has gone
    except (GuardError, Misconfigured) as error:
        return _failed(str(error))
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left cannot be written either
        return 1 if isinstance(error, BrokenPipeError) else _failed(error.strerror or type(error).__name__)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _status(arguments: Sequence[str]) -> int:
    try:
        return _run(arguments)
    except SystemExit as stop:  # argparse has said what it had to say
        return stop.code if isinstance(stop.code, int) else 1


def _run(arguments: Sequence[str]) -> int:
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    if asked is not None and asked not in _COMMANDS:
        near = get_close_matches(asked, _COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_COMMANDS)}"
        return _failed(f"there is no such command; {hint}", _USAGE)  # what was typed may be a token
    parser = Parser(
        prog="jwt-guard",
        description="One guard for every Python API and gateway: who is let in, and why not.",
        epilog="jwt-guard COMMAND --help says more about each.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jwt-guard {_version()}")
    commands: Commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    run: Callable[[argparse.Namespace], int] | None = None
    for name, help_text in _COMMANDS.items():
        if name == asked:
            module = f".{name.replace('-', '_')}"
            command = import_module(module, __package__)  # only this one: the others may be slow to import
            command.add_parser(commands)
            run = command.run
        else:
            commands.add_parser(name, help=help_text)
    options = parser.parse_args(arguments)
    if run is None:
        parser.print_help()
        return _USAGE
    return run(options)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints do not repeat what may be a token or a secret."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            message = "there are more arguments than this command takes, or unknown options"
        self.exit(_USAGE, f"{self.prog}: {_LONG.sub('(something long)', message)}; see {self.prog} --help\n")


def _failed(sentence: str, status: int = 1) -> int:
    print(f"jwt-guard: {sentence}", file=sys.stderr)
    return status


def _version() -> str:
    try:
        return version("jwt-guard")
    except PackageNotFoundError:
        return "(not installed)"
