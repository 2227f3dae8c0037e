"""[gateway] in a file → what is wrong or risky about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jwt_guard.config.check import check
from tests.support.keys import encode, public_jwk, secret

Found = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(more: str) -> Path:
        (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))
        provider = '[providers.shop]\nissuer = "https://id.test"\naudience = "orders"\njwks_file = "keys.json"\n'
        (tmp_path / "guard.toml").write_text(provider + more)
        (tmp_path / "guard.toml").chmod(0o600)
        return tmp_path / "guard.toml"

    return write


@pytest.fixture
def found(file: Callable[[str], Path]) -> Found:
    """Return a function that checks a file with this much more in it."""
    return lambda more: [(finding.severity, finding.place) for finding in check(file(more))]


@pytest.mark.parametrize(
    "more",
    [
        "[gateway]",
        "[gateway]\nlisten = 'unix:/run/guard.sock'\nadmin_listen = 'unix:/run/admin.sock'",
        "[gateway]\nlisten = '127.0.0.2:0'\ngrpc_listen = '127.0.0.2:0'\nadmin_listen = 'localhost:9193'",
        "[gateway]\nlisten = '[::1]:9191'\nupstream = 'http://[::1]:80'",
        "[gateway]\nupstream = 'http://127.0.0.1:9000'\n[gateway.identity_headers]\nuser = 'X-Auth-User'",
        "[gateway]\nupstream = 'https://orders.test'",
        "[gateway]\ntrusted_proxies = ['10.0.0.0/8', 'fd00::/19', '192.0.2.7']",
        "[gateway]\ntrusted_proxies = []",
        "[gateway]\n[[routes]]\npath = '/caf%C3%A9/a%20b/{id}'\nmethods = ['GET']\nallow = 'authenticated'",
        "[[routes]]\npath = '/a/{name}'\nencoded = 'opaque'\nallow = 'authenticated'",
        "[[routes]]\npath = '/a%25'\nmethods = ['CONNECT']\nallow = 'authenticated'",
        "[tokens]\ncookie = '__Host-token'\n[gateway]",
    ],
)
def test_what_is_the_plain_way_is_no_finding(found: Found, more: str) -> None:
    assert [] == found(more)


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("[gateway]\ntrusted_proxies = ['0.0.0.0/0']", "gateway.trusted_proxies"),
        ("[gateway]\ntrusted_proxies = ['::/0']", "gateway.trusted_proxies"),
        ("[gateway]\ntrusted_proxies = ['0.0.0.0/1', '128.0.0.0/1']", "gateway.trusted_proxies"),
        ("[gateway]\ntrusted_proxies = ['10.0.0.0/8', '64.0.0.0/3']", "gateway.trusted_proxies"),
        ("[gateway]\ntrusted_proxies = ['2000::/3']", "gateway.trusted_proxies"),
        ("[gateway]\nlisten = '0.0.0.0:9191'", "gateway.listen"),
        ("[gateway]\nlisten = 'guard.test:9191'", "gateway.listen"),
        ("[gateway]\ngrpc_listen = '10.0.0.1:9192'", "gateway.grpc_listen"),
        ("[gateway]\nadmin_listen = '[::]:9193'", "gateway.admin_listen"),
        ("[gateway]\nupstream = 'http://orders.test'", "gateway.upstream"),
        ("[gateway]\n[gateway.identity_headers]\nuser = 'X-Auth-User'", "gateway.identity_headers"),
        ("[gateway]\n[[routes]]\npath = '/a/100%25'\nallow = 'authenticated'", "routes"),
        ("[gateway]\n[[routes]]\npath = '/a%3Fb'\nallow = 'authenticated'", "routes"),
        ("[gateway]\n[[routes]]\npath = '/a/{b}'\nencoded = 'opaque'\nallow = 'authenticated'", "routes"),
        ("[gateway]\n[[routes]]\npath = '/a/**'\nencoded = 'opaque'\nallow = 'authenticated'", "routes"),
    ],
)
def test_what_is_risky_is_said_with_its_place(found: Found, more: str, place: str) -> None:
    assert [("risky", place)] == found(more)


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("[gateway]\nadmin_listen = '127.0.0.1:9191'", "gateway.admin_listen"),
        ("[gateway]\nlisten = 'unix:/a'\ngrpc_listen = 'unix:/a'", "gateway.grpc_listen"),
        ("[gateway]\n[[routes]]\npath = '/a'\nmethods = ['CONNECT']\nallow = 'authenticated'", "routes"),
        ("[gateway]\nlisten = 'nowhere'", "gateway.listen"),
    ],
)
def test_what_cannot_work_is_wrong(found: Found, more: str, place: str) -> None:
    assert [("wrong", place)] == found(more)


def test_a_token_in_a_form_is_never_seen_by_who_is_asked_without_a_body(found: Found) -> None:
    assert ("wrong", "tokens.form") in found("[tokens]\nform = true\n[gateway]")
    assert ("wrong", "tokens.form") not in found("[tokens]\nform = true\n[gateway]\nupstream = 'http://127.0.0.1:80'")


def test_everyone_is_called_everyone(file: Callable[[str], Path]) -> None:
    (finding,) = check(file("[gateway]\ntrusted_proxies = ['0.0.0.0/0']"))

    assert finding.sentence.startswith("everyone is trusted")


def test_a_secret_beside_public_keys_of_others_is_risky(
    found: Found, file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "an octet or thirty-two of them, at least")
    other = '[providers.old]\nissuer = "https://old.test"\naudience = "orders"\nsecret = "${JWT_SECRET}"\n'
    path = file("")

    assert [("risky", "providers.old")] == found(other)

    path.write_text(other)

    assert [] == check(path)


def test_a_secret_beside_public_keys_of_one_issuer_is_refused(file: Callable[[str], Path], tmp_path: Path) -> None:
    path = file("")
    jwks = {"keys": [public_jwk("ES256", kid="a"), {"kty": "oct", "kid": "b", "k": encode(secret())}]}
    (tmp_path / "keys.json").write_text(json.dumps(jwks))

    assert ["wrong"] == [finding.severity for finding in check(path)]
