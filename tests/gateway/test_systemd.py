"""What is told → what systemd hears, where it listens."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jwt_guard.gateway.systemd import notify, watchdog_seconds


@pytest.mark.parametrize("is_abstract", [False, True])
def test_who_listens_hears_of_it(is_abstract: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = str(Path(folder) / "n")
        listener.bind(f"\0{name}" if is_abstract else name)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if is_abstract else name)
        notify("READY=1")
        assert b"READY=1" == listener.recv(100)


@pytest.mark.parametrize("name", [None, "", "relative", "/nobody/is/here"])
def test_that_nobody_listens_is_no_error(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")


@pytest.mark.parametrize(
    ("micros", "pid", "seconds"),
    [
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
        ("3000000", None, 3.0),
        ("500000", "ours", 0.5),
        ("500000", "1", None),
    ],
)
def test_how_often_a_sign_of_life_is_wanted(
    micros: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", micros), ("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert seconds == watchdog_seconds()
