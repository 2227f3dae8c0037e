"""RFC 9068 §2 and §4, line by line: what it asks of whoever takes a JWT access token, and a test for each."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Guard, fixed, jwks, rfc9068, scopes
from jwt_guard.access.challenge import refusal
from jwt_guard.decision import Allow
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, InvalidToken, UnknownIssuer, UnknownKey
from jwt_guard.messages import PlainRequest
from tests.support.keys import encode, public_jwk
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, mint, minted, refused, verdict
from tests.support.playing import play

TYP = {"typ": "at+jwt"}


def strict(alg: str = "ES256", **more: Any) -> Guard:
    keys = fixed({"keys": [public_jwk(alg, kid="a")]})
    return Guard([rfc9068(ISSUER, AUDIENCE, keys=keys, **more)], clock=lambda: NOW)


def token(header: dict[str, Any] | None = None, **changes: Any) -> str:
    return mint(claims(**changes), TYP if header is None else header)


def test_a_token_that_is_as_it_should_be_is_taken() -> None:
    """Without this, every refusal below could be for another reason."""
    who = verdict(strict(), token())

    assert ("ada-lovelace", "shop") == (who.user, who.client)  # type: ignore[union-attr]


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"])
def test_4_both_spellings_of_the_type_are_taken(typ: str) -> None:
    """§4: typ MUST be "at+jwt" or "application/at+jwt" (RFC 7515 §4.1.9: without case)."""
    assert not isinstance(verdict(strict(), token({"typ": typ})), Exception)


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "at", "id+jwt", "at+jwt+x", "text/at+jwt", "application/application/at+jwt", "", " at+jwt"]
)
def test_4_a_token_of_any_other_type_is_rejected(typ: str) -> None:
    """§4: and reject tokens carrying any other value."""
    assert isinstance(refused(strict(), token({"typ": typ})), InvalidToken)


def test_4_a_token_of_no_type_is_rejected() -> None:
    error = refused(strict(), token({}))

    assert isinstance(error, ClaimRejected)
    assert "typ" == error.claim


@pytest.mark.parametrize(
    "issuer", [f"{ISSUER}/", ISSUER.upper(), f" {ISSUER}", "https://other.test", [ISSUER], ABSENT, None]
)
def test_4_the_issuer_matches_exactly(issuer: Any) -> None:
    """§4: the issuer identifier MUST exactly match the value of iss."""
    assert isinstance(refused(strict(), token(iss=issuer)), UnknownIssuer | ClaimRejected)


@pytest.mark.parametrize(
    "audience", ["other", ["other"], [], "", f"{AUDIENCE} ", AUDIENCE.upper(), {AUDIENCE: 1}, ABSENT, None]
)
def test_4_an_audience_that_is_not_us_is_rejected(audience: Any) -> None:
    """§4: aud MUST contain a resource indicator of ours; MUST be rejected if it does not."""
    assert isinstance(refused(strict(), token(aud=audience)), ClaimRejected)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_4_an_audience_may_be_one_or_a_list(audience: Any) -> None:
    assert not isinstance(verdict(strict(), token(aud=audience)), Exception)


def test_4_the_signature_of_every_token_is_validated() -> None:
    """§4: MUST validate the signature of all incoming JWT access tokens, with keys of the authorization server."""
    head, body, signature = token().split(".")
    forged = encode(b'{"iss":"x"}')
    other = ("B" if signature.startswith("A") else "A") + signature[1:]

    assert isinstance(refused(strict(), minted(f"{head}.{body}.{other}")), BadSignature)
    assert isinstance(refused(strict(), minted(f"{head}.{forged}.{signature}")), InvalidToken)
    assert isinstance(refused(strict(), minted(f"{head}.{body}.")), InvalidToken)
    assert isinstance(refused(strict(), mint(header={**TYP, "kid": "a"}, which="b")), BadSignature)
    assert isinstance(refused(strict(), mint(header=TYP, which="b")), UnknownKey)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_4_a_token_that_is_not_signed_is_rejected(alg: str) -> None:
    """§4: MUST reject any JWT in which the value of alg is "none"."""
    head = encode(f'{{"alg":"{alg}","typ":"at+jwt","kid":"a"}}'.encode())

    assert isinstance(refused(strict(), minted(f"{head}.{token().split('.')[1]}.")), InvalidToken)


def test_2_1_rs256_is_supported() -> None:
    """§2.1: resource servers MUST support RS256."""
    assert not isinstance(verdict(strict("RS256"), mint(header=TYP, alg="RS256")), Exception)
    assert "RS256" in Guard([rfc9068(ISSUER, AUDIENCE, keys=jwks("https://id.test/keys"))]).providers[0].allowed


def test_4_the_time_is_before_exp() -> None:
    """§4: the current time MUST be before exp; some small leeway, for clocks that differ."""
    assert isinstance(refused(strict(leeway=0), token(exp=NOW)), Expired)
    assert not isinstance(verdict(strict(leeway=0), token(exp=NOW + 1)), Exception)
    assert isinstance(refused(strict(), token(exp=NOW - HOUR)), Expired)


@pytest.mark.parametrize("claim", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_2_2_what_a_token_must_have_it_has(claim: str) -> None:
    """§2.2: REQUIRED."""
    for value in (ABSENT, None):
        changes: dict[str, Any] = {claim: value}

        assert isinstance(refused(strict(), token(**changes)), InvalidToken), value


def test_2_2_3_the_scope_is_a_list_with_blanks_in_between() -> None:
    who = verdict(strict(), token(scope="a b:c"))

    assert frozenset({"a", "b:c"}) == who.scopes  # type: ignore[union-attr]


def test_2_2_1_when_somebody_logged_in_may_be_said() -> None:
    assert not isinstance(verdict(strict(), token(auth_time=NOW - 60, acr="1", amr=["pwd"])), Exception)


def test_4_whatever_is_wrong_with_a_token_is_invalid_token() -> None:
    """§4: errors as in RFC 6750 §3.1; any failure of the checks listed MUST be "invalid_token"."""
    wrong = [
        token({}),
        token(iss="x"),
        token(aud="x"),
        token(exp=NOW - HOUR),
        token(sub=ABSENT),
        mint(header=TYP, which="b"),
    ]
    for text in wrong:
        response = refusal(refused(strict(), text), "api", "0")

        assert 401 == response.status
        assert 'error="invalid_token"' in dict(response.headers)["www-authenticate"]


def test_4_scopes_decide_with_the_rest_of_the_request() -> None:
    """§4: authorization claims SHOULD be used in combination with what else is known of the request."""
    of = strict().requiring(scopes("orders:read"))
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token()}"),))
    without = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token(scope='x')}"),))

    assert isinstance(play(lambda: of.decide(request)).value, Allow)
    assert 403 == play(lambda: of.decide(without)).value.error.status
