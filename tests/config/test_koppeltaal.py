"""Koppeltaal and HTI in a file → the providers that Python makes of the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Guard, Provider
from jwt_guard.access.hti import is_of_launches
from jwt_guard.config.values import WrongConfig
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected
from jwt_guard.flow import Stored
from jwt_guard.middleware.hti import Launches
from jwt_guard.providers import hti_launch, koppeltaal
from jwt_guard.sources.jwks import RemoteKeys
from tests.access.test_hti import DEVICE, PORTAL, launch
from tests.support.keys import pem, public_jwk
from tests.support.minting import NOW, mint, verdict
from tests.support.playing import play

Load = Callable[..., Provider]
LAUNCH = {"profile": "hti_launch", "issuer": PORTAL, "audience": DEVICE, "jwks_file": "keys.json"}
SAME = ("issuers", "typ", "required", "claims", "extra_rules", "kind", "allowed", "leeway")


@pytest.fixture
def read(tmp_path: Path) -> Load:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("RS256", kid="a")]}))
    (tmp_path / "key.pem").write_bytes(pem("RS256"))

    def read(after: str = "", /, **keys: Any) -> Provider:
        lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items() if value is not None]
        file = tmp_path / "guard.toml"
        file.write_text("\n".join(["[providers.portal]", *lines, after]))
        (provider,) = jwt_guard.load(file).providers
        return provider

    return read


def taken(provider: Provider, **changes: Any) -> Any:
    return verdict(Guard([provider], clock=lambda: NOW), mint(launch(**changes), alg="RS256"))


def test_a_portal_is_in_a_file_what_it_is_in_python(read: Load) -> None:
    found = read(**LAUNCH)
    expected = hti_launch(PORTAL, DEVICE, name="portal", keys=found.keys)

    assert all(getattr(expected, part) == getattr(found, part) for part in SAME)
    assert is_of_launches(found)
    assert isinstance(taken(found), Credentials)
    assert "jti: was used before" == str(taken(found))


def test_what_hti_forbids_may_be_allowed_in_a_file_too(read: Load) -> None:
    lax = read(
        **{**LAUNCH, "jwks_file": None}, pem_file="key.pem", longest_lifetime_beyond_hti=900, kid_may_be_missing=True,
        sub_may_be_any_text=True, may_be_used_more_than_once=True,
    )  # fmt: skip

    assert None is lax.once
    for _ in range(2):
        assert isinstance(taken(lax, sub="12345", exp=NOW + 900), Credentials)
    assert isinstance(taken(lax, exp=NOW + 901), ClaimRejected)


def test_what_was_used_is_kept_in_the_store(read: Load) -> None:
    found = read('[store]\nurl = "redis://127.0.0.1:6379/0"', **LAUNCH)

    assert found.once is not None
    once = found.once
    (asked,) = play(lambda: once.burn({"iss": PORTAL, "jti": "a"}, NOW + 60, NOW), True).needs  # noqa: FBT003 - its yes
    assert isinstance(asked, Stored)
    assert ("redis://127.0.0.1:6379/0", "claim") == (asked.store, asked.command)


def test_what_may_be_used_again_is_kept_nowhere(read: Load) -> None:
    found = read('[store]\nurl = "redis://127.0.0.1:6379/0"', **LAUNCH, may_be_used_more_than_once=True)

    assert None is found.once


def test_launches_are_taken_by_the_guard_of_a_file(read: Load) -> None:
    assert Launches(Guard([read(**LAUNCH)])).guard.providers


def test_a_domain_of_koppeltaal_is_in_a_file_what_it_is_in_python(read: Load) -> None:
    server = {"profile": "koppeltaal", "issuer": "https://auth.koppeltaal.example"}
    found, other = read(**server), read(**server, audience="fhir-service", jwks_url="https://auth.example/jwks")
    expected = koppeltaal("https://auth.koppeltaal.example", name="portal")

    assert all(getattr(expected, part) == getattr(found, part) for part in SAME)
    assert "fhir-server" == found.audience
    assert ("fhir-service",) == tuple(other.audience)
    assert isinstance(other.source, RemoteKeys)
    assert "jwks https://auth.example/jwks" == other.source._name


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        ({**LAUNCH, "audience": None}, "audience", "it is required"),
        ({**LAUNCH, "jwks_file": None}, "issuer", "the issuer cannot be asked for its keys"),
        ({**LAUNCH, "jwks_file": None, "secret": "s" * 32}, "", "its keys can do none of the algorithms of HTI"),
        ({**LAUNCH, "algorithms": "HS256"}, "", "the algorithms of HTI are RS256"),
        ({**LAUNCH, "longest_lifetime_beyond_hti": 60}, "", "above the 300 of HTI"),
        ({**LAUNCH, "longest_lifetime_beyond_hti": "900"}, "longest_lifetime_beyond_hti", "a number of seconds"),
        ({**LAUNCH, "kid_may_be_missing": "yes"}, "kid_may_be_missing", "true or false is expected"),
        ({**LAUNCH, "remember": True}, "", "a token that counts once is not remembered"),
        ({**LAUNCH, "tenant": "a"}, "tenant", "that is for profile = 'entra'"),
        ({**LAUNCH, "profile": "koppeltaal", "kid_may_be_missing": True}, "kid_may_be_missing",
         "that is for profile = 'hti_launch'"),
        ({"profile": "koppeltaal", "audience": "fhir-server"}, "issuer", "it is required"),
        ({"profile": "koppeltaal", "issuer": "portal"}, "issuer", "the issuer cannot be asked for its keys"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(read: Load, keys: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        read(**keys)

    assert ".".join(filter(None, ("providers.portal", key))) == caught.value.place
    assert reason in caught.value.reason
