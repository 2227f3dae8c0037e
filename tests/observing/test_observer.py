"""A decision → whoever wants to hear of it, and nothing that goes wrong there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from jwt_guard.decision import Allow, Decision, Deny
from jwt_guard.errors import Expired, MissingToken
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.messages import PlainRequest, Request
from jwt_guard.observing.observer import Circumstances, all_told, told
from tests.support.minting import ABSENT, NOW, claims, guard, mint

if TYPE_CHECKING:
    import pytest

REQUEST = PlainRequest("GET", "/")
HOW = Circumstances(0.5)
Heard = list[tuple[Request, Decision, Circumstances]]


def fails(_request: Request, _decision: Decision, _circumstances: Circumstances) -> None:
    raise RuntimeError("eyJ")


def test_whoever_observes_cannot_break_anything(caplog: pytest.LogCaptureFixture) -> None:
    told(fails, REQUEST, Allow(None), HOW)

    assert [(logging.ERROR, "an observer raised RuntimeError")] == [
        (record.levelno, record.getMessage()) for record in caplog.records
    ]
    assert "eyJ" not in caplog.text


def test_several_are_one_and_each_hears_whatever_happens_to_another() -> None:
    heard: Heard = []
    both = all_told([fails, lambda *what: heard.append(what)])

    assert both is not None
    both(REQUEST, Allow(None), HOW)
    assert [(REQUEST, Allow(None), HOW)] == heard


def test_none_are_none_and_one_is_itself() -> None:
    assert all_told([]) is None
    assert all_told([fails]) is fails


def test_a_judge_tells_of_each_decision_once() -> None:
    heard: Heard = []
    judge = Judge(guard(), IdentityHeaders(), observe=lambda *what: heard.append(what))
    tokens = [mint(), mint(), mint(claims(exp=NOW - 3600)), ""]
    requests = [PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),)) for token in tokens]
    requests[1] = requests[0]
    for request in requests:
        asyncio.run(judge.decide(request))

    assert requests == [request for request, _, _ in heard]
    assert [Allow, Allow, Deny, Deny] == [type(decision) for _, decision, _ in heard]
    assert [Expired, MissingToken] == [type(each.error) for _, each, _ in heard if isinstance(each, Deny)]
    assert [False, True, False, False] == [how.remembered for _, _, how in heard]
    assert all(0 < how.seconds < 60 for _, _, how in heard)


def test_an_observer_that_breaks_changes_no_answer() -> None:
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {mint(claims(jti=ABSENT))}"),))

    assert isinstance(asyncio.run(Judge(guard(), IdentityHeaders(), observe=fails).decide(request)), Allow)
