"""A token and a guard → what explain says; above all, that it never says anything else than the guard does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import (
    Allow,
    Credentials,
    Decision,
    Deny,
    Guard,
    InsufficientScope,
    KeySettings,
    Policy,
    Resolver,
    anyone,
    authenticated,
    by_route,
    fixed,
    jwks,
    keycloak,
    roles,
    salted,
    scopes,
    shared_secret,
)
from jwt_guard.access.explain import Explanation, Step, explain
from jwt_guard.errors import ClaimRejected, FetchFailed, KeysUnavailable
from jwt_guard.flow import Fetch, Flow, call, fetch
from jwt_guard.messages import PlainRequest, Request
from jwt_guard.runners import blocking
from jwt_guard.tokens.claims import Rule, Statement
from tests.support.keys import encode, public_jwk, secret
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, guard, mint, provider
from tests.support.playing import down, play, reply

GET = PlainRequest("GET", "/orders/1")


def explained(of: Guard, text: str, *answers: Any, **more: Any) -> Explanation:
    """Return what explain says, answering what it asks for with *answers*; whatever else it asks for fails."""
    explanation = play(lambda: explain(of, text, now=NOW, **more), *answers).value

    assert isinstance(explanation, Explanation)
    return explanation


def step(explanation: Explanation, about: str) -> Step:
    (found,) = (each for each in explanation.steps if each.about == about)
    return found


def failed(explanation: Explanation) -> list[str]:
    return [each.about for each in explanation.steps if each.verdict == "failed"]


def as_request(text: str, path: str = "/orders/1", method: str = "GET") -> PlainRequest:
    return PlainRequest(method, path, headers=(("authorization", f"Bearer {text}"),))


# --- never anything else than the guard says ---------------------------------------------------------

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(ABSENT, None, "", "ada", "orders", ISSUER, ISSUER + "/", "none", "at+jwt", "ID", "a b"),
        *(0, -1, NOW - HOUR, NOW + HOUR, NOW * 1000, 1.5, True, [], ["orders"], ["orders", 1], {}),
    ]
)
NAMES = st.sampled_from(
    [
        *("iss", "aud", "exp", "nbf", "iat", "sub", "azp", "client_id", "scope", "typ", "nonce", "at_hash", "events"),
        *("cnf", "token_use", "realm_access", "roles", "jti", "auth_time"),
    ]
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), ODD.filter(lambda value: value is not ABSENT))
POLICY = by_route(
    [
        ("GET", "/orders/{id}", scopes("orders:read")),
        ("POST", "/orders", roles("ops")),
        (None, "/open", anyone()),
        (None, "/any", authenticated()),
    ]
)
PATHS = st.sampled_from(["/orders/1", "/orders", "/open", "/any", "/nowhere", "/orders//1"])


@given(
    changes=st.dictionaries(NAMES, ODD, max_size=3),
    header=HEADERS,
    which=st.sampled_from(["a", "a", "a", "b"]),
    path=PATHS,
    method=st.sampled_from(["GET", "POST"]),
)
def test_what_explain_lets_through_is_what_the_guard_lets_in(
    changes: dict[str, Any], header: dict[str, Any], which: str, path: str, method: str
) -> None:
    text = mint(claims(**changes), header, which=which)
    of = guard(policy=POLICY)
    request = as_request(text, path, method)

    explanation = explained(of, text, request=request)
    decision = blocking.run(of.decide(request))

    assert isinstance(decision, Allow) == ("ok" == explanation.verdict)
    assert isinstance(decision, Deny) == ("failed" == explanation.verdict)


@given(text=st.text() | st.binary().map(encode) | st.lists(st.binary().map(encode)).map(".".join))
def test_any_text_gets_an_explanation(text: str) -> None:
    explanation = explained(guard(), text)

    assert "failed" == explanation.verdict
    assert explanation.steps[0].advice


def test_a_good_token_passes_every_rule_of_its_provider() -> None:
    of = guard()

    explanation = explained(of, mint(), request=GET)

    assert "ok" == explanation.verdict
    assert [
        "shape",
        "issuer",
        "algorithm",
        "key",
        "signature",
        *(rule.about for rule in of.providers[0].rules),
        "reading",
        "policy",
    ] == [each.about for each in explanation.steps]


def test_one_failure_does_not_hide_the_next() -> None:
    text = mint(claims(aud="billing", exp=NOW - HOUR, scope="profile"))

    explanation = explained(guard(policy=scopes("orders:read")), text[:-8] + "AAAAAAAA", request=GET)

    assert ["signature", "aud", "exp", "policy"] == failed(explanation)


def test_no_step_shows_a_claim_that_a_rule_refuses_for_naming_a_person_wrongly() -> None:
    explanation = explained(guard(), mint(claims(sub=["ada", "secret-name"])))

    assert "failed" == explanation.verdict
    assert "secret-name" not in repr(explanation)


# --- the text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoration", ["Bearer {}", '"{}"', "{}\n", " bearer {}", "'Bearer {}'\n"])
def test_what_was_copied_along_is_named_and_the_rest_explained(decoration: str) -> None:
    explanation = explained(guard(), decoration.format(mint()))

    assert ["shape"] == failed(explanation)
    assert "copied along" in str(explanation.steps[0].advice)


def test_a_line_end_in_the_middle_of_a_token_is_named() -> None:
    text = mint()

    explanation = explained(guard(), f"{text[:50]}\n{text[50:]}")

    assert ["shape"] == failed(explanation)
    assert "line ends" in str(explanation.steps[0].advice)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("2YotnFZFEjr1zCsicMWpAA", "opaque token"),
        ("", "opaque token"),
        ("a.b.c.d.e", "encrypted token (JWE)"),
        ("eyJhbGciOiJFUzI1NiJ9.e30", "cut off"),
        ("eyJhbGciOiJFUzI1NiJ9.e30...", "shortened"),
        ('{"access_token": "x"}', "access_token alone"),
        ("eyJhbGciOiJFUzI1NiJ9.e3.AA", "copy it again"),
        ("A" * 20_000, "raise token under [limits]"),
    ],
)
def test_what_is_no_token_is_told_what_it_may_be(text: str, advice: str) -> None:
    explanation = explained(guard(), text)

    assert ["shape"] == [each.about for each in explanation.steps]
    assert advice in str(explanation.steps[0].advice)


# --- issuer and algorithm ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "difference"),
    [
        ("https://id.test/realms/shop/", "a slash at the end"),
        ("http://id.test/realms/shop", "http or https"),
        ("https://ID.test/realms/shop", "upper and lower case"),
        ("https://id.test:8443/realms/shop", "port"),
        ("http://localhost:8080/realms/shop", "http or https and host and port"),
        ("https://id.test/realms/Store", "path"),
        (" https://id.test/realms/shop", "a blank at one end"),
    ],
)
def test_an_issuer_that_is_nearly_right_is_told_the_difference(issuer: str, difference: str) -> None:
    of = Guard(
        [
            provider(issuer="https://id.test/realms/shop"),
            provider(name="other", issuer="https://elsewhere.test", keys=fixed(public_jwk("ES256", "b", kid="b"))),
        ]
    )

    explanation = explained(of, mint(claims(iss=issuer)))

    assert ["issuer"] == failed(explanation)
    assert f"differ in {difference}," in str(step(explanation, "issuer").advice)
    assert "ok" == step(explanation, "signature").verdict


@pytest.mark.parametrize(
    "issuer",
    ["https://elsewhere.test/x", "https://id.test:port/realms/shop", "shop", "https://a.test/b", 7, None, ABSENT],
)
def test_an_issuer_that_is_nobodys_leaves_nothing_to_measure_by(issuer: object) -> None:
    of = Guard(
        [provider(issuer="https://id.test/realms/shop"), provider(name="other", issuer="https://id.test", audience="x")]
    )

    explanation = explained(of, mint(claims(iss=issuer)))

    assert ["shape", "issuer"] == [each.about for each in explanation.steps]
    assert step(explanation, "issuer").advice


def test_with_one_provider_a_strange_token_is_measured_by_that() -> None:
    explanation = explained(guard(), mint(claims(iss="https://elsewhere.test", aud="x")))

    assert ["issuer", "aud"] == failed(explanation)


@pytest.mark.parametrize(
    ("alg", "settings", "advice"),
    [
        ("HS256", {}, "shared secret"),
        ("ES256", {"keys": shared_secret(secret())}, "configured with a secret"),
        ("ES256", {"algorithms": ["RS256"], "keys": fixed(public_jwk("RS256"))}, "place in algorithms"),
        ("HS512", {"algorithms": ["HS256"], "keys": shared_secret(secret())}, "place in algorithms"),
        ("none", {}, "not signed"),
        ("None", {}, "not signed"),
        ("XX256", {}, "not known here"),
    ],
)
def test_an_algorithm_that_does_not_fit_is_told_why(alg: str, settings: dict[str, Any], advice: str) -> None:
    text = mint(header={"alg": alg})

    explanation = explained(guard(**settings), text)

    assert "ok" == step(explanation, "issuer").verdict
    assert "failed" == step(explanation, "algorithm").verdict
    assert advice in str(step(explanation, "algorithm").advice)


# --- key and signature -------------------------------------------------------------------------------


def test_a_rotated_key_is_told_which_keys_we_have() -> None:
    explanation = explained(guard(), mint(which="b"))

    assert ["key"] == failed(explanation)
    assert "not checked" == step(explanation, "signature").verdict
    assert "We have 'a'" in str(step(explanation, "key").advice)
    assert "rotated" in str(step(explanation, "key").advice)


@pytest.mark.parametrize(
    ("keys", "kid", "advice"),
    [
        ([public_jwk("ES256", "a", kid="a"), public_jwk("ES256", "b", kid="b")], None, "does not say which key"),
        ([public_jwk("ES256", "a"), public_jwk("ES256", "b")], "c", "Our keys have no names"),
        ([public_jwk("ES256", "a", kid="a"), public_jwk("ES384", kid="c")], "c", "disagree"),
        ([public_jwk("ES256", "a", kid="a"), public_jwk("ES256", kid="c", use="enc")], "c", "its use is not sig"),
        ([public_jwk("ES256", "a", kid="a"), {"kty": "?"}], "c", "We have 'a'"),
    ],
)
def test_a_key_that_is_not_found_is_told_why(keys: list[dict[str, Any]], kid: str | None, advice: str) -> None:
    header = {"alg": "ES256"} if kid is None else {"alg": "ES256", "kid": kid}

    explanation = explained(guard(keys=fixed({"keys": keys})), mint(header=json.dumps(header).encode()))

    assert ["key"] == failed(explanation)
    assert advice in str(step(explanation, "key").advice)


@pytest.mark.parametrize(("end", "advice"), [("", "signature is missing"), ("AAAA", "changed or cut off")])
def test_a_signature_that_does_not_verify_is_told_why(end: str, advice: str) -> None:
    explanation = explained(guard(), mint().rpartition(".")[0] + "." + end)

    assert ["signature"] == failed(explanation)
    assert advice in str(step(explanation, "signature").advice)


def test_a_key_source_that_is_a_plain_function_is_asked_too() -> None:
    source = fixed(public_jwk("ES256", "b", kid="b"))

    explanation = explained(guard(keys=source.__call__), mint())

    assert ["key"] == failed(explanation)
    assert "those the issuer signs with" in str(step(explanation, "key").advice)


# --- asking nobody unless told to --------------------------------------------------------------------


def test_remote_keys_are_not_asked_for_unless_told_to() -> None:
    of = guard(keys=jwks("https://id.test/jwks"))

    explanation = explained(of, mint())

    assert "not checked" == explanation.verdict
    assert ["key", "signature"] == [each.about for each in explanation.steps if each.verdict == "not checked"]


def test_told_to_the_issuer_is_asked_and_the_signature_checked() -> None:
    of = guard(keys=jwks("https://id.test/jwks"))
    answer = reply({"keys": [public_jwk("ES256", kid="a")]})

    played = play(lambda: explain(of, mint(), now=NOW, ask_issuers=True), answer)

    assert "ok" == played.value.verdict
    assert ["https://id.test/jwks"] == played.fetched


def test_an_issuer_that_does_not_answer_is_told_apart_from_a_bad_token() -> None:
    of = guard(keys=jwks("https://id.test/jwks"))

    explanation = explained(of, mint(), down(), ask_issuers=True)

    assert ["key"] == failed(explanation)
    assert "reaches the issuer" in str(step(explanation, "key").advice)


def test_known_keys_that_are_due_for_a_refresh_are_used_without_asking() -> None:
    source = jwks("https://id.test/jwks", KeySettings(fresh_for=0))
    of = guard(keys=source)
    explained(of, mint(), reply({"keys": [public_jwk("ES256", kid="a")]}), ask_issuers=True)

    played = play(lambda: explain(of, mint(), now=NOW))

    assert "ok" == played.value.verdict
    assert [] == played.needs


def test_a_salt_function_is_called_here_and_one_that_waits_only_when_told_to() -> None:
    plain = guard("HS256", keys=salted(lambda _: secret()))
    waiting = guard("HS256", keys=salted(lambda _: secret(), blocking=True))
    text = mint(alg="HS256")

    assert "ok" == explained(plain, text, secret()).verdict
    assert "not checked" == explained(waiting, text).verdict
    assert "ok" == explained(waiting, text, secret(), ask_issuers=True).verdict


def test_a_salt_function_that_fails_is_told() -> None:
    of = guard("HS256", keys=salted(lambda _: secret()))

    explanation = explained(of, mint(alg="HS256"), KeyError("nobody"))

    assert ["key"] == failed(explanation)
    assert "salt function" in str(step(explanation, "key").advice)


def outside(_request: Request, credentials: Credentials) -> Flow[Decision]:
    yield from call(str, "x", blocking=True)
    return Allow(credentials)


def test_a_policy_that_asks_outside_is_not_asked_unless_told_to() -> None:
    of = guard(policy=outside)

    explanation = explained(of, mint(), request=GET)

    assert "not checked" == step(explanation, "policy").verdict
    assert "ok" == explained(of, mint(), "x", request=GET, ask_issuers=True).verdict


# --- what it says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "about", "advice"),
    [
        ({"aud": "account", "azp": "shop"}, "aud", "fresh Keycloak"),
        ({"aud": ["account", "realm-management"]}, "aud", "fresh Keycloak"),
        ({"aud": "shop"}, "aud", "client's own id"),
        ({"aud": "orders/"}, "aud", "differs from ours in a slash at the end"),
        ({"aud": "Orders"}, "aud", "upper and lower case"),
        ({"aud": "billing"}, "aud", "somebody else"),
        ({"aud": []}, "aud", "nobody in particular"),
        ({"aud": ABSENT}, "aud", "audience mapper"),
        ({"aud": 7}, "aud", "somebody else"),
        ({"at_hash": "x"}, "kind", "This is an ID token: send the access_token"),
        ({"typ": "Refresh"}, "kind", "This is a refresh token"),
        ({"cnf": {"jkt": "x"}}, "cnf", "DPoP or mTLS"),
        ({"exp": NOW - 90}, "exp", "expired 90 s ago"),
        ({"exp": NOW - 3 * HOUR}, "exp", "expired 3 h ago"),
        ({"exp": (NOW + HOUR) * 1_000}, "exp", "milliseconds"),
        ({"exp": "soon"}, "exp", "number of seconds since 1970"),
        ({"exp": True}, "exp", "number of seconds since 1970"),
        ({"exp": ABSENT}, "exp", "number of seconds since 1970"),
        ({"iat": NOW + 2 * HOUR}, "iat", "clock is 2 h ahead"),
        ({"nbf": NOW + 300}, "nbf", "clock is 5 min ahead"),
        ({"nbf": NOW + 30 * 24 * HOUR}, "nbf", "30 d ahead"),
        ({"jti": 7}, "types", "'jti' into its access tokens"),
        ({"sub": 7}, "types", "Have the issuer write sub"),
    ],
)
def test_a_rule_that_does_not_hold_comes_with_advice(changes: dict[str, Any], about: str, advice: str) -> None:
    explanation = explained(guard(), mint(claims(**changes)))

    assert "failed" == step(explanation, about).verdict
    assert advice in str(step(explanation, about).advice)


def test_a_missing_sub_and_an_old_token_come_with_advice() -> None:
    of = guard(required=["sub"], max_age=60, leeway=0)

    explanation = explained(of, mint(claims(sub=ABSENT, iat=NOW - 600)))

    advice = [str(each.advice) for each in explanation.steps if each.verdict == "failed"]
    assert ["sub", "iat"] == failed(explanation)
    assert "client scope basic" in advice[0]
    assert "expired 10 min ago" in advice[1]


def test_another_type_comes_with_advice() -> None:
    explanation = explained(guard(typ=["at+jwt"]), mint(header={"typ": "JWT"}))

    assert ["typ"] == failed(explanation)
    assert "'JWT'" == step(explanation, "typ").got
    assert "name it in typ" in str(step(explanation, "typ").advice)


def test_a_time_is_shown_with_how_far_it_is() -> None:
    explanation = explained(guard(), mint())

    assert f"{NOW + HOUR} (in 60 min)" == step(explanation, "exp").got
    assert f"{NOW - 60} (60 s ago)" == step(explanation, "iat").got


def test_a_rule_of_ones_own_can_bring_its_own_advice() -> None:
    def refuse(_statement: Statement, _now: float) -> float:
        raise ClaimRejected("tenant", "is not ours", advice="Ask for another tenant.")

    explanation = explained(guard(extra_rules=[Rule("tenant", "the tenant is ours", refuse)]), mint())

    assert ["tenant"] == failed(explanation)
    assert "tenant: is not ours" == step(explanation, "tenant").got
    assert "Ask for another tenant." == step(explanation, "tenant").advice


# --- who it is, and whether that is enough -----------------------------------------------------------


def test_the_reading_says_who_and_what_in_the_profiles_words() -> None:
    of = Guard([keycloak(ISSUER, AUDIENCE, keys=fixed(public_jwk("ES256", kid="a")))])

    explanation = explained(of, mint(claims(realm_access={"roles": ["ops"]})))

    expected = f"user {claims()['sub']!r}, client 'shop', scopes 'orders:read orders:write', roles ['ops']"
    assert expected == step(explanation, "reading").got


def test_what_cannot_be_read_is_not_put_to_the_policy() -> None:
    explanation = explained(guard(), mint(claims(roles=7)), request=GET)

    assert ["reading"] == failed(explanation)
    assert "not checked" == step(explanation, "policy").verdict


def test_a_missing_scope_is_named_alone() -> None:
    explanation = explained(guard(policy=scopes("orders:read", "orders:admin")), mint(), request=GET)

    assert ["policy"] == failed(explanation)
    assert "'orders:admin orders:read'" == step(explanation, "policy").expected
    assert "ask for 'orders:admin' with its token" in str(step(explanation, "policy").advice)


def test_another_method_is_told_which_there_are() -> None:
    explanation = explained(guard(policy=POLICY), mint(), request=PlainRequest("DELETE", "/orders/1"))

    assert "The route has GET, HEAD only" in str(step(explanation, "policy").advice)


def missing(_request: Request, _credentials: Credentials) -> Decision:
    return Deny(InsufficientScope(frozenset({"orders:read"}), "for another reason"))


def out_of_reach(_request: Request, _credentials: Credentials) -> Decision:
    return Deny(FetchFailed("https://id.test", "no answer"))


@pytest.mark.parametrize(
    ("policy", "advice"),
    [(roles("ops"), "what the route asks for"), (missing, "what the route asks for"), (out_of_reach, "None")],
)
def test_other_refusals_get_what_advice_there_is(policy: Policy, advice: str) -> None:
    explanation = explained(guard(policy=policy), mint(), request=GET)

    assert ["policy"] == failed(explanation)
    assert advice in str(step(explanation, "policy").advice)


# --- tenants and revocation --------------------------------------------------------------------------


def tenants(resolve: Any, *providers: Any, **more: Any) -> Guard:
    return Guard(providers, resolver=Resolver(resolve, "https://{tenant}.test"), clock=lambda: NOW, **more)


@pytest.mark.parametrize("iss", [ISSUER, "https://other.test", "https://nobody.test", "https://x.y.test", 5, None, {}])
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
@pytest.mark.parametrize("own", [True, False])
def test_a_tenants_token_is_explained_as_it_is_decided(iss: Any, alg: str, *, own: bool) -> None:
    known = {"https://other.test": provider(issuer="https://other.test"), ISSUER: provider()}
    of = tenants(known.get, *([provider(name="own")] if own else []))
    text = mint(claims(iss=iss), alg=alg)

    explanation = explained(of, text, *([known.get(iss)] if asks(of, iss) else []), request=as_request(text))
    decision = blocking.run(of.decide(as_request(text)))

    assert isinstance(decision, Allow) == ("ok" == explanation.verdict)
    assert isinstance(decision, Deny) == ("failed" == explanation.verdict)


def asks(of: Guard, iss: Any) -> bool:
    own = any(iss in each.issuers for each in of.providers if isinstance(iss, str))
    return not own and iss in (ISSUER, "https://other.test", "https://nobody.test")


def test_a_resolver_that_fails_is_why() -> None:
    def resolve(_issuer: str) -> Any:
        raise ConnectionError

    explanation = blocking.run(explain(tenants(resolve), mint(), now=NOW))

    assert ["issuer"] == failed(explanation)
    assert "the resolver raised ConnectionError" in str(step(explanation, "issuer").got)


def test_a_resolver_that_asks_outside_is_not_asked_unless_that_is_allowed() -> None:
    def resolve(_issuer: str) -> Any:
        raise KeysUnavailable("not reached")

    of = tenants(resolve)
    object.__setattr__(of.resolver, "provider_for", lambda _issuer: fetching())
    explanation = explained(of, mint())

    assert "not checked" == step(explanation, "issuer").verdict == explanation.verdict


def fetching() -> Flow[Any]:
    yield from fetch(Fetch("https://tenants.test"))
    return provider()


@pytest.mark.parametrize("revoked", [True, False])
def test_a_token_that_was_taken_back_is_explained_as_it_is_decided(*, revoked: bool) -> None:
    of = Guard([provider()], clock=lambda: NOW, revoked=lambda _: revoked)
    text = mint()

    explanation = explained(of, text, request=as_request(text))

    assert isinstance(blocking.run(of.decide(as_request(text))), Deny) is revoked
    assert (["revocation"] if revoked else []) == failed(explanation)


def test_whether_a_token_that_names_nobody_was_taken_back_is_not_asked() -> None:
    asked: list[Credentials] = []
    of = Guard([provider()], clock=lambda: NOW, revoked=lambda who: bool(asked.append(who)))  # type: ignore[func-returns-value]
    explanation = explained(of, mint(claims(sub=["a", "b"])))

    assert "not checked" == step(explanation, "revocation").verdict
    assert [] == asked


# --- whose key it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
def test_a_key_of_another_issuer_is_told_apart_from_a_bad_signature(*, own: bool) -> None:
    keys = fixed({"keys": [public_jwk("ES256", kid="a", issuer=ISSUER if own else "https://other.test")]})
    of = guard(keys=keys, key_issuer=lambda issuer, values: issuer == values["iss"])
    explanation = explained(of, mint())
    whose = step(explanation, "key issuer")

    assert "ok" == step(explanation, "signature").verdict
    assert ("ok" if own else "failed") == whose.verdict == explanation.verdict
    assert own is (whose.advice is None)
    assert ("None" if own else f"'{ISSUER}'") == str(whose.expected)


def test_a_token_for_microsoft_graph_is_told_to_ask_for_ours() -> None:
    for audience in ("00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"):
        advice = step(explained(guard(), mint(claims(aud=audience))), "aud").advice

        assert "a token for Microsoft Graph" in str(advice)
