"""What is sealed → what its bearer, and nobody else, brings back."""

from __future__ import annotations

import random
import re

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.tokens.sealing import Sealer

KEY = bytes(range(32))
CONTENT = b'{"patient":"A"}'
LONGER = CONTENT * 20
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("length", [0, 1, 251, 252, 253, 508, 10_000])
def test_the_bearer_gets_back_what_was_sealed(length: int) -> None:
    content = random.Random(length).randbytes(length)
    sealer = Sealer()

    assert content == sealer.opened(sealer.seal(content, "ada"), "ada")


@pytest.mark.parametrize("other", ["", "Ada", "ada ", "bob", "\ud800"])
def test_with_another_bearer_it_is_nothing(other: str) -> None:
    sealer = Sealer()

    assert None is sealer.opened(sealer.seal(CONTENT, "ada"), other)


def test_a_bearer_may_be_any_text() -> None:
    sealer = Sealer()

    assert CONTENT == sealer.opened(sealer.seal(CONTENT, "größe\ud800"), "größe\ud800")


def test_processes_with_one_key_open_what_the_others_sealed() -> None:
    assert CONTENT == Sealer(KEY).opened(Sealer(KEY).seal(CONTENT, "ada"), "ada")


def test_without_a_key_each_sealer_has_its_own() -> None:
    text = Sealer().seal(CONTENT, "ada")

    assert None is Sealer().opened(text, "ada")
    assert None is Sealer(KEY).opened(text, "ada")


def test_every_octet_of_a_key_counts() -> None:
    longer = KEY + b"\0"

    assert None is Sealer(longer).opened(Sealer(KEY).seal(CONTENT, "ada"), "ada")


@pytest.mark.parametrize("key", [b"", KEY[:-1], "0" * 32, bytearray(KEY)], ids=repr)
def test_a_key_that_could_be_guessed_or_changed_is_none(key: object) -> None:
    with pytest.raises(Misconfigured, match="at least 32"):
        Sealer(key)  # type: ignore[arg-type]


def test_the_text_needs_no_escape_in_a_query() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", Sealer().seal(CONTENT, "ada"))


def test_two_sealings_of_one_content_have_nothing_in_common() -> None:
    sealer = Sealer(KEY)
    first, second = sealer.seal(CONTENT, "ada"), sealer.seal(CONTENT, "ada")

    assert first != second
    assert first[:20] != second[:20]
    assert first[-20:] != second[-20:]


def test_the_length_tells_next_to_nothing() -> None:
    sealer = Sealer()
    lengths = {len(sealer.seal(bytes(length), "ada")) for length in range(253)}

    assert 1 == len(lengths)


def test_a_text_with_any_letter_changed_is_nothing() -> None:
    sealer = Sealer()
    text = sealer.seal(CONTENT, "ada")

    for place, letter in enumerate(text):
        changed = text[:place] + ("A" if letter != "A" else "B") + text[place + 1 :]

        assert None is sealer.opened(changed, "ada")


def test_one_sealing_has_one_spelling() -> None:
    sealer = Sealer()
    text = sealer.seal(LONGER, "ada")
    twin = ALPHABET[ALPHABET.index(text[-1]) ^ 1]

    assert 0 != len(text) % 4, "its last letter has spare bits"
    assert None is sealer.opened(text[:-1] + twin, "ada")


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 40])
def test_a_text_cut_short_or_made_longer_is_nothing(cut: int) -> None:
    sealer = Sealer()
    text = sealer.seal(CONTENT, "ada")

    assert None is sealer.opened(text[:-cut], "ada")
    assert None is sealer.opened(text + "A" * cut, "ada")


@pytest.mark.parametrize(
    "text",
    ["", "A", "=", "AAAA", "A" * 58, "A" * 59, "A" * 60, "A" * 400, "ä" * 80, " " * 80, "A" * 80 + "\n", "a+/b" * 20],
)
def test_what_was_never_sealed_is_nothing(text: str) -> None:
    assert None is Sealer().opened(text, "ada")


def test_padding_is_no_part_of_it() -> None:
    sealer = Sealer()
    text = sealer.seal(LONGER, "ada")

    assert None is sealer.opened(text + "=" * (-len(text) % 4), "ada")


def test_a_sealer_does_not_show_its_key() -> None:
    assert "Sealer(…)" == repr(Sealer(KEY))
