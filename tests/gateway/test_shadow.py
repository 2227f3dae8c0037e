"""A second guard beside the first → where it would decide otherwise, in the log, and no other trace of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from jwt_guard import ClaimNames, Guard, Memory, anyone, by_route, scopes
from jwt_guard.access.once import Once
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import Unavailable
from jwt_guard.gateway import shadow as module
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.shadow import Shadow
from jwt_guard.messages import PlainRequest
from jwt_guard.observing.observer import Circumstances
from jwt_guard.sources.jwks import KeySettings, jwks
from tests.support.bad_issuer import BadIssuer, hangs
from tests.support.minting import NOW, claims, guard, mint, provider

HOW = Circumstances(0.001)


def asks(*tokens: str, path: str = "/orders") -> PlainRequest:
    return PlainRequest("GET", path, headers=tuple(("authorization", f"Bearer {token}") for token in tokens))


def judged(first: Guard, shadow: Shadow, *requests: PlainRequest) -> list[Decision]:
    """Return what *first* decides about *requests*, once *shadow* has judged them, too."""

    async def judge() -> list[Decision]:
        decisions = [await Judge(first, IdentityHeaders(), observe=shadow).decide(each) for each in requests]
        if shadow._task is not None:
            await shadow._task
        return decisions

    return asyncio.run(judge())


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("shadow")]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_what_both_decide_alike_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    shadow = Shadow(guard(policy=scopes("orders:read")))
    judged(guard(policy=scopes("orders:read")), shadow, asks(mint()), asks(mint()[:-4]), asks())

    assert [] == lines(caplog)
    assert {"same": 3, "different": 0, "undecided": 0, "passed_over": 0} == shadow.counts()


def test_only_differences_are_told_and_nothing_of_the_token(caplog: pytest.LogCaptureFixture) -> None:
    token = mint()
    shadow = Shadow(guard(policy=scopes("orders:delete")))
    (decision,) = judged(guard(policy=scopes("orders:read")), shadow, asks(token))

    assert isinstance(decision, Allow)
    (line,) = lines(caplog)
    assert line == (
        "shadow: now let in, then 403 InsufficientScope (a scope is missing: needs 'orders:delete'): 'GET' '/orders'"
    )
    assert token not in caplog.text
    assert "ada" not in caplog.text
    assert 1 == shadow.counts()["different"]


def test_a_yes_in_place_of_a_no_is_told_and_the_answer_stays_no(caplog: pytest.LogCaptureFixture) -> None:
    shadow = Shadow(guard(policy=anyone()))
    (decision,) = judged(guard(), shadow, asks())

    assert isinstance(decision, Deny)
    assert ["shadow: now 401 MissingToken (no bearer token was sent), then let in: 'GET' '/orders'"] == lines(caplog)


def test_another_kind_of_no_is_a_difference(caplog: pytest.LogCaptureFixture) -> None:
    shadow = Shadow(guard(policy=by_route([("POST", "/orders", anyone())])))
    judged(guard(policy=scopes("boss")), shadow, asks(mint()))

    (line,) = lines(caplog)
    assert line.startswith("shadow: now 403 InsufficientScope")
    assert ", then 405 MethodNotAllowed" in line


def test_an_identity_that_an_upstream_would_be_told_otherwise_is_a_difference(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = guard(claims=ClaimNames(user=("client_id",), scopes=("none",)))
    judged(guard(), Shadow(other), asks(mint()))

    assert ["shadow: let in now and then, with another user and scopes: 'GET' '/orders'"] == lines(caplog)


def test_somebody_in_place_of_nobody_is_a_difference() -> None:
    who = Credentials("ada", None, frozenset(), frozenset(), "test", {})

    assert "let in now and then, with another identity" == module._difference(Allow(None), Allow(who))
    assert module._difference(Allow(None), Allow(None)) is None
    assert module._difference(Allow(who), Allow(who)) is None


def test_where_one_cannot_tell_there_is_no_difference(caplog: pytest.LogCaptureFixture) -> None:
    def cannot_tell(_request: object, _credentials: object) -> Decision:
        return Deny(Unavailable("not now"))

    for first, second in ((cannot_tell, anyone()), (anyone(), cannot_tell)):
        shadow = Shadow(guard(policy=second))
        judged(guard(policy=first), shadow, asks(mint()))

        assert 1 == shadow.counts()["undecided"]
    assert [] == lines(caplog)


def test_a_bug_in_it_is_told_without_its_words_and_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(_request: object, credentials: Credentials) -> Decision:
        raise RuntimeError(credentials.user)

    shadow = Shadow(guard(policy=breaks), logged_per_minute=1)
    decisions = judged(guard(), shadow, asks(mint()), asks(mint(claims(jti="b"))))

    assert all(isinstance(decision, Allow) for decision in decisions)
    assert ["shadow: RuntimeError was raised while deciding"] == lines(caplog)
    assert 2 == shadow.counts()["undecided"]
    assert "ada" not in caplog.text


def test_its_issuer_may_hang_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    with BadIssuer(hangs()) as issuer:
        source: Any = jwks(issuer.url, KeySettings(timeout=0.2))
        shadow = Shadow(guard(keys=source))

        async def judge() -> Decision:
            first = Judge(guard(), IdentityHeaders(), observe=shadow)
            async with asyncio.timeout(0.04):
                decision = await first.decide(asks(mint()))
            assert shadow._task is not None
            await shadow._task
            return decision

        assert isinstance(asyncio.run(judge()), Allow)
    assert 1 == shadow.counts()["undecided"]


def test_so_many_are_judged_in_a_second_and_no_more() -> None:
    now = [0.0]
    shadow = Shadow(guard(), per_second=2, clock=lambda: now[0])
    judged(guard(), shadow, *[asks(mint())] * 5)

    assert (2, 3) == (shadow.counts()["same"], shadow.counts()["passed_over"])

    now[0] = 0.999
    judged(guard(), shadow, asks(mint()))
    assert 4 == shadow.counts()["passed_over"]

    now[0] = 1.0
    judged(guard(), shadow, asks(mint()))
    assert (3, 4) == (shadow.counts()["same"], shadow.counts()["passed_over"])


def test_no_more_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    shadow = Shadow(guard())

    async def flood() -> None:
        for _ in range(5):
            shadow(asks(), Deny(Unavailable("not now")), HOW)
        assert shadow._task is not None
        await shadow._task

    asyncio.run(flood())
    assert (2, 3) == (shadow.counts()["undecided"], shadow.counts()["passed_over"])


def test_so_many_differences_are_logged_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    shadow = Shadow(guard(policy=anyone()), logged_per_minute=1, clock=lambda: now[0])
    judged(guard(), shadow, asks(), asks(), asks())

    assert 1 == len(lines(caplog))

    now[0] = 60.0
    judged(guard(), shadow, asks())
    assert lines(caplog)[-1].endswith("'GET' '/orders' (2 differences before were not logged)")
    assert 4 == shadow.counts()["different"]


def test_whoever_waits_for_an_answer_goes_before_it() -> None:
    order: list[str] = []

    def looks(name: str) -> Callable[[object, Credentials], Decision]:
        def look(_request: object, credentials: Credentials) -> Decision:
            order.append(name)
            return Allow(credentials)

        return look

    async def others() -> None:
        for _ in range(4):
            order.append("another")
            await asyncio.sleep(0)

    async def judge() -> None:
        shadow = Shadow(guard(policy=looks("shadow")))
        for _ in range(3):
            shadow(asks(mint()), Allow(None), HOW)
        assert shadow._task is not None
        await asyncio.gather(others(), shadow._task)

    asyncio.run(judge())
    assert 3 == order.count("shadow")
    assert ("shadow", "shadow") not in set(pairwise(order))


def test_a_token_that_counts_once_is_not_used_up_by_it() -> None:
    of = provider(once=Once())
    first, token = Guard([of], policy=scopes("boss"), clock=lambda: NOW), mint()
    shadow = Shadow(Guard([of], clock=lambda: NOW))
    judged(first, shadow, asks(token))
    judged(guard(), shadow, asks(token))

    assert [None] == [each.once for each in shadow.guard.providers]
    assert (1, 1) == (shadow.counts()["different"], shadow.counts()["same"])


def test_a_guard_that_remembers_nothing_has_a_shadow_that_does_not() -> None:
    assert Shadow(Guard([provider()], memory=None)).guard.memory is None
    assert Shadow(guard()).guard.memory == Memory(tokens=1_024, octets=4_194_304)
