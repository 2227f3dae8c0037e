"""A signed token and the server that is asked about it → a key for that token alone, or why there is none."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest

from jwt_guard import Guard, Provider
from jwt_guard.access.hti import hti_launch
from jwt_guard.credentials import Credentials
from jwt_guard.errors import BadSignature, ClaimRejected, FetchFailed, InvalidToken, Misconfigured, Unavailable
from jwt_guard.flow import Fetch, Reply
from jwt_guard.sources.asked import asked_of
from jwt_guard.tokens.compact import parse
from jwt_guard.tokens.verify import check_signature
from tests.access.test_hti import DEVICE, PORTAL, launch
from tests.support.minting import NOW, mint
from tests.support.playing import Clock, Played, down, play, reply

HERE = "https://auth.example/introspect"


def assertion() -> str:
    return "an-assertion"


def portal(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": PORTAL, "audience": DEVICE, "keys": asked_of(HERE, assertion)}
    return hti_launch(**{**good, **changes})


def admitted(guard: Guard, text: str) -> Any:
    answer = guard.admit(text)
    return answer if isinstance(answer, Credentials) else (yield from answer)


def brought(text: str, *answers: Any, guard: Guard | None = None) -> Played:
    of = guard or Guard([portal()], clock=Clock(NOW))
    return play(partial(admitted, of, text), *([] if not answers else ["an-assertion", *answers]))


def test_the_domain_is_asked_about_the_very_token_with_an_assertion() -> None:
    text = mint(launch(), alg="RS256")
    played = brought(text, reply({"active": True, **launch()}))
    (asked,) = (need for need in played.needs if isinstance(need, Fetch))

    assert isinstance(played.value, Credentials)
    assert "Practitioner/225d67a7" == played.value.user
    assert HERE == asked.url
    assert asked.body is not None
    assert "application/x-www-form-urlencoded" == asked.headers["Content-Type"]
    assert {
        "token": [text],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
        "client_assertion": ["an-assertion"],
    } == parse_qs(asked.body.decode(), strict_parsing=True)


def test_what_is_not_active_is_refused() -> None:
    assert "not active" in str(brought(mint(launch(), alg="RS256"), reply({"active": False})).error)


@pytest.mark.parametrize(
    "changes", [{"aud": "Device/9"}, {"iss": "nobody"}, {"exp": NOW - 60}, {"exp": NOW + 900}, {"resource": "11"}]
)
def test_nobody_is_asked_about_what_can_be_seen_to_be_no_good(changes: dict[str, Any]) -> None:
    played = brought(mint(launch(**changes), alg="RS256"))

    assert isinstance(played.error, InvalidToken)
    assert [] == played.needs


@pytest.mark.parametrize("alg", ["HS256", "PS256", "EdDSA"])
def test_nor_about_an_algorithm_that_hti_has_not(alg: str) -> None:
    assert isinstance(brought(mint(launch(), alg=alg)).error, InvalidToken)


@pytest.mark.parametrize(
    "answer",
    [
        down(),
        Reply(401, {}, b'{"active": true}'),
        Reply(500, {}, b""),
        Reply(204, {}, b'{"active": true}'),
        reply(b""),
        reply(b"[]"),
        reply(b'{"active": true, "active": false}'),
        reply({}),
        reply({"active": "true"}),
        reply({"active": 1}),
        reply({"active": 0}),
        reply({"active": None}),
        reply({"active": True, "jti": "another"}),
        reply({"active": True, "sub": "Practitioner/9"}),
        reply({"active": True, "aud": [DEVICE, "Device/9"]}),
        reply({"active": True, "exp": NOW}),
    ],
)
def test_what_is_no_answer_is_no_yes_and_no_no(answer: Any) -> None:
    error = brought(mint(launch(), alg="RS256"), answer).error

    assert isinstance(error, FetchFailed)
    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("answer", [{}, {"aud": [DEVICE]}, {"client_id": "portal", "token_type": "hti"}])
def test_an_answer_may_say_more_or_less(answer: dict[str, Any]) -> None:
    played = brought(mint(launch(), alg="RS256"), reply({"active": True, **answer}))

    assert isinstance(played.value, Credentials)


def test_a_launch_is_used_up_here_too() -> None:
    guard, text = Guard([portal()], clock=Clock(NOW)), mint(launch(), alg="RS256")

    assert brought(text, reply({"active": True}), guard=guard).value
    assert isinstance(brought(text, reply({"active": True}), guard=guard).error, ClaimRejected)
    assert not portal().is_remembered
    assert not portal(may_be_used_more_than_once=True).is_remembered


def test_a_yes_is_for_that_token_alone() -> None:
    one, other = (parse(mint(launch(jti=jti), alg="RS256")) for jti in "ab")
    played = play(lambda: asked_of(HERE, assertion)(one), "an-assertion", reply({"active": True}))

    check_signature(one, played.value)
    with pytest.raises(BadSignature):
        check_signature(other, played.value)
    with pytest.raises(BadSignature):
        check_signature(one._replace(signature=other.signature), played.value)


def test_what_makes_no_assertion_is_a_bug() -> None:
    source = asked_of(HERE, lambda: None)

    with pytest.raises(TypeError, match="client assertion"):
        play(lambda: source(parse(mint(launch(), alg="RS256"))), None)


def test_it_shows_nothing_of_what_it_holds() -> None:
    assert "asked_of('https://auth.example/introspect')" == repr(asked_of(HERE, assertion))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://auth.example/introspect"},
        {"url": "auth.example"},
        {"assertion": "an-assertion"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": True},
        {"timeout": "5"},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"url": HERE, "assertion": assertion}
    with pytest.raises(Misconfigured, match="asked_of: "):
        asked_of(**{**good, **wrong})


def test_plain_http_is_for_hosts_that_are_named() -> None:
    source = asked_of("http://auth.example/introspect", assertion, plain_http_hosts=["auth.example"], timeout=2)
    asked = next(need for need in play(lambda: source(parse(mint(launch(), alg="RS256"))), "an-assertion",
                                       reply(json.dumps({"active": True}).encode())).needs
                 if isinstance(need, Fetch))  # fmt: skip

    assert ("http://auth.example/introspect", 2) == (asked.url, asked.deadline)
