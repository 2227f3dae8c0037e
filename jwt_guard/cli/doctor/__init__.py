"""``jwt-guard doctor``: a configuration → what each issuer answers now, how its keys are, and what to do about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from ...config.load import find, guard_from, read
from ...config.values import Table
from ..inputs import add_config
from ..terminal import painted, wrapped

if TYPE_CHECKING:
    from ...sources.key_state import KeyState
    from ..commands import Commands
    from .findings import Examined, Finding
    from .rounds import Report

__all__ = ["add_parser", "run"]

_MOST_SECONDS = 300
_VERDICT_WIDTH = 8
_ABOUT_WIDTH = 12


def add_parser(commands: Commands) -> None:
    """Add this command to *commands*."""
    parser = commands.add_parser(
        "doctor",
        help="ask each issuer for its keys, and say what is wrong and what to do",
        description="Ask each issuer of a configuration for its metadata and keys, as a guard does when it starts, and "
        "say how they are: where they were found, which can be used, for how long they are fresh, how far the issuer's "
        "clock is from the one here, and whether the store and the folder for snapshots can be used. All are asked at "
        "the same time, and no key is put anywhere. The exit status is 1 if a provider cannot be used; what is only "
        "risky does not count.",
    )
    add_config(parser)
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="for each issuer, instead of timeout under [keys]"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    from .rounds import report_on

    report = report_on(guard_from(_root(options)))
    if options.json:
        print(json.dumps(_document(report), indent=2))
    else:
        _show(report)
    return int(bool(report.sick))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"more than 0 and at most {_MOST_SECONDS} seconds are expected")
    return seconds


def _root(options: argparse.Namespace) -> Table:
    """Return what the file says, with the patience that was asked for."""
    root = read(find(options.config))
    keys = root.values.get("keys", {})
    if options.timeout is None or not isinstance(keys, dict):
        return root
    return Table(root.file, {**root.values, "keys": {**keys, "timeout": options.timeout}})


def _document(report: Report) -> dict[str, object]:
    return {
        "ok": not report.sick,
        "providers": [_of_provider(provider) for provider in report.providers],
        "places": [asdict(finding) for finding in report.places],
    }


def _of_provider(provider: Examined) -> dict[str, object]:
    return {
        "name": provider.name,
        "usable": provider.usable,
        "findings": [asdict(finding) for finding in provider.findings],
        "facts": dict(provider.facts),
        "state": None if provider.state is None else asdict(provider.state),
    }


def _show(report: Report) -> None:
    for provider in report.providers:
        print(provider.name)
        _show_each(provider.findings)
        if provider.state is not None and provider.state.age is not None:
            _show_line("", "state", _in_words(provider.state))
        print()
    if report.places:
        print("[store] and [keys]")
        _show_each(report.places)
        print()
    print(f"Not usable: {', '.join(report.sick)}." if report.sick else "Every provider can be used.")


def _show_each(findings: Iterable[Finding]) -> None:
    for finding in findings:
        _show_line(finding.verdict, finding.about, finding.sentence)
        if finding.advice is not None:
            _show_line("", "", f"to do: {finding.advice}")


def _show_line(verdict: str, about: str, text: str) -> None:
    indent = _VERDICT_WIDTH + _ABOUT_WIDTH
    print(f"{painted(verdict, _VERDICT_WIDTH)}{about:<{_ABOUT_WIDTH}}{wrapped(text, indent)}")


def _in_words(state: KeyState) -> str:
    """Say how keys are that were just fetched."""
    from .issuers import span

    parts = ["stale" if state.stale else "fresh"]
    if state.next_refresh is not None:
        parts.append(f"asked for again in {span(state.next_refresh)}")
    if state.usable_until is not None:
        parts.append(f"used for {span(state.usable_until)} at most, if the issuer fails until then")
    return ", ".join(parts)
