"""The state of this process → what systemd, or whoever else has started it, is told of it (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["notify", "watchdog_seconds"]

_NAME = "NOTIFY_SOCKET"


def notify(state: str) -> None:
    """Tell *state*, ``READY=1`` say, to whoever wants to hear of it; that nobody does is no error."""
    name = os.environ.get(_NAME, "")
    if name[:1] not in ("/", "@"):
        return
    place = f"\0{name[1:]}" if name.startswith("@") else name
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
        teller.settimeout(0)
        teller.sendto(state.encode("ascii"), place)


def watchdog_seconds() -> float | None:
    """Return after how many seconds without a sign of life this process is taken for dead; None: never."""
    micros, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not micros.isdecimal() or int(micros) == 0 or pid not in (None, str(os.getpid())):
        return None
    return int(micros) / 1_000_000
