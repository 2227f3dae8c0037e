"""ID tokens of a real provider, and the login that they were asked for → who signed in."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from jwt_guard import Guard, verify, verify_id_token
from jwt_guard.errors import ClaimRejected, InvalidToken
from jwt_guard.providers import id_token, smart

from .rig import ORDERS, LiveProvider, UserTokens
from .toolkit import Toolkit


def guard_for(live: LiveProvider, client: str = "website", **more: Any) -> Guard:
    return Guard([id_token(live.issuer, client, **more)])


def said(tokens: UserTokens) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(tokens.id_token, options={"verify_signature": False})
    return claims


def test_whoever_signed_in_is_named(live_provider: LiveProvider) -> None:
    tokens = live_provider.user_tokens("alice")
    found = verify_id_token(guard_for(live_provider), tokens.id_token, nonce=said(tokens)["nonce"])

    assert ("alice", "website", frozenset()) == (found.user, found.client, found.scopes | found.roles)
    assert found.claims["exp"] > time.time()


def test_the_access_token_that_came_along_is_the_one(tmp_path: Path) -> None:
    """django-oauth-toolkit writes ``at_hash``, and when the person signed in."""
    live = Toolkit.start(tmp_path)
    try:
        tokens, other = live.user_tokens(nonce="of-this-login"), live.user_tokens(nonce="of-another")
        guard = Guard([id_token(live.issuer, "website")])

        found = verify_id_token(
            guard, tokens.id_token, nonce="of-this-login", access_token=tokens.access_token, max_age=300
        )
        with pytest.raises(ClaimRejected) as caught:
            verify_id_token(guard, tokens.id_token, nonce="of-this-login", access_token=other.access_token)
    finally:
        live.stop()

    assert live.user == found.user
    assert "at_hash" == caught.value.claim


@pytest.mark.parametrize("nonce", [None, "of-another-login"])
def test_the_answer_to_another_login_signs_nobody_in(live_provider: LiveProvider, nonce: str | None) -> None:
    with pytest.raises(ClaimRejected) as caught:
        verify_id_token(guard_for(live_provider), live_provider.user_tokens().id_token, nonce=nonce)

    assert "nonce" == caught.value.claim


def test_the_token_of_another_client_signs_nobody_in(live_provider: LiveProvider) -> None:
    tokens = live_provider.user_tokens()

    with pytest.raises(ClaimRejected) as caught:
        verify_id_token(guard_for(live_provider, "mobile"), tokens.id_token, nonce=said(tokens)["nonce"])

    assert "aud" == caught.value.claim


def test_an_access_token_signs_nobody_in(live_provider: LiveProvider) -> None:
    tokens = live_provider.user_tokens()

    with pytest.raises(ClaimRejected) as caught:
        verify_id_token(guard_for(live_provider, ORDERS), tokens.access_token, nonce=None)
    assert "typ" == caught.value.claim


def test_an_id_token_is_no_access_token_of_a_smart_server(live_provider: LiveProvider) -> None:
    with pytest.raises(InvalidToken):
        verify(Guard([smart(live_provider.issuer, live_provider.issuer)]), live_provider.user_tokens().id_token)
