"""Forms of clients that want a token → the token, or the error: RFC 6749 line by line, and what strangers send."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import urlencode

import pytest

from jwt_guard import Guard, Misconfigured, fixed, rfc9068, verify
from jwt_guard.errors import StoreFailed
from jwt_guard.issuing.client_authentication import Client, Clients
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring, Rotation
from jwt_guard.issuing.signing import make
from jwt_guard.issuing.token_endpoint import TokenEndpoint
from jwt_guard.messages import Response
from tests.support.assertions import ASSERTION_TYPE, CLIENT, FORM, TOKEN_URL, assertion, jwks
from tests.support.minting import NOW, SAID, minted
from tests.support.playing import Clock, play

SECRET = "a-secret-of-service"
SCOPES = ["orders:read", "orders:write"]
SERVICE = Client("service", secret=SECRET, scopes=SCOPES)
BACKEND = Client(CLIENT, jwks=jwks(), scopes=["system/Patient.rs", "system/Task.cruds?owner=Device/1"])
BARE = Client("bare", secret=SECRET)
ISSUER = Issuer("https://authorize.test", Keyring(make("ES256")), Clock(NOW))
CODES = {  # RFC 6749 §5.2, RFC 8707 §2, and the one of §4.1.2.1 for what will pass
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "invalid_target", "temporarily_unavailable",
}  # fmt: skip


def endpoint(*registered: Client, **changes: Any) -> TokenEndpoint:
    clients = Clients(registered or (SERVICE, BACKEND, BARE), TOKEN_URL, clock=ISSUER.clock)
    settings: dict[str, Any] = {"issuer": ISSUER, "clients": clients, "audience": "orders"}
    return TokenEndpoint(**{**settings, **changes})


def basic(client: str = "service", secret: str = SECRET) -> str:
    return f"Basic {base64.b64encode(f'{client}:{secret}'.encode()).decode()}"


def asked(body: bytes | dict[str, str], authorization: str | None = None, of: TokenEndpoint | None = None,
          *answers: Any, method: str = "POST", content_type: str | None = FORM) -> Any:  # fmt: skip
    octets = body if isinstance(body, bytes) else urlencode(body).encode()
    played = play(lambda: (of or endpoint()).answer(method, content_type, octets, authorization), *answers)
    answer = played.value
    assert isinstance(answer, Response)
    headers = dict(answer.headers)

    # RFC 6749 §5.1 and §5.2: in each answer, good or not
    assert "application/json" == headers["Content-Type"]
    assert ("no-store", "no-cache") == (headers["Cache-Control"], headers["Pragma"])
    document = json.loads(answer.body)
    if answer.status != 200:
        SAID.append(answer.body.decode())
        assert document["error"] in CODES
        assert {"error", "error_description"} >= document.keys()
    return answer.status, document, headers


def token(body: dict[str, str], of: TokenEndpoint | None = None, by: str = "service") -> dict[str, Any]:
    status, said, _ = asked({"grant_type": "client_credentials", **body}, basic(by), of)

    assert 200 == status, said
    minted(said["access_token"])
    document: dict[str, Any] = said
    return document


def refusal(body: dict[str, str], by: str = "service", of: TokenEndpoint | None = None) -> tuple[int, str]:
    status, document, _ = asked(body, basic(by), of)
    return status, document["error"]


def guard(audience: str = "orders") -> Guard:
    return Guard([rfc9068(ISSUER.url, audience, keys=fixed(ISSUER.keyring.jwks()))], clock=ISSUER.clock)


# --- a token -----------------------------------------------------------------------------------------


def test_a_client_gets_a_token_that_a_guard_takes() -> None:
    said = token({"scope": "orders:read"})
    who = verify(guard(), said["access_token"])

    assert {"access_token", "token_type", "expires_in", "scope"} == said.keys()
    assert ("bearer", 300, "orders:read") == (said["token_type"], said["expires_in"], said["scope"])
    assert ("service", {"orders:read"}) == (who.client, set(who.scopes))
    assert ("service", NOW + 300) == (who.claims["sub"], who.claims["exp"])  # RFC 9068 §2.2


def test_there_is_no_refresh_token() -> None:  # RFC 6749 §4.4.3
    assert "refresh_token" not in token({})


def test_what_smart_requires_of_an_answer_is_there() -> None:
    """SMART App Launch 2.2, "Backend Services", access token response."""
    form = {
        "grant_type": "client_credentials", "scope": "system/Patient.rs",
        "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(),
    }  # fmt: skip
    status, said, _ = asked(form)

    assert 200 == status
    assert "bearer" == said["token_type"]
    assert said["expires_in"] <= 300
    assert "system/Patient.rs" == said["scope"]
    assert CLIENT == verify(guard(), minted(said["access_token"])).client


def test_an_assertion_gets_one_token_and_no_second() -> None:
    form = {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(),
    }  # fmt: skip
    of = endpoint()

    assert [200, 401] == [asked(form, None, of)[0] for _ in range(2)]


def test_a_secret_may_be_in_the_form() -> None:  # RFC 6749 §2.3.1
    form = {"grant_type": "client_credentials", "client_id": "service", "client_secret": SECRET}

    assert 200 == asked(form)[0]
    assert 401 == asked({**form, "client_secret": "another"})[0]


# --- its scope ---------------------------------------------------------------------------------------


def test_who_does_not_say_gets_all_that_it_may_have() -> None:  # RFC 6749 §3.3
    assert "orders:read orders:write" == token({})["scope"]
    assert "orders:read orders:write" == token({"scope": ""})["scope"], "§3.2: without a value, it is not there"


def test_the_order_is_of_no_account_and_none_is_there_twice() -> None:
    assert "orders:write orders:read" == token({"scope": "orders:write orders:read orders:write"})["scope"]


def test_a_client_that_may_have_no_scope_gets_a_token_without_one() -> None:
    said = token({}, by="bare")

    assert "scope" not in said
    assert frozenset() == verify(guard(), said["access_token"]).scopes
    assert (400, "invalid_scope") == refusal({"grant_type": "client_credentials", "scope": "orders:read"}, "bare")


@pytest.mark.parametrize(
    "scope",
    ["orders:delete", "orders:read orders:delete", "ORDERS:READ", "orders:read  orders:write", " orders:read",
     "orders:read ", " ", "orders:read\torders:write", "orders:read,orders:write", "orders", 'orders:"read"', "ö"],
)  # fmt: skip
def test_another_scope_is_refused_and_not_left_out(scope: str) -> None:
    assert (400, "invalid_scope") == refusal({"grant_type": "client_credentials", "scope": scope})


def test_scopes_are_those_of_this_client() -> None:
    assert (400, "invalid_scope") == refusal({"grant_type": "client_credentials", "scope": "system/Patient.rs"})


# --- its audience ------------------------------------------------------------------------------------


def test_of_several_apis_a_client_chooses_one() -> None:
    """RFC 8707 §2."""
    of = endpoint(audience=["https://orders.test", "https://stock.test"])
    chosen = token({"resource": "https://stock.test"}, of)["access_token"]
    for_both = token({}, of)["access_token"]

    assert "https://stock.test" == verify(guard("https://stock.test"), chosen).claims["aud"]
    assert ("https://orders.test", "https://stock.test") == verify(guard("https://stock.test"), for_both).claims["aud"]
    assert (400, "invalid_target") == refusal(
        {"grant_type": "client_credentials", "resource": "https://elsewhere.test"}, of=of
    )


# --- what is no such request -------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["authorization_code", "password", "refresh_token", "CLIENT_CREDENTIALS", "x" * 900])
def test_there_is_one_grant(grant: str) -> None:
    assert (400, "unsupported_grant_type") == refusal({"grant_type": grant, "code": "a", "username": "ada"})


@pytest.mark.parametrize("form", [{}, {"grant_type": ""}, {"scope": "orders:read"}])
def test_a_grant_has_to_be_said(form: dict[str, str]) -> None:
    assert (400, "invalid_request") == refusal(form)


GOOD = urlencode({"grant_type": "client_credentials", "scope": "orders:read"}).encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "post", "OPTIONS"])
def test_only_a_post_gets_a_token(method: str) -> None:  # RFC 6749 §3.2
    status, document, headers = asked(GOOD, basic(), method=method)

    assert (405, "invalid_request", "POST") == (status, document["error"], headers["Allow"])


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (GOOD + b"&scope=orders:write", FORM, 400),
        (GOOD + b"&grant_type=client_credentials", FORM, 400),
        (GOOD + b"&resource=orders&resource=orders", FORM, 400),
        (GOOD, None, 400),
        (GOOD, "application/json", 400),
        (GOOD, "multipart/form-data; boundary=a", 400),
        (GOOD, f"text/plain, {FORM}", 400),
        (json.dumps({"grant_type": "client_credentials"}).encode(), FORM, 400),
        (b"\xff\xfe", FORM, 400),
        (b"a=%ff", FORM, 400),
        (b"&".join(b"a%d=b" % number for number in range(100)), FORM, 400),
        (GOOD + b"&a=" + b"a" * 65_536, FORM, 413),
        (b"", FORM, 400),
    ],
)
def test_a_hostile_form_gets_no_token(body: bytes, content_type: str | None, status: int) -> None:
    found, document, _ = asked(body, basic(), content_type=content_type)

    assert (status, "invalid_request") == (found, document["error"])


def test_a_type_with_parameters_is_a_form_all_the_same() -> None:
    assert 200 == asked(GOOD, basic(), content_type=f"{FORM}; charset=UTF-8")[0]


def test_two_ways_to_authenticate_are_none() -> None:  # RFC 6749 §2.3
    form = {"grant_type": "client_credentials", "client_id": "service", "client_secret": SECRET}
    assert (400, "invalid_request") == refusal(form)

    form = {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(),
    }  # fmt: skip
    assert (400, "invalid_request") == refusal(form)


@pytest.mark.parametrize("authorization", [None, "", "Bearer a", basic("service", "x"), basic("nobody"), basic(CLIENT)])
def test_nobody_else_gets_a_token(authorization: str | None) -> None:
    status, document, headers = asked(GOOD, authorization)

    assert (401, "invalid_client") == (status, document["error"])
    assert headers["WWW-Authenticate"].startswith("Basic ")  # RFC 6749 §5.2


def test_what_else_is_in_the_form_is_passed_over() -> None:  # RFC 6749 §3.2
    assert "orders:read" == token({"scope": "orders:read", "audience": "everybody", "sub": "root"})["scope"]
    assert "orders" == verify(guard(), token({"aud": "everybody"})["access_token"]).claims["aud"]


def test_while_nobody_can_tell_there_is_no_token() -> None:
    def resolve(_name: str) -> Client:
        raise AssertionError("asked by the test alone")

    of = endpoint(clients=Clients([], TOKEN_URL, resolve, clock=ISSUER.clock))
    status, document, headers = asked(GOOD, basic(), of, StoreFailed("down"))

    assert (503, "temporarily_unavailable") == (status, document["error"])
    assert headers["Retry-After"].isdigit()


# --- what is said, and to whom -----------------------------------------------------------------------


def test_the_log_says_who_and_why_and_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jwt_guard"):
        given = token({"scope": "orders:read"})["access_token"]
        refusal({"grant_type": "client_credentials", "scope": "a-long-scope-of-a-stranger"})
        asked(GOOD, basic("service", "a-wrong-secret"))

    assert 3 == len(caplog.messages)
    assert "a token for 'service': 'orders:read'" == caplog.messages[0]
    assert "no token for 'service': invalid_scope" in caplog.messages[1]
    assert "no token for nobody known: invalid_client" in caplog.messages[2]
    for secret in (given, SECRET, "a-wrong-secret", "a-long-scope-of-a-stranger"):
        assert secret not in caplog.text


# --- at start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": ""},
        {"audience": []},
        {"audience": [""]},
        {"audience": [1]},
        {"lifetime": 0},
        {"lifetime": True},
        {"lifetime": 1.5},
        {"lifetime": "300"},
        {"issuer": "https://authorize.test"},
        {"clients": [SERVICE]},
    ],
)
def test_what_is_wrong_is_found_at_start(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="token endpoint: "):
        endpoint(**changes)


@pytest.mark.parametrize("scope", ["orders:read orders:write", 'a"', "a\\", "ö", "a\n"])
def test_a_scope_is_one_word(scope: str) -> None:
    with pytest.raises(Misconfigured, match="one word"):
        endpoint(Client("service", secret=SECRET, scopes=[scope]))


def test_no_token_outlives_the_key_that_has_signed_it() -> None:
    ring = Keyring(make("ES256"), rotation=Rotation(published_before=300, longest_token=600))
    issuer = Issuer("https://authorize.test", ring)

    assert 600 == endpoint(issuer=issuer, lifetime=600).lifetime
    with pytest.raises(Misconfigured, match="longest_token"):
        endpoint(issuer=issuer, lifetime=601)
