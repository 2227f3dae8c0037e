"""Tokens that real providers are asked about → let in while they are active, and refused once they are taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from jwt_guard import Guard, GuardError, Provider, Unavailable, authenticated, averify, rfc9068, scopes, verify
from jwt_guard.access.explain import explain
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected, InvalidToken
from jwt_guard.issuing.assertion import assertions
from jwt_guard.issuing.signing import SigningKey, make
from jwt_guard.middleware.wsgi import GuardMiddleware
from jwt_guard.runners import blocking
from jwt_guard.sources.introspection import introspection

from .glewlwyd import Glewlwyd, installed, machine
from .rig import BILLING, ORDERS, LiveProvider

KEPT = 0.5  # seconds


def guard_for(live: LiveProvider, audience: str = ORDERS, **more: Any) -> Guard:
    client_id, client_secret = live.machine
    who: dict[str, Any] = {"client_id": client_id, "client_secret": client_secret, "kept_for": KEPT, "refused_for": 0.2}
    asks = introspection(live.introspection_url, **{**who, **more})
    return Guard([Provider("live", live.issuer, audience, introspection=asks)], authenticated())


def refused(guard: Guard, token: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        verify(guard, token)
    return caught.value


def by_threads(guard: Guard, token: str) -> Credentials:
    return verify(guard, token)


def on_asyncio(guard: Guard, token: str) -> Credentials:
    return anyio.run(averify, guard, token, backend="asyncio")


def on_trio(guard: Guard, token: str) -> Credentials:
    return anyio.run(averify, guard, token, backend="trio")


# --- oidc-provider, and tokens that only it can read -------------------------------------------------


@pytest.mark.parametrize("ask", [by_threads, on_asyncio, on_trio])
def test_an_opaque_token_is_whom_its_issuer_says(
    live_provider: LiveProvider, ask: Callable[[Guard, str], Credentials]
) -> None:
    token = live_provider.token(algorithm="opaque", scope="orders:read orders:write")
    who = ask(guard_for(live_provider), token)

    assert "." not in token
    assert (None, "machine-with-secret", "live") == (who.user, who.client, who.provider)
    assert frozenset({"orders:read", "orders:write"}) == who.scopes


def test_a_user_keeps_their_name(live_provider: LiveProvider) -> None:
    who = verify(guard_for(live_provider), live_provider.user_tokens("alice", algorithm="opaque").access_token)

    assert ("alice", "website") == (who.user, who.client)


@pytest.mark.parametrize("alg", ["RS384", "ES384", "EdDSA"])
def test_a_client_with_a_key_may_ask(live_provider: LiveProvider, alg: str) -> None:
    key: SigningKey = make(alg, f"{alg}-of-the-api")
    name = f"api-{alg.lower()}"
    live_provider.register(name, {**(key.public or {}), "alg": alg})
    token = live_provider.token(algorithm="opaque")
    assertion = assertions(key, name, live_provider.introspection_url)

    who = verify(guard_for(live_provider, client_id=name, client_secret=None, assertion=assertion), token)
    assert "machine-with-secret" == who.client
    unknown = assertions(make(alg, f"{alg}-of-the-api"), name, live_provider.introspection_url)
    error = refused(guard_for(live_provider, client_id=name, client_secret=None, assertion=unknown), token)
    assert isinstance(error, Unavailable)
    assert "does not know who asks" in str(error)


def test_a_signed_token_of_the_same_issuer_is_verified_and_shown_to_nobody(live_provider: LiveProvider) -> None:
    assert "machine-with-secret" == verify(guard_for(live_provider), live_provider.token(algorithm="ES256")).client


def test_a_token_that_was_taken_back_is_refused_when_the_answer_is_over(live_provider: LiveProvider) -> None:
    guard, token = guard_for(live_provider), live_provider.token(algorithm="opaque")
    verify(guard, token)
    live_provider.revoke(token)
    time.sleep(KEPT)

    with pytest.raises(InvalidToken, match="not active"):
        verify(guard, token)
    with pytest.raises(InvalidToken, match="not active"):
        verify(guard_for(live_provider), token)


def test_a_token_for_somebody_else_is_refused(live_provider: LiveProvider) -> None:
    token = live_provider.token(BILLING, algorithm="opaque")
    error = refused(guard_for(live_provider), token)

    assert isinstance(error, ClaimRejected)
    assert "aud" == error.claim
    assert "machine-with-secret" == verify(guard_for(live_provider, BILLING), token).client


@pytest.mark.parametrize("token", ["NOOP", "a" * 43, "a.b", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d"])
def test_what_somebody_made_up_is_refused(live_provider: LiveProvider, token: str) -> None:
    assert isinstance(refused(guard_for(live_provider), token), InvalidToken)


def test_an_issuer_that_was_ended_is_503_also_for_a_token_that_was_good(usable_node: Path) -> None:
    with LiveProvider.start(usable_node) as live:
        guard, token = guard_for(live), live.token(algorithm="opaque")
        verify(guard, token)
    time.sleep(KEPT)

    for text in (token, "made-up"):
        error = refused(guard, text)
        assert isinstance(error, Unavailable)
        assert 503 == error.status
        assert token not in str(error)


def test_an_application_sees_who_came(live_provider: LiveProvider) -> None:
    def app(environ: dict[str, object], start_response: Callable[..., object]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        who = environ["jwt_guard"]
        assert isinstance(who, Credentials)
        yield str(who.client).encode()

    guarded = GuardMiddleware(app, Guard(guard_for(live_provider).providers, scopes("orders:read")))
    tokens = [live_provider.token(algorithm="opaque", scope=scope) for scope in ("orders:read", "orders:write")]
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://api.test") as client:
        answers = [client.get("/", headers={"Authorization": f"Bearer {token}"}) for token in (*tokens, "made-up")]

    assert [200, 403, 401] == [answer.status_code for answer in answers]
    assert "machine-with-secret" == answers[0].text
    assert 'error="invalid_token"' in answers[2].headers["www-authenticate"]


def test_explain_says_the_same(live_provider: LiveProvider) -> None:
    token, guard = live_provider.token(algorithm="opaque"), guard_for(live_provider)
    unasked = blocking.run(explain(guard, token, now=time.time()))
    asked = blocking.run(explain(guard, token, now=time.time(), ask_issuers=True))

    assert ("not checked", "ok") == (unasked.verdict, asked.verdict)


# --- Glewlwyd, and signed tokens that it takes back --------------------------------------------------


@pytest.fixture(scope="module")
def glewlwyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glewlwyd]:
    with Glewlwyd.start(installed(), tmp_path_factory.mktemp("glewlwyd")) as running:
        yield running


def asking_too(live: Glewlwyd, algorithm: str = "RS256") -> Guard:
    client_id, client_secret = live.secret_of(algorithm)
    asks = introspection(
        live.introspection_url, client_id=client_id, client_secret=client_secret, jwts=True, kept_for=KEPT
    )
    return Guard([rfc9068(live.issuer, ORDERS, name="live", introspection=asks)], authenticated())


@pytest.mark.parametrize("ask", [by_threads, on_asyncio, on_trio])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_signed_token_counts_until_it_is_taken_back(
    glewlwyd: Glewlwyd, algorithm: str, ask: Callable[[Guard, str], Credentials]
) -> None:
    guard, token = asking_too(glewlwyd, algorithm), glewlwyd.token(algorithm=algorithm)
    keys_alone = Guard([rfc9068(glewlwyd.issuer, ORDERS)], authenticated())
    before = ask(guard, token)
    glewlwyd.revoke(token, algorithm=algorithm)
    time.sleep(KEPT)

    assert machine(algorithm) == before.client
    with pytest.raises(InvalidToken, match="not active"):
        ask(guard, token)
    assert machine(algorithm) == ask(keys_alone, token).client  # by its signature it would be good


def test_another_clients_token_is_told_only_to_whom_the_issuer_says(glewlwyd: Glewlwyd) -> None:
    with pytest.raises(InvalidToken, match="not active"):
        verify(asking_too(glewlwyd, "RS256"), glewlwyd.token(algorithm="ES256"))


def test_a_token_that_was_remembered_is_503_when_nobody_can_be_asked(tmp_path: Path) -> None:
    with Glewlwyd.start(installed(), tmp_path) as live:
        guard, token = asking_too(live), live.token()
        verify(guard, token)
        assert None is not guard.recall(token)
    time.sleep(KEPT)

    assert None is guard.recall(token)
    assert isinstance(refused(guard, token), Unavailable)
