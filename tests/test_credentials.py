"""Who is asking, as an application sees it."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import pytest

from jwt_guard.credentials import CURRENT, Credentials, ReadOnly, current


def credentials(claims: dict[str, Any] | None = None) -> Credentials:
    scopes, roles = frozenset({"orders:read", "orders:write"}), frozenset({"admin"})
    return Credentials("ada", "shop", scopes, roles, "test", ReadOnly(claims or {}))


def test_a_token_can_what_all_its_scopes_allow() -> None:
    who = credentials()

    assert who.can("orders:read")
    assert who.can("orders:read", "orders:write")
    assert not who.can("orders:read", "orders:delete")


def test_scopes_are_whole_words_and_no_roles() -> None:
    who = credentials()

    for name in ("orders", "orders:rea", "orders:read orders:write", "Orders:read", "", "admin"):
        assert not who.can(name)


def test_asking_for_nothing_is_a_mistake_and_no_yes() -> None:
    with pytest.raises(ValueError, match="at least one scope"):
        credentials().can()


def test_credentials_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        credentials().user = "eve"  # type: ignore[misc]


def test_credentials_show_no_claims() -> None:
    who = credentials({"email": "lovelace@ada.test"})

    assert "lovelace" not in repr(who)
    assert "lovelace" not in f"{who}"
    assert "ada" in repr(who)


def test_outside_a_request_nobody_is_asking() -> None:
    assert current() is None


def test_inside_a_request_somebody_may_be() -> None:
    who = credentials()
    context = copy_context()
    context.run(CURRENT.set, who)

    assert who is context.run(current)
    assert current() is None


def test_claims_are_read_only_to_the_bottom() -> None:
    claims: Any = ReadOnly({"a": {"b": [{"c": [1]}]}, "n": None})

    assert ({"c": (1,)},) == claims["a"]["b"]
    assert claims["n"] is None
    changes: list[Any] = [
        lambda: claims.__setitem__("a", 1),
        lambda: claims.update(a=1),
        lambda: claims["a"].__setitem__("b", 1),
        lambda: claims["a"]["b"].append(1),
        lambda: claims["a"]["b"][0].pop("c"),
        lambda: claims["a"]["b"][0]["c"].append(1),
    ]
    for change in changes:
        with pytest.raises((AttributeError, TypeError)):
            change()


def test_claims_are_a_mapping() -> None:
    claims = ReadOnly({"a": 1, "b": [2]})

    assert {"a": 1, "b": (2,)} == dict(claims)
    assert 2 == len(claims)
    assert "a" in claims
    assert claims.get("z") is None
    with pytest.raises(KeyError):
        claims["z"]


def test_claims_show_how_many_they_are() -> None:
    assert "<1 claims>" == repr(ReadOnly({"email": "lovelace@ada.test"}))
    assert "lovelace" not in repr(ReadOnly({"address": {"name": "lovelace"}})["address"])
