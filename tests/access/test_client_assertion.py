"""The assertions of a client: which are taken, and that no other token is, nor one of them by an API."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, KeySettings
from jwt_guard.access.client_assertion import NamedKeys, client_assertion
from jwt_guard.access.once import Once
from jwt_guard.credentials import Credentials
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, GuardError, InvalidToken, Misconfigured, UnknownKey
from jwt_guard.tokens.claims import has
from tests.support.assertions import CLIENT, TOKEN_URL, assertion, jwks
from tests.support.keys import ASYMMETRIC, pem, public_jwk
from tests.support.minting import ABSENT, NOW, guard, mint, verdict
from tests.support.playing import Clock, down, play, reply

JWKS_URL = "https://monitor.test/jwks"


def taking(*, clock: Any = lambda: NOW, **changes: Any) -> Guard:
    settings: dict[str, Any] = {"jwks": jwks(), **changes}
    return Guard([client_assertion(CLIENT, settings.pop("audience", TOKEN_URL), **settings)], clock=clock)


def rejected(of: Guard, text: str) -> tuple[str, str]:
    error = verdict(of, text)

    assert isinstance(error, ClaimRejected), error
    return error.claim, error.reason


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_client_that_says_who_it_is_is_nobody_s_user(alg: str) -> None:
    of = taking(jwks=jwks(alg))
    who = verdict(of, assertion(key=alg))

    assert isinstance(who, Credentials)
    assert (None, CLIENT, frozenset(), frozenset()) == (who.user, who.client, who.scopes, who.roles)
    assert "client_assertion" == who.provider


def test_an_assertion_counts_once() -> None:
    of = taking()

    assert isinstance(verdict(of, assertion()), Credentials)
    assert ("jti", "was used before") == rejected(of, assertion())
    assert isinstance(verdict(of, assertion(claims={"jti": "another"})), Credentials)


def test_what_two_clients_call_alike_is_used_once_by_each() -> None:
    used = Once()
    ours = client_assertion(CLIENT, TOKEN_URL, jwks=jwks(), once=used)
    theirs = client_assertion("x", TOKEN_URL, jwks=jwks(), once=used, name="x")
    of = Guard([ours, theirs], clock=lambda: NOW)

    assert isinstance(verdict(of, assertion()), Credentials)
    assert isinstance(verdict(of, assertion(claims={"iss": "x", "sub": "x"})), Credentials)


@pytest.mark.parametrize("typ", [ABSENT, "at+jwt", "jwt", "application/jwt", "JWS", ""])
def test_its_type_is_exactly_jwt(typ: object) -> None:
    assert "typ" == rejected(taking(), assertion({"typ": typ}))[0]


@pytest.mark.parametrize("kid", [ABSENT, "", "nope", "A"])
def test_it_names_a_key_exactly(kid: object) -> None:
    assert isinstance(verdict(taking(), assertion({"kid": kid})), InvalidToken)


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("sub", {"sub": "another"}),
        ("sub", {"sub": ABSENT}),
        ("types", {"sub": 7}),
        ("aud", {"aud": "https://other.test/token"}),
        ("aud", {"aud": [TOKEN_URL, "https://other.test"]}),
        ("aud", {"aud": [TOKEN_URL, TOKEN_URL]}),
        ("aud", {"aud": ABSENT}),
        ("exp", {"exp": ABSENT}),
        ("exp", {"exp": NOW + 331}),
        ("exp", {"exp": True}),
        ("exp", {"exp": NOW - 31}),
        ("jti", {"jti": ABSENT}),
        ("jti", {"jti": ""}),
        ("nbf", {"nbf": NOW + 120}),
        ("iat", {"iat": NOW + 120}),
    ],
    ids=str,
)
def test_what_it_says_has_to_hold(claim: str, changes: dict[str, Any]) -> None:
    error = verdict(taking(), assertion(claims=changes))

    assert isinstance(error, ClaimRejected)
    assert claim in (error.claim, "types")


@pytest.mark.parametrize("exp", [NOW + 300, NOW + 330, NOW + 0.5])
def test_it_may_end_five_minutes_ahead_by_a_clock_that_differs_a_little(exp: float) -> None:
    assert isinstance(verdict(taking(), assertion(claims={"exp": exp})), Credentials)


def test_without_leeway_five_minutes_are_five_minutes() -> None:
    assert "exp" == rejected(taking(leeway=0), assertion(claims={"exp": NOW + 301}))[0]
    assert isinstance(verdict(taking(leeway=0), assertion(claims={"exp": NOW + 300})), Credentials)


def test_an_assertion_that_is_over_says_so() -> None:
    assert isinstance(verdict(taking(leeway=0), assertion(claims={"exp": NOW})), Expired)


@pytest.mark.parametrize(
    ("audience", "named"),
    [
        (TOKEN_URL, [TOKEN_URL]),
        ([TOKEN_URL, "https://authorize.test/introspect"], "https://authorize.test/introspect"),
    ],
)
def test_the_audiences_that_mean_this_server_are_those_in_its_settings(audience: Any, named: Any) -> None:
    assert isinstance(verdict(taking(audience=audience), assertion(claims={"aud": named})), Credentials)


def test_several_audiences_are_taken_only_where_that_is_said() -> None:
    of = taking(several_audiences_are_taken=True)

    assert isinstance(verdict(of, assertion(claims={"aud": [TOKEN_URL, "https://other.test"]})), Credentials)


def test_hmac_is_never_taken() -> None:
    secret = {**public_jwk("HS384", "a", kid="a"), "alg": "HS384"}
    of = taking(jwks={"keys": [public_jwk("RS384", "a", kid="b"), secret]})

    assert isinstance(verdict(of, assertion(key="HS384")), UnknownKey)
    with pytest.raises(Misconfigured, match="not one is a public key with a kid"):
        taking(jwks={"keys": [secret]})
    with pytest.raises(Misconfigured, match="do not fit its keys"):
        taking(algorithms=["HS384"])


def test_a_bad_signature_is_one() -> None:
    good, other = assertion(), assertion(claims={"jti": "another"})

    assert isinstance(verdict(taking(), good.rpartition(".")[0] + "." + other.rpartition(".")[2]), BadSignature)


# --- which key ---------------------------------------------------------------------------------------


def test_two_keys_of_one_name_and_type_mean_neither() -> None:
    rs, ps = public_jwk("RS384", "a", kid="a", alg="RS384"), public_jwk("RS384", "b", kid="a", alg="PS384")
    curves = {"keys": [public_jwk(alg, "a", kid="a") for alg in ("ES256", "ES384")]}

    assert isinstance(verdict(taking(jwks={"keys": [rs, rs]}), assertion()), UnknownKey)
    # Another algorithm makes no other type (SMART, "Signature Verification": by kty and kid).
    assert isinstance(verdict(taking(jwks={"keys": [rs, ps]}), assertion()), UnknownKey)
    assert isinstance(verdict(taking(jwks=curves), assertion(key="ES256")), UnknownKey)


def test_keys_of_one_name_and_different_types_are_told_apart() -> None:
    of = taking(jwks=jwks("RS384", "ES384", "EdDSA", "ML-DSA-44"))
    for number, alg in enumerate(("RS384", "ES384", "EdDSA", "ML-DSA-44")):
        assert isinstance(verdict(of, assertion(claims={"jti": str(number)}, key=alg)), Credentials)


def test_the_private_twin_of_a_key_does_not_count() -> None:
    public = public_jwk("RS384", "a", kid="a", key_ops=["verify"])
    twin = {**public, "key_ops": ["sign"], "d": "c2VjcmV0"}

    assert isinstance(verdict(taking(jwks={"keys": [public, twin]}), assertion()), Credentials)
    assert isinstance(verdict(taking(jwks={"keys": [twin, public]}), assertion()), Credentials)


def test_a_key_without_a_name_is_nobody_s() -> None:
    nameless, named = public_jwk("RS384", "a"), public_jwk("ES384", "a", kid="b")
    of = taking(jwks={"keys": [nameless, named]})

    assert isinstance(verdict(of, assertion()), UnknownKey)
    for material in (nameless, {"keys": [nameless]}, pem("RS384")):
        with pytest.raises(Misconfigured, match="not one is a public key with a kid"):
            taking(jwks=material)


def test_its_keys_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(jwks()))

    assert isinstance(verdict(taking(jwks=file), assertion()), Credentials)


def admitted(of: Guard, text: str) -> Any:
    answer = of.admit(text)
    return answer if isinstance(answer, Credentials) else (yield from answer)


def published(clock: Clock | None = None, **changes: Any) -> Guard:
    return taking(jwks=None, jwks_url=JWKS_URL, clock=clock or (lambda: NOW), **changes)


def test_keys_are_fetched_from_the_registered_url_whether_or_not_it_is_named() -> None:
    of = published()
    first = play(partial(admitted, of, assertion({"jku": JWKS_URL})), reply(jwks()))
    second = play(partial(admitted, of, assertion(claims={"jti": "another"})))

    assert isinstance(first.value, Credentials)
    assert [JWKS_URL] == first.fetched
    assert isinstance(second.value, Credentials)
    assert [] == second.fetched


@pytest.mark.parametrize("jku", ["https://evil.test/jwks", JWKS_URL + "/", "", None, 7, [JWKS_URL]])
def test_another_url_in_a_token_is_refused_and_never_fetched(jku: object) -> None:
    played = play(partial(admitted, published(), assertion({"jku": jku})))

    assert isinstance(played.error, ClaimRejected)
    assert "jku" == played.error.claim
    assert [] == played.needs


def test_where_the_keys_are_in_hand_no_url_is_registered() -> None:
    assert ("jku", "is not the registered URL") == rejected(taking(), assertion({"jku": JWKS_URL}))


@pytest.mark.parametrize("claims", [{"exp": NOW + 400}, {"aud": "x"}, {"jti": ABSENT}, {"sub": "x"}], ids=str)
def test_what_could_not_be_good_anyway_is_not_worth_a_fetch(claims: dict[str, Any]) -> None:
    played = play(partial(admitted, published(), assertion(claims=claims)))

    assert isinstance(played.error, ClaimRejected)
    assert [] == played.needs


def test_two_published_keys_of_one_name_mean_neither() -> None:
    twice = {"keys": [public_jwk("RS384", which, kid="a", alg=alg) for which, alg in (("a", "RS384"), ("b", "PS384"))]}
    played = play(partial(admitted, published(), assertion()), reply(twice))

    assert isinstance(played.error, UnknownKey)


def test_nobody_can_tell_while_the_keys_are_out_of_reach() -> None:
    played = play(partial(admitted, published(), assertion()), down())

    assert isinstance(played.error, GuardError)
    assert 503 == played.error.status


def test_without_a_kid_in_the_token_nothing_is_fetched() -> None:
    of = published()
    (provider,) = of.providers

    assert isinstance(provider.source, NamedKeys)
    assert provider.source.keys is None
    assert not provider.source.state().usable
    assert [] == play(partial(admitted, of, assertion({"kid": ABSENT}))).needs
    empty = play(partial(admitted, of, assertion({"kid": ""})))
    assert [] == empty.needs
    assert "kid: is required" == str(empty.error)


def test_a_set_is_kept_for_a_minute_unless_settings_say_otherwise() -> None:
    def kept(of: Guard) -> KeySettings:
        source: Any = of.providers[0].source
        settings: KeySettings = source.source.settings
        return settings

    assert (60, 60) == (kept(published()).fresh_for, kept(published()).usable_for)
    assert 7 == kept(published(settings=KeySettings(fresh_for=7))).fresh_for


# --- what it is not ----------------------------------------------------------------------------------


def test_an_api_never_takes_one_for_an_access_token() -> None:
    of = guard("RS384", issuer=CLIENT, audience=TOKEN_URL)
    error = verdict(of, assertion())

    assert isinstance(error, ClaimRejected)
    assert "a client assertion" == error.got


def test_an_access_token_is_no_assertion() -> None:
    token = mint(
        {"iss": CLIENT, "sub": "ada", "aud": TOKEN_URL, "exp": NOW + 60, "jti": "b"}, {"typ": "JWT"}, alg="RS384"
    )

    assert ("sub", "is not the client that issued it") == rejected(taking(), token)


# --- what is wrong at start --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"jwks": None}, "in jwks, or at jwks_url"),
        ({"jwks_url": JWKS_URL}, "in jwks, or at jwks_url"),
        ({"settings": KeySettings()}, "settings are for keys at jwks_url"),
        ({"jwks": None, "jwks_url": "http://monitor.test/jwks"}, "it is not https"),
        ({"jwks": None, "jwks_url": ""}, "it names no host"),
        ({"audience": []}, "audience is a text"),
        ({"audience": ""}, "audience is a text"),
        ({"leeway": "x"}, "leeway is"),
        ({"remember": True}, "is not remembered"),
        ({"jwks": {"keys": []}}, "no key that can be used"),
    ],
    ids=str,
)
def test_a_wrong_client_fails_at_start(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        taking(**settings)


def test_rules_of_one_s_own_come_on_top() -> None:
    assert "purpose" == rejected(taking(extra_rules=(has("purpose"),)), assertion())[0]
