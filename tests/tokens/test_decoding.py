"""What is installed → what decodes, and that nobody is told anything else by it."""

from __future__ import annotations

import os
import subprocess
import sys
from binascii import Error as NotBase64
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.tokens import decoding

HERE = Path(__file__).parents[2]
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SAY = "from jwt_guard.tokens import decoding; print(*decoding.active)"
WITHOUT = "import sys; sys.modules[{!r}] = None; "
PART = {"orjson": decoding.fast_json, "pybase64": decoding.fast_b64decode}


def installed() -> list[str]:
    return [name for name, part in PART.items() if part() is not None]


def active(program: str = SAY, **environment: str) -> list[str]:
    """Return what is in use in an interpreter of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != decoding.SWITCH}
    words = [sys.executable, "-c", program]
    return subprocess.run(
        words, env=inherited | environment, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()


def test_here_the_fast_ones_are_in_use_unless_they_are_switched_off(record_property: Any) -> None:
    record_property("decoders", " ".join(decoding.active) or "the standard library")

    assert (installed() if os.environ.get("JWT_GUARD_FAST") != "0" else []) == list(decoding.active)


def test_whoever_says_nothing_gets_what_is_installed() -> None:
    assert installed() == active()
    assert installed() == active(JWT_GUARD_FAST="1")
    assert installed() == active(JWT_GUARD_FAST="")


def test_they_can_be_switched_off() -> None:
    assert [] == active(JWT_GUARD_FAST="0")


def test_what_is_switched_off_is_not_even_loaded() -> None:
    loaded = active("import sys, jwt_guard.tokens.compact; print(*sys.modules)", JWT_GUARD_FAST="0")

    assert "jwt_guard.tokens.decoding" in loaded
    assert set() == {"orjson", "pybase64"} & set(loaded)


@pytest.mark.parametrize("absent", PART)
def test_each_is_of_use_without_the_other(absent: str) -> None:
    assert [name for name in installed() if name != absent] == active(WITHOUT.format(absent) + SAY)


@pytest.mark.parametrize("absent", PART)
def test_what_is_absent_is_not_used(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)

    assert PART[absent]() is None


def test_a_decoder_without_its_c_part_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        @staticmethod
        def b64decode(*_args: object) -> bytes:
            return b""

    monkeypatch.setitem(sys.modules, "pybase64", Slow)

    assert decoding.fast_b64decode() is None


# --- base64: whoever decodes notices the same ------------------------------------------------------------------------


@pytest.fixture(params=["standard library", "pybase64"])
def decode(request: pytest.FixtureRequest) -> decoding.Base64:
    if request.param == "standard library":
        return decoding.standard_b64decode
    found = decoding.fast_b64decode()
    if found is None:
        pytest.skip("pybase64 is not installed")
    return found


@pytest.mark.parametrize("length", [4, 8, 64, 200, 1_000])  # long ones are decoded many characters at once
def test_no_octet_outside_the_alphabet_is_skipped(decode: decoding.Base64, length: int) -> None:
    whole = (ALPHABET * 16)[:length]
    foreign = sorted(set(range(256)) - set(ALPHABET) - set(b"+/"))  # those two are looked for before
    for at in {*range(min(length, 70)), *range(0, length, 37), length - 1}:
        for octet in foreign if at in (0, 5, length - 1) else b"\n \0=.%\x80\xff":
            text = whole[:at] + bytes([octet]) + whole[at + 1 :]
            if octet == ord("=") and at == length - 1:
                continue  # that is padding
            with pytest.raises(NotBase64):
                decode(text, b"-_", True)  # noqa: FBT003 - as it is called


@pytest.mark.parametrize("text", [b"A", b"AA", b"AAA", b"AAAAA", b"A===", b"====", b"AA==AA==", b"AAA=A"])
def test_what_is_not_whole_groups_is_refused(decode: decoding.Base64, text: bytes) -> None:
    with pytest.raises(NotBase64):
        decode(text, b"-_", True)  # noqa: FBT003 - as it is called


@pytest.mark.parametrize("length", [0, 1, 2, 3, 47, 48, 49, 1_024, 16_384])
def test_both_alphabets_ends_are_read(decode: decoding.Base64, length: int) -> None:
    import base64

    octets = (b"\xfb\xff\xbf" + bytes(range(256)) * 64)[:length]

    assert octets == decode(base64.urlsafe_b64encode(octets), b"-_", True)  # noqa: FBT003 - as it is called
