"""[gateway] → settings that can be meant, and whose word is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
import pytest

from jwt_guard.config.gateway import read_gateway
from jwt_guard.config.values import Table, WrongConfig
from jwt_guard.errors import Misconfigured
from jwt_guard.gateway.settings import Settings, address, believes

CA = certifi.where()
"""A file with certificates."""


@pytest.mark.parametrize("text", ["127.0.0.1:9191", "[::1]:9191", "localhost:0", "unix:/run/jwt-guard.sock"])
def test_an_address_is_a_port_or_a_socket(text: str) -> None:
    assert text == str(address(text))


@pytest.mark.parametrize(
    "text",
    ["", ":80", "80", "host", "host:", "host:x", "host:70000", "::1:80", "unix:", "unix:run", "unix:/a\0b", "[]:1"],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(Misconfigured):
        address(text)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("127.0.0.2", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("localhost", False),
        (None, True),
    ],
)
def test_whose_word_is_taken(peer: str | None, expected: bool) -> None:
    assert expected is believes(Settings(), peer)


def test_no_network_is_nobody_but_a_socket() -> None:
    nobody = Settings(trusted_proxies=())
    assert not believes(nobody, "127.0.0.1")
    assert believes(nobody, None)


def read(values: dict[str, Any]) -> Settings:
    return read_gateway(Table(Path("guard.toml"), values))


def test_a_file_may_say_all_of_it() -> None:
    settings = read(
        {
            "gateway": {
                "listen": "unix:/run/x",
                "grpc_listen": "127.0.0.1:1",
                "admin_listen": "127.0.0.1:2",
                "trusted_proxies": ["10.0.0.0/8"],
                "forwarded": "x-original",
                "upstream": "http://127.0.0.1:9000",
                "answer_within": 0.5,
                "identity_headers": {"user": "X-Auth-User"},
            }
        }
    )
    assert ("unix:/run/x", "127.0.0.1:1", "127.0.0.1:2") == (
        settings.listen,
        settings.grpc_listen,
        settings.admin_listen,
    )
    assert ("x-original", "http://127.0.0.1:9000", 0.5) == (
        settings.forwarded,
        settings.upstream,
        settings.answer_within,
    )
    assert believes(settings, "10.1.2.3")
    assert ("X-Auth-User",) == settings.identity.names


def test_without_it_the_usual_holds() -> None:
    assert Settings() == read({})
    assert Settings() == read({"gateway": {}})


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"lisen": "x"}, "gateway.lisen"),
        ({"listen": "x"}, "gateway.listen"),
        ({"grpc_listen": "x"}, "gateway.grpc_listen"),
        ({"admin_listen": "unix:x"}, "gateway.admin_listen"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "gateway.trusted_proxies"),
        ({"trusted_proxies": ["everyone"]}, "gateway.trusted_proxies"),
        ({"forwarded": "forwarded"}, "gateway.forwarded"),
        ({"upstream": "127.0.0.1:9000"}, "gateway.upstream"),
        ({"upstream": "http://127.0.0.1:9000/app"}, "gateway.upstream"),
        ({"upstream": "http://u:p@127.0.0.1"}, "gateway.upstream"),
        ({"upstream": "http://[::1"}, "gateway.upstream"),
        ({"upstream": "http://h:0"}, "gateway.upstream"),
        ({"answer_within": 0}, "gateway.answer_within"),
        ({"answer_within": 61}, "gateway.answer_within"),
        ({"identity_headers": {"user": "X User"}}, "gateway.identity_headers"),
        ({"upstream": "https://h", "proxy": {"ca_file": "/nowhere/ca.pem"}}, "gateway.proxy.ca_file"),
        ({"upstream": "https://h", "proxy": {"ca_file": __file__}}, "gateway.proxy.ca_file"),
        ({"upstream": "https://h", "proxy": {"ca_file": ""}}, "gateway.proxy.ca_file"),
        ({"upstream": "http://h", "proxy": {"ca_file": CA}}, "gateway.proxy"),
        ({"proxy": {"ca_file": CA}}, "gateway.proxy"),
        ({"identity_headers": {"roles": "X-Roles"}}, "gateway.identity_headers.roles"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(table: dict[str, Any], place: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        read({"gateway": table})
    assert place == caught.value.place
