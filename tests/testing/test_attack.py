"""An application with a hole → a report that names it; one behind a guard → a report of nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.request import urlopen

import jwt
import pytest
from fastapi import FastAPI, Security
from flask import Flask, jsonify, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from jwt_guard import Credentials, Guard, anyone, authenticated, by_route, keycloak, roles, scopes
from jwt_guard.middleware import asgi, fastapi, flask, starlette, wsgi
from jwt_guard.testing import ATTACKS, LocalIssuer, Report, attack
from jwt_guard.testing.corpus import _CORPUS
from jwt_guard.testing.routes import routes_of
from jwt_guard.testing.sending import is_asgi
from jwt_guard.tokens.compact import from_base64url

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

ISSUER = LocalIssuer("https://id.test", audience="orders")
PEM = ISSUER.key.public_pem()
STRICT: dict[str, Any] = {"algorithms": ["ES256"], "audience": "orders", "issuer": "https://id.test"}
Verify = Callable[[str], Mapping[str, Any]]

TOO_LAX_AT_BEST = {
    "trailing junk",
    "two tokens",
    "an expiry that is no date",
    "an ID token",
    "another kind of token",
    "a member twice",
    "a claim of another shape",
}
"""What PyJWT lets through at its strictest."""


# --- applications with a hole ------------------------------------------------------------------------


def well(token: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(token, PEM, **STRICT, options={"require": ["exp", "aud", "iss", "sub"]})
    return claims


def without_verifying(token: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def without_audience(token: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(
        token, PEM, ["ES256"], issuer="https://id.test", options={"verify_aud": False}
    )
    return claims


def without_issuer(token: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(token, PEM, ["ES256"], audience="orders", options={"require": ["exp"]})
    return claims


def without_times(token: str) -> Mapping[str, Any]:
    lax: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims: Mapping[str, Any] = jwt.decode(token, PEM, **STRICT, options=lax)
    return claims


def by_the_alg_of_the_token(token: str) -> Mapping[str, Any]:
    """Verify as libraries did that took the algorithm from the header and one key for all of them."""
    head, payload, signature = token.split(".")
    alg = json.loads(from_base64url(head.encode(), "header"))["alg"]
    if alg == "none":
        return dict(json.loads(from_base64url(payload.encode(), "payload")))
    if alg.startswith("HS"):
        mac = hmac.digest(PEM, f"{head}.{payload}".encode(), f"sha{alg[2:]}")
        if not hmac.compare_digest(mac, from_base64url(signature.encode(), "signature")):
            raise jwt.InvalidSignatureError
        return dict(json.loads(from_base64url(payload.encode(), "payload")))
    return well(token)


def by_the_key_in_the_token(token: str) -> Mapping[str, Any]:
    header = jwt.get_unverified_header(token)
    if "jwk" not in header:
        return well(token)
    claims: Mapping[str, Any] = jwt.decode(token, jwt.PyJWK(header["jwk"], "ES256"), **STRICT)
    return claims


def by_the_url_in_the_token(token: str) -> Mapping[str, Any]:
    url = jwt.get_unverified_header(token).get("jku")
    if url is None:
        return well(token)
    with urlopen(url) as answer:  # noqa: S310 - that is the hole
        keys = json.load(answer)["keys"]
    claims: Mapping[str, Any] = jwt.decode(token, jwt.PyJWK(keys[0], "ES256"), **STRICT)
    return claims


def by_the_kid_as_a_file(token: str) -> Mapping[str, Any]:
    kid = str(jwt.get_unverified_header(token).get("kid"))
    if "dev/null" not in kid:
        return well(token)
    head, payload, signature = token.split(".")
    mac = hmac.digest(b"", f"{head}.{payload}".encode(), hashlib.sha256)
    if not hmac.compare_digest(mac, from_base64url(signature.encode(), "signature")):
        raise jwt.InvalidSignatureError
    return dict(json.loads(from_base64url(payload.encode(), "payload")))


def crashing(token: str) -> Mapping[str, Any]:
    try:
        return well(token)
    except jwt.DecodeError as error:
        raise KeyError from error


def token_of(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def on_flask(verify: Verify) -> Flask:
    app = Flask("shop")

    @app.get("/orders")
    def orders() -> Any:
        token = token_of(request.headers.get("Authorization"))
        try:
            return {"for": verify(token)["sub"]} if token else (jsonify(error="no token"), 401)
        except jwt.PyJWTError:
            return jsonify(error="bad token"), 401

    assert orders is not None
    return app


def on_starlette(verify: Verify) -> Starlette:
    async def orders(request: Request) -> JSONResponse:
        token = token_of(request.headers.get("Authorization"))
        try:
            return JSONResponse({"for": verify(token)["sub"]} if token else {}, 200 if token else 401)
        except jwt.PyJWTError:
            return JSONResponse({"error": "bad token"}, 401)

    return Starlette(routes=[Route("/orders", orders)])


HOLES: dict[str, tuple[Verify, set[str]]] = {
    "no signature": (
        without_verifying,
        {
            "unsigned", "without a signature", "changed claims", "signed by another key", "the public key as a secret",
            "a well-known secret", "a key in the header", "a key by URL", "expired", "for another audience",
            "by another issuer",
        },
    ),
    "no audience": (without_audience, {"for another audience", "without expiry"}),
    "no issuer": (without_issuer, {"by another issuer"}),
    "no times": (without_times, {"expired", "not yet valid", "issued in the future", "without expiry"}),
    "alg of the token": (by_the_alg_of_the_token, {"unsigned", "the public key as a secret"}),
    "jwk": (by_the_key_in_the_token, {"a key in the header"}),
    "jku": (by_the_url_in_the_token, {"a key by URL"}),
    "kid": (by_the_kid_as_a_file, {"a kid that leads elsewhere"}),
}  # fmt: skip


def through(report: Report) -> set[str]:
    return {finding.attack for finding in report.got_through}


@pytest.mark.parametrize("on", [on_flask, on_starlette])
@pytest.mark.parametrize("hole", HOLES)
def test_each_hole_is_found_and_no_other(
    hole: str, on: Callable[[Verify], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    verify, expected = HOLES[hole]
    strict = through(attack(on(well), "/orders", issuer=ISSUER))
    found = through(attack(on(verify), "/orders", issuer=ISSUER))

    assert strict <= TOO_LAX_AT_BEST
    assert expected <= found
    if hole != "no signature":
        assert found - strict <= expected | TOO_LAX_AT_BEST


def test_a_url_that_is_asked_for_a_key_is_told_even_where_the_key_is_refused() -> None:
    def asks(token: str) -> Mapping[str, Any]:
        url = jwt.get_unverified_header(token).get("x5u")
        if url is not None:
            urlopen(url).close()  # noqa: S310 - that is the hole
        return well(token)

    report = attack(on_flask(asks), "/orders", issuer=ISSUER)

    assert ["x5u"] == [finding.how for finding in report.fetched]
    with pytest.raises(AssertionError, match="1 fetched"):
        attack(on_flask(asks), "/orders", issuer=ISSUER, but=through(report)).assert_safe()


def test_a_crash_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for app in (on_flask(crashing), on_starlette(crashing)):
        report = attack(app, "/orders", issuer=ISSUER, but=TOO_LAX_AT_BEST)

        assert "no JWT" in {finding.attack for finding in report.crashed}
        assert {500} == {finding.status for finding in report.crashed}


def test_an_answer_that_repeats_the_token_is_told() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        is_good = authorization == f"Bearer {good}"
        start_response("200 OK" if is_good else "401 Unauthorized", [])
        return [b"welcome" if is_good else f"bad: {authorization}".encode("latin-1")]

    good = ISSUER.token()
    report = attack(app, "/", token=good)

    assert () == report.got_through
    assert "unsigned" not in {finding.attack for finding in report.leaked if finding.how.endswith("no signature")}
    assert {"changed claims", "signed by another key"} <= {finding.attack for finding in report.leaked}


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda: request.args.get("access_token"), "a token in the query"),
        (lambda: request.cookies.get("access_token"), "a token in a cookie"),
        (lambda: request.headers.get("X-Access-Token"), "a token in another header"),
        (lambda: request.headers.get("Authorization", "").split(" ")[-1], "another scheme"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_way_for_a_token_to_travel_is_found(read: Callable[[], str | None], name: str) -> None:
    app = Flask("shop")

    def orders() -> Any:
        token = token_of(request.headers.get("Authorization")) or read()
        try:
            return {"for": well(token)["sub"]} if token else (jsonify(error="no token"), 401)
        except jwt.PyJWTError:
            return jsonify(error="bad token"), 401

    app.add_url_rule("/orders", view_func=orders)

    assert name in through(attack(app, "/orders", issuer=ISSUER))


# --- holes around a guard ----------------------------------------------------------------------------


def a_guard(policy: Any = None) -> Guard:
    return Guard([keycloak("https://id.example/realms/shop", audience="orders")], policy or authenticated())


async def _orders(request: Request) -> JSONResponse:
    return JSONResponse({"orders": [1, 2]})


def test_an_open_route_is_found() -> None:
    routes = by_route([("GET", "/orders", anyone()), ("GET", "/**", authenticated())])
    app = Starlette(routes=[Route("/orders", _orders), Route("/bills", _orders)])
    report = attack(asgi.GuardMiddleware(app, a_guard(routes)))

    assert "no token" in through(report)
    assert {"GET /orders"} == {finding.route for finding in report.got_through}


def test_a_route_that_asks_for_no_scope_is_found() -> None:
    app = Flask("shop")
    flask.GuardExtension(app, a_guard())
    app.add_url_rule("/orders", view_func=lambda: "orders")
    report = attack(app, "/orders", scopes="orders:read", roles="ops")

    assert {"a missing scope", "a missing role"} == through(report)


def test_a_user_named_by_a_header_is_found() -> None:
    inner = asgi.GuardMiddleware(_app_of(_orders), a_guard())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        trusted = any(name == b"x-forwarded-user" for name, _ in scope.get("headers", ()))
        await (_app_of(_orders) if trusted else inner)(scope, receive, send)

    report = attack(app, "/orders", guard=inner.guard)

    assert ["X-Forwarded-User"] == [finding.how for finding in report.got_through]


@pytest.mark.parametrize(
    ("opens", "name"),
    [
        (lambda scope: scope["path"].startswith("/public"), "dots out of an open path"),
        (lambda scope: scope["path"] != "/orders", "another spelling of the path"),
        (lambda scope: scope.get("method") == "HEAD", "another method"),
        (lambda scope: scope["type"] == "websocket", "no token"),
    ],
    ids=["prefix", "exact", "HEAD", "websocket"],
)
def test_a_guard_that_is_walked_around_is_found(opens: Callable[[Any], bool], name: str) -> None:
    """The application folds its paths, as some frameworks and servers do, after somebody has looked at them."""

    async def folding(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        parts: list[str] = []
        for part in scope["path"].replace("\\", "/").split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        await inner({**scope, "path": "/" + "/".join(parts)}, receive, send)

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    inner = Starlette(routes=[Route("/orders", _orders), WebSocketRoute("/live", live)])
    guarded = asgi.GuardMiddleware(folding, a_guard())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (folding if scope["type"] != "lifespan" and opens(scope) else guarded)(scope, receive, send)

    route = "WEBSOCKET /live" if name == "no token" else "/orders"

    assert name in through(attack(app, route, guard=guarded.guard))
    attack(guarded, "/orders").assert_safe()
    attack(guarded, "WEBSOCKET /live").assert_safe()


def _app_of(endpoint: Any) -> Starlette:
    return Starlette(routes=[Route("/orders", endpoint)])


# --- behind a guard ----------------------------------------------------------------------------------


def guarded_asgi(guard: Guard) -> Any:
    app = _app_of(_orders)
    return asgi.GuardMiddleware(asgi.requires("orders:read")(app), guard)


def guarded_wsgi(guard: Guard) -> Any:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"orders"]

    return wsgi.GuardMiddleware(wsgi.requires("orders:read")(app), guard)


def guarded_starlette(guard: Guard) -> Any:
    endpoint = starlette.requires("orders:read")(_orders)
    return Starlette(
        routes=[Route("/orders", endpoint)], middleware=[Middleware(starlette.GuardMiddleware, guard=guard)]
    )


def guarded_flask(guard: Guard) -> Any:
    app = Flask("shop")
    flask.GuardExtension(app, guard)
    app.add_url_rule("/orders", view_func=flask.requires("orders:read")(lambda: "orders"))
    return app


def guarded_fastapi(guard: Guard) -> Any:
    app = FastAPI()

    async def orders(who: Credentials) -> dict[str, Any]:
        return {"for": who.user}

    orders.__annotations__["who"] = Annotated[Credentials, Security(fastapi.guarded(guard), scopes=["orders:read"])]
    app.add_api_route("/orders", orders)
    return app


EACH_DOOR = [guarded_asgi, guarded_wsgi, guarded_starlette, guarded_flask, guarded_fastapi]


@pytest.mark.parametrize("made", EACH_DOOR, ids=lambda made: made.__name__)
def test_nothing_gets_past_a_guard(made: Callable[[Guard], Any]) -> None:
    report = attack(made(a_guard()), "/orders", scopes="orders:read")

    report.assert_safe()
    assert () == report.findings
    assert () == report.void
    assert report.requests > 250
    assert ("a missing role",) == report.left_out


def test_nothing_gets_past_a_guard_in_django(attack: Any) -> None:
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, HttpResponse
    from django.test import override_settings
    from django.urls import path

    from jwt_guard.middleware.django import requires
    from tests.doors import apps_django

    assert apps_django.MIDDLEWARE

    def orders(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("orders")

    urls = (path("orders", requires("orders:read")(orders)), path("orders/<int:number>", orders))
    with override_settings(ROOT_URLCONF=urls, JWT_GUARD=a_guard()):
        for kind in (WSGIHandler, ASGIHandler):
            assert ["GET /orders", "GET /orders/<int:number>"] == [str(route) for route in routes_of(kind())]
            attack(kind(), "/orders", scopes="orders:read").assert_safe()


def test_every_route_that_an_application_tells_of_is_attacked() -> None:
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = Starlette(
        routes=[
            Route("/orders", _orders, methods=["GET", "POST"]),
            Route("/orders/{id:int}", _orders),
            Route("/health", _orders),
            Mount("/admin", routes=[Route("/users", _orders)]),
            WebSocketRoute("/live", live),
        ]
    )
    policy = by_route([("GET", "/health", anyone()), (None, "/**", authenticated())])
    guarded = starlette.GuardMiddleware(app, a_guard(policy))
    found = [
        "GET /orders",
        "POST /orders",
        "GET /orders/{id:int}",
        "GET /health",
        "GET /admin/users",
        "WEBSOCKET /live",
    ]

    assert found == [str(route) for route in routes_of(guarded)]
    attack(guarded, public=["/health"]).assert_safe()
    assert {"GET /health"} == {finding.route for finding in attack(guarded).findings}
    with pytest.raises(ValueError, match="public names no route of the application: /helth"):
        attack(guarded, public=["/helth"])


def test_routes_of_flask_are_found() -> None:
    app = guarded_flask(a_guard())

    def one(number: int) -> str:
        return f"order {number}"

    app.add_url_rule("/orders/<int:number>", methods=["POST"], view_func=one, endpoint="one")

    assert {"GET /static/<path:filename>", "GET /orders", "POST /orders/<int:number>"} == {
        str(route) for route in routes_of(app)
    }
    attack(app, scopes="orders:read").assert_safe()


def test_a_guard_of_a_secret_is_attacked_too() -> None:
    from jwt_guard import Provider, shared_secret

    provider = Provider("local", "https://id.example", "orders", shared_secret("0123456789abcdef" * 4))
    report = attack(guarded_flask(Guard([provider])), "/orders", scopes="orders:read")

    report.assert_safe()
    assert ("the public key as a secret", "a missing role") == report.left_out


def test_roles_and_scopes_are_left_out_where_the_provider_has_them() -> None:
    guard = Guard([keycloak("https://id.example/realms/shop", "orders")], roles("ops"))
    report = attack(guarded_asgi(guard), "/orders", scopes="orders:read x", roles="ops")

    assert {"a missing scope"} == through(report)
    assert {"x"} == {finding.how.partition(",")[0] for finding in report.got_through}
    assert () == report.left_out


# --- what can be said about it -----------------------------------------------------------------------


def test_an_attack_that_the_good_token_does_not_survive_is_void() -> None:
    app = guarded_flask(a_guard())
    report = attack(app, "/orders")

    assert (("GET /orders", "403"),) == report.void
    assert 0 == report.requests
    with pytest.raises(AssertionError, match="void: GET /orders answers 403 to the good token"):
        report.assert_safe()
    assert (("GET /nowhere", "404"),) == attack(app, "/nowhere").void


def test_what_may_get_through_is_said_by_name() -> None:
    app = on_flask(well)
    attack(app, "/orders", issuer=ISSUER, but=TOO_LAX_AT_BEST).assert_safe()
    with pytest.raises(ValueError, match=r"no such attack: 'a mising scope'; known here: 'no token', "):
        attack(app, "/orders", issuer=ISSUER, but=["a mising scope"])


def test_with_a_good_token_alone_only_what_an_attacker_can_make_is_tried() -> None:
    report = attack(on_flask(well), "/orders", token=ISSUER.token(), but=["trailing junk"])

    report.assert_safe()
    needed = {name for name, each in _CORPUS.items() if each.needs_key}
    assert needed | {"the public key as a secret", "trailing junk"} == set(report.left_out)


def test_whose_tokens_are_good_must_be_said_where_there_is_no_guard() -> None:
    with pytest.raises(ValueError, match="no guard found in the application: say guard, or the issuer"):
        attack(on_flask(well), "/orders")
    with pytest.raises(ValueError, match="no routes found in the application: name those to attack"):
        attack(lambda _environ, _start: [], issuer=ISSUER)
    with pytest.raises(ValueError, match="a route is a path, or a method and a path, not 'orders'"):
        attack(on_flask(well), "orders", issuer=ISSUER)


def test_a_body_and_headers_go_with_every_request() -> None:
    app = Flask("shop")
    flask.GuardExtension(app, a_guard())
    seen: list[Any] = []

    def order() -> Any:
        seen.append((request.get_json(), request.headers["X-Shop"]))
        return "", 201

    app.add_url_rule("/orders", methods=["POST"], view_func=order)
    attack(app, "POST /orders", json={"item": 1}, headers={"X-Shop": "a"}).assert_safe()

    assert [({"item": 1}, "a")] == seen


def test_an_application_is_started_and_shut_down() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[dict[str, str]]:
        told.append("start")
        yield {"greeting": "hello"}
        told.append("end")

    async def orders(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.greeting)

    app = asgi.GuardMiddleware(Starlette(routes=[Route("/orders", orders)], lifespan=lifespan), a_guard())
    attack(app, "/orders").assert_safe()

    assert ["start", "end"] == told


def test_one_that_does_not_start_says_so() -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        raise ZeroDivisionError
        yield

    app = asgi.GuardMiddleware(Starlette(routes=[Route("/orders", _orders)], lifespan=lifespan), a_guard())
    with pytest.raises((RuntimeError, ExceptionGroup), match=r"does not start|unhandled errors"):
        attack(app, "/orders")


@pytest.mark.anyio
async def test_it_runs_in_async_tests_too() -> None:
    attack(guarded_starlette(a_guard()), "/orders", scopes="orders:read").assert_safe()


def test_a_report_is_a_table() -> None:
    report = attack(on_flask(without_audience), "/orders", issuer=ISSUER, but=TOO_LAX_AT_BEST)
    lines = str(report).splitlines()

    assert f"{report.requests} hostile requests: {len(report.got_through)} got through" == lines[0]
    assert ["route", "attack", "outcome", "status", "how", "why", "it", "matters"] == lines[1].split()
    assert any(line.startswith("GET /orders  for another audience  got through  200") for line in lines)
    assert "<got through: without expiry (no exp) at GET /orders: 200>" in repr(report.got_through)
    with pytest.raises(AssertionError) as caught:
        report.assert_safe()
    assert str(report) == str(caught.value)


def test_a_report_of_nothing_says_how_much_that_is() -> None:
    report = attack(guarded_flask(a_guard()), "/orders", scopes="orders:read")

    assert f"{report.requests} hostile requests: all refused\nnot tried: a missing role" == str(report)


def test_no_token_is_in_a_report() -> None:
    report = attack(on_flask(without_verifying), "/orders", issuer=ISSUER)

    assert "eyJ" not in str(report) + repr(report)


def test_every_attack_says_why_and_is_tried_somewhere() -> None:
    tried = {*ATTACKS} - {*attack(on_flask(well), "/orders", issuer=ISSUER, scopes="a", roles="b").left_out}

    assert {*ATTACKS} == tried
    assert all(ATTACKS.values())
    assert 30 < len(ATTACKS)


def test_applications_are_told_apart() -> None:
    assert is_asgi(Starlette())
    assert is_asgi(asgi.GuardMiddleware(Starlette(), a_guard()))
    assert is_asgi(lambda _scope, _receive, _send: None)
    assert not is_asgi(Flask("x"))
    assert not is_asgi(wsgi.GuardMiddleware(Flask("x"), a_guard()))
    assert not is_asgi(lambda _environ, _start_response: [])
    assert scopes is not None
