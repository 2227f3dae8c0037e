"""The headers of a key set → how long it is fresh: whatever an issuer says, and however it says it."""

from __future__ import annotations

import pytest

from jwt_guard.sources.freshness import LONGEST, entity_tag, freshness

SILENT = 300.0

SAID: dict[str, float] = {
    # RFC 9111 §5.2.2
    "max-age=600": 600,
    "public, max-age=600": 600,
    "max-age=600, must-revalidate, no-transform": 600,
    "MAX-AGE=600": 600,
    'max-age="600"': 600,
    "private,max-age=600": 600,
    "max-age=600,": 600,
    ", ,max-age=600": 600,
    "max-age=0600": 600,
    # our own bounds
    "max-age=59": 60,
    "max-age=0": 60,
    "max-age=86401": LONGEST,
    "max-age=31536000": LONGEST,
    "max-age=" + "9" * 5_000: LONGEST,
    # what may not be kept is kept for as little as we can
    "no-store": 60,
    "no-cache": 60,
    "No-Store, max-age=600": 60,
    "max-age=600, no-cache": 60,
    'no-cache="set-cookie", max-age=600': 60,
    'x="no-store, max-age=600': 60,
    # several: the shortest
    "max-age=600, max-age=500": 500,
    "max-age=500, max-age=600": 500,
    "max-age=x, max-age=600": 600,
    # not for us
    "s-maxage=900": SILENT,
    "s-maxage=900, max-age=600": 600,
    "x-max-age=900": SILENT,
    "max-age-=900": SILENT,
    'x="max-age=900"': SILENT,
    'x="no-store", max-age=600': 600,
    "stale-while-revalidate=900": SILENT,
    "immutable": SILENT,
    # nothing that can be read
    "": SILENT,
    "max-age": SILENT,
    "max-age=": SILENT,
    'max-age=""': SILENT,
    "max-age=-1": SILENT,
    "max-age=+600": SILENT,
    "max-age=6e2": SILENT,
    "max-age=600.5": SILENT,
    "max-age = 600": SILENT,
    "max-age=\u0666\u0660\u0660": SILENT,
    "max-age=six": SILENT,
    "max-age;600": SILENT,
    "=600": SILENT,
    "\\": SILENT,
    "\u017fo": SILENT,
}


@pytest.mark.parametrize(("said", "expected"), SAID.items(), ids=[said[:40] or "nothing" for said in SAID])
def test_what_an_issuer_says_counts_within_bounds(said: str, expected: float) -> None:
    assert expected == freshness({"cache-control": said}, SILENT)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("0", 600),
        ("100", 500),
        (" 100 ", 500),
        ("100, 200", 500),
        ("599", 60),
        ("700", 60),
        ("9" * 5_000, 60),
        ("-100", 600),
        ("1.5", 600),
        ("old", 600),
        ("", 600),
    ],
)
def test_what_a_cache_has_used_up_of_it_is_gone(age: str, expected: float) -> None:
    assert expected == freshness({"cache-control": "max-age=600", "age": age}, SILENT)


def test_age_alone_says_nothing() -> None:
    assert SILENT == freshness({"age": "100"}, SILENT)
    assert SILENT == freshness({}, SILENT)


def test_both_beyond_counting_are_still_a_number() -> None:
    assert 60 == freshness({"cache-control": "max-age=" + "9" * 400, "age": "9" * 400}, SILENT)


def test_our_own_setting_is_the_lower_bound_where_it_is_shorter() -> None:
    assert 5 == freshness({"cache-control": "max-age=1"}, 5)
    assert 30 == freshness({"cache-control": "max-age=30"}, 5)
    assert 0 == freshness({"cache-control": "no-store"}, 0)
    assert 60 == freshness({"cache-control": "no-store"}, 100_000)


def test_what_was_said_before_stands_in_for_silence_only() -> None:
    assert 900 == freshness({}, SILENT, 900)
    assert 0 == freshness({}, SILENT, 0)
    assert 600 == freshness({"cache-control": "max-age=600"}, SILENT, 900)


TAGS: dict[str, str | None] = {
    '"abc"': '"abc"',
    'W/"abc"': 'W/"abc"',
    ' "abc" ': '"abc"',
    '""': '""',
    '"a!#~"': '"a!#~"',
    f'"{"a" * 256}"': f'"{"a" * 256}"',
    f'"{"a" * 257}"': None,
    "": None,
    "abc": None,
    '"abc': None,
    'abc"': None,
    '"a"b"': None,
    '"a b"': None,
    'w/"abc"': None,
    '"a\r\nX: y"': None,
    '"a\x7f"': None,
    '"\u00e9"': None,
    '"a", "b"': None,
}


@pytest.mark.parametrize(("said", "expected"), TAGS.items(), ids=range(len(TAGS)))
def test_only_a_tag_that_can_stand_in_a_header_is_one(said: str, expected: str | None) -> None:
    assert expected == entity_tag({"etag": said})
    assert None is entity_tag({})
