"""``jwt-guard explain``: a token → every check in turn, and what to do about those that fail."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..access.explain import explain
from ..config.load import load
from ..errors import Misconfigured
from ..messages import PlainRequest
from ..runners import blocking
from .inputs import SOURCES, add_config, read_token
from .terminal import painted, wrapped

if TYPE_CHECKING:
    import argparse

    from ..access.explain import Step
    from .commands import Commands

__all__ = ["add_parser", "run"]

_SUMMARIES = {
    "ok": "Everything holds.",
    "failed": "The guard refuses this.",
    "not checked": "Nothing fails, but not everything was checked; --online asks the issuer.",
}
_VERDICT_WIDTH = 13
_ABOUT_WIDTH = 11


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "explain",
        help="go through a token: what was expected, what was got, what to do about it",
        description="Put a token to every check of the guard in turn, also after one has failed. Nothing is asked "
        "of the network unless --online says so, so keys at an issuer count as not checked. The exit status is 1 "
        "if a check failed; use verify to have a token accepted or refused.",
    )
    parser.add_argument("token", metavar="TOKEN", help=SOURCES)
    add_config(parser)
    parser.add_argument("--path", help="also say what the routes make of a request for this path")
    parser.add_argument("--method", help="the method of that request (GET by default)")
    parser.add_argument(
        "--online", action="store_true", help="ask the issuer for its keys, and about the token where the guard would"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if options.method and not options.path:
        raise Misconfigured("--method is for a request: it needs --path")
    request = None
    if options.path:
        path, _, query = options.path.partition("?")
        request = PlainRequest(options.method or "GET", path, query)
    guard = load(options.config)
    text = read_token(options.token)
    flow = explain(guard, text, now=time.time(), request=request, ask_issuers=options.online)
    explanation = blocking.run(flow)
    if options.json:
        steps = [asdict(step) for step in explanation.steps]
        print(json.dumps({"verdict": explanation.verdict, "steps": steps}, indent=2))
    else:
        for step in explanation.steps:
            _show(step)
        print(f"\n{_SUMMARIES[explanation.verdict]}")
    return int(explanation.verdict == "failed")


def _show(step: Step) -> None:
    indent = _VERDICT_WIDTH + _ABOUT_WIDTH
    print(f"{painted(step.verdict, _VERDICT_WIDTH)}{step.about:<{_ABOUT_WIDTH}}{wrapped(step.demand, indent)}")
    margin = " " * indent
    if step.verdict == "failed" and step.expected is not None:
        print(f"{margin}expected  {wrapped(step.expected, indent + 10)}")
    if step.got is not None:
        print(f"{margin}got       {wrapped(step.got, indent + 10)}")
    if step.advice is not None:
        print(f"{margin}to do     {wrapped(step.advice, indent + 10)}")
