"""Mistakes in configuration that open a door elsewhere: here the guard is not built at all."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import (
    Guard,
    KeySettings,
    Limits,
    Misconfigured,
    Provider,
    all_of,
    any_of,
    by_route,
    claim,
    discovered,
    fixed,
    jwks,
    none_of,
    roles,
    salted,
    scopes,
    shared_secret,
)
from tests.support.keys import public_jwk, secret
from tests.support.minting import AUDIENCE, ISSUER, guard, provider

NOTHING: list[Any] = [None, "", [], (), " ", [""], ["orders", ""], 5, True, {}, ["orders", None]]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_an_audience_is_never_left_out(nothing: Any) -> None:
    """CVE-2025-62610: without an audience a token for any other service opens this one."""
    with pytest.raises(Misconfigured, match="audience"):
        provider(audience=nothing)


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_an_issuer_is_never_left_out(nothing: Any) -> None:
    """CVE-2025-46647: without an issuer, whoever has a key of that kid is one."""
    with pytest.raises(Misconfigured, match="issuer"):
        provider(issuer=nothing)


@pytest.mark.parametrize("name", ["issuer", "audience"])
def test_an_asterisk_is_no_name(name: str) -> None:
    """Elsewhere it means everybody; here it would mean nobody, which is not what was meant."""
    for value in ("*", ["orders", "*"]):
        changes: dict[str, Any] = {name: value}
        with pytest.raises(Misconfigured, match=r"\*"):
            provider(**changes)


@pytest.mark.parametrize("leeway", [-1, 301, float("nan"), float("inf"), "30", None, True, 10**9], ids=repr)
def test_leeway_is_a_few_seconds(leeway: Any) -> None:
    """A day of leeway is a day more for a stolen token."""
    with pytest.raises(Misconfigured, match="leeway"):
        provider(leeway=leeway)


@pytest.mark.parametrize(
    "algorithms", [[], ["none"], ["HS256"], ["RS256"], ["ES256", ""], "", ["ES256", "x"], [None], 5], ids=repr
)
def test_algorithms_are_those_of_the_keys(algorithms: Any) -> None:
    """CVE-2022-29217: a list that allows more than the keys are for."""
    with pytest.raises(Misconfigured):
        provider(algorithms=algorithms)


@pytest.mark.parametrize("max_age", [0, -1, float("nan"), "600", True], ids=repr)
def test_a_maximum_age_is_a_time(max_age: Any) -> None:
    with pytest.raises(Misconfigured, match="max_age"):
        provider(max_age=max_age)


@pytest.mark.parametrize("typ", [[], "", [""], [5, None], 5], ids=repr)
def test_types_are_texts(typ: Any) -> None:
    with pytest.raises(Misconfigured, match="typ"):
        provider(typ=typ)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "é", "x" * 65, 'a"b', None, 5], ids=ascii)
def test_a_provider_has_a_name_that_no_log_or_header_minds(name: Any) -> None:
    with pytest.raises(Misconfigured, match="name"):
        provider(name=name)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://id.test/jwks",
        "data:application/json,{}",
        "http://id.test/jwks",
        "http://169.254.169.254/",
        "https://user:pass@id.test/jwks",
        "https://user@id.test",
        "https://id.test/jwks#x",
        "https:///jwks",
        "",
        "jwks.json",
        "https://id.test\\@evil.test/",
        "https://id.test/\r\nX: y",
        "https://id.tést/",
        "HTTPS//id.test",
        "gopher://id.test/",
        "http://localhost.evil.test/",
        "http://127.0.0.1.evil.test/",
        "https://id.test:99999/",
        " https://id.test/",
        "http://2130706433/",
        "http://0x7f.1/",
        "unix:/run/x",
        "javascript:alert(1)",
        "https://[::1",
        "http://127.0.0.1@evil.test/",
    ],
    ids=ascii,
)
def test_keys_are_asked_of_no_strange_address(url: str) -> None:
    """CVE-2026-48522: a JWKS client that reads file:// and ftp:// reads whatever it is told to."""
    with pytest.raises(Misconfigured):
        jwks(url)
    with pytest.raises(Misconfigured):
        discovered(frozenset({ISSUER}), url)


@pytest.mark.parametrize(
    "url", ["https://id.test/jwks", "http://localhost:8080/", "http://127.0.0.1/", "http://[::1]:9/"]
)
def test_keys_may_be_asked_of_plain_addresses(url: str) -> None:
    assert jwks(url).keys is None


