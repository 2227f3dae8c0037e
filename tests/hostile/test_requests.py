"""Attacks on how a token travels and which path it opens: through the doors, as a server would call them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from jwt_guard import Allow, anyone, authenticated, by_route, current, roles, scopes, verify
from jwt_guard.errors import GuardError
from jwt_guard.middleware.asgi import GuardMiddleware as AsgiGuard
from jwt_guard.middleware.wsgi import GuardMiddleware as WsgiGuard
from tests.support.asking import DOORS, Answer, bearer, through_asgi, through_wsgi
from tests.support.minting import HOUR, NOW, claims, guard, mint, minted

each_door = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS)
Ask = Callable[..., Answer]


@each_door
def test_the_honest_request_is_let_in(ask: Ask) -> None:
    """Without this, every refusal below could be for a reason other than the attack."""
    answer = ask(guard(), bearer(mint()))

    assert (200, True, "ada-lovelace") == (answer.status, answer.reached, answer.user)


# --- more than one, or another, credential -------------------------------------------------------------------------


@each_door
def test_two_credentials_are_one_too_many(ask: Ask) -> None:
    """CVE-2026-26308: one program checks the first header, another uses the last."""
    good, evil = mint(), mint(which="b")
    pairs = [
        (f"Bearer {good}", f"Bearer {evil}"),
        (f"Bearer {evil}", f"Bearer {good}"),
        (f"Bearer {good}", f"Bearer {good}"),
    ]
    pairs += [(f"Bearer {good}", "Basic YTpi")]
    for pair in pairs:
        answer = ask(guard(), [("Authorization", value) for value in pair])

        assert (400, False) == (answer.status, answer.reached)
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]


@each_door
def test_joined_credentials_are_not_taken_apart(ask: Ask) -> None:
    """CVE-2026-26308: a proxy that joins two headers with a comma must not give one of them a chance."""
    good, evil = mint(), mint(which="b")
    for value in (
        f"Bearer {good}, Bearer {evil}",
        f"Bearer {good},{evil}",
        f"Bearer {good} {evil}",
        f"Basic YTpi, Bearer {good}",
    ):
        answer = ask(guard(), [("Authorization", value)])

        assert not answer.reached
        assert answer.status in (400, 401)


@each_door
def test_a_token_anywhere_but_in_the_header_is_no_token(ask: Ask) -> None:
    """RFC 6750 §2.2, §2.3: tokens in a query end in logs; in a cookie they come along by themselves."""
    good = mint()
    elsewhere = [("Cookie", f"access_token={good}"), ("X-Access-Token", good), ("X-Forwarded-Access-Token", good)]
    elsewhere += [("Proxy-Authorization", f"Bearer {good}"), ("X-Authorization", f"Bearer {good}")]
    answer = ask(guard(), elsewhere, path=f"/?access_token={good}")

    assert (401, False) == (answer.status, answer.reached)
    assert 'Bearer realm="api"' == answer.headers["www-authenticate"]


@each_door
def test_another_scheme_does_not_carry_a_bearer_token(ask: Ask) -> None:
    """RFC 9449 §7.1: a token sent as DPoP, Token or JWT was not sent as Bearer."""
    for scheme in ("DPoP", "Token", "JWT", "Basic", "MAC", "BearerX", "X-Bearer"):
        assert not ask(guard(), [("Authorization", f"{scheme} {mint()}")]).reached
    assert not ask(guard(), [("Authorization", mint())]).reached


@each_door
def test_a_dpop_header_does_not_make_a_bound_token_good(ask: Ask) -> None:
    """RFC 9449 §7.2: the proof is not looked at, so the token that needs one is refused, with and without it."""
    bound = mint(claims(cnf={"jkt": "thumbprint"}))
    proof = mint({"htm": "GET", "htu": "http://api.test/", "iat": NOW, "jti": "x"}, {"typ": "dpop+jwt"})
    for extra in ([], [("DPoP", proof)], [("DPoP", proof), ("DPoP", proof)]):
        answer = ask(guard(), [*bearer(bound), *extra])

        assert (401, False) == (answer.status, answer.reached)
    assert not ask(guard(), bearer(proof)).reached


# --- anonymous means absent ----------------------------------------------------------------------------------------

BAD_CREDENTIALS = {
    "empty": "",
    "scheme": "Bearer",
    "blank": "Bearer ",
    "basic": "Basic YTpi",
    "garbage": "Bearer x",
    "two": "Bearer a, Bearer b",
    "unsigned": "Bearer eyJhbGciOiJub25lIn0.e30.",
}


@each_door
@pytest.mark.parametrize("value", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS)
def test_on_an_open_route_a_bad_token_is_bad(ask: Ask, value: str) -> None:
    """CVE-2021-21378, and every "optional" that means "ignore errors": only who sends nothing is anonymous."""
    answer = ask(guard(policy=anyone()), [("Authorization", value)])

    assert not answer.reached
    assert answer.status in (400, 401)


@each_door
def test_on_an_open_route_a_bad_token_of_good_form_is_bad_too(ask: Ask) -> None:
    """CVE-2021-21378: the wrong issuer passed where a token was optional."""
    of = guard(policy=anyone())
    for token in (
        mint(claims(iss="https://evil.test")),
        mint(claims(exp=NOW - HOUR)),
        mint(header={"kid": "a"}, which="b"),
    ):
        assert not ask(of, bearer(token)).reached
    anonymous, known = ask(of), ask(of, bearer(mint()))

    assert (True, None) == (anonymous.reached, anonymous.user)
    assert (True, "ada-lovelace") == (known.reached, known.user)


def test_a_header_in_capitals_is_still_a_credential() -> None:
    """An ASGI server should lower-case names; one that does not must not make a bad token an absent one."""
    answer = asgi_scope(guard(policy=anyone()), "/", {"headers": [(b"Authorization", b"Bearer x")]})

    assert (401, False) == (answer.status, answer.reached)


# --- what a client says about itself -------------------------------------------------------------------------------


@each_door
@pytest.mark.parametrize(
    "header",
    [
        ("User-Agent", "kube-probe/1.30"),
        ("User-Agent", "GoogleHC/1.0"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Host", "localhost"),
        ("X-Original-URL", "/health"),
        ("X-Rewrite-URL", "/health"),
        ("X-Forwarded-Uri", "/health"),
        ("X-Forwarded-Prefix", "/health"),
        ("X-Envoy-Original-Path", "/health"),
        ("X-Forwarded-User", "admin"),
        ("Remote-User", "admin"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("Origin", "https://shop.test"),
        ("Access-Control-Request-Method", "GET"),
        ("Upgrade", "websocket"),
        ("Forwarded", "for=127.0.0.1;host=localhost;proto=https"),
    ],
    ids=lambda header: f"{header[0]}: {header[1]}",
)
def test_nothing_a_client_says_of_itself_opens_a_door(ask: Ask, header: tuple[str, str]) -> None:
    """GHSA-5hvv-m4w4-gf6v (a health check's User-Agent), CVE-2023-27487, CVE-2026-35051, GHSA-7x63-xv5r-3p2x."""
    of = guard(policy=by_route([("GET", "/health", anyone()), (None, "/**", authenticated())]))
    for path in ("/", "/orders"):
        answer = ask(of, [header], path=path)

        assert (401, False) == (answer.status, answer.reached)


@each_door
def test_only_a_whole_preflight_passes_without_a_token(ask: Ask) -> None:
    """Fetch standard §3.2.2: OPTIONS, Origin and Access-Control-Request-Method together, and no other method."""
    origin, wants = ("Origin", "https://shop.test"), ("Access-Control-Request-Method", "DELETE")

    assert ask(guard(), [origin, wants], method="OPTIONS").reached
    for headers in ([], [origin], [wants], [wants, ("Referer", "https://shop.test")]):
        assert not ask(guard(), headers, method="OPTIONS").reached
    for method in ("GET", "POST", "DELETE", "options", "OPTIONS2", "OPTION", "HEAD", "TRACE", "CONNECT", "PROPFIND"):
        assert not ask(guard(), [origin, wants], method=method).reached
    for override in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert not ask(guard(), [origin, wants, (override, "DELETE")], method="OPTIONS").reached


# --- paths and methods ---------------------------------------------------------------------------------------------

ROUTES = by_route(
    [
        ("GET", "/public/{name}", anyone()),
        ("GET", "/orders/{id}", scopes("orders:read")),
        (None, "/admin/**", roles("admin")),
        ("GET", "/files/**", anyone()),
    ]
)

AMBIGUOUS = [
    "/public/../admin",
    "/public/..%2fadmin",
    "/public/%2e%2e/admin",
    "/public/.%2E/admin",
    "/public/%2e%2e%2fadmin",
    "/public/..;/admin",
    "/public/x;/../admin",
    "/public//admin",
    "//public/x",
    "/public/x//",
    "/public\\x",
    "/public/..\\admin",
    "/public/..%5cadmin",
    "/public/%5c..%5cadmin",
    "/public/x#/../admin",
    "/public/x%00",
    "/public/x%0d%0aSet-Cookie:a=1",
    "/public/x%ff",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%zz",
    "/public/%2",
    "/public/x;admin=1",
    "/public/x%3badmin",
    "/./public/x",
    "/public/.",
    "/public/..",
    "/files/../admin",
    "/files/a/../../admin",
    "/files/%2e%2e/admin",
    "/files/..%252fadmin/..",
    "/public/ x",
    "public/x",
    "",
    "*",
    "/PUBLIC/x",
    "/public",
    "/public/",
    "/public/a/b",
    "/public/a%2Fb",
    "/%70ublic%2fx",
]


@each_door
@pytest.mark.parametrize("path", AMBIGUOUS, ids=ascii)
def test_an_ambiguous_path_opens_no_route(ask: Ask, path: str) -> None:
    """CVE-2019-9901, CVE-2021-29492, CVE-2021-31920, CVE-2020-8595, CVE-2021-39156, CVE-2021-32779, istio#27409."""
    answer = ask(guard(policy=ROUTES), path=path)

    assert (401, False) == (answer.status, answer.reached)
    answer = ask(guard(policy=ROUTES), bearer(mint(claims(roles=["user"]))), path=path)

    assert (403, False) == (answer.status, answer.reached)


@each_door
@pytest.mark.parametrize(
    "path",
    [
        "/public/x",
        "/public/x/",
        "/%70ublic/x",
        "/public/x?../admin",
        "/public/caf%C3%A9",
        "/public/...",
        "/public/x%23",
        "/files",
        "/files/a/b",
    ],
)
def test_a_plain_path_opens_its_route_however_it_is_escaped(ask: Ask, path: str) -> None:
    """The other half: what has one reading is let in."""
    assert ask(guard(policy=ROUTES), path=path).reached


@each_door
@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/admin/x", "/%61dmin", "/admin/%2e%2e%2e", "/admin?x=/public/y"]
)
def test_a_closed_path_is_closed_however_it_is_escaped(ask: Ask, path: str) -> None:
    """An escape that hides a path from a rule and not from the application."""
    assert not ask(guard(policy=ROUTES), path=path).reached
    assert not ask(guard(policy=ROUTES), bearer(mint()), path=path).reached
    assert ask(guard(policy=ROUTES), bearer(mint(claims(roles=["admin"]))), path=path).reached


