"""[providers.NAME] with profile = "joat_tokens" → what the profile makes of the same words in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Guard, Provider, salted, verify
from jwt_guard.config.values import WrongConfig
from jwt_guard.providers import joat_tokens
from tests.support.joat import SEED, SEED_NOW, SEED_SECRET
from tests.support.keys import public_jwk

SALTS = f"""\
def plain(claims):
    return {SEED_SECRET!r}


async def later(claims):
    return {SEED_SECRET!r}
"""
JOAT = {"profile": "joat_tokens", "issuer": "My OAuth2 Provider", "salt": "salts_of_joat:plain"}

Read = Callable[..., Provider]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return a function that reads one provider, called old, of these keys."""
    (tmp_path / "salts_of_joat.py").write_text(SALTS)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("RS256")]}))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("JOAT_SECRET", SEED_SECRET)

    def read(**keys: Any) -> Provider:
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**JOAT, **keys}.items() if value is not None]
        file = tmp_path / "guard.toml"
        file.write_text("\n".join(["[providers.old]", *lines]))
        (provider,) = jwt_guard.load(file).providers
        return provider

    return read


@pytest.mark.parametrize(
    "keys",
    [
        {"shortest_secret": 30},
        {"shortest_secret": 30, "salt_blocking": True},
        {"shortest_secret": 30, "salt": "salts_of_joat:later"},
        {"shortest_secret": 30, "clients": "abcd"},
        {"shortest_secret": 30, "clients": ["other", "abcd"], "algorithms": ["HS256"]},
        {"shortest_secret": 30, "salt": None, "secret": "${JOAT_SECRET}"},
    ],
    ids=str,
)
def test_the_token_of_the_readme_is_taken(read: Read, keys: dict[str, Any]) -> None:
    found = verify(Guard([read(**keys)], clock=lambda: SEED_NOW), SEED)

    assert ("1234", "abcd", "old") == (found.user, found.client, found.provider)
    assert {"profile", "read"} == found.scopes


@pytest.mark.parametrize("clients", [None, "abcd", ["abcd", "other"]], ids=str)
def test_it_is_in_a_file_what_it_is_in_python(read: Read, clients: Any) -> None:
    def salt(_claims: object) -> str:
        raise AssertionError

    keys = salted(salt, shortest=30)
    found = read(clients=clients, shortest_secret=30, salt_blocking=True, leeway=5, max_age=60)
    listed = (clients,) if isinstance(clients, str) else clients and tuple(clients)
    expected = joat_tokens(("My OAuth2 Provider",), keys, listed, called="old", leeway=5, max_age=60)

    assert expected == replace(found, keys=keys)
    assert (30, True) == (found.source.shortest, found.source.blocking)  # type: ignore[attr-defined] # of SaltedKeys


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        ({"issuer": None}, "issuer", "it is required"),
        ({"salt": None}, "issuer", "the issuer cannot be asked for its keys"),
        ({"salt": None, "issuer": "https://id.test"}, "", "its keys are a salt function"),
        ({"salt": None, "jwks_url": "https://id.test/jwks"}, "", "its keys are a salt function"),
        ({"salt": None, "jwks_file": "keys.json"}, "", "do not fit its keys"),
        ({"salt": None, "secret": SEED_SECRET}, "secret", "the secret is too short"),
        ({"audience": "orders"}, "audience", "profile = 'joat_tokens' knows it from issuer, clients"),
        ({"algorithms": ["HS512"]}, "", "PyJOAT signs with HS256 and nothing else"),
        ({"name": "joat"}, "name", "there is no such key"),
        ({"clients": []}, "clients", "a text or a list of texts is expected"),
        ({"pool": "x"}, "pool", "that is for profile = 'cognito'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_place(read: Read, keys: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        read(**keys)

    assert ".".join(filter(None, ("providers.old", key))) == caught.value.place
    assert reason in caught.value.reason
