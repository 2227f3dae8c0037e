"""A request → its one bearer token."""

from __future__ import annotations

import pytest

from jwt_guard.errors import GuardError, InvalidToken, MalformedRequest, MissingToken
from jwt_guard.messages import PlainRequest
from jwt_guard.tokens.bearer import bare_token, bearer_token, extract, offers_credentials

LONGEST = 100


def request(*values: str) -> PlainRequest:
    return PlainRequest("GET", "/", headers=tuple(("Authorization", value) for value in values))


def refusal(authorization: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        bearer_token(authorization, LONGEST)
    return caught.value


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_has_no_case(scheme: str) -> None:
    assert "a.b.c" == extract(request(f"{scheme} a.b.c"), LONGEST)


def test_spaces_around_the_token_are_not_the_token() -> None:
    assert "a.b.c" == bearer_token("Bearer   a.b.c  ", LONGEST)


def test_every_character_of_a_b64token_may_be_there() -> None:
    assert "azAZ09-._~+/==" == bearer_token("Bearer azAZ09-._~+/==", LONGEST)


def test_a_request_without_the_header_offers_nothing() -> None:
    assert not offers_credentials(request())
    with pytest.raises(MissingToken):
        extract(request(), LONGEST)


@pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer", "Bearer a.b.c"])
def test_a_request_with_the_header_offers_something_however_bad(value: str) -> None:
    assert offers_credentials(request(value))


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "bearer    ",
        "Bearer\t",
        "Basic YTpi",
        "Basic a, Bearer a.b.c",
        "Bearera.b.c",
        "a.b.c",
        "DPoP a.b.c",
        " Bearer a.b.c",
        "Bearer\ta.b.c",
        "Bearer:a.b.c",
        "\u212aearer a",
    ],
    ids=ascii,
)
def test_what_is_no_bearer_token_is_a_missing_one(value: str) -> None:
    error = refusal(value)

    assert MissingToken is type(error)
    assert error.code is None


@pytest.mark.parametrize(
    "value",
    [
        "Bearer a b",
        "Bearer a.b.c, Bearer d.e.f",
        "Bearer a,b",
        "Bearer a\tb",
        'Bearer "a.b.c"',
        "Bearer a\r\nX: y",
        "Bearer é",
        "Bearer �",
        "Bearer a\x00",
        "Bearer a;b",
        "Bearer <a>",
        "Bearer a.b.c\n",
        "Bearer \ta.b.c",
        "Bearer a=b",
        "Bearer =a",
        "Bearer =",
        "Bearer ==",
        "Bearer a=b=",
    ],
    ids=ascii,
)
def test_strange_characters_make_the_request_malformed(value: str) -> None:
    error = refusal(value)

    assert MalformedRequest is type(error)
    assert 400 == error.status


def test_two_headers_are_one_too_many_even_when_they_are_the_same() -> None:
    with pytest.raises(MalformedRequest):
        extract(request("Bearer a.b.c", "Bearer a.b.c"), LONGEST)
    with pytest.raises(MalformedRequest):
        extract(request("Bearer a.b.c", "Basic YTpi"), LONGEST)


def test_a_long_token_is_not_looked_at() -> None:
    assert "a" * LONGEST == bearer_token("Bearer " + "a" * LONGEST, LONGEST)
    assert InvalidToken is type(refusal("Bearer " + "a" * (LONGEST + 1)))
    assert InvalidToken is type(refusal("Bearer " + "é" * 1_000_000))


def test_a_token_without_a_scheme_is_held_to_the_same_form() -> None:
    assert "a.b.c" == bare_token("a.b.c", LONGEST)
    for text, kind in (
        ("", MissingToken),
        (" a", MalformedRequest),
        ("a,b", MalformedRequest),
        ("é", MalformedRequest),
    ):
        with pytest.raises(kind):
            bare_token(text, LONGEST)
    with pytest.raises(InvalidToken):
        bare_token("é" * (LONGEST + 1), LONGEST)
