"""``[audit]`` of a file → where events are kept, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import jwt_guard
from jwt_guard.config.audit import AuditSettings, read_audit
from jwt_guard.config.load import read
from jwt_guard.config.values import WrongConfig

PROVIDER = '[providers.ehr]\nissuer = "https://id.example"\naudience = "a"\nsecret = "' + "x" * 64 + '"\n'
FHIR = '[fhir]\nupstream = "http://127.0.0.1:8080/fhir"\nbase = "https://api.example/fhir"\n'


def settings_of(folder: Path, text: str) -> AuditSettings | None:
    file = folder / "guard.toml"
    file.write_text(PROVIDER + text, encoding="utf-8")
    jwt_guard.load(file)
    return read_audit(read(file))


def test_without_the_table_nothing_is_kept(tmp_path: Path) -> None:
    assert settings_of(tmp_path, FHIR) is None


def test_a_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    assert AuditSettings(tmp_path / "audit.ndjson") == settings_of(tmp_path, f'{FHIR}[audit]\nfile = "audit.ndjson"\n')
    assert AuditSettings(tmp_path / "a", required=True, queries=True) == settings_of(
        tmp_path, f'{FHIR}[audit]\nfile = "a"\nrequired = true\nqueries = true\n'
    )


def test_a_server_is_told_with_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT", "Basic eDp5")
    text = f'{FHIR}[audit]\nurl = "https://audit.example/fhir"\nauthorization = "${{AUDIT}}"\nwaiting = 5\n'
    found = settings_of(tmp_path, text)

    assert AuditSettings(None, "https://audit.example/fhir", "Basic eDp5", 5) == found
    assert "eDp5" not in repr(found)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('[audit]\nfile = "a"\n', "audit", "there is no [fhir]"),
        (FHIR + "[audit]\n", "audit", "either file or url"),
        (FHIR + '[audit]\nfile = "a"\nurl = "https://x"\n', "audit", "either file or url"),
        (FHIR + '[audit]\nfile = "a"\nwaiting = 5\n', "audit.waiting", "it goes with url"),
        (FHIR + '[audit]\nfile = "a"\nauthorization = "x"\n', "audit.authorization", "it goes with url"),
        (FHIR + '[audit]\nurl = "audit.example"\n', "audit.url", "the base URL of a FHIR server"),
        (FHIR + '[audit]\nurl = "https://x"\nauthorization = "a\\nb"\n', "audit.authorization", "value of a header"),
        (FHIR + '[audit]\nurl = "https://x"\nwaiting = 0\n', "audit.waiting", "a whole number above 0"),
        (FHIR + '[audit]\nfiles = "a"\n', "audit.files", "did you mean file?"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, place: str, reason: str) -> None:
    with pytest.raises(WrongConfig) as caught:
        settings_of(tmp_path, text)

    assert place == caught.value.place
    assert reason in caught.value.reason
