"""``jwt-guard assertion``: one made is one that is checked, and what is refused is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.cli import main
from jwt_guard.issuing.assertion import make_assertion
from jwt_guard.issuing.signing import make
from jwt_guard.testing import LocalIssuer
from tests.support.assertions import CLIENT, TOKEN_URL, assertion, jwks
from tests.support.minting import ABSENT, NOW, minted

SMART_IG = Path(__file__).parents[3] / "shared" / "vectors" / "smart_ig"
GOLDEN = Path(__file__).parents[1] / "vectors" / "golden_jws.json"
WHO = ("--client", CLIENT, "--audience", TOKEN_URL, "--at", str(NOW))


class Terminal:
    """The program, in a folder with keys."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.jwks = folder / "key.json", folder / "jwks.json"
        key = make("ES384", "a")
        self.key.write_text(json.dumps(key.private_jwk()))
        self.jwks.write_text(json.dumps({"keys": [dict(key.public or {})]}))
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = main(["assertion", *words])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def checked(self, text: str, *words: str, jwks: Path | None = None) -> tuple[int, Any, str]:
        self._monkeypatch.setenv("ASSERTION", text)
        status, out, err = self("check", "env:ASSERTION", "--jwks", str(jwks or self.jwks), *(words or WHO))
        return status, json.loads(out) if out else None, err


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(tmp_path, capsys, monkeypatch)


def test_what_is_made_is_good_and_checking_does_not_use_it_up(terminal: Terminal) -> None:
    status, out, err = terminal("make", "--key", str(terminal.key), *WHO, "--jti", "j", "--lifetime", "60")

    assert (0, "") == (status, err)
    for _ in range(2):
        assert (0, {"client": CLIENT, "exp": NOW + 60, "jti": "j"}, "") == terminal.checked(minted(out.strip()))


def test_it_is_made_for_now(terminal: Terminal) -> None:
    now = ("--client", CLIENT, "--audience", TOKEN_URL)
    _, out, _ = terminal("make", "--key", str(terminal.key), *now)

    assert 0 == terminal.checked(minted(out.strip()), *now)[0]
    status, _, err = terminal.checked(out.strip())  # at another time
    assert (1, True) == (status, err.startswith("jwt-guard: exp: "))


def test_a_registered_url_is_named_and_demanded(terminal: Terminal) -> None:
    _, out, _ = terminal("make", "--key", str(terminal.key), *WHO, "--jku", "https://monitor.test/jwks")

    assert (1, None, "jwt-guard: jku: is not the registered URL\n") == terminal.checked(minted(out.strip()))


@pytest.mark.parametrize(
    ("header", "claims", "says"),
    [
        ({"typ": "at+jwt"}, {}, "typ"),
        ({"typ": ABSENT}, {}, "typ"),
        ({"alg": "none"}, {}, "algorithm"),
        ({"alg": "HS384"}, {}, "algorithm"),
        ({"kid": ABSENT}, {}, "key"),
        ({"kid": "nope"}, {}, "key"),
        ({"jku": "https://evil.test/jwks"}, {}, "jku"),
        ({}, {"iss": "x", "sub": "x"}, "issuer"),
        ({}, {"sub": "x"}, "sub"),
        ({}, {"aud": [TOKEN_URL, "https://other.test"]}, "aud"),
        ({}, {"exp": ABSENT}, "exp"),
        ({}, {"exp": NOW + 360}, "exp"),
        ({}, {"jti": ABSENT}, "jti"),
        ({}, {"nbf": NOW + 120}, "nbf"),
    ],
    ids=str,
)
def test_what_a_token_endpoint_refuses_is_refused(
    terminal: Terminal, tmp_path: Path, header: dict[str, Any], claims: dict[str, Any], says: str
) -> None:
    keys = tmp_path / "registered.json"
    keys.write_text(json.dumps(jwks("RS384")))
    status, out, err = terminal.checked(assertion(header, claims), jwks=keys)

    assert (1, None) == (status, out)
    assert says in err
    assert 0 == terminal.checked(assertion(), jwks=keys)[0]


def test_several_audiences_pass_where_that_is_said(terminal: Terminal, tmp_path: Path) -> None:
    keys = tmp_path / "registered.json"
    keys.write_text(json.dumps(jwks("RS384")))
    text = assertion(claims={"aud": [TOKEN_URL, "https://other.test"]})

    assert 0 == terminal.checked(text, *WHO, "--several-audiences-are-taken", jwks=keys)[0]


def test_registered_keys_are_fetched_where_they_are_published(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalIssuer().serve() as issuer:
        url = issuer.jwks_url
        text = minted(make_assertion(issuer.keyring.current, CLIENT, TOKEN_URL, now=NOW, jku=url))
        monkeypatch.setenv("ASSERTION", text)
        status, out, _ = terminal("check", "env:ASSERTION", "--jwks-url", url, *WHO)

    assert (0, CLIENT) == (status, json.loads(out)["client"])
    status, out, err = terminal("check", "env:ASSERTION", "--jwks-url", url, *WHO)
    assert (1, "") == (status, out)
    assert "out of reach" in err


@pytest.mark.skipif(not SMART_IG.is_dir(), reason="the key files of the guide are not here")
@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_the_examples_of_the_guide_are_good_and_made_again(terminal: Terminal, alg: str) -> None:
    (golden,) = (each for each in json.loads(GOLDEN.read_text()) if each["id"] == f"smart-asym-{alg.lower()}")
    client = "https://bili-monitor.example.com"
    who = ("--client", client, "--audience", "https://authorize.smarthealthit.org/token", "--at", "1422568800")
    status, out, _ = terminal.checked(golden["jws"], *who, jwks=SMART_IG / f"{alg}.public.json")
    words = ("--key", str(SMART_IG / f"{alg}.private.json"), "--jti", out["jti"], "--lifetime", "60")
    _, made, _ = terminal("make", *words, *who)

    assert (0, client) == (status, out["client"])
    assert golden["jws"].rpartition(".")[0] == made.strip().rpartition(".")[0]
    if alg == "RS384":  # the other signs differently each time
        assert golden["jws"] == made.strip()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--lifetime", "301"), "1 to 300"),
        (("--jti", ""), "jti"),
        (("--kid", "b"), "its kid is"),
        (("--at", "nan"), "--at is a number"),
        (("--at", "-1"), "--at is a number"),
    ],
    ids=str,
)
def test_what_no_server_would_take_is_not_made(terminal: Terminal, words: tuple[str, ...], says: str) -> None:
    status, out, err = terminal("make", "--key", str(terminal.key), *WHO, *words)

    assert (1, "") == (status, out)
    assert says in err


@pytest.mark.parametrize("words", [(), ("make",), ("check", "-"), ("burn",)], ids=str)
def test_what_is_missing_is_said(terminal: Terminal, words: tuple[str, ...]) -> None:
    status, out, err = terminal(*words)

    assert (2, "") == (status, out)
    assert "--help" in err
