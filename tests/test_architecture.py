"""The building as it is drawn → whether it still stands so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
HEAVY = {"asyncio", "cachetools", "cryptography", "httpx", "jwt", "starlette"}
CORE = ("errors", "messages", "credentials", "decision", "flow", "tokens", "sources", "access")

LOADED = """
import sys
import jwt_guard
print(*sorted(sys.modules))
"""

CORE_ALONE = """
import importlib, pkgutil, site, sys

for name in sys.argv[1:]:
    room = importlib.import_module(f"jwt_guard.{name}")
    for part in pkgutil.walk_packages(getattr(room, "__path__", ()), f"{room.__name__}."):
        importlib.import_module(part.name)
elsewhere = tuple(site.getsitepackages())
print(*sorted({
    name.partition(".")[0] for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").startswith(elsewhere)
}))
"""


def run(program: str, *arguments: str, **environment: str) -> set[str]:
    """Return the words that *program* prints in an interpreter of its own, which nobody else has filled."""
    command = [sys.executable, "-E", "-s", "-c", program, *arguments]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return set(ran.stdout.split())


def test_imports_point_down_the_floors(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # It sets up logging for a program of its own, which would switch off the loggers of every test after this one.
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)

    assert EXIT_STATUS_SUCCESS == status, capsys.readouterr().out


def test_importing_the_front_door_loads_nothing_heavy() -> None:
    loaded = run(LOADED)

    assert "jwt_guard" in loaded
    assert set() == loaded & HEAVY


def test_the_core_needs_nothing_but_cryptography_and_pyjwt() -> None:
    third_party = run(CORE_ALONE, *CORE, JWT_GUARD_FAST="0")  # without the extra, which it can do without

    # An installed setuptools has every interpreter import the last of them.
    assert set() == third_party - {"_cffi_backend", "cffi", "cryptography", "jwt", "jwt_guard", "_distutils_hack"}
