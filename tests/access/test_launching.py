"""The form that a browser brings from a portal → Launch, or why it is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from jwt_guard import Guard, Resolver
from jwt_guard.access.hti import Launch
from jwt_guard.access.launching import Launches
from jwt_guard.errors import (
    ContentTooLarge,
    GuardError,
    InvalidToken,
    MalformedRequest,
    MethodNotAllowed,
    Misconfigured,
    UnknownIssuer,
)
from jwt_guard.sources.jwks import jwks
from tests.access.test_hti import PORTAL, guarding, launch, of
from tests.support.keys import public_jwk
from tests.support.minting import NOW, mint, provider
from tests.support.playing import Clock, Played, play, reply

FORM = "application/x-www-form-urlencoded"
FHIR = "https://fhir.koppeltaal.example/r4"


def token(**changes: Any) -> str:
    return mint(launch(**changes), alg="RS256")


def received(
    *fields: tuple[str, str],
    method: str = "POST",
    content_type: str | None = FORM,
    body: bytes | None = None,
    launches: Launches | None = None,
    answers: tuple[Any, ...] = (),
) -> Played:
    launches = launches or Launches(guarding(), FHIR)
    sent = urlencode(fields).encode() if body is None else body
    return play(lambda: launches.receive(method, content_type, sent), *answers)


def refused(*fields: tuple[str, str], **more: Any) -> GuardError:
    error = received(*fields, **more).error

    assert error is not None
    return error


def test_hti_has_the_token_in_the_field_token() -> None:
    found = received(("token", token()))

    assert isinstance(found.value, Launch)
    assert (PORTAL, "Task/5f684c5f") == (found.value.issuer, found.value.resource)


def test_smart_hti_on_fhir_has_it_in_launch_with_the_fhir_server_beside_it() -> None:
    assert "Task/5f684c5f" == received(("launch", token()), ("iss", FHIR)).value.resource
    several = Launches(guarding(), ["https://other.example/r4", FHIR])
    assert "Task/5f684c5f" == received(("iss", FHIR), ("launch", token()), launches=several).value.resource


@pytest.mark.parametrize("content_type", [f"{FORM}; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"])
def test_a_form_may_say_more_of_itself(content_type: str) -> None:
    assert isinstance(received(("token", token()), content_type=content_type).value, Launch)


def test_other_fields_are_somebody_elses() -> None:
    assert isinstance(received(("token", token()), ("theme", "dark"), ("theme", "x"), ("b", "")).value, Launch)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "post"])
def test_a_url_is_no_place_for_a_token(method: str) -> None:
    error = refused(("token", token()), method=method)

    assert isinstance(error, MethodNotAllowed)
    assert frozenset({"POST"}) == error.allowed


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("token", ""),),
        (("launch", ""), ("iss", FHIR)),
        (("token", "a"), ("token", "b")),
        (("token", "a"), ("token", "")),
        (("token", "a"), ("launch", "a")),
        (("token", "a"), ("launch", "")),
        (("token", ""), ("launch", "a"), ("iss", FHIR)),
        (("token", "a"), ("iss", FHIR)),
        (("launch", "a"),),
        (("launch", "a"), ("iss", "")),
        (("launch", "a"), ("iss", f"{FHIR}/")),
        (("launch", "a"), ("iss", "https://evil.example/r4")),
        (("launch", "a"), ("iss", FHIR), ("iss", FHIR)),
        (("launch", "a"), ("launch", "a"), ("iss", FHIR)),
        (("token", "a b"),),
        (("token", "a,b"),),
    ],
)
def test_what_is_unclear_is_refused(fields: tuple[tuple[str, str], ...]) -> None:
    assert isinstance(refused(*fields), MalformedRequest)


def test_launch_is_taken_only_where_a_fhir_server_is_configured() -> None:
    bare = Launches(guarding())

    assert isinstance(refused(("launch", token()), ("iss", FHIR), launches=bare), MalformedRequest)
    assert isinstance(refused(("launch", token()), launches=bare), MalformedRequest)
    assert isinstance(received(("token", token()), launches=bare).value, Launch)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "multipart/form-data; boundary=a", f"{FORM}, {FORM}", "text/plain"]
)
def test_what_is_no_form_is_refused(content_type: str | None) -> None:
    assert isinstance(refused(("token", token()), content_type=content_type), MalformedRequest)


def test_a_form_has_its_limits() -> None:
    assert isinstance(refused(body=b"token=" + b"a" * 65_531), ContentTooLarge)
    assert isinstance(refused(body=b"token=" + b"a" * 65_530), InvalidToken)
    assert isinstance(refused(*[("a", "b")] * 101), MalformedRequest)
    assert isinstance(refused(body=b"token=\xff"), MalformedRequest)


def test_an_encrypted_token_is_said_to_be_one() -> None:
    error = refused(("token", "a.b.c.d.e"))

    assert isinstance(error, InvalidToken)
    assert "HTI:jwe" in str(error)


@pytest.mark.parametrize("text", ["NOOP", "a.b", "a.b.c", "a.b.c.d"])
def test_what_is_no_jwt_is_refused(text: str) -> None:
    assert isinstance(refused(("token", text)), InvalidToken)


def test_a_launch_is_taken_once_whichever_field_it_comes_in() -> None:
    launches = Launches(guarding(), FHIR)

    assert received(("token", token()), launches=launches).value
    again = refused(("launch", token()), ("iss", FHIR), launches=launches)
    assert "jti: was used before" == str(again)


def test_a_form_that_is_refused_uses_nothing_up() -> None:
    launches = Launches(guarding(), FHIR)

    refused(("launch", token()), ("iss", "https://evil.example"), launches=launches)
    refused(("token", token()), ("iss", FHIR), launches=launches)
    assert received(("token", token()), launches=launches).value


def test_the_portals_keys_may_have_to_be_asked_for() -> None:
    launches = Launches(guarding(of(keys=jwks("https://portal.example/jwks"))))
    answer = reply({"keys": [public_jwk("RS256", kid="a")]})
    found = received(("token", token()), launches=launches, answers=(answer,))

    assert ["https://portal.example/jwks"] == found.fetched
    assert "Task/5f684c5f" == found.value.resource


def test_whoever_lets_sub_be_any_text_gets_that() -> None:
    launches = Launches(guarding(of(sub_may_be_any_text=True)))

    assert "12345" == received(("token", token(sub="12345")), launches=launches).value.user


def test_portals_may_be_resolved_and_what_is_none_launches_nothing() -> None:
    portal, other = of(), provider("RS256", issuer="other", audience="Device/123")
    guard = Guard([of(issuer="mine", name="mine")], clock=Clock(NOW), resolver=Resolver(lambda _: None, "{portal}"))
    launches = Launches(guard)

    assert received(("token", token()), launches=launches, answers=(portal, portal)).value.resource
    assert received(("token", token(iss="mine")), launches=launches).value.resource
    assert isinstance(refused(("token", token(iss="other")), launches=launches, answers=(other,)), InvalidToken)
    assert isinstance(refused(("token", token(iss="nobody")), launches=launches, answers=(None,)), UnknownIssuer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"guard": None},
        {"guard": Guard([provider()])},
        {"guard": Guard([of(), provider()])},
        {"fhir_base": "fhir.example"},
        {"fhir_base": ["http://fhir.example/r4"]},
        {"fhir_base": [1]},
        {"fhir_base": 1},
        {"fhir_base": ""},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"guard": guarding()}
    with pytest.raises(Misconfigured, match="launches: "):
        Launches(**{**good, **wrong})
