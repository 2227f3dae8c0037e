"""A client that asks about a token → what it says, or that it is not active: RFC 7662, and Koppeltaal's TOP-KT-021."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlencode

import anyio
import anyio.lowlevel
import httpx
import pytest
import uvicorn

from jwt_guard import Guard, Resolver, fixed
from jwt_guard.access.hti import hti_launch
from jwt_guard.access.id_tokens import id_token
from jwt_guard.access.koppeltaal import koppeltaal
from jwt_guard.errors import Misconfigured
from jwt_guard.issuing.assertion import ASSERTION_TYPE, assertions, make_assertion
from jwt_guard.issuing.client_authentication import Client, Clients
from jwt_guard.issuing.introspection import Introspection, introspection_app, launches_of, of_no_device
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring
from jwt_guard.issuing.signing import make
from jwt_guard.messages import Response
from jwt_guard.middleware.hti import Launch, Launches, LaunchRefused, areceive_launch, receive_launch
from jwt_guard.sources.asked import asked_of
from jwt_guard.sources.jwks import RemoteKeys, jwks
from tests.support.minting import NOW, minted
from tests.support.playing import Clock, down, play, reply

SERVER = "https://auth.koppeltaal.example"
HERE = f"{SERVER}/introspect"
FORM = "application/x-www-form-urlencoded"
DEVICES = {"portal": ["Device/1"], "module": ["Device/2", "Device/22"], "other": ["Device/3"]}
CLOCK = Clock(NOW)

SERVERS_KEY = make("RS512", "server")
KEYS = {name: make("RS384", f"key of {name}") for name in DEVICES}
CLIENTS = {name: Client(name, jwks=dict(key.public or {})) for name, key in KEYS.items()}
INACTIVE = {"active": False}


def devices(client: str) -> Collection[str]:
    return DEVICES[client]


def launch(audience: str = "Device/2", by: str = "portal", **claims: Any) -> str:
    return minted(Issuer(by, Keyring(KEYS[by]), CLOCK).hti_launch("Practitioner/7", audience, "Task/11", **claims))


def access(**changes: Any) -> str:
    claims = {"aud": "fhir-server", "type": "access", "azp": "module", "scope": "system/Task.r", **changes}
    return minted(Issuer(SERVER, Keyring(SERVERS_KEY), CLOCK).token(claims))


def identity(**changes: Any) -> str:
    issuer = Issuer(SERVER, Keyring(SERVERS_KEY), CLOCK)
    return minted(issuer.id_token("Practitioner/7", "module", nonce="n", **changes))


def domain(**changes: Any) -> Introspection:
    server = fixed(dict(SERVERS_KEY.public or {}))
    portals = [launches_of(client, name=name) for name, client in CLIENTS.items()]
    guards = [
        Guard([koppeltaal(SERVER, keys=server), *portals], clock=CLOCK),
        Guard([id_token(SERVER, "module", keys=server)], clock=CLOCK),
    ]
    clients = Clients(list(CLIENTS.values()), [HERE, f"{SERVER}/token"], clock=CLOCK)
    good: dict[str, Any] = {"guards": guards, "clients": clients, "devices": devices}
    return Introspection(**{**good, **changes})


def form(token: str | None, by: str = "module", audience: str = HERE, **more: str) -> bytes:
    assertion = make_assertion(KEYS[by], by, audience, now=NOW)
    fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **more}
    return urlencode(fields if token is None else {**fields, "token": token}).encode()


def asked(body: bytes, of: Introspection | None = None, *answers: Any, method: str = "POST",
          content_type: str | None = FORM) -> tuple[int, dict[str, Any]]:  # fmt: skip
    played = play(lambda: (of or domain()).answer(method, content_type, body), *answers)
    answer = played.value

    assert isinstance(answer, Response)
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert dict(answer.headers)["Cache-Control"] == "no-store"
    return answer.status, json.loads(answer.body)


def about(token: str, of: Introspection | None = None, by: str = "module") -> dict[str, Any]:
    status, document = asked(form(token, by), of, *(([devices(by)]) if _asks(token) else []))

    assert 200 == status
    return document


def _asks(token: str) -> bool:
    """Say whether the devices of who asks are looked up: for a launch of one of our clients, to a Device."""
    return token in _LAUNCHES


_LAUNCHES: set[str] = set()


def a_launch(audience: str = "Device/2", by: str = "portal", **claims: Any) -> str:
    token = launch(audience, by, **claims)
    if audience.startswith("Device/"):
        _LAUNCHES.add(token)
    return token


# --- who asks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", [HERE, f"{SERVER}/token"])
def test_an_assertion_may_name_this_place_or_the_token_endpoint(audience: str) -> None:
    status, document = asked(form(access(), audience=audience))

    assert (200, True) == (status, document["active"])


@pytest.mark.parametrize(
    "body",
    [
        form(access(), audience="https://elsewhere.example"),
        form(access(), client_assertion="a.b.c"),
        form(access(), client_assertion=make_assertion(KEYS["other"], "module", HERE, now=NOW)),
        form(access(), client_assertion=make_assertion(KEYS["other"], "nobody", HERE, now=NOW)),
        form(access(), client_assertion=make_assertion(KEYS["other"], "other", HERE, now=NOW - 400)),
        form(access(), client_assertion_type="password"),
        urlencode({"token": access()}).encode(),
        urlencode({"token": access(), "client_id": "module", "client_secret": "a"}).encode(),
    ],
)
def test_nobody_else_is_told_anything(body: bytes) -> None:
    status, document = asked(body)

    assert (401, "invalid_client") == (status, document["error"])
    assert "active" not in document


def test_an_assertion_counts_once() -> None:
    of, body = domain(), form(access())

    assert 200 == asked(body, of)[0]
    assert 401 == asked(body, of)[0]


def test_who_is_not_known_uses_nothing_up() -> None:
    of = domain()
    token = a_launch()

    assert 401 == asked(form(token, client_assertion="a.b.c"), of)[0]
    assert about(token, of)["active"]


@pytest.mark.parametrize(
    ("method", "content_type", "body", "status"),
    [
        ("GET", FORM, b"", 405),
        ("POST", "application/json", b"{}", 400),
        ("POST", None, b"", 400),
        ("POST", FORM, b"token=" + b"a" * 65_536, 413),
        ("POST", FORM, form(None), 400),
        ("POST", FORM, form(""), 400),
        ("POST", FORM, form(access()) + b"&token=a", 400),
    ],
)
def test_what_is_no_such_request_is_refused(method: str, content_type: str | None, body: bytes, status: int) -> None:
    found, document = asked(body, method=method, content_type=content_type)

    assert (status, "invalid_request") == (found, document["error"])


# --- what is told ------------------------------------------------------------------------------------


def test_a_launch_for_a_device_of_ones_own_is_told_in_full() -> None:
    said = about(a_launch(intent="plan"))

    assert said.pop("active") is True
    assert {"iss", "aud", "sub", "resource", "intent", "hti-version", "iat", "exp", "jti"} == set(said)
    assert ("portal", "Device/2", "Practitioner/7") == (said["iss"], said["aud"], said["sub"])


def test_a_launch_of_an_older_version_is_told_as_it_is() -> None:
    task = {"resourceType": "Task", "id": "11", "status": "requested", "intent": "plan",
            "for": {"reference": "Patient/9"}}  # fmt: skip
    token = Issuer("portal", Keyring(KEYS["portal"]), CLOCK).hti_launch("Patient/9", "Device/2", task=task)
    _LAUNCHES.add(token)

    assert task == about(token)["task"]


def test_a_launch_counts_once_and_for_whom_it_is_meant() -> None:
    of, token = domain(), a_launch()

    assert INACTIVE == about(token, of, by="other")
    assert INACTIVE == about(token, of, by="portal")
    assert about(token, of)["active"] is True
    assert INACTIVE == about(token, of)


def test_where_the_domain_says_so_a_launch_may_be_asked_about_twice() -> None:
    again = Guard([launches_of(CLIENTS["portal"], may_be_used_more_than_once=True)], clock=CLOCK)
    of, token = domain(guards=[again]), a_launch()

    assert about(token, of) == about(token, of)
    assert about(token, of)["active"] is True


@pytest.mark.parametrize("audience", ["Device/1", "Device/222", "Device/", "device/2", "module", "Organization/2"])
def test_a_launch_for_another_device_or_for_none_is_nobodys_to_ask_about(audience: str) -> None:
    assert INACTIVE == about(a_launch(audience))


def test_a_launch_for_several_is_for_nobody() -> None:
    key = KEYS["portal"]
    several = Issuer("portal", Keyring(key), CLOCK).token(
        {"sub": "Practitioner/7", "aud": ["Device/2", "Device/3"], "resource": "Task/11"}
    )
    one = Issuer("portal", Keyring(key), CLOCK).token(
        {"sub": "Practitioner/7", "aud": ["Device/2"], "resource": "Task/11"}
    )
    _LAUNCHES.add(one)

    assert INACTIVE == about(several)
    assert about(one)["active"] is True


def test_nobody_has_a_device_unless_that_is_said() -> None:
    answers: list[Any] = [of_no_device("module")]

    assert [()] == answers
    assert (200, INACTIVE) == asked(form(a_launch()), domain(devices=of_no_device), *answers)


@pytest.mark.parametrize("own", ["Device/2", None, 7])
def test_what_is_no_list_of_devices_is_none(own: Any) -> None:
    assert (200, INACTIVE) == asked(form(a_launch()), None, own)


@pytest.mark.parametrize("claims", [{"resource": None}, {"active": True, "aud": "Device/3"}])
def test_what_is_no_launch_is_not_active(claims: dict[str, Any]) -> None:
    good = {"sub": "Practitioner/7", "aud": "Device/2", "resource": "Task/11", **claims}
    token = Issuer("portal", Keyring(KEYS["portal"]), CLOCK).token({k: v for k, v in good.items() if v is not None})
    _LAUNCHES.add(token)

    assert INACTIVE == about(token)


def test_a_token_cannot_say_of_itself_that_it_is_active_or_not() -> None:
    assert about(access(active=False))["active"] is True


def test_access_and_id_tokens_are_told_to_every_client() -> None:
    for by in DEVICES:
        assert "system/Task.r" == about(access(), by=by)["scope"]
        assert "n" == about(identity(), by=by)["nonce"]


@pytest.mark.parametrize(
    "token",
    [
        "NOOP",
        "a.b.c",
        "a.b.c.d.e",
        "\N{SNOWMAN}",
        access(aud="elsewhere"),
        access(type="id"),
        access()[:-8] + "AAAAAAAA",
        Issuer("nobody", Keyring(KEYS["portal"]), CLOCK).token({"aud": "fhir-server"}),
        Issuer(SERVER, Keyring(SERVERS_KEY), Clock(NOW - 900)).token({"aud": "fhir-server", "azp": "a"}),
        make_assertion(KEYS["module"], "module", HERE, now=NOW),
    ],
)
def test_of_any_other_token_nothing_is_told(token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")

    assert (200, INACTIVE) == asked(form(token))
    assert token not in caplog.text


def test_a_client_cannot_sign_for_another() -> None:
    forged = Issuer("portal", Keyring(KEYS["other"]), CLOCK).hti_launch("Practitioner/7", "Device/2", "Task/11")
    _LAUNCHES.add(forged)

    assert INACTIVE == about(forged)


def test_what_cannot_be_told_is_503_and_not_inactive() -> None:
    away = Guard([koppeltaal(SERVER, keys=jwks(f"{SERVER}/jwks"))], clock=CLOCK)
    here = domain().guards

    assert (503, "temporarily_unavailable") == _answered(asked(form(access()), domain(guards=[away]), *[down()] * 1))
    assert 200 == asked(form(access()), domain(guards=[away, *here]), down())[0]


def _answered(found: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return found[0], found[1]["error"]


def test_keys_may_have_to_be_asked_for() -> None:
    remote = Client("portal", jwks_url="https://portal.example/jwks")
    of = domain(guards=[Guard([launches_of(remote)], clock=CLOCK)])
    keys = reply({"keys": [dict(KEYS["portal"].public or {})]})

    assert True is asked(form(a_launch()), of, devices("module"), keys)[1]["active"]


def test_portals_may_be_resolved_and_their_launches_are_looked_at_no_less() -> None:
    portal = launches_of(CLIENTS["portal"])
    resolver = Resolver(lambda _issuer: portal, lambda issuer: issuer == "portal")
    of = domain(guards=[Guard([koppeltaal(SERVER, keys=fixed(dict(SERVERS_KEY.public or {})))],
                              resolver=resolver, clock=CLOCK)])  # fmt: skip
    token = a_launch()

    assert (200, INACTIVE) == asked(form(token, "other"), of, portal, devices("other"))
    assert True is asked(form(token), of, portal, devices("module"), portal)[1]["active"]
    assert True is asked(form(access()), of)[1]["active"]


# --- what it is made of ------------------------------------------------------------------------------


def test_a_client_without_keys_launches_nothing() -> None:
    with pytest.raises(Misconfigured, match="without keys it can launch nothing"):
        launches_of(Client("portal", secret="a secret of the portal"))


def test_keys_at_a_url_are_kept_as_briefly_as_koppeltaal_wants() -> None:
    source = launches_of(Client("portal", jwks_url="https://portal.example/jwks")).source

    assert isinstance(source, RemoteKeys)
    assert (60, 60) == (source.settings.fresh_for, source.settings.usable_for)


@pytest.mark.parametrize(
    "wrong", [{"guards": []}, {"guards": [None]}, {"clients": None}, {"devices": ["Device/2"]}]
)  # fmt: skip
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="introspection: "):
        domain(**wrong)


# --- over HTTP ---------------------------------------------------------------------------------------


def posted(*bodies: bytes, headers: Any = (("content-type", FORM),), method: str = "POST",
           backend: str = "asyncio", of: Introspection | None = None) -> list[httpx.Response]:  # fmt: skip
    async def ask() -> list[httpx.Response]:
        app: Callable[..., Any] = introspection_app(of or domain())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return [await client.request(method, HERE, content=body, headers=list(headers)) for body in bodies]

    return anyio.run(ask, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_application_answers_as_the_flow_does(backend: str) -> None:
    async def later(client: str) -> Collection[str]:
        await anyio.lowlevel.checkpoint()
        return DEVICES[client]

    token = launch()
    first, again, refused = posted(
        form(token), form(token), urlencode({"token": token}).encode(), backend=backend, of=domain(devices=later)
    )

    assert (200, True, "Practitioner/7") == (first.status_code, first.json()["active"], first.json()["sub"])
    assert (200, b'{"active": false}') == (again.status_code, again.content)
    assert (401, "invalid_client") == (refused.status_code, refused.json()["error"])
    assert "no-store" == first.headers["cache-control"]
    assert str(len(again.content)) == again.headers["content-length"]


def test_two_headers_of_one_name_are_not_one_of_them() -> None:
    body = form(access())
    twice = [("content-type", FORM), ("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")]

    assert 400 == posted(body, headers=[*twice])[0].status_code
    assert 400 == posted(body, headers=[("content-type", "text/plain"), ("content-type", FORM)])[0].status_code
    assert 400 == posted(body, headers=[])[0].status_code
    assert 405 == posted(b"", headers=[], method="GET")[0].status_code
    assert 413 == posted(b"token=" + b"a" * 100_000)[0].status_code


def test_a_client_that_has_gone_is_not_answered() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        await introspection_app(domain())({"type": "http", "method": "POST", "headers": []}, receive, send)

    anyio.run(ask)
    assert [] == sent


def test_nothing_but_http_is_served() -> None:
    async def ask() -> None:
        await introspection_app(domain())({"type": "websocket"}, anyio.lowlevel.checkpoint, anyio.lowlevel.checkpoint)

    with pytest.raises(RuntimeError, match="over HTTP"):
        anyio.run(ask)


@contextmanager
def served(app: Any) -> Generator[str]:
    """Serve *app* on loopback; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.mark.parametrize("way", ["plain", "asyncio", "trio"])
