"""RFC 6750 §2 and §3, line by line: what it asks of a resource server, and a test for each."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard import Guard, Misconfigured, scopes
from jwt_guard.access.carriers import Carriers, cookie, query
from jwt_guard.access.challenge import refusal
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.decision import Deny
from jwt_guard.errors import GuardError, InsufficientScope, InvalidToken, MalformedRequest, MissingToken
from jwt_guard.messages import PlainRequest
from tests.support.minting import HOUR, NOW, claims, guard, mint
from tests.support.playing import play

# RFC 9110 §11.4 and §5.6.4: challenge = auth-scheme 1*SP #auth-param, each a token or a quoted-string
PARAMETER = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)="((?:[^"\\]|\\[\t -~])*)"(?:, |$)')
# RFC 6750 §3: what error and error_description, and each scope, may hold
OF_ERRORS = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
OF_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
REALMS = ["api", "", 'my "api", v\\2', "', error=x"]
EVERY: list[GuardError] = [
    MissingToken(),
    MissingToken("another scheme"),
    MalformedRequest("two"),
    InvalidToken("x"),
    InsufficientScope(),
    InsufficientScope(frozenset({"orders:read", "orders:write"})),
]


def answered(of: Guard, request: PlainRequest) -> tuple[int, dict[str, str]]:
    """Return the status and the parameters of the challenge; fails where that has not the form of one."""
    decision = play(lambda: of.decide(request)).value

    assert isinstance(decision, Deny)
    return told(decision.error, of.realm)


def told(error: GuardError, realm: str) -> tuple[int, dict[str, str]]:
    response = refusal(error, realm, "0")
    (challenge,) = [value for name, value in response.headers if name == "www-authenticate"]
    scheme, _, rest = challenge.partition(" ")
    parameters = PARAMETER.findall(rest)

    assert "Bearer" == scheme
    assert rest == ", ".join(f'{name}="{value}"' for name, value in parameters)
    assert len(parameters) == len(dict(parameters)), "a parameter is there twice"
    return response.status, dict(parameters)


def asked(value: str | None = None, **more: Any) -> PlainRequest:
    return PlainRequest("GET", "/", headers=() if value is None else (("authorization", value),), **more)


# --- §2 ----------------------------------------------------------------------------------------------


def test_2_1_every_resource_server_supports_the_header() -> None:
    """§2.1: "Resource servers MUST support this method."."""
    with pytest.raises(Misconfigured, match="RFC 6750"):
        Carriers([query(), cookie("a")])


@pytest.mark.parametrize("token", ["a", "azAZ09-._~+/", "a=", "a===", "a/b+c~d-e_f.g=="])
def test_2_1_every_b64token_is_taken_for_one(token: str) -> None:
    """§2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="."""
    status, parameters = answered(guard(), asked(f"Bearer {token}"))

    assert (401, "invalid_token") == (status, parameters["error"])  # looked at, and no JWT


@pytest.mark.parametrize("token", ["=", "a=b", "a,b", "a b", 'a"', "a%41", "a\t", "a:b", "a\\b"])
def test_2_1_what_is_no_b64token_is_malformed(token: str) -> None:
    status, parameters = answered(guard(), asked(f"Bearer {token}"))

    assert (400, "invalid_request") == (status, parameters["error"])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_2_1_the_scheme_has_no_case(scheme: str) -> None:
    """RFC 9110 §11.1: the scheme is a case-insensitive token, and 1*SP follows it."""
    decision = play(lambda: guard().decide(asked(f"{scheme}   {mint()}"))).value

    assert "ada-lovelace" == decision.credentials.user


# --- §3 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("realm", REALMS)
@pytest.mark.parametrize("error", EVERY, ids=lambda error: f"{type(error).__name__} {error}")
def test_3_a_challenge_is_bearer_with_one_parameter_or_more(error: GuardError, realm: str) -> None:
    """§3: MUST use "Bearer", MUST be followed by one or more auth-param values, none of them twice."""
    resource = replace(guard(), realm=realm, resource=ProtectedResource("https://api.test/"))
    for named in (realm, resource.realm):
        _, parameters = told(error, named)

        assert realm == re.sub(r"\\(.)", r"\1", parameters["realm"])
        assert set(parameters) <= {"realm", "error", "error_description", "scope", "resource_metadata"}


@pytest.mark.parametrize("error", EVERY[2:], ids=lambda error: f"{type(error).__name__} {error}")
def test_3_each_value_has_the_characters_it_may_have(error: GuardError) -> None:
    """§3: error, error_description and scope MUST NOT include other characters."""
    _, parameters = told(error, "api")

    assert OF_ERRORS.fullmatch(parameters["error"])
    assert OF_ERRORS.fullmatch(parameters["error_description"])
    assert "scope" not in parameters or OF_SCOPES.fullmatch(parameters["scope"])


def test_3_whoever_lacks_a_token_or_has_not_enough_is_given_a_challenge() -> None:
    """§3: without credentials, or without a token that enables access, MUST include WWW-Authenticate."""
    of = guard(policy=scopes("admin"))
    for value in (None, "Basic YTpi", "Bearer", "Bearer a,b", "Bearer a", f"Bearer {mint()}"):
        status, parameters = answered(of, asked(value))

        assert status in (400, 401, 403), value
        assert "api" == parameters["realm"], value


# --- §3.1 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "Basic YTpi", "Digest x", "", "Bearer", "Bearer "])
def test_3_1_who_sent_no_token_is_told_of_no_error(value: str | None) -> None:
    """§3.1: no authentication information, or an unsupported method: SHOULD NOT include an error code."""
    assert (401, {"realm": "api"}) == answered(guard(), asked(value))


def test_3_1_a_malformed_request_is_400() -> None:
    """§3.1 invalid_request: repeats a parameter, or uses more than one method: SHOULD be 400."""
    of = replace(guard(), carriers=(*guard().carriers, query()))
    token = mint()
    for request in (
        asked(f"Bearer {token}", query=f"access_token={token}"),
        asked(query=f"access_token={token}&access_token={token}"),
        PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),) * 2),
    ):
        status, parameters = answered(of, request)

        assert (400, "invalid_request") == (status, parameters["error"])


def test_3_1_a_bad_token_is_401() -> None:
    """§3.1 invalid_token: expired, malformed, or invalid for other reasons: SHOULD be 401."""
    for token in ("a", mint(claims(exp=NOW - HOUR)), mint(which="b"), mint(claims(aud="other"))):
        status, parameters = answered(guard(), asked(f"Bearer {token}"))

        assert (401, "invalid_token") == (status, parameters["error"])


def test_3_1_a_token_without_the_scope_is_403_and_the_scope_is_named() -> None:
    """§3.1 insufficient_scope: SHOULD be 403, and MAY include the scope necessary."""
    status, parameters = answered(guard(policy=scopes("a", "b")), asked(f"Bearer {mint()}"))

    assert (403, "insufficient_scope", "a b") == (status, parameters["error"], parameters["scope"])
