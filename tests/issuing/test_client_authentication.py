"""Requests to a token endpoint → whose they are, or the OAuth error: the known cases, and each of the three ways."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import KeySettings, Misconfigured
from jwt_guard.access.once import Once
from jwt_guard.errors import FetchFailed, StoreFailed, Unavailable
from jwt_guard.flow import Fetch
from jwt_guard.issuing.client_authentication import Authenticated, Client, Clients, OAuthError
from jwt_guard.runners import awaiting, blocking
from tests.support.assertions import CLIENT, FORM, TOKEN_URL, assertion, form, jwks
from tests.support.keys import ASYMMETRIC, public_jwk
from tests.support.minting import ABSENT, NOW, SAID
from tests.support.playing import Played, down, play, reply

CASES = Path(__file__).parents[3] / "shared" / "vectors" / "client_assertion_cases.json"
JWKS_URL = "https://monitor.test/jwks"
INTROSPECTION_URL = "https://authorize.test/introspect"
SECRET = "a secret: with + and %41 in it"


def clients(*registered: Client, **settings: Any) -> Clients:
    settings = {"audience": TOKEN_URL, "clock": lambda: NOW, **settings}
    return Clients(registered or (Client(CLIENT, jwks=jwks()),), **settings)


def asked(of: Clients, body: bytes, content_type: str | None = FORM, authorization: str | None = None) -> Any:
    found = blocking.run(of.authenticate(body, content_type, authorization))
    if isinstance(found, OAuthError):
        SAID.extend((found.reason, found.response().body.decode()))
    return found


def basic(client_id: str, secret: str) -> str:
    text = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(text.encode()).decode()}"


# --- the cases ---------------------------------------------------------------------------------------


def sending(header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None, **changes: Any) -> Any:
    """Return a case: what is sent, and with *of* and *key* to whom and by what."""
    of, key = changes.pop("of", None), changes.pop("key", "RS384")
    content_type = changes.pop("content_type", FORM)
    changes.setdefault("client_assertion", assertion(header, claims, key=key))
    return of, form(**changes), content_type


def at_url(**settings: Any) -> Any:
    return lambda: clients(Client(CLIENT, jwks_url=JWKS_URL), **settings)


def twice(*algorithms: str) -> Any:
    return lambda: clients(Client(CLIENT, jwks=jwks(*algorithms)))


def twins() -> Clients:
    public = public_jwk("RS384", "a", kid="a", key_ops=["verify"])
    return clients(Client(CLIENT, jwks={"keys": [public, {**public, "key_ops": ["sign"], "d": "AQAB"}]}))


def unsigned() -> str:
    head, claims, _ = assertion({"alg": "none"}).split(".")
    return f"{head}.{claims}."


REFUSED = {
    "alg-none": sending(client_assertion=unsigned()),
    "alg-hs384-with-rsa-public-key": sending({"alg": "HS384"}, key="HS384"),
    "kid-missing": sending({"kid": ABSENT}),
    "kid-unknown": sending({"kid": "nope"}),
    "kid-duplicate": sending(of=twice("RS384", "RS384")),
    "typ-missing": sending({"typ": ABSENT}),
    "typ-at-jwt": sending({"typ": "at+jwt"}),
    "jku-other": sending({"jku": "https://evil.example/jwks"}, of=at_url()),
    "jku-but-registered-inline": sending({"jku": "https://c.example/jwks"}),
    "unknown-client": sending(claims={"iss": "x", "sub": "x"}),
    "client-id-param-mismatch": sending(client_id="other"),
    "aud-list-extra": sending(claims={"aud": [TOKEN_URL, "https://other"]}),
    "aud-issuer-or-introspection": sending(claims={"aud": INTROSPECTION_URL}),
    "exp-missing": sending(claims={"exp": ABSENT}),
    "exp-6min": sending(claims={"exp": NOW + 360}),
    "jti-missing": sending(claims={"jti": ABSENT}),
    "nbf-future": sending(claims={"nbf": NOW + 120}),
    "wrong-assertion-type": sending(client_assertion_type="not_an_assertion_type"),
    "garbage-assertion": sending(client_assertion="abc"),
    "json-body": sending(content_type="application/json"),
}
"""Each is the good request with one change, and is refused."""
TAKEN = {
    "jwks-has-private-twin": sending(of=twins),
    "jku-registered": sending({"jku": JWKS_URL}, of=at_url()),
    "aud-list-containing": sending(claims={"aud": [TOKEN_URL]}),
    "aud-list-extra": sending(
        claims={"aud": [TOKEN_URL, "https://other"]}, of=partial(clients, several_audiences_are_taken=True)
    ),
    "aud-issuer-or-introspection": sending(
        claims={"aud": INTROSPECTION_URL}, of=partial(clients, audience=[TOKEN_URL, INTROSPECTION_URL])
    ),
    "exp-5min": sending(claims={"exp": NOW + 300}),
}
"""These are taken, some of them because the settings say so."""
OF_TWO = {"jti-replayed", "jti-same-other-iss"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_with_one_thing_is_refused(name: str) -> None:
    of, body, content_type = REFUSED[name]
    found = play(partial((of or clients)().authenticate, body, content_type))

    assert [] == found.needs  # not even a fetch
    assert isinstance(found.value, OAuthError)
    if name == "json-body":
        assert ("invalid_request", 400) == (found.value.error, found.value.status)
    else:
        assert ("invalid_client", 401) == (found.value.error, found.value.status)
        assert 'Basic realm="clients", charset="UTF-8"' == dict(found.value.headers)["WWW-Authenticate"]


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_right_in_another_way_is_taken(name: str) -> None:
    of, body, content_type = TAKEN[name]
    answers = [reply(jwks())] if name == "jku-registered" else []
    found = play(partial((of or clients)().authenticate, body, content_type), *answers)

    assert isinstance(found.value, Authenticated)
    assert (CLIENT, "private_key_jwt") == (found.value.client.client_id, found.value.method)
    assert [JWKS_URL] * len(answers) == found.fetched


def test_a_second_use_is_refused_and_the_same_name_of_another_client_is_not() -> None:
    of = clients(Client(CLIENT, jwks=jwks()), Client("x", jwks=jwks()))
    other = form(client_assertion=assertion(claims={"iss": "x", "sub": "x"}))

    assert isinstance(asked(of, form()), Authenticated)
    assert isinstance(asked(of, form()), OAuthError)
    assert "jti: was used before" == asked(of, form()).reason
    assert isinstance(asked(of, other), Authenticated)


@pytest.mark.skipif(not CASES.is_file(), reason="the list of cases is not here")
def test_every_known_case_is_here_with_the_answer_that_it_expects() -> None:
    known = {case["id"]: case for case in json.loads(CASES.read_text())}

    assert 26 == len(known)
    assert set(known) == {*REFUSED, *TAKEN, *OF_TWO}
    for name, case in known.items():
        if case["expect"] == "reject":
            assert name in REFUSED or name == "jti-replayed"
            assert case["error"] == ("invalid_request" if name == "json-body" else "invalid_client")
        elif case["expect"] == "accept":
            assert name in TAKEN or name == "jti-same-other-iss"


# --- the ways ----------------------------------------------------------------------------------------


def with_secret(**settings: Any) -> Clients:
    return clients(Client("shop:1", secret=SECRET, scopes=["a"]), Client(CLIENT, jwks=jwks()), **settings)


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_a_secret_is_taken_in_the_header_or_in_the_form(way: str) -> None:
    if way == "client_secret_basic":
        found = asked(with_secret(), b"grant_type=x", FORM, basic("shop:1", SECRET))
        again = asked(with_secret(), b"client_id=shop%3A1", FORM, basic("shop:1", SECRET).replace("Basic", "bAsIc"))
        assert isinstance(again, Authenticated)
    else:
        found = asked(with_secret(), b"grant_type=x&client_id=shop:1&client_secret=" + quote_plus(SECRET).encode())

    assert isinstance(found, Authenticated)
    assert ("shop:1", way, "x") == (found.client.client_id, found.method, found.form["grant_type"])
    assert ["a"] == list(found.client.scopes)


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        (b"", None),
        (b"grant_type=client_credentials", None),
        (b"client_id=shop%3A1", None),
        (b"client_id=shop%3A1&client_secret=", None),
        (b"client_id=shop%3A1&client_secret=x", None),
        (b"client_secret=x", None),
        (b"client_id=nobody&client_secret=x", None),
        (b"client_id=" + quote_plus(CLIENT).encode() + b"&client_secret=x", None),
        (b"", basic("shop:1", "x")),
        (b"", basic("shop:1", "")),
        (b"", basic("shop:1", SECRET + "x")),
        (b"", basic("", "")),
        (b"", basic("nobody", "")),
        (b"", basic("nobody", SECRET)),
        (b"", basic(CLIENT, "")),
        (b"", basic(CLIENT, SECRET)),
        (b"client_id=other", basic("shop:1", SECRET)),
        (b"", "Bearer abc"),
        (b"", basic("shop:1", SECRET).replace("Basic", "Bearer")),
        (b"", basic("shop:1", SECRET).replace("Basic ", "Basic !")),
        (b"", "Basic"),
        (b"", ""),
        (b"", "Basic ???"),
        (b"", "Basic " + base64.b64encode(b"shop").decode()),
        (b"", "Basic " + base64.b64encode(b"\xff:x").decode()),
        (b"", f"{basic('shop:1', SECRET)}, {basic('shop:1', SECRET)}"),
        (b"client_assertion=a", None),
        (b"client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer", None),
        (form(client_assertion=assertion(claims={"iss": "shop:1", "sub": "shop:1"})), None),
        (form(client_assertion=assertion(claims={"iss": ABSENT})), None),
        (form(client_assertion=assertion(claims={"iss": ["x"]})), None),
        (form(client_id="shop:1"), None),
    ],
)
def test_who_does_not_authenticate_well_is_an_invalid_client(body: bytes, authorization: str | None) -> None:
    found = asked(with_secret(), body, FORM, authorization)

    assert isinstance(found, OAuthError)
    assert ("invalid_client", 401) == (found.error, found.status)
    assert "WWW-Authenticate" in dict(found.response().headers)


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        (form(), basic("shop:1", SECRET)),
        (form(), "Bearer abc"),
        (form(client_secret="x"), None),
        (b"client_id=shop%3A1&client_secret=x", basic("shop:1", SECRET)),
        (b"client_id=shop%3A1&client_secret=x&client_assertion_type=x", None),
        (form() + b"&client_assertion=a", None),
        (form() + b"&client_id=a&client_id=a", None),
    ],
)
def test_two_ways_at_a_time_are_an_invalid_request_and_use_nothing_up(body: bytes, authorization: str | None) -> None:
    of = with_secret()
    found = asked(of, body, FORM, authorization)

    assert isinstance(found, OAuthError)
    assert ("invalid_request", 400) == (found.error, found.status)
    assert isinstance(asked(of, form()), Authenticated)


def test_an_unknown_client_and_a_bad_secret_are_told_the_same() -> None:
    told = {
        (found.status, found.headers, found.response().body)
        for name, secret in (("nobody", "x"), ("shop:1", "x"), (CLIENT, "x"))
        for found in [asked(with_secret(), b"", FORM, basic(name, secret))]
    }

    assert 1 == len(told)


def test_nothing_that_was_sent_and_no_secret_is_in_a_repr() -> None:
    found = asked(with_secret(), b"client_id=shop%3A1&client_secret=" + quote_plus(SECRET).encode() + b"&code=hush")

    assert SECRET not in repr(found)
    assert "hush" not in repr(found)
    assert SECRET not in repr(with_secret())


@pytest.mark.parametrize("change", [{"jti": ABSENT}, {"exp": NOW - 60}, {"aud": "x"}], ids=str)
def test_what_is_refused_for_anything_else_is_not_used_up(change: dict[str, Any]) -> None:
    of = clients()

    assert isinstance(asked(of, form(client_assertion=assertion(claims=change))), OAuthError)
    assert isinstance(asked(of, form()), Authenticated)


def test_of_many_threads_and_tasks_one_uses_an_assertion() -> None:
    of, start = clients(), threading.Barrier(8)

    def in_a_thread(_number: int) -> Any:
        start.wait()
        return asked(of, form())

    async def in_tasks() -> list[Any]:
        return await asyncio.gather(*(awaiting.run(of.authenticate(form(), FORM)) for _ in range(8)))

    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(in_a_thread, range(8)), *asyncio.run(in_tasks())]

    assert 1 == sum(isinstance(each, Authenticated) for each in found)
    assert {"jti: was used before"} == {each.reason for each in found if isinstance(each, OAuthError)}


@given(st.binary(max_size=200), st.none() | st.text(max_size=60))
def test_whatever_is_sent_is_an_error_and_no_exception(body: bytes, authorization: str | None) -> None:
    sent = b"grant_type=x&" + body
    for found in (asked(with_secret(), sent, FORM, authorization), asked(with_secret(), body, FORM, authorization)):
        assert isinstance(found, OAuthError)
        assert found.status in (400, 401)


@given(st.text(alphabet="eyJ.-_aA0=+ {}\x00\u00e4", max_size=80))
def test_whatever_is_said_to_be_an_assertion_is_refused(text: str) -> None:
    found = asked(with_secret(), form(client_assertion=text))

    assert isinstance(found, OAuthError)
    assert "invalid_client" == found.error


# --- while something is down -------------------------------------------------------------------------


def test_nobody_can_tell_while_keys_or_store_are_out_of_reach() -> None:
    keys = play(partial(at_url()().authenticate, form(), FORM), down())
    store = play(partial(clients(once=Once("redis://127.0.0.1/0")).authenticate, form(), FORM), StoreFailed("it hangs"))
    for found in (keys.value, store.value):
        assert isinstance(found, OAuthError)
        assert ("temporarily_unavailable", 503) == (found.error, found.status)
        assert int(dict(found.headers)["Retry-After"]) > 0
        assert "WWW-Authenticate" not in dict(found.headers)


# --- clients that are looked up ----------------------------------------------------------------------


def looked_up(**settings: Any) -> tuple[Clients, dict[str, Client], list[str]]:
    """Return clients in a database, the database, and who was asked for."""
    database = {CLIENT: Client(CLIENT, jwks_url=JWKS_URL), "shop": Client("shop", secret=SECRET)}
    seen: list[str] = []

    def resolve(client_id: str) -> Client | None:
        seen.append(client_id)
        return database.get(client_id)

    return Clients([], TOKEN_URL, resolve, clock=lambda: NOW, **settings), database, seen


def played(of: Clients, body: bytes, found: Client | None, *answers: Any) -> Played:
    """Play it, where the application has *found* the client."""
    return play(partial(of.authenticate, body, FORM), found, *answers)


def test_the_keys_of_a_client_that_is_looked_up_are_kept_while_nothing_changes() -> None:
    of, _, _ = looked_up()
    bodies = [form(client_assertion=assertion(claims={"jti": str(number)})) for number in range(6)]
    there, equal = (Client(CLIENT, jwks_url=JWKS_URL) for _ in range(2))

    assert [JWKS_URL] == played(of, bodies[0], there, reply(jwks())).fetched
    assert [] == played(of, bodies[1], equal).fetched
    assert "invalid_client" == played(of, bodies[2], Client(CLIENT, jwks=jwks("ES384"))).value.error
    assert "invalid_client" == played(of, bodies[3], None).value.error
    assert [] == list(of._kept)
    assert [JWKS_URL] == played(of, bodies[4], there, reply(jwks())).fetched


def test_what_is_kept_of_clients_has_an_end() -> None:
    of, _, _ = looked_up(most=2)
    for name in ("a", "b", "c"):
        body = form(client_assertion=assertion(claims={"iss": name, "sub": name}))
        found = played(of, body, Client(name, jwks_url=JWKS_URL), reply(jwks()))
        assert isinstance(found.value, Authenticated)

    assert ["b", "c"] == list(of._kept)


def test_a_secret_that_is_looked_up_counts_as_long_as_it_is_there() -> None:
    of, database, seen = looked_up()
    body = b"client_id=shop&client_secret=" + quote_plus(SECRET).encode()

    assert isinstance(asked(of, body), Authenticated)
    database["shop"] = Client("shop", secret="another")
    assert "invalid_client" == asked(of, body).error
    assert ["shop", "shop"] == seen


@pytest.mark.parametrize("name", ["", " x", "ä", "x" * 1_025, "a\nb"])
def test_the_application_is_not_asked_for_what_no_client_is_called(name: str) -> None:
    of, _, seen = looked_up()
    body = form(client_assertion=assertion(claims={"iss": name, "sub": name}))

    assert "invalid_client" == asked(of, body).error
    assert "invalid_client" == asked(of, b"", FORM, basic(name, "x")).error
    assert [] == seen


def test_the_application_may_answer_later() -> None:
    async def resolve(client_id: str) -> Client | None:
        await asyncio.sleep(0)
        return Client(client_id, jwks=jwks())

    of = Clients([], TOKEN_URL, resolve, clock=lambda: NOW)

    assert isinstance(asked(of, form()), Authenticated)
    assert "jti: was used before" == asyncio.run(awaiting.run(of.authenticate(form(), FORM))).reason  # type: ignore[union-attr]


def test_what_goes_wrong_in_the_application_is_never_a_yes() -> None:
    def wrong(_client_id: str) -> Client:
        raise RuntimeError("with a secret in it")

    def down_itself(_client_id: str) -> Client:
        raise Unavailable("no database")

    for resolve in (
        wrong,
        down_itself,
        lambda name: Client(name, jwks=b"no keys"),
        lambda name: Client(name, jwks_url="ftp://x"),
    ):
        found = asked(Clients([], TOKEN_URL, resolve, clock=lambda: NOW), form())

        assert ("temporarily_unavailable", 503) == (found.error, found.status)
        assert "with a secret in it" not in found.reason


@pytest.mark.parametrize("answer", [True, "x", Client("another", secret="x")], ids=repr)
def test_an_answer_that_is_no_client_is_a_bug(answer: Any) -> None:
    with pytest.raises(TypeError, match="resolve answers with the Client"):
        asked(Clients([], TOKEN_URL, lambda _name: answer, clock=lambda: NOW), form())


# --- what it says of itself, and what is wrong at start -----------------------------------------------


def test_metadata_say_what_is_taken() -> None:
    of = with_secret()

    assert ("client_secret_basic", "client_secret_post", "private_key_jwt") == of.methods
    assert ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512") == of.signing_algorithms
    only = clients(Client(CLIENT, jwks=jwks(), algorithms=["RS384"]))
    assert (("private_key_jwt",), ("RS384",)) == (only.methods, only.signing_algorithms)
    assert () == clients(Client("x", secret="x")).signing_algorithms
    anybody, _, _ = looked_up()
    assert {"client_secret_basic", "client_secret_post", "private_key_jwt"} == set(anybody.methods)
    assert set(ASYMMETRIC) == set(anybody.signing_algorithms)


def test_an_algorithm_that_the_client_did_not_register_is_refused() -> None:
    of = clients(Client(CLIENT, jwks=jwks(), algorithms=["RS256"]))

    assert "invalid_client" == asked(of, form()).error


def test_settings_reach_the_keys() -> None:
    late = form(client_assertion=assertion(claims={"exp": NOW - 1}))
    assert isinstance(asked(clients(), late), Authenticated)
    assert isinstance(asked(clients(leeway=0), late), OAuthError)
    of = clients(Client(CLIENT, jwks_url=JWKS_URL), Client("b", jwks=jwks()), settings=KeySettings(timeout=2))
    (need,) = (
        each for each in play(partial(of.authenticate, form(), FORM), reply(jwks())).needs if isinstance(each, Fetch)
    )

    assert need.deadline <= 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_id": ""}, "its id is visible"),
        ({"client_id": "ä"}, "its id is visible"),
        ({"client_id": "x" * 1_025}, "its id is visible"),
        ({"client_id": None}, "its id is visible"),
        ({"secret": None}, "one of jwks"),
        ({"jwks_url": JWKS_URL}, "one of jwks"),
        ({"jwks": {}}, "one of jwks"),
        ({"secret": ""}, "its secret is visible"),
        ({"secret": " "}, "its secret is visible"),
        ({"secret": b"x"}, "its secret is visible"),
        ({"algorithms": ["RS256"]}, "algorithms are for keys"),
        ({"scopes": "a b"}, "scopes are a list"),
        ({"scopes": [""]}, "scopes are a list"),
        ({"scopes": [7]}, "scopes are a list"),
    ],
    ids=str,
)
def test_a_wrong_client_is_refused_at_start(changes: dict[str, Any], says: str) -> None:
    settings: dict[str, Any] = {"client_id": "x", "secret": "y", **changes}

    with pytest.raises(Misconfigured, match=says):
        Client(**settings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"registered": []}, "at least one Client"),
        ({"registered": ["x"]}, "at least one Client"),
        ({"registered": [Client("x", secret="a"), Client("x", jwks=jwks())]}, "two have one client_id"),
        ({"registered": [Client("x", jwks={"keys": []})]}, "no key that can be used"),
        ({"registered": [Client("x", jwks_url="http://a.test/")]}, "it is not https"),
        ({"registered": [Client("x", jwks=jwks(), algorithms=["ES256"])]}, "do not fit its keys"),
        ({"resolve": "x"}, "resolve is a function"),
        ({"most": 0}, "most is a whole number"),
        ({"most": True}, "most is a whole number"),
        ({"realm": 'a"'}, "realm"),
        ({"realm": ""}, "realm"),
        ({"audience": ""}, "audience is a text"),
        ({"audience": []}, "audience is a text"),
    ],
    ids=str,
)
def test_wrong_clients_are_refused_at_start(changes: dict[str, Any], says: str) -> None:
    settings: dict[str, Any] = {"registered": [Client("x", jwks=jwks())], "audience": TOKEN_URL, **changes}

    with pytest.raises(Misconfigured, match=says):
        Clients(**settings)


def test_a_fault_of_a_fetch_is_not_the_client_s() -> None:
    found = play(partial(at_url()().authenticate, form(), FORM), FetchFailed(JWKS_URL, "no answer"))

    assert "temporarily_unavailable" == found.value.error
