"""``jwt-guard keys`` as people and scripts call it: what is written where, for whom, and what is never printed."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwcrypto.jwk  # type: ignore[import-untyped]
import pytest

from jwt_guard.cli import keys, main
from jwt_guard.issuing.jwk import thumbprint
from jwt_guard.issuing.keyring import load_signing_key, make
from jwt_guard.sources.fixed import fixed
from tests.support.keys import ASYMMETRIC, encode

Run = Callable[..., tuple[int, str, str]]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}
NOW = 1_800_000_000.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="keyrings in files need the locks and modes of POSIX")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``jwt-guard keys`` in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(("keys", *arguments))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the clock, which begins at NOW."""

    def at(seconds: float) -> None:
        monkeypatch.setattr("time.time", lambda: NOW + seconds)

    at(0)
    return at


def secrets_of(file: Path) -> list[str]:
    document = json.loads(file.read_text())
    return [value for key in document.get("keys", [document]) for name, value in key.items() if name in PRIVATE]


# --- new ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_new_key_is_written_for_nobody_else_and_never_printed(run: Run, alg: str) -> None:
    status, said, _ = run("new", "key.jwk", "--alg", alg)

    key = load_signing_key(Path("key.jwk"))
    assert (0, f"key.jwk: {key.kid} ({alg})\n") == (status, said)
    assert alg == key.alg
    assert 0o600 == stat.S_IMODE(Path("key.jwk").stat().st_mode)
    assert jwcrypto.jwk.JWK.from_json(Path("key.jwk").read_text()).has_private


def test_a_new_key_can_have_a_name_and_programs_are_told(run: Run) -> None:
    status, said, _ = run("new", "key.jwk", "--kid", "mine", "--json")

    assert (0, {"file": "key.jwk", "kid": "mine", "alg": "ES256"}) == (status, json.loads(said))


def test_a_key_is_never_overwritten_silently(run: Run) -> None:
    run("new", "key.jwk", "--kid", "old")

    for more in ((), ("--keyring",)):
        status, said, error = run("new", "key.jwk", "--kid", "new", *more)
        assert (1, "") == (status, said)
        assert "jwt-guard: key.jwk: there is such a file; with --overwrite its key is lost\n" == error
    assert "old" == load_signing_key(Path("key.jwk")).kid
    assert 0 == run("new", "key.jwk", "--kid", "new", "--overwrite")[0]
    assert "new" == load_signing_key(Path("key.jwk")).kid


def test_a_key_can_go_down_a_pipe_where_that_is_asked_for(run: Run) -> None:
    status, said, _ = run("new", "-", "--alg", "EdDSA")

    assert (0, "EdDSA", "d") == (status, json.loads(said)["alg"], "d" if "d" in json.loads(said) else "")
    assert 1 == run("new", "-", "--keyring")[0]
    assert 1 == run("new", "-", "--json")[0]


def test_a_secret_has_no_name_and_makes_no_keyring(run: Run) -> None:
    assert (0, "s.jwk: a secret without a name (HS256)\n", "") == run("new", "s.jwk", "--alg", "HS256")

    status, _, error = run("new", "s.json", "--alg", "HS256", "--keyring")
    assert (1, "jwt-guard: keyring: a secret cannot be published; sign with it directly\n") == (status, error)
    assert not Path("s.json").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("key.jwk", "--alg", "none"), "no algorithm"),
        (("key.jwk", "--kid", ""), "kid"),
        (("nowhere/key.jwk",), "No such file"),
        (("nowhere/key.json", "--keyring"), "No such file"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    status, said, error = run("new", *arguments)

    assert (1, "") == (status, said)
    assert re.fullmatch(rf"jwt-guard: .*{reason}.*\n", error)


def test_without_a_command_or_a_file_there_is_nothing_to_do(run: Run) -> None:
    assert 2 == run()[0]
    assert 2 == run("new")[0]
    assert 2 == run("old")[0]


# --- public ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ASYMMETRIC)
@pytest.mark.parametrize("form", ["jwks", "jwk", "pem"])
def test_nothing_private_is_ever_printed(run: Run, alg: str, form: str) -> None:
    run("new", "key.jwk", "--alg", alg)
    secrets = secrets_of(Path("key.jwk"))

    status, said, _ = run("public", "key.jwk", "--format", form)

    assert 0 == status
    assert secrets
    assert all(secret not in said for secret in secrets)
    assert "PRIVATE" not in said
    (key,) = fixed(said if form == "pem" else json.loads(said)).keys.keys
    signing = load_signing_key(Path("key.jwk"))
    assert key.verifiers[alg](b"x", signing.sign(b"x"))


@posix
def test_a_keyring_shows_all_it_publishes_and_none_of_its_times(run: Run, at: Callable[[float], None]) -> None:
    run("new", "ring.json", "--keyring", "--kid", "a")
    run("rotate", "ring.json")

    said = json.loads(run("public", "ring.json")[1])

    assert 2 == len(said["keys"])
    assert all({"kty", "crv", "x", "y", "kid", "alg", "use"} == key.keys() for key in said["keys"])
    assert "a" == json.loads(run("public", "ring.json", "--kid", "a", "--format", "jwk")[1])["kid"]
    status, _, error = run("public", "ring.json", "--format", "pem")
    assert (1, True) == (status, "say --kid ('a', " in error)
    status, _, error = run("public", "ring.json", "--kid", "b")
    assert (1, True) == (status, "there is no key 'b'; there are 'a', " in error)


def test_a_file_can_come_from_elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", json.dumps(make("ES256", "a").private_jwk()))

    assert "a" == json.loads(run("public", "env:KEY")[1])["keys"][0]["kid"]
    assert (1, "", True) == (*run("public", "nowhere")[:2], "no such file" in run("public", "nowhere")[2])
    assert 1 == run("public", "env:NO_SUCH_KEY")[0]


def test_a_secret_is_not_printed(run: Run) -> None:
    run("new", "s.jwk", "--alg", "HS256")

    status, said, error = run("public", "s.jwk")

    assert (1, "", "jwt-guard: public keys: a secret has no public half\n") == (status, said, error)


# --- thumbprint --------------------------------------------------------------------------------------


def test_a_thumbprint_is_that_of_rfc_8037_a3(run: Run) -> None:
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    Path("key.jwk").write_text(json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x}))

    expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert (0, f"{expected}\n", "") == run("thumbprint", "key.jwk")
    assert [{"thumbprint": expected, "kid": expected}] == json.loads(run("thumbprint", "key.jwk", "--json")[1])


