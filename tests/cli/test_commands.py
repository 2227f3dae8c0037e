"""``jwt-guard`` as people and scripts call it: what it prints, where, and with which status."""

import hmac
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jwt_guard.cli import main
from tests.support.keys import encode, private_key, public_jwk

Run = Callable[..., tuple[int, str, str]]

CONFIG = """
[providers.shop]
issuer = "https://id.test"
audience = "orders"
jwks_file = "keys.json"

[[routes]]
path = "/orders/{id}"
methods = ["GET"]
scopes = ["orders:read"]
"""
GOOD = ("--issuer", "https://id.test", "--audience", "orders", "--subject", "ada", "--client", "shop")
KEY = ("--key", "key.pem", "--kid", "a")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder that has a configuration and a private key, and nothing from outside."""
    private = private_key("ES256", "a").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))
    (tmp_path / "guard.toml").write_text(CONFIG)
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWT_GUARD_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process: (status, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def token(run: Run) -> str:
    status, text, _ = run("mint", *KEY, *GOOD, "--scope", "orders:read")
    assert 0 == status
    return text.strip()


def outside(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "jwt_guard", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=variables, timeout=60)


# --- each command in a process of its own ------------------------------------------------------------


def test_a_token_goes_from_mint_to_verify_through_a_pipe(folder: Path) -> None:
    minted = outside("mint", *KEY, *GOOD, "--scope", "orders:read orders:write")
    verified = outside("verify", "-", text=minted.stdout)

    assert (0, "") == (verified.returncode, verified.stderr)
    assert {
        "user": "ada",
        "client": "shop",
        "scopes": ["orders:read", "orders:write"],
        "roles": [],
        "provider": "shop",
    } == json.loads(verified.stdout)


def test_check_and_explain_work_where_the_terminal_knows_ascii_only(folder: Path, token: str) -> None:
    checked = outside("check", PYTHONIOENCODING="ascii")
    explained = outside("explain", "env:TOKEN", TOKEN=token, PYTHONIOENCODING="ascii")

    assert (0, "") == (checked.returncode, checked.stderr)
    assert (0, "") == (explained.returncode, explained.stderr)
    assert explained.stdout.isascii()


def test_a_reader_who_has_seen_enough_gets_no_traceback(folder: Path, token: str) -> None:
    command = f"{sys.executable} -m jwt_guard explain env:TOKEN --json | true"
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TOKEN": token}

    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=variables)  # noqa: S602

    assert "" == ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "jwt_guard", "check"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    assert (1, "jwt-guard: No space left on device\n") == (ended.returncode, ended.stderr)


# --- what is not a command ---------------------------------------------------------------------------


def test_an_unknown_command_is_refused_with_the_nearest(run: Run) -> None:
    assert (2, "", "jwt-guard: there is no such command; did you mean check?\n") == run("chek")
    assert 2 == run("xyz")[0]
    assert "there are demo, check, explain, doctor, verify, mint" in run("xyz")[2]


def test_without_a_command_there_is_help_and_status_2(run: Run) -> None:
    status, out, _ = run()

    assert 2 == status
    assert re.search("explain +go through a token", out)


def test_the_version_and_each_help_text_can_be_asked_for(run: Run) -> None:
    assert re.fullmatch(r"jwt-guard \S.*\n", run("--version")[1])
    for command in ("demo", "check", "explain", "doctor", "verify", "mint"):
        status, out, err = run(command, "--help")

        assert (0, "") == (status, err)
        assert out.startswith(f"usage: jwt-guard {command}")


def test_no_complaint_repeats_what_may_be_a_token_or_a_secret(run: Run, token: str, folder: Path) -> None:
    hidden = "correct-horse-battery-staple"
    attempts = [
        (token,),
        ("verify", token, token),
        ("verify", "--nothing", token),
        ("verify", "t.jwt", "--config", "guard.toml", hidden),
        ("explain", token, "--method", "GET"),
        ("check", token),
        ("mint", "--secret", hidden, *GOOD),
        ("mint", *KEY, "--lifetime", hidden),
        ("mint", *KEY, "--claim", hidden),
        ("mint", *KEY, "--secret", hidden),
        ("verify", hidden[:20]),
    ]
    for arguments in attempts:
        status, out, err = run(*arguments)

        assert status in (1, 2), arguments
        assert "" == out
        assert 1 == err.count("\n")
        for part in (hidden, hidden[:20], *token.split(".")):
            assert part not in err, arguments


# --- check -------------------------------------------------------------------------------------------


def test_check_finds_nothing_in_a_good_file(run: Run) -> None:
    assert (0, "ok  guard.toml: nothing is wrong with it\n", "") == run("check")
    assert {"ok": True, "findings": []} == json.loads(run("check", "--json")[1])


def test_check_tells_what_is_risky_from_what_is_wrong(run: Run, folder: Path) -> None:
    (folder / "guard.toml").write_text(CONFIG.replace("[[routes]]", "leeway = 90\n[[routes]]", 1))
    (folder / "wrong.toml").write_text(CONFIG.replace("audience", "audiense"))

    status, out, _ = run("check")
    assert 0 == status
    assert out.startswith("risky  guard.toml: providers.shop.leeway: ")

    expected = "wrong  wrong.toml: providers.shop.audiense: there is no such key; did you mean audience?\n"
    assert (1, expected, "") == run("check", "--config", "wrong.toml")
    status, out, _ = run("check", "--config", "wrong.toml", "--json")
    assert 1 == status
    assert ["wrong"] == [finding["severity"] for finding in json.loads(out)["findings"]]
    assert not json.loads(out)["ok"]


def test_check_says_in_one_line_what_no_file_can_say(run: Run, folder: Path) -> None:
    for line in ('jwks_file = "a\\u0000b"', f"x = {'[' * 3_000}{']' * 3_000}", '"\\u001b[2Jx" = 1'):
        (folder / "guard.toml").write_text(CONFIG.replace('jwks_file = "keys.json"', line))

        status, out, err = run("check")

        assert (1, "") == (status, err), line
        assert out.startswith("wrong  guard.toml: ")
        assert out.removesuffix("\n").isprintable()


# --- verify ------------------------------------------------------------------------------------------


def test_verify_takes_a_token_from_a_file_a_variable_standard_input_or_the_line(
    run: Run, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "token.jwt").write_text(f"{token}\n")
    monkeypatch.setenv("TOKEN", token)

    for source in ("token.jwt", "env:TOKEN", "-", token):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{token}\r\n".encode())))
        status, out, err = run("verify", source)

        assert (0, "") == (status, err)
        assert "ada" == json.loads(out)["user"]


def test_verify_refuses_in_one_sentence(run: Run) -> None:
    text = run("mint", *KEY, "--issuer", "https://id.test", "--audience", "billing")[1]

    status, out, err = run("verify", text.strip())

    assert (1, "") == (status, out)
    assert "jwt-guard: aud: does not name us (expected ['orders'], got ['billing'])\n" == err


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("no-such-file", "there is no such file (nor does the argument look like a token)"),
        ("env:NOT_SET_ANYWHERE", "the environment has no variable of this name"),
        (".", "the file cannot be read: Is a directory"),
        ("huge", "that is more than 1 MiB"),
    ],
)
def test_where_there_is_no_token_that_is_said(run: Run, folder: Path, source: str, sentence: str) -> None:
    (folder / "huge").write_bytes(b"a" * 1_048_577)

    assert (1, "", f"jwt-guard: {sentence}\n") == run("verify", source)


def test_a_configuration_that_is_wrong_is_said_in_one_sentence(run: Run, token: str, folder: Path) -> None:
    (folder / "guard.toml").write_text(CONFIG.replace("audience", "audiense"))

    for command in ("verify", "explain"):
        sentence = "guard.toml: providers.shop.audiense: there is no such key; did you mean audience?"
        assert (1, "", f"jwt-guard: {sentence}\n") == run(command, token)


# --- explain -----------------------------------------------------------------------------------------


def test_explain_shows_each_step_and_what_to_do(run: Run) -> None:
    text = run("mint", *KEY, "--issuer", "https://id.test/", "--audience", "account", "--lifetime", "-3600")[1].strip()

    status, out, err = run("explain", text, "--path", "/orders/1?x=y")

    assert (1, "") == (status, err)
    assert "failed       issuer     a provider has this issuer\n" in out
    assert "expected  'https://id.test'\n" in out
    assert "got       'https://id.test/'\n" in out
    assert "differ in a slash at the end" in out
    assert "fresh Keycloak" in out
    assert "ok           signature  that key signed the token\n" in out
    assert "failed       exp " in out
    assert "failed       policy     'GET' '/orders/1' is allowed\n" in out
    assert out.endswith("\nThe guard refuses this.\n")
    assert "\x1b" not in out


def test_explain_of_a_good_token_ends_with_0(run: Run, token: str) -> None:
    status, out, _ = run("explain", token, "--path", "/orders/1", "--method", "GET")

    assert 0 == status
    assert out.endswith("\nEverything holds.\n")


def test_explain_speaks_json_to_programs(run: Run, token: str) -> None:
    status, out, _ = run("explain", token, "--json", "--path", "/orders/1", "--method", "POST")

    explanation = json.loads(out)
    assert 1 == status
    assert "failed" == explanation["verdict"]
    assert ["policy"] == [step["about"] for step in explanation["steps"] if step["verdict"] == "failed"]
    assert {"about", "demand", "verdict", "expected", "got", "advice"} == set(explanation["steps"][0])


def test_explain_asks_the_network_only_when_told_to(
    run: Run, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CONFIG.replace('jwks_file = "keys.json"', 'jwks_url = "http://127.0.0.1:1/jwks"')
    (folder / "guard.toml").write_text(file)

    status, out, _ = run("explain", token)
    assert 0 == status
    assert "not checked  signature" in out
    assert out.endswith("not everything was checked; --online asks the issuer.\n")

    status, out, _ = run("explain", token, "--online")
    assert 1 == status
    assert "failed       key " in out


def test_explain_looks_at_what_was_pasted_as_it_is(run: Run, token: str) -> None:
    status, out, _ = run("explain", f'"Bearer {token}"')

    assert 1 == status
    assert "failed       shape" in out
    assert "the word Bearer" in out


class Terminal(io.StringIO):
    """A terminal that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(folder: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    seen = {}
    for name in ("colour", "NO_COLOR"):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        main(["explain", token, "--path", "/nowhere"])
        seen[name] = terminal.getvalue()
        monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b[32mok           \x1b[0mshape" in seen["colour"]
    assert "\x1b[31mfailed       \x1b[0mpolicy" in seen["colour"]
    assert "\x1b" not in seen["NO_COLOR"]
    assert 80 > max(map(len, seen["NO_COLOR"].splitlines()))


def test_a_token_on_the_line_is_commented_on_where_a_person_sees_it(
    folder: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    assert 0 == main(["verify", token])
    assert "jwt-guard: note: a token on the command line stays in the shell's history\n" == terminal.getvalue()


# --- mint --------------------------------------------------------------------------------------------


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from base64 import urlsafe_b64decode

    header, payload, _ = text.split(".")
    return json.loads(urlsafe_b64decode(header + "==")), json.loads(urlsafe_b64decode(payload + "=="))


def test_mint_says_what_it_is_told_to(run: Run) -> None:
    arguments = [
        *("mint", *KEY, *GOOD, "--audience", "billing", "--scope", "a", "--scope", "b c", "--lifetime", "60"),
        *("--claim", "roles=[1]", "--claim", "plain=text", "--claim", "jti=x=y", "--claim", "no=NaN"),
    ]

    header, claims = parts(run(*arguments)[1])

    assert {"alg": "ES256", "kid": "a", "typ": "at+jwt"} == header
    assert 60 == claims.pop("exp") - claims.pop("iat")
    assert {
        "iss": "https://id.test",
        "aud": ["orders", "billing"],
        "sub": "ada",
        "client_id": "shop",
        "scope": "a b c",
        "roles": [1],
        "plain": "text",
        "jti": "x=y",
        "no": "NaN",
    } == claims


def test_mint_signs_with_a_secret_that_is_not_on_the_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "an octet or thirty-two of them, at least")

    header, claims = parts(run("mint", "--secret", "env:JWT_SECRET", "--typ", "")[1])

    assert {"alg": "HS256"} == header
    assert {"iat", "exp", "jti"} == set(claims)


def test_mint_signs_with_the_octets_of_a_secret_also_where_they_are_no_text(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = bytes(range(128, 160)) + b"\n"
    (folder / "secret").write_bytes(octets + b"\r\n")
    monkeypatch.setenv("JWT_SECRET", os.fsdecode(octets + b"\n"))

    for source in ("secret", "env:JWT_SECRET"):
        signed, _, signature = run("mint", "--secret", source)[1].strip().rpartition(".")

        assert encode(hmac.digest(octets, signed.encode(), "sha256")) == signature


NOT_UTF_8 = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--claim", "x=1e999"),
        ("--claim", "x=[-1e999]"),
        ("--claim", 'x="\\ud800"'),
        ("--claim", f"{NOT_UTF_8}=1"),
        ("--claim", f"x={NOT_UTF_8}"),
        ("--claim", "x=" + "[" * 100_000),
        ("--subject", NOT_UTF_8),
        ("--audience", NOT_UTF_8),
        ("--scope", NOT_UTF_8),
        ("--typ", NOT_UTF_8),
        ("--kid", NOT_UTF_8),
        ("--alg", NOT_UTF_8),
        ("--lifetime", "9" * 4_300),
        ("--lifetime", "9" * 5_000),
    ],
)
def test_what_no_token_can_say_is_refused_in_one_sentence(run: Run, arguments: tuple[str, str]) -> None:
    status, out, err = run("mint", "--key", "key.pem", *arguments)

    assert status in (1, 2)
    assert "" == out
    assert err.startswith("jwt-guard")
    assert 1 == err.count("\n")
    assert 200 > len(err)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--key", "no.pem"), 1, "no.pem: No such file or directory"),
        (("--key", "keys.json"), 1, "keys to sign with"),
        (("--secret", "on-the-line"), 1, "there is no such file"),
        (("--key", "key.pem", "--claim", "x"), 1, "--claim takes NAME=VALUE"),
        (("--key", "key.pem", "--alg", "RS256"), 1, "RS256"),
        ((), 2, "one of the arguments --key --secret is required"),
        (("--key", "key.pem", "--lifetime", "soon"), 2, "--lifetime"),
    ],
)
def test_mint_refuses_what_it_cannot_sign_with(
    run: Run, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    got, out, err = run("mint", *arguments)

    assert (status, "") == (got, out)
    assert sentence in err


def test_ctrl_c_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jwt_guard.cli.check.run", interrupted)

    assert (130, "", "") == run("check")
