"""An endorsement and a key in hand → what it says, or the one reason why that does not count."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, Misconfigured
from jwt_guard import verify as verify_by_guard
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, InvalidToken, UnknownIssuer, UnknownKey
from jwt_guard.issuing.issuer import sign as sign_anything
from jwt_guard.issuing.poet import PayloadRejected, endorsements, endorsing_key, public_half, sign, verify
from jwt_guard.issuing.signing import SigningKey, make
from jwt_guard.sources.fixed import fixed
from tests.issuing.poet.test_endorsing import of_poetri
from tests.issuing.poet.test_payload import APP
from tests.support.keys import encode, pem, private_key

HERE = Path(__file__).parent
SEED: dict[str, Any] = json.loads((HERE / "seed_keypair.jwk").read_text(encoding="utf-8"))
GOLDEN: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((HERE.parents[1] / "vectors" / "golden_jws.json").read_text(encoding="utf-8"))
}
NOW = 1_500_600_000
KEY = endorsing_key(of_poetri())
JWK = public_half(of_poetri())


def signed(payload: dict[str, Any] | None = None, typ: str | None = "JWT", key: SigningKey = KEY, **more: Any) -> str:
    """Return a token that :func:`sign` might not make."""
    claims = {**APP, "iat": NOW - 100, "exp": NOW + 100} if payload is None else payload
    return sign_anything(key, {**claims, **more}, typ=typ)


# --- what the others made ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poet-readme-token", "poet-signed-jws"])
def test_what_poetri_signed_verifies_at_its_time(name: str) -> None:
    vector = GOLDEN[name]

    assert json.loads(vector["payload"]) == verify(vector["jws"], vector["key"], vector["clock"])


def test_the_token_of_the_readme_verifies_with_its_key_pair_and_is_over_now() -> None:
    token = GOLDEN["poet-readme-token"]["jws"]

    assert "Cardiac Risk App" == verify(token, SEED, NOW)["client_name"]
    assert "Cardiac Risk App" == verify(token, public_half(SEED), NOW)["client_name"]
    with pytest.raises(Expired):
        verify(token, SEED, 1_563_656_757 + 30)


def test_the_key_pair_of_the_readme_has_no_crt_members_and_signs_all_the_same() -> None:
    assert {"kty", "n", "e", "d", "p", "q", "kid", "use", "alg"} == SEED.keys()
    token = sign(APP, endorsing_key(SEED), "example.com", NOW)

    assert {**APP, "iat": NOW, "exp": NOW + 31_536_000} == verify(token, public_half(SEED), NOW)


# --- each thing that can be wrong --------------------------------------------------------------------


def test_what_is_good_comes_back_as_plain_json() -> None:
    said = verify(signed(more={"a": [1, {"b": None}]}), JWK, NOW)

    assert {**APP, "iat": NOW - 100, "exp": NOW + 100, "more": {"a": [1, {"b": None}]}} == said
    json.dumps(said)
    said["more"]["a"][1]["b"] = "mine"


@pytest.mark.parametrize(("now", "good"), [
    (NOW + 129.9, True), (NOW + 130, False), (NOW - 130, True), (NOW - 130.1, False),
])  # fmt: skip
def test_an_endorsement_has_its_time(now: float, good: bool) -> None:
    if good:
        verify(signed(), JWK, now)
        return
    with pytest.raises(ClaimRejected) as caught:
        verify(signed(), JWK, now)
    assert ("exp" if now > NOW else "iat") == caught.value.claim


def test_leeway_can_be_none() -> None:
    verify(signed(), JWK, NOW + 99, leeway=0)
    with pytest.raises(Expired):
        verify(signed(), JWK, NOW + 100, leeway=0)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_none_is_not_a_time_at_which_everything_holds(now: float) -> None:
    with pytest.raises(Misconfigured, match="now is a number"):
        verify(signed(), JWK, now)


def test_nbf_counts_where_it_is_there() -> None:
    with pytest.raises(ClaimRejected, match="nbf"):
        verify(signed(nbf=NOW + 60), JWK, NOW)


def test_another_key_of_that_name_is_told() -> None:
    other = SigningKey("RS256", private_key("RSA", "b"), "example.com")
    with pytest.raises(BadSignature):
        verify(signed(key=other), JWK, NOW)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_part_counts(part: int) -> None:
    parts = signed().split(".")
    parts[part] = parts[part][:8] + ("B" if parts[part][8] != "B" else "C") + parts[part][9:]
    with pytest.raises(InvalidToken):
        verify(".".join(parts), JWK, NOW)


def test_the_kid_is_the_keys() -> None:
    with pytest.raises(UnknownKey) as caught:
        verify(signed(key=SigningKey("RS256", private_key("RSA", "a"), "other.example")), JWK, NOW)
    assert "other.example" == caught.value.kid


def test_a_token_that_names_no_key_is_refused() -> None:
    head = encode(b'{"alg":"RS256","typ":"JWT"}')
    payload = signed().split(".")[1]
    token = f"{head}.{payload}.{encode(KEY.sign(f'{head}.{payload}'.encode()))}"
    with pytest.raises(ClaimRejected) as caught:
        verify(token, JWK, NOW)
    assert "kid" == caught.value.claim


def test_the_issuer_is_what_the_key_is_called_or_the_one_that_is_named() -> None:
    with pytest.raises(UnknownIssuer):
        verify(signed(iss="other.example"), JWK, NOW)
    assert "other.example" == verify(signed(iss="other.example"), JWK, NOW, issuer="other.example")["iss"]
    with pytest.raises(UnknownIssuer):
        verify(signed(), JWK, NOW, issuer="other.example")
    with pytest.raises(Misconfigured):
        verify(signed(), JWK, NOW, issuer="")


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256"])
def test_the_algorithm_is_pinned(alg: str) -> None:
    key = SigningKey(alg, private_key("RSA", "a"), "example.com")
    with pytest.raises(UnknownKey):
        verify(signed(key=key), JWK, NOW)


def test_neither_none_nor_the_public_key_as_a_secret_is_a_signature() -> None:
    payload = signed().split(".")[1]
    head = encode(b'{"alg":"none","kid":"example.com","typ":"JWT"}')
    with pytest.raises(InvalidToken):
        verify(f"{head}.{payload}.", JWK, NOW)
    head = encode(b'{"alg":"HS256","kid":"example.com","typ":"JWT"}')
    forged = hmac.digest(pem("RS256"), f"{head}.{payload}".encode(), hashlib.sha256)
    with pytest.raises(UnknownKey):
        verify(f"{head}.{payload}.{encode(forged)}", JWK, NOW)


@pytest.mark.parametrize("typ", [None, "at+jwt", "logout+jwt"])
def test_another_kind_of_token_is_no_endorsement(typ: str | None) -> None:
    with pytest.raises(ClaimRejected) as caught:
        verify(signed(typ=typ), JWK, NOW, payload_unchecked=True)
    assert "typ" == caught.value.claim


@pytest.mark.parametrize("jwk", [
    make("ES256", "example.com").public, {**JWK, "alg": "PS256"}, {**JWK, "kid": ""},
    {"kty": "oct", "k": "AQ", "kid": "example.com"},
])  # fmt: skip
def test_what_is_no_key_for_this_is_our_mistake(jwk: Any) -> None:
    with pytest.raises(Misconfigured):
        verify(signed(), jwk, NOW)


def test_all_that_is_wrong_with_the_payload_is_told_unless_nobody_wants_to_know() -> None:
    token = signed(client_name="", scope=None, redirect_uris="https://a.example")
    with pytest.raises(PayloadRejected) as caught:
        verify(token, JWK, NOW)

    assert ["client_name", "redirect_uris", "scope"] == [problem.claim for problem in caught.value.problems]
    with pytest.raises(PayloadRejected) as caught:
        verify(signed({"sub": 1}), JWK, NOW)
    assert {"client_name", "iss", "iat", "exp", "redirect_uris"} < {problem.claim for problem in caught.value.problems}
    bare = signed({"iss": "example.com", "iat": NOW, "exp": NOW + 1})
    assert {"iss": "example.com", "iat": NOW, "exp": NOW + 1} == verify(bare, JWK, NOW, payload_unchecked=True)


def test_without_its_times_it_is_refused_whatever_is_checked() -> None:
    for claim in ("iat", "exp"):
        rest = {name: value for name, value in {**APP, "iat": NOW, "exp": NOW + 1}.items() if name != claim}
        with pytest.raises(ClaimRejected) as caught:
            verify(signed(rest), JWK, NOW, payload_unchecked=True)
        assert claim == caught.value.claim


def test_it_is_about_the_application_that_is_meant() -> None:
    assert APP["software_id"] == verify(signed(), JWK, NOW, software_id=APP["software_id"])["software_id"]
    nobodys = {name: value for name, value in {**APP, "iat": NOW, "exp": NOW + 1}.items() if name != "software_id"}
    for token in (signed(software_id="another"), signed(nobodys)):
        with pytest.raises(ClaimRejected) as caught:
            verify(token, JWK, NOW, software_id=APP["software_id"])
        assert "software_id" == caught.value.claim


def test_the_same_rules_are_a_provider_for_a_guard() -> None:
    provider = endorsements("example.com", fixed(JWK))
    guard = Guard([provider], clock=lambda: NOW)
    who = verify_by_guard(guard, signed())

    assert (None, APP["software_id"], "poet") == (who.user, who.client, who.provider)
    assert {"openid", "profile", "patient/*.read"} == who.scopes
    with pytest.raises(PayloadRejected):
        verify_by_guard(guard, signed(client_name=""))


def test_it_takes_rs256_alone_whatever_else_its_keys_could_do() -> None:
    keys = fixed({name: value for name, value in JWK.items() if name != "alg"})
    guard = Guard([endorsements("example.com", keys)], clock=lambda: NOW)
    verify_by_guard(guard, signed())
    with pytest.raises(UnknownKey):
        verify_by_guard(guard, signed(key=SigningKey("PS256", private_key("RSA", "a"), "example.com")))


def test_no_error_shows_what_the_token_says() -> None:
    for token in (signed(client_name=["hunter2"]), signed(software_id=["hunter2"]), signed(exp="hunter2")):
        with pytest.raises(InvalidToken) as caught:
            verify(token, JWK, NOW)
        assert "hunter2" not in str(caught.value)
