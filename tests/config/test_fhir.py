"""``[fhir]`` of a file → the server that it describes, or what is wrong with it and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import jwt_guard
from jwt_guard.config.fhir import FhirSettings, read_fhir
from jwt_guard.config.load import guard_from, read
from jwt_guard.config.values import WrongConfig
from jwt_guard.fhir.resource_types import TYPES
from jwt_guard.fhir.server import SHARED, Limits

PROVIDER = '[providers.ehr]\nissuer = "https://id.example"\naudience = "a"\nsecret = "' + "x" * 64 + '"\n'
FHIR = '[fhir]\nupstream = "http://127.0.0.1:8080/fhir"\nbase = "https://api.example/fhir"\n'
SMART = '[fhir.smart]\ntoken_endpoint = "https://id.example/token"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        file = tmp_path / "guard.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return written


def settings_of(file: Path) -> FhirSettings:
    root = read(file)
    found = read_fhir(root, guard_from(root).providers)

    assert found is not None
    return found


def test_without_the_table_there_is_no_such_server(write: Write) -> None:
    root = read(write(PROVIDER))

    assert read_fhir(root, guard_from(root).providers) is None


def test_what_is_usual_holds_where_nothing_is_said(write: Write) -> None:
    found = settings_of(write(PROVIDER + FHIR))

    assert "http://127.0.0.1:8080/fhir" == found.upstream
    assert ("https://api.example/fhir", "R4", SHARED) == (
        found.server.base, found.server.release, found.server.shared_types
    )  # fmt: skip
    assert (None, None, ("*",)) == (found.smart, found.link_key, found.origins)
    assert Limits() == found.server.limits


def test_everything_can_be_said(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_KEY", "k" * 40)
    more = """
