"""What is said of a provider → a Provider whose every word is checked, or Misconfigured on import day."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import ClaimNames, Guard, Memory, Provider, fixed, jwks, keycloak, rfc9068, salted, shared_secret
from jwt_guard.errors import ClaimRejected, Expired, InvalidToken, Misconfigured, UnknownKey
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.tokens.algorithms import ASYMMETRIC, HMAC
from jwt_guard.tokens.claims import Rule, has, id_token
from jwt_guard.tokens.compact import UnverifiedToken
from tests.support.keys import public_jwk, secret
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, guard, mint, verdict

EC = fixed(public_jwk("ES256"))
GOOD: dict[str, Any] = {"name": "test", "issuer": ISSUER, "audience": AUDIENCE, "keys": EC}


def made(**changes: Any) -> Provider:
    return Provider(**{**GOOD, **changes})


MISTAKES: dict[str, dict[str, Any]] = {
    "no name": {"name": ""},
    "a name with a blank": {"name": "my shop"},
    "a name with a line break": {"name": "shop\n"},
    "a name that begins with a dash": {"name": "-shop"},
    "a long name": {"name": "x" * 65},
    "a name that is no text": {"name": None},
    "no issuer": {"issuer": ""},
    "no issuers": {"issuer": []},
    "an issuer that is no text": {"issuer": None},
    "bytes for an issuer": {"issuer": b"https://id.test"},
    "an empty issuer among others": {"issuer": [ISSUER, ""]},
    "an issuer with a blank": {"issuer": f" {ISSUER}"},
    "any issuer": {"issuer": "*"},
    "any issuer among others": {"issuer": [ISSUER, "*"]},
    "no audience": {"audience": ""},
    "no audiences": {"audience": []},
    "an audience that is None": {"audience": None},
    "any audience": {"audience": "*"},
    "an audience that is no text": {"audience": [5]},
    "a JWK for a source": {"keys": public_jwk("ES256")},
    "a URL for a source": {"keys": "https://id.test/keys"},
    "an issuer that cannot be asked": {"issuer": "shop", "keys": None},
    "an issuer without TLS": {"issuer": "http://id.test", "keys": None},
    "two issuers and no keys": {"issuer": [ISSUER, "https://b.test"], "keys": None},
    "no algorithms": {"algorithms": []},
    "algorithm none": {"algorithms": ["none"]},
    "algorithm None": {"algorithms": ["None", "ES256"]},
    "an unknown algorithm": {"algorithms": ["ES255"]},
    "an algorithm in lower case": {"algorithms": ["es256"]},
    "an algorithm that the key has not": {"algorithms": ["RS256"]},
    "one such among others": {"algorithms": ["ES256", "ES384"]},
    "HMAC with public keys": {"algorithms": ["HS256"]},
    "HMAC for a URL": {"algorithms": ["HS256"], "keys": jwks("https://id.test/keys")},
    "public keys for a salt": {"algorithms": ["RS256"], "keys": salted(lambda _: b"")},
    "HMAC and public keys": {"keys": fixed({"keys": [public_jwk("HS256"), public_jwk("ES256")]})},
    "a negative leeway": {"leeway": -1},
    "a leeway of an hour": {"leeway": 3600},
    "a leeway that is no number": {"leeway": "30"},
    "a leeway of truth": {"leeway": True},
    "a leeway of nan": {"leeway": float("nan")},
    "no maximum age": {"max_age": 0},
    "a negative maximum age": {"max_age": -1},
    "a maximum age that is no number": {"max_age": "1h"},
    "a maximum age of truth": {"max_age": True},
    "a maximum age of nan": {"max_age": float("nan")},
    "no types": {"typ": []},
    "an empty type": {"typ": ""},
    "an empty required claim": {"required": [""]},
    "a required claim that is none": {"required": [None]},
    "claim names in a dict": {"claims": {"user": "sub"}},
    "a memory that is a number": {"remember": 1},
    "a memory that is a text": {"remember": "yes"},
    "a kind that is a text": {"kind": "id_token"},
    "a key issuer that is a text": {"key_issuer": ISSUER},
    "perhaps no expiry": {"exp_may_be_missing": "no"},
    "an expiry that is neither": {"exp_may_be_missing": 1},
    "rules that are functions": {"extra_rules": [lambda *_: None]},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_wrong_provider_does_not_come_to_be(mistake: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        made(**mistake)


def test_a_misconfiguration_is_a_value_error_that_names_the_provider() -> None:
    with pytest.raises(ValueError, match="provider shop: leeway is 0 to 300 seconds"):
        made(name="shop", leeway=301)


def test_what_is_not_said_is_discovered_strict_and_asymmetric() -> None:
    provider = Provider(name="test", issuer=ISSUER, audience=AUDIENCE)

    assert isinstance(provider.source, RemoteKeys)
    assert ASYMMETRIC == provider.allowed
    assert {ISSUER} == provider.issuers
    assert 30 == provider.leeway


@pytest.mark.parametrize(
    ("keys", "algorithms", "allowed"),
    [
        (EC, None, {"ES256"}),
        (EC, ["ES256"], {"ES256"}),
        (EC, "ES256", {"ES256"}),
        (fixed(public_jwk("RS256")), ["RS256"], {"RS256"}),
        (fixed({"keys": [public_jwk("HS256"), public_jwk("ES256")]}), ["ES256"], {"ES256"}),
        (fixed({"keys": [public_jwk("HS256"), public_jwk("ES256")]}), ["HS256"], {"HS256"}),
        (shared_secret(secret()), None, set(HMAC)),
        (salted(lambda _: b""), ["HS512"], {"HS512"}),
        (jwks("https://id.test/keys"), ["RS256", "ES256"], {"RS256", "ES256"}),
        (lambda _: None, None, ASYMMETRIC),
    ],
)
def test_what_may_be_used_is_what_the_keys_can_cut_by_what_is_said(
    keys: Any, algorithms: Any, allowed: set[str]
) -> None:
    assert allowed == made(keys=keys, algorithms=algorithms).allowed


def test_a_source_of_ones_own_is_a_function_of_the_token() -> None:
    def source(token: UnverifiedToken) -> Any:
        return EC(token)

    assert "ada" == verdict(guard(keys=source), mint(claims(sub="ada"))).user  # type: ignore[union-attr]
    assert isinstance(verdict(guard(keys=EC), mint(alg="RS256")), (InvalidToken, UnknownKey))


def rejected(token: str, **changes: Any) -> str:
    """Return which claim a provider with *changes* does not like of *token*, "" where it likes them all."""
    of = verdict(guard(**changes), token)
    return of.claim if isinstance(of, ClaimRejected) else "" if not isinstance(of, Exception) else type(of).__name__


def test_each_word_becomes_a_rule() -> None:
    assert "" == rejected(mint())
    assert "" == rejected(mint(claims(exp=NOW - 29)))
    assert "exp" == rejected(mint(claims(exp=NOW - 29)), leeway=0)
    assert "" == rejected(mint(claims(exp=NOW - 299)), leeway=300)
    assert "iat" == rejected(mint(claims(iat=NOW - 2 * HOUR)), max_age=HOUR)
    assert "iat" == rejected(mint(claims(iat=ABSENT)), max_age=HOUR)
    assert "" == rejected(mint(claims(iat=NOW - 60)), max_age=HOUR)
    assert "sub" == rejected(mint(claims(sub=ABSENT)), required=["sub"])
    assert "sub" == rejected(mint(claims(sub=ABSENT)), required="sub")
    assert "" == rejected(mint(claims(sub=ABSENT)))
    assert "typ" == rejected(mint(), typ=["at+jwt"])
    assert "" == rejected(mint(header={"typ": "application/AT+jwt"}), typ=["at+jwt"])
    assert "aud" == rejected(mint(claims(aud="other")), audience=["orders", "stock"])
    assert "" == rejected(mint(claims(aud="stock")), audience=["orders", "stock"])
    assert "" == rejected(mint(claims(aud="x", client_id="app")), audience="app", audience_claim="client_id")
    assert "client_id" == rejected(mint(claims(aud="app", client_id="x")), audience="app", audience_claim="client_id")
    assert "tenant" == rejected(mint(), extra_rules=[has("tenant")])
    assert isinstance(verdict(guard(leeway=0), mint(claims(exp=NOW))), Expired)


def test_rfc9068_demands_what_the_rfc_demands() -> None:
    strict = Guard([rfc9068(ISSUER, AUDIENCE, keys=fixed({"keys": [public_jwk("ES256", kid="a")]}))], clock=lambda: NOW)
    good = mint(header={"typ": "at+jwt"})

    assert not isinstance(verdict(strict, good), Exception)
    assert "rfc9068" == verdict(strict, good).provider  # type: ignore[union-attr]
    for claim in ("sub", "client_id", "iat", "jti", "exp", "iss", "aud"):
        assert isinstance(verdict(strict, mint(claims(**{claim: ABSENT}), {"typ": "at+jwt"})), InvalidToken), claim
    for typ in ("JWT", "at", "id+jwt", "at+jwt;x"):
        assert isinstance(verdict(strict, mint(header={"typ": typ})), ClaimRejected), typ
    assert isinstance(verdict(strict, mint()), ClaimRejected)


def test_a_profile_may_be_changed_where_an_installation_differs() -> None:
    lax = rfc9068(ISSUER, AUDIENCE, name="lax", keys=EC, typ=["JWT"], required=["sub"], leeway=5)

    assert ("lax", ["JWT"], ["sub"], 5) == (lax.name, lax.typ, lax.required, lax.leeway)


def test_keycloak_reads_realm_roles_or_those_of_one_client() -> None:
    keys = fixed({"keys": [public_jwk("ES256", kid="a")]})
    token = mint(
        claims(
            azp="shop", client_id=ABSENT, typ="Bearer", nonce="n", preferred_username="ada",
            realm_access={"roles": ["user"]}, resource_access={"orders": {"roles": ["ops"]}},
        ),
        {"typ": "JWT"},
    )  # fmt: skip

    for client, expected in ((None, {"user"}), ("orders", {"ops"}), ("other", set[str]())):
        found = verdict(Guard([keycloak(ISSUER, AUDIENCE, client, keys=keys)], clock=lambda: NOW), token)
        assert not isinstance(found, Exception)
        assert ("shop", "keycloak") == (found.client, found.provider)
        assert expected == found.roles


def test_a_keycloak_service_account_is_nobodys_user() -> None:
    keys = fixed({"keys": [public_jwk("ES256", kid="a")]})
    machine = Guard([keycloak(ISSUER, AUDIENCE, keys=keys)], clock=lambda: NOW)

    for name, user in (("service-account-shop", None), ("ada", "id-7"), (5, "id-7"), (None, "id-7")):
        found = verdict(machine, mint(claims(sub="id-7", azp="shop", preferred_username=name)))
        assert not isinstance(found, Exception)
        assert user == found.user


@pytest.mark.parametrize("kind", [None, id_token()], ids=["access tokens", "ID tokens"])
@pytest.mark.parametrize("audience_claim", ["aud", "client_id"])
@pytest.mark.parametrize("memory", [None, Memory()], ids=["no memory", "a memory"])
def test_no_token_without_an_expiry_slips_through_unless_that_was_said(
    kind: Rule | None, audience_claim: str, memory: Memory | None
) -> None:
    """However a provider asks its rules, at a glance or one by one, and also the second time."""
    settings: dict[str, Any] = {"kind": kind, "audience_claim": audience_claim, "keys": EC}
    token = mint(claims(exp=ABSENT, client_id=AUDIENCE, scope=ABSENT), {"typ": "JWT"})
    over = mint(claims(exp=NOW - 30, client_id=AUDIENCE, scope=ABSENT), {"typ": "JWT"})
    strict = Guard([made(**settings)], clock=lambda: NOW, memory=memory)
    lax = Guard([made(**settings, exp_may_be_missing=True)], clock=lambda: NOW, memory=memory)

    for _ in range(3):
        for bad, of in ((token, strict), (over, strict), (over, lax)):
            found = verdict(of, bad)
            assert isinstance(found, ClaimRejected)
            assert "exp" == found.claim
        assert not isinstance(verdict(lax, token), Exception)


def test_names_claim_names_of_ones_own() -> None:
    names = ClaimNames(user=("email",), roles=(("x", "y"),))
    found = verdict(guard(claims=names), mint(claims(email="ada@id.test", x={"y": "ops"})))

    assert not isinstance(found, Exception)
    assert "ada@id.test" == found.user
    assert {"ops"} == found.roles
