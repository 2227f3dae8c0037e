"""An ID token and the login it was asked for → who signed in, the same for threads, asyncio and trio."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jwt_guard import Credentials, Guard, averify_id_token, verify_id_token
from jwt_guard.errors import ClaimRejected
from jwt_guard.providers import id_token
from jwt_guard.testing import LocalIssuer
from tests.support.issuers import JWT, KEYS, TIMES, guarding, token

APP = "growth-chart-app"
SAID = {"iss": "https://ehr.test", "aud": APP, "sub": "ada", "nonce": "of-this-login", **TIMES}


def blocking(guard: Guard, text: str, **how: Any) -> Credentials:
    return verify_id_token(guard, text, **how)


def on_asyncio(guard: Guard, text: str, **how: Any) -> Credentials:
    return anyio.run(partial(averify_id_token, guard, text, **how), backend="asyncio")


def on_trio(guard: Guard, text: str, **how: Any) -> Credentials:
    return anyio.run(partial(averify_id_token, guard, text, **how), backend="trio")


each_way = pytest.mark.parametrize("ask", [blocking, on_asyncio, on_trio])


@each_way
def test_whoever_signed_in_is_named(ask: Callable[..., Credentials]) -> None:
    guard = guarding(id_token("https://ehr.test", APP, keys=KEYS))

    assert "ada" == ask(guard, token(SAID, JWT), nonce="of-this-login").user
    for how, claim in (
        ({"nonce": "of-another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "of-this-login", "access_token": "abc"}, "at_hash"),
        ({"nonce": "of-this-login", "max_age": 60}, "auth_time"),
    ):
        with pytest.raises(ClaimRejected) as caught:
            ask(guard, token(SAID, JWT), **how)

        assert claim == caught.value.claim


@each_way
def test_the_keys_are_fetched_where_they_are(ask: Callable[..., Credentials]) -> None:
    with LocalIssuer().serve() as issuer:
        guard = Guard([id_token(issuer.url, APP)])
        text = issuer.token(aud=APP, nonce="n", client_id=None, header={"typ": "JWT"})

        assert "ada" == ask(guard, text, nonce="n").user
