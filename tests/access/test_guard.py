"""A request → Allow or Deny: who is asked for keys, whose keys count, and when it is 401, 403 or 503."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from jwt_guard import Guard, Limits, anyone, authenticated, by_route, fixed, roles, scopes
from jwt_guard.access.policy import Policy
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import (
    BadSignature,
    ClaimRejected,
    Expired,
    GuardError,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    Misconfigured,
    MissingToken,
    UnknownIssuer,
    UnknownKey,
)
from jwt_guard.flow import Flow, call
from jwt_guard.messages import PlainRequest
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, HOUR, ISSUER, NOW, claims, guard, mint, provider
from tests.support.playing import Clock, down, play, reply

OTHER = "https://other.test"


def request(token: str | None = None, path: str = "/", method: str = "GET", **headers: str) -> PlainRequest:
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    return PlainRequest(method, path, headers=tuple({**bearer, **headers}.items()))


def decided(of: Guard, asked: PlainRequest, *answers: Any) -> Decision:
    decision: Decision = play(partial(of.decide, asked), *answers).value
    return decision


def denied(of: Guard, asked: PlainRequest, *answers: Any) -> GuardError:
    decision = decided(of, asked, *answers)
    assert isinstance(decision, Deny)
    return decision.error


def allowed(of: Guard, asked: PlainRequest, *answers: Any) -> Credentials | None:
    decision = decided(of, asked, *answers)
    assert isinstance(decision, Allow)
    return decision.credentials


# --- one provider ------------------------------------------------------------------------------------


def test_a_good_token_is_let_in_as_whom_it_names() -> None:
    who = allowed(guard(), request(mint(claims(sub="ada"))))

    assert who is not None
    assert ("ada", "shop", "test") == (who.user, who.client, who.provider)


TABLE: dict[str, tuple[PlainRequest, type[GuardError], int]] = {
    "nothing": (request(), MissingToken, 401),
    "another scheme": (request(authorization="Basic YTpi"), MissingToken, 401),
    "no token": (request(authorization="Bearer "), MissingToken, 401),
    "two in one": (request(authorization=f"Bearer {mint()}, Bearer {mint()}"), MalformedRequest, 400),
    "no JWT": (request("opaque"), InvalidToken, 401),
    "another issuer": (request(mint(claims(iss=OTHER))), UnknownIssuer, 401),
    "no issuer": (request(mint(claims(iss=ABSENT))), UnknownIssuer, 401),
    "an issuer in a list": (request(mint(claims(iss=[ISSUER]))), UnknownIssuer, 401),
    "an issuer that is an object": (request(mint(claims(iss={}))), UnknownIssuer, 401),
    "part of the issuer": (request(mint(claims(iss=ISSUER[:-1]))), UnknownIssuer, 401),
    "more than the issuer": (request(mint(claims(iss=f"{ISSUER}/"))), UnknownIssuer, 401),
    "another key": (request(mint(header={"kid": "b"})), UnknownKey, 401),
    "another algorithm": (request(mint(alg="RS256")), InvalidToken, 401),
    "signed by another key": (request(mint(header={"kid": "a"}, which="b")), BadSignature, 401),
    "another audience": (request(mint(claims(aud="stock"))), ClaimRejected, 401),
    "over": (request(mint(claims(exp=NOW - HOUR))), Expired, 401),
    "not enough": (request(mint(claims(scope="profile"))), InsufficientScope, 403),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_whose_doing_it_is_decides_the_status(row: tuple[PlainRequest, type[GuardError], int]) -> None:
    asked, kind, status = row

    error = denied(guard(policy=scopes("orders:read")), asked)

    assert isinstance(error, kind)
    assert status == error.status


def test_two_authorization_headers_are_malformed_even_on_an_open_route() -> None:
    two = PlainRequest("GET", "/", headers=(("Authorization", f"Bearer {mint()}"), ("authorization", "Basic x")))

    assert isinstance(denied(guard(policy=anyone()), two), MalformedRequest)


def test_no_header_of_the_client_lets_it_in() -> None:
    for name in ("user-agent", "x-user", "x-forwarded-access-token", "cookie", "x-original-url"):
        assert isinstance(denied(guard(), request(**{name: f"Bearer {mint()}"})), MissingToken)


def test_a_bug_stays_a_bug() -> None:
    def buggy(*_: object) -> Decision:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decided(guard(policy=buggy), request(mint()))


def test_a_refusal_that_a_policy_raises_is_a_refusal() -> None:
    def policy(*_: object) -> Decision:
        raise InsufficientScope

    assert isinstance(denied(guard(policy=policy), request(mint())), InsufficientScope)


def test_a_policy_may_wait() -> None:
    def policy(_request: object, credentials: Credentials) -> Flow[Decision]:
        yield from call(lambda: None)
        return Allow(credentials)

    assert None is not allowed(guard(policy=policy), request(mint()), None)


def test_a_long_token_is_not_looked_at() -> None:
    of = Guard([provider()], limits=Limits(token=100, header=100), clock=lambda: NOW)

    too_long, not_too_long = (denied(of, request("a" * length)) for length in (101, 100))

    assert isinstance(too_long, InvalidToken)
    assert isinstance(not_too_long, InvalidToken)
    assert "long" in str(too_long)
    assert "long" not in str(not_too_long)


# --- open routes -------------------------------------------------------------------------------------


def test_absent_is_the_only_anonymous() -> None:
    of = guard(policy=anyone())

    assert None is allowed(of, request())
    assert None is not allowed(of, request(mint()))
    for bad in (
        request(mint(claims(exp=1))), request("x"), request(authorization="Basic x"), request(authorization=""),
        request(authorization="Bearer"), request(mint(which="b")),
    ):  # fmt: skip
        assert isinstance(decided(of, bad), Deny)


def test_glance_says_yes_only_to_nobody_on_an_open_route() -> None:
    routed = guard(policy=by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))

    assert Allow(None) == routed.glance(None, request(path="/health"))
    assert None is routed.glance(None, request(path="/orders"))
    assert None is routed.glance(None, request(path="/health", method="POST"))
    assert None is routed.glance(None, request(path="//health"))
    assert None is routed.glance("", request(path="/health", authorization=""))
    assert None is routed.glance("Bearer x", request("x", path="/health"))


def test_a_route_asks_for_a_token_before_it_says_what_it_takes() -> None:
    routed = guard(policy=by_route([("GET", "/orders", authenticated())]))

    assert isinstance(denied(routed, request(path="/orders", method="PUT")), MissingToken)
    assert isinstance(denied(routed, request(path="/other")), MissingToken)
    assert isinstance(denied(routed, request(mint(), path="/orders", method="PUT")), MethodNotAllowed)
    assert isinstance(denied(routed, request(mint(), path="/other")), InsufficientScope)
    assert None is not allowed(routed, request(mint(), path="/orders"))


# --- several providers -------------------------------------------------------------------------------


def two() -> Guard:
    """Return a guard of two issuers whose keys have the same name."""
    first = provider(name="first", keys=fixed({"keys": [public_jwk("ES256", "a", kid="k")]}))
    second = provider(name="second", issuer=OTHER, keys=fixed({"keys": [public_jwk("ES256", "b", kid="k")]}))
    return Guard([first, second], clock=lambda: NOW)


def named(issuer: str, which: str) -> PlainRequest:
    return request(mint(claims(iss=issuer), {"kid": "k"}, which=which))


def test_the_issuer_picks_the_provider() -> None:
    for issuer, which, name in ((ISSUER, "a", "first"), (OTHER, "b", "second")):
        who = allowed(two(), named(issuer, which))
        assert who is not None
        assert name == who.provider


def test_keys_never_cross() -> None:
    assert isinstance(denied(two(), named(ISSUER, "b")), BadSignature)
    assert isinstance(denied(two(), named(OTHER, "a")), BadSignature)


def test_what_one_provider_allows_another_need_not() -> None:
    rsa = fixed({"keys": [public_jwk("RS256", kid="k"), public_jwk("ES256", kid="e")]})
    first = provider(keys=rsa, algorithms=["RS256"])
    second = provider(name="second", issuer=OTHER, keys=rsa, algorithms=["ES256"])
    of = Guard([first, second], clock=lambda: NOW)

    assert None is not allowed(of, request(mint(header={"kid": "k"}, alg="RS256")))
    assert "is not allowed for test" in str(denied(of, request(mint(header={"kid": "e"}))))
    assert "is not allowed for second" in str(denied(of, request(mint(claims(iss=OTHER), {"kid": "k"}, alg="RS256"))))


def test_what_one_rule_book_demands_another_need_not() -> None:
    keys = fixed(public_jwk("ES256"))
    of = Guard(
        [provider(keys=keys, required=["tenant"]), provider(name="second", issuer=OTHER, keys=keys)], clock=lambda: NOW
    )

    assert "tenant" in str(denied(of, request(mint())))
    assert None is not allowed(of, request(mint(claims(iss=OTHER))))


def test_one_provider_may_have_several_issuers_each_exact() -> None:
    of = guard(issuer=[ISSUER, OTHER])

    assert None is not allowed(of, request(mint(claims(iss=OTHER))))
    assert isinstance(denied(of, request(mint(claims(iss=f"{OTHER}/")))), UnknownIssuer)


# --- an issuer that is out of reach ------------------------------------------------------------------


def remote(**settings: Any) -> tuple[Guard, Clock]:
    clock = Clock(1_000)
    source = RemoteKeys(jwks("https://id.test/keys")._locate, KeySettings(**settings), clock)
    return guard(keys=source, policy=scopes("orders:read")), clock


OUTAGE = {
    "good": (mint(), KeysUnavailable),
    "good, signed by nobody knows whom": (mint(which="b"), KeysUnavailable),
    "not enough": (mint(claims(scope="")), KeysUnavailable),
    "over": (mint(claims(exp=NOW - HOUR)), Expired),
    "not yet": (mint(claims(nbf=NOW + HOUR)), ClaimRejected),
    "another audience": (mint(claims(aud="stock")), ClaimRejected),
    "an ID token": (mint(claims(at_hash="x")), ClaimRejected),
    "bound to its sender": (mint(claims(cnf={"jkt": "x"})), ClaimRejected),
    "another issuer": (mint(claims(iss=OTHER)), UnknownIssuer),
    "an algorithm that is not allowed": (mint(alg="HS256"), InvalidToken),
    "no token at all": ("a.b.c", InvalidToken),
}


@pytest.mark.parametrize(("token", "kind"), OUTAGE.values(), ids=OUTAGE.keys())
def test_only_a_token_that_could_be_good_is_told_to_come_again(token: str, kind: type[GuardError]) -> None:
    cold, _ = remote()
    asks = [down()] if kind is KeysUnavailable else []

    first = denied(cold, request(token), *asks)
    at_once = denied(cold, request(token))

    assert isinstance(first, kind)
    assert isinstance(at_once, kind)
    assert (503 if kind is KeysUnavailable else 401) == first.status == at_once.status


@pytest.mark.parametrize(("token", "kind"), OUTAGE.values(), ids=OUTAGE.keys())
def test_with_keys_an_outage_is_felt_by_new_keys_alone(token: str, kind: type[GuardError]) -> None:
    of, clock = remote()
    allowed(of, request(mint()), reply({"keys": [public_jwk("ES256", kid="a")]}))
    clock.forward(1)
    assert isinstance(denied(of, request(mint(header={"kid": "new"})), down()), KeysUnavailable)

    assert None is not allowed(of, request(mint()))
    assert isinstance(denied(of, request(mint(claims(exp=1), {"kid": "new"}))), Expired)
    assert isinstance(denied(of, request(mint(header={"kid": "a"}, which="b"))), BadSignature)
    if kind is not KeysUnavailable:
        assert isinstance(denied(of, request(token)), InvalidToken)


def test_a_token_that_gets_too_old_while_its_key_is_fetched_is_refused() -> None:
    now = Clock(NOW)
    clock = Clock(1_000)
    source = RemoteKeys(jwks("https://id.test/keys")._locate, KeySettings(), clock)
    of = Guard([provider(keys=source)], clock=now)

    def slowly() -> Any:
        now.forward(HOUR + 60)
        return reply({"keys": [public_jwk("ES256", kid="a")]})

    assert isinstance(denied(of, request(mint()), slowly), Expired)


def test_unknown_kids_are_ruled_out_by_the_header_alone_where_nothing_can_be_asked() -> None:
    of, clock = remote()
    allowed(of, request(mint()), reply({"keys": [public_jwk("ES256", kid="a")]}))
    clock.forward(1)
    same = reply({"keys": [public_jwk("ES256", kid="a")]})
    for number in range(3):
        assert isinstance(denied(of, request(mint(header={"kid": f"b{number}"})), same), UnknownKey)
        clock.forward(0.001)

    error = denied(of, request(mint(header={"kid": "b3"})))
    assert isinstance(error, UnknownKey)
    assert "no provider has" in str(error)
    assert None is not allowed(of, request(mint()))


# --- made of others ----------------------------------------------------------------------------------


def test_a_source_that_cannot_tell_at_once_is_not_believed_of_a_bad_token() -> None:
    def source(_token: object) -> Any:
        raise KeysUnavailable("out of reach")

    of = guard(keys=source)

    assert isinstance(denied(of, request(mint())), KeysUnavailable)
    assert isinstance(denied(of, request(mint(claims(exp=1)))), Expired)
    assert isinstance(denied(of, request(mint(claims(aud="stock")))), ClaimRejected)


def test_requiring_adds_to_what_is_asked() -> None:
    base = guard(policy=scopes("orders:read"))
    both = base.requiring(roles("ops"))

    assert None is not allowed(base, request(mint()))
    assert isinstance(denied(both, request(mint())), InsufficientScope)
    assert None is not allowed(both, request(mint(claims(roles=["ops"]))))
    assert isinstance(denied(both, request(mint(claims(roles=["ops"], scope="")))), InsufficientScope)


@pytest.mark.parametrize(
    ("policy", "more", "opens"),
    [
        (anyone(), anyone(), True),
        (anyone(), scopes("a"), False),
        (scopes("a"), anyone(), False),
        (authenticated(), authenticated(), False),
    ],
)
def test_requiring_never_opens_what_was_closed(policy: Policy, more: Policy, *, opens: bool) -> None:
    of = guard(policy=policy).requiring(more)

    assert opens is isinstance(decided(of, request()), Allow)
    assert opens is (of.glance(None, request()) is not None)


def test_a_guard_asks_for_a_token_unless_told_otherwise() -> None:
    assert isinstance(denied(Guard([provider()]), request()), MissingToken)


# --- configuration -----------------------------------------------------------------------------------

MISTAKES: dict[str, dict[str, Any]] = {
    "no providers": {"providers": []},
    "a provider that is none": {"providers": [ISSUER]},
    "one name twice": {"providers": [provider(), provider(issuer=OTHER)]},
    "one issuer twice": {"providers": [provider(), provider(name="second")]},
    "one issuer twice, among others": {
        "providers": [provider(issuer=[ISSUER, OTHER]), provider(name="b", issuer=OTHER)],
    },
    "one provider twice": {"providers": [provider(), provider()]},
    "no policy": {"policy": None},
    "a list of policies": {"policy": [anyone()]},
    "a realm with a line break": {"realm": "a\r\nX: y"},
    "a realm beyond ASCII": {"realm": "café"},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_wrong_guard_does_not_come_to_be(mistake: dict[str, Any]) -> None:
    everything: dict[str, Any] = {"providers": [provider()], **mistake}

    with pytest.raises(Misconfigured):
        Guard(**everything)


@pytest.mark.parametrize(("token", "header"), [(0, 0), (10, 0), (10, 11), (-1, -1)])
def test_limits_that_no_token_meets_are_refused(token: int, header: int) -> None:
    with pytest.raises(Misconfigured):
        Limits(token, header)


def test_a_guard_is_a_value() -> None:
    of = guard()

    with pytest.raises(AttributeError):
        of.policy = anyone()  # type: ignore[misc]
    assert isinstance(of.providers, tuple)
    assert of == Guard(of.providers, of.policy, clock=of.clock)
