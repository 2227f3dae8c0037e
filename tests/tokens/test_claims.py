"""What a token says, and the time → until when each rule's yes holds, or which claim is why it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jwt_guard.errors import ClaimRejected, Expired
from jwt_guard.tokens.claims import (
    ACCESS_TOKEN_TYPES,
    FOREVER,
    Claims,
    Rule,
    access_token,
    bearer_only,
    check,
    has,
    id_token,
    issued_by,
    meant_for,
    no_older_than,
    not_before,
    not_expired,
    not_from_the_future,
    of_type,
    one_of,
    well_typed,
)
from jwt_guard.tokens.compact import Header, media_type

NOW = 1_000_000
TEXT_CLAIMS = ("sub", "azp", "client_id", "jti", "sid", "acr")
WORD_CLAIMS = ("scope", "scp")
LAST = 253_402_300_799


def said(values: dict[str, Any] | None = None, typ: str | None = None, **more: Any) -> Claims:
    return Claims(Header("ES256", None, typ, media_type(typ), {}), {**(values or {}), **more})


def holds(rule: Rule, statement: Claims, now: float = NOW) -> float:
    return rule.holds_until(statement, now)


def rejected(rule: Rule, statement: Claims, now: float = NOW) -> ClaimRejected:
    with pytest.raises(ClaimRejected) as caught:
        rule.holds_until(statement, now)
    return caught.value


# --- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXT_CLAIMS)
@pytest.mark.parametrize("value", [None, 5, True, 1.5, [], ["a"], {}], ids=repr)
def test_a_registered_text_is_a_text(name: str, value: object) -> None:
    assert name == rejected(well_typed(), said({name: value})).claim


@pytest.mark.parametrize("name", TEXT_CLAIMS)
@pytest.mark.parametrize("value", ["", "ada", "größe 😀", "a\u2028b", "\u00a0"], ids=ascii)
def test_any_other_text_is_fine(name: str, value: str) -> None:
    assert FOREVER == holds(well_typed(), said({name: value}))


@pytest.mark.parametrize("name", WORD_CLAIMS)
@pytest.mark.parametrize("value", [None, 5, {"read": 1}, [1], ["a", None], [["a"]]], ids=repr)
def test_scopes_are_texts(name: str, value: object) -> None:
    assert name == rejected(well_typed(), said({name: value})).claim


@pytest.mark.parametrize("value", ["", "a b", [], ["a", "b"]], ids=ascii)
def test_scopes_may_be_one_text_or_several(value: object) -> None:
    assert FOREVER == holds(well_typed(), said(scope=value, scp=value))


NO_DATES: list[Any] = [None, "1", True, False, [], {}, -1, -0.5, LAST + 1, 10**18, 1e300, math.nan, math.inf]


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        ("exp", not_expired(30)),
        ("nbf", not_before(30)),
        ("iat", not_from_the_future(30)),
        ("iat", no_older_than(60, 30)),
        ("auth_time", well_typed()),
    ],
    ids=["exp", "nbf", "iat", "age", "auth_time"],
)
@pytest.mark.parametrize("value", NO_DATES, ids=repr)
def test_what_is_no_date_is_refused_whatever_it_compares_to(claim: str, rule: Rule, value: object) -> None:
    error = rejected(rule, said({claim: value}))

    assert claim == error.claim
    assert Expired is not type(error)


def test_a_date_of_its_own_type_is_fine() -> None:
    assert FOREVER == holds(well_typed(), said(auth_time=5))


# --- issuer and audience -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.test/",
        "https://id.tes",
        "HTTPS://id.test",
        "https://id.test ",
        "id.test",
        "",
        None,
        5,
        True,
        ["https://id.test"],
        {"https://id.test": 1},
        ["https://id.test", "https://evil.test"],
    ],
    ids=repr,
)
def test_the_issuer_is_one_text_and_exact(issuer: object) -> None:
    error = rejected(issued_by(frozenset({"https://id.test", "https://other.test"})), said(iss=issuer))

    assert "iss" == error.claim
    assert ["https://id.test", "https://other.test"] == error.expected
    assert issuer == error.got


def test_an_issuer_of_ours_is_fine_and_none_is_not() -> None:
    rule = issued_by(frozenset({"https://id.test"}))

    assert FOREVER == holds(rule, said(iss="https://id.test"))
    assert "iss" == rejected(rule, said()).claim


@pytest.mark.parametrize("audience", ["orders", ["orders"], ["x", "orders"], ["orders", "orders"]], ids=repr)
def test_an_audience_may_name_others_too(audience: object) -> None:
    assert FOREVER == holds(meant_for(frozenset({"orders"})), said(aud=audience))


@pytest.mark.parametrize(
    "audience",
    [
        "",
        "order",
        "orders ",
        "Orders",
        "orders billing",
        "ordersx",
        None,
        5,
        True,
        [],
        {},
        [[]],
        {"orders": 1},
        ["orders", 1],
        [1, "orders"],
        ["orders", None],
        [["orders"]],
        ["order", "s"],
        [{"orders": 1}, "orders"],
    ],
    ids=repr,
)
def test_an_audience_is_exact_and_of_texts_alone(audience: object) -> None:
    assert "aud" == rejected(meant_for(frozenset({"orders"})), said(aud=audience)).claim


def test_a_missing_audience_means_nobody() -> None:
    assert "aud" == rejected(meant_for(frozenset({"orders"})), said()).claim


def test_another_claim_may_say_for_whom_but_the_audience_keeps_its_type() -> None:
    rule = meant_for(frozenset({"shop"}), "client_id")

    assert FOREVER == holds(rule, said(client_id="shop"))
    assert FOREVER == holds(rule, said(client_id="shop", aud="anybody"))
    assert "client_id" == rejected(rule, said(client_id="shops", aud="shop")).claim
    audiences: list[Any] = [5, None, ["a", 5], {}]
    for audience in audiences:
        assert "aud" == rejected(rule, said(client_id="shop", aud=audience)).claim


@pytest.mark.parametrize("value", [None, "", [], {}], ids=repr)
def test_a_required_claim_says_something(value: object) -> None:
    assert "x" == rejected(has("x"), said(x=value)).claim
    assert "x" == rejected(has("x"), said()).claim


@pytest.mark.parametrize("value", [0, False, "0", [None], " "], ids=repr)
def test_what_a_required_claim_says_is_not_judged(value: object) -> None:
    assert FOREVER == holds(has("x"), said(x=value))


# --- times ---------------------------------------------------------------------------------------------------------


def test_a_token_is_over_on_its_expiry_plus_leeway() -> None:
    rule = not_expired(30)

    assert NOW + 30.5 == holds(rule, said(exp=NOW + 0.5))
    assert NOW + 1 == holds(rule, said(exp=NOW - 29))
    assert Expired is type(rejected(rule, said(exp=NOW - 30)))
    assert Expired is type(rejected(rule, said(exp=0)))
    assert Expired is type(rejected(not_expired(0), said(exp=NOW)))
    assert "exp" == rejected(rule, said()).claim


def test_a_missing_expiry_counts_only_where_that_was_said() -> None:
    lax = not_expired(30, exp_may_be_missing=True)

    assert FOREVER == holds(lax, said())
    assert NOW + 31 == holds(lax, said(exp=NOW + 1))
    assert Expired is type(rejected(lax, said(exp=NOW - 30)))
    strange: tuple[object, ...] = (None, "", "never", [], True, -1, 1e300)
    for value in strange:
        assert "exp" == rejected(lax, said(exp=value)).claim
    assert "it has not expired, if it ever does (± 30 s)" == lax.demand


@pytest.mark.parametrize(("claim", "make"), [("nbf", not_before), ("iat", not_from_the_future)])
def test_a_token_begins_with_leeway_and_not_before(claim: str, make: Any) -> None:
    rule = make(30)

    assert FOREVER == holds(rule, said())
    assert FOREVER == holds(rule, said({claim: NOW + 30}))
    assert FOREVER == holds(rule, said({claim: 0}))
    assert claim == rejected(rule, said({claim: NOW + 30.5})).claim
    assert claim == rejected(rule, said({claim: LAST})).claim


def test_an_old_token_is_over_whatever_its_expiry() -> None:
    rule = no_older_than(600, 30)

    assert NOW + 30 + 600 == holds(rule, said(iat=NOW))
    assert Expired is type(rejected(rule, said(iat=NOW - 630, exp=LAST)))
    assert NOW + 1 == holds(rule, said(iat=NOW - 629))
    assert "iat" == rejected(rule, said()).claim


def test_all_rules_hold_until_the_first_ends() -> None:
    rules = [not_expired(0), no_older_than(10, 0), bearer_only()]

    assert NOW + 10 == check(said(exp=NOW + 99, iat=NOW), rules, NOW)
    assert NOW + 5 == check(said(exp=NOW + 5, iat=NOW), rules, NOW)
    assert FOREVER == check(said(), [], NOW)
    with pytest.raises(Expired):
        check(said(exp=NOW + 99, iat=NOW - 10), rules, NOW)


# --- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"])
def test_an_access_token_has_one_of_few_types(typ: str | None) -> None:
    assert FOREVER == holds(of_type(ACCESS_TOKEN_TYPES), said(typ=typ))


@pytest.mark.parametrize(
    "typ",
    [
        "",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "JOSE",
        "at+jwt ",
        "at",
    ],
)
def test_another_type_is_another_kind_of_token(typ: str) -> None:
    error = rejected(of_type(ACCESS_TOKEN_TYPES), said(typ=typ))

    assert "typ" == error.claim
    assert ["(none)", "at+jwt", "jwt"] == error.expected


def test_a_type_can_be_made_to_be_there() -> None:
    rule = of_type(frozenset({"application/AT+jwt"}))

    assert FOREVER == holds(rule, said(typ="at+jwt"))
    assert "typ" == rejected(rule, said()).claim
    assert "typ" == rejected(rule, said(typ="JWT")).claim


OTHER_KINDS = [
    ({"at_hash": "x"}, "at_hash"),
    ({"c_hash": "x"}, "c_hash"),
    ({"events": {}}, "events"),
    ({"events": None}, "events"),
    ({"htm": "GET"}, "htm"),
    ({"hti-version": "2.0"}, "hti-version"),
    ({"htu": "https://x.test"}, "htu"),
    ({"typ": "ID"}, "typ"),
    ({"typ": "Refresh"}, "typ"),
    ({"typ": "Offline"}, "typ"),
    ({"typ": "Logout"}, "typ"),
    ({"typ": "lOGOUT"}, "typ"),
    ({"typ": 5}, "typ"),
    ({"typ": ["Bearer"]}, "typ"),
    ({"token_use": "id"}, "token_use"),
    ({"token_use": "refresh"}, "token_use"),
    ({"token_use": None}, "token_use"),
    ({"token_use": ["access"]}, "token_use"),
    ({"nonce": "n", "azp": "shop", "aud": "shop"}, "nonce"),
    ({"nonce": "n", "azp": "shop", "aud": ["shop"]}, "nonce"),
    ({"nonce": "n", "azp": "shop", "aud": "shop", "scope": "openid"}, "nonce"),
    ({"nonce": "n"}, "nonce"),
    ({"nonce": "n", "aud": "orders", "sub": "ada"}, "nonce"),
    ({"iss": "shop", "sub": "shop"}, "sub"),
]


@pytest.mark.parametrize(("values", "claim"), OTHER_KINDS, ids=repr)
def test_what_another_kind_of_token_carries_gives_it_away(values: dict[str, Any], claim: str) -> None:
    error = rejected(access_token(), said(values))

    assert claim == error.claim
    assert "an access token" == error.expected


@pytest.mark.parametrize(("values", "claim"), OTHER_KINDS, ids=repr)
def test_a_type_that_tells_is_believed(values: dict[str, Any], claim: str) -> None:
    assert FOREVER == holds(access_token(), said(values, typ="application/at+jwt"))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"nonce": "n", "azp": "shop"},
        {"nonce": "n", "client_id": "shop"},
        {"nonce": "n", "cid": "shop", "aud": "shop"},
        {"nonce": "n", "scope": "openid"},
        {"nonce": "n", "scp": ["orders:read"]},
        {"nonce": "n", "azp": "shop", "aud": "orders"},
        {"nonce": "n", "azp": "shop", "aud": ["orders", "shop"]},
        {"azp": "shop", "aud": "shop"},
        {"typ": "Bearer"},
        {"typ": "DPoP"},
        {"typ": None},
        {"token_use": "access"},
        {"iss": "https://id.test", "sub": "ada"},
        {"iss": "https://id.test"},
    ],
    ids=repr,
)
def test_what_access_tokens_carry_does_not(values: dict[str, Any]) -> None:
    assert FOREVER == holds(access_token(), said(values))


KNOWN = access_token(known_by=("azp", "uid"), never=("amr",))


@pytest.mark.parametrize(
    ("values", "claim"),
    [
        ({}, "azp"),
        ({"azp": "x"}, "uid"),
        ({"azp": "x", "uid": "u", "amr": ["pwd"]}, "amr"),
        ({"azp": "x", "uid": "u", "at_hash": "h"}, "at_hash"),
        ({"azp": "x", "uid": "u", "typ": "ID"}, "typ"),
        ({"azp": "x", "uid": "u", "sub": "a", "iss": "a"}, "sub"),
    ],
)
def test_what_is_known_of_one_issuer_tells_its_tokens_apart(values: dict[str, Any], claim: str) -> None:
    error = rejected(KNOWN, said(values))

    assert (claim, "an access token") == (error.claim, error.expected)


def test_what_is_known_of_one_issuer_lets_its_access_tokens_have_a_nonce() -> None:
    login = {"azp": "x", "aud": "x", "nonce": "n"}

    assert FOREVER == holds(KNOWN, said(login, uid="u"))
    assert FOREVER == holds(KNOWN, said({}, "at+jwt"))
    assert "nonce" == rejected(access_token(), said(login, uid="u")).claim


@pytest.mark.parametrize(
    ("values", "typ", "claim"),
    [
        ({}, "at+jwt", "typ"),
        ({"scope": "a"}, None, "scope"),
        ({"scp": ["a"]}, None, "scp"),
        ({"events": {}}, None, "events"),
        ({"htm": "GET"}, None, "htm"),
        ({"hti-version": "2.0"}, None, "hti-version"),
        ({"htu": "https://a.test"}, None, "htu"),
    ],
)
def test_what_another_kind_of_token_carries_makes_it_no_id_token(
    values: dict[str, Any], typ: str | None, claim: str
) -> None:
    error = rejected(id_token(), said(values, typ))

    assert (claim, "an ID token") == (error.claim, error.expected)


def test_an_id_token_has_what_access_tokens_have_not() -> None:
    assert FOREVER == holds(id_token(), said({"at_hash": "h", "c_hash": "h", "nonce": "n", "azp": "x", "aud": "x"}))


def test_one_of_several_claims_will_do_and_advice_comes_along() -> None:
    rule = has("scp", "roles", advice="Ask for one.")

    assert FOREVER == holds(rule, said(scp="a")) == holds(rule, said(roles=["a"], scp=""))
    error = rejected(rule, said(scp="", roles=[]))
    assert ("scp or roles", "Ask for one.") == (error.claim, error.advice)
    assert "scp or roles is there" == rule.demand


@pytest.mark.parametrize("value", ["B", "", None, 1, ["a"], {"a": 1}], ids=repr)
def test_a_claim_is_exactly_one_of_the_values(value: object) -> None:
    rule = one_of("use", frozenset({"a", "b"}), advice="Take the other.")

    assert FOREVER == holds(rule, said(use="a"))
    error = rejected(rule, said(use=value))
    assert ("use", ["a", "b"], value, "Take the other.") == (error.claim, error.expected, error.got, error.advice)
    assert "use" == rejected(rule, said()).claim


@pytest.mark.parametrize("confirmation", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None, "x"], ids=repr)
def test_a_token_bound_to_its_sender_is_refused(confirmation: object) -> None:
    assert "cnf" == rejected(bearer_only(), said(cnf=confirmation)).claim
    assert FOREVER == holds(bearer_only(), said())


# --- statements and rules ------------------------------------------------------------------------------------------


def test_a_claim_can_be_asked_for_as_a_text() -> None:
    assert "ada" == said(sub="ada").text("sub")
    assert said(sub=5).text("sub") is None
    assert said().text("sub") is None


def test_claims_show_only_their_header() -> None:
    assert "lovelace" not in repr(said(sub="lovelace"))
    assert "lovelace" not in f"{said(sub='lovelace')}"


def test_every_rule_says_what_it_is_about_and_what_it_demands() -> None:
    names = frozenset({"a", "b"})
    rules = [well_typed(), of_type(ACCESS_TOKEN_TYPES), issued_by(names), meant_for(names), has("x"), not_expired(30)]
    rules += [not_before(30), not_from_the_future(30), no_older_than(60, 30), access_token(), bearer_only()]

    about = ["types", "typ", "iss", "aud", "x", "exp", "nbf", "iat", "iat", "kind", "cnf"]
    assert about == [rule.about for rule in rules]
    assert all(rule.demand and not rule.every_time for rule in rules)
    assert "the issuer is 'a' or 'b'" == rules[2].demand