def test_a_module_that_knows_no_keys_asks_the_domain_about_a_launch(way: str) -> None:
    """The portal's form, the module's handler and the domain's endpoint, by the clock on the wall."""
    portals = Guard([launches_of(CLIENTS["portal"])])
    clients = Clients(list(CLIENTS.values()), HERE)
    portal = Issuer("portal", Keyring(KEYS["portal"]))
    with served(introspection_app(Introspection([portals], clients, devices))) as url:
        ours = asked_of(url, assertions(KEYS["module"], "module", HERE))
        launches = Launches(Guard([hti_launch("portal", ["Device/2", "Device/3"], keys=ours)]))

        def receive(token: str) -> Launch | LaunchRefused:
            body = urlencode({"token": minted(token)}).encode()
            if way == "plain":
                return receive_launch(launches, "POST", FORM, body)
            return anyio.run(partial(areceive_launch, launches, "POST", FORM, body), backend=way)

        token = portal.hti_launch("Practitioner/7", "Device/2", "Task/11")
        first, again = receive(token), receive(token)
        others = receive(portal.hti_launch("Practitioner/7", "Device/3", "Task/11"))
        forged = receive(Issuer("portal", Keyring(KEYS["other"])).hti_launch("Practitioner/7", "Device/2", "Task/11"))
    away = receive(portal.hti_launch("Practitioner/7", "Device/2", "Task/11"))

    assert isinstance(first, Launch)
    assert ("Practitioner/7", "Task/11") == (first.user, first.resource)
    refused = [found.status for found in (again, others, forged, away) if isinstance(found, LaunchRefused)]
    assert [401, 401, 401, 503] == refused
