"""An issuer in this process → tokens that guards take, and guards that see its keys change."""

from __future__ import annotations

import time

import anyio
import pytest

from jwt_guard import Allow, Deny, Misconfigured, averify, scopes, verify
from jwt_guard.errors import InsufficientScope, KeysUnavailable, UnknownIssuer, UnknownKey
from jwt_guard.issuing.keyring import Keyring, make
from jwt_guard.messages import PlainRequest
from jwt_guard.runners import blocking
from jwt_guard.testing import Clock, LocalIssuer
from tests.testing.test_minting import said


def test_a_token_is_good_as_it_comes() -> None:
    issuer = LocalIssuer()
    who = verify(issuer.guard(), issuer.token())

    assert ("ada", "webshop", "test", frozenset()) == (who.user, who.client, who.provider, who.scopes)
    assert abs(time.time() - who.claims["iat"]) < 60
    assert 300 == who.claims["exp"] - who.claims["iat"]


@pytest.mark.parametrize("alg", ["ES256", "ES512", "RS256", "PS256", "EdDSA", "ML-DSA-44"])
def test_any_algorithm_that_can_be_published_will_do(alg: str) -> None:
    issuer = LocalIssuer(alg=alg)
    issuer.rotate()

    assert alg == said(issuer.token())[0]["alg"]
    assert "ada" == verify(issuer.guard(), issuer.token()).user


def test_a_secret_cannot_be_published() -> None:
    with pytest.raises(Misconfigured):
        LocalIssuer(alg="HS256")


def test_an_issuer_has_a_name() -> None:
    with pytest.raises(Misconfigured):
        LocalIssuer("")


def test_claims_are_written_as_the_token_has_them() -> None:
    issuer = LocalIssuer("https://id.example", audience="orders")
    _, claims = said(issuer.token(sub=None, client_id="robot", scope="a b", aud=["x", "orders"], realm={"y": [1]}))

    assert "sub" not in claims
    assert ("https://id.example", ["x", "orders"], "robot", "a b", {"y": [1]}) == tuple(
        claims[name] for name in ("iss", "aud", "client_id", "scope", "realm")
    )


def test_a_lifetime_a_header_and_a_key_can_be_chosen() -> None:
    issuer = LocalIssuer(clock=Clock(1_000))
    header, claims = said(issuer.token(lifetime=-1, header={"typ": "JWT"}, key=make("EdDSA", "other")))

    assert {"alg": "EdDSA", "kid": "other", "typ": "JWT"} == header
    assert 999 == claims["exp"]


# --- keys --------------------------------------------------------------------------------------------


def test_a_guard_sees_a_rotation_at_once() -> None:
    issuer = LocalIssuer()
    guard, old = issuer.guard(), issuer.token()
    new_key = issuer.rotate()
    new = issuer.token()

    assert new_key is issuer.key
    assert new_key.kid == said(new)[0]["kid"] != said(old)[0]["kid"]
    assert "ada" == verify(guard, new).user
    assert "ada" == verify(guard, old).user

    issuer.retire()

    assert "ada" == verify(guard, new).user
    with pytest.raises(UnknownKey):
        verify(guard, old)


def test_a_key_can_be_published_before_it_signs() -> None:
    issuer = LocalIssuer()
    first, guard = issuer.key, issuer.guard()
    following = issuer.publish()

    assert first is issuer.key
    assert "ada" == verify(guard, issuer.token(key=following)).user
    assert following is issuer.rotate(following)
    assert following is issuer.publish(make("EdDSA", "c")) or "c" == issuer.keyring.keys[-1].kid

    issuer.retire("c")

    assert (first, following) == issuer.keyring.keys


def test_the_key_that_signs_is_not_retired() -> None:
    issuer = LocalIssuer()

    issuer.retire()
    assert (issuer.key,) == issuer.keyring.keys

    with pytest.raises(Misconfigured):
        issuer.retire(issuer.key.kid)


def test_it_may_have_a_keyring_of_ones_own() -> None:
    issuer = LocalIssuer(keyring=Keyring(make("RS256", "mine")))

    assert "mine" == said(issuer.token())[0]["kid"]
    assert "ada" == verify(issuer.guard(), issuer.token()).user


def test_while_it_is_down_nobody_can_tell() -> None:
    issuer = LocalIssuer()
    guard = issuer.guard()
    issuer.is_down = True

    with pytest.raises(KeysUnavailable) as caught:
        verify(guard, issuer.token())
    assert 503 == caught.value.status

    issuer.is_down = False

    assert "ada" == verify(guard, issuer.token()).user


def test_how_its_keys_are_can_be_seen() -> None:
    issuer = LocalIssuer()
    issuer.publish()
    guard = issuer.guard()
    well = guard.key_states()["test"]
    issuer.is_down = True
    down = guard.key_states()["test"]

    assert (True, 2) == (well.usable, well.keys)
    assert (False, 0) == (down.usable, down.keys)


# --- guards ------------------------------------------------------------------------------------------


def test_a_guard_has_the_policy_it_is_given() -> None:
    issuer = LocalIssuer()
    guard = issuer.guard(scopes("orders:read"))

    def decided(token: str) -> Allow | Deny:
        return blocking.run(guard.decide(PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),))))

    assert isinstance(decided(issuer.token(scope="orders:read")), Allow)
    denied = decided(issuer.token())
    assert isinstance(denied, Deny)
    assert isinstance(denied.error, InsufficientScope)


def test_a_provider_has_the_settings_it_is_given() -> None:
    issuer = LocalIssuer()
    provider = issuer.provider("orders", name="other", leeway=5, required=("scope",))

    assert ("other", issuer.url, "orders", 5, ("scope",)) == (
        provider.name,
        provider.issuer,
        provider.audience,
        provider.leeway,
        provider.required,
    )


def test_two_issuers_do_not_know_each_other() -> None:
    one, other = LocalIssuer(), LocalIssuer("https://other.test")

    assert "LocalIssuer('https://other.test', audience='api')" == repr(other)
    with pytest.raises(UnknownKey):
        verify(one.guard(), other.token())
    with pytest.raises(UnknownIssuer):
        verify(one.guard(), other.token(key=one.key))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_code_is_served_alike(backend: str) -> None:
    issuer = LocalIssuer()

    async def who() -> str | None:
        return (await averify(issuer.guard(), issuer.token())).user

    assert "ada" == anyio.run(who, backend=backend)
