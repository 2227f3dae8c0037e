"""The doors' table, and odd tokens, at an Envoy that holds the policy itself → the library's own verdict."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, Provider, all_of, any_of, anyone, authenticated, by_route, claim, fixed, none_of, roles
from jwt_guard import scopes as needs
from jwt_guard.access.denylist import Denylist
from jwt_guard.access.identity import ClaimNames
from jwt_guard.errors import Misconfigured
from jwt_guard.gateway.export.envoy import export
from jwt_guard.gateway.export.envoy_clusters import variable_of
from jwt_guard.gateway.export.plan import plan
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.settings import Settings
from jwt_guard.messages import PlainRequest, Response
from jwt_guard.sources.salted import salted
from tests.doors import apps
from tests.support import minting
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, claims, mint

from .rig import Upstream, free_port
from .rig import _answers as answers
from .rig import _process as process
from .rig import _until as until
from .tools import program

SECRETS = json.dumps({"keys": [public_jwk("HS256", kid="a")]})
OTHERWISE = {"a method in small letters": "its parser takes none, and answers with 400"}
"""Rows of the doors' table that Envoy answers in its own way, and why; none of them is let in."""


def table_of_now() -> Any:
    """Return the table with tokens for today: Envoy's clock cannot be set."""
    name = "tests.doors.table_of_now"
    spec = importlib.util.spec_from_file_location(name, Path(apps.__file__).with_name("table.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, minting.NOW = minting.NOW, int(time.time())
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        minting.NOW = before
        del sys.modules[name]
    return module


TABLE = table_of_now()


class Envoy:
    """An Envoy with the policy of *guard*, and the library's verdict for the same request beside it."""

    def __init__(self, guard: Guard, port: int) -> None:
        self._judge = Judge(guard, IdentityHeaders(), 5)
        self.port = port

    def ask(self, method: str, target: str, headers: Any = ()) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            got = connection.getresponse()
            return Response(got.status, tuple((name.lower(), value) for name, value in got.getheaders()), got.read())
        finally:
            connection.close()

    def library(self, method: str, target: str, headers: Any = ()) -> Response:
        path, _, query = target.partition("?")
        said = tuple((name, value.decode("latin-1") if isinstance(value, bytes) else value) for name, value in headers)
        request = PlainRequest(method, path, query, said)
        return self._judge.answer(asyncio.run(self._judge.decide(request)), request)

    def both(self, token: str, method: str = "GET", target: str = "/") -> tuple[int, int]:
        """Return the status of the library, and that of Envoy."""
        headers = (("authorization", f"Bearer {token}"),)
        return self.library(method, target, headers).status, self.ask(method, target, headers).status


@contextmanager
def envoy(guard: Guard, folder: Path, upstream: Upstream, *, auth: str | None = None) -> Generator[Envoy]:
    port = free_port()
    planned = plan(
        Settings(), guard, listen=f"127.0.0.1:{port}", upstream=f"http://127.0.0.1:{upstream.port}", auth=auth
    )
    (file,) = export(planned, asks=auth is not None)
    (folder / file.name).write_text(file.text, encoding="utf-8")
    path = str(program("envoy"))
    environment = {**os.environ, "JWT_GUARD_JWKS_SHOP": SECRETS, "JWT_GUARD_JWKS_TEST": SECRETS}
    validated = subprocess.run(
        [path, "--mode", "validate", "-c", file.name, "-l", "error"], cwd=folder, env=environment, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert 0 == validated.returncode, validated.stderr[:2_000]

    command = [
        "env", *(f"{name}={environment[name]}" for name in ("JWT_GUARD_JWKS_SHOP", "JWT_GUARD_JWKS_TEST")), path,
        "-c", file.name, "--concurrency", "1", "-l", "error", "--use-dynamic-base-id",
    ]  # fmt: skip
    with process(command, folder, "envoy") as alive:
        until(lambda: answers(f"127.0.0.1:{port}"), alive, folder / "envoy.log")
        yield Envoy(guard, port)


# --- the doors' table --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Envoy]:
    guard = Guard([apps.SHOP, apps.OUT_OF_REACH], apps.POLICY, apps.REALM)
    with envoy(guard, tmp_path_factory.mktemp("doors"), upstream) as started:
        yield started


@pytest.mark.parametrize("row", TABLE.ROWS, ids=str)
def test_envoy_answers_each_row_as_the_library_does(row: Any, doors: Envoy, upstream: Upstream) -> None:
    expected = doors.library(row.method, row.target, row.headers)
    upstream.seen.clear()
    got = doors.ask(row.method, row.target, row.headers)
    if row.claim in OTHERWISE:
        assert 400 == got.status
        assert [] == upstream.seen
        return

    assert expected.status == got.status
    assert (expected.status == 200) is bool(upstream.seen)
    told, heard = dict(expected.headers), dict(got.headers)
    for name in ("www-authenticate", "retry-after"):
        assert told.get(name) == heard.get(name)
    if expected.status == 200:
        assert [row.target] == upstream.seen  # what was judged is what is sent
        return
    assert "no-store" == heard["cache-control"]
    assert "application/problem+json" == heard["content-type"]
    if row.method != "HEAD":
        problem = {name: value for name, value in json.loads(expected.body).items() if name != "id"}

        assert problem == json.loads(got.body)


def test_a_token_in_the_query_is_none(doors: Envoy) -> None:
    token = TABLE.tokens()["reader"]

    assert 401 == doors.ask("GET", f"/whoami?access_token={token}").status
    assert 401 == doors.ask("GET", f"/whoami?access_token={token}", [("authorization", "Basic x")]).status


@pytest.mark.parametrize(
    "around",
    [
        "Bearer {}~", "Bearer {}~x", "Bearer {}+", "Bearer {}/", "Bearer {}=", "Bearer  {}", "Bearer {} ", "Bearer\t{}",
        "Bearer x {}", "Basic Bearer {}", "X Bearer {}", "Bearer {}.x", "Bearer .{}", "Bearer {}; x", "bearer:{}",
        'Bearer "{}"', "Bearer {}\x7f", "Bearer {}\xe9", "{}", "Bearer{}", "Bear {}",
    ],
)  # fmt: skip
def test_whatever_stands_around_a_token_counts(around: str, doors: Envoy) -> None:
    """Envoy's own filter finds a token wherever it is."""
    sent = around.format(TABLE.tokens()["reader"]).encode("latin-1")
    for target in ("/whoami", "/public/x"):
        expected = doors.library("GET", target, [("authorization", sent)])
        got = doors.ask("GET", target, [("authorization", sent)])
        if b"\x7f" in sent:  # no header may have that, says Envoy before anything else
            assert 400 == got.status
            continue
        assert (expected.status, dict(expected.headers).get("www-authenticate")) == (
            got.status,
            dict(got.headers).get("www-authenticate"),
        )


# --- odd tokens --------------------------------------------------------------------------------------


def now() -> int:
    return int(time.time())


def payload(**changes: Any) -> dict[str, Any]:
    usual = {"exp": now() + HOUR, "iat": now() - 60, "roles": ["ops"], "sub": "ada", "groups": ["a", "b"]}
    return claims(**{**usual, **changes})


PAYLOADS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "good": dict,
    "no exp": lambda: {"exp": ABSENT},
    "exp within leeway": lambda: {"exp": now() - 20},
    "exp beyond leeway": lambda: {"exp": now() - 40},
    "exp a text": lambda: {"exp": str(now() + 100)},
    "exp a fraction": lambda: {"exp": now() + 100.5},
    "exp in milliseconds": lambda: {"exp": (now() + 100) * 1_000},
    "exp negative": lambda: {"exp": -1},
    "exp null": lambda: {"exp": None},
    "nbf within leeway": lambda: {"nbf": now() + 20},
    "nbf beyond leeway": lambda: {"nbf": now() + 40},
    "nbf a text": lambda: {"nbf": "0"},
    "iat within leeway": lambda: {"iat": now() + 20},
    "iat beyond leeway": lambda: {"iat": now() + 40},
    "iat a text": lambda: {"iat": "0"},
    "iat true": lambda: {"iat": True},
    "no iat": lambda: {"iat": ABSENT},
    "auth_time a text": lambda: {"auth_time": "0"},
    "aud with a slash": lambda: {"aud": f"{AUDIENCE}/"},
    "aud with a scheme": lambda: {"aud": f"https://{AUDIENCE}"},
    "aud a list": lambda: {"aud": ["x", AUDIENCE]},
    "aud a list of others": lambda: {"aud": ["x"]},
    "aud empty": lambda: {"aud": []},
    "no aud": lambda: {"aud": ABSENT},
    "aud an object": lambda: {"aud": {AUDIENCE: 1}},
    "iss with a slash": lambda: {"iss": f"{ISSUER}/"},
    "no iss": lambda: {"iss": ABSENT},
    "sub a number": lambda: {"sub": 1},
    "sub empty": lambda: {"sub": ""},
    "sub null": lambda: {"sub": None},
    "no sub": lambda: {"sub": ABSENT},
    "sub is iss": lambda: {"sub": ISSUER},
    "client_id a list": lambda: {"client_id": ["shop"]},
    "jti a number": lambda: {"jti": 1},
    "scope a list": lambda: {"scope": ["orders:read"]},
    "scope a list of others": lambda: {"scope": ["orders:reader"]},
    "scope null": lambda: {"scope": None},
    "scope null and scp": lambda: {"scope": None, "scp": ["orders:read"]},
    "scp": lambda: {"scope": ABSENT, "scp": ["orders:read"]},
    "scp beside scope": lambda: {"scope": "other", "scp": ["orders:read"]},
    "scope an object": lambda: {"scope": {"orders:read": 1}},
    "scope a longer word": lambda: {"scope": "orders:reads"},
    "scope a word before": lambda: {"scope": "x-orders:read"},
    "scope between others": lambda: {"scope": "a orders:read b"},
    "scope alone": lambda: {"scope": "orders:read"},
    "scope in capitals": lambda: {"scope": "ORDERS:READ"},
    "scope with an empty text": lambda: {"scope": ["", "orders:read"]},
    "roles a text": lambda: {"roles": "ops"},
    "roles null": lambda: {"roles": None},
    "roles an object": lambda: {"roles": {"ops": 1}},
    "roles a number": lambda: {"roles": 1},
    "groups a text": lambda: {"groups": "a"},
    "groups an object": lambda: {"groups": {"a": 1}},
    "level a text": lambda: {"level": "3"},
    "level": lambda: {"level": 3},
    "level a fraction": lambda: {"level": 3.0},
    "level true": lambda: {"level": True},
    "level 1": lambda: {"level": 1},
    "deep": lambda: {"deep": {"in": "yes"}},
    "deep in a list": lambda: {"deep": ["in"]},
    "cnf": lambda: {"cnf": {"jkt": "x"}},
    "an ID token": lambda: {"at_hash": "x"},
    "events": lambda: {"events": {}},
    "typ ID": lambda: {"typ": "ID"},
    "typ Bearer": lambda: {"typ": "Bearer"},
    "typ a number": lambda: {"typ": 1},
    "token_use id": lambda: {"token_use": "id"},
    "token_use access": lambda: {"token_use": "access"},
    "nonce": lambda: {"nonce": "x"},
    "nonce for itself": lambda: {"nonce": "x", "azp": AUDIENCE},
    "nonce and nothing": lambda: {"nonce": "x", "client_id": ABSENT, "scope": ABSENT},
}
HEADERS: dict[str, dict[str, Any]] = {
    "crit": {"crit": ["exp"]},
    "empty crit": {"crit": []},
    "b64": {"b64": True},
    "zip": {"zip": "DEF"},
    "cty": {"cty": "JWT"},
    "typ JWT": {"typ": "JWT"},
    "typ at+jwt": {"typ": "at+jwt"},
    "typ whole": {"typ": "application/AT+JWT"},
    "typ of another": {"typ": "dpop+jwt"},
    "typ nearly": {"typ": "at+jwtx"},
    "typ a number": {"typ": 1},
    "kid a number": {"kid": 1},
    "kid of another": {"kid": "b"},
}
POLICIES = {
    "/scope": needs("orders:read"),
    "/role": roles("ops"),
    "/contains": claim("groups", contains="a"),
    "/number": claim("level", equals=3),
    "/truth": claim("level", equals=True),
    "/deep": claim("deep", "in", equals="yes"),
    "/none": none_of(roles("ops"), needs("never")),
    "/all": all_of(needs("orders:read"), roles("ops"), claim("groups", contains="b")),
    "/any": any_of(needs("never"), all_of(roles("ops"), claim("level", equals=3))),
    "/open": any_of(anyone(), needs("x")),
    "/known": authenticated(),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Envoy]:
    keys = fixed({"keys": [public_jwk("ES256", kid="a")]})
    names = ClaimNames(roles=("roles",))
    one = Provider(name="test", issuer=ISSUER, audience=AUDIENCE, keys=keys, claims=names)
    two = Provider(
        name="two", issuer=["https://two.test", "https://too.test"], audience=["x", "y"], keys=keys, leeway=0
    )
    policy = by_route([("GET", path, policy) for path, policy in POLICIES.items()])
    with envoy(Guard([one, two], policy), tmp_path_factory.mktemp("odd"), upstream) as started:
        yield started


@pytest.mark.parametrize("path", POLICIES)
@pytest.mark.parametrize("name", PAYLOADS)
def test_each_payload_has_the_same_verdict(name: str, path: str, odd: Envoy) -> None:
    expected, got = odd.both(mint(payload(**PAYLOADS[name]())), target=path)

    assert expected == got


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_has_the_same_verdict(name: str, odd: Envoy) -> None:
    expected, got = odd.both(mint(payload(), HEADERS[name]), target="/known")

    assert expected == got


@pytest.mark.parametrize(
    ("iss", "aud", "exp"),
    [
        ("https://two.test", "x", 5), ("https://too.test", "y", 5), ("https://two.test", AUDIENCE, 5),
        (ISSUER, "x", 5), ("https://two.test", "x", -3), (ISSUER, AUDIENCE, -3),
    ],
)  # fmt: skip
def test_each_provider_has_rules_of_its_own(iss: str, aud: str, exp: int, odd: Envoy) -> None:
    expected, got = odd.both(mint(payload(iss=iss, aud=aud, exp=now() + exp)), target="/known")

    assert expected == got


# --- what Envoy cannot say ---------------------------------------------------------------------------


def compiled(guard: Guard, *, asks: bool = False) -> dict[str, Any]:
    planned = plan(Settings(), guard, listen=None, upstream="http://127.0.0.1:9", auth="127.0.0.1:9191")
    return json.loads(export(planned, asks=asks)[0].text)  # type: ignore[no-any-return]


def allow(request: Any, credentials: Any) -> Any:
    raise NotImplementedError


def test_what_envoy_cannot_say_is_refused_by_route_and_reason() -> None:
    policy = by_route([(None, "/a", needs("a")), (None, "/own/{x}", all_of(needs("b"), allow))])

    with pytest.raises(Misconfigured, match=r"route '/own/\{x\}': it asks a function"):
        compiled(minting.guard(policy=policy))


def test_or_asked_about_on_that_route_alone(tmp_path: Path, upstream: Upstream) -> None:
    policy = by_route([("GET", "/a", needs("orders:read")), ("GET", "/own", any_of(needs("b"), allow))])
    config = compiled(minting.guard(policy=policy), asks=True)
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    asked = [route["name"] for route in routes if "jwt_guard.ask" not in route["typed_per_filter_config"]]

    assert ["/own: GET, HEAD"] == asked
    # Nobody answers there, so nobody is let in.
    with envoy(minting.guard(policy=policy), tmp_path, upstream, auth=f"127.0.0.1:{free_port()}") as started:
        token = mint(payload())

        assert 200 == started.both(token, target="/a")[1]
        assert 503 == started.ask("GET", "/own", [("authorization", f"Bearer {token}")]).status


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ({"keys": salted(lambda _: "x" * 64)}, "salt"),
        ({"algorithms": ["ES256K"], "keys": fixed(public_jwk("ES256K"))}, "knows none of its algorithms"),
    ],
)
def test_a_provider_that_envoy_cannot_judge_is_refused(provider: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        compiled(minting.guard(**provider))


def test_secrets_are_in_no_configuration() -> None:
    text = json.dumps(compiled(minting.guard("HS256")))

    assert public_jwk("HS256")["k"] not in text
    assert variable_of(minting.provider()) in text


@pytest.mark.parametrize("revoked", [lambda _: False, Denylist("redis://127.0.0.1:9")])
def test_what_can_be_taken_back_is_asked_about(revoked: Any) -> None:
    with pytest.raises(Misconfigured, match="revocation"):
        compiled(replace(minting.guard(), revoked=revoked))
    assert compiled(replace(minting.guard(), revoked=Denylist()))
