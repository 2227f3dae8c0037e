"""What holds for every test: examples, that CI skips nothing, what may be run again, and what no log may hold."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import Watch

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# A crowded machine is slow, which says nothing about the code.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300, derandomize=True, print_blob=True)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "dev"))

REAL = frozenset({"browser", "cli", "docs", "examples", "faults", "gateway", "gateways", "live", "runners", "stores"})
"""Where tests start programs and wait for them by the clock, which a crowded machine may not grant them in time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, have what fails there run once more; the summary says which did."""
    here = Path(__file__).parent
    for item in items if IN_CI else ():
        if item.path.relative_to(here).parts[0] in REAL:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=3))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watch(), "leaks")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return skipping_fails(report) if IN_CI else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return skipping_fails(report) if IN_CI else report


def skipping_fails(report: Report) -> Report:
    """Make a failure of what was skipped, naming the reason; what ran and failed as expected stays as it is."""
    if report.skipped and getattr(report, "wasxfail", "[NOTRUN]").startswith("[NOTRUN]"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI skips nothing, and this was to be skipped: {reason.removeprefix('Skipped: ')}"
    return report
