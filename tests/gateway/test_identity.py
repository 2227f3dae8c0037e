"""Credentials → headers for an upstream: whatever a claim says, and whatever a client sends under their names."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.credentials import Credentials
from jwt_guard.errors import Misconfigured
from jwt_guard.gateway.identity import IdentityHeaders, encoded

ALL = IdentityHeaders("X-Auth-User", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Provider")


def who(**changes: Any) -> Credentials:
    fields: dict[str, Any] = {
        "user": "ada",
        "client": "shop",
        "scopes": frozenset({"b", "a"}),
        "roles": frozenset(),
        "provider": "test",
        "claims": {},
    }
    return Credentials(**{**fields, **changes})


def test_the_upstream_is_told_who_is_asking() -> None:
    assert (
        ("X-Auth-User", "ada"),
        ("X-Auth-Client", "shop"),
        ("X-Auth-Scopes", "a b"),
        ("X-Auth-Provider", "test"),
    ) == ALL.headers(who())


def test_only_what_has_a_name_is_told() -> None:
    assert (("X-User", "ada"),) == IdentityHeaders(user="X-User").headers(who())
    assert () == IdentityHeaders().headers(who())


@pytest.mark.parametrize("credentials", [None, who(user=None, client=None, scopes=frozenset(), provider="")])
def test_where_there_is_nothing_to_say_the_header_is_empty(credentials: Credentials | None) -> None:
    assert dict.fromkeys(ALL.names, "") == dict(ALL.headers(credentials))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ada", "ada"),
        ('ada@id.example|1,2;x="y"', 'ada@id.example|1,2;x="y"'),
        ("Ada Lovelace", "Ada%20Lovelace"),
        ("a%20b", "a%2520b"),
        ("Zoë", "Zo%C3%AB"),
        ("x\r\nX-Auth-User: root", "x%0D%0AX-Auth-User:%20root"),
        ("\x7f\x00", "%7F%00"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_a_value_is_one_that_a_header_can_have(text: str, value: str) -> None:
    assert value == encoded(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_two_texts_have_one_value(text: str) -> None:
    value = encoded(text)
    assert value.isascii()
    assert all("!" <= character <= "~" for character in value)
    assert text == unquote(value)


@pytest.mark.parametrize(
    "name", ["X-Auth-User", "x-auth-user", "X_AUTH_USER", "x.auth.user", "X-Auth_User", "x~auth-user", "x auth user"]
)
def test_every_name_that_some_server_takes_for_ours_is_an_alias(name: str) -> None:
    assert ALL.is_alias(name)
    assert [(b"host", b"x")] == ALL.without_aliases([(name.encode(), b"root"), (b"host", b"x"), (name.encode(), b"")])


@pytest.mark.parametrize("name", ["X-Auth", "X-Auth-User-2", "XAuthUser", "X-AuthUser", ""])
def test_other_names_are_not(name: str) -> None:
    assert not ALL.is_alias(name)
    assert [(name, "x")] == ALL.without_aliases([(name, "x")])


def test_without_names_nothing_is_an_alias() -> None:
    assert not IdentityHeaders().is_alias("")


@pytest.mark.parametrize(
    "name",
    [
        *("", "X Auth", "X_Auth", "X.Auth", "X-Auth:", "1-x", "-x", "x" * 65, 1),
        *("Authorization", "cookie", "Host", "Connection", "Content-Type", "X-Forwarded-For", "x-original-uri"),
    ],
)
def test_a_name_that_is_none_of_ours_to_set_is_refused(name: Any) -> None:
    with pytest.raises(Misconfigured, match="identity headers"):
        IdentityHeaders(user=name)


def test_two_names_that_are_one_to_some_servers_are_refused() -> None:
    with pytest.raises(Misconfigured, match="one to some servers"):
        IdentityHeaders(user="X-Auth", client="x-auth")
