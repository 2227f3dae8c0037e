"""``[fhir]`` → what is risky about it, or cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from jwt_guard.config.check import check

PROVIDER = """
[providers.ehr]
issuer = "https://id.example"
audience = "https://api.example/fhir"
jwks_url = "https://id.example/jwks"
"""
ROUTE = '[[routes]]\npath = "{}"\nallow = "authenticated"\n'


def found(folder: Path, text: str) -> list[tuple[str, str, str]]:
    file = folder / "guard.toml"
    file.write_text(PROVIDER + text, encoding="utf-8")
    file.chmod(0o600)
    return [(each.severity, each.place, each.sentence) for each in check(file)]


def fhir(more: str = "", upstream: str = "http://127.0.0.1:8080/fhir", base: str = "https://api.example/fhir") -> str:
    return f'[fhir]\nupstream = "{upstream}"\nbase = "{base}"\n{more}'


def test_what_is_usual_is_neither_wrong_nor_risky(tmp_path: Path) -> None:
    assert [] == found(tmp_path, fhir())
    assert [] == found(tmp_path, "")
    assert [] == found(tmp_path, ROUTE.format("/orders/{id}") + ROUTE.format("/{x}/y") + fhir())


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (fhir(upstream="http://ehr:8080/fhir"), "fhir.upstream", "no TLS"),
        (fhir(base="http://api.example/fhir"), "fhir.base", "not https"),
        (fhir(f'link_key = "{"k" * 32}"'), "fhir.link_key", "in the file"),
        (fhir("follow_patient_links = true"), "fhir.follow_patient_links", "decides whose record"),
        (fhir('operations = { "$lookup" = "r", "$purge" = "d" }'), "fhir.operations", "'$purge'"),
    ],
)
def test_what_is_risky_is_said(tmp_path: Path, text: str, place: str, words: str) -> None:
    ((severity, at, sentence),) = found(tmp_path, text)

    assert ("risky", place) == (severity, at)
    assert words in sentence


def test_a_key_of_the_environment_is_none_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_KEY", "k" * 32)

    assert [] == found(tmp_path, fhir('link_key = "${LINK_KEY}"'))


@pytest.mark.parametrize("path", ["/fhir/**", "/fhir/Patient/{id}", "/fhir"])
def test_a_route_that_nobody_asks_is_wrong(tmp_path: Path, path: str) -> None:
    ((severity, place, sentence),) = found(tmp_path, ROUTE.format(path) + fhir())

    assert ("wrong", "routes") == (severity, place)
    assert path in sentence


def test_a_route_in_other_letters_than_the_base_is_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    assert [] == found(tmp_path, ROUTE.format("/FHIR/x") + fhir())