@each_door
@pytest.mark.parametrize("method", ["POST", "get", "Get", "PUT", "DELETE", "GET ", "TRACE", "OPTIONS", "PRI"])
def test_another_method_is_another_request(ask: Ask, method: str) -> None:
    """HEAD comes with GET; nothing else comes with anything, and there is no override."""
    override = [("X-HTTP-Method-Override", "GET"), ("X-Method-Override", "GET")]

    for path in ("/public/x", "/public/x?_method=GET"):
        assert not ask(guard(policy=ROUTES), override, method=method, path=path).reached
        answer = ask(guard(policy=ROUTES), [*bearer(mint()), *override], method=method, path=path)

        assert (405, False, "GET, HEAD") == (answer.status, answer.reached, answer.headers["allow"])
    assert ask(guard(policy=ROUTES), method="HEAD", path="/public/x").reached


def test_a_path_is_judged_as_the_application_will_route_it() -> None:
    """CVE-2026-48710, CVE-2021-32779: two of them that differ are an attack, or a server that lies."""
    of = guard(policy=ROUTES)

    for routed, raw in (("/admin", b"/public/x"), ("/public/x", b"/admin"), ("/public/../admin", b"/public/x")):
        scope: dict[str, Any] = {"raw_path": raw}
        assert not asgi_scope(of, routed, scope).reached
        assert not through_wsgi(of, path=raw.decode(), PATH_INFO=routed).reached
        assert not through_wsgi(of, path=raw.decode(), PATH_INFO=routed, SCRIPT_NAME="/x").reached


