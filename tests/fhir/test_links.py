"""URLs of a server's answer → ours, and links that their bearer alone can follow."""

from __future__ import annotations

import pytest

from jwt_guard.fhir.interaction import Interaction
from jwt_guard.fhir.links import Cursor, Place, address, below, opened, ours, sealed, self_link
from jwt_guard.fhir.outcome import TOO_COSTLY, Stopped
from jwt_guard.fhir.query import Parameters, read_parameters
from jwt_guard.fhir.server import Server
from jwt_guard.tokens.sealing import Sealer
from tests.support.fhir_exchanges import BASE, SERVER, UPSTREAM, of

SEALER = Sealer(b"k" * 32)
RIGHTS = of("patient/*.rs")
HERE = "/Observation"
ODD: Parameters = (("code", "http://loinc.org|4548-4"), ("name", "é + ü & so=on #1;"), ("code", ""))


def token(url: str) -> str:
    return url.partition("_getpages=")[2]


# --- our own URLs ------------------------------------------------------------------------------------


def test_a_query_is_encoded_once_so_that_it_is_read_as_it_was() -> None:
    base, _, query = address(SERVER, HERE, ODD).partition("?")

    assert f"{BASE}/Observation" == base
    assert ODD == read_parameters(query)


def test_the_base_itself_has_no_slash() -> None:
    assert f"{BASE}?a=1" == address(SERVER, "/", (("a", "1"),))
    assert BASE == address(SERVER, "/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/Observation", f"{BASE}/Observation?code=1%7C2"),
        ("/Observation/_search", f"{BASE}/Observation?code=1%7C2"),
        ("/_search", f"{BASE}?code=1%7C2"),
        ("/Patient/A/Observation/_search", f"{BASE}/Patient/A/Observation?code=1%7C2"),
    ],
)
def test_a_search_is_called_what_its_get_is(path: str, expected: str) -> None:
    assert expected == self_link(Interaction("search-type", path, parameters=(("code", "1|2"),)), SERVER)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (UPSTREAM, BASE),
        (f"{UPSTREAM}/Patient/A", f"{BASE}/Patient/A"),
        (f"{UPSTREAM}?_getpages=1", f"{BASE}?_getpages=1"),
        (f"{UPSTREAM}/R4/Patient/A", f"{BASE}/Patient/A"),
        (f"{UPSTREAM}2/Patient/A", f"{UPSTREAM}2/Patient/A"),
        (f"{BASE}/Patient/A", f"{BASE}/Patient/A"),
        ("https://other.example/fhir/Patient/A", "https://other.example/fhir/Patient/A"),
        ("Patient/A", "Patient/A"),
        ("urn:uuid:1", "urn:uuid:1"),
    ],
)
def test_the_servers_own_address_is_not_told(url: str, expected: str) -> None:
    assert expected == ours(url, Server(BASE, also_known_as=(UPSTREAM, f"{UPSTREAM}/R4")))


# --- the server's links to pages ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"{UPSTREAM}/Observation?page=2&code=a%7Cb",
        f"{BASE}/Observation?page=2&code=a%7Cb",
        f"{UPSTREAM}/Observation/?page=2&code=a|b",
        "/fhir/Observation?page=2&code=a%7Cb",
        "Observation?page=2&code=a%7Cb",
        "?page=2&code=a%7Cb",
    ],
)
def test_a_link_below_a_base_of_the_server_is_followed(url: str) -> None:
    assert (HERE, (("page", "2"), ("code", "a|b"))) == below(url, SERVER, HERE)


@pytest.mark.parametrize("url", [f"{UPSTREAM}?_getpages=1", f"{UPSTREAM}/?_getpages=1", "/fhir?_getpages=1"])
def test_a_link_to_the_base_itself_is_followed(url: str) -> None:
    assert ("/", (("_getpages", "1"),)) == below(url, SERVER, HERE)


