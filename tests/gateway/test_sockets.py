"""Address → a listening socket: ours, a stale one's place, or one that systemd has handed over."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jwt_guard.gateway.settings import address
from jwt_guard.gateway.sockets import close, handed_over, listening, where


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short name, since the path of a socket must be short."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_a_port_is_listened_on(text: str) -> None:
    with listening(address(text)) as listener:
        place = address(where(listener))
        with socket.create_connection((place.host, place.port)):
            pass
        assert 0 == listener.gettimeout()


def test_a_port_that_is_taken_is_an_error() -> None:
    with listening(address("127.0.0.1:0")) as listener, pytest.raises(OSError, match="in use"):
        listening(address(where(listener)))


def test_a_unix_socket_has_the_mode_that_it_is_given(folder: Path) -> None:
    for name, mode in (("a", 0o660), ("b", 0o600)):
        with listening(address(f"unix:{folder / name}"), mode) as listener:
            assert mode == stat.S_IMODE((folder / name).stat().st_mode)
            assert f"unix:{folder / name}" == where(listener)


def test_what_is_left_of_one_that_nobody_listens_on_is_removed(folder: Path) -> None:
    path = folder / "s"
    listening(address(f"unix:{path}")).close()
    assert path.exists()
    with listening(address(f"unix:{path}")), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_one_that_somebody_listens_on_stays(folder: Path) -> None:
    path = folder / "s"
    with listening(address(f"unix:{path}")) as first:
        with pytest.raises(OSError, match="in use"):
            listening(address(f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            first.accept()[0].close()


def test_a_file_that_is_no_socket_stays(folder: Path) -> None:
    path = folder / "s"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(OSError, match="in use"):
        listening(address(f"unix:{path}"))
    assert "precious" == path.read_text(encoding="utf-8")


def test_the_file_of_a_socket_goes_with_it(folder: Path) -> None:
    close(listening(address(f"unix:{folder / 's'}")))
    assert [] == list(folder.iterdir())


def test_a_file_that_is_gone_already_is_no_error(folder: Path) -> None:
    listener = listening(address(f"unix:{folder / 's'}"))
    (folder / "s").unlink()
    close(listener)
    assert -1 == listener.fileno()


def test_a_newer_socket_in_its_place_stays(folder: Path) -> None:
    path = folder / "s"
    first = listening(address(f"unix:{path}"))
    first.close()  # as a loop does that stops to listen; the file stays, and its number may be given again
    second = listening(address(f"unix:{path}"))
    close(first)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close(second)
    assert not path.exists()


def test_a_file_in_its_place_stays(folder: Path) -> None:
    listener = listening(address(f"unix:{folder / 's'}"))
    (folder / "s").unlink()
    (folder / "s").write_text("precious", encoding="utf-8")
    close(listener)
    assert "precious" == (folder / "s").read_text(encoding="utf-8")


def test_a_process_that_did_not_make_the_file_leaves_it(folder: Path) -> None:
    listener = listening(address(f"unix:{folder / 's'}"))
    child = os.fork()
    if child == 0:
        try:
            close(listener)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (folder / "s").exists()
    close(listener)
    assert not (folder / "s").exists()


def test_no_file_is_left_of_a_socket_that_could_not_be_made_ready(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr(Path, "chmod", fails)
    with pytest.raises(OSError, match="no more"):
        listening(address(f"unix:{folder / 's'}"))
    assert [] == list(folder.iterdir())


def test_what_was_handed_over_is_closed_and_its_file_stays(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        close(listener)
    assert (folder / "s").exists()


HANDED = """
import os, socket, sys
kind = sys.argv[1]
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
made.bind(("127.0.0.1", 0))
if kind == "listening":
    made.listen()
if kind == "none":
    os.close(3) if made.fileno() != 3 else made.close()
elif made.fileno() != 3:
    os.dup2(made.fileno(), 3)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid() + (kind == "not ours"))
from jwt_guard.gateway.sockets import handed_over, where
from jwt_guard.errors import Misconfigured
try:
    found = handed_over()
except Misconfigured as error:
    print(error)
else:
    print(*map(where, found), len(handed_over()))
"""


@pytest.mark.parametrize(
    ("kind", "printed"),
    [
        ("listening", "127.0.0.1:"),
        ("not ours", " 0"),
        ("bound", "none that a stream is accepted on"),
        ("datagram", "none that a stream is accepted on"),
        ("none", "none that a stream is accepted on"),
    ],
)
def test_what_is_handed_over_is_taken_if_it_is_meant_for_us(kind: str, printed: str) -> None:
    ran = subprocess.run([sys.executable, "-c", HANDED, kind], capture_output=True, text=True, check=False)
    assert printed in f" {ran.stdout}", ran.stderr


def test_nothing_is_handed_over_without_word_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    assert [] == handed_over()
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "x")
    assert [] == handed_over()
