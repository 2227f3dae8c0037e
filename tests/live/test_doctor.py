"""A real provider → what ``jwt-guard doctor`` says about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jwt_guard.cli import main

from .rig import ORDERS, LiveProvider


@pytest.mark.parametrize("fixture", ["live_provider", "live_provider_with_path"])
def test_a_real_provider_is_well(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live: LiveProvider = request.getfixturevalue(fixture)
    file = tmp_path / "guard.toml"
    file.write_text(f'[providers.live]\nprofile = "rfc9068"\nissuer = "{live.issuer}"\naudience = "{ORDERS}"\n')
    before = live.fetches()

    status = main(["doctor", "--config", str(file), "--json"])

    (provider,) = json.loads(capsys.readouterr().out)["providers"]
    asked = live.fetches() - before
    assert (0, True) == (status, provider["usable"])
    assert (1, 1) == (asked.discovery, asked.jwks)
    assert {"RS256", "ES256", "EdDSA"} <= {alg for key in provider["facts"]["keys"] for alg in key["algorithms"]}
    assert "ok" == next(each["verdict"] for each in provider["findings"] if each["about"] == "clock")
    assert not [each for each in provider["findings"] if each["verdict"] == "failed"]
