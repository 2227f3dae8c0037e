"""A keyring in a file: several processes, one truth, and nobody else."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jwcrypto.jwk  # type: ignore[import-untyped]
import pytest

from jwt_guard.errors import Misconfigured, StoreFailed
from jwt_guard.issuing import keyring_file
from jwt_guard.issuing.keyring import Keyring, Rotation, load_signing_key, make
from jwt_guard.issuing.keyring_file import create_keyring, open_keyring

if sys.platform == "win32":
    pytest.skip("keyrings in files need the locks and modes of POSIX", allow_module_level=True)

import fcntl

START = 1_800_000_000.0
PLAN = Rotation(every=1_000, published_before=100, longest_token=300, margin=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


def opened(file: Path, **more: Any) -> Keyring:
    settings: dict[str, Any] = {"rotation": PLAN, "alg": "ES256", "clock": lambda: START, **more}
    return open_keyring(file, **settings)


def kids(ring: Keyring) -> list[str]:
    return [key["kid"] for key in ring.jwks()["keys"]]


def changed(file: Path, **members: Any) -> None:
    """Change the first key in *file*; None takes a member away."""
    document = json.loads(file.read_text())
    entry = {**document["keys"][0], **members}
    document["keys"][0] = {name: value for name, value in entry.items() if value is not None}
    file.write_text(json.dumps(document))


# --- what is kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "ES384", "EdDSA", "ML-DSA-65"])
def test_a_keyring_goes_on_where_it_was(file: Path, alg: str) -> None:
    first = opened(file, alg=alg)
    first.turn(START + 890)
    first.turn(START + 1_000)

    again = opened(file, alg=None)

    assert kids(first) == kids(again)
    assert (first.current.kid, alg) == (again.current.kid, again.current.alg)
    assert first.ahead == again.ahead
    assert first.current.verifying.verifiers[alg](b"x", again.current.sign(b"x"))


def test_nobody_else_can_read_it(file: Path) -> None:
    opened(file).turn(START + 890)

    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert {"keyring.json", "keyring.json.lock"} == {entry.name for entry in file.parent.iterdir()}


def test_others_read_it_as_a_set_of_private_keys(file: Path) -> None:
    ring = opened(file)
    ring.turn(START + 890)

    read: Any = jwcrypto.jwk.JWKSet.from_json(file.read_text())
    assert all(read.get_key(kid).has_private for kid in kids(ring))
    assert ring.current.kid == load_signing_key(file, kid=ring.current.kid).kid


def test_nothing_private_is_published_or_shown(file: Path) -> None:
    ring = opened(file, alg="RS256")
    ring.turn(START + 890)
    secrets = [key[name] for key in json.loads(file.read_text())["keys"] for name in ("d", "p", "q", "dp", "dq", "qi")]

    said = f"{json.dumps(ring.jwks())} {ring!r} {ring.members!r} {ring.ahead!r}"
    assert 12 == len(secrets)
    assert all(secret not in said for secret in secrets)
    assert "signs_from" not in json.dumps(ring.jwks())


# --- several at once ---------------------------------------------------------------------------------


def test_what_one_does_another_sees_when_it_turns(file: Path) -> None:
    one, other = opened(file), opened(file)

    (published,) = one.turn(START + 890)
    assert 1 == len(kids(other))
    assert () == other.turn(START + 891)
    assert kids(one) == kids(other)
    assert "sign" == other.turn(START + 1_000)[0].action
    assert () == one.turn(START + 1_001)
    assert published.kid == one.current.kid == other.current.kid


def test_what_is_known_already_is_not_read_again(file: Path) -> None:
    one, other = opened(file), opened(file)
    before = other.current
    one.publish(make("ES256", "b"))

    other.turn(START)

    assert before is other.current
    assert ["b"] == kids(other)[1:]


def test_nothing_is_written_where_nothing_is_due(file: Path) -> None:
    ring = opened(file)
    before = file.stat().st_ino

    assert () == ring.turn(START + 1)
    assert () == opened(file).turn(START + 2)
    assert before == file.stat().st_ino
    ring.turn(START + 2, prepare=True)
    after = file.stat().st_ino
    assert () == ring.turn(START + 3, prepare=True)  # one is waiting
    opened(file).turn(START + 3)
    assert (True, after) == (before != after, file.stat().st_ino)


def test_changes_by_hand_are_seen_by_all(file: Path) -> None:
    one, other = opened(file), opened(file)

    new = one.rotate(make("EdDSA", "new"))
    other.publish(make("ES256", "next"))
    one.retire(other.keys[0].kid or "")

    assert ["new", "next"] == kids(one)
    assert "new" == new.kid == other.current.kid
    with pytest.raises(Misconfigured, match="no key"):
        other.retire("nobody")


def test_threads_and_their_keyrings_publish_one_key(file: Path) -> None:
    rings = [opened(file) for _ in range(8)]
    start = threading.Barrier(8)
    done: list[str] = []

    def turn(ring: Keyring) -> None:
        start.wait()
        done.extend(step.action for step in ring.turn(START + 890))

    threads = [threading.Thread(target=turn, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["publish"] == done
    assert 1 == len({tuple(kids(ring)) for ring in rings})


def test_processes_on_one_file_lose_nothing(file: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from jwt_guard.issuing.keyring import Rotation, make\n"
        "from jwt_guard.issuing.keyring_file import open_keyring\n"
        "ring = open_keyring(Path(sys.argv[1]), alg='ES256')\n"
        "for number in range(10):\n"
        "    ring.publish(make('EdDSA', f'{sys.argv[2]}.{number}'))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(file), str(number)], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert b"" == said

    found = kids(opened(file))
    assert 41 == len(found)  # and the first one, which one of them made
    assert {f"{number}.{count}" for number in range(4) for count in range(10)} < set(found)


def test_a_process_that_keeps_the_lock_holds_nobody_up_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_file, "_PATIENCE", 0.05)
    ring = opened(file)
    ring.turn(START + 890)
    with Path(f"{file}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(StoreFailed, match="does not let go"):
            ring.turn(START + 1_000)
        fcntl.flock(lock, fcntl.LOCK_UN)

    assert "sign" == ring.turn(START + 1_000)[0].action


def test_a_lock_goes_even_if_a_fork_has_it_too(file: Path) -> None:
    ring = opened(file)
    held: list[int] = []
    real = os.open

    def remembering(*arguments: Any, **more: Any) -> int:
        descriptor = real(*arguments, **more)
        if str(arguments[0]).endswith(".lock"):
            held.append(os.dup(descriptor))  # as a fork does
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", remembering)
        ring.publish(make("EdDSA", "b"))
    ring.publish(make("EdDSA", "c"))

    assert 3 == len(kids(ring))
    os.close(held[0])


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    ring = opened(file)
    file.chmod(mode)

    with pytest.raises(Misconfigured, match="others may read or write it"):
        opened(file)
    with pytest.raises(StoreFailed, match="others may"):
        ring.publish(make("ES256", "b"))
    assert 1 == len(kids(ring))


def test_a_link_and_what_is_no_file_are_refused(file: Path, tmp_path: Path) -> None:
    opened(file)
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)

    for name, reason in (("link", "it is a link"), ("folder", "no file"), ("pipe", "no file"), ("nowhere", "No such")):
        with pytest.raises(Misconfigured, match=reason):
            opened(tmp_path / name, alg=None)


def test_somebody_elses_file_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(file)
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)

    with pytest.raises(Misconfigured, match="somebody else's"):
        opened(file)


@pytest.mark.parametrize(
    "octets",
    [b"", b"{", b"[]", b'{"keys": []}', b'{"jwt_guard_keyring": 2, "keys": []}', 1_100_000 * b" "]
    + [b'{"jwt_guard_keyring": 1, "keys": %s}' % keys for keys in (b"1", b"[1]", b"[]", b"[{}]")],
    ids=range(10),
)
def test_what_is_no_keyring_is_refused_in_a_sentence(file: Path, octets: bytes) -> None:
    file.write_bytes(octets)
    file.chmod(0o600)

    with pytest.raises(Misconfigured, match=r"keyring\.json: |one key signs"):
        opened(file)


@pytest.mark.parametrize(
    "members",
    [
        {"published": None},
        {"published": "1"},
        {"signs_from": None},
        {"signed_until": START},
        {"signed_until": False},
        {"d": None},
        {"d": "AAAA"},
        {"alg": "ES384"},
        {"kty": "oct", "k": 64 * "A", "alg": "HS256"},
        {"use": "enc"},
    ],
)
def test_a_keyring_that_somebody_has_spoiled_is_refused_and_what_is_in_hand_stays(
    file: Path, members: dict[str, Any]
) -> None:
    ring = opened(file)
    before = ring.current
    secret = json.loads(file.read_text())["keys"][0]["d"]
    changed(file, **members)

    with pytest.raises(Misconfigured) as at_start:
        opened(file)
    with pytest.raises(StoreFailed) as later:
        ring.turn(START)

    assert secret not in f"{at_start.value} {later.value}"
    assert before is ring.current


def test_a_null_is_no_time(file: Path) -> None:
    opened(file)
    file.write_text(file.read_text().replace(f'"published": {START}', '"published": null'))

    with pytest.raises(Misconfigured, match="a time of"):
        opened(file)


def test_a_file_that_goes_away_is_not_made_anew(file: Path) -> None:
    ring = opened(file)
    file.unlink()

    with pytest.raises(StoreFailed, match="No such file"):
        ring.turn(START)
    assert not file.exists()


def test_a_folder_that_cannot_be_written_to_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = opened(file)
    before = file.read_bytes()

    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keyring_file, "write_private", full)
    with pytest.raises(StoreFailed, match="No space left"):
        ring.turn(START + 890)
    with pytest.raises(Misconfigured, match="No space left"):
        create_keyring(file.with_name("other"), "ES256")

    assert before == file.read_bytes()
    assert 1 == len(kids(ring))


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), OSError(errno.EIO, "I/O error")])
def test_a_file_system_without_locks_is_no_place_for_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    ring = opened(file)

    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StoreFailed, match=error.strerror):
        ring.publish(make("ES256", "b"))
    with pytest.raises(Misconfigured, match=error.strerror):
        create_keyring(file.with_name("other"), "ES256")


def test_a_lock_that_is_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    ring = opened(file)
    Path(f"{file}.lock").unlink()
    Path(f"{file}.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreFailed):
        ring.publish(make("ES256", "b"))
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_writer_left_who_was_ended_is_removed(file: Path) -> None:
    ring = opened(file)
    left, anothers = file.with_name(".keyring.json.0123.draft"), file.with_name(".other.json.0123.draft")
    left.write_text("half a private key")
    anothers.write_text("")

    ring.publish(make("ES256", "b"))

    assert (False, True) == (left.exists(), anothers.exists())


def test_whoever_comes_second_takes_what_the_first_has_made(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(file)
    monkeypatch.setattr(os.path, "lexists", lambda _path: False)  # as it was a moment ago

    assert kids(first) == kids(opened(file))


def test_a_new_keyring_replaces_none_unless_it_may(file: Path) -> None:
    key = create_keyring(file, "ES256", kid="a")

    assert "a" == key.kid
    with pytest.raises(FileExistsError):
        create_keyring(file, "ES256", kid="b")
    create_keyring(file, "ES256", kid="b", replace_what_is_there=True)
    assert ["b"] == kids(opened(file))
    with pytest.raises(Misconfigured, match="secret"):
        create_keyring(file.with_name("c"), "HS256")


def test_it_is_found_again_from_another_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ring = opened(Path(file.name))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")

    assert "publish" == ring.turn(START + 890)[0].action


def test_a_system_without_its_locks_is_told_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(file)
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(Misconfigured, match="POSIX"):
        opened(file)
