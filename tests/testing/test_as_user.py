"""A guard of production and a test → callers whom it takes, through every test client, and nobody else afterwards."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Security
from fastapi.testclient import TestClient as FastAPIClient
from flask import Flask, g
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from jwt_guard import (
    ClaimNames,
    Credentials,
    Guard,
    Misconfigured,
    Provider,
    Resolver,
    all_of,
    authenticated,
    by_route,
    current,
    fixed,
    jwks,
    keycloak,
    rfc9068,
    roles,
    salted,
    scopes,
    shared_secret,
    verify,
)
from jwt_guard.errors import BadSignature, Expired, GuardError, UnknownKey
from jwt_guard.middleware import fastapi as fastapi_door
from jwt_guard.middleware import flask as flask_door
from jwt_guard.middleware import starlette as starlette_door
from jwt_guard.providers import auth0, cognito, entra, google_id_token, okta, zitadel
from jwt_guard.testing import Clock, LocalIssuer, trusting
from jwt_guard.testing.as_user import guards_of
from tests.support.keys import public_jwk

if TYPE_CHECKING:
    from starlette.requests import Request

REALM = "https://id.example/realms/shop"
ORDERS = {"for": "alice", "scopes": ["orders:read"]}
SECRET = "a secret for tests, of 32 letters"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OTHER_TENANT = "00000000-2b34-4da1-9baa-8bc8c9d6a490"


def a_guard(**settings: Any) -> Guard:
    """Return a guard as in production: its issuer is out of reach."""
    return Guard([keycloak(REALM, audience="orders")], **settings)


def answer_for(who: Credentials | None) -> dict[str, Any]:
    assert who is not None
    return {"for": who.user, "scopes": sorted(who.scopes)}


def starlette_app(guard: Guard) -> Starlette:
    @starlette_door.requires("orders:read")
    async def orders(request: Request) -> JSONResponse:
        return JSONResponse(answer_for(request.state.credentials))

    @starlette_door.requires("orders:read", guard=guard)
    def own(request: Request) -> JSONResponse:
        return JSONResponse(answer_for(current()))

    middleware = [Middleware(starlette_door.GuardMiddleware, guard=guard)]
    return Starlette(routes=[Route("/orders", orders), Route("/own", own)], middleware=middleware)


def fastapi_app(guard: Guard) -> FastAPI:
    app = FastAPI()
    guarded = fastapi_door.guarded(guard)

    async def orders(who: Credentials) -> dict[str, Any]:
        return answer_for(who)

    orders.__annotations__["who"] = Annotated[Credentials, Security(guarded, scopes=["orders:read"])]
    app.add_api_route("/orders", orders)
    return app


def flask_app(guard: Guard) -> Flask:
    app = Flask("shop")
    flask_door.GuardExtension(app, guard)

    @flask_door.requires("orders:read")
    def orders() -> dict[str, Any]:
        return answer_for(g.credentials)

    app.add_url_rule("/orders", view_func=orders)
    return app


def with_starlette(guard: Guard) -> tuple[Any, Callable[[Any], tuple[int, Any]]]:
    app = starlette_app(guard)
    return app, lambda headers: _of_httpx(TestClient(app).get("/orders", headers=headers))


def with_starlette_own(guard: Guard) -> tuple[Any, Callable[[Any], tuple[int, Any]]]:
    app = starlette_app(guard)
    return app, lambda headers: _of_httpx(TestClient(app).get("/own", headers=headers))


def with_fastapi(guard: Guard) -> tuple[Any, Callable[[Any], tuple[int, Any]]]:
    app = fastapi_app(guard)
    return app, lambda headers: _of_httpx(FastAPIClient(app).get("/orders", headers=headers))


def with_flask(guard: Guard) -> tuple[Any, Callable[[Any], tuple[int, Any]]]:
    app = flask_app(guard)

    def get(headers: Any) -> tuple[int, Any]:
        answer = app.test_client().get("/orders", headers=headers)
        return answer.status_code, answer.json

    return app, get


def _of_httpx(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json()


each_framework = pytest.mark.parametrize("made", [with_starlette, with_starlette_own, with_fastapi, with_flask])


# --- through the test clients ------------------------------------------------------------------------


@each_framework
def test_a_client_is_who_the_test_says(made: Callable[[Guard], tuple[Any, Any]]) -> None:
    app, get = made(a_guard())
    with trusting(app) as as_user:
        assert (200, ORDERS) == get(as_user("alice", scopes="orders:read"))
        assert (200, {"for": "mary", "scopes": ["a", "orders:read"]}) == get(as_user("mary", scopes="a orders:read"))
        assert 403 == get(as_user("alice"))[0]
        assert 401 == get({})[0]
        assert 401 == get({"Authorization": "Bearer x"})[0]


@each_framework
def test_requests_without_credentials_are_the_callers_while_it_is_entered(
    made: Callable[[Guard], tuple[Any, Any]],
) -> None:
    app, get = made(a_guard())
    with trusting(app) as as_user:
        with as_user("alice", scopes="orders:read"):
            assert (200, ORDERS) == get({})
            assert 401 == get({"Authorization": "Bearer x"})[0]
            assert "mary" == get(as_user("mary", scopes="orders:read"))[1]["for"]
            with as_user("bob"):
                assert 403 == get({})[0]
            assert (200, ORDERS) == get({})
        assert 401 == get({})[0]


@each_framework
def test_afterwards_nobody_is_trusted_any_more(
    made: Callable[[Guard], tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalIssuer(REALM, audience="orders")
    guard = Guard([keycloak(REALM, audience="orders", keys=real.keys())])
    app, get = made(guard)
    good = {"Authorization": f"Bearer {real.token(scope='orders:read')}"}
    with trusting(app) as as_user:
        caller = as_user("alice", scopes="orders:read")
        for _ in range(3):
            assert (200, ORDERS) == get(caller)
        assert 401 == get(good)[0]
    assert 401 == get(caller)[0]
    assert 200 == get(good)[0]


def test_a_clock_stands_still_in_every_guard_that_shares_the_provider(jwt_guard_clock: Clock) -> None:
    app, get = with_starlette(a_guard())
    own = TestClient(app)
    with trusting(app, clock=jwt_guard_clock) as as_user:
        jwt_guard_clock.set(1_000_000_000)
        caller = as_user("alice", scopes="orders:read", lifetime=60)
        assert 200 == get(caller)[0]
        jwt_guard_clock.forward(60 + 29)
        assert 200 == get(caller)[0]
        assert 200 == own.get("/own", headers=caller).status_code
        jwt_guard_clock.forward(1)
        assert 401 == get(caller)[0]
        assert 401 == own.get("/own", headers=caller).status_code


def test_afterwards_a_guard_is_as_it_was(jwt_guard_clock: Clock) -> None:
    guard = a_guard()
    derived = guard.requiring(scopes("a"))
    before = [(of, dict(vars(of))) for of in (guard, derived, guard.providers[0])]
    with trusting(guard, clock=jwt_guard_clock) as as_user, as_user("alice"):
        assert jwt_guard_clock is guard.clock is derived.clock
        meanwhile = guard.requiring(scopes("b"))
        assert jwt_guard_clock is meanwhile.clock

    assert before == [(of, dict(vars(of))) for of in (guard, derived, guard.providers[0])]
    assert time.time is meanwhile.clock
    assert Guard.decide.__qualname__ == "Guard.decide"
    assert Guard.glance.__qualname__ == "Guard.glance"


def test_an_error_in_the_test_ends_it_too() -> None:
    guard = a_guard()
    with pytest.raises(ZeroDivisionError), trusting(guard) as as_user, as_user("alice") as caller:
        _ = 1 / 0
    with pytest.raises(GuardError):
        verify(Guard([replace(guard.providers[0], keys=fixed(public_jwk("ES256")))]), caller.token)

    assert guard.providers[0].source.__class__.__name__ == "RemoteKeys"
    assert Guard.decide.__qualname__ == "Guard.decide"


def test_what_a_memory_has_of_the_test_is_forgotten() -> None:
    guard = Guard([Provider("p", "https://id.example", "orders", fixed(public_jwk("ES256")))])
    with trusting(guard) as as_user:
        caller = as_user("alice")
        assert "alice" == verify(guard, caller.token).user
        assert guard.recall(caller.token) is not None
        assert guard.at_sight_of_text(caller["Authorization"]) is not None

    assert guard.recall(caller.token) is None
    assert guard.at_sight_of_text(caller["Authorization"]) is None
    with pytest.raises(BadSignature):
        verify(guard, caller.token)


def test_other_guards_know_nothing_of_it() -> None:
    one, other = a_guard(), a_guard()
    with trusting(one) as as_user, as_user("alice") as caller:
        with pytest.raises(UnknownKey), trusting(other):
            verify(other, caller.token)
        assert (
            401
            == TestClient(starlette_app(Guard([rfc9068(REALM, "x", keys=fixed(public_jwk("ES256")))])))
            .get("/orders")
            .status_code
        )


def test_threads_are_served_as_the_caller_too() -> None:
    app, get = with_flask(a_guard())
    got: list[Any] = []
    with trusting(app) as as_user, as_user("alice", scopes="orders:read"):
        threads = [threading.Thread(target=lambda: got.append(get({}))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [(200, ORDERS)] * 4 == got


@pytest.mark.anyio
async def test_an_async_client_of_httpx_takes_it_as_auth() -> None:
    app = starlette_app(a_guard())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as client:
        with trusting(app) as as_user:
            answer = await client.get("/orders", auth=as_user("alice", scopes="orders:read"))

    assert ORDERS == answer.json()


def test_fastapi_s_own_overrides_take_its_credentials() -> None:
    guard = a_guard()
    guarded = fastapi_door.guarded(guard)
    app = FastAPI()

    async def orders(who: Credentials) -> dict[str, Any]:
        return answer_for(who)

    orders.__annotations__["who"] = Annotated[Credentials, Security(guarded, scopes=["orders:read"])]
    app.add_api_route("/orders", orders)
    with trusting(guard) as as_user:
        alice = as_user("alice", scopes="orders:read").credentials
    app.dependency_overrides[guarded] = lambda: alice

    assert ORDERS == FastAPIClient(app).get("/orders").json()


def test_django_and_rest_framework_take_it() -> None:
    from tests.doors import apps_django  # isort: skip - it sets Django up, which REST framework looks at when imported

    from django.conf import settings
    from django.http import HttpRequest, JsonResponse
    from django.test import Client, override_settings
    from django.urls import path
    from rest_framework.response import Response
    from rest_framework.test import APIClient
    from rest_framework.views import APIView

    from jwt_guard.middleware.django import requires
    from jwt_guard.middleware.drf import HasScopes

    assert apps_django.MIDDLEWARE

    def orders(request: HttpRequest) -> JsonResponse:
        return JsonResponse(answer_for(request.credentials))  # type: ignore[attr-defined]  # the middleware's

    class Orders(APIView):
        permission_classes = [HasScopes("orders:read")]  # noqa: RUF012 - as people write it

        def get(self, request: Any) -> Response:
            return Response(answer_for(request.auth))

    urls = (path("orders", requires("orders:read")(orders)), path("drf", Orders.as_view()))
    alice: dict[str, Any] = {"user": "alice", "scopes": "orders:read"}
    with override_settings(ROOT_URLCONF=urls, JWT_GUARD=a_guard()), trusting(settings) as as_user:
        for client in (Client(), APIClient()):
            for where in ("/orders", "/drf"):
                assert ORDERS == client.get(where, headers=as_user(**alice)).json(), where
                assert 403 == client.get(where, headers=as_user("alice")).status_code
                assert 401 == client.get(where).status_code
                with as_user(**alice):
                    assert ORDERS == client.get(where).json()
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=as_user(**alice)["Authorization"])
        assert ORDERS == api.get("/drf").json()


# --- in the words of each provider -------------------------------------------------------------------

PROVIDERS = [
    keycloak(REALM, audience="orders"),
    keycloak(REALM, audience=["orders", "x"], client="orders", name="roles-of-a-client"),
    rfc9068("https://id.example", "orders"),
    Provider("plain", ["https://b.example", "https://a.example"], "orders", jwks("https://b.example/jwks")),
    Provider("strict", "https://id.example", "orders", required=("sub", "department"), max_age=60, leeway=0),
    Provider("own", "https://id.example", "orders", claims=ClaimNames(user=("email", "sub"), roles=(("a", "b", "c"),))),
    Provider("typed", "https://id.example", "orders", typ=["jwt"]),
    Provider("untyped", "https://id.example", "orders", typ=[None]),
    Provider("rsa", "https://id.example", "orders", algorithms=["RS256"]),
    Provider("secret", "https://id.example", "orders", shared_secret(SECRET)),
    Provider("salted", "https://id.example", "orders", salted(lambda _claims: SECRET)),
    Provider("held", "https://id.example", "orders", shared_secret(SECRET), remember=False),
    auth0("shop.eu.auth0.com", "orders"),
    okta("https://shop.okta.com/oauth2/default", "orders"),
    cognito("eu-west-1", "eu-west-1_AbCdEfGhI", "webshop"),
    zitadel("https://id.example", "orders"),
    entra(TENANT, "orders"),
    entra(tenants=[TENANT, OTHER_TENANT], audience="orders", name="tenants"),
]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_credentials_come_out_as_asked_in_the_words_of_the_provider(provider: Provider) -> None:
    guard = Guard([provider])
    with trusting(guard) as as_user:
        caller = as_user("alice", scopes="a:read b", roles=["ops", "x y"], client="webshop")
        who = verify(guard, caller.token)

        assert who == caller.credentials
        assert ("alice", "webshop", frozenset({"a:read", "b"}), frozenset({"ops", "x y"})) == (
            who.user,
            who.client,
            who.scopes,
            who.roles,
        )
        assert provider.name == who.provider
        machine = verify(guard, as_user(None, scopes="a").token)
        assert (None, "webshop", frozenset({"a"})) == (machine.user, machine.client, machine.scopes)


def test_an_id_token_is_made_where_one_is_taken() -> None:
    guard = Guard([google_id_token("orders", hd="shop.example")])
    with trusting(guard) as as_user:
        assert "alice" == verify(guard, as_user("alice").token).user
        with pytest.raises(ValueError, match=r"scopes would be \[\], not \['a'\]"):
            as_user("alice", scopes="a")


def test_more_claims_are_said_and_one_that_is_none_is_left_out() -> None:
    guard = a_guard()
    with trusting(guard) as as_user:
        claims = as_user("alice", tenant="t1", jti=None, roles="ops").credentials.claims

    assert "t1" == claims["tenant"]
    assert "jti" not in claims
    assert ("ops",) == claims["realm_access"]["roles"]


def test_a_token_that_the_guard_would_refuse_is_said_at_once() -> None:
    guard = a_guard()
    with trusting(guard) as as_user:
        with pytest.raises(
            ValueError, match=r"keycloak would not take the token: aud: .*; give as_user\(\) the claims"
        ):
            as_user("alice", aud="x")
        with pytest.raises(ValueError, match="would not take the token: exp"):
            as_user("alice", lifetime=-3_600)
        with pytest.raises(ValueError, match=r"user would be 'bob', not 'alice'"):
            as_user("alice", sub="bob")


def test_one_of_two_providers_is_named() -> None:
    guard = Guard([keycloak(REALM, audience="orders"), okta("https://shop.okta.com/oauth2/default", "orders")])
    with trusting(guard) as as_user:
        assert "okta" == verify(guard, as_user("alice", provider="okta").token).provider
        assert "keycloak" == verify(guard, as_user("alice", provider="keycloak").token).provider
        assert "<as_user at keycloak, okta>" == repr(as_user)
        with pytest.raises(ValueError, match="say which provider issues the token; known here: keycloak, okta"):
            as_user("alice")
        with pytest.raises(ValueError, match="no provider 'x'; known here: keycloak, okta"):
            as_user("alice", provider="x")


def test_the_policy_is_asked_as_in_production() -> None:
    policy = by_route(
        [("GET", "/orders", all_of(scopes("orders:read"), roles("ops"))), ("GET", "/own", authenticated())]
    )
    app, get = with_starlette(a_guard(policy=policy))
    with trusting(app) as as_user:
        assert 403 == get(as_user("alice", scopes="orders:read"))[0]
        assert 200 == get(as_user("alice", scopes="orders:read", roles="ops"))[0]
        with as_user("alice", scopes="orders:read"):
            assert 403 == get({})[0]


def test_revocation_is_asked_as_in_production() -> None:
    app, get = with_starlette(a_guard(revoked=lambda who: who.user == "alice"))
    with trusting(app) as as_user:
        assert 401 == get(as_user("alice", scopes="orders:read"))[0]
        assert 200 == get(as_user("mary", scopes="orders:read"))[0]


def test_a_token_is_in_no_repr() -> None:
    with trusting(a_guard()) as as_user:
        caller = as_user("alice", secret="hush")

    assert caller.token not in repr(caller)
    assert "hush" not in repr(caller)
    assert "'alice'" in repr(caller)


# --- which guards ------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [starlette_app, fastapi_app, flask_app])
def test_the_guard_of_an_application_is_found(made: Callable[[Guard], object]) -> None:
    guard, _other = a_guard(), a_guard()

    assert {id(provider) for each in guards_of(made(guard)) for provider in each.providers} == {id(guard.providers[0])}


def test_what_has_no_guard_is_said() -> None:
    with pytest.raises(ValueError, match="no guard found in Flask: give the Guard"), trusting(Flask("bare")):
        pass
    with pytest.raises(ValueError, match="no guard found in nothing"), trusting():
        pass


def test_a_guard_with_a_resolver_is_refused_rather_than_half_trusted() -> None:
    guard = Guard([], resolver=Resolver(lambda _issuer: None, "https://{tenant}.example"))
    with pytest.raises(Misconfigured, match="have it answer"), trusting(guard):
        pass


def test_two_guards_whose_providers_have_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match="one guard at a time"), trusting(a_guard(), a_guard()):
        pass


# --- as fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def jwt_guard_app() -> Starlette:
    return starlette_app(a_guard())


def test_the_fixture_goes_by_the_clock_of_the_test(
    jwt_guard_app: Starlette, as_user: Any, jwt_guard_clock: Clock
) -> None:
    client = TestClient(jwt_guard_app)
    alice = as_user("alice", scopes="orders:read", lifetime=60)

    assert ORDERS == client.get("/orders", headers=alice).json()
    jwt_guard_clock.forward(90)
    assert 401 == client.get("/orders", headers=alice).status_code
    with pytest.raises(Expired):
        verify(guards_of(jwt_guard_app)[0], alice.token)


def test_nothing_of_a_test_stays_alive() -> None:
    guard = a_guard()
    with trusting(guard, clock=Clock()) as as_user:
        as_user("alice")
    del as_user
    gc.collect()

    (provider,) = guard.providers
    assert [] == [each for each in gc.get_objects() if type(each).__name__ == "Trusted" and each.provider is provider]
