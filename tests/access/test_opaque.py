"""A token that only its issuer can read → who is asked about it, what must hold of the answer, and whom it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jwt_guard import Guard, Limits, Provider, Resolver, authenticated, keycloak, scopes
from jwt_guard.access.denylist import Denylist
from jwt_guard.access.once import Once
from jwt_guard.access.policy import Policy
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import (
    BadSignature,
    ClaimRejected,
    Expired,
    GuardError,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    Misconfigured,
    Revoked,
    StoreFailed,
    Unavailable,
    UnknownIssuer,
)
from jwt_guard.flow import Stored
from jwt_guard.messages import PlainRequest
from jwt_guard.sources.introspection import Introspection, introspection
from jwt_guard.tokens.claims import FOREVER, Rule
from tests.support.issuers import KEYS
from tests.support.keys import encode
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, mint, provider
from tests.support.playing import Clock, Played, down, play, reply

URL = "https://id.test/introspect"
TOKEN = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"


def asking(clock: Callable[[], float] | None = None, **changes: Any) -> Introspection:
    given: dict[str, Any] = {"client_id": "orders-api", "client_secret": "s3cret", **changes}
    made = introspection(URL, **given)
    if clock is not None:
        made._clock = clock  # type: ignore[misc]
    return made


def guarding(policy: Policy | None = None, clock: Callable[[], float] = lambda: NOW, **changes: Any) -> Guard:
    own = {name: changes.pop(name) for name in ("revoked", "limits", "memory") if name in changes}
    asks = changes.pop("introspection", None) or asking()
    return Guard([provider(introspection=asks, **changes)], policy or authenticated(), clock=clock, **own)


def answer(**changes: Any) -> dict[str, Any]:
    """Return what an issuer says of a good token, with *changes*."""
    said = {"active": True, "token_type": "Bearer", **claims(), **changes}
    return {name: value for name, value in said.items() if value is not ABSENT}


def decided(of: Guard, token: str, *answers: Any) -> Played:
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),))
    return play(lambda: of.decide(request), *answers)


def who(of: Guard, token: str, *answers: Any) -> Credentials:
    decision = decided(of, token, *answers).value
    assert isinstance(decision, Allow), decision
    assert decision.credentials is not None
    return decision.credentials


def why_not(of: Guard, token: str, *answers: Any) -> GuardError:
    decision = decided(of, token, *answers).value
    assert isinstance(decision, Deny), decision
    return decision.error


# --- who is asked ------------------------------------------------------------------------------------


def test_an_opaque_token_is_whom_its_issuer_says() -> None:
    of = guarding(scopes("orders:read"))
    found = who(of, TOKEN, reply(answer()))

    assert ("ada-lovelace", "shop", "test") == (found.user, found.client, found.provider)
    assert frozenset({"orders:read", "orders:write"}) == found.scopes
    assert ISSUER == found.claims["iss"]


def test_the_policy_is_asked_as_for_any_token() -> None:
    assert isinstance(why_not(guarding(scopes("admin")), TOKEN, reply(answer())), InsufficientScope)


def test_what_was_said_counts_for_a_while_without_a_wait() -> None:
    of = guarding()
    who(of, TOKEN, reply(answer()))
    again = decided(of, TOKEN)

    assert isinstance(again.value, Allow)
    assert [] == again.needs
    assert isinstance(of.admit(TOKEN), Credentials)


@pytest.mark.parametrize("token", ["a", "a.b", "ory_at_x.y", "a.b.c.d", "a.b.c.d.e", ".", "NOOP", "a~b+c/d=="])
def test_whatever_has_not_three_parts_is_asked_about(token: str) -> None:
    assert [URL] == decided(guarding(), token, reply(answer())).fetched


@pytest.mark.parametrize("token", ["a.b.c", "..", mint(claims(iss="https://other.test")), mint(which="b")])
def test_nothing_of_three_parts_is_shown_to_anybody(token: str) -> None:
    played = decided(guarding(introspection=asking(jwts=True)), token)

    assert isinstance(played.value, Deny)
    assert [] == played.needs


def test_without_anybody_to_ask_an_opaque_token_is_refused() -> None:
    for of in (Guard([provider()]), Guard([provider(introspection=asking(opaque=False, jwts=True))])):
        played = decided(of, TOKEN)

        assert isinstance(played.value, Deny)
        assert isinstance(played.value.error, InvalidToken)
        assert [] == played.needs


def test_two_that_could_be_asked_are_one_too_many() -> None:
    other = Provider("other", "https://other.test", AUDIENCE, introspection=asking())
    with pytest.raises(Misconfigured, match="test and other"):
        Guard([provider(introspection=asking()), other])


def test_one_alone_is_asked_where_others_are_asked_about_signed_tokens() -> None:
    other = Provider("other", "https://other.test", AUDIENCE, introspection=asking(opaque=False, jwts=True))
    of = Guard([other, provider(introspection=asking())], clock=lambda: NOW)

    assert "test" == who(of, TOKEN, reply(answer())).provider


@pytest.mark.parametrize("token", ["a b", "a,b", "é", "a\nb", "=", "", "a=b", "\ud800", "a" * 101])
def test_a_text_that_is_no_token_is_shown_to_nobody(token: str) -> None:
    of = guarding(limits=Limits(token=100, header=100))
    played = play(lambda: of.admit(token))

    assert isinstance(played.error, InvalidToken)
    assert [] == played.needs


def test_in_a_request_it_is_malformed_as_any_token_would_be() -> None:
    played = decided(guarding(), "a,b")

    assert isinstance(played.value, Deny)
    assert isinstance(played.value.error, MalformedRequest)
    assert [] == played.needs


def test_what_is_no_text_is_no_token() -> None:
    of = guarding()

    assert isinstance(play(lambda: of.verified(None)).error, InvalidToken)  # type: ignore[arg-type]


def test_it_works_beside_a_resolver() -> None:
    of = Guard(
        [provider(introspection=asking())],
        resolver=Resolver(lambda _: None, "https://{tenant}.tenants.test"),
        clock=lambda: NOW,
    )

    assert "test" == who(of, TOKEN, reply(answer())).provider
    assert isinstance(why_not(of, mint(claims(iss="https://x.test"))), UnknownIssuer)


# --- what must hold of the answer --------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://other.test"}, "iss"),
    "an issuer that is none": ({"iss": None}, "iss"),
    "another audience": ({"aud": "stock"}, "aud"),
    "others": ({"aud": ["stock", "billing"]}, "aud"),
    "no audience": ({"aud": ABSENT}, "aud"),
    "an empty audience": ({"aud": ""}, "aud"),
    "an empty list": ({"aud": []}, "aud"),
    "an audience that is null": ({"aud": None}, "aud"),
    "an audience that is an object": ({"aud": {"orders": True}}, "aud"),
    "over": ({"exp": NOW - 30}, "exp"),
    "an end that is no date": ({"exp": "soon"}, "exp"),
    "an end that is true": ({"exp": True}, "exp"),
    "not yet": ({"nbf": NOW + 31}, "nbf"),
    "from the future": ({"iat": NOW + 31}, "iat"),
    "no type, so perhaps a refresh token": ({"token_type": ABSENT}, "token_type"),
    "a type that is null": ({"token_type": None}, "token_type"),
    "bound to its sender": ({"token_type": "DPoP"}, "token_type"),
    "a type that is no text": ({"token_type": ["Bearer"]}, "token_type"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, "cnf"),
    "a refresh token of Hydra": ({"token_use": "refresh_token"}, "token_use"),
    "a refresh token of Keycloak": ({"typ": "Refresh"}, "typ"),
    "a use that is a list": ({"token_use": ["access"]}, "token_use"),
    "an ID token": ({"at_hash": "x"}, "at_hash"),
    "a client that is a number": ({"client_id": 7}, "client_id"),
    "a scope that is a number": ({"scope": 7}, "scope"),
    "a user with a line break": ({"sub": "a\nb"}, "user"),
}


@pytest.mark.parametrize(("changes", "claim"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_hold_of_an_answer_is_refused(changes: dict[str, Any], claim: str) -> None:
    error = why_not(guarding(), TOKEN, reply(answer(**changes)))

    assert isinstance(error, ClaimRejected)
    assert claim == error.claim


TAKEN: dict[str, dict[str, Any]] = {
    "several audiences": {"aud": ["stock", "orders"]},
    "no issuer": {"iss": ABSENT},
    "no end": {"exp": ABSENT},
    "no times at all": {"exp": ABSENT, "iat": ABSENT},
    "an end within the leeway": {"exp": NOW - 29},
    "small letters": {"token_type": "bearer"},
    "Keycloak's word": {"token_type": ABSENT, "typ": "Bearer"},
    "Hydra's word": {"token_type": ABSENT, "token_use": "access_token"},
    "both of Hydra's": {"token_use": "access_token"},
    "Cognito's word": {"token_type": ABSENT, "token_use": "access"},
}


@pytest.mark.parametrize("changes", TAKEN.values(), ids=TAKEN.keys())
def test_what_may_be_missing_or_said_in_other_words_is_taken(changes: dict[str, Any]) -> None:
    assert "shop" == who(guarding(), TOKEN, reply(answer(**changes))).client


@pytest.mark.parametrize("nothing", [ABSENT, None, "", []])
def test_an_issuer_that_never_says_for_whom_can_be_taken_at_its_word(nothing: object) -> None:
    of = guarding(introspection=asking(aud_may_be_missing=True))

    assert "shop" == who(of, TOKEN, reply(answer(aud=nothing))).client
    error = why_not(of, "another", reply(answer(aud="stock")))
    assert isinstance(error, ClaimRejected)


def test_an_issuer_that_never_says_which_type_can_be_taken_at_its_word() -> None:
    of = guarding(introspection=asking(token_type_may_be_missing=True))

    assert "shop" == who(of, TOKEN, reply(answer(token_type=ABSENT))).client
    assert isinstance(why_not(of, "another", reply(answer(token_type="refresh_token"))), ClaimRejected)


def test_what_the_provider_asks_of_its_tokens_it_asks_of_answers() -> None:
    def no(_statement: object, _now: float) -> float:
        raise ClaimRejected("tenant", "is another")

    ours = Rule("tenant", "it is our tenant", lambda *_: FOREVER)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"required": ["email"]}, "email"),
        ({"max_age": 10}, "iat"),
        ({"extra_rules": (ours, Rule("tenant", "it is our tenant", no))}, "tenant"),
        ({"kind": Rule("kind", "it is none", no)}, "tenant"),
        ({"audience_claim": "client_id", "audience": "stock"}, "client_id"),
    ]
    for changes, claim in cases:
        error = why_not(guarding(**changes), TOKEN, reply(answer()))
        assert isinstance(error, ClaimRejected)
        assert claim == error.claim
    assert "shop" == who(guarding(required=["jti"], max_age=HOUR, extra_rules=(ours,)), TOKEN, reply(answer())).client


def test_a_profile_reads_answers_as_it_reads_tokens() -> None:
    of = Guard([keycloak(ISSUER, AUDIENCE, keys=KEYS, introspection=asking())], clock=lambda: NOW)
    said = answer(realm_access={"roles": ["ops"]}, preferred_username="service-account-shop")
    found = who(of, TOKEN, reply(said))

    assert (None, frozenset({"ops"}), "keycloak") == (found.user, found.roles, found.provider)


# --- for how long ------------------------------------------------------------------------------------


def test_a_kept_answer_ends_with_the_token() -> None:
    clock = Clock(NOW)
    of = guarding(clock=clock, introspection=asking(kept_for=HOUR), leeway=0)
    who(of, TOKEN, reply(answer(exp=NOW + 10)))
    clock.forward(10)

    assert isinstance(why_not(of, TOKEN), Expired)


def test_a_token_that_was_taken_back_is_let_in_no_longer_than_an_answer_is_kept() -> None:
    clock = Clock(NOW)
    of = guarding(clock=clock, introspection=asking(clock, kept_for=10))
    who(of, TOKEN, reply(answer()))
    clock.forward(9.9)
    assert "shop" == who(of, TOKEN).client
    clock.forward(0.1)

    assert isinstance(why_not(of, TOKEN, reply({"active": False})), InvalidToken)


def test_where_nobody_can_tell_it_is_503_also_for_what_was_good_before() -> None:
    clock = Clock(NOW)
    of = guarding(clock=clock, introspection=asking(clock, kept_for=10))
    assert isinstance(why_not(of, TOKEN, down()), Unavailable)
    clock.forward(1)
    who(of, TOKEN, reply(answer()))
    clock.forward(10)

    error = why_not(of, TOKEN, down())
    assert 503 == error.status
    assert isinstance(error, Unavailable)


def test_credentials_that_were_revoked_are_refused_on_each_request() -> None:
    revoked: set[str | None] = set()
    of = guarding(revoked=lambda one: one.user in revoked)
    assert "shop" == who(of, TOKEN, reply(answer())).client
    revoked.add("ada-lovelace")

    assert isinstance(why_not(of, TOKEN), Revoked)


def test_a_store_of_what_was_revoked_is_asked_last_and_refuses_where_it_cannot_tell() -> None:
    def unsure() -> Guard:
        return guarding(revoked=Denylist("redis://store.test:6379"))

    bad = decided(unsure(), TOKEN, reply(answer(aud="stock")))
    good = decided(unsure(), TOKEN, reply(answer()), StoreFailed("the store does not answer"))

    assert not any(isinstance(need, Stored) for need in bad.needs)
    assert isinstance(bad.value, Deny)
    assert isinstance(bad.value.error, ClaimRejected)
    assert any(isinstance(need, Stored) for need in good.needs)
    assert isinstance(good.value, Deny)
    assert isinstance(good.value.error, Unavailable)


def test_an_opaque_token_is_revoked_by_what_its_issuer_says_of_it() -> None:
    denylist = Denylist(clock=lambda: NOW)
    of = guarding(revoked=denylist)
    assert "shop" == who(of, TOKEN, reply(answer(iss=ABSENT))).client
    denylist.revoke(issuer=ISSUER, jti="jti-of-this-token")

    assert isinstance(why_not(of, TOKEN), Revoked)


def test_an_answer_cannot_be_changed_by_who_reads_it() -> None:
    of = guarding()
    nested = who(of, TOKEN, reply(answer(realm_access={"roles": ["ops"]}))).claims["realm_access"]

    assert isinstance(nested, Mapping)
    with pytest.raises(TypeError):
        nested["roles"] = ()  # type: ignore[index]
    assert ("ops",) == who(of, TOKEN).claims["realm_access"]["roles"]


# --- signed tokens, too ------------------------------------------------------------------------------


def jwts(clock: Callable[[], float] = lambda: NOW, **changes: Any) -> Guard:
    asks = asking(clock, jwts=True, kept_for=10)
    given: dict[str, Any] = {"introspection": asks, **changes}
    return guarding(clock=clock, **given)


def test_a_good_signed_token_is_asked_about_once_in_a_while() -> None:
    clock = Clock(NOW)
    of, token = jwts(clock), mint()
    first = decided(of, token, reply({"active": True}))
    clock.forward(9.9)
    second = decided(of, token)
    clock.forward(0.1)
    third = decided(of, token, reply({"active": True}))

    assert [Allow] * 3 == [type(each.value) for each in (first, second, third)]
    assert [[URL], [], [URL]] == [each.fetched for each in (first, second, third)]


def test_a_remembered_verdict_does_not_outlive_the_answer() -> None:
    clock = Clock(NOW)
    of, token = jwts(clock), mint()
    who(of, token, reply({"active": True}))
    clock.forward(9.9)
    assert None is not of.recall(token)
    clock.forward(0.1)

    assert None is of.recall(token)
    assert isinstance(why_not(of, token, reply({"active": False})), InvalidToken)
    assert None is of.recall(token)


def test_a_verdict_ends_with_the_token_where_that_is_sooner() -> None:
    clock = Clock(NOW)
    of, token = jwts(clock, leeway=0), mint(claims(exp=NOW + 5))
    who(of, token, reply({"active": True}))
    clock.forward(5)

    assert isinstance(why_not(of, token), Expired)


def test_without_memory_it_is_asked_no_more_often() -> None:
    of, token = jwts(memory=None), mint()
    who(of, token, reply({"active": True}))

    assert [] == decided(of, token).fetched


def test_the_claims_are_those_that_were_signed() -> None:
    said = {"active": True, "sub": "mallory", "scope": "admin"}

    assert ("ada-lovelace", False) == (
        (found := who(jwts(), mint(), reply(said))).user,
        found.can("admin"),
    )


def test_what_was_taken_back_is_refused_and_where_nobody_can_tell_it_is_503() -> None:
    assert isinstance(why_not(jwts(), mint(), reply({"active": False})), InvalidToken)
    assert 503 == why_not(jwts(), mint(), down()).status


@pytest.mark.parametrize(("changes", "claim"), [({"iss": "https://other.test"}, "iss"), ({"exp": NOW - 31}, "exp")])
def test_an_answer_that_is_not_about_a_good_token_of_ours_lets_nobody_in(changes: dict[str, Any], claim: str) -> None:
    error = why_not(jwts(), mint(), reply({"active": True, **changes}))

    assert isinstance(error, ClaimRejected)
    assert claim == error.claim


BAD: dict[str, tuple[str, type[GuardError]]] = {
    "signed by another key": (mint(which="b", header={"kid": "a"}), BadSignature),
    "over": (mint(claims(exp=NOW - HOUR)), Expired),
    "for somebody else": (mint(claims(aud="stock")), ClaimRejected),
    "not of these bytes": (f"{mint().rpartition('.')[0]}.{encode(b'x' * 64)}", BadSignature),
}


@pytest.mark.parametrize(("token", "kind"), BAD.values(), ids=BAD.keys())
def test_a_bad_signed_token_is_shown_to_nobody(token: str, kind: type[GuardError]) -> None:
    played = decided(jwts(), token)

    assert isinstance(played.value, Deny)
    assert isinstance(played.value.error, kind)
    assert [] == played.needs


def test_a_key_that_has_to_be_asked_for_comes_first() -> None:
    from jwt_guard.sources.jwks import jwks as published
    from tests.support.keys import public_jwk

    of = jwts(keys=published("https://id.test/jwks"))
    keys = reply({"keys": [public_jwk("ES256", kid="a")]})
    played = decided(of, mint(), keys, reply({"active": True}))

    assert isinstance(played.value, Allow)
    assert ["https://id.test/jwks", URL] == played.fetched


def test_only_signed_tokens_are_asked_about_where_that_is_said() -> None:
    of = jwts(introspection=asking(opaque=False, jwts=True))

    assert None is of.opaque
    assert [URL] == decided(of, mint(), reply({"active": True})).fetched
    assert [] == decided(of, TOKEN).fetched


def of_the_tenant(of: Guard) -> Introspection:
    assert of.resolver is not None
    (kept,) = of.resolver.kept
    assert kept.introspection is not None
    return kept.introspection


def test_tokens_of_a_tenant_are_asked_about_with_answers_that_are_kept() -> None:
    keys = provider().keys  # the same each time, as an application has them

    def made() -> Provider:
        return provider(keys=keys, introspection=asking(jwts=True))

    of = Guard([], resolver=Resolver(lambda _: None, ISSUER), clock=lambda: NOW)
    first = decided(of, mint(), made(), reply({"active": True}))
    again = decided(of, mint(), made(), reply({"active": True}))

    assert isinstance(first.value, Allow)
    assert isinstance(again.value, Allow)
    assert 2 == len(of_the_tenant(of)._answers)


def test_a_tenant_whose_endpoint_has_moved_is_another_one() -> None:
    of = Guard([], resolver=Resolver(lambda _: None, ISSUER), clock=lambda: NOW)
    moved = introspection(f"{URL}/new", client_id="a", client_secret="b", jwts=True)
    token, keys = mint(), provider().keys
    decided(of, token, provider(keys=keys, introspection=asking(jwts=True)), reply({"active": True}))
    played = decided(of, token, provider(keys=keys, introspection=moved), reply({"active": True}))

    assert [f"{URL}/new"] == played.fetched
    assert moved is of_the_tenant(of)


# --- what does not go together -----------------------------------------------------------------------


def test_a_provider_says_what_does_not_go_together() -> None:
    with pytest.raises(Misconfigured, match="introspection is"):
        provider(introspection=URL)
    with pytest.raises(Misconfigured, match="counts once"):
        provider(introspection=asking(), once=Once())
