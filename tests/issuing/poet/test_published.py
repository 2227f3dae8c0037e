"""An endorsement → the key at its issuer's own host, asked of a strict name only, once, and read strictly."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jwt_guard.errors import (
    BadSignature,
    ClaimRejected,
    Expired,
    GuardError,
    InvalidToken,
    KeysUnavailable,
    Misconfigured,
    UnknownIssuer,
    UnknownKey,
)
from jwt_guard.flow import Call, Fetch, Trust
from jwt_guard.issuing.poet import PayloadRejected, WellKnownKey, averify_url, verified_by_url, verify_url
from jwt_guard.issuing.poet.host import addresses
from jwt_guard.issuing.signing import SigningKey
from jwt_guard.tokens.compact import parse
from tests.issuing.poet.test_checking import JWK, NOW, SEED, signed
from tests.issuing.poet.test_endorsing import of_poetri
from tests.issuing.poet.test_host import NO_HOSTS
from tests.issuing.poet.test_payload import APP
from tests.support.bad_issuer import Way, answer, drips, floods, hangs, says
from tests.support.keys import private_key, public_jwk
from tests.support.named_hosts import NamedHosts, named_hosts
from tests.support.playing import Played, down, play, reply

URL = "https://example.com/.well-known/poet.jwk"
PUBLIC = ["8.8.8.8", "2606:4700::1111"]


def asked(*answers: Any, token: str | None = None, **more: Any) -> Played:
    return play(lambda: verified_by_url(signed() if token is None else token, NOW, **more), *answers)


# --- as a transcript ---------------------------------------------------------------------------------


def test_a_host_is_looked_up_and_asked_once() -> None:
    played = asked(PUBLIC, reply(JWK))

    assert played.error is None
    assert APP["client_name"] == played.value["client_name"]
    call, fetch = played.needs
    assert Call(addresses, ("example.com", 5.0)) == call
    assert isinstance(fetch, Fetch)
    assert (URL, 5.0, 16_384, Trust()) == (fetch.url, fetch.deadline, fetch.limit, fetch.trust)
    assert {"Accept": "application/jwk+json, application/json"} == fetch.headers


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["169.254.169.254"], [], None])
def test_a_host_that_leads_into_a_private_network_is_not_asked(found: Any) -> None:
    played = asked(found)

    assert isinstance(played.error, ClaimRejected)
    assert "iss" == played.error.claim
    assert "The key could not be fetched" in str(played.error)
    assert [] == played.fetched


@pytest.mark.parametrize("error", [socket.gaierror(-2, "x"), TimeoutError(), OSError(), UnicodeError()])
def test_a_host_that_is_not_found_is_not_asked(error: Exception) -> None:
    played = asked(error)

    assert isinstance(played.error, KeysUnavailable)
    assert str(played.error).startswith("The key could not be fetched (its host is not found")
    assert [] == played.fetched


def test_private_networks_are_asked_where_that_is_said() -> None:
    assert [Fetch] == asked(reply(JWK), key=WellKnownKey(private_addresses_too=True)).kinds


def test_a_proxy_looks_hosts_up_by_itself() -> None:
    trust = Trust(proxy="http://proxy.test:3128")
    played = asked(reply(JWK), key=WellKnownKey(trust, 2.0))

    (fetch,) = played.needs
    assert isinstance(fetch, Fetch)
    assert (trust, 2.0) == (fetch.trust, fetch.deadline)


@pytest.mark.parametrize("issuer", [name for name, _ in NO_HOSTS])
def test_what_is_no_host_name_is_refused_without_asking_anybody(issuer: Any) -> None:
    for unchecked in (False, True):
        played = asked(token=signed(iss=issuer), payload_unchecked=unchecked)

        assert isinstance(played.error, ClaimRejected)
        assert "iss" == played.error.claim
        assert "The key could not be fetched" in str(played.error)
        assert [] == played.needs


def test_a_token_without_an_issuer_is_told_so() -> None:
    rest = {name: value for name, value in APP.items() if name != "iss"}

    assert "iss: is missing in the payload" == str(asked(token=signed(rest)).error)


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("nonsense", InvalidToken),
        (signed(exp=NOW - 31), Expired),
        (signed(client_name=""), PayloadRejected),
        (signed(typ="at+jwt"), ClaimRejected),
        (signed(key=SigningKey("ES256", private_key("ES256"), "example.com")), UnknownKey),
    ],
    ids=["shape", "exp", "payload", "typ", "alg"],
)
def test_nobody_is_asked_about_a_token_that_could_not_be_good(token: str, error: type[GuardError]) -> None:
    played = asked(token=token)

    assert isinstance(played.error, InvalidToken)
    assert [] == played.needs


def test_only_those_who_are_named_are_asked() -> None:
    assert asked(PUBLIC, reply(JWK), issuers=["other.example", "example.com"]).error is None
    played = asked(issuers=["other.example"])

    assert isinstance(played.error, UnknownIssuer)
    assert [] == played.needs


@pytest.mark.parametrize("issuers", [[], (), "example.com"])
def test_who_is_asked_is_a_list_that_is_not_empty(issuers: Any) -> None:
    with pytest.raises(Misconfigured, match="issuers"):
        asked(issuers=issuers)


ANSWERS: dict[str, tuple[Any, str]] = {
    "nobody": (down(), "no answer"),
    "404": (reply(JWK, 404), "it was answered with 404"),
    "204": (reply(b"", 204), "it was answered with 204"),
    "203": (reply(JWK, 203), "it was answered with 203"),
    "HTML": (reply(b"<html>"), "is no JSON object"),
    "a list": (reply([JWK]), "is no JSON object"),
    "a member twice": (reply(b'{"kty":"RSA","kty":"RSA"}'), "has a member twice"),
    "deep": (reply(b'{"a":' * 9 + b"1" + b"}" * 9), "nested"),
    "a key set": (reply({"keys": [JWK]}), "it has no kid"),
    "no kid": (reply({**JWK, "kid": None}), "it has no kid"),
    "an empty kid": (reply({**JWK, "kid": ""}), "it has no kid"),
    "for encryption": (reply({**JWK, "use": "enc"}), "its use is not sig"),
    "not to verify with": (reply({**JWK, "key_ops": ["encrypt"]}), "its key_ops have no verify"),
    "PS256": (reply({**JWK, "alg": "PS256"}), "it is not for RS256"),
    "an EC key": (reply(public_jwk("ES256", kid="example.com")), "it is not for RS256"),
    "a secret": (reply(public_jwk("HS256", kid="example.com")), "its private half is published"),
    "the key pair": (reply(of_poetri()), "its private half is published"),
    "half of the key pair": (reply({**JWK, "p": SEED["p"]}), "its private half is published"),
    "an even modulus": (reply({**JWK, "n": JWK["n"][:-1] + "A"}), "no key for this"),
    "a short modulus": (reply({**JWK, "n": JWK["n"][:100]}), "no key for this"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_else_is_answered_is_no_key(name: str) -> None:
    given, reason = ANSWERS[name]
    played = asked(PUBLIC, given)

    assert isinstance(played.error, KeysUnavailable)
    assert str(played.error).startswith("The key could not be fetched (")
    assert reason in str(played.error)


def test_another_key_and_another_name_are_told_apart() -> None:
    other = public_jwk("RS256", "b", kid="example.com")

    assert isinstance(asked(PUBLIC, reply(other)).error, BadSignature)
    played = asked(PUBLIC, reply({**JWK, "kid": "another"}))
    assert isinstance(played.error, UnknownKey)
    assert "example.com" == played.error.kid


def test_a_source_gives_no_key_to_a_token_that_names_none() -> None:
    token = parse(signed())
    nameless = token._replace(header=replace(token.header, kid=None))

    assert isinstance(play(lambda: WellKnownKey()(nameless), PUBLIC, reply(JWK)).error, UnknownKey)
    assert play(lambda: WellKnownKey()(token), PUBLIC, reply(JWK)).value.kid == "example.com"


def test_a_key_need_not_be_called_as_its_host() -> None:
    token = signed(key=SigningKey("RS256", private_key("RSA", "a"), "2024"))

    assert asked(PUBLIC, reply({**JWK, "kid": "2024"}), token=token).error is None


# --- over a network ----------------------------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[NamedHosts]:
    with named_hosts(tmp_path / "tls", "example.com") as hosts:
        hosts.server.way = says(answer(json.dumps(JWK).encode()))
        yield hosts


def test_a_published_key_vouches_over_tls(hosts: NamedHosts) -> None:
    said = verify_url(signed(), NOW, key=WellKnownKey(hosts.trust))

    assert {**APP, "iat": NOW - 100, "exp": NOW + 100} == said
    assert ["example.com:443"] == hosts.connected
    assert ["GET /.well-known/poet.jwk HTTP/1.1 example.com"] == hosts.asked


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_so_it_does_for_async_code(hosts: NamedHosts, backend: str) -> None:
    async def ask() -> dict[str, Any]:
        return await averify_url(signed(), NOW, key=WellKnownKey(hosts.trust))

    assert "example.com" == anyio.run(ask, backend=backend)["iss"]


BAD_WAYS: dict[str, tuple[Way, str]] = {
    "404": (says(answer(status="404 Not Found")), "it was answered with 404"),
    "a redirect": (says(answer(status="302 Found", headers="Location: /other\r\n")), "a redirect, which is not"),
    "a redirect elsewhere": (
        says(answer(status="301 X", headers="Location: http://169.254.169.254/\r\n")), "a redirect, which is not",
    ),
    "no end": (floods(b" " * 65_536, b"HTTP/1.1 200 OK\r\n\r\n"), "longer than 16384 octets"),
    "no answer": (hangs(), "no answer within 0.5 s"),
    "drips": (drips(b" ", b"HTTP/1.1 200 OK\r\n\r\n"), "no answer within 0.5 s"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_WAYS)
def test_a_host_that_behaves_badly_gives_no_key(hosts: NamedHosts, name: str) -> None:
    hosts.server.way, reason = BAD_WAYS[name]
    with pytest.raises(KeysUnavailable) as caught:
        verify_url(signed(), NOW, key=WellKnownKey(hosts.trust, 0.5 if "no answer" in reason else 5))

    assert str(caught.value).startswith("The key could not be fetched (")
    assert reason in str(caught.value)
    assert 1 == len(hosts.connected)


def test_a_certificate_must_count_and_name_the_host(hosts: NamedHosts) -> None:
    others = signed(iss="other.example")
    for token, trust in ((others, hosts.trust), (signed(), Trust(proxy=hosts.proxy_url))):
        with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            verify_url(token, NOW, key=WellKnownKey(trust))

    assert [] == hosts.server.requests


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give every name an address of this machine; what was looked up is noted."""
    names: list[str] = []
    real: Callable[..., Any] = socket.getaddrinfo

    def answers(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        names.append(host.decode() if isinstance(host, bytes) else host)
        return real("127.0.0.1", port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    return names


@pytest.mark.parametrize("backend", [None, "asyncio", "trio"])
def test_a_name_that_leads_to_this_machine_is_refused(looked_up: list[str], backend: str | None) -> None:
    async def ask() -> dict[str, Any]:
        return await averify_url(signed(), NOW)

    with pytest.raises(ClaimRejected, match="not public"):
        anyio.run(ask, backend=backend) if backend else verify_url(signed(), NOW)
    assert ["example.com"] == looked_up


def test_a_name_that_leads_to_this_machine_is_asked_where_that_is_said(looked_up: list[str]) -> None:
    key = WellKnownKey(deadline=2, private_addresses_too=True)
    with pytest.raises(KeysUnavailable, match="no answer"):  # nobody with a certificate for it listens here
        verify_url(signed(), NOW, key=key)
    assert "example.com" in looked_up
