"""[shadow] in a file → a second guard, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jwt_guard.access.policy import is_open
from jwt_guard.config.check import check
from jwt_guard.config.load import guard_from, load, read
from jwt_guard.config.shadow import read_shadow
from jwt_guard.config.values import WrongConfig
from jwt_guard.gateway.shadow import ShadowSettings
from jwt_guard.messages import PlainRequest
from tests.support.keys import public_jwk

Write = Callable[..., Path]
OPEN = "path = '/**'\nallow = 'anyone'\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))

    def write(more: str, name: str = "guard.toml") -> Path:
        provider = '[providers.shop]\nissuer = "https://id.test"\naudience = "orders"\njwks_file = "keys.json"\n'
        (tmp_path / name).write_text(provider + more)
        (tmp_path / name).chmod(0o600)
        return tmp_path / name

    return write


def shadow_of(file: Path) -> ShadowSettings:
    root = read(file)
    found = read_shadow(root, guard_from(root))

    assert found is not None
    return found


def test_a_file_without_one_has_none(write: Write) -> None:
    root = read(write(""))

    assert read_shadow(root, guard_from(root)) is None


def test_other_routes_are_judged_for_the_same_providers(write: Write) -> None:
    file = write(f"[shadow]\n[[shadow.routes]]\n{OPEN}")
    found = shadow_of(file)

    assert (None, 100, 60) == (found.file, found.per_second, found.logged_per_minute)
    assert is_open(found.guard.policy, PlainRequest("GET", "/a"))
    assert not is_open(load(file).policy, PlainRequest("GET", "/a"))
    assert ["shop"] == [provider.name for provider in found.guard.providers]


def test_another_file_is_another_guard(write: Write) -> None:
    write(f"[[routes]]\n{OPEN}", "next.toml")
    found = shadow_of(write("[shadow]\nfile = 'next.toml'\nper_second = 7\nlogged_per_minute = 3\n"))

    assert ("next.toml", 7, 3) == (found.file and found.file.name, found.per_second, found.logged_per_minute)
    assert is_open(found.guard.policy, PlainRequest("GET", "/a"))


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("[shadow]\n", "shadow"),
        (f"[shadow]\nfile = 'next.toml'\n[[shadow.routes]]\n{OPEN}", "shadow"),
        ("[shadow]\nfile = 'next.toml'\nsample = 1\n", "shadow.sample"),
        ("[shadow]\nfile = 'next.toml'\nper_second = 0\n", "shadow.per_second"),
        ("[shadow]\nfile = 'gone.toml'\n", ""),
        ("[shadow]\nfile = 'guard.toml'\n", "shadow.file"),
        ("[shadow]\n[[shadow.routes]]\npath = '/a'\n", "shadow.routes[1]"),
    ],
)
def test_what_is_wrong_is_said_when_the_guard_is_loaded(write: Write, more: str, place: str) -> None:
    write("", "next.toml")
    with pytest.raises(WrongConfig) as caught:
        load(write(more))

    assert place == caught.value.place


def test_check_looks_at_the_other_routes(write: Write) -> None:
    never = "[[shadow.routes]]\npath = '/a'\nallow = 'authenticated'\n"
    file = write(f"[shadow]\n[[shadow.routes]]\n{OPEN}{never}")

    assert [("wrong", "shadow.routes"), ("risky", "shadow.routes[1].allow")] == [
        (finding.severity, finding.place) for finding in check(file)
    ]

    write(f"[[routes]]\n{OPEN}", "next.toml")

    assert [] == check(write("[shadow]\nfile = 'next.toml'\n"))