release = "R5"
also_known_as = ["http://fhir:8080/fhir"]
shared_types = ["Organization"]
patient_claims = ["patient", ["ext", "patient"], "fhirUser"]
origins = ["https://app.example", "http://localhost:3000"]
link_key = "${LINK_KEY}"
jobs = ["/$$status"]
follow_patient_links = true
updates_may_create = false
koppeltaal = true
entra_spelling = true
[fhir.operations]
"ValueSet/$expand" = "r"
[fhir.limits]
body = 1000
answer = 2000
page = 10
largest_page = 20
pages = 3
entries = 4
"""
    found = settings_of(write(PROVIDER + FHIR + more))
    server = found.server

    assert ("R5", ("http://fhir:8080/fhir",), frozenset({"Organization"})) == (
        server.release, server.also_known_as, server.shared_types
    )  # fmt: skip
    assert TYPES["R5"] == server.surface.types
    assert {"ValueSet/$expand": "r"} == dict(server.surface.operations)
    assert frozenset({("$status",)}) == server.surface.job_paths
    assert (True, False, True, True) == (
        server.follow_patient_links, server.updates_may_create, server.koppeltaal, server.entra_spelling
    )  # fmt: skip
    assert Limits(1_000, 2_000, 10, 20, 3, 4) == server.limits
    assert ("patient", ("ext", "patient"), "fhirUser") == found.patient_claims
    assert ("https://app.example", "http://localhost:3000") == found.origins
    assert b"k" * 40 == found.link_key
    assert "kkkk" not in repr(found)


def test_pages_of_no_origin_may_be_said(write: Write) -> None:
    assert () == settings_of(write(f"{PROVIDER}{FHIR}origins = []\n")).origins


def test_the_issuer_is_the_one_there_is_unless_another_is_said(write: Write) -> None:
    other = PROVIDER.replace("ehr", "other").replace("id.example", "id2.example")
    one = settings_of(write(PROVIDER + FHIR + SMART)).smart
    said = settings_of(write(f'{PROVIDER}{FHIR}{SMART}issuer = "https://else.example"\n')).smart
    two = settings_of(write(PROVIDER + other + FHIR + SMART)).smart
    name = settings_of(write(PROVIDER.replace("https://id.example", "a name") + FHIR + SMART)).smart

    assert one is not None
    assert said is not None
    assert two is not None
    assert name is not None
    assert ["https://id.example", "https://else.example", None, None] == [
        each.issuer for each in (one, said, two, name)
    ]


def test_endpoints_without_tls_are_on_hosts_that_may_be_asked_without(write: Write) -> None:
    smart = SMART.replace("https://id.example", "http://id:8080")

    assert settings_of(write(f'{PROVIDER}{FHIR}{smart}[keys]\nplain_http_hosts = ["id"]\n')).smart is not None
    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(write(PROVIDER + FHIR + smart))

    assert "fhir.smart.token_endpoint" == caught.value.place


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[fhir]\n", "fhir.upstream", "it is required"),
        ('[fhir]\nupstream = "http://h/fhir"\n', "fhir.base", "it is required"),
        ('[fhir]\nupstream = "http://h/fhir/"\n', "fhir.upstream", "the base URL of a FHIR server is expected"),
        ('[fhir]\nupstream = "http://u:p@h/fhir"\n', "fhir.upstream", "the base URL of a FHIR server is expected"),
        ('[fhir]\nupstream = "http://h"\nbase = "https://x/"\n', "fhir.base", "is no base URL"),
        ('[fhir]\nupstream = "http://h"\nbase = "https://x/a%20b"\n', "fhir.base", "no unambiguous normal form"),
        (FHIR + "bases = 1\n", "fhir.bases", "did you mean base?"),
        (FHIR + 'release = "R3"\n', "fhir.release", "one of R4, R4B, R5 is expected"),
        (FHIR + 'also_known_as = ["x: y"]\n', "fhir.also_known_as", "is no base URL"),
        (FHIR + 'shared_types = ["Planet"]\n', "fhir.shared_types", "the server has no 'Planet'"),
        (FHIR + "patient_claims = []\n", "fhir.patient_claims", "a list of claim names"),
        (FHIR + 'origins = ["app.example"]\n', "fhir.origins", "are expected"),
        (FHIR + 'origins = ["https://app.example/"]\n', "fhir.origins", "are expected"),
        (FHIR + 'link_key = "short"\n', "fhir.link_key", "at least 32 octets"),
        (FHIR + 'operations = { "$everything" = "r" }\n', "fhir.operations", "not for a list to change"),
        (FHIR + 'operations = { "$x" = "q" }\n', "fhir.operations", "which letters of cruds"),
        (FHIR + 'jobs = ["/Patient/x"]\n', "fhir.jobs", "none of a resource type"),
        (FHIR + "[fhir.limits]\npage = 0\n", "fhir.limits.page", "a whole number above 0"),
        (FHIR + "[fhir.limits]\npage = 2000\n", "fhir.limits.page", "it is larger than largest_page"),
        (FHIR + "[fhir.limits]\npags = 2000\n", "fhir.limits.pags", "did you mean page"),
        (FHIR + "[fhir.smart]\n", "fhir.smart.token_endpoint", "it is required"),
        (FHIR + SMART + 'capabilities = ["launch-ehr"]\n', "fhir.smart.authorization_endpoint", "needs one"),
        (FHIR + SMART + "scope_supported = []\n", "fhir.smart.scope_supported", "did you mean scopes_supported?"),
        (FHIR + "[tokens]\nquery = true\n", "tokens.query", "would go on to the FHIR server"),
        (FHIR + "[tokens]\nform = true\n", "tokens.form", "would go on to the FHIR server"),
        (FHIR + '[gateway]\nupstream = "http://127.0.0.1:1"\n', "gateway.upstream", "it is fhir.upstream"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write: Write, text: str, place: str, reason: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(write(PROVIDER + text))

    assert place == caught.value.place
    assert reason in caught.value.reason


def test_a_key_is_never_said_again(write: Write) -> None:
    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(write(f'{PROVIDER}{FHIR}link_key = "hunter2"\n'))

    assert "hunter2" not in str(caught.value)
