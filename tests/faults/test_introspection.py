"""An endpoint that misbehaves in each way there is, asked by many at once → nobody is let in, and it is asked once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread
import pytest

from jwt_guard import Guard, KeySettings, averify, verify
from jwt_guard.credentials import Credentials
from jwt_guard.errors import GuardError, InvalidToken, Unavailable
from jwt_guard.sources.introspection import introspection
from tests.support.bad_issuer import (
    CHUNKED,
    GZIP_BOMB,
    BadIssuer,
    Way,
    answer,
    drips,
    floods,
    hangs,
    resets,
    says,
)
from tests.support.minting import NOW, claims, mint, provider

Outcome = Credentials | GuardError
Together = Callable[[Guard, list[str]], list[Outcome]]
TOKEN = "an-opaque-token-that-nobody-may-see"
ACTIVE = json.dumps({"active": True, "token_type": "Bearer", **claims()}).encode()
INACTIVE = b'{"active": false}'
MANY = 40


def guarding(endpoint: BadIssuer, *, timeout: float = 5, **more: Any) -> Guard:
    settings = KeySettings(timeout=timeout)
    asks = introspection(endpoint.url, client_id="orders-api", client_secret="s3cret", settings=settings, **more)
    return Guard([provider(introspection=asks)], clock=lambda: NOW)


def by_threads(guard: Guard, tokens: list[str]) -> list[Outcome]:
    def one(token: str) -> Outcome:
        try:
            return verify(guard, token)
        except GuardError as error:
            return error

    with ThreadPoolExecutor(len(tokens)) as threads:
        return list(threads.map(one, tokens))


def on(backend: str) -> Together:
    async def all_of(guard: Guard, tokens: list[str]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}

        async def one(place: int, token: str) -> None:
            try:
                outcomes[place] = await averify(guard, token)
            except GuardError as error:
                outcomes[place] = error

        async with anyio.create_task_group() as group:
            for place, token in enumerate(tokens):
                group.start_soon(one, place, token)
        return [outcomes[place] for place in range(len(tokens))]

    return lambda guard, tokens: anyio.run(all_of, guard, tokens, backend=backend)


each_way = pytest.mark.parametrize(
    "together", [by_threads, on("asyncio"), on("trio")], ids=["threads", "asyncio", "trio"]
)


@each_way
def test_many_who_bring_one_token_have_it_asked_about_once(together: Together) -> None:
    with BadIssuer(hangs(answer(ACTIVE))) as endpoint:
        guard = guarding(endpoint)
        with ThreadPoolExecutor(1) as other:
            outcomes = other.submit(together, guard, [TOKEN] * MANY)
            endpoint.wait_for(lambda: bool(endpoint.requests))
            time.sleep(0.1)
            endpoint.released.set()
            found = outcomes.result(20)
        again = together(guard, [TOKEN] * MANY)

    assert 1 == len(endpoint.requests)
    for who in (*found, *again):
        assert isinstance(who, Credentials)
        assert "ada-lovelace" == who.user


@each_way
def test_each_token_gets_its_own_answer(together: Together) -> None:
    def by_name(issuer: BadIssuer, connection: Any) -> None:
        is_good = b"token=good" in issuer.requests[-1]
        connection.sendall(answer(ACTIVE if is_good else INACTIVE))

    with BadIssuer(by_name) as endpoint:
        guard = guarding(endpoint)
        for _ in range(2):
            good, bad = (together(guard, [text]) for text in ("good-token", "bad-token"))

            assert isinstance(good[0], Credentials)
            assert isinstance(bad[0], InvalidToken)

    assert 2 == len(endpoint.requests)


@each_way
def test_many_who_bring_a_token_that_was_taken_back_cost_one_question(together: Together) -> None:
    with BadIssuer(says(answer(INACTIVE))) as endpoint:
        outcomes = together(guarding(endpoint), [TOKEN] * MANY)

    assert 1 == len(endpoint.requests)
    assert {InvalidToken} == {type(outcome) for outcome in outcomes}


MISBEHAVIOURS: dict[str, tuple[Way, str]] = {
    "hangs": (hangs(), "no answer within"),
    "hangs in the middle": (hangs(first=answer(ACTIVE[:20], length=len(ACTIVE))), "no answer within"),
    "drips": (drips(b" ", answer(length=1_000_000)), "no answer within"),
    "floods": (floods(b"10000\r\n" + b" " * 65_536 + b"\r\n", CHUNKED), "longer than 65536"),
    "a bomb": (says(GZIP_BOMB), "compressed"),
    "resets": (resets(), "no answer (ReadError"),
    "cut short": (says(answer(ACTIVE[:20], length=len(ACTIVE))), "no answer (RemoteProtocolError"),
    "a redirect": (says(answer(status="302 Found", headers="Location: https://id.test/\r\n")), "a redirect"),
    "a page": (says(answer(b"<html>active: true</html>")), "no JSON object"),
    "nothing": (says(answer()), "no JSON object"),
    "broken": (says(answer(ACTIVE, "500 Oh")), "answered with 500"),
    "who are you": (says(answer(ACTIVE, "401 Unauthorized")), "does not know who asks"),
    "true in words": (says(answer(ACTIVE.replace(b"true", b'"true"'))), "does not say whether"),
    "both": (says(answer(b'{"active": false, "active": true}')), "has a member twice"),
    "not HTTP": (says(b"SSH-2.0-OpenSSH\r\n"), "no answer"),
}


@each_way
@pytest.mark.parametrize(("way", "words"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
def test_who_is_no_use_lets_nobody_in(
    together: Together, way: Way, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwt_guard")
    # Who answers at all gets the time that a busy machine may need for it; who does not is not waited for much longer.
    patience = 1.5 if words == "no answer within" else 10
    began = time.monotonic()
    with BadIssuer(way) as endpoint:
        outcomes = together(guarding(endpoint, timeout=patience), [TOKEN] * 5)
        took = time.monotonic() - began

        assert 1 == len(endpoint.requests)
    assert took < patience + 10
    for outcome in outcomes:
        assert isinstance(outcome, Unavailable)
        assert words in str(outcome) or "in time" in str(outcome)
        assert TOKEN not in str(outcome)
        assert "s3cret" not in str(outcome)
    # Where time is what ended it, those who wait may be told first.
    assert words == "no answer within" or any(words in str(outcome) for outcome in outcomes)
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert TOKEN not in caplog.text


@each_way
def test_nobody_there_is_503_and_the_next_answer_counts(together: Together) -> None:
    with BadIssuer() as endpoint:
        port_of_nobody = guarding(endpoint)
    assert isinstance(together(port_of_nobody, [TOKEN])[0], Unavailable)

    with BadIssuer(resets()) as endpoint:
        guard = guarding(endpoint)
        assert isinstance(together(guard, [TOKEN])[0], Unavailable)
        endpoint.way = says(answer(ACTIVE))
        assert isinstance(together(guard, [TOKEN])[0], Unavailable)
        time.sleep(1.05)

        assert isinstance(together(guard, [TOKEN])[0], Credentials)


@each_way
def test_a_signed_token_is_let_in_by_nobody_who_is_no_use_either(together: Together) -> None:
    token = mint()
    with BadIssuer(resets()) as endpoint:
        guard = guarding(endpoint, jwts=True)
        refused = together(guard, [token] * 5)
        endpoint.way = says(answer(b'{"active": true}'))
        time.sleep(1.05)
        taken = together(guard, [token] * 5)

        assert 2 == len(endpoint.requests)
    assert {Unavailable} == {type(outcome) for outcome in refused}
    assert {Credentials} == {type(outcome) for outcome in taken}


@each_way
def test_one_who_gives_up_leaves_the_answer_to_the_others(together: Together) -> None:
    with BadIssuer(hangs(answer(ACTIVE))) as endpoint:
        guard = guarding(endpoint, timeout=20)

        async def gives_up() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(averify, guard, TOKEN)
                await anyio.to_thread.run_sync(endpoint.wait_for, lambda: bool(endpoint.requests))
                group.cancel_scope.cancel()

        anyio.run(gives_up)
        endpoint.released.set()

        assert isinstance(together(guard, [TOKEN])[0], Credentials)
        assert 1 == len(endpoint.requests)


def test_what_is_sent_is_the_token_in_the_body_and_nowhere_else() -> None:
    with BadIssuer(says(answer(ACTIVE))) as endpoint:
        verify(guarding(endpoint), TOKEN)
        (request,) = endpoint.requests
    head, _, body = request.partition(b"\r\n\r\n")

    assert head.startswith(b"POST /keys HTTP/1.1\r\n")
    assert f"token={TOKEN}&token_type_hint=access_token".encode() == body
    assert TOKEN.encode() not in head
    assert b"s3cret" not in request
