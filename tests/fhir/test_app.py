"""An application, or a server at a URL, behind the FHIR guard → what clients get, and what it is asked for them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from jwt_guard import anyone, by_route
from jwt_guard.access.carriers import Carrier, cookie, form, header, query
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.errors import Misconfigured, UpstreamFailed
from jwt_guard.fhir.app import FhirGuard, fhir_proxy
from jwt_guard.fhir.configuration import SmartConfiguration
from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.server import Limits, Server
from jwt_guard.gateway.framing import server_options
from jwt_guard.gateway.settings import Settings
from jwt_guard.middleware.asgi import App
from tests.support.fhir_app import asgi_of, client
from tests.support.fhir_double import FhirDouble
from tests.support.minting import claims, guard, mint
from tests.support.proxied import of_octets, seen_by, serving

BASE = "https://api.example/fhir"
PATIENTS = [{"resourceType": "Patient", "id": each} for each in ("ann", "bob")]
OBSERVATION = {
    "resourceType": "Observation",
    "id": "of-ann",
    "status": "final",
    "code": {"text": "pulse"},
    "subject": {"reference": "Patient/ann"},
}
ALL = "system/*.cruds"


def authorized(scope: str = ALL, **changes: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(claims(scope=scope, **changes))}"}


ANN = {"scope": "patient/*.rs", "patient": "ann"}


def guarded(app: App | None = None, server: Server | None = None, policy: Any = None, **more: Any) -> FhirGuard:
    inner = asgi_of(FhirDouble([*PATIENTS, OBSERVATION])) if app is None else app
    return FhirGuard(inner, guard(policy=policy), Server(BASE) if server is None else server, **more)


def saying(answered: Answered, seen: list[Asking] | None = None) -> App:
    """Return an application that always says the same."""

    def say(asking: Asking) -> Answered:
        if seen is not None:
            seen.append(asking)
        return answered

    return asgi_of(say)


def code_of(response: httpx.Response) -> str:
    document = response.json()

    assert "OperationOutcome" == document["resourceType"]
    assert "application/fhir+json" == response.headers["content-type"]
    return str(document["issue"][0]["code"])


# --- tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "login"),
        ({"authorization": "Bearer x"}, 401, "unknown"),
        ({"authorization": "Bearer a b"}, 400, "invalid"),
    ],
)
def test_whoever_has_no_good_token_is_told_so_in_the_words_of_fhir(
    headers: dict[str, str], status: int, code: str
) -> None:
    response = client(guarded())("GET", "/fhir/Patient/ann", headers=headers)

    assert (status, code) == (response.status_code, code_of(response))
    assert "www-authenticate" in response.headers


def test_an_expired_token_is_said_to_be_one() -> None:
    response = client(guarded())("GET", "/fhir/Patient/ann", headers=authorized(exp=1))

    assert (401, "expired") == (response.status_code, code_of(response))


def test_a_token_without_any_scope_of_smart_is_good_for_nothing() -> None:
    response = client(guarded())("GET", "/fhir/Patient/ann", headers=authorized("openid orders:read"))

    assert (403, "forbidden") == (response.status_code, code_of(response))


def test_a_patient_sees_their_own_record_and_no_other() -> None:
    ask = client(guarded())

    assert "ann" == ask("GET", "/fhir/Patient/ann", headers=authorized(**ANN)).json()["id"]
    assert 404 == ask("GET", "/fhir/Patient/bob", headers=authorized(**ANN)).status_code
    assert 200 == ask("GET", "/fhir/Observation/of-ann", headers=authorized(**ANN)).status_code


@pytest.mark.parametrize("carrier", [query(), form()])
def test_a_token_is_nowhere_that_goes_on_to_the_server(carrier: Carrier) -> None:
    of = replace(guard(), carriers=[header(), carrier])
    with pytest.raises(Misconfigured, match="would go on to the FHIR server"):
        FhirGuard(asgi_of(FhirDouble(PATIENTS)), of, Server(BASE))


def test_a_token_in_a_cookie_is_taken_and_goes_no_further() -> None:
    seen: list[Any] = []
    of = replace(guard(), carriers=[header(), cookie("token", ["https://api.example"])])
    ask = client(FhirGuard(asgi_of(FhirDouble(PATIENTS), seen=seen), of, Server(BASE)))
    token = authorized(**ANN)["authorization"].removeprefix("Bearer ")
    response = ask("GET", "/fhir/Patient/ann", headers={"cookie": f"token={token}", "sec-fetch-site": "same-origin"})

    assert 200 == response.status_code
    assert token not in str(seen[0]["headers"])


def test_two_claims_that_name_two_patients_are_refused() -> None:
    response = client(guarded())("GET", "/fhir/Patient/ann", headers=authorized(**ANN, patient_id="bob"))

    assert (401, "unknown") == (response.status_code, code_of(response))


def test_the_claim_that_names_the_patient_is_the_one_that_was_said() -> None:
    ask = client(guarded(patient_claims=[("context", "who")]))
    own = authorized("patient/*.rs", context={"who": "Patient/bob"})

    assert 200 == ask("GET", "/fhir/Patient/bob", headers=own).status_code
    assert 403 == ask("GET", "/fhir/Patient/ann", headers=authorized(**ANN)).status_code


def test_rights_are_those_of_the_token_at_hand_however_many_were_seen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt_guard.fhir.app._MOST_RIGHTS", 1)
    ask = client(guarded())
    ann, bob = authorized(**ANN), authorized("patient/*.rs", patient="bob")
    got = [ask("GET", "/fhir/Patient/ann", headers=each).status_code for each in (ann, ann, ann, bob, bob, bob, ann)]

    assert [200, 200, 200, 404, 404, 404, 200] == got


def test_rights_are_never_those_of_a_token_that_stood_in_the_same_place() -> None:
    app = guarded()

    def whose(patient: str) -> Credentials:
        scopes = frozenset({"patient/*.rs"})
        return Credentials("ada", "app", scopes, frozenset(), "ehr", ReadOnly({"patient": patient}))

    ann, bob = whose("ann"), whose("bob")
    app._held[id(bob)] = ann, app._rights(ann)

    assert "bob" == app._rights(bob).patient


# --- what is for everybody ---------------------------------------------------------------------------


def test_the_smart_configuration_is_json_for_whoever_asks_with_whatever_token() -> None:
    smart = SmartConfiguration("https://id.example/token")
    ask = client(guarded(smart=smart, origins=()))
    for headers in ({}, {"accept": "text/html"}, {"authorization": "Bearer x"}):
        response = ask("GET", "/fhir/.well-known/smart-configuration", headers=headers)

        assert (200, "application/json") == (response.status_code, response.headers["content-type"])
        assert "*" == response.headers["access-control-allow-origin"]
        assert "https://id.example/token" == response.json()["token_endpoint"]
    head = ask("HEAD", "/fhir/.well-known/smart-configuration")

    assert (b"", "0") != (head.content, head.headers["content-length"])
    assert b"" == head.content
    assert 405 == ask("POST", "/fhir/.well-known/smart-configuration").status_code


def test_where_nothing_is_known_of_the_authorization_server_there_is_no_such_document() -> None:
    response = client(guarded())("GET", "/fhir/.well-known/smart-configuration")

    assert 404 == response.status_code
    assert "OperationOutcome" == response.json()["resourceType"]


def test_the_capabilities_are_the_servers_with_a_word_on_how_clients_are_known() -> None:
    statement = {"resourceType": "CapabilityStatement", "rest": [{"mode": "server", "security": {"cors": False}}]}
    said = Answered(200, (("content-type", "application/fhir+json"), ("etag", 'W/"1"')), json.dumps(statement).encode())
    response = client(guarded(saying(said), smart=SmartConfiguration("https://id.example/token")))(
        "GET", "/fhir/metadata", headers={"accept-encoding": "gzip"}
    )
    security = response.json()["rest"][0]["security"]

    assert "SMART-on-FHIR" == security["service"][0]["coding"][0]["code"]
    assert "https://id.example/token" == security["extension"][0]["extension"][0]["valueUri"]
    assert str(len(response.content)) == response.headers["content-length"]
    assert "etag" not in response.headers


def test_capabilities_that_are_no_json_are_handed_on() -> None:
    said = Answered(200, (("content-type", "application/fhir+xml"), ("x-secret", "1")), b"<CapabilityStatement/>")
    response = client(guarded(saying(said)))("GET", "/fhir/metadata", headers={"accept": "application/fhir+xml"})

    assert b"<CapabilityStatement/>" == response.content
    assert "x-secret" not in response.headers


def test_what_a_server_says_in_place_of_capabilities_is_not_repeated() -> None:
    said = Answered(500, (("content-type", "application/fhir+json"),), b'{"resourceType":"OperationOutcome","x":"Bob"}')
    response = client(guarded(saying(said)))("GET", "/fhir/metadata")

    assert (502, "exception") == (response.status_code, code_of(response))
    assert "Bob" not in response.text


def test_a_bad_token_is_refused_where_none_is_needed() -> None:
    response = client(guarded())("GET", "/fhir/metadata", headers={"authorization": "Bearer x"})

    assert 401 == response.status_code


# --- pages in browsers -------------------------------------------------------------------------------

PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "PUT"}


def test_a_preflight_is_answered_without_a_token_and_without_the_server() -> None:
    seen: list[Any] = []
    ask = client(guarded(asgi_of(FhirDouble(PATIENTS), seen=seen)))
    response = ask("OPTIONS", "/fhir/Patient/ann", headers=PREFLIGHT)

    assert (204, "*") == (response.status_code, response.headers["access-control-allow-origin"])
    assert "PUT" in response.headers["access-control-allow-methods"]
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert [] == seen


@pytest.mark.parametrize("scope", [ALL, "patient/*.rs"])
def test_a_page_may_read_what_it_gets_and_the_server_does_not_say_which(scope: str) -> None:
    def said(asking: Asking) -> Answered:
        return Answered(200, (*FhirDouble(PATIENTS)(asking).headers, ("access-control-allow-origin", "https://x")),
                        FhirDouble(PATIENTS)(asking).body)  # fmt: skip

    response = client(guarded(asgi_of(said)))(
        "GET", "/fhir/Patient/ann", headers={**authorized(scope, patient="ann"), "origin": "https://app.example"}
    )

    assert ["*"] == response.headers.get_list("access-control-allow-origin")
    assert "ETag" in response.headers["access-control-expose-headers"]


def test_where_some_origins_are_named_no_other_page_may_read() -> None:
    ask = client(guarded(origins=["https://app.example"]))
    mine = ask("GET", "/fhir/Patient/ann", headers={**authorized(), "origin": "https://app.example"})
    others = ask("GET", "/fhir/Patient/ann", headers={**authorized(), "origin": "https://evil.example"})

    assert "https://app.example" == mine.headers["access-control-allow-origin"]
    assert "access-control-allow-origin" not in others.headers
    assert "Origin" == others.headers["vary"]


# --- paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/%66hir/Patient/bob", "/FHIR/Patient/bob", "//fhir/Patient/bob", "/x/..%2Ffhir/Patient/bob",
             "/x/../fhir/Patient/bob", "/fhir%2FPatient/bob", "/fhir;x/Patient/bob", "/fhir%5CPatient/bob"],
)  # fmt: skip
def test_no_other_way_to_write_the_base_leads_past_the_guard(path: str) -> None:
    seen: list[Any] = []
    app = guarded(asgi_of(FhirDouble(PATIENTS), seen=seen), policy=anyone())
    status = status_of(app, path.encode(), authorized(**ANN))

    assert 403 == status
    assert [] == seen


def status_of(app: App, raw: bytes, headers: dict[str, str], kind: str = "http") -> int:
    """Return the status of the answer to a path as it is, which no client library gets to see."""
    sent: list[Any] = []
    scope = {
        "type": kind, "method": "GET", "path": httpx.URL(f"http://x{raw.decode()}").path if raw[:2] != b"//" else
        raw.decode(), "raw_path": raw, "query_string": b"", "scheme": "https", "http_version": "1.1",
        "headers": [(b"host", b"api.example"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(lambda: app(scope, receive, send))
    return int(sent[0].get("status", sent[0].get("code", 0)))


def test_other_paths_are_the_applications_as_the_policy_of_the_guard_has_it() -> None:
    policy = by_route([("GET", "/health", anyone())])
    ask = client(guarded(policy=policy))

    assert "elsewhere" == ask("GET", "/health").text
    assert 401 == ask("GET", "/fhirish").status_code
    assert 403 == ask("GET", "/fhirish", headers=authorized()).status_code


def test_with_nothing_but_fhir_other_paths_are_not_there() -> None:
    ask = client(guarded(only_fhir=True, policy=anyone()))

    assert 404 == ask("GET", "/health").status_code


def test_a_server_may_have_its_host_for_itself() -> None:
    ask = client(guarded(asgi_of(FhirDouble(PATIENTS), root=""), Server("https://api.example")))

    assert "ann" == ask("GET", "/Patient/ann", headers=authorized(**ANN)).json()["id"]
    assert 404 == ask("GET", "/Patient/bob", headers=authorized(**ANN)).status_code


def test_there_are_no_websockets_below_the_base() -> None:
    assert 1008 == status_of(guarded(), b"/fhir/Subscription", {}, "websocket")
    assert 1008 == status_of(guarded(), b"/fhir/Subscription", authorized(), "websocket")
    assert 1008 == status_of(guarded(), b"/FHIR/Subscription", authorized(), "websocket")


def test_a_base_whose_path_is_written_in_two_ways_is_none() -> None:
    with pytest.raises(Misconfigured, match="base"):
        guarded(server=Server("https://api.example/a%2Fb"))


# --- what the server is asked, and what it says ------------------------------------------------------


def test_the_server_is_told_nothing_that_the_client_says_but_what_was_judged() -> None:
    seen: list[Any] = []
    client(guarded(asgi_of(FhirDouble(PATIENTS), seen=seen)))(
        "GET",
        "/fhir/Patient/ann",
        headers={**authorized(**ANN), "x-other": "1", "host": "evil.example", "cookie": "a=b"},
    )
    (scope,) = seen
    told = {name.decode(): value.decode() for name, value in scope["headers"]}

    assert {"host": "api.example", "accept": "application/fhir+json"} == told
    assert ("https", "/fhir/Patient/ann", b"/fhir/Patient/ann") == (scope["scheme"], scope["path"], scope["raw_path"])
    assert {} == scope["extensions"]


def test_what_was_asked_is_encoded_once() -> None:
    asked: list[Asking] = []
    said = Answered(200, (("content-type", "application/fhir+json"),), b'{"resourceType":"Bundle","type":"searchset"}')
    client(guarded(saying(said, asked)))(
        "GET", "/fhir/Patient/ann/_history?_since=2026-01-01T00%3A00%3A00%2B01%3A00%26", headers=authorized()
    )

    assert (("_since", "2026-01-01T00:00:00+01:00&"),) == asked[0].query


def test_what_nobody_has_to_judge_is_streamed_with_its_places_made_ours() -> None:
    said = Answered(
        201,
        (
            ("Location", "http://10.0.0.1/r4/Patient/7/_history/1"),
            ("content-location", "/fhir/Patient/7"),
            ("link", '<http://10.0.0.1/r4?page=2>; rel="next", <https://else.example/x>; rel="help"'),
            ("etag", 'W/"1"'),
        ),
        b"<Patient/>",
    )
    app = guarded(saying(said), Server(BASE, also_known_as=("http://10.0.0.1/r4",)))
    response = client(app)("POST", "/fhir/Patient", headers=authorized(), content=b"<Patient/>")

    assert (201, b"<Patient/>") == (response.status_code, response.content)
    assert f"{BASE}/Patient/7/_history/1" == response.headers["location"]
    assert f"{BASE}/Patient/7" == response.headers["content-location"]
    assert f'<{BASE}?page=2>; rel="next", <https://else.example/x>; rel="help"' == response.headers["link"]
    assert 'W/"1"' == response.headers["etag"]


def test_the_body_of_what_nobody_has_to_judge_goes_on_as_it_comes() -> None:
    ask = client(guarded())
    written = ask("PUT", "/fhir/Patient/cy", headers=authorized(), json={"resourceType": "Patient", "id": "cy"})

    assert 201 == written.status_code
    assert 200 == ask("GET", "/fhir/Patient/cy", headers=authorized()).status_code


@pytest.mark.parametrize("scope", [ALL, "patient/*.rs"])
def test_who_asks_for_the_head_alone_gets_no_body(scope: str) -> None:
    response = client(guarded())("HEAD", "/fhir/Patient/ann", headers=authorized(scope, patient="ann"))

    assert (200, b"") == (response.status_code, response.content)


# --- bounds ------------------------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read() -> None:
    app = guarded(server=Server(BASE, limits=Limits(body=100)))
    response = client(app)("POST", "/fhir", headers=authorized(**ANN), content=b"x" * 101)

    assert (413, "too-long") == (response.status_code, code_of(response))


def test_a_body_that_does_not_say_its_length_is_read_no_further_than_the_limit() -> None:
    given: list[int] = []

    async def pieces() -> Any:
        for number in range(1_000):
            given.append(number)
            yield b"x" * 60

    app = guarded(server=Server(BASE, limits=Limits(body=100)))
    response = client(app)("POST", "/fhir", headers=authorized(**ANN), content=pieces())

    assert 413 == response.status_code
    assert len(given) < 10


def test_an_answer_that_is_longer_than_what_is_judged_is_not_held() -> None:
    sent: list[int] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(10_000):
            sent.append(number)
            await send({"type": "http.response.body", "body": b"x" * 60, "more_body": True})

    app = guarded(endless, Server(BASE, limits=Limits(answer=100)))
    response = client(app)("GET", "/fhir/Patient/ann", headers=authorized(**ANN))

    assert (403, "too-costly") == (response.status_code, code_of(response))
    assert len(sent) < 10


def test_a_framework_that_makes_another_error_of_it_changes_nothing() -> None:
    async def wrapping(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"x" * 101, "more_body": False})
        except Exception as error:
            raise RuntimeError from error

    app = guarded(wrapping, Server(BASE, limits=Limits(answer=100)))

    assert 403 == client(app)("GET", "/fhir/Patient/ann", headers=authorized(**ANN)).status_code


# --- when it goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answered",
    [
        Answered(200, (("content-type", "application/fhir+json"), ("content-encoding", "gzip")), b"{}"),
        Answered(200, (("content-type", "text/html"),), b"<html>Bob</html>"),
        Answered(500, (("content-type", "application/fhir+json"),), b'{"text":"Bob"}'),
    ],
)
def test_an_answer_that_cannot_be_judged_is_a_502_that_repeats_nothing_of_it(answered: Answered) -> None:
    response = client(guarded(saying(answered)))("GET", "/fhir/Patient/ann", headers=authorized(**ANN))

    assert (502, "exception") == (response.status_code, code_of(response))
    assert "Bob" not in response.text


def test_an_answer_without_an_end_is_none() -> None:
    async def cut(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/fhir+json")]}
        )
        await send({"type": "http.response.body", "body": b'{"resourceType":"Patient","id":"ann"}', "more_body": True})

    assert 502 == client(guarded(cut))("GET", "/fhir/Patient/ann", headers=authorized(**ANN)).status_code


def test_a_bug_of_the_application_stays_one() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client(guarded(broken))("GET", "/fhir/Patient/ann", headers=authorized(**ANN))


def test_a_bug_of_the_judge_is_no_answer_and_its_words_are_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError(secret)
        yield

    secret = "Bob's record"

    monkeypatch.setattr("jwt_guard.fhir.app.judge", broken)
    response = client(guarded())("GET", "/fhir/Patient/ann", headers=authorized())

    assert (500, "exception") == (response.status_code, code_of(response))
    assert "ZeroDivisionError" in caplog.text
    assert "Bob" not in caplog.text


@pytest.mark.parametrize(("scope", "found"), [(ALL, ["ann", "bob"]), ("patient/*.rs", ["ann"])])
def test_a_search_by_post_is_what_its_form_says(scope: str, found: list[str]) -> None:
    ask = client(guarded())
    sent = {**authorized(scope, patient="ann"), "content-type": "application/x-www-form-urlencoded"}

    def ids(form: str) -> list[str]:
        response = ask("POST", "/fhir/Patient/_search", headers=sent, content=form)
        assert 200 == response.status_code
        return sorted(each["resource"]["id"] for each in response.json().get("entry", []))

    assert found == ids("")
    assert ["ann"] == ids("_id=ann")
    assert [] == ids("_id=nobody")


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the guard has logged; others may log as well, where a test before has told them to."""
    return [record for record in caplog.records if record.name == "jwt_guard"]


