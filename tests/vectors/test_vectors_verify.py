"""Each vector of this folder → the verdict that jwt_guard gives on it, which is the one it states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jwt_guard import ClaimNames, Guard, Provider, fixed, salted, shared_secret, verify
from jwt_guard.errors import BadSignature, ClaimRejected, GuardError, Misconfigured
from jwt_guard.tokens.claims import FOREVER, access_token
from jwt_guard.tokens.compact import parse, read_jws
from jwt_guard.tokens.keys import Key, KeyUnusable, key_from_jwk, key_from_pem
from jwt_guard.tokens.verify import check_signature

if TYPE_CHECKING:
    from collections.abc import Iterable

Vector = dict[str, Any]

HERE = Path(__file__).parent
FILES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(HERE.glob("*.json"))}
VECTORS: list[Vector] = [vector for vectors in FILES.values() for vector in vectors]
BY_ID: dict[str, Vector] = {vector["id"]: vector for vector in VECTORS}

# What is valid as the RFCs say, and refused here all the same.
BEYOND_US = {"self-made-ed448": "its crv 'Ed448' is not known here"}
SHORT_SECRETS = {"joat-hs256": 30}


def each(vectors: Iterable[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in vectors])


def key_of(vector: Vector) -> Key:
    return key_from_jwk(vector["key"], shortest_secret=SHORT_SECRETS.get(vector["id"]))


def verifies(jws: str, key: Key) -> bool:
    try:
        check_signature(read_jws(jws), key)
    except GuardError:
        return False
    return True


@each(vector for vector in VECTORS if vector["key"] is not None and vector["id"] not in BEYOND_US)
def test_the_verdict_is_the_stated_one(vector: Vector) -> None:
    assert vector["verifies"] == verifies(vector["jws"], key_of(vector))


@each(vector for vector in VECTORS if "pem" in vector)
def test_the_verdict_is_the_same_by_the_key_in_pem(vector: Vector) -> None:
    assert vector["verifies"] == verifies(vector["jws"], key_from_pem(vector["pem"].encode()))


@pytest.mark.parametrize("name", BEYOND_US)
def test_a_key_that_is_not_for_us_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(KeyUnusable) as caught:
        key_of(BY_ID[name])

    assert BEYOND_US[name] == str(caught.value)


@pytest.mark.parametrize("name", SHORT_SECRETS)
def test_a_short_secret_counts_only_when_its_length_was_asked_for(name: str) -> None:
    with pytest.raises(KeyUnusable):
        key_from_jwk(BY_ID[name]["key"])
    with pytest.raises(KeyUnusable):
        key_from_jwk(BY_ID[name]["key"], shortest_secret=SHORT_SECRETS[name] + 1)


@each(vector for vector in VECTORS if vector["alg"] == "none")
def test_an_unsecured_example_is_refused_whatever_the_key_is(vector: Vector) -> None:
    for donor in ("rfc7515-a1-hs256", "rfc7515-a2-rs256", "rfc7515-a3-es256", "rfc8037-a4-eddsa"):
        assert not verifies(vector["jws"], key_of(BY_ID[donor]))


@each(FILES["hostile"])
def test_every_hostile_token_is_refused(vector: Vector) -> None:
    assert not verifies(vector["jws"], key_of(vector))


@each(FILES["hostile"])
def test_no_hostile_token_gets_past_a_guard_that_asks_for_little(vector: Vector) -> None:
    # The rules come after the signature here, so a refusal for its claims would mean that it had passed for signed.
    with pytest.raises(GuardError) as caught:
        verify(lenient_guard(vector), vector["jws"])

    assert not isinstance(caught.value, ClaimRejected)


def lenient_guard(vector: Vector) -> Guard:
    payload = payload_of(vector)
    issuer = payload.get("iss")
    return Guard(
        [Provider("any", issuer if isinstance(issuer, str) else "joe", "x", keys=fixed(vector["key"]))],
        clock=lambda: 0.0,
    )


def payload_of(vector: Vector) -> dict[str, Any]:
    try:
        payload = json.loads(vector["payload"])
    except (TypeError, ValueError):
        return {}
    return payload if isinstance(payload, dict) else {}


# --- golden tokens through a whole guard ---------------------------------------------------------------------------
# They are access tokens of no standard kind: client assertions, an ID token, PyJOAT's own.  The standard rules refuse
# what they are meant to refuse; what is left over shows that whole guards read the rest.

SMART = ("smart-asym-rs384", "smart-asym-es384")
POET = ("poet-signed-jws", "poet-readme-token")


def golden_guard(vector: Vector, **changes: Any) -> Guard:
    payload = payload_of(vector)
    settings: dict[str, Any] = {
        "name": "golden",
        "issuer": payload.get("iss", "https://nobody.example"),
        "audience": vector.get("expected_audience", "anything"),
        "keys": changes.get("keys") or fixed(vector["key"]),
    }
    return Guard([Provider(**{**settings, **changes})], clock=lambda: vector.get("clock", 1_500_000_000))


@pytest.mark.parametrize("name", SMART)
def test_a_client_assertion_is_refused_as_an_access_token(name: str) -> None:
    vector = BY_ID[name]
    with pytest.raises(ClaimRejected) as caught:
        verify(golden_guard(vector), vector["jws"])

    assert "sub" == caught.value.claim


@pytest.mark.parametrize("name", SMART)
def test_a_client_assertion_is_signed_by_its_client_and_by_nobody_else(name: str) -> None:
    vector = BY_ID[name]
    stranger = BY_ID["rfc7515-a2-rs256" if vector["alg"] == "RS384" else "self-made-ed25519"]
    with pytest.raises(GuardError) as caught:
        verify(golden_guard(vector, keys=fixed({**stranger["key"], "kid": vector["key"]["kid"]})), vector["jws"])

    assert not isinstance(caught.value, ClaimRejected)
    assert verifies(vector["jws"], key_of(vector))


@pytest.mark.parametrize("name", SMART)
def test_a_client_assertion_is_over_when_its_time_is(name: str) -> None:
    vector = BY_ID[name]
    expiry = payload_of(vector)["exp"]
    late = {**vector, "clock": expiry + 30}
    with pytest.raises(ClaimRejected) as caught:
        verify(golden_guard(late), vector["jws"])

    assert "exp" == caught.value.claim


def test_an_id_token_without_exp_is_refused() -> None:
    vector = BY_ID["smart-id-token-rs384"]
    with pytest.raises(ClaimRejected) as caught:
        verify(golden_guard(vector), vector["jws"])

    assert verifies(vector["jws"], key_of(vector))
    assert "exp" == caught.value.claim


def joat_guard(vector: Vector, keys: Any) -> Guard:
    payload = payload_of(vector)
    return golden_guard(
        vector,
        keys=keys,
        audience=payload["aud"],
        name="joat",
        claims=ClaimNames(user=("sub",), client=("aud",), scopes=("scp",)),
    )


@pytest.mark.parametrize("kind", ["secret", "salt"])
def test_a_token_of_pyjoat_is_read_as_pyjoat_reads_it(kind: str) -> None:
    vector = BY_ID["joat-hs256"]
    secret = "the most secret hmac salt ever"
    seen: list[Any] = []

    def salt(claims: Any) -> str:
        seen.append(claims["aud"])
        return secret

    keys: Any = shared_secret(secret, shortest=30) if kind == "secret" else salted(salt, shortest=30)
    who = verify(joat_guard(vector, keys), vector["jws"])

    expected = vector["expected_parse"]
    assert expected["user_id"] == who.user
    assert expected["client_id"] == who.client
    assert set(expected["authorized_scope"]) == who.scopes
    assert ([] if kind == "secret" else [payload_of(vector)["aud"]]) == seen


def test_the_secret_of_pyjoat_is_short_unless_that_was_asked_for() -> None:
    with pytest.raises(Misconfigured):
        shared_secret("the most secret hmac salt ever")


def test_a_token_of_pyjoat_is_refused_by_another_secret() -> None:
    vector = BY_ID["joat-hs256"]
    with pytest.raises(BadSignature):
        verify(joat_guard(vector, shared_secret("the most secret hmac salt EVER", shortest=30)), vector["jws"])


@pytest.mark.parametrize("name", POET)
def test_a_signed_statement_about_an_application_lets_nobody_in(name: str) -> None:
    vector = BY_ID[name]
    with pytest.raises(ClaimRejected) as caught:
        verify(golden_guard(vector), vector["jws"])

    assert "aud" == caught.value.claim
    assert verifies(vector["jws"], key_of(vector))


LAYOUTS = [vector for vector in FILES["golden_jws"] if vector["key"] is None]


@each(vector for vector in LAYOUTS if "access" in vector["id"])
def test_the_nonce_in_an_access_token_of_koppeltaal_makes_no_id_token_of_it(vector: Vector) -> None:
    token = parse(vector["jws"])

    assert "nonce" in token.values
    assert FOREVER == access_token().holds_until(token, 0)


def test_an_id_token_of_koppeltaal_is_known_for_one() -> None:
    with pytest.raises(ClaimRejected) as caught:
        access_token().holds_until(parse(BY_ID["koppeltaal-id-2"]["jws"]), 0)

    assert "nonce" == caught.value.claim


@each(LAYOUTS)
def test_a_layout_without_a_published_key_is_refused_by_any_other_key(vector: Vector) -> None:
    assert "RS512" == read_jws(vector["jws"]).header.alg
    assert not verifies(vector["jws"], key_of(BY_ID["rfc7515-a2-rs256"]))