def test_plain_http_is_for_the_hosts_that_are_named() -> None:
    settings = KeySettings(plain_http_hosts=frozenset({"keycloak"}))

    assert jwks("http://keycloak:8080/jwks", settings).keys is None
    for url in ("http://keycloak.evil.test/jwks", "http://evil.test/keycloak", "ftp://keycloak/jwks"):
        with pytest.raises(Misconfigured):
            jwks(url, settings)


def test_two_providers_of_one_issuer_are_one_too_many() -> None:
    """Which of the two would decide is a question nobody should have to ask."""
    key = fixed(public_jwk("ES256"))
    for pair in (
        [Provider("one", ISSUER, AUDIENCE, keys=key), Provider("two", ISSUER, "billing", keys=key)],
        [Provider("one", ISSUER, AUDIENCE, keys=key), Provider("one", "https://two.test", "billing", keys=key)],
        [
            Provider("one", [ISSUER, "https://x.test"], AUDIENCE, keys=key),
            Provider("two", ["https://x.test"], AUDIENCE, keys=key),
        ],
        [],
        [None],
    ):
        with pytest.raises(Misconfigured):
            Guard(pair)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "policy", [None, True, "anyone", 5, [], scopes], ids=["none", "true", "text", "number", "list", "not called"]
)
def test_a_policy_is_one(policy: Any) -> None:
    """`Guard(providers, True)` must not mean "let in"."""
    if policy is scopes:  # a function of the wrong kind: called for a request, it makes no decision
        with pytest.raises((TypeError, Misconfigured)):
            next(guard(policy=policy).policy(None, None))  # type: ignore[arg-type]
        return
    with pytest.raises(Misconfigured, match="policy"):
        Guard([provider()], policy)


@pytest.mark.parametrize("make", [scopes, roles, all_of, any_of, none_of, claim, lambda: by_route([])])
def test_a_policy_that_asks_for_nothing_is_a_mistake(make: Any) -> None:
    """`all(())` is true: an empty list of demands would let everybody in."""
    with pytest.raises(Misconfigured):
        make()


@pytest.mark.parametrize("name", ["", " ", "a b", None, 5, True, ["a"]], ids=repr)
def test_a_scope_is_one_name(name: Any) -> None:
    """`scopes("a b")` is read as one by one library and as two by another."""
    with pytest.raises(Misconfigured):
        scopes(name)
    with pytest.raises(Misconfigured):
        scopes("orders:read", name)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\r\nb", "größe", "a\tb"], ids=ascii)
def test_a_scope_that_no_challenge_can_carry_is_refused_at_once(name: str) -> None:
    """RFC 6749 §3.3: else the first refusal is a crash."""
    with pytest.raises(Misconfigured):
        scopes(name)


@pytest.mark.parametrize("realm", ["a\r\nb", "größe", "a\0", "\x7f"], ids=ascii)
def test_a_realm_that_no_challenge_can_carry_is_refused_at_once(realm: str) -> None:
    with pytest.raises(Misconfigured, match="realm"):
        Guard([provider()], realm=realm)


@pytest.mark.parametrize(("token", "header"), [(0, 0), (100, 200), (-1, -2)])
def test_limits_that_nothing_meets_are_a_mistake(token: int, header: int) -> None:
    with pytest.raises(Misconfigured):
        Limits(token, header)


@pytest.mark.parametrize(
    "path",
    ["orders", "/a//b", "/a/../b", "/%2e%2e/b", "/a;b", "/a%2Fb", "/{a}b", "/a/**/b", "/a*", "/{", "", "/\n", "/a\\b"],
    ids=ascii,
)
def test_a_route_that_nothing_could_match_is_a_mistake(path: str) -> None:
    """A rule that never fires guards nothing."""
    with pytest.raises(Misconfigured):
        by_route([("GET", path, scopes("orders:read"))])


@pytest.mark.parametrize("method", ["get", "", "G T", [], ["GET", ""], 5, "GET,POST"], ids=repr)
def test_a_method_is_a_name_in_capitals(method: Any) -> None:
    with pytest.raises(Misconfigured):
        by_route([(method, "/orders", scopes("orders:read"))])


def test_a_salt_generator_is_a_function_and_its_limit_a_length() -> None:
    for wrong in (None, "secret", b"secret", 5):
        with pytest.raises(Misconfigured):
            salted(wrong)  # type: ignore[arg-type]
    with pytest.raises(Misconfigured):
        salted(lambda _claims: secret(), shortest=0)


def test_a_short_secret_can_be_asked_for_but_not_an_empty_one() -> None:
    assert {"HS256", "HS384", "HS512"} == shared_secret("x", shortest=1).algorithms
    for empty in ("", " ", b"\0"):
        with pytest.raises(Misconfigured):
            shared_secret(empty, shortest=0)