def test_what_is_refused_is_one_line_in_the_log_that_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    ask = client(guarded())
    response = ask("DELETE", "/fhir/Patient/ann-the-patient?x=secret", headers=authorized(**ANN))
    (record,) = ours(caplog)

    assert response.headers["x-jwt-guard-id"] in record.getMessage()
    assert "'DELETE' /fhir/Patient/*" in record.getMessage()
    caplog.clear()
    ask("GET", "/fhir/Patient/ann-the-patient")
    ask("GET", "/fhir/something-of-ann", headers=authorized())
    ask("GET", "/fhir/../ann-the-patient", headers=authorized())

    assert 2 == len(ours(caplog))
    for record in ours(caplog):
        assert "ann" not in record.getMessage()


def test_a_client_that_has_gone_is_not_answered() -> None:
    sent: list[Any] = []
    asked: list[Any] = []

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        asked.append(await receive())
        asked.append(await receive())

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/fhir/Patient/ann", "query_string": b"", "scheme": "https",
        "headers": [(b"authorization", authorized(**ANN)["authorization"].encode())], "http_version": "1.1",
    }  # fmt: skip
    anyio.run(lambda: guarded(waiting)(scope, receive, send))

    assert ["http.request", "http.disconnect"] == [message["type"] for message in asked]
    assert [] == sent


