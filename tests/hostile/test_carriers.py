"""Attacks on tokens beside the header: through the doors, as a server would call them."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from jwt_guard import Guard, anyone, authenticated, scopes
from jwt_guard.access.carriers import cookie, form, header, query, websocket_subprotocol
from jwt_guard.access.resource import ProtectedResource
from tests.support.asking import DOORS, Answer, bearer, through_asgi, through_wsgi
from tests.support.minting import guard, mint

NAME = "__Host-session"
FORM = "application/x-www-form-urlencoded"
SAME = [("sec-fetch-site", "same-origin")]
each_door = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS)
Ask = Callable[..., Answer]


def looking(policy: Any = None) -> Guard:
    carriers = (header(), cookie(NAME, ["https://app.test"]), websocket_subprotocol(), query(), form())
    return replace(guard(policy=policy), carriers=carriers)


def placed(token: str) -> dict[str, tuple[list[tuple[str, str]], str]]:
    """Return the headers and the query of a request with *token*, by its place."""
    return {
        "header": ([("authorization", f"Bearer {token}")], ""),
        "cookie": ([("cookie", f"{NAME}={token}"), *SAME], ""),
        "subprotocol": ([("sec-websocket-protocol", f"bearer, {token}")], ""),
        "query": ([], f"?access_token={token}"),
    }


@each_door
@pytest.mark.parametrize("place", ["header", "cookie", "subprotocol", "query"])
def test_the_honest_request_is_let_in(ask: Ask, place: str) -> None:
    headers, query_ = placed(mint())[place]

    answer = ask(looking(), headers, "POST", f"/{query_}")

    assert (200, "ada-lovelace") == (answer.status, answer.user)


@each_door
@pytest.mark.parametrize("policy", [authenticated(), scopes("orders:read"), anyone()], ids=["any", "scopes", "open"])
def test_a_second_credential_is_found_wherever_it_hides(ask: Ask, policy: Any) -> None:
    """One program would see the first caller, and another the second; also once the first is remembered."""
    mine, evil = placed(mint()), placed(mint(which="b"))
    of = looking(policy)
    for _ in range(2):
        assert 200 == ask(of, mine["header"][0], "POST").status
        for one, other in combinations(mine, 2):
            for first, second in ((mine[one], evil[other]), (evil[one], mine[other]), (mine[one], mine[other])):
                answer = ask(of, [*first[0], *second[0]], "POST", f"/{first[1] or second[1]}")

                assert (400, False) == (answer.status, answer.reached), (one, other)
                assert 'error="invalid_request"' in answer.headers["www-authenticate"]


@each_door
def test_a_place_that_was_not_asked_for_is_not_looked_at(ask: Ask) -> None:
    for place, (headers, query_) in placed(mint()).items():
        expected = 200 if place == "header" else 401

        assert expected == ask(guard(), headers, "POST", f"/{query_}").status, place


@each_door
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("origin", "https://evil.test")],
        [("origin", "null")],
        [("origin", "https://app.test.evil.test")],
        [("origin", "https://api.test"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "none")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("referer", "https://api.test/")],
        [("x-requested-with", "XMLHttpRequest")],
    ],
    ids=str,
)
def test_a_page_of_somebody_else_cannot_use_the_cookie(ask: Ask, method: str, headers: list[tuple[str, str]]) -> None:
    """CSRF: the browser adds the cookie by itself."""
    for policy in (authenticated(), anyone()):
        answer = ask(looking(policy), [("cookie", f"{NAME}={mint()}"), *headers], method)

        assert (403, False) == (answer.status, answer.reached)
        assert "www-authenticate" not in answer.headers


def test_a_page_of_somebody_else_cannot_open_a_websocket_with_the_cookie() -> None:
    """Cross-site websocket hijacking: a handshake is a GET, and no CORS keeps a page from it."""
    sent = [("cookie", f"{NAME}={mint()}")]
    extensions: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    for more in ([], [("origin", "https://evil.test")], [("origin", "null")]):
        answer = through_asgi(looking(), [*sent, *more], type="websocket", **extensions)

        assert (403, False) == (answer.status, answer.reached)
    for more in ([("origin", "https://app.test")], SAME):
        assert through_asgi(looking(), [*sent, *more], type="websocket", **extensions).reached


@each_door
def test_a_cookie_that_another_host_tossed_beside_ours_is_refused(ask: Ask) -> None:
    """A host of the same site can add a cookie of this name; which comes first is its choice."""
    mine, evil = mint(), mint(which="b")
    for value in (f"{NAME}={evil}; {NAME}={mine}", f"{NAME}={mine}; {NAME}={evil}", f"{NAME}={mine}; {NAME}="):
        assert 400 == ask(looking(), [("cookie", value), *SAME]).status


@each_door
def test_no_spelling_of_a_cookie_hides_a_second_one(ask: Ask) -> None:
    """Parsers of cookies stop at what they do not like, and take quoted and escaped values apart."""
    mine, evil = mint(), mint(which="b")
    for between in ('x="a; ', "bad name=1; ", "=; ", '"; ', "$Version=1; ", "\t; ", "{}; "):
        answer = ask(looking(), [("cookie", f"{NAME}={mine}; {between}{NAME}={evil}"), *SAME])

        assert (400, False) == (answer.status, answer.reached), between


@each_door
def test_no_spelling_of_a_parameter_hides_a_second_one(ask: Ask) -> None:
    mine, evil = mint(), mint(which="b")
    for name in ("access_token", "access%5Ftoken", "%61ccess_token", "access%5ftoken"):
        for sent in (f"/?access_token={mine}&{name}={evil}", f"/?{name}={evil}&access_token={mine}"):
            assert 400 == ask(looking(), path=sent).status, name


@each_door
def test_a_token_in_the_query_is_in_no_line_of_the_log(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 6750 §5.3: tokens do not belong into addresses, since those are logged; we do not add to it."""
    caplog.set_level(logging.DEBUG)
    token = mint(which="b")

    assert 401 == ask(looking(), path=f"/orders?access_token={token}").status
    assert "/orders" in caplog.text
    assert "access_token" not in caplog.text
    assert token not in caplog.text


