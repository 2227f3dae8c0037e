"""Stored → what a folder has: ours, whole, in its time; nothing that somebody else can have put there."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from jwt_guard.errors import StoreFailed
from jwt_guard.flow import Entry, Flow, Stored, claim, read, write
from jwt_guard.runners import awaiting, blocking
from jwt_guard.stores.disk import LIMIT, FolderStore

SOMEBODY = 12_345
"""The number of a user who is not us."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "parent" / "keys"


@pytest.fixture
def store(folder: Path, clock: Clock) -> FolderStore:
    return FolderStore(folder.as_uri(), clock)


def put(store: FolderStore, key: str = "key", value: bytes = b"value", lifetime: float = 60.0) -> None:
    store.answer(Stored("", "write", key, value, lifetime))


def get(store: FolderStore, key: str = "key") -> Entry | None:
    entry = store.answer(Stored("", "read", key))
    assert not isinstance(entry, bool)
    return entry


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make *path* somebody else's; as only root can do that, others have the system say so."""
    if os.geteuid() == 0:
        os.chown(path, SOMEBODY, -1)
        return
    given, ask = path.stat().st_ino, os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = ask(descriptor)
        return os.stat_result((*status[:4], SOMEBODY, *status[5:])) if status.st_ino == given else status

    monkeypatch.setattr("jwt_guard.stores.disk.os.fstat", fstat)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Generator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# ── what it does ────────────────────────────────────────────────────────────────────────────────────────────────


def by_blocking(flow: Flow[Any]) -> Any:
    return blocking.run(flow)


def on_asyncio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="asyncio")


def on_trio(flow: Flow[Any]) -> Any:
    return anyio.run(awaiting.run, flow, backend="trio")


@pytest.mark.parametrize("run", [by_blocking, on_asyncio, on_trio])
def test_what_is_written_is_read_by_every_runner(folder: Path, run: Callable[[Flow[Any]], Any]) -> None:
    url = folder.as_uri()

    assert None is run(read(url, "key"))
    assert not folder.exists(), "whoever only reads makes nothing"
    assert None is run(write(url, "key", bytes(range(256)), 60.0))
    entry = run(read(url, "key"))
    assert bytes(range(256)) == entry.value
    assert 50 < entry.remaining <= 60
    with pytest.raises(StoreFailed, match=r"^a folder takes no claims$"):
        run(claim(url, "key", 60.0))


def test_what_is_written_outlives_us(folder: Path, clock: Clock) -> None:
    put(FolderStore(folder.as_uri(), clock))
    clock.now += 10

    assert Entry(b"value", 50.0) == get(FolderStore(folder.as_uri(), clock))


def test_what_has_expired_is_nothing(store: FolderStore, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    put(store, lifetime=10.5)
    clock.now += 9.9

    assert get(store) is not None
    clock.now += 0.1
    assert get(store) is None, "it goes by whole seconds, and rather too early"
    clock.now += 1e6
    assert get(store) is None
    assert [] == caplog.records


def test_a_newer_value_takes_the_place_of_the_older(store: FolderStore, folder: Path) -> None:
    put(store, value=b"old", lifetime=1000.0)
    put(store, value=b"new", lifetime=10.0)
    put(store, key="another", value=b"")

    assert Entry(b"new", 10.0) == get(store)
    assert Entry(b"", 60.0) == get(store, "another")
    assert 2 == len(list(folder.iterdir()))


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "/", "a\0b", "\udcff", "k" * 5000])
def test_any_text_is_a_key_and_none_leads_out_of_the_folder(store: FolderStore, folder: Path, key: str) -> None:
    put(store, key)

    assert get(store, key) is not None
    assert [folder] == list(folder.parent.iterdir())
    assert f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}.jwt_guard" == the_file(folder).name


@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b?c", "\u00e4\U0001f511", "\udcff"])
def test_any_folder_that_a_path_can_name_is_the_one_that_is_used(tmp_path: Path, clock: Clock, name: str) -> None:
    put(FolderStore((tmp_path / name).as_uri(), clock))

    assert [tmp_path / name] == list(tmp_path.iterdir())


@pytest.mark.parametrize("lifetime", [1e300, float("inf"), 10.0**12])
def test_for_ever_is_a_long_time(store: FolderStore, lifetime: float) -> None:
    put(store, lifetime=lifetime)
    entry = get(store)

    assert entry is not None
    assert 10.0**12 == entry.remaining


def test_a_value_has_a_greatest_length(store: FolderStore, folder: Path) -> None:
    put(store, value=bytes(LIMIT))

    assert Entry(bytes(LIMIT), 60.0) == get(store)
    with pytest.raises(StoreFailed, match=f"^a value has at most {LIMIT} octets$"):
        put(store, value=bytes(LIMIT + 1))
    assert Entry(bytes(LIMIT), 60.0) == get(store), "the one before is still there"


