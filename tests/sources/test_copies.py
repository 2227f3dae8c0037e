"""Key sets in a store or a folder → taken if they are what we would have written, and never missed if they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jwt_guard.sources.copies import Copies
from jwt_guard.sources.published import Published
from jwt_guard.tokens.keys import key_set_from_jwks
from tests.support.keys import public_jwk
from tests.support.playing import Clock, Shelf, play

STORE, FOLDER = "redis://store.test/0", "file:///var/lib/keys"
NAME = "jwks https://id.test/keys"


def published(*kids: str, fetched: float = 1_000, **more: Any) -> Published:
    body = json.dumps({"keys": [public_jwk("ES256", kid, kid=kid) for kid in kids]}).encode()
    return Published(key_set_from_jwks(body), body, "https://id.test/keys", '"1"', 300, fetched, **more)


class Shared:
    """Two processes that share a shelf, each with a clock of its own."""

    def __init__(self, store: str | None = STORE, folder: str | None = FOLDER, name: str = NAME) -> None:
        self.clock = Clock(1_000)
        self.shelf = Shelf(Clock(5))
        self.ours = Copies(name, store, folder, self.clock)

    def __call__(self, flow: Callable[..., Any], *args: Any) -> Any:
        played = play(partial(flow, *args), shelf=self.shelf)
        assert None is played.error
        return played.value

    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds)
        self.shelf.clock.forward(seconds)

    def newest(self, known: Published | None = None) -> Published | None:
        found: Published | None = self(self.ours.newest, known)
        return found


def test_what_is_kept_is_found_again_with_its_age() -> None:
    shared = Shared()
    kept = published("a", "b", fetched=990)
    shared(shared.ours.keep, kept, 3_600)
    shared.forward(100)

    found = shared.newest()

    assert found is not None
    assert {"a", "b"} == found.keys.kids
    assert (kept.body, kept.url, kept.fresh_for, kept.name) == (found.body, found.url, found.fresh_for, found.name)
    assert 990 == found.fetched
    assert 110 == found.age(shared.clock())
    assert ["write", "write", "read"] == shared.shelf.commands
    assert {STORE, FOLDER} == {need.store for need in shared.shelf.asked[:2]}


def test_its_age_does_not_depend_on_whose_clock_says_what() -> None:
    shared = Shared()
    shared(shared.ours.keep, published("a", fetched=990), 3_600)
    elsewhere = Copies(NAME, STORE, None, Clock(7_000_000))

    found = shared(elsewhere.newest, None)

    assert 7_000_000 - 10 == found.fetched


def test_what_a_store_takes_to_answer_makes_nothing_younger() -> None:
    shared = Shared(folder=None)
    shared(shared.ours.keep, published("a"), 3_600)
    flow = shared.ours.newest(None)
    entry = shared.shelf(next(flow))  # type: ignore[arg-type]  # it is Stored
    shared.forward(0.25)
    with pytest.raises(StopIteration) as stop:
        flow.send(entry)

    assert stop.value.value.fetched <= 1_000


def test_a_set_is_kept_no_longer_than_it_may_be_used() -> None:
    shared = Shared()
    shared.forward(50)
    shared(shared.ours.keep, published("a"), 60)

    assert [10, 10] == [need.lifetime for need in shared.shelf.asked]
    shared.forward(9.9)
    assert None is not shared.newest()
    shared.forward(0.1)
    assert None is shared.newest()


def test_a_set_that_may_not_be_used_any_more_is_not_kept() -> None:
    shared = Shared()
    shared(shared.ours.keep, published("a"), 0)
    shared.forward(60)
    shared(shared.ours.keep, published("a"), 60)

    assert [] == shared.shelf.asked


def test_the_keys_that_we_have_stay_the_same_objects() -> None:
    shared = Shared()
    known = published("a")
    shared(shared.ours.keep, published("a", "b"), 60)

    found = shared.newest(known)

    assert found is not None
    assert known.keys.find("a", "ES256") is found.keys.find("a", "ES256")


def test_no_tag_vouches_for_what_came_from_a_store() -> None:
    """Else a set that somebody has put there would stay for as long as the issuer's own does not change."""
    shared = Shared()
    shared(shared.ours.keep, published("a"), 60)

    found = shared.newest()

    assert found is not None
    assert None is found.etag


# --- where it is looked for --------------------------------------------------------------------------


