"""An issuer → where its keys are: the places asked, what the answer must say, and how long it counts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from jwt_guard.errors import FetchFailed, KeysUnavailable, Misconfigured
from jwt_guard.flow import Fetch, Reply
from jwt_guard.sources.discovery import Discovery, discovered, well_known
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from jwt_guard.tokens.compact import parse
from tests.support.keys import public_jwk
from tests.support.minting import mint
from tests.support.playing import Clock, Played, down, play, reply

ISSUER = "https://id.test/realms/shop"
OPENID = "https://id.test/realms/shop/.well-known/openid-configuration"
OAUTH = "https://id.test/.well-known/oauth-authorization-server/realms/shop"
OPENID_INSERTED = "https://id.test/.well-known/openid-configuration/realms/shop"
KEYS = "https://cdn.test/keys"


def metadata(**changes: Any) -> Reply:
    return reply({"issuer": ISSUER, "jwks_uri": KEYS, **changes})


class Found:
    """A discovery with its clock."""

    def __init__(self, *issuers: str, **settings: Any) -> None:
        self.clock = Clock(1_000)
        urls = well_known(ISSUER)
        self.discovery = Discovery(frozenset(issuers or {ISSUER}), urls, KeySettings(**settings), self.clock)

    def __call__(self, *answers: Any, afresh: bool = False) -> Played:
        return play(partial(self.discovery, afresh, self.discovery._settings.timeout), *answers)


# --- where -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "places"),
    [
        (ISSUER, (OPENID, OAUTH, OPENID_INSERTED)),
        (f"{ISSUER}/", (OPENID, OAUTH, OPENID_INSERTED)),
        (
            "https://id.test:8443",
            (
                "https://id.test:8443/.well-known/openid-configuration",
                "https://id.test:8443/.well-known/oauth-authorization-server",
            ),
        ),
        (OPENID, (OPENID,)),
        (f"{OAUTH}?p=1", (f"{OAUTH}?p=1",)),
    ],
)
def test_the_documents_are_where_the_standards_say(issuer: str, places: tuple[str, ...]) -> None:
    assert places == well_known(issuer)


def test_the_first_place_that_has_a_document_is_the_last_asked() -> None:
    first, second, third = (
        Found()(metadata()),
        Found()(reply({}, 404), metadata()),
        Found()(reply({}, 404), reply(b"<html>"), metadata()),
    )

    assert KEYS == first.value == second.value == third.value
    assert [OPENID] == first.fetched
    assert [OPENID, OAUTH] == second.fetched
    assert [OPENID, OAUTH, OPENID_INSERTED] == third.fetched


def test_further_places_are_asked_last_and_must_name_the_issuer_too() -> None:
    further = "https://ehr.test/fhir/.well-known/smart-configuration"
    keys = reply({"keys": [public_jwk("ES256", kid="a")]})
    token = parse(mint())

    def ask(document: Reply, *rest: Reply) -> Played:
        source = discovered(ISSUER, OPENID, also=[further, OPENID])
        return play(lambda: source(token), reply({}, 404), document, *rest)

    found, wrong = ask(metadata(), keys), ask(metadata(issuer="https://ehr.test/fhir"))

    assert "a" == found.value.kid
    assert [OPENID, further, KEYS] == found.fetched
    assert isinstance(wrong.error, KeysUnavailable)
    assert {OPENID, further} == set(wrong.fetched)
    assert f"discovery {OPENID} {ISSUER} {further} {OPENID}" == discovered(ISSUER, OPENID, also=[further, OPENID])._name


def test_a_further_place_is_one_that_may_be_asked() -> None:
    with pytest.raises(Misconfigured, match="cannot be asked for its keys"):
        discovered(ISSUER, also=["http://ehr.test/.well-known/smart-configuration"])


def test_a_place_that_redirects_or_resets_does_not_hide_the_next() -> None:
    assert KEYS == Found()(down(OPENID), metadata()).value


def test_without_any_document_the_first_failure_is_told() -> None:
    played = Found()(reply({}, 500), down(OAUTH), reply({}, 404))

    assert isinstance(played.error, FetchFailed)
    assert OPENID == played.error.url
    assert "500" in str(played.error)


def test_a_document_that_was_there_and_wrong_tells_more_than_one_that_was_not() -> None:
    played = Found()(down(OPENID), metadata(issuer="https://evil.test"), reply({}, 404))

    assert isinstance(played.error, FetchFailed)
    assert "names the issuer 'https://evil.test'" in str(played.error)


def test_each_request_has_what_is_left_of_one_deadline() -> None:
    find = Found(timeout=4)

    def slowly() -> Reply:
        find.clock.forward(1.5)
        return reply({}, 404)

    played = find(slowly, slowly, metadata())

    assert [4, 2.5, 1] == [need.deadline for need in played.needs if isinstance(need, Fetch)]


def test_nobody_is_asked_after_the_deadline() -> None:
    find = Found(timeout=4)

    def too_slowly() -> Reply:
        find.clock.forward(4)
        raise down(OPENID)

    played = find(too_slowly)

    assert isinstance(played.error, FetchFailed)
    assert [OPENID] == played.fetched


# --- what it says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        None, 5, [ISSUER], "", f"{ISSUER}/", ISSUER.upper(), "https://id.test", "https://id.test/realms/shop2",
        "https://evil.test/realms/shop",
    ],
)  # fmt: skip
def test_the_document_must_name_the_issuer_exactly(issuer: object) -> None:
    bad = metadata(issuer=issuer)

    played = Found()(bad, bad, bad)

    assert isinstance(played.error, FetchFailed)
    assert "names the issuer" in str(played.error)


@pytest.mark.parametrize(
    "jwks_uri",
    [
        None, 5, "", "/keys", "http://id.test/keys", "http://169.254.169.254/keys", "file:///etc/passwd",
        "https://u:p@id.test/", "data:application/json,{}", "https://id.test/#", "https://id.test\\@evil.test/",
    ],
)  # fmt: skip
def test_the_document_cannot_send_us_anywhere(jwks_uri: object) -> None:
    bad = metadata(jwks_uri=jwks_uri)

    played = Found()(bad, bad, bad)

    assert isinstance(played.error, FetchFailed)
    assert "jwks_uri cannot be asked" in str(played.error)


def test_the_keys_may_be_on_another_host() -> None:
    assert "https://elsewhere.test:8443/k" == Found()(metadata(jwks_uri="https://elsewhere.test:8443/k")).value


def test_the_keys_may_be_on_a_plain_host_that_is_listed() -> None:
    bad = metadata(jwks_uri="http://keycloak:8080/keys")

    assert isinstance(Found()(bad, bad, bad).error, FetchFailed)
    assert "http://keycloak:8080/keys" == Found(plain_http_hosts=frozenset({"keycloak"}))(bad).value


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"issuer": 1, "issuer": 2}', b"\xff", b'{"a":' * 100 + b"1" + b"}" * 100],
    ids=ascii,
)
def test_the_document_is_strict_json(body: bytes) -> None:
    played = Found()(reply(body), reply(body), reply(body))

    assert isinstance(played.error, FetchFailed)


# --- how long it counts ------------------------------------------------------------------------------


def test_an_answer_counts_for_an_hour() -> None:
    find = Found()
    find(metadata())

    find.clock.forward(3_599)
    assert [] == find().fetched
    find.clock.forward(1)
    moved = find(metadata(jwks_uri="https://new.test/keys"))

    assert "https://new.test/keys" == moved.value
    assert [] == find().fetched


def test_keys_that_were_not_where_they_should_be_are_looked_for_afresh() -> None:
    find = Found()
    find(metadata())

    assert "https://new.test/keys" == find(metadata(jwks_uri="https://new.test/keys"), afresh=True).value


def test_metadata_that_cannot_be_had_moves_no_keys() -> None:
    find = Found()
    find(metadata())
    find.clock.forward(10_000)

    for bad in (down(OPENID), reply({}, 500), metadata(issuer="https://evil.test")):
        played = find(bad, bad, bad)

        assert KEYS == played.value
        assert [OPENID, OAUTH, OPENID_INSERTED] == played.fetched


def test_metadata_that_hangs_leaves_time_for_the_keys() -> None:
    clock = Clock(1_000)
    settings = KeySettings(timeout=4)
    discovery = Discovery(frozenset({ISSUER}), well_known(ISSUER), settings, clock)
    source = RemoteKeys(discovery, settings, clock)
    token = parse(mint(header={"kid": "a"}))
    keys = reply({"keys": [public_jwk("ES256", kid="a")]})

    def hanging() -> Reply:
        clock.forward(2)
        raise down(OPENID)

    cold = play(partial(source, token), metadata(), keys)
    clock.forward(90_000)
    later = play(partial(source, token), hanging, keys)

    assert [OPENID, KEYS] == cold.fetched
    assert [OPENID, KEYS] == later.fetched
    assert [2, 2] == [need.deadline for need in later.needs if isinstance(need, Fetch)]
    assert cold.value.kid == later.value.kid


def test_after_a_failure_the_keys_are_looked_for_afresh() -> None:
    clock = Clock(1_000)
    settings = KeySettings(timeout=0.1)  # no time to try again
    source = RemoteKeys(Discovery(frozenset({ISSUER}), well_known(ISSUER), settings, clock), settings, clock)
    token = parse(mint(header={"kid": "a"}))

    failed = play(partial(source, token), metadata(), reply({}, 404))
    clock.forward(1)
    moved = play(
        partial(source, token),
        metadata(jwks_uri="https://new.test/keys"),
        reply({"keys": [public_jwk("ES256", kid="a")]}),
    )

    assert isinstance(failed.error, KeysUnavailable)
    assert [OPENID, KEYS] == failed.fetched
    assert [OPENID, "https://new.test/keys"] == moved.fetched
    assert "a" == moved.value.kid


# --- configuration -----------------------------------------------------------------------------------


def test_one_issuer_says_where_to_ask() -> None:
    for issuers in (ISSUER, [ISSUER], frozenset({ISSUER})):
        source = discovered(issuers, None, KeySettings(timeout=0.1))
        played = play(partial(source, parse(mint())), down(OPENID), down(OAUTH), down(OPENID_INSERTED))

        assert [OPENID, OAUTH, OPENID_INSERTED] == played.fetched


def test_several_issuers_need_to_be_told_where() -> None:
    with pytest.raises(Misconfigured, match="several issuers"):
        discovered({ISSUER, "https://other.test"})

    settings = KeySettings(timeout=0.1, plain_http_hosts=frozenset({"keycloak"}))
    source = discovered({ISSUER, "https://other.test"}, "http://keycloak/", settings)
    played = play(partial(source, parse(mint())), metadata(), down(KEYS))
    assert ["http://keycloak/.well-known/openid-configuration", KEYS] == played.fetched


@pytest.mark.parametrize("issuer", ["shop", "http://id.test", "file:///etc/issuer", "https://user@id.test"])
def test_an_issuer_that_cannot_be_asked_is_refused_at_once(issuer: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be asked for its keys"):
        discovered(issuer)


def test_an_issuer_elsewhere_cannot_aim_us_at_what_listens_here() -> None:
    bad = metadata(jwks_uri="http://127.0.0.1:6379/keys")
    played = Found()(bad, bad, bad)

    assert "its host is not in plain_http_hosts" in str(played.error)
