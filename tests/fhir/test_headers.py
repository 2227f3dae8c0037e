"""The headers of an answer that nobody looks at → what they say of places, in the client's words."""

from __future__ import annotations

import pytest

from jwt_guard.fhir.headers import handed_on
from jwt_guard.fhir.server import Server

BASE = "https://api.example/fhir"
SERVER = Server(BASE, also_known_as=("http://10.0.0.1/r4", "http://10.0.0.1/r4/more"))


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://10.0.0.1/r4", BASE),
        ("http://10.0.0.1/r4/Patient/1", f"{BASE}/Patient/1"),
        ("http://10.0.0.1/r4?page=2", f"{BASE}?page=2"),
        ("http://10.0.0.1/r4/more/Patient/1", f"{BASE}/Patient/1"),
        ("/r4/Patient/1", f"{BASE}/Patient/1"),
        ("http://10.0.0.1/r45/Patient/1", "http://10.0.0.1/r45/Patient/1"),
        ("https://else.example/r4/x", "https://else.example/r4/x"),
        ("Patient/1", "Patient/1"),
        (f"{BASE}/Patient/1", f"{BASE}/Patient/1"),
    ],
)
def test_a_place_on_the_server_is_one_below_our_base(url: str, ours: str) -> None:
    raw = [(b"Location", url.encode()), (b"Link", f'<{url}>; rel="self"'.encode())]

    assert [(b"location", ours.encode()), (b"link", f'<{ours}>; rel="self"'.encode())] == handed_on(raw, SERVER, "/r4")


def test_a_server_that_has_its_host_for_itself_has_no_path_to_replace() -> None:
    assert [(b"location", b"/Patient/1")] == handed_on([(b"location", b"/Patient/1")], SERVER, "")


def test_who_may_read_is_not_for_the_server_to_say() -> None:
    raw = [(b"Access-Control-Allow-Origin", b"*"), (b"ETag", b'W/"1"')]

    assert [(b"etag", b'W/"1"')] == handed_on(raw, SERVER, "/r4")
