"""[tokens] and [resource] of guard.toml → where a guard looks for tokens, and what it says of what it protects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import jwt_guard
from jwt_guard.access.carriers import cookie, form, header, query, websocket_subprotocol
from jwt_guard.config.check import check
from jwt_guard.config.values import WrongConfig
from tests.support.keys import public_jwk

Write = Callable[..., Path]
URL = "https://api.test/orders"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes guard.toml for one provider."""
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))

    def write(more: str, issuer: str = "https://id.test", audience: str = URL) -> Path:
        file = tmp_path / "guard.toml"
        provider = f'[providers.shop]\nissuer = "{issuer}"\naudience = "{audience}"\njwks_file = "keys.json"\n'
        file.write_text(provider + more)
        file.chmod(0o600)
        return file

    return write


def found(file: Path) -> list[tuple[str, str]]:
    return [(finding.severity, finding.place) for finding in check(file)]


def test_a_guard_looks_where_the_file_says(write: Write) -> None:
    everything = """
        [tokens]
        cookie = "__Host-session"
        origins = ["https://app.test"]
        websocket_subprotocol = true
        query = true
        form = true
    """

    carriers = (header(), cookie("__Host-session", ["https://app.test"]), websocket_subprotocol(), query(), form())
    assert carriers == jwt_guard.load(write(everything)).carriers
    assert (header(), cookie("__Host-session")) == jwt_guard.load(write('[tokens]\ncookie = "__Host-session"')).carriers
    for text in ("", "[tokens]", "[tokens]\nquery = false\nform = false\nwebsocket_subprotocol = false"):
        assert (header(),) == jwt_guard.load(write(text)).carriers


def test_a_guard_protects_what_the_file_says(write: Write) -> None:
    everything = f"""
        [resource]
        url = "{URL}"
        name = "Orders"
        scopes_supported = ["orders:read"]
        authorization_servers = ["https://login.test"]
        documentation = "https://docs.test/"
        policy_uri = "https://docs.test/policy"
        tos_uri = "https://docs.test/terms"
    """

    assert {
        "resource": URL,
        "authorization_servers": ["https://login.test"],
        "scopes_supported": ["orders:read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Orders",
        "resource_documentation": "https://docs.test/",
        "resource_policy_uri": "https://docs.test/policy",
        "resource_tos_uri": "https://docs.test/terms",
    } == jwt_guard.load(write(everything)).metadata
    assert None is jwt_guard.load(write("")).metadata


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[tokens]\ncooky = 'a'", "tokens.cooky", "there is no such key; did you mean cookie?"),
        ("[tokens]\ncookie = ''", "tokens.cookie", "a name is letters, digits, dashes and underscores"),
        (
            "[tokens]\ncookie = 'a b'\norigins = []",
            "tokens.cookie",
            "a name is letters, digits, dashes and underscores",
        ),
        (
            "[tokens]\ncookie = 'a'\norigins = ['*']",
            "tokens.origins",
            "'*' is none: https://HOST, in small letters and without a path",
        ),
        (
            "[tokens]\norigins = ['https://app.test']",
            "tokens.origins",
            "they are those of pages that may send the cookie, and cookie names none",
        ),
        ("[tokens]\nquery = 'access_token'", "tokens.query", "true or false is expected, not a text"),
        ("[resource]", "resource.url", "it is required: the https URL of what is protected"),
        ("[resource]\nurl = 'http://api.test'", "resource", "url: it is not https"),
        ("[resource]\nuri = 'x'", "resource.uri", "there is no such key; did you mean url?"),
        (f"[resource]\nurl = '{URL}'\nname = ''", "resource", "name is a text that is not empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write: Write, text: str, place: str, reason: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(write(text))

    assert (place, reason) == (caught.value.place, caught.value.reason)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("[tokens]\ncookie = '__Host-session'\norigins = ['https://app.test', 'http://localhost:3000']", []),
        ("[tokens]\nwebsocket_subprotocol = true", []),
        ("[tokens]\ncookie = 'session'", ["tokens.cookie"]),
        ("[tokens]\ncookie = '__Host-s'\norigins = ['http://app.test']", ["tokens.origins"]),
        ("[tokens]\nquery = true", ["tokens.query"]),
        ("[tokens]\nform = true", ["tokens.form"]),
        (f"[resource]\nurl = '{URL}'", []),
        ("[resource]\nurl = 'https://api.test/other'", ["resource.url"]),
        (f"[resource]\nurl = '{URL}/'", ["resource.url"]),
    ],
)
def test_what_is_risky_is_said(write: Write, text: str, places: list[str]) -> None:
    assert [("risky", place) for place in places] == found(write(text))


def test_a_resource_that_is_one_of_several_audiences_is_one(write: Write) -> None:
    file = write(f"[resource]\nurl = '{URL}'")
    file.write_text(file.read_text().replace(f'audience = "{URL}"', f'audience = ["orders", "{URL}"]'))

    assert [] == found(file)


def test_a_resource_whose_clients_are_told_of_no_issuer_is_risky(write: Write) -> None:
    assert [("risky", "resource.authorization_servers")] == found(write(f"[resource]\nurl = '{URL}'", "local"))
