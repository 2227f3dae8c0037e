"""``jwt-guard export``: files on standard output or in a folder, and one sentence where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from jwt_guard.cli import main

CONFIG = """\
[providers.shop]
issuer   = "https://id.test"
audience = "orders"

[gateway.identity_headers]
user = "X-Auth-User"
"""
UPSTREAM = ("--upstream", "http://127.0.0.1:9000")
ONE_FILE = {"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "traefik.yml", "envoy-ext-authz": "envoy.yaml"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWT_GUARD_CONFIG", raising=False)
    (tmp_path / "guard.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("gateway", ONE_FILE)
def test_one_file_is_printed_as_it_is(gateway: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["export", gateway, *UPSTREAM])
    printed = capsys.readouterr().out
    assert 0 == main(["export", gateway, *UPSTREAM, "--output", "out"])
    assert "" == capsys.readouterr().out
    assert printed == (folder / "out" / ONE_FILE[gateway]).read_text(encoding="utf-8")
    assert "127.0.0.1:9191" in printed.replace('"', "").replace(", port_value: ", ":")
    assert "x-auth-user" in printed.lower()


def test_two_files_are_printed_under_their_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["export", "haproxy", *UPSTREAM, "--output", str(folder / "a" / "b")])
    assert 0 == main(["export", "haproxy", *UPSTREAM])
    printed = capsys.readouterr().out
    for name in ("haproxy.cfg", "jwt_guard.lua"):
        text = (folder / "a" / "b" / name).read_text(encoding="utf-8")

        assert f"-- {name}: a file of this name, without this line --\n{text}" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--upstream"),
        (("--upstream", "http://a;b"), "--upstream"),
        ((*UPSTREAM, "--auth", "x"), "--auth"),
        ((*UPSTREAM, "--listen", "x"), "--listen"),
        ((*UPSTREAM, "--config", "other.toml"), "other.toml"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == main(["export", "nginx", *words])
    printed = capsys.readouterr()
    assert "" == printed.out
    assert said in printed.err
    assert 1 == printed.err.count("\n")


@pytest.mark.parametrize("words", [["export"], ["export", "apache"]])
def test_a_gateway_has_to_be_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(words)
    assert capsys.readouterr().err


def test_a_configuration_that_serve_would_refuse_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "guard.toml").write_text(f"{CONFIG}oops = 1\n", encoding="utf-8")

    assert 1 == main(["export", "nginx", *UPSTREAM])
    assert "guard.toml" in capsys.readouterr().err