def test_a_stream_that_breaks_off_is_no_answer_of_ours() -> None:
    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.trailers", "headers": []})
        raise UpstreamFailed("in the midst of it")

    with pytest.raises(UpstreamFailed):
        client(guarded(broken))("GET", "/fhir/Patient/ann", headers=authorized())


def test_a_client_that_leaves_while_it_sends_is_not_waited_for() -> None:
    sent, pieces = [], [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/fhir/Observation", "query_string": b"", "scheme": "https",
        "headers": [(b"authorization", authorized("patient/*.cruds", patient="ann")["authorization"].encode())],
        "http_version": "1.1", "state": {"kept": 1},
    }  # fmt: skip
    anyio.run(lambda: guarded()(scope, receive, send))

    assert ([], []) == (sent, pieces)


def test_whoever_observes_is_told_of_each_token() -> None:
    heard: list[tuple[str, str]] = []

    def observe(request: Any, decision: Any, _circumstances: Any) -> None:
        heard.append((type(decision).__name__, request.path))

    ask = client(guarded(observe=observe, policy=anyone()))
    ask("GET", "/fhir/Patient/ann", headers=authorized(**ANN))
    ask("GET", "/fhir/Patient/ann")
    ask("GET", "/elsewhere/1")

    assert [("Allow", "/fhir/Patient/*"), ("Deny", "/fhir/Patient/*"), ("Allow", "/elsewhere/1")] == heard


