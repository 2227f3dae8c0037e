"""Policies → Allow or Deny, alone and combined; whatever is neither is an error and never a yes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from jwt_guard import all_of, any_of, anyone, authenticated, by_route, claim, none_of, roles, scopes
from jwt_guard.access.policy import OfCredentials, Policy, ask, is_open
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import FetchFailed, InsufficientScope, KeysUnavailable, Misconfigured, Unavailable
from jwt_guard.flow import Flow, call
from jwt_guard.messages import PlainRequest, Request
from tests.support.playing import play

REQUEST = PlainRequest("GET", "/orders")


def who(**claims: Any) -> Credentials:
    may = frozenset({"orders:read", "orders:write"})
    return Credentials("ada", "shop", may, frozenset({"ops", "Domain Users"}), "test", ReadOnly(claims))


ADA = who(groups=["ops", "dev"], team="red", level=3, admin=True, nested={"deep": {"name": "x"}}, empty=None)


def asked(policy: Policy, credentials: Credentials = ADA, *answers: Any, request: Request = REQUEST) -> Decision:
    played = play(lambda: ask(policy, request, credentials), *answers)
    if played.error is not None:
        raise played.error
    decision: Decision = played.value
    return decision


def said(policy: Policy, credentials: Credentials = ADA, *answers: Any) -> int:
    """Return the status of the answer, 200 for Allow."""
    decision = asked(policy, credentials, *answers)
    return 200 if isinstance(decision, Allow) else decision.error.status


# --- one by one --------------------------------------------------------------------------------------

LET_IN = {
    "anyone": anyone(),
    "authenticated": authenticated(),
    "a scope": scopes("orders:read"),
    "all scopes": scopes("orders:read", "orders:write"),
    "a role": roles("ops"),
    "a role with a space": roles("Domain Users", "ops"),
    "contains": claim("groups", contains="ops"),
    "contains, of a lone text": claim("team", contains="red"),
    "equals text": claim("team", equals="red"),
    "equals number": claim("level", equals=3),
    "equals the same number": claim("level", equals=3.0),
    "equals truth": claim("admin", equals=True),
    "deep": claim("nested", "deep", "name", equals="x"),
    "check": claim("level", check=lambda value: value > 2),
    "check of what is absent": claim("absent", check=lambda value: value is None),
}
KEPT_OUT = {
    "another scope": scopes("orders:delete"),
    "one scope too many": scopes("orders:read", "orders:delete"),
    "part of a scope": scopes("orders"),
    "more than a scope": scopes("orders:read:all"),
    "another case": scopes("Orders:Read"),
    "a role as a scope": scopes("ops"),
    "a scope as a role": roles("orders:read"),
    "another role": roles("ops", "root"),
    "does not contain": claim("groups", contains="root"),
    "contains a part": claim("groups", contains="op"),
    "contains a part of a text": claim("team", contains="re"),
    "contains in a number": claim("level", contains="3"),
    "contains in nothing": claim("absent", contains="ops"),
    "contains in an object": claim("nested", contains="deep"),
    "equals another": claim("team", equals="blue"),
    "equals text of a number": claim("level", equals="3"),
    "equals truth of a number": claim("level", equals=True),
    "equals one of truth": claim("admin", equals=1),
    "equals in a list": claim("groups", equals="ops"),
    "equals nothing": claim("empty", equals=""),
    "deep nothing": claim("nested", "shallow", "name", equals="x"),
    "deep in a text": claim("team", "name", equals="red"),
    "deep in a list": claim("groups", "0", equals="ops"),
    "check": claim("level", check=lambda value: value > 3),
}


@pytest.mark.parametrize("policy", LET_IN.values(), ids=LET_IN.keys())
def test_these_let_ada_in_as_who_she_is(policy: Policy) -> None:
    assert Allow(ADA) == asked(policy)


@pytest.mark.parametrize("policy", KEPT_OUT.values(), ids=KEPT_OUT.keys())
def test_these_do_not(policy: Policy) -> None:
    decision = asked(policy)

    assert isinstance(decision, Deny)
    assert isinstance(decision.error, InsufficientScope)
    assert 403 == decision.error.status


def test_only_missing_scopes_are_named() -> None:
    denied = asked(scopes("orders:read", "orders:delete"))
    by_role, by_claim = asked(roles("root")), asked(claim("team", equals="blue"))

    assert isinstance(denied, Deny)
    assert isinstance(denied.error, InsufficientScope)
    assert {"orders:read", "orders:delete"} == denied.error.required
    for other in (by_role, by_claim):
        assert isinstance(other, Deny)
        assert isinstance(other.error, InsufficientScope)
        assert frozenset() == other.error.required


def test_a_claim_that_is_absent_can_be_no_reason_to_let_in_by_mistake() -> None:
    nobody = who()

    for policy in (claim("team", equals="red"), claim("groups", contains="ops"), claim("a", "b", equals=0)):
        assert 403 == said(policy, nobody)


MISTAKES: dict[str, Callable[[], object]] = {
    "no scope": scopes,
    "an empty scope": lambda: scopes(""),
    "a blank scope": lambda: scopes(" "),
    "two scopes in one": lambda: scopes("a b"),
    "a scope with a quote": lambda: scopes('a"b'),
    "a scope with a backslash": lambda: scopes("a\\b"),
    "a scope beyond ASCII": lambda: scopes("café"),
    "a scope with a control character": lambda: scopes("a\tb"),
    "a scope that is no text": lambda: scopes(5),  # type: ignore[arg-type]
    "a list of scopes": lambda: scopes(["a"]),  # type: ignore[arg-type]
    "no role": roles,
    "an empty role": lambda: roles("ops", ""),
    "a role with a blank at its end": lambda: roles("ops "),
    "no claim": lambda: claim(equals="x"),
    "an empty claim": lambda: claim("", equals="x"),
    "a claim without a demand": lambda: claim("team"),
    "two demands": lambda: claim("team", equals="x", contains="x"),
    "three demands": lambda: claim("team", equals="x", contains="x", check=bool),
    "equals a list": lambda: claim("groups", equals=["ops"]),
    "equals an object": lambda: claim("nested", equals={}),
    "contains a number": lambda: claim("groups", contains=5),  # type: ignore[arg-type]
    "check that is none": lambda: claim("groups", check="ops"),  # type: ignore[arg-type]
    "all of nothing": all_of,
    "any of nothing": any_of,
    "none of nothing": none_of,
    "all of no policy": lambda: all_of(None),  # type: ignore[arg-type]
    "any of a list": lambda: any_of([anyone()]),  # type: ignore[arg-type]
    "none of a text": lambda: none_of("admin"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_emptiness_and_mistakes_are_refused_when_the_policy_is_made(mistake: Callable[[], object]) -> None:
    with pytest.raises(Misconfigured):
        mistake()


# --- what is no answer -------------------------------------------------------------------------------


async def coroutine(*_: object) -> Decision:
    return Allow(ADA)


async def stream(*_: object) -> Any:
    yield Allow(ADA)


def yields_its_answer(*_: object) -> Any:
    yield from call(lambda: None)
    yield from call(lambda: None)


def returns_truth_from_a_flow(*_: object) -> Any:
    yield from call(lambda: None)
    return True


NO_ANSWERS: dict[str, Any] = {
    "True": lambda *_: True,
    "False": lambda *_: False,
    "None": lambda *_: None,
    "1": lambda *_: 1,
    "text": lambda *_: "allow",
    "credentials": lambda *_: ADA,
    "the class": lambda *_: Allow,
    "a tuple": lambda *_: (Allow(ADA),),
    "an error": lambda *_: InsufficientScope(),
    "a coroutine": coroutine,
    "an async generator": stream,
    "a policy": lambda *_: anyone(),
}


@pytest.mark.parametrize("policy", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
@pytest.mark.parametrize(
    "around",
    [lambda policy: policy, lambda policy: all_of(anyone(), policy), lambda policy: any_of(policy, anyone()), none_of,
     lambda policy: by_route([("GET", "/orders", policy)])],
    ids=["alone", "all_of", "any_of", "none_of", "by_route"],
)  # fmt: skip
def test_what_is_no_decision_is_an_error_and_never_a_yes(policy: Any, around: Callable[[Any], Policy]) -> None:
    with pytest.raises(TypeError, match="a policy answers Allow or Deny, not "):
        asked(around(policy))


def test_a_flow_that_ends_without_a_decision_is_an_error_too() -> None:
    for policy in (yields_its_answer, returns_truth_from_a_flow):
        answers = [None] * (2 if policy is yields_its_answer else 1)
        with pytest.raises(TypeError, match="a policy answers Allow or Deny"):
            asked(policy, ADA, *answers)


@pytest.mark.parametrize("answer", [None, 1, "yes", [], coroutine], ids=["None", "1", "text", "list", "coroutine"])
def test_a_check_answers_true_or_false_and_nothing_like_it(answer: Any) -> None:
    check: Any = answer if answer is coroutine else lambda _: answer
    policy = claim("team", check=check)

    with pytest.raises(TypeError, match="answers True or False"):
        asked(policy)


def test_a_decision_is_no_truth_value() -> None:
    for decision in (Allow(ADA), Deny(InsufficientScope())):
        with pytest.raises(TypeError, match="no truth value"):
            bool(decision)


def test_a_policy_of_ones_own_may_be_plain_or_a_flow() -> None:
    def plain(request: Request, credentials: Credentials) -> Decision:
        return Allow(credentials) if request.method == "GET" else Deny(InsufficientScope())

    def flow(_request: Request, credentials: Credentials) -> Flow[Decision]:
        known = yield from call(lambda: None)
        return Allow(credentials) if known == "yes" else Deny(InsufficientScope())

    assert 200 == said(plain)
    assert 200 == said(flow, ADA, "yes")
    assert 403 == said(flow, ADA, "no")
    assert 403 == said(all_of(plain, flow), ADA, "no")


# --- combined ----------------------------------------------------------------------------------------


def yes(_request: Request, credentials: Credentials) -> Decision:
    return Allow(credentials)


def no(_request: Request, _credentials: Credentials) -> Decision:
    return Deny(InsufficientScope())


def unknown(_request: Request, _credentials: Credentials) -> Decision:
    return Deny(KeysUnavailable("nobody can tell"))


SAYS: dict[Policy, int] = {yes: 200, no: 403, unknown: 503}
COMBINATIONS = [each for size in (1, 2, 3) for each in itertools.product(SAYS, repeat=size)]


def named(policies: Any) -> str:
    return "+".join(policy.__name__ for policy in policies)


@pytest.mark.parametrize("policies", COMBINATIONS, ids=named)
def test_all_of_gives_the_first_refusal(policies: tuple[Policy, ...]) -> None:
    answers = [SAYS[policy] for policy in policies]

    assert next((answer for answer in answers if answer != 200), 200) == said(all_of(*policies))


@pytest.mark.parametrize("policies", COMBINATIONS, ids=named)
def test_any_of_gives_the_first_yes_or_what_cannot_be_told_before_it(policies: tuple[Policy, ...]) -> None:
    answers = [SAYS[policy] for policy in policies]

    assert next((answer for answer in answers if answer != 403), 403) == said(any_of(*policies))


@pytest.mark.parametrize("policies", COMBINATIONS, ids=named)
def test_none_of_lets_in_only_where_all_say_no(policies: tuple[Policy, ...]) -> None:
    answers = [SAYS[policy] for policy in policies]
    first = next((answer for answer in answers if answer != 403), 403)

    assert {403: 200, 200: 403, 503: 503}[first] == said(none_of(*policies))


def test_a_refusal_by_any_of_asks_for_what_the_first_asked_for() -> None:
    denied = asked(any_of(scopes("admin"), roles("root"), scopes("other")))

    assert isinstance(denied, Deny)
    assert isinstance(denied.error, InsufficientScope)
    assert {"admin"} == denied.error.required


@pytest.mark.parametrize("around", [all_of, any_of, none_of])
def test_what_a_policy_raises_is_never_a_yes(around: Callable[..., Policy]) -> None:
    def raises(error: Exception) -> Policy:
        def policy(_request: Request, _credentials: Credentials) -> Decision:
            raise error

        return policy

    for error in (FetchFailed("https://id.test", "x"), InsufficientScope(), ZeroDivisionError()):
        with pytest.raises(type(error)):
            asked(around(raises(error), yes))
    assert issubclass(FetchFailed, Unavailable)


# --- without a token ---------------------------------------------------------------------------------

OPEN = {
    "anyone": (anyone(), True),
    "authenticated": (authenticated(), False),
    "scopes": (scopes("a"), False),
    "roles": (roles("a"), False),
    "claim": (claim("a", equals="b"), False),
    "a function": (yes, False),
    "all of anyone": (all_of(anyone(), anyone()), True),
    "all of anyone and scopes": (all_of(anyone(), scopes("a")), False),
    "all of scopes and anyone": (all_of(scopes("a"), anyone()), False),
    "any of scopes and anyone": (any_of(scopes("a"), anyone()), True),
    "any of scopes and roles": (any_of(scopes("a"), roles("b")), False),
    "none of anyone": (none_of(anyone()), False),
    "none of scopes": (none_of(scopes("a")), False),
    "nested": (all_of(any_of(scopes("a"), anyone()), any_of(anyone())), True),
    "nested, closed": (any_of(all_of(anyone(), none_of(roles("x")))), False),
    "an open route": (by_route([("GET", "/orders", anyone())]), True),
    "an open route for others": (by_route([("POST", "/orders", anyone())]), False),
    "an open route elsewhere": (by_route([("GET", "/health", anyone())]), False),
    "a closed route before an open one": (by_route([("GET", "/orders", yes), (None, "/**", anyone())]), False),
    "an open route within more": (all_of(by_route([(None, "/**", anyone())]), scopes("a")), False),
}


@pytest.mark.parametrize(("policy", "opens"), OPEN.values(), ids=OPEN.keys())
def test_only_what_says_so_goes_without_a_token(policy: Policy, *, opens: bool) -> None:
    assert opens is is_open(policy, REQUEST)


async def _async_no(_self: object, _request: object) -> bool:
    return False


def _generated_no(_self: object, _request: object) -> Any:
    yield False


@pytest.mark.parametrize(
    "opens", [_async_no, _generated_no, lambda _self, _request: "no"], ids=["async", "yield", "text"]
)
def test_what_is_neither_true_nor_false_opens_nothing(opens: Any) -> None:
    policy: Any = type("Odd", (), {"is_open": opens, "__call__": lambda _self, _request, who: Allow(who)})()
    for each in (policy, all_of(anyone(), policy), any_of(policy, authenticated())):
        with pytest.raises(TypeError, match="is_open answers True or False"):
            is_open(each, REQUEST)


def test_a_policy_of_credentials_needs_to_say_only_whom_it_lets_in() -> None:
    class Nobody(OfCredentials):
        def lets_in(self, _credentials: Credentials) -> bool:
            return False

    decision = asked(Nobody())

    assert isinstance(decision, Deny)
    assert isinstance(decision.error, InsufficientScope)
    assert isinstance(asked(OfCredentials()), Allow)
