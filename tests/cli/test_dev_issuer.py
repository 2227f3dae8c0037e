"""``jwt-guard dev-issuer`` in a process of its own → tokens for the clients it names, until somebody ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

import jwt_guard
from jwt_guard import Guard, Misconfigured, fixed, rfc9068, verify
from jwt_guard.access.denylist import Denylist
from jwt_guard.cli import dev_issuer, main
from jwt_guard.cli.dev_clients import dev_clients
from jwt_guard.errors import Revoked
from jwt_guard.issuing.keyring_file import open_keyring
from jwt_guard.issuing.loading import public_jwks
from jwt_guard.issuing.signing import make
from tests.support.dev_issuer import ROOT, running
from tests.support.servers import KINDS, StoreServer, program, until


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is said on standard error about arguments with which nothing is served."""
    status = main(["dev-issuer", *arguments])
    said = capsys.readouterr()

    assert (1, "") == (status, said.out)
    return said.err


# --- what it is for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ends_by", [signal.SIGINT, signal.SIGTERM])
def test_without_a_word_there_are_two_clients_and_a_file_for_the_guard(tmp_path: Path, ends_by: signal.Signals) -> None:
    with running(ends_by=ends_by) as one:
        (tmp_path / "guard.toml").write_text(one.guard)
        guard = jwt_guard.load(tmp_path / "guard.toml")
        by_secret = one.post("token", "service", grant_type="client_credentials", scope="orders:read").json()
        by_key = one.asserted("backend", Path(one.clients["backend"]["file"])).json()
        folder = Path(one.clients["service"]["file"]).parent

        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", one.issuer)
        who = verify(guard, by_secret["access_token"])
        assert ("service", {"orders:read"}) == (who.client, set(who.scopes))
        assert ("backend", 300) == (verify(guard, by_key["access_token"]).client, by_key["expires_in"])
        assert [0o600, 0o600] == [each.stat().st_mode & 0o777 for each in folder.iterdir()]
        assert 0o700 == folder.stat().st_mode & 0o777
        assert 401 == httpx.post(one.token_url, data={"a": "b"}, auth=("service", "x"), trust_env=False).status_code
        secret = one.secret("service")

    assert not folder.exists()
    assert "a token for 'service': 'orders:read'" in one.log
    assert "no token for nobody known: invalid_client" in one.log
    assert secret not in one.log
    assert by_secret["access_token"] not in one.log


def test_it_says_in_words_what_it_is_and_what_it_is_not() -> None:
    command = [sys.executable, "-m", "jwt_guard", "dev-issuer", "--port", "0", "--with-key", "b", "--client", "b",
               "--client", "a=read write", "--client", "c", "--with-key", "c=https://c.test/jwks"]  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        process.send_signal(signal.SIGINT)
        process.wait(20)
    said = "".join(lines)
    (url,) = set(re.findall(r"http://127\.0\.0\.1:\d+", said))

    assert 0 == process.returncode
    assert said.startswith(f"dev-issuer {url}\n")
    assert "no authorization server for people to log in to" in said
    assert f'  [providers.dev]\n  profile = "rfc9068"\n  issuer = "{url}"\n  audience = "api"\n' in said
    assert "\na (client_secret_basic) may have: read write\n" in said
    assert "\nb (private_key_jwt) may have: no scopes\n" in said
    assert "\nc (private_key_jwt) may have: no scopes\n" in said
    assert {f"{url}/token", f"{url}/introspect", f"{url}/revoke"} <= set(re.findall(r"http://[^ \n]+", said))
    assert re.search(r"jwt-guard assertion make --key \S+/b\.jwk --client b --audience", said)
    assert not re.search(r"--client c", said)


def test_what_is_made_is_kept_in_a_folder_for_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "dev"
    seen: list[Any] = []
    for _ in range(2):
        with running("--folder", str(folder)) as one:
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            seen.append((files, one.kids()))

            assert 200 == one.post("token", "service", grant_type="client_credentials").status_code
            assert 200 == one.asserted("backend", folder / "backend.jwk").status_code

    assert seen[0] == seen[1]
    assert {"backend.jwk", "keyring.json", "service.secret"} <= seen[0][0].keys()
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_client_may_bring_its_own_key(tmp_path: Path) -> None:
    key = make("RS384", "mine")
    (tmp_path / "private.jwk").write_text(json.dumps(key.private_jwk()))
    (tmp_path / "public.jwks").write_text(json.dumps({"keys": public_jwks(key.private_jwk())}))
    arguments = ("--client", "mine=system/Patient.rs", "--with-key", f"mine={tmp_path / 'public.jwks'}",
                 "--smart", "--audience", "http://127.0.0.1:8000/fhir", "--lifetime", "60")  # fmt: skip
    with running(*arguments) as one:
        said = one.asserted("mine", tmp_path / "private.jwk", scope="system/Patient.rs").json()
        configuration = httpx.get(f"{one.issuer}/.well-known/smart-configuration", trust_env=False).json()
        (tmp_path / "guard.toml").write_text(one.guard)

        assert one.clients["mine"]["file"] is None
        assert 60 == said["expires_in"]
        assert one.token_url == configuration["token_endpoint"]
        assert "mine" == verify(jwt_guard.load(tmp_path / "guard.toml"), said["access_token"]).client


def test_a_token_that_was_taken_back_is_not_active() -> None:
    with running("--client", "a=x y", "--audience", "one", "--audience", "two") as one:
        token = one.post("token", "a", grant_type="client_credentials").json()["access_token"]

        assert ["one", "two"] == one.post("introspect", "a", token=token).json()["aud"]
        assert 200 == one.post("revoke", "a", token=token).status_code
        assert {"active": False} == one.post("introspect", "a", token=token).json()