def asgi_scope(of: Any, routed: str, scope: dict[str, Any]) -> Answer:
    reached: list[bool] = []
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        reached.append(True)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    whole: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": routed,
        "headers": [],
        "query_string": b"",
        **scope,
    }
    asyncio.run(AsgiGuard(app, of)(whole, receive, send))
    return Answer(sent[0]["status"], {}, b"", bool(reached))


@pytest.mark.parametrize("sent", ["http://[", "http://api.test/admin", "//public/x", "x:y", "\\\\x"], ids=ascii)
def test_a_request_line_that_is_no_url_is_refused_and_no_crash(sent: str) -> None:
    """RFC 9112 §3.2.2: the absolute form, which parsers read differently, or not at all."""
    answer = through_wsgi(guard(policy=ROUTES), REQUEST_URI=sent, PATH_INFO="/public/x")

    assert (401, False) == (answer.status, answer.reached)


def test_a_request_line_with_a_whole_url_is_judged_by_its_path() -> None:
    """RFC 9112 §3.2.2: the absolute form is a right of clients."""
    of = guard(policy=ROUTES)

    assert through_wsgi(of, REQUEST_URI="http://api.test/public/x?a=1", PATH_INFO="/public/x").reached
    assert not through_wsgi(of, REQUEST_URI="http://api.test/admin", PATH_INFO="/admin").reached
    assert not through_wsgi(of, REQUEST_URI="http://api.test", PATH_INFO="/public/x").reached


