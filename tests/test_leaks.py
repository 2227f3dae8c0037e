"""Logs with something in them that should not be there → what is noticed of it, and which test fails."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import make
from tests.docs.pages import ROOT
from tests.support.keys import encode, secret
from tests.support.leaks import Watch, leaks_in, look_at, note, note_secret
from tests.support.minting import claims, mint

CONFTEST = """
from tests.support.leaks import Watch

def pytest_configure(config):
    config.pluginmanager.register(Watch(), "leaks")
"""
LEAKING = """
import json, logging, threading
import pytest
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey, make
from tests.support.minting import mint

log = logging.getLogger("jwt_guard")
KEY, SECRET = make("ES256"), SigningKey("HS256", b"a-secret-that-is-long-enough-for-this")

def test_nothing(): log.error("refused %s: 401 Expired: exp: over: 'GET' '/orders/1'", "0123456789abcdef")
def test_leaks_a_token(): log.error("of %s", mint())
def test_leaks_a_signature(): log.error("of %s", mint().rpartition(".")[2][:20])
def test_leaks_a_token_of_ours(): log.error("of %s", sign(KEY, {"sub": "ada"}).rpartition(".")[2])
def test_leaks_what_nobody_reads(): log.debug("of %s", mint())
def test_leaks_with_an_exception():
    try:
        raise ValueError(mint())
    except ValueError:
        log.exception("a bug")
def test_leaks_from_a_thread():
    thread = threading.Thread(target=log.warning, args=("of %s", mint()))
    thread.start()
    thread.join()
def test_leaks_a_key(): log.error("with %s", KEY.private_jwk())
def test_leaks_a_secret(): log.error("with %s", "a-secret-that-is-long-enough-for-this")
def test_leaks_claims(): log.error("of %r", {"sub": "ada", "jti": "x"})
def test_leaks_even_if_switched_off():
    logging.disable()
    log.critical("of %s", mint())
    logging.disable(logging.NOTSET)
def test_of_others_is_not_looked_at(): logging.getLogger("other").error("of %s", mint())
def test_what_is_not_written_stays_unwritten(caplog):
    log.debug("quiet")
    log.warning("loud")
    assert ["loud"] == caplog.messages
    caplog.set_level("DEBUG", "jwt_guard")
    log.debug("asked for")
    assert ["loud", "asked for"] == caplog.messages

@pytest.fixture
def leaking_first(): log.error("of %s", mint())
@pytest.fixture
def leaking_last():
    yield
    log.error("of %s", mint())
def test_leaks_before(leaking_first): pass
def test_leaks_after(leaking_last): pass
"""


def test_the_test_in_which_something_leaks_fails_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(LEAKING, encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    words += ["-p", "no:cacheprovider", f"--junitxml={tmp_path}/found.xml", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    cases = ET.parse(tmp_path / "found.xml").getroot().iter("testcase")  # noqa: S314 - of our own making
    found = {
        case.attrib["name"]: " ".join(each.attrib["message"] for each in case if "message" in each.attrib)
        for case in cases
    }

    assert 1 == ran.returncode, ran.stdout
    assert {name for name in found if "leaks" in name} == {name for name, message in found.items() if message}
    assert 14 < len(found)
    assert "a signature or a secret in what test_it:" in found["test_leaks_a_signature"]
    assert "a part of a token" in found["test_leaks_a_token"]
    assert "a member of a private key" in found["test_leaks_a_key"]
    assert "a claim set" in found["test_leaks_claims"]


def test_a_leak_after_the_last_test_is_a_failure_of_the_run() -> None:
    for found, status in (([], pytest.ExitCode.OK), (["something"], pytest.ExitCode.TESTS_FAILED)):
        session: Any = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
        watch = Watch()
        watch.found = list(found)
        watch.pytest_sessionfinish(session)

        assert status == session.exitstatus


@pytest.mark.parametrize("written", [str, json.dumps, repr, lambda text: f"Bearer {text},"])
def test_a_token_is_known_however_it_is_written(written: object) -> None:
    token = mint()
    for part in (token, token.partition(".")[0], token.split(".")[1], token.rpartition(".")[2]):
        assert callable(written)
        assert leaks_in(f"refused: {written(part)}")


@pytest.mark.parametrize("kind", ["ES256", "RS256", "EdDSA", "HS256"])
def test_a_private_key_is_known_however_it_is_written(kind: str) -> None:
    jwk = make(kind).private_jwk()

    assert leaks_in(f"with {jwk}")
    assert leaks_in(json.dumps({"message": json.dumps(jwk)}))
    assert [] == leaks_in(f"with {make('ES256').public}")
    assert ["a private key"] == leaks_in("-----BEGIN EC PRIVATE KEY-----")


def test_what_may_be_said_is_no_leak() -> None:
    for text in (
        "refused 0123456789abcdef: 401 UnknownKey: no such key: kid 'a-key-with-quite-a-long-name', alg 'ES256': '/'",
        "aud: not meant for us (expected ['orders'], got 'shop'): exp",
        "the key set of https://id.test/realms/shop/protocol/openid-connect/certs was fetched",
        "scope 'sub': is not known",
    ):
        assert [] == leaks_in(text)


def test_what_another_process_has_logged_is_looked_at_line_by_line() -> None:
    look_at('{"message": "of \'sub\': one"}\n{"message": "of \'jti\': another"}\n')
    with pytest.raises(AssertionError, match="a claim set"):
        look_at(json.dumps({"message": json.dumps(claims())}))
    with pytest.raises(AssertionError) as caught:
        look_at(mint())
    assert "eyJ" not in str(caught.value)


def test_a_secret_is_known_as_it_is_and_as_a_key_has_it() -> None:
    octets = b"one-more-secret-that-nobody-may-read"
    note_secret(octets)

    assert leaks_in(f"with {octets.decode()}")
    assert leaks_in(f"with {encode(octets)}")
    assert leaks_in(encode(note(secret("of this test"))))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support import leaks

    monkeypatch.setattr(leaks, "_noted", (set(), set()))
    monkeypatch.setattr(leaks, "_MOST", 10)
    octets = [bytes([index]) * 16 for index in range(40)]
    for each in octets:
        note(each)

    assert sum(map(len, leaks._noted)) <= 20
    assert [False, True] == [bool(leaks_in(encode(each))) for each in (octets[0], octets[-1])]


def test_all_is_logged_by_the_one_logger_that_is_looked_at() -> None:
    names = set()
    for file in (ROOT / "jwt_guard").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger":
                names.add(ast.unparse(node.args[0]) if node.args else "")

    assert {"'jwt_guard'", "'waitress'"} == names  # which the demo tells to be quiet
    assert logging.getLogger("jwt_guard").isEnabledFor(logging.DEBUG)  # since it is looked at here, too


def test_the_signatures_of_our_own_issuer_are_noted() -> None:
    signature = sign(make("ES256"), claims()).rpartition(".")[2]

    assert ["a signature or a secret"] == leaks_in(signature)
