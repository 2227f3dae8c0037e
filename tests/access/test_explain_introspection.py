"""A token that an issuer is asked about → what explain says of it, and that it is shown to nobody unasked."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Guard, Limits, scopes
from jwt_guard.access.explain import Explanation, Step, explain
from jwt_guard.messages import PlainRequest
from jwt_guard.sources.introspection import introspection
from tests.support.minting import HOUR, NOW, claims, mint, provider
from tests.support.playing import down, play, reply

URL = "https://id.test/introspect"
TOKEN = "opaque-token"
SAID = {"active": True, "token_type": "Bearer", **claims()}


def guarding(*, jwts: bool = False, **more: Any) -> Guard:
    asks = introspection(URL, client_id="orders-api", client_secret="s3cret", jwts=jwts)
    return Guard([provider(introspection=asks)], scopes("orders:read"), clock=lambda: NOW, **more)


def explained(of: Guard, text: str, *answers: Any, **more: Any) -> Explanation:
    explanation = play(lambda: explain(of, text, now=NOW, **more), *answers).value

    assert isinstance(explanation, Explanation)
    assert TOKEN not in repr(explanation)
    return explanation


def step(explanation: Explanation, about: str) -> Step:
    (found,) = (each for each in explanation.steps if each.about == about)
    return found


def failed(explanation: Explanation) -> list[str]:
    return [each.about for each in explanation.steps if each.verdict == "failed"]


def test_a_token_is_shown_to_nobody_unless_that_is_said() -> None:
    explanation = explained(guarding(), TOKEN)

    assert ["shape", "introspection"] == [each.about for each in explanation.steps]
    assert "not checked" == explanation.verdict == step(explanation, "introspection").verdict
    assert "not shown to its issuer" in str(step(explanation, "introspection").advice)


def test_every_rule_about_the_answer_is_gone_through() -> None:
    request = PlainRequest("GET", "/orders")
    explanation = explained(guarding(revoked=lambda _: False), TOKEN, reply(SAID), ask_issuers=True, request=request)

    assert "ok" == explanation.verdict
    about = [each.about for each in explanation.steps]
    assert ["shape", "introspection", "types", "iss", "aud"] == about[:5]
    assert {"token_type", "exp", "reading", "revocation", "policy"} <= set(about)


def test_what_does_not_hold_is_said_with_what_to_do() -> None:
    said = {name: value for name, value in SAID.items() if name not in ("aud", "token_type")}
    explanation = explained(guarding(), TOKEN, reply({**said, "exp": NOW - HOUR}), ask_issuers=True)

    assert ["aud", "exp", "token_type"] == sorted(failed(explanation))
    assert "aud" in str(step(explanation, "aud").advice)
    assert "token_type" in str(step(explanation, "token_type").advice)


@pytest.mark.parametrize(
    ("answer", "says"), [(reply({"active": False}), "Get a new token"), (down(), "Look whether the endpoint")]
)
def test_a_no_and_no_answer_are_told_apart(answer: Any, says: str) -> None:
    explanation = explained(guarding(), TOKEN, answer, ask_issuers=True)

    assert ["introspection"] == failed(explanation)
    assert says in str(step(explanation, "introspection").advice)


def test_an_answer_in_hand_is_told_without_asking() -> None:
    of = guarding()
    play(lambda: of.admit(TOKEN), reply(SAID))

    assert "ok" == explained(of, TOKEN).verdict


def test_what_was_copied_along_is_left_out() -> None:
    explanation = explained(guarding(), f"Bearer {TOKEN}", reply(SAID), ask_issuers=True)

    assert ["shape"] == failed(explanation)
    assert "Leave out" in str(step(explanation, "shape").advice)
    assert "ok" == step(explanation, "introspection").verdict


@pytest.mark.parametrize("text", ['{"access_token": "x"}', "a b", "a" * 101])
def test_what_is_no_token_at_all_ends_there(text: str) -> None:
    explanation = explained(guarding(limits=Limits(token=100, header=100)), text, ask_issuers=True)

    assert ["shape"] == failed(explanation) == [each.about for each in explanation.steps]
    assert None is not step(explanation, "shape").advice


def test_a_signed_token_that_is_asked_about_too() -> None:
    unasked = explained(guarding(jwts=True), mint())
    good = explained(guarding(jwts=True), mint(), reply({"active": True}), ask_issuers=True)
    taken_back = explained(guarding(jwts=True), mint(), reply({"active": False}), ask_issuers=True)

    assert "not checked" == step(unasked, "introspection").verdict
    assert ("ok", "ok") == (good.verdict, step(good, "introspection").verdict)
    assert ["introspection"] == failed(taken_back)


def test_a_bad_signed_token_is_shown_to_nobody() -> None:
    explanation = explained(guarding(jwts=True), mint(claims(aud="stock")), ask_issuers=True)

    assert ["aud"] == failed(explanation)
    assert "not checked" == step(explanation, "introspection").verdict