def test_the_host_header_is_no_part_of_the_path() -> None:
    """CVE-2026-48710: a Host of "api.test/public/x?" turned every path into the path of a URL built from it."""
    of = guard(policy=ROUTES)
    for host in ("api.test/public/x?", "api.test/public/x#", "api.test\\@/public/x", "/public/x", ""):
        for ask in DOORS.values():
            assert (401, False) == (ask(of, [("Host", host)], path="/admin").status, False)
            assert not ask(of, [("Host", host)], path="/admin").reached


def test_a_mounted_application_is_judged_by_the_whole_path() -> None:
    """root_path and SCRIPT_NAME: a prefix that only one of the two sees."""
    of = guard(policy=ROUTES)

    assert not through_asgi(of, path="/admin", root_path="/public").reached
    assert not through_asgi(of, path="/admin/x", root_path="/admin").reached
    assert not through_wsgi(of, path="/admin/x", SCRIPT_NAME="/admin", PATH_INFO="/x").reached
    assert not through_wsgi(of, path="/public/x", SCRIPT_NAME="/admin", PATH_INFO="/public/x").reached
    assert through_wsgi(of, path="/public/x", SCRIPT_NAME="/public", PATH_INFO="/x").reached


# --- every kind of connection --------------------------------------------------------------------------------------


