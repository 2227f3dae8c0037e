"""An OpenAPI document → routes that ask for what it says, or the place in it that cannot be held to the letter."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import jwt_guard
from jwt_guard import Guard
from jwt_guard.access.policy import at_once, is_open
from jwt_guard.config.check import check
from jwt_guard.config.values import WrongConfig
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Deny
from jwt_guard.messages import PlainRequest
from tests.support.keys import public_jwk

SCHEMES = {
    "shop": {"type": "oauth2", "flows": {}},
    "id": {"type": "openIdConnect", "openIdConnectUrl": "https://id.test/.well-known/openid-configuration"},
    "jwt": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "tls": {"type": "mutualTLS"},
    "elsewhere": {"$ref": "other.yaml#/shop"},
}
READ = {"security": [{"shop": ["orders:read"]}]}
WRITE = {"security": [{"shop": ["orders:write"]}]}
OPEN: dict[str, Any] = {"security": []}

Load = Callable[..., Guard]


def document(paths: Any, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, "components": {"securitySchemes": SCHEMES}, **more}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a guard whose routes are those of a document."""

    def load(of: Any, *keys: str, name: str = "openapi.json", before: str = "", after: str = "") -> Guard:
        (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))
        data = of if isinstance(of, bytes) else json.dumps(of).encode()
        (tmp_path / name).write_bytes(data)
        provider = '[providers.shop]\nissuer = "https://id.test"\naudience = "orders"\njwks_file = "keys.json"'
        routes = "\n".join(["[[routes]]", f'openapi = "{name}"', *keys])
        (tmp_path / "guard.toml").write_text(f"{provider}\n{before}\n{routes}\n{after}")
        (tmp_path / "guard.toml").chmod(0o600)
        return jwt_guard.load(tmp_path / "guard.toml")

    return load


def answer(guard: Guard, method: str, path: str, scopes: str = "", roles: str = "") -> str:
    """Return ``open``, ``yes``, or the status of the refusal."""
    request = PlainRequest(method, path)
    if is_open(guard.policy, request):
        return "open"
    who = Credentials("ada", "web", frozenset(scopes.split()), frozenset(roles.split()), "shop", {})
    decision = at_once(guard.policy(request, who))
    match decision:
        case Allow():
            return "yes"
        case Deny(error):
            return str(error.status)
        case None:  # pragma: no cover
            raise AssertionError


def refused(load: Load, of: Any, *keys: str, name: str = "openapi.json") -> WrongConfig:
    with pytest.raises(WrongConfig) as caught:
        load(of, *keys, name=name)
    return caught.value


def test_paths_methods_and_scopes_are_those_of_the_document(load: Load) -> None:
    paths = {"/orders": {"get": READ, "post": WRITE, "summary": "s", "x-more": 1}, "/health": {"get": OPEN}}
    guard = load(document(paths))

    assert "yes" == answer(guard, "GET", "/orders", "orders:read")
    assert "yes" == answer(guard, "HEAD", "/orders", "orders:read")
    assert "403" == answer(guard, "GET", "/orders", "orders:write")
    assert "yes" == answer(guard, "POST", "/orders", "orders:write")
    assert "403" == answer(guard, "POST", "/orders", "orders:read")
    assert "405" == answer(guard, "DELETE", "/orders", "orders:read orders:write")
    assert "403" == answer(guard, "GET", "/other", "orders:read")
    assert "open" == answer(guard, "GET", "/health")
    assert "405" == answer(guard, "POST", "/health")


def test_security_of_the_document_counts_where_an_operation_has_none(load: Load) -> None:
    paths = {"/a": {"get": {}}, "/b": {"get": WRITE}, "/c": {"get": OPEN}}
    guard = load(document(paths, security=[{"shop": ["orders:read"]}]))

    assert "yes" == answer(guard, "GET", "/a", "orders:read")
    assert "403" == answer(guard, "GET", "/b", "orders:read")
    assert "open" == answer(guard, "GET", "/c")