@pytest.mark.parametrize("kind", KINDS[:1])
def test_guards_elsewhere_hear_of_it_through_a_store(kind: str, tmp_path: Path) -> None:
    with StoreServer(program(kind), tmp_path) as store:
        url = f"redis://127.0.0.1:{store.port}/0"
        with running("--store", "env:STORE", STORE=url) as one:
            token = one.post("token", "service", grant_type="client_credentials").json()["access_token"]
            guard = Guard([rfc9068(one.issuer, "api")], revoked=Denylist(url))

            assert "service" == verify(guard, token).client
            assert 200 == one.post("revoke", "service", token=token).status_code
            until(lambda: is_revoked(guard, token), 5)
            assert one.guard.endswith('[store]\nurl = "${STORE}"')
            assert 200 == one.asserted("backend", Path(one.clients["backend"]["file"])).status_code
            there: Any = redis.Redis(port=store.port, protocol=2).keys("*once:*")
            assert 1 == len(there), "an assertion is used up for whoever shares the store"


def is_revoked(guard: Guard, token: str) -> bool:
    try:
        verify(guard, token)
    except Revoked:
        return True
    return False


# --- its keys ----------------------------------------------------------------------------------------


def test_it_follows_what_others_do_with_its_keyring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = tmp_path / "keys.json"
    with running("--keyring", str(ring), "--alg", "EdDSA") as one:
        (first,) = one.kids()
        assert 0 == main(["keys", "rotate", str(ring)])
        capsys.readouterr()
        until(lambda: len(one.kids()) == 2, 10)
        token = one.post("token", "service", grant_type="client_credentials").json()["access_token"]

        keys = fixed(open_keyring(ring).jwks())
        assert "service" == verify(Guard([rfc9068(one.issuer, "api", keys=keys)]), token).client
        assert first == one.kids()[0]
        ring.unlink()
        until(lambda: len(one.kids()) == 2, 3)
        assert 200 == one.post("token", "service", grant_type="client_credentials").status_code, "it goes on"
        said = one.process.stderr
        assert said is not None
        until(lambda: "No such file" in said.readline(), 10)


# --- where it listens --------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104 - that is what is refused
def test_it_does_not_listen_beyond_loopback(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--others-may-reach-it" in refused(capsys, "--host", host, "--port", "0")


def test_unless_that_is_said_and_what_it_is_called_then(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - nobody listens there: it ends before that
    said = refused(capsys, "--host", everywhere, "--port", "0", "--others-may-reach-it")

    assert "--url" in said
    assert "https" in refused(capsys, "--port", "0", "--url", "http://issuer.test:9080")
    with running("--others-may-reach-it", "--url", "http://issuer.test:9080") as one:
        (tmp_path / "guard.toml").write_text(one.guard)

        assert ("http://issuer.test:9080", "http://issuer.test:9080/token") == (one.issuer, one.token_url)
        assert ("http://issuer.test:9080",) == tuple(jwt_guard.load(tmp_path / "guard.toml").providers[0].issuers)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_loopback_may_be_the_newer_one() -> None:
    with running("--host", "::1") as one:
        assert one.issuer.startswith("http://[::1]:")
        assert 200 == one.post("token", "service", grant_type="client_credentials").status_code


def test_a_port_that_is_taken_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert f"jwt-guard: port {port}: Address already in use; --port says another, 0 a free one\n" == refused(
            capsys, "--port", port
        )


# --- what it refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--client", "../a"], "letters"),
        (["--client", ".a"], "letters"),
        (["--client", "=a"], "letters"),
        (["--client", ""], "letters"),
        (["--client", "a", "--client", "a=b"], "twice"),
        (["--client", "a", "--with-key", "b"], "'b' is none"),
        (["--with-key", "b"], "'b' is none"),
        (["--client", "a", "--with-key", "a=no-such-file"], "no-such-file"),
        (["--client", "a", "--with-key", "a=http://elsewhere.test/jwks"], "https"),
        (["--client", 'a="'], "one word"),
        (["--smart"], "--audience"),
        (["--audience", ""], "audience"),
        (["--lifetime", "0"], "lifetime"),
        (["--alg", "HS256"], "secret"),
        (["--alg", "none"], "no algorithm"),
        (["--store", "env:NO_SUCH_VARIABLE"], "--store"),
        (["--host", "no such host"], "no such address"),
        (["--host", "a" * 300], "no such address"),
        (["--port", "99999"], "65535"),
        (["--port", "-1"], "65535"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    port = [] if "--port" in arguments else ["--port", "0"]
    said = refused(capsys, *port, *arguments)

    assert words in said
    assert 1 == said.count("\n")


def test_it_says_what_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Callable[[str], None] = lambda _name: None  # noqa: E731 - a line is enough
    monkeypatch.setattr(dev_issuer, "find_spec", nothing)

    assert "pip install 'jwt-guard[demo]'" in refused(capsys)


def test_a_secret_that_is_empty_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.secret").write_text("\n")

    with pytest.raises(Misconfigured, match="secret"):
        dev_clients(tmp_path, ["a"], [])


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://user:a-password@127.0.0.1:6379/0", "${STORE_URL}"),
        ("env:REDIS", "${REDIS}"),
    ],
)
def test_the_password_of_a_store_is_not_repeated(store: str, shown: str) -> None:
    assert shown == dev_issuer._unsaid(store)
