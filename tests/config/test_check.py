"""guard.toml → what is wrong or risky with it."""

import json
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import anyone, authenticated, by_route
from jwt_guard.access.policy import is_open
from jwt_guard.config.check import Finding, check
from jwt_guard.messages import PlainRequest
from tests.support.keys import encode, pem, public_jwk, secret

Write = Callable[..., Path]

SHOP = {"issuer": '"https://id.test"', "audience": '"orders"', "jwks_file": '"keys.json"'}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes guard.toml for one provider, beside files of keys, none for others to read."""

    def put(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)

    put("keys.json", json.dumps({"keys": [public_jwk("ES256", kid="a")]}).encode())
    put("key.pem", pem("ES256"))
    put("secret.json", json.dumps({"kty": "oct", "k": encode(secret())}).encode())
    put("private.json", json.dumps({"keys": [public_jwk("ES256", kid="a", d="x")]}).encode())
    put(
        "mixed.json",
        json.dumps({"keys": [public_jwk("ES256", kid="a"), public_jwk("RS256", kid="b", use="enc")]}).encode(),
    )

    def write(more: str = "", **changes: str | None) -> Path:
        lines = [f"{name} = {value}" for name, value in {**SHOP, **changes}.items() if value is not None]
        put("guard.toml", "\n".join(["[providers.shop]", *lines, more]).encode())
        return tmp_path / "guard.toml"

    return write


def found(file: Path) -> list[tuple[str, str]]:
    return [(finding.severity, finding.place) for finding in check(file)]


def test_a_plain_configuration_has_nothing_wrong_and_nothing_risky(write: Write) -> None:
    assert [] == check(write())
    assert [] == check(write(jwks_file=None))
    assert [] == check(write(jwks_file=None, pem_file='"key.pem"'))
    assert [] == check(write(jwks_file='"key.pem"'))


def test_what_cannot_be_loaded_is_wrong_in_the_same_words(write: Write) -> None:
    sentence = "there is no such key; did you mean audience?"

    assert [Finding("wrong", "providers.shop.audiense", sentence)] == check(write(audiense='"x"'))


def test_a_variable_that_names_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_GUARD_CONFIG", "")

    assert [Finding("wrong", "", "JWT_GUARD_CONFIG is set, but empty")] == check()


@pytest.mark.parametrize(
    ("changes", "more", "place"),
    [
        ({"issuer": '"http://id.test"'}, "", "providers.shop.issuer"),
        ({"leeway": "61"}, "", "providers.shop.leeway"),
        ({"jwks_file": '"mixed.json"'}, "", "providers.shop.jwks_file"),
        ({"jwks_file": '"private.json"'}, "", "providers.shop.jwks_file"),
        ({"jwks_file": None, "secret": '"an octet or thirty-two of them, at least"'}, "", "providers.shop.secret"),
        ({}, "[keys]\nplain_http_hosts = ['keys.test']", "keys.plain_http_hosts"),
        ({}, "[keys]\nproxy = 'http://me:hidden@proxy.test:3128'", "keys.proxy"),
        ({}, "[keys]\nusable_for = 604_801", "keys.usable_for"),
        ({}, "[keys]\ncooldown = 0", "keys.cooldown"),
        ({}, "[keys]\nsnapshot = 'for_all'", "keys.snapshot"),
        ({}, "[store]\nurl = 'redis://redis.test:6379'", "store.url"),
        ({}, "[store]\nurl = 'rediss://:hidden@redis.test:6379'", "store.url"),
        ({"jwks_file": None, "salt": '"json:dumps"', "remember": "true"}, "", "providers.shop.remember"),
        ({}, "[[routes]]\npath = '/**'\nallow = 'anyone'", "routes[1].allow"),
    ],
)
def test_what_is_risky_is_said_with_its_place(
    write: Write, tmp_path: Path, changes: dict[str, Any], more: str, place: str
) -> None:
    (tmp_path / "for_all").mkdir()
    (tmp_path / "for_all").chmod(0o750)

    assert [("risky", place)] == found(write(more, **changes))


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, "[keys]\nusable_for = 604_800\ncooldown = 0.5\nsnapshot = 'not_there_yet'"),
        ({}, "[keys]\nsnapshot = 'for_us'"),
        ({}, "[store]\nurl = 'redis://127.0.0.1:6379/1'"),
        ({}, "[store]\nurl = 'redis://[::1]:6379'"),
        ({}, "[store]\nurl = 'rediss://redis.test'"),
        ({}, "[store]\nurl = 'unix:///run/redis.sock'"),
        ({}, "[memory]\ntokens = 1"),
        ({"remember": "true"}, ""),
        ({"remember": "false"}, ""),
        ({"jwks_file": None, "salt": '"json:dumps"', "remember": "false"}, ""),
        ({"jwks_file": None, "salt": '"json:dumps"'}, ""),
    ],
)
def test_what_is_the_plain_way_to_keep_keys_and_verdicts_is_no_risk(
    write: Write, tmp_path: Path, changes: dict[str, str | None], more: str
) -> None:
    (tmp_path / "for_us").mkdir(mode=0o700)

    assert [] == check(write(more, **changes))


def test_a_memory_that_is_off_is_worth_a_thought(write: Write) -> None:
    file = write()
    file.write_text(f"memory = false\n{file.read_text()}")

    assert [("risky", "memory")] == found(file)


def test_a_provider_that_is_to_be_remembered_without_any_memory_is_wrong(write: Write) -> None:
    file = write(remember="true")
    file.write_text(f"memory = false\n{file.read_text()}")

    assert [("wrong", "providers.shop.remember"), ("risky", "memory")] == found(file)


def test_the_password_of_a_store_belongs_into_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hidden")
    monkeypatch.setenv("STORE", "rediss://:hidden@redis.test")

    for url in ("${STORE}", "rediss://:${PASSWORD}@redis.test", "rediss://redis.test:6379", "rediss://me@redis.test"):
        assert [] == check(write(f"[store]\nurl = '{url}'")), url
    file = write("[store]\nurl = 'rediss://me:hidden@redis.test'")
    (finding,) = check(file)
    assert ("risky", "store.url") == (finding.severity, finding.place)
    assert "hidden" not in finding.sentence
    file.chmod(0o640)
    assert [("risky", "store.url"), ("risky", "")] == found(file)


@pytest.mark.parametrize("key", ["jwks_url", "discovery_url"])
def test_keys_that_come_without_tls_are_risky(write: Write, key: str) -> None:
    more = "[keys]\nplain_http_hosts = ['keys.test']"
    file = write(more, **{"jwks_file": None, key: '"http://keys.test/x"'})

    assert [("risky", f"providers.shop.{key}"), ("risky", "keys.plain_http_hosts")] == found(file)


def test_loopback_without_tls_is_no_risk(write: Write) -> None:
    assert [] == check(write(jwks_file=None, issuer='"http://127.0.0.1:8080/realms/shop"'))


def test_the_reason_why_a_key_is_skipped_is_said(write: Write) -> None:
    (finding,) = check(write(jwks_file='"mixed.json"'))

    assert "the key 'b' is not used: its use is not sig" == finding.sentence


def test_a_secret_from_the_environment_is_no_risk(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "an octet or thirty-two of them, at least")

    assert [] == check(write(jwks_file=None, secret='"${JWT_SECRET}"'))
    assert [("risky", "providers.shop.secret")] == found(
        write(jwks_file=None, secret='"an octet or thirty-two, $${JWT_SECRET}"')
    )


def test_the_password_of_a_proxy_belongs_into_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "hidden")
    monkeypatch.setenv("PROXY", "http://me:hidden@proxy.test:3128")
    monkeypatch.setenv("PROXY_HOST", "proxy.test")

    for proxy in (
        "${PROXY}",
        "http://me:${PROXY_PASSWORD}@proxy.test",
        "http://proxy.test:3128",
        "http://me@proxy.test",
    ):
        assert [] == check(write(f"[keys]\nproxy = '{proxy}'")), proxy
    file = write("[keys]\nproxy = 'http://me:hid@den@${PROXY_HOST}'")
    (finding,) = check(file)
    assert ("risky", "keys.proxy") == (finding.severity, finding.place)
    assert "hid" not in finding.sentence
    file.chmod(0o640)
    assert [("risky", "keys.proxy"), ("risky", "")] == found(file)


def test_files_with_secrets_that_others_may_read_are_risky(write: Write, tmp_path: Path) -> None:
    file = write(jwks_file='"secret.json"')
    assert [] == check(file)

    (tmp_path / "secret.json").chmod(0o644)
    assert [("risky", "providers.shop.jwks_file")] == found(file)

    file = write(jwks_file=None, secret='"an octet or thirty-two of them, at least"')
    file.chmod(0o640)
    assert [("risky", "providers.shop.secret"), ("risky", "")] == found(file)


def test_a_configuration_that_others_may_write_is_risky(write: Write) -> None:
    file = write()
    file.chmod(0o644)
    assert [] == check(file)

    file.chmod(0o664)
    assert [("risky", "")] == found(file)


def routes(*paths: str) -> str:
    tables = []
    for each in paths:
        path, _, rest = each.partition(" ")
        methods = f"methods = {rest.split(',')}\n" if rest and rest != "opaque" else ""
        encoded = "encoded = 'opaque'\n" if rest == "opaque" else ""
        tables.append(f"[[routes]]\npath = '{path}'\n{methods}{encoded}allow = 'authenticated'\n")
    return "\n".join(tables)


@pytest.mark.parametrize(
    "paths",
    [
        ("/**", "/x"),
        ("/orders/{id}", "/orders/new"),
        ("/orders/**", "/orders/{id}/items"),
        ("/orders/**", "/orders"),
        ("/a/**", "/a/b/**"),
        ("/x", "/**", "/y"),
        ("/a/{x} opaque", "/a/b"),
        ("/a/{x}", "/a/b opaque"),
        ("/**", "/a/{x} opaque"),
        ("/a/**", "/a/b/** opaque"),
        ("/a", "/a"),
        ("/a GET", "/a GET"),
        ("/a GET", "/a HEAD"),
        ("/a GET,POST", "/a/ PUT,POST"),
        ("/a", "/a GET"),
    ],
)
def test_a_route_that_is_never_reached_is_wrong(write: Write, paths: tuple[str, ...]) -> None:
    assert [("wrong", "routes")] == found(write(routes(*paths)))


@pytest.mark.parametrize(
    "paths",
    [
        ("/x", "/**"),
        ("/orders/new", "/orders/{id}"),
        ("/orders/{id}", "/orders/**"),
        ("/orders/{id}", "/orders/{id}/items"),
        ("/orders/{id}", "/orders/new/**"),
        ("/a/b/**", "/a/**"),
        ("/a/{x}/**", "/a"),
        ("/a", "/b"),
        ("/a/{x} opaque", "/a/{x}/b"),
        ("/a/b", "/c/{x} opaque"),
        ("/a/{x} opaque", "/b/{x} opaque"),
        ("/a GET", "/a POST"),
        ("/a HEAD", "/a GET"),
        ("/a GET", "/a"),
    ],
)
def test_routes_that_all_have_something_to_say_are_fine(write: Write, paths: tuple[str, ...]) -> None:
    assert [] == found(write(routes(*paths)))


@pytest.mark.parametrize(
    ("earlier", "opaque"),
    [
        ("/files/{a}/{b}", "/files/{name}"),
        ("/files/{id}", "/files/{name}"),
        ("/files/list", "/files/{name}"),
        ("/files", "/files/{name}"),
        ("/files/**", "/{any}/x"),
        ("/files/{a}/b", "/files/**"),
    ],
)
def test_a_route_for_encoded_paths_after_one_that_they_could_be_of_decoded_is_risky(
    write: Write, earlier: str, opaque: str
) -> None:
    (finding,) = check(write(routes(earlier, f"{opaque} opaque")))

    assert ("risky", "routes") == (finding.severity, finding.place)
    assert f"'{opaque}' comes after '{earlier}'" in finding.sentence
    assert [] == [each for each in check(write(routes(f"{opaque} opaque", earlier))) if each.severity == "risky"]


def test_check_warns_of_the_encoded_paths_that_a_guard_refuses_and_of_no_others(write: Write) -> None:
    """Each pair of these routes, each of these paths: the guard is the judge."""
    shapes = ["/a", "/{x}", "/a/b", "/a/{x}", "/{x}/b", "/{x}/{y}", "/a/**", "/**", "/a/{x}/**", "/a/b/{x}"]
    pieces = ["a", "b", "%2F", ";", "a;", "b;", "a%2Fb", "a%2Fb%2Fc", "c;", "c%2Fb", "b%2Fc"]
    paths = [f"/{'/'.join(each)}" for length in (1, 2, 3) for each in product(pieces, repeat=length)]
    asked = [PlainRequest("GET", path) for path in paths if "%" in path or ";" in path]
    for earlier, later in permutations(shapes, 2):
        alone = by_route([(None, later, anyone())], encoded=[later])
        both = by_route([(None, earlier, authenticated()), (None, later, anyone())], encoded=[later])
        mine = [request for request in asked if is_open(alone, request)]
        lost = [request for request in mine if not is_open(both, request)]
        plain = routes(earlier, f"{later} opaque")

        findings = found(write(plain))

        if ("wrong", "routes") in findings:
            assert lost == mine, (earlier, later)
        else:
            assert bool(lost) == (("risky", "routes") in findings), (earlier, later, lost[:3])
