"""A client that says who it is, or that it asks for something else → nobody believes it, at any gateway."""

from __future__ import annotations

import re

import pytest

from .rig import IDENTITY, Front, token

NAMES = (
    "X-Auth-User", "x-auth-user", "X-AUTH-USER", "x_auth_user", "X_Auth_User", "X.Auth.User", "X-Auth_User",
    "X-Auth.User", "X_Auth-User", "x~auth~user", "X!Auth!User", "X-Auth-User_", "x+auth^user", "X`auth|user",
)  # fmt: skip
TAKEN_FOR = "x-auth-user"


def as_a_variable(name: str) -> str:
    """Return *name* as servers do that make variables of headers."""
    return re.sub(r"[^a-z0-9]", "-", name.lower())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("times", [1, 2])
def test_nobody_says_by_a_header_who_they_are(front: Front, name: str, times: int) -> None:
    answer = front.ask(headers=[(name, "root")] * times, bearer=token())
    if front.kind.startswith("nginx") and answer.status == 400:
        return  # some of these are no names to it

    assert 200 == answer.status
    said = [value for key, value in answer.told["headers"] if as_a_variable(key).strip("-") == TAKEN_FOR]
    assert ["ada"] == said


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_somebody_on_an_open_route(front: Front, name: str) -> None:
    answer = front.ask(
        target="/health", headers=[(name, "root"), ("X-Auth-Scopes", "admin"), ("X_Auth_Scopes", "admin")]
    )
    if front.kind.startswith("nginx") and answer.status == 400:
        return

    assert 200 == answer.status
    found = {key: value for key, value in answer.told["headers"] if as_a_variable(key).strip("-") in IDENTITY}
    assert not any(found.values()), found


def test_a_machine_has_no_user_that_a_client_could_name(front: Front) -> None:
    answer = front.ask(headers=[("X-Auth-User", "root")], bearer=token(sub="shop"))

    assert 200 == answer.status
    assert not any(answer.sent("x-auth-user"))


@pytest.mark.parametrize(
    "connection", ["X-Auth-User", "close, X-Auth-User, x-auth-scopes", "keep-alive, x-auth-provider"]
)
def test_nobody_takes_away_who_they_are(front: Front, connection: str) -> None:
    answer = front.ask(headers=[("Connection", connection), ("X-Auth-User", "root")], bearer=token())

    assert 200 == answer.status
    assert [["ada"], ["shop"], ["orders:read orders:write"], ["shop"]] == list(map(answer.sent, IDENTITY))


@pytest.mark.parametrize("connection", ["Authorization", "close, authorization"])
def test_nobody_loses_a_bad_token_on_the_way(front: Front, connection: str) -> None:
    answer = front.ask(target="/health", headers=[("Connection", connection)], bearer="abc")

    # Whoever loses it is nobody, and may see what everybody may.
    assert answer.status == 401 or not any(value for name in IDENTITY for value in answer.sent(name))
    assert 401 == front.ask(target="/orders/1", headers=[("Connection", connection)], bearer="abc").status


OVERRIDES = (
    ("X-Original-URI", "/health"), ("X-Original-Method", "GET"), ("X-Original-URL", "/health"),
    ("X-Forwarded-Uri", "/health"), ("X-Forwarded-Method", "GET"), ("X-Rewrite-URL", "/health"),
    ("X-HTTP-Method-Override", "GET"), ("X-HTTP-Method", "GET"), ("X-Method-Override", "GET"),
    ("Forwarded", "for=9.9.9.9"), ("X-Original-Host", "other.test"), ("Proxy", "http://9.9.9.9"),
)  # fmt: skip


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: override[0])
def test_nobody_says_which_request_is_meant(front: Front, override: tuple[str, str]) -> None:
    name, value = override
    odd = name.replace("-", "_")

    assert 401 == front.ask(target="/admin/x", headers=[override]).status
    assert 403 == front.ask(target="/admin/x", headers=[override, (odd, value)], bearer=token()).status
    answer = front.ask(headers=[override, (odd, value)], bearer=token())
    assert 200 == answer.status
    assert [] == [key for key, said in answer.told["headers"] if as_a_variable(key) == name.lower() and said == value]


def test_two_families_of_the_client_do_not_meet(front: Front) -> None:
    both = [("X-Original-URI", "/health"), ("X-Original-Method", "GET"),
            ("X-Forwarded-Uri", "/health"), ("X-Forwarded-Method", "GET")]  # fmt: skip

    assert 401 == front.ask(headers=both).status
    assert 200 == front.ask(headers=both, bearer=token()).status


def test_the_application_hears_from_the_gateway_where_a_request_comes_from(front: Front) -> None:
    claims = [("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https"), ("X-Real-IP", "9.9.9.9")]
    answer = front.ask(headers=[*claims, ("X-Forwarded-Host", "evil.test")], bearer=token())

    assert 200 == answer.status
    assert ["http"] == answer.sent("x-forwarded-proto")
    assert "evil.test" not in answer.sent("x-forwarded-host")
    assert "9.9.9.9" not in answer.sent("x-real-ip")
    # Envoy names itself where the client is on the same machine.
    assert "9.9.9.9" not in ",".join(answer.sent("x-forwarded-for"))
    assert 1 == len(answer.sent("x-forwarded-for"))
