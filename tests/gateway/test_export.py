"""What is asked for → a configuration of a gateway, or why there is none; and nothing that is given is more in it."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import Guard, Misconfigured
from jwt_guard.access import carriers
from jwt_guard.gateway import passing
from jwt_guard.gateway.export.plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, File, Plan, plan
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.settings import ProxySettings, Settings
from tests.support.minting import provider

GATEWAYS = ("nginx", "caddy", "traefik", "haproxy", "envoy_ext_authz")
GUARD = Guard([provider()])
NAMES = IdentityHeaders(user="X-Auth-User", scopes="Auth-Scopes")
UPSTREAM = "http://127.0.0.1:9000"


def planned(settings: Settings | None = None, guard: Guard = GUARD, **places: Any) -> Plan:
    given_places: dict[str, Any] = {"listen": None, "upstream": UPSTREAM, "auth": None, **places}
    return plan(settings or Settings(identity=NAMES), guard, **given_places)


def export(gateway: str, of: Plan) -> tuple[File, ...]:
    files: tuple[File, ...] = import_module(f"jwt_guard.gateway.export.{gateway}").export(of)
    return files


def text(gateway: str, of: Plan) -> str:
    return "\n".join(file.text for file in export(gateway, of))


def test_what_is_not_given_is_taken_from_the_settings() -> None:
    found = planned(Settings(listen="127.0.0.2:9191", grpc_listen="127.0.0.2:9192", forwarded="x-forwarded"))

    assert "127.0.0.1:8080" == str(found.listen)
    assert "127.0.0.2:9191" == str(found.auth)
    assert "127.0.0.2:9192" == str(found.grpc)
    assert "x-forwarded" == found.named_by("x-original", "x-forwarded")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test", "http://a.test:80"),
        ("https://a.test", "https://a.test:443"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
        ("https://A_b.c-d:1", "https://a_b.c-d:1"),
    ],
)
def test_an_upstream_is_a_host_and_a_port(url: str, expected: str) -> None:
    assert expected == planned(upstream=url).upstream.url


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({"upstream": None}, "--upstream"),
        ({"upstream": "ftp://a.test"}, "--upstream"),
        ({"upstream": "http://a.test/path"}, "--upstream"),
        ({"upstream": "http://u:p@a.test"}, "--upstream"),
        ({"upstream": "http://a b"}, "--upstream"),
        ({"upstream": "http://a;b"}, "--upstream"),
        ({"upstream": "http://a.test}"}, "--upstream"),
        ({"upstream": "http://fe80::1%25eth0"}, "--upstream"),
        ({"upstream": "http://[fe80::1%eth0]:1"}, "--upstream"),
        ({"listen": "8080"}, "--listen"),
        ({"listen": "localhost:8080"}, "--listen"),
        ({"listen": "127.0.0.1:0"}, "--listen"),
        ({"listen": "unix:/run/a.sock"}, "--listen"),
        ({"listen": "[fe80::1%eth0]:1"}, "--listen"),
        ({"auth": "127.0.0.1"}, "--auth"),
        ({"auth": "127.0.0.1:0"}, "--auth"),
        ({"auth": "0.0.0.0:9191"}, "--auth"),
        ({"auth": "[::]:9191"}, "--auth"),
        ({"auth": "a;b:1"}, "--auth"),
        ({"auth": "unix:/run/a b"}, "--auth"),
        ({"auth": "unix:/run/$a"}, "--auth"),
        ({"auth": "unix:/run/" + "a" * 120}, "--auth"),
        ({"auth": "unix:relative"}, "--auth"),
    ],
)
def test_what_is_no_place_is_refused_by_the_name_of_its_option(places: dict[str, Any], words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        planned(**places)

    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(listen="0.0.0.0:9191"), "gateway.listen"),
        (Settings(listen="127.0.0.1:0"), "gateway.listen"),
        (Settings(grpc_listen="[::]:9192"), "gateway.grpc_listen"),
        (Settings(upstream="http://127.0.0.1:1"), "gateway.upstream"),
    ],
)
def test_settings_that_name_no_place_to_ask_at_are_refused(settings: Settings, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        planned(settings)

    assert str(caught.value).startswith(words)


def test_a_guard_that_reads_forms_cannot_be_asked_by_a_gateway() -> None:
    with pytest.raises(Misconfigured, match=r"tokens\.form"):
        planned(guard=replace(GUARD, carriers=(carriers.header(), carriers.form())))


@pytest.mark.parametrize("gateway", ["caddy", "traefik"])
def test_a_family_of_headers_that_a_gateway_does_not_send_is_refused(gateway: str) -> None:
    with pytest.raises(Misconfigured, match=r"gateway\.forwarded"):
        export(gateway, planned(Settings(forwarded="x-original")))


@pytest.mark.parametrize("gateway", ["nginx", "haproxy"])
@pytest.mark.parametrize(("family", "other"), [("x-original", "x-forwarded"), ("x-forwarded", "x-original")])
def test_the_family_of_headers_is_the_one_that_counts(gateway: str, family: Any, other: str) -> None:
    written = text(gateway, planned(Settings(forwarded=family)))

    if gateway == "nginx":
        assert f"{family}-uri $request_uri;" in written
        assert f'{other}-uri "";' in written
    else:
        assert f'headers["{family}-uri"] = ' in written


def test_traefik_has_no_sockets_to_ask_on() -> None:
    with pytest.raises(Misconfigured, match="TCP"):
        export("traefik", planned(auth="unix:/run/jwt-guard.sock"))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_token_goes_on_only_where_that_is_wanted(gateway: str) -> None:
    dropped = text(gateway, planned())
    passed = text(gateway, planned(Settings(identity=NAMES, proxy=ProxySettings(pass_authorization=True))))

    assert len(passed) < len(dropped)


@pytest.mark.parametrize(("gateway", "written"), [("nginx", "4 24k;"), ("haproxy", "tune.bufsize 24576")])
def test_a_gateway_takes_heads_as_long_as_the_guard_does(gateway: str, written: str) -> None:
    assert written in text(gateway, planned())


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_whatever_would_make_another_request_is_dropped(gateway: str) -> None:
    written = text(gateway, planned()).lower()
    for name in ANOTHER_REQUEST:
        covered = gateway == "haproxy" and name.startswith("X-Forwarded-")

        assert covered or name.lower() in written, name


# --- what is given means nothing else ----------------------------------------------------------------

TRICKS = [
    "a\n", "a\r\nb", "a;b", "a b", "a{b", "a}b", 'a"b', "a'b", "a\\b", "a`b", "$a", "${a}", "{$a}", "#a", "a#b", "a\0b",
    "a:b",
    "%[src]", "(a)", "<a>", "a|b", "a&b", "*", "a,b", "[a]", "a\x85b", "a\u2028b", "ä", "", "-a", ".", "a..b", "!",
]  # fmt: skip


def options(word: str) -> list[dict[str, Any]]:
    return [
        {"listen": f"{word}:8080"},
        {"listen": f"127.0.0.1:{word}"},
        {"upstream": f"http://{word}"},
        {"upstream": f"http://a.test:{word}"},
        {"auth": f"{word}:9191"},
        {"auth": f"127.0.0.1:{word}"},
        {"auth": f"unix:/run/{word}"},
    ]


def check(word: str) -> None:
    for places in options(word):
        try:
            found = planned(**places)
        except Misconfigured:
            continue
        # Whatever is taken has characters that mean nothing to any of them.
        for value in (found.listen.host, found.upstream.host, found.auth.host, found.auth.path):
            assert set(value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-/@+"), places


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_comes_into_a_configuration(trick: str) -> None:
    check(trick)


@given(st.text(max_size=8))
def test_nothing_that_is_given_means_something_else(word: str) -> None:
    check(word)


def test_what_the_reverse_proxy_drops_the_exports_drop_too() -> None:
    about = {name.lower().encode() for name in ABOUT_THE_CLIENT}

    assert passing._ANOTHER_REQUEST <= {name.lower().encode() for name in ANOTHER_REQUEST}
    assert passing._ABOUT_THE_CLIENT <= {*about, b"x-real-ip"}
