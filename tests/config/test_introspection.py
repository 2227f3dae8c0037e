"""An introspection_url in a file → who is asked about tokens, and as whom; or what is wrong or risky with that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import jwt_guard
from jwt_guard import Guard
from jwt_guard.config.check import check
from jwt_guard.config.values import WrongConfig
from jwt_guard.credentials import Credentials
from jwt_guard.flow import Fetch
from jwt_guard.sources.introspection import Introspection
from tests.support.keys import public_jwk
from tests.support.minting import ISSUER, NOW, claims, mint
from tests.support.playing import Played, play, reply

Load = Callable[..., Guard]
URL = "https://id.test/introspect"
SHOP = {"issuer": ISSUER, "audience": "orders", "jwks_file": "keys.json"}
ASKED = {"introspection_url": URL, "client_id": "orders-api", "client_secret": "${CLIENT_SECRET}"}
WITH_KEY = {**ASKED, "client_secret": None, "client_key_file": "client.pem"}
ACTIVE = {"active": True, "token_type": "Bearer", **claims(exp=NOW * 2, iat=1)}
TOKEN = "opaque-token"
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("CLIENT_SECRET", "s3cret")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))
    (tmp_path / "client.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "client.pem").chmod(0o600)

    def write(after: str = "", **keys: Any) -> Path:
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**SHOP, **keys}.items() if value is not None]
        (tmp_path / "guard.toml").write_text("\n".join(["[providers.shop]", *lines, after]))
        (tmp_path / "guard.toml").chmod(0o600)
        return tmp_path / "guard.toml"

    return write


@pytest.fixture
def load(file: Callable[..., Path]) -> Load:
    return lambda after="", **keys: jwt_guard.load(file(after, **keys))


def of(guard: Guard) -> Introspection:
    (provider,) = guard.providers
    assert provider.introspection is not None
    return provider.introspection


def asked(guard: Guard, answer: dict[str, Any], token: str = TOKEN) -> Played:
    return play(lambda: guard.admit(token), reply(answer))


def question(played: Played) -> Fetch:
    (need,) = (need for need in played.needs if isinstance(need, Fetch))
    return need


def test_a_file_says_who_is_asked_and_as_whom(load: Load) -> None:
    played = asked(load("[keys]\ntimeout = 2", **ASKED), ACTIVE)

    assert isinstance(played.value, Credentials)
    assert "shop" == played.value.provider
    assert URL == question(played).url
    assert 1.5 < question(played).deadline <= 2
    assert "Basic b3JkZXJzLWFwaTpzM2NyZXQ=" == question(played).headers["Authorization"]


@pytest.mark.parametrize(
    ("more", "audience"), [({}, URL), ({"client_assertion_audience": "https://id.test"}, "https://id.test")]
)
def test_a_client_with_a_key_signs_an_assertion(load: Load, more: dict[str, str], audience: str) -> None:
    played = asked(load(**WITH_KEY, **more), ACTIVE)
    form = parse_qs((question(played).body or b"").decode())
    said = jwt.decode(form["client_assertion"][0], KEY.public_key(), ["ES256"], audience=audience)

    assert isinstance(played.value, Credentials)
    assert ("orders-api", "orders-api") == (said["iss"], said["sub"])
    assert [TOKEN] == form["token"]


def test_everything_else_may_be_said_too(load: Load) -> None:
    usual, other = (
        of(load(**ASKED)),
        of(
            load(
                **ASKED,
                introspection_jwts=True,
                introspection_opaque=False,
                introspection_kept_for=5,
                introspection_refused_for=0.5,
                introspection_aud_may_be_missing=True,
                introspection_token_type_may_be_missing=True,
            )
        ),
    )

    assert (True, False, False, False) == (
        usual.opaque,
        usual.jwts,
        usual.aud_may_be_missing,
        usual.token_type_may_be_missing,
    )
    assert (False, True, True, True) == (
        other.opaque,
        other.jwts,
        other.aud_may_be_missing,
        other.token_type_may_be_missing,
    )
    assert (30, 5) == (usual._kept_for, usual._refused_for)
    assert (5, 0.5) == (other._kept_for, other._refused_for)


def test_signed_tokens_are_asked_about_where_the_file_says_so(load: Load) -> None:
    token = mint(claims(exp=NOW * 2, iat=1))
    played = asked(load(**ASKED, introspection_jwts=True), {"active": True}, token)

    assert isinstance(played.value, Credentials)
    assert [URL] == played.fetched


def test_a_profile_may_be_asked_too(load: Load) -> None:
    assert of(load(**ASKED, profile="keycloak")).opaque


def test_a_host_without_tls_is_asked_only_where_that_is_said(load: Load) -> None:
    plain = {**ASKED, "introspection_url": "http://id.test/introspect"}

    assert "http://id.test/introspect" == of(load("[keys]\nplain_http_hosts = ['id.test']", **plain)).url
    with pytest.raises(WrongConfig, match="introspection_url: the URL cannot be asked"):
        load(**plain)


@pytest.mark.parametrize(
    ("keys", "place", "says"),
    [
        ({"client_id": "a"}, "client_id", "that is for introspection_url"),
        ({"client_secret": "a"}, "client_secret", "that is for introspection_url"),
        ({"introspection_jwts": True}, "introspection_jwts", "that is for introspection_url"),
        ({**ASKED, "introspection_url": ""}, "introspection_url", "cannot be asked"),
        ({**ASKED, "client_id": None}, "client_id", "it is required"),
        ({**ASKED, "client_id": ""}, "client_id", "it is required"),
        ({**ASKED, "client_id": " a"}, "", "client_id is a text"),
        ({**ASKED, "client_secret": None}, "client_secret", "one of them"),
        ({**ASKED, "client_key_file": "client.pem"}, "client_secret", "one of them"),
        ({**ASKED, "client_secret": ""}, "", "client_secret is a text that is not empty"),
        ({**ASKED, "client_secret": "${NO_SUCH_VARIABLE}"}, "client_secret", "has no NO_SUCH_VARIABLE"),
        ({**ASKED, "client_assertion_audience": "x"}, "client_assertion_audience", "that is for client_key_file"),
        ({**WITH_KEY, "client_assertion_audience": ""}, "client_key_file", "not empty"),
        ({**WITH_KEY, "client_key_file": "keys.json"}, "client_key_file", "signing key"),
        ({**WITH_KEY, "client_key_file": "missing.pem"}, "client_key_file", "No such file"),
        ({**ASKED, "introspection_opaque": False}, "", "for opaque tokens, for jwts"),
        ({**ASKED, "introspection_kept_for": -1}, "", "0 or more"),
        ({**ASKED, "introspection_kept_for": "30"}, "introspection_kept_for", "a number of seconds"),
        ({**ASKED, "introspection_jwt": True}, "introspection_jwt", "did you mean introspection_jwts?"),
        ({**ASKED, "profile": "hti_launch", "audience": "Device/1"}, "", "counts once"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(load: Load, keys: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(WrongConfig, match=says) as caught:
        load(**keys)

    assert f"providers.shop{'.' if place else ''}{place}" == caught.value.place


def test_two_that_could_be_asked_are_one_too_many(load: Load) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**SHOP, **ASKED, "issuer": "https://two.test"}.items()]
    with pytest.raises(WrongConfig, match="shop and two are asked about opaque tokens"):
        load("\n".join(["[providers.two]", *lines]), **ASKED)


# --- risks -------------------------------------------------------------------------------------------


def found(file: Path) -> list[tuple[str, str]]:
    return [(finding.severity, finding.place) for finding in check(file)]


def test_the_plain_way_to_ask_is_no_risk(file: Callable[..., Path]) -> None:
    assert [] == found(file(**ASKED))
    assert [] == found(file(**WITH_KEY))
    assert [] == found(file(**ASKED, introspection_kept_for=300, introspection_jwts=True))
    assert [] == found(file(**{**ASKED, "introspection_url": "http://127.0.0.1:9000/introspect"}))


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"client_secret": "in the file"}, "client_secret"),
        ({"introspection_kept_for": 301}, "introspection_kept_for"),
        ({"introspection_aud_may_be_missing": True}, "introspection_aud_may_be_missing"),
        ({"introspection_token_type_may_be_missing": True}, "introspection_token_type_may_be_missing"),
    ],
)
def test_what_is_risky_is_said_with_its_place(file: Callable[..., Path], keys: dict[str, Any], place: str) -> None:
    assert [("risky", f"providers.shop.{place}")] == found(file(**{**ASKED, **keys}))


def test_an_endpoint_without_tls_is_risky(file: Callable[..., Path]) -> None:
    plain = {**ASKED, "introspection_url": "http://id.test/introspect"}
    risks = found(file("[keys]\nplain_http_hosts = ['id.test']", **plain))

    assert ("risky", "providers.shop.introspection_url") in risks


def test_a_secret_in_a_file_that_others_may_read_is_worse(file: Callable[..., Path]) -> None:
    written = file(**{**ASKED, "client_secret": "in the file"})
    written.chmod(0o644)

    assert [("risky", "providers.shop.client_secret"), ("risky", "")] == found(written)


def test_a_key_that_others_may_read_is_risky(file: Callable[..., Path], tmp_path: Path) -> None:
    written = file(**WITH_KEY)
    (tmp_path / "client.pem").chmod(0o644)

    assert [("risky", "providers.shop.client_key_file")] == found(written)