def in_form(body: bytes, of: Guard, headers: Any = (), method: str = "POST", kind: str = FORM) -> Answer:
    environ: dict[str, Any] = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return through_wsgi(of, headers, method, **environ)


def test_a_second_credential_in_a_form_is_found() -> None:
    mine, evil = mint(), mint(which="b")
    for body in (f"access_token={evil}", f"x=1&access%5Ftoken={evil}", "access_token="):
        for headers, _ in (placed(mine)["header"], placed(mine)["cookie"], placed(mine)["subprotocol"]):
            assert 400 == in_form(body.encode(), looking(), headers).status, body
    assert 400 == in_form(f"access_token={mine}&access_token={evil}".encode(), looking()).status
    assert 200 == in_form(b"access_toke=x", looking(), bearer(mine)).status


def test_a_form_cannot_be_made_too_long_to_look_at() -> None:
    padded = b"x=" + b"a" * 70_000 + f"&access_token={mint(which='b')}".encode()

    assert 413 == in_form(padded, looking(), bearer(mint())).status
    many = b"&" * 2_000 + b"x=1&" * 2_000 + f"access_token={mint(which='b')}".encode()
    assert 400 == in_form(many, looking(), bearer(mint())).status


def test_a_form_of_another_method_or_type_gives_no_token() -> None:
    """RFC 6750 §2.2: only where the body has a defined meaning, and is a single urlencoded part."""
    token = f"access_token={mint()}".encode()

    assert 200 == in_form(token, looking()).status
    assert 401 == in_form(token, looking(), method="GET").status
    for kind in ("text/plain", "multipart/form-data", "application/json", ""):
        assert 401 == in_form(token, looking(), kind=kind).status, kind


@each_door
@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/orders/../../orders",
        "/.well-known/oauth-protected-resource/orders/1",
        "/.well-known/oauth-protected-resource%2Forders",
        "//.well-known/oauth-protected-resource/orders",
        "/orders",
    ],
)
def test_the_open_path_of_the_metadata_opens_no_other(ask: Ask, path: str) -> None:
    of = replace(guard(), resource=ProtectedResource("https://api.test/orders"))

    assert 200 == ask(of, path="/.well-known/oauth-protected-resource/orders").status
    answer = ask(of, path=path)
    assert (401, False) == (answer.status, answer.reached)