def test_the_longest_base_counts() -> None:
    server = Server(BASE, also_known_as=(UPSTREAM, f"{UPSTREAM}/R4"))

    assert (HERE, ()) == below(f"{UPSTREAM}/R4/Observation", server, HERE)


def test_a_server_may_have_its_host_for_itself() -> None:
    server = Server(BASE, also_known_as=("http://10.0.0.1:8080",))

    assert (HERE, ()) == below("/Observation", server, HERE)
    assert (HERE, ()) == below("http://10.0.0.1:8080/Observation", server, HERE)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        ["Observation"],
        "http://evil.example/fhir/Observation?page=2",
        f"{UPSTREAM}2/Observation",
        f"{UPSTREAM}@evil.example/Observation",
        "//evil.example/fhir/Observation",
        "ftp://10.0.0.1:8080/fhir/Observation",
        "javascript://10.0.0.1:8080/fhir/Observation",
        f"{UPSTREAM}/../admin",
        f"{UPSTREAM}/%2e%2e/admin",
        f"{UPSTREAM}/Observ%61tion",
        f"{UPSTREAM}/Observation%2F..",
        f"{UPSTREAM}//Observation",
        f"{UPSTREAM}/Observation#x",
        f"{UPSTREAM}/Observation?page=2#x",
        f"{UPSTREAM}/Observation?a=1;b=2",
        f"{UPSTREAM}/Observation?a=%zz",
        f"{UPSTREAM}/Observation?a=é",
        "/admin",
        "../admin?x",
    ],
)
def test_a_link_that_leads_elsewhere_or_could_is_not(url: object) -> None:
    assert None is below(url, SERVER, HERE)


# --- sealed links ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor("/Observation", ODD, Place(), None),
        Cursor("/Observation/_search", ODD, Place(2, ("/", (("_getpages", "é"),)), 17), 203),
        Cursor("", (("Observation", ""),), Place(page=("/Observation", ODD)), 0),
    ],
)
def test_a_link_brings_its_bearer_to_the_place_that_it_was_made_for(cursor: Cursor) -> None:
    url = sealed(cursor, RIGHTS, SEALER)

    assert url.startswith(f"{BASE}?_getpages=")
    assert cursor == opened(token(url), RIGHTS, SEALER)


def test_it_shows_nothing_of_that() -> None:
    cursor = Cursor("/Observation", ODD, Place(page=("/Observation", (("after", "b-secret"),))))

    assert "secret" not in sealed(cursor, RIGHTS, SEALER)


def test_with_another_bearer_it_leads_nowhere() -> None:
    text = token(sealed(Cursor(HERE, (), Place()), RIGHTS, SEALER))

    assert None is opened(text, of("patient/*.rs", "B"), SEALER)
    assert None is opened(text, of("patient/*.r"), SEALER)


def test_where_nobody_knows_the_bearer_it_leads_nowhere() -> None:
    nobody = of("patient/*.rs")
    object.__setattr__(nobody, "bearer", "")
    text = token(sealed(Cursor(HERE, (), Place()), nobody, SEALER))

    assert None is opened(text, nobody, SEALER)


def test_at_another_server_with_the_same_key_it_leads_nowhere() -> None:
    text = token(sealed(Cursor(HERE, (), Place()), RIGHTS, SEALER))

    assert None is opened(text, of("patient/*.rs", server=Server("https://other.example/fhir")), SEALER)


@pytest.mark.parametrize("content", [b'{"job":"1"}', b'["export","' + BASE.encode() + b'"]', b"7"])
def test_what_was_sealed_for_another_purpose_is_no_link(content: bytes) -> None:
    assert None is opened(SEALER.seal(content, RIGHTS.bearer), RIGHTS, SEALER)


def test_a_link_that_no_request_could_bring_back_is_not_made() -> None:
    with pytest.raises(Stopped) as stopped:
        sealed(Cursor(HERE, (("_id", "a" * 50_000),), Place()), RIGHTS, SEALER)

    assert TOO_COSTLY == stopped.value.problem
