"""The URL of a store → refused with a reason that repeats nothing, or taken, and known to be exposed or not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.stores.address import is_exposed, place_of, usable, why_not
from tests.support.servers import certificates_for

WORD = "hunter2"

GOOD = [
    "redis://localhost",
    "redis://localhost/",
    "redis://localhost:6379/0",
    "redis://localhost:6379/15",
    "redis://localhost:6379?db=3",
    f"redis://:{WORD}@redis.internal:6380/1",
    f"redis://guard:{WORD}@redis.internal",
    f"redis://guard:{WORD}%2F%40%3A%23@redis.internal",
    "redis://[::1]:6379/0",
    "rediss://redis.internal:6380/0?db=1",
    "unix:///run/redis.sock",
    "unix:///run/redis.sock?db=2",
    f"unix://guard:{WORD}@/run/redis.sock",
]

NO_CHARACTER = "its URL has characters that no URL has"
NO_URL = "its URL cannot be read; what is special in a password is percent-encoded"
NO_SCHEME = "its URL is redis://HOST:PORT/0, rediss:// for TLS, or unix:///PATH"
NO_FRAGMENT = "its URL has a fragment; a # in a password is written %23"
NO_PATH = "its URL is unix:///PATH"
NO_HOST = "its URL names no host, or no port"
NO_DATABASE = "its URL ends with the number of a database"
NO_OPTION = "of options, its URL can have db, each once"
NO_TLS_OPTION = "of options, its URL can have db, ssl_ca_certs, ssl_certfile, ssl_keyfile, each once"
NO_NUMBER = "its db is the number of a database"
NO_FILE = "its ssl_ca_certs names no file"
NO_KEY = "its ssl_certfile, and the key for it, cannot be used; the key has no password"
NO_PAIR = "its ssl_keyfile is without an ssl_certfile"

BAD = [
    ("", NO_CHARACTER),
    ("redis://host name/0", NO_CHARACTER),
    ("redis://host/0\n", NO_CHARACTER),
    ("redis://h\u00f6st/0", NO_CHARACTER),
    ("redis://host/\x000", NO_CHARACTER),
    ("redis://[::1/0", NO_URL),
    ("redis://[redis.internal]/0", NO_URL),
    ("redis://host:port/0", NO_URL),
    ("redis://host:65536/0", NO_URL),
    ("redis://host:-1/0", NO_URL),
    (f"redis://:{WORD}/{WORD}@host:6379/0", NO_URL),
    (f"redis://user:1?{WORD}@host:6379/0", NO_URL),
    (f"redis://:pass#{WORD}@host/0", NO_URL),
    ("redis://host/0?db", NO_URL),
    ("localhost:6379", NO_SCHEME),
    ("//localhost:6379/0", NO_SCHEME),
    ("REDISS://localhost:6379/0", NO_SCHEME),
    ("redis:localhost", NO_SCHEME),
    ("unix:/run/redis.sock", NO_SCHEME),
    ("unix:", NO_SCHEME),
    ("http://localhost:6379/0", NO_SCHEME),
    ("redis+tls://localhost/0", NO_SCHEME),
    ("file:///var/lib/keys", NO_SCHEME),
    (f"redis://{WORD}#{WORD}@host/0", NO_FRAGMENT),
    ("redis://host/0#", NO_FRAGMENT),
    ("unix://", NO_PATH),
    ("unix:///", NO_PATH),
    ("unix://run/redis.sock", NO_PATH),
    (f"unix://:{WORD}@run/redis.sock", NO_PATH),
    ("redis://", NO_HOST),
    ("redis:///0", NO_HOST),
    ("redis://:6379/0", NO_HOST),
    (f"redis://:{WORD}@/0", NO_HOST),
    (f"redis://:{WORD}@:6379/0", NO_HOST),
    ("redis://host:0/0", NO_HOST),
    ("redis://host/keys", NO_DATABASE),
    ("redis://host/0/1", NO_DATABASE),
    ("redis://host/-1", NO_DATABASE),
    ("redis://host/%30", NO_DATABASE),
    ("redis://host/123456", NO_DATABASE),
    (f"redis://user:12/{WORD}@host/0", NO_DATABASE),
    ("redis://host/0?decode_responses=true", NO_OPTION),
    ("redis://host/0?password=x", NO_OPTION),
    ("redis://host/0?host=other", NO_OPTION),
    ("redis://host/0?DB=1", NO_OPTION),
    ("redis://host/0?db=1&db=2", NO_OPTION),
    ("redis://host/0?ssl_ca_certs=/etc/ca.pem", NO_OPTION),
    ("unix:///run/redis.sock?path=/other", NO_OPTION),
    ("rediss://host/0?ssl_cert_reqs=none", NO_TLS_OPTION),
    ("rediss://host/0?ssl_check_hostname=false", NO_TLS_OPTION),
    ("rediss://host/0?ssl_ciphers=ALL", NO_TLS_OPTION),
    ("redis://host?db=one", NO_NUMBER),
    ("redis://host?db=", NO_NUMBER),
    ("redis://host?db=-1", NO_NUMBER),
    ("rediss://host?ssl_ca_certs=/no/such/file", NO_FILE),
    ("rediss://host?ssl_ca_certs=", NO_FILE),
    ("rediss://host?ssl_ca_certs=/", NO_FILE),
    ("rediss://host?ssl_ca_certs=a%00b", NO_FILE),
    (f"rediss://host?ssl_ca_certs={'a' * 5000}", NO_FILE),
    (f"rediss://host?ssl_keyfile={Path(__file__)}", NO_PAIR),
]


@pytest.mark.parametrize("url", GOOD)
def test_a_store_that_can_be_asked_is_taken(url: str) -> None:
    usable(url)

    assert None is why_not(url)


@pytest.mark.parametrize(("url", "reason"), BAD)
def test_what_is_no_store_of_ours_is_refused_and_not_repeated(url: str, reason: str) -> None:
    assert reason == why_not(url)
    with pytest.raises(Misconfigured) as caught:
        usable(url)

    assert f"the store cannot be asked: {reason}" == str(caught.value)
    assert WORD not in reason


def test_certificates_can_be_used_or_are_refused_at_start(tmp_path: Path) -> None:
    ca, certificate, key, locked = certificates_for("127.0.0.1", tmp_path)
    other = certificates_for("127.0.0.1", tmp_path / "other").key
    url = "rediss://redis.internal:6380/0"

    pair = f"ssl_certfile={certificate}&ssl_keyfile={key}"
    for query in (f"ssl_ca_certs={ca}", pair, f"db=2&ssl_ca_certs={ca}&{pair}"):
        usable(f"{url}?{query}")
    for query, reason in (
        (f"ssl_ca_certs={key}", "its ssl_ca_certs is no file of certificates"),
        (f"ssl_certfile={certificate}", NO_KEY),
        (f"ssl_certfile={certificate}&ssl_keyfile={other}", NO_KEY),
        (f"ssl_certfile={certificate}&ssl_keyfile={locked}", NO_KEY),  # nobody is asked for its password
    ):
        assert reason == why_not(f"{url}?{query}")


def test_a_missing_package_is_noticed_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr("jwt_guard.stores.address.find_spec", find_nothing)
    with pytest.raises(Misconfigured, match=r"pip install 'jwt-guard\[redis\]'"):
        usable("redis://localhost")
    assert importlib.util.find_spec("redis") is not None


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("redis://localhost:6379/0", False),
        ("redis://LOCALHOST/0", False),
        ("redis://127.0.0.1", False),
        ("redis://127.8.9.1:6379", False),
        ("redis://[::1]:6379/0", False),
        (f"redis://localhost:{WORD}@localhost", False),
        ("unix:///run/redis.sock", False),
        ("rediss://redis.internal", False),
        ("redis://redis.internal", True),
        ("redis://10.0.0.7:6379", True),
        ("redis://0.0.0.0", True),
        ("redis://[fd00::1]:6379", True),
        ("redis://localhost.evil.test", True),
        ("redis://localhost@redis.internal", True),
        ("redis://127.0.0.1:6379@redis.internal", True),
        ("redis://%31%32%37.0.0.1", True),
    ],
)
def test_a_store_without_tls_is_exposed_unless_it_is_on_this_machine(url: str, *, exposed: bool) -> None:
    assert None is why_not(url)
    assert exposed is is_exposed(url)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"redis://guard:{WORD}@redis.internal:6379/0?db=3", "'redis.internal:6379'"),
        (f"redis://:{WORD}@localhost", "'localhost'"),
        (f"redis://{WORD}@localhost", "'localhost'"),
        (f"redis://:{WORD}@{WORD}@localhost", "'localhost'"),
        (f"rediss://:{WORD}@[::1]:6380/1", "'[::1]:6380'"),
        (f"unix://guard:{WORD}@/run/redis.sock?db=2", "'/run/redis.sock'"),
    ],
)
def test_a_place_is_named_without_user_and_password(url: str, place: str) -> None:
    assert None is why_not(url)
    assert place == place_of(url)


@pytest.mark.parametrize("url", [*GOOD, *(url for url, _ in BAD)])
def test_no_url_can_make_a_refusal_fail(url: str) -> None:
    for changed in (url + "\udcff", url[:-1], url.upper(), url.replace("/", "\\"), url + "?", url + "&=&", url * 2):
        reason = why_not(changed)

        assert reason is None or WORD not in reason
