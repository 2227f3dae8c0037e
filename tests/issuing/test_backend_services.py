"""A client of a FHIR server, in threads and in tasks → one token for all of them, renewed in time, and never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import trio

from jwt_guard import Misconfigured
from jwt_guard.errors import FetchFailed, Unavailable
from jwt_guard.issuing.backend_services import BackendServicesAuth, TokenRefused
from jwt_guard.issuing.signing import SigningKey, make
from tests.issuing.fhir_server import FhirServer, serving
from tests.support.minting import SAID
from tests.support.playing import Clock, play, reply
from tests.support.servers import until

CLIENT = "backend"
NOW = 1_800_000_000.0
CONFIGURATION = "/fhir/.well-known/smart-configuration"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return make("ES384", "ours")


@pytest.fixture
def clock() -> Clock:
    """Return the one that client and server both have."""
    return Clock(NOW)


@pytest.fixture
def server(key: SigningKey, clock: Clock) -> Iterator[FhirServer]:
    with serving(CLIENT, key, clock) as running:
        yield running


@pytest.fixture
def auth(server: FhirServer, key: SigningKey, clock: Clock) -> BackendServicesAuth:
    return making(server, key, clock)


def making(server: FhirServer, key: SigningKey, clock: Callable[[], float], **more: Any) -> BackendServicesAuth:
    return BackendServicesAuth(server.base, CLIENT, key, "system/Patient.rs system/Task.r", clock=clock, **more)


def get(server: FhirServer, auth: BackendServicesAuth, **more: Any) -> httpx.Response:
    with httpx.Client(auth=auth, trust_env=False) as http:
        return http.request(more.pop("method", "GET"), f"{server.base}/Patient", **more)


def tokens(server: FhirServer) -> list[str]:
    return [sent for sent, _ in server.seen]


# --- one token for all -------------------------------------------------------------------------------


def test_a_client_gets_a_token_and_uses_it_again(server: FhirServer, auth: BackendServicesAuth) -> None:
    assert [200, 200] == [get(server, auth).status_code for _ in range(2)]
    assert ["Bearer token-1"] * 2 == tokens(server)
    assert (1, 1) == (server.asked["/token"], server.asked[CONFIGURATION])
    (form,) = server.forms
    assert ("client_credentials", "system/Patient.rs system/Task.r") == (form["grant_type"], form["scope"])


def test_of_many_threads_one_asks(server: FhirServer, auth: BackendServicesAuth) -> None:
    server.takes = 0.2
    with ThreadPoolExecutor(16) as pool:
        found = [each.status_code for each in pool.map(lambda _: get(server, auth), range(32))]

    assert [200] * 32 == found
    assert 1 == server.asked["/token"]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_of_many_tasks_one_asks(server: FhirServer, auth: BackendServicesAuth, library: str) -> None:
    server.takes = 0.2
    found: list[int] = []

    async def ask(http: httpx.AsyncClient) -> None:
        found.append((await http.get(f"{server.base}/Patient")).status_code)

    async def on_asyncio() -> None:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as http:
            await asyncio.gather(*(ask(http) for _ in range(32)))

    async def on_trio() -> None:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as http, trio.open_nursery() as nursery:
            for _ in range(32):
                nursery.start_soon(ask, http)

    if library == "asyncio":
        asyncio.run(on_asyncio())
    else:
        trio.run(on_trio)
    assert [200] * 32 == found
    assert 1 == server.asked["/token"]


def test_threads_and_tasks_share_one(server: FhirServer, auth: BackendServicesAuth) -> None:
    server.takes = 0.2

    async def ask() -> int:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as http:
            return (await http.get(f"{server.base}/Patient")).status_code

    with ThreadPoolExecutor(2) as pool:
        thread = pool.submit(get, server, auth)
        task = pool.submit(asyncio.run, ask())
        assert [200, 200] == [thread.result().status_code, task.result()]
    assert 1 == server.asked["/token"]


# --- renewed in time ---------------------------------------------------------------------------------


def test_it_is_renewed_behind_a_request_before_it_ends(
    server: FhirServer, auth: BackendServicesAuth, clock: Clock
) -> None:
    get(server, auth)
    clock.forward(239)
    get(server, auth)
    assert 1 == server.asked["/token"]
    clock.forward(1)
    get(server, auth)  # nobody waits for the new one
    until(lambda: server.asked["/token"] == 2 and auth._held is not None and auth._held.text == "token-2")
    get(server, auth)

    assert ["Bearer token-1"] * 3 + ["Bearer token-2"] == tokens(server)


def test_one_that_is_about_to_end_is_not_sent_any_more(
    server: FhirServer, auth: BackendServicesAuth, clock: Clock
) -> None:
    get(server, auth)
    clock.forward(296)
    get(server, auth)

    assert ["Bearer token-1", "Bearer token-2"] == tokens(server)


def test_one_whose_life_is_not_said_is_used_for_a_minute(
    server: FhirServer, auth: BackendServicesAuth, clock: Clock
) -> None:
    server.lifetime = None
    get(server, auth)
    clock.forward(60)
    get(server, auth)

    assert ["Bearer token-1", "Bearer token-2"] == tokens(server)


def test_a_token_in_hand_is_used_while_the_server_gives_no_other(
    server: FhirServer, auth: BackendServicesAuth, clock: Clock
) -> None:
    get(server, auth)
    server.token_answer = (500, b"")
    clock.forward(250)

    assert 200 == get(server, auth).status_code
    until(lambda: auth._failure is not None)
    assert 200 == get(server, auth).status_code
    assert 2 == server.asked["/token"]  # the pause after a failure holds here, too
    clock.forward(60)
    with pytest.raises(FetchFailed):
        get(server, auth)


# --- a 401 -------------------------------------------------------------------------------------------


def test_a_token_that_was_taken_back_is_replaced_and_the_request_sent_again(
    server: FhirServer, auth: BackendServicesAuth
) -> None:
    get(server, auth)
    server.good.clear()
    found = get(server, auth, method="POST", content=b'{"resourceType": "Patient"}')

    assert 200 == found.status_code
    assert [b"", *[b'{"resourceType": "Patient"}'] * 2] == [body for _, body in server.seen]
    assert ["Bearer token-1", "Bearer token-1", "Bearer token-2"] == tokens(server)


def test_of_many_that_are_refused_at_once_one_asks(server: FhirServer, auth: BackendServicesAuth) -> None:
    get(server, auth)
    server.good.clear()
    server.takes = 0.2
    with ThreadPoolExecutor(8) as pool:
        found = [each.status_code for each in pool.map(lambda _: get(server, auth), range(8))]

    assert [200] * 8 == found
    assert 2 == server.asked["/token"]


def test_a_request_is_sent_again_once_and_what_is_not_the_token_s_fault_costs_no_more_of_them(
    server: FhirServer, auth: BackendServicesAuth, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "good", _Nothing())

    assert [401] * 4 == [get(server, auth).status_code for _ in range(4)]
    assert 2 == server.asked["/token"]
    assert 5 == len(server.seen)
    clock.forward(31)
    get(server, auth)
    assert 3 == server.asked["/token"]


class _Nothing(set[str]):
    def __contains__(self, _item: object) -> bool:
        return False


def test_the_same_token_once_more_is_sent_once_more(server: FhirServer, auth: BackendServicesAuth) -> None:
    server.token_answer = (200, b'{"access_token": "the-same", "token_type": "Bearer", "expires_in": 300}')

    assert 401 == get(server, auth).status_code
    assert ["Bearer the-same"] * 2 == tokens(server)


def test_a_body_that_comes_out_of_a_stream_is_not_sent_again(server: FhirServer, auth: BackendServicesAuth) -> None:
    get(server, auth)
    server.good.clear()
    found = get(server, auth, method="POST", content=iter([b"a", b"b"]))

    assert 401 == found.status_code
    assert [b"", b"ab"] == [body for _, body in server.seen]
    assert 1 == server.asked["/token"]


# --- errors ------------------------------------------------------------------------------------------


def failing(server: FhirServer, auth: BackendServicesAuth) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        get(server, auth)
    SAID.append(str(caught.value))
    return caught.value


def test_a_refusal_says_where_with_what_and_which_code(server: FhirServer, auth: BackendServicesAuth) -> None:
    server.token_answer = (400, b'{"error": "invalid_scope", "error_description": "a secret"}')
    error = failing(server, auth)

    assert isinstance(error, TokenRefused)
    assert (server.token_url, 400, "invalid_scope") == (error.url, error.answered, error.error)
    assert f"{server.token_url!r} gives no token: 400 invalid_scope" == str(error)
    assert [] == server.seen


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": 7}', b'{"error": "a secret!"}', b"[]"], ids=repr)
def test_a_refusal_without_a_code_says_that(server: FhirServer, auth: BackendServicesAuth, body: bytes) -> None:
    server.token_answer = (401, body)
    error = failing(server, auth)

    assert isinstance(error, TokenRefused)
    assert None is error.error
    assert str(error).endswith("gives no token: 401 without a code")


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"{}",
        b'{"access_token": "", "token_type": "bearer", "expires_in": 300}',
        b'{"access_token": "a b", "token_type": "bearer", "expires_in": 300}',
        b'{"access_token": "a\\r\\nX: y", "token_type": "bearer", "expires_in": 300}',
        b'{"access_token": "a", "access_token": "b", "token_type": "bearer", "expires_in": 300}',
        b'{"access_token": ["a"], "token_type": "bearer", "expires_in": 300}',
        b'{"access_token": "a", "expires_in": 300}',
        b'{"access_token": "a", "token_type": "DPoP", "expires_in": 300}',
        b'{"access_token": "a", "token_type": "bearer", "expires_in": 0}',
        b'{"access_token": "a", "token_type": "bearer", "expires_in": true}',
        b'{"access_token": "a", "token_type": "bearer", "expires_in": "300"}',
    ],
    ids=repr,
)
def test_an_answer_that_is_no_token_is_none(server: FhirServer, auth: BackendServicesAuth, answer: bytes) -> None:
    server.token_answer = (200, answer)

    assert isinstance(failing(server, auth), FetchFailed)
    assert [] == server.seen


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_is_down_is_not_the_client_s_fault(
    server: FhirServer, auth: BackendServicesAuth, status: int
) -> None:
    server.token_answer = (status, b'{"error": "invalid_client"}')
    error = failing(server, auth)

    assert not isinstance(error, TokenRefused)
    assert f"answered with {status}" in str(error)


def test_an_assertion_is_not_sent_on_to_where_a_redirect_leads(server: FhirServer, auth: BackendServicesAuth) -> None:
    server.redirects = True

    assert "a redirect, which is not followed" in str(failing(server, auth))
    assert 0 == server.asked["/elsewhere"]


def test_after_a_failure_nobody_asks_for_a_while(server: FhirServer, auth: BackendServicesAuth, clock: Clock) -> None:
    server.token_answer = (400, b'{"error": "invalid_client"}')
    for asked, seconds in ((1, 0.5), (1, 0.6), (2, 1.5), (2, 1), (3, 60)):
        failing(server, auth)
        assert asked == server.asked["/token"]
        clock.forward(seconds)
    assert 8 == auth._pause
    server.token_answer = None

    assert 200 == get(server, auth).status_code
    assert 1 == auth._pause  # of the next failure


def test_one_that_takes_too_long_is_given_up(server: FhirServer, key: SigningKey, clock: Clock) -> None:
    server.takes = 5
    error = failing(server, making(server, key, clock, timeout=0.3))

    server._resting.set()
    assert "in time" in str(error) or "no answer within" in str(error)


# --- where the token endpoint is ---------------------------------------------------------------------


def test_a_token_endpoint_that_is_given_is_not_looked_up(server: FhirServer, key: SigningKey, clock: Clock) -> None:
    get(server, making(server, key, clock, token_url=server.token_url))

    assert (1, 0) == (server.asked["/token"], server.asked[CONFIGURATION])


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        (None, "the configuration was answered with 404"),
        ({}, "its token_endpoint cannot be asked: it is no text"),
        ({"token_endpoint": "http://example.test/token"}, "its token_endpoint cannot be asked: it is not https"),
        ({"token_endpoint": ["x"]}, "its token_endpoint cannot be asked"),
        ([], "is no JSON object"),
    ],
    ids=str,
)
def test_a_configuration_that_names_none_is_a_clear_error(
    server: FhirServer, auth: BackendServicesAuth, configuration: Any, says: str
) -> None:
    server.configuration = configuration

    assert says in str(failing(server, auth))
    assert [] == server.seen


def test_a_server_elsewhere_cannot_aim_it_at_this_machine(key: SigningKey) -> None:
    auth = BackendServicesAuth("https://ehr.test/fhir", CLIENT, key, None, clock=lambda: NOW)
    played = play(auth.access_token, reply({"token_endpoint": "http://127.0.0.1:9/token"}))

    assert "its token_endpoint cannot be asked" in str(played.error)
    assert ["https://ehr.test/fhir/.well-known/smart-configuration"] == played.fetched


def test_it_is_looked_up_again_when_it_has_moved(server: FhirServer, auth: BackendServicesAuth, clock: Clock) -> None:
    server.configuration = {"token_endpoint": f"{server.url}/moved"}
    failing(server, auth)
    server.configuration = {"token_endpoint": server.token_url}
    clock.forward(2)

    assert 200 == get(server, auth).status_code


# --- who else gets the token -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/fhirx/Patient", "/", "/fhi", "/fhir/../other", "//fhir/Patient"])
def test_no_other_place_gets_the_token(server: FhirServer, auth: BackendServicesAuth, path: str) -> None:
    with httpx.Client(auth=auth, trust_env=False) as http, pytest.raises(ValueError, match="and not for"):
        http.get(f"{server.url}{path}")
    assert 0 == server.asked.total()


@pytest.mark.parametrize("origin", ["https://127.0.0.1", "http://localhost:1", "http://127.0.0.1:1"])
def test_no_other_server_gets_it(server: FhirServer, auth: BackendServicesAuth, origin: str) -> None:
    with httpx.Client(auth=auth, trust_env=False) as http, pytest.raises(ValueError, match="and not for"):
        http.get(f"{origin}/fhir/Patient")


def test_another_place_gets_it_where_that_is_said(server: FhirServer, key: SigningKey, clock: Clock) -> None:
    auth = making(server, key, clock, other_places_that_get_the_token=[f"{server.url}/bulk"])
    with httpx.Client(auth=auth, trust_env=False) as http:
        found = [
            http.get(f"{server.url}/{path}").status_code for path in ("bulk/1", "bulk", "fhir", "fhir/Patient?a=b")
        ]

    assert [200] * 4 == found


# --- what is asked for, and what is shown -------------------------------------------------------------


def test_the_server_may_choose_the_scope_and_say_which(server: FhirServer, key: SigningKey, clock: Clock) -> None:
    auth = BackendServicesAuth(server.base, CLIENT, key, None, clock=clock)
    server.more = {"scope": "system/Patient.rs"}

    assert None is auth.granted
    get(server, auth)
    assert "scope" not in server.forms[0]
    assert "system/Patient.rs" == auth.granted


def test_what_the_server_wants_of_assertions_can_be_said(server: FhirServer, key: SigningKey, clock: Clock) -> None:
    wrong = making(server, key, clock, audience="https://elsewhere.test")
    right = making(server, key, clock, audience=server.token_url, lifetime=30)

    assert "invalid_client" in str(failing(server, wrong))
    assert 200 == get(server, right).status_code


def test_neither_key_nor_token_is_in_a_repr(server: FhirServer, auth: BackendServicesAuth) -> None:
    get(server, auth)

    assert f"BackendServicesAuth({server.base!r}, 'backend')" == repr(auth)
    assert "token-1" not in repr(auth._held)
    assert None is auth.granted


def test_a_bug_is_no_token(
    server: FhirServer, auth: BackendServicesAuth, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def buggy(*_arguments: object) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(auth, "_asked_for", buggy)

    assert "in time" in str(failing(server, auth))
    assert "work in the background failed" in caplog.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base": "http://fhir.test"}, "it is not https"),
        ({"base": ""}, "it names no host"),
        ({"token_url": "http://fhir.test/token"}, "it is not https"),
        ({"other_places_that_get_the_token": ["x"]}, "cannot be asked"),
        ({"client_id": ""}, "not empty"),
        ({"audience": " "}, "not empty"),
        ({"lifetime": 301}, "1 to 300"),
        ({"key": make("HS256")}, "a secret is another method"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"scope": ""}, "scope is words"),
        ({"scope": []}, "scope is words"),
        ({"scope": ["a b"]}, "scope is words"),
        ({"scope": [7]}, "scope is words"),
        ({"scope": 7}, "scope is words"),
    ],
    ids=str,
)
def test_what_is_wrong_is_found_at_start(key: SigningKey, changes: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"base": "https://fhir.test", "client_id": CLIENT, "key": key, "scope": "a", **changes}
    with pytest.raises(Misconfigured, match=says):
        BackendServicesAuth(**given)


def test_it_works_from_the_thread_of_a_loop_that_uses_the_plain_client(
    server: FhirServer, auth: BackendServicesAuth
) -> None:
    async def ask() -> int:
        return get(server, auth).status_code  # blocks the loop, which is theirs to do

    assert 200 == asyncio.run(ask())
