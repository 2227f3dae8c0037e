"""A request → the one token in it, wherever the guard looks; never one of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from jwt_guard import Guard, Misconfigured, anyone, scopes
from jwt_guard.access.carriers import (
    FORM_LIMIT,
    Carrier,
    Carriers,
    cookie,
    form,
    header,
    is_origin,
    query,
    websocket_subprotocol,
)
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import (
    ContentTooLarge,
    CrossOrigin,
    GuardError,
    InvalidToken,
    MalformedRequest,
    MissingToken,
)
from jwt_guard.messages import PlainRequest, Request, opens_websocket
from tests.support.minting import guard, mint
from tests.support.playing import play

LONGEST = 100
NAME = "__Host-session"
ALL = (header(), cookie(NAME), websocket_subprotocol(), query(), form())


@dataclass(frozen=True)
class WithForm(PlainRequest):
    """A request whose door reads forms."""

    body: bytes = b""

    def form(self, limit: int) -> bytes | None:
        return self.body if len(self.body) <= limit else None


class Handshake(PlainRequest):
    """A request whose door knows that it is a handshake, though no header says so."""

    is_websocket = True


def asked(method: str = "GET", query: str = "", **headers: str) -> PlainRequest:
    return PlainRequest(method, "/", query, tuple((name.replace("_", "-"), text) for name, text in headers.items()))


def filled(body: bytes, kind: str = "application/x-www-form-urlencoded", method: str = "POST") -> WithForm:
    return WithForm(method, "/", headers=(("content-type", kind),), body=body)


def taken(request: Request, *carriers: Carrier) -> str:
    return Carriers((header(), *carriers)).extract(request, LONGEST)


def refused(request: Request, *carriers: Carrier) -> GuardError:
    with pytest.raises(GuardError) as caught:
        taken(request, *carriers)
    return caught.value


# --- where they look ---------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", ALL[1:], ids=lambda carrier: carrier.kind)
def test_the_header_is_looked_at_whatever_else_is(carrier: Carrier) -> None:
    assert "a.b.c" == taken(asked(authorization="Bearer a.b.c"), carrier)
    assert MissingToken is type(refused(asked(), carrier))
    assert MissingToken is type(refused(asked(authorization="Basic YTpi"), carrier))


@pytest.mark.parametrize(
    ("request_", "carrier"),
    [
        (asked(cookie=f"{NAME}=a.b.c"), cookie(NAME)),
        (asked(cookie=f"theme=dark; {NAME}=a.b.c; x=y=z; flag"), cookie(NAME)),
        (asked(cookie=f"{NAME} = a.b.c ;"), cookie(NAME)),
        (asked(sec_websocket_protocol="bearer, a.b.c"), websocket_subprotocol()),
        (asked(sec_websocket_protocol="chat,bearer,a.b.c, superchat"), websocket_subprotocol()),
        (asked(sec_websocket_protocol="jwt, a.b.c"), websocket_subprotocol("jwt")),
        (asked(query="access_token=a.b.c"), query()),
        (asked(query="x=1&access_token=a.b.c&y"), query()),
        (asked(query="access%5Ftoken=a%2Eb%2ec"), query()),
        (asked(query="token=a.b.c"), query("token")),
        (filled(b"access_token=a.b.c&x=1"), form()),
        (filled(b"access_token=a.b.c", "Application/X-WWW-Form-URLEncoded ; charset=utf-8"), form()),
        (filled(b"access_token=a.b.c", method="PUT"), form()),
        (filled(b"access_token=a.b.c", method="PATCH"), form()),
        (filled(b"token=a.b.c"), form("token")),
    ],
)
def test_a_token_is_found_in_its_place(request_: Request, carrier: Carrier) -> None:
    assert "a.b.c" == taken(request_, carrier)
    assert Carriers((header(), carrier)).offers_credentials(request_)
    with pytest.raises(MissingToken):
        Carriers((header(),)).extract(request_, LONGEST)  # nobody was told to look there


@pytest.mark.parametrize(
    ("request_", "carrier"),
    [
        (asked(cookie="__host-session=a.b.c"), cookie(NAME)),
        (asked(cookie=f"x{NAME}=a.b.c; y={NAME}=a.b.c; {NAME}"), cookie(NAME)),
        (asked(sec_websocket_protocol="chat, a.b.c"), websocket_subprotocol()),
        (asked(sec_websocket_protocol="Bearer, a.b.c"), websocket_subprotocol()),
        (asked(query="Access_token=a.b.c&access_token2=a.b.c"), query()),
        (asked(query="x=1;access_token=a.b.c"), query()),
        (filled(b"access_token=a.b.c", "text/plain"), form()),
        (filled(b"access_token=a.b.c", "multipart/form-data; boundary=x"), form()),
        (WithForm("POST", "/", body=b"access_token=a.b.c"), form()),
        (filled(b"access_token=a.b.c", method="GET"), form()),
        (filled(b"access_token=a.b.c", method="DELETE"), form()),
        (filled(b"x=\xff\xfe"), form()),
    ],
)
def test_what_is_somewhere_else_is_nowhere(request_: Request, carrier: Carrier) -> None:
    assert MissingToken is type(refused(request_, carrier))
    assert not Carriers((header(), carrier)).offers_credentials(request_)


@pytest.mark.parametrize(
    ("request_", "carrier"),
    [
        (asked(cookie=f"{NAME}="), cookie(NAME)),
        (asked(sec_websocket_protocol="bearer"), websocket_subprotocol()),
        (asked(sec_websocket_protocol="bearer,"), websocket_subprotocol()),
        (asked(query="access_token="), query()),
        (asked(query="access_token"), query()),
        (filled(b"access_token"), form()),
    ],
)
def test_an_empty_place_is_an_attempt_without_a_token(request_: Request, carrier: Carrier) -> None:
    """As with an empty Bearer: 401 without an error code, also on an open route."""
    assert MissingToken is type(refused(request_, carrier))
    assert Carriers((header(), carrier)).offers_credentials(request_)


@pytest.mark.parametrize(
    ("request_", "carrier"),
    [
        (asked(cookie=f'{NAME}="a.b.c"'), cookie(NAME)),
        (asked(cookie=f"{NAME}=a b"), cookie(NAME)),
        (asked(cookie=f"{NAME}=Bearer a.b.c"), cookie(NAME)),
        (asked(cookie=f"{NAME}=a.b.c,{NAME}=a.b.c"), cookie(NAME)),
        (asked(cookie=f"{NAME}=a%2Eb"), cookie(NAME)),
        (asked(query="access_token=a+b"), query()),
        (asked(query="access_token=a%00"), query()),
        (asked(query="access_token=%C3%A9"), query()),
        (filled(b"access_token=a.b.c&x=\xff"), form()),
        (filled(b"x=\xc3\xa9&access_token="), form()),
    ],
)
def test_a_token_that_is_none_makes_the_request_malformed(request_: Request, carrier: Carrier) -> None:
    assert MalformedRequest is type(refused(request_, carrier))


@pytest.mark.parametrize(
    "request_",
    [
        asked(cookie=f"{NAME}={'a' * 101}"),
        asked(sec_websocket_protocol=f"bearer, {'a' * 101}"),
        asked(query=f"access_token={'a' * 101}"),
        filled(b"access_token=" + b"a" * 101),
    ],
    ids=["cookie", "subprotocol", "query", "form"],
)
def test_a_long_token_is_not_looked_at_wherever_it_is(request_: Request) -> None:
    assert InvalidToken is type(refused(request_, *ALL[1:]))


# --- one of them -------------------------------------------------------------------------------------

PLACES: dict[str, dict[str, Any]] = {
    "header": {"headers": (("authorization", "Bearer a.b.c"),)},
    "another scheme": {"headers": (("authorization", "Basic YTpi"),)},
    "cookie": {"headers": (("cookie", f"{NAME}=a.b.c"), ("sec-fetch-site", "same-origin"))},
    "subprotocol": {"headers": (("sec-websocket-protocol", "bearer, a.b.c"),)},
    "query": {"query": "access_token=a.b.c"},
    "form": {"body": b"access_token=a.b.c", "headers": (("content-type", "application/x-www-form-urlencoded"),)},
}
ONE_HEADER = {"header", "another scheme"}


@pytest.mark.parametrize(
    ("one", "other"), [(one, other) for one in PLACES for other in PLACES if one < other and {one, other} != ONE_HEADER]
)  # fmt: skip
def test_two_places_are_one_too_many_even_with_the_same_token(one: str, other: str) -> None:
    """RFC 6750 §2: not more than one method in each request; §3.1: else invalid_request."""
    first, second = PLACES[one], PLACES[other]
    both: dict[str, Any] = {**first, **second, "headers": (*first.get("headers", ()), *second.get("headers", ()))}

    error = refused(WithForm("POST", "/", **both), *ALL[1:])

    assert (MalformedRequest, 400, "invalid_request") == (type(error), error.status, error.code)


@pytest.mark.parametrize(
    "request_",
    [
        PlainRequest("GET", "/", headers=(("Authorization", "Bearer a"), ("Authorization", "Bearer a"))),
        asked(cookie=f"{NAME}=a; {NAME}=a"),
        asked(cookie=f"{NAME}=a; {NAME}="),
        PlainRequest("GET", "/", headers=(("cookie", f"{NAME}=a"), ("cookie", f"{NAME}=b"))),
        asked(sec_websocket_protocol="bearer, a, bearer, b"),
        asked(sec_websocket_protocol="bearer, bearer, a"),
        PlainRequest("GET", "/", headers=tuple([("sec-websocket-protocol", "bearer, a")] * 2)),
        asked(query="access_token=a&access_token=b"),
        asked(query="access_token=a&access%5ftoken="),
        filled(b"access_token=a&access_token=a"),
        replace(filled(b"access_token=a"), query="access_token=a"),
    ],
)
def test_twice_in_one_place_is_one_too_many(request_: Request) -> None:
    assert MalformedRequest is type(refused(request_, *ALL[1:]))


# --- forms -------------------------------------------------------------------------------------------


def test_a_form_that_is_too_long_to_look_at_is_refused_even_beside_a_header() -> None:
    """There could be a second token in it."""
    fits, long = b"x=" + b"a" * (FORM_LIMIT - 2), b"x=" + b"a" * (FORM_LIMIT - 1)

    assert MissingToken is type(refused(filled(fits), form()))
    error = refused(replace(filled(long), headers=(*filled(long).headers, ("authorization", "Bearer a"))), form())
    assert (ContentTooLarge, 413) == (type(error), error.status)


def test_more_parameters_than_anybody_sends_are_not_looked_at() -> None:
    many = "&".join(["x=1"] * 1_001)

    assert MalformedRequest is type(refused(asked(query=many), query()))
    assert MalformedRequest is type(refused(filled(many.encode()), form()))


def test_two_content_types_are_one_too_many_for_a_form() -> None:
    form_type = ("content-type", "application/x-www-form-urlencoded")
    for other in (form_type, ("content-type", "text/plain")):
        for types in ((form_type, other), (other, form_type)):
            request = WithForm("POST", "/", headers=types, body=b"access_token=a.b.c")

            assert MalformedRequest is type(refused(request, form()))
            assert not Carriers((header(), form())).wants_form(request)


def test_a_door_that_reads_no_forms_lets_none_pass() -> None:
    """There could be a token in it that nobody has seen."""
    request = PlainRequest("POST", "/", headers=filled(b"").headers)

    with pytest.raises(RuntimeError, match="does not read forms"):
        taken(request, form())


def test_only_a_form_has_its_body_read() -> None:
    looking, other = Carriers((header(), form())), Carriers((header(),))

    assert looking.wants_form(filled(b""))
    assert not looking.wants_form(filled(b"", "application/json"))
    assert not looking.wants_form(asked("POST"))
    assert not looking.wants_form(filled(b"", method="GET"))
    assert not other.wants_form(filled(b""))


# --- a cookie comes with every request ---------------------------------------------------------------

SAME = {"sec_fetch_site": "same-origin"}
APP = "https://app.test"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_a_safe_method_needs_no_proof(method: str) -> None:
    assert "a" == taken(asked(method, cookie=f"{NAME}=a", sec_fetch_site="cross-site", origin="null"), cookie(NAME))


PROOFS: list[dict[str, str]] = [
    SAME,
    {**SAME, "origin": "https://api.test", "host": "rewritten:8000"},
    {"origin": "https://api.test", "host": "api.test"},
    {"origin": "https://api.test:8443", "host": "API.test:8443"},
    {"origin": "http://localhost:8000", "host": "localhost:8000"},
    {"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"},
    {"origin": APP, "host": "api.test"},
    {"origin": APP, "host": "api.test", "sec_fetch_site": "same-site"},
    {"origin": APP, "sec_fetch_site": "cross-site"},
]
NO_PROOFS: list[dict[str, str]] = [
    {},
    {"host": "api.test"},
    {"origin": "null", "host": "null"},
    {"origin": "", "host": ""},
    {"origin": "https://", "host": ""},
    {"origin": "https://evil.test", "host": "api.test"},
    {"origin": "https://api.test", "host": "api.test", "sec_fetch_site": "cross-site"},
    {"origin": "https://api.test", "host": "api.test", "sec_fetch_site": "same-site"},
    {"origin": "https://api.test", "host": "api.test", "sec_fetch_site": "none"},
    {"sec_fetch_site": "none"},
    {"sec_fetch_site": "Same-Origin"},
    {"sec_fetch_site": "same-origin, cross-site"},
    {"origin": "http://api.test", "host": "api.test"},
    {"origin": "https://api.test:8443", "host": "api.test"},
    {"origin": "https://api.test"},
    {"origin": "https://app.test.evil.test", "host": "api.test"},
    {"origin": "https://app.test/", "host": "api.test"},
    {"origin": "http://app.test", "host": "api.test"},
    {"origin": "https://APP.test", "host": "api.test"},
    {"origin": "https://app.test https://evil.test", "host": "api.test"},
    {"referer": "https://app.test/page", "host": "api.test"},
]
HANDSHAKES: list[PlainRequest] = [
    asked(sec_websocket_version="13"),
    asked(upgrade="WebSocket"),
    asked(upgrade="h2c, websocket"),
    Handshake("GET", "/"),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "PROPFIND", ""])
def test_every_other_method_needs_a_proof(method: str) -> None:
    error = refused(asked(method, cookie=f"{NAME}=a"), cookie(NAME))

    assert (CrossOrigin, 403, None) == (type(error), error.status, error.code)
    assert "a" == taken(asked(method, cookie=f"{NAME}=a", **SAME), cookie(NAME))


@pytest.mark.parametrize("handshake", HANDSHAKES)
def test_a_handshake_needs_a_proof_though_it_is_a_get(handshake: PlainRequest) -> None:
    """RFC 6455 §10.2: a browser opens a websocket to any host for any page, and sends the cookies along."""
    assert opens_websocket(handshake)
    sent = replace(handshake, headers=(*handshake.headers, ("cookie", f"{NAME}=a")))
    assert CrossOrigin is type(refused(sent, cookie(NAME)))
    assert "a" == taken(replace(sent, headers=(*sent.headers, ("sec-fetch-site", "same-origin"))), cookie(NAME))


@pytest.mark.parametrize("headers", PROOFS, ids=str)
def test_a_page_of_ours_may_send_the_cookie(headers: dict[str, str]) -> None:
    assert "a" == taken(asked("POST", cookie=f"{NAME}=a", **headers), cookie(NAME, [APP]))


@pytest.mark.parametrize("headers", NO_PROOFS, ids=str)
def test_whatever_else_sends_it_is_refused(headers: dict[str, str]) -> None:
    assert CrossOrigin is type(refused(asked("POST", cookie=f"{NAME}=a", **headers), cookie(NAME, [APP])))


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site", "host"])
def test_a_proof_that_is_there_twice_is_none(name: str) -> None:
    headers = [("cookie", f"{NAME}=a"), ("origin", "https://api.test"), ("host", "api.test")]
    if name == "sec-fetch-site":
        headers.append((name, "same-origin"))
    twice = (*headers, *(header for header in headers if header[0] == name))

    assert "a" == taken(PlainRequest("POST", "/", headers=tuple(headers)), cookie(NAME))
    assert CrossOrigin is type(refused(PlainRequest("POST", "/", headers=twice), cookie(NAME)))


def test_a_token_that_no_browser_adds_by_itself_needs_no_proof() -> None:
    evil = {"origin": "https://evil.test", "sec_fetch_site": "cross-site"}

    assert "a" == taken(asked("POST", authorization="Bearer a", **evil), cookie(NAME))
    assert "a" == taken(asked("POST", "access_token=a", **evil), cookie(NAME), query())
    assert "a" == taken(asked(sec_websocket_protocol="bearer, a", upgrade="websocket", **evil), *ALL[1:-1])


def test_other_cookies_of_the_site_are_nobody_s_token() -> None:
    assert MissingToken is type(refused(asked("POST", cookie="theme=dark"), cookie(NAME)))


# --- how they are made -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a,b", "é", "a\n", 1, None])
@pytest.mark.parametrize("make", [cookie, websocket_subprotocol, query, form])
def test_a_name_that_cannot_be_sent_is_refused(make: Any, name: Any) -> None:
    with pytest.raises(Misconfigured, match="a name is letters"):
        make(name)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "", "app.test", "https://app.test/", "https://APP.test", "https://a b", "https://*.test",
     "https://me@app.test", "https://app.test:", "https://app.test:123456", "https://app.test\n", None, 1],
)  # fmt: skip
def test_what_no_browser_calls_an_origin_is_refused(origin: Any) -> None:
    assert not is_origin(origin)
    with pytest.raises(Misconfigured, match="origins"):
        cookie(NAME, [origin])


@pytest.mark.parametrize("origins", ["https://app.test", None, 1])
def test_origins_are_a_list(origins: Any) -> None:
    with pytest.raises(Misconfigured, match="a list of texts"):
        cookie(NAME, origins)


@pytest.mark.parametrize(
    "origin",
    ["https://app.test", "http://localhost:3000", "https://[::1]:8443", "capacitor://localhost", "chrome-extension://abc"],
)  # fmt: skip
def test_an_origin_is_whatever_a_browser_calls_one(origin: str) -> None:
    assert frozenset({origin}) == cookie(NAME, [origin]).origins


@pytest.mark.parametrize(
    "carriers",
    [
        (),
        None,
        "header",
        [cookie(NAME)],
        [header(), "cookie"],
        [header(), header()],
        [header(), cookie("a"), cookie("b")],
    ],
)
def test_carriers_that_make_no_sense_are_refused(carriers: Any) -> None:
    with pytest.raises(Misconfigured):
        Guard(guard().providers, carriers=carriers)


def test_what_a_metadata_document_says_of_the_places_is_what_it_has_names_for() -> None:
    assert ["header", "query", "body"] == Carriers(ALL).methods
    assert ["header"] == Carriers((header(),)).methods


def test_the_token_is_taken_out_of_the_subprotocols() -> None:
    listed = ["chat", "bearer", "a.b.c", "superchat", "bearer"]

    assert ["chat", "bearer", "superchat", "bearer"] == Carriers(ALL).without_token(listed)
    assert listed == Carriers((header(),)).without_token(listed)


def test_a_token_in_the_query_is_seen_there_only_by_who_looks() -> None:
    request = asked(query="access_token=a")

    assert Carriers(ALL).is_in_query(request)
    assert not Carriers(ALL).is_in_query(asked(query="x=a"))
    assert not Carriers((header(),)).is_in_query(request)


# --- a guard with them -------------------------------------------------------------------------------


def decided(of: Guard, request: Request) -> Any:
    return play(lambda: of.decide(request)).value


@pytest.mark.parametrize(
    "policy", [scopes("orders:read"), anyone(), lambda _, who: Allow(who)], ids=["at sight", "open", "own"]
)
def test_no_short_cut_lets_a_second_credential_pass(policy: Any) -> None:
    """What was remembered of a header says nothing of a cookie beside it."""
    token = mint()
    of = replace(guard(policy=policy), carriers=ALL)
    value = f"Bearer {token}"
    alone, both = asked(authorization=value), asked(authorization=value, cookie=f"{NAME}={token}")
    for _ in range(3):
        assert isinstance(decided(of, alone), Allow)
        assert None is of.at_sight(value.encode())
        assert None is of.at_sight_of_text(value)
        assert None is of.glance(value, both)
        assert None is of.glance(None, both)
        decision = decided(of, both)

        assert isinstance(decision, Deny)
        assert isinstance(decision.error, MalformedRequest)


def test_a_guard_that_looks_in_the_header_alone_keeps_its_short_cuts() -> None:
    token = mint()
    of = guard(policy=scopes("orders:read"))
    decided(of, asked(authorization=f"Bearer {token}"))

    assert (header(),) == of.carriers
    assert isinstance(of.at_sight(f"Bearer {token}".encode()), Allow)
    assert isinstance(of.glance(f"Bearer {token}", asked()), Allow)


def test_absent_is_the_only_anonymous_in_every_place() -> None:
    of = replace(guard(policy=anyone()), carriers=ALL)

    assert Allow(None) == decided(of, asked())
    for request in (asked(cookie=f"{NAME}=bad"), asked(query="access_token=bad"), filled(b"access_token=bad")):
        assert isinstance(decided(of, request), Deny)


def test_a_guard_with_one_more_condition_looks_in_the_same_places() -> None:
    of = replace(guard(), carriers=ALL).requiring(scopes("orders:read"))

    assert ALL == of.carriers
    assert "ada-lovelace" == decided(of, asked(cookie=f"{NAME}={mint()}")).credentials.user
