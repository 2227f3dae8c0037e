"""Much more than fits streams through the reverse proxy, and its memory stays as it was."""

from __future__ import annotations

import sys

import pytest

from benchmarks.proxying import grown

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process has had")
@pytest.mark.parametrize("way", ["down", "up"])
def test_memory_stays_flat_while_octets_stream(way: str) -> None:
    assert grown(way, 192 * MIB) < 24 * MIB
