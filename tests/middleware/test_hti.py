"""A browser with a launch at a handler → what it launches, or a page that says nothing but a reference."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import anyio
import pytest

from jwt_guard.access.once import Once
from jwt_guard.errors import Unavailable
from jwt_guard.middleware import hti
from jwt_guard.middleware.hti import Launch, Launches, LaunchRefused, areceive_launch, receive_launch
from tests.access.test_hti import guarding, launch, of
from tests.access.test_launching import FORM, token
from tests.support.minting import ABSENT, mint

FHIR = "https://fhir.koppeltaal.example/r4"
Way = Literal["plain", "asyncio", "trio"]
WAYS: tuple[Way, ...] = ("plain", "asyncio", "trio")


def received(way: Way, launches: Launches, method: str = "POST", **fields: str) -> Launch | LaunchRefused:
    body = urlencode(fields).encode()
    if way == "plain":
        return receive_launch(launches, method, FORM, body)
    return anyio.run(partial(areceive_launch, launches, method, FORM, body), backend=way)


def refused(launches: Launches | None = None, method: str = "POST", **fields: str) -> LaunchRefused:
    found = received("plain", launches or Launches(guarding(), FHIR), method, **fields)

    assert isinstance(found, LaunchRefused)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_plain_and_async_handlers_get_the_same(way: Way) -> None:
    launches = Launches(guarding(), FHIR)
    first = received(way, launches, token=token())
    again = received(way, launches, launch=token(), iss=FHIR)

    assert isinstance(first, Launch)
    assert "Task/5f684c5f" == first.resource
    assert isinstance(again, LaunchRefused)
    assert 401 == again.status


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", {}, 405),
        ("POST", {}, 400),
        ("POST", {"token": "NOOP"}, 401),
        ("POST", {"token": "a.b.c.d.e"}, 401),
        ("POST", {"launch": "a", "iss": "https://evil.example"}, 400),
        ("POST", {"token": "a" * 70_000}, 413),
    ],
)
def test_the_status_says_whose_fault_it_is(method: str, fields: dict[str, str], status: int) -> None:
    answer = refused(None, method, **fields)

    assert status == answer.status
    assert ("POST" if status == 405 else None) == answer.headers.get("allow")
    challenge = answer.headers.get("www-authenticate", "")
    assert (status == 401) == challenge.startswith('Bearer realm="launch", error="invalid_token"')


def test_what_cannot_be_told_is_ours_and_for_now(caplog: pytest.LogCaptureFixture) -> None:
    used = Once(most=1)
    launches = Launches(guarding(of(once=used), of(issuer="other", name="other", once=used)))

    assert isinstance(received("plain", launches, token=token()), Launch)
    answer = refused(launches, token=mint(launch(iss="other"), alg="RS256"))
    assert (503, "5") == (answer.status, answer.headers["retry-after"])
    assert isinstance(answer.error, Unavailable)
    assert b"right now" in answer.body
    assert ["ERROR"] == [record.levelname for record in caplog.records]


def test_the_page_says_a_reference_and_the_log_says_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwt_guard")
    text = token(resource=ABSENT)
    answer = refused(token=text)
    (record,) = caplog.records

    assert f"launch refused {answer.reference}: 401 ClaimRejected: resource: is required" == record.getMessage()
    assert (answer.reference, "ClaimRejected") == (vars(record)["jwt_guard_id"], vars(record)["jwt_guard_error"])
    assert answer.reference.encode() in answer.body
    for said in (caplog.text, answer.body.decode(), repr(answer)):
        assert text not in said
        assert "225d67a7" not in said


def test_all_refusals_look_alike() -> None:
    pages = [refused(token=each) for each in ("NOOP", token(aud="Device/9"), token(iss="nobody"), token(exp=1))]

    assert 1 == len({page.body.replace(page.reference.encode(), b"") for page in pages})
    assert 1 == len({tuple(page.headers.items()) for page in pages})
    assert 4 == len({page.reference for page in pages})


def test_the_page_is_kept_nowhere_and_can_do_nothing() -> None:
    answer = refused()

    assert "text/html; charset=utf-8" == answer.headers["content-type"]
    assert str(len(answer.body)) == answer.headers["content-length"]
    assert "no-store" == answer.headers["cache-control"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_bug_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    launches = Launches(guarding())
    monkeypatch.setattr(hti.Launches, "receive", broken)
    for way in WAYS:
        with pytest.raises(ZeroDivisionError):
            received(way, launches, token="a")
