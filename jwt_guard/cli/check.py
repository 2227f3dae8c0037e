"""``jwt-guard check``: a configuration → what is wrong or risky with it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..config.check import check
from ..config.load import find
from .inputs import add_config
from .terminal import painted

if TYPE_CHECKING:
    import argparse

    from .commands import Commands

__all__ = ["add_parser", "run"]


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong or risky with a configuration",
        description="Read a configuration as a guard would at start, without asking any issuer, and say what is "
        "wrong or risky with it. The exit status is 1 if anything is wrong; what is only risky does not count. "
        "A salt function that the configuration names is imported.",
    )
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    findings = check(options.config)
    wrong = any(finding.severity == "wrong" for finding in findings)
    if options.json:
        print(json.dumps({"ok": not wrong, "findings": [asdict(finding) for finding in findings]}, indent=2))
        return int(wrong)
    file = find(options.config)
    for finding in findings:
        place = f"{finding.place}: " if finding.place else ""
        print(f"{painted(finding.severity)}  {file}: {place}{finding.sentence}")
    if not findings:
        print(f"{painted('ok')}  {file}: nothing is wrong with it")
    return int(wrong)
