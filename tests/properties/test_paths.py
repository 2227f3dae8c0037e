"""A path that a route matches has one reading: decoding it once gives the segments, and nothing is left to resolve."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, unquote_to_bytes

from hypothesis import event, example, given
from hypothesis import strategies as st

from jwt_guard import anyone, by_route
from jwt_guard.access.policy import is_open
from jwt_guard.access.routes import segments
from jwt_guard.messages import PlainRequest

from .strategies import texts, wild_paths

opens = by_route(
    [("GET", "/public/{name}", anyone()), ("GET", "/files/**", anyone()), ("GET", "/{a}/{b}/{c}", anyone())]
)


@given(wild_paths)
@example("/")
@example("/a/")
@example("/%2e/a")
def test_segments_are_what_decoding_once_gives(path: str) -> None:
    found = segments(path)
    event("one reading" if found is not None else "none")
    if found is None:
        return
    decoded = unquote_to_bytes(path).decode("utf-8")

    assert decoded.rstrip("/") == "/".join(("", *found)).rstrip("/")
    assert not {".", ".."} & set(found)
    assert all(piece and not set(piece) & set("/\\\0") for piece in found)
    assert posixpath.normpath(decoded) == "/" + "/".join(found)
    assert path.isascii()
    assert path.isprintable()
    assert not set(path) & set("\\#?; ")


@given(wild_paths)
def test_opaque_segments_hide_no_dot_segment(path: str) -> None:
    found = segments(path, opaque=True)
    plain = segments(path)
    if found is None:
        assert plain is None
        return

    for piece in found:
        assert not {".", ".."} & set(piece.replace(";", "/").split("/"))
        assert not set(piece) & set("\\\0")
    assert plain is None or plain == found


@given(st.lists(texts.filter(bool), max_size=4))
def test_every_list_of_plain_segments_has_a_path(pieces: list[str]) -> None:
    plain = all(
        piece not in (".", "..") and not any(c in "/\\;" or c < " " or "\x7f" <= c <= "\x9f" for c in piece)
        for piece in pieces
    )
    path = "/" + "/".join(quote(piece, safe="") for piece in pieces)

    assert (tuple(pieces) if plain else None) == segments(path)
    assert segments(path) == segments(path + "/") or not pieces


@given(wild_paths, st.sampled_from(["GET", "HEAD", "POST", "get", ""]))
def test_what_a_route_lets_in_has_one_reading(path: str, method: str) -> None:
    let_in = is_open(opens, PlainRequest(method, path))
    if not let_in:
        return
    again = "/" + "/".join(quote(piece, safe="") for piece in segments(path) or ())

    assert method in ("GET", "HEAD")
    assert is_open(opens, PlainRequest(method, again))
    assert unquote_to_bytes(path).decode().rstrip("/") == unquote_to_bytes(again).decode()
