"""Claims in every dialect seen in the wild → user, client, scopes and roles, or a refusal where they are malformed."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import keycloak, shared_secret
from jwt_guard.access.identity import ClaimNames, _set_of, _split, reader
from jwt_guard.credentials import Credentials
from jwt_guard.errors import ClaimRejected, Misconfigured
from jwt_guard.tokens.claims import Claims
from jwt_guard.tokens.compact import parse
from tests.support.minting import mint

HEADER = parse(mint()).header
NOBODY: frozenset[str] = frozenset()


def read(values: dict[str, Any], names: ClaimNames | None = None, **more: Any) -> Credentials:
    return reader(names or ClaimNames(), **more)(Claims(HEADER, values), "test")


def refused(values: dict[str, Any], names: ClaimNames | None = None) -> ClaimRejected:
    with pytest.raises(ClaimRejected) as caught:
        read(values, names)
    return caught.value


# --- who ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "user", "client"),
    [
        ({"sub": "ada", "client_id": "shop"}, "ada", "shop"),
        ({"sub": "ada", "azp": "shop"}, "ada", "shop"),
        ({"sub": "ada", "cid": "shop"}, "ada", "shop"),
        ({"sub": "ada", "client_id": "one", "azp": "two", "cid": "three"}, "ada", "one"),
        ({"sub": "ada", "azp": "two", "cid": "three"}, "ada", "two"),
        ({"sub": "ada", "client_id": None, "azp": "shop"}, "ada", "shop"),
        ({"sub": "ada"}, "ada", None),
        ({"client_id": "shop"}, None, "shop"),
        ({"sub": "shop", "client_id": "shop"}, None, "shop"),
        ({"sub": "shop", "azp": "shop"}, None, "shop"),
        ({"sub": "Shop", "client_id": "shop"}, "Shop", "shop"),
        ({"sub": None}, None, None),
        ({}, None, None),
    ],
)
def test_who_it_is(values: dict[str, Any], user: str | None, client: str | None) -> None:
    found = read(values)

    assert (user, client) == (found.user, found.client)
    assert "test" == found.provider
    assert values == dict(found.claims)


def test_some_issuers_say_otherwise_who_is_a_machine() -> None:
    def is_machine(values: Any) -> bool:
        return bool(values.get("robot"))

    assert None is read({"sub": "r2", "client_id": "shop", "robot": True}, is_machine=is_machine).user
    assert "ada" == read({"sub": "ada", "client_id": "shop"}, is_machine=is_machine).user


def test_a_client_may_be_named_by_the_audience() -> None:
    names = ClaimNames(client=("aud",))

    assert "shop" == read({"sub": "ada", "aud": "shop"}, names).client
    assert "shop" == read({"sub": "ada", "aud": ["shop"]}, names).client
    assert None is read({"sub": "shop", "aud": ["shop"]}, names).user
    for aud in ([], ["a", "b"], [""], [5], [["shop"]], [None]):
        assert "client" == refused({"sub": "ada", "aud": aud}, names).claim


@pytest.mark.parametrize("value", ["", 5, 0, True, False, 1.5, {}, {"a": "b"}, [], ["a", "b"], [""], [5], [None]])
@pytest.mark.parametrize("claim", ["sub", "client_id", "azp", "cid"])
def test_what_is_no_name_is_refused_rather_than_passed_over(claim: str, value: object) -> None:
    assert refused({claim: value}).claim in ("user", "client")


# --- what they may -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "scopes"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scope": " a  b "}, {"a", "b"}),
        ({"scope": "a a"}, {"a"}),
        ({"scope": "read:orders"}, {"read:orders"}),
        ({"scope": ["a", "b"]}, {"a", "b"}),
        ({"scope": ["a"]}, {"a"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"scope": "a", "scp": "b"}, {"a"}),
        ({"scope": "", "scp": "b"}, set()),
        ({"scope": [], "scp": "b"}, set()),
        ({"scope": None, "scp": "b"}, {"b"}),
        ({"scope": ""}, set()),
        ({"scope": "  "}, set()),
        ({"scope": []}, set()),
        ({}, set()),
        ({"roles": ["a"]}, set()),
    ],
)
def test_which_scopes(values: dict[str, Any], scopes: set[str]) -> None:
    assert scopes == read(values).scopes


@pytest.mark.parametrize(
    "value",
    [
        5, True, {"read": 1}, {}, [5], [None], [""], ["a b"], ["a", " "], [["a"]], [{"a": 1}], ["a", 5],
        "a\tb", "a\nb", ["a\0"],
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("claim", ["scope", "scp"])
def test_a_scope_of_another_shape_is_refused(claim: str, value: object) -> None:
    assert "scopes" == refused({claim: value}).claim


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        ("ops", {"ops"}),
        (["ops", "dev"], {"ops", "dev"}),
        (["Domain Users"], {"Domain Users"}),
        ("Domain Users", {"Domain Users"}),
        ("", set()),
        ([], set()),
        (None, set()),
    ],
)
def test_which_roles(value: object, roles: set[str]) -> None:
    assert roles == read({"roles": value}).roles
    assert NOBODY == read({"roles": value}).scopes


@pytest.mark.parametrize(
    "value", [5, True, {}, {"ops": True}, [5], [""], [None], [["ops"]], [{"a": 1}], ["ops", 5]], ids=ascii
)
def test_roles_of_another_shape_are_refused(value: object) -> None:
    assert "roles" == refused({"roles": value}).claim


def test_text_that_only_looks_equal_stays_apart() -> None:
    """What was read once is kept: nothing that is equal without being the same may come back for it."""
    assert {"1"} == read({"roles": ["1"]}).roles
    for value in ([1], [True], [1.0]):
        refused({"roles": value})
    assert {"1"} == read({"roles": ["1"]}).roles


# --- where -------------------------------------------------------------------------------------------


def test_a_path_leads_into_the_claims() -> None:
    names = ClaimNames(
        user=(("act", "sub"), "sub"), roles=(("realm_access", "roles"), "roles"), scopes=(("a", "b", "c"),)
    )

    found = read({"act": {"sub": "bob"}, "sub": "ada", "realm_access": {"roles": ["x"]}, "a": {"b": {"c": "s"}}}, names)
    assert ("bob", frozenset({"x"}), frozenset({"s"})) == (found.user, found.roles, found.scopes)
    fallback = read({"sub": "ada", "roles": ["y"]}, names)
    assert ("ada", frozenset({"y"}), NOBODY) == (fallback.user, fallback.roles, fallback.scopes)


@pytest.mark.parametrize("value", [None, "roles", ["roles"], 5, {}, {"roles": None}, {"Roles": ["x"]}])
def test_a_path_that_leads_nowhere_finds_nothing(value: object) -> None:
    assert NOBODY == read({"realm_access": value}, ClaimNames(roles=(("realm_access", "roles"),))).roles


def test_no_names_find_nothing() -> None:
    found = read({"sub": "ada", "scope": "a", "roles": ["b"], "azp": "c"}, ClaimNames((), (), (), ()))

    assert (None, None, NOBODY, NOBODY) == (found.user, found.client, found.scopes, found.roles)


@pytest.mark.parametrize("names", ["sub", ["sub"], None, ("",), ((),), (("a", ""),), (5,), ((5,),), (None,)])
def test_names_that_are_none_are_refused_at_once(names: Any) -> None:
    for field in ("user", "client", "scopes", "roles"):
        with pytest.raises(Misconfigured, match="claim names"):
            ClaimNames(**{field: names})


def test_credentials_do_not_show_the_claims() -> None:
    assert "secret" not in repr(read({"sub": "ada", "note": "secret"}))


@pytest.mark.parametrize("value", ["a\r\nb", "\0", ["a\x85b"]], ids=ascii)
def test_a_name_from_any_claim_breaks_no_header(value: object) -> None:
    with pytest.raises(ClaimRejected, match="names nobody"):
        read({"email": value}, ClaimNames(user=("email",)))


def test_what_a_client_writes_at_length_is_not_kept() -> None:
    """A client that chooses its scopes could fill the memory with them."""
    before = _split.cache_info().currsize
    for number in range(20):
        long = " ".join(f"{number}:{word}" for word in range(400))
        assert 400 == len(read({"scope": long, "roles": long.split(" ")}).scopes)

    assert before == _split.cache_info().currsize


def test_who_asks_whether_it_is_a_machine_changes_nothing() -> None:
    def meddles(values: Any) -> bool:
        values["scope"] = "admin"
        return False

    with pytest.raises(TypeError):
        read({"sub": "ada", "client_id": "shop", "scope": "read"}, is_machine=meddles)


def test_a_human_with_the_name_of_an_account_is_a_human() -> None:
    of_keycloak = keycloak("https://id.test", "orders", keys=shared_secret("s" * 32))
    claims = {"sub": "m", "azp": "webshop", "preferred_username": "service-account-mallory"}

    assert "m" == of_keycloak.read(Claims(HEADER, claims), "x").user
    assert None is of_keycloak.read(Claims(HEADER, {**claims, "azp": "Mallory"}), "x").user


def test_many_roles_are_not_kept() -> None:
    before = _set_of.cache_info().currsize
    for number in range(20):
        roles = [f"{number}:{word}" for word in range(400)]
        assert set(roles) == read({"roles": roles}).roles
        refused({"roles": [""] * (number + 2)})

    assert before == _set_of.cache_info().currsize
