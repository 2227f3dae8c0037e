"""A fault → what it does on the wire, and what a guard answers that meets it with keys and without."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from jwt_guard import KeySettings
from jwt_guard.testing import FLAWS, Answer, Clock, Exchange, Fault, Flaw, LocalIssuer, ServedIssuer, faults
from tests.testing.wire import METADATA, asked, connected, octets, status, until

USELESS: dict[str, Callable[[], Fault]] = {
    "reset": faults.reset,
    "cut_short": faults.cut_short,
    "status": lambda: faults.status(500),
    "not asked for": lambda: faults.status(304),
    "nothing in it": lambda: faults.status(204),
    "body": lambda: faults.body(b"[]"),
    "garbage": faults.garbage,
    "html": faults.html,
    "empty": faults.empty,
    "redirect": lambda: faults.redirect("https://another.test/jwks"),
    "huge": faults.huge,
    "gzip_bomb": faults.gzip_bomb,
    "no_keys": faults.no_keys,
    "secret_keys": faults.secret_keys,
    "no keys of theirs": lambda: faults.on_keys(faults.body(b'{"keys": [{"kty": "EC"}]}')),
}
"""What ends soon, and brings no key."""
ENDLESS: dict[str, Callable[[], Fault]] = {
    "hang": faults.hang,
    "drip": faults.drip,
    "slow": lambda: faults.slow(60),
}
"""What does not end before a guard gives up."""
FORGED: tuple[Flaw, ...] = (
    "signed by another key",
    "signed by an unknown key",
    "changed claims",
    "changed signature",
)
"""What nobody can tell without the keys."""


@pytest.fixture
def issuer() -> Iterator[ServedIssuer]:
    with LocalIssuer(clock=Clock()).serve() as served:
        yield served


def published(issuer: ServedIssuer) -> dict[str, Any]:
    document: dict[str, Any] = asked(issuer.jwks_url).json()
    return document


def described(issuer: ServedIssuer) -> dict[str, Any]:
    document: dict[str, Any] = asked(issuer.url + METADATA).json()
    return document


@pytest.fixture
def clock(issuer: ServedIssuer) -> Clock:
    assert isinstance(issuer.clock, Clock)
    return issuer.clock


# --- no answer, or none of HTTP -----------------------------------------------------------------------


def test_a_reset_is_one_of_tcp(issuer: ServedIssuer) -> None:
    issuer.fault = faults.reset()

    with pytest.raises(ConnectionResetError):
        octets(issuer.url)


def test_a_reset_may_come_in_the_midst(issuer: ServedIssuer) -> None:
    def fault(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        exchange.wait(0.01)
        exchange.reset()

    issuer.fault = fault
    with pytest.raises(ConnectionResetError):
        octets(issuer.url)


def test_what_is_cut_short_is_half_of_what_it_says(issuer: ServedIssuer) -> None:
    well = asked(issuer.jwks_url).content
    issuer.fault = faults.cut_short()
    head, _, body = octets(issuer.url).partition(b"\r\n\r\n")

    assert f"Content-Length: {len(well)}\r\n".encode() in head + b"\r\n"
    assert well[: len(well) // 2] == body
    with pytest.raises(httpx.RemoteProtocolError):
        asked(issuer.jwks_url)


def test_drops_come_one_at_a_time_for_as_long_as_somebody_listens(issuer: ServedIssuer) -> None:
    issuer.fault = faults.drip()
    began, got = time.monotonic(), b""
    with closing(connected(issuer.url)) as connection:
        while len(got.partition(b"\r\n\r\n")[2]) < 6:
            got += connection.recv(65_536)
        took = time.monotonic() - began

    assert b"" == got.partition(b"\r\n\r\n")[2].strip(b" ")
    assert took > 0.05
    issuer.wait_for(lambda: issuer.under_way == 0)


def test_what_hangs_waits_until_it_is_released(issuer: ServedIssuer) -> None:
    issuer.fault = faults.hang()
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(asked, issuer.jwks_url) for _ in range(2)]
        issuer.wait_for(lambda: issuer.under_way == 2)

        assert not any(answer.done() for answer in answers)

        issuer.release()

        assert [issuer.keyring.jwks()] * 2 == [answer.result(10).json() for answer in answers]


def test_whoever_comes_after_a_release_hangs_again(issuer: ServedIssuer) -> None:
    released: list[bool] = []

    def fault(exchange: Exchange) -> None:
        released.append(exchange.wait(60 if not released else 0.01))
        exchange.answer(Answer(500))

    issuer.fault = fault
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, issuer.jwks_url)
        issuer.wait_for(lambda: issuer.under_way == 1)
        issuer.release()

        assert 500 == answer.result(10).status_code

    assert 500 == asked(issuer.jwks_url).status_code
    assert [True, False] == released


def test_what_comes_after_a_wait_can_be_chosen(issuer: ServedIssuer) -> None:
    issuer.fault = faults.hang(faults.status(500))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, issuer.jwks_url)
        issuer.wait_for(lambda: issuer.under_way == 1)
        issuer.release()

        assert 500 == answer.result(10).status_code


@pytest.mark.parametrize(("then", "code"), [(None, 200), (faults.status(500), 500)])
def test_what_is_slow_takes_its_time(issuer: ServedIssuer, then: Fault | None, code: int) -> None:
    issuer.fault = faults.slow(0.05, then)
    began = time.monotonic()

    assert code == asked(issuer.jwks_url).status_code
    assert time.monotonic() - began >= 0.05


def test_what_is_slow_can_be_released(issuer: ServedIssuer) -> None:
    issuer.fault = faults.slow(60)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, issuer.jwks_url)
        issuer.wait_for(lambda: issuer.under_way == 1)
        issuer.release()

        assert 200 == answer.result(10).status_code


# --- an answer that is of no use ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "content_type", "body"),
    [
        (faults.status(418), 418, None, b""),
        (faults.status(599, {"Content-Type": "x/y"}), 599, "x/y", b""),
        (faults.body(b"abc"), 200, "application/json", b"abc"),
        (faults.body(b"abc", "text/plain"), 200, "text/plain", b"abc"),
        (faults.empty(), 200, "application/json", b""),
    ],
)
def test_an_answer_is_as_it_was_told(
    issuer: ServedIssuer, fault: Fault, code: int, content_type: str | None, body: bytes
) -> None:
    issuer.fault = fault
    answer = asked(issuer.jwks_url)

    assert (code, content_type, body) == (answer.status_code, answer.headers.get("content-type"), answer.content)
    assert str(len(body)) == answer.headers["content-length"]


@pytest.mark.parametrize("code", [204, 304])
def test_what_has_no_content_has_no_length(issuer: ServedIssuer, code: int) -> None:
    issuer.fault = faults.status(code)
    answer = asked(issuer.jwks_url)

    assert code == answer.status_code
    assert "content-length" not in answer.headers


def test_garbage_is_no_text(issuer: ServedIssuer) -> None:
    issuer.fault = faults.garbage()
    answer = asked(issuer.jwks_url)

    assert "application/json" == answer.headers["content-type"]
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode("utf-8")


def test_a_page_is_for_people(issuer: ServedIssuer) -> None:
    issuer.fault = faults.html()
    answer = asked(issuer.jwks_url)

    assert (200, "text/html") == (answer.status_code, answer.headers["content-type"])
    assert answer.text.startswith("<!doctype html>")


def test_a_redirect_points_elsewhere(issuer: ServedIssuer) -> None:
    issuer.fault = faults.redirect("https://another.test/jwks")
    answer = asked(issuer.jwks_url)

    assert (302, "https://another.test/jwks") == (answer.status_code, answer.headers["location"])


@pytest.mark.parametrize(("fault", "length"), [(faults.huge(), 300_000), (faults.huge(1_000), 1_000)])
def test_what_is_huge_is_right_and_long(issuer: ServedIssuer, fault: Fault, length: int) -> None:
    issuer.fault = fault
    answer = asked(issuer.jwks_url)

    assert length == len(answer.content)
    assert issuer.keyring.jwks() == answer.json()


def test_a_bomb_is_small_until_it_is_unpacked(issuer: ServedIssuer) -> None:
    issuer.fault = faults.gzip_bomb()
    head, _, body = octets(issuer.url).partition(b"\r\n\r\n")

    assert b"\r\nContent-Encoding: gzip\r\n" in head
    assert len(body) < 11_000
    assert b" " * 10_000_000 == gzip.decompress(body)


# --- a document that is wrong; the other one stays well -----------------------------------------------


def test_a_set_without_keys_is_empty_and_the_metadata_stay(issuer: ServedIssuer) -> None:
    well = described(issuer)
    issuer.fault = faults.no_keys()

    assert {"keys": []} == published(issuer)
    assert well == described(issuer)


def test_wrong_keys_have_the_right_names(issuer: ServedIssuer) -> None:
    issuer.publish()
    issuer.fault = faults.wrong_keys()
    right, wrong = issuer.keyring.jwks()["keys"], published(issuer)["keys"]

    assert [key["kid"] for key in right] == [key["kid"] for key in wrong]
    assert set() == {key["x"] for key in right} & {key["x"] for key in wrong}
    assert wrong == published(issuer)["keys"]

    issuer.rotate()

    assert [key.kid for key in issuer.keyring.keys] == [key["kid"] for key in published(issuer)["keys"]]


def test_private_keys_are_those_that_sign(issuer: ServedIssuer) -> None:
    issuer.fault = faults.private_keys()

    assert {"keys": [issuer.key.private_jwk()]} == published(issuer)
    assert "d" in published(issuer)["keys"][0]


def test_secret_keys_have_the_names_of_the_right_ones(issuer: ServedIssuer) -> None:
    issuer.fault = faults.secret_keys()

    assert [("oct", issuer.key.kid, "HS256")] == [
        (key["kty"], key["kid"], key["alg"]) for key in published(issuer)["keys"]
    ]


def test_a_wrong_issuer_stands_in_the_metadata_alone(issuer: ServedIssuer) -> None:
    well = described(issuer)
    issuer.fault = faults.wrong_issuer()

    assert {**well, "issuer": "https://another.test"} == described(issuer)
    assert issuer.keyring.jwks() == published(issuer)

    issuer.fault = faults.wrong_issuer("x")

    assert "x" == described(issuer)["issuer"]


# --- combinations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "codes"), [(faults.on_keys, (500, 200)), (faults.on_metadata, (200, 500))])
def test_a_fault_may_be_at_one_place_alone(
    issuer: ServedIssuer, where: Callable[[Fault], Fault], codes: tuple[int, int]
) -> None:
    issuer.fault = where(faults.status(500))

    assert codes == (asked(issuer.jwks_url).status_code, asked(issuer.url + METADATA).status_code)


def test_faults_come_in_turn_and_then_it_is_well(issuer: ServedIssuer) -> None:
    issuer.fault = faults.in_turn(faults.status(500), None, faults.status(502))

    assert [500, 200, 502, 200, 200] == [asked(issuer.jwks_url).status_code for _ in range(5)]


def test_each_fault_of_a_turn_is_done_once_however_many_ask_at_once(issuer: ServedIssuer) -> None:
    issuer.fault = faults.in_turn(*(faults.status(code) for code in range(500, 520)))
    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(lambda _number: asked(issuer.jwks_url).status_code, range(25))

        assert [200] * 5 + list(range(500, 520)) == sorted(answers)


def outcomes(fault: Fault) -> list[int]:
    """Return what *fault* does to forty requests, in this order."""
    codes: list[int] = []
    with LocalIssuer().serve() as issuer:
        issuer.fault = fault
        codes.extend(asked(issuer.jwks_url).status_code for _ in range(40))
    return codes


def test_chance_is_the_same_for_the_same_seed() -> None:
    two = faults.status(500), faults.status(502)
    first = outcomes(faults.sometimes(0.5, *two, seed=1))

    assert first == outcomes(faults.sometimes(0.5, *two, seed=1))
    assert first != outcomes(faults.sometimes(0.5, *two, seed=2))
    assert {200, 500, 502} == set(first)


@pytest.mark.parametrize(("share", "code"), [(0, 200), (1, 500)])
def test_never_and_always_are_shares(share: float, code: int) -> None:
    assert {code} == set(outcomes(faults.sometimes(share, faults.status(500))))


@pytest.mark.parametrize(("share", "what"), [(0.5, ()), (-0.1, (faults.reset(),)), (1.1, (faults.reset(),))])
def test_a_chance_of_nothing_is_a_mistake(share: float, what: tuple[Fault, ...]) -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        faults.sometimes(share, *what)


def test_a_fault_of_ones_own_sees_what_is_asked_and_what_would_be_answered(issuer: ServedIssuer) -> None:
    seen: list[Exchange] = []

    def fault(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.answer(Answer(201, {"X-Keys": str(len(exchange.keys))}, json.dumps(exchange.document).encode()))

    issuer.fault = fault
    answer = asked(issuer.jwks_url)

    assert (201, "1", issuer.keyring.jwks()) == (answer.status_code, answer.headers["x-keys"], answer.json())

    asked(issuer.url + METADATA)

    assert [True, False] == [exchange.is_for_keys for exchange in seen]


# --- what a guard answers -----------------------------------------------------------------------------


def test_each_fault_is_tried_here() -> None:
    combined = {"on_keys", "on_metadata", "in_turn", "sometimes", "wrong_keys", "private_keys", "wrong_issuer"}

    assert set(faults.__all__) - {"Answer", "Exchange", "Fault"} <= {*USELESS, *ENDLESS} | combined


@pytest.mark.parametrize("name", USELESS)
def test_what_is_useless_is_a_503_without_keys(issuer: ServedIssuer, name: str) -> None:
    guard = issuer.guard(keys=issuer.keys(KeySettings(timeout=1)))  # which leaves time for one more try
    issuer.fault = USELESS[name]()

    assert 503 == status(guard, issuer.token())
    assert 401 == status(guard, issuer.bad_token("expired"))


def test_the_first_keys_that_can_be_had_let_everybody_in(issuer: ServedIssuer, clock: Clock) -> None:
    guard = issuer.guard()
    issuer.fault = faults.html()

    assert 503 == status(guard, issuer.token())

    issuer.fault = None
    clock.forward(1)  # the pause after a failure, which a test need not sit out

    assert 200 == status(guard, issuer.token())


@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_a_503_without_keys(issuer: ServedIssuer, name: str) -> None:
    guard = issuer.guard(keys=issuer.keys(KeySettings(timeout=0.3)))
    issuer.fault = ENDLESS[name]()

    assert 503 == status(guard, issuer.token())
    assert 401 == status(guard, issuer.bad_token("for another audience"))


@pytest.mark.parametrize("name", [name for name in (*USELESS, *ENDLESS) if name != "not asked for"])
def test_keys_outlive_each_fault(issuer: ServedIssuer, clock: Clock, name: str) -> None:
    source = issuer.keys()
    guard = issuer.guard(keys=source)

    assert 200 == status(guard, issuer.token())

    if name in ENDLESS:
        source.settings = KeySettings(timeout=0.3)
    issuer.fault = {**USELESS, **ENDLESS}[name]()
    clock.forward(300)
    before = issuer.requests.total()

    assert 200 == status(guard, issuer.token())

    issuer.wait_for(lambda: issuer.requests.total() > before)  # behind that request
    until(lambda: guard.key_states()["test"].last_error is not None)

    assert (True, True) == (guard.key_states()["test"].usable, guard.key_states()["test"].stale)
    assert 200 == status(guard, issuer.token())
    assert 401 == status(guard, issuer.bad_token("signed by another key"))
    assert 503 == status(guard, issuer.bad_token("signed by an unknown key"))  # which might be a new one


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_is_bad_whoever_signed_it_is_a_401_while_nobody_has_keys(issuer: ServedIssuer, flaw: Flaw) -> None:
    issuer.is_down = True

    assert (503 if flaw in FORGED else 401) == status(issuer.guard(), issuer.bad_token(flaw))


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_is_bad_is_a_401_while_the_keys_are_there(issuer: ServedIssuer, flaw: Flaw) -> None:
    guard = issuer.guard()

    assert 200 == status(guard, issuer.token())
    assert 401 == status(guard, issuer.bad_token(flaw))


def test_keys_that_are_wrong_verify_nothing(issuer: ServedIssuer) -> None:
    issuer.fault = faults.wrong_keys()

    assert 401 == status(issuer.guard(), issuer.token())


def test_a_published_secret_verifies_nothing(issuer: ServedIssuer) -> None:
    issuer.fault = faults.secret_keys()
    forged = issuer.token(header={"alg": "HS256"})

    assert 401 == status(issuer.guard(), forged)


def test_a_guard_takes_of_private_keys_the_public_halves(issuer: ServedIssuer) -> None:
    issuer.fault = faults.private_keys()

    assert 200 == status(issuer.guard(), issuer.token())


def test_metadata_of_another_issuer_lead_nowhere(issuer: ServedIssuer) -> None:
    issuer.fault = faults.wrong_issuer()

    assert 503 == status(issuer.guard(), issuer.token())
    assert issuer.requests[METADATA]
    assert 0 == issuer.requests["/jwks"]


def test_one_reset_refuses_nobody(issuer: ServedIssuer) -> None:
    issuer.fault = faults.on_keys(faults.in_turn(faults.reset()))

    assert 200 == status(issuer.guard(), issuer.token())
    assert 2 == issuer.requests["/jwks"]