def test_the_store_comes_before_the_folder() -> None:
    shared = Shared()
    shared(Copies(NAME, None, FOLDER, shared.clock).keep, published("old"), 60)
    first = shared.newest()
    shared(Copies(NAME, STORE, None, shared.clock).keep, published("new"), 60)
    second = shared.newest()

    assert first is not None
    assert second is not None
    assert {"old"} == first.keys.kids
    assert {"new"} == second.keys.kids


def test_the_folder_is_looked_into_at_the_start_only() -> None:
    shared = Shared()
    shared(Copies(NAME, None, FOLDER, shared.clock).keep, published("old"), 60)
    del shared.shelf.asked[:]

    assert None is shared.newest(published("a"))
    assert {STORE} == {need.store for need in shared.shelf.asked}
    assert None is shared(Copies(NAME, None, FOLDER, shared.clock).newest, published("a"))


@pytest.mark.parametrize(("store", "folder", "name"), [(None, None, NAME), (STORE, FOLDER, "")])
def test_without_a_place_or_a_name_nothing_is_shared(store: str | None, folder: str | None, name: str) -> None:
    shared = Shared(store, folder, name)
    shared(shared.ours.keep, published("a"), 60)

    assert None is shared.newest()
    assert shared(shared.ours.may_fetch, None, 5)
    assert 0 == shared(shared.ours.may_spend, 3, 30)
    shared(shared.ours.give_back, 0)
    shared(shared.ours.leave, None, 1)
    assert () == shared.ours.places
    assert [] == shared.shelf.asked


def test_two_names_share_nothing() -> None:
    shared = Shared()
    shared(shared.ours.keep, published("a"), 60)
    other = Copies("jwks https://other.test/", STORE, FOLDER, shared.clock)

    assert None is shared(other.newest, None)
    assert shared(shared.ours.may_fetch, None, 5)
    assert shared(other.may_fetch, None, 5)
    assert "id.test" not in "".join(need.key for need in shared.shelf.asked), "what is asked for is nobody's business"


def test_a_store_that_is_down_takes_away_the_sharing_and_nothing_else() -> None:
    shared = Shared()
    shared.shelf.is_down = True

    shared(shared.ours.keep, published("a"), 60)
    assert None is shared.newest()
    assert shared(shared.ours.may_fetch, None, 5)
    assert shared(shared.ours.may_fetch, None, 5)
    assert [0] * 9 == [shared(shared.ours.may_spend, 3, 30) for _ in range(9)]
    shared(shared.ours.give_back, 0)
    shared(shared.ours.leave, None, 1)


# --- what is in it -----------------------------------------------------------------------------------

WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda entry: entry.update(version=2),
    "no version": lambda entry: entry.pop("version"),
    "somebody else's": lambda entry: entry.update({"from": "jwks https://other.test/"}),
    "nobody's": lambda entry: entry.pop("from"),
    "no name": lambda entry: entry.pop("name"),
    "a name that is no text": lambda entry: entry.update(name=5),
    "a name without an end": lambda entry: entry.update(name="a" * 65),
    "no url": lambda entry: entry.pop("url"),
    "no keys": lambda entry: entry.pop("keys"),
    "keys that are no text": lambda entry: entry.update(keys={"keys": []}),
    "HTML": lambda entry: entry.update(keys="<html>"),
    "an empty set": lambda entry: entry.update(keys='{"keys": []}'),
    "a secret": lambda entry: entry.update(keys='{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'),
    "fresh for ever": lambda entry: entry.update(fresh_for=86_401),
    "fresh for less than nothing": lambda entry: entry.update(fresh_for=-1),
    "fresh for a text": lambda entry: entry.update(fresh_for="300"),
    "fresh for true": lambda entry: entry.update(fresh_for=True),
    "no freshness": lambda entry: entry.pop("fresh_for"),
    "from the future": lambda entry: entry.update(usable_for=59),
    "usable for a text": lambda entry: entry.update(usable_for="60"),
    "usable for nothing that is said": lambda entry: entry.pop("usable_for"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG.keys())
