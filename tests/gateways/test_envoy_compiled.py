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
from jwt_guard.providers import keycloak, okta, rfc9068
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
def envoy(
    guard: Guard,
    folder: Path,
    upstream: Upstream,
    *,
    auth: str | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Generator[Envoy]:
    """Run it; *change* may change the configuration, to see what of it does what."""
    port = free_port()
    planned = plan(
        Settings(), guard, listen=f"127.0.0.1:{port}", upstream=f"http://127.0.0.1:{upstream.port}", auth=auth
    )
    (file,) = export(planned, asks=auth is not None)
    text = file.text
    if change is not None:
        config = json.loads(text)
        change(config)
        text = json.dumps(config)
    (folder / file.name).write_text(text, encoding="utf-8")
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


def without_expressions(config: dict[str, Any]) -> None:
    """Take out whatever is said in the Common Expression Language: what is let in then, costs little."""
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    (tokens,) = [each for each in manager["http_filters"] if each["name"] == "jwt_guard.token"]
    policies = tokens["typed_config"]["rules"]["policies"]
    for name in [name for name, policy in policies.items() if "condition" in policy]:
        del policies[name]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        rules = route.get("typed_per_filter_config", {}).get("jwt_guard.policy", {}).get("rbac")
        if rules is not None:
            listed = rules["matcher"]["matcher_list"]["matchers"]
            listed[:] = [each for each in listed if "cel_expr_parsed" not in json.dumps(each)]


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
    "exp within leeway, in the other rules": lambda: {"exp": now() - 20, "nonce": "x"},
    "exp beyond leeway, in the other rules": lambda: {"exp": now() - 40, "nonce": "x"},
    "nbf": lambda: {"nbf": now() - 60},
    "nbf a date far away": lambda: {"nbf": 10**12},
    "iat a fraction": lambda: {"iat": now() - 60.5},
    "iat negative": lambda: {"iat": -1},
    "aud a list with a number": lambda: {"aud": [AUDIENCE, 1]},
    "aud a list with an object": lambda: {"aud": [AUDIENCE, {}]},
    "aud a list with an empty list": lambda: {"aud": [AUDIENCE, []]},
    "aud a list with null": lambda: {"aud": [None, AUDIENCE]},
    "aud a list with a list": lambda: {"aud": [AUDIENCE, ["x"]]},
    "sub with a line feed": lambda: {"sub": "ada\nX-Admin: 1"},
    "sub with a NUL": lambda: {"sub": "ada\0"},
    "sub with DEL": lambda: {"sub": "ada\x7f"},
    "sub with NEL": lambda: {"sub": "ada\x85"},
    "sub with a no-break space": lambda: {"sub": "ada\xa0l"},
    "sub in another script": lambda: {"sub": "\u5f20\u4e09 \U0001f600"},
    "sub with a line separator": lambda: {"sub": "ada\u2028"},
    "sub a list": lambda: {"sub": ["ada"]},
    "client_id with a control character": lambda: {"client_id": "shop\x1b[2J"},
    "client_id empty": lambda: {"client_id": ""},
    "azp with a control character": lambda: {"azp": "shop\r\n", "client_id": ABSENT},
    "azp with one, beside client_id": lambda: {"azp": "shop\r\n"},
    "jti with a control character": lambda: {"jti": "\n"},
    "scope with a tab": lambda: {"scope": "orders:read\tx"},
    "scope with NEL": lambda: {"scope": "orders:read x\x85"},
    "scope with two spaces": lambda: {"scope": " orders:read  x "},
    "scope empty": lambda: {"scope": ""},
    "scope an empty list": lambda: {"scope": []},
    "scope a list with a space": lambda: {"scope": ["orders:read", "a b"]},
    "scope a list with a number": lambda: {"scope": ["orders:read", 1]},
    "scope a list with true": lambda: {"scope": ["orders:read", True]},
    "scope a list with null": lambda: {"scope": ["orders:read", None]},
    "scope a list with a control character": lambda: {"scope": ["orders:read", "a\n"]},
    "scp a list with a number, beside scope": lambda: {"scp": [1]},
    "scp a list with a space, beside scope": lambda: {"scp": ["a b"]},
    "scp a text, beside scope null": lambda: {"scope": None, "scp": "orders:read"},
    "roles a list with a number": lambda: {"roles": ["ops", 1]},
    "roles a list with null": lambda: {"roles": [None, "ops"]},
    "roles a list with a truth": lambda: {"roles": [False, "ops"]},
    "roles a list in a list": lambda: {"roles": ["ops", ["x"]]},
    "roles a list with a space": lambda: {"roles": ["ops", "a b"]},
    "roles a list with an empty text": lambda: {"roles": ["ops", ""]},
    "roles a list with a control character": lambda: {"roles": ["ops", "a\x00"]},
    "roles an empty list": lambda: {"roles": []},
    "roles empty": lambda: {"roles": ""},
    "roles a text with a control character": lambda: {"roles": "ops\n"},
    "groups a list with a number": lambda: {"groups": ["a", "b", 1]},
    "level just beside": lambda: {"level": 3.0000000000000004},
    "level a list": lambda: {"level": [3]},
    "deep and more": lambda: {"deep": {"in": "yes", "out": None}},
    "token_use a number": lambda: {"token_use": 1},
    "typ null": lambda: {"typ": None},
}
SEEN_LESS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "scope a list with an object": lambda: {"scope": ["orders:read", {}]},
    "roles a list with an object": lambda: {"roles": ["ops", {"a": 1}]},
    "roles a list with an empty list": lambda: {"roles": ["ops", []]},
}
"""What Envoy cannot tell from a list of names; the page says so.  The member that is none gives nobody anything."""
HEADERS: dict[str, dict[str, Any]] = {
    "crit": {"crit": ["exp"]},
    "empty crit": {"crit": []},
    "b64": {"b64": True},
    "zip": {"zip": "DEF"},
    "cty": {"cty": "JWT"},
    "cty in small letters": {"cty": "application/jwt"},
    "cty of another": {"cty": "text/plain"},
    "cty null": {"cty": None},
    "cty a number": {"cty": 1},
    "typ null": {"typ": None},
    "typ in mixed letters": {"typ": "jWt"},
    "typ in capitals": {"typ": "AT+JWT"},
    "kid null": {"kid": None},
    "kid empty": {"kid": ""},
    "kid with a line feed": {"kid": "a\n"},
    "a member of no meaning": {"x": [1, {}]},
    "a header of 5000": {"x": "y" * 5_000},
    "a header below the limit": {"x": "y" * 2_500},
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


@pytest.mark.parametrize("name", SEEN_LESS)
def test_what_no_matcher_can_see_is_known(name: str, odd: Envoy) -> None:
    assert (401, 200) == odd.both(mint(payload(**SEEN_LESS[name]())), target="/all")


def good() -> bytes:
    return json.dumps(payload()).encode()


RAW: dict[str, Callable[[], bytes]] = {
    "a member twice": lambda: good()[:-1] + b', "sub": "eve"}',
    "a member twice in an object": lambda: good()[:-1] + b', "x": {"a": 1, "a": 2}}',
    "exp twice": lambda: good()[:-1] + b', "exp": 99999999999}',
    "a member twice, one of them escaped": lambda: good()[:-1] + b', "\\u0073ub": "eve"}',
    "an escaped name": lambda: good().replace(b'"sub"', b'"\\u0073ub"'),
    "NaN": lambda: good()[:-1] + b', "x": NaN}',
    "Infinity": lambda: good()[:-1] + b', "x": Infinity}',
    "a number beyond a double": lambda: good()[:-1] + b', "x": 1e999}',
    "half a surrogate pair": lambda: good()[:-1] + b', "x": "\\ud800"}',
    "a byte order mark": lambda: b"\xef\xbb\xbf" + good(),
    "a byte that is no UTF-8": lambda: good()[:-1] + b', "x": "\xff"}',
    "a comment": lambda: good() + b"//",
    "something after the end": lambda: good() + b"{}",
    "white space": lambda: b" \n" + good() + b"\t ",
    "a list": lambda: b"[" + good() + b"]",
    "nothing": lambda: b"",
    "200 deep": lambda: good()[:-1] + b', "x": ' + b"[" * 200 + b"]" * 200 + b"}",
    "a number with a plus": lambda: good()[:-1] + b', "x": +1}',
    "a number with a nought before": lambda: good()[:-1] + b', "x": 01}',
}


SLOPPY: dict[str, Callable[[], bytes]] = {
    "an integer of 30 digits": lambda: good()[:-1] + b', "x": ' + b"1" * 30 + b"}",
    "a comma at the end": lambda: good()[:-1] + b",}",
    "single quotes": lambda: good().replace(b'"', b"'"),
    "a control character as it is": lambda: good()[:-1] + b', "x": "\n"}',
    "33 deep": lambda: good()[:-1] + b', "x": ' + b"[" * 32 + b"]" * 32 + b"}",
    "an unquoted name": lambda: good()[:-1] + b", x: 1}",
}
"""What is no JSON, or not JSON that everybody reads alike, and Envoy's reader takes; the page says so."""


@pytest.mark.parametrize("name", SLOPPY)
def test_what_its_json_reader_takes_is_known(name: str, odd: Envoy) -> None:
    assert (401, 200) == odd.both(mint(SLOPPY[name]()), target="/known")


@pytest.mark.parametrize("name", RAW)
def test_each_way_of_writing_json_has_the_same_verdict(name: str, odd: Envoy) -> None:
    expected, got = odd.both(mint(RAW[name]()), target="/known")

    assert expected == got


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_has_the_same_verdict(name: str, odd: Envoy) -> None:
    expected, got = odd.both(mint(payload(), HEADERS[name]), target="/known")

    assert expected == got


@pytest.mark.parametrize("path", ["/known", "/role"])
@pytest.mark.parametrize("length", range(16_380, 16_390))
def test_a_token_may_be_so_long_and_no_longer(length: int, path: str, odd: Envoy) -> None:
    token = mint(payload())
    for pad in range(11_000, 13_000):  # one octet more is one or two characters more
        if len(token) + (pad * 4) // 3 >= length - 20:
            token = mint(payload(x="x" * pad))
            if len(token) >= length:
                break
    expected, got = odd.both(token, target=path)

    assert expected == got
    assert (200 if len(token) <= 16_384 else 401) == got


@pytest.mark.parametrize("length", [8_000, 8_191, 8_192, 8_193, 8_194, 9_000, 20_000])
def test_a_path_may_be_so_long_and_no_longer(length: int, doors: Envoy) -> None:
    path = "/files/" + "x" * (length - len("/files/"))
    token = TABLE.tokens()["reader"]
    for headers in ([("authorization", f"Bearer {token}")], []):
        for target in (path, f"{path}?{'y' * 100}"):
            assert doors.library("GET", target, headers).status == doors.ask("GET", target, headers).status


@pytest.mark.parametrize(
    ("iss", "aud", "exp"),
    [
        ("https://two.test", "x", 5), ("https://too.test", "y", 5), ("https://two.test", AUDIENCE, 5),
        (ISSUER, "x", 5), ("https://two.test", "x", -3), (ISSUER, AUDIENCE, -3),
        ("https://two.test", "x", 0),
    ],
)  # fmt: skip
def test_each_provider_has_rules_of_its_own(iss: str, aud: str, exp: int, odd: Envoy) -> None:
    expected, got = odd.both(mint(payload(iss=iss, aud=aud, exp=now() + exp)), target="/known")

    assert expected == got


@pytest.mark.parametrize("change", [None, without_expressions])
def test_a_token_that_names_no_key_means_the_only_one(change: Any, tmp_path: Path, upstream: Upstream) -> None:
    listed = [public_jwk("ES256", kid="a"), public_jwk("ES256", "b", kid="b"), public_jwk("RS256", kid="c")]
    guarding = replace(minting.provider(), keys=fixed({"keys": listed}))
    with envoy(
        Guard([guarding], by_route([("GET", "/known", authenticated())])), tmp_path, upstream, change=change
    ) as of:
        for alg, expected in (("ES256", 401), ("RS256", 200)):
            nameless = mint(payload(), json.dumps({"alg": alg}).encode(), alg=alg)

            assert (expected, expected) == of.both(nameless, target="/known")
        assert (200, 200) == of.both(mint(payload(), which="b"), target="/known")
        assert (401, 401) == of.both(mint(payload(), {"kid": "b"}), target="/known")


# --- the usual token ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Envoy]:
    keys = fixed({"keys": [public_jwk("RS256", kid="a")]})
    providers = [
        Provider(name="plain", issuer=ISSUER, audience=AUDIENCE, keys=keys, leeway=5, max_age=600),
        keycloak("https://kc.test/realms/a", AUDIENCE, keys=keys),
        okta("https://okta.test/oauth2/default", AUDIENCE, keys=keys),
        rfc9068("https://nine.test", AUDIENCE, keys=keys, name="nine"),
    ]
    listed = {**POLICIES, "/two": needs("orders:read", "orders:write")}
    policy = by_route([("GET", path, each) for path, each in listed.items() if path != "/none"])
    folder = tmp_path_factory.mktemp("usual")
    with envoy(Guard(providers, policy), folder, upstream, change=without_expressions) as started:
        yield started


USUAL: dict[str, tuple[Callable[[], Mapping[str, Any]], Mapping[str, Any]]] = {
    "of the tests": (lambda: {"level": 3}, {}),
    "with nbf": (lambda: {"nbf": now() - 60}, {"typ": "JWT"}),
    "for several": (lambda: {"aud": ["account", AUDIENCE]}, {}),
    "of Keycloak": (
        lambda: {
            "iss": "https://kc.test/realms/a", "typ": "Bearer", "azp": "shop", "client_id": ABSENT, "acr": "1",
            "roles": ABSENT, "realm_access": {"roles": ["default-roles-a", "ops"]}, "sid": "x", "auth_time": now(),
            "preferred_username": "ada",
        },
        {"typ": "JWT"},
    ),
    "of Okta": (
        lambda: {"iss": "https://okta.test/oauth2/default", "scope": ABSENT, "scp": ["orders:read", "orders:write"],
                 "client_id": ABSENT, "cid": "shop"},
        {},
    ),
    "of RFC 9068": (lambda: {"iss": "https://nine.test"}, {"typ": "at+jwt"}),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/scope", "/two", "/known", "/role", "/contains", "/all", "/any", "/open"])
@pytest.mark.parametrize("name", USUAL)
def test_usual_tokens_need_no_expression(name: str, path: str, usual: Envoy) -> None:
    changes, header = USUAL[name]
    sent = mint(payload(**changes()), header, alg="RS256")
    expected = usual.library("GET", path, (("authorization", f"Bearer {sent}"),)).status
    usual_is = usual.both(sent, target=path)

    assert (expected, expected) == usual_is


def test_a_client_cannot_tell_the_times_itself(usual: Envoy) -> None:
    """They come in headers, which a client could send, too; no matter whether before the real ones or alone."""
    spoofed = [(f"x-jwt-guard-{name}", str(now() + 100 * (name == "exp"))) for name in ("exp", "iat", "nbf")]
    for changes in ({"iat": now() + 100}, {"iat": ABSENT}, {"nbf": now() + 100}):
        sent = mint(payload(**changes), alg="RS256")
        for headers in (spoofed, [(name.upper(), value) for name, value in spoofed]):
            got = usual.ask("GET", "/known", [*headers, ("authorization", f"Bearer {sent}")])

            assert 401 == got.status


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