@pytest.mark.parametrize(
    ("security", "scopes", "roles", "expected"),
    [
        ([{"shop": ["a", "b"]}], "a b", "", "yes"),
        ([{"shop": ["a", "b"]}], "a", "", "403"),
        ([{"shop": []}], "", "", "yes"),
        ([{"shop": ["a"]}, {"id": ["b"]}], "b", "", "yes"),
        ([{"shop": ["a"]}, {"id": ["b"]}], "c", "", "403"),
        ([{"shop": ["a"], "id": ["b"]}], "a b", "", "yes"),
        ([{"shop": ["a"], "id": ["b"]}], "a", "", "403"),
        ([{"jwt": []}], "", "", "yes"),
        ([{"jwt": ["ops"]}], "", "ops", "yes"),
        ([{"jwt": ["ops"]}], "ops", "", "403"),
        ([{}], "", "", "open"),
        ([{"shop": ["a"]}, {}], "", "", "open"),
        ([], "", "", "open"),
    ],
)
def test_alternatives_are_any_of_and_schemes_together_all_of(
    load: Load, security: Any, scopes: str, roles: str, expected: str
) -> None:
    guard = load(document({"/a": {"get": {"security": security}}}))

    assert expected == answer(guard, "GET", "/a", scopes, roles)


@pytest.mark.parametrize("allow", ["anyone", "authenticated"])
def test_what_the_document_says_nothing_of_is_as_the_file_says(load: Load, allow: str) -> None:
    guard = load(document({"/a": {"get": {}}, "/b": {"get": READ}}), f'allow = "{allow}"')

    assert {"anyone": "open", "authenticated": "yes"}[allow] == answer(guard, "GET", "/a")
    assert "403" == answer(guard, "GET", "/b")


def test_a_document_without_any_security_does_not_open_everything(load: Load) -> None:
    error = refused(load, document({"/a": {"get": {}}}))

    assert "routes[1].openapi" == error.place
    assert "'openapi.json#/paths/~1a/get': neither it nor the document has security" in error.reason


def test_what_is_written_out_comes_before_what_stands_for_anything(load: Load) -> None:
    paths = {"/orders/{order-id}": {"get": READ}, "/orders/mine": {"get": OPEN}, "/{2}/x/y": {"get": READ}}
    guard = load(document(paths))

    assert "open" == answer(guard, "GET", "/orders/mine")
    assert "403" == answer(guard, "GET", "/orders/7")
    assert "yes" == answer(guard, "GET", "/orders/7", "orders:read")
    assert "yes" == answer(guard, "GET", "/q/x/y", "orders:read")


def test_head_counts_for_itself_where_it_is_written(load: Load) -> None:
    guard = load(document({"/a": {"get": READ, "head": OPEN}}))

    assert "open" == answer(guard, "HEAD", "/a")
    assert "403" == answer(guard, "GET", "/a")


@pytest.mark.parametrize(
    ("servers", "keys", "path"),
    [
        (None, (), "/a"),
        ([], (), "/a"),
        ([{"url": "https://api.test/v1/"}], (), "/v1/a"),
        ([{"url": "/v1"}, {"url": "https://other.test/v1"}], (), "/v1/a"),
        ([{"url": "https://api.test"}], (), "/a"),
        ([{"url": "https://{region}.test/v1"}], ('base = "/v2/"',), "/v2/a"),
        ([{"url": "/v1"}], ('base = "/"',), "/a"),
    ],
)
def test_paths_stand_below_that_of_the_servers(load: Load, servers: Any, keys: tuple[str, ...], path: str) -> None:
    more = {} if servers is None else {"servers": servers}
    guard = load(document({"/a": {"get": OPEN}}, **more), *keys)

    assert "open" == answer(guard, "GET", path)
    assert "403" == answer(guard, "GET", "/b")
    if path != "/a":
        assert "403" == answer(guard, "GET", "/a")


def test_servers_of_one_operation_need_a_base(load: Load) -> None:
    of = document({"/a": {"get": {**OPEN, "servers": [{"url": "/other"}]}}})

    assert "openapi.json#/paths/~1a/get/servers" in refused(load, of).reason
    assert "open" == answer(load(of, 'base = "/v1"'), "GET", "/v1/a")


def test_other_routes_stand_before_and_after_it(load: Load) -> None:
    before = '[[routes]]\npath = "/a"\nallow = "authenticated"\n'
    after = '[[routes]]\npath = "/**"\nallow = "authenticated"\n'
    guard = load(document({"/a": {"get": OPEN}, "/b": {"get": READ}}), before=before, after=after)

    assert "yes" == answer(guard, "GET", "/a")
    assert "403" == answer(guard, "GET", "/b")
    assert "yes" == answer(guard, "GET", "/c")


def test_yaml_says_the_same_as_json(load: Load) -> None:
    of = document({"/orders/{id}": {"get": READ, "post": OPEN}}, servers=[{"url": "/v1"}])
    for name in ("openapi.yaml", "openapi.yml"):
        guard = load(yaml.safe_dump(of).encode(), name=name)

        assert "yes" == answer(guard, "GET", "/v1/orders/1", "orders:read")
        assert "403" == answer(guard, "GET", "/v1/orders/1")
        assert "open" == answer(guard, "POST", "/v1/orders/1")