# --- in front of a server at a URL -------------------------------------------------------------------

REPLY = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"


def proxying(port: int, base: str = BASE, **more: Any) -> FhirGuard:
    settings = Settings(upstream=None)
    return fhir_proxy(settings, f"http://127.0.0.1:{port}/r4", guard(), Server(base), **more)


def asked(app: FhirGuard, method: str, path: str, **more: Any) -> httpx.Response:
    with serving(app, **server_options()) as port:
        return httpx.request(method, f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False, **more)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{}/r4/Patient/7", "/r4/Patient/7", "https://api.example/r4/Patient/7"]
)
def test_the_server_is_asked_at_its_own_path_and_its_places_are_ours(location: str) -> None:
    record: list[bytes] = []
    replies: list[bytes] = []

    def answer(connection: Any) -> None:
        seen_by(record, replies[0])(connection)

    with of_octets(answer) as upstream:
        replies.append(REPLY % location.format(upstream).encode())
        response = asked(
            proxying(upstream), "POST", "/fhir/Patient", headers=authorized(), json={"resourceType": "Patient"}
        )

    assert 201 == response.status_code
    assert f"{BASE}/Patient/7" == response.headers["location"]
    head = record[0].decode().lower()
    assert head.startswith("post /r4/patient http/1.1\r\n")
    assert "\r\nhost: api.example\r\n" in head
    assert "authorization" not in head


@pytest.mark.parametrize("scope", [ALL, "patient/*.rs"])
def test_a_server_that_is_not_there_is_a_502_in_the_words_of_fhir(scope: str) -> None:
    with of_octets(lambda _connection: None) as upstream:
        pass
    response = asked(proxying(upstream), "GET", "/fhir/Patient/ann", headers=authorized(scope, patient="ann"))

    assert (502, "exception") == (response.status_code, code_of(response))


def test_a_proxy_that_was_not_used_can_be_closed() -> None:
    anyio.run(proxying(1).close)


def test_an_upstream_that_is_no_base_of_a_fhir_server_is_refused() -> None:
    for url in ("http://127.0.0.1/fhir/", "ftp://x", "http://u:p@h/fhir", "/fhir"):
        with pytest.raises(Misconfigured, match="upstream"):
            fhir_proxy(Settings(), url, guard(), Server(BASE))