def test_a_websocket_is_guarded_as_a_request_is() -> None:
    """Measured: fastmcp's middleware let every websocket through; another sent it an http response."""
    of = guard()
    refused = through_asgi(of, type="websocket", method="GET")
    told = through_asgi(of, type="websocket", extensions={"websocket.http.response": {}})

    assert [{"type": "websocket.close", "code": 1008, "reason": ""}] == refused.sent
    assert not refused.reached
    assert (401, False) == (told.status, told.reached)
    assert ["websocket.http.response.start", "websocket.http.response.body"] == [
        message["type"] for message in told.sent
    ]
    for token in (mint(which="b"), mint(claims(exp=NOW - HOUR))):
        assert not through_asgi(of, bearer(token), type="websocket").reached
    assert through_asgi(of, bearer(mint()), type="websocket").reached


def test_a_websocket_does_not_go_where_get_may_not() -> None:
    """A handshake is a GET (RFC 6455 §4.1); a route for another method does not take it."""
    of = guard(policy=by_route([("POST", "/orders", anyone()), ("GET", "/live", anyone())]))

    assert not through_asgi(of, type="websocket", path="/orders").reached
    assert through_asgi(of, type="websocket", path="/live").reached


@pytest.mark.parametrize("kind", ["webtransport", "HTTP", "http2", "", "http.connect", "lifespan2"])
def test_a_kind_of_connection_that_nobody_knows_is_refused(kind: str) -> None:
    """What ASGI adds tomorrow must not be open today."""
    with pytest.raises(RuntimeError, match="scope type"):
        through_asgi(guard(policy=anyone()), bearer(mint()), type=kind)


# --- what strangers are told ---------------------------------------------------------------------------------------


def invalid_tokens() -> dict[str, str]:
    good = mint()
    return {
        "unknown issuer": mint(claims(iss="https://nobody.test")),
        "unknown kid": mint(header={"kid": "nobody"}),
        "bad signature": mint(header={"kid": "a"}, which="b"),
        "algorithm of another kind": mint(header={"kid": "a"}, alg="RS256"),
        "unsigned": minted("eyJhbGciOiJub25lIiwia2lkIjoiYSJ9." + good.split(".")[1] + "."),
        "garbage": "garbage",
        "long": "a" * 20_000,
        "expired": mint(claims(exp=NOW - HOUR)),
        "wrong audience": mint(claims(aud="billing")),
        "wrong type": mint(header={"typ": "logout+jwt"}),
        "nested": mint(b"[" * 100),
        "bound": mint(claims(cnf={"jkt": "x"})),
    }


@each_door
def test_strangers_cannot_tell_why_a_token_is_bad(ask: Ask) -> None:
    """Unknown issuer, unknown key, bad signature: whoever can tell them apart can ask which there are."""
    answers = {name: ask(guard(), bearer(token)).public for name, token in invalid_tokens().items()}

    assert all(public == answers["unknown issuer"] for public in answers.values())
    assert 401 == answers["garbage"][0]


@each_door
def test_no_answer_to_a_stranger_is_kept_by_a_cache(ask: Ask) -> None:
    """CVE-2024-45809's class: one user's refusal, or its absence, served to the next."""
    for headers in ([], bearer("garbage"), bearer(mint(claims(scope="")))):
        assert "no-store" == ask(guard(policy=scopes("orders:read")), headers).headers["cache-control"]


@each_door
def test_the_challenge_holds_nothing_that_was_sent(ask: Ask) -> None:
    """CVE-2022-29266 and response splitting: quotes, backslashes and lines in issuer, kid and path."""
    nasty = 'x", error="none\\"\r\nSet-Cookie: a=1'
    tokens = [
        mint(claims(iss=nasty)),
        mint(header={"kid": nasty}),
        mint(header={"typ": nasty}),
        mint(claims(aud=nasty)),
    ]
    tokens += [mint(header={"alg": nasty}), mint(claims(scope=nasty)), mint(claims(sub=nasty))]
    for token in tokens:
        answer = ask(guard(policy=scopes("orders:read")), bearer(token), path="/%0d%0aSet-Cookie:%20a=1")

        assert answer.status in (401, 403)
        assert all("Set-Cookie" not in value and value.isprintable() for value in answer.headers.values())
        assert b"Set-Cookie" not in answer.body