# ── whose it is ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_nobody_else_can_read_or_write_whatever_the_umask(folder: Path, clock: Clock, mask: int) -> None:
    folder.parent.mkdir()
    with umask(mask):
        put(FolderStore(folder.as_uri(), clock))

    assert 0o700 == mode(folder)
    assert 0o600 == mode(the_file(folder))


@pytest.mark.parametrize("others", [0o644, 0o640, 0o660, 0o602, 0o601, 0o610])
def test_a_file_that_others_may_reach_does_not_count(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    put(store)
    the_file(folder).chmod(others)

    assert None is get(store)
    assert "others may read or write it" in said_once(caplog, store)
    put(store)
    assert get(store) is not None
    assert 0o600 == mode(the_file(folder))


def said_once(caplog: pytest.LogCaptureFixture, store: FolderStore) -> str:
    """Return the one warning there is, also when the same is found again."""
    assert None is get(store)
    (record,) = caplog.records
    assert "value" not in record.getMessage()
    return record.getMessage()


def test_a_file_of_somebody_else_does_not_count(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    give_away(the_file(folder), monkeypatch)

    assert None is get(store)
    assert "it is somebody else's" in said_once(caplog, store)
    put(store)
    assert get(store) is not None
    assert os.geteuid() == the_file(folder).stat().st_uid


@pytest.mark.parametrize("others", [0o777, 0o770, 0o720, 0o1777, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    """Whoever may write there can bring back a file of ours that we have replaced, with a key that was taken out."""
    put(store)
    folder.chmod(others)

    assert None is get(store)
    assert "others may write to the folder" in said_once(caplog, store)
    with pytest.raises(StoreFailed, match=r"^the folder is not written to: others may write to the folder$"):
        put(store)
    folder.chmod(0o755)
    assert get(store) is not None, "that they can see the names does no harm"


def test_a_folder_of_somebody_else_is_not_used(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    give_away(folder, monkeypatch)

    assert None is get(store)
    assert "the folder is somebody else's" in said_once(caplog, store)
    with pytest.raises(StoreFailed, match="the folder is somebody else's"):
        put(store)


def test_a_link_is_not_followed(
    store: FolderStore, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(store)
    file, elsewhere = the_file(folder), tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)

    assert None is get(store)
    assert "it is a link" in said_once(caplog, store)
    before = elsewhere.read_bytes()
    put(store, value=b"new")
    assert before == elsewhere.read_bytes(), "writing does not follow it either"
    assert Entry(b"new", 60.0) == get(store)


def test_a_folder_may_be_a_link_that_its_owner_has_chosen(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = FolderStore((tmp_path / "link").as_uri(), clock)
    put(store)

    assert get(store) is not None
    assert the_file(tmp_path / "real").is_file()


def make_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def make_folder(path: Path) -> None:
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("make", [make_pipe, make_folder])
def test_what_is_no_file_does_not_count_and_holds_nobody_up(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    put(store)
    file = the_file(folder)
    file.unlink()
    make(file)

    assert None is get(store)
    assert "it is no file" in said_once(caplog, store)


# ── what is in it ───────────────────────────────────────────────────────────────────────────────────────────────


def edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert 1 == content.count(old)
    return content.replace(old, new)


NOT_OURS = "nothing of ours, or of another version, is in it"
CHANGED = "it has been changed, or was not written to its end"


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", NOT_OURS),
    "cut in the header": (lambda content: content[:20], NOT_OURS),
    "cut in the value": (lambda content: content[:-1], CHANGED),
    "longer": (lambda content: content + b"x", CHANGED),
    "another value": (lambda content: edited(content, b"value", b"valve"), CHANGED),
    "another lifetime": (lambda content: edited(content, b" 60 ", b" 90 "), CHANGED),
    "another expiry": (lambda content: edited(content, b" 1800000060 ", b" 1800000061 "), CHANGED),
    "another version": (lambda content: edited(content, b"jwt_guard 1 ", b"jwt_guard 2 "), NOT_OURS),
    "a negative number": (lambda content: edited(content, b" 60 ", b" -60 "), NOT_OURS),
    "a number in other digits": (lambda content: edited(content, b" 60 ", b" 6\xd9\xa0 "), NOT_OURS),
    "an endless number": (lambda content: edited(content, b" 60 ", b" " + b"9" * 4000 + b" "), NOT_OURS),
    "too long": (lambda content: content + bytes(LIMIT), "it is too long"),
    "all zero": (lambda _: bytes(3 * LIMIT), NOT_OURS),
    "a line before": (lambda content: b"\n" + content, NOT_OURS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_it_was_written_does_not_count(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    put(store)
    file = the_file(folder)
    make, reason = CHANGES[change]
    file.write_bytes(make(file.read_bytes()))

    assert None is get(store)
    assert said_once(caplog, store).endswith(reason)
    put(store)
    assert Entry(b"value", 60.0) == get(store)


def test_a_file_counts_for_its_own_key_only(store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(store, "issuer a")
    file = the_file(folder)
    put(store, "issuer b")
    (other,) = set(folder.iterdir()) - {file}
    file.replace(other)

    assert None is get(store, "issuer b")
    assert [CHANGED] == [message.rpartition(": ")[2] for message in caplog.messages]


def test_what_comes_from_the_future_does_not_count(
    store: FolderStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A clock that was wrong when it was written, or is now: nobody can say how old it is."""
    put(store)
    clock.now -= 2

    assert None is get(store)
    assert "it comes from the future" in said_once(caplog, store)


# ── what does not work ──────────────────────────────────────────────────────────────────────────────────────────


def failure(store: FolderStore, caplog: pytest.LogCaptureFixture) -> str:
    """Return why writing fails, which is warned about once and without what was to be written."""
    with pytest.raises(StoreFailed):
        put(store, value=b"secret")
    with pytest.raises(StoreFailed) as caught:
        put(store, value=b"secret")
    assert 1 == len(caplog.records)
    assert "secret" not in caplog.text
    assert caught.value.__suppress_context__
    return str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_failure(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = FolderStore((tmp_path / "file" / "keys").as_uri(), clock)

    assert "the folder fails (NotADirectoryError: Not a directory)" == failure(store, caplog)
    with pytest.raises(StoreFailed, match="NotADirectoryError"):
        get(store)


UNWRITABLE = """\
import os, sys
from jwt_guard.errors import StoreFailed
from jwt_guard.flow import Stored
from jwt_guard.stores.disk import FolderStore

if os.geteuid() == 0:  # who may write everywhere
    os.setuid(12345)
for command in ("write", "write", "read"):
    try:
        FolderStore(sys.argv[1]).answer(Stored("", command, "key", b"value", 60.0))
    except StoreFailed as error:
        print(error)
"""


def test_a_folder_where_we_may_not_write_is_a_failure(tmp_path: Path) -> None:
    """In a process of its own, which is nobody in particular."""
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o555)
    words = [sys.executable, "-c", UNWRITABLE, (parent / "keys").as_uri()]
    said = subprocess.run(words, capture_output=True, text=True, check=True)

    assert ["the folder fails (PermissionError: Permission denied)"] * 2 == said.stdout.splitlines()[:2]
    assert "value" not in said.stderr


FULL = """\
import resource, sys
from jwt_guard.errors import StoreFailed
from jwt_guard.flow import Stored
from jwt_guard.stores.disk import FolderStore

store = FolderStore(sys.argv[1])
store.answer(Stored("", "write", "key", b"small", 60.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    store.answer(Stored("", "write", "key", b"x" * 100_000, 60.0))
except StoreFailed as error:
    print(error)
print(store.answer(Stored("", "read", "key")).value)
"""


def test_a_disk_that_is_full_is_a_failure_and_leaves_what_was_there(folder: Path) -> None:
    """The system takes 5,000 octets and no more, which is how a full disk looks to whoever writes."""
    said = subprocess.run([sys.executable, "-c", FULL, folder.as_uri()], capture_output=True, text=True, check=True)

    assert ["the folder fails (OSError: File too large)", "b'small'"] == said.stdout.splitlines()
    assert the_file(folder).name.endswith(".jwt_guard"), "and no draft"


def test_what_fails_while_writing_leaves_no_draft(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults of a disk that nobody can have on demand: it says so at the end, or at the new name."""
    put(store)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for call in ("fsync", "rename", "fchmod"):
        caplog.clear()
        monkeypatch.setattr(f"jwt_guard.stores.disk.os.{call}", fail)
        with pytest.raises(StoreFailed, match=r"^the folder fails \(OSError: Input/output error\)$"):
            put(store, value=b"new")
        monkeypatch.undo()

        assert the_file(folder).is_file()
        assert Entry(b"value", 60.0) == get(store)


def test_drafts_of_writers_that_were_ended_are_removed_in_time(store: FolderStore, folder: Path, clock: Clock) -> None:
    put(store)
    file = the_file(folder)
    left, new, foreign = (folder / name for name in (f".{file.name}.0123", f".{file.name}.4567", ".notes"))
    for path, age in ((left, 3700), (new, 60), (foreign, 3700)):
        path.touch()
        os.utime(path, (clock.now - age, clock.now - age))
    put(store)

    assert {file, new, foreign} == set(folder.iterdir())
    assert get(store) is not None


WRITING = """\
import sys
from jwt_guard.flow import Stored
from jwt_guard.stores.disk import FolderStore

store = FolderStore(sys.argv[1])
for turn in range(1_000_000):
    store.answer(Stored("", "write", "key", bytes([turn % 251]) * 700_000, 1000.0))
    if turn == 3:
        print("ready", flush=True)
"""


def test_whoever_is_ended_while_writing_leaves_a_whole_value(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FolderStore(folder.as_uri())
    for attempt in range(6):
        with subprocess.Popen([sys.executable, "-c", WRITING, folder.as_uri()], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(attempt):
                entry = get(store)

                assert entry is not None
                assert 700_000 == len(entry.value)
                assert 1 == len(set(entry.value)), "of one writing"
            process.send_signal(signal.SIGKILL)
        entry = get(store)
        assert entry is not None
        assert 1 == len(set(entry.value))

    assert [] == caplog.records


def test_many_writers_and_readers_get_along(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FolderStore(folder.as_uri())
    values = [bytes([number]) * 50_000 for number in range(4)]
    put(store, value=values[0])
    read_by_us: set[bytes] = set()

    def write_often(value: bytes) -> None:
        for _ in range(30):
            put(FolderStore(folder.as_uri()), value=value)

    threads = [threading.Thread(target=write_often, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        entry = get(store)
        assert entry is not None
        read_by_us.add(entry.value)
    for thread in threads:
        thread.join()

    assert read_by_us <= set(values)
    assert [] == caplog.records
    assert the_file(folder).is_file()


# ── a disk that hangs ───────────────────────────────────────────────────────────────────────────────────────────


class HangingStore(FolderStore):
    """A folder on a disk that does not answer until it is let go, as a network's does."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.go = threading.Event()

    def answer(self, need: Stored) -> Entry | bool | None:
        self.asked += 1
        self.go.wait(20)
        return super().answer(need)


def test_a_disk_that_hangs_is_waited_for_once_and_holds_up_no_loop(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwt_guard.stores.disk.DEADLINE", 0.05)
    store = HangingStore(folder.as_uri())

    async def said() -> str:
        try:
            return str(await store.ask(Stored("", "read", "key")))
        except StoreFailed as error:
            return str(error)

    async def scene() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        turning = asyncio.create_task(turn())
        assert ["the folder does not answer"] * 3 == await asyncio.gather(*(said() for _ in range(3)))
        assert turns > 5
        before = time.monotonic()
        for _ in range(50):
            assert "the folder still does not answer" == await said()
        assert time.monotonic() - before < 50 * 0.05
        monkeypatch.setattr("jwt_guard.stores.disk.DEADLINE", 10.0)
        store.go.set()
        while await said() != "None":  # noqa: ASYNC110 - nothing tells us that the disk is done with the first
            await asyncio.sleep(0.001)
        assert 2 == store.asked, "what was given up is not asked for later"
        turning.cancel()
        await store.close()

    asyncio.run(scene())

    assert ["does not answer"] == [message.rpartition("' ")[2] for message in caplog.messages]
    assert store._thread is not None
    store._thread.join(10)
    assert not store._thread.is_alive()


HANGING = """\
import os, sys
from jwt_guard.errors import StoreFailed
from jwt_guard.flow import read
from jwt_guard.runners import blocking
from jwt_guard.stores import disk

disk.DEADLINE = 0.05
disk.FolderStore.answer = lambda self, need: os.read(0, 1)  # until somebody says something
try:
    blocking.run(read("file:///nowhere", "key"))
except StoreFailed as error:
    print(error, flush=True)
"""


def test_a_disk_that_hangs_does_not_keep_a_process_from_ending() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert b"the folder does not answer\n" == process.stdout.read()
        assert 0 == process.wait(20)


def test_whatever_goes_wrong_in_the_thread_is_told_to_who_asked(folder: Path) -> None:
    class BrokenStore(FolderStore):
        def answer(self, need: Stored) -> Entry | bool | None:
            if need.key == "broken":
                raise ZeroDivisionError
            return super().answer(need)

    async def scene() -> None:
        store = BrokenStore(folder.as_uri())
        with pytest.raises(ZeroDivisionError):
            await store.ask(Stored("", "read", "broken"))
        assert None is await store.ask(Stored("", "read", "key"))
        await store.close()

    asyncio.run(scene())
