"""A URL → whether it is asked: https, and nothing that two programs could read as two hosts."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard.sources.address import why_not

ASKED = (
    "https://id.test",
    "https://id.test/",
    "https://id.test/realms/shop/keys?version=2",
    "https://id.test:8443/keys",
    "https://ID.Test/keys",
    "https://xn--bcher-kva.test/keys",
    "https://203.0.113.7/keys",
    "https://[2001:db8::7]:8443/keys",
    "https://under_score/keys",
    "HTTPS://id.test/keys",
    "http://localhost/keys",
    "http://LOCALHOST:8080/keys",
    "http://127.0.0.1:8080/keys",
    "http://127.8.9.10/keys",
    "http://[::1]:8080/keys",
)

REFUSED = {
    # no text, no URL
    None: "it is no text",
    b"https://id.test/": "it is no text",
    "": "it names no host",
    "id.test/keys": "it names no host",
    "https://": "it names no host",
    "https:///keys": "it names no host",
    "https:id.test": "it names no host",
    "https:/id.test/keys": "it names no host",
    "https://:443/": "it names no host",
    "https://[::1/": "it is no URL",
    "https://id.test:99999/": "it is no URL",
    "https://id.test:port/": "it is no URL",
    # another scheme
    "//id.test/keys": "it is not https",
    "ftp://id.test/keys": "it is not https",
    "ws://127.0.0.1/keys": "it is not https",
    "file:///etc/passwd": "it names no host",
    "file://localhost/etc/passwd": "it is not https",
    "data:application/json,{}": "it names no host",
    "data://localhost/application/json,{}": "it is not https",
    "javascript:alert(1)": "it names no host",
    "unix:/run/keys.sock": "it names no host",
    "gopher://127.0.0.1:6379/": "it is not https",
    # characters
    "https://id.test/a b": "it has characters that no URL has",
    " https://id.test/": "it has characters that no URL has",
    "https://id.test/\n": "it has characters that no URL has",
    "https://id.te\tst/": "it has characters that no URL has",
    "https://id.test/\r\nHost: evil.test": "it has characters that no URL has",
    "https://id.test\0.evil.test/": "it has characters that no URL has",
    "https://bücher.test/": "it has characters that no URL has",
    "http://ⓛocalhost/": "it has characters that no URL has",
    "https://id.test\uff0f.evil.test/": "it has characters that no URL has",
    "https://evil.test\\@id.test/": "it has characters that no URL has",
    "http:\\\\127.0.0.1/": "it has characters that no URL has",
    # a user
    "https://user@id.test/": "it has a user in it",
    "https://user:secret@id.test/": "it has a user in it",
    "https://@id.test/": "it has a user in it",
    "https://:@id.test/": "it has a user in it",
    "https://id.test@evil.test/": "it has a user in it",
    "http://127.0.0.1:80@evil.test/": "it has a user in it",
    # a fragment
    "https://id.test/#": "it has a fragment",
    "https://id.test/keys#top": "it has a fragment",
    "http://127.0.0.1#.evil.test/": "it has a fragment",
    # hosts that are read in two ways
    "http://[::1].evil.test/": None,
    "https://[::1]evil.test/": None,
    "https://id.test;evil.test/": "its host is not one that every parser reads alike",
    "https://id.test,evil.test/": "its host is not one that every parser reads alike",
    "https://id%2etest/": "its host is not one that every parser reads alike",
    "http://127.0.0.1%2f.evil.test/": "its host is not one that every parser reads alike",
    "https://[v1.x]/": None,
    # no TLS, and not this machine
    "http://id.test/keys": "it is not https, and its host is not in plain_http_hosts",
    "http://localhost.evil.test/": "it is not https, and its host is not in plain_http_hosts",
    "http://localhost./": "it is not https, and its host is not in plain_http_hosts",
    "http://127.0.0.1.evil.test/": "it is not https, and its host is not in plain_http_hosts",
    "http://127.0.0.1./": "it is not https, and its host is not in plain_http_hosts",
    "http://127.1/": "it is not https, and its host is not in plain_http_hosts",
    "http://2130706433/": "it is not https, and its host is not in plain_http_hosts",
    "http://0x7f000001/": "it is not https, and its host is not in plain_http_hosts",
    "http://0177.0.0.1/": "it is not https, and its host is not in plain_http_hosts",
    "http://0.0.0.0/": "it is not https, and its host is not in plain_http_hosts",
    "http://[::]/": "it is not https, and its host is not in plain_http_hosts",
    "http://169.254.169.254/latest/meta-data/": "it is not https, and its host is not in plain_http_hosts",
    "http://10.0.0.1/": "it is not https, and its host is not in plain_http_hosts",
}


@pytest.mark.parametrize("url", ASKED)
def test_these_are_asked(url: str) -> None:
    assert None is why_not(url)


@pytest.mark.parametrize(("url", "reason"), REFUSED.items(), ids=map(ascii, REFUSED))
def test_these_are_not(url: Any, reason: str | None) -> None:
    refused = why_not(url)

    assert refused
    assert reason in (None, refused), "which of two reasons it is depends on Python's version where there is None"


def test_hosts_on_the_list_need_no_tls_and_nothing_near_them_does() -> None:
    hosts = {"keycloak", "10.0.0.1"}

    assert None is why_not("http://keycloak:8080/realms/shop", hosts)
    assert None is why_not("http://KEYCLOAK/", hosts)
    assert None is why_not("http://10.0.0.1/", hosts)
    for url in ("http://keycloak.evil.test/", "http://evil.keycloak/", "http://x@keycloak/", "ftp://keycloak/"):
        assert why_not(url, hosts), url