@each_door
def test_who_may_not_is_told_what_would_do_and_nothing_of_the_token(ask: Ask) -> None:
    """RFC 6750 §3.1: the scopes asked for are the API's to tell; those of the token are not."""
    answer = ask(guard(policy=scopes("orders:delete")), bearer(mint(claims(scope="private-scope-of-ada"))))

    assert 403 == answer.status
    assert 'scope="orders:delete"' in answer.headers["www-authenticate"]
    assert "private-scope" not in str(answer)


# --- whole requests, by a real client ------------------------------------------------------------------------------


def test_every_bad_token_is_refused_to_a_real_client_at_both_doors() -> None:
    """The same through httpx's own transports, so that no helper of ours flatters the doors."""
    of = guard()

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    async def by_asgi(headers: dict[str, str]) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(AsgiGuard(asgi_app, of))) as client:
            return (await client.get("http://api.test/", headers=headers)).status_code

    def by_wsgi(headers: dict[str, str]) -> int:
        with httpx.Client(transport=httpx.WSGITransport(WsgiGuard(wsgi_app, of))) as client:
            return client.get("http://api.test/", headers=headers).status_code

    tokens = [*invalid_tokens().values(), mint()]
    statuses = [
        (asyncio.run(by_asgi({"Authorization": f"Bearer {token}"})), by_wsgi({"Authorization": f"Bearer {token}"}))
        for token in tokens
    ]

    assert [(401, 401)] * (len(tokens) - 1) + [(200, 200)] == statuses


# --- what is left behind -------------------------------------------------------------------------------------------


@each_door
def test_the_next_request_on_the_same_thread_is_somebody_else(ask: Ask) -> None:
    """A thread that remembers whom it served last serves the next one as him."""
    of = guard(policy=anyone())

    assert "ada-lovelace" == ask(of, bearer(mint())).user
    assert ask(of).user is None
    assert current() is None
    with pytest.raises(GuardError):
        verify(of, "x")


@each_door
@pytest.mark.parametrize("answer", [True, 1, None, "yes", object()], ids=["true", "one", "none", "text", "object"])
def test_a_policy_that_answers_anything_but_a_decision_lets_nobody_in(ask: Ask, answer: Any) -> None:
    """A function that returns True for yes, or forgets to return, is an error and no yes."""
    with pytest.raises(TypeError, match="Allow or Deny"):
        ask(guard(policy=lambda _request, _credentials: answer), bearer(mint()))


@each_door
def test_a_policy_that_breaks_lets_nobody_in(ask: Ask) -> None:
    """An exception in a rule is a bug, and never "no objection"."""

    def broken(_request: Any, _credentials: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(guard(policy=broken), bearer(mint()))


def test_a_policy_function_is_never_asked_about_strangers() -> None:
    """CVE-2024-22513's class: only what a key has vouched for reaches a policy."""
    asked: list[Any] = []

    def policy(_request: Any, credentials: Any) -> Any:
        asked.append(credentials)
        return Allow(credentials)

    for headers in ([], bearer("x"), bearer(mint(header={"kid": "a"}, which="b")), [("Authorization", "")]):
        assert not through_asgi(guard(policy=policy), headers).reached
    assert [] == asked


def test_json_of_refusals_is_what_it_says() -> None:
    """RFC 9457: a constant text, an id, and nothing that was sent."""
    body = json.loads(through_asgi(guard(), bearer("x")).body)

    assert {"type", "title", "status", "detail", "id"} == body.keys()
    assert ("Unauthorized", 401, "The access token is not valid here") == (
        body["title"],
        body["status"],
        body["detail"],
    )
