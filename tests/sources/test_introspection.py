"""A token and an endpoint → what is asked there, what its answer counts for, and for how long."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from jwt_guard import KeySettings, Unavailable
from jwt_guard.errors import GuardError, InvalidToken, Misconfigured
from jwt_guard.flow import Alone, Fetch, Reply, Trust
from jwt_guard.sources import introspection as module
from jwt_guard.sources.introspection import Answer, Introspection, introspection
from tests.support.minting import NOW
from tests.support.playing import Clock, Meanwhile, Played, down, play, reply

URL = "https://id.test/introspect"
TOKEN = "kD5w.s~3/x+y=="
ACTIVE = {"active": True, "client_id": "shop", "exp": NOW + 3_600}


class Asked:
    """An introspection with its clock."""

    def __init__(self, **changes: Any) -> None:
        settings: dict[str, Any] = {"client_id": "orders-api", "client_secret": "s3cret", **changes}
        self.clock = Clock(1_000)
        self.of = introspection(URL, **settings)
        self.of._clock = self.clock  # type: ignore[misc]

    def __call__(self, *answers: Any, token: str = TOKEN, now: float = NOW) -> Played:
        return play(lambda: self.of.ask(token, now), *answers)

    def known(self, token: str = TOKEN) -> Any:
        return play(lambda: self.of.known(token))


def question(played: Played) -> Fetch:
    (need,) = (need for need in played.needs if isinstance(need, Fetch))
    return need


def form(played: Played) -> dict[str, list[str]]:
    return parse_qs((question(played).body or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)


# --- what is asked -----------------------------------------------------------------------------------


def test_the_token_is_asked_about_in_a_form_with_the_secret_in_the_header() -> None:
    asked = Asked(client_id="orders api:1", client_secret="a/b&ü %")(reply(ACTIVE))
    need = question(asked)

    assert URL == need.url
    assert {"token": [TOKEN], "token_type_hint": ["access_token"]} == form(asked)
    assert "application/x-www-form-urlencoded" == need.headers["Content-Type"]
    assert "application/json" == need.headers["Accept"]
    scheme, _, pair = need.headers["Authorization"].partition(" ")
    assert "Basic" == scheme
    assert b"orders+api%3A1:a%2Fb%26%C3%BC+%25" == base64.b64decode(pair)  # RFC 6749 §2.3.1


def test_a_client_with_a_key_makes_an_assertion_for_each_question() -> None:
    made: list[str] = []

    def make() -> str:
        made.append(f"assertion.{len(made)}")
        return made[-1]

    ask = Asked(client_secret=None, assertion=make)
    first, second = ask(reply(ACTIVE)), ask(reply(ACTIVE), token="another")

    assert ["assertion.0"] == form(first)["client_assertion"]
    assert ["assertion.1"] == form(second)["client_assertion"]
    assert ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] == form(first)["client_assertion_type"]
    assert ["orders-api"] == form(first)["client_id"]
    assert "Authorization" not in question(first).headers


def test_an_assertion_that_cannot_be_made_is_ours_to_mend_and_says_nothing_of_why() -> None:
    def make() -> str:
        raise ValueError("the private key is 4711")

    played = Asked(client_secret=None, assertion=make)()

    assert isinstance(played.error, Unavailable)
    assert "the client assertion raised ValueError" in str(played.error)
    assert "4711" not in str(played.error)
    assert [] == played.fetched


def test_a_question_is_bounded_and_goes_the_way_the_settings_say() -> None:
    trust = Trust(proxy="http://proxy.test:3128")
    need = question(Asked(settings=KeySettings(timeout=2, trust=trust))(reply(ACTIVE)))

    assert 2 == need.deadline
    assert trust == need.trust
    assert 65_536 == need.limit


def test_neither_token_nor_secret_shows_in_what_is_kept_or_said() -> None:
    ask = Asked()
    played = ask(reply(ACTIVE))
    ask(reply({"active": False}), token="other-token")
    unsure = ask(down(), token="third-token")
    said = [str(ask.of), repr(ask.of), repr(played.value), repr(question(played)), str(unsure.error)]
    said += [repr(ask.of._answers), repr(ask.of._refusals)]

    for secret in (TOKEN, "other-token", "third-token", "s3cret", "shop"):
        assert not any(secret in text for text in said), secret
    assert all(32 == len(name) for name in (*ask.of._answers, *ask.of._refusals))


# --- what an answer counts for -----------------------------------------------------------------------


def test_an_active_token_is_what_the_answer_says() -> None:
    played = Asked()(reply(ACTIVE))

    assert ACTIVE == played.value.values


def test_a_token_that_is_not_active_is_refused() -> None:
    played = Asked()(reply({"active": False}))

    assert isinstance(played.error, InvalidToken)
    assert "not active" in str(played.error)


NO_ANSWERS: dict[str, Any] = {
    "nobody answers": down(),
    "a text for active": reply({**ACTIVE, "active": "true"}),
    "a number for active": reply({**ACTIVE, "active": 1}),
    "null for active": reply({**ACTIVE, "active": None}),
    "no active": reply({"client_id": "shop"}),
    "a list": reply([ACTIVE]),
    "active twice": reply(b'{"active": false, "active": true}'),
    "no JSON": reply(b"<html>"),
    "nothing": reply(b""),
    "deep": reply(b'{"active": true, "a": ' + b"[" * 40 + b"]" * 40 + b"}"),
    "created": reply(ACTIVE, 201),
    "no content": reply(b"", 204),
    "a bad request": reply({"error": "invalid_request"}, 400),
    "a bad request without words": reply(b"<html>", 400),
    "unsupported, and not here": reply({"error": "unsupported_token_type"}, 404),
    "who are you": reply({"error": "invalid_client"}, 401),
    "not you": reply({"active": False}, 403),
    "not here": reply({"active": False}, 404),
    "too many": reply({"active": False}, 429),
    "broken": reply(ACTIVE, 500),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_says_neither_yes_nor_no(answer: Any) -> None:
    ask = Asked()
    played = ask(answer)

    assert isinstance(played.error, Unavailable)
    assert 503 == played.error.status
    assert {} == ask.of._answers


def test_a_kind_of_token_that_the_issuer_does_not_look_at_is_no_good_token() -> None:
    unsupported = reply({"error": "unsupported_token_type"}, 400)

    assert isinstance(Asked()(unsupported, token="a.b.c.d.e").error, InvalidToken)


def test_an_issuer_that_does_not_look_at_signed_tokens_is_asked_by_our_mistake() -> None:
    unsupported = reply({"error": "unsupported_token_type"}, 400)

    assert isinstance(Asked()(unsupported, token="a.b.c").error, Unavailable)


# --- for how long ------------------------------------------------------------------------------------


def test_a_yes_counts_for_as_long_as_is_said_and_not_a_moment_longer() -> None:
    ask = Asked(kept_for=30)
    answer = ask(reply(ACTIVE)).value
    ask.clock.forward(29.5)

    assert answer is ask.known().value
    assert answer is ask().value
    assert 0.5 == ask.of.left(answer)
    ask.clock.forward(0.5)
    assert None is ask.known().value
    assert 0 == ask.of.left(answer)
    assert isinstance(ask(reply({"active": False})).error, InvalidToken)


def test_a_yes_counts_from_when_it_was_asked_for() -> None:
    ask = Asked(kept_for=30)

    def late() -> Reply:
        ask.clock.forward(4)
        return reply(ACTIVE)

    answer = ask(late).value

    assert 26 == ask.of.left(answer)


@pytest.mark.parametrize(
    ("exp", "seconds"),
    [(NOW + 10, 10), (NOW + 10.5, 10.5), (NOW + 60, 30), (NOW, 0), (NOW - 5, 0), ("soon", 30), (None, 30)],
)
def test_a_yes_counts_no_longer_than_the_token(exp: object, seconds: float) -> None:
    ask = Asked(kept_for=30)
    answer = ask(reply({"active": True, "exp": exp})).value

    assert seconds == ask.of.left(answer)


def test_a_no_is_kept_briefly() -> None:
    ask = Asked(refused_for=5)
    ask(reply({"active": False}))
    ask.clock.forward(4.9)

    assert isinstance(ask().error, InvalidToken)
    assert isinstance(ask.known().error, InvalidToken)
    ask.clock.forward(0.1)
    assert None is ask.known().value
    assert ACTIVE == ask(reply(ACTIVE)).value.values


def test_with_nothing_kept_each_caller_has_it_asked_anew() -> None:
    ask = Asked(kept_for=0, refused_for=0)

    assert 1 == len(ask(reply(ACTIVE)).fetched)
    ask.clock.forward(0.001)
    assert isinstance(ask(reply({"active": False})).error, InvalidToken)
    ask.clock.forward(0.001)
    assert 1 == len(ask(reply(ACTIVE)).fetched)


def test_a_failure_is_kept_for_a_second_and_drives_out_what_was_known() -> None:
    ask = Asked(kept_for=10)
    ask(reply(ACTIVE))
    ask.clock.forward(10)
    ask(down())
    ask.clock.forward(0.9)

    assert isinstance(ask().error, Unavailable)
    assert 0 == ask.of._octets
    ask.clock.forward(0.2)
    assert ACTIVE == ask(reply(ACTIVE)).value.values


def test_an_issuer_that_is_down_is_left_alone_for_a_second() -> None:
    ask = Asked()
    for number in range(3):
        ask(down(), token=f"t{number}")
    played = ask(token="t3")
    ask.clock.forward(1)

    assert isinstance(played.error, Unavailable)
    assert [] == played.fetched
    assert 1 == len(ask(reply(ACTIVE), token="t4").fetched)
    assert 1 == len(ask(down(), token="t5").fetched)
    assert 1 == len(ask(reply(ACTIVE), token="t6").fetched)  # not three in a row


def test_an_answer_that_is_none_holds_nobody_else_up() -> None:
    ask = Asked()
    for number in range(5):
        ask(reply({"error": "server_error"}, 500), token=f"t{number}")

    assert 1 == len(ask(reply(ACTIVE), token="t9").fetched)


# --- one at a time, and not too many -----------------------------------------------------------------


def test_who_waits_for_somebody_elses_question_takes_its_answer() -> None:
    ask = Asked()
    played = ask(Meanwhile(lambda: ask(reply(ACTIVE))))

    assert ACTIVE == played.value.values
    assert [] == played.fetched
    keys = {need.key for need in played.needs if isinstance(need, Alone)}
    assert not any(TOKEN in str(key) for key in keys)


@pytest.mark.parametrize("said", [ACTIVE, {"active": False}], ids=["yes", "no"])
def test_who_begins_to_ask_when_the_answer_has_just_come_asks_no_more(said: dict[str, Any]) -> None:
    ask = Asked()
    late = ask.of.ask(TOKEN, NOW)
    question_of_its_own = next(late)  # which begins only when that of the other has ended
    assert isinstance(question_of_its_own, Alone)
    ask(reply(said))

    assert [] == play(question_of_its_own.flow).needs
    if said is ACTIVE:
        with pytest.raises(StopIteration) as ended:
            late.send(None)
        assert ACTIVE == ended.value.value.values
    else:
        with pytest.raises(InvalidToken):
            late.send(None)


def test_each_token_has_a_question_of_its_own() -> None:
    ask = Asked()
    first, second = (next(ask.of.ask(token, NOW)) for token in ("one", "two"))

    assert isinstance(first, Alone)
    assert isinstance(second, Alone)
    assert first.key != second.key
    assert first.key == next(ask.of.ask("one", NOW)).key  # type: ignore[union-attr]


def test_who_waits_hears_of_a_failure_too() -> None:
    ask = Asked()

    assert isinstance(ask(Meanwhile(lambda: ask(down()))).error, Unavailable)


def test_an_answer_that_counts_for_nothing_does_for_those_who_came_before_it_was_asked() -> None:
    ask = Asked(kept_for=0)

    def happens() -> None:
        ask.clock.forward(1)
        ask(reply(ACTIVE))

    assert ACTIVE == ask(Meanwhile(happens)).value.values


def test_an_answer_that_was_asked_for_before_somebody_came_is_asked_for_again() -> None:
    ask = Asked(kept_for=0)
    ask(reply(ACTIVE))
    ask.clock.forward(1)
    second = ask(Meanwhile(), reply({**ACTIVE, "client_id": "stock"}))
    ask.clock.forward(1)
    third = ask(Meanwhile(), reply({"active": False}))

    assert "stock" == second.value.values["client_id"]
    assert isinstance(third.error, InvalidToken)
    assert 1 == len(second.fetched) == len(third.fetched)


def test_who_gets_no_answer_in_time_is_told_that_nobody_can_tell() -> None:
    ask = Asked(settings=KeySettings(timeout=2))
    hangs = Meanwhile(lambda: ask.clock.forward(2))
    played = ask(hangs, Meanwhile())

    assert isinstance(played.error, Unavailable)
    assert "in time" in str(played.error)
    assert [2.0, 0.0] == [need.deadline for need in played.needs if isinstance(need, Alone)]


def test_no_more_than_so_many_questions_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    ask = Asked(settings=KeySettings(timeout=2))
    nested: list[Played] = []

    def while_two_are_asked() -> Reply:
        nested.append(ask(token="three"))
        return reply(ACTIVE)

    def while_one_is_asked() -> Reply:
        nested.append(ask(while_two_are_asked, token="two"))
        return reply(ACTIVE)

    assert None is ask(while_one_is_asked, token="one").error
    three, two = nested
    assert "under way" in str(three.error)
    assert None is two.error
    assert 1 == len(ask(reply(ACTIVE), token="four").fetched)


def test_a_question_that_nobody_ended_is_forgotten_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    ask = Asked(settings=KeySettings(timeout=2))
    ask.of._asking = {object(): ask.clock() + 2}  # as a fork leaves it behind

    assert isinstance(ask(token="one").error, Unavailable)
    ask.clock.forward(2)
    assert None is ask(reply(ACTIVE), token="two").error


def test_what_is_kept_is_bounded_in_number_and_the_oldest_goes() -> None:
    ask = Asked(most=2)
    for name in ("a", "b", "c"):
        ask(reply(ACTIVE), token=name)
        ask(reply({"active": False}), token=f"no {name}")

    assert [None, ACTIVE, ACTIVE] == [
        answer and answer.values for answer in (ask.known(name).value for name in ("a", "b", "c"))
    ]
    assert None is ask.known("no a").error
    assert [InvalidToken] * 2 == [type(ask.known(f"no {name}").error) for name in ("b", "c")]


def test_tokens_that_somebody_makes_up_drive_no_answer_out() -> None:
    ask = Asked(most=3)
    ask(reply(ACTIVE))
    for number in range(10):
        ask(reply({"active": False}), token=f"made up {number}")

    assert ACTIVE == ask.known().value.values
    assert 3 == len(ask.of._refusals)


def test_what_is_kept_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OCTETS", 1_000)
    ask = Asked()
    for name in ("a", "b", "c"):
        ask(reply({**ACTIVE, "much": "x" * 400}), token=name)

    assert ["b", "c"] == [name for name in ("a", "b", "c") if ask.known(name).value]
    assert ask.of._octets == sum(answer.octets for answer in ask.of._answers.values()) <= 1_000


def test_asking_again_about_one_token_takes_no_more_room() -> None:
    ask = Asked(kept_for=1)
    for _ in range(5):
        ask(reply(ACTIVE))
        ask.clock.forward(1)

    assert 1 == len(ask.of._answers)
    (answer,) = ask.of._answers.values()
    assert answer.octets == ask.of._octets > 0


# --- how it is set up --------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "plain http": ({"url": "http://id.test/introspect"}, "https"),
    "a user in the URL": ({"url": "https://a:b@id.test/"}, "user"),
    "no client": ({"client_id": ""}, "client_id"),
    "a client that is no text": ({"client_id": None}, "client_id"),
    "an empty secret": ({"client_secret": ""}, "client_secret"),
    "a blank secret": ({"client_secret": " "}, "client_secret"),
    "neither secret nor key": ({"client_secret": None}, "one of them"),
    "both": ({"assertion": lambda: "x"}, "one of them"),
    "an assertion that is a text": ({"client_secret": None, "assertion": "x"}, "function"),
    "nothing to ask about": ({"opaque": False}, "opaque tokens"),
    "a flag that is none": ({"jwts": 1}, "True or False"),
    "less than no time": ({"kept_for": -1}, "kept_for"),
    "for ever": ({"refused_for": float("inf")}, "refused_for"),
    "a time that is true": ({"kept_for": True}, "kept_for"),
    "a time in words": ({"kept_for": "30"}, "kept_for"),
    "none kept": ({"most": 0}, "most"),
    "half a one": ({"most": 1.5}, "most"),
    "true of them": ({"most": True}, "most"),
}


@pytest.mark.parametrize(("changes", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_work_is_refused_at_the_start(changes: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"url": URL, "client_id": "orders-api", "client_secret": "s3cret", **changes}
    url = given.pop("url")
    with pytest.raises(Misconfigured, match=says):
        introspection(url, **given)


def test_a_host_may_be_asked_without_tls_where_that_is_said() -> None:
    settings = KeySettings(plain_http_hosts=frozenset({"id.test"}))

    assert isinstance(
        introspection("http://id.test/x", client_id="a", client_secret="b", settings=settings), Introspection
    )


def test_two_are_alike_where_everything_about_them_is() -> None:
    def made(**changes: Any) -> Introspection:
        given: dict[str, Any] = {"client_id": "a", "client_secret": "b", **changes}
        return introspection(URL, **given)

    one = made()
    unlike = [made(client_secret="c"), made(client_id="c"), made(jwts=True), made(kept_for=1)]

    assert one.is_like(one)
    assert one.is_like(made())
    assert not any(one.is_like(other) for other in unlike)
    bare = [Introspection(URL, lambda: ({}, {}), KeySettings()) for _ in range(2)]
    assert not bare[0].is_like(bare[1])


def test_errors_are_new_each_time() -> None:
    ask = Asked()
    ask(reply({"active": False}))
    errors: list[GuardError | None] = [ask.known().error for _ in range(2)]

    assert errors[0] is not errors[1]


def test_an_answer_shows_no_claims() -> None:
    answer = Answer({"sub": "ada"}, 0, 1)

    assert "ada" not in repr(answer)
    assert answer == replace(answer)


def test_a_text_that_is_no_unicode_has_a_hash_too() -> None:
    ask = Asked()

    assert None is ask.known("\ud800").value
