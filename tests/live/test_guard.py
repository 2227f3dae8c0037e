"""Tokens of a real provider, found by discovery over HTTP → let in, or refused for the right reason."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest

from jwt_guard import Guard, GuardError, Provider, authenticated, averify, rfc9068, scopes, verify
from jwt_guard.credentials import Credentials
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, KeysUnavailable, UnknownKey
from jwt_guard.middleware.wsgi import GuardMiddleware

from .rig import BILLING, ORDERS, Fetches, LiveProvider

CLASSIC = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


def provider_for(live: LiveProvider, audience: str = ORDERS, **more: Any) -> Provider:
    return rfc9068(live.issuer, audience, name="live", leeway=0, **more)


def guard_for(live: LiveProvider, audience: str = ORDERS, **more: Any) -> Guard:
    return Guard([provider_for(live, audience, **more)], authenticated())


def refused(guard: Guard, token: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        verify(guard, token)
    return caught.value


@pytest.mark.parametrize("algorithm", CLASSIC)
def test_a_token_of_each_algorithm_is_taken(live_provider: LiveProvider, algorithm: str) -> None:
    who = verify(guard_for(live_provider), live_provider.token(algorithm=algorithm, scope="orders:read orders:write"))

    assert frozenset({"orders:read", "orders:write"}) == who.scopes
    assert "machine-with-secret" == who.client
    assert who.user is None
    assert "live" == who.provider


def test_a_post_quantum_token_is_taken(post_quantum_provider: LiveProvider) -> None:
    who = verify(guard_for(post_quantum_provider), post_quantum_provider.token(algorithm="ML-DSA-44"))

    assert frozenset({"orders:read"}) == who.scopes


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_event_loop_gets_the_same_answer(live_provider: LiveProvider, backend: str) -> None:
    guard = guard_for(live_provider)

    async def ask() -> Credentials:
        return await averify(guard, live_provider.token(algorithm="ES256"))

    assert "machine-with-secret" == anyio.run(ask, backend=backend).client


@pytest.mark.parametrize("documents", ["openid", "oauth"])
def test_an_issuer_with_a_path_is_discovered_in_either_form(
    usable_node: Path, documents: Literal["openid", "oauth"]
) -> None:
    with LiveProvider.start(usable_node, path="/realms/shop", discovery=documents) as live:
        assert frozenset({"orders:read"}) == verify(guard_for(live), live.token()).scopes


def test_a_user_has_a_name_and_an_id_token_is_no_access_token(live_provider: LiveProvider) -> None:
    tokens = live_provider.user_tokens("alice")
    who = verify(guard_for(live_provider), tokens.access_token)
    # Even where somebody takes the client's own name for the audience, and any type of token.
    careless = Guard([Provider(name="live", issuer=live_provider.issuer, audience="website")])

    assert ("alice", "website") == (who.user, who.client)
    assert isinstance(refused(guard_for(live_provider), tokens.id_token), ClaimRejected)
    error = refused(careless, tokens.id_token)
    assert isinstance(error, ClaimRejected)
    assert "nonce" == error.claim


def test_a_token_for_somebody_else_is_refused(live_provider: LiveProvider) -> None:
    error = refused(guard_for(live_provider), live_provider.token(BILLING, scope="bills:read"))

    assert isinstance(error, ClaimRejected)
    assert "aud" == error.claim


def test_an_expired_token_is_refused(live_provider: LiveProvider) -> None:
    token, guard = live_provider.token(), guard_for(live_provider)
    end = float(verify(guard, token).claims["exp"])

    assert "machine-with-secret" == verify(Guard(guard.providers, clock=lambda: end - 1), token).client
    assert isinstance(refused(Guard(guard.providers, clock=lambda: end), token), Expired)


def test_a_key_rotated_in_is_found_at_once_and_one_rotated_away_is_refused(usable_node: Path) -> None:
    with LiveProvider.start(usable_node) as live:
        old = live.token(algorithm="ES256")
        guard = guard_for(live)
        verify(guard, old)
        live.rotate(keep=False)
        before = live.fetches()
        verify(guard, live.token(algorithm="ES256"))

        assert Fetches(discovery=0, jwks=1) == live.fetches() - before
        assert isinstance(refused(guard, old), UnknownKey)


def test_a_thousand_tokens_cost_the_provider_one_question(live_provider: LiveProvider) -> None:
    guard, token = guard_for(live_provider), live_provider.token()
    before = live_provider.fetches()
    for _ in range(1_000):
        verify(guard, token)

    assert Fetches(discovery=1, jwks=1) == live_provider.fetches() - before


def test_known_keys_outlive_their_issuer(usable_node: Path) -> None:
    with LiveProvider.start(usable_node) as live:
        guard, token = guard_for(live), live.token()
        verify(guard, token)
        live.rotate(keep=True)
        unseen = live.token()
        cold = guard_for(live)
    # The provider is gone now.

    assert "machine-with-secret" == verify(guard, token).client
    assert isinstance(refused(guard, unseen), KeysUnavailable)
    assert isinstance(refused(cold, token), KeysUnavailable)


def test_an_altered_token_is_refused(live_provider: LiveProvider) -> None:
    text, _, signature = live_provider.token(algorithm="ES256").rpartition(".")
    _, _, other = live_provider.token(algorithm="ES256").rpartition(".")

    assert signature != other
    assert isinstance(refused(guard_for(live_provider), f"{text}.{other}"), BadSignature)


def test_an_application_sees_who_came(live_provider: LiveProvider) -> None:
    def app(environ: dict[str, object], start_response: Callable[..., object]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        who = environ["jwt_guard"]
        assert isinstance(who, Credentials)
        yield str(who.client).encode()

    guarded = GuardMiddleware(app, Guard([provider_for(live_provider)], scopes("orders:read")))
    good = {"Authorization": f"Bearer {live_provider.token()}"}
    poor = {"Authorization": f"Bearer {live_provider.token(scope='orders:write')}"}
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://api.test") as client:
        answers = [client.get("/", headers=headers) for headers in (good, poor, {})]

    assert [200, 403, 401] == [answer.status_code for answer in answers]
    assert "machine-with-secret" == answers[0].text
    assert 'scope="orders:read"' in answers[1].headers["www-authenticate"]
