"""The ``iss`` of an endorsement → a host that is asked, in its one spelling, or none."""

from __future__ import annotations

import asyncio
import re
import socket
import string
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.issuing.poet.host import addresses, is_public, well_known, why_no_host

HOSTS = [
    "example.com",
    "endorsements.transparenthealth.org",
    "a.bc",
    "1.2.3.example.com",
    "xn--bcher-kva.example",
    "a--b.example",  # dashes elsewhere than in the third and fourth place
    "xn--e1afmkfd.xn--p1ai",
    f"{'a' * 63}.example",
    ".".join(["a" * 61] * 3 + ["a" * 59, "bcdefg"]),  # 252 characters
]
NO_HOSTS: list[tuple[Any, str]] = [
    (None, "no text"),
    (1, "no text"),
    (["example.com"], "no text"),
    ("", "fully qualified"),
    ("localhost", "fully qualified"),
    ("com", "fully qualified"),
    ("example.com.", "fully qualified"),
    (".example.com", "fully qualified"),
    ("example..com", "fully qualified"),
    ("-a.example", "fully qualified"),
    ("a-.example", "fully qualified"),
    ("a.example-", "fully qualified"),
    ("a_b.example", "fully qualified"),
    ("ab--c.example", "fully qualified"),  # reserved for what does not exist yet
    (f"{'a' * 64}.example", "fully qualified"),
    (".".join(["a" * 61] * 4 + ["bcdefg"]), "fully qualified"),  # 254
    ("example.com\n", "fully qualified"),
    ("example.com\r\nhost: evil", "a port or a scheme"),
    (" example.com", "fully qualified"),
    ("example.com\0", "fully qualified"),
    ("*.example.com", "fully qualified"),
    ("127.0.0.1", "fully qualified"),
    ("169.254.169.254", "fully qualified"),
    ("127.1", "fully qualified"),
    ("2130706433", "fully qualified"),
    ("0x7f.0.0.1", "fully qualified"),
    ("127.0.0.0x1", "fully qualified"),
    ("example.0x7f", "fully qualified"),
    ("example.1", "fully qualified"),
    ("example.c", "fully qualified"),
    ("[::1]", "a port or a scheme"),
    ("[example].com", "fully qualified"),
    ("example.com:443", "a port or a scheme"),
    ("https://example.com", "a path or a scheme"),
    ("example.com/evil", "a path or a scheme"),
    ("169.254.169.254/x?", "a path or a scheme"),
    ("example.com?x", "a query"),
    ("example.com#x", "a fragment"),
    ("example.com\\evil", "a path"),
    ("user@example.com", "a user"),
    ("example.com%2eevil.example", "a percent sign"),
    ("Example.com", "not in lower case"),
    ("bücher.example", "not ASCII"),
    ("example。com", "not ASCII"),  # an ideographic full stop, which some parsers take for a dot
    ("ｅxample.com", "not ASCII"),  # and letters that they take for ours
    ("exam\u00adple.com", "not ASCII"),
    ("example.ⓒom", "not ASCII"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_fully_qualified_name_is_asked(host: str) -> None:
    assert None is why_no_host(host)
    assert f"https://{host}/.well-known/poet.jwk" == well_known(host)


@pytest.mark.parametrize(("name", "reason"), NO_HOSTS)
def test_nothing_else_is(name: Any, reason: str) -> None:
    assert reason in str(why_no_host(name))


ALMOST = st.text(st.sampled_from(string.ascii_lowercase + string.digits + "-.:/@?#[]%\\_ \t\r\nAZéⓒ。\0"), max_size=40)
NAMES = st.from_regex(r"\A(?:[a-z0-9](?:[a-z0-9-]{0,8}[a-z0-9])?\.){1,4}[a-z][a-z0-9-]{0,8}[a-z0-9]\Z")


@given(st.one_of(ALMOST, NAMES, st.text(max_size=60), st.sampled_from(HOSTS)))
def test_every_parser_finds_the_name_that_was_given_and_nothing_more(name: str) -> None:
    if why_no_host(name) is not None:
        return
    url = well_known(name)
    parts, parsed = urlsplit(url), httpx.URL(url)

    assert ("https", name, "/.well-known/poet.jwk", "", "") == tuple(parts)
    assert (name, None, None) == (parts.hostname, parts.port, parts.username)
    assert name.encode() == parsed.raw_host
    assert (None, b"/.well-known/poet.jwk", b"") == (parsed.port, parsed.raw_path, parsed.userinfo)
    with pytest.raises(OSError, match=r".*"):
        socket.inet_aton(name)  # the most lenient reader of addresses there is


@given(NAMES)
def test_a_name_is_taken_unless_its_dashes_are_reserved(name: str) -> None:
    reserved = any(re.match(r"(?!xn)..--", label) for label in name.split("."))

    assert reserved == (why_no_host(name) is not None)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "0.0.0.0",  # noqa: S104 - nobody listens there
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2002:7f00:1::",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "5f00::1",
    ],
)
def test_no_other_is(address: str) -> None:
    assert not is_public(address)


def test_a_host_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answers(host: Any, port: Any, *_: Any, **__: Any) -> Any:
        asked.append((host, port))
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 2)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answers)

    assert ["192.0.2.1", "fe80::1%2"] == asyncio.run(addresses("id.test", 5))
    ((host, port),) = asked
    assert ("id.test", 443) == (host if isinstance(host, str) else host.decode(), port)


def test_looking_a_host_up_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.5))

    async def timed() -> float:
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            await addresses("id.test", 0.05)
        return time.monotonic() - before

    assert asyncio.run(timed()) < 1
