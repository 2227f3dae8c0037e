"""Tokens of any issuer that follows RFC 9068 → credentials.

The shape is the example of RFC 9068 §3 (https://www.rfc-editor.org/rfc/rfc9068#section-3).
"""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import Misconfigured, Provider
from jwt_guard.providers import rfc9068
from jwt_guard.sources.jwks import KeySettings, RemoteKeys
from tests.support.issuers import KEYS, TIMES, Who, who, why_not
from tests.support.minting import ABSENT

AT = {"typ": "at+jwt"}


def access(**changes: Any) -> dict[str, Any]:
    return {
        "iss": "https://authorization-server.example.com/",
        "sub": "5ba552d67",
        "aud": "https://rs.example.com/",
        **TIMES,
        "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "client_id": "s6BhdRkqt3",
        "scope": "openid profile reademail",
        **changes,
    }


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {
        "issuer": "https://authorization-server.example.com/",
        "audience": "https://rs.example.com/",
        "keys": KEYS,
    }
    return rfc9068(**{**good, **changes})


def test_the_example_of_the_rfc_is_taken() -> None:
    expected = Who("5ba552d67", "s6BhdRkqt3", {"openid", "profile", "reademail"}, set(), "rfc9068")

    assert expected == who(provider(), access(), AT)
    assert expected == who(provider(), access(), {"typ": "application/at+JWT"})


def test_roles_are_roles() -> None:
    assert {"ops"} == who(provider(), access(roles=["ops"], scope=ABSENT), AT).roles


def test_a_client_itself_is_nobodys_user() -> None:
    """RFC 9068 §5: without a person, ``sub`` is the client."""
    assert Who(None, "s6BhdRkqt3", set(), set(), "rfc9068") == who(
        provider(), access(sub="s6BhdRkqt3", scope=ABSENT), AT
    )


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {}, {"typ": "id+jwt"}])
def test_an_id_token_is_no_access_token(header: dict[str, Any]) -> None:
    assert "typ" == why_not(provider(), access(), header)


def test_another_issuer_and_another_api_are_refused() -> None:
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://authorization-server.example.com"), AT)
    assert "aud" == why_not(provider(), access(aud="https://other.example.com/"), AT)


def test_settings_are_for_the_fetch_and_not_for_keys_that_are_given() -> None:
    source = provider(keys=None, settings=KeySettings(timeout=1)).source

    assert isinstance(source, RemoteKeys)
    assert 1 == source.settings.timeout
    with pytest.raises(Misconfigured, match="settings are for keys that are fetched from the issuer"):
        provider(settings=KeySettings())
