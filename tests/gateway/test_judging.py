"""A request at the gateway → 200 and who is asking, or why not: within its bound, and in words that gateways know."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jwt_guard import by_route, scopes
from jwt_guard.decision import Deny
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.messages import PlainRequest, Response
from jwt_guard.sources.jwks import KeySettings, jwks
from tests.support.bad_issuer import BadIssuer, hangs
from tests.support.minting import guard, mint

IDENTITY = IdentityHeaders(user="X-Auth-User", scopes="X-Auth-Scopes")


def answered(judge: Judge, *tokens: str, method: str = "GET", path: str = "/") -> Response:
    request = PlainRequest(method, path, headers=tuple(("authorization", f"Bearer {token}") for token in tokens))
    return judge.answer(asyncio.run(judge.decide(request)), request)


def told(response: Response) -> dict[str, str]:
    return dict(response.headers)


def test_a_yes_is_200_and_says_who_is_asking() -> None:
    judge = Judge(guard(), IDENTITY)
    for _ in range(2):  # verified, and remembered
        response = answered(judge, mint())
        assert (200, b"") == (response.status, response.body)
        assert {"X-Auth-User": "ada-lovelace", "X-Auth-Scopes": "orders:read orders:write"}.items() <= told(
            response
        ).items()
        assert "no-store" == told(response)["cache-control"]
        assert "0" == told(response)["content-length"]


def test_a_no_says_why_and_nothing_about_who() -> None:
    response = answered(Judge(guard(), IDENTITY), mint()[:-4])
    assert 401 == response.status
    assert told(response)["www-authenticate"].startswith('Bearer realm="api", error="invalid_token"')
    assert "no-store" == told(response)["cache-control"]
    assert not {"X-Auth-User", "X-Auth-Scopes"} & told(response).keys()


def test_two_tokens_are_one_too_many() -> None:
    judge, token = Judge(guard(), IDENTITY), mint()
    assert 400 == answered(judge, token, token).status
    assert 400 == answered(judge, f"{token}, Bearer {token}").status
    assert 200 == answered(judge, token).status


def test_a_method_that_the_route_has_not_is_403() -> None:
    judge = Judge(guard(policy=by_route([("GET", "/orders", scopes("orders:read"))])), IDENTITY)
    response = answered(judge, mint(), method="POST", path="/orders")
    assert 403 == response.status
    assert "insufficient_scope" in told(response)["www-authenticate"]
    assert "allow" not in told(response)
    assert 403 == answered(judge, mint(), method="get", path="/orders").status


def test_there_is_an_answer_while_the_issuer_hangs() -> None:
    with BadIssuer(hangs()) as issuer:
        source: Any = jwks(issuer.url, KeySettings(timeout=5))
        judge = Judge(guard(keys=source), IDENTITY, answer_within=0.1)
        start = time.monotonic()
        response = answered(judge, mint())
        assert time.monotonic() - start < 2
    assert 503 == response.status
    assert "1" == told(response)["retry-after"]


def test_what_takes_no_wait_is_told_at_once() -> None:
    judge, token = Judge(guard(), IDENTITY), mint()
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),))
    assert judge.glance(request) is None
    asyncio.run(judge.decide(request))
    assert judge.glance(request) is not None
    assert isinstance(judge.glance(PlainRequest("GET", "/")), Deny | None)
