"""A URL → the set that is published there, or why there is none: what is asked, and what of the answer counts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from jwt_guard.errors import FetchFailed
from jwt_guard.flow import Fetch, Reply, Trust
from jwt_guard.sources.published import Published, Question, published
from tests.support.keys import public_jwk
from tests.support.playing import Played, down, play, reply

URL = "https://id.test/keys"


def answer(*kids: str, status: int = 200, etag: str | None = None, cache_control: str | None = None) -> Reply:
    document = {"keys": [public_jwk("ES256", kid, kid=kid) for kid in kids]}
    headers = {"etag": etag, "cache-control": cache_control}
    return Reply(status, {name: value for name, value in headers.items() if value is not None}, reply(document).body)


def ask(reply_: Any, known: Published | None = None, now: float = 1_000, **more: Any) -> Played:
    question = Question(URL, 3, Trust(), 300, known, **more)
    return play(partial(published, question, now), reply_)


def found(*kids: str, etag: str | None = None, cache_control: str | None = None) -> Published:
    result: Published = ask(answer(*kids, etag=etag, cache_control=cache_control), now=500).value
    return result


def sent(played: Played) -> dict[str, str]:
    (need,) = played.needs
    assert isinstance(need, Fetch)
    return dict(need.headers)


def test_a_set_is_what_was_sent_and_when() -> None:
    got = ask(answer("a", etag='"1"', cache_control="max-age=600")).value

    assert {"a"} == got.keys.kids
    assert answer("a").body == got.body
    assert (URL, '"1"', 600, 1_000) == (got.url, got.etag, got.fresh_for, got.fetched)
    assert 5 == got.age(1_005)
    assert 0 == got.age(900), "a clock that was put back makes nothing younger than new"


def test_no_two_answers_have_one_name() -> None:
    assert found("a").name != found("a").name


def test_nothing_of_a_set_that_is_long_is_in_its_repr() -> None:
    assert "crv" not in repr(found("a"))


def test_the_request_is_bounded() -> None:
    (need,) = ask(answer("a")).needs

    assert isinstance(need, Fetch)
    assert (URL, 3, 262_144) == (need.url, need.deadline, need.limit)
    assert {"Accept"} == set(need.headers)


def test_what_is_known_is_asked_for_by_its_tag_and_kept_where_nothing_has_changed() -> None:
    known = found("a", etag='W/"1"', cache_control="max-age=600")

    same = ask(Reply(304, {}, b""), known)

    assert 'W/"1"' == sent(same)["If-None-Match"]
    assert known.keys is same.value.keys
    assert known.body is same.value.body
    assert 1_000 == same.value.fetched
    assert known.name != same.value.name, "another answer"
    assert ('W/"1"', 600) == (same.value.etag, same.value.fresh_for), "what it does not say again still holds"


def test_an_answer_that_nothing_has_changed_may_bring_other_times() -> None:
    known = found("a", etag='"1"', cache_control="max-age=600")

    same = ask(Reply(304, {"cache-control": "max-age=900", "etag": '"2"'}, b""), known).value

    assert ('"2"', 900) == (same.etag, same.fresh_for)


def test_without_a_tag_or_for_another_url_or_for_an_unknown_key_all_of_it_is_asked_for() -> None:
    tagged = found("a", etag='"1"')
    moved = Published(tagged.keys, tagged.body, "https://old.test/", tagged.etag, 300, 0)

    assert "If-None-Match" not in sent(ask(answer("a"), found("a")))
    assert "If-None-Match" not in sent(ask(answer("a"), moved))
    assert "If-None-Match" not in sent(ask(answer("a"), tagged, afresh=True))
    assert "If-None-Match" not in sent(ask(answer("a")))


@pytest.mark.parametrize("known", [None, found("a"), found("a", etag='"1"')])
def test_nothing_has_changed_is_no_answer_to_who_has_not_asked_that(known: Published | None) -> None:
    played = ask(Reply(304, {}, b""), known, afresh=True)

    assert isinstance(played.error, FetchFailed)
    assert "answered with 304" in str(played.error)


@pytest.mark.parametrize("status", [100, 201, 203, 204, 206, 301, 302, 303, 307, 400, 401, 403, 404, 429, 500, 503])
def test_what_is_not_200_is_no_set(status: int) -> None:
    played = ask(answer("a", status=status))

    assert isinstance(played.error, FetchFailed)
    assert str(status) in str(played.error)
    assert URL in str(played.error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>",
        b"[]",
        b"{}",
        b'{"keys":[]}',
        b'{"keys":[{}]}',
        b'{"keys":[],"keys":[]}',
        b"\x1f\x8b\x08\0",
    ],
)
def test_what_holds_no_key_is_no_set(body: bytes) -> None:
    assert isinstance(ask(Reply(200, {}, body)).error, FetchFailed)


def test_too_many_keys_are_no_set() -> None:
    assert isinstance(ask(reply({"keys": [public_jwk("ES256")] * 101})).error, FetchFailed)


def test_an_error_goes_through() -> None:
    assert "no answer" in str(ask(down()).error)


def test_a_key_that_is_still_published_stays_the_same_object_wherever_the_set_is() -> None:
    known = found("a", "b")
    moved = Published(known.keys, known.body, "https://old.test/", None, 300, 0)

    for before in (known, moved):
        after = ask(answer("b", "c"), before).value
        assert before.keys.find("b", "ES256") is after.keys.find("b", "ES256")
        assert {"b", "c"} == after.keys.kids
