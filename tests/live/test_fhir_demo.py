"""``jwt-guard fhir-demo`` with the server that it is made for → every app sees what it is to see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .conftest import missing
from .fhir_servers import is_installed, program

ROOT = Path(__file__).parents[2]


def test_every_app_sees_what_it_is_to_see_of_a_real_server() -> None:
    if not is_installed():
        missing("sekmet-fhir cannot be had: there is no package registry here")
    command = [sys.executable, "-m", "jwt_guard", "fhir-demo", "--sekmet", str(program("sekmet"))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert "everything as expected" in ran.stdout
