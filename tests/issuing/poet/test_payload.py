"""The payload of an endorsement → all that is wrong with it, and never a word of what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard.errors import ClaimRejected
from jwt_guard.issuing.poet.payload import PayloadRejected, Problem, endorsement, problems
from jwt_guard.tokens.claims import FOREVER, Claims
from jwt_guard.tokens.compact import Header

APP: dict[str, Any] = {
    "client_name": "Cardiac Risk App",
    "iss": "example.com",
    "iat": 1_500_584_757,
    "exp": 1_563_656_757,
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "client_uri": "https://apps.example/cardiac-risk/",
    "logo_uri": "https://gallery.example/66.png",
    "initiate_login_uri": "https://apps.example/cardiac-risk/launch.html",
    "redirect_uris": ["https://apps.example/cardiac-risk/"],
    "scope": "openid profile patient/*.read",
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code"],
}
OF_OAUTH = {"redirect_uris": [], "scope": "", "token_endpoint_auth_method": "none", "grant_types": []}
REQUIRED = {
    "client_name", "iss", "iat", "exp", "redirect_uris", "scope", "token_endpoint_auth_method", "grant_types",
}  # fmt: skip
OPTIONAL = {"software_id", "client_uri", "logo_uri", "initiate_login_uri"}

GOOD: list[dict[str, Any]] = [
    {},
    OF_OAUTH,
    {"scope": ""},  # README: a blank is allowed
    {"token_endpoint_auth_method": "none"},
    {"token_endpoint_auth_method": "client_secret_post"},
    {"grant_types": ["authorization_code", "implicit", "password", "client_credentials", "refresh_token"]},
    {"redirect_uris": ["https://a.example/?x=1", "http://127.0.0.1:8080/back", "com.example.app:/back"]},
    {"further": {"fields": ["are", "nobody's", "business"]}, "policy_uri": 1},
    {"client_uri": "http://a.example"},
    {"iat": 0, "exp": 253_402_300_799},
]
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"client_name": ""}, "client_name", "is empty"),
    ({"client_name": " \t"}, "client_name", "has a control character in it"),
    ({"client_name": "  "}, "client_name", "is empty"),
    ({"client_name": None}, "client_name", "is no text"),
    ({"client_name": ["x"]}, "client_name", "is no text"),
    ({"iss": "https://example.com"}, "iss", "is no host name: it has a path or a scheme in it"),
    ({"iss": None}, "iss", "is no host name: it is no text"),
    ({"iat": 1.5}, "iat", "is no whole number of seconds since 1970"),
    ({"iat": True}, "iat", "is no whole number of seconds since 1970"),
    ({"iat": "1500584757"}, "iat", "is no whole number of seconds since 1970"),
    ({"exp": -1}, "exp", "is no whole number of seconds since 1970"),
    ({"exp": 253_402_300_800}, "exp", "is no whole number of seconds since 1970"),
    ({"exp": None}, "exp", "is no whole number of seconds since 1970"),
    ({"exp": 1_500_584_757}, "exp", "is not after iat"),
    ({"scope": None}, "scope", "is no text"),
    ({"scope": ["openid"]}, "scope", "is no text"),
    ({"scope": "a\nb"}, "scope", "has a control character in it"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method", "is not one of none, "),
    ({"token_endpoint_auth_method": ["none"]}, "token_endpoint_auth_method", "is not one of none, "),
    ({"grant_types": "authorization_code"}, "grant_types", "is no list of texts"),
    ({"grant_types": [1]}, "grant_types", "is no list of texts"),
    ({"grant_types": ["urn:x"]}, "grant_types", "has one that is not of authorization_code, "),
    ({"grant_types": []}, "grant_types", "is empty, though other fields speak of OAuth"),
    ({"redirect_uris": []}, "redirect_uris", "is empty, though other fields speak of OAuth"),
    ({"redirect_uris": "https://a.example"}, "redirect_uris", "is no list of texts"),
    ({"redirect_uris": ["https://a.example", None]}, "redirect_uris", "is no list of texts"),
    ({"redirect_uris": ["/back"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": [""]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://[a"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://a.example/ü"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://a.example/ x"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://a.example\\@b.example"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://a.example/\n"]}, "redirect_uris", "has a URI that is not absolute"),
    ({"redirect_uris": ["https://a.example/#x"]}, "redirect_uris", "has a URI that has a fragment"),
    ({"redirect_uris": ["https:///x"]}, "redirect_uris", "has a URI that names no host, or a user"),
    ({"redirect_uris": ["https://u@a.example/"]}, "redirect_uris", "has a URI that names no host, or a user"),
    ({"redirect_uris": ["https://a.example:x/"]}, "redirect_uris", "has a URI that names no host, or a user"),
    ({"redirect_uris": ["JavaScript:alert(1)"]}, "redirect_uris", "has a URI that no browser should be sent to"),
    ({"redirect_uris": ["data:text/html,x"]}, "redirect_uris", "has a URI that no browser should be sent to"),
    ({"software_id": ""}, "software_id", "is empty"),
    ({"software_id": 7}, "software_id", "is no text"),
    ({"client_uri": None}, "client_uri", "is no text"),
    ({"client_uri": "com.example:/x"}, "client_uri", "is no http or https URL"),
    ({"logo_uri": "javascript:alert(1)"}, "logo_uri", "is no http or https URL"),
    ({"initiate_login_uri": "https://"}, "initiate_login_uri", "is no http or https URL"),
]


@pytest.mark.parametrize("changes", GOOD)
def test_nothing_is_wrong_with_a_good_one(changes: dict[str, Any]) -> None:
    assert () == problems({**APP, **changes})


@pytest.mark.parametrize(("changes", "claim", "reason"), BAD)
def test_each_field_is_looked_at(changes: dict[str, Any], claim: str, reason: str) -> None:
    (problem,) = problems({**APP, **changes})

    assert claim == problem.claim
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize("name", sorted(REQUIRED | OPTIONAL))
def test_a_field_that_is_missing_counts_if_it_is_required(name: str) -> None:
    rest = {claim: value for claim, value in APP.items() if claim != name}

    assert ((Problem(name, "is missing"),) if name in REQUIRED else ()) == problems(rest)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = problems({"iss": 1, "iat": "x", "grant_types": [], "logo_uri": 2, "scope": ""})

    assert {
        "client_name": "is missing",
        "exp": "is missing",
        "redirect_uris": "is missing",
        "token_endpoint_auth_method": "is missing",
        "iss": "is no host name: it is no text",
        "iat": "is no whole number of seconds since 1970",
        "logo_uri": "is no text",
    } == dict(found)
    assert REQUIRED == {problem.claim for problem in problems({})}
    both = problems({**APP, "redirect_uris": [], "grant_types": []})
    assert ["redirect_uris", "grant_types"] == [problem.claim for problem in both]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(APP)), JSON), st.sets(st.sampled_from(sorted(APP))))
def test_whatever_it_says_there_is_an_answer(changes: dict[str, Any], left_out: set[str]) -> None:
    payload = {name: value for name, value in {**APP, **changes}.items() if name not in left_out}

    found = problems(payload)
    assert REQUIRED & left_out <= {problem.claim for problem in found}
    assert all(isinstance(problem, Problem) for problem in found)


def test_as_a_rule_it_tells_all_of_it_and_no_value() -> None:
    header = Header("RS256", "example.com", "JWT", "jwt", {})
    rule = endorsement()

    assert FOREVER == rule.holds_until(Claims(header, APP), 0)
    with pytest.raises(PayloadRejected) as caught:
        rule.holds_until(Claims(header, {**APP, "client_name": "", "grant_types": ["hunter2"]}), 0)
    error = caught.value
    assert isinstance(error, ClaimRejected)
    assert "client_name" == error.claim
    assert ["client_name", "grant_types"] == [problem.claim for problem in error.problems]
    assert str(error).startswith("this is no payload of POET: client_name is empty; grant_types has one that is not of")
    assert "hunter2" not in str(error)
