"""Credentials → a token of the gateway: what is in it, how long it lives, and how an upstream checks it."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, authenticated, verify
from jwt_guard.access.profiles import rfc9068
from jwt_guard.config.gateway import read_gateway
from jwt_guard.config.values import Table, WrongConfig
from jwt_guard.credentials import Credentials
from jwt_guard.errors import Misconfigured
from jwt_guard.gateway.identity_token import IdentityToken
from jwt_guard.gateway.settings import ProxySettings, Settings
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring
from jwt_guard.issuing.signing import make
from jwt_guard.middleware.asgi import GuardMiddleware
from jwt_guard.sources.fixed import fixed
from tests.support.minting import NOW, guard
from tests.support.proxied import ask, bearer, of_octets, proxy, seen_by, serving

KEYS = Keyring(make("ES256"), clock=lambda: NOW)
WHO = Credentials(
    user="ada",
    client="shop",
    scopes=frozenset({"b", "a"}),
    roles=frozenset(),
    provider="test",
    claims={"exp": NOW + 30},
)


def token(clock: Any = lambda: NOW, **changes: Any) -> IdentityToken:
    given: dict[str, Any] = {
        "header": "X-Identity",
        "issuer": Issuer("https://gw.test", KEYS, clock),
        "audience": "app",
    }
    return IdentityToken(**{**given, **changes})


def value(of: IdentityToken, who: Credentials | None = WHO) -> str:
    ((_, found),) = of.headers(who)
    return found


def read(text: str, now: float = NOW) -> Credentials:
    keys = fixed({"keys": [dict(KEYS.current.public or {})]})
    provider = replace(rfc9068("https://gw.test", "app"), keys=keys, leeway=0)
    return verify(Guard([provider], clock=lambda: now), text)


def test_an_upstream_reads_in_it_who_is_asking() -> None:
    found = read(value(token()))

    assert ("ada", "shop", frozenset({"a", "b"}), "test") == (
        found.user,
        found.client,
        found.scopes,
        found.claims["provider"],
    )


def test_of_a_machine_the_client_is_the_subject_and_of_nobody_there_is_nothing() -> None:
    machine = read(value(token(), replace(WHO, user=None, scopes=frozenset())))

    assert "shop" == machine.claims["sub"]
    assert "scope" not in machine.claims
    assert (("X-Identity", ""),) == token().headers(None)


@pytest.mark.parametrize(
    ("claims", "lifetime"), [({"exp": NOW + 30}, 30), ({"exp": NOW + 500.5}, 60), ({}, 60), ({"exp": NOW - 5}, 1)]
)
def test_it_lives_no_longer_than_the_token_that_was_brought(claims: dict[str, Any], lifetime: int) -> None:
    assert NOW + lifetime == read(value(token(), replace(WHO, claims=claims))).claims["exp"]


def test_one_is_used_for_half_of_its_life_and_for_nobody_else() -> None:
    moment = [float(NOW)]
    who = replace(WHO, claims={"exp": NOW + 3_600})
    of = token(lambda: moment[0])
    first = value(of, who)
    moment[0] += 30
    assert first == value(of, who)
    assert first != value(of, replace(who, scopes=frozenset()))
    assert first != value(of, replace(who, claims={"exp": NOW + 50}))
    moment[0] += 1
    assert first != value(of, who)


def test_no_more_than_a_few_are_kept() -> None:
    of = token()
    for number in range(4_097):
        of._kept["test", str(number), None, frozenset()] = "x", 0
    value(of)

    assert len(of._kept) < 4_000


def test_as_a_bearer_token_it_takes_the_place_of_the_clients() -> None:
    of = token(header="Authorization")

    assert value(of).startswith("Bearer ")
    assert of.is_alias("authorization")
    assert ("Authorization",) == of.names
    assert [("x", "1")] == of.without_aliases([("AUTHORIZATION", "x"), ("x", "1")])
    with pytest.raises(Misconfigured, match="not both"):
        Settings(identity=of, proxy=ProxySettings(pass_authorization=True))


@pytest.mark.parametrize("name", ["x-identity", "X_Identity", "x.identity"])
def test_nobody_else_may_say_it(name: str) -> None:
    assert token().is_alias(name)
    assert [(b"x", b"1")] == token().without_aliases([(name.encode(), b"x"), (b"x", b"1")])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"header": "X Identity"}, "header"),
        ({"header": None}, "header"),
        ({"header": "Cookie"}, "header"),
        ({"audience": ""}, "audience"),
        ({"audience": ["a", ""]}, "audience"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": True}, "lifetime"),
        ({"lifetime": 3_601}, "lifetime"),
        ({"jwks_path": "/"}, "jwks_path"),
        ({"jwks_path": "/a//b"}, "jwks_path"),
        ({"jwks_path": None}, "jwks_path"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Misconfigured, match=rf"^{field}: "):
        token(**changes)


# --- through the proxy -------------------------------------------------------------------------------


def test_an_upstream_gets_it_in_the_place_of_what_the_client_sent() -> None:
    record: list[bytes] = []
    lies = [("X-Identity", "x"), ("x_identity", "y"), ("Connection", "X-Identity")]
    with of_octets(seen_by(record)) as upstream, proxy(upstream, identity=token()) as port:
        assert 200 == ask(port, "/", bearer(), *lies).status
        assert 200 == ask(port, "/", *lies).status

    lines = record[0].decode().lower().split("\r\n")
    (said,) = [line for line in lines if "identity" in line]
    assert "ada-lovelace" == read(record[0].decode().partition("X-Identity: ")[2].partition("\r\n")[0]).user
    assert said.startswith("x-identity: ey")
    assert b"identity" not in record[1].lower()


async def greet(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["jwt_guard"].user.encode()})


@pytest.fixture
def keys_url() -> Generator[tuple[int, str]]:
    """Give a proxy that wants a token, before an application that wants another, and where its keys are."""
    inner = replace(rfc9068("https://gw.test", "app"), keys=fixed({"keys": [dict(KEYS.current.public or {})]}))
    app = GuardMiddleware(greet, Guard([inner], clock=lambda: NOW))
    of = token(header="Authorization")
    with serving(app) as upstream, proxy(upstream, guard(policy=authenticated()), identity=of) as port:
        yield port, of.jwks_path


def test_an_upstream_may_guard_itself_by_it_alone(keys_url: tuple[int, str]) -> None:
    port, path = keys_url
    reply = ask(port, "/", bearer())

    assert (200, b"ada-lovelace") == (reply.status, reply.body)
    keys = ask(port, path)
    assert (200, "application/jwk-set+json") == (keys.status, keys.header("content-type"))
    assert [KEYS.current.kid] == [key["kid"] for key in json.loads(keys.body)["keys"]]
    assert b'"d"' not in keys.body
    assert b"" == ask(port, path, method="HEAD").body
    assert 401 == ask(port, path, method="POST", body=b"").status


# --- guard.toml --------------------------------------------------------------------------------------


def from_file(folder: Path, **changes: Any) -> Settings:
    (folder / "key.json").write_text(json.dumps(KEYS.current.private_jwk()), encoding="utf-8")
    inner = {"header": "X-Identity", "issuer": "https://gw.test", "audience": "app", "key_file": "key.json", **changes}
    values = {"identity_token": {name: value for name, value in inner.items() if value is not None}}
    return read_gateway(Table(folder / "guard.toml", {"gateway": values}))


def test_a_file_may_say_it(tmp_path: Path) -> None:
    found = from_file(tmp_path, lifetime=20, jwks_path="/keys").identity

    assert isinstance(found, IdentityToken)
    assert ("X-Identity", 20, "/keys", KEYS.current.kid) == (
        found.header,
        found.lifetime,
        found.jwks_path,
        found.issuer.keyring.current.kid,
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"header": None}, "header"),
        ({"issuer": None}, "issuer"),
        ({"issuer": " "}, "issuer"),
        ({"audience": None}, "audience"),
        ({"key_file": None}, "key_file"),
        ({"key_file": "none.json"}, "key_file"),
        ({"lifetime": 4_000}, "lifetime"),
        ({"header": "X Y"}, "header"),
        ({"hader": "X"}, "hader"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        from_file(tmp_path, **changes)

    assert f"gateway.identity_token.{place}" == caught.value.place


def test_one_of_the_two_ways_is_enough(tmp_path: Path) -> None:
    values: dict[str, Any] = {"identity_token": {}, "identity_headers": {}}
    with pytest.raises(WrongConfig, match="not by both"):
        read_gateway(Table(tmp_path / "guard.toml", {"gateway": values}))


def test_how_it_goes_on_may_be_said_in_a_file(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "connect_timeout": 1,
        "answer_timeout": 2.5,
        "keep_host": False,
        "pass_authorization": True,
    }
    table = Table(tmp_path / "guard.toml", {"gateway": {"proxy": values}})

    assert ProxySettings(1, 2.5, keep_host=False, pass_authorization=True) == read_gateway(table).proxy


@pytest.mark.parametrize(
    ("values", "place"),
    [({"connect_timeout": 0}, "connect_timeout"), ({"answer_timeout": 90_000}, "answer_timeout"), ({"x": 1}, "x")],
)
def test_what_cannot_be_is_named(tmp_path: Path, values: dict[str, Any], place: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        read_gateway(Table(tmp_path / "guard.toml", {"gateway": {"proxy": values}}))

    assert f"gateway.proxy.{place}" == caught.value.place
