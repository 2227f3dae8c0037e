"""Files that are secret: whole or not there, for nobody else, and never in the place of another by accident."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jwt_guard.issuing.private_file import write_private


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_private(tmp_path / "key", b"secret")
        write_private(tmp_path / "key", b"secret too", replace=True)
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "key").stat().st_mode)
    assert b"secret too" == (tmp_path / "key").read_bytes()
    assert ["key"] == os.listdir(tmp_path)  # noqa: PTH208 - names are all that counts


def test_what_is_there_stays_unless_it_may_go(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"the old one")

    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"the new one")

    assert b"the old one" == (tmp_path / "key").read_bytes()
    assert ["key"] == os.listdir(tmp_path)  # noqa: PTH208


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_is_not_followed(tmp_path: Path, dangling: bool) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "key"
    if not dangling:
        elsewhere.write_bytes(b"somebody's")
    link.symlink_to(elsewhere)

    with pytest.raises(FileExistsError):
        write_private(link, b"secret")
    write_private(link, b"secret", replace=True)

    assert not link.is_symlink()
    assert dangling != elsewhere.exists()
    assert dangling or b"somebody's" == elsewhere.read_bytes()


def test_a_writer_who_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"the old one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "key", b"the new one", replace=True)

    assert b"the old one" == (tmp_path / "key").read_bytes()
    assert ["key"] == os.listdir(tmp_path)  # noqa: PTH208


def test_where_a_folder_cannot_be_synced_the_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        write_private(path, b"secret")

    assert b"secret" == path.read_bytes()
