"""``jwt-guard poet`` as people and scripts call it: the five commands of poetri, and what they print where."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from jwt_guard.cli import main
from tests.issuing.poet.test_checking import GOLDEN, JWK, SEED, signed
from tests.issuing.poet.test_payload import APP
from tests.support.bad_issuer import answer, hangs, says
from tests.support.named_hosts import NamedHosts, named_hosts

Run = Callable[..., tuple[int, str, str]]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}
TOKEN = GOLDEN["poet-readme-token"]["jws"]
AT_ITS_TIME = ("--as-of", "1500600000")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a payload, the key pair of the README and its token."""
    (tmp_path / "payload.json").write_text(json.dumps(APP))
    (tmp_path / "keypair.jwk").write_text(json.dumps(SEED))
    (tmp_path / "token.jws").write_text(f"{TOKEN}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["poet", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def outside(*arguments: str, text: str = "", into: IO[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, its standard output *into* a file or a pipe."""
    command = [sys.executable, "-m", "jwt_guard", "poet", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    out = subprocess.PIPE if into is None else into
    return subprocess.run(
        command, input=text, stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=60, env=environment
    )


def part(token: str, number: int) -> dict[str, Any]:
    text = token.strip().split(".")[number]
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return document


def failed(sentence: str) -> tuple[int, str, str]:
    return 1, "", f"jwt-guard: {sentence}\n"


# --- keygen ------------------------------------------------------------------------------------------


def test_a_key_pair_is_one_line_of_json(run: Run) -> None:
    status, out, err = run("keygen", "example.com")
    jwk = json.loads(out)

    assert (0, "", 1) == (status, err, out.count("\n"))
    assert {"kty": "RSA", "kid": "example.com", "use": "sig", "alg": "RS256", "e": "AQAB"}.items() <= jwk.items()
    assert jwk.keys() >= PRIVATE
    assert 256 == len(base64.urlsafe_b64decode(jwk["n"] + "=="))


def test_a_key_pair_can_be_written_where_only_its_owner_reads_it(run: Run, folder: Path) -> None:
    assert (0, "", "") == run("keygen", "example.com", "--out", "new.jwk")
    file = folder / "new.jwk"
    before = file.read_bytes()

    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert json.loads(before)["kid"] == "example.com"
    assert failed("--out: File exists") == run("keygen", "example.com", "--out", "new.jwk")
    assert before == file.read_bytes()
    assert failed("--out: No such file or directory") == run("keygen", "example.com", "--out", "none/new.jwk")


@pytest.mark.skipif(os.name != "posix", reason="files have no modes elsewhere")
@pytest.mark.parametrize(("mode", "words"), [(0o644, "others can read that file"), (0o600, "")])
def test_a_file_that_others_can_read_is_pointed_out(folder: Path, mode: int, words: str) -> None:
    file = folder / "redirected.jwk"
    file.touch()
    file.chmod(mode)
    with file.open("w") as stream:
        ended = outside("keygen", "example.com", into=stream)

    assert 0 == ended.returncode
    assert words in ended.stderr
    assert bool(words) == bool(ended.stderr)
    assert "example.com" == json.loads(file.read_text())["kid"]


def test_a_pipe_is_nothing_to_point_out() -> None:
    ended = outside("keygen", "example.com")

    assert (0, "") == (ended.returncode, ended.stderr)


def test_a_key_pair_has_a_name(run: Run) -> None:
    assert failed("key pair: its kid is a text that is not empty") == run("keygen", "")


# --- public ------------------------------------------------------------------------------------------


def test_the_public_half_of_the_key_pair_in_the_readme_is_the_one_it_shows(run: Run) -> None:
    status, out, err = run("public", "keypair.jwk")

    assert (0, "") == (status, err)
    assert {"alg", "kty", "kid", "e", "n", "use"} == json.loads(out).keys()
    assert {name: SEED[name] for name in ("alg", "kty", "kid", "e", "n", "use")} == json.loads(out)
    assert out.startswith('{\n    "alg": "RS256",\n    "kty": "RSA",\n    "kid": "example.com",\n    "e": "AQAB",\n')
    for member in PRIVATE & SEED.keys():
        assert SEED[member] not in out


def test_a_key_pair_can_come_through_a_pipe_or_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPAIR", json.dumps(SEED))

    assert run("public", "keypair.jwk") == run("public", "env:KEYPAIR")
    piped = outside("public", "-", text=json.dumps(SEED))
    assert run("public", "keypair.jwk") == (piped.returncode, piped.stdout, piped.stderr)


def test_what_is_no_key_pair_is_told_without_showing_it(run: Run, folder: Path) -> None:
    for text, words in (
        ("hunter2", "the key pair is no JSON object"),
        ('{"d": "hunter2"', "the key pair is no JSON"),
        ('{"kid": "a", "kty": "hunter2"}', "public key: its kty 'hunter2' is not known here"),
        (json.dumps({**SEED, "p": SEED["q"]}), "signing key: its numbers are no private key (ValueError)"),
        (json.dumps({**SEED, "kid": None}), "key: it has no kid, by which endorsements name it"),
        (" " * 1_048_577, "the key pair is more than 1 MiB"),
    ):
        (folder / "bad.jwk").write_text(text)

        assert failed(words) == run("public", "bad.jwk")
    for name in ("none.jwk", ".", "x" * 5_000, "a\0b"):
        status, out, err = run("public", name)
        assert (1, "") == (status, out)
        assert err.startswith("jwt-guard: the key pair is in a file, env:NAME")
        assert 1 == err.count("\n")


# --- sign --------------------------------------------------------------------------------------------


def test_an_endorsement_lives_as_long_as_was_said(run: Run) -> None:
    before = int(time.time())
    status, out, err = run("sign", "payload.json", "keypair.jwk", "example.com", "315360")
    said = part(out, 1)

    assert (0, "", 2, 1) == (status, err, out.count("."), out.count("\n"))
    assert {"alg": "RS256", "kid": "example.com", "typ": "JWT"} == part(out, 0)
    assert 315_360 == said["exp"] - said["iat"]
    assert before <= said["iat"] <= time.time()
    assert {**APP, "iat": said["iat"], "exp": said["exp"]} == said


def test_or_a_year(run: Run) -> None:
    said = part(run("sign", "payload.json", "keypair.jwk", "example.com")[1], 1)

    assert 31_536_000 == said["exp"] - said["iat"]


def test_the_issuer_is_the_one_that_was_named(run: Run) -> None:
    assert "other.example" == part(run("sign", "payload.json", "keypair.jwk", "other.example")[1], 1)["iss"]
    words = "endorsement: the issuer is a host name: it has a path or a scheme in it"
    assert failed(words) == run("sign", "payload.json", "keypair.jwk", "https://example.com")


def test_a_payload_with_mistakes_is_refused_with_all_of_them(run: Run, folder: Path) -> None:
    (folder / "bad.json").write_text(json.dumps({**APP, "client_name": "", "scope": 1}))

    assert failed("endorsement: client_name is empty; scope is no text") == run(
        "sign", "bad.json", "keypair.jwk", "example.com"
    )
    status, out, _ = run("sign", "bad.json", "keypair.jwk", "example.com", "--payload-unchecked")
    assert (0, "") == (status, part(out, 1)["client_name"])


def test_a_lifetime_is_a_number_above_0(run: Run) -> None:
    words = "endorsement: it lives for a whole number of seconds above 0"
    assert failed(words) == run("sign", "payload.json", "keypair.jwk", "example.com", "0")
    assert 2 == run("sign", "payload.json", "keypair.jwk", "example.com", "soon")[0]
    assert 2 == run("sign", "payload.json", "keypair.jwk")[0]


def test_standard_input_has_one_of_two(run: Run) -> None:
    assert failed("standard input has one of the two, the payload or the key pair") == run(
        "sign", "-", "-", "a.example"
    )
    assert failed("standard input has one of the two, the endorsement or the key") == run("verify", "-", "-")
    signed = outside("sign", "-", "keypair.jwk", "example.com", text=json.dumps(APP))
    assert 0 == signed.returncode
    verified = outside("verify", "-", "keypair.jwk", text=signed.stdout)
    assert APP["client_name"] == json.loads(verified.stdout)["client_name"]


# --- verify ------------------------------------------------------------------------------------------


def test_the_token_of_the_readme_shows_its_payload_at_its_time(run: Run) -> None:
    status, out, err = run("verify", "token.jws", "keypair.jwk", *AT_ITS_TIME)

    assert (0, "") == (status, err)
    assert json.loads(GOLDEN["poet-readme-token"]["payload"]) == json.loads(out)
    assert '\n    "client_name": "Cardiac Risk App",\n' in out
    assert (status, out, err) == run("verify", TOKEN, "keypair.jwk", *AT_ITS_TIME)


def test_it_is_over_now(run: Run) -> None:
    status, out, err = run("verify", "token.jws", "keypair.jwk")

    assert (1, "") == (status, out)
    assert err.startswith("jwt-guard: exp: is over")


def test_another_key_is_told_and_fails(run: Run, folder: Path) -> None:
    run("keygen", "example.com", "--out", "other.jwk")
    (folder / "named.jwk").write_text(json.dumps({**SEED, "kid": "other"}))

    words = "the signature does not verify: kid 'example.com', alg 'RS256'"
    assert failed(words) == run("verify", "token.jws", "other.jwk", *AT_ITS_TIME)
    status, out, err = run("verify", "token.jws", "named.jwk", "--issuer", "example.com", *AT_ITS_TIME)
    assert (1, "") == (status, out)
    assert "kid 'example.com'" in err


def test_whose_and_about_what_it_must_be_can_be_said(run: Run) -> None:
    assert 0 == run("verify", "token.jws", "keypair.jwk", "--software-id", "4NRB1-0XZABZI9E6-5SM3R", *AT_ITS_TIME)[0]
    for more in (("--software-id", "x"), ("--issuer", "other.example")):
        status, out, _ = run("verify", "token.jws", "keypair.jwk", *more, *AT_ITS_TIME)
        assert (1, "") == (status, out)


def test_a_time_is_a_number(run: Run) -> None:
    assert failed("endorsements: now is a number of seconds") == run(
        "verify", "token.jws", "keypair.jwk", "--as-of", "nan"
    )


def test_a_payload_is_checked_unless_it_is_not_to_be(run: Run, folder: Path) -> None:
    token = signed({"iss": "example.com", "iat": 1, "exp": 9_999_999_999})
    (folder / "t.jws").write_text(token)
    (folder / "k.jwk").write_text(json.dumps(JWK))
    status, out, err = run("verify", "t.jws", "k.jwk")

    assert (1, "") == (status, out)
    assert err.startswith("jwt-guard: this is no payload of POET: client_name is missing; redirect_uris is missing; ")
    assert 0 == run("verify", "t.jws", "k.jwk", "--payload-unchecked")[0]


# --- verify-url --------------------------------------------------------------------------------------


@pytest.fixture
def hosts(folder: Path) -> Iterator[NamedHosts]:
    with named_hosts(folder / "tls", "example.com") as hosts:
        jwk = {name: SEED[name] for name in ("alg", "kty", "kid", "e", "n", "use")}
        hosts.server.way = says(answer(json.dumps(jwk).encode()))
        yield hosts


def test_the_published_key_is_fetched_over_tls(run: Run, hosts: NamedHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    there = ("--ca-file", str(hosts.authority), "--proxy", hosts.proxy_url, *AT_ITS_TIME)
    status, out, err = run("verify-url", "token.jws", *there)

    assert (0, "") == (status, err)
    assert json.loads(GOLDEN["poet-readme-token"]["payload"]) == json.loads(out)
    assert ["GET /.well-known/poet.jwk HTTP/1.1 example.com"] == hosts.asked
    monkeypatch.setenv("PROXY", hosts.proxy_url)
    through = ("--ca-file", str(hosts.authority), "--proxy", "env:PROXY", *AT_ITS_TIME)
    assert 0 == run("verify-url", "token.jws", *through, "--issuer", "a.example", "--issuer", "example.com")[0]
    assert 1 == run("verify-url", "token.jws", *through, "--issuer", "a.example")[0]
    assert 1 == run("verify-url", "token.jws", *through, "--software-id", "x")[0]


@pytest.mark.parametrize(
    "octets",
    [
        answer(status="404 Not Found"),
        answer(status="302 Found", headers="Location: /poet.jwk\r\n"),
        answer(b"<html>"),
        answer(json.dumps(SEED).encode()),
    ],
    ids=["404", "redirect", "page", "private"],
)
def test_a_key_that_cannot_be_fetched_is_told_so(run: Run, hosts: NamedHosts, octets: bytes) -> None:
    hosts.server.way = says(octets)
    status, out, err = run(
        "verify-url", "token.jws", "--ca-file", str(hosts.authority), "--proxy", hosts.proxy_url, *AT_ITS_TIME
    )

    assert (1, "") == (status, out)
    assert err.startswith("jwt-guard: The key could not be fetched (")
    assert 1 == err.count("\n")
    assert not any(SEED[member] in err for member in PRIVATE & SEED.keys())


@pytest.mark.parametrize("issuer", ["127.0.0.1", "example.com:8443", "example.com/x", "u@example.com", "localhost"])
def test_only_a_host_name_is_asked(run: Run, folder: Path, hosts: NamedHosts, issuer: str) -> None:
    (folder / "t.jws").write_text(signed(iss=issuer))
    status, out, err = run("verify-url", "t.jws", "--ca-file", str(hosts.authority), "--proxy", hosts.proxy_url)

    assert (1, "") == (status, out)
    assert err.startswith("jwt-guard: iss: The key could not be fetched: it ")
    assert [] == hosts.connected


def test_a_host_on_this_machine_is_asked_only_where_that_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, port, *a, **k: real("127.0.0.1", port, *a, **k))
    status, out, err = run("verify-url", "token.jws", *AT_ITS_TIME)

    assert (1, "") == (status, out)
    assert err == "jwt-guard: iss: The key could not be fetched: its host has an address that is not public\n"
    status, out, err = run("verify-url", "token.jws", "--private-addresses-too", "--timeout", "2", *AT_ITS_TIME)
    assert (1, "") == (status, out)
    assert err.startswith("jwt-guard: The key could not be fetched (no answer")


def test_waiting_ends_when_that_was_said(run: Run, hosts: NamedHosts) -> None:
    hosts.server.way = hangs()
    there = ("--ca-file", str(hosts.authority), "--proxy", hosts.proxy_url, "--timeout", "0.3")
    status, out, err = run("verify-url", "token.jws", *there, *AT_ITS_TIME)

    assert (1, "") == (status, out)
    assert "no answer within 0.3 s" in err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_there_is_an_end_to_waiting(run: Run, seconds: str) -> None:
    assert failed("--timeout is a number of seconds above 0") == run("verify-url", "token.jws", "--timeout", seconds)


# --- what is not a command ---------------------------------------------------------------------------


def test_a_verb_is_needed_and_each_has_its_help(run: Run) -> None:
    assert 2 == run()[0]
    assert 2 == run("nonsense")[0]
    for verb in ("keygen", "public", "sign", "verify", "verify-url"):
        status, out, err = run(verb, "--help")

        assert (0, "") == (status, err)
        assert out.startswith(f"usage: jwt-guard poet {verb}")


def test_no_complaint_repeats_what_may_be_a_token_or_a_key(run: Run) -> None:
    hidden = "correct-horse-battery-staple"
    for arguments in (
        (hidden,),
        ("sign", hidden, "keypair.jwk", "example.com"),
        ("sign", "payload.json", hidden, "example.com"),
        ("sign", "payload.json", "keypair.jwk", hidden),
        ("sign", "payload.json", "keypair.jwk", "example.com", hidden),
        ("verify", hidden, "keypair.jwk"),
        ("verify", "token.jws", hidden),
        ("verify", "token.jws", "keypair.jwk", hidden),
        ("verify-url", hidden),
    ):
        status, out, err = run(*arguments)

        assert status in (1, 2), arguments
        assert "" == out
        assert hidden not in err, arguments