def test_several_thumbprints_come_one_a_line(run: Run) -> None:
    some = [make("ES256", "a"), make("EdDSA", "b")]
    Path("keys.json").write_text(json.dumps({"keys": [dict(key.public or {}) for key in some]}))

    expected = [thumbprint(key.public or {}) for key in some]
    assert expected == run("thumbprint", "keys.json")[1].split()
    assert expected[1:] == run("thumbprint", "keys.json", "--kid", "b")[1].split()
    status, _, error = run("thumbprint", "keys.json", "--kid", "c")
    assert (1, "jwt-guard: there is no key 'c'; there are 'a', 'b'\n") == (status, error)


def test_a_secret_has_no_thumbprint(run: Run) -> None:
    Path("s.jwk").write_text(json.dumps({"kty": "oct", "k": encode(b"x" * 32)}))

    assert 1 == run("thumbprint", "s.jwk")[0]


# --- rotate ------------------------------------------------------------------------------------------


@posix
def test_a_rotation_by_hand_takes_two_runs_and_the_wait_between(run: Run, at: Callable[[float], None]) -> None:
    run("new", "ring.json", "--keyring", "--kid", "a")
    waits = ("--published-before", "600", "--longest-token", "300", "--margin", "0")

    said = run("rotate", "ring.json", *waits)[1]
    found = re.fullmatch(
        r"published  (\S+) \(ES256\)\nnext       sign with (\S+), from 2027-01-15T08:10:00Z on\n", said
    )
    assert found
    assert found[1] == found[2]
    at(599)
    assert "unchanged  a (ES256) signs\n" == run("rotate", "ring.json", *waits)[1].partition("next")[0]
    at(600)
    assert (
        f"signs      {found[1]} (ES256)\nnext       retire a, from 2027-01-15T08:15:00Z on\n"
        == run("rotate", "ring.json", *waits)[1]
    )
    at(900)
    assert "retired    a\npublished  " == run("rotate", "ring.json", *waits)[1][:24]
    assert 0o600 == stat.S_IMODE(Path("ring.json").stat().st_mode)


@posix
def test_a_rotation_by_the_clock_does_nothing_before_it_is_time(run: Run, at: Callable[[float], None]) -> None:
    run("new", "ring.json", "--keyring", "--kid", "a")
    plan = ("--every", "86400", "--published-before", "3540", "--longest-token", "300")

    assert (
        "unchanged  a (ES256) signs\nnext       publish another key, from 2027-01-16T07:00:00Z on\n"
        == run("rotate", "ring.json", *plan)[1]
    )
    at(82_800)
    assert run("rotate", "ring.json", *plan, "--alg", "EdDSA")[1].startswith("published  ")
    at(86_400)
    assert re.match(r"signs      \S+ \(EdDSA\)\n", run("rotate", "ring.json", *plan)[1])


@posix
def test_programs_are_told_what_was_done_and_what_is_next(run: Run, at: Callable[[float], None]) -> None:
    run("new", "ring.json", "--keyring", "--kid", "a")

    said = json.loads(run("rotate", "ring.json", "--json")[1])

    new = said["published"][1]
    assert {
        "signs": "a",
        "published": ["a", new],
        "done": [{"action": "publish", "kid": new, "at": "2027-01-15T08:00:00Z"}],
        "next": [{"action": "sign", "kid": new, "at": "2027-01-15T09:01:00Z"}],
    } == said


@posix
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("key.jwk",), "no keyring of this version"),
        (("nowhere",), "No such file"),
        (("ring.json", "--every", "60"), "every is longer"),
        (("ring.json", "--published-before", "0"), "published_before"),
        (("ring.json", "--alg", "HS256"), "a secret cannot be published"),
        (("ring.json", "--alg", "none"), "no algorithm"),
    ],
)
def test_what_cannot_be_rotated_is_one_sentence_and_stays_as_it_is(
    run: Run, arguments: tuple[str, ...], reason: str
) -> None:
    run("new", "ring.json", "--keyring")
    run("new", "key.jwk")
    before = {file.name: file.read_bytes() for file in Path().iterdir()}

    status, said, error = run("rotate", *arguments)

    assert (1, "") == (status, said)
    assert re.fullmatch(rf"jwt-guard: .*{reason}.*\n", error)
    assert before == {name: Path(name).read_bytes() for name in before}


def test_every_way_to_do_it_is_told_in_words() -> None:
    assert keys._DONE.keys() == keys._TO_DO.keys() == {"publish", "sign", "retire"}


def test_help_says_what_there_is(run: Run) -> None:
    status, said, _ = run("--help")

    assert 0 == status
    found: Any = re.findall(r"^    (\w+)\s", said, re.MULTILINE)
    assert ["new", "public", "rotate", "thumbprint"] == found