def test_yaml_needs_an_extra_and_json_needs_none(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    of = document({"/a": {"get": OPEN}})

    assert "pip install 'jwt-guard[openapi]'" in refused(load, of, name="openapi.yaml").reason
    assert "open" == answer(load(of), "GET", "/a")


GET: dict[str, Any] = {"get": OPEN}


@pytest.mark.parametrize(
    ("of", "place", "reason"),
    [
        ({"swagger": "2.0"}, "/openapi", "3.0 or 3.1"),
        ({"openapi": "3.2.0"}, "/openapi", "3.0 or 3.1"),
        ({"openapi": 3.1}, "/openapi", "3.0 or 3.1"),
        ({"openapi": "3.1.0"}, "/paths", "an object"),
        ({"openapi": "3.1.0", "components": []}, "/components/securitySchemes", "an object"),
        ({"openapi": "3.1.0", "components": {"securitySchemes": 1}}, "/components/securitySchemes", "an object"),
        (document({}), "/paths", "no operations"),
        (document({"/a": {}}), "/paths", "no operations"),
        (document({"x-a": 1}), "/paths", "no operations"),
        (document({"/a": []}), "/paths/~1a", "an object"),
        (document({"/a": {"get": None}}), "/paths/~1a/get", "an object"),
        (document({"/a": {"$ref": "b.yaml"}}), "/paths/~1a/$ref", "bundle"),
        (document({"/a": {"GET": OPEN}}), "/paths/~1a/GET", "no such method"),
        (document({"a": GET}), "/paths/a", "begins with a slash"),
        (document({"/a/**": GET}), "/paths/~1a~1**", "asterisk"),
        (document({"/a/{id}.json": GET}), "/paths/~1a~1{id}.json", "a whole segment"),
        (document({"/a/{id}{x}": GET}), "/paths/~1a~1{id}{x}", "a whole segment"),
        (document({"/a/{+x}": GET}), "/paths/~1a~1{+x}", "a whole segment"),
        (document({"/a?b=1": GET}), "/paths/~1a?b=1", "no normal form"),
        (document({"/a//b": GET}), "/paths/~1a~1~1b", "no normal form"),
        (document({"/a/../b": GET}), "/paths/~1a~1..~1b", "no normal form"),
        (document({"/a~b/%2F": GET}), "/paths/~1a~0b~1%2F", "no normal form"),
        (document({"/{a}/me": GET, "/x/{b}": GET}), "/paths", "neither comes first"),
        (document({"/x/{a}": GET, "/x/{b}": GET}), "/paths", "neither comes first"),
        (document({"/x": GET, "/x/": GET}), "/paths", "neither comes first"),
        (document({"/a": {**GET, "servers": []}}), "/paths/~1a/servers", "base ="),
        (document({"/a": GET}, servers=1), "/servers", "a list"),
        (document({"/a": GET}, servers=[{}]), "/servers/0/url", "a URL"),
        (document({"/a": GET}, servers=[1]), "/servers/0/url", "a URL"),
        (document({"/a": GET}, servers=[{"url": "https://[x"}]), "/servers/0/url", "a URL"),
        (document({"/a": GET}, servers=[{"url": "https://{x}/v1"}]), "/servers/0/url", "base ="),
        (document({"/a": GET}, servers=[{"url": "v1"}]), "/servers/0/url", "base ="),
        (document({"/a": GET}, servers=[{"url": "/v1"}, {"url": "/v2"}]), "/servers", "base ="),
        (document({"/a": {"get": {"security": None}}}), "/paths/~1a/get/security", "a list"),
        (document({"/a": {"get": {}}}, security={}), "/security", "a list"),
        (document({"/a": {"get": {}}}, security=["shop"]), "/security/0", "an object"),
        (document({"/a": {"get": {}}}, security=[{"shop": "a"}]), "/security/0/shop", "a list"),
        (document({"/a": {"get": {}}}, security=[{"shop": [1]}]), "/security/0/shop", "scopes() needs"),
        (document({"/a": {"get": {}}}, security=[{"shop": ['a"b']}]), "/security/0/shop", "scopes() needs"),
        (document({"/a": {"get": {}}}, security=[{"gone": []}]), "/security/0/gone", "no such scheme"),
        (document({"/a": {"get": {}}}, security=[{"basic": []}]), "/security/0/basic", "bearer tokens"),
        (document({"/a": {"get": {}}}, security=[{"shop": []}, {"key": []}]), "/security/1/key", "bearer tokens"),
        (document({"/a": {"get": {}}}, security=[{}, {"key": []}]), "/security/1/key", "bearer tokens"),
        (document({"/a": {"get": {}}}, security=[{"shop": [], "tls": []}]), "/security/0/tls", "bearer tokens"),
        (document({"/a": {"get": {}}}, security=[{"elsewhere": []}]), "/security/0/elsewhere", "bearer tokens"),
        (
            document({"/a": {"get": {}}}, security=[{"jwt": ["ops"]}], openapi="3.0.3"),
            "/security/0/jwt",
            "make it oauth2",
        ),
    ],
)
def test_what_cannot_be_held_to_the_letter_is_refused_with_its_place(
    load: Load, of: Any, place: str, reason: str
) -> None:
    error = refused(load, of)

    assert "routes[1].openapi" == error.place
    assert f"'openapi.json#{place}': " in error.reason
    assert reason in error.reason


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("openapi.json", b"{", "is no JSON"),
        ("openapi.json", b'{"openapi": "3.1.0", "openapi": "3.1.0"}', "has a member twice"),
        ("openapi.json", b"[" * 1_000, "is no JSON object"),
        ("openapi.yaml", b"- a", "is no object"),
        ("openapi.yaml", b"a: [", "is no YAML that says what JSON can say, in line 2"),
        ("openapi.yaml", b"paths:\n  /a: 1\n  /a: 2\n", "is no YAML that says what JSON can say, in line 2"),
        ("openapi.yaml", b"a: &x {b: 1}\nc: {<<: *x}\n", "in line 2"),
        ("openapi.yaml", b"a: !!python/object:os.system 1", "in line 1"),
        ("openapi.yaml", b"a: \xff", "is no YAML"),
        ("openapi.yaml", b"a: 2020-99-99", "a value in it that is none"),
        ("openapi.yaml", b"[" * 100_000, "nested more than 200 deep"),
        ("openapi.yaml", b"openapi: 3.1.0\npaths: {1: {}}", "an object is expected"),
        ("openapi.txt", b"{}", ".json, .yaml or .yml"),
        ("openapi.json", b" " * 16_777_217, "more than 16777216 octets"),
    ],
)
def test_a_file_that_can_be_read_in_two_ways_is_refused(load: Load, name: str, data: bytes, reason: str) -> None:
    error = refused(load, data, name=name)

    assert "routes[1].openapi" == error.place
    assert reason in error.reason