def test_an_entry_that_we_would_not_have_written_is_none(spoil: Callable[[dict[str, Any]], object]) -> None:
    shared = Shared(folder=None)
    shared(shared.ours.keep, published("a"), 60)
    assert None is not shared.newest()
    entry = json.loads(shared.shelf.entry)
    spoil(entry)

    shared.shelf.put(json.dumps(entry).encode(), 60)

    assert None is shared.newest()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"<html>",
        b'{"version": 1e999}',
        b'{"version": 1, "version": 1}',
        b'{"keys": ' + b"[" * 5_000,
        b'{"usable_for": ' + b"9" * 5_000 + b"}",
        b'{"keys": "\\ud800"}',
    ],
)
def test_garbage_in_a_store_is_nothing(value: bytes) -> None:
    shared = Shared(folder=None)
    shared(shared.ours.keep, published("a"), 60)
    entry = shared.shelf.entry
    assert None is not shared.newest()

    for spoilt in (value, entry[:-1], entry + b"}"):
        shared.shelf.put(spoilt, 60)
        assert None is shared.newest()
    shared.shelf.put(entry, 60)
    assert None is not shared.newest()


def test_an_entry_that_goes_on_for_longer_than_it_says_is_none() -> None:
    shared = Shared(folder=None)
    shared(shared.ours.keep, published("a"), 60)
    assert None is not shared.newest()

    shared.shelf.put(shared.shelf.entry, 61)

    assert None is shared.newest()


def test_a_set_with_anything_in_it_that_an_issuer_can_send_comes_back_the_same() -> None:
    shared = Shared()
    body = json.dumps(
        {"keys": [public_jwk("ES256", kid='k\u00e9y "\\\U0001f511')], "note": "\u2028"}, ensure_ascii=False
    ).encode()
    kept = Published(key_set_from_jwks(body), body, "https://id.test/keys", None, 300, 1_000)
    shared(shared.ours.keep, kept, 60)

    found = shared.newest()

    assert found is not None
    assert body == found.body
    assert kept.keys.kids == found.keys.kids


# --- who may ask the issuer --------------------------------------------------------------------------


def test_one_may_fetch_what_comes_after_a_set() -> None:
    shared = Shared()
    old, new = published("a", name="old"), published("a", name="new")

    assert shared(shared.ours.may_fetch, None, 5)
    assert not shared(shared.ours.may_fetch, None, 5)
    assert shared(shared.ours.may_fetch, old, 5)
    assert not shared(shared.ours.may_fetch, old, 5)
    assert shared(shared.ours.may_fetch, new, 5)
    shared.forward(5)
    assert shared(shared.ours.may_fetch, old, 5), "whoever had it is gone"


def test_who_does_not_fetch_after_all_leaves_it_to_others() -> None:
    shared = Shared()
    shared(shared.ours.may_fetch, None, 5)

    shared(shared.ours.leave, None, 0)
    shared.forward(0.001)
    assert shared(shared.ours.may_fetch, None, 5)
    shared(shared.ours.leave, None, 1)
    shared.forward(0.9)
    assert not shared(shared.ours.may_fetch, None, 5)
    shared.forward(0.1)
    assert shared(shared.ours.may_fetch, None, 5)


def test_without_time_everybody_may() -> None:
    shared = Shared()

    assert shared(shared.ours.may_fetch, None, 0)
    assert shared(shared.ours.may_fetch, None, 0)
    assert [0, 0] == [shared(shared.ours.may_spend, 3, 0) for _ in range(2)]


def test_all_together_may_spend_a_few_fetches_and_then_one_or_two_in_a_cooldown() -> None:
    shared = Shared()

    def spent() -> list[int | None]:
        return [shared(shared.ours.may_spend, 3, 30) for _ in range(4)]

    assert [0, 1, 2, None] == spent()
    shared.forward(29.9)
    assert [None] * 4 == spent()
    shared.forward(0.1)
    assert [0, None, None, None] == spent()
    shared.forward(30)
    assert [0, 1, None, None] == spent()
    shared.forward(30)
    assert [0, 2, None, None] == spent()


def test_more_of_them_are_for_names_like_the_issuers_own() -> None:
    shared = Shared()
    for _ in range(3):
        shared(shared.ours.may_spend, 3, 30)

    assert [3, 4, None] == [shared(shared.ours.may_spend, 5, 30) for _ in range(3)]


def test_what_brought_the_key_is_given_back_to_all() -> None:
    shared = Shared()

    for _ in range(20):
        assert 0 == shared(shared.ours.may_spend, 3, 30)
        shared(shared.ours.give_back, 0)
        shared.forward(0.001)