@pytest.mark.parametrize(
    ("keys", "place", "reason"),
    [
        (('path = "/a"',), "routes[1].path", "there is no such key"),
        (('scopes = "a"',), "routes[1].scopes", "there is no such key"),
        (('base = "v1"',), "routes[1].base", "a path is expected"),
        (('base = "/{v}"',), "routes[1].base", "a path is expected"),
        (('allow = "all"',), "routes[1].allow", '"anyone" or "authenticated"'),
    ],
)
def test_what_stands_beside_it_is_checked(load: Load, keys: tuple[str, ...], place: str, reason: str) -> None:
    error = refused(load, document({"/a": GET}), *keys)

    assert place == error.place
    assert reason in error.reason


def test_a_base_that_has_no_normal_form_is_said_of_the_path(load: Load) -> None:
    assert "no normal form" in refused(load, document({"/a": GET}), 'base = "/a/.."').reason


def test_a_file_that_is_not_there_is_said(load: Load, tmp_path: Path) -> None:
    load(document({"/a": GET}))
    (tmp_path / "openapi.json").unlink()
    with pytest.raises(WrongConfig, match=r"routes\[1\]\.openapi: the file cannot be read"):
        jwt_guard.load(tmp_path / "guard.toml")


def test_check_says_what_shadows_a_path_of_the_document(load: Load, tmp_path: Path) -> None:
    load(document({"/a": GET}), before='[[routes]]\npath = "/**"\nallow = "authenticated"\n')
    (finding,) = check(tmp_path / "guard.toml")

    assert ("wrong", "routes") == (finding.severity, finding.place)
    assert "'/a' is never reached" in finding.sentence


def test_check_warns_where_silence_means_anyone(load: Load, tmp_path: Path) -> None:
    load(document({"/a": {"get": {}}}), 'allow = "anyone"')
    (finding,) = check(tmp_path / "guard.toml")

    assert ("risky", "routes[1].allow") == (finding.severity, finding.place)
